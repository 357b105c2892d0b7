"""Both legs together against either alone and against LangChain's EnsembleRetriever (reciprocal-rank fusion) over the same legs."""

from __future__ import annotations

import importlib
import importlib.util
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import PrivateAttr

from benchmarks.retrieval.sets import RetrievalSet
from knowledge.embed import SentenceEmbedder
from knowledge.evaluate import GRID, Asked, ask, best_share, figures, halves, opened
from knowledge.index import DEFAULT_WEIGHTS
from knowledge.ingest import ingest
from knowledge.ranking import METRICS, interval, measure

DEPTH = 100
"""Passages that a leg hands to the ensemble: what ours takes into its fusion."""

RRF_CONSTANT = 60
"""Of EnsembleRetriever and of Cormack, Clarke & Büttcher (SIGIR 2009)."""

SHOWN = ("recall@10", "ndcg@10")


def asked_of(one: RetrievalSet, folder: Path, embedder: SentenceEmbedder) -> list[Asked]:
    """Ingest a set and ask its questions. An index of it that lies in `folder` already is used as it is."""
    ingest(one.passages, folder, embedder)
    with opened(folder, embedder) as retriever:
        return ask(retriever, one.questions)


@dataclass(frozen=True)
class Compared:
    """The figures of each question, shape (n, METRICS), by what was measured; and the shares that were learned, one a half."""

    figures: Mapping[str, NDArray[np.float64]]
    shares: list[float]

    def mean(self, name: str, metric: str) -> float:
        """The mean over questions."""
        return float(self.figures[name][:, METRICS.index(metric)].mean())

    def better(self, metric: str, rivals: Sequence[str]) -> str:
        """Which of the rivals has the highest mean."""
        return max(rivals, key=lambda name: self.mean(name, metric))

    def ahead(self, metric: str, rival: str) -> tuple[float, float, float]:
        """The fused figure less the rival's, with its 95 % interval: a bootstrap over the same questions."""
        column = METRICS.index(metric)
        apart = self.figures["fused"][:, column] - self.figures[rival][:, column]
        return float(apart.mean()), *interval(apart)


def compared(asked: Sequence[Asked]) -> Compared:
    """The legs, RRF, and the fusion at the default share and at a learned one.

    The learned share of a question is always of the half that it is not in: random halvings, both ways, and the mean of
    the figures (with five of them Dietterich's 5×2 scheme, Neural Computation 10(7), 1998).
    """
    by_share = np.array([figures(asked, share) for share in GRID])
    gained = by_share[:, :, METRICS.index("ndcg@10")].T
    unseen: defaultdict[int, list[NDArray[np.float64]]] = defaultdict(list)
    shares: list[float] = []
    for taught, scored in halves(len(asked)):
        best = best_share(gained[taught])
        shares.append(GRID[best])
        for row in scored:
            unseen[int(row)].append(by_share[best, row])
    fuse = ensemble()
    found = {
        "dense": by_share[-1],
        "lexical": by_share[0],
        "RRF": np.array([measure(fuse(each), each.question.relevant) for each in asked]),
        "default": figures(asked, DEFAULT_WEIGHTS[""]),
        "fused": np.array([np.mean(unseen[row], axis=0) for row in range(len(asked))]),
    }
    return Compared(found, sorted(shares))


# ---------------------------------------------------------------- the peer


def ensemble() -> Callable[[Asked], list[str]]:
    """Documents as LangChain's EnsembleRetriever ranks them, or, where it is not installed, as its formula does."""
    try:
        peer = importlib.import_module("langchain_classic.retrievers.ensemble")
    except ImportError:
        return _by_formula
    legs = [_Leg(share) for share in (1.0, 0.0)]
    retriever = peer.EnsembleRetriever(retrievers=legs, weights=[0.5, 0.5], c=RRF_CONSTANT, id_key="id")

    def fuse(asked: Asked) -> list[str]:
        for leg in legs:
            leg.take(asked)
        return list(dict.fromkeys(each.metadata["source"] for each in retriever.invoke(asked.question.text)))

    return fuse


def peer_name() -> str:
    """What `ensemble` uses, for the rows."""
    installed = importlib.util.find_spec("langchain_classic") is not None
    return "EnsembleRetriever (langchain-classic)" if installed else "EnsembleRetriever's formula (not installed)"


class _Leg(BaseRetriever):
    """One leg's passages for the question that was asked last, as a retriever of LangChain's."""

    share: float
    _asked: Asked = PrivateAttr()

    def __init__(self, share: float) -> None:
        super().__init__(share=share)  # pyright: ignore[reportCallIssue]

    def take(self, asked: Asked) -> None:
        self._asked = asked

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del query, run_manager
        found, documents = self._asked.found, self._asked.documents
        return [
            Document(page_content="", metadata={"id": int(found.rows[at]), "source": str(documents[at])})
            for at in _first(self._asked, self.share)
        ]


def _by_formula(asked: Asked) -> list[str]:
    """RRF as EnsembleRetriever has it: Σ .5 / (rank + 60) over the legs, ranks from 1, passages in the order first met."""
    scores: dict[int, float] = {}
    for share in (1.0, 0.0):
        for rank, at in enumerate(_first(asked, share), 1):
            scores[at] = scores.get(at, 0.0) + 0.5 / (rank + RRF_CONSTANT)
    order = sorted(scores, key=lambda at: -scores[at])
    return list(dict.fromkeys(str(asked.documents[at]) for at in order))


def _first(asked: Asked, share: float) -> list[int]:
    scores = asked.found.scores(share)
    return [int(at) for at in np.argsort(-scores, kind="stable")[:DEPTH] if scores[at] > 0]

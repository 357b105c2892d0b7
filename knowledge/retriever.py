"""A langchain-core retriever over both legs: filter first, then search by meaning and by word, then fuse.

The filter picks rows before any top-k is taken, so nothing allowed is crowded out by something that is not. Scores are fused
after min–max scaling, which keeps how far apart candidates are; ranks would lose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Unpack

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import PrivateAttr

from knowledge.embed import SentenceEmbedder
from knowledge.filters import Columns, Filters
from knowledge.index import KnowledgeIndex
from knowledge.nearest import Nearest, best_rows
from knowledge.sentences import detect_language
from shopbot.types import ScoredPassage

CANDIDATES = 100
"""Rows that each leg hands to the fusion."""

BEST_SENTENCE = 0.7
"""The share of a passage's best sentence in its cosine; the rest is that of the whole passage."""

BY_WORDS = 3 * CANDIDATES
"""Rows that the words of whole passages choose; those of their best sentences then choose among them."""

DENSE_STANDING = 0.65
"""The share of meaning in how far a passage stands out; the rest is that of words."""
LEAST_STANDING = 2.2
LEAST_BY_WORDS = 5.0
NEAR_THE_BEST = 0.85
"""What stands out at least this far (by words alone, further), and as far as this share of the best, is meant …"""
LEAST_LIKENESS = 0.4
"""… if its cosine is also this many spreads above that of unrelated sentences: something always stands out."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the legs hand to the fusion: rows of passages, each with its cosine and the share of the question's words it covers.

    `share` is the dense leg's in the fusion, learned or by default; 0, and no cosines, where the embedder cannot read the question.
    """

    rows: NDArray[np.intp]
    dense: NDArray[np.float32]
    lexical: NDArray[np.float32]
    share: float

    def scores(self, share: float) -> NDArray[np.float32]:
        """The fused score of each row, in [0, 1]: 1 is the dense leg alone, 0 the lexical one."""
        if not len(self.rows):
            return np.empty(0, dtype=np.float32)
        return (share * _min_max(self.dense) + (1 - share) * self.lexical).astype(np.float32)


class ShopRetriever(BaseRetriever):
    """Passages of a `KnowledgeIndex` for a question, best first.

    `k`, `language` (None: the question's own), `kind` and `today` are what `invoke` uses; `search` takes them as arguments.
    """

    k: int = 8
    language: str | None = None
    kind: str | None = None
    today: date | None = None

    _index: KnowledgeIndex = PrivateAttr()
    _embedder: SentenceEmbedder = PrivateAttr()
    _columns: Columns = PrivateAttr()
    _near: Nearest = PrivateAttr()

    def __init__(self, index: KnowledgeIndex, embedder: SentenceEmbedder, **fields: Any) -> None:
        super().__init__(**fields)
        self._index = index
        self._embedder = embedder
        self._columns = Columns(list(index.passages.values()))
        self._near = Nearest(index.table.passages, index.nearest)

    @property
    def index(self) -> KnowledgeIndex:
        """The index version that is searched."""
        return self._index

    def spelled(self, question: str) -> str:
        """The question with its slips of typing put right."""
        return self._index.speller.correct(question)

    def encode(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Question vectors, shape (n, dimension), slips of typing put right: to encode once, for `search` and the reader."""
        return self._embedder.embed_array([self.spelled(each) for each in questions], query=True)

    def search(
        self,
        question: str,
        *,
        language: str | None = None,
        k: int = 8,
        query_vector: NDArray[np.float32] | None = None,
        **filters: Unpack[Filters],
    ) -> list[ScoredPassage]:
        """The `k` best passages that may be shown: as the filters ask, in `language` where the shop has that kind of passage in it.

        `language` None is the question's own. `query_vector` (dimension,) saves encoding.
        """
        if k < 1:
            return []
        found = self.candidates(question, language=language, query_vector=query_vector, **filters)
        score = found.scores(found.share)
        best = np.argsort(-score, kind="stable")[:k]
        top = found.lexical.max(initial=0.0)
        scaled = found.lexical / top if top > 0 else found.lexical
        return [
            ScoredPassage(
                self._columns.passages[found.rows[at]], float(score[at]), float(found.dense[at]), float(scaled[at])
            )
            for at in best
            if score[at] > 0
        ]

    def candidates(
        self,
        question: str,
        *,
        language: str | None = None,
        query_vector: NDArray[np.float32] | None = None,
        **filters: Unpack[Filters],
    ) -> Candidates:
        """The best rows of either leg with the scores of both, before they are fused; arguments as in `search`."""
        language = language or detect_language(question)
        allowed = self._columns.allowed(language, filters)
        if not len(allowed):
            none = np.empty(0, dtype=np.float32)
            return Candidates(allowed, none, none, 0.0)
        reads = self._index.reads(language) and self._index.reads(detect_language(question))
        question = self.spelled(question)
        whole = self._index.lexical.shares(question)
        rows = _best_by_words(whole, allowed)
        near, vector = np.empty(0, dtype=np.intp), query_vector
        if reads:
            vector = vector if vector is not None else self.encode([question])[0]
            near = self._near.rows(vector, allowed, CANDIDATES)
            rows = np.union1d(rows, near)
        lexical = self._lexical(question, whole, rows)
        by_words = best_rows(lexical, np.arange(len(rows)), CANDIDATES)
        kept = np.union1d(by_words, np.searchsorted(rows, near))
        rows, lexical = rows[kept], lexical[kept]
        if vector is None or not reads:
            return Candidates(rows, np.zeros(len(rows), dtype=np.float32), lexical, 0.0)
        return Candidates(rows, self._dense(rows, vector), lexical, self._index.dense_share(language))

    def standing_out(
        self, question: str, *, kind: str, language: str, query_vector: NDArray[np.float32] | None, k: int = 4
    ) -> list[ScoredPassage]:
        """The passages of a kind that stand out from the others of it for a question, best first; none where none does.

        Scored in standard deviations above the mean of the kind, which, unlike a cosine, can be compared between
        questions: "parasol" is not much like a patio umbrella, but more than like anything else in the shop.
        `query_vector` (dimension,), or None where the embedder cannot read the question.
        """
        rows = self._columns.allowed(language, Filters(kind=kind))
        if len(rows) < 2:
            return []
        score = _standing(self._index.lexical.shares(self.spelled(question))[rows])
        least = LEAST_BY_WORDS
        if query_vector is not None:
            cosine = self._index.table.passages[rows] @ query_vector
            mean, spread = self._index.background
            score = DENSE_STANDING * _standing(cosine) + (1 - DENSE_STANDING) * score
            score[cosine < mean + LEAST_LIKENESS * spread] = 0
            least = LEAST_STANDING
        best = np.argsort(-score, kind="stable")[:k]
        least = max(least, NEAR_THE_BEST * float(score[best[0]]))
        return [ScoredPassage(self._columns.passages[rows[at]], float(score[at])) for at in best if score[at] >= least]

    def _lexical(self, question: str, whole: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How much of the question some passages cover, shape (len(rows),): the mean of the passage and its best sentence.

        `whole` has the share of every passage, shape (n,).
        """
        index = self._index
        best = index.table.best_sentences(rows, lambda sentences: index.shares(question, sentences))
        return ((whole[rows] + best) / 2).astype(np.float32)

    def _dense(self, rows: NDArray[np.intp], vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of some passages: mostly that of their best sentence, since one sentence answers and the rest blurs it."""
        table = self._index.table
        best = table.best_sentences(rows, lambda sentences: table.sentences[sentences] @ vector)
        return (BEST_SENTENCE * best + (1 - BEST_SENTENCE) * (table.passages[rows] @ vector)).astype(np.float32)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager
        found = self.search(query, language=self.language, kind=self.kind, today=self.today, k=self.k)
        return [_document(each) for each in found]


def _best_by_words(shares: NDArray[np.float32], allowed: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows that share most with the question; of a large index only such as share anything: zeros are slow to select from."""
    if len(allowed) <= BY_WORDS:
        return allowed
    own = shares if len(allowed) == len(shares) else shares[allowed]
    sharing = allowed[own > 0]
    return best_rows(shares, sharing, BY_WORDS)


def _min_max(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _standing(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard scores (z); 0 where all are alike."""
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)


def _document(found: ScoredPassage) -> Document:
    passage = found.passage
    metadata: dict[str, Any] = {
        **passage.metadata,
        "source": passage.source,
        "title": passage.title,
        "kind": passage.kind,
        "language": passage.language,
        "place": passage.place,
        "score": found.score,
        "dense": found.dense,
        "lexical": found.lexical,
    }
    return Document(page_content=passage.text, metadata=metadata, id=passage.id)

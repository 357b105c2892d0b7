"""What the model computes in: float32, bfloat16 or int8, in speed and in what is found.

    python -m benchmarks.embedding [--quick] [--json OUT]

The documents that tau3's bank requires, and its questions, by cosine alone (no words, no reading): recall@10 and nDCG@10 of each precision, passages
and questions both encoded in it. Speed is of whole passages in batches and of single questions, interleaved, medians; the peer is
`SentenceTransformer.encode` in float32 with its defaults. Then what the cache of vectors saves where an index is made anew.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Rows, data_dir
from benchmarks.retrieval.sets import RetrievalSet, banking
from knowledge.embed import MINILM, SentenceEmbedder
from knowledge.vectors import encode, passage_text
from shopbot.errors import ModelError
from shopbot.weights import resolve

TOP = 10


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 short passages, no quality")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    arguments = parser.parse_args()
    rows = Rows("embedding")
    data = data_dir()
    if data is None:
        rows.add("embedding", None, "data at hand", None)
        return rows.finish(arguments.json)
    bank = banking(data)
    bank = bank.part(len(bank.questions), 0)  # what the questions require: 820 passages
    if arguments.quick:
        short = sorted(bank.passages, key=lambda passage: len(passage.text))
        bank = RetrievalSet(bank.name, short[:60], bank.questions[:10])
    embedders: dict[str, SentenceEmbedder] = {"float32": SentenceEmbedder(precision="float32")}
    embedders["bfloat16"] = SentenceEmbedder(precision="bfloat16")
    try:
        embedders["int8"] = SentenceEmbedder(precision="int8")
    except ModelError as error:
        rows.add(f"int8: {error}", None, "onnx and onnxruntime at hand", None)
    _speed(rows, bank, embedders, arguments.quick)
    _quality(rows, bank, embedders, arguments.quick)
    _cache(rows, bank, arguments.quick)
    return rows.finish(arguments.json)


# ---------------------------------------------------------------- speed


def _speed(rows: Rows, bank: RetrievalSet, embedders: Mapping[str, SentenceEmbedder], quick: bool) -> None:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(resolve(MINILM).path), device="cpu")
    texts = [passage_text(passage) for passage in bank.passages[:50]]
    asked = [passage.title for passage in bank.passages[: 10 if quick else 30]]
    batches: dict[str, Callable[[Sequence[str]], Any]] = {"peer": peer.encode}
    batches |= {name: embedder.embed_array for name, embedder in embedders.items()}
    whole: dict[str, list[float]] = {name: [] for name in batches}
    single: dict[str, list[float]] = {name: [] for name in batches}
    for name in batches:
        batches[name](texts[:8])
    for _ in range(1 if quick else 5):
        for name, encoded in batches.items():
            whole[name].append(_timed(lambda e=encoded: e(texts)))
            single[name] += [_timed(lambda e=encoded, q=question: e([q])) for question in asked]
    for kind, times in ((f"{len(texts)} passages", whole), ("one question", single)):
        medians = {name: statistics.median(some) for name, some in times.items()}
        shown = ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in medians.items())
        rows.add(f"{kind}: milliseconds", shown, "for orientation", None)
        for name, least in (("bfloat16", 1.2), ("int8", 1.5)):
            if name in times:
                pairs = zip(times["float32"], times[name], strict=True)
                ratio = statistics.median(
                    slow / fast for slow, fast in pairs
                )  # each against its neighbour: load drifts
                least = least / 2 if quick else least
                counts = (
                    name == "int8" or SentenceEmbedder().precision == name
                )  # bfloat16 is slow where it is not built in
                label = f"{kind}: float32 ÷ {name}"
                rows.add(label, ratio, f"≥ {least}", ratio >= least if counts else None)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


# ---------------------------------------------------------------- quality


def _quality(rows: Rows, bank: RetrievalSet, embedders: Mapping[str, SentenceEmbedder], quick: bool) -> None:
    texts = [passage_text(passage) for passage in bank.passages]
    asked = [question.text for question in bank.questions]
    vectors = {name: (one.embed_array(texts), one.embed_array(asked, query=True)) for name, one in embedders.items()}
    right, right_asked = vectors["float32"]
    figures = {name: _found(bank, *both) for name, both in vectors.items()}
    # An index made in float32 and asked in int8, and the other way round: a manifest holds no precision.
    if "int8" in vectors:
        figures["int8 passages, float32 questions"] = _found(bank, vectors["int8"][0], right_asked)
    recall, ndcg = figures["float32"]
    for name, (own_recall, own_ndcg) in figures.items():
        rows.add(f"{name}: recall@10", own_recall, "for orientation", None)
        rows.add(f"{name}: nDCG@10", own_ndcg, "for orientation", None)
        if name != "float32" and not quick:
            most = 0.005 if name == "bfloat16" else 0.02
            lost = max(recall - own_recall, ndcg - own_ndcg)
            rows.add(f"{name}: lost against float32, the worse of both", lost, f"≤ {most}", lost <= most)
    for name, (own, _) in vectors.items():
        if name != "float32":
            likeness, least = (own * right).sum(axis=1), 0.999 if name == "bfloat16" else 0.97
            rows.add(f"{name}: least cosine to float32", float(likeness.min()), f"≥ {least}", likeness.min() >= least)


def _found(bank: RetrievalSet, passages: NDArray[np.float32], asked: NDArray[np.float32]) -> tuple[float, float]:
    """Recall and nDCG of the first ten documents, a document as near as its nearest passage; means over questions."""
    recalls, gains = [], []
    for question, scores in zip(bank.questions, asked @ passages.T, strict=True):
        ordered = dict.fromkeys(bank.passages[row].source for row in np.argsort(-scores, kind="stable").tolist())
        wanted = set(question.relevant)
        hits = [source in wanted for source in list(ordered)[:TOP]]
        best = sum(1 / math.log2(rank + 2) for rank in range(min(TOP, len(wanted))))
        recalls.append(sum(hits) / max(1, len(wanted)))
        gains.append(sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits)) / max(best, 1e-9))
    return statistics.mean(recalls), statistics.mean(gains)


# ---------------------------------------------------------------- the cache


def _cache(rows: Rows, bank: RetrievalSet, quick: bool) -> None:
    some = bank.passages[:60] if quick else bank.passages
    with tempfile.TemporaryDirectory() as place:
        embedder = SentenceEmbedder(cache=Path(place))
        embedder.embed_array(["warm"], query=True)
        first, second = (_timed(lambda: encode(some, embedder)) for _ in range(2))
    least = 5 if quick else 20
    label = f"{len(some)} passages and their sentences: encoded ÷ read from the cache"
    rows.add(label, first / second, f"≥ {least}", first / second >= least)


if __name__ == "__main__":
    sys.exit(main())

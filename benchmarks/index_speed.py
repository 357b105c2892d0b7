"""How fast the index answers, with and without filters, and how fast it is made and brought up to date, against bare Chroma.

    python -m benchmarks.index_speed [--quick] [--json OUT] [--part query,ingest] [--home DIR]

query: 22,074 product titles (Amazon's, of Walmart→Amazon) with real vectors, and 200,000 passages whose vectors are those plus
noise (seeded by the text; length 0.5 of a vector's), asked with Walmart's titles, interleaved. One search is both legs and the fusion, the
question's encoding left out; bare Chroma is `collection.query(n_results=10)` on the same database, with its own defaults for what
it returns. Filters are a price bound that 50, 10 and 1 % of the passages meet at random, and a category: the titles with the same first
letter, which are alike. Recall is of the 10 rows that exact filtered search by cosine finds, among the rows that the dense leg hands on.

ingest: titles, and the documents of tau3's bank, through `knowledge.ingest` against `SentenceTransformer.encode` with its defaults and
`collection.add` to a new collection, interleaved; float32 on both sides, then our default (bfloat16 where the processor has it).
Ours also makes a vector for each sentence, the words' index, and reads everything back. Then the same passages again, and with 1 %
changed, against the first ingest; in one process, the model warm.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Rows, data_dir
from benchmarks.retrieval.sets import banking, walmart_amazon
from knowledge.embed import Progress, SentenceEmbedder, Spans
from knowledge.evaluate import opened
from knowledge.filters import Filters
from knowledge.ingest import ingest
from knowledge.vectors import passage_text
from shopbot.types import Passage

TOP = 10
NOISE = 0.5
SELECTIVITY = (0.5, 0.1, 0.01)
CATEGORY = "s"
Rated = tuple[str, Filters]


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="800 passages, looser targets")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    parser.add_argument("--part", default="query,ingest", help="one or both, parted by a comma")
    parser.add_argument(
        "--home", type=Path, metavar="DIR", help="keep the indexes of the queries there, for a next run"
    )
    arguments = parser.parse_args()
    rows = Rows("index_speed")
    data = data_dir()
    if data is None:
        rows.add("index speed", None, "data at hand", None)
        return rows.finish(arguments.json)
    titles = walmart_amazon(data)
    passages = titles.passages[:800] if arguments.quick else titles.passages
    asked = [question.text for question in titles.questions]
    with tempfile.TemporaryDirectory() as place:
        if "query" in arguments.part:
            for size in (len(passages),) if arguments.quick else (len(passages), 200_000):
                _query(rows, passages, asked, size, arguments.home or Path(place), arguments.quick)
        if "ingest" in arguments.part:
            others = banking(data).passages[: 60 if arguments.quick else None]
            for name, some in (("titles", passages), ("bank documents", others)):
                _ingest(rows, name, some, Path(place), arguments.quick)
            _again(rows, passages, Path(place) / "again", arguments.quick)
    return rows.finish(arguments.json)


# ---------------------------------------------------------------- queries


class Noisy(SentenceEmbedder):
    """Encodes a title once; a passage "… copy 7" has the vector of the title plus noise, so that 200,000 take no hours."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Spans]], progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        titles = [text.rsplit(" copy ", 1)[0] for text in texts]
        new = [title for title in dict.fromkeys(titles) if title not in self._known]
        self._known |= dict(zip(new, self.embed_array(new, progress=progress), strict=True))
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, (text, title) in enumerate(zip(texts, titles, strict=True)):
            vectors[row] = self._known[title]
            if text != title:
                draw = np.random.default_rng(zlib.crc32(text.encode()))  # the same text, the same vector
                vectors[row] += NOISE * draw.standard_normal(self.dimension, dtype=np.float32) / self.dimension**0.5
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors, np.repeat(vectors, [len(own) for own in parts], axis=0)


def copies(passages: Sequence[Passage], size: int) -> list[Passage]:
    """As many passages as wanted, each with a price at random and its first letter as category."""
    draw = np.random.default_rng(1)
    many: list[Passage] = []
    for number in range(size):
        one = passages[number % len(passages)]
        text = one.text if number < len(passages) else f"{one.text} copy {number // len(passages)}"
        about: dict[str, str | int | float | bool] = {"price": float(draw.random() * 100), "category": one.text[0]}
        many.append(replace(one, id=f"{one.id[:24]}{number:08d}", text=text, metadata=about))
    return many


def _query(rows: Rows, passages: Sequence[Passage], asked: Sequence[str], size: int, home: Path, quick: bool) -> None:
    embedder = Noisy()
    folder = home / f"query_{size}"
    ingest(copies(passages, size), folder, embedder)
    vectors = embedder.embed_array(asked[: 60 if quick else 300], query=True)
    with opened(folder, embedder) as retriever:
        index = retriever.index
        letters = np.array([str(one.metadata["category"]).lower() for one in index.passages.values()])
        prices = np.array([float(one.metadata["price"]) for one in index.passages.values()])
        names: list[Rated] = [("no filter", Filters())]
        names += [(f"{share:.0%} by price", Filters(most_price=100 * share)) for share in SELECTIVITY]
        names += [("one category", Filters(category=CATEGORY))]
        bare: Any = index._chroma._collection
        times: dict[str, list[float]] = {name: [] for name in ("bare Chroma", *(name for name, _ in names))}
        recall: dict[str, list[float]] = {name: [] for name, _ in names}
        for question, vector in zip(asked, vectors, strict=False):
            times["bare Chroma"].append(_timed(lambda v=vector: bare.query(query_embeddings=[v], n_results=TOP)))
            for name, filters in names:
                search = lambda q=question, v=vector, f=filters: retriever.candidates(q, query_vector=v, **f)  # noqa: E731
                times[name].append(_timed(search))
        # After all timing: the threads of a large product spin on for a while and would be timed with the next query.
        for question, vector in zip(asked, vectors, strict=False):
            for name, filters in names:
                found = retriever.candidates(question, query_vector=vector, **filters).rows
                fits = letters == CATEGORY if "category" in filters else prices <= filters.get("most_price", np.inf)
                allowed = np.flatnonzero(fits)
                exact = allowed[np.argsort(-(index.table.passages[allowed] @ vector), kind="stable")[:TOP]]
                recall[name].append(len(np.intersect1d(exact, found)) / len(exact))
    where = f"{size:,} passages"
    free, chroma = (statistics.median(times[name]) for name in ("no filter", "bare Chroma"))
    slack = 3.0 if quick else 1.0
    ratio = free / chroma
    rows.add(f"{where}: both legs and fusion ÷ bare Chroma, p50", ratio, f"≤ {2 * slack:g}", ratio <= 2 * slack)
    rows.add(f"{where}: p50 and p99, ms", _spread(times["no filter"]), "for orientation", None)
    rows.add(f"{where}: bare Chroma, p50 and p99, ms", _spread(times["bare Chroma"]), "for orientation", None)
    rows.add(f"{where}: recall of the graph, no filter", float(np.mean(recall["no filter"])), "for orientation", None)
    for name, _ in names[1:]:
        ratio, found = statistics.median(times[name]) / free, float(np.mean(recall[name]))
        rows.add(f"{where}, {name}: filtered ÷ unfiltered, p50", ratio, f"≤ {3 * slack:g}", ratio <= 3 * slack)
        rows.add(f"{where}, {name}: recall against exact filtered search", found, "≥ 0.99", found >= 0.99)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _spread(seconds: Sequence[float]) -> str:
    return " and ".join(f"{1000 * float(np.percentile(seconds, share)):.2f}" for share in (50, 99))


# ---------------------------------------------------------------- ingest


@dataclass(frozen=True)
class Peer:
    """`SentenceTransformer.encode` with its defaults, in float32, and `collection.add` in batches of what Chroma takes at once."""

    model: Any

    def ingest(self, passages: Sequence[Passage], folder: Path) -> None:
        """Encode and add all passages to a new collection."""
        import chromadb

        client: Any = chromadb.PersistentClient(str(folder))
        collection: Any = client.create_collection("peer", embedding_function=None)
        texts = [passage_text(passage) for passage in passages]
        vectors = self.model.encode(texts)
        limit = client.get_max_batch_size()
        for start in range(0, len(passages), limit):
            some = slice(start, start + limit)
            collection.add(
                ids=[passage.id for passage in passages[some]],
                embeddings=vectors[some],
                documents=texts[some],
                metadatas=[{"source": passage.source} for passage in passages[some]],
            )
        client.close()


def _ingest(rows: Rows, name: str, passages: Sequence[Passage], place: Path, quick: bool) -> None:
    from sentence_transformers import SentenceTransformer

    from knowledge.embed import MINILM
    from shopbot.weights import resolve

    peer = Peer(SentenceTransformer(str(resolve(MINILM).path), device="cpu"))
    ours = {"float32": SentenceEmbedder(precision="float32"), "default": SentenceEmbedder()}
    some = passages[: 150 if quick else 4000]
    times: dict[str, list[float]] = {"peer": [], **{precision: [] for precision in ours}}
    for turn in range(1 if quick else 3):
        folder = place / f"ingest_{name}_{turn}"
        times["peer"].append(_timed(lambda f=folder: peer.ingest(some, f / "peer")))
        for precision, embedder in ours.items():
            times[precision].append(_timed(lambda f=folder, p=precision, e=embedder: ingest(some, f / p, e)))
        shutil.rmtree(folder)
    for precision, target in (("float32", 1.2), ("default", 2.0)):
        ratios = [theirs / own for theirs, own in zip(times["peer"], times[precision], strict=True)]
        label = precision if precision == "float32" else f"our default, {ours[precision].precision}"
        target = 0.3 if quick else target
        what = f"{len(some):,} {name}: encode + collection.add ÷ knowledge.ingest, {label}"
        rows.add(what, statistics.median(ratios), f"≥ {target}", statistics.median(ratios) >= target)
        rows.add(f"{what}, each run", " ".join(f"{one:.2f}" for one in ratios), "for orientation", None)


def _again(rows: Rows, passages: Sequence[Passage], folder: Path, quick: bool) -> None:
    embedder = SentenceEmbedder()
    embedder.embed_array(["warm"])
    first = _timed(lambda: ingest(passages, folder, embedder))
    nothing = statistics.median(_timed(lambda: ingest(passages, folder, embedder)) for _ in range(3))
    some: list[float] = []
    serving = list(passages)
    share = len(passages) // 100
    for turn in range(3):
        new = [replace(one, id=f"{one.id[:-2]}.{turn}", text=f"{one.text}, new") for one in passages[:share]]
        at = slice(turn * share, (turn + 1) * share)
        serving[at] = new
        some.append(_timed(lambda now=tuple(serving): ingest(now, folder, embedder)))
    hundredth = statistics.median(some)
    for what, seconds, target in (("nothing", nothing, 100), ("1 %", hundredth, 30)):
        target = 2 if quick else target
        label = f"{len(passages):,} passages, {what} changed: first ingest ÷ the next"
        rows.add(label, first / seconds, f"≥ {target}", first / seconds >= target)
    rows.add(
        "seconds: first, nothing changed, 1 % changed",
        f"{first:.1f}, {nothing:.2f}, {hundredth:.2f}",
        "for orientation",
        None,
    )


if __name__ == "__main__":
    sys.exit(main())

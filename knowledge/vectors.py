"""The arrays of one index version: a vector for each passage, and one for each sentence of each passage.

They lie beside Chroma as plain .npy files, so that exact search under any filter is one matrix product and reading the sentences of
a passage encodes nothing. A passage goes through the model once: its sentences are pooled from its tokens.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.embed import SentenceEmbedder
from knowledge.postings import flat_rows
from knowledge.sentences import joined, sentence_pieces
from knowledge.vector_cache import Spans
from shopbot.types import Passage

Progress = Callable[[str, int, int], None]
"""Called with a stage ("passages", "sentences", "writing"), how much of it is done, and of how much."""


def passage_text(passage: Passage) -> str:
    """What the embedder sees of a passage."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


PASSAGE_SHARE = 0.3
"""How much of the passage is taken out of a sentence read within it: what is left says more of what is special about it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of passages, shape (n, dimension), and of their sentences, shape (m, dimension), all of length 1.

    `texts` holds the sentences, a list for each passage.
    """

    passages: NDArray[np.float32]
    texts: list[list[str]]
    sentences: NDArray[np.float32]


def encode(passages: Sequence[Passage], embedder: SentenceEmbedder, progress: Progress | None = None) -> Encoded:
    """Passages and their sentences, from one pass through the model.

    A sentence that the model does not read so, in a passage that is too long for it or with pooling of another kind, is encoded
    by itself, under its title.
    """
    pieces = [sentence_pieces(passage.text) or [[passage.text]] for passage in passages]
    whole = [passage_text(passage) for passage in passages]
    spans = [
        [_spans(own, text, len(text) - len(passage.text)) for own in spoken]
        for passage, text, spoken in zip(passages, whole, pieces, strict=True)
    ]
    vectors, inner = embedder.embed_parts(whole, spans, _stage(progress, "passages"))
    texts = [[joined(own) for own in spoken] for spoken in pieces]
    of = np.repeat(np.arange(len(passages)), [len(own) for own in texts])
    alone = np.flatnonzero(~inner.any(axis=1))
    several = np.array([len(own) > 1 for own in texts], dtype=np.float32)
    inner -= PASSAGE_SHARE * several[of, None] * vectors[of]
    flat = list(itertools.chain.from_iterable(texts))
    if len(alone):
        titles = [passages[row].title for row in of[alone].tolist()]
        titled = [
            f"{title}: {flat[row]}" if title else flat[row] for title, row in zip(titles, alone.tolist(), strict=True)
        ]
        inner[alone] = embedder.embed_array(titled, progress=_stage(progress, "sentences"))
    return Encoded(vectors, texts, inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-9))


def _spans(pieces: Sequence[str], text: str, start: int) -> Spans:
    """Where the pieces of a sentence stand, from `start` on: a passage is no longer than a page, and a repeated sentence means the same."""
    places = [(text.find(piece, start), len(piece)) for piece in pieces]
    return [(place, place + length) for place, length in places if place >= 0]


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of one passage, their vectors, shape (len(texts), dimension), of length 1, and their rows in the table."""

    texts: list[str]
    vectors: NDArray[np.float32]
    rows: slice


class VectorTable:
    """Vectors of passages, in a fixed order, and of their sentences.

    `passages` has shape (n, dimension), `sentences` (m, dimension); `texts` holds the m sentences, a list for each passage:
    those of row i are rows offsets[i] to offsets[i + 1] of `sentences`.
    """

    def __init__(
        self,
        ids: Sequence[str],
        passages: NDArray[np.float32],
        texts: list[list[str]],
        sentences: NDArray[np.float32],
    ) -> None:
        self.rows: Mapping[str, int] = {identity: row for row, identity in enumerate(ids)}
        self.passages = passages
        self.texts = texts
        self.sentences = sentences
        self.offsets = np.array([0, *itertools.accumulate(map(len, texts))], dtype=np.intp)
        if len(passages) != len(ids) or len(texts) != len(ids) or len(sentences) != self.offsets[-1]:
            raise ValueError(
                f"{len(ids)} passages, {len(passages)} vectors, {self.offsets[-1]} sentences, {len(sentences)} sentence vectors"
            )

    def sentences_of(self, passage_id: str) -> Sentences:
        """The sentences of one passage. Raises KeyError where the table has none of that id."""
        row = self.rows[passage_id]
        rows = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return Sentences(self.texts[row], self.sentences[rows], rows)

    def best_sentences(
        self, rows: NDArray[np.intp], scores: Callable[[NDArray[np.intp]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The best score among the sentences of each passage of `rows`, shape (len(rows),).

        `scores` takes rows of `sentences` and gives a score for each.
        """
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.cumsum(lengths) - lengths
        return np.maximum.reduceat(scores(flat_rows(self.offsets, rows)), starts)

    def background(self) -> tuple[float, float]:
        """Mean and spread of the cosine between unrelated sentences: what a cosine of this model has to be held against."""
        sample = self.sentences[:: max(1, len(self.sentences) // 300)]
        if len(sample) < 10:
            return 0.0, 0.15
        pairs = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
        return float(pairs.mean()), max(float(pairs.std()), 1e-3)

    def save(self, folder: Path) -> None:
        """Write vectors.npy, sentences.npy and sentences.json, on disk before this returns."""
        for name, array in (("vectors.npy", self.passages), ("sentences.npy", self.sentences)):
            with (folder / name).open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        with (folder / "sentences.json").open("w", encoding="utf-8") as file:
            file.write(json.dumps(list(zip(self.rows, self.texts, strict=True)), ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, folder: Path) -> VectorTable:
        """Read what `save` wrote; the matrices stay on disk until they are used. Raises OSError or ValueError."""
        listed = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
        return cls(
            [identity for identity, _ in listed],
            _load(folder / "vectors.npy"),
            [texts for _, texts in listed],
            _load(folder / "sentences.npy"),
        )

    @classmethod
    def of(
        cls, passages: Sequence[Passage], embedder: SentenceEmbedder, progress: Progress | None = None
    ) -> VectorTable:
        """Encode passages and their sentences."""
        encoded = encode(passages, embedder, progress)
        return cls([passage.id for passage in passages], encoded.passages, encoded.texts, encoded.sentences)

    def merged(self, other: VectorTable, order: NDArray[np.intp]) -> VectorTable:
        """The passages of `order`: row i is row i of this table, or, counting on from its last, of `other`."""
        ids, texts = [*self.rows, *other.rows], [*self.texts, *other.texts]
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return VectorTable(
            [ids[row] for row in order.tolist()],
            _gathered(self.passages, other.passages, order),
            [texts[row] for row in order.tolist()],
            _gathered(self.sentences, other.sentences, flat_rows(offsets, order)),
        )


def _gathered(first: NDArray[np.float32], second: NDArray[np.float32], order: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rows of the two matrices one after the other, without holding both at once."""
    found = np.empty((len(order), first.shape[1]), dtype=np.float32)
    of_first = order < len(first)
    found[of_first] = first[order[of_first]]
    found[~of_first] = second[order[~of_first] - len(first)]
    return found


def _load(path: Path) -> NDArray[np.float32]:
    array = np.load(path, mmap_mode="r", allow_pickle=False) if path.stat().st_size else np.empty((0, 0))
    if array.ndim != 2 or array.dtype != np.float32:
        raise ValueError(f"{path.name} is not a float32 matrix")
    return array  # pyright: ignore[reportReturnType]


def _stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(stage, done, total)

"""The arrays of one index version: a vector for each passage, and one for each sentence of each passage.

They lie beside Chroma as plain .npy files, so that exact search under any filter is one matrix product and reading the sentences of
a passage encodes nothing.
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
from knowledge.sentences import sentences
from shopbot.types import Passage

Progress = Callable[[str, int, int], None]
"""Called with a stage ("passages", "sentences", "writing"), how much of it is done, and of how much."""


def passage_text(passage: Passage) -> str:
    """What the embedder sees of a passage."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def encode_sentences(
    titles: Sequence[str],
    texts: Sequence[str],
    embedder: SentenceEmbedder,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Vectors of sentences, shape (n, dimension), of length 1: the middle between the sentence alone and under its title.

    Under its title a sentence says what it is about, alone what is special about it; on questions of shoppers the middle
    found more than either.
    """
    titled = [f"{title}: {text}" if title else text for title, text in zip(titles, texts, strict=True)]
    both = embedder.embed_array([*texts, *titled], progress=progress)
    vectors = both[: len(texts)] + both[len(texts) :]
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


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
        flat = np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - starts, lengths)
        return np.maximum.reduceat(scores(flat), starts)

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
            json.dump(list(zip(self.rows, self.texts, strict=True)), file, ensure_ascii=False)
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
    def compute(
        cls,
        passages: Sequence[Passage],
        embedder: SentenceEmbedder,
        old: VectorTable | None = None,
        progress: Progress | None = None,
    ) -> VectorTable:
        """Encode `passages` and their sentences; what `old` holds under the same id is taken over."""
        known = old.rows if old is not None else {}
        new = [passage for passage in passages if passage.id not in known]
        texts = {passage.id: sentences(passage.text) or [passage.text] for passage in new}
        fresh = cls(
            [passage.id for passage in new],
            embedder.embed_array([passage_text(each) for each in new], progress=_stage(progress, "passages")),
            list(texts.values()),
            encode_sentences(
                [each.title for each in new for _ in texts[each.id]],
                [text for each in new for text in texts[each.id]],
                embedder,
                _stage(progress, "sentences"),
            ),
        )
        return fresh if old is None or not known else cls._merged([each.id for each in passages], old, fresh)

    @classmethod
    def _merged(cls, ids: list[str], old: VectorTable, fresh: VectorTable) -> VectorTable:
        tables = [fresh if identity in fresh.rows else old for identity in ids]
        parts = [table.sentences_of(identity) for table, identity in zip(tables, ids, strict=True)]
        dimension = old.passages.shape[1]
        passages = [table.passages[table.rows[identity]] for table, identity in zip(tables, ids, strict=True)]
        return cls(
            ids,
            np.array(passages, dtype=np.float32).reshape(-1, dimension),
            [part.texts for part in parts],
            np.concatenate([np.empty((0, dimension), dtype=np.float32), *(part.vectors for part in parts)]),
        )


def _load(path: Path) -> NDArray[np.float32]:
    array = np.load(path, mmap_mode="r", allow_pickle=False) if path.stat().st_size else np.empty((0, 0))
    if array.ndim != 2 or array.dtype != np.float32:
        raise ValueError(f"{path.name} is not a float32 matrix")
    return array  # pyright: ignore[reportReturnType]


def _stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(stage, done, total)

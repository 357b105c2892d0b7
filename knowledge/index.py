"""The knowledge index: one version of it, opened, with the arrays that exact search and reading need.

A version folder holds `chroma/`, the lines of `records.py`, the arrays of `vectors.py` and the words of `postings.py`. Where
several machines share the folder, a Chroma server has the graph instead of `chroma/`, and the manifest says where. Versions are
never changed once they serve, but for learned weights; `writing.py` makes them and `versions.py` has the switch.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from knowledge import versions
from knowledge.chroma_store import reading_errors, store_of
from knowledge.embed import SentenceEmbedder
from knowledge.lexical import LexicalIndex
from knowledge.records import content_hash
from knowledge.spelling import Speller
from knowledge.stored import Stored, check_names
from knowledge.vectors import Progress, Sentences, VectorTable, passage_text
from knowledge.versions import Manifest, ingest_again
from knowledge.writing import Change, write_index
from shopbot.errors import IndexRefused
from shopbot.types import Passage

__all__ = ["DEFAULT_WEIGHTS", "Change", "KnowledgeIndex", "content_hash"]

DEFAULT_WEIGHTS: Mapping[str, float] = {"": 0.7}
"""The dense leg's share by language; the empty key is for every other language."""


class KnowledgeIndex:
    """One whole version of an index, open for reading. Make it with `build` or `open`; close it when done.

    `passages` maps id → passage; the i-th has row i of `table.passages` and of `lexical`. A sentence has the same row in
    `table.sentences` and `sentence_lexical`. Threads may share it.
    """

    def __init__(self, version: Path, manifest: Manifest, embedder: SentenceEmbedder) -> None:
        self.version = version
        self.manifest = manifest
        self.change = Change(manifest.version, 0, 0, manifest.passages, switched=False)
        self._open = contextlib.ExitStack()
        # A bot that moves on to a newer version drops this one, which turns may still read: it is closed with the last of them.
        weakref.finalize(self, self._open.close)
        try:
            self._read(embedder)
        except BaseException:
            self.close()
            raise

    def _read(self, embedder: SentenceEmbedder) -> None:
        folder = self.version.parent.parent
        with reading_errors(folder, self.manifest.chroma):
            self._chroma = self._open.enter_context(contextlib.closing(store_of(self.version, self.manifest)))
            stored = Stored.load(self.version, self.manifest)
            if not self._chroma.is_of(self.manifest):
                raise ValueError("its parts hold different passages")
            self.passages: Mapping[str, Passage] = stored.passages
        stored.check_model(embedder, folder)
        self.table = stored.table
        self.lexical = LexicalIndex(stored.words)
        self.sentence_lexical = LexicalIndex(stored.sentence_words)
        self.speller = Speller(map(passage_text, self.passages.values()), embedder.words)
        self.background = self.table.background()
        self.reads = embedder.reads

    @classmethod
    def open(cls, folder: Path, embedder: SentenceEmbedder) -> Self:
        """The serving version of `folder`.

        Raises IndexRefused where there is none, it is half there or another embedder's, or the Chroma server that has its
        graph does not answer.
        """
        version = versions.current(folder)
        if version is None:
            raise IndexRefused(f"there is no index in {folder}. {ingest_again(folder)}")
        manifest = versions.read_manifest(version)
        check_names(manifest, embedder, folder)
        return cls(version, manifest, embedder)

    @classmethod
    def build(
        cls,
        folder: Path,
        passages: Sequence[Passage],
        embedder: SentenceEmbedder,
        progress: Progress | None = None,
        *,
        created_at: str = "",
        server: str = "",
    ) -> Self:
        """Bring `folder` to hold exactly `passages`, and open it; `change` of the result says what was done. See `write_index`."""
        change = write_index(folder, passages, embedder, progress, created_at=created_at, server=server)
        index = cls.open(folder, embedder)
        index.change = change
        return index

    def sentences(self, passage_id: str) -> Sentences:
        """The sentences of a passage of this version, with their vectors. Raises KeyError for a passage of another."""
        return self.table.sentences_of(passage_id)

    def spelled(self, question: str) -> str:
        """The question with its slips of typing put right, by the words of the documents and of the embedder."""
        return self.speller.correct(question)

    def shares(self, question: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How much of the question some sentences cover, in [0, 1], shape (len(rows),); rows of `table.sentences`."""
        return self.sentence_lexical.shares(question, rows)

    def dense_share(self, language: str) -> float:
        """The dense leg's share in the fusion for questions in `language`: as learned, else by default."""
        weights = {**DEFAULT_WEIGHTS, **self.manifest.weights}
        return weights.get(language, weights[""])

    def learn(self, weights: Mapping[str, float]) -> None:
        """Keep learned dense shares, in [0, 1], by language; those of other languages stay, and later ingests take them over.

        Raises ValueError for another number, StoreError where they cannot be kept, or this version no longer serves.
        """
        if wrong := {language: share for language, share in weights.items() if not 0 <= share <= 1}:
            raise ValueError(f"the share of the dense leg lies between 0 and 1: {wrong}")
        self.manifest = versions.learn(self.version, weights)

    def nearest(self, vector: NDArray[np.float32], count: int) -> NDArray[np.intp]:
        """Rows of about `count` passages nearest to `vector` (dimension,), best first, from Chroma's graph.

        Raises StoreError where a Chroma server has it and does not answer.
        """
        if not self.passages or count < 1:
            return np.empty(0, dtype=np.intp)
        found = self._chroma.nearest(vector, min(count, len(self.passages)))
        return np.array([self.table.rows[identity] for identity in found], dtype=np.intp)

    def close(self) -> None:
        """Give back every file handle; the index cannot search afterwards."""
        self._open.close()
        self.table = VectorTable([], np.empty((0, 0), np.float32), [], np.empty((0, 0), np.float32))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

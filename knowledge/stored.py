"""A version as it lies on disk, read without Chroma's graph: its lines, arrays and words, checked against one another.

Opening an index and writing the next version both begin here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from knowledge import records
from knowledge.embed import SentenceEmbedder
from knowledge.postings import TokenTable
from knowledge.vectors import VectorTable, encode
from knowledge.versions import Manifest, ingest_again
from shopbot.errors import IndexRefused
from shopbot.types import Passage

SAME_MODEL_COSINE = 0.98
"""A stored passage encoded again by the same model, in any precision, is at least this close to its stored vector."""


@dataclass(frozen=True)
class Stored:
    """The files of a version beside Chroma. `words` and `sentence_words` are the tokens of passages and of sentences."""

    version: Path
    manifest: Manifest
    lines: list[str]
    table: VectorTable
    words: TokenTable
    sentence_words: TokenTable

    @classmethod
    def load(cls, version: Path, manifest: Manifest) -> Stored:
        """Read a version. Raises OSError, ValueError or KeyError where it is damaged."""
        lines = records.read_lines(version)
        table = VectorTable.load(version)
        words, sentence_words = TokenTable.load(version, "words"), TokenTable.load(version, "sentence_words")
        if records.hash_of(lines) != manifest.content:
            raise ValueError(f"{records.FILE} is not what was written")
        if table.passages.shape != (manifest.passages, manifest.dimension) or len(lines) != manifest.passages:
            raise ValueError("its parts hold different passages")
        if len(words) != manifest.passages or len(sentence_words) != len(table.sentences):
            raise ValueError("its words are those of other passages")
        return cls(version, manifest, lines, table, words, sentence_words)

    @cached_property
    def passages(self) -> dict[str, Passage]:
        """The passages by id, in the order of the rows. Raises ValueError where ids and rows differ."""
        found = {passage.id: passage for passage in map(records.passage_of, self.lines)}
        if list(found) != list(self.table.rows):
            raise ValueError("its parts hold different passages")
        return found

    def check_model(self, embedder: SentenceEmbedder, folder: Path) -> None:
        """One short passage, encoded again, tells whether the model behind the name is still the same. Raises IndexRefused."""
        if not self.lines:
            return
        row = min(range(len(self.lines)), key=lambda row: len(self.lines[row]))
        again = encode([records.passage_of(self.lines[row])], embedder)
        if float(again.passages[0] @ self.table.passages[row]) < SAME_MODEL_COSINE:
            raise IndexRefused(
                f"the model {embedder.name} is not the one that made {folder}, though it has its name. {ingest_again(folder)}"
            )


def check_names(manifest: Manifest, embedder: SentenceEmbedder, folder: Path) -> None:
    """Raises IndexRefused where another embedder, or the same with other prompts, made the version."""
    made = (manifest.embedder, manifest.dimension, manifest.prompts)
    if made != (embedder.name, embedder.dimension, embedder.prompts):
        raise IndexRefused(
            f"{folder} was made by {manifest.embedder} ({manifest.dimension} dimensions, prompts {manifest.prompts}), not by "
            f"{embedder.name} ({embedder.dimension} dimensions, prompts {embedder.prompts}). {ingest_again(folder)} --embedder {embedder.name}"
        )

"""Writing the next version of an index: what did not change is taken over from the serving one, the rest is encoded.

A version is written beside the serving one, read back, and only then served, in one step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from knowledge import records, versions
from knowledge.chroma_store import (
    ChromaStore,
    ServedStore,
    check_server,
    copy_store,
    drop_collections,
    reading_errors,
    store_of,
    sync_store,
    writing_errors,
)
from knowledge.embed import SentenceEmbedder
from knowledge.lexical import token_table
from knowledge.postings import TokenTable, flat_rows
from knowledge.stored import Stored, check_names
from knowledge.vectors import Progress, VectorTable, passage_text
from knowledge.versions import Manifest
from shopbot.errors import IndexRefused, StoreError
from shopbot.types import Passage

MOST_PATCHED = 0.2
"""The share of a graph's passages that may be taken out of it before it is built anew: it remembers what was removed."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an ingest did: passages added, removed and kept (by id); `switched` is False where no file was touched."""

    version: str
    added: int
    removed: int
    kept: int
    switched: bool = True


def write_index(
    folder: Path,
    passages: Sequence[Passage],
    embedder: SentenceEmbedder,
    progress: Progress | None = None,
    *,
    created_at: str = "",
    server: str = "",
) -> Change:
    """Bring `folder` to hold exactly `passages`, each id once.

    Vectors of passages that the serving version holds are taken over, and the weights learned for it. With nothing
    changed no file is touched and no lock is waited for. `server` is the URL of a Chroma server that shall have the graph,
    for an index folder that several machines share; with another one than before a new version is written. Raises
    StoreError where it cannot be written, the server does not answer, or another process is writing; then what served
    before still serves. Raises UsageError where `server` is no URL of one.
    """
    draft = _Draft(records.unique(passages), embedder, created_at, server.rstrip("/"))
    if (old := draft.serving(folder)) is not None and draft.is_in(old):
        return Change(old.manifest.version, 0, 0, len(old.lines), switched=False)
    with versions.writer(folder):
        if versions.pointer(folder) != (old.version.name if old is not None else None):  # another process was faster
            old = draft.serving(folder)
            if old is not None and draft.is_in(old):
                return Change(old.manifest.version, 0, 0, len(old.lines), switched=False)
        return draft.write(folder, old, progress)


@dataclass(frozen=True)
class _Draft:
    """What the folder shall hold."""

    passages: list[Passage]
    embedder: SentenceEmbedder
    created_at: str
    server: str

    @cached_property
    def lines(self) -> list[str]:
        return [records.line_of(passage) for passage in self.passages]

    @cached_property
    def content(self) -> str:
        return records.hash_of(self.lines)

    def is_in(self, old: Stored) -> bool:
        """Whether a version of this embedder's holds this already, its graph too."""
        manifest = old.manifest
        return (manifest.content, manifest.chroma) == (self.content, self.server) and _has_graph(old)

    def serving(self, folder: Path) -> Stored | None:
        """The serving version where this embedder made it; None where there is none or it is damaged, to be made anew."""
        try:
            version = versions.current(folder)
            if version is None:
                return None
            manifest = versions.read_manifest(version)
            check_names(manifest, self.embedder, folder)
            with reading_errors(folder):
                stored = Stored.load(version, manifest)
            stored.check_model(self.embedder, folder)
        except IndexRefused:
            return None
        return stored

    def write(self, folder: Path, old: Stored | None, progress: Progress | None) -> Change:
        """Write a version and switch to it. The caller holds the lock."""
        if self.server:
            check_server(self.server)  # before hours of encoding
        servers = versions.servers(folder) | ({self.server} - {""})
        with writing_errors(folder), versions.new_version(folder) as version:
            table, words, sentence_words = self._arrays(old, progress)
            table.save(version)
            words.save(version, "words")
            sentence_words.save(version, "sentence_words")
            records.write_lines(version, self.lines)
            manifest = self._manifest(folder, version.name, table)
            manifest = replace(manifest, patched=self._fill(version, manifest, table, old, progress))
            _verify(version, manifest, table)
            versions.publish(folder, version, manifest)
        for server in servers:
            drop_collections(server, *versions.collections(folder))
        before = set(old.table.rows) if old is not None else set[str]()
        kept = len(before & set(table.rows))
        return Change(version.name, len(table.rows) - kept, len(before) - kept, kept)

    def _arrays(self, old: Stored | None, progress: Progress | None) -> tuple[VectorTable, TokenTable, TokenTable]:
        """Vectors, and the tokens of passages and of sentences under their titles; those of kept passages are taken over."""
        known: Mapping[str, int] = old.table.rows if old is not None else {}
        new = [passage for passage in self.passages if passage.id not in known]
        table = VectorTable.of(new, self.embedder, progress)
        spoken = [f"{passage.title} {text}" for passage, own in zip(new, table.texts, strict=True) for text in own]
        words, sentence_words = token_table([passage_text(passage) for passage in new]), token_table(spoken)
        if old is None:
            return table, words, sentence_words
        rows = {**known, **{passage.id: len(known) + number for number, passage in enumerate(new)}}
        order = np.array([rows[passage.id] for passage in self.passages], dtype=np.intp)
        offsets = np.concatenate([old.table.offsets, table.offsets[1:] + old.table.offsets[-1]])
        flat = flat_rows(offsets, order)
        merged = old.table.merged(table, order)
        return merged, old.words.then(words).take(order), old.sentence_words.then(sentence_words).take(flat)

    def _fill(
        self, version: Path, manifest: Manifest, table: VectorTable, old: Stored | None, progress: Progress | None
    ) -> int:
        """Write the graph: the old one with what changed, or, as always on a server, a new one. How many passages it has lost so far."""
        if self.server:
            with contextlib.closing(ServedStore(self.server, manifest.collection, fill_with=self.content)) as store:
                self._add(store, range(len(self.passages)), table, progress)
            return 0
        folder = version / "chroma"
        before = dict(zip(old.table.rows, old.lines, strict=True)) if old is not None else {}
        after = dict(zip(table.rows, self.lines, strict=True))
        gone = [identity for identity, line in before.items() if after.get(identity) != line]
        lost = (old.manifest.patched if old is not None else 0) + len(gone)
        patches = (
            lost <= MOST_PATCHED * len(self.passages)
            and old is not None
            and not old.manifest.chroma
            and _has_graph(old)
        )
        if old is not None and patches:
            copy_store(old.version / "chroma", folder)
        rows = [row for row, (one, line) in enumerate(after.items()) if not patches or before.get(one) != line]
        with contextlib.closing(ChromaStore(folder, create=not patches)) as store:
            if patches:
                store.remove(gone)
            self._add(store, rows, table, progress)
        sync_store(folder)
        return lost if patches else 0

    def _add(self, store: ChromaStore, rows: Sequence[int], table: VectorTable, progress: Progress | None) -> None:
        for done in store.add([self.passages[row] for row in rows], table.passages[rows]):
            if progress is not None:
                progress("writing", done, len(rows))

    def _manifest(self, folder: Path, version: str, table: VectorTable) -> Manifest:
        return Manifest(
            version=version,
            embedder=self.embedder.name,
            dimension=self.embedder.dimension,
            prompts=self.embedder.prompts,
            passages=len(table.passages),
            sentences=len(table.sentences),
            content=self.content,
            created_at=self.created_at,
            weights=dict(versions.learned(folder, self.embedder.name)),
            chroma=self.server,
            collection=versions.collection(folder, version) if self.server else "",
        )


def _has_graph(stored: Stored) -> bool:
    """Whether a version's graph is there and whole. Raises StoreError where its Chroma server does not answer."""
    try:
        with reading_errors(stored.version), contextlib.closing(store_of(stored.version, stored.manifest)) as store:
            return store.is_of(stored.manifest)
    except IndexRefused as error:
        if isinstance(error.__cause__, StoreError):
            raise error.__cause__ from None
        return False


def _verify(version: Path, manifest: Manifest, table: VectorTable) -> None:
    """Open what was written anew; count it and look one passage up by its own vector."""
    folder = version.parent.parent
    with contextlib.closing(store_of(version, manifest)) as store:
        count = store.count()
        if count != len(table.rows):
            raise StoreError(f"Chroma kept {count} of {len(table.rows)} passages in {folder}; ingest again")
        if not count:
            return
        row = count // 2
        if not store.holds(list(table.rows)[row], table.passages[row]):
            raise StoreError(f"Chroma does not find in {folder} what was just written there; ingest again")

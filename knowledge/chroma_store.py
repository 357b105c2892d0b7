"""The Chroma database of one index version: ids, vectors, texts and fields of its passages, and the graph that finds near ones.

Made whole, or as a copy of the version before with what changed; never written to once its version serves. The only importer
of chromadb.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from knowledge.versions import ingest_again, not_written
from shopbot.errors import IndexRefused, StoreError
from shopbot.types import Passage

COLLECTION = "passages"
DATABASE = "chroma.sqlite3"

BATCH = 5000
"""Passages that are written at once: Chroma's own limit is about 5,400."""

_EXTRA = "meta."
"""Before the keys of a passage's own metadata, so that none of them can hide a field of ours."""


class ChromaStore:
    """A folder of Chroma's, opened; `close` gives its file handles back. Raises OSError where there is no database to open."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        from chromadb.errors import ChromaError

        if not create and not (folder / DATABASE).is_file():
            raise FileNotFoundError(errno.ENOENT, "no Chroma database there", str(folder))
        with contextlib.ExitStack() as opened:
            try:
                self._client = _client(folder)
            except (ChromaError, AttributeError):  # AttributeError: a client that failed to start before is given again
                if create:
                    raise
                # Chroma writes to its database even to read it: on a full or read-only disk it is read through a copy.
                place = Path(opened.enter_context(tempfile.TemporaryDirectory()))
                self._client = _client(_writable_copy(folder, place))
            opened.callback(self._client.close)
            self._collection: Any = (
                self._create() if create else self._client.get_collection(COLLECTION, embedding_function=None)
            )
            self._opened = opened.pop_all()

    def _create(self) -> Any:
        # Below the threshold Chroma keeps the graph in its log and writes the graph's files anew at every opening: a
        # process killed while it only reads could then leave a broken version.
        options: Any = {"hnsw": {"space": "cosine", "sync_threshold": 1}}
        return self._client.create_collection(COLLECTION, embedding_function=None, configuration=options)

    def count(self) -> int:
        """How many passages it holds."""
        return self._collection.count()

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[str]:
        """Ids of about `count` passages nearest to `vector` (dimension,), best first, from the graph."""
        return self._collection.query(query_embeddings=[vector], n_results=count, include=[])["ids"][0]

    def holds(self, passage_id: str, vector: NDArray[np.float32]) -> bool:
        """Whether the graph finds this passage, or one with the same vector, by its vector."""
        found = self._collection.query(query_embeddings=[vector], n_results=1, include=["distances"])
        return found["ids"][0][:1] == [passage_id] or (found["distances"][0] or [1.0])[0] <= 1e-4

    def add(self, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> Iterator[int]:
        """Add passages; gives how many are in after each batch."""
        for start in range(0, len(passages), BATCH):
            batch = passages[start : start + BATCH]
            self._collection.add(
                ids=[passage.id for passage in batch],
                embeddings=cast(Any, np.asarray(vectors[start : start + len(batch)])),
                documents=[passage.text for passage in batch],
                metadatas=[_metadata(passage) for passage in batch],
            )
            yield start + len(batch)

    def remove(self, ids: Sequence[str]) -> None:
        """Take passages out."""
        for start in range(0, len(ids), BATCH):
            self._collection.delete(ids=list(ids[start : start + BATCH]))

    def close(self) -> None:
        """Give back every file handle; nothing can be searched afterwards."""
        self._opened.close()


def copy_store(old: Path, new: Path) -> None:
    """A copy of a store that other processes may be reading; the database is copied by SQLite, between two writes of theirs."""
    shutil.copytree(old, new, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
    with (
        contextlib.closing(sqlite3.connect(f"{(old / DATABASE).resolve().as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(new / DATABASE)) as target,
    ):
        source.backup(target)


def sync_store(folder: Path) -> None:
    """Have everything in a closed store on disk before this returns."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _client(folder: Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))


def _writable_copy(folder: Path, place: Path) -> Path:
    """A copy of a folder of Chroma's, with permission to write to it."""
    copy = place / "chroma"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    for one in (copy, *copy.rglob("*")):
        one.chmod(0o700)
    return copy


@contextlib.contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """Chroma's and SQLite's errors while writing the index in `folder` (a full disk shows as one) as ours."""
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, sqlite3.Error) as error:
        raise StoreError(not_written(folder, error)) from error


@contextlib.contextmanager
def reading_errors(folder: Path) -> Iterator[None]:
    """Whatever a damaged version raises when it is read, as IndexRefused with what to do."""
    from chromadb.errors import ChromaError

    try:
        yield
    # AttributeError: what Chroma raises when a database that it could not open is opened again in the same process.
    except (ChromaError, OSError, ValueError, KeyError, AttributeError, sqlite3.Error) as error:
        raise IndexRefused(f"the index in {folder} is damaged ({error}). {ingest_again(folder)}") from error


def _metadata(passage: Passage) -> dict[str, str | int | float | bool]:
    fields: dict[str, str | int | float | bool] = {
        "source": passage.source,
        "title": passage.title,
        "kind": passage.kind,
        "language": passage.language,
        "place": passage.place,
    }
    if passage.valid_from is not None:
        fields["valid_from"] = passage.valid_from.isoformat()
    if passage.valid_until is not None:
        fields["valid_until"] = passage.valid_until.isoformat()
    return fields | {_EXTRA + key: value for key, value in passage.metadata.items()}

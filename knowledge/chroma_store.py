"""The Chroma database of one index version: ids, vectors, texts and fields of its passages, and the graph that finds near ones.

In the version's own folder it is made whole, or as a copy of the version before with what changed; on a Chroma server, for
several machines that share the index folder, it is a collection of its own, made whole. It is never written to once its
version serves. The only importer of chromadb.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from knowledge.records import fields_of
from knowledge.versions import Manifest, ingest_again, not_written
from shopbot.errors import IndexRefused, StoreError, UsageError
from shopbot.types import Passage

log = logging.getLogger(__name__)

COLLECTION = "passages"
DATABASE = "chroma.sqlite3"

BATCH = 5000
"""Passages that are written at once: Chroma's own limit is about 5,400."""

SERVER_BATCH = 1000
"""The same over HTTP, where a request may have 40 MB."""

HEARTBEAT_SECONDS = 5.0
READ_SECONDS = 10.0
WRITE_SECONDS = 120.0
"""How long a Chroma server is waited for: to show that it is there, to answer a search, to take a batch."""

_EXTRA = "meta."
"""Before the keys of a passage's own metadata, so that none of them can hide a field of ours."""


class ChromaStore:
    """A folder of Chroma's, opened; `close` gives its file handles back. Raises OSError where there is no database to open."""

    batch: ClassVar[int] = BATCH

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

    def _asking(self) -> contextlib.AbstractContextManager[None]:
        """Around everything that is asked of Chroma."""
        return contextlib.nullcontext()

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it holds as many passages as the version does."""
        return self.count() == manifest.passages

    def count(self) -> int:
        """How many passages it holds."""
        with self._asking():
            return self._collection.count()

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[str]:
        """Ids of about `count` passages nearest to `vector` (dimension,), best first, from the graph."""
        with self._asking():
            return self._collection.query(query_embeddings=[vector], n_results=count, include=[])["ids"][0]

    def holds(self, passage_id: str, vector: NDArray[np.float32]) -> bool:
        """Whether the graph finds this passage, or one with the same vector, by its vector."""
        with self._asking():
            found = self._collection.query(query_embeddings=[vector], n_results=1, include=["distances"])
        return found["ids"][0][:1] == [passage_id] or (found["distances"][0] or [1.0])[0] <= 1e-4

    def add(self, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> Iterator[int]:
        """Add passages; gives how many are in after each batch."""
        for start in range(0, len(passages), self.batch):
            batch = passages[start : start + self.batch]
            with self._asking():
                self._collection.add(
                    ids=[passage.id for passage in batch],
                    embeddings=cast(Any, np.asarray(vectors[start : start + len(batch)])),
                    documents=[passage.text for passage in batch],
                    metadatas=[_fields(passage) for passage in batch],
                )
            yield start + len(batch)

    def remove(self, ids: Sequence[str]) -> None:
        """Take passages out."""
        for start in range(0, len(ids), BATCH):
            self._collection.delete(ids=list(ids[start : start + BATCH]))

    def close(self) -> None:
        """Give back every file handle; nothing can be searched afterwards."""
        self._opened.close()


class _Missing(ValueError):
    """A server that answers, but does not have the collection."""


class ServedStore(ChromaStore):
    """The collection `name` of the Chroma server at `url`, opened; `fill_with` makes it anew, for passages of this content hash.

    Every method raises StoreError where the server does not answer; opening raises ValueError where it has no such collection.
    """

    batch: ClassVar[int] = SERVER_BATCH

    def __init__(self, url: str, name: str, *, fill_with: str = "") -> None:
        self._url = url
        with contextlib.ExitStack() as opened, self._asking():
            self._client = opened.enter_context(_server(url, WRITE_SECONDS if fill_with else READ_SECONDS))
            there = name in _named(self._client, name)
            if not there and not fill_with:
                raise _Missing(f"the Chroma server at {url} has no collection {name}")
            if fill_with:
                if there:  # left by a writer that was killed
                    self._client.delete_collection(name)
                self._collection = self._client.create_collection(
                    name,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine"}},
                    metadata={"content": fill_with},
                )
            else:
                self._collection = self._client.get_collection(name, embedding_function=None)
            self._opened = opened.pop_all()

    def _asking(self) -> contextlib.AbstractContextManager[None]:
        return _answering(self._url)

    def is_of(self, manifest: Manifest) -> bool:
        """Also whether it was made for this content: an index folder that was copied would write under the same names."""
        return (self._collection.metadata or {}).get("content") == manifest.content and super().is_of(manifest)


def store_of(version: Path, manifest: Manifest) -> ChromaStore:
    """What a version's graph lies in, opened. Raises what `ChromaStore` and `ServedStore` raise."""
    return ServedStore(manifest.chroma, manifest.collection) if manifest.chroma else ChromaStore(version / "chroma")


def check_server(url: str) -> None:
    """Raises StoreError where no Chroma server answers at `url`, UsageError where that is no URL of one."""
    with _answering(url), _server(url, READ_SECONDS):
        pass


def drop_collections(url: str, prefix: str, kept: set[str]) -> None:
    """Delete the collections of a server that begin with `prefix`, but for those `kept`; what cannot be deleted is logged."""
    try:
        with _answering(url), _server(url, WRITE_SECONDS) as client:
            for name in _named(client, prefix):
                if name not in kept:
                    client.delete_collection(name)
    except StoreError as error:
        log.warning("collections that no version uses any more are left at %s: %s", url, error)


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


@contextlib.contextmanager
def _server(url: str, seconds: float) -> Iterator[Any]:
    """A client of a Chroma server that waits for an answer at most `seconds`."""
    import chromadb
    from chromadb.config import Settings

    host, port, secure = _address(url)
    with urlopen(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=HEARTBEAT_SECONDS):
        pass  # the client's own first calls would wait without end
    client: Any = chromadb.HttpClient(host, port, ssl=secure, settings=Settings(anonymized_telemetry=False))
    with contextlib.ExitStack() as opened:
        opened.callback(client.close)
        for part in (client, client._admin_client):
            # Chroma neither limits how long it waits nor closes its connections, and has no settings for it.
            opened.callback(part._server._session.close)
            part._server._session.timeout = seconds
        yield client


def _named(client: Any, prefix: str) -> list[str]:
    """The names of all collections of a server that begin with `prefix`."""
    names: list[str] = []
    while page := client.list_collections(limit=100, offset=len(names)):
        names.extend(each.name for each in page)
    return [name for name in names if name.startswith(prefix)]


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is encrypted. Raises UsageError."""
    with contextlib.suppress(ValueError):  # a port that is no number
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port and parts.path in ("", "/"):
            return parts.hostname, parts.port, parts.scheme == "https"
    raise UsageError(f"{url!r} is no address of a Chroma server; write one such as http://chroma.internal:8000")


@contextlib.contextmanager
def _answering(url: str) -> Iterator[None]:
    """Whatever is raised where a Chroma server is down, slow or no Chroma server, or refuses, as StoreError with what to do."""
    try:
        yield
    except (StoreError, UsageError, _Missing):
        raise
    # Chroma raises a bare Exception for an answer that it does not know, ValueError for none, and its HTTP library's errors.
    except Exception as error:
        raise StoreError(
            f"the Chroma server at {url} does not answer, or not as it should ({error}). Start it: "
            f"chroma run --path DIR --port {urlsplit(url).port}; see --host where other machines ask it"
        ) from error


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
def reading_errors(folder: Path, server: str = "") -> Iterator[None]:
    """Whatever a damaged version raises when it is read, or a `server` that is down, as IndexRefused with what to do."""
    from chromadb.errors import ChromaError

    try:
        yield
    except StoreError as error:
        raise IndexRefused(f"the index in {folder} cannot be opened: {error}") from error
    # AttributeError: what Chroma raises when a database that it could not open is opened again in the same process.
    except (ChromaError, OSError, ValueError, KeyError, AttributeError, sqlite3.Error) as error:
        raise IndexRefused(f"the index in {folder} is damaged ({error}). {ingest_again(folder, server)}") from error


def _fields(passage: Passage) -> dict[str, str | int | float | bool]:
    return fields_of(passage) | {_EXTRA + key: value for key, value in passage.metadata.items()}

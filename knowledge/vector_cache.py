"""Vectors of passages that were encoded before, in one SQLite file: for an index that was deleted, or is made anew elsewhere.

The serving version of an index carries its own vectors over, so that a usual ingest needs no cache. The file is derived:
where it is damaged or locked, texts are encoded again. Several processes may share it. What was not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Spans = Sequence[tuple[int, int]]
"""Where a part of a text stands: first character and the one after the last, of each of its pieces."""

Encoded = tuple[list[int], NDArray[np.float32], list[NDArray[np.float32]]]
"""Some of the texts: their rows, their vectors, and for each the vectors of its parts."""

Encode = Callable[[Sequence[str], Sequence[Sequence[Spans]]], Iterator[Encoded]]
"""Encodes texts with their parts, some at a time, in any order."""

FORMAT = 1
"""Raised where a vector is made otherwise, or the table changes: the file of an older release is left alone."""

MOST_BYTES = 2 << 30
"""Two gigabytes: about half a million passages of four sentences each, at 384 dimensions."""

_CHUNK = 500
"""Rows of one question to SQLite."""


def fingerprint(folder: Path) -> str:
    """A hash of a model folder's files: weights, tokenizer, configuration. Half a second a gigabyte."""
    whole = hashlib.sha256()
    kinds = {".safetensors", ".bin", ".json", ".txt", ".model"}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in kinds and path.is_file()):
        whole.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


class VectorCache:
    """Vectors in `folder`, of one embedder: `kind` says all that they depend on besides the text and its parts."""

    def __init__(self, folder: Path, kind: str, dimension: int, most_bytes: int = MOST_BYTES) -> None:
        self.path = folder / f"vectors-{FORMAT}.sqlite3"
        self._kind = kind
        self._dimension = dimension
        self._most_bytes = most_bytes

    def through(self, texts: Sequence[str], parts: Sequence[Sequence[Spans]], encode: Encode) -> Iterator[Encoded]:
        """What the file holds, and then what `encode` makes of the rest, kept as it comes: a killed ingest goes on from there."""
        keys = [self._key(text, own) for text, own in zip(texts, parts, strict=True)]
        missing = set(range(len(texts)))
        with self._opened() as file:
            for start in range(0, len(keys), _CHUNK):
                rows = range(start, min(start + _CHUNK, len(keys)))
                held = self._read(file, {row: keys[row] for row in rows}, [len(parts[row]) + 1 for row in rows])
                if held:
                    missing -= set(held)
                    found = list(held.values())
                    yield list(held), np.stack([one[0] for one in found]), [one[1:] for one in found]
            left = sorted(missing)
            if not left:
                return
            for rows, vectors, inner in encode([texts[row] for row in left], [parts[row] for row in left]):
                own = [left[row] for row in rows]
                blobs = [np.vstack([vector[None], some]) for vector, some in zip(vectors, inner, strict=True)]
                self._write(file, [keys[row] for row in own], blobs)
                yield own, vectors, inner

    def _key(self, text: str, parts: Sequence[Spans]) -> bytes:
        return hashlib.sha256(json.dumps([self._kind, text, [list(spans) for spans in parts]]).encode()).digest()

    # ---------------------------------------------------------------- the file

    @contextlib.contextmanager
    def _opened(self) -> Iterator[_File]:
        file = _File(self.path)
        try:
            yield file
        finally:
            file.close(self._most_bytes)

    def _read(self, file: _File, keys: dict[int, bytes], counts: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Row → vectors of those of `keys` that are held whole, `counts` vectors each."""
        stored = file.read(list(keys.values()))
        found: dict[int, NDArray[np.float32]] = {}
        for (row, key), count in zip(keys.items(), counts, strict=True):
            blob = stored.get(key)
            if blob is not None and len(blob) == 4 * count * self._dimension:
                found[row] = np.frombuffer(blob, dtype="<f4").reshape(count, self._dimension).astype(np.float32)
        return found

    def _write(self, file: _File, keys: Sequence[bytes], arrays: Sequence[NDArray[np.float32]]) -> None:
        file.write([(key, array.astype("<f4").tobytes()) for key, array in zip(keys, arrays, strict=True)])


class _File:
    """One SQLite file for the length of one encoding. After its first error it holds nothing and takes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._turn = 0
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = database = sqlite3.connect(path, timeout=20, isolation_level=None)
            database.execute("PRAGMA synchronous = OFF")  # every blob has its checksum, and the file can be made anew
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vectors BLOB, checksum INTEGER, used INTEGER)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS by_use ON vectors (used)")
            self._turn = 1 + (database.execute("SELECT max(used) FROM vectors").fetchone()[0] or 0)

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those of the keys that are held, and undamaged; from now on they count as used last."""
        found: dict[bytes, bytes] = {}
        with self._errors():
            if self._database is not None:
                marks = ", ".join("?" * len(keys))
                asked = f"SELECT key, vectors, checksum FROM vectors WHERE key IN ({marks})"  # noqa: S608
                rows = self._database.execute(asked, list(keys))
                whole = (row for row in rows if isinstance(row[1], bytes) and zlib.crc32(row[1]) == row[2])
                found = {key: blob for key, blob, _ in whole}
                used = [(self._turn, key) for key in found]
                self._in_one(lambda database: database.executemany("UPDATE vectors SET used = ? WHERE key = ?", used))
        return found

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep these."""
        lines = [(key, blob, zlib.crc32(blob), self._turn) for key, blob in rows]
        with self._errors():
            self._in_one(
                lambda database: database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", lines)
            )

    def close(self, most_bytes: int) -> None:
        """Drop what was not used for longest until the rest fits into `most_bytes`."""
        with self._errors():
            self._in_one(lambda database: _shrink(database, most_bytes))
        if self._database is not None:
            self._database.close()

    def _in_one(self, work: Callable[[sqlite3.Connection], object]) -> None:
        if self._database is not None:
            with self._database:  # commits, or rolls back
                self._database.execute("BEGIN IMMEDIATE")
                work(self._database)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Go on without the file; a damaged one is deleted, so that the next time makes it anew."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            log.warning("%s cannot be used (%s): what it held is encoded again", self._path, error)
            if self._database is not None:
                self._database.close()
                self._database = None
            if isinstance(error, sqlite3.DatabaseError) and type(error) is sqlite3.DatabaseError:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
                    self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)


def _shrink(database: sqlite3.Connection, most_bytes: int) -> None:
    size = database.execute("PRAGMA page_size").fetchone()[0]
    while True:
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        free = database.execute("PRAGMA freelist_count").fetchone()[0]
        if (pages - free) * size <= most_bytes:
            return
        oldest = "SELECT key FROM vectors ORDER BY used LIMIT 200"
        if not database.execute(f"DELETE FROM vectors WHERE key IN ({oldest})").rowcount:  # noqa: S608
            return

"""The knowledge index: passages and their vectors in Chroma on disk, and beside it the arrays that exact search and reading need.

A version folder holds `chroma/`, the record (id, vector, text and metadata of each passage), and the files of `vectors.py`. Versions are
never changed once they serve, but for learned weights; `versions.py` has the switch. The only importer of chromadb.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.lexical import LexicalIndex
from knowledge.spelling import Speller
from knowledge.vectors import Progress, Sentences, VectorTable, encode_sentences, passage_text
from knowledge.versions import Manifest, ingest_again
from shopbot.errors import IndexRefused, StoreError
from shopbot.types import Passage, PassageKind

COLLECTION = "passages"
DEFAULT_WEIGHTS: Mapping[str, float] = {"": 0.7}
"""The dense leg's share by language; the empty key is for every other language."""

SAME_MODEL_COSINE = 0.98
"""A stored sentence encoded again by the same model, in any precision, is at least this close to its stored vector."""

_READ_AT_ONCE = 5000
_EXTRA = "meta."
"""Before the keys of a passage's own metadata, so that none of them can hide a field of ours."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an ingest did: passages added, removed and kept (by id); `switched` is False where no file was touched."""

    version: str
    added: int
    removed: int
    kept: int
    switched: bool = True


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
        with _refused(folder):
            chroma = self._open.enter_context(contextlib.closing(_Chroma(self.version / "chroma")))
            self._collection = chroma.collection
            stored = {passage.id: passage for passage in _stored(self._collection)}
            self.table = VectorTable.load(self.version)
        shape = (self.manifest.passages, self.manifest.dimension)
        if set(stored) != set(self.table.rows) or self.table.passages.shape != shape:
            raise IndexRefused(
                f"{self.version} is half there: its parts hold different passages. {ingest_again(folder)}"
            )
        self.passages: Mapping[str, Passage] = {identity: stored[identity] for identity in self.table.rows}
        texts = [passage_text(passage) for passage in self.passages.values()]
        self.lexical = LexicalIndex(texts)
        self.sentence_lexical = LexicalIndex(
            [
                f"{passage.title} {text}"
                for passage, own in zip(self.passages.values(), self.table.texts, strict=True)
                for text in own
            ]
        )
        self.speller = Speller(texts, embedder.words)
        self.background = self.table.background()
        self.reads = embedder.reads

    @classmethod
    def open(cls, folder: Path, embedder: SentenceEmbedder) -> Self:
        """The serving version of `folder`. Raises IndexRefused where there is none, or it is half there or another embedder's."""
        version = versions.current(folder)
        if version is None:
            raise IndexRefused(f"there is no index in {folder}. {ingest_again(folder)}")
        manifest = versions.read_manifest(version)
        _check_names(manifest, embedder, folder)
        index = cls(version, manifest, embedder)
        try:
            index._check_model(embedder, folder)
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def build(
        cls,
        folder: Path,
        passages: Sequence[Passage],
        embedder: SentenceEmbedder,
        progress: Progress | None = None,
        *,
        created_at: str = "",
    ) -> Self:
        """Bring `folder` to hold exactly `passages`, and open it; `change` of the result says what was done.

        Vectors of passages that the serving version holds are taken over, and the weights learned for it. With nothing
        changed no file is touched and no lock is waited for. Raises StoreError where it cannot be written, or another process is writing; then what
        served before still serves.
        """
        unique: dict[str, Passage] = {}
        for passage in passages:
            unique.setdefault(passage.id, passage)
        draft = _Draft(list(unique.values()), embedder, created_at)
        with contextlib.suppress(IndexRefused), contextlib.ExitStack() as opened:
            index = opened.enter_context(cls.open(folder, embedder))
            if draft.is_in(index.manifest):
                opened.pop_all()
                return index
        with versions.writer(folder):
            change = draft.write(folder, progress)
        index = cls.open(folder, embedder)
        index.change = change
        return index

    def sentences(self, passage_id: str) -> Sentences:
        """The sentences of a passage of this version, with their vectors. Raises KeyError for a passage of another."""
        return self.table.sentences_of(passage_id)

    def spelled(self, question: str) -> str:
        """The question with its slips of typing put right, by the words of the documents and of the embedder."""
        return self.speller.correct(question)

    def shares(self, question: str) -> NDArray[np.float32]:
        """How much of the question each sentence covers, in [0, 1], by row of `table.sentences`."""
        return self.sentence_lexical.shares(question)

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
        """Rows of about `count` passages nearest to `vector` (dimension,), best first, from Chroma's graph."""
        if not self.passages or count < 1:
            return np.empty(0, dtype=np.intp)
        found = self._collection.query(query_embeddings=[vector], n_results=min(count, len(self.passages)), include=[])
        return np.array([self.table.rows[identity] for identity in found["ids"][0]], dtype=np.intp)

    def close(self) -> None:
        """Give back every file handle; the index cannot search afterwards."""
        self._open.close()
        self.table = VectorTable([], np.empty((0, 0), np.float32), [], np.empty((0, 0), np.float32))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_model(self, embedder: SentenceEmbedder, folder: Path) -> None:
        """One short stored sentence, encoded again, tells whether the model behind the name is still the same."""
        candidates = ((len(texts[0]), row) for row, texts in enumerate(self.table.texts) if texts)
        _, row = min(candidates, default=(0, -1))
        if row < 0:
            return
        passage = list(self.passages.values())[row]
        stored = self.sentences(passage.id)
        again = encode_sentences([passage.title], stored.texts[:1], embedder)[0]
        if float(again @ stored.vectors[0]) < SAME_MODEL_COSINE:
            raise IndexRefused(
                f"the model {embedder.name} is not the one that made {folder}, though it has its name. {ingest_again(folder)}"
            )


def content_hash(passages: Sequence[Passage]) -> str:
    """SHA-256 over everything that an index keeps of the passages, in their order."""
    digest = hashlib.sha256()
    for passage in passages:
        kept = _metadata(passage) | {"id": passage.id, "text": passage.text}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def _check_names(manifest: Manifest, embedder: SentenceEmbedder, folder: Path) -> None:
    made = (manifest.embedder, manifest.dimension, manifest.prompts)
    if made != (embedder.name, embedder.dimension, embedder.prompts):
        raise IndexRefused(
            f"{folder} was made by {manifest.embedder} ({manifest.dimension} dimensions, prompts {manifest.prompts}), not by "
            f"{embedder.name} ({embedder.dimension} dimensions, prompts {embedder.prompts}). {ingest_again(folder)} --embedder {embedder.name}"
        )


# ---------------------------------------------------------------- writing a version


@dataclass(frozen=True)
class _Draft:
    """What the folder shall hold."""

    passages: list[Passage]
    embedder: SentenceEmbedder
    created_at: str

    @cached_property
    def content(self) -> str:
        return content_hash(self.passages)

    def is_in(self, manifest: Manifest) -> bool:
        """Whether a version of this embedder's holds this already."""
        return manifest.content == self.content

    def write(self, folder: Path, progress: Progress | None) -> Change:
        """Write a version unless the serving one is the same, and switch to it. The caller holds the lock."""
        old = self._serving(folder)
        if old is not None and self.is_in(old[0]):
            return Change(old[0].version, 0, 0, len(self.passages), switched=False)
        known = old[1] if old is not None else None
        with _store_errors(folder), versions.new_version(folder) as version:
            table = VectorTable.compute(self.passages, self.embedder, known, progress)
            table.save(version)
            _fill(version / "chroma", self.passages, table, progress)
            _verify(version / "chroma", table)
            learned = versions.learned(folder, self.embedder.name)
            versions.publish(folder, version, self._manifest(version.name, table, learned))
        before = set(known.rows) if known is not None else set()
        kept = len(before & set(table.rows))
        return Change(version.name, len(table.rows) - kept, len(before) - kept, kept)

    def _manifest(self, version: str, table: VectorTable, weights: Mapping[str, float]) -> Manifest:
        return Manifest(
            version=version,
            embedder=self.embedder.name,
            dimension=self.embedder.dimension,
            prompts=self.embedder.prompts,
            passages=len(table.passages),
            sentences=len(table.sentences),
            content=self.content,
            created_at=self.created_at,
            weights=dict(weights),
        )

    def _serving(self, folder: Path) -> tuple[Manifest, VectorTable] | None:
        """The serving version where this embedder made it; None where there is none or it is damaged, to be made anew."""
        try:
            with KnowledgeIndex.open(folder, self.embedder) as index:
                return index.manifest, index.table
        except IndexRefused:
            return None


def _fill(folder: Path, passages: list[Passage], table: VectorTable, progress: Progress | None) -> None:
    with contextlib.closing(_Chroma(folder, create=True)) as chroma:
        for start in range(0, len(passages), _READ_AT_ONCE):
            batch = passages[start : start + _READ_AT_ONCE]
            chroma.collection.add(
                ids=[passage.id for passage in batch],
                embeddings=cast(Any, np.asarray(table.passages[start : start + len(batch)])),
                documents=[passage.text for passage in batch],
                metadatas=[_metadata(passage) for passage in batch],
            )
            if progress is not None:
                progress("writing", start + len(batch), len(passages))


def _verify(folder: Path, table: VectorTable) -> None:
    """Open what was written anew; count it and look one passage up by its own vector."""
    with contextlib.closing(_Chroma(folder)) as chroma:
        count = chroma.collection.count()
        if count != len(table.rows):
            raise StoreError(f"Chroma kept {count} of {len(table.rows)} passages in {folder}; ingest again")
        if not count:
            return
        probe = table.passages[count // 2]
        found = chroma.collection.query(query_embeddings=[probe], n_results=1, include=["distances"])
        distances = found["distances"]
        if not distances or not distances[0] or distances[0][0] > 1e-3:
            raise StoreError(f"Chroma does not find a passage by its own vector in {folder}; ingest again")


# ---------------------------------------------------------------- Chroma


class _Chroma:
    """A folder of Chroma's, opened; `close` gives its file handles back. Raises OSError where there is no database to open."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        from chromadb.errors import ChromaError

        if not create and not (folder / "chroma.sqlite3").is_file():
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
            self.collection: Any = (
                self._create() if create else self._client.get_collection(COLLECTION, embedding_function=None)
            )
            self._opened = opened.pop_all()

    def _create(self) -> Any:
        # Below the threshold Chroma keeps the graph in its log and writes the graph's files anew at every opening: a
        # process killed while it only reads could then leave a broken version.
        options: Any = {"hnsw": {"space": "cosine", "sync_threshold": 1}}
        return self._client.create_collection(COLLECTION, embedding_function=None, configuration=options)

    def close(self) -> None:
        self._opened.close()


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
def _store_errors(folder: Path) -> Iterator[None]:
    """Chroma's errors while writing (a full disk shows as an InternalError of its database) as ours."""
    from chromadb.errors import ChromaError

    try:
        yield
    except ChromaError as error:
        raise StoreError(versions.not_written(folder, error)) from error


@contextlib.contextmanager
def _refused(folder: Path) -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    # AttributeError: what Chroma raises when a database that it could not open is opened again in the same process.
    except (ChromaError, OSError, ValueError, KeyError, AttributeError) as error:
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


def _stored(collection: Any) -> Iterator[Passage]:
    """Every passage of a collection, in the order in which it was added."""
    for offset in range(0, collection.count(), _READ_AT_ONCE):
        page = collection.get(limit=_READ_AT_ONCE, offset=offset, include=["documents", "metadatas"])
        for identity, text, fields in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
            yield _passage(identity, text, fields)


def _passage(identity: str, text: str, fields: Mapping[str, Any]) -> Passage:
    first, until = fields.get("valid_from"), fields.get("valid_until")
    return Passage(
        id=identity,
        text=text,
        source=fields["source"],
        title=fields["title"],
        kind=cast(PassageKind, fields["kind"]),
        language=fields["language"],
        place=fields["place"],
        valid_from=date.fromisoformat(first) if first else None,
        valid_until=date.fromisoformat(until) if until else None,
        metadata={key.removeprefix(_EXTRA): value for key, value in fields.items() if key.startswith(_EXTRA)},
    )

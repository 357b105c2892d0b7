"""The versions of an index folder: one is written beside the serving one, and then the pointer moves at once.

    index/CURRENT          "0003"
    index/versions/0003/   a whole version; its manifest.json is written last
    index/WRITER           locked by the one process that writes
    index/PINNED           what a rollback holds back, by the version that it brought back
    index/ID               what the folder is called on a Chroma server, whatever it is mounted as

A folder under `versions` without a manifest was left by a crash: nothing serves it, and the next writer removes it.
A hold counts only while CURRENT names its version, so that moving the pointer is the one step of a rollback, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from shopbot.errors import IndexRefused, StoreError, UsageError

FORMAT = 2
"""Raised when the files of a version change their meaning; another number is refused."""

KEPT = 3
"""Versions that an ingest leaves on disk, its own included; the one that served before it stays in any case."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version holds and what made it. `content` is a hash over all passages.

    `weights` is the dense leg's share in the fusion by language, as far as it was learned; the key "" is for all others.
    `patched` counts the passages that were taken out of its graph since that was built whole.
    `created_at` is ISO 8601. `follows` names the version that served before this one was published: where a rollback goes.
    `chroma` is the URL of the Chroma server that has its graph, in `collection`; both are empty where the graph lies in `chroma/`.
    """

    version: str
    embedder: str
    dimension: int
    prompts: tuple[str, str]
    passages: int
    sentences: int
    content: str
    created_at: str = ""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    patched: int = 0
    follows: str = ""
    chroma: str = ""
    collection: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Listed:
    """A version on disk: its size in bytes, when it was written (ISO 8601), and whether it serves.

    `manifest` is None where it cannot be read, and `fault` says why. `pinned`: it serves since a rollback, which holds
    newer documents back.
    """

    name: str
    manifest: Manifest | None
    written_at: str
    size: int
    serves: bool
    pinned: bool
    fault: str = ""


def current(folder: Path) -> Path | None:
    """The serving version, None where nothing was ever ingested. Raises IndexRefused where the pointer leads nowhere."""
    name = pointer(folder)
    if name is None:
        return None
    version = folder / "versions" / name
    if not name or not (version / "manifest.json").is_file():
        raise IndexRefused(
            f"{folder / 'CURRENT'} names version {name!r}, which is not there or only half there. {ingest_again(folder)}"
        )
    return version


def read_manifest(version: Path) -> Manifest:
    """The manifest of a version. Raises IndexRefused where it cannot be read or is of another format."""
    path = version / "manifest.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = stored["format"]
        manifest = Manifest(**{**stored, "prompts": tuple(stored["prompts"])}) if found == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexRefused(f"{path} cannot be read ({error}). {ingest_again(version.parent.parent)}") from error
    if manifest is None:
        raise IndexRefused(
            f"{path} is of format {found}, this program reads {FORMAT}. {ingest_again(version.parent.parent)}"
        )
    return manifest


def ingest_again(folder: Path, server: str = "") -> str:
    """What to type when an index cannot be used; `server` is the URL of the Chroma server that has its graph, if one has."""
    command = f"python -m knowledge.ingest DOCS --index {folder}" + (f" --chroma {server}" if server else "")
    return f"Make it again: shopbot ingest --shop DIR, or {command}"


def not_written(folder: Path, error: Exception) -> str:
    """The message where a version could not be written."""
    return (
        f"the index in {folder} could not be written ({error}); what served before still serves. "
        "Free disk space or mend the folder's permissions, or keep it elsewhere (--home, --index); then ingest again."
    )


@contextlib.contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it falls with the process. Raises StoreError where another holds it, or none can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "WRITER").open("a", encoding="utf-8")
    except OSError as error:
        raise StoreError(not_written(folder, error)) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"another process is writing to {folder}; wait until it has finished, then try again"
            ) from error
        yield


@contextlib.contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """A new empty version folder beside the serving one; it is removed again if anything is raised inside.

    A full disk and other faults of the file system come out as StoreError, and the serving version stays.
    """
    path = folder / "versions" / _next_name(folder)
    try:
        _remove_partial(folder)
        path.mkdir(parents=True)
        yield path
    except OSError as error:
        _discard(folder, path)
        raise StoreError(not_written(folder, error)) from error
    except BaseException:
        _discard(folder, path)
        raise


def publish(folder: Path, version: Path, manifest: Manifest) -> None:
    """Write the manifest, point CURRENT at the version in one step, and remove versions that are no longer kept.

    What served until now stays, also where a rollback had brought it back; what that held back is held no longer.
    """
    before = pointer(folder) or ""
    written = manifest.created_at or _written_at(version)
    _write_manifest(version, replace(manifest, follows=before, created_at=written))
    write_whole(folder / "CURRENT", version.name)
    _lift(folder)
    for old in _names(folder)[:-KEPT]:
        if old != before:
            with contextlib.suppress(OSError):
                _remove(folder / "versions" / old)


def learn(version: Path, weights: Mapping[str, float]) -> Manifest:
    """Add learned weights to the manifest of the serving version, in one step: all that may change of it.

    Whoever opens it afterwards reads the new ones. Raises StoreError where another version serves by now, where another
    process is writing, or where the file cannot be written.
    """
    folder = version.parent.parent
    with writer(folder):
        if current(folder) != version:
            raise StoreError(f"{folder} serves another version by now, for which nothing was learned; evaluate again")
        manifest = read_manifest(version)
        manifest = replace(manifest, weights={**manifest.weights, **weights})
        try:
            _write_manifest(version, manifest)
        except OSError as error:
            raise StoreError(not_written(folder, error)) from error
    return manifest


def learned(folder: Path, embedder: str) -> Mapping[str, float]:
    """The weights of the serving version if `embedder` (its name) made it; none where there is none or it is damaged."""
    try:
        version = current(folder)
        manifest = read_manifest(version) if version is not None else None
    except IndexRefused:
        return {}
    return manifest.weights if manifest is not None and manifest.embedder == embedder else {}


def collection(folder: Path, version: str) -> str:
    """The name of a version's collection on a Chroma server, the same wherever the folder is mounted. The caller holds the lock."""
    path = folder / "ID"
    if not path.is_file():
        write_whole(path, uuid4().hex[:12])
    return f"shopbot-{path.read_text(encoding='utf-8').strip()}-{version}"


def collections(folder: Path) -> tuple[str, set[str]]:
    """What the names of all collections of this folder begin with, and the names of those whose versions are there."""
    return collection(folder, ""), {collection(folder, name) for name in _names(folder)}


def servers(folder: Path) -> set[str]:
    """The Chroma servers that have graphs of the versions on disk."""
    return {manifest.chroma for manifest in _whole(folder)} - {""}


# ---------------------------------------------------------------- looking, going back, making room


def listed(folder: Path) -> list[Listed]:
    """All versions of a folder, the newest first, damaged ones too. Raises IndexRefused where there is none."""
    serving, names = pointer(folder), _there(folder)
    return [_listed(folder, name, serving or "") for name in reversed(names)]


def roll_back(
    folder: Path,
    version: str | None = None,
    *,
    documents: str = "",
    check: Callable[[Path, Manifest], None] | None = None,
) -> Manifest:
    """Let an older version serve again, in one step: the one that served before, or the one named (a newer one, too).

    It serves until the documents change or somebody ingests on purpose: an ingest that nobody asked for (see `check_hold`) does not take up
    what the newest version holds, nor `documents`, the content hash of the documents as they are, where it is known.
    `check` may raise to refuse the version before it serves. Raises UsageError where there is no such version or none
    before, IndexRefused where its manifest cannot be read, StoreError where another process is writing or the folder
    cannot be written; then what served before still serves.
    """
    _there(folder)  # before the lock's file is made where there is no index
    with writer(folder):
        name = _target(folder, version)
        path = folder / "versions" / name
        manifest = read_manifest(path)
        if name == pointer(folder):
            raise UsageError(f"version {name} of {folder} serves already")
        if check is not None:
            check(path, manifest)
        newest = next(iter(_whole(folder)), manifest)
        held = sorted({newest.content, documents} - {manifest.content, ""})
        try:
            # The holds of other versions stay, so that a crash before the pointer moves loses none.
            write_whole(folder / "PINNED", json.dumps({**_holds(folder), name: held}))
            write_whole(folder / "CURRENT", name)
        except OSError as error:
            raise StoreError(not_written(folder, error)) from error
    return manifest


def prune(folder: Path, keep: int) -> list[Listed]:
    """Remove all versions but the `keep` newest whole ones (at least 1) and the serving one; what was removed, newest first.

    Raises IndexRefused where there is no index or the pointer leads nowhere, UsageError for another `keep`, StoreError where another process
    is writing or a file cannot be removed.
    """
    if keep < 1:
        raise UsageError(f"at least one version has to be kept, not {keep}")
    _there(folder)
    with writer(folder):
        current(folder)  # where nobody can say what serves, nothing is removed
        found = listed(folder)
        kept = [each.name for each in found if each.manifest is not None][:keep]
        gone = [each for each in found if not each.serves and each.name not in kept]
        try:
            for each in gone:
                _remove(folder / "versions" / each.name)
        except OSError as error:
            raise StoreError(f"{folder}: a version could not be removed ({error}); mend its permissions") from error
    return gone


def check_hold(folder: Path, content: str, *, lift: bool = False) -> None:
    """Raises StoreError where a rollback holds back documents of this `content`; with `lift` the hold ends instead."""
    serving = pointer(folder) or ""
    if lift:
        _lift(folder)
    elif content in _holds(folder).get(serving, ()):
        raise StoreError(
            f"version {serving} of {folder} serves since a rollback, and the documents are still what was rolled back from: they are "
            "taken up when they change, or with `shopbot ingest`"
        )


def _target(folder: Path, version: str | None) -> str:
    """The version that is meant: named, or the one that served before, else the whole one with the next lower number."""
    names, serving = _names(folder), pointer(folder) or ""
    if version is not None:
        if (name := version.zfill(4)) not in names:
            raise UsageError(f"there is no version {version!r} in {folder}; there are {', '.join(reversed(names))}")
        return name
    whole = [manifest.version for manifest in _whole(folder)]
    follows = next((each.follows for each in _whole(folder) if each.version == serving), "")
    older = [name for name in whole if not serving.isdigit() or int(name) < int(serving)]
    candidates = [follows, *older] if follows in whole else older
    if not candidates:
        raise UsageError(
            f"there is no whole version before {serving} in {folder}; `shopbot index list` shows what there is"
        )
    return candidates[0]


def _whole(folder: Path) -> list[Manifest]:
    """The manifests that can be read, the newest first."""
    found: list[Manifest] = []
    for name in reversed(_names(folder)):
        with contextlib.suppress(IndexRefused):
            found.append(replace(read_manifest(folder / "versions" / name), version=name))
    return found


def _listed(folder: Path, name: str, serving: str) -> Listed:
    path, manifest, fault = folder / "versions" / name, None, ""
    try:
        manifest = read_manifest(path)
    except IndexRefused as error:
        fault = str(error) if (path / "manifest.json").exists() else "half there: being written, or left by a crash"
    written = manifest.created_at if manifest is not None else ""
    serves = name == serving
    pinned = serves and bool(_holds(folder).get(name))
    return Listed(name, manifest, written or _written_at(path), _size(path), serves, pinned, fault)


def _written_at(version: Path) -> str:
    """When the oldest file of a version was written: what reads it may touch the others, but not all."""
    times: list[float] = []
    for file in version.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be writing, or removing it
            times.append(file.stat().st_mtime)
    return datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds") if times else ""


def _size(version: Path) -> int:
    """Bytes of all files of a version."""
    total = 0
    for file in version.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


# ---------------------------------------------------------------- the files


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old text or the new, on disk before this returns."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_manifest(version: Path, manifest: Manifest) -> None:
    write_whole(version / "manifest.json", json.dumps(asdict(manifest), indent=2, ensure_ascii=False))


def pointer(folder: Path) -> str | None:
    """What CURRENT says, None where there is none."""
    try:
        return (folder / "CURRENT").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _holds(folder: Path) -> Mapping[str, Sequence[str]]:
    """By version, the content hashes that are held back while it serves; none where the file is gone or damaged."""
    try:
        found = json.loads((folder / "PINNED").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lift(folder: Path) -> None:
    """End every hold. One that cannot be removed no longer counts once another version serves."""
    with contextlib.suppress(OSError):
        (folder / "PINNED").unlink()


def _names(folder: Path) -> list[str]:
    """The versions on disk, whole or not, by number; folders of other names are not ours."""
    versions = folder / "versions"
    names = [each.name for each in versions.iterdir() if each.is_dir()] if versions.is_dir() else []
    return sorted((name for name in names if name.isdecimal()), key=int)


def _there(folder: Path) -> list[str]:
    """As `_names`. Raises IndexRefused where there is none."""
    if not (names := _names(folder)):
        raise IndexRefused(f"there is no index in {folder}. {ingest_again(folder)}")
    return names


def _next_name(folder: Path) -> str:
    return f"{max(map(int, _names(folder)), default=0) + 1:04d}"


def _remove(version: Path) -> None:
    """The manifest first: what a crash leaves of it is then no version any more."""
    (version / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(version)


def _remove_partial(folder: Path) -> None:
    for name in _names(folder):
        if not (folder / "versions" / name / "manifest.json").is_file():
            shutil.rmtree(folder / "versions" / name)


def _discard(folder: Path, version: Path) -> None:
    """Remove a version that could not be finished, unless it serves: the pointer may have moved before the error."""
    if pointer(folder) != version.name:
        shutil.rmtree(version, ignore_errors=True)

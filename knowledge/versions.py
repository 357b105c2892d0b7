"""The versions of an index folder: one is written beside the serving one, and then the pointer moves at once.

    index/CURRENT          "0003"
    index/versions/0003/   a whole version; its manifest.json is written last
    index/WRITER           locked by the one process that writes

A folder under `versions` without a manifest was left by a crash: nothing serves it, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from shopbot.errors import IndexRefused, StoreError

FORMAT = 1
"""Raised when the files of a version change their meaning; another number is refused."""

KEPT = 3
"""Versions left on disk, the serving one included."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version holds and what made it. `content` is a hash over all passages.

    `weights` is the dense leg's share in the fusion by language, as far as it was learned; the key "" is for all others.
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
    format: int = FORMAT


def current(folder: Path) -> Path | None:
    """The serving version, None where nothing was ever ingested. Raises IndexRefused where the pointer leads nowhere."""
    try:
        name = (folder / "CURRENT").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
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


def ingest_again(folder: Path) -> str:
    """What to type when an index cannot be used."""
    return f"Make it again: shopbot ingest --shop DIR, or python -m knowledge.ingest DOCS --index {folder}"


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
        shutil.rmtree(path, ignore_errors=True)
        raise StoreError(not_written(folder, error)) from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def publish(folder: Path, version: Path, manifest: Manifest) -> None:
    """Write the manifest, point CURRENT at the version in one step, and remove versions that are no longer kept."""
    _write_manifest(version, manifest)
    write_whole(folder / "CURRENT", version.name)
    for old in _names(folder)[:-KEPT]:
        shutil.rmtree(folder / "versions" / old, ignore_errors=True)


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


def _names(folder: Path) -> list[str]:
    versions = folder / "versions"
    return sorted(each.name for each in versions.iterdir() if each.is_dir()) if versions.is_dir() else []


def _next_name(folder: Path) -> str:
    numbers = [int(name) for name in _names(folder) if name.isdigit()]
    return f"{max(numbers, default=0) + 1:04d}"


def _remove_partial(folder: Path) -> None:
    for name in _names(folder):
        if not (folder / "versions" / name / "manifest.json").is_file():
            shutil.rmtree(folder / "versions" / name)

"""Vectors of questions that are compared with at every start, such as labelled examples, kept in a file.

A start encodes only the texts that the file does not hold. The file is derived: where it cannot be read it is made
anew, and what no one asks for any more is dropped from it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.embed import SentenceEmbedder

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many texts are encoded and how many there are to encode."""


def stored_vectors(
    folder: Path, texts: Sequence[str], embedder: SentenceEmbedder, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Vectors of `texts` as questions, shape (n, dimension), of length 1; those not yet in `folder` are encoded.

    Every embedder has a file of its own there. Where it cannot be written, the next start encodes again.
    """
    path = folder / f"examples-{_digest(f'{embedder.name} {embedder.prompts} {embedder.dimension}')}.npz"
    stored = _read(path, embedder.dimension)
    keys = [_digest(text) for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in stored}
    if missing:
        encoded = embedder.embed_array(list(missing.values()), query=True, progress=progress)
        stored |= dict(zip(missing, encoded, strict=True))
        _write(path, {key: stored[key] for key in keys})
    return np.array([stored[key] for key in keys], dtype=np.float32).reshape(len(keys), embedder.dimension)


def _read(path: Path, dimension: int) -> dict[str, NDArray[np.float32]]:
    """What the file holds; nothing where there is none or it is damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            keys, vectors = file["keys"], file["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    whole = vectors.shape == (len(keys), dimension) and vectors.dtype == np.float32
    return dict(zip(keys.tolist(), vectors, strict=True)) if whole else {}


def _write(path: Path, stored: dict[str, NDArray[np.float32]]) -> None:
    """Replace the file in one step; two processes that start at once write the same."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, keys=np.array(list(stored), dtype=np.str_), vectors=np.array(list(stored.values())))
        partial.replace(path)
    except OSError as error:
        log.warning("%s could not be written, so that the next start encodes the examples again: %s", path, error)
        if partial.exists():
            partial.unlink()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]

"""The knowledge index: passages and their vectors in Chroma on disk, and beside it the arrays that reading needs.

A version folder holds `chroma/` (the record: id, vector, text, metadata of each passage), `vectors.npy` (the same vectors as one
matrix, for exact search under any filter), `sentences.npy` and `sentences.json` (a vector for each sentence of each passage, so that
reading encodes nothing). The only importer of chromadb.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from knowledge import versions
from knowledge.documents import sentences
from knowledge.embed import SentenceEmbedder
from knowledge.versions import Manifest
from shopbot.errors import IndexRefused, ShopError
from shopbot.types import Passage

COLLECTION = "passages"
DEFAULT_WEIGHTS: Mapping[str, float] = {"": 0.5}
SAME_MODEL_COSINE = 0.98
"""A stored sentence encoded again by the same model, in any precision, is at least this close to its stored vector."""

Progress = Callable[[str, int, int], None]
"""Called with a stage ("passages", "sentences", "writing"), how much is done, and of how much."""

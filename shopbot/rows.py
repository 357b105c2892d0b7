"""Reading a shop's files: JSON lines, JSON, CSV or Parquet, one row after the other, each knowing where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A record as its file holds it. `where` is "file:line" (Parquet, JSON: the row's number); `key` its key in a JSON object."""

    where: str
    key: str
    data: dict[str, Any]


def read_rows(spec: str, root: Path, problems: list[str] | None = None) -> Iterator[Row]:
    """The rows of `spec`, a path under `root` or "FILE.json#key".

    Malformed rows are left out and told of in `problems`; without such a list they raise ShopError, as does a file
    that is missing or of an unknown kind.
    """
    raise NotImplementedError
    yield

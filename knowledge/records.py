"""What an index keeps of its passages: a line of JSON each, in the order of the rows of its arrays.

The lines are read at every start, so they lie beside Chroma in a plain file, which is read much faster than its database.
Their hash is the content of a version: equal lines, equal index.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

from shopbot.types import Passage, PassageKind

FILE = "passages.jsonl"


def unique(passages: Iterable[Passage]) -> list[Passage]:
    """The passages, each id once: its first."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.id, passage)
    return list(first.values())


def fields_of(passage: Passage) -> dict[str, str | int | float | bool]:
    """What is known of a passage besides its id, its text and its own metadata; days as ISO 8601."""
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
    return fields


def line_of(passage: Passage) -> str:
    """A passage as a line, without its end."""
    kept: dict[str, Any] = {"id": passage.id, "text": passage.text, **fields_of(passage)}
    if passage.metadata:
        kept["metadata"] = dict(sorted(passage.metadata.items()))
    return json.dumps(kept, ensure_ascii=False)


def passage_of(line: str) -> Passage:
    """The passage of a line. Raises ValueError or KeyError."""
    kept: Mapping[str, Any] = json.loads(line)
    first, until = kept.get("valid_from"), kept.get("valid_until")
    return Passage(
        id=kept["id"],
        text=kept["text"],
        source=kept["source"],
        title=kept["title"],
        kind=cast(PassageKind, kept["kind"]),
        language=kept["language"],
        place=kept["place"],
        valid_from=date.fromisoformat(first) if first else None,
        valid_until=date.fromisoformat(until) if until else None,
        metadata=kept.get("metadata", {}),
    )


def content_hash(passages: Iterable[Passage]) -> str:
    """SHA-256 over everything that an index keeps of the passages, in their order, each id once."""
    return hash_of([line_of(passage) for passage in unique(passages)])


def hash_of(lines: Sequence[str]) -> str:
    """SHA-256 over lines."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def write_lines(folder: Path, lines: Sequence[str]) -> None:
    """Write the lines into a version, on disk before this returns."""
    with (folder / FILE).open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def read_lines(folder: Path) -> list[str]:
    """The lines of a version. Raises OSError or ValueError."""
    # JSON escapes every line feed, and `splitlines` would also part at other characters.
    return (folder / FILE).read_bytes().decode("utf-8", "surrogatepass").split("\n")[:-1]

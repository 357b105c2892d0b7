"""Reading a shop's files: JSON lines, JSON, CSV or Parquet, one row after the other, each knowing where it stands.

Real exports vary: the delimiter of a CSV is found by looking, a byte-order mark is skipped, and text that is not UTF-8
is read as Latin-1 and told of. What cannot be read is left out, with its place; the rest goes in.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from shopbot.errors import ShopError

DELIMITERS = ",;|\t#"
_SAMPLE_LINES = 200
_Quoting = Literal[0, 3]
_QUOTINGS: tuple[_Quoting, ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
_LARGEST_FIELD = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A record as its file holds it.

    `where` is "file:line"; in JSON "file: key" or "file: record 3", in Parquet "file: row 3". `key` is the record's
    key where a JSON object holds it, else "".
    """

    where: str
    key: str
    data: dict[str, Any]


class Problems:
    """Where malformed rows are told of: in a list, or by raising ShopError if there is none."""

    def __init__(self, lines: list[str] | None) -> None:
        self.lines = lines

    def note(self, where: str, what: str) -> None:
        """Tell of something at `where` that was read, but with doubt."""
        if self.lines is not None:
            self.lines.append(f"{where}: {what}")

    def add(self, where: str, what: str) -> None:
        """Tell of something at `where` that was left out."""
        line = f"{where}: {what}"
        if self.lines is None:
            raise ShopError(line)
        self.lines.append(line)


def read_rows(spec: str, root: Path, problems: list[str] | None = None) -> Iterator[Row]:
    """The rows of `spec`: a path, relative to `root` or absolute, or "FILE.json#key".

    Malformed rows are left out and told of in `problems`; without such a list they raise ShopError, as does a file
    that is missing or of an unknown kind.
    """
    name, key = _split(spec)
    path = root / name
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ShopError(f"{name}: cannot read a {path.suffix or 'file without suffix'}; give {', '.join(_READERS)}")
    if not path.is_file():
        raise ShopError(f"{name}: no such file in {root}; correct the name in shop.toml or put the file there")
    yield from reader(path, path.name if Path(name).is_absolute() else name, key, Problems(problems))


def _split(spec: str) -> tuple[str, str]:
    """The file and the key: "#" only separates them after ".json", since a file name may hold one."""
    head, mark, key = spec.rpartition("#")
    return (head, key) if mark and head.lower().endswith(".json") else (spec, "")


def read_text(path: Path, shown: str, problems: Problems) -> str:
    """A text file: UTF-8 with or without a mark, UTF-16 with one, else Latin-1 (told of)."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.note(f"{shown}:{line}", "not UTF-8, so read as Latin-1; save the file as UTF-8 if letters look wrong")
        return raw.decode("latin-1")


# ---------------------------------------------------------------- JSON


def _read_jsonl(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    # Not splitlines(): it also breaks at characters that may stand inside a JSON string (U+2028, form feed).
    for number, line in enumerate(read_text(path, shown, problems).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{shown}:{number}"
        try:
            data = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(where, f"not JSON ({error.msg} at column {error.colno}); row left out")
            continue
        if isinstance(data, dict):
            yield Row(where, "", data)
        else:
            problems.add(where, f"not an object but {_kind(data)}; row left out")


def _read_json(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    try:
        data = json.loads(read_text(path, shown, problems))
    except json.JSONDecodeError as error:
        raise ShopError(f"{shown}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    if key:
        data = _under(data, key, shown)
    if isinstance(data, dict):
        rows = [(f"{shown}: {name}", str(name), value) for name, value in data.items()]
    elif isinstance(data, list):
        rows = [(f"{shown}: record {number}", "", value) for number, value in enumerate(data, 1)]
    else:
        raise ShopError(f"{shown}: expected a list or an object of records, found {_kind(data)}")
    for where, name, value in rows:
        if isinstance(value, dict):
            yield Row(where, name, value)
        else:
            problems.add(where, f"not an object but {_kind(value)}; row left out")


def _under(data: Any, key: str, shown: str) -> Any:
    if not isinstance(data, dict) or key not in data:
        has = ", ".join(list(data)[:8]) if isinstance(data, dict) else _kind(data)
        raise ShopError(f"{shown}: no key '{key}'; it holds {has}")
    return data[key]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


# ---------------------------------------------------------------- CSV


def _read_csv(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    text = read_text(path, shown, problems)
    csv.field_size_limit(_LARGEST_FIELD)
    delimiter, quoting = sniff(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    header: list[str] = []
    start = 1
    for fields in reader:
        where, start = f"{shown}:{start}", reader.line_num + 1
        if not any(field.strip() for field in fields):
            continue
        if not header:
            header = [field.strip() or f"column {number}" for number, field in enumerate(fields, 1)]
        elif len(fields) > len(header):
            problems.add(where, f"{len(fields)} fields where the header has {len(header)}; row left out")
        else:
            padded = [*fields, *[""] * (len(header) - len(fields))]
            yield Row(where, "", {name: field.strip() for name, field in zip(header, padded, strict=True)})


def sniff(text: str) -> tuple[str, _Quoting]:
    """The delimiter and quoting under which most rows have as many fields as the header, and the header the most."""
    lines = text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    scores: dict[tuple[str, _Quoting], tuple[float, int]] = {}
    for delimiter in DELIMITERS:
        for quoting in _QUOTINGS:
            rows = [row for row in csv.reader(lines, delimiter=delimiter, quoting=quoting) if row]
            if rows and len(rows[0]) > 1:
                even = sum(len(row) == len(rows[0]) for row in rows) / len(lines)
                scores[delimiter, quoting] = (even, len(rows[0]))
    return max(scores, key=lambda way: scores[way], default=(",", _QUOTINGS[0]))


# ---------------------------------------------------------------- Parquet


def _read_parquet(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ShopError(f"{shown}: reading Parquet needs pyarrow; install it, or export the file as CSV") from error
    try:
        batches = [batch.to_pylist() for batch in parquet.ParquetFile(path).iter_batches()]
    except (OSError, ValueError) as error:
        raise ShopError(f"{shown}: not a readable Parquet file ({error})") from error
    for number, record in enumerate((record for batch in batches for record in batch), 1):
        yield Row(f"{shown}: row {number}", "", plain(record))


def plain(value: Any) -> Any:
    """A value as JSON would hold it: days and times as ISO text, decimals as numbers."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, date):  # a datetime is a date, too
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_READERS = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}

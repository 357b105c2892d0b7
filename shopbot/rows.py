"""Reading a shop's files: JSON lines, JSON, CSV or Parquet, one row after the other, each knowing where it stands.

Real exports vary: the delimiter of a CSV is found by looking, a byte-order mark is skipped, and text that is not UTF-8
is read as GB18030 or Latin-1 and told of. What cannot be read is left out, with its place; the rest goes in.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
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
_LONGEST_ROW = 1_000_000
"""Characters of a line of JSON or a field of CSV. A longer one is a slip of the export, and would take minutes to index."""

_CHINESE = re.compile(rb"[\x81-\xfe]{4}")
"""Two characters of GB18030 in a row. Latin-1 text hardly ever has four letters beyond ASCII side by side."""


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
    """A text file: UTF-8 with or without a mark, UTF-16 with one, else GB18030 or Latin-1 (told of).

    Raises ShopError where a file with the mark of UTF-16 is none, as when it was cut off.
    """
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError as error:
            line = raw.decode("utf-16", "replace").count("\n") + 1
            raise ShopError(f"{shown}:{line}: not whole UTF-16 ({error.reason}); save it as UTF-8") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        text, encoding = _decoded(raw)
        what = f"not UTF-8, so read as {encoding}; save the file as UTF-8 if letters look wrong"
        problems.note(f"{shown}:{line}", what)
        return text


def _decoded(raw: bytes) -> tuple[str, str]:
    """Text that is not UTF-8, and the encoding that it seems to have."""
    if _CHINESE.search(raw):
        try:
            return raw.decode("gb18030"), "GB18030"
        except UnicodeDecodeError:
            pass
    return raw.decode("latin-1"), "Latin-1"


# ---------------------------------------------------------------- JSON


def _read_jsonl(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    text = read_text(path, shown, problems)
    if re.match(r"\s*\[\s*[\[{]", text):
        raise ShopError(
            f"{shown}:1: a JSON list, not an object a line; rename the file to {path.stem}.json, in shop.toml too"
        )
    # Not splitlines(): it also breaks at characters that may stand inside a JSON string (U+2028, form feed).
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{shown}:{number}"
        try:
            data = _json(line)
        except _NotJson as error:
            problems.add(where, f"{error}; row left out")
            continue
        if isinstance(data, dict):
            yield Row(where, "", data)
        else:
            problems.add(where, f"not an object but {_kind(data)}; row left out")


class _NotJson(ValueError):
    """Text that is not JSON, or holds what no record can; `line` is where in the text."""

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line


def _json(text: str, longest: int | None = _LONGEST_ROW) -> Any:
    """JSON of finite numbers, at most `longest` characters of it. Raises _NotJson."""
    if longest is not None and len(text) > longest:
        raise _NotJson(f"too long: {len(text):,} characters, more than {longest:,}")
    try:
        return json.loads(text, parse_constant=_refused, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise _NotJson(f"not JSON ({error.msg} at column {error.colno})", error.lineno) from error
    except RecursionError as error:
        raise _NotJson("nested too deep") from error


def _refused(constant: str) -> float:
    raise _NotJson(f"{constant} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refused(digits)


def _read_json(path: Path, shown: str, key: str, problems: Problems) -> Iterator[Row]:
    try:
        data = _json(read_text(path, shown, problems), None)
    except _NotJson as error:
        raise ShopError(f"{shown}:{error.line}: {error}") from error
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
    header: list[str] = []
    for where, fields in _csv_rows(text, shown, problems):
        if not header:
            header = [field.strip() or f"column {number}" for number, field in enumerate(fields, 1)]
        elif len(fields) > len(header):
            problems.add(where, f"{len(fields)} fields where the header has {len(header)}; row left out")
        else:
            padded = [*fields, *[""] * (len(header) - len(fields))]
            yield Row(where, "", {name: field.strip() for name, field in zip(header, padded, strict=True)})


def _csv_rows(text: str, shown: str, problems: Problems) -> Iterator[tuple[str, list[str]]]:
    """Each row that is not empty, with its place."""
    csv.field_size_limit(_LONGEST_ROW)
    delimiter, quoting = sniff(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    start = 1
    while True:
        where = f"{shown}:{start}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(where, f"{error}; row left out")
            fields = []
        start = reader.line_num + 1
        if any("\0" in field for field in fields):
            problems.add(where, "a NUL byte in it; row left out")
        elif any(field.strip() for field in fields):
            yield where, fields


def sniff(text: str) -> tuple[str, _Quoting]:
    """The delimiter and quoting under which most rows have as many fields as the header, and the header the most."""
    lines = text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    scores: dict[tuple[str, _Quoting], tuple[float, int]] = {}
    for delimiter in DELIMITERS:
        for quoting in _QUOTINGS:
            rows = _rows_under(lines, delimiter, quoting)
            if rows and len(rows[0]) > 1:
                even = sum(len(row) == len(rows[0]) for row in rows) / len(lines)
                scores[delimiter, quoting] = (even, len(rows[0]))
    return max(scores, key=lambda way: scores[way], default=(",", _QUOTINGS[0]))


def _rows_under(lines: list[str], delimiter: str, quoting: _Quoting) -> list[list[str]]:
    """The rows of some lines; none where they cannot be read so."""
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter, quoting=quoting) if row]
    except csv.Error:
        return []


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

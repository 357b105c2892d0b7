"""CSV, JSON lines, JSON and Parquet as rows, one after the other, each knowing its line.

A row that cannot be read comes out as an `Unreadable` in its place, and the rows behind it follow. What the columns of a row
mean is the matter of `from_table.py`.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from knowledge.blocks import Unreadable

if TYPE_CHECKING:
    from pyarrow import RecordBatch

DELIMITERS = ",;\t|#"
LONGEST_ROW = 1_000_000
"""Characters of a line of JSON or a cell of CSV. A longer one is a slip of the export, and would take minutes to encode."""

MOST_LINES, FEWEST_LINES = 5000, 50
"""Of one row of CSV. Where it goes on for longer, a quote was opened and not closed; each time half as much is let pass from there."""

_SAMPLE_LINES = 200
_NO_QUOTES_GAIN = 0.2
"""By this share of the rows a file must be more even with its quotes taken as letters, for them to be letters."""
_BATCH_ROWS = 1000
_Quoting = Literal[0, 3]
_QUOTINGS: tuple[_Quoting, ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
_WRONG_BYTE = re.compile("[\udc80-\udcff]")
"""How a byte that is no UTF-8 is read with `surrogateescape`."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row with the names of their columns, in the order of the file.

    `line` is where the row begins; in Parquet, which has no lines, it is the number of the row, from 1.
    """

    line: int
    cells: list[tuple[str, Any]]


Rows = Iterator[Row | Unreadable]


# ---------------------------------------------------------------- text


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file, without its mark of UTF-8; bytes that are none stay as `_WRONG_BYTE`."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_UTF_16):
        raise Unreadable("UTF-16, not UTF-8 text; save the file as UTF-8")
    if b"\0" in start:
        raise Unreadable("not text but binary; give it its right name, or remove the file")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        yield from file


def _wrong_byte(lines: list[str], start: int) -> Unreadable | None:
    """The first byte of these lines that is not UTF-8, with its line; the first of them is line `start`."""
    for number, line in enumerate(lines, start):
        if not line.isascii() and (match := _WRONG_BYTE.search(line)):
            byte = ord(match[0]) - 0xDC00
            return Unreadable(
                f"not UTF-8 text (byte 0x{byte:02X}, character {match.start() + 1}); save it as UTF-8", number
            )
    return None


# ---------------------------------------------------------------- JSON


def read_jsonl(path: Path) -> Rows:
    """An object a line. Raises Unreadable where the file is one list, OSError where it cannot be opened."""
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        if number == 1 and re.fullmatch(r"\s*\[\s*(?:\{.*)?", line, re.DOTALL):
            raise Unreadable(f"a JSON list, not an object a line; rename the file to {path.stem}.json")
        yield _wrong_byte([line], number) or _of_json(line, number)


def _of_json(line: str, number: int) -> Row | Unreadable:
    if len(line) > LONGEST_ROW:
        return Unreadable(f"too long: {len(line):,} characters, more than {LONGEST_ROW:,}; cut it into several", number)
    try:
        return _row(_decoder().decode(line), number)
    except json.JSONDecodeError as error:
        return Unreadable(f"not JSON ({error.msg}, character {error.colno}); write one object a line", number)
    except (ValueError, RecursionError) as error:
        return Unreadable(f"JSON that cannot be read ({error}); mend the line", number)


def _decoder() -> json.JSONDecoder:
    """NaN and Infinity, which some programs write, are no values."""
    return json.JSONDecoder(parse_constant=lambda _: None)


def _row(value: Any, line: int) -> Row | Unreadable:
    if not isinstance(value, dict):
        return Unreadable('not an object; write {"id": …, "title": …, "text": …}', line)
    return Row(line, list(value.items()))


def read_json(path: Path) -> Rows:
    """A list of objects. Behind one that is not JSON nothing can be read. Raises Unreadable where it is no list."""
    lines = list(_lines(path))
    if wrong := _wrong_byte(lines, 1):
        raise wrong
    text = "".join(lines)
    place, line, decoder = _behind(r"\s*\[", text, 0), 1, _decoder()
    if place is None:
        raise Unreadable("not a list of objects; write [{…}, {…}], or an object a line into a .jsonl file")
    counted = 0
    while (start := _behind(r"[\s,]*(?=[^\s,\]])", text, place)) is not None:
        line, counted = line + text.count("\n", counted, start), start
        try:
            value, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            at = error.lineno if isinstance(error, json.JSONDecodeError) else line
            yield Unreadable(f"not JSON from here on ({error}); mend it: what stands behind it is left out too", at)
            return
        yield _row(value, line)
    if _behind(r"[\s,]*\]", text, place) is None:
        yield Unreadable("the list is not closed; is the file whole?", text.count("\n") + 1)


def _behind(pattern: str, text: str, place: int) -> int | None:
    match = re.compile(pattern).match(text, place)
    return match.end() if match else None


# ---------------------------------------------------------------- CSV


class _Records:
    """The lines of a CSV for its reader, one record at a time; lines of a record that turned out to be none are given again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._most = MOST_LINES
        self.record: list[str] = []
        self.is_cut = False

    def begin(self) -> None:
        self.record, self.is_cut = [], False

    def take_back(self) -> None:
        """Keep the first line of the record only."""
        if self.is_cut:
            self._most = max(self._most // 2, FEWEST_LINES)
        self._again.extendleft(reversed(self.record[1:]))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = None
        if len(self.record) < self._most:
            line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:  # a record that has begun asks for more only inside a quote
            self.is_cut = bool(self.record)
            raise StopIteration
        self.record.append(line)
        return line


def read_csv(path: Path) -> Rows:
    """Rows under a header; delimiter and quoting are found by looking. Raises Unreadable where there is no header."""
    header: list[str] = []
    for line, cells in _csv_records(path):
        if isinstance(cells, Unreadable):
            if not header:
                raise cells
            yield cells
        elif not any(cell.strip() for cell in cells):
            continue
        elif not header:
            header = _header(cells)
        else:
            while len(cells) > len(header) and not cells[-1].strip():
                cells.pop()
            if len(cells) == len(header):
                yield Row(line, list(zip(header, cells, strict=True)))
            else:
                what = f"{len(cells)} cell{'s' * (len(cells) != 1)} where the header has {len(header)}"
                yield Unreadable(f"{what}; put text that holds the delimiter between quotes", line)


def _header(cells: list[str]) -> list[str]:
    """The names of the columns, each its own."""
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        name = cell.strip() or f"column {number}"
        names[name if name not in names else f"{name} {number}"] = None
    return list(names)


def _csv_records(path: Path) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Each record with the line on which it begins."""
    csv.field_size_limit(LONGEST_ROW)
    delimiter, quoting = sniff(list(itertools.islice(_lines(path), _SAMPLE_LINES)))
    records, line = _Records(_lines(path)), 1
    while True:
        records.begin()
        try:
            cells = next(csv.reader(records, delimiter=delimiter, quoting=quoting), None)
            wrong = _csv_fault(records, delimiter, quoting)
        except csv.Error as error:
            cells, wrong = [], f"{error}; mend the row"
        if cells is None:
            return
        if wrong:
            records.take_back()
            yield line, Unreadable(wrong, line)
            line += 1
        else:
            yield line, _wrong_byte(records.record, line) or cells
            line += len(records.record)


def _csv_fault(records: _Records, delimiter: str, quoting: _Quoting) -> str:
    """What is wrong with the record just read; "" if nothing. One of several lines must be right in every quote."""
    is_whole = not records.is_cut
    if is_whole and len(records.record) > 1:
        try:
            next(csv.reader(records.record, delimiter=delimiter, quoting=quoting, strict=True))
        except csv.Error:
            is_whole = False
    return "" if is_whole else "a quote is opened and not closed; close it, or write quotes inside a text twice"


def sniff(lines: list[str]) -> tuple[str, _Quoting]:
    """The delimiter and quoting under which most rows have as many cells as the header, and the header the most."""
    scores: dict[tuple[str, _Quoting], tuple[bool, float, int]] = {}
    for delimiter, quoting in itertools.product(DELIMITERS, _QUOTINGS):
        sizes = _sizes(lines, delimiter, quoting)
        cells = sizes[0][0] if sizes else 0
        even = sum(size == cells for size, _ in sizes)
        uneven = sum(spanned for size, spanned in sizes if size != cells)
        share = even / max(even + uneven, 1)
        if quoting == csv.QUOTE_NONE:  # one quote that is left open must not make all others letters
            share -= _NO_QUOTES_GAIN
        # A header that falls apart counts first: text without the delimiter is even, too.
        scores[delimiter, quoting] = (cells > 1 and even * 2 > uneven, share, cells)
    return max(scores, key=lambda way: scores[way])


def _sizes(lines: list[str], delimiter: str, quoting: _Quoting) -> list[tuple[int, int]]:
    """How many cells each row of some lines has, and how many lines it spans; none where they cannot be read so."""
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
    sizes: list[tuple[int, int]] = []
    before = 0
    try:
        for row in reader:
            if row:
                sizes.append((len(row), reader.line_num - before))
            before = reader.line_num
    except csv.Error:
        return []
    return sizes


# ---------------------------------------------------------------- Parquet


def read_parquet(path: Path) -> Rows:
    """Row after row, a batch in memory at a time. Raises Unreadable where it is no Parquet file, or pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise Unreadable("reading Parquet needs pyarrow; install it, or export the file as CSV") from error
    try:
        with path.open("rb") as handle, parquet.ParquetFile(handle) as file:
            rows = (row for batch in file.iter_batches(_BATCH_ROWS) for row in _microseconds(batch).to_pylist())
            for number, row in enumerate(rows, 1):
                yield Row(number, [(name, value) for name, value in row.items() if not name.startswith("__index")])
    except (pyarrow.ArrowException, ValueError) as error:
        raise Unreadable(f"not a whole Parquet file ({str(error).splitlines()[0]}); write it again") from error


def _microseconds(batch: RecordBatch) -> RecordBatch:
    """Times in nanoseconds, as pandas writes them, in what Python's own can hold."""
    import pyarrow

    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            kind = pyarrow.timestamp("us", field.type.tz)
            batch = batch.set_column(place, field.name, batch.column(place).cast(kind, safe=False))
    return batch


ROWS: dict[str, Callable[[Path], Rows]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
}
"""How a table is read, by the end of its name."""

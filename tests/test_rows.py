"""Reading a shop's files: every form a real export comes in, and what is said of lines that cannot be read."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbot import typed
from shopbot.errors import ShopError
from shopbot.rows import read_rows


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


# ---------------------------------------------------------------- files


def test_json_lines_tell_the_line_of_what_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", '\ufeff{"a": 1}\n\n{"a": \n[1]\n{"a": "\u2028"}\n')
    problems: list[str] = []
    rows = list(read_rows("x.jsonl", tmp_path, problems))
    assert [(row.where, row.data) for row in rows] == [("x.jsonl:1", {"a": 1}), ("x.jsonl:5", {"a": "\u2028"})]
    assert problems == [
        "x.jsonl:3: not JSON (Expecting value at column 7); row left out",
        "x.jsonl:4: not an object but a list; row left out",
    ]


def test_without_a_list_for_problems_they_are_errors(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", "{")
    with pytest.raises(ShopError, match=r"x\.jsonl:1: not JSON"):
        list(read_rows("x.jsonl", tmp_path))


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ("list.json", ["", ""]),
        ("object.json", ["one", "two"]),
        ("nested.json#rows", ["", ""]),
        ("nested.json#by", ["k"]),
    ],
)
def test_json_as_a_list_an_object_or_under_a_key(tmp_path: Path, spec: str, keys: list[str]) -> None:
    write(tmp_path, "list.json", '[{"a": 1}, {"a": 2}]')
    write(tmp_path, "object.json", '{"one": {"a": 1}, "two": {"a": 2}}')
    write(tmp_path, "nested.json", '{"rows": [{"a": 1}, {"a": 2}], "by": {"k": {"a": 1}}}')
    assert [row.key for row in read_rows(spec, tmp_path)] == keys


def test_a_key_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, "x.json", '{"products": {}, "orders": {}}')
    with pytest.raises(ShopError, match="no key 'product'; it holds products, orders"):
        list(read_rows("x.json#product", tmp_path))


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", "#"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_of_any_delimiter_and_unicode_encoding(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [["id", "title", "note"], ["1", "Café", 'said "so"'], ["2", "竖琴", ""]]
    write(tmp_path, "x.csv", "\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    rows = list(read_rows("x.csv", tmp_path))
    assert [row.data for row in rows] == [
        {"id": "1", "title": "Café", "note": 'said "so"'},
        {"id": "2", "title": "竖琴", "note": ""},
    ]
    assert [row.where for row in rows] == ["x.csv:2", "x.csv:3"]


def test_csv_cells_in_quotes_may_hold_delimiters_and_lines(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", 'id,name\n1,"a, b\nc"\n2,d\n')
    rows = list(read_rows("x.csv", tmp_path))
    assert [row.data["name"] for row in rows] == ["a, b\nc", "d"]
    assert [row.where for row in rows] == ["x.csv:2", "x.csv:4"]


def test_csv_with_quotes_that_mean_inches_is_read_without_quoting(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", 'id|name\n1|"8 inch" case\n2|"9 inch case\n3|bow\n')
    names = [row.data["name"] for row in read_rows("x.csv", tmp_path)]
    assert len(names) == 3
    assert names[2] == "bow"


def test_csv_rows_of_the_wrong_length(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", "id,name,price\n1,a,2\n2,b,3,4\n3,c\n")
    problems: list[str] = []
    rows = list(read_rows("x.csv", tmp_path, problems))
    assert [row.data["id"] for row in rows] == ["1", "3"]
    assert rows[1].data["price"] == ""
    assert problems == ["x.csv:3: 4 fields where the header has 3; row left out"]


def test_text_that_is_not_utf8_is_read_as_latin_1_and_told_of(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", "id,name\n1,a\n2,Café\n".encode("latin-1"))
    problems: list[str] = []
    assert [row.data["name"] for row in read_rows("x.csv", tmp_path, problems)] == ["a", "Café"]
    assert problems == ["x.csv:3: not UTF-8, so read as Latin-1; save the file as UTF-8 if letters look wrong"]


def test_parquet_with_days_decimals_and_nested_values(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = pyarrow.table({"id": ["1"], "day": [date(2026, 1, 2)], "price": [Decimal("9.50")], "tags": [["a", "b"]]})
    parquet.write_table(table, tmp_path / "x.parquet")
    [row] = read_rows("x.parquet", tmp_path)
    assert row.data == {"id": "1", "day": "2026-01-02", "price": 9.5, "tags": ["a", "b"]}
    assert row.where == "x.parquet: row 1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.jsonl", None, r"gone\.jsonl: no such file in .*; correct the name in shop\.toml"),
        ("x.xlsx", b"", r"x\.xlsx: cannot read a \.xlsx; give \.jsonl, "),
        ("x.json", b'{"a": ', r"x\.json:1: not JSON"),
        ("x.json", b"3", r"x\.json: expected a list or an object of records, found a number"),
        ("x.parquet", b"PAR1 but not really", r"x\.parquet: not a readable Parquet file"),
    ],
)
def test_files_that_cannot_be_read_at_all(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        write(tmp_path, name, content)
    with pytest.raises(ShopError, match=message):
        list(read_rows(name, tmp_path, []))


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("written", "price"),
    [
        (12.5, "12.5"),
        ("$1,299.00", "1299.00"),
        ("£ 1 299.50", "1299.50"),
        ("1.299,00 €", "1299.00"),
        ("1299,5", "1299.5"),
        ("1,299", "1299"),
        ("CNY 88", "88"),
        ("¥88", "88"),
        ("88元", "88"),
        ("1.234.567", "1234567"),
        ("0.0", None),
        (0, None),
        ("", None),
        ("n/a", None),
        ("-", None),
        (None, None),
    ],
)
def test_prices_as_exports_write_them(written: Any, price: str | None) -> None:
    assert typed.read_price(written) == (None if price is None else Decimal(price))


@pytest.mark.parametrize("written", ["abc", "12 or 13", True, float("nan"), float("inf"), [1], -1, "-3.50"])
def test_what_is_no_price_is_refused(written: Any) -> None:
    with pytest.raises(typed.BadRecord, match="price"):
        typed.read_price(written)


@given(st.decimals(min_value="0.01", max_value="9999999", places=2), st.sampled_from(["{:.2f}", "{:,.2f}", "${:,.2f}"]))
def test_prices_survive_being_written(price: Decimal, form: str) -> None:
    assert typed.read_price(form.format(price)) == price

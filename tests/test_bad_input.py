"""Bad input: the essential cases as a person meets them, and the judge of the cases, shown to see what it must."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bad_input.case import PRODUCTS, SMALL_SHOP, faults, order, whole
from benchmarks.bad_input.person import Ran
from shopbot.config import read_config
from shopbot.errors import ShopError
from shopbot.records import ShopData
from shopbot.rows import read_rows

ROOT = Path(__file__).resolve().parent.parent
ESSENTIAL = ("catalog: with a scanned PDF", "shop.toml: an unknown key", "port: in use", "weights: embedder half")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The rows of the quick benchmark, by name: real commands in processes of their own."""
    written = tmp_path_factory.mktemp("bad_input") / "rows.json"
    call = [sys.executable, "-m", "benchmarks.bad_input", "--quick", "--json", str(written)]
    subprocess.run(call, cwd=ROOT, check=False, timeout=240, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    return {row["what"]: row for row in json.loads(written.read_text("utf-8"))["rows"]}


@pytest.mark.parametrize("name", [*ESSENTIAL, "index: disk full during an ingest"])
def test_an_error_is_clear_and_what_served_before_serves(rows: dict[str, dict[str, Any]], name: str) -> None:
    [row] = [row for what, row in rows.items() if what.startswith(name)]
    assert row["holds"], row["value"]


# ---------------------------------------------------------------- the judge


@pytest.mark.parametrize(
    ("ran", "wrong"),
    [
        (Ran(2, "", "x.jsonl:2: not JSON; row left out"), ""),
        (Ran(1, "", "x.jsonl:2: not JSON; row left out"), "exit 1, not 2"),
        (Ran(2, "", "x.jsonl: not JSON"), "does not say"),
        (
            Ran(2, "", "x.jsonl:2: not JSON\nTraceback (most recent call last):\nKeyError: 'x'"),
            "a stack trace: KeyError",
        ),
    ],
)
def test_the_judge_sees_what_is_wrong(ran: Ran, wrong: str) -> None:
    found = "; ".join(faults(ran, 2, r"x\.jsonl:2: not JSON"))
    assert found.startswith(wrong) if wrong else not found


def test_the_judge_sees_a_half_version(tmp_path: Path) -> None:
    (tmp_path / "versions/0001").mkdir(parents=True)
    (tmp_path / "CURRENT").write_text("0001")
    assert list(whole(tmp_path)) == ["the serving version is not whole", "version 0001 is half there"]
    (tmp_path / "versions/0001/manifest.json").write_text("{}")
    assert list(whole(tmp_path)) == []


# ---------------------------------------------------------------- records of any shape

ODD: tuple[Any, ...] = (
    None,
    "",
    5,
    -1,
    1.5,
    True,
    [],
    {},
    "x",
    ["x"],
    [1, [2]],
    {"a": 1},
    {"a": {"b": 1}},
    [{}],
    [None],
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside a record."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from places(inner, (*path, key))


def with_odd_value(record: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    changed = deepcopy(record)
    *way, last = draw.choice(list(places(record)))
    inner: Any = changed
    for key in way:
        inner = inner[key]
    inner[last] = draw.choice(ODD)
    return changed


def test_a_value_of_any_kind_at_any_place_is_read_or_told_of(tmp_path: Path) -> None:
    draw = random.Random(7)
    account = {"user_id": "ann", "name": {"first_name": "Ann"}, "payment_methods": {"c": {"id": "c"}}, "orders": ["W1"]}
    full = order("W1", payment_history=[{"amount": 1}], fulfillments=[{"tracking_id": ["t"]}], address={"city": "x"})
    kinds = {
        "catalog": PRODUCTS[0] | {"i18n": {"zh": {"name": "灯"}}, "attributes": {"a": 1}},
        "orders": full,
        "shoppers": account,
    }
    told = 0
    for kind, record in kinds.items():
        for number in range(150):
            (tmp_path / "one.jsonl").write_text(json.dumps(with_odd_value(record, draw)), "utf-8")
            data = ShopData.load(*("one.jsonl" if part == kind else None for part in kinds), tmp_path)
            held = len(data.all_products()) + sum(map(bool, map(data.order, data.orders))) + len(data.users)
            assert held or data.problems, (kind, number)
            assert all(data.orders_of(shopper) == [] for shopper in data.users)
            told += bool(data.problems)
    assert 50 < told < 400


# ---------------------------------------------------------------- lines and names


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1e400}', "1e400 is not a number"),
        ('{"a": ' + "[" * 100_000, "nested too deep"),
        ('{"a": "' + "x" * 1_000_001 + '"}', "too long: 1,000,010 characters"),
    ],
)
def test_a_line_that_no_record_can_have_is_left_out(tmp_path: Path, line: str, what: str) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' + line + '\n{"a": 2}\n')
    problems: list[str] = []
    assert [row.data["a"] for row in read_rows("x.jsonl", tmp_path, problems)] == [1, 2]
    [problem] = problems
    assert problem.startswith(f"x.jsonl:2: {what}")
    assert problem.endswith("row left out")


def test_chinese_that_is_not_utf8_is_read_and_told_of(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes('{"a": "云杉灯"}'.encode("gbk"))
    problems: list[str] = []
    assert [row.data for row in read_rows("x.jsonl", tmp_path, problems)] == [{"a": "云杉灯"}]
    assert problems[0].startswith("x.jsonl:1: not UTF-8, so read as GB18030")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Europe/London", "Europe/Londn", r":5: .*'Europe/Londn' is no time zone; write one such as \"Europe/London\""),
        ('"GBP"', '"pounds"', r":6: .*'pounds' is no currency"),
        ("2026-11-20", "2026-13-40", r":4: .*'2026-13-40' is no day"),
        ('"catalog.jsonl"', '"catalogue.jsonl"', r":10: .*did you mean 'catalog\.jsonl'"),
    ],
)
def test_a_slip_in_shop_toml_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    for name, text in SMALL_SHOP.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(old, new) if name == "shop.toml" else text, "utf-8")
    with pytest.raises(ShopError, match=said):
        read_config(tmp_path)

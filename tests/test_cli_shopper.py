"""`shopbot shopper`: what they write, refuse, ask and find, on a real shop with a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner, Result

from shopbot import Shop, retention, tables
from shopbot.cli_shopper import shopper_app
from shopbot.testing import FakeShop
from stored import talk
from test_retention import SECRET, converse, propose


def command(*arguments: str | Path, stdin: str = "") -> Result:
    app = typer.Typer()
    app.add_typer(shopper_app, name="shopper")
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env={"COLUMNS": "400"})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    folder = FakeShop().write(tmp_path / "shop")
    monkeypatch.setenv("SHOPBOT_SHOP", str(folder))
    monkeypatch.setenv("SHOPBOT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Shop.open(folder, home=tmp_path / "home") as shop:
        yield shop


def test_export_then_erase_by_command(shop: Shop) -> None:
    converse(shop.store, "ann_abel_1", 2, 2, SECRET)
    shown = command("shopper", "export", "ann_abel_1")
    assert (shown.exit_code, "2 sessions, 4 turns, 28 events" in shown.output) == (0, True)
    file = Path("ann_abel_1.json")
    assert json.loads(file.read_text("utf-8")) == retention.export(shop.store, "ann_abel_1")
    assert file.stat().st_mode & 0o777 == 0o600
    again = command("shopper", "export", "ann_abel_1")
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert command("shopper", "export", "ann_abel_1", "--force").exit_code == 0
    assert command("shopper", "erase", "ann_abel_1", stdin="n\n").exit_code == 1
    assert retention.count(shop.store, "ann_abel_1")["shopbot_turns"] == 4
    shown = command("shopper", "erase", "ann_abel_1", stdin="y\n")
    assert shown.exit_code == 0, shown.output
    assert "not shopbot's to erase" in shown.output
    assert "orders.jsonl" in shown.output
    assert set(retention.count(shop.store, "ann_abel_1").values()) == {0}


def test_what_still_names_them_is_told(shop: Shop) -> None:
    converse(shop.store, "ann_abel_1", 1, 1)
    talk(shop.store, "other", "tell ANN ABEL that Annabel waits", None)
    talk(shop.store, "longer", "this is of ann_abel_12", None)
    (shop.home / "bot.log").write_text("mail to ann_abel_1@mail.example")
    shown = command("shopper", "erase", "ann_abel_1", "--yes")
    assert shown.exit_code == 1
    found = [line for line in shown.stderr.splitlines() if line.startswith("Still found in")]
    assert sum("bot.log" in line for line in found) == 1
    assert any("the database: shopbot_turns" in line for line in found)
    assert len(shop.store.sessions()) == 2


def test_somebody_who_is_no_shopper_any_more_and_somebody_unknown(shop: Shop) -> None:
    converse(shop.store, "gone_long_ago", 1, 1)
    for words in ("export", "erase"):
        shown = command("shopper", words, "ann_able_1")
        assert (shown.exit_code, "did you mean 'ann_abel_1'?" in shown.stderr) == (2, True)
        assert "did you mean 'gone_long_ago'?" in command("shopper", words, "gone_long_agoo").stderr
    assert command("shopper", "export", "gone_long_ago", "--out", "new/gone.json").exit_code == 0
    assert command("shopper", "erase", "gone_long_ago", "--yes").exit_code == 0
    assert retention.shopper_ids(shop.store) == []


def test_an_open_action_and_retention_by_command(shop: Shop) -> None:
    propose(shop.store, "s", "ann_abel_1", talk(shop.store, "s", "cancel it", "ann_abel_1").id, "unknown")
    shown = command("shopper", "erase", "ann_abel_1", "--yes")
    assert (shown.exit_code, "cancel_order (unknown" in shown.stderr) == (2, True)
    assert command("shopper", "erase", "ann_abel_1", "--yes", "--force").exit_code == 0
    talk(shop.store, "old", "hello", None)
    with shop.store.writing() as connection:
        connection.execute(sa.update(tables.sessions).values(last_at=shop.now() - timedelta(days=91)))
    assert "Would be deleted: 1 sessions" in command("shopper", "retain", "--days", "90", "--dry-run").output
    assert "Deleted: 1 sessions, 1 turns, 7 events" in command("shopper", "retain", "--days", "90").output
    assert "Deleted: nothing" in command("shopper", "retain", "--days", "90").output


@pytest.mark.parametrize("words", [("shopper",), ("shopper", "export"), ("shopper", "erase"), ("shopper", "retain")])
def test_help_and_wrong_arguments(words: tuple[str, ...]) -> None:
    assert command(*words, "--help").exit_code == 0
    assert command(*words, "--nonsense").exit_code == 2
    assert command(*words).exit_code == 2
    assert command("shopper", "retain", "--days", "0").exit_code == 2
    assert command("shopper", "retain", "--days", "99999999").exit_code == 2

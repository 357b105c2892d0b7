"""What is kept of one shopper goes out whole or is gone, byte for byte, and old sessions go: on both databases."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, event

from processes import CONTEXT, die_at_statement, run, start
from shopbot import database, retention, tables, wire
from shopbot.errors import SessionBusy, StoreError, UsageError
from shopbot.journal import Journal
from shopbot.store import Store
from stored import NOW, events_of, talk

OLD = NOW - timedelta(days=100)
SECRET = "my secret is zanzibar"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


def propose(store: Store, session: str, shopper: str, turn_id: str, status: str = "done") -> str:
    """An action of a turn that has come as far as `status`; its key."""
    journal = Journal(store)
    key = journal.propose(session, turn_id, shopper, "cancel_order", {"order_id": "A1"}, {"say": session}, NOW).key
    if status != "proposed":
        journal.confirm(key, NOW)
    if status not in ("proposed", "confirmed"):
        journal.start(key, NOW)
    if status not in ("proposed", "confirmed", "running"):
        journal.finish(key, status, {"refund": "12.00"}, NOW)  # type: ignore[arg-type]
    return key


def converse(store: Store, shopper: str, sessions: int = 2, turns: int = 3, words: str = "hello") -> None:
    """Sessions with everything that can hang on one."""
    for session in (f"{shopper}-{number}" for number in range(sessions)):
        for number in range(turns):
            turn = talk(store, session, f"{words} {number}", shopper, state={"last": words})
            store.add_feedback(turn.id, 1, f"thanks, said {shopper}", NOW)
        propose(store, session, shopper, turn.id)
        with store.writing() as connection:
            hand_over(connection, session, turn.id)


def hand_over(connection: sa.Connection, session: str, turn_id: str) -> None:
    values: dict[str, Any] = {"id": f"h-{session}", "session_id": session, "turn_id": turn_id, "status": "given_back"}
    values |= {"packet": {}, "reasons": ["asked"], "opened_at": NOW, "person": "ann", "note": ""}
    connection.execute(sa.insert(tables.hand_overs), values)
    reply = {
        "session_id": session,
        "number": 1,
        "hand_over_id": f"h-{session}",
        "person": "ann",
        "text": "Hi",
        "at": NOW,
    }
    connection.execute(sa.insert(tables.replies), reply)


def rows(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in tables.metadata.tables.items()
        }


# ---------------------------------------------------------------- no table is forgotten


def forgotten(metadata: sa.MetaData) -> list[str]:
    """Tables whose rows are of nobody: neither a shopper's id nor a chain of foreign keys to sessions."""

    def session(table: sa.Table) -> sa.ColumnElement[bool] | None:
        return sa.true() if table.name == tables.sessions.name else None

    return [
        table.name
        for table in metadata.sorted_tables
        if "shopper_id" not in table.c and not list(retention._routes(table, session))
    ]


def test_every_table_leads_to_a_shopper() -> None:
    assert len(tables.metadata.tables) >= 7
    assert forgotten(tables.metadata) == []


def test_a_table_that_leads_to_nobody_is_seen() -> None:
    metadata = sa.MetaData()
    for table in tables.metadata.sorted_tables:
        table.to_metadata(metadata)
    sa.Table("shopbot_drafts", metadata, sa.Column("id", sa.String, primary_key=True))
    assert forgotten(metadata) == ["shopbot_drafts"]


def test_a_table_that_is_added_later_is_exported_and_erased(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = sa.MetaData()
    for table in tables.metadata.sorted_tables:
        table.to_metadata(metadata)
    no_cascade = sa.ForeignKey("shopbot_feedback.id")
    later = sa.Table(
        "shopbot_later", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("of", no_cascade)
    )
    converse(store, "mei", 1, 1)
    with store.writing() as connection:
        later.create(connection)
        connection.execute(
            sa.insert(later), {"id": 7, "of": connection.execute(sa.select(tables.feedback.c.id)).scalar()}
        )
    monkeypatch.setattr(tables, "metadata", metadata)
    [session] = retention.export(store, "mei")["shopbot_sessions"]
    feedback = session["shopbot_turns"][0]["shopbot_feedback"][0]
    assert feedback["shopbot_later"] == [{"id": 7, "of": feedback["id"]}]
    assert retention.erase(store, "mei")["shopbot_later"] == 1
    assert set(rows(store).values()) == {0}


# ---------------------------------------------------------------- export


def test_an_export_holds_all_that_the_store_gives(store: Store) -> None:
    converse(store, "mei", words="退货 \x00 \ud83d?")
    converse(store, "tom")
    content = retention.export(store, "mei")
    assert json.loads(json.dumps(content)) == content
    assert {one["id"] for one in content["shopbot_sessions"]} == {one.id for one in store.sessions("mei")}
    for session in content["shopbot_sessions"]:
        one = store.session(session["id"])
        turns = store.history(session["id"])
        assert without_rows(session) == wire.to_json(one)
        assert [without_rows(turn) for turn in session["shopbot_turns"]] == wire.to_json(turns)
        assert session["shopbot_actions"] == wire.to_json(Journal(store).of_session(session["id"]))
        assert [one["person"] for one in session["shopbot_hand_overs"] + session["shopbot_replies"]] == ["ann", "ann"]
        for turn in session["shopbot_turns"]:
            events = [{"event": one["kind"], **one["body"]} for one in turn["shopbot_events"]]
            assert events == [wire.event_to_json(one) for one in store.events(turn["id"])]
            said = [{name: one[name] for name in one if name != "id"} for one in turn["shopbot_feedback"]]
            assert said == wire.to_json(store.feedback(turn["id"]))


def without_rows(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("shopbot_")}


def test_export_count_and_erase_agree(store: Store) -> None:
    converse(store, "mei")
    converse(store, "tom")
    counted, before = retention.count(store, "mei"), rows(store)
    assert counted["shopbot_turns"] == 6
    assert counted["shopbot_events"] == 42
    assert set(counted) == set(tables.metadata.tables)
    assert retention.erase(store, "mei") == counted
    assert retention.export(store, "mei") == {"shopper_id": "mei", "shopbot_sessions": []}
    assert rows(store) == {name: before[name] - counted[name] for name in before}
    assert retention.shopper_ids(store) == ["tom"]
    assert set(retention.erase(store, "mei").values()) == {0}  # again, and nothing happens


# ---------------------------------------------------------------- erase: nothing is left


def careless(connection: Any, _record: object) -> None:
    """As in builds of SQLite that leave what is deleted or replaced where it stood."""
    connection.execute("PRAGMA secure_delete = OFF")


@pytest.fixture
def careless_sqlite() -> Iterator[None]:
    event.listen(Engine, "connect", careless)
    yield
    event.remove(Engine, "connect", careless)


@pytest.mark.usefixtures("careless_sqlite")
def test_no_byte_of_an_erased_shopper_is_left_in_the_files(tmp_path: Path) -> None:
    with Store.open(tmp_path / "shop.db") as store:
        for number in range(40):  # interleaved, so that both are in the same pages
            talk(store, f"mei_chen-{number}", f"{SECRET} {number}", "mei_chen", state={"old": SECRET * 20})
            talk(store, f"tom-{number}", f"tom's word {number}", "tom")
            talk(store, f"mei_chen-{number}", "and again", "mei_chen", state={})
        kept = retention.export(store, "tom")
        talk(store, "mei_chen-0", "before", "mei_chen")
        assert SECRET in contents(tmp_path)
        retention.erase(store, "mei_chen")
        left = contents(tmp_path)
        assert not {word for word in (SECRET, "zanzibar", "mei_chen", "and again") if word in left}
        assert retention.export(store, "tom") == kept
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    for number in range(40):
        assert f"tom's word {number}" in left


def contents(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in sorted(folder.iterdir()))


@pytest.mark.usefixtures("careless_sqlite")
def test_deleted_rows_alone_would_be_left_in_the_files(tmp_path: Path) -> None:
    with Store.open(tmp_path / "shop.db") as store:
        talk(store, "mei_chen-0", SECRET, "mei_chen")
        with store.writing() as connection:
            connection.execute(sa.delete(tables.sessions))
        assert set(rows(store).values()) == {0}
        assert SECRET in contents(tmp_path)


def test_bytes_that_a_reader_still_needs_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    file = tmp_path / "shop.db"
    with Store.open(file) as store, closing(sqlite3.connect(file, isolation_level=None)) as reader:
        talk(store, "s", SECRET, "mei")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM shopbot_turns").fetchone()
        with pytest.raises(StoreError, match=r"rows are erased, but bytes .*another process is reading.*VACUUM"):
            retention.erase(store, "mei")
        reader.execute("ROLLBACK")
        assert set(rows(store).values()) == {0}
        retention.erase(store, "mei")
        assert SECRET not in contents(tmp_path)


# ---------------------------------------------------------------- erase: refused


@pytest.mark.parametrize("status", ["confirmed", "running", "unknown"])
def test_an_open_action_is_not_forgotten(store: Store, status: str) -> None:
    turn = talk(store, "s", "cancel it")
    propose(store, "s", "mei", turn.id, status)
    before = rows(store)
    with pytest.raises(UsageError, match=rf"cancel_order \({status}, session s\).*Nothing was erased.*--force"):
        retention.erase(store, "mei")
    assert rows(store) == before
    assert set(retention.erase(store, "tom").values()) == {0}
    assert retention.erase(store, "mei", force=True)["shopbot_actions"] == 1


def test_an_action_that_nobody_said_yes_to_is_no_hindrance(store: Store) -> None:
    propose(store, "s", "mei", talk(store, "s", "cancel it").id, "proposed")
    assert retention.erase(store, "mei")["shopbot_actions"] == 1


def test_a_running_turn_is_waited_for_and_that_of_a_crash_is_not(store: Store, database: str) -> None:
    turn = store.begin_turn("s", "mei", "hello", NOW)
    with pytest.raises(SessionBusy, match="'s' is still answering"):
        retention.erase(store, "mei", force=True)
    store.finish_turn(events_of(turn), now=NOW)
    assert retention.erase(store, "mei")["shopbot_turns"] == 1
    run(begin_and_die, database)
    assert len(store.open_turns("s")) == 1
    assert retention.erase(store, "mei")["shopbot_turns"] == 1
    assert talk(store, "s", "hello again").place == 1


def begin_and_die(url: str) -> None:
    Store.open(url).begin_turn("s", "mei", "hello", NOW)


def hold_a_turn(url: str, begun: Any, finish: Any) -> None:
    with Store.open(url) as store:
        turn = store.begin_turn("s", "mei", "hello", NOW)
        begun.set()
        finish.wait(60)
        store.finish_turn(events_of(turn), now=NOW)


def test_a_turn_that_runs_in_another_process_is_waited_for(store: Store, database: str) -> None:
    begun, finish = CONTEXT.Event(), CONTEXT.Event()
    child = start(hold_a_turn, database, begun, finish)
    assert begun.wait(60)
    with pytest.raises(SessionBusy):
        retention.erase(store, "mei")
    finish.set()
    child.join()
    assert child.exitcode == 0
    assert retention.erase(store, "mei")["shopbot_events"] == 7


# ---------------------------------------------------------------- erase: others at work, and a crash


def write_on(url: str, begun: Any, stop: Any) -> None:
    with Store.open(url) as store:
        number = 0
        while not stop.is_set():
            talk(store, f"tom-{number % 7}", f"message {number}", "tom")
            number += 1
            if number == 5:
                begun.set()
        assert sum(len(store.history(f"tom-{one}")) for one in range(7)) == number


def test_others_write_while_shoppers_are_erased(store: Store, database: str) -> None:
    begun, stop = CONTEXT.Event(), CONTEXT.Event()
    children = [start(write_on, database, begun, stop)]
    assert begun.wait(60)
    for _ in range(10):
        converse(store, "mei", 1, 2)
        assert retention.erase(store, "mei")["shopbot_turns"] == 2
        time.sleep(0.01)
    stop.set()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0]
    assert retention.shopper_ids(store) == ["tom"]


def erase_and_die(url: str, number: int) -> None:
    with Store.open(url) as store:
        die_at_statement(number)
        retention.erase(store, "mei")


def test_kill_9_in_the_midst_of_it_leaves_all_or_nothing(store: Store, database: str) -> None:
    converse(store, "mei", 1, 2)
    converse(store, "tom", 1, 1)
    whole, other = retention.count(store, "mei"), retention.export(store, "tom")
    deaths, exit_code = [], -9
    for number in range(1, 60):
        exit_code = run(erase_and_die, database, number)
        left = retention.count(store, "mei")
        assert left == whole or set(left.values()) == {0}, number
        if exit_code == 0:
            break
        deaths.append(left == whole)
    assert exit_code == 0
    assert sum(deaths) > 10  # in the midst of the transaction
    assert retention.export(store, "tom") == other


# ---------------------------------------------------------------- retention


def age(store: Store, *sessions: str) -> None:
    with store.writing() as connection:
        query = sa.update(tables.sessions).where(tables.sessions.c.id.in_(sessions))
        connection.execute(query.values(last_at=OLD))


def test_old_sessions_go_and_open_actions_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    converse(store, "mei", 4, 1)
    converse(store, "tom", 5, 1)
    for status in ("confirmed", "running", "unknown"):
        propose(store, status, "mei", talk(store, status, "cancel it").id, status)
    running = store.begin_turn("running now", "mei", "hello", NOW)
    everything = {one.id for one in store.sessions()}
    new = {"mei-0", "tom-0"}
    age(store, *(everything - new))
    before, seen = NOW - timedelta(days=90), []
    assert retention.due(store, before) == 8
    assert retention.retain(store, before, seen.append)["shopbot_sessions"] == 7
    assert sum(seen) == 7
    assert max(seen) <= 3
    kept = {*new, "confirmed", "running", "unknown", "running now"}
    assert {one.id for one in store.sessions()} == kept
    store.finish_turn(events_of(running), now=NOW)
    assert retention.retain(store, before) | {"shopbot_sessions": 0} == dict.fromkeys(tables.metadata.tables, 0)

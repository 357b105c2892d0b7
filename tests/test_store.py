"""Sessions, turns, events and feedback, on real SQLite files."""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from processes import CONTEXT, run, start
from shopbot.errors import SessionBusy, StoreError, UsageError
from shopbot.store import Store, Turn, TurnRecord
from shopbot.types import (
    Citation,
    Draft,
    Drafted,
    Event,
    Finished,
    Passage,
    Planned,
    Profile,
    Retrieved,
    Said,
    ScoredPassage,
    ScoredSentence,
    ToolCall,
    ToolCalled,
    Understood,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CITATION = Citation("policies/en/returns.md", "Send it back within 30 days.", "Returns")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.sqlite3"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store.open(file) as store:
        yield store


def events_of(turn: TurnRecord, text: str = "Within 30 days.", **more: Any) -> list[Event]:
    """A turn that looked up an order, found a passage and said `text`."""
    call = ToolCall("get_order", {"order_id": "A1"}, "done", {"total": "12.00"}, "c1")
    passage = Passage("p1", "Send it back within 30 days. 退货", "policies/en/returns.md", valid_from=NOW.date())
    return [
        Understood(Profile("policy_returns", 0.9, -0.2, "en", {"order": "A1"}), 3.2),
        Planned(("look the order up", "retrieve"), 0.1),
        ToolCalled(call, 0.5),
        Retrieved("returns?", (ScoredPassage(passage, 0.8),), (ScoredSentence("Send it back.", passage, 0.7),), 1.1),
        Drafted(Draft((text,), (CITATION,)), "draft", 0.2),
        Said(text),
        Finished(turn.id, text, (CITATION,), (call,), False, True, {"retrieve": 1.1}, 9.4, **more),
    ]


def talk(store: Store, session_id: str, message: str, shopper_id: str | None = "mei", **more: Any) -> TurnRecord:
    turn = store.begin_turn(session_id, shopper_id, message, NOW)
    store.finish_turn(events_of(turn, f"Answer to {message}"), now=NOW, **more)
    return turn


# ---------------------------------------------------------------- a turn


def test_a_message_is_stored_before_anything_is_done_about_it(store: Store, file: Path) -> None:
    turn = store.begin_turn("s", "mei", "Where is my order?", NOW)
    with Store.open(file) as other:
        (stored,) = other.open_turns("s")
    assert (stored.id, stored.message, stored.status, stored.answer) == (turn.id, "Where is my order?", "open", "")
    assert store.history("s") == []
    assert store.events(turn.id) == []


def test_a_finished_turn_is_read_from_its_events(store: Store) -> None:
    turn = store.begin_turn("s", "mei", "Returns?", NOW)
    events = events_of(turn)
    store.finish_turn(events, now=NOW + timedelta(seconds=1))
    finished = events[-1]
    assert isinstance(finished, Finished)
    expected = Turn(
        id=turn.id,
        session_id="s",
        place=1,
        status="complete",
        message="Returns?",
        answer="Within 30 days.",
        profile=Profile("policy_returns", 0.9, -0.2, "en", {"order": "A1"}),
        citations=(CITATION,),
        tool_calls=finished.tool_calls,
        answered=True,
        handed_over=False,
        milliseconds=9.4,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1),
    )
    assert store.history("s") == [expected]
    assert store.turn(turn.id) == expected
    assert store.events(turn.id) == events
    assert store.open_turns() == []


def test_history_is_oldest_first_and_the_newest_of_it(store: Store) -> None:
    for number in range(5):
        talk(store, "s", f"message {number}")
    talk(store, "other", "elsewhere")
    assert [turn.message for turn in store.history("s")] == [f"message {number}" for number in range(5)]
    assert [turn.message for turn in store.history("s", 2)] == ["message 3", "message 4"]
    assert store.history("s", 0) == []
    assert store.history("nobody") == []
    assert [turn.place for turn in store.history("s")] == [1, 2, 3, 4, 5]


def test_state_comes_back_with_the_next_turn(store: Store) -> None:
    state = {"order": "A1", "asked": {"slot": "size", "of": ["P1", "P2"]}, "count": 0, "none": None}
    assert store.begin_turn("s", None, "x", NOW).state == {}
    talk(store, "s", "one", None, state=state)
    talk(store, "s", "two", None)  # leaves it as it was
    assert store.begin_turn("s", None, "three", NOW).state == state
    session = store.session("s")
    assert session is not None
    assert session.state == state
    talk(store, "t", "one", state=state)
    talk(store, "t", "two", state={})
    assert store.begin_turn("t", "mei", "three", NOW).state == {}


def test_a_turn_may_have_no_profile(store: Store) -> None:
    turn = store.begin_turn("s", None, "", NOW)
    store.finish_turn(events_of(turn)[1:], now=NOW)
    assert store.turn(turn.id).profile is None


def test_moments_are_the_same_in_every_time_zone(store: Store) -> None:
    shanghai = datetime(2026, 11, 21, 1, 30, tzinfo=timezone(timedelta(hours=8)))
    turn = store.begin_turn("s", None, "你好", shanghai)
    assert store.turn(turn.id).started_at == shanghai
    with pytest.raises(UsageError, match="no time zone"):
        store.begin_turn("t", None, "x", datetime(2026, 11, 20))
    assert store.session("t") is None


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        ("", ""),
        ("x" * 100_000, "x" * 100_000),
        ("退货 🙂\r\n\t", "退货 🙂\r\n\t"),
        ("a\0b\ud83d", "a?b?"),
        ("'; --", "'; --"),
    ],
    ids=["empty", "long", "chinese", "unstorable", "sql"],
)
def test_odd_messages_are_kept(store: Store, message: str, stored: str) -> None:
    talk(store, "s", message)
    (turn,) = store.history("s")
    assert turn.message == stored
    assert turn.answer == f"Answer to {stored}"


# ---------------------------------------------------------------- what cannot be finished


def test_an_unfinished_turn_is_interrupted_by_the_next_one(store: Store, file: Path) -> None:
    talk(store, "s", "one", state={"order": "A1"})
    store.begin_turn("s", "mei", "lost", NOW)
    store.close()
    with Store.open(file) as again:
        (lost,) = again.open_turns("s")
        turn = again.begin_turn("s", "mei", "three", NOW)
        assert (turn.place, turn.interrupted, turn.state) == (3, lost.id, {"order": "A1"})
        assert again.turn(lost.id).status == "interrupted"
        assert [turn.message for turn in again.open_turns()] == ["three"]
        again.finish_turn(events_of(turn), now=NOW)
        assert [turn.place for turn in again.history("s")] == [1, 3]


def test_an_interrupted_turn_cannot_be_finished(store: Store, file: Path) -> None:
    late = store.begin_turn("s", "mei", "slow", NOW)
    with Store.open(file) as other:  # in this process, where a second Store's locks do not keep the first one's
        winner = other.begin_turn("s", "mei", "fast", NOW)
        with pytest.raises(UsageError, match="was interrupted by a later turn"):
            store.finish_turn(events_of(late), now=NOW, state={"stale": True})
        assert store.events(late.id) == []
        other.finish_turn(events_of(winner), now=NOW)
    assert [turn.message for turn in store.history("s")] == ["fast"]
    session = store.session("s")
    assert session is not None
    assert session.state == {}


def test_giving_up_keeps_the_message_and_frees_the_session(store: Store) -> None:
    turn = store.begin_turn("s", "mei", "never mind", NOW)
    store.interrupt_turn(turn.id, NOW)
    assert (store.turn(turn.id).status, store.turn(turn.id).message) == ("interrupted", "never mind")
    done = talk(store, "s", "two")
    store.interrupt_turn(done.id, NOW)
    store.interrupt_turn("nothing", NOW)
    assert store.turn(done.id).status == "complete"


def test_a_turn_is_finished_once(store: Store) -> None:
    turn = talk(store, "s", "one")
    with pytest.raises(UsageError, match="finished already"):
        store.finish_turn(events_of(turn, "Another answer"), now=NOW)
    assert store.turn(turn.id).answer == "Answer to one"
    assert len(store.events(turn.id)) == len(events_of(turn))


def test_what_was_never_begun_cannot_be_finished(store: Store) -> None:
    with pytest.raises(UsageError, match="no turn 'ghost'"):
        store.finish_turn(events_of(TurnRecord("ghost", "s", 1, {})), now=NOW)
    with pytest.raises(UsageError, match="must be Finished"):
        store.finish_turn([], now=NOW)
    turn = store.begin_turn("s", None, "x", NOW)
    with pytest.raises(UsageError, match="must be Finished"):
        store.finish_turn(events_of(turn)[:-1], now=NOW)
    with pytest.raises(UsageError, match="no turn 'ghost'"):
        store.turn("ghost")


def test_events_that_json_cannot_say_leave_the_turn_open_and_whole(store: Store) -> None:
    turn = store.begin_turn("s", "mei", "one", NOW)
    for bad in (float("nan"), object()):
        with pytest.raises(UsageError, match="cannot be written as JSON"):
            store.finish_turn([ToolCalled(ToolCall("x", {}, "done", bad), 1.0), *events_of(turn)], now=NOW)
        assert store.turn(turn.id).status == "open"
        assert store.events(turn.id) == []
    store.finish_turn(events_of(turn), now=NOW)
    assert store.turn(turn.id).status == "complete"


def test_what_a_newer_shopbot_has_stored_is_a_clear_error(store: Store, file: Path) -> None:
    turn = talk(store, "s", "one")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE shopbot_events SET kind = 'Sung' WHERE place = 5")
    with pytest.raises(StoreError, match="'Sung'.*newer shopbot"):
        store.events(turn.id)


# ---------------------------------------------------------------- whose session


@pytest.mark.parametrize(("first", "second"), [("mei", "tom"), (None, "mei"), ("mei", None), ("mei", "")])
def test_a_session_is_its_shoppers_alone(store: Store, first: str | None, second: str | None) -> None:
    talk(store, "s", "mine", first)
    with pytest.raises(UsageError, match="not this shopper's") as caught:
        store.begin_turn("s", second, "show me all", NOW)
    assert "mei" not in str(caught.value)
    assert talk(store, "s", "mine again", first).place == 2


@pytest.mark.parametrize("session_id", ["", "a\0b", "\ud83d"])
def test_a_session_needs_an_id_that_can_be_stored(store: Store, session_id: str) -> None:
    with pytest.raises(UsageError, match="no id for a session"):
        store.begin_turn(session_id, None, "x", NOW)


def test_sessions_are_listed_newest_talk_first(store: Store) -> None:
    for minutes, (session_id, shopper_id) in enumerate([("a", "mei"), ("b", None), ("c", "mei"), ("a", "mei")]):
        turn = store.begin_turn(session_id, shopper_id, "x", NOW + timedelta(minutes=minutes))
        store.finish_turn(events_of(turn), now=NOW + timedelta(minutes=minutes, seconds=5))
    assert [session.id for session in store.sessions()] == ["a", "c", "b"]
    assert [session.id for session in store.sessions("mei", limit=1)] == ["a"]
    session = store.session("a")
    assert session == store.sessions("mei")[0]
    assert session is not None
    assert (session.shopper_id, session.turns) == ("mei", 2)
    assert (session.started_at, session.last_at) == (NOW, NOW + timedelta(minutes=3, seconds=5))
    assert store.session("nobody") is None


# ---------------------------------------------------------------- feedback


def test_feedback_is_kept_in_order(store: Store) -> None:
    turn = talk(store, "s", "one")
    store.add_feedback(turn.id, 1, "", NOW)
    store.add_feedback(turn.id, -1, "不对", NOW + timedelta(minutes=1))
    assert [(given.thumb, given.comment) for given in store.feedback(turn.id)] == [(1, ""), (-1, "不对")]
    assert store.feedback("nothing") == []


def test_feedback_needs_an_answer_and_a_thumb(store: Store) -> None:
    with pytest.raises(UsageError, match="no turn"):
        store.add_feedback("nothing", 1, "", NOW)
    turn = store.begin_turn("s", None, "x", NOW)
    with pytest.raises(UsageError, match="has no answer"):
        store.add_feedback(turn.id, 1, "", NOW)
    with pytest.raises(UsageError, match="a thumb is 1 or -1, not 5"):
        store.add_feedback(talk(store, "t", "one").id, 5, "", NOW)  # type: ignore[arg-type]


# ---------------------------------------------------------------- at the same time


def test_a_session_has_one_turn_at_a_time(store: Store) -> None:
    turn = store.begin_turn("s", "mei", "one", NOW)
    with pytest.raises(SessionBusy, match="still answering"):
        store.begin_turn("s", "mei", "two", NOW)
    talk(store, "other", "meanwhile")
    store.finish_turn(events_of(turn), now=NOW)
    assert talk(store, "s", "two").place == 2


def test_a_refused_turn_does_not_block_its_session(store: Store) -> None:
    talk(store, "s", "one")
    for _ in range(2):
        with pytest.raises(UsageError, match="not this shopper's"):
            store.begin_turn("s", "tom", "two", NOW)
    assert talk(store, "s", "two").place == 2


def test_a_turn_that_nobody_holds_any_more_blocks_nothing(store: Store) -> None:
    lost = store.begin_turn("s", "mei", "one", NOW).id
    gc.collect()
    assert talk(store, "s", "two").interrupted == lost


def test_many_threads_and_sessions(store: Store) -> None:
    def converse(session_id: str) -> list[int]:
        return [talk(store, session_id, f"{session_id} {number}").place for number in range(15)]

    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(converse, [f"s{number}" for number in range(8)]))
    assert places == [list(range(1, 16))] * 8
    for number in range(8):
        turns = store.history(f"s{number}")
        assert [turn.message for turn in turns] == [f"s{number} {place}" for place in range(15)]
        assert all(len(store.events(turn.id)) == 7 for turn in turns)


def insist(store: Store, message: str) -> None:
    """Talk as soon as the session is free."""
    while True:
        try:
            talk(store, "s", message)
        except SessionBusy:
            time.sleep(0.002)
        else:
            return


def test_many_threads_in_one_session_take_turns(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: insist(store, str(number)), range(60)))
    turns = store.history("s")
    assert [turn.place for turn in turns] == list(range(1, 61))
    assert {turn.message for turn in turns} == {str(number) for number in range(60)}


def insist_in_a_process(file: Path, name: str) -> None:
    with Store.open(file) as store:
        for number in range(25):
            insist(store, f"{name} {number}")


def test_two_processes_in_one_session_take_turns(file: Path) -> None:
    Store.open(file).close()
    children = [start(insist_in_a_process, file, name) for name in "ab"]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    with Store.open(file) as store:
        turns = store.history("s")
        assert [turn.place for turn in turns] == list(range(1, 51))  # none was interrupted
        for name in "ab":
            own = [turn.message for turn in turns if turn.message.startswith(name)]
            assert own == [f"{name} {number}" for number in range(25)]


def begin_and_wait(file: Path, begun: Any, end: Any) -> None:
    with Store.open(file) as store:
        turn = store.begin_turn("s", "mei", "slow", NOW)
        begun.set()
        end.wait(30)
        store.finish_turn(events_of(turn), now=NOW)


def test_a_turn_of_another_process_is_waited_for_until_it_ends_or_dies(store: Store, file: Path) -> None:
    for kill in (False, True):
        begun, end = CONTEXT.Event(), CONTEXT.Event()
        child = start(begin_and_wait, file, begun, end)
        assert begun.wait(30)
        with pytest.raises(SessionBusy):
            store.begin_turn("s", "mei", "impatient", NOW)
        child.kill() if kill else end.set()
        child.join()
        turn = talk(store, "s", "patient")
        assert (turn.interrupted is not None) == kill
    assert [turn.message for turn in store.history("s")] == ["slow", "patient", "patient"]


def talk_after_fork(file: Path) -> None:
    with Store.open(file) as store:
        held = store.begin_turn("parent", "mei", "before", NOW)
        pid = os.fork()
        if pid == 0:
            try:
                talk(store, "child", "hello")
                with pytest.raises(SessionBusy):
                    store.begin_turn("parent", "mei", "mine?", NOW)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        store.finish_turn(events_of(held), now=NOW)


def test_a_store_may_be_used_on_both_sides_of_a_fork(file: Path, store: Store) -> None:
    assert run(talk_after_fork, file) == 0
    assert [turn.message for turn in store.history("child")] == ["hello"]
    assert [turn.message for turn in store.history("parent")] == ["before"]


# ---------------------------------------------------------------- cost


def test_a_turn_takes_few_statements(store: Store) -> None:
    """Milliseconds depend on the machine; what makes them does not."""
    talk(store, "s", "one")
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement.split()[0])

    event.listen(Engine, "after_cursor_execute", note)
    try:
        turn = store.begin_turn("s", "mei", "two", NOW)
        store.finish_turn(events_of(turn), now=NOW, state={"order": "A1"})
    finally:
        event.remove(Engine, "after_cursor_execute", note)
    assert statements == ["BEGIN", "SELECT", "UPDATE", "INSERT", "BEGIN", "UPDATE", "INSERT", "UPDATE"]

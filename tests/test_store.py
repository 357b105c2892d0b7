"""Sessions, turns, events and feedback, on real SQLite files and a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, event

from shopbot.errors import StoreError, UsageError
from shopbot.store import Store, Turn, TurnRecord
from shopbot.types import Finished, Profile, ToolCall, ToolCalled
from stored import CITATION, NOW, events_of, talk


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


# ---------------------------------------------------------------- a turn


def test_a_message_is_stored_before_anything_is_done_about_it(store: Store, database: str) -> None:
    turn = store.begin_turn("s", "mei", "Where is my order?", NOW)
    with Store.open(database) as other:
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


def test_an_unfinished_turn_is_interrupted_by_the_next_one(store: Store, database: str) -> None:
    talk(store, "s", "one", state={"order": "A1"})
    store.begin_turn("s", "mei", "lost", NOW)
    store.close()
    with Store.open(database) as again:
        (lost,) = again.open_turns("s")
        turn = again.begin_turn("s", "mei", "three", NOW)
        assert (turn.place, turn.interrupted, turn.state) == (3, lost.id, {"order": "A1"})
        assert again.turn(lost.id).status == "interrupted"
        assert [turn.message for turn in again.open_turns()] == ["three"]
        again.finish_turn(events_of(turn), now=NOW)
        assert [turn.place for turn in again.history("s")] == [1, 3]


def test_an_interrupted_turn_cannot_be_finished(store: Store, database: str) -> None:
    late = store.begin_turn("s", "mei", "slow", NOW)
    store._locks.close()  # as a lost connection does
    with Store.open(database) as other:
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


def test_what_a_newer_shopbot_has_stored_is_a_clear_error(store: Store, database: str) -> None:
    turn = talk(store, "s", "one")
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE shopbot_events SET kind = 'Sung' WHERE place = 5")
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


# ---------------------------------------------------------------- cost


def test_a_turn_takes_few_statements(store: Store) -> None:
    """Milliseconds depend on the machine; what makes them does not."""
    talk(store, "s", "one")
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "pg_" not in statement:  # the lock between processes
            statements.append(statement.split()[0])

    event.listen(Engine, "after_cursor_execute", note)
    try:
        turn = store.begin_turn("s", "mei", "two", NOW)
        store.finish_turn(events_of(turn), now=NOW, state={"order": "A1"})
    finally:
        event.remove(Engine, "after_cursor_execute", note)
    ours = [
        statement for statement in statements if statement != "BEGIN"
    ]  # which the driver of PostgreSQL sends itself
    assert ours == ["SELECT", "UPDATE", "INSERT", "UPDATE", "INSERT", "UPDATE"]

"""kill -9 between turns and in the midst of one: the conversation goes on, and no turn is stored by half.

The child writes a line to a file of its own once the store has taken a turn over; what stands there must be in the
store, whole, when the child is dead.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processes import die_at_statement, run, start
from shopbot.store import Store, TurnRecord
from shopbot.types import Citation, Event, Finished, Profile, Said, ToolCall, ToolCalled, Understood

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SESSION = "talk"


def events_of(turn: TurnRecord) -> list[Event]:
    """Events that say which turn they belong to, so that half of one, or of another, would be seen."""
    call = ToolCall("get_order", {"place": turn.place}, "done", {"padding": "x" * 5_000})
    text = f"answer {turn.place}"
    return [
        Understood(Profile("order_status", 0.9), 1.0),
        ToolCalled(call, 1.0),
        *(Said(f"{text}, sentence {number}.") for number in range(turn.place % 5)),
        Finished(turn.id, text, (Citation("order:A1", text),), (call,), False, True, {}, 3.0),
    ]


def converse(store: Store, done: Path, turns: int) -> None:
    with done.open("a") as promises:
        for _ in range(turns):
            turn = store.begin_turn(SESSION, "mei", "message", NOW)
            print(f"begun {turn.place}", file=promises, flush=True)
            store.finish_turn(events_of(turn), now=NOW, state={"last": turn.place})
            print(f"complete {turn.place}", file=promises, flush=True)


def converse_until_killed(file: Path, done: Path) -> None:
    with Store.open(file) as store:
        converse(store, done, 100_000)


def converse_until_statement(file: Path, done: Path, number: int) -> None:
    with Store.open(file) as store:
        die_at_statement(number)
        converse(store, done, 2)


def promised(done: Path) -> dict[str, set[int]]:
    """What the child had seen the store take over: {"begun": places, "complete": places}."""
    lines = done.read_text().splitlines() if done.exists() else []
    words = [line.split() for line in lines]
    return {kind: {int(place) for word, place in words if word == kind} for kind in ("begun", "complete")}


def check(file: Path, done: Path) -> int:
    """Everything promised is there, nothing is there by half; the number of complete turns."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        places = [place for (place,) in connection.execute("SELECT place FROM shopbot_turns ORDER BY place")]
        assert places == list(range(1, len(places) + 1))
        orphans = "SELECT count(*) FROM shopbot_events WHERE turn_id NOT IN (SELECT id FROM shopbot_turns)"
        assert connection.execute(orphans).fetchone() == (0,)
    with Store.open(file) as store:
        history, left = store.history(SESSION), store.open_turns(SESSION)
        for turn in history:
            expected = events_of(TurnRecord(turn.id, SESSION, turn.place, {}))
            assert store.events(turn.id) == expected
            assert (turn.answer, turn.message) == (f"answer {turn.place}", "message")
        assert all(store.events(turn.id) == [] and turn.answer == "" for turn in left)
        session = store.session(SESSION)
    complete = {turn.place for turn in history}
    assert promised(done)["complete"] <= complete
    assert promised(done)["begun"] <= set(places)
    assert [turn.place for turn in left] in ([], [places[-1]] if places else [])
    assert session is None or session.state == ({"last": max(complete)} if complete else {})
    return len(complete)


def go_on(file: Path, done: Path) -> TurnRecord:
    """The same shopper writes again after the restart."""
    check(file, done)
    with Store.open(file) as store:
        left = [turn.id for turn in store.open_turns(SESSION)]
        turn = store.begin_turn(SESSION, "mei", "message", NOW)
        assert turn.interrupted == (left[0] if left else None)
        assert store.open_turns(SESSION)[0].id == turn.id
        store.finish_turn(events_of(turn), now=NOW, state={"last": turn.place})
        assert store.history(SESSION, 1)[0].id == turn.id
    return turn


@pytest.mark.parametrize("number", range(1, 17))
def test_killed_at_every_statement_of_a_turn(tmp_path: Path, number: int) -> None:
    """Two turns are 16 statements: each has a kill after it, before the next one or the commit."""
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    Store.open(file).close()
    assert run(converse_until_statement, file, done, number) == -9
    turn = go_on(file, done)
    # A turn whose statements had run but were not committed is not there; one begun is, as interrupted.
    assert (turn.place, turn.interrupted is not None) == [(1, False), (2, True), (2, False), (3, True)][
        (number - 1) // 4
    ]


def test_the_statements_of_two_turns_are_counted(tmp_path: Path) -> None:
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    Store.open(file).close()
    assert run(converse_until_statement, file, done, 10_000) == 0
    assert check(file, done) == 2


def test_killed_at_random_moments_again_and_again(tmp_path: Path) -> None:
    """One conversation over many lives of the process, each ended by kill -9 at some moment."""
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    dice = random.Random(5)
    interrupted = 0
    for _ in range(25):
        size = os.path.getsize(done) if done.exists() else 0
        child = start(converse_until_killed, file, done)
        while not done.exists() or os.path.getsize(done) == size:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        child.kill()
        child.join()
        assert child.exitcode == -9
        interrupted += go_on(file, done).interrupted is not None
    assert interrupted > 5  # the moments did fall into turns
    assert len(promised(done)["complete"]) > 25

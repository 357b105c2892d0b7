"""One store used by many at once: threads, processes, and both sides of a fork."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from processes import CONTEXT, run, start
from shopbot.errors import SessionBusy, UsageError
from shopbot.store import Store
from stored import NOW, events_of, talk


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


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


def insist_in_a_process(database: str, name: str) -> None:
    with Store.open(database) as store:
        for number in range(25):
            insist(store, f"{name} {number}")


def test_two_processes_in_one_session_take_turns(database: str) -> None:
    Store.open(database).close()
    children = [start(insist_in_a_process, database, name) for name in "ab"]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    with Store.open(database) as store:
        turns = store.history("s")
        assert [turn.place for turn in turns] == list(range(1, 51))  # none was interrupted
        for name in "ab":
            own = [turn.message for turn in turns if turn.message.startswith(name)]
            assert own == [f"{name} {number}" for number in range(25)]


def open_together(database: str, name: str, together: Any) -> None:
    together.wait()
    with Store.open(database) as store:
        talk(store, name, "hello")


def test_many_processes_open_an_empty_database_at_once(database: str) -> None:
    together = CONTEXT.Barrier(4)
    children = [start(open_together, database, f"s{number}", together) for number in range(4)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    with Store.open(database) as store:
        assert len(store.sessions()) == 4


def begin_and_wait(database: str, begun: Any, end: Any) -> None:
    with Store.open(database) as store:
        turn = store.begin_turn("s", "mei", "slow", NOW)
        begun.set()
        end.wait(30)
        store.finish_turn(events_of(turn), now=NOW)


def test_a_turn_of_another_process_is_waited_for_until_it_ends_or_dies(store: Store, database: str) -> None:
    for kill in (False, True):
        begun, end = CONTEXT.Event(), CONTEXT.Event()
        child = start(begin_and_wait, database, begun, end)
        assert begun.wait(30)
        with pytest.raises(SessionBusy):
            store.begin_turn("s", "mei", "impatient", NOW)
        child.kill() if kill else end.set()
        child.join()
        turn = talk(store, "s", "patient")
        assert (turn.interrupted is not None) == kill
    assert [turn.message for turn in store.history("s")] == ["slow", "patient", "patient"]


def talk_in_the_child(store: Store, was_refused: int, parent_is_done: int) -> None:
    talk(store, "child", "hello")
    with pytest.raises(SessionBusy):
        store.begin_turn("parent", "mei", "mine?", NOW)
    os.write(was_refused, b"!")
    os.read(parent_is_done, 1)
    assert talk(store, "parent", "after").place == 2  # what the parent held is not held here


def talk_after_fork(database: str) -> None:
    (refused, was_refused), (parent_is_done, done) = os.pipe(), os.pipe()
    with Store.open(database) as store:
        held = store.begin_turn("parent", "mei", "before", NOW)
        pid = os.fork()
        if pid == 0:
            try:
                talk_in_the_child(store, was_refused, parent_is_done)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(was_refused)  # so that a child that dies is not waited for
        assert os.read(refused, 1) == b"!"
        store.finish_turn(events_of(held), now=NOW)
        os.write(done, b"!")
        assert os.waitpid(pid, 0)[1] == 0


def test_a_store_may_be_used_on_both_sides_of_a_fork(database: str, store: Store) -> None:
    assert run(talk_after_fork, database) == 0
    assert [turn.message for turn in store.history("child")] == ["hello"]
    assert [turn.message for turn in store.history("parent")] == ["before", "after"]

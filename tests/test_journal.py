"""The journal of actions: its state diagram, repeats, crashes, and many processes at once, on both databases."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processes import CONTEXT, start
from shopbot.errors import UsageError
from shopbot.journal import Action, Journal, idempotency_key
from shopbot.store import Store
from stored import NOW, events_of, talk

CANCEL = {"order_id": "A1", "reason": "ordered by mistake"}


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


def propose(store: Store, session: str = "s", arguments: dict[str, Any] = CANCEL, **more: Any) -> Action:
    """An action that a finished turn of the session has proposed."""
    turn = talk(store, session, "cancel it")
    preview = {"say": {"en": "Cancel order A1?"}}
    return Journal(store).propose(session, turn.id, "mei", "cancel_order", arguments, preview, NOW, **more)


# ---------------------------------------------------------------- one action


def test_an_action_goes_from_proposed_to_done_and_keeps_its_result(store: Store) -> None:
    journal, action = Journal(store), propose(store)
    assert (action.status, action.arguments, action.shopper_id) == ("proposed", CANCEL, "mei")
    assert journal.confirm(action.key, NOW).status == "confirmed"
    assert journal.start(action.key, NOW)
    done = journal.finish(action.key, "done", {"order": "A1"}, NOW + timedelta(seconds=2))
    assert (done.status, done.result, done.changed_at) == ("done", {"order": "A1"}, NOW + timedelta(seconds=2))
    assert journal.action(action.key) == done == journal.of_session("s")[0]


def test_a_repeat_gets_the_first_result_and_calls_nothing(store: Store) -> None:
    journal, action = Journal(store), propose(store)
    journal.confirm(action.key, NOW)
    assert [journal.start(action.key, NOW) for _ in range(3)] == [True, False, False]
    journal.finish(action.key, "done", "first", NOW)
    assert journal.confirm(action.key, NOW).result == "first"
    assert not journal.start(action.key, NOW)
    with pytest.raises(UsageError, match="is done and cannot become failed"):
        journal.finish(action.key, "failed", "second", NOW)
    again = journal.propose("s", action.turn_id, "mei", "cancel_order", CANCEL, {}, NOW)
    assert (again.status, again.result, again.preview) == ("done", "first", action.preview)


def test_the_key_is_of_session_turn_tool_and_arguments_in_any_order(store: Store) -> None:
    key = idempotency_key("s", "t", "cancel_order", {"a": 1, "b": 2})
    assert key == idempotency_key("s", "t", "cancel_order", {"b": 2, "a": 1})
    others = [("u", "t", "cancel_order", {"a": 1, "b": 2}), ("s", "u", "cancel_order", {"a": 1, "b": 2})]
    others += [("s", "t", "return_items", {"a": 1, "b": 2}), ("s", "t", "cancel_order", {"a": 1, "b": 3})]
    assert key not in {idempotency_key(*other) for other in others}


def test_the_same_key_with_other_arguments_is_an_error(store: Store) -> None:
    action = propose(store, key="k1")
    with pytest.raises(UsageError, match="other arguments; a new action needs a new key"):
        propose(store, arguments={"order_id": "A2"}, key="k1")
    assert Journal(store).action("k1") == action


def test_a_proposal_lapses(store: Store) -> None:
    journal, action = Journal(store), propose(store)
    assert journal.lapse(action.key, NOW).status == journal.lapse(action.key, NOW).status == "lapsed"
    with pytest.raises(UsageError, match="is lapsed and cannot become confirmed"):
        journal.confirm(action.key, NOW)


def test_a_no_is_kept_and_a_yes_after_it_does_nothing(store: Store) -> None:
    journal, action = Journal(store), propose(store)
    assert journal.decline(action.key, NOW).status == journal.decline(action.key, NOW).status == "declined"
    with pytest.raises(UsageError, match="is declined and cannot become confirmed"):
        journal.confirm(action.key, NOW)
    with pytest.raises(UsageError, match="no action 'ghost'"):
        journal.decline("ghost", NOW)


def test_what_a_dead_turn_was_running_becomes_unknown_and_is_never_started_again(store: Store) -> None:
    journal, running, confirmed = Journal(store), propose(store), propose(store)
    for action in (running, confirmed):
        journal.confirm(action.key, NOW)
    journal.start(running.key, NOW)
    assert journal.open_sessions() == ["s"]
    found = {action.key: action.status for action in journal.interrupted("s", NOW)}
    assert found == {running.key: "unknown", confirmed.key: "confirmed"}
    assert not journal.start(running.key, NOW)
    assert journal.resolve(running.key, "done", {"looked": "up"}, NOW).result == {"looked": "up"}
    journal.start(confirmed.key, NOW)
    journal.finish(confirmed.key, "done", None, NOW)
    assert journal.interrupted("s", NOW) == []
    assert journal.open_sessions() == []


def test_what_is_known_not_to_have_happened_may_run_again(store: Store) -> None:
    journal, action = Journal(store), propose(store)
    journal.confirm(action.key, NOW)
    journal.start(action.key, NOW)
    journal.finish(action.key, "unknown", {"reason": "no answer in 10 s"}, NOW)
    assert journal.resolve(action.key, "confirmed", None, NOW).status == "confirmed"
    assert journal.start(action.key, NOW)


def test_limits_count_what_was_done_or_promised_since(store: Store) -> None:
    journal = Journal(store)
    for status in ("done", "failed"):
        action = propose(store)
        journal.confirm(action.key, NOW)
        journal.start(action.key, NOW)
        journal.finish(action.key, status, None, NOW)
    journal.confirm(propose(store).key, NOW)
    propose(store)
    assert journal.count_done("mei", "cancel_order", NOW - timedelta(days=1)) == 2
    assert journal.count_done("mei", "cancel_order", NOW + timedelta(seconds=1)) == 0
    assert journal.count_done("tom", "cancel_order", NOW - timedelta(days=1)) == 0


# ---------------------------------------------------------------- many at once


def confirm_and_run(database: str, key: str, together: Any, ran: Any) -> None:
    with Store.open(database) as store:
        journal = Journal(store)
        together.wait()
        for _ in range(13):
            journal.confirm(key, NOW)
            if journal.start(key, NOW):
                with ran.get_lock():
                    ran.value += 1
                journal.finish(key, "done", ran.value, NOW)


def test_the_same_yes_over_four_processes_runs_once(store: Store, database: str) -> None:
    action, together, ran = propose(store), CONTEXT.Barrier(4), CONTEXT.Value("i", 0)
    children = [start(confirm_and_run, database, action.key, together, ran) for _ in range(4)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert ran.value == 1
    done = Journal(store).action(action.key)
    assert done is not None
    assert (done.status, done.result) == ("done", 1)


# ---------------------------------------------------------------- the diagram


class Diagram(RuleBasedStateMachine):
    """Any calls in any order: the journal follows the arrows of its diagram and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open(self.place)
        turn = self.store.begin_turn("s", "mei", "cancel it", NOW)
        self.store.finish_turn(events_of(turn), now=NOW)
        self.journal = Journal(self.store)
        self.turn = turn.id
        self.number = 0
        self.known: dict[str, str] = {}
        self.runs: dict[str, int] = {}

    place = ""

    def teardown(self) -> None:
        self.store.close()

    @rule()
    def propose(self) -> None:
        self.number += 1
        arguments = {"number": self.number, "run": id(self)}
        action = self.journal.propose("s", self.turn, "mei", "cancel_order", arguments, {}, NOW)
        self.known[action.key] = action.status
        self.runs[action.key] = 0

    def attempt(self, key: str, leaves: str, to: str, call: Any) -> None:
        """A call follows its own arrow, or it is a repeat or refused, and changes nothing."""
        before = self.known[key]
        try:
            after = call().status
        except UsageError:
            after = before
            assert before != leaves
        assert after == (to if before == leaves else before)
        self.known[key] = after

    @rule(data=st.data(), to=st.sampled_from(["confirmed", "declined"]))
    def answer(self, data: st.DataObject, to: Any) -> None:
        if self.known:
            key = data.draw(st.sampled_from(sorted(self.known)))
            say = self.journal.confirm if to == "confirmed" else self.journal.decline
            self.attempt(key, "proposed", to, lambda: say(key, NOW))

    @rule(data=st.data(), to=st.sampled_from(["done", "failed", "refused", "unknown"]))
    def finish(self, data: st.DataObject, to: Any) -> None:
        if self.known:
            key = data.draw(st.sampled_from(sorted(self.known)))
            self.attempt(key, "running", to, lambda: self.journal.finish(key, to, None, NOW))

    @rule(data=st.data(), to=st.sampled_from(["done", "failed", "confirmed", "handed_over"]))
    def resolve(self, data: st.DataObject, to: Any) -> None:
        if self.known:
            key = data.draw(st.sampled_from(sorted(self.known)))
            known_not_done = self.known[key] == "unknown" and to == "confirmed"
            self.attempt(key, "unknown", to, lambda: self.journal.resolve(key, to, None, NOW))
            self.runs[key] -= known_not_done

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        if self.known:
            key = data.draw(st.sampled_from(sorted(self.known)))
            started = self.journal.start(key, NOW)
            assert started == (self.known[key] == "confirmed")
            if started:
                self.known[key] = "running"
                self.runs[key] += 1

    @rule()
    def crash(self) -> None:
        self.store.close()
        self.store = Store.open(self.place)
        self.journal = Journal(self.store)
        for action in self.journal.interrupted("s", NOW):
            if action.key in self.known:
                expected = "unknown" if self.known[action.key] == "running" else self.known[action.key]
                assert action.status == expected
                self.known[action.key] = action.status

    @invariant()
    def the_database_agrees_and_nothing_ran_twice(self) -> None:
        stored = {action.key: action.status for action in self.journal.of_session("s")}
        assert {key: stored[key] for key in self.known} == self.known
        assert max(self.runs.values(), default=0) <= 1


def test_the_journal_follows_its_diagram(database: str) -> None:
    machine = type("At", (Diagram,), {"place": database}).TestCase
    machine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
    result = unittest.TestResult()
    machine().run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.errors + result.failures

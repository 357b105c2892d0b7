"""Actions: once, for their owner, and cleared up after what cannot be seen. Effects are counted in a file of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from processes import die_at_statement, run
from shopbot.actions import Actions
from shopbot.errors import UsageError
from shopbot.journal import Journal
from shopbot.store import Store
from shopbot.tools import IdempotencyKey, OrderId, Refusal, ShopTool, Toolbox, shop_tool
from shopbot.types import Shopper
from stored import NOW, talk

MEI, TOM = Shopper("mei"), Shopper("tom")


@dataclass
class Till:
    """The shop's own system: every effect is a line of a file, on the disk before the call returns."""

    file: Path
    fails: str = ""

    def add(self, key: str, order_id: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{key} {order_id}\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []


def preview_cancel(order_id: str, till: Till) -> dict[str, Any]:
    if order_id == "SHIPPED":
        raise Refusal("order SHIPPED is on its way already")
    return {"say": {"en": f"Cancel order {order_id}?"}}


def find_cancelled(key: IdempotencyKey, till: Till) -> dict[str, Any] | None:
    return next(({"order": line.split()[1]} for line in till.lines if line.startswith(str(key))), None)


def cancel(order_id: OrderId, shopper: Shopper, till: Till, key: IdempotencyKey) -> dict[str, Any]:
    """Cancel an order."""
    if till.fails == "before":
        raise ConnectionError("the till does not answer")
    if till.fails == "refused":
        raise Refusal("too late")
    if till.fails == "slow":
        time.sleep(0.4)
    till.add(str(key), order_id)
    if till.fails == "after":
        raise ConnectionError("the till hung up")
    return {"order": order_id}


SEEN = shop_tool(cancel, writes=True, preview=preview_cancel, lookup=find_cancelled, timeout=0.2)  # type: ignore[call-overload]
BLIND = shop_tool(cancel, writes=True, preview=preview_cancel, timeout=0.2)  # type: ignore[call-overload]


def _own(order_id: str, shopper: Shopper) -> str | None:
    return order_id.upper() if shopper.id == "mei" and order_id.upper() in ("A1", "A2", "SHIPPED") else None


def actions_of(store: Store, till: Till, tool: ShopTool = SEEN) -> Actions:
    return Actions(Toolbox([tool], {"order": _own}, {Till: till}), Journal(store), lambda: NOW)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path / "effects")


def propose(store: Store, actions: Actions, order_id: str = "a1", shopper: Shopper = MEI) -> Any:
    turn = talk(store, "s", f"cancel {order_id}")
    return actions.propose("cancel", {"order_id": order_id}, shopper, "s", turn.id)


# ---------------------------------------------------------------- what is proposed


def test_a_proposal_tells_what_would_happen_and_does_nothing(store: Store, till: Till) -> None:
    call = propose(store, actions_of(store, till))
    assert (call.status, call.arguments, call.result) == (
        "proposed",
        {"order_id": "A1"},
        {"say": {"en": "Cancel order A1?"}},
    )
    assert till.lines == []


@pytest.mark.parametrize(
    ("order_id", "shopper", "reason"),
    [
        ("a1", TOM, "not among your records"),
        ("A9", MEI, "not among your records"),
        ("a1", Shopper(), "log in first"),
        ("shipped", MEI, "on its way already"),
    ],
)
def test_what_is_not_allowed_is_refused_and_not_written_down(
    store: Store, till: Till, order_id: str, shopper: Shopper, reason: str
) -> None:
    call = propose(store, actions_of(store, till), order_id, shopper)
    assert call.status == "refused"
    assert reason in call.result["reason"]
    assert Journal(store).of_session("s") == []


# ---------------------------------------------------------------- what is done


def test_a_yes_does_it_once_and_a_repeat_gets_the_first_result(store: Store, till: Till) -> None:
    actions = actions_of(store, till)
    call = propose(store, actions)
    first = actions.run(call.id, MEI)
    assert (first.status, first.result) == ("done", {"order": "A1"})
    assert [actions.run(call.id, MEI) for _ in range(3)] == [first] * 3
    assert till.lines == [f"{call.id} A1"]  # with the key, so that the till could tell a repeat, too


def test_fifty_threads_say_yes_at_once(store: Store, till: Till) -> None:
    actions = actions_of(store, till)
    call = propose(store, actions)
    together = threading.Barrier(50)

    def say_yes() -> None:
        together.wait()
        actions.run(call.id, MEI)

    threads = [threading.Thread(target=say_yes) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert till.lines == [f"{call.id} A1"]
    assert actions.run(call.id, MEI).status == "done"


def test_nobody_else_can_say_yes_and_a_no_is_a_no(store: Store, till: Till) -> None:
    actions = actions_of(store, till)
    call = propose(store, actions)
    with pytest.raises(UsageError, match="of this shopper"):
        actions.run(call.id, TOM)
    assert actions.decline(call.id, MEI).status == "declined"
    with pytest.raises(UsageError, match="is declined"):
        actions.run(call.id, MEI)
    assert till.lines == []


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("fails", "tool", "status", "effects"),
    [
        ("refused", SEEN, "refused", 0),
        ("before", SEEN, "failed", 0),  # looked up: nothing was done
        ("after", SEEN, "done", 1),  # looked up: it was
        ("before", BLIND, "unknown", 0),
        ("after", BLIND, "unknown", 1),
    ],
)
def test_a_tool_that_fails(store: Store, till: Till, fails: str, tool: ShopTool, status: str, effects: int) -> None:
    till.fails = fails
    actions = actions_of(store, till, tool)
    call = propose(store, actions)
    assert actions.run(call.id, MEI).status == status
    till.fails = ""
    assert actions.run(call.id, MEI).status == status  # a repeat does not try again
    assert len(till.lines) == effects


@pytest.mark.parametrize("tool", [BLIND, SEEN])
def test_a_tool_that_takes_too_long_is_unknown_until_it_ends(store: Store, till: Till, tool: ShopTool) -> None:
    till.fails = "slow"
    actions = actions_of(store, till, tool)
    call = propose(store, actions)
    slow = actions.run(call.id, MEI)
    assert (slow.status, slow.result) == ("unknown", {"reason": "no answer in 0.2 s"})
    wait_for(lambda: actions.run(call.id, MEI).status == "done")
    assert till.lines == [f"{call.id} A1"]


def test_what_was_given_up_as_slow_is_not_run_again_by_a_later_turn(store: Store, till: Till) -> None:
    till.fails = "slow"
    actions = actions_of(store, till)
    call = propose(store, actions)
    assert actions.run(call.id, MEI).status == "unknown"
    (cleared,) = actions.recover("s")  # the till knows of nothing yet, and the first try is still under way
    assert cleared.status == "unknown"
    wait_for(lambda: bool(till.lines))
    time.sleep(0.3)
    assert till.lines == [f"{call.id} A1"]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_nobody_can_tell_goes_to_a_person_with_the_facts(store: Store, till: Till) -> None:
    till.fails = "after"
    actions = actions_of(store, till, BLIND)
    call = propose(store, actions)
    actions.run(call.id, MEI)
    (cleared,) = actions.recover("s")
    assert (cleared.id, cleared.status) == (call.id, "unknown")
    action = Journal(store).action(call.id)
    assert action is not None
    assert action.status == "handed_over"
    assert "hung up" in action.result["result"]["reason"]
    assert actions.recover("s") == []


# ---------------------------------------------------------------- kill -9


def say_yes_and_die(database: str, file: Path, key: str, number: int) -> None:
    with Store.open(database) as store:
        actions = actions_of(store, Till(file))
        die_at_statement(number)
        actions.run(key, MEI)


@pytest.mark.parametrize("number", range(1, 13))
def test_a_process_killed_at_any_statement_of_a_yes_loses_and_repeats_nothing(
    store: Store, database: str, till: Till, number: int
) -> None:
    actions = actions_of(store, till)
    call = propose(store, actions)
    died = run(say_yes_and_die, database, till.file, call.id, number) == -9
    actions.recover("s")
    action = Journal(store).action(call.id)
    assert action is not None
    if action.status == "proposed":  # the yes was not stored: the shopper says it again
        assert died
        assert till.lines == []
        actions.run(call.id, MEI)
    assert till.lines == [f"{call.id} A1"]
    after = Journal(store).action(call.id)
    assert after is not None
    assert (after.status, after.result) == ("done", {"order": "A1"})
    assert after.changed_at - NOW < timedelta(seconds=1)

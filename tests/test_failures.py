"""Parts that fail in the midst of a turn: the shopper is answered, nothing is done twice, and we are told what failed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shopbot import Shop, Shopper, database
from shopbot.bot import ShopBot
from shopbot.records import ShopData
from shopbot.store import Store
from shopbot.tools import MOST_LATE, ShopTool, Toolbox, shop_tool
from shopbot.types import Decision, Finished, Order, Said, ToolCall, Understood

SESSION = "s"
REFUNDS = "How long do refunds take?"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shopbot.db"


@pytest.fixture
def store(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with Store.open(file) as store:
        yield store


class Lock:
    """Another process at the database, which does not let go."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def free(self) -> None:
        self._connection.execute("ROLLBACK")


@pytest.fixture
def lock(store: Store, file: Path) -> Lock:
    return Lock(file)


@pytest.fixture
def bot(sample_shop: Shop, store: Store, data: ShopData) -> ShopBot:
    return sample_shop.bot(store=store, data=data)


async def say(bot: ShopBot, who: str, message: str, **more: Any) -> Finished:
    return await bot.reply(message, shopper=Shopper(who), session=SESSION, **more)


async def proposed(bot: ShopBot, order: Order) -> ToolCall:
    waiting = (await say(bot, order.shopper_id, f"Please cancel {order.id}")).waiting
    assert waiting is not None
    return waiting


def wait_until_done(bot: ShopBot, key: str) -> None:
    while (action := bot.handing.journal.action(key)) is None or action.status != "done":
        time.sleep(0.01)


# ---------------------------------------------------------------- the store


@pytest.mark.parametrize(
    ("message", "words"), [(REFUNDS, "out of order on our side"), ("退款多久到账？", "我们这边出现故障")]
)
async def test_a_turn_that_cannot_be_begun_is_answered_and_says_why_to_us(
    bot: ShopBot, lock: Lock, message: str, words: str
) -> None:
    lock.take()
    answer = await bot.reply(message, shopper=Shopper())
    assert words in answer.text
    assert bot.contact in answer.text
    assert (answer.turn_id, answer.answered) == ("", False)
    assert "is locked" in answer.problem
    assert "locked" not in answer.text
    lock.free()
    assert (await bot.reply(message, shopper=Shopper())).answered


async def test_an_answer_that_cannot_be_stored_is_said_all_the_same(bot: ShopBot, store: Store, lock: Lock) -> None:
    last: Any = None
    said: list[str] = []
    async for event in bot.stream(REFUNDS, shopper=Shopper(), session=SESSION):
        if isinstance(event, Understood):
            lock.take()
        said += [event.text] if isinstance(event, Said) else []
        last = event
    lock.free()
    assert "working days" in last.text
    assert last.text.endswith("so I may not remember it.")
    assert "".join(said) == last.text
    assert (last.turn_id, last.waiting) == ("", None)
    assert "is locked" in last.problem
    again = await bot.reply(REFUNDS, shopper=Shopper(), session=SESSION)
    assert (again.answered, again.problem) == (True, "")
    assert [turn.id for turn in store.history(SESSION)] == [again.turn_id]


async def test_a_yes_that_cannot_be_written_down_does_nothing_and_still_waits(
    bot: ShopBot, data: ShopData, lock: Lock, pending: Order
) -> None:
    waiting = await proposed(bot, pending)
    last: Any = None
    async for event in bot.stream("yes please", shopper=Shopper(pending.shopper_id), session=SESSION):
        if isinstance(event, Understood):
            lock.take()
        last = event
    lock.free()
    assert "It will not be done twice" in last.text
    assert data.orders[pending.id]["status"] == "pending"
    asked = await say(bot, pending.shopper_id, "did that work?")
    assert asked.waiting is not None
    assert asked.waiting.id == waiting.id
    done = await say(bot, pending.shopper_id, "yes")
    assert data.orders[pending.id]["status"] == "cancelled"
    assert [call.status for call in done.tool_calls] == ["done"]


@pytest.mark.parametrize("next_message", ["did that work?", "yes", "where is my parcel", ""])
async def test_what_was_done_while_the_store_failed_is_told_next_and_done_once(
    bot: ShopBot, data: ShopData, lock: Lock, pending: Order, next_message: str
) -> None:
    waiting = await proposed(bot, pending)
    changed = data.changed

    def changed_as_the_store_goes() -> None:
        lock.take()
        changed()

    data.changed = changed_as_the_store_goes  # type: ignore[method-assign]
    answer = await say(bot, pending.shopper_id, "Yes", decision=Decision(waiting.id, True))
    assert "It will not be done twice" in answer.text
    assert "nothing was changed" not in answer.text
    lock.free()
    told = await say(bot, pending.shopper_id, next_message)
    assert [(call.name, call.status) for call in told.tool_calls][:1] == [("cancel_order", "done")]
    assert "has been cancelled" in told.text
    refunds = [one for one in data.orders[pending.id]["payment_history"] if one["transaction_type"] == "refund"]
    assert len(refunds) == len(pending.payments)


async def test_what_took_too_long_and_ended_later_is_told_next(
    bot: ShopBot, data: ShopData, pending: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await proposed(bot, pending)
    tool, _ = bot.toolbox.checked(waiting.name, waiting.arguments, Shopper(pending.shopper_id))
    slowly, changed = threading.Event(), data.changed

    def changed_at_last() -> None:
        slowly.wait(10)
        changed()

    data.changed = changed_at_last  # type: ignore[method-assign]
    monkeypatch.setattr(tool, "timeout", 0.05)
    answer = await say(bot, pending.shopper_id, "yes")
    assert [call.status for call in answer.tool_calls] == ["unknown"]
    slowly.set()
    await asyncio.to_thread(wait_until_done, bot, waiting.id)
    told = await say(bot, pending.shopper_id, "hello?")
    assert "has been cancelled" in told.text
    assert not told.handed_over


async def test_a_question_that_fails_beside_what_waits_is_said_to_have_failed(
    bot: ShopBot, pending: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    await proposed(bot, pending)

    def fails(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(type(bot.mind.current()), "look_up", fails)
    answer = await say(bot, pending.shopper_id, REFUNDS)
    assert "could not look that up" in answer.text
    assert answer.text.endswith("Please answer yes or no.")
    assert answer.problem == "RuntimeError: out of memory"


async def test_a_hand_over_that_cannot_be_stored_is_not_promised(bot: ShopBot, lock: Lock) -> None:
    last: Any = None
    async for event in bot.stream("I want to talk to a person", shopper=Shopper(), session=SESSION):
        if isinstance(event, Understood):
            lock.take()
        last = event
    lock.free()
    assert not last.handed_over
    assert "handing our conversation over" not in last.text
    assert (await bot.reply("I want to talk to a person", shopper=Shopper(), session=SESSION)).handed_over


# ---------------------------------------------------------------- crashes


async def test_what_was_done_and_not_told_before_a_crash_is_told_next(
    bot: ShopBot, store: Store, data: ShopData, pending: Order
) -> None:
    waiting = await proposed(bot, pending)
    turn = store.begin_turn(SESSION, pending.shopper_id, "yes", bot.clock())
    bot.acting.actions.run(waiting.id, Shopper(pending.shopper_id))
    del turn  # the process dies here
    told = await say(bot, pending.shopper_id, "hello?")
    assert "has been cancelled" in told.text
    assert "has been cancelled" not in (await say(bot, pending.shopper_id, "thanks")).text


async def test_a_server_clears_up_at_its_start(bot: ShopBot, data: ShopData, pending: Order) -> None:
    waiting = await proposed(bot, pending)
    journal = bot.handing.journal
    journal.confirm(waiting.id, bot.clock())
    assert journal.start(waiting.id, bot.clock())
    assert [(call.id, call.status) for call in await bot.recover()] == [(waiting.id, "done")]
    assert data.orders[pending.id]["status"] == "cancelled"
    assert await bot.recover() == []
    assert "has been cancelled" in (await say(bot, pending.shopper_id, "hello?")).text


async def test_a_session_that_is_answering_is_left_alone_at_the_start(
    bot: ShopBot, store: Store, data: ShopData, pending: Order
) -> None:
    waiting = await proposed(bot, pending)
    turn = store.begin_turn(SESSION, pending.shopper_id, "yes", bot.clock())
    bot.handing.journal.confirm(waiting.id, bot.clock())
    assert await bot.recover() == []
    assert turn.session_id == SESSION
    assert data.orders[pending.id]["status"] == "pending"


async def test_what_nobody_can_know_goes_to_a_person_at_the_start(
    bot: ShopBot, pending: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await proposed(bot, pending)
    tool, _ = bot.toolbox.checked(waiting.name, waiting.arguments, Shopper(pending.shopper_id))
    monkeypatch.setattr(tool, "lookup", None)
    journal = bot.handing.journal
    journal.confirm(waiting.id, bot.clock())
    assert journal.start(waiting.id, bot.clock())
    assert [call.status for call in await bot.recover()] == ["unknown"]
    opened = bot.handing.hand_overs.of_session(SESSION)
    assert opened is not None
    assert opened.packet.reason == "the end of cancel_order was not seen"
    assert [attempt.status for attempt in opened.packet.tried] == ["handed_over"]
    assert (await say(bot, pending.shopper_id, "hello?")).text == ""


async def test_what_another_process_works_on_is_not_taken_for_dead(
    bot: ShopBot, data: ShopData, pending: Order
) -> None:
    """It took too long, and the store failed as that was to be written down: the action says no more than `running`."""
    waiting = await proposed(bot, pending)
    journal = bot.handing.journal
    journal.confirm(waiting.id, bot.clock())
    assert journal.start(waiting.id, bot.clock())
    assert journal.hold(waiting.id)
    told = await say(bot, pending.shopper_id, "did that work?")
    assert told.tool_calls[0].status == "unknown"
    assert told.handed_over
    assert data.orders[pending.id]["status"] == "pending"


# ---------------------------------------------------------------- tools


class Gate:
    """What the tools below wait for."""

    def __init__(self) -> None:
        self.open = threading.Event()


@shop_tool(timeout=0.1)
def wait_at_gate(gate: Gate) -> str:
    """Wait at the gate."""
    gate.open.wait(20)
    return "through"


def preview_wait(gate: Gate) -> dict[str, Any]:
    raise ConnectionError("the gate is on fire") if gate.open.is_set() else TimeoutError("nobody at the gate")


@shop_tool(writes=True, preview=preview_wait, timeout=0.1)
def open_gate(gate: Gate) -> dict[str, Any]:
    """Open the gate."""
    return {}


TOOLS: tuple[ShopTool, ...] = (wait_at_gate, open_gate)


def test_a_tool_that_hangs_is_given_up_and_not_called_again_while_many_calls_hang() -> None:
    gate = Gate()
    box = Toolbox(TOOLS, {}, {Gate: gate})
    hung = [box.call("wait_at_gate", {}, Shopper()) for _ in range(MOST_LATE)]
    assert {(call.status, call.result["reason"]) for call in hung} == {("failed", "ToolError: no answer in 0.1 s")}
    assert "have not come back" in box.call("wait_at_gate", {}, Shopper()).result["reason"]
    gate.open.set()
    for _ in range(100):
        call = box.call("wait_at_gate", {}, Shopper())
        if call.status == "done":
            break
        time.sleep(0.02)
    assert call.result == "through"


def test_a_tool_that_raises_a_timeout_of_its_own_is_a_failure_like_any_other(bot: ShopBot) -> None:
    box = Toolbox(TOOLS, {}, {Gate: Gate()})
    actions = type(bot.acting.actions)(box, bot.handing.journal, bot.clock)
    call = actions.propose("open_gate", {}, Shopper("mei"), SESSION, "t")
    assert (call.status, call.result) == ("failed", {"reason": "TimeoutError: nobody at the gate"})
    assert bot.handing.journal.of_session(SESSION) == []

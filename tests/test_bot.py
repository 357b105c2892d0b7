"""The turn: its events in order, stored before the last one goes out, whatever breaks on the way.

The shop, its index and its embedder are real; what has to fail or to wait is a double put in the place of one part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from shopbot import Event, Finished, Said, Shop, ShopBot, Shopper, UsageError, shop_tool
from shopbot.bot import MOST_CHARACTERS
from shopbot.errors import ModelUnavailable
from shopbot.planner import MOST_CALLS
from shopbot.steps import Call, Lookup, Step
from shopbot.store import Store
from shopbot.testing import ScriptedModel
from shopbot.tools import Toolbox
from shopbot.turn import LiveTurn
from shopbot.types import Drafted, Retrieved, ToolCalled, Withheld

ANN, BEN, VISITOR = Shopper("ann_abel_1"), Shopper("ben_boll_2"), Shopper()
RETURNS = "How long do I have to return something?"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "turns.db") as store:
        yield store


@pytest.fixture
def bot(fake_shop: Shop, store: Store) -> ShopBot:
    return fake_shop.bot(store=store)


async def events_of(bot: ShopBot, message: str, shopper: Shopper = ANN, session: str | None = None) -> list[Event]:
    return [event async for event in bot.stream(message, shopper=shopper, session=session)]


def kinds(events: Sequence[Event]) -> list[str]:
    """The kinds of events in order; the pieces of the answer count once."""
    names = [type(event).__name__ for event in events]
    return [name for place, name in enumerate(names) if name != "Said" or names[place - 1] != "Said"]


# ---------------------------------------------------------------- the events of a turn


@pytest.mark.parametrize(
    ("message", "middle"),
    [
        (RETURNS, ["Planned", "Retrieved"]),
        ("Where is order FS-1002?", ["Planned", "ToolCalled"]),
        ("hello", ["Planned"]),
        ("", ["Planned"]),
        ("I want to talk to a person", ["Planned", "HandedOver"]),
        (f"Where is order FS-1002? {RETURNS}", ["Planned", "ToolCalled", "Planned", "Retrieved"]),
    ],
)
async def test_the_events_of_a_turn_come_in_order(bot: ShopBot, message: str, middle: list[str]) -> None:
    events = await events_of(bot, message)
    assert kinds(events) == ["Understood", *middle, "Drafted", "Said", "Finished"]


@pytest.mark.parametrize("message", [RETURNS, "Where is order FS-1002?", "退货要多久？", "what have I ordered?"])
async def test_the_pieces_join_to_the_answer_and_the_draft(bot: ShopBot, message: str) -> None:
    events = await events_of(bot, message)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.text == "".join(event.text for event in events if isinstance(event, Said))
    draft = next(event.draft for event in events if isinstance(event, Drafted))
    assert (finished.text, finished.citations, finished.answered) == (draft.text, draft.citations, draft.answered)
    assert finished.citations


async def test_reply_is_the_last_event_of_the_stream(bot: ShopBot) -> None:
    def bare(finished: Finished) -> Finished:
        return replace(finished, turn_id="", timings={}, milliseconds=0.0)

    for message in (RETURNS, "Where is order FS-1002?", "hello"):
        streamed = (await events_of(bot, message))[-1]
        assert isinstance(streamed, Finished)
        assert bare(await bot.reply(message, shopper=ANN)) == bare(streamed)


async def test_the_turn_is_stored_before_its_last_event_goes_out(bot: ShopBot, store: Store) -> None:
    seen: list[Event] = []
    async for event in bot.stream(RETURNS, shopper=ANN, session="s"):
        seen.append(event)
        if isinstance(event, Finished):
            assert store.events(event.turn_id) == seen
            assert store.turn(event.turn_id).answer == event.text
        else:
            assert [turn.message for turn in store.open_turns("s")] == [RETURNS]
    assert kinds(seen)[-1] == "Finished"
    assert not store.open_turns("s")


async def test_a_turn_that_cannot_be_stored_is_not_finished(bot: ShopBot, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(bot.store, "finish_turn", full)
    seen: list[Event] = []
    with pytest.raises(OSError, match="no space"):
        async for event in bot.stream(RETURNS, shopper=ANN, session="s"):
            seen.append(event)  # noqa: PERF401 - what came before the error is wanted
    assert "Finished" not in kinds(seen)
    assert not bot.store.history("s")


async def test_each_stage_is_timed(bot: ShopBot) -> None:
    finished = await bot.reply(f"Where is order FS-1002? {RETURNS}", shopper=ANN)
    assert set(finished.timings) == {"understand", "act", "retrieve", "word"}
    assert all(spent >= 0 for spent in finished.timings.values())
    assert finished.milliseconds >= sum(finished.timings.values())


# ---------------------------------------------------------------- conversations


async def test_a_session_remembers_what_was_talked_of(bot: ShopBot) -> None:
    await bot.reply("Where is order FS-1001?", shopper=ANN, session="s")
    again = await bot.reply("and how did I pay for it?", shopper=ANN, session="s")
    assert [call.arguments for call in again.tool_calls] == [{"order_id": "FS-1001"}]
    assert "1001" in again.text


async def test_a_session_belongs_to_the_shopper_who_began_it(bot: ShopBot) -> None:
    await bot.reply("hello", shopper=ANN, session="s")
    for other in (BEN, VISITOR):
        with pytest.raises(UsageError, match="not this shopper's"):
            await bot.reply("and how did I pay for it?", shopper=other, session="s")


async def test_conversations_at_once_do_not_mix(bot: ShopBot, store: Store) -> None:
    own = {"ann_abel_1": {"FS-1001", "FS-1002"}, "ben_boll_2": {"FS-1003", "FS-1004"}, "cai_chen_3": {"FS-1005"}}

    async def converse(shopper_id: str) -> set[str]:
        texts = []
        for message in ("what have I ordered?", "tell me about the first one", "我有哪些订单？", RETURNS):
            answer = await bot.reply(message, shopper=Shopper(shopper_id), session=f"of {shopper_id}")
            texts.append(answer.text)
        return {order for orders in own.values() for order in orders if any(order in text for text in texts)}

    shown = await asyncio.gather(*(converse(shopper_id) for shopper_id in own))
    assert dict(zip(own, shown, strict=True)) == own
    for shopper_id, orders in own.items():
        assert [turn.place for turn in store.history(f"of {shopper_id}")] == [1, 2, 3, 4]
        session = store.session(f"of {shopper_id}")
        assert session is not None
        assert session.state.get("order_id", "") in orders | {""}


async def test_messages_of_one_session_wait_for_each_other(bot: ShopBot, store: Store) -> None:
    await asyncio.gather(*(bot.reply(f"hello {number}", shopper=ANN, session="s") for number in range(5)))
    turns = store.history("s")
    assert [turn.place for turn in turns] == [1, 2, 3, 4, 5]
    assert {turn.message for turn in turns} == {f"hello {number}" for number in range(5)}


@pytest.mark.parametrize("message", ["", "   \n", "?", "x" * 100_000, RETURNS + " 退" * 50_000, "🙂" * 500])
async def test_no_message_breaks_a_turn_and_none_gets_facts_without_a_source(bot: ShopBot, message: str) -> None:
    finished = await bot.reply(message, shopper=VISITOR, session="s")
    assert finished.text
    assert finished.citations or not any(char.isdigit() for char in finished.text)


async def test_characters_that_are_none_are_read_over(bot: ShopBot, store: Store) -> None:
    """Half a surrogate pair comes out of JSON and into no tokenizer; a NUL into no database."""
    message = "\x00How long do I have \ud800 to return something?"
    finished = await bot.reply(message, shopper=VISITOR, session="s")
    assert "21 days" in finished.text
    assert "to return something" in store.history("s")[0].message


async def test_a_long_message_is_stored_whole_and_read_in_part(bot: ShopBot, store: Store) -> None:
    message = "x" * MOST_CHARACTERS + " Where is order FS-1002?"
    finished = await bot.reply(message, shopper=ANN, session="s")
    assert "get_order" not in [call.name for call in finished.tool_calls]
    assert store.history("s")[0].message == message


# ---------------------------------------------------------------- time


async def test_the_time_is_the_shops(fake_shop: Shop, bot: ShopBot, store: Store) -> None:
    finished = await bot.reply("hello", shopper=ANN)
    turn = store.turn(finished.turn_id)
    assert turn.started_at == turn.finished_at == fake_shop.now()
    assert turn.started_at.date().isoformat() == "2026-03-02"


async def test_a_rule_holds_from_its_day(fake_shop: Shop, store: Store) -> None:
    """The payment policy of the shop is valid from 1 January 2026."""
    sources = {}
    for now in (fake_shop.now(), datetime(2025, 12, 31, 23, tzinfo=fake_shop.now().tzinfo)):
        answer = await fake_shop.bot(store=store, now=now).reply("How long is a gift card valid?", shopper=VISITOR)
        sources[now.year] = {cite.source for cite in answer.citations if cite.source.endswith("payment.md")}
        assert store.turn(answer.turn_id).started_at == now
    assert sources == {2026: {"policies/en/payment.md"}, 2025: set()}


# ---------------------------------------------------------------- what breaks on the way


class Scripted:
    """A planner that yields these steps; an exception is raised in its place."""

    def __init__(self, *steps: tuple[str, dict[str, Any]] | Exception) -> None:
        self._steps = steps

    async def plan(self, turn: LiveTurn) -> AsyncIterator[Step]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            name, arguments = step
            yield Lookup(turn.questions[0]) if name == "look up" else Call(name, arguments, turn.questions[0])


@shop_tool
def breaks(order: str) -> str:
    """A tool whose service is down."""
    raise RuntimeError(f"till 7 is on fire, {order}")


@shop_tool
def waits(seconds: float) -> str:
    """A slow tool that blocks its thread."""
    time.sleep(seconds)
    return "waited"


def with_parts(bot: ShopBot, *steps: tuple[str, dict[str, Any]] | Exception) -> ShopBot:
    """The bot with a scripted planner and the tools of this file."""
    return replace(bot, planner=Scripted(*steps), toolbox=Toolbox([breaks, waits], {}, {}))


async def test_a_tool_that_raises_is_a_failed_call_and_its_words_are_not_shown(bot: ShopBot, store: Store) -> None:
    events = await events_of(with_parts(bot, ("breaks", {"order": "FS-1"})), "do it", session="s")
    assert [event.call.status for event in events if isinstance(event, ToolCalled)] == ["failed"]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert not finished.answered
    assert "could not look that up" in finished.text
    assert "person" in finished.text
    assert "till" not in finished.text
    assert store.history("s")[0].tool_calls == finished.tool_calls


async def test_after_a_tool_that_raises_the_rest_is_answered(bot: ShopBot) -> None:
    finished = await with_parts(bot, ("breaks", {"order": "x"}), ("look up", {})).reply(RETURNS, shopper=ANN)
    assert finished.answered
    assert "21 days" in finished.text


async def test_a_planner_that_raises_leaves_a_whole_turn(bot: ShopBot, store: Store) -> None:
    broken = with_parts(bot, ("look up", {}), ValueError("a slip of ours"))
    events = await events_of(broken, RETURNS, session="s")
    assert kinds(events) == ["Understood", "Planned", "Retrieved", "Drafted", "Said", "Finished"]
    assert "21 days" in store.history("s")[0].answer


async def test_a_mind_that_raises_leaves_a_whole_turn(bot: ShopBot) -> None:
    class Broken:
        def current(self) -> Broken:
            return self

        def understand(self, message: str) -> Any:
            raise RuntimeError("no more memory")

        def look_up(self, lookup: Lookup) -> Retrieved:
            raise AssertionError("nothing was planned")

    events = await events_of(replace(bot, mind=Broken()), RETURNS)
    assert kinds(events) == ["Drafted", "Said", "Finished"]
    assert isinstance(events[-1], Finished)
    assert "person" in events[-1].text


async def test_at_most_eight_calls_a_turn(bot: ShopBot) -> None:
    finished = await with_parts(bot, *[("waits", {"seconds": 0.0})] * 12).reply("go", shopper=ANN)
    assert len(finished.tool_calls) == MOST_CALLS


async def test_a_slow_tool_blocks_nobody_else(bot: ShopBot) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await with_parts(bot, ("waits", {"seconds": 0.5})).reply("go", shopper=ANN)
    ticking.cancel()
    assert ticks >= 10


# ---------------------------------------------------------------- who leaves early


@pytest.mark.parametrize("kind", ["Understood", "Planned", "Retrieved", "Drafted", "Said"])
async def test_a_consumer_that_leaves_leaves_an_interrupted_turn(bot: ShopBot, store: Store, kind: str) -> None:
    stream = bot.stream(RETURNS, shopper=ANN, session="s")
    async for event in stream:
        if type(event).__name__ == kind:
            break
    await stream.aclose()  # type: ignore[attr-defined] - it is a generator
    assert not store.history("s")
    assert not store.open_turns("s")
    assert (await bot.reply("hello", shopper=ANN, session="s")).answered
    assert [(turn.place, turn.message) for turn in store.history("s")] == [(2, "hello")]


async def test_a_cancelled_task_leaves_an_interrupted_turn(bot: ShopBot, store: Store) -> None:
    slow = with_parts(bot, ("look up", {}), ("waits", {"seconds": 0.3}))
    task = asyncio.create_task(slow.reply(RETURNS, shopper=ANN, session="s"))
    await asyncio.sleep(0.15)  # in one stage or another
    assert store.open_turns("s")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not store.open_turns("s")
    assert not store.history("s")
    assert (await bot.reply("hello", shopper=ANN, session="s")).answered


# ---------------------------------------------------------------- models


async def test_a_model_words_the_draft_and_what_it_invents_is_withheld(fake_shop: Shop, store: Store) -> None:
    model = ScriptedModel(answers=["You have 90 days to return anything."])
    events = await events_of(fake_shop.bot(store=store, wording="model", model=model), RETURNS)
    assert [event.reason for event in events if isinstance(event, Withheld)]
    assert isinstance(events[-1], Finished)
    assert "21 days" in events[-1].text
    assert "90" not in events[-1].text


@pytest.mark.parametrize("problem", [ModelUnavailable("the server is down")])
async def test_a_model_that_fails_leaves_the_draft(fake_shop: Shop, store: Store, problem: Exception) -> None:
    bot = fake_shop.bot(store=store, wording="model", model=ScriptedModel(answers=[problem]))
    worded, drafted = (
        await bot.reply(RETURNS, shopper=ANN),
        await fake_shop.bot(store=store).reply(RETURNS, shopper=ANN),
    )
    assert worded.text == drafted.text
    assert worded.answered


async def test_where_the_planning_model_fails_the_heads_plan(fake_shop: Shop, store: Store) -> None:
    model = ScriptedModel(answers=[ModelUnavailable("the server is down")])
    planned = await fake_shop.bot(store=store, planner="model", model=model).reply(RETURNS, shopper=ANN)
    by_heads = await fake_shop.bot(store=store).reply(RETURNS, shopper=ANN)
    assert (planned.text, planned.answered) == (by_heads.text, True)
    assert planned.problem == "the model could not plan: the server is down"


async def test_a_planning_model_reads_the_past_turns(fake_shop: Shop, store: Store) -> None:
    model = ScriptedModel(answers=["", ""])
    bot = fake_shop.bot(store=store, planner="model", model=model)
    first = await bot.reply(RETURNS, shopper=ANN, session="s")
    await bot.reply("And if it is faulty?", shopper=ANN, session="s")
    assert [one.content for one in model.calls[1].messages[1:]] == [RETURNS, first.text, "And if it is faulty?"]


async def test_a_planning_model_that_asks_for_anothers_order_gets_nothing(fake_shop: Shop, store: Store) -> None:
    asks = AIMessage("", tool_calls=[{"name": "get_order", "args": {"order_id": "FS-1003"}, "id": "1"}])
    model = ScriptedModel(answers=[asks, "Ben lives in Leeds."])
    finished = await fake_shop.bot(store=store, planner="model", model=model).reply("Ben's order?", shopper=ANN)
    assert [call.status for call in finished.tool_calls] == ["refused"]
    read = str(model.calls[1].messages)
    assert not [fact for fact in ("Leeds", "Brenolo", "TRK7002") if fact in finished.text + read]


# ---------------------------------------------------------------- as a Runnable


def config(shopper: Any = ANN, **more: Any) -> Any:
    return {"configurable": {"shopper": shopper, **more}}


def test_a_runnable_answers_each_way(bot: ShopBot) -> None:
    runnable = bot.as_runnable()

    async def streamed() -> list[str]:
        return [piece async for piece in runnable.astream("what have I ordered?", config())]

    pieces = asyncio.run(streamed())
    assert len(pieces) > 1
    assert "FS-1001" in "".join(pieces)
    assert asyncio.run(runnable.ainvoke("what have I ordered?", config())) == "".join(pieces)
    assert runnable.invoke("what have I ordered?", config()) == "".join(pieces)
    assert "".join(runnable.stream("what have I ordered?", config())) == "".join(pieces)
    assert runnable.batch(["hello", "what have I ordered?"], config())[1] == "".join(pieces)


def test_a_runnable_fits_into_a_chain_and_continues_a_session(bot: ShopBot, store: Store) -> None:
    chain = RunnableLambda(lambda text: f"{text} FS-1001?") | bot.as_runnable() | RunnableLambda(str.upper)
    assert "DELIVERED" in chain.invoke("where is", config(session="s"))
    assert "1001" in bot.as_runnable().invoke("and how did I pay for it?", config(session="s"))
    assert len(store.history("s")) == 2


@pytest.mark.parametrize("given", [None, {}, {"configurable": {}}, config("ann_abel_1"), config({"id": "ann_abel_1"})])
def test_a_runnable_refuses_to_run_without_a_shopper(bot: ShopBot, store: Store, given: Any) -> None:
    runnable = bot.as_runnable()
    with pytest.raises(UsageError, match="who is asking"):
        runnable.invoke("what have I ordered?", given)
    with pytest.raises(UsageError, match="who is asking"):
        list(runnable.stream("what have I ordered?", given))
    assert not store.sessions()

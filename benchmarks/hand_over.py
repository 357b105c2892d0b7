"""What a person is told when a conversation goes to them, and that the bot is silent until they give it back.

python -m benchmarks.hand_over [--quick] [--json OUT]

Conversations over the sample shop with `shop.bot()`, real store, journal and tools; each ends in a hand-over by one of
five roads, in turn: the shopper asks for a person; is angry; three turns in a row bring no answer; what they ask for is above
what the bot may decide (a tool raises NeedsPerson); the end of an action is not known (the shop's own system stops
answering, so neither the tool nor its lookup can tell). Messages in English and Chinese, with ordinary questions before.

A packet is complete where every field is what was said and done, as the events of the turns told it at the time: reason,
shopper, language, profile, open question; the whole transcript in order; every tool called and every action with
arguments, state, result and what the shopper was told; a summary that counts and quotes right. The shopper then writes three
more messages, the first while a person is awaited, the others while one has it; all must bring no text and no call. Given
back, the bot must answer a question about a policy.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from benchmarks.report import REPOSITORY, Rows
from shopbot import wire
from shopbot.bot import ShopBot
from shopbot.handover import HandOver, Packet
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import (
    Event,
    Finished,
    HandedOver,
    Language,
    Order,
    Profile,
    Said,
    Shopper,
    ToolCall,
    ToolCalled,
    Understood,
)

CONVERSATIONS, QUICK = 50, 6
PERSON, REPLY = "Ada", "I am here, and I look into it."
Road = Literal["request", "anger", "failures", "limit", "unknown"]
ROADS: tuple[Road, ...] = ("request", "anger", "failures", "limit", "unknown")

BEFORE: tuple[tuple[str, ...], ...] = (
    ("Where is {id}?",),
    ("退款多久到账",),
    ("hello", "How much did I pay for {id}?"),
    (),
    ("How long is the warranty?", "{id}什么时候送到？"),
)
REQUESTS = (
    "I want to talk to a person",
    "转人工",
    "Can you put me through to a human, please?",
    "我要找人工客服",
    "get me your manager",
    "Is there a real person I can speak to?",
    "帮我接真人",
    "I'd rather speak with someone from your team",
    "let me speak to customer service",
    "请帮我转接人工服务",
)
ANGRY = (
    ("YOU ARE ALL THIEVES AND I WANT MY MONEY BACK NOW!!!",),
    ("This is ridiculous, where is my refund", "I am really angry now, this is a joke"),
    ("你们这是骗子，我要投诉",),
    ("I am fed up with this, worst service ever",),
    ("太差了，我很生气", "怎么回事，我受够了"),
)
UNANSWERED = (
    ("who won the world cup in 1998?", "which planet is biggest", "who won the world cup in 2002?"),
    ("太阳系有几颗行星？", "法国大革命是哪一年？", "鲸鱼有多重？"),
    ("do you sponsor a football team?", "how many bones does a shark have?", "why is the sky blue at noon?"),
    ("what does a zebra weigh on average?", "鲸鱼有多重？", "which planet is biggest"),
)
LATER = (("hello?", "is anybody there", "yes"), ("在吗？", "取消我的订单", "好的"), ("cancel my order", "yes", "hello"))
PROBES: tuple[tuple[str, str], ...] = (("How long do refunds take?", "working day"), ("退款多久到账", "工作日"))


@dataclass(frozen=True)
class Script:
    """What is said until a person is needed, who says it, and of which language the last of it is."""

    road: Road
    shopper: Shopper
    messages: tuple[str, ...]
    language: Language
    later: tuple[str, ...]


class Unreachable(dict[str, Any]):
    """The ledger of a shop whose own system no longer answers."""

    def __contains__(self, key: object) -> bool:
        raise ConnectionError("the order system does not answer")

    def get(self, key: object, default: Any = None) -> Any:
        raise ConnectionError("the order system does not answer")


# ---------------------------------------------------------------- what is said


def scripts(shop: Shop, count: int) -> list[Script]:
    """So many conversations, a road after the other; every road takes its wordings in turn, no order comes twice."""
    lines = {road: _endings(road, shop) for road in ROADS}
    owners = (each for each in shop.data.orders.values() if each["status"] == "shipped")
    made: list[Script] = []
    for number in range(count):
        road = ROADS[number % len(ROADS)]
        owner, ending = next(lines[road])
        order_id = ""
        if not owner:
            record = next(owners)
            owner, order_id = record["user_id"], record["order_id"]
        before = BEFORE[(number + number // len(ROADS)) % len(BEFORE)]
        said = [one.format(id=order_id) for one in before if order_id or "{id}" not in one]
        chinese = any("\u4e00" <= char <= "\u9fff" for char in ending[-1])
        language: Language = "zh" if chinese else "en"
        messages = (*said, *ending)
        made.append(Script(road, shop.shopper(owner), messages, language, LATER[number % len(LATER)]))
    return made


def _endings(road: Road, shop: Shop) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(a shopper, or "" for any; the messages that lead to a person), without end or as many as there are orders for it."""
    if road in ("request", "anger", "failures"):
        fixed = {"request": [(one,) for one in REQUESTS], "anger": ANGRY, "failures": UNANSWERED}[road]
        while True:
            yield from (("", one) for one in fixed)
    orders = [order for ident in shop.data.orders if (order := shop.data.order(ident)) is not None]
    if road == "limit":
        dear = [order for order in orders if order.total > 500 and order.status in ("pending", "delivered")]
        yield from ((order.shopper_id, (_too_dear(order, place),)) for place, order in enumerate(dear))
    pending = [order for order in orders if order.status == "pending" and order.total < 400]
    for place, order in enumerate(pending):
        cancel = f"取消订单{order.id}" if place % 2 else f"Please cancel {order.id}"
        yield (
            order.shopper_id,
            (cancel, *(("好的", "取消了吗？") if place % 2 else ("yes please", "is it cancelled now?"))),
        )


def _too_dear(order: Order, place: int) -> str:
    if order.status == "pending":
        return f"取消订单{order.id}" if place % 2 else f"Please cancel {order.id}"
    return f"我要退货，订单{order.id}，全部" if place % 2 else f"I want to return everything in {order.id}"


# ---------------------------------------------------------------- what is heard


@dataclass
class Heard:
    """A conversation up to the hand-over, as its events told it; then what came of it. `wrong` says what fell short."""

    script: Script
    said: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    profile: Profile | None = None
    turn_id: str = ""
    wrong: list[str] = field(default_factory=list[str])
    is_complete: bool = False
    messages_meanwhile: int = 0
    hooked: int = 0
    answers_again: bool = False


async def heard(bot: ShopBot, script: Script, session: str, told: Sequence[HandOver]) -> Heard:
    """Have the conversation: up to the hand-over, through it, and after it."""
    one = Heard(script)
    for message in script.messages:
        events = [event async for event in bot.stream(message, shopper=script.shopper, session=session)]
        finished = _end(events)
        one.said.append(("shopper", message))
        one.calls += _before_hand_over(events)
        if finished.handed_over:
            one.profile = next(event.profile for event in events if isinstance(event, Understood))
            one.turn_id = finished.turn_id
            break
        one.said.append(("bot", finished.text))
    made = bot.handing.hand_overs.of_session(session)
    if made is None:
        one.wrong.append("no hand-over")
        return one
    one.wrong += faults(made, one)
    one.is_complete = not one.wrong
    await _meanwhile(bot, made, one)
    await _given_back(bot, made, one)
    one.hooked = sum(each.session_id == session for each in told)
    if one.hooked != 1:
        one.wrong.append(f"the hook was called {one.hooked} times")
    return one


async def _meanwhile(bot: ShopBot, made: HandOver, one: Heard) -> None:
    """The shopper writes on, first while a person is awaited, then while one has it."""
    for place, message in enumerate(one.script.later):
        events = [event async for event in bot.stream(message, shopper=one.script.shopper, session=made.session_id)]
        end = _end(events)
        if any(isinstance(event, Said) for event in events) or end.text or end.tool_calls or not end.handed_over:
            one.messages_meanwhile += 1
            one.wrong.append(f"the bot spoke: {end.text!r} {end.tool_calls}")
        if place == 0:
            bot.handing.hand_overs.take(made.id, PERSON, bot.clock())
            bot.handing.hand_overs.say(made.id, PERSON, REPLY, bot.clock())


async def _given_back(bot: ShopBot, made: HandOver, one: Heard) -> None:
    bot.handing.hand_overs.give_back(made.id, PERSON, "settled", bot.clock())
    probe, fact = PROBES[one.script.language == "zh"]
    answer = await bot.reply(probe, shopper=one.script.shopper, session=made.session_id)
    one.answers_again = answer.answered and not answer.handed_over and fact in answer.text
    if not one.answers_again:
        one.wrong.append(f"given back, it said {answer.text!r}")


def _before_hand_over(events: Sequence[Event]) -> list[ToolCall]:
    """The calls of a turn; of that which handed over, those before it: a packet is as things stood then."""
    until = takewhile(lambda event: not isinstance(event, HandedOver), events)
    return [event.call for event in until if isinstance(event, ToolCalled)]


def _end(events: Sequence[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


# ---------------------------------------------------------------- what a packet must hold


def faults(made: HandOver, one: Heard) -> list[str]:
    """What in the hand-over is not as it was said and done; [] where it is complete."""
    packet, last = made.packet, one.script.messages[-1]
    asked = one.said[-1][1]
    lines = [(line.who, line.text) for line in packet.transcript]
    times = [datetime.fromisoformat(line.at) for line in packet.transcript]
    checks = {
        "hand-over": (made.turn_id, made.status, [each.text for each in made.reasons])
        == (one.turn_id, "waiting", [packet.reason]),
        "last message": asked == last or one.script.road == "unknown",  # an action may be given up at the yes already
        "reason": _reason_fits(packet, one),
        "shopper": packet.shopper == one.script.shopper,
        "language": packet.language == one.script.language,
        "profile": packet.profile == one.profile,
        "open question": packet.open_question == asked,
        "transcript": lines == one.said and not any(line.person for line in packet.transcript),
        "times": times == sorted(times) and all(each.tzinfo is not None for each in times),
        "tried": _tried(packet) == _called(one),
        "summary": packet.summary == _summary(packet, one),
    }
    return [f"{what}: {getattr(packet, what.replace(' ', '_'), made)!r}" for what, holds in checks.items() if not holds]


def _reason_fits(packet: Packet, one: Heard) -> bool:
    fixed = {
        "request": "the shopper asks for a person",
        "anger": "the shopper is angry",
        "failures": "no answer was found 3 times in a row",
        "unknown": "the end of cancel_order was not seen",
    }
    if one.script.road in fixed:
        return packet.reason == fixed[one.script.road]
    refused = [call.result for call in one.calls if call.status == "refused"]
    return [packet.reason] == [each["reason"] for each in refused if each.get("needs_person")] and "£" in packet.reason


def _tried(packet: Packet) -> list[Any]:
    return sorted(
        ([each.tool, each.arguments, each.status, each.result, each.told, each.key] for each in packet.tried), key=repr
    )


def _called(one: Heard) -> list[Any]:
    """What the turns told of calls, in the form of `_tried`: one entry a call, one an action, as it stands by now."""
    actions: dict[str, list[Any]] = {}
    calls: list[list[Any]] = []
    for call in one.calls:
        told, arguments = wire.to_json(call.result), wire.to_json(call.arguments)
        if call.status == "proposed":
            actions[call.id] = [call.name, arguments, "proposed", None, told, call.id]
        elif call.id in actions:
            # A turn tells of an action that went to a person as "unknown".
            state = "handed_over" if call.status == "unknown" else call.status
            actions[call.id][2:4] = [state, told]
        else:
            calls.append([call.name, arguments, call.status, told, None, ""])
    return sorted([*calls, *actions.values()], key=repr)


def _summary(packet: Packet, one: Heard) -> tuple[str, ...]:
    mine = [text for who, text in one.said if who == "shopper"]
    count = f"{len(mine)} message{'s' * (len(mine) != 1)}"
    lines = [f"{one.script.shopper.name} has written {count}."]
    if mine[0] != mine[-1]:
        lines.append(f"First asked: “{mine[0]}”")
    lines.append(f"Last asked: “{mine[-1]}”")
    done = Counter(f"{each.tool} {each.status.replace('_', ' ')}" for each in packet.tried)
    tried = "; ".join(what + f" ×{times}" * (times > 1) for what, times in done.items())
    return (*lines, f"Tried: {tried}." if tried else "Nothing was looked up or changed.")


# ---------------------------------------------------------------- all of them


async def conversations(shop: Shop, folder: Path, count: int) -> list[Heard]:
    """Have so many conversations; tells on stderr how far it is, and of each that fell short."""
    told: list[HandOver] = []
    lost = shop.data.copy()
    lost.ledger = Unreachable()
    with Store.open(folder / "hand_over.db") as store:
        bot = shop.bot(store=store, data=shop.data.copy(), on_hand_over=told.append)
        cut_off = shop.bot(store=store, data=lost, on_hand_over=told.append)
        all_heard: list[Heard] = []
        for number, script in enumerate(scripts(shop, count)):
            by = cut_off if script.road == "unknown" else bot
            one = await heard(by, script, f"{script.road}-{number}", told)
            all_heard.append(one)
            print(
                f"  {number + 1} of {count}: {script.road} {'; '.join(one.wrong) or 'ok'}", file=sys.stderr, flush=True
            )
            for who, text in one.said if one.wrong else ():
                print(f"      {who}: {text}", file=sys.stderr)
    return all_heard


def judge(all_heard: Sequence[Heard], rows: Rows) -> None:
    """The rows."""
    count = len(all_heard)
    roads = Counter(one.script.road for one in all_heard if one.turn_id)
    by_road = ", ".join(f"{road} {roads[road]}" for road in ROADS)
    rows.add(
        f"conversations that came to a person, of {count} ({by_road})",
        roads.total(),
        f"{count}",
        roads.total() == count,
    )
    complete = sum(one.is_complete for one in all_heard)
    rows.add(f"packets complete, of {count}", complete, f"{count}", complete == count)
    spoken = sum(one.messages_meanwhile for one in all_heard)
    rows.add("messages of the bot while a person has it", spoken, "0", spoken == 0 and roads.total() > 0)
    once = sum(one.hooked == 1 for one in all_heard)
    rows.add(f"on_hand_over called once, of {count}", once, f"{count}", once == count)
    again = sum(one.answers_again for one in all_heard)
    rows.add(f"answers again after given back, of {count}", again, f"{count}", again == count)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Six conversations.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Measure on the sample shop."""
    rows = Rows("hand_over")
    with Shop.open(REPOSITORY / "sample_shop") as shop, tempfile.TemporaryDirectory() as folder:
        judge(asyncio.run(conversations(shop, Path(folder), QUICK if quick else CONVERSATIONS)), rows)
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

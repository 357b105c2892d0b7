"""Scripted customers: each plays the turns of a task, out of turns.jsonl, against the bot and judges what it proposes.

A line of turns.jsonl is one customer, written from the scenario of the task and from nothing else:

    {"task": id, "says": [message, ...], "tells": {kind: answer, ...}}

`tells` is what they answer when asked: "order", "items", "version", "reason", "payment", "address"; a list holds the answer
to the first asking, to the second and so on. A message may be {"say": text, "tells": {...}}, with answers of its own, or

    {"if_refused": text}    said only where no write came of the messages before it, back to the last that has no condition
    {"if_proposed": text}   said instead of a no to a proposal that is not what they want; else left out

They say yes to a proposal that is one of the writes the task expects and has not seen yet, and no to any other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.tau2_retail.oracle import Played
from shopbot.bot import ShopBot
from shopbot.errors import UsageError
from shopbot.records import ShopData
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.turn import FORM
from shopbot.types import Finished, ToolCall

TURNS = Path(__file__).parent / "turns.jsonl"
YES, NO, PLAINLY_NO = "Yes, please go ahead.", "No, that is not what I want.", "No."
LONGEST = 40  # messages; a talk of a task needs some ten
PATIENCE = 2  # so often is the same question answered
KINDS = ("order", "items", "version", "reason", "payment", "address")
ASKED = {"wanted": "version", "choice": "reason"}
"""The bot's kinds of questions that `tells` calls by another name."""


class Entry(NamedTuple):
    """One message of a customer, when it is said, and what is answered to questions about it."""

    when: Literal["say", "if_refused", "if_proposed"]
    text: str
    tells: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Turns:
    """The customer of one task."""

    task_id: str
    says: tuple[Entry, ...]


class Line(NamedTuple):
    """One message of a talk, and what the bot did and answered."""

    said: str
    answer: Finished
    asked: str
    """The kind of what the bot asks for after it, or ""."""


@dataclass(slots=True)
class Talked:
    """A talk that has ended: `done` of the `expected` writes, the wrong ones, and whether the records are as they should be."""

    task_id: str
    expected: int
    done: int = 0
    wrong: list[str] = field(default_factory=list[str])
    right: bool = False
    lines: list[Line] = field(default_factory=list[Line])


def read_turns(path: Path = TURNS) -> dict[str, Turns]:
    """The customers by task id. Raises UsageError where a line has another form."""
    found: dict[str, Turns] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            told: dict[str, Any] = json.loads(line)
            tells = _tells(told["tells"])
            entries = tuple(_entry(one, tells) for one in told["says"])
            if told["task"] in found or not entries or entries[0].when != "say":
                raise ValueError("a task a line, and a first message without a condition")
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}:{number}: not the turns of a customer: {error}.") from None
        found[told["task"]] = Turns(told["task"], entries)
    return found


def _entry(told: str | dict[str, Any], tells: Mapping[str, tuple[str, ...]]) -> Entry:
    if isinstance(told, str):
        return Entry("say", told, tells)
    own = _tells(told.get("tells", {}))
    for when in ("say", "if_refused", "if_proposed"):
        if set(told) - {"tells"} == {when}:
            return Entry(when, told[when], {**tells, **own})
    raise ValueError(f"one message is wanted, not {sorted(told)}")


def _tells(told: Mapping[str, str | list[str]]) -> dict[str, tuple[str, ...]]:
    if unknown := set(told) - set(KINDS):
        raise ValueError(f"nobody is asked for {sorted(unknown)}")
    return {kind: (answer,) if isinstance(answer, str) else tuple(answer) for kind, answer in told.items()}


# ---------------------------------------------------------------- a talk


async def talk(shop: Shop, store: Store, turns: Turns, played: Played) -> Talked:
    """Play a customer; `played` is the oracle's play of the task, whose writes are what this one wants."""
    data = shop.data.copy()
    customer = Customer(shop, store, turns, played, data)
    await customer.talk(shop.bot(planner="head", data=data, store=store))
    customer.talked.right = data.dump() == played.data.dump()
    return customer.talked


class Customer:
    """Somebody who knows what they want, says it as they can, and reads what they are asked to agree to."""

    def __init__(self, shop: Shop, store: Store, turns: Turns, played: Played, data: ShopData) -> None:
        wanted = [call for call in played.writes if call.status == "done"]
        self.talked = Talked(turns.task_id, len(wanted))
        self._wanted = [_plain(call) for call in wanted]
        self._says = list(turns.says)
        self._now = turns.says[0]
        self._shopper, self._session = shop.shopper(played.shopper_id), f"talk-{turns.task_id}"
        self._store, self._data, self._writes = store, data, shop.toolbox(data).writes
        self._known = data.copy()
        self._answers, self._asked = Counter[Any](), Counter[Any]()
        self._words = Counter[str]()
        self._form: Any = None
        self._waiting: ToolCall | None = None
        self._agreed = ""
        self._served = False

    async def talk(self, bot: ShopBot) -> None:
        """Say everything, until there is no more to say or a person takes over."""
        for text in self._texts():
            answer = await bot.reply(text, shopper=self._shopper, session=self._session)
            session = self._store.session(self._session)
            form = session.state.get(FORM) if session is not None else None
            self._watch(answer)
            self.talked.lines.append(Line(text, answer, form["asked"] if form else ""))
            if answer.handed_over or len(self.talked.lines) >= LONGEST:
                return
            self._agreed, self._form, self._waiting = "", form, answer.waiting

    def _texts(self) -> Iterator[str]:
        while (entry := self._next()) is not None:
            self._turn_to(entry)
            self._served = self._served and entry.when != "say"
            yield entry.text
            while (reply := self._reply()) is not None:
                yield reply

    def _turn_to(self, entry: Entry) -> None:
        self._now = entry
        self._asked.clear()

    def _next(self) -> Entry | None:
        while self._says:
            entry = self._says.pop(0)
            if entry.when == "say" or (entry.when == "if_refused" and not self._served):
                return entry
        return None

    def _reply(self) -> str | None:
        """The word on what waits, else the answer to what is asked; None where there is neither."""
        waiting, form = self._waiting, self._form
        if waiting is not None:
            return self._word(waiting)
        if form is None:
            return None
        kind = ASKED.get(asked := str(form["asked"]), asked)
        answers, subject = self._now.tells.get(kind, ()), (form["tool"], form["arguments"].get("order_id"), kind)
        place, times = self._answers[kind, answers], self._asked[subject]
        if not answers or times >= max(PATIENCE, len(answers)):
            return None
        self._answers[kind, answers] += 1
        self._asked[subject] += 1
        return answers[min(place, len(answers) - 1)]

    def _word(self, waiting: ToolCall) -> str | None:
        """Yes or no to what is proposed; None to what still waits after that was said plainly."""
        wanted = _plain(waiting) in self._wanted
        if not wanted and self._says and self._says[0].when == "if_proposed":
            self._turn_to(self._says.pop(0))
            return self._now.text
        said = self._words[waiting.id]
        self._words[waiting.id] += 1
        if wanted and said < PATIENCE:
            self._agreed = waiting.id
            return YES
        return (NO, PLAINLY_NO, None)[min(said, 2)]

    def _watch(self, answer: Finished) -> None:
        """Count the writes that were done: each must be wanted, and have its yes; no record changes without one."""
        done = [call for call in answer.tool_calls if self._writes(call.name) and call.status == "done"]
        for call in done:
            plain = _plain(call)
            if call.id != self._agreed or plain not in self._wanted:
                self.talked.wrong.append(f"{call.name} {dict(call.arguments)}")
                continue
            self._wanted.remove(plain)
            self.talked.done += 1
            self._served = True
        if self._data.dump() != self._known.dump():
            if not done:
                self.talked.wrong.append("records that no call tells of")
            self._known = self._data.copy()


def _plain(call: ToolCall) -> tuple[str, str]:
    """A call in the one form of all that mean the same: items in any order, each with what is wanted for it."""
    given = {name: value for name, value in call.arguments.items() if not isinstance(value, list)}
    lists = [value for _, value in sorted(call.arguments.items()) if isinstance(value, list)]
    return call.name, json.dumps([given, sorted(zip(*lists, strict=False))], sort_keys=True)


# ---------------------------------------------------------------- for reading


def shown(talked: Talked, played: Played) -> str:
    """A talk as text: who said what, what was called, and what became of the task."""
    lines = [f"task {talked.task_id}"]
    for line in talked.lines:
        calls = [f"    [{call.name} {call.status}: {dict(call.arguments)}]" for call in line.answer.tool_calls]
        asks = [f"    [asks for: {line.asked}]"] if line.asked else []
        lines += [f"customer: {line.said}", *calls, f"bot:      {line.answer.text}", *asks]
    wanted = [f"    {call.name} {dict(call.arguments)}" for call in played.writes if call.status == "done"]
    end = "right" if talked.right else "not right"
    lines += [f"the end state is {end}; {talked.done} of {talked.expected} writes done:", *wanted]
    return "\n".join([*lines, *(f"wrong write: {one}" for one in talked.wrong)])

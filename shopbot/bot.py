"""ShopBot: a turn, as an async generator of events.

    message ─▶ understand ─▶ a yes or no? ─▶ plan ⇄ act, retrieve ─▶ compose ─▶ word ─▶ store

Nothing blocks the event loop: encoding, searching, tools and the database run in threads. The turn is stored before its
last event, `Finished`, goes out; a consumer that leaves early leaves an interrupted turn, never half of one.

Whatever part fails, the shopper is answered: by another part that can (the heads for a model that plans, the draft for one
that words), else by a line that says so. What failed is logged, and told in `Finished.problem`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from uuid import uuid4

from langchain_core.runnables import Runnable

from shopbot.acting import Acting
from shopbot.compose import combine, compose_call, compose_found, compose_line
from shopbot.compose_actions import with_question
from shopbot.errors import SessionBusy, StoreError
from shopbot.handing import Handing, count_anger, count_failures
from shopbot.phrases import Phrases
from shopbot.planner import MOST_CALLS, Planner
from shopbot.recovery import clear_up
from shopbot.runnable import BotRunnable
from shopbot.steps import Call, HandOver, Lookup, Say, Step, describe
from shopbot.tools import Toolbox
from shopbot.turn import FORM, LATER, WAITING, LiveTurn, Question
from shopbot.types import (
    Decision,
    Draft,
    Drafted,
    Event,
    Finished,
    HandedOver,
    Language,
    Planned,
    Profile,
    Retrieved,
    Said,
    Shopper,
    ToolCall,
    ToolCalled,
    Understood,
    Withheld,
)
from shopbot.understand import detect_language
from shopbot.wording import Wording, spaced

if TYPE_CHECKING:
    from shopbot.store import Store

log = logging.getLogger(__name__)

MOST_CHARACTERS = 4000
"""What is read of a message; all of it is stored."""
_ENDLESS = re.compile(r"([^\s\u3400-\u9fff]{100})[^\s\u3400-\u9fff]+")
"""A "word" of more than 100 characters: the rest tells nothing, and patterns slow down on it with its square."""
PATIENCE = 10.0
"""Seconds that a message waits for the turn before it in its session."""


class Mind(Protocol):
    """Reads messages and finds passages: `shop.Mind` is one."""

    def understand(self, message: str) -> tuple[Question, ...]:
        """The questions of a message."""
        ...

    def look_up(self, lookup: Lookup) -> Retrieved:
        """Passages for a question and the sentences that answer it."""
        ...


class Minds(Protocol):
    """The mind of the index version that serves: `live_mind.LiveMind` is one."""

    def current(self) -> Mind:
        """A turn asks once, and keeps it: its answer is of one version."""
        ...


@dataclass(frozen=True, slots=True)
class Splice:
    """Hostile content put where a test wants it: beside the passages, or into the result of a tool ("" is any)."""

    where: Literal["passage", "tool_result", "system_prompt"]
    content: str
    tool: str = ""


@dataclass(kw_only=True, eq=False)
class ShopBot:
    """A shop's support agent. Made by `Shop.bot`, which wires its parts; safe to share between conversations.

        async for event in bot.stream("Where is my order?", shopper=Shopper("mei_chen_014"), session="s1"):
            ...

    `session` continues a conversation; it belongs to the shopper who began it.
    """

    voices: Mapping[Language, Phrases]
    contact: str
    mind: Minds
    planner: Planner
    toolbox: Toolbox
    acting: Acting
    handing: Handing
    store: Store
    clock: Callable[[], datetime]
    wording: Wording | None = None
    splices: Sequence[Splice] = ()

    # ---------------------------------------------------------------- a turn

    async def stream(
        self, message: str, *, shopper: Shopper, session: str | None = None, decision: Decision | None = None
    ) -> AsyncIterator[Event]:
        """Answer a message; yields the events of the turn, `Finished` last.

        `decision` is the shopper's word on a proposed action, if a button gave it; the message is what the button says.
        Where the store fails nothing is done, and the shopper is told so; `Finished.problem` says why.

        Raises UsageError if the session is another shopper's, SessionBusy if its turn before this one does not end.
        """
        started = perf_counter()
        try:
            turn, silent = await self._begin(message, shopper, session or uuid4().hex)
        except StoreError as error:
            log.error("no turn can be begun: %s", error)  # which says what to do; a stack would hide it
            for event in self._out_of_order(message, error, started):
                yield event
            return
        events: list[Event] = []
        try:
            async for event in _nothing(turn) if silent else self._answer(turn, decision):
                events.append(event)
                yield event
            async for event in self._finish(turn, events, silent, started):
                yield event
        except BaseException:  # the consumer left, or a later turn has closed this one
            with suppress(StoreError):
                self.store.interrupt_turn(turn.id, self.clock())
            raise

    async def recover(self) -> list[ToolCall]:
        """Finish what a crash left of actions, in every session, before their shoppers write again: for a server's start.

        Sessions with a turn running are passed over. What became of an action is told in the session's next turn; where it
        cannot be known the session goes to a person. Raises StoreError.
        """
        return await clear_up(self.acting, self.handing, self.store)

    async def reply(
        self, message: str, *, shopper: Shopper, session: str | None = None, decision: Decision | None = None
    ) -> Finished:
        """The same turn, whole: its last event, with text, citations, tool calls and times."""
        last: Event | None = None
        async for event in self.stream(message, shopper=shopper, session=session, decision=decision):
            last = event
        assert isinstance(last, Finished)
        return last

    def as_runnable(self) -> Runnable[str, str]:
        """The bot as a LangChain Runnable; the shopper comes from `config["configurable"]["shopper"]`."""
        return BotRunnable(self)

    async def _answer(self, turn: LiveTurn, decision: Decision | None) -> AsyncIterator[Event]:
        try:
            yield await self._understand(turn)
            async for event in self._settle(turn, decision):
                yield event
            if not turn.handed_over and (reason := count_failures(turn)):
                yield await self._hand_over(reason, turn)
        except Exception as error:
            log.exception("turn %s: a part failed", turn.id)
            turn.problems.append(f"{type(error).__name__}: {error}")
            changed = any(self.toolbox.writes(call.name) and call.status != "proposed" for call in turn.calls)
            line = "part_failed" if changed else "tool_failed"  # which says that nothing was changed
            turn.drafts.append(compose_line(line, self.voices[turn.language], answered=False))
        async for event in self._word(self._draft(turn), turn):
            yield event

    async def _finish(self, turn: LiveTurn, events: list[Event], silent: bool, started: float) -> AsyncIterator[Event]:
        """Store the turn; where that fails, say so, since the bot will not remember it."""
        finished = _finished(turn, events, (perf_counter() - started) * 1000)
        try:
            await asyncio.to_thread(self.store.finish_turn, [*events, finished], now=self.clock(), state=turn.state)
        except StoreError as error:
            log.error("turn %s cannot be stored: %s", turn.id, error)
            said = "" if silent else f" {self.voices[turn.language].line('not_saved')}"
            if said:
                yield Said(said)
            problem = "; ".join(filter(None, (finished.problem, str(error))))
            finished = replace(finished, turn_id="", text=finished.text + said, waiting=None, problem=problem)
        yield finished

    def _out_of_order(self, message: str, error: StoreError, started: float) -> Sequence[Event]:
        """The events of a turn that cannot even be begun."""
        line = compose_line("out_of_order", self.voices[detect_language(message)], False, {"contact": self.contact})
        milliseconds = (perf_counter() - started) * 1000
        finished = Finished("", line.text, (), (), False, False, {}, milliseconds, problem=str(error))
        return Drafted(line, "draft", milliseconds), Said(line.text), finished

    async def _settle(self, turn: LiveTurn, decision: Decision | None) -> AsyncIterator[Event]:
        """What a crash left, the shopper's word on what waits, what else they say, and what waits behind that."""
        phrases = self.voices[turn.language]
        for event in await self.acting.recover(turn, phrases):
            yield event
            if event.call.status == "unknown":
                yield await self._hand_over(f"the end of {event.call.name} was not seen", turn)
        if turn.handed_over:
            return
        with _Timed(turn, "act"):
            said, more = await self.acting.hear(turn, decision, phrases)
        for event in said:
            yield event
        if reason := count_anger(turn):
            yield await self._hand_over(reason, turn)
        elif more:
            async for event in self._plan(turn):
                yield event
        while not (turn.waiting or turn.handed_over or FORM in turn.state) and (queued := turn.state.get(LATER)):
            async for event in self._next(queued.pop(0), turn):
                yield event

    def _draft(self, turn: LiveTurn) -> Draft:
        """One draft of those that the steps brought, with the question that an action waits for at its end."""
        phrases = self.voices[turn.language]
        turn.state.pop(WAITING, None)
        if turn.unseen:
            turn.state[WAITING] = turn.unseen
        if turn.waiting is None:
            draft = combine(turn.drafts, phrases)
            # What was done, or was not, is told in the tool's own words: no model words it.
            return replace(draft, fixed=draft.fixed or any(self.toolbox.writes(call.name) for call in turn.calls))
        turn.state[WAITING] = turn.waiting.id
        says = turn.proposed or turn.problems or any(draft.answered for draft in turn.drafts)
        draft = combine(turn.drafts, phrases) if says else Draft(())
        return with_question(draft, turn.waiting, turn.proposed, phrases)

    # ---------------------------------------------------------------- its stages

    async def _begin(self, message: str, shopper: Shopper, session: str) -> tuple[LiveTurn, bool]:
        """The turn, and whether a person has the conversation or is awaited in it.

        Waits for the session's turn before this one; gives up with SessionBusy after a while.
        """
        for _ in range(int(PATIENCE / 0.05)):
            with suppress(SessionBusy):
                return await asyncio.to_thread(self._begin_in_store, message, shopper, session)
            await asyncio.sleep(0.05)
        return await asyncio.to_thread(self._begin_in_store, message, shopper, session)

    def _begin_in_store(self, message: str, shopper: Shopper, session: str) -> tuple[LiveTurn, bool]:
        record = self.store.begin_turn(session, shopper.id, message, self.clock())
        text = _readable(message)
        turn = LiveTurn(text, shopper, session, record, detect_language(text), state=dict(record.state))
        turn.mind = self.mind.current()
        if record.place == 1:
            return turn, False
        turn.history = tuple((_readable(asked), answer) for asked, answer in self.store.said(session, 12))
        return turn, self.handing.is_silent(session)

    async def _understand(self, turn: LiveTurn) -> Event:
        with _Timed(turn, "understand") as timed:
            turn.questions = await asyncio.to_thread(turn.mind.understand, turn.message)
        first = turn.questions[0]
        turn.language = first.language
        turn.profile = Profile(first.guess.intent, first.guess.confidence, 0.0, first.language)
        return Understood(turn.profile, timed.milliseconds)

    async def _plan(self, turn: LiveTurn) -> AsyncIterator[Event]:
        async for step in self.planner.plan(turn) if _says_something(turn.message) else _one(Say("empty")):
            async for event in self._carry_out(step, turn):
                yield event

    async def _next(self, queued: Mapping[str, Any], turn: LiveTurn) -> AsyncIterator[Event]:
        """What was asked for beside an action that has been settled now: another action, or a request in words."""
        if "tool" in queued:
            step = Call(queued["tool"], queued["arguments"], turn.questions[0])
            async for event in self._carry_out(step, turn):
                yield event
            return
        turn.questions = await asyncio.to_thread(turn.mind.understand, queued["text"])
        async for event in self._plan(turn):
            yield event

    async def _carry_out(self, step: Step, turn: LiveTurn) -> AsyncIterator[Event]:
        yield Planned((describe(step),), 0.0)
        phrases = self.voices[turn.language]
        match step:
            case Say():
                turn.drafts.append(compose_line(step.line, phrases, step.answered, step.fields, step.source))
            case HandOver():
                yield await self._hand_over(step.reason, turn)
            case Lookup():
                yield await self._retrieve(step, turn, phrases)
            case Call() if len(turn.calls) < MOST_CALLS and self.toolbox.writes(step.tool):
                async for event in self._propose(step, turn, phrases):
                    yield event
            case Call() if len(turn.calls) < MOST_CALLS:
                yield await self._act(step, turn, phrases)
            case Call():
                log.warning("turn %s: more than %d tool calls were planned; the rest is left", turn.id, MOST_CALLS)

    async def _retrieve(self, step: Lookup, turn: LiveTurn, phrases: Phrases) -> Event:
        with _Timed(turn, "retrieve") as timed:
            found = await asyncio.to_thread(turn.mind.look_up, step)
        found = replace(found, milliseconds=timed.milliseconds)
        turn.retrieved.append(found)
        turn.drafts.append(compose_found(found, phrases))
        turn.state["question"] = step.question.text
        return found

    async def _propose(self, step: Call, turn: LiveTurn, phrases: Phrases) -> AsyncIterator[Event]:
        with _Timed(turn, "act"):
            called = await self.acting.propose(step.tool, step.arguments, turn, phrases)
        if called is None:
            return
        yield called
        if called.call.status == "refused" and called.call.result.get("needs_person"):
            yield await self._hand_over(str(called.call.result["reason"]), turn)

    async def _hand_over(self, reason: str, turn: LiveTurn) -> Event:
        """Give the conversation to a person; what waits for a yes or an answer is dropped, since nobody hears it now."""
        await self.handing.give(reason, turn)
        turn.handed_over, turn.waiting = True, None
        for key in (FORM, LATER):
            turn.state.pop(key, None)
        turn.drafts.append(compose_line("person", self.voices[turn.language], fields={"contact": self.contact}))
        return HandedOver(reason)

    async def _act(self, step: Call, turn: LiveTurn, phrases: Phrases) -> Event:
        with _Timed(turn, "act") as timed:
            call = await asyncio.to_thread(self.toolbox.call, step.tool, step.arguments, turn.shopper, step.id)
        turn.calls.append(call)
        if call.status == "failed":
            turn.problems.append(f"{call.name}: {call.result['reason']}")
        turn.remember(call)
        turn.drafts.append(compose_call(self._spliced(call), step.question.text, phrases))
        return ToolCalled(call, timed.milliseconds)

    async def _word(self, draft: Draft, turn: LiveTurn) -> AsyncIterator[Event]:
        wording = self.wording
        with _Timed(turn, "word") as timed:
            if wording is None or not wording.fits(draft, turn.language):
                yield Drafted(draft, "draft", timed.milliseconds)
                for place in range(len(draft.sentences)):
                    yield Said(spaced(draft.sentences[: place + 1]))
                return
            yield Drafted(draft, wording.name, timed.milliseconds)
            past = [message for asked, said in turn.history for message in _messages(asked, said)]
            async for event in wording.word(draft, turn.message, turn.language, past):
                yield event

    def _spliced(self, call: ToolCall) -> ToolCall:
        """The call with a test's hostile content in its result, where a model would read it."""
        notes = [one.content for one in self.splices if one.where == "tool_result" and one.tool in ("", call.name)]
        found: object = call.result
        if not notes or not isinstance(found, Mapping):
            return call
        return replace(call, result={**cast("Mapping[str, Any]", found), "note": "\n".join(notes)})


# ---------------------------------------------------------------- small parts


class _Timed:
    """Adds the time of a block to a stage of the turn."""

    def __init__(self, turn: LiveTurn, stage: str) -> None:
        self._turn, self._stage, self._start = turn, stage, perf_counter()

    @property
    def milliseconds(self) -> float:
        return (perf_counter() - self._start) * 1000

    def __enter__(self) -> _Timed:
        return self

    def __exit__(self, *_: object) -> None:
        self._turn.timings[self._stage] = self._turn.timings.get(self._stage, 0.0) + self.milliseconds


async def _nothing(turn: LiveTurn) -> AsyncIterator[Event]:
    """The events of a turn in which a person has the conversation."""
    turn.handed_over = True
    for event in ():
        yield event


async def _one(step: Step) -> AsyncIterator[Step]:
    yield step


def _readable(message: str) -> str:
    """What the parts of a turn read of a message: its beginning, without what no tokenizer or pattern can bear."""
    # Half of a surrogate pair, as JSON may hold it, is in no tokenizer's alphabet.
    text = message[:MOST_CHARACTERS].encode(errors="replace").decode()
    return _ENDLESS.sub(r"\1", text)


def _says_something(message: str) -> bool:
    """False for white space, marks and emoji alone: to them every passage is as near as any other."""
    return any(char.isalnum() for char in message)


def _messages(asked: str, said: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


def _finished(turn: LiveTurn, events: Sequence[Event], milliseconds: float) -> Finished:
    draft = next((event.draft for event in events if isinstance(event, Drafted)), Draft((), answered=False))
    return Finished(
        turn_id=turn.id,
        text="".join(event.text for event in events if isinstance(event, Said)),
        citations=draft.citations,
        tool_calls=tuple(turn.calls),
        handed_over=turn.handed_over,
        answered=draft.answered,
        timings=dict(turn.timings),
        milliseconds=milliseconds,
        waiting=turn.waiting,
        problem="; ".join(
            [*turn.problems, *(one.reason for one in events if isinstance(one, Withheld) and not one.text)]
        ),
    )

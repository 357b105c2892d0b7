"""Long and odd talk: does a conversation of 200 turns stay true, within the model's window, and as quick as it began?

python -m benchmarks.long_talk [--quick] [--json OUT]

The sample shop with its real index and store on disk; one shopper, one session, 200 turns (benchmarks/talk.py).

drafts      no model. No turn may fail; every fact must stand in a cited source.
prompts     the same turns through the real 135M model's renderer, chat template and tokenizer, at its own window and at a
            narrow one that cuts every prompt. The model itself speaks on every 10th prompt; else it is silent and the
            draft speaks, so that 200 prompts do not cost 200 generations on a CPU.
pending     the same turns again, each with ALL turns before it, ten long passages and a confirmation that waits.
passages    ten very long passages beside the shop's own (the `--context` road), and questions that they answer.
odd         messages that are none, and order questions of a visitor.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import PrivateAttr

from benchmarks.answers.score import Question, inventions
from benchmarks.report import REPOSITORY, Rows
from benchmarks.talk import (
    FIRST_PROBE,
    ORDERS_OF_A_VISITOR,
    PROBES,
    SEED,
    Turn,
    conversation,
    filled,
    long_passages,
    odd_messages,
)
from shopbot.bot import ShopBot, Splice
from shopbot.local_chat import LocalChat
from shopbot.prompts import MARK, data, render, trim
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Draft, Drafted, Event, Finished, Passage, Said, Shopper
from shopbot.weights import SMOLLM2, fetch
from shopbot.wording import Wording

SHOPPER = "mei_chen_014"
NARROW = 1024
"""Tokens: system prompt, sources, draft, question and 256 tokens for an answer just fit, past turns do not."""
GROWTH = 3.0
"""How much longer than the 5th turn the 200th may take."""
PENDING = "cancel order LF-12401 and refund £59.00 to the card"


# ---------------------------------------------------------------- a conversation, and what is wrong with it


@dataclass(frozen=True)
class Told:
    """One turn: what was asked, its events, and how long it took in milliseconds."""

    turn: Turn
    events: tuple[Event, ...]
    milliseconds: float

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def draft(self) -> Draft:
        return next(event.draft for event in self.events if isinstance(event, Drafted))


async def tell(bot: ShopBot, turn: Turn, shopper: Shopper, session: str) -> Told:
    """Say one turn and keep what came back. Raises what the bot raises: no turn of this benchmark may."""
    begin = time.perf_counter()
    events = tuple([event async for event in bot.stream(turn.text, shopper=shopper, session=session)])
    return Told(turn, events, (time.perf_counter() - begin) * 1000)


async def talk(bot: ShopBot, turns: Sequence[Turn], shopper: Shopper, session: str) -> list[Told]:
    """A conversation, turn after turn."""
    return [await tell(bot, turn, shopper, session) for turn in turns]


def unfounded(told: Told) -> list[str]:
    """Facts of an answer that no cited source holds, and an answer of facts that cites nothing."""
    asked = Question("", "", None, told.turn.text, "", True, False, (), ())
    found = inventions(asked, told.finished, told.events)
    if not told.draft.fixed and not told.finished.citations:
        found.append(f"no source: {told.finished.text!r}")
    return found


def broken(told: Told) -> bool:
    """Whether the pieces shown are not the answer stored, or there is none."""
    said = "".join(event.text for event in told.events if isinstance(event, Said))
    return not told.finished.text.strip() or said != told.finished.text


def give_back(bot: ShopBot, session: str) -> None:
    """What a person does who has nothing to add."""
    hand_overs = bot.handing.hand_overs
    opened = hand_overs.of_session(session)
    if opened is not None:
        hand_overs.take(opened.id, "Ada", bot.clock())
        hand_overs.give_back(opened.id, "Ada", "", bot.clock())


def growth(conversation: Sequence[Told]) -> float:
    """How much longer the last turns took than the 5th to 9th, which ask the same: the median ratio."""
    count = len(PROBES)
    pairs = zip(conversation[FIRST_PROBE : FIRST_PROBE + count], conversation[-count:], strict=True)
    return statistics.median(late.milliseconds / early.milliseconds for early, late in pairs)


@contextmanager
def failures() -> Iterator[list[str]]:
    """What the bot logs as failed parts of turns; the shopper only reads an apology."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(record.getMessage())
    logging.getLogger("shopbot").addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger("shopbot").removeHandler(handler)


def report_talk(rows: Rows, name: str, conversation: Sequence[Told], failed: Sequence[str]) -> None:
    """The rows that every conversation has."""
    bad = [*failed, *(told.turn.text for told in conversation if broken(told))]
    rows.add(f"{name}: turns that failed, of {len(conversation)}", len(bad), "0", not bad)
    facts = [(told.turn.text, told.finished.text, fact) for told in conversation for fact in unfounded(told)]
    rows.add(f"{name}: facts without a source", len(facts), "0", not facts)
    for line in [*bad, *map(str, facts)][:20]:
        print(f"       {line[:300]}")


# ---------------------------------------------------------------- the model, listening


class Listener(LocalChat):
    """The real model: it keeps every prompt, and speaks on every `every`th (0: never)."""

    every: int = 0
    _prompts: list[list[BaseMessage]] = PrivateAttr(default_factory=list[list[BaseMessage]])

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        return self._prompts

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self._prompts.append(messages)
        if self.every and len(self._prompts) % self.every == 0:
            async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
                yield chunk
        yield ChatGenerationChunk(message=AIMessageChunk(content=""))


@dataclass
class Prompts:
    """What was looked at in prompts, and what was wrong with them."""

    budget: int
    count: Callable[[Any], int]
    seen: int = 0
    cut: int = 0
    longest: int = 0
    wrong: list[str] = field(default_factory=list[str])

    def check(self, newest: str, prompt: Any, whole: Any, wanted: dict[str, str]) -> None:
        """`wanted`: what the newest message must hold, by name. `whole` is the prompt before it was cut."""
        tokens = self.count(prompt)
        self.seen, self.longest = self.seen + 1, max(self.longest, tokens)
        self.cut += self.count(whole) > self.budget
        if tokens > self.budget:
            self.wrong.append(f"{tokens} tokens, {self.budget} are allowed")
        self.wrong += [f"{name} lost" for name, text in wanted.items() if text not in newest]

    def report(self, rows: Rows, name: str) -> None:
        """What was found, in a row."""
        about = f"{self.seen} prompts ({self.cut} had to be cut; longest {self.longest}, allowed {self.budget} tokens)"
        rows.add(f"{name}: faults in {about}", len(self.wrong), "0", self.seen > 0 and not self.wrong)
        for line in self.wrong[:10]:
            print(f"       {line}")


def wanted(draft: Draft, question: str, sources: int) -> dict[str, str]:
    """What a prompt must hold however short the window: the new question, the draft, and each source by its head."""
    heads = {f"source {number}": f'<source id="{number}"' for number in range(1, sources + 1)}
    return {"question": f"<question>\n{data(question)}", "draft": data(draft.text), **heads}


async def listened(
    bot: ShopBot, turns: Sequence[Turn], shopper: Shopper, session: str, window: int
) -> tuple[list[Told], Prompts]:
    """The conversation with a listening model, at most `window` tokens wide."""
    assert bot.wording is not None and isinstance(bot.wording.model, Listener)
    model = bot.wording.model
    # Chinese drafts too: this is about prompts, and the bot would not ask a model for languages that it does not know.
    wording = replace(bot.wording, window=window, languages=frozenset({"en", "zh"}))
    bot = replace(bot, wording=wording)
    prompts = Prompts(window - wording.answer_tokens, model.count_tokens)
    conversation: list[Told] = []
    for turn in turns:
        before = len(model.prompts)
        conversation.append(told := await tell(bot, turn, shopper, session))
        for prompt in model.prompts[before:]:
            whole = _whole(wording, told.draft, turn.text, conversation[-13:-1])
            needs = wanted(told.draft, turn.text, len(told.draft.citations))
            prompts.check(str(prompt[-1].content), prompt, whole, needs)
    return conversation, prompts


def _whole(wording: Wording, draft: Draft, question: str, past: Sequence[Told]) -> list[dict[str, Any]]:
    """The prompt as it would be without a window."""
    passages = [Passage(str(n), cite.text, cite.source, cite.title) for n, cite in enumerate(draft.citations)]
    return render(system=wording.system, turns=_said(past), passages=passages, draft=draft, question=question)


def _said(past: Sequence[Told]) -> list[dict[str, Any]]:
    roles = [(("user", told.turn.text), ("assistant", told.finished.text)) for told in past]
    return [{"role": role, "content": text} for pair in roles for role, text in pair]


def with_pending(conversation: Sequence[Told], wording: Wording, model: Listener, window: int, size: Size) -> Prompts:
    """Some turns once more, with all turns before them, ten long passages and a confirmation that waits."""
    prompts = Prompts(window - wording.answer_tokens, model.count_tokens)
    passages = [
        Passage(str(n), text, "handbook.md", question)
        for n, (question, text) in enumerate(long_passages(size.passage // 5))
    ]
    cut = [replace(passage, text=MARK) for passage in passages]
    for place in range(0, len(conversation), size.looks):
        told = conversation[place]
        newest = {"draft": told.draft, "question": told.turn.text, "pending": PENDING}
        whole = render(system=wording.system, turns=_said(conversation[:place]), passages=passages, **newest)
        needs = wanted(told.draft, told.turn.text, len(passages)) | {"what is pending": PENDING}
        if model.count_tokens(render(system=wording.system, passages=cut, **newest)) > prompts.budget:
            del needs["draft"]  # a list of orders may alone be longer than a window: then it is cut, and nothing else
        kept = trim(whole, prompts.budget, model.count_tokens)
        prompts.check(kept[-1]["content"], kept, whole, needs)
    return prompts


# ---------------------------------------------------------------- the parts


@dataclass(frozen=True)
class Size:
    """How much is done: turns, characters of a long passage, every which prompt is answered or looked at again, who sends odd messages."""

    turns: int
    passage: int
    speaks: int
    looks: int
    odd_shoppers: int
    growth: float


FULL = Size(turns=200, passage=20_000, speaks=10, looks=4, odd_shoppers=2, growth=GROWTH)
QUICK = Size(turns=20, passage=3_000, speaks=0, looks=10, odd_shoppers=1, growth=2 * GROWTH)  # on a busy machine


@dataclass(frozen=True)
class Parts:
    """What every part of the benchmark works with."""

    rows: Rows
    shop: Shop
    store: Store
    size: Size

    def drafts(self) -> None:
        """The conversation without a model."""
        turns = conversation(self.shop, SHOPPER, self.size.turns)
        bot = self.shop.bot(store=self.store)
        asyncio.run(tell(bot, turns[0], Shopper(), "warm"))
        with failures() as failed:
            told = asyncio.run(talk(bot, turns, self.shop.shopper(SHOPPER), "drafts"))
        report_talk(self.rows, "drafts", told, failed)
        small = [one for one in told if one.turn.kind == "small" and not _is_small_talk(one)]
        count = sum(one.turn.kind == "small" for one in told)
        self.rows.add(f"drafts: small talk not answered with an approved line, of {count}", len(small), "0", not small)
        for one in small:
            print(f"       {one.turn.text}: {one.finished.text[:200]}")
        self._growth("drafts", told)
        self._control(told)

    def prompts(self, model: Listener) -> None:
        """The conversation through the model's renderer: at its own window, at a narrow one, and with all that waits."""
        turns = conversation(self.shop, SHOPPER, self.size.turns)
        shopper = self.shop.shopper(SHOPPER)
        bot = self.shop.bot(store=self.store, wording="model", model=model)
        assert bot.wording is not None
        told: list[Told] = []
        for name, window in (("own window", model.context_window), ("narrow window", NARROW)):
            model.every = self.size.speaks if name == "own window" else 0
            with failures() as failed:
                told, prompts = asyncio.run(listened(bot, turns, shopper, name, window))
            report_talk(self.rows, f"model, {name}", told, failed)
            prompts.report(self.rows, f"model, {name}")
        self._growth("model silent, narrow window", told)
        for window in (model.context_window, NARROW):
            prompts = with_pending(told, bot.wording, model, window, self.size)
            prompts.report(self.rows, f"all turns, ten passages, a pending yes, {window} tokens")

    def passages(self, model: Listener) -> None:
        """Questions that very long passages answer, which then travel in the prompt whole."""
        pairs = long_passages(self.size.passage)
        splices = [Splice("passage", text) for _, text in pairs]
        bot = self.shop.bot(store=self.store, wording="model", model=model, splices=splices)
        turns = [Turn("passage", question) for question, _ in pairs]
        model.every = 0
        with failures() as failed:
            told, prompts = asyncio.run(listened(bot, turns, Shopper(), "passages", model.context_window))
        report_talk(self.rows, f"ten passages of {self.size.passage} characters", told, failed)
        prompts.report(self.rows, "ten long passages")
        cited = sum(any(_fact(text) in one.finished.text for _, text in pairs) for one in told)
        self.rows.add("control: questions answered from ten long passages", cited, ">= 5", cited >= 5)

    def odd(self) -> None:
        """Messages that are none, to a visitor and to a shopper, then one that is. A person who is brought in gives back at once."""
        bot = self.shop.bot(store=self.store)
        slow: dict[str, float] = {}
        told: list[Told] = []
        shoppers = (self.shop.shopper(SHOPPER), Shopper())[: self.size.odd_shoppers]
        with failures() as failed:
            for shopper in shoppers:
                session = f"odd {shopper.id}"
                for name, text in odd_messages().items():
                    told.append(asyncio.run(tell(bot, Turn(name, text), shopper, session)))
                    slow[name] = max(slow.get(name, 0.0), told[-1].milliseconds)
                    if told[-1].finished.handed_over:
                        give_back(bot, session)
                told.append(asyncio.run(tell(bot, Turn("after all that", PROBES[0]), shopper, session)))
        report_talk(self.rows, "odd messages", told, failed)
        name = max(slow, key=lambda one: slow[one])
        usual = statistics.median(slow.values())
        print(f"  the slowest: {name}, {slow[name]:.0f} ms, {slow[name] / usual:.1f} × the median of {usual:.0f} ms")
        stored = {turn.message for turn in self.store.history(f"odd {SHOPPER}")}
        lost = [name for name, text in odd_messages().items() if _stored(text) not in stored]
        self.rows.add("odd messages: not stored whole", len(lost), "0", not lost)
        right = sum("30 days" in one.finished.text for one in told if one.turn.kind == "after all that")
        self.rows.add("a question after them: answered", right, str(len(shoppers)), right == len(shoppers))

    def visitor(self) -> None:
        """A visitor asks for orders, again and again."""
        bot = self.shop.bot(store=self.store)
        draw = random.Random(SEED)
        turns = [Turn("order", filled(text, self.shop, SHOPPER, draw)) for text in ORDERS_OF_A_VISITOR]
        with failures() as failed:
            told = asyncio.run(talk(bot, turns, Shopper(), "visitor"))
        report_talk(self.rows, "visitor", told, failed)
        lines = {voice.line("log_in") for voice in bot.voices.values()}
        asked = [one for one in told if any(line in one.finished.text for line in lines)]
        what = f"visitor: asked to log in, of {len(told)} order questions"
        self.rows.add(what, len(asked), str(len(told)), len(asked) == len(told))
        for one in told:
            if one not in asked:
                print(f"       {one.turn.text}: {one.finished.text[:200]}")

    def _growth(self, name: str, told: Sequence[Told]) -> None:
        found = growth(told)
        what = f"{name}: turns {len(told) - len(PROBES) + 1}–{len(told)} ÷ turns 5–9, same questions, median of time"
        self.rows.add(what, found, f"<= {self.size.growth}", found <= self.size.growth)

    def _control(self, conversation: Sequence[Told]) -> None:
        """The check of facts must see a lie: a price in an answer, and sources taken away."""
        one = next(told for told in conversation if told.finished.citations and not told.draft.fixed)
        lie = replace(one.finished, text=f"{one.finished.text} It costs £987.65.")
        bare = replace(one.finished, citations=())
        caught = [bool(unfounded(replace(one, events=(*one.events[:-1], last)))) for last in (lie, bare)]
        self.rows.add("control: lies that the check sees", sum(caught), "2", all(caught))


def _is_small_talk(told: Told) -> bool:
    return told.draft.fixed and told.finished.answered and not told.finished.citations


def _fact(passage: str) -> str:
    return passage.split(". ")[0]


def _stored(text: str) -> str:
    """What the store keeps of a text: all but NUL and half surrogates, which databases refuse."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def main(
    quick: Annotated[bool, typer.Option("--quick", help="20 turns, shorter passages, a silent model.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Talk for a long time, and oddly."""
    rows = Rows("long_talk")
    model = Listener(folder=fetch(SMOLLM2).path, max_tokens=60)
    with (
        Shop.open(REPOSITORY / "sample_shop") as shop,
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "talk.db") as store,
    ):
        parts = Parts(rows, shop, store, QUICK if quick else FULL)
        parts.drafts()
        parts.visitor()
        parts.odd()
        parts.prompts(model)
        parts.passages(model)
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

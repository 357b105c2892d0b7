"""What a durable turn costs, without model time: our bot and its store against LangGraph with SqliteSaver, interleaved.

python -m benchmarks.durable_turn [--quick] [--json OUT]

The same work on both sides, by the same mind, planner, toolbox and sentences; the answers are compared. Both keep it in
SQLite on disk, with the same journal mode and `synchronous`, read back from both. Encoding is a model's time, so the mind's
encoder gives vectors that were kept before. The ratio is the median over turns of ours ÷ theirs, its interval a bootstrap
over sessions (95 %, 1,000 draws).

- Ours: `ShopBot.reply`: two transactions (the message before anything is done about it; then answer, session state and
  events), and everything that blocks in a thread.
- LangGraph, used as well as we can: compiled once, plain values in its state, `durability="sync"`, a node a stage
  (understand; act, which is the planner with what it asks for, since it plans on by what that found; compose). The events are
  one text, written in the last node and emptied with the next message; the turn in the making is `context`, in no
  checkpoint. `invoke` of plain functions with SqliteSaver was faster than `ainvoke` with AsyncSqliteSaver (by 5 %), and the
  conversation in a plain reducer faster than in a DeltaChannel (by 20 %).
- A killed process leaves the same on both sides: of the turn that ran its message; of those before message, answer, state and
  events. For a write LangGraph asks by `interrupt`, goes on by `Command(resume=…)`, and the tool has a node of its own. Our
  journal promises more: LangGraph runs a tool again whose end it did not see.
"""

from __future__ import annotations

import asyncio
import operator
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypedDict, cast
from uuid import uuid4

import numpy as np
import typer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from benchmarks.report import REPOSITORY, Rows
from benchmarks.talk import ORDER, POLICY, PRODUCT, filled
from shopbot import wire
from shopbot.bot import ShopBot, _finished, _readable
from shopbot.compose import compose_call, compose_found, compose_line
from shopbot.compose_actions import compose_action
from shopbot.consent import consent_to
from shopbot.handing import count_anger, count_failures
from shopbot.journal import idempotency_key
from shopbot.records import ShopData
from shopbot.shop import Shop
from shopbot.steps import Call, HandOver, Lookup, Say, Step, describe
from shopbot.store import Store
from shopbot.turn import LiveTurn
from shopbot.types import Drafted, Event, Planned, Profile, Said, Shopper, ToolCall, ToolCalled, Understood
from shopbot.understand import Array, Encoder
from shopbot.wording import spaced

TARGET = 1.0
SEED = 23
SMALL = ("hello", "thanks!", "are you a bot?", "good morning", "thank you very much", "bye", "你好", "谢谢", "再见")
UNFIT = {"can a person call me back in Welsh on a Sunday at 3 am?", "怎么联系人工客服", "do you sell live penguins"}
"""They lead to a person, or nowhere: after three answers in a row that are none a person takes over."""
DRAWS = 1_000
PAST = 12  # turns before this one that our bot reads


class Kept:
    """The shop's encoder, which encodes no text twice; `encoded` counts those that were new."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._kept = encoder, dict[tuple[str, bool], Array]()
        self.encoded = 0

    def embed_array(self, texts: Sequence[str], query: bool = False) -> Array:
        new = [text for text in dict.fromkeys(texts) if (text, query) not in self._kept]
        if new:
            self.encoded += len(new)
            self._kept.update(zip(((text, query) for text in new), self._encoder.embed_array(new, query), strict=True))
        return np.stack([self._kept[text, query] for text in texts])

    def reads(self, language: str) -> bool:
        return self._encoder.reads(language)


# ---------------------------------------------------------------- the same turn as a graph


class State(TypedDict, total=False):
    """What LangGraph keeps of a conversation. `waiting` is the action that waits for a yes, `done` the one that ran."""

    message: str
    shopper: str
    language: str
    profile: dict[str, Any]
    steps: list[str]
    memory: dict[str, Any]
    waiting: dict[str, Any] | None
    done: dict[str, Any] | None
    answer: str
    events: str
    past: Annotated[list[list[str]], operator.add]


@dataclass
class Live:
    """The turn in the making and its events so far: passed beside the state, in no checkpoint."""

    turn: LiveTurn
    events: list[Event] = field(default_factory=list[Event])


class Peer:
    """The parts of a bot as a graph over SqliteSaver; `whole` puts the turn into one node. Close it at the end."""

    def __init__(self, bot: ShopBot, path: Path, whole: bool = False) -> None:
        self._bot = bot
        self.connection = connected(path)
        builder = self._whole() if whole else self._stages()
        self._graph = builder.compile(checkpointer=SqliteSaver(self.connection))
        self._asked: set[str] = set()

    def close(self) -> None:
        self.connection.close()

    def reply(self, message: str, shopper: Shopper, session: str) -> str:
        """The text of the answer to a message of a session."""
        live = Live(LiveTurn(_readable(message), shopper, session, SimpleNamespace(id=uuid4().hex)))
        begin = {"message": message, "shopper": shopper.id, "steps": [], "answer": "", "events": ""}
        given: Any = Command(resume=message) if session in self._asked else begin
        config: Any = {"configurable": {"thread_id": session}}
        state = self._graph.invoke(given, config, context=live, durability="sync")
        (self._asked.add if "__interrupt__" in state else self._asked.discard)(session)
        return str(state["answer"])

    def _stages(self) -> Any:
        builder: Any = StateGraph(State, context_schema=Live)
        for node in (self.understand, self.act, self.run, self.compose, self.wait):
            builder.add_node(node.__name__, node)
        builder.add_edge(START, "understand")
        builder.add_conditional_edges("understand", self._heard, ["run", "act"])
        builder.add_edge(["act"], "compose")
        builder.add_edge(["run"], "compose")
        builder.add_conditional_edges("compose", lambda state: "wait" if state.get("waiting") else END, ["wait", END])
        builder.add_edge("wait", "understand")
        return builder

    def _whole(self) -> Any:
        def turn(state: State, runtime: Runtime[Live]) -> State:
            made: dict[str, Any] = {}
            for stage in (self.understand, self.act, self.compose):
                made |= stage(cast("State", {**state, **made}), runtime)
            return cast("State", made)

        builder: Any = StateGraph(State, context_schema=Live)
        builder.add_node("turn", turn)
        builder.add_edge(START, "turn")
        builder.add_edge("turn", END)
        return builder

    # ------------------------------------------------------------ its nodes

    def understand(self, state: State, runtime: Runtime[Live]) -> State:
        turn = runtime.context.turn
        turn.state = dict(state.get("memory", {}))
        turn.history = tuple((asked, said) for asked, said in state.get("past", [])[-PAST:])
        turn.questions = self._bot.mind.current().understand(turn.message)
        first = turn.questions[0]
        turn.language = first.language
        turn.profile = Profile(first.guess.intent, first.guess.confidence, 0.0, first.language)
        runtime.context.events.append(Understood(turn.profile, 0.0))
        count_anger(turn)
        return {"language": turn.language, "profile": wire.to_json(turn.profile)}

    def act(self, state: State, runtime: Runtime[Live]) -> State:
        turn, events = runtime.context.turn, runtime.context.events
        for step in _steps(self._bot.planner.plan(turn)):
            events.append(Planned((describe(step),), 0.0))
            events.extend(self._carry_out(step, turn))
        count_failures(turn)
        steps = [event.steps[0] for event in events if isinstance(event, Planned)]
        return {"steps": steps, "waiting": wire.to_json(turn.waiting), "done": None}

    def run(self, state: State, runtime: Runtime[Live]) -> State:
        """The tool that writes: a node of its own, which needs nothing but the state."""
        waiting, shopper = wire.from_json(ToolCall, state.get("waiting")), Shopper(state.get("shopper"))
        tool, ready = self._bot.toolbox.checked(waiting.name, waiting.arguments, shopper)
        result = self._bot.toolbox.apply(tool, tool.function, ready, shopper, waiting.id)
        return {"waiting": None, "done": wire.to_json(replace(waiting, status="done", result=result))}

    def compose(self, state: State, runtime: Runtime[Live]) -> State:
        turn, events = runtime.context.turn, runtime.context.events
        if done := state.get("done"):
            call = wire.from_json(ToolCall, done)
            turn.calls.append(call)
            turn.drafts.append(compose_action(call, self._bot.voices[turn.language]))
            events.append(ToolCalled(call, 0.0))
        events.append(Drafted(draft := self._bot._draft(turn), "draft", 0.0))
        events += [Said(spaced(draft.sentences[: place + 1])) for place in range(len(draft.sentences))]
        events.append(finished := _finished(turn, events, 0.0))
        said = [[state.get("message", ""), finished.text]]
        return {"answer": finished.text, "events": wire.dumps(events), "memory": turn.state, "past": said}

    def wait(self, state: State) -> State:
        """For the shopper's next message, about the action that was proposed."""
        return {"message": interrupt(state.get("waiting")), "steps": [], "answer": "", "events": ""}

    def _heard(self, state: State) -> str:
        if not (waiting := state.get("waiting")):
            return "act"
        call = wire.from_json(ToolCall, waiting)
        told = " ".join(compose_action(call, self._bot.voices[cast("Any", state.get("language"))]).sentences)
        return "run" if consent_to(state.get("message", ""), call.name, told) == "yes" else "act"

    def _carry_out(self, step: Step, turn: LiveTurn) -> Iterator[Event]:
        phrases = self._bot.voices[turn.language]
        match step:
            case Say():
                turn.drafts.append(compose_line(step.line, phrases, step.answered, step.fields, step.source))
            case Lookup():
                found = self._bot.mind.current().look_up(step)
                turn.retrieved.append(found)
                turn.drafts.append(compose_found(found, phrases))
                turn.state["question"] = step.question.text
                yield found
            case Call():
                call = self._called(step, turn)
                turn.calls.append(call)
                asked = step.question.text
                turn.drafts.append(
                    compose_action(call, phrases) if call is turn.waiting else compose_call(call, asked, phrases)
                )
                yield ToolCalled(call, 0.0)
            case HandOver():
                raise AssertionError(f"{turn.message!r} leads to a person: it has no place in this benchmark")

    def _called(self, step: Call, turn: LiveTurn) -> ToolCall:
        box = self._bot.toolbox
        if not box.writes(step.tool):
            call = box.call(step.tool, step.arguments, turn.shopper, step.id)
            turn.remember(call)
            return call
        tool, ready = box.checked(step.tool, step.arguments, turn.shopper)
        preview = {} if tool.preview is None else box.apply(tool, tool.preview, ready, turn.shopper)
        key = idempotency_key(turn.session, turn.id, step.tool, ready)
        turn.waiting, turn.proposed = ToolCall(step.tool, wire.to_json(ready), "proposed", preview, key), True
        return turn.waiting


def _steps(planned: AsyncIterator[Step]) -> Iterator[Step]:
    """The steps of a planner that waits for nothing, without an event loop."""
    while True:
        try:
            cast("Any", anext(planned)).send(None)
        except StopIteration as step:
            yield step.value
        except StopAsyncIteration:
            return


def connected(path: Path) -> sqlite3.Connection:
    """A connection with the settings that our store gives its own (shopbot/database.py), for SqliteSaver."""
    connection = sqlite3.connect(path, check_same_thread=False)
    for setting in ("busy_timeout = 10000", "synchronous = NORMAL", "foreign_keys = ON", "journal_mode = WAL"):
        connection.execute(f"PRAGMA {setting}").close()
    return connection


# ---------------------------------------------------------------- both sides, one after the other


@dataclass(frozen=True)
class Talk:
    """What one shopper says in one session."""

    session: str
    shopper: Shopper
    messages: tuple[str, ...]


@dataclass
class Took:
    """Milliseconds of each turn by session, (ours, theirs); how many answers were equal; bytes left on disk."""

    pairs: list[list[tuple[float, float]]] = field(default_factory=list[list[tuple[float, float]]])
    equal: int = 0
    sizes: tuple[int, int] = (0, 0)

    def ratio(self) -> tuple[float, float, float]:
        """(median of ours ÷ theirs, the interval's lower and upper end)."""
        draw = np.random.default_rng(SEED)
        ratios = [[ours / theirs for ours, theirs in session] for session in self.pairs]
        picks = draw.integers(len(ratios), size=(DRAWS, len(ratios)))
        drawn = [np.median([one for place in pick for one in ratios[place]]) for pick in picks]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return float(np.median([one for session in ratios for one in session])), float(low), float(high)


def talks(shop: Shop, sessions: int, turns: int) -> list[Talk]:
    """Conversations about policies, products, orders and nothing much, in English and Chinese, drawn with a seed."""
    owners = [one for one in shop.data.users if len(shop.data.orders_of(one)) >= 2]
    kinds = {kind: [text for text in kind if text not in UNFIT] for kind in (POLICY, PRODUCT, ORDER, SMALL)}
    made: list[Talk] = []
    for number in range(sessions):
        draw, shopper = random.Random(f"{SEED} {number}"), owners[number % len(owners)]
        drawn = draw.choices(list(kinds), weights=[30, 30, 25, 15], k=turns)
        said = tuple(filled(draw.choice(kinds[kind]), shop, shopper, draw) for kind in drawn)
        made.append(Talk(f"s{number}", Shopper(shopper), said))
    return made


def cancellations(data: ShopData, most: int) -> list[Talk]:
    """Orders that are cancelled after a yes, each of another shopper, without a person."""
    orders = [order for ident in data.orders if (order := data.order(ident)) is not None]
    fit = {order.shopper_id: order.id for order in orders if order.status == "pending" and order.total < 400}
    said = [(owner, ident, f"Please cancel order {ident}") for owner, ident in fit.items()]
    return [Talk(ident, Shopper(owner), (message, "yes please")) for owner, ident, message in said[:most]]


async def measured(bot: ShopBot, peer: Peer, talks: Sequence[Talk], took: Took) -> None:
    """Each message to both sides, first to the one, then to the other, by turns."""
    for number, talk in enumerate(talks):
        took.pairs.append([])
        for place, message in enumerate(talk.messages):
            said: dict[str, str] = {}
            times: dict[str, float] = {}
            for side in ("ours", "theirs") if (number + place) % 2 else ("theirs", "ours"):
                start = time.perf_counter()
                if side == "ours":
                    said[side] = (await bot.reply(message, shopper=talk.shopper, session=talk.session)).text
                else:
                    said[side] = peer.reply(message, talk.shopper, talk.session)
                times[side] = (time.perf_counter() - start) * 1000
            took.pairs[-1].append((times["ours"], times["theirs"]))
            took.equal += said["ours"] == said["theirs"]


# ---------------------------------------------------------------- what is measured


@dataclass
class Bench:
    """A shop, the encoder of its bots, and the folder for databases; each run gets new ones."""

    shop: Shop
    encoder: Encoder
    folder: Path
    runs: int = 0

    async def warm(self, talks: Sequence[Talk]) -> None:
        """Say all of it once to our bot, so that every text has its vector and everything lazy is made."""
        with Store.open(self.folder / "warm.db") as store:
            bot = self._bot(store)
            for number, talk in enumerate(talks):
                if number % 10 == 0:
                    _tell("warming up, session", number + 1, len(talks))
                for message in talk.messages:
                    finished = await bot.reply(message, shopper=talk.shopper, session=talk.session)
                    assert not finished.handed_over, f"{message!r} leads to a person: it has no place here"

    async def run(self, what: str, talks: Sequence[Talk], rounds: int = 1, whole: bool = False) -> Took:
        """Both sides over these talks, so many times, on fresh copies of the data. `whole`: LangGraph with one node."""
        took = Took()
        for number in range(rounds):
            self.runs += 1
            _tell(f"{what}, round", number + 1, rounds)
            paths = [self.folder / f"{side}{self.runs}.db" for side in ("ours", "theirs")]
            with Store.open(paths[0]) as store, closing(Peer(self._bot(store), paths[1], whole)) as peer:
                await measured(self._bot(store), peer, talks, took)
                with store.reading() as connection:
                    ours = settings(cast("Any", connection.connection.driver_connection))
                assert settings(peer.connection) == ours, "the two sides do not write with the same settings"
            ours, theirs = (path.stat().st_size for path in paths)  # closed: what was in the WAL is in the file
            took.sizes = took.sizes[0] + ours, took.sizes[1] + theirs
        return took

    def _bot(self, store: Store) -> ShopBot:
        bot = self.shop.bot(store=store, data=self.shop.data.copy())
        return replace(bot, mind=replace(cast("Any", bot.mind.current()), encoder=self.encoder))


def settings(connection: sqlite3.Connection) -> tuple[Any, ...]:
    """(journal mode, synchronous) of a connection."""
    return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))


def _tell(what: str, number: int, of: int) -> None:
    print(f"  {what} {number} of {of}", file=sys.stderr, flush=True)


def _add(rows: Rows, what: str, took: Took, target: float | None = None) -> None:
    middle, low, high = took.ratio()
    ours, theirs = np.median([pair for session in took.pairs for pair in session], axis=0)
    what = f"{what}: ours ÷ theirs, median (95 % {low:.2f}–{high:.2f}; {ours:.1f} and {theirs:.1f} ms)"
    rows.add(what, middle, f"<= {target}" if target else "orientation", middle <= target if target else None)


async def judge(shop: Shop, folder: Path, rows: Rows, quick: bool) -> None:
    """All rows."""
    sessions, turns, rounds = (3, 8, 1) if quick else (12, 40, 3)
    target = TARGET * (3 if quick else 1)  # a few turns on a busy machine show that it runs, not how fast
    kept = Kept(shop.embedder)
    bench = Bench(shop, kept, folder)
    said, written = talks(shop, sessions, turns), cancellations(shop.data, 3 if quick else 40)
    await bench.warm([*said, *written])
    kept.encoded = 0
    took, wrote = await bench.run("turns", said, rounds), await bench.run("writes", written, rounds)
    few = said[: sessions // 3]
    whole = await bench.run("turns in one node", few, rounds, whole=True)
    _add(rows, "durable turn, LangGraph with a node a stage", took, target)
    _add(rows, "durable write (proposal, yes, tool), LangGraph with a node a stage", wrote, target)
    for one in (took, wrote, whole):
        asked = sum(map(len, one.pairs))
        rows.add("answers that are the same on both sides", one.equal, f"{asked}", one.equal == asked)
    rows.add("texts encoded while it was timed", kept.encoded, "0", kept.encoded == 0)
    _add(rows, "durable turn, LangGraph with one node for all", whole)
    bench.encoder = shop.embedder
    _add(rows, "durable turn with encoding", await bench.run("turns with encoding", few, rounds))
    for side, size in zip(("ours", "LangGraph"), took.sizes, strict=True):
        rows.add(f"bytes on disk a turn, {side}", round(size / sum(map(len, took.pairs))), "orientation", None)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A few turns; three times the target.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Measure on the sample shop."""
    rows = Rows("durable_turn")
    with Shop.open(REPOSITORY / "sample_shop") as shop, tempfile.TemporaryDirectory() as folder:
        asyncio.run(judge(shop, Path(folder), rows, quick))
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

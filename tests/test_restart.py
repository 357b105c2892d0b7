"""kill -9 between turns and in the midst of one: the conversation goes on, and no turn is stored by half.

The child writes a line to a file of its own once the store has taken a turn over; what stands there must be in the
store, whole, when the child is dead. First the store alone, at every statement; then the bot, at every stage of a turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event

from processes import die_at_statement, run, start
from shopbot import Shop, ShopBot, Shopper
from shopbot.store import Store, TurnRecord
from shopbot.testing import FakeShop, ScriptedModel
from shopbot.types import Citation, Event, Finished, Profile, Said, ToolCall, ToolCalled, Understood

if TYPE_CHECKING:
    from knowledge.embed import SentenceEmbedder

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SESSION = "talk"


def events_of(turn: TurnRecord) -> list[Event]:
    """Events that say which turn they belong to, so that half of one, or of another, would be seen."""
    call = ToolCall("get_order", {"place": turn.place}, "done", {"padding": "x" * 5_000})
    text = f"answer {turn.place}"
    return [
        Understood(Profile("order_status", 0.9), 1.0),
        ToolCalled(call, 1.0),
        *(Said(f"{text}, sentence {number}.") for number in range(turn.place % 5)),
        Finished(turn.id, text, (Citation("order:A1", text),), (call,), False, True, {}, 3.0),
    ]


def converse(store: Store, done: Path, turns: int) -> None:
    with done.open("a") as promises:
        for _ in range(turns):
            turn = store.begin_turn(SESSION, "mei", "message", NOW)
            print(f"begun {turn.place}", file=promises, flush=True)
            store.finish_turn(events_of(turn), now=NOW, state={"last": turn.place})
            print(f"complete {turn.place}", file=promises, flush=True)


def converse_until_killed(file: Path, done: Path) -> None:
    with Store.open(file) as store:
        converse(store, done, 100_000)


def converse_until_statement(file: Path, done: Path, number: int) -> None:
    with Store.open(file) as store:
        die_at_statement(number)
        converse(store, done, 2)


def promised(done: Path) -> dict[str, set[int]]:
    """What the child had seen the store take over: {"begun": places, "complete": places}."""
    lines = done.read_text().splitlines() if done.exists() else []
    words = [line.split() for line in lines]
    return {kind: {int(place) for word, place in words if word == kind} for kind in ("begun", "complete")}


def check(file: Path, done: Path) -> int:
    """Everything promised is there, nothing is there by half; the number of complete turns."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        places = [place for (place,) in connection.execute("SELECT place FROM shopbot_turns ORDER BY place")]
        assert places == list(range(1, len(places) + 1))
        orphans = "SELECT count(*) FROM shopbot_events WHERE turn_id NOT IN (SELECT id FROM shopbot_turns)"
        assert connection.execute(orphans).fetchone() == (0,)
    with Store.open(file) as store:
        history, left = store.history(SESSION), store.open_turns(SESSION)
        for turn in history:
            expected = events_of(TurnRecord(turn.id, SESSION, turn.place, {}))
            assert store.events(turn.id) == expected
            assert (turn.answer, turn.message) == (f"answer {turn.place}", "message")
        assert all(store.events(turn.id) == [] and turn.answer == "" for turn in left)
        session = store.session(SESSION)
    complete = {turn.place for turn in history}
    assert promised(done)["complete"] <= complete
    assert promised(done)["begun"] <= set(places)
    assert [turn.place for turn in left] in ([], [places[-1]] if places else [])
    assert session is None or session.state == ({"last": max(complete)} if complete else {})
    return len(complete)


def go_on(file: Path, done: Path) -> TurnRecord:
    """The same shopper writes again after the restart."""
    check(file, done)
    with Store.open(file) as store:
        left = [turn.id for turn in store.open_turns(SESSION)]
        turn = store.begin_turn(SESSION, "mei", "message", NOW)
        assert turn.interrupted == (left[0] if left else None)
        assert store.open_turns(SESSION)[0].id == turn.id
        store.finish_turn(events_of(turn), now=NOW, state={"last": turn.place})
        assert store.history(SESSION, 1)[0].id == turn.id
    return turn


@pytest.mark.parametrize("number", range(1, 17))
def test_killed_at_every_statement_of_a_turn(tmp_path: Path, number: int) -> None:
    """Two turns are 16 statements: each has a kill after it, before the next one or the commit."""
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    Store.open(file).close()
    assert run(converse_until_statement, file, done, number) == -9
    turn = go_on(file, done)
    # A turn whose statements had run but were not committed is not there; one begun is, as interrupted.
    assert (turn.place, turn.interrupted is not None) == [(1, False), (2, True), (2, False), (3, True)][
        (number - 1) // 4
    ]


def test_the_statements_of_two_turns_are_counted(tmp_path: Path) -> None:
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    Store.open(file).close()
    assert run(converse_until_statement, file, done, 10_000) == 0
    assert check(file, done) == 2


def test_killed_at_random_moments_again_and_again(tmp_path: Path) -> None:
    """One conversation over many lives of the process, each ended by kill -9 at some moment."""
    file, done = tmp_path / "shop.sqlite3", tmp_path / "promises"
    dice = random.Random(5)
    interrupted = 0
    for _ in range(25):
        size = os.path.getsize(done) if done.exists() else 0
        child = start(converse_until_killed, file, done)
        while not done.exists() or os.path.getsize(done) == size:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        child.kill()
        child.join()
        assert child.exitcode == -9
        interrupted += go_on(file, done).interrupted is not None
    assert interrupted > 5  # the moments did fall into turns
    assert len(promised(done)["complete"]) > 25


# ---------------------------------------------------------------- the bot

ANN = Shopper("ann_abel_1")
FIRST, SECOND = "Where is order FS-1002?", "How long do I have to return something?"
FOLLOWING = "And what is in it?"
"""Only the first turn says which order is meant."""

# Where the second turn dies, and how many turns the shopper had an answer to, or could have had.
POINTS = {
    "the message is stored": 1,
    "passages are looked up": 1,
    "the model is asked": 1,
    "the answer streams": 1,
    "just before the turn is stored": 1,
    "the turn is stored but not committed": 1,
    "the turn is stored, its last event not out": 2,
    "between turns": 2,
}


@dataclass
class Death:
    """Kills this process when it comes by the point, once armed."""

    point: str
    armed: bool = False

    def at(self, point: str) -> None:
        if self.armed and point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, point: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self.at(point)
            return function(*arguments, **named)

        return guarded


class MortalPart:
    """A part of the bot, some of whose methods may be its end."""

    def __init__(self, part: Any, death: Death, points: dict[str, str]) -> None:
        self._part = part
        for method, point in points.items():
            setattr(self, method, death.before(point, getattr(part, method)))

    def current(self) -> MortalPart:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def echo(messages: list[Any], tools: list[Any]) -> str:
    """A model that says the draft."""
    found = re.search(r"<draft>\n(.*?)\n</draft>", str(messages[-1].content), re.DOTALL)
    return found[1] if found else ""


def mortal(shop: Shop, death: Death) -> ShopBot:
    def answers(messages: list[Any], tools: list[Any]) -> str:
        death.at("the model is asked")
        return echo(messages, tools)

    def statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO shopbot_events"):
            death.at("the turn is stored but not committed")

    sqlalchemy_event.listen(Engine, "after_cursor_execute", statement)
    bot = shop.bot(wording="model", model=ScriptedModel(answers=answers, pause=0.002))
    stages = {"understand": "the message is stored", "look_up": "passages are looked up"}
    return replace(
        bot,
        mind=MortalPart(bot.mind.current(), death, stages),
        store=MortalPart(bot.store, death, {"finish_turn": "just before the turn is stored"}),
    )


async def hear(bot: ShopBot, message: str, session: str, death: Death) -> Finished:
    async for event in bot.stream(message, shopper=ANN, session=session):
        if isinstance(event, Said):
            death.at("the answer streams")
        if isinstance(event, Finished):
            death.at("the turn is stored, its last event not out")
            return event
    raise AssertionError("a turn without an end")


def talk_until_point(folder: Path, home: Path, done: Path, point: str) -> None:
    """In the child: a turn that is whole, and one that dies."""
    death = Death(point)

    async def both(bot: ShopBot) -> None:
        for message in (FIRST, SECOND):
            finished = await hear(bot, message, point, death)
            done.write_text(json.dumps([finished.turn_id, finished.text]))
            death.armed = True
        death.at("between turns")

    with Shop.open(folder, home=home) as shop:
        asyncio.run(both(mortal(shop, death)))


@dataclass
class House:
    """A shop on disk, with what its answers are when nothing dies."""

    folder: Path
    home: Path
    embedder: SentenceEmbedder
    undisturbed: dict[str, str]

    def open(self) -> Shop:
        """A shop opened anew, as after a restart; only the embedder's weights are in memory already."""
        shop = Shop.open(self.folder, home=self.home)
        shop.embedder = self.embedder
        return shop


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, minilm: SentenceEmbedder) -> Iterator[House]:
    place = tmp_path_factory.mktemp("restart")
    house = House(FakeShop().write(place / "shop"), place / "home", minilm, {})
    with house.open() as shop:
        bot = shop.bot(wording="model", model=ScriptedModel(answers=echo))
        for message in (FIRST, SECOND, FOLLOWING):
            house.undisturbed[message] = asyncio.run(bot.reply(message, shopper=ANN, session="undisturbed")).text
    yield house


@pytest.mark.parametrize("point", POINTS)
def test_a_conversation_goes_on_wherever_the_bot_was_killed(house: House, tmp_path: Path, point: str) -> None:
    done = tmp_path / "done"
    assert run(talk_until_point, house.folder, house.home, done, point) == -9
    model = ScriptedModel(answers=echo)
    with house.open() as shop:
        bot, store = shop.bot(wording="model", model=model), shop.store
        stored, [*left] = store.history(point), store.open_turns(point)
        assert [(turn.message, turn.answer) for turn in stored] == [*house.undisturbed.items()][: POINTS[point]]
        assert json.loads(done.read_text()) in [[turn.id, turn.answer] for turn in stored]
        assert [(turn.message, turn.answer, store.events(turn.id)) for turn in left] == [(SECOND, "", [])] * (
            2 - POINTS[point]
        )
        again = asyncio.run(bot.reply(SECOND, shopper=ANN, session=point))
        assert again.text == house.undisturbed[SECOND]
        assert [store.turn(turn.id).status for turn in left] == ["interrupted"] * len(left)
        assert asyncio.run(bot.reply(FOLLOWING, shopper=ANN, session=point)).text == house.undisturbed[FOLLOWING]
        assert "FS-1002" in house.undisturbed[FIRST]
    check_the_prompt(model, [text for turn in stored for text in (turn.message, turn.answer)])


def check_the_prompt(model: ScriptedModel, past: list[str]) -> None:
    """The model reads the turns that were whole, and nothing of the one that was not."""
    _, *before, newest = model.calls[0].messages
    assert [message.content for message in before] == past
    assert f"<question>\n{SECOND}\n" in str(newest.content)


def talk_until_killed(folder: Path, home: Path, done: Path) -> None:
    """In the child: the same two questions, again and again; a line for each answer that arrived whole."""
    with Shop.open(folder, home=home) as shop, done.open("a") as promises:
        bot = mortal(shop, Death(""))
        while True:
            for message in (FIRST, SECOND):
                finished = asyncio.run(bot.reply(message, shopper=ANN, session="random"))
                print(json.dumps([finished.turn_id, finished.text]), file=promises, flush=True)


def test_the_bot_killed_at_random_moments_loses_nothing_that_was_said(house: House, tmp_path: Path) -> None:
    done = tmp_path / "done"
    dice = random.Random(3)
    for _ in range(3):
        size = os.path.getsize(done) if done.exists() else 0
        child = start(talk_until_killed, house.folder, house.home, done)
        while not done.exists() or os.path.getsize(done) == size:
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.2))
        child.kill()
        child.join()
        assert child.exitcode == -9
    with house.open() as shop:
        turns = shop.store.history("random")
        assert all(turn.answer == house.undisturbed[turn.message] for turn in turns)
        assert all(isinstance(shop.store.events(turn.id)[-1], Finished) for turn in turns)
        stored = [[turn.id, turn.answer] for turn in turns]
        assert [json.loads(line) for line in done.read_text().splitlines() if json.loads(line) not in stored] == []
        asyncio.run(shop.bot().reply(FIRST, shopper=ANN, session="random"))
        assert shop.store.open_turns("random") == []

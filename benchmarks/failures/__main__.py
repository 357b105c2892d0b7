"""Parts are taken away from a running bot, one after another, and given back: what does the shopper see?

python -m benchmarks.failures [--quick] [--json OUT]

About 200 turns for each kind of database and planner: some while all is well, some while a part is away, some after it is
back. Every turn must end in words, with no exception and no trace of one. Where others can do the part's work (the heads for
a model that plans, the draft for one that words) the answer must be the same as without the model. After the part is back,
and the breaker's rest over, answers must be those of a bot from which nothing was taken. Nothing is restarted in between.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from benchmarks.databases import database
from benchmarks.failures.parts import PARTS, House, Part, Server
from benchmarks.report import REPOSITORY, Rows
from benchmarks.talk import ORDER, POLICY, PRODUCT, SMALL, filled
from shopbot import database as store_settings
from shopbot.breaker import Breaker
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.testing import scripted_server
from shopbot.types import Finished, Shopper

WHO = "mei_chen_014"
REST, PATIENCE = 0.3, 0.5
"""Seconds; a shop waits longer before it asks a failing server again."""
TRACE = re.compile(r"Traceback|Error\b|Exception|\bat 0x|\.py\b|sqlite|errno", re.IGNORECASE)
FAILED = re.compile(r"out of order|could not look that up|failed on our side|did not work|have not seen it end")
"""How a shopper is told that something failed."""
TURNS, QUICK_TURNS = 16, 3
"""While a part is away; a third as many before and after."""


@dataclass
class Seen:
    """What went wrong, as lines to print; and the longest turn while a part was away, in seconds."""

    turns: int = 0
    crashed: list[str] = field(default_factory=list[str])
    silent: list[str] = field(default_factory=list[str])
    traced: list[str] = field(default_factory=list[str])
    worse: list[str] = field(default_factory=list[str])
    not_back: list[str] = field(default_factory=list[str])
    untold: list[str] = field(default_factory=list[str])
    slowest: float = 0.0


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A third of the turns.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Take away, look, give back."""
    logging.disable(logging.CRITICAL)  # each fault is logged, hundreds of times
    store_settings.BUSY_SECONDS = 0.2
    rows, seen = Rows("failures"), Seen()
    turns = QUICK_TURNS if quick else TURNS
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Shop.open(REPOSITORY / "sample_shop", home=folder) as shop,
    ):
        for name in ("SQLite", "PostgreSQL"):
            with database(name, Path(folder)) as (url, postgres):
                parts = [part for part in PARTS if part.database == name]
                for part in parts:
                    play(part, shop, url, postgres, turns, seen)
                    print(f"  {part.name}: {seen.turns} turns so far", flush=True)
    rows.add("turns", seen.turns, ">= 50" if quick else ">= 200", seen.turns >= (50 if quick else 200))
    rows.add("parts taken away", len(PARTS), "measured", None)
    for what, found in (
        ("turns that raised", seen.crashed),
        ("turns that ended in silence", seen.silent),
        ("answers with a trace of the fault", seen.traced),
        ("answers worse than without the model", seen.worse),
        ("faults that nobody who runs it is told of", seen.untold),
        ("answers not as before, once the part was back", seen.not_back),
    ):
        rows.add(what, len(found), "0", not found)
        for line in found[:6]:
            print(f"     {line}")
    rows.add("slowest turn while a part was away, seconds", seen.slowest, "<= 5", seen.slowest <= 5)
    raise SystemExit(rows.finish(json_path))


@contextmanager
def opened(folder: Path) -> Iterator[Shop]:
    """The sample shop with an index of its own, which may be taken away."""
    with Shop.open(REPOSITORY / "sample_shop") as usual:
        _ = usual.index, usual.intents
        shutil.copytree(usual.home, folder / "shops" / usual.home.name, ignore=shutil.ignore_patterns("*.db*"))
    with Shop.open(REPOSITORY / "sample_shop", home=folder) as shop:
        yield shop


def play(part: Part, shop: Shop, url: str, postgres: Any, turns: int, seen: Seen) -> None:
    """Some turns with the part, some without, some with it again."""
    server = Server()
    with scripted_server(respond, faults=server.faults()) as model, Store.open(url) as store:
        data = shop.data.copy()
        bot = shop.bot(store=store, data=data, **(by_model(model) if part.by_model else {}))
        if part.by_model:
            quicken(bot)
        house = House(shop, data, store, bot, model, server, postgres=postgres)
        asyncio.run(watch(part, house, messages(shop, turns, part), turns, seen))


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """A model that calls no tool, and words the draft as it is."""
    text = str(request["messages"][-1].get("content"))
    found = re.search(r"<draft>\n(.*?)\n</draft>", text, re.DOTALL)
    return {"content": "" if request.get("tools") or found is None else found[1]}


def by_model(model: Any) -> dict[str, Any]:
    """A bot that plans and words by a model on the server."""
    from shopbot.models import vllm_chat

    return {"planner": "model", "wording": "model", "model": vllm_chat(model.base_url, "scripted", max_retries=0)}


def quicken(bot: Any) -> None:
    """A breaker that waits for less than a shop's would."""
    breaker: Breaker = bot.wording.breaker
    breaker.rest, breaker.patience = REST, PATIENCE


def messages(shop: Shop, turns: int, part: Part) -> Sequence[str]:
    """What is said, in order; the same before, while and after."""
    import random

    draw = random.Random(part.name)
    texts = [one for kinds in zip(POLICY, PRODUCT, ORDER, SMALL, strict=False) for one in kinds]
    return [filled(text, shop, WHO, draw) for text in draw.sample(texts, turns)]


async def watch(part: Part, house: House, said: Sequence[str], turns: int, seen: Seen) -> None:
    """The three times, compared with a bot that lacks nothing and, where a model fails, with one that has none."""
    few = said[: turns // 3]
    undisturbed = {text: await one(house.bot, text) for text in (*few, *said)}
    by_heads = house.shop.bot(store=house.store, data=house.shop.data.copy())
    without_model = {text: await one(by_heads, text) for text in said} if part.full else {}
    seen.turns += len(few) + len(said)
    with part.away(house):
        for text in said:
            began = time.perf_counter()
            answer = await told(house, part, text, seen)
            seen.slowest = max(seen.slowest, time.perf_counter() - began)
            if answer is not None and part.full and answer.text != without_model[text].text:
                seen.worse.append(f"{part.name}: {text!r}: {answer.text[:120]!r}")
    if part.acts:
        await act(house, part, seen)
    await asyncio.sleep(REST + 0.1 if part.by_model else 0)
    for text in few:
        answer = await told(house, part, text, seen)
        if answer is not None and (answer.text, answer.problem) != (undisturbed[text].text, ""):
            seen.not_back.append(f"{part.name}: {text!r}: {answer.text[:120]!r} {answer.problem[:100]}")


async def act(house: House, part: Part, seen: Seen) -> None:
    """Ask for a cancellation while the part is away, and say yes."""
    orders = (order for one in house.data.orders if (order := house.data.order(one)) is not None)
    mine = next(one for one in orders if one.status == "pending" and one.total < 300)
    session = uuid4().hex
    with part.away(house) if part.preview else nullcontext():
        await told(house, part, f"Please cancel order {mine.id}", seen, session, mine.shopper_id)
    with part.away(house):
        await told(house, part, "yes please", seen, session, mine.shopper_id)
    await told(house, part, "did that work?", seen, session, mine.shopper_id)


async def one(bot: Any, text: str, session: str = "", who: str = WHO) -> Finished:
    """A turn of a session of its own, so that what failed before it is not remembered."""
    return await bot.reply(text, shopper=Shopper(who), session=session or uuid4().hex)


async def told(house: House, part: Part, text: str, seen: Seen, session: str = "", who: str = WHO) -> Finished | None:
    """A turn, and what is wrong with it."""
    seen.turns += 1
    where = f"{part.name}: {text!r}"
    try:
        answer = await one(house.bot, text, session, who)
    except Exception as error:  # noqa: BLE001 - whatever it is, the shopper would see it
        seen.crashed.append(f"{where}: {type(error).__name__}: {error}"[:300])
        return None
    if not answer.text.strip() and not answer.handed_over:
        seen.silent.append(where)
    if TRACE.search(answer.text):
        seen.traced.append(f"{where}: {answer.text[:200]}")
    if FAILED.search(answer.text) and not answer.problem:
        seen.untold.append(f"{where}: {answer.text[:120]}")
    return answer


if __name__ == "__main__":
    typer.run(main)

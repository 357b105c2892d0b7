"""What our layer costs: a whole turn without a model, against one query encode of the embedder, interleaved.

python -m benchmarks.turn_cost [--quick] [--json OUT]

Both sides: MiniLM, float32, PyTorch, the same question, one after the other, the order changing each time. The ratio
is the median over questions of turn ÷ encode, with its quartiles; a table gives the stages. A turn understands, plans,
retrieves or calls a tool, composes, and stores itself in SQLite on disk.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report import REPOSITORY, Rows
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Finished, Shopper

TARGET = 4.0
QUESTIONS = (
    "How long do I have to return something?",
    "How much is express delivery?",
    "What is the cheapest tent in stock?",
    "Where is my order?",
    "Which payment methods do you accept?",
    "Can I return a used sleeping bag?",
    "Do you price match marketplaces?",
    "How long is the warranty on luggage?",
    "Which sizes do the jackets come in?",
    "What did I pay for my last order?",
    "hello",
    "How do I reset my password?",
)


async def measure(shop: Shop, rounds: int) -> tuple[list[float], dict[str, list[float]]]:
    """(ratios turn ÷ encode, milliseconds a stage), after one round to warm up."""
    shopper = Shopper(next(iter(shop.data.users)))
    ratios: list[float] = []
    stages: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "cost.db") as store:
        bot = shop.bot(store=store)
        for number in range(rounds + 1):
            for place, question in enumerate(QUESTIONS):
                session = f"{number}-{place}"
                if (number + place) % 2:
                    encode = _encode(shop, question)
                    turn, finished = await _turn(bot, question, shopper, session)
                else:
                    turn, finished = await _turn(bot, question, shopper, session)
                    encode = _encode(shop, question)
                if number:
                    ratios.append(turn / encode)
                    for stage, took in {**finished.timings, "encode": encode, "turn": turn}.items():
                        stages.setdefault(stage, []).append(took)
    return ratios, stages


def _encode(shop: Shop, question: str) -> float:
    start = time.perf_counter()
    shop.embedder.embed_array([question], query=True)
    return (time.perf_counter() - start) * 1000


async def _turn(bot: object, question: str, shopper: Shopper, session: str) -> tuple[float, Finished]:
    start = time.perf_counter()
    finished = await bot.reply(question, shopper=shopper, session=session)  # type: ignore[attr-defined]
    return (time.perf_counter() - start) * 1000, finished


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Three rounds; the target is the same, doubled.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Measure on the sample shop."""
    rows = Rows("turn_cost")
    with Shop.open(REPOSITORY / "sample_shop") as shop:
        ratios, stages = asyncio.run(measure(shop, 3 if quick else 20))
    target = TARGET * (2 if quick else 1)  # three rounds on a busy machine show that it runs, not how fast
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"  quartiles of turn ÷ encode: {low:.2f}, {middle:.2f}, {high:.2f}")
    for stage, times in stages.items():
        print(f"  {stage:12} {statistics.median(times):7.2f} ms median of {len(times)}")
    rows.add("turn without model ÷ one query encode, median", middle, f"<= {target}", middle <= target)
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

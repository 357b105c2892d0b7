"""Known questions get the approved answer; other questions do not, and none gets one that has lapsed.

python -m benchmarks.answer_bank [--quick] [--show] [--json OUT]

300 questions about the sample shop by somebody who had not read the code: half and half paraphrases of approved questions
and others, most of them near misses ("Can I cancel only one item?"). 100 may be looked at; the 200 of the test half were
committed before what they test, and the hash of the file stands in calibrate.py. A false answer is an approved one to a
question that it does not answer: asked of the bank alone, and of the whole bot, whose planner sends many of them elsewhere.

Then policies change under a running bot (changes.py): from the first turn after the switch no answer that rested on them
may be given.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answer_bank.calibrate import (
    RATE,
    Asked,
    Found,
    bank_questions,
    calibrated,
    development_questions,
    found,
    wilson,
)
from benchmarks.answer_bank.changes import SAMPLE, cases
from benchmarks.report import Rows
from shopbot.answer_bank import SURE, Approved
from shopbot.bot import ShopBot
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Finished, Retrieved, Shopper


async def told(bot: ShopBot, entries: Sequence[Approved], asked: Asked) -> tuple[bool, bool]:
    """(whether the bot gives a right approved answer, whether a false one); a draft that happens to be one counts, too."""
    events = [event async for event in bot.stream(asked.question, shopper=Shopper())]
    finished = events[-1]
    assert isinstance(finished, Finished)
    banked = {one.approved.answer for one in events if isinstance(one, Retrieved) and one.approved is not None}
    given = [
        entry
        for entry in entries
        if entry.answer == finished.text or (entry.answer in banked and entry.answer in finished.text)
    ]
    right = [asked.is_answered_by(entry) for entry in given]
    return any(right), not all(right)


def of_the_bank(rows: Rows, half: str, asked: Sequence[Asked], given: Sequence[Found]) -> None:
    """The rows of a half, asked of the bank alone."""
    false = [one for one in given if one.is_false]
    right = sum(one.is_sure and one.is_right for one in given)
    _rows(rows, f"{half}, the bank", asked, right, len(false))


def _rows(rows: Rows, name: str, asked: Sequence[Asked], right: int, false: int) -> None:
    count, known = len(asked), sum(bool(one.right) for one in asked)
    low, high = wilson(false, count)
    share, held = false / count, name.startswith("test")
    what = f"{name}: false answers, {false} of {count}, 95 % [{low:.3f}, {high:.3f}]"
    rows.add(what, share, f"<= {RATE}" if held else "for orientation", share <= RATE if held else None)
    rows.add(f"{name}: paraphrases answered from the bank, {right} of {known}", right / known, "for orientation", None)


def ask_all(rows: Rows, shop: Shop, folder: Path, quick: bool, show: bool) -> None:
    """Both halves, of the bank and of the bot."""
    with Store.open(folder / "answer_bank.db") as store:
        bot = shop.bot(store=store)
        for half in ("dev", "test"):
            asked = bank_questions(half)[:: 10 if quick else 1]
            given = found(shop, asked)
            of_the_bank(rows, half, asked, given)
            marks = asyncio.run(_all_told(bot, shop.answer_bank.entries, asked))
            _rows(rows, f"{half}, the bot", asked, sum(one for one, _ in marks), sum(one for _, one in marks))
            for one in given if show and half == "dev" else ():
                mark = "FALSE" if one.is_false else "right" if one.is_sure else "-"
                print(f"      {mark} {one.strength:.2f} {one.asked.question}")
        if not quick:
            questions = development_questions()
            _calibration(rows, found(shop, questions), len(questions))


async def _all_told(bot: ShopBot, entries: Sequence[Approved], asked: Sequence[Asked]) -> list[tuple[bool, bool]]:
    return [await told(bot, entries, one) for one in asked]


def _calibration(rows: Rows, candidates: Sequence[Found], asked: int) -> None:
    """Whether SURE is what calibration gives: the same questions lie above both. Of languages that the embedder reads."""
    english = [one for one in candidates if one.language == "en"]
    lowest = calibrated(english, asked)
    same = [one.strength >= SURE for one in english] == [one.strength >= lowest for one in english]
    what = f"SURE {SURE}: calibrated on {asked} development questions to {RATE:.0%} false answers"
    rows.add(what, lowest, "the same questions answered", same)


async def change(rows: Rows, folder: Path, quick: bool) -> None:
    """The rows of changed policies."""
    for one in await cases(folder, quick):
        name = f"policies change, {one.what}"
        rows.add(f"{name}: the old answer, of {one.asked} asked again", one.after, "0", one.after == 0)
        whole = one.before == one.reopened
        rows.add(
            f"{name}: approved answers before and put back",
            f"{one.before}, {one.reopened}",
            "the same",
            whole and one.before > 0,
        )


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Thirty questions, ingest in the same process.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the development half.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Measure on the sample shop."""
    rows = Rows("answer_bank")
    with tempfile.TemporaryDirectory() as folder:
        with Shop.open(SAMPLE) as shop:
            ask_all(rows, shop, Path(folder), quick, show)
        asyncio.run(change(rows, Path(folder), quick))
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

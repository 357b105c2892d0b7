"""Does an approved answer lapse with what it rests on? A bot that runs, and policies that change under it.

A copy of the sample shop with an index of its own. For each case the policies behind twenty approved answers are changed,
`ingest` runs (in a process of its own, or for the quick form in another `Shop`), and the bot is asked again for all
twenty. Then the policies are put back as they were.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import REPOSITORY
from shopbot.answer_bank import Approved
from shopbot.bot import ShopBot
from shopbot.grounding import Gate
from shopbot.shop import Shop
from shopbot.types import Retrieved, Shopper

SAMPLE = REPOSITORY / "sample_shop"
EVERY = 4
"""Every fourth entry is asked for: twenty of eighty."""
_NOT = re.compile(r"\bcannot\b|\b(?:not|never) |不(?=能|接受|收|再|可)")


@dataclass(frozen=True)
class Case:
    """What was done to the policies, how often the approved answers were given before, and how often afterwards."""

    what: str
    asked: int
    before: int
    after: int
    reopened: int
    """How often they were given once everything was as before."""


async def cases(home: Path, quick: bool) -> list[Case]:
    """Every case in turn; the quick form takes the first and the last, and ingests in this process."""
    folder = home / "sample_shop"
    shutil.copytree(SAMPLE, folder)
    _copy_the_index(folder, home)
    _name_the_passages(folder, home)
    with Shop.open(folder, home=home) as shop:
        bot = shop.bot()
        entries = [one for place, one in enumerate(shop.answer_bank.entries) if place % EVERY == 0]
        names = list(CHANGES)
        return [await _case(shop, bot, entries, name, quick) for name in (names[:: len(names) - 1] if quick else names)]


async def _case(shop: Shop, bot: ShopBot, entries: Sequence[Approved], what: str, quick: bool) -> Case:
    before = await _given(bot, entries)
    for entry in entries:
        CHANGES[what](shop.folder, entry)
    _ingest(shop, not quick)
    after = await _given(bot, entries)
    shutil.rmtree(shop.folder / "policies")
    shutil.copytree(SAMPLE / "policies", shop.folder / "policies")
    _ingest(shop, not quick)
    return Case(what, len(entries), before, after, await _given(bot, entries))


def _copy_the_index(folder: Path, home: Path) -> None:
    """Where the sample shop has been opened before: what it takes a minute to make."""
    with Shop.open(SAMPLE) as sample, Shop.open(folder, home=home) as shop:
        if (sample.home / "index").exists():
            shutil.copytree(sample.home, shop.home, ignore=shutil.ignore_patterns("*.db*"))


def _name_the_passages(folder: Path, home: Path) -> None:
    """Write into the answers file what the sources of each say, as on the day of its approval."""
    path = folder / "answers.jsonl"
    with Shop.open(folder, home=home) as shop:
        ids = {entry.wordings[0]: [one.id for one in entry.passages] for entry in shop.answer_bank.entries}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    named = [row | {"passages": ids[row["question"]]} for row in rows]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in named), "utf-8")


def _ingest(shop: Shop, elsewhere: bool) -> None:
    home = shop.home.parent.parent
    if elsewhere:
        call = [sys.executable, "-m", "shopbot.cli", "ingest", "--shop", str(shop.folder), "--home", str(home)]
        status = subprocess.run(call, check=False, capture_output=True, cwd=REPOSITORY).returncode
        assert status in (0, 2), status  # 2: what has lapsed is told of
        return
    with Shop.open(shop.folder, home=home) as other:
        other.embedder = shop.embedder
        other.ingest().close()


async def _given(bot: ShopBot, entries: Sequence[Approved]) -> int:
    """How many of the approved answers the bot takes from its bank when it is asked for them."""
    return sum([await _is_given(bot, entry) for entry in entries])


async def _is_given(bot: ShopBot, entry: Approved) -> bool:
    events = [event async for event in bot.stream(entry.wordings[0], shopper=Shopper())]
    approved = [one.approved.answer for one in events if isinstance(one, Retrieved) and one.approved is not None]
    return entry.answer in approved


# ---------------------------------------------------------------- what is done to a policy


def _another_fact(folder: Path, entry: Approved) -> None:
    """Another number, or the opposite where there is none, in every sentence that the answer quotes."""
    for sentence in _sentences(entry.answer):
        changed, count = re.subn(r"\d+", lambda number: str(int(number[0]) + 1), sentence)
        if not count:
            changed, count = _NOT.subn(lambda no: "can" if no[0] == "cannot" else "", sentence)
        _replace(folder, entry, sentence, changed if count else f"{sentence[:-1]} (no longer){sentence[-1]}")


def _other_words(folder: Path, entry: Approved) -> None:
    """Another condition behind every sentence that the answer quotes, which stays whole."""
    for sentence in _sentences(entry.answer):
        added = "这在旺季不适用。" if entry.language == "zh" else " This does not hold in the high season."
        _replace(folder, entry, sentence, f"{sentence}{added}")


def _expired(folder: Path, entry: Approved) -> None:
    """A last day that is over, in the head of the documents."""
    for path in _files(folder, entry):
        text = re.sub(r"(?m)^valid_until:.*\n", "", path.read_text("utf-8"))
        path.write_text(text.replace("---\n", "---\nvalid_until: 2026-11-01\n", 1), "utf-8")


def _removed(folder: Path, entry: Approved) -> None:
    for path in _files(folder, entry):
        path.unlink(missing_ok=True)


CHANGES: Mapping[str, Callable[[Path, Approved], None]] = {
    "other facts": _another_fact,
    "a further condition": _other_words,
    "valid_until over": _expired,
    "documents removed": _removed,
}


def _files(folder: Path, entry: Approved) -> list[Path]:
    return [path for source in sorted({one.source for one in entry.passages}) if (path := folder / source).exists()]


def _replace(folder: Path, entry: Approved, old: str, new: str) -> None:
    for path in _files(folder, entry):
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def _sentences(text: str) -> list[str]:
    gate = Gate()
    return [*gate.feed(text), *gate.finish()]

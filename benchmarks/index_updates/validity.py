"""Policies that are replaced from a day on: which text is found, and which one the bot answers from, on the days around it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.index_updates.apart import apart
from benchmarks.index_updates.corpus import Prepared
from benchmarks.report import REPOSITORY, Rows
from knowledge.embed import SentenceEmbedder
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Shopper

CHANGE = date(2027, 4, 1)
"""The first day of the new policies: no other policy of the sample shop changes on the days around it."""

AROUND = 30


@dataclass(frozen=True, slots=True)
class Fact:
    """What a policy says until the change, and its successor from then on; a question about it."""

    policy: str
    old: str
    new: str
    questions: tuple[str, ...]
    saying: str = "{}"
    """The words around it, where other policies that stay have a like number: those may be quoted on any day."""

    @property
    def successor(self) -> str:
        """The file that takes over."""
        return self.policy.replace(".md", "_from_2027_04.md")

    def replace(self, shop: Path) -> None:
        """Write both: the old one with its last day, the new one with its first."""
        path = shop / self.policy
        text = path.read_text(encoding="utf-8")
        last = CHANGE - timedelta(days=1)
        path.write_text(_dated(text, f"valid_until: {last}"), encoding="utf-8")
        new = _dated(text.replace(self.old, self.new), f"valid_from: {CHANGE}")
        (shop / self.successor).write_text(new, encoding="utf-8")

    def is_right(self, day: date, sources: set[str], text: str | None = None) -> bool:
        """Whether the sources found, and the answer's text, are those of a day."""
        wanted, other = (self.policy, self.successor) if day < CHANGE else (self.successor, self.policy)
        said, not_said = map(self.saying.format, (self.old, self.new) if day < CHANGE else (self.new, self.old))
        fits = text is None or (_says(text, said) and not _says(text, not_said))
        return wanted in sources and other not in sources and fits


FACTS = (
    Fact(
        "policies/en/warranty.md",
        "2 years",
        "4 years",
        ("How long is the warranty?", "How long does the warranty last?"),
    ),
    Fact(
        "policies/en/returns.md",
        "30 days",
        "45 days",
        ("How long do I have to return something?", "How many days after delivery can I return an item?"),
        "return an item within {}",
    ),
    Fact(
        "policies/en/gift_cards.md",
        "24 months",
        "36 months",
        ("How long is a gift card valid?", "When does a gift card expire?"),
    ),
    Fact("policies/zh/warranty.md", "2 年", "4 年", ("保修期多久？", "保修期是多长时间？")),
)


def validity(rows: Rows, embedder: Prepared, place: Path, quick: bool) -> None:
    """The rows of policies that are replaced."""
    facts = FACTS[:2] if quick else FACTS
    wrong: dict[str, Any] = apart(lambda: Days(place, embedder, facts, quick).play())
    for what in ("the retriever", "the bot"):
        found, of = wrong[what], wrong[f"{what}: all"]
        name = "the old text until the day before, the new one from the day, never both"
        rows.add(f"policies replaced from a day on: {what}: {name}, wrong of {of}", len(found), "0", not found)
        for one in found[:5]:
            print(f"     {one}")


@dataclass(frozen=True)
class Days:
    """A copy of the sample shop, whose policies are replaced while its bot runs."""

    place: Path
    embedder: SentenceEmbedder
    facts: tuple[Fact, ...]
    quick: bool

    def play(self) -> dict[str, Any]:
        """What was wrong, by who was asked, and how much was asked."""
        with self._shop() as shop:
            shop.bot()
            for fact in self.facts:
                fact.replace(self.place / "shop")
            with self._shop() as other:
                _ = other.index
            found: dict[str, Any] = {}
            found["the retriever"], found["the retriever: all"] = self._retrieve(shop)
            found["the bot"], found["the bot: all"] = self._ask(shop)
        return found

    @contextmanager
    def _shop(self) -> Iterator[Shop]:
        folder = self.place / "shop"
        if not folder.exists():
            shutil.copytree(REPOSITORY / "sample_shop", folder)
            if self.quick:
                _cut(folder)
        with Shop.open(folder, home=self.place / "home") as shop:
            shop.embedder = self.embedder
            yield shop

    def _days(self, few: bool) -> list[date]:
        days = (-AROUND, -1, 0, AROUND) if few else range(-AROUND, AROUND + 1)
        return [CHANGE + timedelta(days=day) for day in days]

    def _retrieve(self, shop: Shop) -> tuple[list[str], int]:
        minds: Any = shop.bot().mind
        retriever = minds.current().retriever
        wrong: list[str] = []
        asked = [
            (fact, question, day) for fact in self.facts for question in fact.questions for day in self._days(False)
        ]
        vectors = {question: retriever.encode([question])[0] for fact in self.facts for question in fact.questions}
        for fact, question, day in asked:
            found = retriever.search(question, today=day, query_vector=vectors[question])
            sources = {one.passage.source for one in found}
            if not fact.is_right(day, sources):
                wrong.append(f"{day} {question} {sorted(sources)}")
        return wrong, len(asked)

    def _ask(self, shop: Shop) -> tuple[list[str], int]:
        """At noon, and in the last second before the change and the first of it."""
        zone = ZoneInfo(shop.config.shop.timezone)
        moments = [datetime.combine(day, time(12), zone) for day in self._days(self.quick)]
        midnight = datetime.combine(CHANGE, time(0), zone)
        moments += [midnight - timedelta(seconds=1), midnight]
        wrong: list[str] = []
        asked = [(fact, question) for fact in self.facts for question in fact.questions]
        with Store.open(self.place / "turns.db") as store:
            for moment in moments:
                bot = shop.bot(store=store, now=moment)
                for fact, question in asked:
                    answer = asyncio.run(bot.reply(question, shopper=Shopper()))
                    sources = {cite.source for cite in answer.citations}
                    if not fact.is_right(moment.date(), sources, answer.text):
                        wrong.append(f"{moment} {question} {answer.text!r} {sorted(sources)}")
        return wrong, len(moments) * len(asked)


def _cut(folder: Path) -> None:
    """Less to encode: the English policies, few products, no examples and approved answers of the shop's own."""
    settings = (folder / "shop.toml").read_text(encoding="utf-8").replace('["policies"]', '["policies/en"]')
    lines = [line for line in settings.splitlines() if not line.startswith(("answers =", "utterances ="))]
    (folder / "shop.toml").write_text("\n".join(lines), encoding="utf-8")
    catalog = (folder / "catalog.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "catalog.jsonl").write_text("\n".join(catalog[:10]), encoding="utf-8")


def _dated(text: str, line: str) -> str:
    """A document with a line more in its front matter."""
    _, fields, body = text.split("---\n", 2)
    return f"---\n{fields}{line}\n---\n{body}"


def _says(text: str, words: str) -> bool:
    """Whether a text has these words; "2 years" does not stand in "12 years"."""
    return re.search(rf"(?<!\d){re.escape(words)}", text) is not None

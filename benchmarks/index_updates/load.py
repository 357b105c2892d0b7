"""Readers in processes of their own ask while a writer publishes one edition after another.

Each reader is a shop's bot: before every question it takes the mind of the version that serves. What it was told is written down with
the times (CLOCK_MONOTONIC, the same for all processes) and judged afterwards against the times of the writer.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.index_updates.apart import apart
from benchmarks.index_updates.corpus import Corpus, EditionShop, Prepared, edition_of, question, topic_of
from benchmarks.once.death import ended, fork
from benchmarks.report import Rows
from knowledge.writing import write_index
from shopbot.testing import FakeShop
from shopbot.types import Passage

PAUSE = 0.02
"""Seconds between two questions of a reader, on average."""

REST = 0.3
"""Seconds between two switches."""

NONE = 10**9


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: seconds when it began and ended, the version that answered, and what was found.

    `editions` are those that the policies found are of; `topic` is the lowest topic among them; `foreign` counts
    passages that the version does not hold so.
    """

    began: float
    ended: float
    version: int
    editions: list[int]
    topic: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Switch:
    """When an ingest began, and when what it wrote served, in seconds."""

    version: int
    began: float
    ended: float


@dataclass(frozen=True)
class Played:
    """What readers and writer wrote down."""

    asked: list[Asked]
    switches: list[Switch]
    errors: list[str]

    def mixed(self) -> list[Asked]:
        """Answers that are not of one version."""
        return [one for one in self.asked if one.foreign or len(one.editions) > 1]

    def outdated(self) -> list[Asked]:
        """Answers of a version that had stopped serving when the question began."""
        return [one for one in self.asked if one.version < self._served(one.began)]

    def removed(self, corpus: Corpus) -> list[Asked]:
        """Answers with a policy that had been removed when the question began."""
        return [one for one in self.asked if one.topic < corpus.first_topic(self._served(one.began))]

    def seconds(self, during: bool) -> list[float]:
        """How long the questions took that were asked while an ingest ran, or while none did."""
        return [
            one.ended - one.began
            for one in self.asked
            if during == any(each.began < one.ended and one.began < each.ended for each in self.switches)
        ]

    def _served(self, moment: float) -> int:
        return max((each.version for each in self.switches if each.ended <= moment), default=1)


@dataclass(frozen=True)
class Load:
    """So many questions by so many readers, so many switches."""

    corpus: Corpus
    embedder: Prepared
    place: Path
    questions: int
    switches: int
    readers: int = 4

    def play(self) -> Played:
        """Everything, from the first version on."""
        FakeShop().write(self.place / "shop")
        self.embedder.learn(
            [question(topic) for topic in range(self.corpus.first_topic(self.switches + 1) + self.corpus.policies)]
        )
        apart(self._first)
        readers = [fork(lambda number=number: self._read(number)) for number in range(self.readers)]
        while not all((self.place / f"ready-{number}").exists() for number in range(self.readers)):
            time.sleep(0.05)
        writer = ended(fork(self._write))
        (self.place / "over").touch()
        codes = [writer, *map(ended, readers)]
        asked = [Asked(**one) for number in range(self.readers) for one in self._lines(f"asked-{number}")]
        errors = [one for number in range(self.readers) for one in self._lines(f"errors-{number}")]
        errors += [f"a process ended with {code}" for code in codes if code]
        return Played(asked, [Switch(**one) for one in self._lines("switches")], errors)

    def _lines(self, name: str) -> list[Any]:
        path = self.place / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _shop(self) -> EditionShop:
        shop = EditionShop.open(self.place / "shop", home=self.place / "home")
        shop.corpus, shop.embedder = self.corpus, self.embedder
        return shop

    # ------------------------------------------------------------ in the children

    def _first(self) -> None:
        with self._shop() as shop:
            shop.bot()

    def _write(self) -> None:
        with self._shop() as shop, (self.place / "switches").open("w", encoding="utf-8") as file:
            for number in range(2, self.switches + 2):
                time.sleep(REST)
                began = time.monotonic()
                change = write_index(shop.home / "index", self.corpus.edition(number), self.embedder)
                switch = Switch(int(change.version), began, time.monotonic())
                file.write(json.dumps(asdict(switch)) + "\n")

    def _read(self, number: int) -> None:
        draw = random.Random(number)
        with (
            self._shop() as shop,
            (self.place / f"asked-{number}").open("w", encoding="utf-8") as file,
            (self.place / f"errors-{number}").open("w", encoding="utf-8") as faults,
        ):
            handler = _Told()
            logging.getLogger("shopbot").addHandler(handler)
            reader = Reader(self.corpus, self.embedder, shop.bot().mind)
            (self.place / f"ready-{number}").touch()
            done = 0
            while done < self.questions // self.readers or not (self.place / "over").exists():
                time.sleep(draw.expovariate(1 / PAUSE))
                topic = draw.randrange(len(self.embedder.questions))
                try:
                    file.write(json.dumps(asdict(reader.ask(topic, done))) + "\n")
                except Exception as error:  # noqa: BLE001 - every fault is one that a shopper would have met
                    handler.told.append(repr(error))
                done += 1
            faults.writelines(json.dumps(one) + "\n" for one in handler.told)


class Reader:
    """Asks the mind that serves, and looks at what it is given."""

    def __init__(self, corpus: Corpus, embedder: Prepared, minds: Any) -> None:
        self._corpus, self._embedder, self._minds = corpus, embedder, minds
        self._editions: dict[int, dict[str, Passage]] = {}

    def ask(self, topic: int, number: int) -> Asked:
        """One question; by turns among policies, among everything, and of Chroma's graph alone."""
        text = question(topic)
        vector = self._embedder.questions[text]
        began = time.monotonic()
        retriever = self._minds.current().retriever
        if number % 4 == 3:
            index = retriever.index
            passages = list(index.passages.values())
            found = [passages[row] for row in index.nearest(vector, 20)]
        else:
            kind = None if number % 4 == 2 else "policy"
            found = [one.passage for one in retriever.search(text, kind=kind, query_vector=vector)]
        over = time.monotonic()
        return self._judged(found, int(retriever.index.version.name), began, over)

    def _judged(self, found: Sequence[Passage], version: int, began: float, over: float) -> Asked:
        if version not in self._editions:
            self._editions[version] = {one.id: one for one in self._corpus.edition(version)}
        held = self._editions[version]
        policies = [one for one in found if one.kind == "policy"]
        return Asked(
            began,
            over,
            version,
            sorted({edition_of(one) for one in policies}),
            min(map(topic_of, policies), default=NONE),
            sum(held.get(one.id) != one for one in found) + (not found),
        )


class _Told(logging.Handler):
    """Keeps what the bot's own code logs as a fault: a version that could not be opened is no exception to the shopper."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


def load(rows: Rows, embedder: Prepared, place: Path, quick: bool) -> None:
    """The rows of updates under load."""
    corpus = Corpus(2_000, 100, 5)
    questions, switches = (400, 3) if quick else (10_000, 20)
    played = Load(corpus, embedder, place, questions, switches).play()
    name = f"updates under load: {switches} switches"
    whole = len(played.asked) + len(played.errors) >= questions and len(played.switches) == switches
    seen = {one.version for one in played.asked}
    rows.add(f"{name}: questions asked by 4 processes", len(played.asked), f"≥ {questions:,}", whole)
    rows.add(f"{name}: versions that answered", len(seen), str(switches + 1), len(seen) == switches + 1)
    for what, wrong in (
        ("errors", played.errors),
        ("answers of two versions", played.mixed()),
        ("answers of a version that served no longer", played.outdated()),
        ("answers with a policy removed before", played.removed(corpus)),
    ):
        rows.add(f"{name}: {what}", len(wrong), "0", not wrong)
        for one in wrong[:3]:
            print(f"     {one}")
    for during, when in ((True, "while an ingest runs"), (False, "while none does")):
        some = played.seconds(during) or [0.0]
        spread = " and ".join(f"{1000 * float(np.percentile(some, share)):.1f}" for share in (50, 99))
        rows.add(
            f"{name}: a question {when}, p50 and p99, ms", f"{spread} ({len(some)} questions)", "for orientation", None
        )

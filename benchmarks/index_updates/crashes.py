"""Ingests that are killed: what a process finds that opens the index afterwards, and what the next ingest makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.index_updates.apart import apart
from benchmarks.index_updates.corpus import Corpus, Prepared
from benchmarks.once.death import die, ended, fork
from benchmarks.report import Rows
from knowledge import versions
from knowledge.chroma_store import DATABASE
from knowledge.embed import SentenceEmbedder
from knowledge.evaluate import opened
from knowledge.index import content_hash
from knowledge.stored import Stored
from knowledge.writing import write_index
from shopbot.errors import ShopbotError

STEPS = ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree"))
"""What is done to files in an ingest, as far as it shows in Python; Chroma's own writing is met by the clock."""

PROBES = 5
SEED = 3


def at_step(number: int) -> None:
    """From now on: SIGKILL for this process before the n-th step (1 is the first)."""
    left = iter(range(number - 1, -1, -1))

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            if next(left, 1) == 0:
                die()
            return real(*given, **named)

        return step

    for owner, name in STEPS:
        setattr(owner, name, mortal(getattr(owner, name)))


@dataclass(frozen=True)
class Ingests:
    """An index folder whose content goes from edition to edition, one ingest a process."""

    corpus: Corpus
    embedder: SentenceEmbedder
    folder: Path

    def ingest(self, edition: int) -> None:
        """Bring the folder to an edition; in a child."""
        write_index(self.folder, self.corpus.edition(edition), self.embedder)

    def killed(self, edition: int, seconds: float, step: int) -> int:
        """Kill an ingest of the edition before a step (0: none), else after some seconds; 0 where it was faster, else -9."""

        def work() -> None:
            if step:
                at_step(step)
            self.ingest(edition)

        child = fork(work)
        if not step:
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return ended(child)

    def faults(self, edition: int, *, tidy: bool) -> list[str]:
        """What is wrong where a process opens the index that ought to hold the edition; `tidy`: nothing else may lie about."""
        wanted = self.corpus.edition(edition)
        found: list[str] = []
        try:
            with opened(self.folder, self.embedder) as retriever:
                index = retriever.index
                if index.manifest.content != content_hash(wanted):
                    found.append("another content")
                if list(index.passages.values()) != wanted:
                    found.append("other passages")
                for passage in random.Random(edition).sample(wanted, PROBES):
                    vector = self.embedder.embed_array([passage.text])[0]
                    first = retriever.search(passage.text, query_vector=vector)[:1]
                    rows = index.nearest(vector, 1).tolist()
                    if [one.passage for one in first] != [passage] or [wanted[row] for row in rows] != [passage]:
                        found.append(f"{passage.id} is not found")
        except ShopbotError as error:
            found.append(repr(error))
        return found + (self._left_over() if tidy else [])

    def _left_over(self) -> list[str]:
        """What lies under the folder and is no whole version, and versions beyond those that are kept."""
        names = [each.name for each in (self.folder / "versions").iterdir()]
        found = [f"{len(names)} versions"] if len(names) > versions.KEPT + 1 else []
        known = {"CURRENT", "WRITER", "versions"}
        found += [f"{each.name} was left" for each in self.folder.iterdir() if each.name not in known]
        for name in names:
            version = self.folder / "versions" / name
            try:
                Stored.load(version, versions.read_manifest(version))
            except (ShopbotError, OSError, ValueError, KeyError) as error:
                found.append(f"{name} is not whole: {error}")
            found += [
                f"{one.name} was left in {name}"
                for one in version.rglob("*")
                if one.name.endswith((".new", "-journal"))
            ]
        return found

    def state(self, before: str) -> str:
        """How far a killed ingest had come, by what it left; `before` is the version that served."""
        served = versions.pointer(self.folder) or ""
        names = [each.name for each in (self.folder / "versions").iterdir()]
        if served != before:
            return "served" if all(self._has(name, "manifest.json") for name in names) else "served, removing old ones"
        newest = max(names, key=int)
        if newest == before:
            return "before writing"
        for file, stage in (
            ("manifest.json", "before the pointer"),
            (f"chroma/{DATABASE}", "in Chroma"),
            ("chroma", "copying Chroma"),
        ):
            if self._has(newest, file):
                return stage
        return "writing arrays"

    def _has(self, name: str, file: str) -> bool:
        return (self.folder / "versions" / name / file).exists()


@dataclass(slots=True)
class Series:
    """Kills, one after another, and what came of them; `edition` is what the folder holds."""

    ingests: Ingests
    edition: int = 1

    def one(self, seconds: float, step: int) -> tuple[str, list[str]]:
        """Kill the ingest of the next edition, look, and ingest again: the stage that was met, and what was wrong.

        An ingest that was faster than its end changes the edition, and its stage is empty.
        """
        before = versions.pointer(self.ingests.folder) or ""
        code = self.ingests.killed(self.edition + 1, seconds, step)
        if code == 0:
            self.edition += 1
            return "", []
        if code != -signal.SIGKILL:
            return "", [f"the ingest failed by itself: {code}"]
        stage = self.ingests.state(before)
        if versions.pointer(self.ingests.folder) != before:
            self.edition += 1
        wrong = [f"after the kill: {one}" for one in apart(lambda: self.ingests.faults(self.edition, tidy=False))]
        self.edition += 1  # where the switch was made already, the documents have moved on since
        if code := ended(fork(lambda: self.ingests.ingest(self.edition))):
            return stage, [*wrong, f"the next ingest ended with {code}"]
        return stage, wrong + [
            f"after the next: {one}" for one in apart(lambda: self.ingests.faults(self.edition, tidy=True))
        ]


def crashes(rows: Rows, embedder: Prepared, place: Path, quick: bool) -> None:
    """The rows of killed ingests."""
    ingests = Ingests(Corpus(400 if quick else 1_000, 20 if quick else 50, 2), embedder, place / "index")
    if code := ended(fork(lambda: ingests.ingest(1))):
        raise RuntimeError(f"the first ingest ended with {code}")
    series, number, draw = Series(ingests), 5 if quick else 50, random.Random(SEED)
    steps = apart(lambda: _steps(ingests))
    series.edition = 2
    met: Counter[str] = Counter()
    wrong: list[str] = []
    longest = _measured(series)
    while met.total() < number:
        done = met.total()
        step = 1 + done // 2 * steps // (number // 2) if done % 2 else 0
        stage, faults = series.one(longest * (done + draw.random()) / number, min(step, steps))
        if not stage and not faults:
            longest = 0.9 * longest  # the machine is faster by now than when it was measured
            continue
        met[stage] += 1
        wrong += [f"kill {done}, {stage}: {fault}" for fault in faults]
        if done % 10 == 0:
            print(f"  {done} of {number} killed", flush=True)
    rows.add("ingests killed", met.total(), str(number), met.total() == number)
    rows.add(
        "ingests killed: how far they had come",
        ", ".join(f"{met[one]} {one}" for one in sorted(met)),
        "for orientation",
        None,
    )
    for when, what in (
        ("after the kill", "neither the old version whole nor the new"),
        ("after the next", "the next ingest did not end right"),
    ):
        some = [one for one in wrong if f": {when}" in one or when == "after the next" and ": after" not in one]
        rows.add(f"ingests killed: {what}", len(some), "0", not some)
        for one in some[:5]:
            print(f"     {one}")


def _steps(ingests: Ingests) -> int:
    """How many steps an ingest has."""
    taken: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: (taken.append(name), real(*given, **named))[1]

    for owner, name in STEPS:
        setattr(owner, name, counted(name, getattr(owner, name)))
    ingests.ingest(2)
    return len(taken)


def _measured(series: Series) -> float:
    """Seconds that an ingest takes in a process of its own."""
    begin = time.monotonic()
    series.edition += 1
    if code := ended(fork(lambda: series.ingests.ingest(series.edition))):
        raise RuntimeError(f"an ingest ended with {code}")
    return time.monotonic() - begin

"""What a process keeps in memory that ingests again and again, and whose bot moves on to each version."""

from __future__ import annotations

import resource
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.index_updates.apart import apart
from benchmarks.index_updates.corpus import Corpus, EditionShop, Prepared, question
from benchmarks.once.death import ended, fork
from benchmarks.report import Rows
from knowledge.writing import write_index
from shopbot.testing import FakeShop

SEARCHES = 20
"""Questions after each change: with and without a filter, so that the graph, the matrices and the words are all read."""

SETTLED = 3
"""The ingest from which growth is counted: before it, what is made once is made."""


@dataclass(frozen=True)
class Memory:
    """So many ingests over a filled index, of which `filled` holds a copy for the next time."""

    corpus: Corpus
    embedder: Prepared
    place: Path
    filled: Path
    ingests: int

    def play(self) -> Any:
        """The figures, in MiB: resident after each ingest (the first: before any), of these not in files, and the peak."""
        if not (self.filled / "CURRENT").exists() and (code := ended(fork(self._fill))):
            raise RuntimeError(f"the first ingest ended with {code}")
        FakeShop().write(self.place / "shop")
        with self._shop() as shop:
            shutil.copytree(self.filled, shop.home / "index")
        return apart(self._follow)

    def _shop(self) -> EditionShop:
        shop = EditionShop.open(self.place / "shop", home=self.place / "home")
        shop.corpus, shop.embedder = self.corpus, self.embedder
        return shop

    def _fill(self) -> None:
        begin = time.monotonic()
        write_index(
            self.filled,
            self.corpus.edition(1),
            self.embedder,
            lambda stage, done, total: print(
                f"  {stage} {done} of {total}, {time.monotonic() - begin:.0f} s", flush=True
            ),
        )

    def _follow(self) -> dict[str, Any]:
        """A bot runs; its documents change, are ingested in the same process, and it moves on with its next turn."""
        with self._shop() as shop:
            minds: Any = shop.bot().mind
            self._search(minds)
            resident, own = [status("VmRSS")], [status("RssAnon")]
            for number in range(2, self.ingests + 2):
                begin = time.monotonic()
                change = write_index(shop.home / "index", self.corpus.edition(number), self.embedder)
                middle = time.monotonic()
                self._search(minds)
                resident.append(status("VmRSS"))
                own.append(status("RssAnon"))
                print(
                    f"  ingest {number - 1}: {change.added} added, {change.removed} removed in {middle - begin:.1f} s, opened in "
                    f"{time.monotonic() - middle:.1f} s; resident {resident[-1]:.0f} MiB, {own[-1]:.0f} of it not in files",
                    flush=True,
                )
        return {"resident": resident, "own": own, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}

    def _search(self, minds: Any) -> None:
        retriever = minds.current().retriever
        for topic in range(SEARCHES):
            text = question(topic)
            retriever.search(text, kind="policy" if topic % 2 else None, query_vector=self.embedder.questions[text])


def status(name: str) -> float:
    """A figure of this process from /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def memory(rows: Rows, embedder: Prepared, place: Path, home: Path | None, quick: bool) -> None:
    """The rows of memory."""
    size, ingests, most = (2_000, 6, 0.2) if quick else (200_000, 20, 0.02)
    corpus = Corpus(size, size // 100, size // 100)
    embedder.learn([question(topic) for topic in range(SEARCHES)])
    filled = (home or place) / f"filled_{size}"
    found = Memory(corpus, embedder, place, filled, ingests).play()
    name = f"memory: {size:,} passages, {ingests} ingests of 1 %"
    resident = found["resident"]
    for what, values in (("resident", resident), ("not in files", found["own"])):
        rows.add(
            f"{name}: {what} before and after each, MiB",
            " ".join(f"{one:.0f}" for one in values),
            "for orientation",
            None,
        )
    rows.add(f"{name}: peak, MiB", f"{found['peak']:.0f}", "for orientation", None)
    growth = resident[-1] / resident[SETTLED] - 1
    rows.add(
        f"{name}: growth of resident memory from after the {SETTLED}rd to the last", growth, f"≤ {most}", growth <= most
    )

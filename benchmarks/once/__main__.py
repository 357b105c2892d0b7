"""Actions happen once: processes killed at every edge of the journal and at random moments, then retried by shopper and server.

python -m benchmarks.once [--quick] [--json OUT]

Each case is a conversation in which an order is cancelled. The process that answers is killed with SIGKILL: after each SQL
statement and before each commit of the turn in turn, before and after the tool's effect, and, in every second case, at a random
moment. Then a server may start and clear up (and be killed, too), and the shopper writes again. What the shop did is counted in a
file outside our database (till.py), on disk before the tool returns. A quarter of the tools have no lookup.

duplicate effects   sessions whose order was cancelled more than once
lost actions        confirmed by the shopper, not done, and not with a person either; or told as done, and not done
left open           actions that are neither ended nor with a person
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.databases import database
from benchmarks.once.death import check_one_thread
from benchmarks.once.talk import ANN, ASK, Case, Till
from benchmarks.report import Rows
from shopbot.handover import HandOvers
from shopbot.journal import OPEN, Action, Journal
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.testing import FakeShop

SEED = 5
CASES = {"SQLite": 1000, "PostgreSQL": 300}
QUICK_CASES = {"SQLite": 30, "PostgreSQL": 6}
AT_ONCE, PROCESSES = 50, 4
HERE = Path(__file__).parent


def main(
    quick: Annotated[bool, typer.Option("--quick", help="30 cases on SQLite, 6 on PostgreSQL.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
    cases: Annotated[int | None, typer.Option(help="So many on each database.")] = None,
) -> None:
    """Play, kill, count."""
    rows = Rows("once")
    wanted = QUICK_CASES if quick else CASES
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, opened(Path(folder)) as shop:
        for name, number in wanted.items():
            with database(name, Path(folder)) as (url, _):
                till = Till(shop, url, Path(folder) / f"{name}.told")
                kill(till, name, cases or number, rows)
                concur(till, name, 1 if quick else 10, rows)
    raise SystemExit(rows.finish(json_path))


@contextmanager
def opened(folder: Path) -> Iterator[Shop]:
    """The shop with the till, all its parts in memory, computing in one thread."""
    import torch
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread to watch bars that nobody sees
    torch.set_num_threads(1)
    shop = FakeShop()
    shop.settings = shop.settings.replace("[parts]\n", '[parts]\ntools = "tools.py"\n')
    place = shop.write(folder / "shop")
    shutil.copy(HERE / "till.py", place / "tools.py")
    with Shop.open(place, home=folder / "home") as made:
        with Store.open(folder / "warm.db") as store:
            warm(made, store)
        yield made


def warm(shop: Shop, store: Store) -> None:
    """Load every part, and whatever a first turn loads, so that a child answers as a server does that has run for a while."""
    bot = shop.bot(store=store)
    for message in (ASK, "no"):
        asyncio.run(bot.reply(message, shopper=ANN, session="warm"))


def kill(till: Till, name: str, number: int, rows: Rows) -> None:
    """The rows of conversations that die."""
    Store.open(till.url).close()
    check_one_thread()
    drawn = [Case.drawn(place, SEED) for place in range(number)]
    killed = [played(till, case, place, number, name) for place, case in enumerate(drawn)]
    found = Outcome.read(till, [case.session for case in drawn])
    rows.add(
        f"{name}: processes killed with a turn open, of {number}",
        killed.count(-9),
        "> half",
        killed.count(-9) * 2 > number,
    )
    rows.add(f"{name}: duplicate effects", len(found.twice), "0", not found.twice)
    rows.add(f"{name}: lost actions", len(found.lost), "0", not found.lost)
    rows.add(f"{name}: left open", len(found.open), "0", not found.open)
    rows.add(f"{name}: done once", found.done, "measured", None)
    rows.add(f"{name}: with a person, the end not known", found.with_person, "measured", None)
    for what in ("twice", "lost", "open"):
        for session in getattr(found, what)[:5]:
            print(f"     {what}: {drawn[int(session.split('-')[1])]}")


def played(till: Till, case: Case, place: int, number: int, name: str) -> int:
    """Play a case, and say now and then how far it is: a progress bar would have a thread of its own."""
    if place % max(1, number // 10) == 0:
        print(f"  {name}: {place} of {number} played", flush=True)
    return till.play(case)


class Outcome:
    """What became of the sessions: `twice`, `lost` and `open` are session ids."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self.lost: list[str] = []
        self.open: list[str] = []
        self.done = self.with_person = 0

    @classmethod
    def read(cls, till: Till, sessions: Sequence[str]) -> Outcome:
        """From the till, the journal, and what the shoppers were told."""
        effects = Counter((till.shop.folder / "till").read_text(encoding="ascii").split())
        told = [json.loads(line) for line in till.told.read_text(encoding="utf-8").splitlines()]
        told_done = {line["session"] for line in told if line["done"]}
        found = cls()
        with Store.open(till.url) as store:
            journal, hand_overs = Journal(store), HandOvers(store)
            for session in sessions:
                person = hand_overs.of_session(session) is not None
                found._count(session, journal.of_session(session), effects, session in told_done, person)
        return found

    def _count(
        self, session: str, actions: Sequence[Action], effects: Counter[str], told_done: bool, person: bool
    ) -> None:
        times = sum(effects[action.key] for action in actions)
        by_status = {action.status for action in actions}
        if times > 1:
            self.twice.append(session)
        if any(action.status in OPEN for action in actions):
            self.open.append(session)
        unknown = "handed_over" in by_status
        if (
            (times == 0 and not (unknown and person))
            or (told_done and times == 0)
            or (times and by_status.isdisjoint({"done", "handed_over"}))
        ):
            self.lost.append(session)
        self.done += times == 1 and "done" in by_status
        self.with_person += unknown and person


def concur(till: Till, name: str, rounds: int, rows: Rows) -> None:
    """The row of the same yes, many times at once."""
    check_one_thread()
    sessions = [f"at-once-{number}" for number in range(rounds)]
    failed = [status for one in sessions for status in till.at_once(one, PROCESSES, AT_ONCE) if status]
    effects = Counter((till.shop.folder / "till").read_text(encoding="ascii").split())
    with Store.open(till.url) as store:
        times = [sum(effects[action.key] for action in Journal(store).of_session(one)) for one in sessions]
    what = f"{name}: effects of the same yes {AT_ONCE} times at once over {PROCESSES} processes, {rounds} rounds"
    rows.add(what, max(times), "1", set(times) == {1} and not failed)


if __name__ == "__main__":
    typer.run(main)

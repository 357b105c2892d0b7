"""The tau2 retail shop: every write of its tasks as its policy allows, no mutation of one, and talks with the bot.

python -m benchmarks.tau2_retail [--quick] [--json OUT] [--tasks FILE --dump-state DIR] [--talk TASK]

The rows are of the 74 tasks of the train split. With --tasks the tasks of FILE are played instead, and what became of
each write is printed; --dump-state writes the records as they stand after each task as DIR/<task id>.json. With --talk
the talk of one task is printed for reading, and nothing else is done.

writes accepted   writes that a task lists and that were done, of all that its shopper's own records and policy.md allow
mutations         writes with one thing changed that the rules or the shopper's consent forbid: none may change a record
HeadPlanner       scripted customers, who read what the bot proposes (talk.py): tasks whose records are in the end what the
                  oracle leaves; writes that were done without a yes, or that the task does not list; writes listed and done
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report import Rows, data_dir
from benchmarks.tau2_retail.mutations import accepted, mutations
from benchmarks.tau2_retail.oracle import Played, Task, dump_state, play, read_tasks
from benchmarks.tau2_retail.talk import read_turns, shown, talk
from shopbot.errors import UsageError
from shopbot.shop import Shop
from shopbot.store import Store

HERE = Path(__file__).parent
MUTATIONS, QUICK_MUTATIONS = 800, 60
QUICK_TASKS = 8
FORBIDDEN = {("105", "exchange_delivered_order_items"): "its gift card holds $17.00, the difference is $21.10"}
"""Writes that tasks of the train split list and that policy.md forbids all the same."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="8 tasks and 60 mutations.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
    tasks_path: Annotated[Path | None, typer.Option("--tasks", help="Play the tasks of this file instead.")] = None,
    dump: Annotated[Path | None, typer.Option("--dump-state", help="Write the state after each task here.")] = None,
    talk_of: Annotated[str, typer.Option("--talk", help="Print the talk of this task, and no rows.")] = "",
) -> None:
    """Play the tasks."""
    data = data_dir()
    rows = Rows("tau2_retail")
    if data is None or not (data / "tau2_retail").is_dir():
        for what in ("writes accepted", "end states reproducible", "mutations accepted", "HeadPlanner: wrong writes"):
            rows.add(what, None, "measured", None)
        raise SystemExit(rows.finish(json_path))
    try:
        tasks = read_tasks(tasks_path or data / "tau2_retail" / "tasks_train.json")
    except UsageError as error:
        raise SystemExit(str(error)) from None
    # The shop's own home is kept: it holds the index of its texts, which takes ten seconds to make.
    with tempfile.TemporaryDirectory() as folder, Shop.open(HERE) as shop:
        if talk_of:
            with Store.open(Path(folder) / "talk.db") as store:
                read_aloud(shop, store, tasks, talk_of)
            return
        if tasks_path is not None:
            with Store.open(Path(folder) / "oracle.db") as store:
                show(shop, store, tasks, dump)
            return
        measure(shop, tasks[:QUICK_TASKS] if quick else tasks, Path(folder), rows, quick)
        if dump is not None:
            with Store.open(Path(folder) / "dump.db") as store:
                show(shop, store, tasks, dump)
    raise SystemExit(rows.finish(json_path))


def show(shop: Shop, store: Store, tasks: Sequence[Task], dump: Path | None) -> None:
    """Play the tasks, say what became of every write, and write the end states."""
    for task in tasks:
        played = play(shop, store, task)
        if dump is not None:
            dump_state(played, dump)
        outcomes = ", ".join(outcome(played)) or "no writes"
        print(f"{played.task_id} ({played.shopper_id or 'shopper not found'}): {outcomes}", flush=True)


def read_aloud(shop: Shop, store: Store, tasks: Sequence[Task], task_id: str) -> None:
    """Print the talk of one task."""
    task, turns = next((one for one in tasks if str(one["id"]) == task_id), None), read_turns().get(task_id)
    if task is None or turns is None:
        raise SystemExit(f"--talk {task_id}: no such task; turns.jsonl and the tasks' file name those that there are.")
    played = play(shop, store, task)
    print(shown(asyncio.run(talk(shop, store, turns, played)), played))


def outcome(played: Played) -> list[str]:
    """A line for each write: accepted, or refused with the reason."""
    return [
        f"{call.name} accepted" if call.status == "done" else f"{call.name} {call.status}: {call.result['reason']}"
        for call in played.writes
    ]


def measure(shop: Shop, tasks: Sequence[Task], folder: Path, rows: Rows, quick: bool) -> None:
    """The rows."""
    runs: list[list[Played]] = []
    for number in range(2):
        with Store.open(folder / f"run{number}.db") as store:
            runs.append([play(shop, store, task) for task in tasks])
    first, second = runs
    unknown = [played.task_id for played in first if played.shopper_id is None]
    rows.add(f"shoppers not found, of {len(tasks)} tasks", len(unknown), "0", not unknown)
    written = [((played.task_id, call.name), call.status) for played in first for call in played.writes]
    allowed = [status for write, status in written if write not in FORBIDDEN]
    done, forbidden = allowed.count("done"), [write for write, _ in written if write in FORBIDDEN]
    rows.add(f"oracle: writes accepted of {len(allowed)} allowed", done, str(len(allowed)), done == len(allowed))
    refused = sum(status == "refused" for write, status in written if write in FORBIDDEN)
    rows.add(f"oracle: refused of {len(forbidden)} forbidden", refused, str(len(forbidden)), refused == len(forbidden))
    for played in first:
        for line in outcome(played):
            if not line.endswith(" accepted"):
                print(f"     task {played.task_id}: {line}")
    same = sum(one.data.dump() == other.data.dump() for one, other in zip(first, second, strict=True))
    rows.add(f"end states reproducible of {len(tasks)}", same, str(len(tasks)), same == len(tasks))
    changed = mutations(tasks, shop, QUICK_MUTATIONS if quick else MUTATIONS)
    with Store.open(folder / "mutations.db") as store:
        wrong = [one for number, one in enumerate(changed) if accepted(shop, store, one, f"mutation-{number}")]
    kinds = Counter(one.kind for one in changed)
    rows.add(f"mutations accepted of {len(changed)}, {len(kinds)} kinds", len(wrong), "0", not wrong)
    least = 60 if quick else 500
    rows.add("mutations tried", len(changed), f">= {least}", len(changed) >= least)
    for one in wrong:
        print(f"     task {one.task_id}: {one.kind}: {one.tool} {dict(one.arguments)}")
    with Store.open(folder / "talks.db") as store:
        talk_rows(shop, store, first, rows)


def talk_rows(shop: Shop, store: Store, oracle: Sequence[Played], rows: Rows) -> None:
    """The rows of the scripted customers, one for each task that the oracle played."""
    turns = read_turns()
    talks = [asyncio.run(talk(shop, store, turns[one.task_id], one)) for one in oracle]
    rows.add(f"HeadPlanner: right end states of {len(talks)}", sum(one.right for one in talks), "reported", None)
    wrong = [(one.task_id, write) for one in talks for write in one.wrong]
    rows.add("HeadPlanner: wrong writes", len(wrong), "0", not wrong)
    done, expected = sum(one.done for one in talks), sum(one.expected for one in talks)
    rows.add("HeadPlanner: share of expected writes done", done / max(expected, 1), "reported", None)
    for task_id, write in wrong:
        print(f"     task {task_id}: {write}")
    print(f"     not right: {' '.join(one.task_id for one in talks if not one.right) or 'none'}")


if __name__ == "__main__":
    typer.run(main)

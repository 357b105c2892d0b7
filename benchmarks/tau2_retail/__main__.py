"""The tau2 retail shop: every write of its tasks as its policy allows, and no mutation of one.

python -m benchmarks.tau2_retail [--quick] [--json OUT] [--tasks FILE --dump-state DIR]

The rows are of the 74 tasks of the train split. With --tasks the tasks of FILE are played instead, and what became of
each write is printed; --dump-state writes the records as they stand after each task as DIR/<task id>.json.

writes accepted   writes that a task lists and that were done, of all that its shopper's own records and policy.md allow
mutations         writes with one thing changed that the rules or the shopper's consent forbid: none may change a record
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report import Rows, data_dir
from benchmarks.tau2_retail.mutations import accepted, mutations
from benchmarks.tau2_retail.oracle import Played, Task, dump_state, play, read_tasks
from shopbot.errors import UsageError
from shopbot.shop import Shop
from shopbot.store import Store

HERE = Path(__file__).parent
MUTATIONS, QUICK_MUTATIONS = 800, 80
QUICK_TASKS = 12
FORBIDDEN = {("105", "exchange_delivered_order_items"): "its gift card holds $17.00, the difference is $21.10"}
"""Writes that tasks of the train split list and that policy.md forbids all the same."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="12 tasks and 80 mutations.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
    tasks_path: Annotated[Path | None, typer.Option("--tasks", help="Play the tasks of this file instead.")] = None,
    dump: Annotated[Path | None, typer.Option("--dump-state", help="Write the state after each task here.")] = None,
) -> None:
    """Play the tasks."""
    data = data_dir()
    rows = Rows("tau2_retail")
    if data is None or not (data / "tau2_retail").is_dir():
        for what in ("writes accepted", "end states reproducible", "mutations accepted"):
            rows.add(what, None, "measured", None)
        raise SystemExit(rows.finish(json_path))
    try:
        tasks = read_tasks(tasks_path or data / "tau2_retail" / "tasks_train.json")
    except UsageError as error:
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory() as folder, Shop.open(HERE, home=folder) as shop:
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


if __name__ == "__main__":
    typer.run(main)

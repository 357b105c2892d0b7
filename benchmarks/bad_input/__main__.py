"""Bad input: a clear error with file and line or the next step, the right exit status, nothing half-written served.

python -m benchmarks.bad_input [--quick] [--only TEXT] [--json OUT]

Each case has a small shop of its own, whose index served before, and runs the `shopbot` command, the demo or the SDK in
a process of its own. A row holds when the exit status is right (0 done, 1 a failure, 2 input to be mended), the message
names file and line or what to do next and is no stack trace, and afterwards the shop answers from a whole index.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.bad_input.batch_files import batch_cases
from benchmarks.bad_input.case import SHOP, Case, NotHere, Scene, faults, set_up
from benchmarks.bad_input.machine import machine_scenes
from benchmarks.bad_input.person import Person, copied, warm_up
from benchmarks.bad_input.shop_files import shop_cases
from benchmarks.report import Rows


def play(case: Case | Scene, name: str, template: Path, rows: Rows) -> None:
    """Play one case in a copy of the template; its row says what did not hold."""
    with copied(template, template.with_name("case")) as person:
        try:
            wrong = list(case.play(person))
        except NotHere as reason:
            rows.add(name, f"not measured: {reason}", "clear, and still serves", None)
            return
        except Exception as error:  # noqa: BLE001 - a case that breaks is a row that does not hold
            wrong = [f"the case broke: {error!r}"]
    rows.add(name, "; ".join(wrong) or "clear, and still serves", "clear, and still serves", not wrong)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A few cases of each kind.")] = False,
    only: Annotated[str, typer.Option(help="Only cases whose name holds this.")] = "",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Play the cases."""
    # Before torch is loaded: one thread that waits asleep. And a hub that cannot be reached: nothing listens there.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_ENDPOINT": "http://127.0.0.1:9"}
    rows = Rows("bad_input")
    chosen = [
        (f"{group}: {case.what}", case)
        for group, cases in (shop_cases() | batch_cases() | machine_scenes()).items()
        for case in cases
        if (case.quick or not quick) and only in f"{group}: {case.what}"
    ]
    warm_up()
    with tempfile.TemporaryDirectory(prefix="bad-input-") as folder:
        person = Person(Path(folder) / "case")
        set_up(person)
        first = list(faults(person.types("ingest", *SHOP), 0))
        rows.add("the shop as it should be", "; ".join(first) or "ingested", "ingested", not first)
        if first:
            raise SystemExit(rows.finish(json_path))
        template = shutil.move(person.folder, person.folder.with_name("template"))
        for name, case in chosen:
            play(case, name, Path(template), rows)
    gc.unfreeze()  # what `warm_up` froze; else torch's bindings complain at the end
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

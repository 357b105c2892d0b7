"""Runs the benchmarks, each in a process of its own: `python -m benchmarks [--quick] [NAME …]`.

A benchmark is a module here, or a folder with a `__main__.py`, that has a `main` and understands `--quick` and
`--json OUT`. Results go to `benchmarks/results/NAME.json`, those of quick forms to `benchmarks/results/quick/`. The
exit status is 1 where a row does not hold or a benchmark fails. Rows that were not measured are counted, and never as
held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Outcome:
    """How one benchmark ended: its rows by how they came out, its exit status and how long it took, in seconds."""

    name: str
    held: int
    failed: int
    unmeasured: int
    status: int
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.status == 0 and self.failed == 0


def names() -> list[str]:
    """Every benchmark of this folder, by module name, sorted."""
    files = {path.stem: path for path in HERE.glob("*.py") if not path.stem.startswith("_")}
    folders = {path.parent.name: path for path in HERE.glob("*/__main__.py")}
    return sorted(name for name, path in (files | folders).items() if "def main(" in path.read_text("utf-8"))


def run(name: str, quick: bool) -> Outcome:
    """Run one benchmark; what it prints goes straight to the terminal."""
    result = HERE / "results" / ("quick" if quick else "") / f"{name}.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    result.unlink(missing_ok=True)  # a benchmark that dies must not leave the last run's figures standing
    call = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else []), "--json", str(result)]
    begin = time.perf_counter()
    status = subprocess.run(call, cwd=HERE.parent, check=False).returncode
    seconds = time.perf_counter() - begin
    rows = json.loads(result.read_text("utf-8"))["rows"] if result.exists() else []
    holds = [row["holds"] for row in rows]
    return Outcome(name, holds.count(True), holds.count(False), holds.count(None), status or int(not rows), seconds)


def summary(outcomes: list[Outcome]) -> str:
    """A line a benchmark and a line for all."""
    lines = [
        f"  {'ok  ' if one.is_good else 'FAIL'} {one.name:24} {one.held} held, {one.failed} did not, "
        f"{one.unmeasured} not measured, {one.seconds:.0f} s"
        for one in outcomes
    ]
    good = sum(one.is_good for one in outcomes)
    unmeasured = sum(one.unmeasured for one in outcomes)
    return "\n".join([*lines, f"{good} of {len(outcomes)} benchmarks hold; {unmeasured} rows were not measured"])


def main() -> int:
    """Parse the command line, run what it names, sum up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks, one after another.")
    parser.add_argument("--quick", action="store_true", help="the quick forms, with looser targets of their own")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(names())}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names())
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    outcomes = []
    for name in arguments.names or names():
        print(f"\n── {name}", flush=True)
        outcomes.append(run(name, arguments.quick))
    print(f"\n{summary(outcomes)}", flush=True)
    return 0 if all(one.is_good for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

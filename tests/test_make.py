"""`make help` is complete; `make bench` (python -m benchmarks) counts what holds, what does not, what was left out."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import benchmarks.__main__ as bench
from benchmarks.report import REPOSITORY

# A benchmark whose rows are given by a file beside it, one JSON value of `holds` a line; "die" ends it before the end.
FAKE = """
import json, pathlib, sys
def main():
    told = pathlib.Path(__file__).with_suffix(".txt").read_text().split()
    if "die" in told:
        return 3
    rows = [{"what": "x", "value": 1, "target": "1", "holds": json.loads(word)} for word in told]
    pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps({"name": "fake", "rows": rows}))
    return 1 if "false" in told else 0
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of benchmarks with one, `fake`, and a module that is none."""
    here = tmp_path / "benchmarks"
    here.mkdir()
    (here / "__init__.py").touch()
    (here / "report.py").write_text("ROWS = 1\n", "utf-8")
    (here / "fake.py").write_text(FAKE, "utf-8")
    monkeypatch.setattr(bench, "HERE", here)
    return here


def test_the_benchmarks_are_found() -> None:
    assert "light_import" in bench.names()
    assert "report" not in bench.names()


def test_only_what_has_a_main_is_a_benchmark(folder: Path) -> None:
    (folder / "whole").mkdir()
    (folder / "whole" / "__main__.py").write_text("def main(): ...\n", "utf-8")
    assert bench.names() == ["fake", "whole"]


@pytest.mark.parametrize(
    ("told", "counts", "good"),
    [
        ("true true null", (2, 0, 1), True),
        ("true false", (1, 1, 0), False),
        ("null", (0, 0, 1), True),
        ("", (0, 0, 0), False),
        ("die", (0, 0, 0), False),
    ],
)
def test_rows_are_counted(folder: Path, told: str, counts: tuple[int, int, int], good: bool) -> None:
    (folder / "fake.txt").write_text(told, "utf-8")
    outcome = bench.run("fake", quick=True)
    assert ((outcome.held, outcome.failed, outcome.unmeasured), outcome.is_good) == (counts, good)
    assert f"{int(good)} of 1 benchmarks hold" in bench.summary([outcome])


def test_a_benchmark_that_dies_leaves_no_old_figures(folder: Path) -> None:
    (folder / "fake.txt").write_text("true", "utf-8")
    assert bench.run("fake", quick=False).held == 1
    assert json.loads((folder / "results" / "fake.json").read_text("utf-8"))["rows"]
    (folder / "fake.txt").write_text("die", "utf-8")
    assert bench.run("fake", quick=False).held == 0
    assert not (folder / "results" / "fake.json").exists()


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"demo", "test", "bench", "format", "help"} <= set(targets)
    assert not [target for target in targets if not re.search(rf"^  {target} ", listed, re.MULTILINE)]


@pytest.mark.parametrize("target", ["lint", "types", "unit", "bench"])
@pytest.mark.parametrize("status", [0, 1])
def test_a_stage_that_fails_ends_make(tmp_path: Path, target: str, status: int) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ruff", "pyright", "python"):
        (programs / name).write_text(f"#!/bin/sh\nexit {status}\n", "utf-8")
        (programs / name).chmod(0o755)
    call = ["make", target, f"BIN={programs}", f"STAMP={REPOSITORY / 'Makefile'}"]
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (status == 0), done.stdout + done.stderr
    assert ("FAILED" in done.stdout) == (status == 1)

"""What `import shopbot` costs: its time beside that of langchain-core's own base classes, and the modules it loads.

    python -m benchmarks.light_import [--quick] [--json OUT]

Every import is timed in a new interpreter, from before the first import to after the last, so that the start of Python
itself is not in the figure. The two take turns, after one unmeasured round that fills the disk cache; the ratio is that
of the medians, its spread the least and greatest ratio of a round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.report import REPOSITORY, Rows

OURS = "import shopbot"
ALL_NAMES = "from shopbot import *"  # the front door loads a name when it is first used: this loads them all
PEER = """
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
"""
HEAVY = ("torch", "transformers", "chromadb", "sentence_transformers", "gradio", "openai", "sqlalchemy", "vllm")

REPETITIONS, TARGET = 7, 1.6
QUICK_REPETITIONS, QUICK_TARGET = 3, 2.0


@dataclass(frozen=True)
class Loaded:
    """One import in a new interpreter: wall time in seconds, and the top-level modules there afterwards."""

    seconds: float
    modules: frozenset[str]


def load(statement: str) -> Loaded:
    """Run import statements in a new interpreter and time them there."""
    code = (
        "import json, sys, time\nbegin = time.perf_counter()\n"
        + statement
        + "\nseconds = time.perf_counter() - begin\n"
        + "print(json.dumps([seconds, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    call = [sys.executable, "-c", code]
    out = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    seconds, modules = json.loads(out)
    return Loaded(seconds, frozenset(modules))


def interleaved(repetitions: int) -> list[tuple[Loaded, Loaded]]:
    """Rounds of (ours, peer), measured in turn."""
    load(OURS), load(PEER)
    return [(load(OURS), load(PEER)) for _ in range(repetitions)]


def ratio(rounds: list[tuple[Loaded, Loaded]]) -> float:
    """Median time of ours over median time of the peer."""
    return median(ours.seconds for ours, _ in rounds) / median(peer.seconds for _, peer in rounds)


def spread(rounds: list[tuple[Loaded, Loaded]]) -> str:
    """The least and greatest ratio of a round."""
    ratios = [ours.seconds / peer.seconds for ours, peer in rounds]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.light_import", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPETITIONS} rounds instead of {REPETITIONS}")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    arguments = parser.parse_args()
    target = QUICK_TARGET if arguments.quick else TARGET
    rounds = interleaved(QUICK_REPETITIONS if arguments.quick else REPETITIONS)
    measured = ratio(rounds)
    heavy = sorted(rounds[0][0].modules & set(HEAVY))
    rows = Rows("light_import")
    rows.add("import shopbot ÷ langchain-core's base classes, time", measured, f"≤ {target}", measured <= target)
    rows.add("the same, least and greatest of a round", spread(rounds), "for orientation", None)
    everything = load(ALL_NAMES).seconds / median(peer.seconds for _, peer in rounds)
    rows.add("with every name of the front door loaded", everything, "for orientation", None)
    rows.add("heavy modules loaded by import shopbot", ", ".join(heavy) or "none", "none", not heavy)
    return rows.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())

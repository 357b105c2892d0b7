"""An index while it changes: under load, through crashes, from one day to the next, and in memory.

    python -m benchmarks.index_updates [--quick] [--json OUT] [--part load,crashes,validity,memory] [--home DIR]

load      4 processes, each a bot that follows the version that serves, ask 10,000 questions while a fifth publishes 20 versions of
          2,000 passages. Every policy's text names the version that it was written for. No error, no answer of two versions, and
          nothing that was removed before the question began.
crashes   50 ingests are killed with SIGKILL: at moments spread over the measured time of one, and before its n-th fsync, rename or removal.
          A process that opens the index then finds the old version whole or, where the pointer has moved, the new one; the
          next ingest ends right and leaves nothing behind. A kill of the process, not of the machine.
validity  policies of the sample shop get successors: on each of 61 days around the change the retriever and the whole bot
          answer from the one that holds, and never from the other.
memory    200,000 passages, 20 ingests of 1 % changes in one process whose bot follows: resident memory after each.

Vectors are real (all-MiniLM-L6-v2) for the texts; passages of the same text differ by noise (seeded). Processes are forked from
one that has loaded the model and opened no index. With --home the first fill of "memory" is kept in DIR. The quick form: 400
questions, 3 switches, 5 kills, 4 days, 2,000 passages.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from benchmarks.index_updates.corpus import Prepared
from benchmarks.index_updates.crashes import crashes
from benchmarks.index_updates.load import load
from benchmarks.index_updates.memory import memory
from benchmarks.index_updates.validity import validity
from benchmarks.report import Rows

PARTS = ("load", "crashes", "validity", "memory")


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.index_updates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="little of each, looser targets")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    parser.add_argument("--part", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}, parted by commas")
    parser.add_argument("--home", type=Path, metavar="DIR", help="keep the filled index of the memory part there")
    arguments = parser.parse_args()
    rows = Rows("index_updates")
    embedder = ready()
    parts = arguments.part.split(",")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        for name in PARTS:
            (place / name).mkdir()
        if "load" in parts:
            load(rows, embedder, place / "load", arguments.quick)
        if "crashes" in parts:
            crashes(rows, embedder, place / "crashes", arguments.quick)
        if "validity" in parts:
            validity(rows, embedder, place / "validity", arguments.quick)
        if "memory" in parts:
            memory(rows, embedder, place / "memory", arguments.home, arguments.quick)
    return rows.finish(arguments.json)


def ready() -> Prepared:
    """The model, computing in one thread: a fork would lose others. What the processes need is imported once."""
    import torch
    from tqdm import tqdm

    importlib.import_module("chromadb.api.rust")
    tqdm.monitor_interval = 0  # no thread to watch bars that nobody sees
    torch.set_num_threads(1)
    return Prepared()


if __name__ == "__main__":
    sys.exit(main())

"""Both legs fused, against the better leg and against LangChain's EnsembleRetriever over the same legs, on four public sets.

    python -m benchmarks.retrieval [--quick] [--json OUT] [--sets tau3,buy] [--home DIR]

Sets: tau3's bank (49 tasks, 698 documents, each with the documents that it requires), and three pairs of catalogues with
gold matches: titles of one are asked for among those of the other. Documents are ranked, all of those that a leg hands on
(its best 100 passages); ties count against us. The share of the dense leg is learned on one half of the questions and
scored on the other, in five random halvings both ways; the default share is shown beside it. A row holds where the fused
figure is at least that of the better leg and of RRF. all-MiniLM-L6-v2, float32. The quick form asks 100 names of Abt's
among 200 of Buy's. With --home the indexes stay in DIR, and a second run encodes nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Rows, data_dir
from benchmarks.retrieval.quality import SHOWN, Compared, asked_of, compared, peer_name
from benchmarks.retrieval.sets import SETS, abt_buy
from knowledge.embed import SentenceEmbedder

QUICK_QUESTIONS, QUICK_PASSAGES = 100, 200
QUICK_LEEWAY = 0.02
"""What the fused figure may fall short by on so few questions."""


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of one set")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    parser.add_argument("--sets", default=",".join(SETS), help=f"some of {', '.join(SETS)}, parted by commas")
    parser.add_argument("--home", type=Path, metavar="DIR", help="keep the indexes there")
    arguments = parser.parse_args()
    rows = Rows("retrieval")
    data = data_dir()
    names = ["buy"] if arguments.quick else [name for name in SETS if name in arguments.sets.split(",")]
    if data is None:
        for name in names:
            rows.add(f"{name}: fused against the better leg and RRF", None, "at least as good", None)
        return rows.finish(arguments.json)
    embedder = SentenceEmbedder()
    with tempfile.TemporaryDirectory() as place:
        home = arguments.home or Path(place)
        for name in names:
            one = abt_buy(data).part(QUICK_QUESTIONS, QUICK_PASSAGES) if arguments.quick else SETS[name](data)
            asked = asked_of(one, home / (f"{name}_quick" if arguments.quick else name), embedder)
            title = f"{one.name} ({len(asked)} questions)"
            add_rows(rows, title, compared(asked), QUICK_LEEWAY if arguments.quick else 0.0)
    return rows.finish(arguments.json)


def add_rows(rows: Rows, title: str, found: Compared, leeway: float) -> None:
    """The rows of one set."""
    for metric in SHOWN:
        for name in ("dense", "lexical", "RRF", "default"):
            what = {"RRF": peer_name(), "default": "fused at the default share"}.get(name, f"{name} leg")
            rows.add(f"{title}, {metric}: {what}", found.mean(name, metric), "for orientation", None)
        rival = found.better(metric, ("dense", "lexical", "RRF"))
        best, fused = found.mean(rival, metric), found.mean("fused", metric)
        target = f"≥ {best - leeway:.4f} ({rival}{f' less {leeway}' if leeway else ''})"
        rows.add(f"{title}, {metric}: fused, share learned on other questions", fused, target, fused >= best - leeway)
        for against in (found.better(metric, ("dense", "lexical")), "RRF"):
            apart, low, high = found.ahead(metric, against)
            what = f"{title}, {metric}: fused less {against}, 95 % interval"
            rows.add(what, f"{apart:+.4f} ({low:+.4f} to {high:+.4f})", "for orientation", None)
    rows.add(f"{title}: dense shares learned", " ".join(f"{one:.2f}" for one in found.shares), "for orientation", None)


if __name__ == "__main__":
    sys.exit(main())

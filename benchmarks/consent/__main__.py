"""Consent: a shopper's word on a proposed action, in English and Chinese.

python -m benchmarks.consent [--quick] [--show] [--json OUT]

Two halves, written by people who had not seen the code; the test half was not looked at by those who wrote the code.
Each line: {"text", "language", "about": the action, "label": "yes" | "no" | "other"}.

false yes    messages that are no yes and are taken for one: must be 0
missed yes   the share of yes that is not understood; it costs the shopper a second question
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import Rows
from shopbot.consent import consent_to

HERE = Path(__file__).parent
TEST_HASH = "b4d2701d4c611b7ff8f3edb447d14340299695320db1183c829bd2fbe0b1fd0f"
MISSED, QUICK_MISSED = 0.05, 0.4


def read_half(half: str) -> list[dict[str, Any]]:
    """The messages of a half, in order."""
    return [json.loads(line) for line in (HERE / f"{half}.jsonl").read_text("utf-8").splitlines()]


def understood(row: dict[str, Any]) -> str:
    """What is understood of a message. It may repeat the ids that the proposal named."""
    return consent_to(row["text"], row["about"].replace(" ", "_"), proposal=row["text"])


def main(
    quick: Annotated[bool, typer.Option("--quick", help="The same, with a looser target for what is missed.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print what is taken wrongly, of the development half.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Read every message and count."""
    if hashlib.sha256((HERE / "test.jsonl").read_bytes()).hexdigest() != TEST_HASH:
        raise SystemExit("test.jsonl was edited: its hash is not the one that was committed with it.")
    rows, most = Rows("consent"), QUICK_MISSED if quick else MISSED
    for half in ("dev", "test"):
        messages = read_half(half)
        false = [row for row in messages if row["label"] != "yes" and understood(row) == "yes"]
        agreeing = [row for row in messages if row["label"] == "yes"]
        missed = [row for row in agreeing if understood(row) != "yes"]
        share = len(missed) / len(agreeing)
        rows.add(f"{half}: false yes of {len(messages) - len(agreeing)}", len(false), "0", not false)
        rows.add(f"{half}: missed yes of {len(agreeing)}", share, f"<= {most}", share <= most)
        for row in [*false, *missed] if show and half == "dev" else ():
            print(f"     {row['label']} {row['about']}: {row['text']}")
    raise SystemExit(rows.finish(json_path))


if __name__ == "__main__":
    typer.run(main)

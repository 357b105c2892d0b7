"""What a reader found: answers that somebody read against their sources, one by one.

`python -m benchmarks.answers --show FILE.jsonl` writes the answers to be read, each with its digest. The reader's verdicts
stand here in `readings.jsonl`, without the answers, which quote data that are not ours to copy:

    {"half", "id", "digest", "verdict": "supported" | "invented", "note"}

A reading is of one wording: where the bot answers otherwise by now, it does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers.score import Score

READINGS = Path(__file__).parent / "readings.jsonl"


@dataclass(frozen=True)
class Reading:
    """Of the answers as they are now: how many were read, and the ids of those that the reader found invented."""

    read: int
    invented: tuple[str, ...]


def reading_of(half: str, scores: Sequence[Score], path: Path = READINGS) -> Reading:
    """The reading of these answers, by half, id and digest."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    verdicts = {(line["half"], line["id"], line["digest"]): line["verdict"] for line in lines}
    found = {one.question.id: verdicts.get((half, one.question.id, _digest(one.text))) for one in scores}
    invented = tuple(name for name, verdict in found.items() if verdict not in (None, "supported"))
    return Reading(sum(verdict is not None for verdict in found.values()), invented)


def write_answers(half: str, scores: Sequence[Score], path: Path) -> None:
    """Add the answers of a half to a file, for a reader."""
    with path.open("a", encoding="utf-8") as file:
        for one in scores:
            asked = one.question
            cites = [{"source": cite.source, "text": cite.text} for cite in one.citations]
            line = {"half": half, "id": asked.id, "digest": _digest(one.text), "question": asked.question}
            file.write(json.dumps({**line, "answer": one.text, "citations": cites}, ensure_ascii=False) + "\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

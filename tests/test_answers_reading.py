"""The recorded reading of the answers benchmark counts for the very answers that were read."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.answers.reading import reading_of, write_answers
from benchmarks.answers.score import Question, Score
from shopbot.types import Citation

ASKED = Question("q1", "en", None, "How long?", "policy", True, False, ("returns.md",), (("30",),))
SCORE = Score(ASKED, "You have 30 days.", True, True, False, (), (), (Citation("returns.md", "30 days."),))


def _judged(path: Path, verdict: str) -> Path:
    """The written answers with a reader's verdict on each."""
    write_answers("half", [SCORE], path)
    lines = [json.loads(line) | {"verdict": verdict} for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_an_answer_that_was_read_counts(tmp_path: Path) -> None:
    path = _judged(tmp_path / "readings.jsonl", "supported")
    assert (reading_of("half", [SCORE], path).read, reading_of("half", [SCORE], path).invented) == (1, ())


def test_what_a_reader_found_invented_is_named(tmp_path: Path) -> None:
    assert reading_of("half", [SCORE], _judged(tmp_path / "readings.jsonl", "invented")).invented == ("q1",)


def test_an_answer_that_is_worded_otherwise_by_now_was_not_read(tmp_path: Path) -> None:
    path = _judged(tmp_path / "readings.jsonl", "supported")
    other = Score(ASKED, "You have 60 days.", True, False, False, (), ())
    assert reading_of("half", [other], path).read == 0
    assert reading_of("other half", [SCORE], path).read == 0

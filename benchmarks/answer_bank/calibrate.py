"""Which strength an approved answer needs, for a stated share of false answers.

A question is labelled with the entries that answer it; a false answer is a sure one from another entry. The labelled
questions are the development half here and, since a hundred bound no rate near 2 %, the four development files of
benchmarks/answers for the sample shop: there an entry is right where the question is about a rule and all facts that its
answer must hold are in the entry's. That counts an answer false which is right in part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import Any

from benchmarks.answers.score import Question, read_questions
from shopbot.answer_bank import Approved
from shopbot.mind import Mind
from shopbot.shop import Shop
from shopbot.types import Language

HERE = Path(__file__).parent
QUESTIONS = HERE / "questions.jsonl"
HASH = "05dca14fd1e52641c6068b2a5ccca7454b4b7ec73f0489ce25aa7a7ca383c088"
RATE = 0.02
"""False answers, as a share of all questions asked."""
_Z = 1.96


@dataclass(frozen=True)
class Asked:
    """A question and what answers it: the questions of entries, or facts that an answer must hold; neither: no entry does."""

    question: str
    right: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()

    def is_answered_by(self, entry: Approved) -> bool:
        """Whether this entry's answer is a right one."""
        answer = _folded(entry.answer)
        has_facts = all(any(_folded(one) in answer for one in group) for group in self.facts)
        return entry.wordings[0] in self.right or (bool(self.facts) and has_facts)


@dataclass(frozen=True)
class Found:
    """The entry that the bank finds strongest for a question."""

    asked: Asked
    language: Language
    strength: float
    is_right: bool
    is_sure: bool

    @property
    def is_false(self) -> bool:
        """Whether a wrong answer would be given."""
        return self.is_sure and not self.is_right


def bank_questions(half: str) -> list[Asked]:
    """The questions of a half, "dev" or "test". Exits where the file is not the one that was committed."""
    if hashlib.sha256(QUESTIONS.read_bytes()).hexdigest() != HASH:
        raise SystemExit(f"{QUESTIONS} was edited: its hash is not the one that was committed with it.")
    rows: list[dict[str, Any]] = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    return [Asked(row["question"], _listed(row["right"])) for row in rows if row["half"] == half]


def development_questions() -> list[Asked]:
    """All labelled questions that thresholds may be set on."""
    folder = HERE.parent / "answers"
    others = [
        one for half in ("dev", "dev2", "dev3", "dev4") for one in read_questions(folder / f"sample_shop_{half}.jsonl")
    ]
    return [*bank_questions("dev"), *(Asked(one.question, facts=_facts(one)) for one in others)]


def found(shop: Shop, asked: Sequence[Asked]) -> list[Found]:
    """What the bank finds; of a message with several questions the strongest."""
    mind = shop.bot().mind.current()
    assert isinstance(mind, Mind)
    return [one for each in asked if (one := _strongest(mind, each)) is not None]


def calibrated(candidates: Sequence[Found], asked: int, rate: float = RATE) -> float:
    """The lowest strength from which false answers are at most `rate` of all `asked`, by the upper 95 % bound; inf if none.

    It is that of a right answer: to go lower than the weakest of them adds false ones only. Where so few were asked that
    even without a false answer the bound lies above the rate, none is allowed.
    """
    falls = sorted((one.strength for one in candidates if not one.is_right), reverse=True)
    allowed = 0
    while allowed < len(falls) and wilson(allowed + 1, asked)[1] <= rate:
        allowed += 1
    barred = falls[allowed] if allowed < len(falls) else -inf
    return min((one.strength for one in candidates if one.is_right and one.strength > barred), default=inf)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, square = count / of, _Z * _Z
    middle = share + square / (2 * of)
    spread = _Z * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (middle - spread) / (1 + square / of)), (middle + spread) / (1 + square / of)


def _strongest(mind: Mind, asked: Asked) -> Found | None:
    best: Found | None = None
    for question in mind.understand(asked.question):
        vector = question.vector if mind.encoder.reads(question.language) else None
        match = mind.bank.match(question.text, question.language, vector)
        if match is not None and (best is None or match.strength > best.strength):
            known = mind.bank.find(question.text, question.language, vector, mind.today())
            right = asked.is_answered_by(match.approved)
            best = Found(asked, question.language, match.strength, right, known is not None and known.is_sure)
    return best


def _facts(question: Question) -> tuple[tuple[str, ...], ...]:
    return question.facts if question.answerable and question.kind == "policy" else ()


def _listed(right: str | list[str] | None) -> tuple[str, ...]:
    return (right,) if isinstance(right, str) else tuple(right or ())


def _folded(text: str) -> str:
    return "".join(text.casefold().split())

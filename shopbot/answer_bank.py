"""The answer bank: questions whose answers somebody approved, and the passages that support them.

A question that is much like an approved one gets its answer, word for word and without a model; one that is somewhat
like it is at least looked up in the same passages. Likeness is that of `understand.Nearest`: meaning and n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shopbot.types import Language
from shopbot.understand import Array, Nearest

SURE = 0.6
ALIKE = 0.45
"""Likeness from which an approved answer is given, and from which its passages are read first."""
LEAD = 0.1
"""How much further away the nearest question with another answer must be. Set on the development questions."""
BY_WORDS = 0.15
"""Added to all three where words are all there is to go by: n-grams mislead more often than meaning."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An approved answer. `sources` are "document#heading"; `wordings` the question and other ways to ask it."""

    wordings: tuple[str, ...]
    answer: str
    language: Language
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The approved answer nearest to a question; `is_sure` if it may be given as it is."""

    approved: Approved
    likeness: float
    is_sure: bool


class AnswerBank:
    """Approved answers, found by the questions they answer; `vectors` (wordings, d) in the order of `wordings`."""

    def __init__(self, entries: Sequence[Approved], vectors: Array) -> None:
        self._entries = tuple(entries)
        self._of = np.array([number for number, entry in enumerate(entries) for _ in entry.wordings])
        self._languages = np.array([entries[number].language for number in self._of.tolist()])
        self._nearest = Nearest(wordings(entries), vectors) if entries else None

    def find(self, text: str, language: Language, vector: Array | None) -> Known | None:
        """The entry of the question's language that is nearest, if it is near enough to help.

        `vector` (d,), or None where the embedder cannot read the language.
        """
        if self._nearest is None or not (self._languages == language).any():
            return None
        likeness = self._nearest.likeness([text], None if vector is None else vector[None])[0]
        likeness = np.where(self._languages == language, likeness, -1.0)
        best = int(likeness.argmax())
        others = likeness[self._of != self._of[best]]
        lead = float(likeness[best] - (others.max() if others.size else 0.0))
        margin = BY_WORDS if vector is None else 0.0
        if likeness[best] < ALIKE + margin:
            return None
        sure = bool(likeness[best] >= SURE + margin and lead >= LEAD + margin)
        return Known(self._entries[int(self._of[best])], float(likeness[best]), sure)


def wordings(entries: Sequence[Approved]) -> list[str]:
    """All ways to ask, in the order of the entries."""
    return [text for entry in entries for text in entry.wordings]

"""The answer bank: questions whose answers somebody approved, and the passages that support them.

A question that is much like an approved one gets its answer, word for word and without a model; one that is somewhat
like it is at least looked up in the same passages. Likeness is that of `understand.Nearest`: meaning and n-grams.
An answer lapses where one of its passages is gone, says something else, or is not valid on the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from shopbot.grounding import facts_missing
from shopbot.rows import Row
from shopbot.types import Language, Passage
from shopbot.understand import Array, Nearest, detect_language

SURE = 0.6
ALIKE = 0.45
"""Likeness from which an approved answer is given, and from which its passages are read first."""
LEAD = 0.1
"""How much further away the nearest question with another answer must be. Set on the development questions."""
BY_WORDS = 0.15
"""Added to all three where words are all there is to go by: n-grams mislead more often than meaning."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An approved answer, the passages that support it, and the ways to ask for it."""

    wordings: tuple[str, ...]
    answer: str
    language: Language
    passages: tuple[Passage, ...]

    def holds_on(self, day: date) -> bool:
        """Whether all of its passages are valid on a day."""
        return all((one.valid_from or day) <= day <= (one.valid_until or day) for one in self.passages)


@dataclass(frozen=True, slots=True)
class Known:
    """The approved answer nearest to a question; `is_sure` if it may be given as it is."""

    approved: Approved
    is_sure: bool


class AnswerBank:
    """Approved answers, found by the questions they answer; `vectors` (wordings, d) in the order of `wordings`."""

    def __init__(self, entries: Sequence[Approved], vectors: Array) -> None:
        self._entries = tuple(entries)
        self._of = np.array([number for number, entry in enumerate(entries) for _ in entry.wordings])
        self._languages = np.array([entries[number].language for number in self._of.tolist()])
        self._nearest = Nearest(wordings(entries), vectors) if entries else None

    def find(self, text: str, language: Language, vector: Array | None, day: date) -> Known | None:
        """The entry of the question's language that is nearest and holds on the day, if it is near enough to help.

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
        if likeness[best] < ALIKE + margin or lead < LEAD + margin:
            return None
        sure = bool(likeness[best] >= SURE + margin)
        entry = self._entries[int(self._of[best])]
        return Known(entry, sure) if entry.holds_on(day) else None


def wordings(entries: Sequence[Approved]) -> list[str]:
    """All ways to ask, in the order of the entries."""
    return [text for entry in entries for text in entry.wordings]


def read_entries(
    rows: Iterable[Row], documents: Mapping[str, Sequence[Passage]], problems: list[str]
) -> list[Approved]:
    """The entries of an answers file: {"question", "answer", "language", "sources": ["document#heading"], "variants"}.

    `documents` maps a document to its passages. An entry whose sources are not there, or do not say what its answer
    says, has lapsed: it is left out and told of in `problems`.
    """
    entries: list[Approved] = []
    for row in rows:
        try:
            entries.append(_entry(row.data, documents))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{row.where}: {error}; the approved answer is left out")
    return entries


def _entry(data: Mapping[str, Any], documents: Mapping[str, Sequence[Passage]]) -> Approved:
    missing = [name for name in ("question", "answer", "sources") if not data.get(name)]
    if missing:
        raise ValueError(f"no {' and no '.join(missing)}")
    answer = str(data["answer"])
    passages = tuple(passage for source in data["sources"] for passage in _passages(str(source), documents))
    if lacking := facts_missing(answer, [f"{passage.title}\n{passage.text}" for passage in passages]):
        raise ValueError(f"its sources do not say {', '.join(lacking)}")
    wordings = tuple(dict.fromkeys(str(one) for one in (data["question"], *data.get("variants", ()))))
    language: Language = "zh" if data.get("language", detect_language(answer)) == "zh" else "en"
    return Approved(wordings, answer, language, passages)


def _passages(source: str, documents: Mapping[str, Sequence[Passage]]) -> list[Passage]:
    document, _, heading = source.partition("#")
    found = [one for one in documents.get(document, ()) if not heading or one.title.split(" > ")[-1] == heading]
    if not found:
        raise ValueError(f"there is no passage {source!r}")
    return found

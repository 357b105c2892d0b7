"""The answer bank: questions whose answers somebody approved, and the passages that support them.

A question that is much like an approved one gets its answer, word for word and without a model; one that is somewhat
like it is at least looked up in the same passages. Likeness is that of `understand.Nearest`: meaning and n-grams.

Likeness alone does not tell a paraphrase from a near miss: of the development questions "Can I cancel only one item?"
is liker to "Can I cancel my order?" than any true paraphrase is to anything. So an answer is given only where

- its wording is nearest, and the nearest of another answer is further away by `LEAD`;
- the answer itself is like the question, too, and no other approved answer is liker;
- every number, day of the week, month and "only" of the question stands in the entry, and every word but those that
  only ask ("Can I cancel only one item?" has "item", which neither the wordings nor the answer of cancelling have);
- the mean of the two likenesses is `SURE`: the least with which false answers are at most 2 % of all questions by their
  upper 95 % bound (benchmarks/answer_bank/calibrate.py, on 504 development questions: 0 false, 1 right; more could be
  answered with a better embedder, not with a lower threshold). Another embedder wants another `SURE`.

A question that is all but the wording of an entry (`SAME`) needs no likeness of the answer.

An answer lapses where one of its passages is gone, says something else, or is not valid on the day. An entry may name
the passages that it was approved with by their ids, which are hashes of what they say: then any change of them counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from shopbot.grounding import Gate, covers, facts_missing, unsupported
from shopbot.lookup.tokens import number_of
from shopbot.rows import Row
from shopbot.types import Language, Passage
from shopbot.understand import Array, Nearest, detect_language

SURE = 0.45
"""Strength from which an approved answer is given."""
SAME = 0.9
"""Likeness from which a question is a wording of the entry: what its answer is like no longer counts. Where words are all
there is to go by nothing less will do: on the development questions in Chinese every lower threshold gave false answers."""
ALIKE = 0.45
"""Likeness from which the passages of an approved answer are read first."""
LEAD = 0.1
"""How much further away the nearest question with another answer must be, for both."""
BY_WORDS = 0.15
"""Added to likeness and leads where words are all there is to go by: n-grams mislead more often than meaning."""


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


@dataclass(frozen=True, slots=True)
class Match:
    """The entry nearest to a question, whether or not it is near enough.

    `likeness` of its nearest wording, in [-1, 1]; `lead` over the next entry; `strength` with which the answer may be
    given, in [0, 1], 0 where a check rules it out. `by_words`: no meaning was to be had.
    """

    approved: Approved
    likeness: float
    lead: float
    strength: float
    by_words: bool

    @property
    def is_sure(self) -> bool:
        """Whether the answer may be given as it is."""
        return self.strength >= (SAME if self.by_words else SURE)

    @property
    def is_alike(self) -> bool:
        """Whether its passages should be read first."""
        margin = BY_WORDS if self.by_words else 0.0
        return self.likeness >= ALIKE + margin and self.lead >= LEAD + margin


class AnswerBank:
    """Approved answers, found by the questions they answer; `vectors` (texts, d) in the order of `wordings`."""

    def __init__(self, entries: Sequence[Approved], vectors: Array) -> None:
        self.entries = tuple(entries)
        self._of = np.array([number for number, entry in enumerate(entries) for _ in entry.wordings])
        self._languages = np.array([entry.language for entry in entries])
        if entries:
            is_answer = np.array([last for entry in entries for last in (*(False for _ in entry.wordings), True)])
            asked = [text for entry in entries for text in entry.wordings]
            self._nearest = Nearest(asked, vectors[~is_answer])
            self._answers = vectors[is_answer]

    def find(self, text: str, language: Language, vector: Array | None, day: date) -> Known | None:
        """The entry of the question's language that is nearest and holds on the day, if it is near enough to help.

        `vector` (d,), or None where the embedder cannot read the language.
        """
        match = self.match(text, language, vector)
        if match is None or not (match.is_sure or match.is_alike) or not match.approved.holds_on(day):
            return None
        return Known(match.approved, match.is_sure)

    def match(self, text: str, language: Language, vector: Array | None) -> Match | None:
        """The nearest entry of the question's language, valid or not; None where there is none. `vector` as in `find`."""
        if not (self._languages == language).any():
            return None
        likeness = self._nearest.likeness([text], None if vector is None else vector[None])[0]
        likeness = np.where(self._languages[self._of] == language, likeness, -1.0)
        best = int(likeness.argmax())
        number = int(self._of[best])
        others = likeness[self._of != number]
        lead = float(likeness[best] - (others.max() if others.size else 0.0))
        strength = self._strength(float(likeness[best]), number, vector)
        if lead < LEAD + (BY_WORDS if vector is None else 0.0) or _is_narrower(text, self.entries[number]):
            strength = 0.0
        return Match(self.entries[number], float(likeness[best]), lead, strength, vector is None)

    def _strength(self, likeness: float, number: int, vector: Array | None) -> float:
        """The mean of what the wording and the answer are like; 0 where another answer is liker to the question."""
        if vector is None or likeness >= SAME:
            return likeness
        answers = np.where(self._languages == self._languages[number], self._answers @ vector, -1.0)
        own = float(answers[number])
        return (likeness + own) / 2 if own >= float(answers.max()) - 1e-6 else 0.0


def wordings(entries: Sequence[Approved]) -> list[str]:
    """What entries are found by, in their order: of each all ways to ask, then the answer."""
    return [text for entry in entries for text in (*entry.wordings, entry.answer)]


_SPECIFIC = re.compile(
    r"\d+|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october"
    r"|november|december)s?\b|(?:星期|周|礼拜)[一二三四五六日天末]|[一二三四五六七八九十]+月",
    re.IGNORECASE,
)
_ONLY = re.compile(r"\bonly\b|只|仅", re.IGNORECASE)
"""What narrows a question down: an answer that does not speak of it is the answer to a wider one."""


def _is_narrower(text: str, entry: Approved) -> bool:
    """Whether the question asks of less than the entry: "only one" of what its wordings, a day that its answer leaves out."""
    asked = " ".join(entry.wordings)
    if _ONLY.search(text) and not _ONLY.search(asked):
        return True  # that the answer says "only" of something else does not count
    known = f"{asked} {entry.answer}"
    return not (_specifics(text) <= _specifics(known) and _subjects(text) <= _subjects(known))


_WORD = re.compile(r"[a-z]+")
_ASKING = frozenset(
    "a about actually all am an and any anything are as at be been by can could did do does doing done for from get give go "
    "going got had has have he hello hi how i if in into is it its ive just know let like ll m may me might mine must my "
    "need now of ok on one or our out please re really s say shall she should so some something tell than thanks that the "
    "their them then there these they thing things this those to too u ur us ve very want was we were what whats when "
    "where which who why will with would you your yours d im id".split()
)
_STEM = 5
"""Letters of a word that count: the forms of one word share them."""


def _subjects(text: str) -> set[str]:
    """The words that say what a question is about, negations too. Chinese has none here: it is matched word for word."""
    plain = text.casefold().replace("’", "'").replace("n't", " not").replace("cannot", "can not")
    return {word[:_STEM] for word in _WORD.findall(plain) if word not in _ASKING}


def _specifics(text: str) -> set[str]:
    found = (match[0].casefold() for match in _SPECIFIC.finditer(text))
    return {str(number_of(one) or one.removesuffix("s")) for one in found}


def read_entries(
    rows: Iterable[Row], documents: Mapping[str, Sequence[Passage]], problems: list[str]
) -> list[Approved]:
    """The entries of an answers file: {"question", "answer", "language", "sources": ["document#heading"], "variants"}.

    `documents` maps a document to its passages. An entry whose sources are not there, or do not say what its answer
    says, has lapsed: it is left out and told of in `problems`. "passages", if given, are the ids that the passages of
    its sources had when it was approved; without them only another fact or a yes turned into a no is seen.
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
    _check_support(answer, [f"{passage.title}\n{passage.text}" for passage in passages])
    if data.get("passages") and set(data["passages"]) != {passage.id for passage in passages}:
        raise ValueError("its sources say something else than when it was approved")
    wordings = tuple(dict.fromkeys(str(one) for one in (data["question"], *data.get("variants", ()))))
    language: Language = "zh" if data.get("language", detect_language(answer)) == "zh" else "en"
    return Approved(wordings, answer, language, passages)


def _check_support(answer: str, sources: Sequence[str]) -> None:
    if lacking := facts_missing(answer, sources):
        raise ValueError(f"its sources do not say {', '.join(lacking)}")
    gate = Gate()
    for sentence in [*gate.feed(answer), *gate.finish()]:
        # A sentence in words of its own ("we are glad to help") is nobody's to check; one taken from a source is.
        if covers("\n".join(sources), sentence) and (why := unsupported(sentence, sources)):
            raise ValueError(f"{why}: {sentence!r}")


def _passages(source: str, documents: Mapping[str, Sequence[Passage]]) -> list[Passage]:
    document, _, heading = source.partition("#")
    found = [one for one in documents.get(document, ()) if not heading or one.title.split(" > ")[-1] == heading]
    if not found:
        raise ValueError(f"there is no passage {source!r}")
    return found

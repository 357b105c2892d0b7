"""The operators in a question, in English and Chinese: cheapest, in stock, how many, compare; bounds are in `bounds`.

They belong to the language and hold in every shop; their phrases stand in `words.toml`. What is found is blanked, and
the rest of the question is for the catalog's words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Literal

from shopbot.lookup.tokens import normal, words_table

Sort = Literal["cheapest", "dearest"]
BLANK = "\x00"
_FLAGS = ("stock", "price", "count", "options")
_LOOK_BACK = 30


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of a measure in its base unit ("ml", "g", "mm" …), inclusive; None is unbounded."""

    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(slots=True)
class Operators:
    """What was found, and `spans` of the original text that said it.

    `text` is the normalised text with those places blanked; `places` maps its letters to the original's.
    `stock`, `price`, `count`, `options` and `compare` say that such a thing is asked; `asked` are names under which a
    catalog may keep what is asked ("how heavy": weight), `rank` those by which the first or last is wanted
    ("lightest": weight, low).
    """

    text: str
    places: Sequence[int]
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    bounds: list[Bound] = field(default_factory=list[Bound])
    sort: Sort | None = None
    stock: bool = False
    price: bool = False
    count: bool = False
    options: bool = False
    compare: bool = False
    asked: list[str] = field(default_factory=list[str])
    rank: tuple[tuple[str, ...], Literal["low", "high"]] | None = None
    spans: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @classmethod
    def of(cls, text: str) -> Operators:
        """Of a question in which nothing was found yet."""
        return cls(*normal(text))

    def blank(self, found: re.Match[str]) -> None:
        """Take what was found out of the text."""
        start, end = found.span()
        self.spans.append((self.places[start], self.places[end - 1] + 1))
        self.text = self.text[:start] + BLANK * (end - start) + self.text[end:]


def read_operators(found: Operators) -> None:
    """Find the operators of a question, bounds left out."""
    # This one only marks: the catalog may know the words that say it ("different", "better").
    found.compare = bool(pattern("compare").search(found.text))
    for match in _table_pattern("superlatives").finditer(found.text):
        names, end = words_table()["superlatives"][match[0]].rsplit(" ", 1)
        found.rank = tuple(names.split("|")), end
        found.blank(match)
    for match in _table_pattern("asked").finditer(found.text):
        found.asked.extend(words_table()["asked"][match[0]].split("|"))
        found.blank(match)
    sorts: tuple[Sort, ...] = ("cheapest", "dearest")
    for sort in sorts:
        for match in pattern(sort).finditer(found.text):
            found.sort = sort
            found.blank(match)
    for flag in _FLAGS:
        for match in pattern(flag).finditer(found.text):
            setattr(found, flag, True)
            found.blank(match)


def is_negated(found: Operators, start: int) -> bool:
    """Whether a "not" or "without" stands just before a place of the original text."""
    place = bisect_left(found.places, start)
    return bool(_negation().search(found.text[max(0, place - _LOOK_BACK) : place]))


# ---------------------------------------------------------------- phrases of words.toml


def phrases(operator: str) -> str:
    """The regular expression of an operator's phrases; English ones begin and end at words."""
    table = words_table()["operators"][operator]
    english, chinese = ("|".join(table[language].split("\n")).strip("|") for language in ("en", "zh"))
    return rf"(?:\b(?:{english})(?!\w)|(?:{chinese}))"


@cache
def pattern(operator: str) -> re.Pattern[str]:
    """The compiled phrases of an operator."""
    return re.compile(phrases(operator))


@cache
def _negation() -> re.Pattern[str]:
    return re.compile(rf"{phrases('not')}(?: (?:a|the|in|any|made of|with))*[ -]*$")


@cache
def _table_pattern(table: Literal["asked", "superlatives"]) -> re.Pattern[str]:
    """The phrases of a table of `words.toml`. Chinese ones of "asked" are words of the vocabulary instead."""
    listed = sorted(words_table()[table], key=len, reverse=True)
    chinese = [phrase for phrase in listed if not phrase.isascii()] if table != "asked" else []
    return re.compile("|".join([*(rf"\b{phrase}\b" for phrase in listed if phrase.isascii()), *chinese]))

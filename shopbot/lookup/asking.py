"""What is asked of the things: their price, whether they can be had, which options there are, one property."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from shopbot.lookup.operators import pattern
from shopbot.lookup.reading import Reading
from shopbot.lookup.tokens import passed_over, split_measure, stem, stems

_HOW_MANY = re.compile(r"how many ([a-z]+)|(?:几|多少)个?(人|升|公斤|克|厘米|毫米|小时|瓦)")
_PARTICULAR = 2
_IS_IT = re.compile(r"\W*(?:is|are)\b(?! there)|[^哪]*吗")


def aspect(reading: Reading) -> tuple[str | None, tuple[str, ...]]:
    """What is asked of the rows (see `ProductQuery.aspect`), and the names of the options meant."""
    found = reading.operators
    if found.sort:
        return None, ()
    if (ranked := rank(reading)) is not None:
        return f"attribute {ranked[0]}", ()
    asked = _properties(reading)
    own, is_flag = _options(reading), reading.vocabulary.properties.is_flag
    options = tuple(dict.fromkeys(name for name in asked if name in own and not is_flag(name)))
    if options:
        return "options", options
    return (f"attribute {asked[0]}" if asked else _plain_aspect(reading)), ()


def _plain_aspect(reading: Reading) -> str | None:
    found = reading.operators
    if found.count and not found.options and pattern("left").search(reading.lowered):
        return "stock"
    if found.count and not (found.stock and not found.options):
        return "count"
    if found.stock and (found.count or _is_particular(reading)):
        return "stock"
    if found.price:
        return "price"
    return "options" if found.options and not found.stock else None


def _is_particular(reading: Reading) -> bool:
    """Whether certain products are asked after ("is the … in stock?"), so that a sold-out one is an answer, too."""
    few = reading.things is not None and reading.things.size <= _PARTICULAR
    return reading.named or (few and _IS_IT.match(reading.lowered) is not None)


def rank(reading: Reading) -> tuple[str, Literal["low", "high"]] | None:
    """The property by which the first or last is wanted ("lightest"), as the things have it."""
    if reading.operators.rank is None:
        return None
    names, end = reading.operators.rank
    own = next((own for name in names if (own := _own_names(reading, name))), None)
    return (own[0], end) if own else None


def _options(reading: Reading) -> Collection[str]:
    """The options that the things can be chosen by."""
    properties = reading.vocabulary.properties
    return properties.options if reading.things is None else properties.options_of(reading.few_things())


def _properties(reading: Reading) -> list[str]:
    """The options or attributes asked for, as the things have them; else under the name that was asked."""
    if counted := _counted(reading):
        return counted
    named = [own for name in reading.properties for own in _names(reading, name)]
    asked = reading.operators.asked
    if named or not asked:
        return named
    own = next((own for name in asked if (own := _own_names(reading, name))), [])
    return own or (asked[:1] if reading.things is not None else [])


def _names(reading: Reading, name: str) -> list[str]:
    """The things' own properties of that name, else the catalog's."""
    own = _own_names(reading, name)
    written = reading.vocabulary.properties.named(name)
    return own or ([written] if written else [])


def _own_names(reading: Reading, name: str) -> list[str]:
    """The properties of the things that a name means: "colour" is "frame colour" and "head colour" of some."""
    properties = reading.vocabulary.properties
    if reading.things is None:
        return [written] if (written := properties.named(name)) else []
    known, words = properties.of(reading.few_things()), set(stems(name))
    same = [one for one in known if set(stems(one)) == words]
    return same or [one for one in known if words <= set(stems(one))]


def _counted(reading: Reading) -> list[str]:
    """The property behind "how many litres": the one that the things have in that unit, else the word itself."""
    asked = _HOW_MANY.search(reading.lowered)
    if asked is None or reading.things is None:
        return []
    word = stem(asked[1] or asked[2])
    parts = split_measure(f"1{word}")
    rows = reading.vocabulary.rows.of(reading.things)
    measures = reading.vocabulary.properties.measures.get(parts[1] if parts else "", ())
    name = next((name for row, _, name in measures if rows[row]), None)
    if name is not None:
        return [name]
    foreign = not (reading.vocabulary.knows(word) or word in reading.vocabulary.phrases or word in passed_over())
    return [word] if parts is not None or foreign else []

"""How shoppers say what policies say: a thesaurus of the trade, for English and Chinese (`concepts.toml`).

"Scrap the whole thing" is asked of a page that says "cancel". The formal words of every concept that a question speaks
of go into the search beside its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from shopbot.types import Language

_MOST = 4
"""Concepts that lend their words to one question; more would drown it."""


def formal_words(text: str, language: Language) -> tuple[str, ...]:
    """The words that policies use for what a question says in other words, most of it matched first; some may be none.

    A concept whose formal words the question holds already adds nothing.
    """
    lowered = text.casefold()
    found: list[tuple[int, str]] = []
    for formal, told, said in _table(language):
        if (match := said.search(lowered)) is not None and not told.search(lowered):
            found.append((match.start() - match.end(), formal))
    return tuple(formal for _, formal in sorted(found)[:_MOST])


def shop_words(text: str, synonyms: Mapping[str, str]) -> tuple[str, ...]:
    """What the shop calls the things that a question names otherwise, by its own `[synonyms]`."""
    lowered = text.casefold()
    found = (meant for said, meant in synonyms.items() if _synonym(said).search(lowered) is not None)
    return tuple(dict.fromkeys(meant for meant in found if meant.casefold() not in lowered))


@cache
def _synonym(said: str) -> re.Pattern[str]:
    word = re.escape(said.casefold()).replace(r"\ ", r"\s+")
    return re.compile(rf"(?<!\w){word}(?:e?s)?(?!\w)" if said.isascii() else word)


@cache
def _table(language: Language) -> list[tuple[str, re.Pattern[str], re.Pattern[str]]]:
    """For each concept its first formal word, a pattern of all of them, and one of what shoppers say instead."""
    table: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(
        resources.files("shopbot").joinpath("concepts.toml").read_text(encoding="utf-8")
    )
    return [
        (words[0], _pattern(words, language), _pattern(said, language))
        for concept in table.values()
        if (words := concept.get(language)) and (said := concept.get(f"said_{language}"))
    ]


def _pattern(phrases: Sequence[str], language: Language) -> re.Pattern[str]:
    """Any of the phrases: whole words in English, anywhere in Chinese; "*" stands for a few words or characters."""
    gap = r".{1,6}?" if language == "zh" else r"\S+(?: \S+){0,3}?"
    texts = [re.escape(one.casefold()).replace(r"\ ", r"\s+").replace(r"\*", gap) for one in phrases]
    whole = "|".join(sorted(texts, key=len, reverse=True))
    return re.compile(whole if language == "zh" else rf"(?<!\w)(?:{whole})(?!\w)")

"""Which of the words of a text name an item: words of its names in every language, and of the options it was bought in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from shopbot.lookup.tokens import grams, is_han, passed_over

_LEAST_OF_A_NAME = 0.3
_OPTION = 0.5
_BEGUN = 0.5
_BEGINNING = 4

Evidence = Mapping[str, float]
"""Words of a text to how much each says for an item: 1 for a word of its name, less for one of its options."""


def naming(names: Iterable[str], options: Iterable[str], text: str, tells: Callable[[str], bool]) -> Evidence:
    """The words of a text that name an item; none if too little of each of its names is said.

    `tells(word)` says whether a word is in so few names that it names a thing alone.
    """
    found = max((_of_name(name, text, tells) for name in names), key=lambda words: sum(words.values()), default={})
    return {**said_options(options, text), **found} if found else {}


def said_options(options: Iterable[str], text: str) -> Evidence:
    """The words of the options that a text says."""
    return dict.fromkeys({word for option in options for word in grams(option)} & set(grams(text)), _OPTION)


def _of_name(name: str, text: str, tells: Callable[[str], bool]) -> dict[str, float]:
    asked, words = set(grams(text)) - passed_over(), set(grams(name)) - passed_over()
    short, said = {one for one in asked if _shortens(one, name)}, words & asked
    telling = {word for word in said if not re.fullmatch(r"[\d.]+\w?", word)}
    enough = len(said) >= _LEAST_OF_A_NAME * len(words) or any(map(tells, telling))
    if not short and not (telling and enough):
        return {}
    begun = {one for one in asked - said if any(_begins(one, word) for word in words)}
    return {**dict.fromkeys(begun, _BEGUN), **dict.fromkeys(said | short, 1.0)}


def _begins(said: str, word: str) -> bool:
    """Whether no more than the beginning of a word is said: "bell" for "bellwether"."""
    return len(said) >= _BEGINNING and not is_han(said) and word.startswith(said)


def _shortens(said: str, name: str) -> bool:
    """Whether two Chinese characters are the short form of a name: its last and one before it ("冬靴" of "冬季保暖靴")."""
    found = re.search(r"[\u3400-\u9fff]+", name)
    head = found[0] if found else ""
    return len(said) == 2 and is_han(said) and len(head) > 2 and said[1] == head[-1] and said[0] in head[:-1]

"""Misspelt, joined and parted words of a question put right by the words of the catalog."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import OSA

from shopbot.lookup.tokens import passed_over
from shopbot.lookup.vocabulary import Vocabulary

GAP = "\x00"
_SHORTEST = 4
_LONG = 7
_ENDING = 2


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the question in its normal form and its place; `GAP` where an operator was."""

    text: str
    start: int
    end: int
    capital: bool = False
    measure: bool = False


class Mender:
    """Mends words that the catalog does not hold. `known` words of the language are right as they are."""

    def __init__(self, vocabulary: Vocabulary, known: Container[str]) -> None:
        self._vocabulary = vocabulary
        self._known = known
        self._by_first: dict[str, list[str]] = {}
        properties = vocabulary.properties
        for word in dict.fromkeys((*vocabulary.names, *properties.option_rows, *properties.details)):
            if len(word) >= _SHORTEST and word.isalpha() and word.isascii():
                self._by_first.setdefault(word[0], []).append(word)

    def mended(self, words: list[Word]) -> list[Word]:
        """The words: two joined, one parted ("tuningfork"), or respelt, where that gives a word of the catalog."""
        mended: list[Word] = []
        for word in words:
            before = mended[-1] if mended else None
            if before is not None and self._belong_together(before.text, word.text):
                mended[-1] = Word(before.text + word.text, before.start, word.end)
            elif not self._is_foreign(word):
                mended.append(word)
            elif (parts := self._parted(word.text)) is not None:
                mended.extend(Word(part, word.start, word.end) for part in parts)
            else:
                mended.append(Word(self._respelt(word.text), word.start, word.end, word.capital))
        return mended

    def _belong_together(self, first: str, second: str) -> bool:
        joined = first + second
        if not (first.isalpha() and second.isalpha() and joined.isascii() and len(joined) >= _LONG - 1):
            return False
        return joined in self._vocabulary.names and f"{first} {second}" not in self._vocabulary.pairs

    def _is_foreign(self, word: Word) -> bool:
        text = word.text
        if word.measure or len(text) < _SHORTEST or not (text.isascii() and text.isalpha()):
            return False
        return not (self._vocabulary.knows(text) or text in self._vocabulary.phrases or text in passed_over())

    def _parted(self, text: str) -> tuple[str, str] | None:
        cuts = ((text[:cut], text[cut:]) for cut in range(3, len(text) - 2))
        return next((parts for parts in cuts if " ".join(parts) in self._vocabulary.pairs), None)

    def _respelt(self, text: str) -> str:
        """The catalog's word that this one most likely was meant for, or the word itself."""
        likely = self._by_first.get(text[0], ())
        holds = self._vocabulary.properties.holds
        longer = (word for word in likely if word.startswith(text) and len(word) <= len(text) + _ENDING and holds(word))
        if len(text) > _SHORTEST and (word := next(longer, "")):
            return word  # "robot" for a catalog that says "robotic"
        if text in self._known:
            return text
        most = 2 if len(text) >= _LONG else 1
        found = process.extract(text, likely, scorer=OSA.distance, score_cutoff=most, limit=5)
        names = self._vocabulary.names
        return min(found, key=lambda one: (one[1], -names.count(one[0])))[0] if found else text

"""A question cut into places that name something of the catalog, the rest passed over or unknown.

Longest phrase first; words that are nowhere in the catalog are mended if they are misspelt, or stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA

from shopbot.operators import NEGATION, Operators
from shopbot.tokens import is_han, passed_over, tokenize, words_table
from shopbot.vocabulary import Entry, Ints, Vocabulary

ItemKind = Literal["entry", "term", "unknown"]
_GAP = "\x00"
# Words that begin a part of the sentence which tells more about the thing, but does not name it.
_ASIDE = frozenset(
    "for with in of from by on to at as that which when while because if so but my our their using during".split()
)
_LINKS = frozenset("a an the and or is are be do does have has i you we it me us not no".split())
_SIZE_LETTERS = frozenset(["xs", "s", "m", "l", "xl", "xxl", "xxxl"])
_MOST_CHINESE = 8


@dataclass(frozen=True, slots=True)
class Item:
    """A place in the question: `words` its normal forms, `start` and `end` offsets into the original text.

    `clause` counts the asides before it ("for …", "with …"); `joined` tells that "and" or "or" stands between it and
    the item before; `adjacent` that nothing does. `products` are the indices that a name part stands for.
    """

    kind: ItemKind
    words: tuple[str, ...]
    start: int
    end: int
    entries: tuple[Entry, ...] = ()
    clause: int = 0
    joined: bool = False
    adjacent: bool = False
    negated: bool = False
    measure: bool = False

    def entry(self, *kinds: str) -> Entry | None:
        """The first entry of one of these kinds."""
        return next((entry for entry in self.entries if entry.kind in kinds), None)

    def products(self, *kinds: str) -> Ints:
        """The products of all its entries of these kinds."""
        found = [entry.products for entry in self.entries if entry.kind in kinds]
        return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int32)


@dataclass(slots=True)
class Word:
    """A word of the question under the scanner; `text` is `_GAP` where an operator was."""

    text: str
    start: int
    end: int
    capital: bool = False
    measure: bool = False


class Scanner:
    """Cuts questions into items by one vocabulary. `known` words of the language are never taken for misspelt ones."""

    def __init__(self, vocabulary: Vocabulary, known: Container[str]) -> None:
        self.vocabulary = vocabulary
        self._known = known
        self._by_first: dict[str, list[str]] = {}
        for word in {*vocabulary.names, *vocabulary.option_rows, *vocabulary.details}:
            if len(word) > 3 and word.isalpha() and word.isascii():
                self._by_first.setdefault(word[0], []).append(word)

    def scan(self, text: str, operators: Operators) -> list[Item]:
        """The items of a question in order."""
        words = self._mended(_words(text, operators))
        texts = [word.text for word in words]
        items: list[Item] = []
        clause, joined, place, last = 0, False, 0, -1
        while place < len(words):
            length, kind, entries = self._at(words, texts, place, items and last == place)
            if kind is None:
                aside = texts[place] in _ASIDE and not is_han(texts[place])
                clause, joined = clause + aside, joined or texts[place] in _JOINERS
                place += length
                continue
            first, end = words[place], words[place + length - 1].end
            joined = joined or _joiner_between(text, items[-1].end if items else first.start, first.start)
            negated = bool(NEGATION.search(_before(operators, first.start)))
            items.append(
                Item(
                    kind,
                    tuple(texts[place : place + length]),
                    first.start,
                    end,
                    entries,
                    clause,
                    joined and bool(items),
                    last == place,
                    negated,
                )
            )
            place += length
            last, joined = place, False
        return _with_runs_joined(items)

    def _at(
        self, words: Sequence[Word], texts: Sequence[str], place: int, touching: object
    ) -> tuple[int, ItemKind | None, tuple[Entry, ...]]:
        """What begins at `place`: how many words, of which kind (None: pass over), and what it names."""
        word = texts[place]
        if word == _GAP:
            return 1, None, ()
        length, entries = self.vocabulary.longest(texts, place)
        entries = self._acceptable(words, texts, place, length, entries)
        if is_han(word):
            return self._chinese_at(texts, place, length, entries)
        if entries:
            return length, "entry", tuple(entries)
        if word.isdigit() and self._option_near(texts, place) and word in self.vocabulary.option_rows:
            return 1, "term", ()
        if word in passed_over() or word.isdigit() or len(word) == 1:
            return 1, self._paired(texts, place, touching), ()
        if words[place].measure or self.vocabulary.knows(word):
            return 1, "term", ()
        return 1, "unknown", ()

    def _paired(self, texts: Sequence[str], place: int, touching: object) -> ItemKind | None:
        """A number, letter or empty word counts only as part of a name: "Aria 2", "down jacket"."""
        word = texts[place]
        before = texts[place - 1] if place else _GAP
        after = texts[place + 1] if place + 1 < len(texts) else _GAP
        if word in _ASIDE or word in _LINKS:
            return None
        if f"{word} {after}" in self.vocabulary.pairs and after not in passed_over() and not after.isdigit():
            return "term"
        if not touching:
            return None
        if f"{before} {word}" in self.vocabulary.pairs:
            return "term"
        return "term" if word.isdigit() and 0 < self.vocabulary.names.count(before) <= self.vocabulary.rare else None

    def _acceptable(
        self, words: Sequence[Word], texts: Sequence[str], place: int, length: int, entries: list[Entry]
    ) -> list[Entry]:
        """Entries that may be meant here: single empty words, letters and numbers need more than to be there."""
        word = texts[place]
        if length != 1 or is_han(word) or (word in _SIZE_LETTERS and words[place].capital):
            return entries
        if word in passed_over():
            asked = self._is_asked(texts, place)
            return [entry for entry in entries if entry.kind == "category" or (entry.kind == "attribute" and asked)]
        if not (word.isdigit() or len(word) == 1):
            return entries
        near = self._option_near(texts, place)
        return [entry for entry in entries if entry.kind == "id" or (entry.kind == "option" and entry.name in near)]

    def _is_asked(self, texts: Sequence[str], place: int) -> bool:
        """Whether a common word is meant as a property: "what size", "size M", "size UK 9"."""
        before = texts[place - 1] if place else _GAP
        after = texts[place + 1 : place + 2]
        if before in _POINTING and texts[place] not in self.vocabulary.option_names:
            return True
        return before in _ASKING or any(word in self.vocabulary.option_rows for word in after)

    def _option_near(self, texts: Sequence[str], place: int) -> set[str]:
        """Names of options just before or after: "size 9", "9码"."""
        near = (texts[other] for other in (place - 1, place + 1) if 0 <= other < len(texts))
        return {name for word in near for name in self.vocabulary.option_names.get(_SIZE_WORDS.get(word, word), ())}

    def _chinese_at(
        self, texts: Sequence[str], place: int, length: int, entries: list[Entry]
    ) -> tuple[int, ItemKind | None, tuple[Entry, ...]]:
        empty = _empty_chinese(texts, place)
        if entries and length >= empty:
            return length, "entry", tuple(entries)
        grown = self._grown(texts, place)
        if grown > 1 and grown >= empty:
            return grown, "term", ()
        return (empty, None, ()) if empty else (1, "unknown", ())

    def _grown(self, texts: Sequence[str], place: int) -> int:
        """The most characters from `place` on that stand together in some product's name, attributes or options."""
        common: set[int] | None = None
        length = 1
        while place + length < len(texts) and length < _MOST_CHINESE:
            gram = texts[place + length - 1] + texts[place + length]
            found = {*self.vocabulary.names.get(gram).tolist(), *self.vocabulary.details.get(gram).tolist()}
            common = found if common is None else common & found
            if not common:
                break
            length += 1
        return length

    # ------------------------------------------------------------ misspelt words

    def _mended(self, words: list[Word]) -> list[Word]:
        """Misspelt, joined or parted words put right: "slepping", "smartwatch", "key board"."""
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
        if not (first.isalpha() and second.isalpha() and first.isascii() and len(first + second) > 5):
            return False
        return first + second in self.vocabulary.names and f"{first} {second}" not in self.vocabulary.pairs

    def _is_foreign(self, word: Word) -> bool:
        text = word.text
        latin = text.isascii() and text.isalpha() and len(text) > 3 and not word.measure
        return (
            latin
            and not self.vocabulary.knows(text)
            and text not in self.vocabulary.phrases
            and text not in passed_over()
        )

    def _parted(self, text: str) -> tuple[str, str] | None:
        cuts = ((text[:cut], text[cut:]) for cut in range(3, len(text) - 2))
        return next((parts for parts in cuts if " ".join(parts) in self.vocabulary.pairs), None)

    def _respelt(self, text: str) -> str:
        """The catalog's word that this one most likely was meant for, or the word itself."""
        longer = [
            word for word in self._by_first.get(text[0], ()) if word.startswith(text) and len(word) <= len(text) + 2
        ]
        told = [word for word in longer if word in self.vocabulary.option_rows or word in self.vocabulary.details]
        if len(text) > 4 and told:
            return told[0]
        if text in self._known:
            return text
        most = 2 if len(text) >= 7 else 1
        found = process.extract(text, self._by_first.get(text[0], ()), scorer=OSA.distance, score_cutoff=most, limit=5)
        if not found:
            return text
        names = self.vocabulary.names
        return min(found, key=lambda one: (one[1], -names.count(one[0])))[0]


# ---------------------------------------------------------------- pieces of text

_JOINERS = frozenset(["and", "or", "versus", "vs", "than", "和", "与", "跟", "或", "同", "比"])
_JOINED = re.compile(r"[,，、/&;；?？!.。]|还是|或者|以及")


def _joiner_between(text: str, start: int, end: int) -> bool:
    return bool(_JOINED.search(text[start:end]))


def _before(operators: Operators, start: int) -> str:
    """The normalised text just before a place of the original."""
    place = next((number for number, origin in enumerate(operators.places) if origin >= start), len(operators.text))
    return operators.text[max(0, place - 30) : place]


def _words(text: str, operators: Operators) -> list[Word]:
    """The words with a gap for each place an operator took."""
    words: list[Word] = []
    spans = sorted(operators.spans)
    for token in tokenize(text):
        if any(start < token.end and token.start < end for start, end in spans):
            if not words or words[-1].text != _GAP:
                words.append(Word(_GAP, token.start, token.end))
            continue
        words.append(Word(token.text, token.start, token.end, text[token.start].isupper(), token.measure))
    return words


_ASKING = frozenset(["what", "which", "many", "other", "different"])
_POINTING = frozenset(["the", "a", "any", "its", "of"])
_SIZE_WORDS = {"码": "size", "号": "size"}


@cache
def _chinese_passed_over() -> frozenset[str]:
    return frozenset(words_table()["pass_over"]["zh"].split())


def _empty_chinese(texts: Sequence[str], place: int) -> int:
    """How many characters from `place` on are words that say nothing."""
    for length in range(min(4, len(texts) - place), 0, -1):
        if "".join(texts[place : place + length]) in _chinese_passed_over():
            return length
    return 0


def _with_runs_joined(items: list[Item]) -> list[Item]:
    """Unknown Chinese characters and words that stand together as one item: one thing that is not here."""
    joined: list[Item] = []
    for item in items:
        last = joined[-1] if joined else None
        if last is not None and item.kind == last.kind == "unknown" and item.adjacent and not item.joined:
            words = (*last.words, *item.words)
            joined[-1] = Item(
                "unknown", words, last.start, item.end, (), last.clause, last.joined, last.adjacent, last.negated
            )
        else:
            joined.append(item)
    return joined


Array = NDArray[np.bool_]

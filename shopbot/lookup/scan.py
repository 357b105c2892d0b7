"""A question cut into places that name something of the catalog, the rest passed over or unknown.

The longest phrase comes first. Words that are nowhere in the catalog are mended if they are misspelt (`mending`), or
stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from shopbot.lookup.mending import GAP, Mender, Word
from shopbot.lookup.operators import Operators, is_negated
from shopbot.lookup.postings import NOTHING, Entry, Ints
from shopbot.lookup.tokens import is_han, passed_over, tokenize, words_table
from shopbot.lookup.vocabulary import Vocabulary

ItemKind = Literal["entry", "term", "unknown"]
_MOST_CHINESE = 8
# Words that begin a part of the sentence which tells more about the thing, but does not name it.
_ASIDE = frozenset(
    ["for", "with", "in", "of", "from", "by", "on", "to", "at", "as", "that", "which", "when", "while", "because", "if"]
    + ["so", "but", "my", "our", "their", "using", "during"]
)
# Words that link others and are never part of a name by themselves.
_LINKS = _ASIDE | frozenset("a an the and or is are be do does have has i you we it me us not no".split())
_SIZE_LETTERS = frozenset(["xs", "s", "m", "l", "xl", "xxl", "xxxl"])
_SIZE_WORDS = {"码": "size", "号": "size"}
_JOINERS = frozenset(["and", "or", "versus", "vs", "than", "和", "与", "跟", "或", "同", "比"])
_JOINED = re.compile(r"[,，、/&;；?？!.。]|还是|或者|以及")
# After these a common word ("size", "weight") is meant as a property.
_ASKING = frozenset(["what", "which", "many", "other", "different"])
_POINTING = frozenset(["the", "a", "any", "its", "of"])


@dataclass(frozen=True, slots=True)
class Item:
    """A place in the question: `words` its normal forms, `start` and `end` offsets into the original text.

    `clause` counts the asides before it ("for …", "with …"); `joined` tells that "and" or "or" stands between it and
    the item before; `adjacent` that nothing does; `negated` that a "without" or "not" stands before it.
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

    @property
    def phrase(self) -> str:
        """The words as one text, to be looked up again."""
        return "".join(self.words) if is_han(self.words[0]) else " ".join(self.words)

    @property
    def is_character(self) -> bool:
        """Whether it is a single Chinese character, which names little by itself."""
        return len(self.phrase) == 1 and is_han(self.phrase)

    def entry(self, *kinds: str) -> Entry | None:
        """The first entry of one of these kinds."""
        return next((entry for entry in self.entries if entry.kind in kinds), None)

    def products(self, *kinds: str) -> Ints:
        """The products of all its entries of these kinds."""
        found = [entry.products for entry in self.entries if entry.kind in kinds]
        return np.unique(np.concatenate(found)) if found else NOTHING


class _Found(NamedTuple):
    """What begins at a word: how many words it takes, its kind (None: pass over), what it names."""

    length: int
    kind: ItemKind | None
    entries: tuple[Entry, ...] = ()


class Scanner:
    """Cuts questions into items by one vocabulary. `known` words of the language are never taken for misspelt ones."""

    def __init__(self, vocabulary: Vocabulary, known: Container[str]) -> None:
        self.vocabulary = vocabulary
        self._mender = Mender(vocabulary, known)

    def scan(self, text: str, operators: Operators) -> list[Item]:
        """The items of a question in order."""
        words = self._mender.mended(_words(text, operators))
        texts = [word.text for word in words]
        items: list[Item] = []
        clause, joined, place, last = 0, False, 0, -1
        while place < len(words):
            found = self._at(words, texts, place, touching=bool(items) and last == place)
            if found.kind is None:
                clause += texts[place] in _ASIDE
                joined = joined or texts[place] in _JOINERS
            else:
                taken = words[place : place + found.length]
                start, end = taken[0].start, taken[-1].end
                item = Item(found.kind, tuple(texts[place : place + found.length]), start, end, found.entries, clause)
                parted = bool(_JOINED.search(text[items[-1].end : start])) if items else False
                items.append(
                    replace(
                        item,
                        joined=bool(items) and (joined or parted),
                        adjacent=last == place,
                        negated=is_negated(operators, start),
                        measure=taken[0].measure,
                    )
                )
                last, joined = place + found.length, False
            place += found.length
        return _with_unknown_runs_joined(items)

    def _at(self, words: Sequence[Word], texts: Sequence[str], place: int, touching: bool) -> _Found:
        word = texts[place]
        if word == GAP:
            return _Found(1, None)
        length, entries = self.vocabulary.longest(texts, place)
        entries = self._acceptable(words[place], texts, place, length, entries)
        if is_han(word):
            return self._chinese_at(texts, place, length, entries)
        if entries:
            return _Found(length, "entry", tuple(entries))
        if word.isdigit() and self._options_beside(texts, place) and word in self.vocabulary.properties.option_rows:
            return _Found(1, "term")
        if word in passed_over() or word.isdigit() or len(word) == 1:
            return _Found(1, "term" if self._is_part_of_name(texts, place, touching) else None)
        known = words[place].measure or self.vocabulary.knows(word)
        return _Found(1, "term" if known else "unknown")

    def _is_part_of_name(self, texts: Sequence[str], place: int, touching: bool) -> bool:
        """A number, letter or common word counts only as part of a name, beside the name's other words: "Aria 2"."""
        word = texts[place]
        before = texts[place - 1] if place else GAP
        after = texts[place + 1] if place + 1 < len(texts) else GAP
        if word in _LINKS:
            return False
        if f"{word} {after}" in self.vocabulary.pairs and after not in passed_over() and not after.isdigit():
            return True
        return touching and (f"{before} {word}" in self.vocabulary.pairs or (word.isdigit() and self._is_rare(before)))

    def _is_rare(self, word: str) -> bool:
        return self.vocabulary.is_rare(word)

    def _acceptable(
        self, word: Word, texts: Sequence[str], place: int, length: int, entries: list[Entry]
    ) -> list[Entry]:
        """Entries that may be meant here: single common words, letters and numbers need more than to be there."""
        if length != 1 or is_han(word.text) or (word.text in _SIZE_LETTERS and word.capital):
            return entries
        if word.text in passed_over():
            return [entry for entry in entries if self._may_be_meant(entry, texts, place)]
        if not (word.text.isdigit() or len(word.text) == 1):
            return entries
        beside = self._options_beside(texts, place)
        return [entry for entry in entries if entry.kind == "id" or (entry.kind == "option" and entry.name in beside)]

    def _may_be_meant(self, entry: Entry, texts: Sequence[str], place: int) -> bool:
        """Whether a common word is meant as what it names: "the heavy strings", "what size"; a category always is."""
        if entry.kind == "option":
            return any(word in self.vocabulary.kinds.heads for word in texts[place + 1 : place + 3])
        return entry.kind == "category" or (entry.kind == "attribute" and self._is_property(texts, place))

    def _is_property(self, texts: Sequence[str], place: int) -> bool:
        """Whether a common word is meant as a property: "what size", "size M", "the weight"."""
        before = texts[place - 1] if place else GAP
        if before in _POINTING and texts[place] not in self.vocabulary.properties.option_names:
            return True
        return before in _ASKING or any(
            word in self.vocabulary.properties.option_rows for word in texts[place + 1 : place + 2]
        )

    def _options_beside(self, texts: Sequence[str], place: int) -> set[str]:
        """Names of options just before or after: "size 9", "9码"."""
        names = self.vocabulary.properties.option_names
        beside = (texts[other] for other in (place - 1, place + 1) if 0 <= other < len(texts))
        return {name for word in beside for name in names.get(_SIZE_WORDS.get(word, word), ())}

    # ------------------------------------------------------------ Chinese

    def _chinese_at(self, texts: Sequence[str], place: int, length: int, entries: list[Entry]) -> _Found:
        common = _common_chinese(texts, place)
        if entries and length >= common:
            return _Found(length, "entry", tuple(entries))
        grown = self._grown(texts, place)
        if grown > 1 and grown >= common:
            return _Found(grown, "term")
        return _Found(common, None) if common else _Found(1, "unknown")

    def _grown(self, texts: Sequence[str], place: int) -> int:
        """The most characters from `place` on that stand together in some product's name or attributes."""
        shared: set[int] | None = None
        length = 1
        while place + length < len(texts) and length < _MOST_CHINESE:
            pair = texts[place + length - 1] + texts[place + length]
            names, details = self.vocabulary.names.get(pair), self.vocabulary.properties.details.get(pair)
            found = {*names.tolist(), *details.tolist()}
            shared = found if shared is None else shared & found
            if not shared:
                break
            length += 1
        return length


@cache
def _chinese_passed_over() -> frozenset[str]:
    return frozenset(words_table()["pass_over"]["zh"].split())


def _common_chinese(texts: Sequence[str], place: int) -> int:
    """How many characters from `place` on are words that say nothing about which product is meant."""
    for length in range(min(4, len(texts) - place), 0, -1):
        if "".join(texts[place : place + length]) in _chinese_passed_over():
            return length
    return 0


def _words(text: str, operators: Operators) -> list[Word]:
    """The words with a gap for each place an operator took."""
    words: list[Word] = []
    for token in tokenize(text):
        if any(start < token.end and token.start < end for start, end in operators.spans):
            if not words or words[-1].text != GAP:
                words.append(Word(GAP, token.start, token.end))
            continue
        words.append(Word(token.text, token.start, token.end, text[token.start].isupper(), token.measure))
    return words


def _with_unknown_runs_joined(items: list[Item]) -> list[Item]:
    """Unknown characters and words that stand together as one item: one thing that is not here."""
    joined: list[Item] = []
    for item in items:
        last = joined[-1] if joined else None
        if last is not None and item.kind == last.kind == "unknown" and item.adjacent and not item.joined:
            joined[-1] = replace(last, words=(*last.words, *item.words), end=item.end)
        elif last is not None and last.kind == "unknown" and item.adjacent and item.is_character:
            joined[-1] = replace(last, words=(*last.words, *item.words), end=item.end)  # 钢琴 is not any 琴
        else:
            joined.append(item)
    return joined

"""Kinds of thing: the categories of a catalog, and the nouns that its product names end in.

A catalog without categories has kinds, too: "Arco Concert Violin - AV200" is a violin. Docstrings here speak of a
shop for musical instruments.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from shopbot.lookup.postings import Entry, Postings, indices
from shopbot.lookup.tokens import CJK, is_han, passed_over, stem, stems, without_measures, words_table
from shopbot.types import Product

_TAIL = re.compile(rf"[{CJK}]+(?=[^{CJK}]*$)")
# The head noun of an English name stands before these.
_AFTER_HEAD = re.compile(
    r"[-\u2013\u2014]\s|[(,;:/\[|]|(?<![-\w])(?i:with|for|in|by|of|from|to|compatible|featuring)(?![-\w])|(?<=\s)w/?\s"
)
_WORDS = re.compile(r"[A-Za-z][A-Za-z']*(?![\w])|\S*\d\S*")
_PARTS = re.compile(r"[&/,>|、与和]|\band\b")
_CONTAINERS = frozenset({"set", "pair", "kit", "bundle", "sery", "edition", "collection", "pack"})
_LONGEST_CHINESE_HEAD = 4
# A category is narrowed to the products whose names end with it where that share of it does.
_MOST_OF_A_CATEGORY = 0.6


class Kinds:
    """The kinds of one catalog. `heads`: noun → products; `labels`: noun → words for a sentence model."""

    def __init__(self, products: Sequence[Product], name_words: Sequence[frozenset[str]]) -> None:
        self._products = products
        self._name_words = name_words
        self.heads = Postings()
        self.labels: dict[str, str] = {}
        self._chinese_tails: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(products):
            for name in (product.name, *product.names.values()):
                self._add_name(number, name, product.brand)
        self._chinese = self._chinese_heads()

    def _add_name(self, number: int, name: str, brand: str) -> None:
        tail = None if name.isascii() else _TAIL.search(without_measures(re.sub(r"[(（].*", "", name)).strip())
        if tail is not None:
            self._chinese_tails[tail[0]].append(number)
            return
        heads, label = heads_of(name, brand)
        self.heads.add(heads, number)
        for head in heads:
            self.labels.setdefault(head, label)

    def _chinese_heads(self) -> dict[str, set[int]]:
        """The last one to four characters of Chinese names.

        Where some name is just these characters, a longer one with a single more before them is another thing, as a
        single character seldom describes.
        """
        heads: dict[str, set[int]] = defaultdict(set)
        for tail, numbers in self._chinese_tails.items():
            for length in range(1, min(_LONGEST_CHINESE_HEAD, len(tail)) + 1):
                end = tail[-length:]
                if length == 1 or len(tail) != length + 1 or end not in self._chinese_tails:
                    heads[end].update(numbers)
        return heads

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Each kind as a phrase (words in normal form, joined by spaces) and what it names; categories first."""
        listed: set[str] = set()
        for label, products in self._categories():
            phrase = " ".join(stems(label))
            listed.add(phrase)
            yield phrase, Entry("category", label, indices(products))
        for head in self.heads:
            if head not in listed:
                yield head, Entry("kind", head, self.heads.get(head))
        for end, numbers in self._chinese.items():
            if " ".join(end) not in listed and (len(end) > 1 or self._is_one_category(numbers)):
                entry = Entry("kind", end, indices(numbers))
                yield " ".join(end), entry
                if len(end) == 1:
                    yield f"{end} 子", entry

    def _categories(self) -> Iterator[tuple[str, list[int]]]:
        members: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(self._products):
            for label in dict.fromkeys((product.category, *product.categories.values())):
                if label:
                    members[label].append(number)
        for label, numbers in members.items():
            yield label, self._ending_with(label, numbers) or numbers
            parts = [part.strip() for part in _PARTS.split(label) if part.strip()]
            for part in parts if len(parts) > 1 else ():
                yield part, self._part_of(part, numbers)

    def _ending_with(self, label: str, members: Sequence[int], least: float = _MOST_OF_A_CATEGORY) -> list[int]:
        """Those of a category whose names end with its label, if most do: the rest are things that go with it."""
        words = stems(label)
        if is_han(label):
            tails = (numbers for tail, numbers in self._chinese_tails.items() if tail.endswith(label))
            ending = {number for numbers in tails for number in numbers}
            found = [number for number in members if number in ending]
        else:
            ending = set(self.heads.get(words[-1]).tolist()) if words else set()
            found = [number for number in members if number in ending and self._name_words[number].issuperset(words)]
        return found if len(found) >= least * len(members) else []

    def _part_of(self, part: str, members: Sequence[int]) -> list[int]:
        """Of "strings and bows" the bows: those so named, else those with the word in their names, else all."""
        holding = [number for number in members if self._name_words[number].issuperset(stems(part))]
        return self._ending_with(part, members, 0.0) or ([] if is_han(part) else holding) or list(members)

    def _is_one_category(self, numbers: set[int]) -> bool:
        """Whether two or more products lie in one category, nearly all: only then does one character name them."""
        categories = [self._products[number].category for number in numbers]
        return len(numbers) > 1 and max(map(categories.count, categories)) >= 0.8 * len(categories)


def heads_of(name: str, brand: str = "") -> tuple[set[str], str]:
    """The kinds of thing an English name is, most often one, and the words to show a sentence model for it.

    "Arco Concert Violin - AV200" is a violin; "Rosin Cake Set, amber" a set and a cake. Empty if it has no noun.
    """
    for part in _AFTER_HEAD.split(name)[:3]:
        words = _WORDS.findall(part)
        while words and _is_tail(words[-1]):
            words.pop()
        if words and not set(stems(" ".join(words))) <= set(stems(brand)):
            break
    else:
        return set(), ""
    heads = {stem(words[-1].lower().replace("'", ""))}
    if heads & _CONTAINERS and len(words) > 1 and not _is_tail(words[-2]):
        heads.add(stem(words[-2].lower()))
    return heads, " ".join(word.lower() for word in words[-2:] if word.isalpha())


def _is_tail(word: str) -> bool:
    """Whether a last word of a name tells its model, colour or size, not what it is."""
    return len(word) < 3 or not word.replace("'", "").isalpha() or stem(word.lower()) in _tail_words()


@cache
def _tail_words() -> frozenset[str]:
    return frozenset(stem(word) for word in words_table()["after_noun"]["en"].split()) | passed_over()

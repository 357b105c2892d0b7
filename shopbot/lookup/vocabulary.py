"""The words of one catalog: which products, variants, options and attributes each of them names.

Everything comes from the products: names, kinds and categories, brands, option values, properties, measures. Built
once in a pass over the catalog (some seconds for 20,000 products).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from shopbot.lookup.kinds import Kinds
from shopbot.lookup.postings import NOTHING, Entry, EntryKind, Ints, Postings, Rows, held_by_all, indices
from shopbot.lookup.properties import NO, YES, Properties
from shopbot.lookup.tokens import grams, is_han, passed_over, stems, words_table
from shopbot.types import Product

_LONGEST_PHRASE = 10
_LONGEST_GENERIC = 6
_SHORTEST_ID, _SHORTEST_NUMBER_ID = 4, 6
# A brand named like a common word ("Digital") is not meant by it: few of the names that hold the word are of the brand.
_BRAND_SHARE = 0.2


class Vocabulary:
    """The words of a catalog and what they name.

    `names`: word → products whose names, brands or categories hold it; `texts` the same for descriptions; `pairs`: two
    words in a row in a name; `phrases`: words in normal form, joined by spaces → what they name.
    """

    def __init__(self, products: Sequence[Product], synonyms: Mapping[str, str] | None = None) -> None:
        self.products = products
        self.rows = Rows(products)
        # A word in no more names than this tells a product, not a kind.
        self.rare = max(3, min(12, len(products) // 20))
        self.names, self.texts, self.pairs = Postings(), Postings(), Postings()
        self.name_words: list[frozenset[str]] = []
        self.first_words: set[str] = set()
        for number, product in enumerate(products):
            self._add(number, product)
        self.properties = Properties(products, self.rows)
        self.kinds = Kinds(products, self.name_words)
        self.phrases: dict[str, list[Entry]] = defaultdict(list)
        self._longest: dict[str, int] = {}
        self._enter_all(synonyms or {})

    def _add(self, number: int, product: Product) -> None:
        brand = stems(product.brand)
        words: set[str] = set()
        for name in (product.name, *product.names.values()):
            tokens = stems(name)
            words.update(grams(name))
            skipped = len(brand) if tokens[: len(brand)] == brand else 0
            self.first_words.update(tokens[skipped : skipped + 1])
            self.pairs.add(map(" ".join, pairwise(tokens)), number)
        self.name_words.append(frozenset(words))
        labels = (product.brand, product.category, *product.categories.values())
        self.names.add(words.union(*(grams(label) for label in labels)), number)
        for text in (product.description, *product.descriptions.values()):
            self.texts.add(grams(text), number)

    # ------------------------------------------------------------ phrases

    def _enter_all(self, synonyms: Mapping[str, str]) -> None:
        for phrase, entry in self.kinds.entries():
            self._enter(phrase, entry)
        self._enter_ids()
        self._enter_names()
        self._enter_brands()
        self._enter_options()
        for table in (self.properties.attribute_names, self.properties.option_names):
            for phrase, written in table.items():
                self._enter(phrase, Entry("attribute", phrase, NOTHING, sorted(written)[0]))
        self.unmatched_synonyms = [word for word, meant in synonyms.items() if not self._enter_synonym(word, meant)]
        self._enter_translations()

    def _enter_synonym(self, word: str, meant: str) -> bool:
        """Let a word name what another names: a phrase of the catalog, or else the products with its words in them."""
        words = stems(meant)
        entries = tuple(self.phrases.get(" ".join(words), ()))
        if not entries and (named := self.named_with(words)).size:
            entries = (Entry("kind", meant, named),)
        for entry in entries:
            self._enter(" ".join(stems(word)), entry)
        return bool(entries)

    def _enter(self, phrase: str, entry: Entry) -> None:
        if not phrase:
            return
        self.phrases[phrase].append(entry)
        words = phrase.split(" ")
        self._longest[words[0]] = max(self._longest.get(words[0], 0), len(words))
        # Two words are also written as one: "T-Shirt" and "tshirt", "Wi-Fi" and "wifi".
        joined = "".join(words)
        writable = entry.kind in ("product", "category", "option") and joined.isascii() and joined.isalpha()
        if len(words) == 2 and writable:
            self.phrases[joined].append(entry)
            self._longest.setdefault(joined, 1)

    def _enter_text(self, text: str, kind: EntryKind, products: Iterable[int], value: str = "", name: str = "") -> None:
        words = stems(text)
        if len(words) <= _LONGEST_PHRASE * 2:
            self._enter(" ".join(words), Entry(kind, value or text, indices(products), name))

    def _enter_ids(self) -> None:
        for number, product in enumerate(self.products):
            for known in dict.fromkeys((product.id, *(variant.sku for variant in product.variants))):
                if len(known) >= (_SHORTEST_NUMBER_ID if known.isdigit() else _SHORTEST_ID):
                    phrase = known.lower() if known.isascii() and known.isalnum() else " ".join(stems(known))
                    self._enter(phrase, Entry("id", known, np.array([number], dtype=np.int32)))

    def _enter_names(self) -> None:
        names: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(self.products):
            for name in dict.fromkeys((product.name, *product.names.values())):
                names[name].append(number)
        for name, numbers in names.items():
            if not self._is_generic(name, numbers):
                self._enter_text(name, "product", numbers)
        for phrase, found in self._name_beginnings(names).items():
            if phrase not in self.phrases:
                self._enter(phrase, Entry("product", phrase, indices(found)))

    def _is_generic(self, name: str, numbers: Sequence[int]) -> bool:
        """Whether a name is but a kind of thing, which other products are, too: "Full Size Violin"."""
        words = stems(name)
        if not words or len(words) > _LONGEST_GENERIC or any(self.names.count(word) <= self.rare for word in words):
            return False
        return self.holding(words).size > len(numbers)

    def _name_beginnings(self, names: Mapping[str, Sequence[int]]) -> dict[str, set[int]]:
        """What products are called for short: "Aria 2" of "Aria 2 Pro Concert Violin", where such a first word is rare.

        Not where the first word is the brand, which many models share.
        """
        begin: dict[str, set[int]] = defaultdict(set)
        for name, numbers in names.items():
            words, brand = stems(name), stems(self.products[numbers[0]].brand)
            branded = bool(brand) and words[: len(brand)] == brand
            if len(words) < 3 or branded or not (words[0] in passed_over() or self.names.count(words[0]) <= self.rare):
                continue
            for length in range(2, min(len(words), _LONGEST_PHRASE)):
                if not passed_over().issuperset(words[:length]):
                    begin[" ".join(words[:length])].update(numbers)
        return begin

    def _enter_brands(self) -> None:
        brands: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(self.products):
            if product.brand:
                brands[product.brand].append(number)
        for brand, numbers in brands.items():
            if len(numbers) >= _BRAND_SHARE * self.holding(stems(brand)).size:
                self._enter_text(brand, "brand", numbers)

    def _enter_options(self) -> None:
        same: Mapping[str, str] = words_table()["same_en"]
        for name, values in self.properties.options.items():
            if {value.casefold() for value in values} <= NO | YES:
                rows = [row for value in self.properties.yes_values(name) for row in values[value]]
                self._enter_text(name, "flag", self.rows.product[rows].tolist(), "yes", name)
                continue
            for value, rows in values.items():
                products = self.rows.product[rows].tolist()
                for written in filter(None, (value, same.get(value.casefold()))):
                    self._enter_text(written, "option", products, value, name)

    def _enter_translations(self) -> None:
        """Chinese words of colours, sizes, materials and properties: as the English word that the catalog holds."""
        for chinese, english in words_table()["same"].items():
            phrase = " ".join(chinese)
            entries = (self._translated(other) for other in english.split("|") if phrase not in self.phrases)
            for entry in next(filter(None, entries), ()):
                self._enter(phrase, entry)
        for chinese, english in words_table()["asked"].items():
            known = next(filter(None, map(self.properties.named, english.split("|"))), "")
            if known and not chinese.isascii() and " ".join(chinese) not in self.phrases:
                self._enter(" ".join(chinese), Entry("attribute", known, NOTHING, known))

    def _translated(self, english: str) -> list[Entry]:
        words = stems(english)
        entries = [entry for entry in self.phrases.get(" ".join(words), ()) if entry.kind in ("option", "flag")]
        held = all(word in self.names or self.properties.holds(word) for word in words)
        return entries or ([Entry("word", english, NOTHING)] if held else [])

    # ------------------------------------------------------------ looking up

    def longest(self, words: Sequence[str], start: int) -> tuple[int, list[Entry]]:
        """The longest phrase that begins at `start`: how many words, and what it names; (0, []) if there is none."""
        for length in range(min(self._longest.get(words[start], 0), len(words) - start), 0, -1):
            entries = self.phrases.get(" ".join(words[start : start + length]))
            if entries:
                return length, entries
        return 0, []

    def knows(self, word: str) -> bool:
        """Whether any text of the catalog holds the word."""
        return word in self.names or self.properties.holds(word) or word in self.texts

    def is_whole(self, phrase: str) -> bool:
        """Whether a phrase is all of a name, a kind, an option or an attribute's value, not just a word in some text."""
        normal = " ".join(stems(phrase))
        return normal in self.phrases or normal in self.properties.told_values

    def weight(self, word: str) -> float:
        """How telling a word is, in (0, 1]: its inverse document frequency as a share of the largest."""
        options = len(self.properties.option_rows.get(word, ()))
        count = self.names.count(word) + self.properties.details.count(word) + options
        count = count if count else self.texts.count(word)
        return math.log(1 + len(self.products) / (1 + count)) / math.log(1 + len(self.products))

    def holding(self, words: Sequence[str]) -> Ints:
        """Products with all these words in name, attributes or options."""
        searched = grams("".join(words)) if words and is_han(words[0]) else words
        return held_by_all(self._holding(word) for word in searched)

    def _holding(self, word: str) -> Ints:
        chosen = self.rows.product[self.properties.option_rows.get(word, [])]
        return np.union1d(np.union1d(self.names.get(word), self.properties.details.get(word)), chosen).astype(np.int32)

    def named_with(self, words: Sequence[str]) -> Ints:
        """Products with all these words in their names, brands or categories."""
        searched = grams("".join(words)) if words and is_han(words[0]) else dict.fromkeys(words)
        return held_by_all(self.names.get(word) for word in searched)

    def is_rare(self, word: str) -> bool:
        """Whether a word is in so few names that it tells a product."""
        return 0 < self.names.count(word) <= self.rare

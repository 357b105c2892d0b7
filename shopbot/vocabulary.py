"""The words of one catalog: which products, variants, options and attributes each of them names.

Everything comes from the products: categories and kinds of thing (the head noun of a name: "lamp" of "Desk Lamp, black"),
brands, option values, attribute names, measures. Built once in a pass over the catalog.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shopbot.tokens import (
    CJK,
    grams,
    is_han,
    measures_in,
    passed_over,
    read_measure,
    stem,
    stems,
    without_measures,
    words_table,
)
from shopbot.types import Product

Ints = NDArray[np.int32]
EntryKind = Literal["id", "product", "category", "kind", "brand", "option", "flag", "attribute", "word"]
_YES = frozenset({"yes", "true", "included", "y", "是"})
_NO = frozenset({"no", "none", "false", "not included", "not resistant", "without", "n", "否", "n/a", ""})
_HAN = re.compile(f"[{CJK}]")
_TAIL = re.compile(rf"[{CJK}]+(?=[^{CJK}]*$)")
# The head noun of an English name stands before these.
_AFTER_HEAD = re.compile(
    r"[-\u2013\u2014]\s|[(,;:/\[|]|(?<![-\w])(?i:with|for|in|by|of|from|to|compatible|featuring)(?![-\w])|(?<=\s)w/?\s"
)
_WORDS = re.compile(r"[A-Za-z][A-Za-z']*(?![\w])|\S*\d\S*")
_PARTS = re.compile(r"[&/,>|、与和]|\band\b")
_CONTAINERS = frozenset(
    stem(word) for word in ("set", "pair", "kit", "bundle", "series", "edition", "collection", "pack")
)
_LONGEST_PHRASE = 10
_LONGEST_GENERIC = 6
# A brand named like a common word ("Digital") is not meant by it: few of the names that hold the word are of the brand.
_BRAND_SHARE = 0.2
_SHORTEST_ID, _SHORTEST_NUMBER_ID = 4, 6


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase names. `products` are indices into the catalog; `name` is the option's or attribute's name.

    A "category" is one of the catalog's own, a "kind" the noun of product names, a "flag" an option of yes and no.
    """

    kind: EntryKind
    value: str
    products: Ints
    name: str = ""


class Rows:
    """The variants of all products side by side: `product` (index), `price` (nan: unknown), `available`."""

    def __init__(self, products: Sequence[Product]) -> None:
        self.variants = [variant for product in products for variant in product.variants]
        self.place = [number for product in products for number in range(len(product.variants))]
        counts = [len(product.variants) for product in products]
        self.product = np.repeat(np.arange(len(products), dtype=np.int32), counts)
        prices = [math.nan if variant.price is None else float(variant.price) for variant in self.variants]
        self.price = np.array(prices, dtype=np.float64)
        self.available = np.array([variant.available for variant in self.variants], dtype=bool)
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)

    def of(self, products: Ints | Sequence[int]) -> NDArray[np.bool_]:
        """A mask over the rows of these products."""
        chosen = np.zeros(len(self.first) - 1, dtype=bool)
        chosen[products] = True
        return chosen[self.product]


class Postings:
    """Word → products (sorted indices), filled word by word and then frozen."""

    def __init__(self) -> None:
        self._lists: dict[str, list[int]] = defaultdict(list)
        self._arrays: dict[str, Ints] = {}

    def add(self, words: Iterable[str], product: int) -> None:
        """Note the words of one product; products come in ascending order."""
        for word in words:
            known = self._lists[word]
            if not known or known[-1] != product:
                known.append(product)

    def get(self, word: str) -> Ints:
        """The products of a word; empty if none."""
        array = self._arrays.get(word)
        if array is None:
            array = np.array(self._lists.get(word, ()), dtype=np.int32)
            self._arrays[word] = array
        return array

    def count(self, word: str) -> int:
        """How many products hold the word."""
        return len(self._lists.get(word, ()))

    def __contains__(self, word: str) -> bool:
        return word in self._lists

    def __iter__(self) -> Iterable[str]:
        return iter(self._lists)


class Vocabulary:
    """The words of a catalog and what they name. See the module."""

    def __init__(self, products: Sequence[Product], synonyms: Mapping[str, str] | None = None) -> None:
        self.products = products
        self.rows = Rows(products)
        # A word in no more names than this tells a product, not a kind.
        self.rare = max(3, min(12, len(products) // 20))
        self.names, self.details, self.texts, self.lacks = Postings(), Postings(), Postings(), Postings()
        self.pairs = Postings()
        self.name_words: list[frozenset[str]] = []
        self.first_words: set[str] = set()
        self.heads = Postings()
        self.tails: dict[str, list[int]] = defaultdict(list)
        self.chinese: dict[str, set[int]] = defaultdict(set)
        self.labels: dict[str, str] = {}
        self.options: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.option_rows: dict[str, list[int]] = defaultdict(list)
        self.option_names: dict[str, set[str]] = defaultdict(set)
        self.attribute_names: dict[str, set[str]] = defaultdict(set)
        self.measures: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
        self.phrases: dict[str, list[Entry]] = defaultdict(list)
        self.only_yes: set[str] = set()
        self.other_values: set[str] = set()
        self.no_names: set[str] = set()
        for number, product in enumerate(products):
            self._add(number, product)
        self.only_yes -= self.other_values
        self._add_chinese_heads()
        self._add_categories()
        self._name_phrases()
        for word, meant in (synonyms or {}).items():
            self.phrases[" ".join(stems(word))].extend(self.phrases.get(" ".join(stems(meant)), ()))
        self._longest: dict[str, int] = {}
        for phrase in self.phrases:
            words = phrase.split(" ")
            self._longest[words[0]] = max(self._longest.get(words[0], 0), len(words))
        self._add_translations()

    # ------------------------------------------------------------ one product

    def _add(self, number: int, product: Product) -> None:
        words: set[str] = set()
        for name in (product.name, *product.names.values()):
            tokens = stems(name)
            words.update(grams(name))
            skipped = len(stems(product.brand)) if tokens[: len(stems(product.brand))] == stems(product.brand) else 0
            self.first_words.update(tokens[skipped : skipped + 1])
            self.pairs.add(map(" ".join, pairwise(tokens)), number)
            self._add_heads(number, name, product.brand)
        self.name_words.append(frozenset(words))
        labels = (product.brand, product.category, *product.categories.values())
        self.names.add(words | {gram for label in labels for gram in grams(label)}, number)
        for name, value in product.attributes.items():
            self._add_attribute(number, name, value)
        for row, variant in enumerate(product.variants, int(self.rows.first[number])):
            for name, value in variant.options.items():
                self._add_option(number, row, name, value)
        for text in (product.description, *product.descriptions.values()):
            self.texts.add(grams(text), number)

    def _add_heads(self, number: int, name: str, brand: str) -> None:
        tail = None if name.isascii() else _TAIL.search(without_measures(re.sub(r"[(（].*", "", name)).strip())
        if tail is not None:
            self.tails[tail[0]].append(number)
            return
        heads, label = heads_of(name, brand)
        self.heads.add(heads, number)
        for head in heads:
            self.labels.setdefault(head, label)

    def _add_chinese_heads(self) -> None:
        """The last two to four characters of Chinese names, and the last one alone.

        Where some name is just these characters, a longer one with a single more before them is another thing: a
        bedside lamp ends like a headlamp.
        """
        for tail, numbers in self.tails.items():
            for length in range(1, min(4, len(tail)) + 1):
                end = tail[-length:]
                if length == 1 or len(tail) != length + 1 or end not in self.tails:
                    self.chinese[end].update(numbers)

    def _add_attribute(self, number: int, name: str, value: str) -> None:
        words, plain = stems(name), value.casefold()
        phrase = " ".join(words)
        self.attribute_names[phrase].add(name)
        (self.only_yes if plain in _YES else self.other_values).add(phrase)
        if plain in _NO:
            self.no_names.add(phrase)
            self.lacks.add([phrase, *(word for word in words if word not in passed_over())], number)
            return
        self.details.add(words, number)
        if plain not in _YES:
            self.details.add((*grams(value), *_counted(name, value)), number)
            self._add_measures(int(self.rows.first[number]), int(self.rows.first[number + 1]), name, value)

    def _add_option(self, number: int, row: int, name: str, value: str) -> None:
        self.option_names[" ".join(stems(name))].add(name)
        self.options[name][value].add(row)
        if value.casefold() in _NO:
            self.no_names.add(" ".join(stems(name)))
            self.lacks.add([" ".join(stems(name))], number)
        elif value.casefold() in _YES:
            for word in stems(name):
                self.option_rows[word].append(row)
        else:
            self.details.add(stems(name), number)
            for word in (*grams(value), *_counted(name, value)):
                self.option_rows[word].append(row)
            self._add_measures(row, row + 1, name, value)

    def _add_measures(self, start: int, end: int, name: str, value: str) -> None:
        for amount, unit in measures_in(value):
            self.measures[unit].extend((row, amount, name) for row in range(start, end))

    # ------------------------------------------------------------ phrases

    def _enter(self, text: str, kind: EntryKind, products: Iterable[int], value: str = "", name: str = "") -> None:
        words = stems(text)
        if not words or len(words) > _LONGEST_PHRASE * 2:
            return
        entry = Entry(kind, value or text, np.array(sorted(set(products)), dtype=np.int32), name)
        self.phrases[" ".join(words)].append(entry)
        # "T-Shirt" is also written "tshirt", "smart watch" "smartwatch".
        if (
            len(words) == 2
            and kind in ("product", "category", "option")
            and all(word.isascii() and word.isalpha() for word in words)
        ):
            self.phrases["".join(words)].append(entry)

    def _name_phrases(self) -> None:
        brands: dict[str, list[int]] = defaultdict(list)
        names: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(self.products):
            for name in {product.name, *product.names.values()}:
                names[name].append(number)
            if product.brand:
                brands[product.brand].append(number)
            for known in {product.id, *(variant.sku for variant in product.variants)}:
                if len(known) >= (_SHORTEST_NUMBER_ID if known.isdigit() else _SHORTEST_ID):
                    self.phrases[_id_key(known)].append(Entry("id", known, np.array([number], dtype=np.int32)))
        for name, numbers in names.items():
            if not self._is_generic(name, numbers):
                self._enter(name, "product", numbers)
        self._name_beginnings(names)
        for brand, numbers in brands.items():
            if len(numbers) >= _BRAND_SHARE * self.holding(stems(brand)).size:
                self._enter(brand, "brand", numbers)
        self._option_phrases()
        for table in (self.attribute_names, self.option_names):
            for phrase, written in table.items():
                self.phrases[phrase].append(Entry("attribute", phrase, _NOTHING, sorted(written)[0]))

    def _is_generic(self, name: str, numbers: Sequence[int]) -> bool:
        """Whether a name is but a kind of thing, which other products are, too: "16GB USB Flash Drive"."""
        words = stems(name)
        if not words or len(words) > _LONGEST_GENERIC or any(self.names.count(word) <= self.rare for word in words):
            return False
        return self.holding(words).size > len(numbers)

    def _name_beginnings(self, names: Mapping[str, Sequence[int]]) -> None:
        """What a product is called for short: "Aria 2" of "Aria 2 Pro Wireless Lamp", where such a first word is rare."""
        begin: dict[str, set[int]] = defaultdict(set)
        for name, numbers in names.items():
            words = stems(name)
            branded = stems(self.products[numbers[0]].brand)
            if branded and words[: len(branded)] == branded:
                continue
            if len(words) < 3 or self.names.count(words[0]) > self.rare and words[0] not in passed_over():
                continue
            for length in range(2, min(len(words), _LONGEST_PHRASE)):
                if not passed_over().issuperset(words[:length]):
                    begin[" ".join(words[:length])].update(numbers)
        for phrase, found in begin.items():
            if phrase not in self.phrases:
                self.phrases[phrase].append(Entry("product", phrase, np.array(sorted(found), dtype=np.int32)))

    def _option_phrases(self) -> None:
        for name, values in self.options.items():
            if {value.casefold() for value in values} <= _NO | _YES:
                rows = [row for value in values if value.casefold() in _YES for row in values[value]]
                self._enter(name, "flag", self.rows.product[rows].tolist(), "yes", name)
                continue
            for value, rows in values.items():
                products = self.rows.product[sorted(rows)].tolist()
                self._enter(value, "option", products, value, name)
                for other in _same_en(value):
                    self._enter(other, "option", products, value, name)

    def _add_categories(self) -> None:
        members: dict[str, list[int]] = defaultdict(list)
        for number, product in enumerate(self.products):
            for label in {product.category, *product.categories.values()} - {""}:
                members[label].append(number)
        for label, numbers in members.items():
            parts = [part.strip() for part in _PARTS.split(label) if part.strip()]
            self._enter(label, "category", self._narrowed(label, numbers, 0.6))
            for part in parts if len(parts) > 1 else ():
                self._enter(part, "category", self._narrowed(part, numbers, 0.0))
        listed = {phrase for phrase in self.phrases if any(entry.kind == "category" for entry in self.phrases[phrase])}
        for head in self.heads:
            if head not in listed:
                self.phrases[head].append(Entry("kind", head, self.heads.get(head)))
        for end, found in self.chinese.items():
            if " ".join(end) not in listed:
                self._add_chinese_kind(end, sorted(found))

    def _narrowed(self, label: str, members: Sequence[int], least: float) -> list[int]:
        """Those of a category whose names end with it, where most do: a liner in "sleeping bags" is none itself.

        For a part of a label ("coffee" of "kettles and coffee"), else those whose names hold it, else all.
        """
        words = set(stems(label))
        ending = (
            self.chinese.get(label, set()) if _HAN.search(label) else set(self.heads.get(stems(label)[-1]).tolist())
        )
        for same in (
            ending,
            {number for number in members if words <= self.name_words[number]} if least == 0 else set(),
        ):
            found = [
                number
                for number in members
                if number in same and (_HAN.search(label) or words <= self.name_words[number])
            ]
            if found and len(found) >= least * len(members):
                return found
        return list(members)

    def _add_chinese_kind(self, end: str, numbers: list[int]) -> None:
        """A kind of thing by the end of its names; by a single character only if that lies in one category."""
        array = np.array(numbers, dtype=np.int32)
        if len(end) > 1:
            self.phrases[" ".join(end)].append(Entry("kind", end, array))
            return
        categories = [self.products[number].category for number in numbers]
        most = max(set(categories), key=categories.count)
        if len(numbers) >= 2 and categories.count(most) >= 0.8 * len(categories):
            for phrase in (end, f"{end} 子"):
                self.phrases[phrase].append(Entry("kind", end, array))

    def _add_translations(self) -> None:
        """Chinese words of colours, sizes, materials: the same entries as the English word that the catalog holds."""
        for chinese, english in words_table()["same"].items():
            key = " ".join(chinese)
            if key in self.phrases:
                continue
            for other in english.split("|"):
                words = stems(other)
                entries = [entry for entry in self.phrases.get(" ".join(words), ()) if entry.kind in ("option", "flag")]
                if not entries and all(self._holds(word) for word in words):
                    entries = [Entry("word", other, _NOTHING)]
                if entries:
                    self.phrases[key].extend(entries)
                    self._longest[key[0]] = max(self._longest.get(key[0], 0), len(chinese))
                    break

        for chinese, english in words_table()["asked"].items():
            known = next((name for other in english.split("|") if (name := self.property_named(other))), "")
            if known and not chinese.isascii() and " ".join(chinese) not in self.phrases:
                self._longest[chinese[0]] = max(self._longest.get(chinese[0], 0), len(chinese))
                self.phrases[" ".join(chinese)].append(Entry("attribute", known, _NOTHING, known))

    # ------------------------------------------------------------ looking up

    def property_named(self, name: str) -> str:
        """The option or attribute of this name as the catalog writes it; "" if there is none."""
        phrase = " ".join(stems(name))
        written = self.option_names.get(phrase) or self.attribute_names.get(phrase)
        return sorted(written)[0] if written else ""

    def is_flag(self, name: str) -> bool:
        """Whether a property is one that a thing has or lacks: some product says no to it, or all say yes."""
        phrase = " ".join(stems(name))
        values = {value.casefold() for value in self.options.get(name, ())}
        return phrase in self.no_names or bool(values and values <= _NO | _YES) or phrase in self.only_yes

    def yes_values(self, name: str) -> list[str]:
        """The values of an option that say yes."""
        return [value for value in self.options.get(name, ()) if value.casefold() in _YES]

    def properties_of(self, numbers: Sequence[int]) -> list[str]:
        """Names of options, then of attributes, that these products have."""
        products = [self.products[number] for number in numbers]
        return list(
            dict.fromkeys([*self.options_of(numbers), *(name for product in products for name in product.attributes)])
        )

    def options_of(self, numbers: Iterable[int]) -> list[str]:
        """Names of the options of these products."""
        variants = (variant for number in numbers for variant in self.products[number].variants)
        return list(dict.fromkeys(name for variant in variants for name in variant.options))

    def longest(self, words: Sequence[str], start: int) -> tuple[int, list[Entry]]:
        """The longest phrase that begins at `start`: how many words, and what it names; (0, []) if there is none."""
        for length in range(min(self._longest.get(words[start], 0), len(words) - start), 0, -1):
            entries = self.phrases.get(" ".join(words[start : start + length]))
            if entries:
                return length, entries
        return 0, []

    def knows(self, word: str) -> bool:
        """Whether any text of the catalog holds the word."""
        return word in self.names or word in self.option_rows or word in self.details or word in self.texts

    def holding(self, words: Sequence[str]) -> Ints:
        """Products with all these words in name, attributes or options."""
        found: Ints | None = None
        for word in grams("".join(words)) if is_han(words[0]) else words:
            chosen = self.rows.product[self.option_rows.get(word, [])]
            these = np.union1d(np.union1d(self.names.get(word), self.details.get(word)), chosen).astype(np.int32)
            found = these if found is None else np.intersect1d(found, these)
        return _NOTHING if found is None else found

    def holding_in_names(self, words: Sequence[str]) -> Ints:
        """Products with all these words in their names, brands or categories."""
        found: Ints | None = None
        for word in dict.fromkeys(words):
            these = self.names.get(word)
            found = these if found is None else np.intersect1d(found, these)
        return _NOTHING if found is None else found

    def _holds(self, word: str) -> bool:
        return word in self.names or word in self.details or word in self.option_rows

    def weight(self, word: str) -> float:
        """How telling a word is, in (0, 1]: its inverse document frequency as a share of the largest."""
        count = self.names.count(word) + self.details.count(word) + len(self.option_rows.get(word, ()))
        count = count if count else self.texts.count(word)
        return math.log(1 + len(self.products) / (1 + count)) / math.log(1 + len(self.products))


_NOTHING: Ints = np.array([], dtype=np.int32)


def heads_of(name: str, brand: str = "") -> tuple[set[str], str]:
    """The kinds of thing an English name is, most often one, and the words to show a sentence model for it.

    "Bose Speaker System - AM53BK" is a system; "Travel Mug Set, red" a set and a mug. Empty if it has no noun.
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


def _counted(name: str, value: str) -> list[str]:
    """The measure that a bare number under a unit's name is: pieces 500 is "500 pieces"."""
    measure = read_measure(f"{value} {stems(name)[-1]}") if value.isdigit() and stems(name) else None
    return [] if measure is None else [measure]


def _same_en(value: str) -> list[str]:
    other: Mapping[str, str] = words_table()["same_en"]
    return [other[value.casefold()]] if value.casefold() in other else []


def _id_key(known: str) -> str:
    return known.lower() if known.isascii() and known.isalnum() else " ".join(stems(known)) or known

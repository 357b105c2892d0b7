"""Where words stand: word → products, and the variants of all products side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shopbot.types import Product

Ints = NDArray[np.int32]
Mask = NDArray[np.bool_]
NOTHING: Ints = np.array([], dtype=np.int32)
EntryKind = Literal["id", "product", "category", "kind", "brand", "option", "flag", "attribute", "word"]
THINGS: tuple[EntryKind, ...] = ("id", "product", "category", "kind")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase names. `products` are indices into the catalog; `name` is the option's or attribute's name.

    A "category" is one of the catalog's own, a "kind" the noun of product names, a "flag" an option of yes and no, an
    "id" the id of a product or a variant.
    """

    kind: EntryKind
    value: str
    products: Ints
    name: str = ""


def indices(products: Iterable[int]) -> Ints:
    """Indices of products, sorted, each once."""
    return np.array(sorted(set(products)), dtype=np.int32)


class Rows:
    """The variants of all products side by side: `product` (index), `price` (nan: unknown), `available`.

    The rows of product i are `first[i]` to `first[i + 1]`, its variants in order.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        self.variants = [variant for product in products for variant in product.variants]
        counts = [len(product.variants) for product in products]
        self.product: Ints = np.repeat(np.arange(len(products), dtype=np.int32), counts)
        prices = [math.nan if variant.price is None else float(variant.price) for variant in self.variants]
        self.price = np.array(prices, dtype=np.float64)
        self.available: Mask = np.array([variant.available for variant in self.variants], dtype=bool)
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)

    def __len__(self) -> int:
        return len(self.variants)

    def of(self, products: Ints | Sequence[int]) -> Mask:
        """A mask over the rows of these products."""
        chosen = np.zeros(len(self.first) - 1, dtype=bool)
        chosen[products] = True
        return chosen[self.product]


class Postings:
    """Word → products (sorted indices), filled product by product."""

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)


def held_by_all(arrays: Iterable[Ints]) -> Ints:
    """The products that are in every array; none where there are no arrays."""
    found: Ints | None = None
    for array in arrays:
        found = array if found is None else np.intersect1d(found, array)
    return NOTHING if found is None else found

"""A query as constraints on the rows of a catalog, and the rows that satisfy them as far as any do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopbot.lookup.operators import Bound
from shopbot.lookup.postings import Ints, Mask
from shopbot.lookup.query import ProductQuery
from shopbot.lookup.tokens import grams, stems
from shopbot.lookup.vocabulary import Vocabulary
from shopbot.types import Language

Fit = NDArray[np.float32]
IN_STOCK: dict[Language, str] = {"en": "in stock", "zh": "有货"}
# How firmly a constraint holds on when not all can: the weakest is dropped first.
THING, SKU = 20.0, 20.0
_PRICE, _BRAND, _OPTION, _WITHOUT, _STOCK, _BOUND, _WORD, _TERM = 12.0, 10.0, 8.0, 8.0, 7.5, 7.0, 6.0, 4.0
_ALIKE = 6.0
_WEAK = 0.6
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class Constraint:
    """A part of a query with a value for each row: 1 fits, `_WEAK` fits by the description only, 0 does not fit."""

    label: str
    weight: float
    fit: Fit


def constraints(query: ProductQuery, vocabulary: Vocabulary) -> list[Constraint]:
    """The constraints of a query; which things it is about is none of them."""
    fits = Fits(vocabulary)
    zh = query.language == "zh"
    made = [Constraint(phrase, _WORD, fits.phrase(phrase)) for phrase in query.words]
    made += [Constraint(phrase, _TERM * fits.telling(phrase), fits.phrase(phrase)) for phrase in query.terms]
    for name, values in query.options.items():
        made.append(Constraint(", ".join(values), _OPTION, fits.option(name, values)))
    for phrase in query.without:
        label = f"不含{phrase}" if zh else f"not {phrase}"
        made.append(Constraint(label, _WITHOUT, 1 - np.ceil(fits.phrase(phrase))))
    made += [Constraint(_bound_label(bound, zh), _BOUND, fits.bound(bound)) for bound in query.bounds]
    if query.skus:
        made.append(Constraint(", ".join(query.skus), SKU, fits.skus(query.skus)))
    if query.brands:
        made.append(Constraint(", ".join(query.brands), _BRAND, fits.brands(query.brands)))
    return [*made, *_prices(query, vocabulary)]


def _prices(query: ProductQuery, vocabulary: Vocabulary) -> Iterator[Constraint]:
    rows, zh = vocabulary.rows, query.language == "zh"
    if query.max_price is not None:
        label = f"{query.max_price:f}以下" if zh else f"up to {query.max_price:f}"
        yield Constraint(label, _PRICE, as_fit(rows.price <= float(query.max_price)))
    if query.min_price is not None:
        label = f"{query.min_price:f}以上" if zh else f"from {query.min_price:f}"
        yield Constraint(label, _PRICE, as_fit(rows.price >= float(query.min_price)))
    if query.in_stock:
        yield Constraint(IN_STOCK[query.language], _STOCK, as_fit(rows.available))


def _bound_label(bound: Bound, zh: bool) -> str:
    if bound.low is None:
        return f"{bound.high:g} {bound.unit}以下" if zh else f"up to {bound.high:g} {bound.unit}"
    return f"{bound.low:g} {bound.unit}以上" if zh else f"at least {bound.low:g} {bound.unit}"


def as_fit(mask: Mask) -> Fit:
    """A mask as a fit of 0 and 1."""
    return mask.astype(np.float32)


class Fits:
    """How the rows of one catalog fit a phrase, an option, a brand, a bound."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._rows = vocabulary.rows
        self._properties = vocabulary.properties

    def telling(self, phrase: str) -> float:
        """How telling a phrase is, in (0, 1]: as its most telling word."""
        return max((self._vocabulary.weight(word) for word in grams(phrase)), default=1.0)

    def phrase(self, phrase: str) -> Fit:
        """Rows whose name, attributes or own options hold every word; weakly, those whose description does."""
        fit = np.ones(len(self._rows), dtype=np.float32)
        for word in grams(phrase) or (phrase,):
            told = np.setdiff1d(self._vocabulary.texts.get(word), self._properties.lacks.get(word))
            weak = np.where(self._rows.of(told), _WEAK, 0.0)
            fit = np.minimum(fit, np.where(self._holding(word), 1.0, weak).astype(np.float32))
        return fit

    def _holding(self, word: str) -> Mask:
        """Rows that hold a word; of a product whose options say it, only the variants that are so."""
        own = np.zeros(len(self._rows), dtype=bool)
        own[self._properties.option_rows.get(word, [])] = True
        held = np.union1d(self._vocabulary.names.get(word), self._properties.details.get(word))
        for other in (self._rows.product[own], self._properties.lacks.get(word)):
            held = np.setdiff1d(held, other)
        return own | self._rows.of(held)

    def option(self, name: str, values: Sequence[str]) -> Fit:
        """Rows with one of the values, of this option or of a like-named one; else rows that hold its words."""
        options = self._properties.options
        names = [other for other in options if other == name or set(stems(name)) <= set(stems(other))]
        exact, having = np.zeros(len(self._rows), dtype=bool), np.zeros(len(self._rows), dtype=bool)
        for other in names:
            for value, rows in options[other].items():
                having[rows] = True
                if value in values:
                    exact[rows] = True
        others = np.max([self.phrase(value) for value in values], axis=0)
        # A variant that has the option, but with another value, fits at most weakly: "gold" is not "rose gold".
        return np.where(exact, 1.0, np.where(having, np.minimum(others, _WEAK), others)).astype(np.float32)

    def brands(self, brands: Sequence[str]) -> Fit:
        """Rows of these brands; weakly, rows whose names hold one."""
        wanted = {stems(brand) for brand in brands}
        own = enumerate(stems(product.brand) for product in self._vocabulary.products)
        numbers = [number for number, brand in own if brand and brand in wanted]
        named = np.max([self.phrase(brand) for brand in brands], axis=0)
        return np.maximum(as_fit(self._rows.of(numbers)), np.minimum(named, _WEAK))

    def skus(self, skus: Sequence[str]) -> Fit:
        """The variants with these ids."""
        return as_fit(np.array([variant.sku in skus for variant in self._rows.variants], dtype=bool))

    def bound(self, bound: Bound) -> Fit:
        """Rows with a measure within the bound."""
        low = -math.inf if bound.low is None else bound.low
        high = math.inf if bound.high is None else bound.high
        fit = np.zeros(len(self._rows), dtype=np.float32)
        fit[[row for row, amount, _ in self._properties.measures.get(bound.unit, ()) if low <= amount <= high]] = 1
        return fit

    def measure(self, fit: Mask, name: str, end: str) -> NDArray[np.float64]:
        """Each product's least measure of a property over the rows of a mask, negated where the most is wanted.

        inf where it has none.
        """
        least = np.full(len(self._vocabulary.products), np.inf)
        for found in self._properties.measures.values():
            for row, amount, own in found:
                if own == name and fit[row]:
                    number = self._rows.product[row]
                    least[number] = min(least[number], -amount if end == "high" else amount)
        return least


@dataclass(frozen=True, slots=True)
class Most:
    """The rows of a scope that satisfy the most of some constraints, and how much weight that is."""

    rows: Mask
    weight: float


def most(scope: Mask, held: Sequence[Constraint]) -> Most:
    """The rows in scope that satisfy the most weight of the constraints; none where the scope is empty."""
    weight = np.sum([one.weight * one.fit for one in held], axis=0)
    best = float(weight[scope].max()) if scope.any() else 0.0
    return Most(scope & (weight >= best - _CLOSE), best)


def named_weight(query: ProductQuery, vocabulary: Vocabulary) -> float:
    """How firmly the things of a query are meant, when other things satisfy more of it.

    Less firmly where they were read from another word for them, or from a piece of a name that says little of it.
    """
    if not query.products:
        return _ALIKE if query.alike else THING
    said, weight = set(grams(query.text)), vocabulary.weight
    numbers = [number for number, one in enumerate(vocabulary.products) if one.id in query.products]
    names = [vocabulary.name_words[number] for number in numbers]
    shares = [sum(map(weight, words & said)) / (sum(map(weight, words)) or 1.0) for words in names]
    return THING * max(shares, default=1.0)


def firmest(scope: Mask, held: Sequence[Constraint], thing: float) -> tuple[Mask, tuple[str, ...], float]:
    """The rows in scope that satisfy the most weight, what they leave unsatisfied, and their share of the weight.

    `thing` is the weight of what all rows in scope fulfil already. What is said to be unsatisfied holds for all rows.
    """
    if not scope.any() or not held:
        return scope, (), 1.0
    fit, best = (found := most(scope, held)).rows, found.weight
    row = int(np.flatnonzero(fit)[0])
    for one in held:  # rows of the same weight may have dropped something else
        fit &= (one.fit > 0) == (one.fit[row] > 0)
    relaxed = tuple(one.label for one in held if one.fit[row] == 0)
    return fit, relaxed, float((best + thing) / (sum(one.weight for one in held) + thing))


def of_kinds(categories: Sequence[str], vocabulary: Vocabulary) -> Ints:
    """The products of any of these kinds, given as phrases."""
    found = [
        entry.products
        for label in categories
        for entry in vocabulary.phrases.get(" ".join(stems(label)), ())
        if entry.kind in ("category", "kind", "product")
    ]
    return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int32)

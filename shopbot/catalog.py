"""The query behind search, compare, cheapest and in stock: a question's words, matched with the catalog's own.

No word list of any shop is here: categories, names, brands, options and attributes all come from the products.
All constraints of a query must hold; where no row fits, the weakest are dropped, and the result says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopbot.operators import Bound
from shopbot.query import Hit, Mention, MentionKind, ProductQuery, SearchResult
from shopbot.reading import Reader, phrase_of
from shopbot.scan import Item
from shopbot.tokens import grams, is_han, stems
from shopbot.types import Language, Order, Product
from shopbot.vocabulary import Ints, Vocabulary

__all__ = ["Catalog", "Hit", "Mention", "ProductQuery", "SearchResult", "orders_matching"]

Mask = NDArray[np.bool_]
# How firmly a constraint holds on when not all can: the weakest is dropped first.
_THING = 20.0
_SKU = 20.0
_STOCK, _PRICE, _BRAND, _OPTION, _WITHOUT, _BOUND, _WORD, _TERM = 14.0, 12.0, 10.0, 8.0, 8.0, 7.0, 6.0, 4.0
_WEAK = 0.6
_IN_STOCK: dict[Language, str] = {"en": "in stock", "zh": "有货"}
_MOST_COVERED = 2000


@dataclass(frozen=True, slots=True)
class Constraint:
    """A part of a query as a value for each row: 1 fits, `_WEAK` fits by the description only, 0 does not fit."""

    label: str
    weight: float
    fit: NDArray[np.float32]


class Catalog:
    """A shop's products and the questions that can be asked of them.

    `similar(words)` returns unit vectors (n, d), float32, of a sentence model that reads `languages`; without it,
    another word for a thing is not understood. `known` holds ordinary words of the language, which are never taken
    for misspelt ones. `synonyms` are the shop's own: a word its shoppers use → a word of the catalog. The vocabulary
    is built at the first question.
    """

    def __init__(
        self,
        products: Iterable[Product],
        similar: Callable[[list[str]], NDArray[np.float32]] | None = None,
        known: Container[str] = frozenset(),
        languages: Collection[str] = ("en",),
        synonyms: Mapping[str, str] | None = None,
    ) -> None:
        self.products = tuple(products)
        self._similar = similar
        self._known = known
        self._languages = tuple(languages)
        self._synonyms = dict(synonyms or {})

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of this catalog."""
        return Vocabulary(self.products, self._synonyms)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.vocabulary, self._known, self._similar, self._languages)

    def parse(self, text: str, language: Language = "en") -> ProductQuery:
        """Read a question into a query."""
        return self._reader.read(text, language)[0]

    # ------------------------------------------------------------ searching

    def search(self, query: ProductQuery, limit: int = 5) -> SearchResult:
        """Products that fit all constraints of the query, best first, each with the variants that fit.

        Where none fits all, those that fit the firmest, with what was dropped in `relaxed`. Empty, with the unknown
        words, where the thing asked for is not in the catalog.
        """
        if query.compare:
            return self._search_sides(query, limit)
        scope = self._scope(query)
        if scope is None:
            return SearchResult(unknown=query.unknown or query.terms)
        constraints = self._constraints(query)
        bare = not (query.products or query.categories)
        fit, relaxed, share = _firmest(scope, constraints, 0.0 if bare else _THING)
        if not fit.any() or (bare and share < 0.5):
            return SearchResult(unknown=query.unknown or (*query.terms, *query.words))
        return self._result(query, fit, relaxed, share, limit)

    def _search_sides(self, query: ProductQuery, limit: int) -> SearchResult:
        """The best hits of each side of a comparison, in the order of the question."""
        each = max(1, limit // (len(query.compare) * 2)) if len(query.compare) > 2 else 1
        found = [self.search(side, each) for side in query.compare]
        hits = tuple(hit for result in found for hit in result)
        if any(side.sort for side in query.compare):
            hits = tuple(replace(hit, variants=hit.variants[:1]) for hit in hits)
        relaxed = tuple(dict.fromkeys(label for result in found for label in result.relaxed))
        return SearchResult(hits[:limit], relaxed, query.unknown, len(hits))

    def _scope(self, query: ProductQuery) -> Mask | None:
        """The rows of the things named; all rows where none is but something else is asked; None if nothing is."""
        vocabulary = self.vocabulary
        if query.products:
            numbers = [self._numbers[one] for one in query.products if one in self._numbers]
            return vocabulary.rows.of(numbers) if numbers else None
        if query.categories:
            return vocabulary.rows.of(self._of_kinds(query.categories))
        narrowed = not query.names_nothing
        bounded = (
            query.sort or query.in_stock or query.max_price is not None or query.min_price is not None or query.bounds
        )
        return (
            np.ones(len(vocabulary.rows.variants), dtype=bool) if not query.unknown and (narrowed or bounded) else None
        )

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {product.id: number for number, product in enumerate(self.products)}

    def _of_kinds(self, categories: Sequence[str]) -> Ints:
        found = [
            entry.products
            for label in categories
            for entry in self.vocabulary.phrases.get(" ".join(stems(label)), ())
            if entry.kind in ("category", "kind", "product")
        ]
        return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int32)

    # ------------------------------------------------------------ constraints

    def _constraints(self, query: ProductQuery) -> list[Constraint]:
        rows, zh = self.vocabulary.rows, query.language == "zh"
        made = [Constraint(", ".join(query.skus), _SKU, self._fit_skus(query.skus))] if query.skus else []
        made += [Constraint(phrase, _WORD, self._fit(phrase)) for phrase in query.words]
        made += [Constraint(phrase, _TERM * self._telling(phrase), self._fit(phrase)) for phrase in query.terms]
        made += [
            Constraint(", ".join(values), _OPTION, self._fit_option(name, values))
            for name, values in query.options.items()
        ]
        made += [
            Constraint(f"不含{phrase}" if zh else f"not {phrase}", _WITHOUT, 1 - np.ceil(self._fit(phrase)))
            for phrase in query.without
        ]
        made += [Constraint(_bound_label(bound, zh), _BOUND, self._fit_bound(bound)) for bound in query.bounds]
        if query.brands:
            made.append(Constraint(", ".join(query.brands), _BRAND, self._fit_brand(query.brands)))
        with np.errstate(invalid="ignore"):
            if query.max_price is not None:
                label = f"{query.max_price:f}以下" if zh else f"up to {query.max_price:f}"
                made.append(Constraint(label, _PRICE, _as_fit(rows.price <= float(query.max_price))))
            if query.min_price is not None:
                label = f"{query.min_price:f}以上" if zh else f"from {query.min_price:f}"
                made.append(Constraint(label, _PRICE, _as_fit(rows.price >= float(query.min_price))))
        if query.in_stock:
            made.append(Constraint(_IN_STOCK[query.language], _STOCK, _as_fit(rows.available)))
        return made

    def _telling(self, phrase: str) -> float:
        return max((self.vocabulary.weight(word) for word in grams(phrase)), default=1.0)

    def _fit(self, phrase: str) -> NDArray[np.float32]:
        """Rows whose name, attributes or own options hold every word; weakly, those whose description does."""
        vocabulary = self.vocabulary
        fit = np.ones(len(vocabulary.rows.variants), dtype=np.float32)
        for word in grams(phrase) or (phrase,):
            strong = self._holding(word)
            weak = vocabulary.rows.of(np.setdiff1d(vocabulary.texts.get(word), vocabulary.lacks.get(word)))
            fit = np.minimum(fit, np.where(strong, 1.0, np.where(weak, _WEAK, 0.0)).astype(np.float32))
        return fit

    def _holding(self, word: str) -> Mask:
        """Rows that hold a word; of a product whose options say it, only the variants that are so."""
        vocabulary = self.vocabulary
        own = np.zeros(len(vocabulary.rows.variants), dtype=bool)
        own[vocabulary.option_rows.get(word, [])] = True
        chosen_by = np.unique(vocabulary.rows.product[own])
        held = np.union1d(vocabulary.names.get(word), vocabulary.details.get(word))
        held = np.setdiff1d(np.setdiff1d(held, chosen_by), vocabulary.lacks.get(word))
        return own | vocabulary.rows.of(held)

    def _fit_option(self, name: str, values: Sequence[str]) -> NDArray[np.float32]:
        """Rows with one of the values, of this option or of a like-named one; else rows that hold its words."""
        vocabulary = self.vocabulary
        exact = np.zeros(len(vocabulary.rows.variants), dtype=bool)
        names = {name, *(other for other in vocabulary.options if set(stems(name)) <= set(stems(other)))}
        for other in names:
            for value in values:
                exact[list(vocabulary.options.get(other, {}).get(value, ()))] = True
        having = np.zeros(len(exact), dtype=bool)
        having[[row for other in names for rows in vocabulary.options.get(other, {}).values() for row in rows]] = True
        others = np.max([self._fit(value) for value in values], axis=0)
        return np.where(exact, 1.0, np.where(having, np.minimum(others, _WEAK), others)).astype(np.float32)

    def _fit_brand(self, brands: Sequence[str]) -> NDArray[np.float32]:
        wanted = {stems(brand) for brand in brands}
        numbers = [
            number for number, product in enumerate(self.products) if product.brand and stems(product.brand) in wanted
        ]
        named = np.max([self._fit(brand) for brand in brands], axis=0)
        return np.maximum(_as_fit(self.vocabulary.rows.of(numbers)), np.minimum(named, _WEAK))

    def _fit_skus(self, skus: Sequence[str]) -> NDArray[np.float32]:
        return _as_fit(np.array([variant.sku in skus for variant in self.vocabulary.rows.variants], dtype=bool))

    def _fit_bound(self, bound: Bound) -> NDArray[np.float32]:
        low, high = -math.inf if bound.low is None else bound.low, math.inf if bound.high is None else bound.high
        fit = np.zeros(len(self.vocabulary.rows.variants), dtype=np.float32)
        fit[[row for row, amount, _ in self.vocabulary.measures.get(bound.unit, ()) if low <= amount <= high]] = 1
        return fit

    # ------------------------------------------------------------ the result

    def _result(
        self, query: ProductQuery, fit: Mask, relaxed: tuple[str, ...], share: float, limit: int
    ) -> SearchResult:
        rows = self.vocabulary.rows
        sold_out = None
        if query.sort:
            fit = fit & ~np.isnan(rows.price) if (fit & ~np.isnan(rows.price)).any() else fit
            if (fit & rows.available).any():
                sold_out = self._cheaper_sold_out(query, fit)
                fit = fit & rows.available
            else:
                relaxed = (*relaxed, _IN_STOCK[query.language])
        numbers = np.unique(rows.product[fit])
        scores = self._coverage(query, numbers) * share
        order = self._order(query, fit, numbers, scores)
        hits = [self._hit(query, fit, int(numbers[place]), float(scores[place])) for place in order[:limit]]
        return SearchResult(tuple(hits), relaxed, query.unknown, len(numbers), sold_out)

    def _order(self, query: ProductQuery, fit: Mask, numbers: Ints, scores: NDArray[np.float64]) -> NDArray[np.intp]:
        """By price where that is asked; else by score, what can be bought first."""
        rows = self.vocabulary.rows
        best = np.full(len(self.products), np.inf)
        with np.errstate(invalid="ignore"):
            np.fmin.at(best, rows.product[fit], rows.price[fit] if query.sort != "dearest" else -rows.price[fit])
        buyable = np.zeros(len(self.products), dtype=bool)
        buyable[rows.product[fit & rows.available]] = True
        if query.rank is not None:
            return np.lexsort((numbers, self._measure(fit, *query.rank)[numbers]))
        if query.sort:
            return np.lexsort((numbers, -scores, best[numbers]))
        return np.lexsort((numbers, ~buyable[numbers], -scores.round(3)))

    def _measure(self, fit: Mask, name: str, end: str) -> NDArray[np.float64]:
        """Each product's least measure of a property, negated where the most is wanted; inf where it has none."""
        least = np.full(len(self.products), np.inf)
        for found in self.vocabulary.measures.values():
            for row, amount, own in found:
                if own == name and fit[row]:
                    number = self.vocabulary.rows.product[row]
                    least[number] = min(least[number], -amount if end == "high" else amount)
        return least

    def _hit(self, query: ProductQuery, fit: Mask, number: int, score: float) -> Hit:
        first, last = self.vocabulary.rows.first[number], self.vocabulary.rows.first[number + 1]
        variants = [self.vocabulary.rows.variants[row] for row in range(first, last) if fit[row]]
        if query.sort:
            sign = -1 if query.sort == "dearest" else 1
            variants.sort(key=lambda variant: (variant.price is None, sign * (variant.price or 0)))
        return Hit(self.products[number], tuple(variants), round(score, 4))

    def _cheaper_sold_out(self, query: ProductQuery, fit: Mask) -> Hit | None:
        """The best row that is sold out, if it beats all that can be bought."""
        rows = self.vocabulary.rows
        if query.sort != "cheapest" or query.in_stock:
            return None
        gone = fit & ~rows.available
        if not gone.any() or rows.price[gone].min() >= rows.price[fit & rows.available].min():
            return None
        row = int(np.flatnonzero(gone)[rows.price[gone].argmin()])
        return Hit(self.products[int(rows.product[row])], (rows.variants[row],), 1.0)

    def _coverage(self, query: ProductQuery, numbers: Ints) -> NDArray[np.float64]:
        """How much of each product's name was asked for, by the weight of its words; within [0.5, 1]."""
        asked = set(grams(query.text))
        if not asked or len(numbers) > _MOST_COVERED:
            return np.ones(len(numbers))
        shares = []
        for number in numbers.tolist():
            weights = {word: self.vocabulary.weight(word) for word in self.vocabulary.name_words[number]}
            whole = sum(weights.values())
            shares.append(0.5 + 0.5 * sum(weights[word] for word in weights if word in asked) / whole if whole else 0.5)
        return np.array(shares)

    # ------------------------------------------------------------ places in a text

    def mentions(self, text: str, language: Language = "en", kin: bool = True) -> list[Mention]:
        """Places in the text that name something of the catalog, in order and without overlap.

        Without `kin` the sentence model is not asked for other words for things.
        """
        items = self._reader.read(text, language, kin)[1]
        return [self._mention(item) for item in items if item.kind != "unknown"]

    def _mention(self, item: Item) -> Mention:
        entry = item.entries[0] if item.entries else None
        if entry is None:
            named = self.vocabulary.names.get(item.words[0]) if self._tells(item) else ()
            return Mention(item.start, item.end, "term", phrase_of(item), products=self._ids(named), score=0.6)
        kind = _KINDS[entry.kind]
        ids = self._ids(item.products(entry.kind)) if kind in ("product", "category") else ()
        return Mention(item.start, item.end, kind, entry.value, entry.name, ids)

    def _tells(self, item: Item) -> bool:
        return self._reader.is_rare(item)

    def _ids(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.products[int(number)].id for number in list(numbers)[:_MOST_COVERED])

    def mask(self, text: str, language: Language = "en") -> str:
        """The text with what names products replaced by "item" or "商品", for reading its intent."""
        word = "商品" if language == "zh" else "item"
        pieces, last = [], 0
        for start, end in self._thing_spans(text, language):
            pieces += [text[last:start], word]
            last = end
        return "".join([*pieces, text[last:]])

    def _thing_spans(self, text: str, language: Language) -> list[tuple[int, int]]:
        """Where things are named, each with the words of the catalog that touch it."""
        items = self._reader.read(text, language, kin=False)[1]
        spans: list[list[Item]] = []
        for item in items:
            if item.kind == "unknown":
                continue
            if spans and item.adjacent and not item.joined and spans[-1][-1].end >= item.start - 1:
                spans[-1].append(item)
            else:
                spans.append([item])
        named = (
            group
            for group in spans
            if any(item.entry("id", "product", "category", "kind", "brand") or self._tells(item) for item in group)
        )
        return [(group[0].start, group[-1].end) for group in named]


_KINDS: dict[str, MentionKind] = {
    "id": "product",
    "product": "product",
    "category": "category",
    "kind": "category",
    "brand": "brand",
    "option": "option",
    "flag": "option",
    "attribute": "attribute",
    "word": "term",
}


def _as_fit(mask: Mask) -> NDArray[np.float32]:
    return mask.astype(np.float32)


def _bound_label(bound: Bound, zh: bool) -> str:
    low, high = bound.low, bound.high
    if low is None:
        return f"{high:g} {bound.unit}以下" if zh else f"up to {high:g} {bound.unit}"
    return f"{low:g} {bound.unit}以上" if zh else f"at least {low:g} {bound.unit}"


def _firmest(scope: Mask, constraints: Sequence[Constraint], thing: float) -> tuple[Mask, tuple[str, ...], float]:
    """The rows in scope that satisfy the most weight, what they leave unsatisfied, and their share of the weight.

    `thing` is the weight of what all rows in scope fulfil already.
    """
    if not scope.any() or not constraints:
        return scope, (), 1.0
    held = sum((one.weight * one.fit for one in constraints), np.zeros(len(scope), dtype=np.float32))
    best = held[scope].max()
    fit = scope & (held >= best - 1e-4)
    row = int(np.flatnonzero(fit)[0])
    relaxed = tuple(one.label for one in constraints if one.fit[row] == 0)
    # Rows of the same weight may have dropped something else; what is said of the result must hold for all of it.
    for one in constraints:
        fit &= (one.fit > 0) == (one.fit[row] > 0)
    return fit, relaxed, float((best + thing) / (sum(one.weight for one in constraints) + thing))


def orders_matching(orders: Sequence[Order], text: str, catalog: Catalog | None = None) -> list[Order]:
    """Those of a shopper's orders that hold a product named in the text, in the order given; [] if none is named.

    An item is meant by its id or sku, by words of its name, or, with a catalog, by what the catalog knows it as.
    Where some orders hold all the words and others only some, the first alone are meant.
    """
    asked = set(grams(text))
    meant = _meant_products(text, catalog)
    scores = [max((_item_score(item.name, asked) for item in order.items), default=0.0) for order in orders]
    scores = [
        1.0 + score if any(item.product_id in meant or item.sku.lower() in asked for item in order.items) else score
        for order, score in zip(orders, scores, strict=True)
    ]
    best = max(scores, default=0.0)
    return [order for order, score in zip(orders, scores, strict=True) if score >= 0.3 and score >= best - 1e-6]


def _meant_products(text: str, catalog: Catalog | None) -> frozenset[str]:
    if catalog is None:
        return frozenset()
    zh = any(is_han(char) for char in text)
    query = catalog.parse(text, "zh" if zh else "en")
    if not (query.products or query.categories):
        return frozenset()
    found = catalog.search(
        replace(query, aspect=None, sort=None, in_stock=False, compare=()), limit=len(catalog.products)
    )
    return frozenset(hit.product.id for hit in found)


def _item_score(name: str, asked: set[str]) -> float:
    """The share of a name's words that are asked for."""
    words = set(grams(name))
    return len(words & asked) / len(words) if words else 0.0

"""The query behind search, compare, cheapest and in stock: a question's words, matched with the catalog's own.

    catalog = Catalog(data.all_products())
    found = catalog.search(catalog.parse("the cheapest one in red"))

All constraints of a query must hold; where no row fits, the weakest are dropped, and the result says which. The parts
are in `shopbot/lookup`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopbot.lookup.constraints import (
    IN_STOCK,
    THING,
    Constraint,
    Fits,
    as_fit,
    constraints,
    firmest,
    most,
    named_weight,
    of_kinds,
)
from shopbot.lookup.postings import Ints, Mask
from shopbot.lookup.query import Hit, Mention, MentionKind, ProductQuery, SearchResult
from shopbot.lookup.reader import Reader
from shopbot.lookup.scan import Item
from shopbot.lookup.tokens import grams, is_han, number_of, stems
from shopbot.lookup.vocabulary import Vocabulary
from shopbot.order_match import naming, said_options
from shopbot.types import Language, Order, Product

__all__ = ["Catalog", "Hit", "Mention", "ProductQuery", "SearchResult", "orders_matching"]

_MOST_COVERED = 2000
_LEAST_SHARE = 0.5


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

    @property
    def unmatched_synonyms(self) -> Sequence[str]:
        """The shop's own words whose meaning names nothing in this catalog."""
        return self.vocabulary.unmatched_synonyms

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.vocabulary, self._known, self._similar, self._languages)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {product.id: number for number, product in enumerate(self.products)}

    def parse(self, text: str, language: Language = "en", about: Sequence[str] = ()) -> ProductQuery:
        """Read a question into a query; `about` are ids of the products meant, where it names none in our words."""
        numbers = [self._numbers[one] for one in about if one in self._numbers]
        return self._reader.read(text, language, about=numbers)[0]

    def product(self, product_id: str) -> Product | None:
        """The product with this id."""
        number = self._numbers.get(product_id)
        return None if number is None else self.products[number]

    # ------------------------------------------------------------ searching

    def search(self, query: ProductQuery, limit: int = 5, like: Sequence[str] = ()) -> SearchResult:
        """Products that fit all constraints of the query, best first, each with the variants that fit.

        Where none fits all, those that fit the firmest, with what was dropped in `relaxed`. Empty, with the unknown
        words, where the thing asked for is not in the catalog. `like` are ids of products that the question as a whole
        resembles: they are meant where it names none, and where they satisfy more of it than those it names.
        """
        if query.compare:
            return self._search_sides(query, limit)
        query = self._with_resembling(query, [one for one in like if one in self._numbers])
        scope = self._scope(query)
        if scope is None:
            return SearchResult(unknown=query.unknown or query.terms)
        bare = not (query.products or query.categories)
        held = constraints(query, self.vocabulary)
        fit, relaxed, share = firmest(scope, held, 0.0 if bare else THING)
        if query.categories and any(label in (*query.words, *query.terms) for label in relaxed):
            wider = firmest(self._kin_of(scope), held, THING)
            if not wider[1]:  # what is of one category with them has it
                fit, relaxed, share = wider[0], query.categories[-1:], wider[2]
        if not fit.any() or (bare and share < _LEAST_SHARE):
            return SearchResult(unknown=query.unknown or (*query.terms, *query.words))
        return self._result(query, fit, relaxed, share, limit)

    def _with_resembling(self, query: ProductQuery, like: Sequence[str]) -> ProductQuery:
        """The query about the products that it resembles, where these are meant rather than those it names."""
        if not like:
            return query
        if not (query.products or query.categories or query.brands):
            return _about(query, like)
        scope = self._scope(query)
        if scope is None or query.sort or query.rank:  # the first of all that are named, not of those that look alike
            return query
        rows, held = self.vocabulary.rows, constraints(query, self.vocabulary)
        named = Constraint("", named_weight(query, self.vocabulary), as_fit(scope))
        best = most(rows.of([self._numbers[one] for one in like]), [*held, named])
        if best.weight > most(scope, [*held, named]).weight:
            meant = np.unique(rows.product[best.rows]).tolist()
            return _about(query, [one for one in like if self._numbers[one] in meant])
        within = [one for one in like if scope[rows.first[self._numbers[one]]]]
        vague = query.unknown or firmest(scope, held, 0.0)[1]
        narrows = within and vague and query.aspect not in (None, "count")
        if narrows:  # unless another of what is named has more of what is asked
            own = most(rows.of([self._numbers[one] for one in within]), [*held, named])
            narrows = own.weight >= most(scope, [*held, named]).weight
        return _about(query, within) if narrows else query

    def is_wish(self, query: ProductQuery, label: str) -> bool:
        """Whether a constraint that was dropped is worth telling: not a word that the catalog only happens to hold."""
        if label not in (*query.words, *query.terms):
            return True
        return self.vocabulary.is_whole(label) and number_of(label) is None

    def _search_sides(self, query: ProductQuery, limit: int) -> SearchResult:
        """The best hit of each side of a comparison, in the order of the question."""
        found = [self.search(side, 1) for side in query.compare]
        hits = tuple(hit for result in found for hit in result)
        if any(side.sort for side in query.compare):
            hits = tuple(replace(hit, variants=hit.variants[:1]) for hit in hits)
        relaxed = tuple(dict.fromkeys(label for result in found for label in result.relaxed))
        return SearchResult(hits[:limit], relaxed, query.unknown, len(hits))

    def _scope(self, query: ProductQuery) -> Mask | None:
        """The rows of the things named; all rows where none is but something else is asked; None if nothing is."""
        rows = self.vocabulary.rows
        if query.products:
            numbers = [self._numbers[one] for one in query.products if one in self._numbers]
            return rows.of(numbers) if numbers else None
        if query.categories:
            return rows.of(of_kinds(query.categories, self.vocabulary))
        bounded = query.max_price is not None or query.min_price is not None or query.bounds
        asked = not query.names_nothing or query.sort or query.in_stock or bounded
        return np.ones(len(rows), dtype=bool) if asked and not query.unknown else None

    def _kin_of(self, scope: Mask) -> Mask:
        """The rows of all products in the categories that these rows' products are in."""
        rows = self.vocabulary.rows
        named = {self.products[number].category for number in np.unique(rows.product[scope]).tolist()}
        return rows.of([number for number, product in enumerate(self.products) if product.category in named])

    def _result(
        self, query: ProductQuery, fit: Mask, relaxed: tuple[str, ...], share: float, limit: int
    ) -> SearchResult:
        rows = self.vocabulary.rows
        sold_out = None
        if query.sort:
            priced = fit & ~np.isnan(rows.price)
            fit = priced if priced.any() else fit
            if (fit & rows.available).any():
                sold_out = self._cheaper_sold_out(query, fit)
                fit = fit & rows.available
            else:
                relaxed = (*relaxed, IN_STOCK[query.language])
        numbers = np.unique(rows.product[fit])
        scores = self._coverage(query, numbers) * share
        order = self._order(query, fit, numbers, scores)
        hits = [self._hit(query, fit, int(numbers[place]), float(scores[place])) for place in order[:limit]]
        return SearchResult(tuple(hits), relaxed, query.unknown, len(numbers), sold_out)

    def _order(self, query: ProductQuery, fit: Mask, numbers: Ints, scores: NDArray[np.float64]) -> NDArray[np.intp]:
        """By price or measure where that is asked; else by score, what can be bought first."""
        rows = self.vocabulary.rows
        if query.rank is not None:
            return np.lexsort((numbers, Fits(self.vocabulary).measure(fit, *query.rank)[numbers]))
        if query.sort:
            best = np.full(len(self.products), np.inf)
            np.fmin.at(best, rows.product[fit], rows.price[fit] * (-1 if query.sort == "dearest" else 1))
            return np.lexsort((numbers, -scores, best[numbers]))
        buyable = np.zeros(len(self.products), dtype=bool)
        buyable[rows.product[fit & rows.available]] = True
        return np.lexsort((numbers, ~buyable[numbers], -scores.round(3)))

    def _hit(self, query: ProductQuery, fit: Mask, number: int, score: float) -> Hit:
        first, last = self.vocabulary.rows.first[number], self.vocabulary.rows.first[number + 1]
        variants = [self.vocabulary.rows.variants[row] for row in range(first, last) if fit[row]]
        if query.sort:
            sign = -1 if query.sort == "dearest" else 1
            variants.sort(key=lambda variant: (variant.price is None, sign * (variant.price or 0)))
        return Hit(self.products[number], tuple(variants), round(score, 4))

    def _cheaper_sold_out(self, query: ProductQuery, fit: Mask) -> Hit | None:
        """The cheapest row that is sold out, if it beats all that can be bought."""
        rows = self.vocabulary.rows
        gone = fit & ~rows.available
        if query.sort != "cheapest" or query.in_stock or not gone.any():
            return None
        row = int(np.flatnonzero(gone)[rows.price[gone].argmin()])
        if rows.price[row] >= rows.price[fit & rows.available].min():
            return None
        return Hit(self.products[int(rows.product[row])], (rows.variants[row],), 1.0)

    def _coverage(self, query: ProductQuery, numbers: Ints) -> NDArray[np.float64]:
        """How much of each product's name was asked for, by the weight of its words; within [0.5, 1]."""
        asked = set(grams(query.text))
        if not asked or len(numbers) > _MOST_COVERED:
            return np.ones(len(numbers))
        weight = self.vocabulary.weight
        shares: list[float] = []
        for number in numbers.tolist():
            words = self.vocabulary.name_words[number]
            whole = sum(map(weight, words))
            shares.append(0.5 + 0.5 * sum(map(weight, words & asked)) / whole if whole else 0.5)
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
            named = self.vocabulary.named_with(item.words) if self._reader.is_rare(item) else ()
            return Mention(item.start, item.end, "term", item.phrase, products=self._ids(named), score=0.6)
        kind = _KINDS[entry.kind]
        ids = self._ids(item.products(entry.kind)) if kind in ("product", "category") else ()
        return Mention(item.start, item.end, kind, entry.value, entry.name, ids)

    def _ids(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.products[int(number)].id for number in numbers)

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
        groups: list[list[Item]] = []
        for item in items:
            if item.kind == "unknown":
                continue
            if groups and item.adjacent and not item.joined and groups[-1][-1].end >= item.start - 1:
                groups[-1].append(item)
            else:
                groups.append([item])
        named = [group for group in groups if any(map(self._names_thing, group))]
        return [(group[0].start, group[-1].end) for group in named]

    def _names_thing(self, item: Item) -> bool:
        return bool(item.entry("id", "product", "category", "kind", "brand")) or self._reader.is_rare(item)


def _about(query: ProductQuery, products: Sequence[str]) -> ProductQuery:
    return replace(query, products=tuple(products), categories=(), unknown=(), alike={})


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


# ---------------------------------------------------------------- orders


def orders_matching(orders: Sequence[Order], text: str, catalog: Catalog | None = None) -> list[Order]:
    """Those of a shopper's orders that hold a product named in the text, in the order given; [] if none is named.

    An item is meant by its sku, by words of its names, or, with a catalog, by what the catalog knows it as. Where some
    orders hold more of what is named than others, the first alone are meant.
    """
    meant = _meant_products(text, catalog) if catalog is not None else frozenset[str]()
    scores = [_held(order, text, meant, catalog) for order in orders]
    most = max(scores, default=0.0)
    return [order for order, score in zip(orders, scores, strict=True) if score and score >= most]


def _meant_products(text: str, catalog: Catalog) -> frozenset[str]:
    query = catalog.parse(text, "zh" if any(map(is_han, text)) else "en")
    if not (query.products or query.categories):
        return frozenset()
    plain = ProductQuery(query.text, query.language, query.products, categories=query.categories)
    return frozenset(hit.product.id for hit in catalog.search(plain, limit=len(catalog.products)))


def _held(order: Order, text: str, meant: Container[str], catalog: Catalog | None) -> float:
    """How much of what a text names an order holds: each word counts once, in whichever of its items it is."""
    said, evidence = f" {' '.join(stems(text))} ", dict[str, float]()
    for item in order.items:
        product = catalog.product(item.product_id) if catalog is not None else None
        names = (item.name, *(product.names.values() if product is not None else ()))
        is_meant = product is not None and product.id in meant
        tells = _surely if is_meant else _hardly if catalog is None else catalog.vocabulary.is_rare
        found = dict(naming(names, item.options.values(), text, tells))
        if product is not None and is_meant:
            found |= {**said_options(item.options.values(), text), f"a {product.category}": 1.0}
        if f" {' '.join(stems(item.sku))} " in said:
            found[item.sku] = 2.0
        evidence = {word: max(evidence.get(word, 0.0), found.get(word, 0.0)) for word in {*evidence, *found}}
    return sum(evidence.values())


def _surely(word: str) -> bool:
    """Where the product is known to be meant, any word of its name speaks for it."""
    return True


def _hardly(word: str) -> bool:
    """Without a catalog no word is known to be rare."""
    return False

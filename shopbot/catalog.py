"""The query behind search, compare, cheapest and in stock: a question's words, matched with the catalog's own.

No word list of any shop is here: categories, names, brands, options and attributes all come from the products.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING

from shopbot.query import Hit, Mention, ProductQuery, SearchResult
from shopbot.types import Language, Order, Product

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Catalog", "Hit", "Mention", "ProductQuery", "SearchResult", "orders_matching"]


class Catalog:
    """A shop's products and the questions that can be asked of them.

    `similar(words)` returns unit vectors (n, d), float32; without it, words that the catalog does not hold are not
    matched by meaning. `known` holds ordinary words of the language, which are never taken for misspelt ones.
    """

    def __init__(
        self,
        products: Iterable[Product],
        similar: Callable[[list[str]], np.ndarray] | None = None,
        known: Container[str] = frozenset(),
    ) -> None:
        self.products = tuple(products)
        self._similar = similar
        self._known = known

    def parse(self, text: str, language: Language = "en") -> ProductQuery:
        """Read a question into a query."""
        return ProductQuery(text=text, language=language)

    def search(self, query: ProductQuery, limit: int = 5) -> SearchResult:
        """Products that fit all constraints of the query, best first."""
        return SearchResult()

    def mentions(self, text: str) -> list[Mention]:
        """Places in the text that name something of the catalog, in order and without overlap."""
        return []

    def mask(self, text: str, language: Language = "en") -> str:
        """The text with what names products replaced by "item" or "商品", for reading its intent."""
        return text


def orders_matching(orders: Sequence[Order], text: str, catalog: Catalog | None = None) -> list[Order]:
    """Those of a shopper's orders that hold a product named in the text, in the order given; [] if none is named."""
    return []

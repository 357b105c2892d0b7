"""What a shopper asks of the catalog: a query, what it found, and the places in the text it was read from.

Plain frozen values; `Catalog.parse` makes a query, `Catalog.search` answers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, overload

from shopbot.lookup.operators import Bound
from shopbot.types import Language, Product, Variant

MentionKind = Literal["product", "category", "brand", "option", "attribute", "term"]
Sort = Literal["cheapest", "dearest"]


@dataclass(frozen=True, slots=True)
class ProductQuery:
    """A question about the catalog as constraints that must all hold. Money is in the shop's currency.

    What is meant: `products` are ids named in the text, `skus` those of variants; `categories` kinds of thing, any of
    which fits. What narrows it: `brands`, any of which fits; `options` maps an option's name to the values accepted;
    `words` are words of attributes, `terms` of names and descriptions, `without` words that must not hold; `bounds`
    limits of measures. `rank` orders by a measured property ("weight", "low"), `sort` by price.

    `aspect` says what is asked of the rows: "price", "stock", "options", "count", "attribute NAME", or None for the
    rows themselves; `asked` the option names meant by "options"; `priced` that the price is asked as well. `compare`
    holds one query for each side of a comparison. `unknown` are words that name nothing here; `alike` maps a word that
    the catalog does not hold to the kind it was taken for ("mobile" to "telephone").
    """

    text: str = ""
    language: Language = "en"
    products: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    words: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    bounds: tuple[Bound, ...] = ()
    without: tuple[str, ...] = ()
    in_stock: bool = False
    sort: Sort | None = None
    rank: tuple[str, Literal["low", "high"]] | None = None
    aspect: str | None = None
    asked: tuple[str, ...] = ()
    priced: bool = False
    compare: tuple[ProductQuery, ...] = ()
    unknown: tuple[str, ...] = ()
    alike: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def names_nothing(self) -> bool:
        """True if no product, category, brand, option, attribute or word of the catalog was recognised."""
        return not (self.products or self.categories or self.brands or self.options or self.words or self.terms)


@dataclass(frozen=True, slots=True)
class Hit:
    """A product that fits, with those of its variants that fit (best first), and how well in [0, 1]."""

    product: Product
    variants: tuple[Variant, ...]
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[Hit]):
    """The hits, best first; behaves as a sequence of them.

    `relaxed` names the constraints that had to be dropped to find anything; `unknown` the words asked for that
    name nothing this shop sells (with no hits: it is not found here); `total` how many products fitted before the
    limit; `cheaper_sold_out` a cheaper row that is sold out, if the cheapest in stock was chosen over it.
    """

    hits: tuple[Hit, ...] = ()
    relaxed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    total: int = 0
    cheaper_sold_out: Hit | None = None

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in a text that names something of the catalog: `text[start:end]`.

    `value` is the category, brand, option value or word; `name` the option or attribute; `products` the ids, if the
    place names products.
    """

    start: int
    end: int
    kind: MentionKind
    value: str
    name: str = ""
    products: tuple[str, ...] = ()
    score: float = 1.0

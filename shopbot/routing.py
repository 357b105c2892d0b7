"""Which family a question belongs to: products, rules that are written down, the shopper's own affairs, or small talk.

The nearest intents give each family its share; what the catalog and the shopper's orders recognise in the question is
added to it. A question is seldom of one intent's very wording, so families are weighed and not single intents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shopbot.catalog import ProductQuery
from shopbot.turn import Question

# What each sign adds to a family's share. Set on the development questions of two shops (benchmarks/answers).
_NAMED = 0.15
_ALIKE = 0.1
_OPERATED = 0.25
_ASPECT = 0.1
_OWN_ASPECT = 0.2
_HAD = 0.25
_ORDERED = 0.3
_TOLD = 0.8
_STANDS_OUT = 0.1
"""For each standard deviation by which a product stands out above the least at which it is taken to be meant."""
_LEAST_STANDING = 2.0
_OF_VISITORS = 0.6
_LEAD = 0.1
"""A visitor's "my order" is asked of the rules: so much of it counts with them, and the catalog must lead by so much."""
_VISITOR_WEIGHT = 0.6  # who is not logged in and names a product has seldom bought it
_LEAST = 0.3

_HAS_IT = re.compile(
    r"\b(?:i(?:'ve)? (?:just |already )?(?:got|bought|ordered|picked|received)|got here|arrived|came|received|bought|broke"
    r"|(?:has|is) broken|(?:been|was|were|got) delivered|(?:sent|posted) me|you(?:'ve)? (?:sent|changed|exchanged|swapped|delivered))\b"
    "|收到|买的|寄来|到货|下单|订的|坏了|送我的",
    re.IGNORECASE,
)
"""The shopper has the thing already, or has ordered it: what follows is seldom a wish to buy it."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How much speaks for each family; only their order means something."""

    product: float
    policy: float
    own: float
    """The shopper's orders and account, and what is to be done with them."""
    talk: float
    is_visitor: bool = False

    @property
    def is_product(self) -> bool:
        """Whether the catalog should be asked."""
        other = self.policy + _OF_VISITORS * self.own + _LEAD if self.is_visitor else max(self.policy, self.own)
        return self.product > max(other, self.talk, _LEAST)

    @property
    def is_own(self) -> bool:
        """Whether the shopper's own records should be asked."""
        return not self.is_product and self.own > max(self.policy, self.talk)


def weigh(
    question: Question, query: ProductQuery, has_ordered_it: bool, told: bool = False, is_visitor: bool = False
) -> Chances:
    """The chances of a question that the catalog read as `query`.

    `has_ordered_it`: an order of the shopper's holds what the question names; `told`: its words tell of an order.
    """
    shares = question.guess.families
    product = shares.get("product", 0.0) - _HAD * has_it(question.text)
    if names_things(query):
        product += _NAMED
    elif query.alike or len(query.options) >= 2:
        product += _ALIKE
    product += _OWN_ASPECT * bool(query.products and (query.aspect or "").startswith("attribute"))
    product += 0.0 if has_ordered_it else _STANDS_OUT * max(0.0, question.standing - _LEAST_STANDING)
    product += _OPERATED * operates(query) + _ASPECT * (query.aspect not in (None, "options"))
    own = shares.get("order", 0.0) + shares.get("act", 0.0) + shares.get("account", 0.0)
    own += _ORDERED * (has_ordered_it and not operates(query)) + _TOLD * told
    own *= _VISITOR_WEIGHT if is_visitor and query.products else 1.0
    return Chances(product, shares.get("policy", 0.0), own, shares.get("talk", 0.0), is_visitor)


def has_it(text: str) -> bool:
    """Whether the shopper says that they have a thing already, or have ordered it."""
    return bool(_HAS_IT.search(text))


def names_things(query: ProductQuery) -> bool:
    """Whether a product, a category or a brand is named by the catalog's own words."""
    return bool(query.products or query.brands or (query.categories and not query.alike))


def operates(query: ProductQuery) -> bool:
    """Whether the question picks among rows: by price, by stock, or by setting things against each other."""
    return bool(query.sort or query.compare or query.min_price or query.max_price or query.in_stock)

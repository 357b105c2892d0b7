"""Who is in a chat, on which day, about what: one of the cases that fit a situation's `cast=` rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from random import Random
from typing import Any

from generator.records import Record


@dataclass(frozen=True)
class Case:
    """One chat's facts: the shopper, the day, the order as it ended (`order`) and as it was (`view`), the item meant.

    `extra` holds what single rules add: "old" and "new" variants, "product" and "other", "foreign", "budget", …
    """

    shopper: Record
    day: date
    order: Record | None = None
    view: Record | None = None
    item: Record | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """The records of the shop and how often each shopper and order has been in a chat."""

    shoppers: Mapping[str, Record]
    products: Mapping[str, Record]
    orders: list[Record]
    seen: Counter[str] = field(default_factory=Counter)

    @cached_property
    def by_shopper(self) -> dict[str, list[Record]]:
        """Shopper → their orders."""
        found: dict[str, list[Record]] = {user_id: [] for user_id in self.shoppers}
        for order in self.orders:
            found[order["user_id"]].append(order)
        return found

    def product_of(self, item: Record) -> Record:
        """The product that a line of an order is of."""
        return self.products[item["product_id"]]


Rule = Callable[[World, str, Random], Iterator[Case]]
"""What `cast=NAME:REST` names: yields the cases that fit, given the rest."""


def choose(world: World, found: Iterable[Case], language: str, rng: Random, used: set[str]) -> Case | None:
    """Of the cases found one in a language, of a shopper and an order that were in few chats so far; None if none.

    `used` holds the orders that may not come again, and is given the one that is taken: nobody cancels an order twice.
    """
    fitting = [case for case in found if case.shopper["language"] == language and _order_id(case) not in used]
    rng.shuffle(fitting)
    if not fitting:
        return None
    best = min(fitting, key=lambda case: _wear(world, case))
    world.seen[best.shopper["user_id"]] += 1
    if best.order is not None:
        world.seen[best.order["order_id"]] += 1
        used.add(best.order["order_id"])
    return best


def _order_id(case: Case) -> str | None:
    return None if case.order is None else case.order["order_id"]


def _wear(world: World, case: Case) -> int:
    """Twice in one order is worse than often the same shopper."""
    order = 0 if case.order is None else world.seen[case.order["order_id"]]
    return 3 * order + world.seen[case.shopper["user_id"]]

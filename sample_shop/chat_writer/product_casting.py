"""Casts for chats about no order: any shopper, and the products that they ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from random import Random
from typing import Any

from generator.records import TODAY, Record

from chat_writer import history
from chat_writer.casting import Case, Rule, World
from chat_writer.history import days
from chat_writer.words import measured

Choose = Callable[[World, str, Random], dict[str, Any] | None]
BUDGETS = (20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 180, 200, 250, 300)
BUDGETED = ("tents", "sleeping bags", "backpacks", "jackets", "footwear", "luggage", "lighting")
MIXED = ("cookware", "kettles and coffee", "headphones and speakers", "bedding")
"""Categories of which nobody asks for "the cheapest": they hold too many kinds of things."""


def anyone(world: World, rest: str, rng: Random) -> Iterator[Case]:
    """Any shopper, on a day of the window or between two days given as "FROM:TO"."""
    first, _, last = rest.partition(":")
    start = date.fromisoformat(first) if first else history.WINDOW_OPENS
    possible = list(days(start, date.fromisoformat(last) if last else TODAY))
    for shopper in world.shoppers.values():
        yield Case(shopper, rng.choice(possible))


def _with_orders(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for case in anyone(world, rest, rng):
        if 1 <= len(history.placed_by(world.by_shopper[case.shopper["user_id"]], case.day)) <= 5:
            yield case


def _gift_card(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for case in anyone(world, rest, rng):
        cards = [
            m for m in case.shopper["payment_methods"].values() if m["source"] == "gift_card" and m["balance"] >= 10
        ]
        if cards:
            code = "LARK-" + "-".join("".join(rng.choices("23456789ABCDEFGHJKLMNPQRSTUVWXYZ", k=4)) for _ in range(3))
            yield Case(case.shopper, case.day, extra={"gift": cards[0], "code": code})


def _about(choose: Choose) -> Rule:
    """Any shopper who asks about products that `choose` picks."""

    def rule(world: World, rest: str, rng: Random) -> Iterator[Case]:
        for case in anyone(world, "2026-02-01:2026-11-19", rng):
            chosen = choose(world, rest, rng)
            if chosen is not None:
                yield Case(case.shopper, case.day, extra=chosen)

    return rule


def cheapest_first(world: World, category: str) -> list[tuple[float, Record]]:
    """The products of a category that can be bought, each with the price of its cheapest variant in stock."""
    found = []
    for product in world.products.values():
        prices = [variant["price"] for variant in product["variants"].values() if variant["available"]]
        if product["category"] == category and prices:
            found.append((min(prices), product))
    return sorted(found, key=lambda row: (row[0], row[1]["product_id"]))


def _category(world: World, rest: str, rng: Random) -> dict[str, Any]:
    category = rng.choice(sorted({p["category"] for p in world.products.values()} - set(MIXED)))
    ranked = cheapest_first(world, category)
    return {"category": category, "found": [p for _, p in ranked[:3]], "product": ranked[0][1], "other": ranked[1][1]}


def _budget(world: World, rest: str, rng: Random) -> dict[str, Any]:
    category = rest or rng.choice(BUDGETED)
    ranked = cheapest_first(world, category)
    count = rng.choice([2, 3])
    budget = next(top for top in BUDGETS if top >= ranked[count - 1][0])
    found = [product for price, product in ranked if price <= budget]
    return {"category": category, "budget": budget, "found": found[:4], "total": len(found), "product": found[0]}


def _pair(world: World, rest: str, rng: Random) -> dict[str, Any]:
    category = rest or rng.choice(sorted({p["category"] for p in world.products.values()}))
    fitting = [p for _, p in cheapest_first(world, category) if not rest or "dimensions" in p["attributes"]]
    at = rng.randrange(len(fitting) - 1)
    return {"product": fitting[at], "other": fitting[at + 1]}


def _variant(available: bool) -> Choose:
    def choose(world: World, rest: str, rng: Random) -> dict[str, Any] | None:
        product = rng.choice(list(world.products.values()))
        fitting = [v for v in product["variants"].values() if v["available"] is available and v["options"]]
        others = [v for v in product["variants"].values() if v["available"]]
        return {"product": product, "variant": rng.choice(fitting)} if fitting and others else None

    return choose


def _one_product(world: World, rest: str, rng: Random) -> dict[str, Any]:
    product = rng.choice(list(world.products.values()))
    found = [other for _, other in cheapest_first(world, product["category"])[:3]]
    return {"product": product, "category": product["category"], "found": found}


def _measured(world: World, rest: str, rng: Random) -> dict[str, Any]:
    return {"product": rng.choice([product for product in world.products.values() if measured(product)])}


def _options(world: World, rest: str, rng: Random) -> dict[str, Any] | None:
    product = rng.choice(list(world.products.values()))
    names = {name for variant in product["variants"].values() for name in variant["options"]}
    fitting = sorted(names & {"colour", "size", "pattern"})
    return {"product": product, "option": rng.choice(fitting)} if fitting and len(product["variants"]) > 2 else None


RULES: dict[str, Rule] = {
    "anyone": anyone,
    "with_account": anyone,
    "shopper_with_orders": _with_orders,
    "giftcard": _gift_card,
    "giftcard_holder": _gift_card,
    "category": _about(_category),
    "budget": _about(_budget),
    "toys": _about(lambda world, rest, rng: _budget(world, "toys and games", rng)),
    "pair": _about(_pair),
    "variant_in": _about(_variant(available=True)),
    "variant_out": _about(_variant(available=False)),
    "product": _about(_one_product),
    "attribute": _about(_measured),
    "options": _about(_options),
}

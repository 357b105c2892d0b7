"""What the demo reads off a shop: whom to be, what to ask, how much there is, and how its conversations went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any

from shopbot.shop import Shop
from shopbot.store import Store, Turn
from shopbot.types import Product

MOST_SHOPPERS = 300
"""Shoppers that can be picked: the most telling first; nine are listed at once, the rest are found by typing."""
MOST_CONVERSATIONS = 200
Words = Mapping[str, Any]


def notable(shop: Shop) -> list[tuple[str, str, int]]:
    """(id, language, orders) of the shop's shoppers; those first whose orders stand in the most different states."""
    found = []
    for shopper_id in shop.data.users:
        orders = shop.data.orders_of(shopper_id)
        states = len({order.status for order in orders})
        is_open = any(not order.is_closed for order in orders)
        account = shop.data.account(shopper_id)
        language = account.language if account is not None and account.language else ""
        found.append((-states, not is_open, -len(orders), shopper_id, language))
    return [(shopper_id, language, -count) for _, _, count, shopper_id, language in sorted(found)[:MOST_SHOPPERS]]


def questions(shop: Shop, words: Words, language: str) -> list[str]:
    """Questions to try in a language: general ones, and two about products that the shop has."""
    products = [product for product in shop.data.all_products() if product.available]
    # Where a shop keeps no categories, a product's name is what it is ("Water Bottle").
    kinds = Counter(product.category or product.name for product in products)
    if not kinds:
        return [*words["examples"]]
    kind = kinds.most_common(1)[0][0]
    alike = [product for product in products if kind in (product.category, product.name)]
    named = alike[0].categories.get(language, "" if language == "zh" else kind)
    pair = [_name(product, language) for product in alike[:2]]
    about = [words["cheapest"].format(kind=named)] if named else []
    if len(pair) == 2:
        about.append(words["compare"].format(a=pair[0], b=pair[1]))
    return [*words["examples"], *about]


def _name(product: Product, language: str) -> str:
    return product.names.get(language, product.name)


def glance(shop: Shop) -> dict[str, int]:
    """How much of everything the shop has, by the key of its word."""
    products = shop.data.all_products()
    policies = [passage for passage in shop.index.passages.values() if passage.kind == "policy"]
    return {
        "products": len(products),
        "in_stock": sum(product.available for product in products),
        "categories": len({product.category for product in products if product.category}),
        "policies": len({passage.source for passage in policies}),
        "policy_passages": len(policies),
        "order_count": len(shop.data.orders),
        "shoppers": len(shop.data.users),
    }


def conversations(store: Store) -> dict[str, Any]:
    """Figures over the newest conversations: intents by count, share answered, median milliseconds, thumbs."""
    sessions = store.sessions(limit=MOST_CONVERSATIONS)
    turns: list[Turn] = [turn for session in sessions for turn in store.history(session.id)]
    given = [(turn, store.feedback(turn.id)[-1:]) for turn in turns]
    thumbs = sorted(((one, turn) for turn, last in given for one in last), key=lambda pair: pair[0].created_at)
    return {
        "turns": len(turns),
        "conversations": len({turn.session_id for turn in turns}),
        "answered": sum(turn.answered for turn in turns) / max(len(turns), 1),
        "median": median([turn.milliseconds for turn in turns] or [0.0]),
        "handed_over": sum(turn.handed_over for turn in turns),
        "up": sum(one.thumb == 1 for one, _ in thumbs),
        "down": sum(one.thumb == -1 for one, _ in thumbs),
        "thumbs": [
            {"thumb": one.thumb, "question": turn.message, "answer": turn.answer} for one, turn in thumbs[:-6:-1]
        ],
        "intents": Counter(turn.profile.intent for turn in turns if turn.profile and turn.profile.intent),
    }

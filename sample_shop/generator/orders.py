"""Orders: who ordered what, in which state it is today, and the money and parcels that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from generator import money, schedule
from generator.money import Basket
from generator.records import Line, Record, Shop, favourites, popularity, stream
from generator.schedule import Dates

STATUSES = {
    "pending": 36,
    "processed": 24,
    "shipped": 38,
    "delivered": 296,
    "cancelled": 40,
    "return requested": 24,
    "returned": 44,
    "exchange requested": 18,
}
ORDERS_OF_REGULARS = (13, 12, 11, 10, 10, 9, 9, 8, 8, 8)
SHOPPERS_WITHOUT_ORDERS = 12

# Items that cannot go back once they are open, so nobody's order shows them returned unless they were faulty.
SEALED = ("P1803", "P1804", "P1808")
HEAVY = ("P1008",)
"""Above 15 kg: never sent to a PO box."""

# What is often bought together with a product.
COMPANIONS = {
    "P1001": "P1101",
    "P1004": "P1105",
    "P1104": "P1107",
    "P1204": "P1504",
    "P1401": "P1301",
    "P1504": "P1506",
    "P1603": "P1605",
    "P1605": "P1606",
    "P1903": "P1901",
    "P2001": "P2007",
    "P2003": "P2008",
    "P2102": "P2103",
}

CARRIERS = {
    "uk": ("Northway Parcels", "NW", 10),
    "express": ("Swiftline", "SL", 9),
    "ireland": ("Tonn Parcels", "TP", 9),
    "eu": ("Continental Parcel", "CP", 11),
}
CANCEL_REASONS = ("no longer needed", "ordered by mistake", "found it cheaper elsewhere", "delivery takes too long")
RETURN_REASONS = ("does not fit", "not as expected", "no longer needed", "faulty", "faulty", "wrong item sent")
NOT_OUR_SHOPPERS_FAULT = ("faulty", "wrong item sent")


@dataclass
class Draft:
    """An order while it is put together; money in pence."""

    shopper: Record
    status: str
    dates: Dates
    basket: Basket
    express: bool
    region: str
    order_id: str = ""
    code: str = ""
    off: int = 0
    fee: int = 0


def make_orders(shop: Shop) -> list[Record]:
    """All orders, oldest first; the same ones every time."""
    rng = stream("orders")
    tastes = favourites(shop)
    drafts = [
        _draft(shop, shopper, status, tastes[shopper["user_id"]], rng) for shopper, status in _who_and_what(shop, rng)
    ]
    drafts.sort(key=lambda draft: (draft.dates.placed, draft.shopper["user_id"]))
    _number(drafts, rng)
    seen: set[str] = set()
    orders = []
    for draft in drafts:
        _price(draft, draft.shopper["user_id"] not in seen, rng)
        seen.add(draft.shopper["user_id"])
        orders.append(_record(draft, rng))
    return orders


def _who_and_what(shop: Shop, rng: Random) -> list[tuple[Record, str]]:
    """Pairs of shopper and status. Regulars, and people who never ordered, are spread over the list of shoppers."""
    people = list(shop.shoppers)
    rng.shuffle(people)
    regulars, rest = people[: len(ORDERS_OF_REGULARS)], people[len(ORDERS_OF_REGULARS) :]
    buyers = rest[SHOPPERS_WITHOUT_ORDERS:]
    slots = [person for person, count in zip(regulars, ORDERS_OF_REGULARS, strict=True) for _ in range(count)]
    slots += buyers
    while len(slots) < sum(STATUSES.values()):
        person = rng.choice(buyers)
        if slots.count(person) < 7:
            slots.append(person)
    rng.shuffle(slots)
    return list(zip(slots, (status for status, count in STATUSES.items() for _ in range(count)), strict=True))


def _draft(shop: Shop, shopper: Record, status: str, taste: list[str], rng: Random) -> Draft:
    address = shopper["address"]
    region = schedule.region_of(address)
    express = region == "uk" and rng.random() < 0.16
    dates = schedule.draw(status, region, express, address["zip"].startswith("IV"), rng)
    recent = status in ("pending", "processed", "exchange requested")
    basket = _basket(shop, shopper, taste, recent, rng)
    if status == "exchange requested":
        basket = [_exchangeable(shop, taste, rng), *basket[1:]]
    return Draft(shopper, status, dates, basket, express, region)


def _basket(shop: Shop, shopper: Record, taste: list[str], recent: bool, rng: Random) -> Basket:
    """One to five different products. What is on its way today was in stock when it was ordered."""
    wanted = rng.choices([1, 2, 3, 4, 5], [48, 29, 13, 7, 3])[0]
    basket: dict[str, tuple[Line, int]] = {}
    while len(basket) < wanted:
        product = _product(shop, list(basket), taste, rng)
        variants = [v for v in product["variants"].values() if _sold_to(shopper, product, v, recent)]
        if variants:
            line = Line(product, rng.choice(variants))
            basket.setdefault(product["product_id"], (line, _quantity(line, rng)))
    return list(basket.values())


def _product(shop: Shop, chosen: list[str], taste: list[str], rng: Random) -> Record:
    """The next product: what goes with the last one, else one of a favourite category, popular ones more often."""
    companion = COMPANIONS.get(chosen[-1]) if chosen else None
    if companion is not None and companion not in chosen and rng.random() < 0.45:
        return next(product for product in shop.products if product["product_id"] == companion)
    category = rng.choice(taste) if rng.random() < 0.68 else rng.choice(list(shop.by_category))
    products = shop.by_category[category]
    weight = popularity(shop)
    return rng.choices(products, [weight[product["product_id"]] for product in products])[0]


def _sold_to(shopper: Record, product: Record, variant: Record, recent: bool) -> bool:
    address = shopper["address"]
    if product["product_id"] in HEAVY and address["address1"].startswith("PO Box"):
        return False
    plug = variant["options"].get("plug")
    if plug is not None and (plug == "EU") != (schedule.region_of(address) == "eu"):
        return False
    return bool(variant["available"]) or not recent


def _quantity(line: Line, rng: Random) -> int:
    likely = 0.22 if line.pence < 4500 else 0.05
    return rng.choice([2, 2, 2, 3, 4]) if rng.random() < likely else 1


def _exchangeable(shop: Shop, taste: list[str], rng: Random) -> tuple[Line, int]:
    """A line with another variant in stock that it can be swapped for."""
    products = [
        product
        for product in shop.products
        if sum(variant["available"] for variant in product["variants"].values()) > 1
        and product["product_id"] not in SEALED
        and (product["category"] in taste or product["category"] in ("footwear", "jackets"))
    ]
    product = rng.choice(products)
    return Line(product, rng.choice(list(product["variants"].values()))), 1


def _number(drafts: list[Draft], rng: Random) -> None:
    """Ids grow with the day, with gaps: the neighbours of an id are mostly nobody's here."""
    number = 10001
    for draft in drafts:
        draft.order_id = f"LF-{number}"
        number += rng.randint(1, 9)


def _price(draft: Draft, first_order: bool, rng: Random) -> None:
    draft.code, draft.off = money.discount(draft.basket, draft.dates.placed, first_order, rng)
    payable = money.goods(draft.basket) - draft.off
    draft.fee = money.delivery(payable, draft.region, draft.express, draft.dates.placed)


def _record(draft: Draft, rng: Random) -> Record:
    total = money.goods(draft.basket) - draft.off + draft.fee
    payments = money.pay(total, draft.shopper["payment_methods"], rng)
    ending, refunds = _ending(draft, total, payments, rng)
    record: Record = {
        "order_id": draft.order_id,
        "user_id": draft.shopper["user_id"],
        "status": draft.status,
        "address": dict(draft.shopper["address"]),
        "items": [_item(line, quantity) for line, quantity in draft.basket],
        "fulfillments": _parcels(draft, rng),
        "payment_history": [_movement("payment", *paid) for paid in payments]
        + [_movement("refund", *back) for back in refunds],
        "shipping_method": "express" if draft.express else "standard",
        "shipping_fee": draft.fee / 100,
    }
    if draft.code:
        record |= {"discount": draft.off / 100, "discount_code": draft.code}
    return record | _days(draft) | ending


def _item(line: Line, quantity: int) -> Record:
    return {
        "name": line.product["name"],
        "product_id": line.product["product_id"],
        "item_id": line.sku,
        "price": line.variant["price"],
        "quantity": quantity,
        "options": dict(line.variant["options"]),
    }


def _movement(kind: str, method: str, pence: int) -> Record:
    return {"transaction_type": kind, "amount": pence / 100, "payment_method_id": method}


def _days(draft: Draft) -> Record:
    dates = draft.dates
    found = {
        "placed_on": dates.placed,
        "shipped_on": dates.shipped,
        "expected_on": dates.expected,
        "delivered_on": dates.delivered,
        "exchange_requested_on" if draft.status == "exchange requested" else "return_requested_on": dates.asked,
        "cancelled_on" if draft.status == "cancelled" else "returned_on": dates.ended,
    }
    return {name: day.isoformat() for name, day in found.items() if day is not None}


def _parcels(draft: Draft, rng: Random) -> list[Record]:
    """One parcel, or now and then two, of what has left the warehouse; a label has no number before that."""
    if draft.dates.shipped is None:
        return []
    carrier, prefix, digits = CARRIERS["express" if draft.express else draft.region]
    skus = [line.sku for line, _ in draft.basket]
    split = len(skus) > 2 and rng.random() < 0.3
    return [
        {
            "tracking_id": [prefix + "".join(str(rng.randrange(10)) for _ in range(digits))],
            "item_ids": part,
            "carrier": carrier,
        }
        for part in ((skus[:1], skus[1:]) if split else (skus,))
    ]


def _ending(
    draft: Draft, total: int, payments: list[tuple[str, int]], rng: Random
) -> tuple[Record, list[tuple[str, int]]]:
    """What a cancelled, returned or exchanged order has beside the rest, and the refunds."""
    if draft.status == "cancelled":
        return {"cancel_reason": rng.choice(CANCEL_REASONS)}, payments
    if draft.status == "exchange requested":
        return _exchange(draft, rng), []
    if draft.status not in ("returned", "return requested"):
        return {}, []
    returned, reason = _what_comes_back(draft, len(payments) == 1, rng)
    ending = {
        "return_items": [line.sku for line, _ in returned],
        "return_reason": reason,
        "return_payment_method_id": payments[-1][0],
    }
    if draft.status == "return requested":
        return ending, []
    faulty = reason in NOT_OUR_SHOPPERS_FAULT
    back = money.refund_of_return(returned, draft.basket, draft.off, draft.fee, draft.dates, draft.region, faulty)
    return ending, money.spread_refund(back, payments)


def _what_comes_back(draft: Draft, may_be_part: bool, rng: Random) -> tuple[Basket, str]:
    reason = rng.choice(RETURN_REASONS)
    returned = list(draft.basket)
    if may_be_part and len(returned) > 1 and rng.random() < 0.55:
        returned = [rng.choice(returned)]
    if any(line.product["product_id"] in SEALED for line, _ in returned):
        reason = "faulty"
    if reason == "does not fit" and not any("size" in line.variant["options"] for line, _ in returned):
        reason = "not as expected"
    return returned, reason


def _exchange(draft: Draft, rng: Random) -> Record:
    line, _ = draft.basket[0]
    others = [v["item_id"] for v in line.product["variants"].values() if v["available"] and v["item_id"] != line.sku]
    return {"exchange_items": [line.sku], "exchange_new_items": [rng.choice(others)]}

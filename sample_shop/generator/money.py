"""What an order costs: delivery charge, discount code, payments and refunds, in pence, by the shop's policies."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from generator.records import Line, Record
from generator.schedule import NEW_RATES, Dates

# Charges before and since NEW_RATES.
UK_STANDARD = (350, 395)
UK_FREE_FROM = (4500, 5000)
UK_EXPRESS = (695, 795)
ABROAD = {"ireland": (795, 895), "eu": (1195, 1295)}
RETURN_LABEL = 295

TRAIL20_FROM = date(2026, 11, 20)
TRAIL20_CATEGORIES = ("tents", "sleeping bags", "backpacks")
WELCOME10_ABOVE = 4000

Basket = list[tuple[Line, int]]
"""The lines of an order with their quantities."""


def goods(basket: Basket) -> int:
    """The price of everything in a basket before discount, in pence."""
    return sum(line.pence * quantity for line, quantity in basket)


def discount(basket: Basket, placed: date, first_order: bool, rng: Random) -> tuple[str, int]:
    """A discount code and the pence that it takes off; ("", 0) where none was used."""
    lucky = rng.random()
    if placed >= TRAIL20_FROM and lucky < 0.8:
        eligible = goods([(line, n) for line, n in basket if line.product["category"] in TRAIL20_CATEGORIES])
        if eligible:
            return "TRAIL20", round(eligible * 0.2)
    if first_order and lucky < 0.4 and goods(basket) > WELCOME10_ABOVE:
        return "WELCOME10", round(goods(basket) * 0.1)
    return "", 0


def delivery(payable: int, region: str, express: bool, placed: date) -> int:
    """The delivery charge in pence of goods worth `payable` pence after discount."""
    era = int(placed >= NEW_RATES)
    if region != "uk":
        return ABROAD[region][era]
    if express:
        return UK_EXPRESS[era]
    return 0 if payable >= UK_FREE_FROM[era] else UK_STANDARD[era]


def pay(total: int, methods: dict[str, Record], rng: Random) -> list[tuple[str, int]]:
    """How a total was paid: (payment method, pence), a gift card first where one was used."""
    gift = [name for name, method in methods.items() if method["source"] == "gift_card"]
    other = [name for name, method in methods.items() if method["source"] != "gift_card"]
    main = other[0] if rng.random() < 0.75 else rng.choice(other)
    if not gift or rng.random() > 0.4:
        return [(main, total)]
    card = rng.choice(gift)
    worth = rng.choice([1000, 2000, 2500, 4000, 5000, 10000])
    return [(card, total)] if worth >= total else [(card, worth), (main, total - worth)]


def refund_of_return(
    returned: Basket, basket: Basket, off: int, fee: int, dates: Dates, region: str, faulty: bool
) -> int:
    """What comes back for returned items, in pence: the price really paid, and the fee or the label by the policies."""
    assert dates.delivered is not None
    assert dates.asked is not None
    share = goods(returned) / goods(basket)
    back = goods(returned) - round(off * share)
    within_14_days = dates.asked <= dates.delivered + timedelta(days=14)
    if len(returned) == len(basket) and (faulty or within_14_days):
        back += fee
    if region == "uk" and not faulty:
        back -= RETURN_LABEL
    return back


def spread_refund(back: int, payments: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """A refund over the methods that paid: what a gift card paid goes back to it first, the rest to the other."""
    spread: list[tuple[str, int]] = []
    for method, paid in payments:
        part = min(back, paid)
        if part > 0:
            spread.append((method, part))
        back -= part
    return spread

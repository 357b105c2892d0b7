"""Larkfield's rules about orders that several of its actions share, and how they are told. tools.py has the actions.

Amounts are in pounds. Every rule that is broken raises Refusal, in the shopper's words.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from shopbot import Refusal, Shopper
from shopbot.records import Record, ShopData
from shopbot.tools import NeedsPerson, Today
from shopbot.types import Order, OrderItem, Variant

RETURN_PERIOD = timedelta(days=30)  # policies/en/returns.md and exchanges.md
HOLIDAY_ORDERS = (date(2026, 11, 1), date(2026, 12, 24))  # policies/en/returns_holiday_2026.md
HOLIDAY_DEADLINE = date(2027, 1, 31)
FULL_CANCELLATION = timedelta(days=14)  # policies/en/refunds.md: everything back so soon brings the delivery fee back
RETURN_LABEL = Decimal("2.95")
HYGIENE = ("sleeping bags", "bedding")  # categories that go back only in their sealed packaging
NEVER_BACK = ("gift cards",)
PERSONAL = ("engraving", "personalisation")  # options of items that are made for one person
TRAIL20 = ("tents", "sleeping bags", "backpacks")  # policies/en/black_friday_2026.md: the categories that it reduces
MOST_KG_TO_A_PO_BOX = Decimal(15)  # policies/en/shipping.md
PERSON_ABOVE = Decimal(500)
"""A person cancels or returns an order worth more: no policy, but a bound on what a misunderstanding may cost."""

PO_BOX = re.compile(r"\bp\.?\s*o\.?\s*box\b|\bpost office box\b|\bpostfach\b|邮政信箱", re.IGNORECASE)
OUR_FAULT = re.compile(
    r"\bfaulty?\b|\bdefect|\bbroken\b|\bdamaged\b|\bwrong (?:item|product) (?:was )?(?:sent|arrived|delivered)"
    r"|\b(?:sent|received|got|delivered) (?:me |us )?(?:the |a )?wrong (?:item|product|thing|one)"
    r"|(?:not|n't|never|stopped) (?:work|charg|switch|turn)|坏了|质量问题|故障|破损|瑕疵|[发寄送]错",
    re.IGNORECASE,
)
NO_FAULT = re.compile(
    r"\b(?:not|no|nothing|never|without|isn't|aren't)\s+(?:\w+\s+)?(?:fault|defect|broken|damaged)"
    r"|(?:没有?|不是|无)[^，。,;；]{0,3}(?:坏|质量问题|故障|破损|瑕疵|[发寄送]错)",
    re.IGNORECASE,
)

Words = tuple[str, str]
"""The same in English and in Chinese."""
Swap = tuple[OrderItem, Variant]
"""A line of an order and what is wanted for it."""


# ---------------------------------------------------------------- words and money


@cache
def table() -> Mapping[str, Any]:
    """What stands in actions.toml."""
    return tomllib.loads(Path(__file__).with_name("actions.toml").read_text("utf-8"))


def words(line: str, done: bool = False, /, **fields: str | Words) -> Words:
    """A line of actions.toml. The tense is chosen before the fields go in, so that no shopper's text can choose it."""

    def written(language: Literal["en", "zh"], place: int) -> str:
        text = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", r"\2" if done else r"\1", table()["lines"][line][language])
        return text.format(
            **{name: value if isinstance(value, str) else value[place] for name, value in fields.items()}
        )

    return written("en", 0), written("zh", 1)


def refusal(line: str, kind: type[Refusal] = Refusal, /, **fields: str | Words) -> Refusal:
    """A line of actions.toml to raise."""
    return kind(*words(line, **fields))


def money(amount: Decimal) -> str:
    """£12.34."""
    return f"£{amount:.2f}"


def day_words(day: date) -> Words:
    """20 November 2026, 2026年11月20日."""
    return f"{day.day} {day:%B %Y}", f"{day.year}年{day.month}月{day.day}日"


def listed(parts: Sequence[Words]) -> Words:
    """a, b and c; a、b、c. At least one part."""
    *first, last = (en for en, _ in parts)
    return f"{', '.join(first)} and {last}" if first else last, "、".join(zh for _, zh in parts)


def named(item: OrderItem, data: ShopData, options: Mapping[str, str] | None = None) -> Words:
    """2 × Name (size, colour), or with other options than its own."""
    product = data.product(item.product_id)
    shown = ", ".join((item.options if options is None else options).values())
    count = f"{item.quantity} × " if item.quantity > 1 else ""
    chinese = product.names.get("zh", item.name) if product is not None else item.name
    return f"{count}{item.name}{f' ({shown})' * bool(shown)}", f"{count}{chinese}{f'（{shown}）' * bool(shown)}"


def methods_of(shopper: Shopper, data: ShopData) -> dict[str, Record]:
    """The shopper's payment methods by id: the records themselves."""
    if shopper.id not in data.users:
        raise refusal("no_account")
    return data.users[shopper.id].setdefault("payment_methods", {})


def called(method: Record) -> Words:
    """A payment method as its owner knows it."""
    source = method.get("source", "")
    line = source if source in ("credit_card", "paypal", "gift_card") else "other"
    return words(line, brand=str(method.get("brand", "")).title(), last_four=str(method.get("last_four", "")))


def paid_by(order: Order) -> dict[str, Decimal]:
    """What each method has paid and not got back. A gift card stands first: it pays first, and gets back first."""
    paid: dict[str, Decimal] = {}
    for payment in order.payments:
        amount = -payment.amount if payment.kind == "refund" else payment.amount
        paid[payment.method] = paid.get(payment.method, Decimal(0)) + amount
    return paid


def spread(amount: Decimal, order: Order) -> dict[str, Decimal]:
    """A refund over the methods that paid (policies/en/refunds.md)."""
    parts: dict[str, Decimal] = {}
    for method, paid in paid_by(order).items():
        parts[method] = min(amount, paid)
        amount -= parts[method]
    return {method: part for method, part in parts.items() if part > 0}


def pay(order: Order, amounts: Mapping[str, Decimal], shopper: Shopper, data: ShopData) -> None:
    """Write down payments (above nought) or refunds (below) by method; a gift card's balance moves at once."""
    methods = methods_of(shopper, data)
    for method_id, amount in amounts.items():
        kind = "payment" if amount > 0 else "refund"
        movement = {"transaction_type": kind, "amount": float(abs(amount)), "payment_method_id": method_id}
        data.orders[order.id]["payment_history"].append(movement)
        method = methods.get(method_id, {})
        if method.get("source") == "gift_card":
            method["balance"] = float(Decimal(str(method["balance"])) - amount)


def parts_of(amounts: Mapping[str, Decimal], shopper: Shopper, data: ShopData) -> Words:
    """£10.00 to this method and £2.00 to that one."""
    methods = methods_of(shopper, data)
    return listed(
        [words("part", amount=money(amount), method=called(methods.get(name, {}))) for name, amount in amounts.items()]
    )


def discount_on(amounts: Sequence[tuple[OrderItem, Decimal]], order: Order, data: ShopData) -> Decimal:
    """The part of the order's discount that falls on these amounts: TRAIL20 reduces some categories, other codes all."""

    def reduced(item: OrderItem) -> bool:
        product = data.product(item.product_id)
        return order.discount_code != "TRAIL20" or product is None or product.category in TRAIL20

    base = sum((item.price * item.quantity for item in order.items if reduced(item)), Decimal(0))
    part = sum((amount for item, amount in amounts if reduced(item)), Decimal(0))
    return (order.discount * part / base).quantize(Decimal("0.01")) if base else Decimal(0)


def move_stock(data: ShopData, product_id: str, sku: str, count: int) -> None:
    """Put pieces back into stock, or take them out where `count` is below nought."""
    variant = data.products.get(product_id, {}).get("variants", {}).get(sku, {})
    if variant.get("stock") is not None:
        variant["stock"] += count
        variant["available"] = variant["stock"] > 0


# ---------------------------------------------------------------- rules that several actions share


def order_for(action: str, needed: str, order_id: str, shopper: Shopper, data: ShopData) -> Order:
    """The shopper's order, in the status that the action needs. Raises Refusal, with what can be done instead."""
    order = data.order(order_id)
    if order is None or order.shopper_id != shopper.id:
        raise refusal("not_yours", id=order_id)
    if order.status != needed:
        status = (order.status, table()["status_zh"].get(order.status, order.status))
        told: dict[str, str | Words] = {"rule": words(f"{action}_only"), "id": order.id, "status": status}
        instead = table()["instead"].get(f"{action}_{order.status}")
        raise refusal("status_instead", instead=words(instead), **told) if instead else refusal("status", **told)
    if action in ("cancel", "return") and order.total > PERSON_ABOVE:
        raise refusal("person", NeedsPerson, id=order.id, worth=money(order.total), bound=money(PERSON_ABOVE))
    return order


def lines_of(order: Order, item_ids: Sequence[str]) -> list[OrderItem]:
    """The lines with these skus. Raises Refusal where one is not in the order, or none is named."""
    if not item_ids:
        raise refusal("which_items", id=order.id)
    strange = [sku for sku in item_ids if all(item.sku != sku for item in order.items)]
    if strange:
        raise refusal("not_in_order", sku=strange[0], id=order.id)
    return [item for item in order.items if item.sku in item_ids]


def deadline_of(order: Order) -> date:
    """The last day on which a return or an exchange may be asked for. Raises Refusal for what was never delivered."""
    if order.delivered_on is None:
        raise refusal("not_delivered", id=order.id)
    deadline = order.delivered_on + RETURN_PERIOD
    if order.placed_on is not None and HOLIDAY_ORDERS[0] <= order.placed_on <= HOLIDAY_ORDERS[1]:
        deadline = max(deadline, HOLIDAY_DEADLINE)
    return deadline


def in_time(order: Order, today: Today) -> None:
    """Raises Refusal where the time for returns and exchanges is over."""
    if today.date > (last := deadline_of(order)):
        raise refusal("late", id=order.id, day=day_words(last))


def conditions(lines: Sequence[OrderItem], data: ShopData) -> list[Words]:
    """What must be true of the items and shows when they arrive. Raises Refusal for what never goes back."""
    said = [words("unused")]
    for item in lines:
        product = data.product(item.product_id)
        category = product.category if product is not None else ""
        if category in NEVER_BACK or any(item.options.get(name) for name in PERSONAL):
            raise refusal("never_back")
        if product is not None and product.attributes.get("returnable once unsealed") == "no":
            said.append(words("unsealed", item=named(item, data, {})))
        elif category in HYGIENE:
            said.append(words("hygiene", item=named(item, data, {})))
    return said


def swaps_of(action: str, order: Order, item_ids: Sequence[str], new_ids: Sequence[str], data: ShopData) -> list[Swap]:
    """Each line with its new variant: the same product, another option, in stock for all of them. Raises Refusal."""
    lines = lines_of(order, item_ids)
    if len(item_ids) != len(new_ids) or len(set(item_ids)) != len(item_ids):
        raise refusal("one_each")
    swaps: list[Swap] = []
    for item in lines:
        found = data.variant(new_ids[item_ids.index(item.sku)])
        if found is None or found[0].id != item.product_id:
            raise refusal(f"other_product_{action}", item=named(item, data, {}))
        swaps.append((item, found[1]))
        if found[1].sku == item.sku:
            raise refusal("same_already", item=named(item, data))
        wanted = sum(each.quantity for each, variant in swaps if variant.sku == found[1].sku)
        if not found[1].available or (found[1].stock is not None and found[1].stock < wanted):
            raise refusal("no_stock", item=named(item, data, found[1].options))
    return swaps


def swapped(swaps: Sequence[Swap], data: ShopData) -> Words:
    """What becomes what."""
    return listed(
        [words("swap", old=named(item, data), new=named(item, data, variant.options)) for item, variant in swaps]
    )


@dataclass(frozen=True)
class Difference:
    """What a swap costs more (above nought) or less: by method, its part of the discount, the words for it."""

    total: Decimal
    amounts: Mapping[str, Decimal]
    discount: Decimal
    words: Callable[[bool], Words]


def difference(swaps: Sequence[Swap], order: Order, shopper: Shopper, data: ShopData) -> Difference:
    """The price difference, at the prices after discount. Raises Refusal where it is a gift card's and more than is on it."""
    listed = [(item, (v.price if v.price is not None else item.price) - item.price) for item, v in swaps]
    dearer = [(item, difference * item.quantity) for item, difference in listed]
    discount = discount_on(dearer, order, data)
    total = sum((amount for _, amount in dearer), Decimal(0)) - discount
    if total == 0:
        return Difference(total, {}, discount, lambda done: words("same_price", done))
    if total < 0:
        back = spread(-total, order)
        parts = parts_of(back, shopper, data)
        amounts = {name: -amount for name, amount in back.items()}
        return Difference(total, amounts, discount, lambda done: words("less", done, parts=parts))
    name = list(paid_by(order))[-1]
    method = methods_of(shopper, data).get(name, {})
    balance = Decimal(str(method.get("balance", total)))
    if balance < total:
        raise refusal("balance_too_small", amount=money(total), balance=money(balance))
    told = {"amount": money(total), "method": called(method)}
    return Difference(total, {name: total}, discount, lambda done: words("charged", done, **told))


# ---------------------------------------------------------------- what a return brings


def is_our_fault(reason: str) -> bool:
    """Whether the shopper's reason is a faulty or a wrong item: then the return is free."""
    return bool(OUR_FAULT.search(reason)) and not NO_FAULT.search(reason)


def refund_of(
    order: Order, lines: Sequence[OrderItem], ours: bool, data: ShopData, today: Today
) -> tuple[Decimal, Words]:
    """What is to come back for these lines (policies/en/refunds.md), and in words what it is made of."""
    amounts = [(item, item.price * item.quantity) for item in lines]
    refund = sum((amount for _, amount in amounts), Decimal(0)) - discount_on(amounts, order, data)
    how: list[Words] = []
    soon = order.delivered_on is not None and today.date <= order.delivered_on + FULL_CANCELLATION
    if len(lines) == len(order.items) and (ours or soon) and order.shipping_fee:
        refund += order.shipping_fee
        how.append(words("fee_back", amount=money(order.shipping_fee)))
    if order.address.get("country") == "United Kingdom" and not ours:
        refund -= RETURN_LABEL
        how.append(words("label_off", amount=money(RETURN_LABEL)))
    inside = ", ".join(en for en, _ in how), "，".join(zh for _, zh in how)
    return max(refund, Decimal(0)), (f" ({inside[0]})", f"（{inside[1]}）") if how else ("", "")


# ---------------------------------------------------------------- where an order may go


def new_address(given: Mapping[str, str], order: Order) -> dict[str, str]:
    """The new address in the form of the records. Raises Refusal where a part is missing or we do not deliver there."""
    parts = {name: " ".join(text.split()) for name, text in given.items()}
    if not (parts["address1"] and parts["city"] and parts["zip"]):
        raise refusal("address_incomplete")
    old = order.address
    country = country_of(parts["country"] or old.get("country", ""))
    if country is None:
        raise refusal("no_delivery", country=parts["country"])
    if not parts["state"] and (parts["city"].casefold(), country) == (
        old.get("city", "").casefold(),
        old.get("country"),
    ):
        parts["state"] = old.get("state", "")
    order_of_parts = ("address1", "address2", "city", "country", "state", "zip")
    return {name: {**parts, "country": country}[name] for name in order_of_parts}


def country_of(name: str) -> str | None:
    """The country in our spelling; None where we do not deliver."""
    wanted = unicodedata.normalize("NFKC", name).casefold().strip(" .").replace(".", "")
    countries = table()["countries"].items()
    return next((ours for ours, names in countries if wanted in (ours.casefold(), *names)), None)


def deliverable(order: Order, new: Mapping[str, str], data: ShopData) -> None:
    """Raises Refusal where delivery to this address is another one than what was ordered and paid."""
    country = (new["country"], table()["countries"][new["country"]][0])
    if zone_of(new["country"]) != zone_of(order.address.get("country", "")):
        raise refusal("other_charge", NeedsPerson, country=country, id=order.id)
    if not PO_BOX.search(f"{new['address1']} {new['address2']}"):
        return
    if zone_of(new["country"]) != "United Kingdom" or order.shipping_method == "express":
        raise refusal("po_box_way")
    for item in order.items:
        if kilograms(item, data) > MOST_KG_TO_A_PO_BOX:
            raise refusal("po_box_weight", item=named(item, data, {}))


def zone_of(country: str) -> str:
    """Countries with one charge for delivery: the United Kingdom, Ireland, the rest of the EU."""
    return country if country in ("United Kingdom", "Ireland") else "EU"


def kilograms(item: OrderItem, data: ShopData) -> Decimal:
    """What one piece weighs at most; nought where the catalog says nothing in kilograms."""
    product = data.product(item.product_id)
    text = product.attributes.get("weight", "") if product is not None else ""
    return max((Decimal(number) for number in re.findall(r"(\d+(?:\.\d+)?) ?kg\b", text)), default=Decimal(0))

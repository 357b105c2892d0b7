"""Larkfield's own tools: what this shop can tell or do beyond what every shop can. shop.toml names this file.

Each action is one function that checks it by the policies and returns a `Plan`; the tool's preview tells the plan, the
tool carries it out. So what happens is what the shopper said yes to, and each rule stands once. The sentences are in
actions.toml.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from shopbot import OrderId, Shopper, shop_tool
from shopbot.reads import address_line
from shopbot.records import Record, ShopData
from shopbot.tools import IdempotencyKey, ItemId, Today, VariantId

from . import order_rules as rules  # noqa: TID252 - the file beside this one, wherever the shop's folder lies
from .order_rules import Words, money, refusal, words  # noqa: TID252

TIME_TO_SEND = timedelta(days=14)  # policies/en/returns.md
CODE = r"^\s*(?:[A-Za-z0-9Ａ-Ｚａ-ｚ０-９][\s.\-\u2010-\u2015－]*){16}$"


@dataclass(frozen=True)
class Plan:
    """What an action comes to by the policies: facts, words (False: what would happen, True: what has), the doing of it."""

    facts: Mapping[str, Any]
    words: Callable[[bool], Sequence[Words]]
    do: Callable[[], None]

    def told(self, done: bool) -> dict[str, Any]:
        """The facts, and the words as what the bot says."""
        said = self.words(done)
        return {**self.facts, "say": {"en": " ".join(en for en, _ in said), "zh": "".join(zh for _, zh in said)}}


def _shown(data: ShopData, plan: Callable[[], Plan]) -> dict[str, Any]:
    with data.lock:
        return plan().told(done=False)


def _once(key: IdempotencyKey, data: ShopData, plan: Callable[[], Plan]) -> dict[str, Any]:
    """Check and do under one lock, so that no two sessions get the last piece or the same money."""
    with data.lock:
        if str(key) not in data.ledger:
            planned = plan()
            planned.do()
            data.changed()
            data.ledger[str(key)] = planned.told(done=True)
        return data.ledger[str(key)]


def done_before(key: IdempotencyKey, data: ShopData) -> dict[str, Any] | None:
    """What an earlier try with this key brought; None where it did nothing."""
    return data.ledger.get(str(key))


@shop_tool
def return_deadline(order_id: OrderId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """Until which day a delivered order may be sent back, by our return period and holiday rule."""
    order = data.order(order_id)
    if order is None or order.delivered_on is None or order.status != "delivered":
        raise refusal("not_delivered", id=order_id)
    deadline = rules.deadline_of(order)
    en, zh = words("deadline", id=order.id, day=rules.day_words(deadline))
    return {
        "order_id": order.id,
        "delivered_on": order.delivered_on.isoformat(),
        "deadline": deadline.isoformat(),
        "say": {"en": en, "zh": zh},
    }


# ---------------------------------------------------------------- cancel an order

CancelReason = Literal["no longer needed", "ordered by mistake", "other"]
_BACK = {"paypal": "refunded", "gift_card": "back_at_once"}
"""How money of a payment method comes back from an order that never left; any other method's was only reserved."""


def _cancelling(order_id: str, reason: str, shopper: Shopper, data: ShopData, today: Today) -> Plan:
    order = rules.order_for("cancel", "pending", order_id, shopper, data)
    back = {name: amount for name, amount in rules.paid_by(order).items() if amount > 0}
    methods = rules.methods_of(shopper, data)
    pieces = sum(item.quantity for item in order.items)
    count = (f"{pieces} item{'s' * (pieces != 1)}", f"{pieces}件商品")

    def told(done: bool) -> list[Words]:
        said = [words("cancelled", done, id=order.id, count=count, total=money(order.total))]
        for name, amount in back.items():
            method = methods.get(name, {})
            line = _BACK.get(str(method.get("source")), "released")
            said.append(words(line, done, amount=money(amount), method=rules.called(method)))
        return said

    def do() -> None:
        record = data.orders[order.id]
        record |= {"status": "cancelled", "cancelled_on": today.date.isoformat(), "cancel_reason": reason}
        record.pop("expected_on", None)
        rules.pay(order, {name: -amount for name, amount in back.items()}, shopper, data)
        for item in order.items:
            rules.move_stock(data, item.product_id, item.sku, item.quantity)

    return Plan({"order_id": order.id, "refund": _text(back)}, told, do)


def _text(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{amount:.2f}" for name, amount in amounts.items()}


def preview_cancel(order_id: str, reason: str, shopper: Shopper, data: ShopData, today: Today) -> dict[str, Any]:
    """What a cancellation would do."""
    return _shown(data, lambda: _cancelling(order_id, reason, shopper, data, today))


@shop_tool(writes=True, preview=preview_cancel, lookup=done_before, intent="cancel_order", daily=3)
def cancel_order(
    order_id: OrderId,
    shopper: Shopper,
    data: ShopData,
    today: Today,
    key: IdempotencyKey,
    reason: CancelReason = "no longer needed",
) -> dict[str, Any]:
    """Cancel a whole order that is still pending; what was paid goes back to where it came from."""
    return _once(key, data, lambda: _cancelling(order_id, reason, shopper, data, today))


# ---------------------------------------------------------------- change the address of an order


def _readdressing(order_id: str, given: Mapping[str, str], shopper: Shopper, data: ShopData) -> Plan:
    order = rules.order_for("address", "pending", order_id, shopper, data)
    new = rules.new_address(given, order)
    rules.deliverable(order, new, data)
    old, same = {name: order.address.get(name, "") for name in new}, [text.casefold() for text in new.values()]
    if [text.casefold() for text in old.values()] == same:
        raise refusal("same_address", id=order.id)
    lines = {"old": address_line(old), "new": address_line(new)}

    def do() -> None:
        data.orders[order.id]["address"] = new

    return Plan({"order_id": order.id, "address": new}, lambda done: [words("moved", done, id=order.id, **lines)], do)


def preview_address(  # noqa: PLR0913 - an address has so many parts
    order_id: str,
    address1: str,
    city: str,
    zip: str,
    address2: str,
    state: str,
    country: str,
    shopper: Shopper,
    data: ShopData,
) -> dict[str, Any]:
    """The old and the new address."""
    given = {"address1": address1, "address2": address2, "city": city, "country": country, "state": state, "zip": zip}
    return _shown(data, lambda: _readdressing(order_id, given, shopper, data))


@shop_tool(writes=True, preview=preview_address, lookup=done_before, intent="change_address")
def change_address(  # noqa: PLR0913
    order_id: OrderId,
    address1: str,
    city: str,
    zip: str,
    shopper: Shopper,
    data: ShopData,
    key: IdempotencyKey,
    address2: str = "",
    state: str = "",
    country: str = "",
) -> dict[str, Any]:
    """Send a pending order to another address. Without a country it stays in the order's."""
    given = {"address1": address1, "address2": address2, "city": city, "country": country, "state": state, "zip": zip}
    return _once(key, data, lambda: _readdressing(order_id, given, shopper, data))


# ---------------------------------------------------------------- change the items of an order


def _changing(
    order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], shopper: Shopper, data: ShopData
) -> Plan:
    order = rules.order_for("change", "pending", order_id, shopper, data)
    swaps = rules.swaps_of("change", order, item_ids, new_item_ids, data)
    cost = rules.difference(swaps, order, shopper, data)

    def told(done: bool) -> list[Words]:
        return [words("changed", done, id=order.id, swaps=rules.swapped(swaps, data)), cost.words(done)]

    def do() -> None:
        record = data.orders[order.id]
        for line in record["items"]:
            found = next((swap for swap in swaps if swap[0].sku == line["item_id"]), None)
            if found is not None:
                item, variant = found
                raw = data.products[item.product_id]["variants"][variant.sku]
                line |= {"item_id": variant.sku, "price": raw["price"], "options": dict(raw["options"])}
                rules.move_stock(data, item.product_id, item.sku, item.quantity)
                rules.move_stock(data, item.product_id, variant.sku, -item.quantity)
        if cost.discount:
            record["discount"] = float(order.discount + cost.discount)
        rules.pay(order, cost.amounts, shopper, data)

    facts = {"order_id": order.id, "difference": f"{cost.total:.2f}", "payments": _text(cost.amounts)}
    return Plan(facts, told, do)


def preview_change(
    order_id: str, item_ids: list[str], new_item_ids: list[str], shopper: Shopper, data: ShopData
) -> dict[str, Any]:
    """What would be changed, and what it would cost more or less."""
    return _shown(data, lambda: _changing(order_id, item_ids, new_item_ids, shopper, data))


@shop_tool(writes=True, preview=preview_change, lookup=done_before, intent="change_items")
def change_items(
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[VariantId],
    shopper: Shopper,
    data: ShopData,
    key: IdempotencyKey,
) -> dict[str, Any]:
    """Change items of a pending order into another size, colour or option of the same product, one new for each."""
    return _once(key, data, lambda: _changing(order_id, item_ids, new_item_ids, shopper, data))


# ---------------------------------------------------------------- return items


def _returning(
    order_id: str, item_ids: Sequence[str], reason: str, shopper: Shopper, data: ShopData, today: Today
) -> Plan:
    order = rules.order_for("return", "delivered", order_id, shopper, data)
    lines = rules.lines_of(order, item_ids)
    rules.in_time(order, today)
    ours = rules.is_our_fault(reason)
    conditions = [] if ours else rules.conditions(lines, data)  # faulty items may always go back
    refund, how = rules.refund_of(order, lines, ours, data, today)
    back, methods = rules.spread(refund, order), rules.methods_of(shopper, data)
    label = "label" if ours or order.address.get("country") == "United Kingdom" else "postage"
    send_by = rules.day_words(today.date + TIME_TO_SEND)

    def told(done: bool) -> list[Words]:
        items = rules.listed([rules.named(item, data) for item in lines])
        parts = rules.parts_of(back, shopper, data) if back else (money(refund), money(refund))
        said = [words("returned", done, items=items, id=order.id)]
        said.append(words("back", done, amount=money(refund), how=how, parts=parts))
        if any(methods.get(name, {}).get("source") == "gift_card" for name in back):
            said.append(words("back_on_card"))
        return [*said, words(label, done, day=send_by), *conditions]

    def do() -> None:
        data.orders[order.id] |= {
            "status": "return requested",
            "return_requested_on": today.date.isoformat(),
            "return_items": sorted({item.sku for item in lines}),
            "return_reason": reason,
            "return_payment_method_id": list(rules.paid_by(order))[-1],
        }

    facts = {"order_id": order.id, "refund": f"{refund:.2f}", "refunds": _text(back), "our_fault": ours}
    return Plan(facts, told, do)


def preview_return(
    order_id: str, item_ids: list[str], reason: str, shopper: Shopper, data: ShopData, today: Today
) -> dict[str, Any]:
    """What would go back, on which conditions, and what would be refunded."""
    return _shown(data, lambda: _returning(order_id, item_ids, reason, shopper, data, today))


@shop_tool(writes=True, preview=preview_return, lookup=done_before, intent="return_items", daily=3)
def return_items(
    order_id: OrderId,
    item_ids: list[ItemId],
    shopper: Shopper,
    data: ShopData,
    today: Today,
    key: IdempotencyKey,
    reason: str = "",
) -> dict[str, Any]:
    """Request the return of items of a delivered order. The reason matters: for faulty and wrong items it is free."""
    return _once(key, data, lambda: _returning(order_id, item_ids, reason, shopper, data, today))


# ---------------------------------------------------------------- exchange items


def _exchanging(
    order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], shopper: Shopper, data: ShopData, today: Today
) -> Plan:
    order = rules.order_for("exchange", "delivered", order_id, shopper, data)
    if order.exchanging:
        raise refusal("exchanged_before", id=order.id)
    rules.in_time(order, today)
    swaps = rules.swaps_of("exchange", order, item_ids, new_item_ids, data)
    conditions = rules.conditions([item for item, _ in swaps], data)
    cost = rules.difference(swaps, order, shopper, data)
    label = "exchange_label" if order.address.get("country") == "United Kingdom" else "exchange_postage"

    def told(done: bool) -> list[Words]:
        said = [words("exchanged", done, id=order.id, swaps=rules.swapped(swaps, data)), cost.words(done)]
        return [*said, words(label, done), *conditions]

    def do() -> None:
        pairs = sorted({(item.sku, variant.sku) for item, variant in swaps})
        data.orders[order.id] |= {
            "status": "exchange requested",
            "exchange_requested_on": today.date.isoformat(),
            "exchange_items": [old for old, _ in pairs],
            "exchange_new_items": [new for _, new in pairs],
        }
        for item, variant in swaps:  # kept for this shopper; what comes back is counted when it has been checked
            rules.move_stock(data, item.product_id, variant.sku, -item.quantity)

    facts = {"order_id": order.id, "difference": f"{cost.total:.2f}", "payments": _text(cost.amounts)}
    return Plan(facts, told, do)


def preview_exchange(
    order_id: str, item_ids: list[str], new_item_ids: list[str], shopper: Shopper, data: ShopData, today: Today
) -> dict[str, Any]:
    """What would be exchanged, on which conditions, and what it would cost more or less."""
    return _shown(data, lambda: _exchanging(order_id, item_ids, new_item_ids, shopper, data, today))


@shop_tool(writes=True, preview=preview_exchange, lookup=done_before, intent="exchange_items")
def exchange_items(
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[VariantId],
    shopper: Shopper,
    data: ShopData,
    today: Today,
    key: IdempotencyKey,
) -> dict[str, Any]:
    """Request the exchange of items of a delivered order for another size, colour or option, one new for each."""
    return _once(key, data, lambda: _exchanging(order_id, item_ids, new_item_ids, shopper, data, today))


# ---------------------------------------------------------------- redeem a gift card


def _redeeming(code: str, shopper: Shopper, data: ShopData, today: Today) -> Plan:
    bare = re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKC", code).upper())
    card = _gift_cards().get(bare, {})
    methods = rules.methods_of(shopper, data)
    owner = card.get("redeemed_by") or _holder(bare, data)
    if not card or owner not in (None, shopper.id):  # the same words: nobody learns which codes there are
        raise refusal("no_such_card")
    if owner == shopper.id:
        raise refusal("card_added")
    last = date.fromisoformat(card["valid_until"])
    if today.date > last:
        raise refusal("card_expired", day=rules.day_words(last))
    mine = next((method for method in methods.values() if method.get("source") == "gift_card"), None)
    balance = Decimal(str((mine or {"balance": 0})["balance"])) + Decimal(str(card["amount"]))
    amounts = {"amount": money(Decimal(str(card["amount"]))), "balance": money(balance)}

    def do() -> None:
        method: Record = mine if mine is not None else {"id": _new_method_id(data), "source": "gift_card"}
        method["balance"] = float(balance)
        method.setdefault("codes", []).append(bare)
        methods[method["id"]] = method

    facts = {"amount": f"{card['amount']:.2f}", "balance": f"{balance:.2f}"}
    return Plan(facts, lambda done: [words("redeemed", done, **amounts)], do)


def _gift_cards() -> dict[str, Record]:
    text = Path(__file__).with_name("gift_cards.jsonl").read_text("utf-8")
    return {card["code"]: card for card in map(json.loads, text.splitlines())}


def _holder(code: str, data: ShopData) -> str | None:
    """Who has added the card since the file was written."""
    for user_id, user in data.users.items():
        if any(code in method.get("codes", ()) for method in user.get("payment_methods", {}).values()):
            return user_id
    return None


def _new_method_id(data: ShopData) -> str:
    methods = (name for user in data.users.values() for name in user.get("payment_methods", {}))
    numbers = [int(name.removeprefix("giftcard_")) for name in methods if re.fullmatch(r"giftcard_\d+", name)]
    return f"giftcard_{max(numbers, default=0) + 1}"


def preview_redeem(code: str, shopper: Shopper, data: ShopData, today: Today) -> dict[str, Any]:
    """What the card is worth, and the balance with it."""
    return _shown(data, lambda: _redeeming(code, shopper, data, today))


@shop_tool(writes=True, preview=preview_redeem, lookup=done_before, intent="redeem_gift_card", daily=5)
def redeem_gift_card(
    code: Annotated[str, Field(pattern=CODE, description="The 16 letters and digits of the gift card's code.")],
    shopper: Shopper,
    data: ShopData,
    today: Today,
    key: IdempotencyKey,
) -> dict[str, Any]:
    """Add a gift card to the shopper's balance by its code."""
    return _once(key, data, lambda: _redeeming(code, shopper, data, today))

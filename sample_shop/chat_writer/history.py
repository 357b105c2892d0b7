"""The shop as it was on a day: orders.jsonl says how an order ended, a chat of last March sees it as it then was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from generator.records import TODAY, Record

WINDOW_OPENS = date(2025, 11, 24)
"""Chats are kept for 12 months, so none is older."""

EVENTS = ("placed_on", "shipped_on", "delivered_on", "cancelled_on", "return_requested_on", "returned_on")
ENDINGS = {
    "returned_on": "returned",
    "return_requested_on": "return requested",
    "exchange_requested_on": "exchange requested",
    "cancelled_on": "cancelled",
    "delivered_on": "delivered",
    "shipped_on": "shipped",
}


def day_of(order: Record, event: str) -> date | None:
    """The day of one of an order's events, e.g. "shipped_on"; None where it has not happened by the shop's today."""
    return date.fromisoformat(order[event]) if event in order else None


def days(first: date | None, last: date | None) -> Iterator[date]:
    """The days from first to last inclusive on which the shop's people chat: in the window and not on Sundays."""
    if first is None:
        return
    day = max(first, WINDOW_OPENS)
    while day <= min(last or TODAY, TODAY):
        if day.isoweekday() != 7:
            yield day
        day += timedelta(days=1)


def working_days_between(first: date, last: date) -> int:
    """How many Mondays to Fridays lie after `first`, up to and including `last`."""
    span = (last - first).days
    return sum((first + timedelta(days=step)).isoweekday() < 6 for step in range(1, span + 1))


def status_on(order: Record, day: date) -> str:
    """The status of an order at the end of a day. It is packed the day after it was placed, unless it still waits."""
    for event, status in ENDINGS.items():
        happened = day_of(order, event)
        if happened is not None and happened <= day:
            return status
    if order["status"] == "pending" or order["placed_on"] == day.isoformat() or "cancelled_on" in order:
        return "pending"
    return "processed"


def before(order: Record, event: str) -> Record:
    """The order as it was just before one of its events: on that day, with the event not yet happened."""
    day = day_of(order, event)
    assert day is not None
    view = as_of({key: value for key, value in order.items() if key != event}, day)
    if event == "cancelled_on":
        view["status"] = "pending"  # or it could not have been cancelled
    return view


def as_of(order: Record, day: date) -> Record:
    """The order as it was on a day: status, dates, payments, parcels. What a return or exchange adds is left out."""
    status = status_on(order, day)
    view: dict[str, Any] = {
        key: order[key] for key in ("order_id", "user_id", "address", "items", "shipping_fee", "placed_on")
    }
    view["status"] = status
    view["discount"] = order.get("discount", 0.0)
    view["expected_on"] = order.get("expected_on")
    for event in EVENTS[1:]:
        happened = day_of(order, event)
        if happened is not None and happened <= day:
            view[event] = order[event]
    refunded = status in ("cancelled", "returned")
    view["payments"] = [p for p in order["payment_history"] if refunded or p["transaction_type"] == "payment"]
    view["parcels"] = order["fulfillments"] if "shipped_on" in view else []
    return view


def goods_of(order: Record) -> float:
    """The price of all items of an order, before discount and delivery."""
    return round(sum(item["price"] * item.get("quantity", 1) for item in order["items"]), 2)


def total_of(order: Record) -> float:
    """What an order costs: items and delivery less the discount."""
    return round(goods_of(order) + order["shipping_fee"] - order.get("discount", 0.0), 2)


def paid_with(order: Record) -> list[str]:
    """The payment methods of an order, in the order in which they were charged."""
    return [p["payment_method_id"] for p in order["payment_history"] if p["transaction_type"] == "payment"]


def refunded(order: Record) -> float:
    """What has been refunded on an order in all."""
    return round(sum(p["amount"] for p in order["payment_history"] if p["transaction_type"] == "refund"), 2)


def is_quiet(order: Record) -> bool:
    """Whether nothing was cancelled, returned or exchanged: chats that change nothing belong to such orders."""
    return order["status"] in ("pending", "processed", "shipped", "delivered")


def line_of(order: Record, item_id: str) -> Record:
    """The line of an order that holds an item."""
    return next(item for item in order["items"] if item["item_id"] == item_id)


def address_line(address: Record) -> str:
    """An address on one line, as the read tools write it."""
    parts = ("address1", "address2", "city", "state", "zip", "country")
    return ", ".join(address[part] for part in parts if address.get(part))


def placed_by(orders: Iterable[Record], day: date) -> list[Record]:
    """The orders that had been placed by the end of a day, newest first."""
    known = [order for order in orders if date.fromisoformat(order["placed_on"]) <= day]
    return sorted(known, key=lambda order: (order["placed_on"], order["order_id"]), reverse=True)

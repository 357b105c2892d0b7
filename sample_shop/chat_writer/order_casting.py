"""Casts for chats about an order: which order, seen on which day, and which of its items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from generator.records import TODAY, Record

from chat_writer import history
from chat_writer.casting import Case, Rule, World
from chat_writer.history import as_of, day_of, days, status_on
from chat_writer.product_casting import anyone

EARBUDS = ("P1803", "P1804", "P1808")


def _case(world: World, order: Record, day: date, item: Record | None = None, **extra: Any) -> Case:
    view = extra.pop("view", None) or as_of(order, day)
    return Case(world.shoppers[order["user_id"]], day, order, view, item or order["items"][0], extra)


def _each(
    world: World,
    rng: Random,
    first: Callable[[Record], date | None],
    last: Callable[[Record], date | None],
    fits: Callable[[Record, date], bool] = lambda order, day: True,
) -> Iterator[Case]:
    """A case for each quiet order that has a fitting day between two days."""
    for order in world.orders:
        if history.is_quiet(order):
            found = [day for day in days(first(order), last(order)) if fits(order, day)]
            if found:
                yield _case(world, order, rng.choice(found), rng.choice(order["items"]))


def _after(event: str, number: int) -> Callable[[Record], date | None]:
    def day(order: Record) -> date | None:
        happened = day_of(order, event)
        return None if happened is None else happened + timedelta(days=number)

    return day


def _end_of_transit(order: Record) -> date:
    delivered = day_of(order, "delivered_on")
    return TODAY if delivered is None else delivered - timedelta(days=1)


def _on_the_way(world: World, rest: str, rng: Random) -> Iterator[Case]:
    def fits(order: Record, day: date) -> bool:
        return day.isoformat() <= order["expected_on"]

    return _each(world, rng, _after("shipped_on", 1), _end_of_transit, fits)


def _shipped_today(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("shipped_on", 0),
        _after("shipped_on", 0),
        lambda order, day: status_on(order, day) == "shipped",
    )


def _days_late(order: Record, day: date) -> int:
    return history.working_days_between(date.fromisoformat(order["expected_on"]), day)


def _late3(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("expected_on", 3),
        _end_of_transit,
        lambda order, day: _days_late(order, day) >= 3 and status_on(order, day) == "shipped",
    )


def _late1(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("expected_on", 1),
        _end_of_transit,
        lambda order, day: _days_late(order, day) < 3 and status_on(order, day) == "shipped",
    )


def _pending(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("placed_on", 0),
        _after("placed_on", 2),
        lambda order, day: status_on(order, day) == "pending",
    )


def _pending_where(fits: Callable[[World, Case], bool]) -> Rule:
    def rule(world: World, rest: str, rng: Random) -> Iterator[Case]:
        return (case for case in _pending(world, rest, rng) if fits(world, case))

    return rule


def _paid_by_card(world: World, case: Case) -> bool:
    assert case.order is not None
    return all(method.startswith("card_") for method in history.paid_with(case.order))


def _processed(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("placed_on", 1),
        lambda order: day_of(order, "shipped_on") or TODAY,
        lambda order, day: status_on(order, day) == "processed",
    )


def _delivered_recent(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(world, rng, _after("delivered_on", 0), _after("delivered_on", 12))


def _delivered_of(world: World, rest: str, rng: Random, first: int = 1, last: int = 20) -> Iterator[Case]:
    """Delivered orders that hold an item of one of the categories named, or "earbuds"."""
    for order in world.orders:
        items = [item for item in order["items"] if _is_of(world, item, rest)]
        found = list(days(_after("delivered_on", first)(order), _after("delivered_on", last)(order)))
        if history.is_quiet(order) and items and found:
            yield _case(world, order, rng.choice(found), rng.choice(items))


def _is_of(world: World, item: Record, categories: str) -> bool:
    if categories == "earbuds":
        return item["product_id"] in EARBUDS
    return world.product_of(item)["category"] in categories.split(",")


def _worn(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _delivered_of(world, rest, rng, 70, 330)


def _old_delivered(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(world, rng, _after("delivered_on", 32), _after("delivered_on", 60))


def _multi(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world, rng, _after("shipped_on", 2), _after("shipped_on", 6), lambda order, day: len(order["fulfillments"]) > 1
    )


def _any_order(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(world, rng, _after("placed_on", 0), _after("placed_on", 25))


def _any_order_with_fee(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return (case for case in _any_order(world, rest, rng) if case.view is not None and case.view["shipping_fee"])


def _several_orders(world: World, rest: str, rng: Random) -> Iterator[Case]:
    """Shoppers with two to five orders on that day, of which one alone holds the product meant."""
    for case in _any_order(world, rest, rng):
        assert case.item is not None
        orders = history.placed_by(world.by_shopper[case.shopper["user_id"]], case.day)
        category = world.product_of(case.item)["category"]
        same = [order for order in orders for item in order["items"] if world.product_of(item)["category"] == category]
        if 2 <= len(orders) <= 5 and len(same) == 1:
            yield case


def _bought_this_week(world: World, rest: str, rng: Random) -> Iterator[Case]:
    return _each(
        world,
        rng,
        _after("placed_on", 1),
        _after("placed_on", 6),
        lambda order, day: day < TODAY and order.get("discount", 0.0) == 0.0,
    )


def _was_cancelled(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for order in world.orders:
        found = list(days(_after("cancelled_on", 1)(order), _after("cancelled_on", 10)(order)))
        if found:
            yield _case(world, order, rng.choice(found), rng.choice(order["items"]))


def _foreign_order(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for case in anyone(world, "", rng):
        others = [
            order for order in history.placed_by(world.orders, case.day) if order["user_id"] != case.shopper["user_id"]
        ]
        yield Case(case.shopper, case.day, extra={"foreign": rng.choice(others[:60])["order_id"]})


# ---------------------------------------------------------------- what happened to an order


def _happened(event: str, detail: str) -> Rule:
    """Orders on the day of an event, seen just before it; the rule's rest is the reason given, e.g. "faulty"."""

    def rule(world: World, rest: str, rng: Random) -> Iterator[Case]:
        for order in world.orders:
            if order.get(detail) == rest and list(days(day_of(order, event), day_of(order, event))):
                day = day_of(order, event)
                assert day is not None
                seen = history.before(_until(order, event), event)
                item = history.line_of(order, order.get("return_items", [order["items"][0]["item_id"]])[0])
                yield _case(world, order, day, item, view=seen)

    return rule


def _until(order: Record, event: str) -> Record:
    """An order without what came after an event."""
    later = ("returned_on",) if event == "return_requested_on" else ()
    return {key: value for key, value in order.items() if key not in later}


def _exchanged(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for order in world.orders:
        event = "exchange_requested_on"
        day = day_of(order, event)
        if day is None or not list(days(day, day)):
            continue
        item = history.line_of(order, order["exchange_items"][0])
        variants = world.product_of(item)["variants"]
        new = variants[order["exchange_new_items"][0]]
        if new["price"] == item["price"] and new["available"] and len(order["exchange_items"]) == 1:
            yield _case(world, order, day, item, view=history.before(order, event), old=item["options"], new=new)


def _asked(event: str, done: str) -> Rule:
    """Orders between a request and its end, e.g. a return that has not been checked yet."""

    def rule(world: World, rest: str, rng: Random) -> Iterator[Case]:
        for order in world.orders:
            asked, ended = day_of(order, event), day_of(order, done)
            found = list(days(_after(event, 1)(order), TODAY if ended is None else ended - timedelta(days=1)))
            if asked is not None and found:
                key = "return_items" if "return_items" in order else "exchange_items"
                yield _case(world, order, rng.choice(found), history.line_of(order, order[key][0]))

    return rule


def _refund_less(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for order in world.orders:
        found = list(days(_after("returned_on", 5)(order), _after("returned_on", 15)(order)))
        if found and history.refunded(order) < history.total_of(order):
            yield _case(world, order, rng.choice(found), history.line_of(order, order["return_items"][0]))


# ---------------------------------------------------------------- another option of an ordered item


def _address_change(world: World, rest: str, rng: Random) -> Iterator[Case]:
    for case in _pending(world, rest, rng):
        assert case.order is not None
        street = case.order["address"]["address1"]
        number = next((word for word in street.split() if word.isdigit() and len(word) > 1), None)
        if number is not None:
            wrong = street.replace(
                number, number[1] + number[0] + number[2:] if number[0] != number[1] else number + "1", 1
            )
            view = {**(case.view or {}), "address": {**case.order["address"], "address1": wrong}}
            yield _case(world, case.order, case.day, case.item, view=view)


def _item_change(world: World, rest: str, rng: Random) -> Iterator[Case]:
    """Pending orders seen before the shopper chose the option that the order ended with."""
    for case in _pending(world, rest, rng):
        assert case.order is not None
        assert case.item is not None
        product = world.product_of(case.item)
        new = product["variants"][case.item["item_id"]]
        others = [v for v in product["variants"].values() if v is not new and v["price"] == case.item["price"]]
        if others and new["available"]:
            old = rng.choice(others)
            was = {**case.item, "item_id": old["item_id"], "options": old["options"]}
            items = [was if item is case.item else item for item in case.order["items"]]
            view = {**(case.view or {}), "items": items}
            yield _case(world, case.order, case.day, was, view=view, old=old["options"], new=new)


def _sold_out(rule: Rule) -> Rule:
    """Cases whose item has another option that is sold out."""

    def found(world: World, rest: str, rng: Random) -> Iterator[Case]:
        for case in rule(world, rest, rng):
            assert case.item is not None
            assert case.order is not None
            variants = world.product_of(case.item)["variants"].values()
            gone = [v for v in variants if not v["available"] and v["item_id"] != case.item["item_id"]]
            if gone:
                new = rng.choice(gone)
                yield _case(world, case.order, case.day, case.item, old=case.item["options"], new=new)

    return found


RULES: dict[str, Rule] = {
    "shipped": _on_the_way,
    "shipped_today": _shipped_today,
    "late3": _late3,
    "late1": _late1,
    "pending": _pending,
    "pending_card": _pending_where(_paid_by_card),
    "pending_several": _pending_where(lambda world, case: case.order is not None and len(case.order["items"]) > 1),
    "pending_no_discount": _pending_where(lambda world, case: case.order is not None and "discount" not in case.order),
    "processed": _processed,
    "delivered_recent": _delivered_recent,
    "delivered": _delivered_of,
    "old_delivered": _old_delivered,
    "worn": _worn,
    "multi": _multi,
    "any_order": _any_order,
    "any_order_fee": _any_order_with_fee,
    "several_orders": _several_orders,
    "bought_this_week": _bought_this_week,
    "was_cancelled": _was_cancelled,
    "foreign_order": _foreign_order,
    "cancelled": _happened("cancelled_on", "cancel_reason"),
    "returned": _happened("return_requested_on", "return_reason"),
    "exchanged": _exchanged,
    "return_pending": _asked("return_requested_on", "returned_on"),
    "exchange_pending": _asked("exchange_requested_on", "exchanged_on"),
    "refund_less": _refund_less,
    "address_change": _address_change,
    "item_change": _item_change,
    "item_sold_out": _sold_out(_pending),
    "delivered_sold_out": _sold_out(_delivered_recent),
}

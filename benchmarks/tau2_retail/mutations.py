"""Mutations of the tasks' writes: each breaks one rule of the shop or of consent, so none may change a record."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.tau2_retail.oracle import Talk, Task, actions_of, find_shopper
from shopbot.errors import UsageError
from shopbot.records import Record, ShopData
from shopbot.shop import Shop
from shopbot.store import Store

SEED = 20260
Way = Literal[
    "asked and agreed", "asked only", "declined", "never asked", "called directly", "twice", "changed meanwhile"
]
Edit = tuple[tuple[str, ...], Any]
"""A path into `ShopData.dump()` and what is put there before the write is tried."""

SPARE_CARD = {"source": "credit_card", "id": "credit_card_0000001", "brand": "visa", "last_four": "0001"}
EMPTY_GIFT_CARD = {"source": "gift_card", "id": "gift_card_0000001", "balance": 0.0}
FROM_PENDING = ("processed", "delivered", "cancelled", "pending (item modified)")
FROM_DELIVERED = ("pending", "processed", "cancelled", "return requested", "exchange requested")


@dataclass(frozen=True, slots=True)
class Mutation:
    """One write of a task, changed. `original` holds the arguments of the task."""

    kind: str
    task_id: str
    shopper_id: str
    tool: str
    original: Mapping[str, Any]
    arguments: Mapping[str, Any]
    way: Way = "asked and agreed"
    edits: tuple[Edit, ...] = ()


def mutations(tasks: Sequence[Task], shop: Shop, limit: int, seed: int = SEED) -> list[Mutation]:
    """At most `limit` mutations, shuffled, then one of each kind in turn, so that rare kinds are all there."""
    rng = random.Random(seed)
    by_kind: dict[str, list[Mutation]] = {}
    for task in tasks:
        for one in _of_task(task, shop, rng):
            by_kind.setdefault(one.kind, []).append(one)
    for ones in by_kind.values():
        rng.shuffle(ones)
    longest = max((len(ones) for ones in by_kind.values()), default=0)
    return [ones[turn] for turn in range(longest) for ones in by_kind.values() if turn < len(ones)][:limit]


def _of_task(task: Task, shop: Shop, rng: random.Random) -> Iterator[Mutation]:
    data, toolbox = shop.data, shop.toolbox(shop.data)
    shopper_id = find_shopper(task, data)
    for tool, arguments in actions_of(task):
        if shopper_id is None or not toolbox.writes(tool):
            continue
        write = Mutation("", str(task["id"]), shopper_id, tool, arguments, arguments)
        for make in (_consent, _strangers, _made_up, _late, _items, _wanted, _payment):
            yield from make(write, data, rng)


def apply_edits(data: ShopData, edits: Sequence[Edit]) -> None:
    """Change records, as a shop's own systems do between two messages."""
    for path, value in edits:
        place: Any = data.dump()
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = deepcopy(value)
    data.changed()


# ---------------------------------------------------------------- the kinds


def _consent(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    ways: tuple[Way, ...] = ("asked only", "declined", "never asked", "called directly", "twice")
    for way in ways:
        yield replace(write, kind=way, way=way)


def _strangers(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    """Somebody else's ids in the shopper's session, and the shopper's ids in somebody else's."""
    given = write.arguments
    other = data.users[rng.choice([one for one in data.users if one != write.shopper_id])]
    yield replace(write, kind="another shopper's session", shopper_id=other["user_id"])
    if "user_id" in given:
        yield _with(write, "another's user id", user_id=other["user_id"])
    if "payment_method_id" in given:
        mine = data.users[write.shopper_id]["payment_methods"]
        theirs = [one for user in data.users.values() for one in user["payment_methods"] if one not in mine]
        yield _with(write, "another's payment", payment_method_id=rng.choice(theirs))
    if "order_id" in given:
        mine = data.orders[given["order_id"]]
        skus = {
            item["item_id"] for item in mine["items"]
        }  # another may have bought the same: that would be no mutation
        orders = [
            one
            for one in data.orders.values()
            if one["user_id"] != write.shopper_id
            and one["status"] == mine["status"]
            and one["items"][0]["item_id"] not in skus
        ]
        order = rng.choice(orders)
        yield _with(write, "another's order", order_id=order["order_id"])
        if "item_ids" in given:
            items = [order["items"][0]["item_id"], *given["item_ids"][1:]]
            yield _with(write, "another's item", item_ids=items)
            yield _with(write, "another's order and item", order_id=order["order_id"], item_ids=items)


def _made_up(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    number = f"{rng.randrange(10**6):07}"
    made_up = {"order_id": f"#W00{number}", "user_id": f"no_body_{number}", "payment_method_id": f"gift_card_{number}x"}
    for name, value in made_up.items():
        if name in write.arguments:
            yield _with(write, f"made-up {name}", **{name: value})
    for name in ("item_ids", "new_item_ids"):
        if name in write.arguments:
            yield _with(write, f"made-up {name}", **{name: [f"0{number}", *write.arguments[name][1:]]})
    if "reason" in write.arguments:
        yield _with(write, "another reason", reason="changed my mind")


def _late(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    """The order is no longer, or not yet, in the status that the write needs."""
    if "order_id" not in write.arguments:
        return
    path = ("orders", write.arguments["order_id"], "status")
    for status in FROM_PENDING if "pending" in write.tool else FROM_DELIVERED:
        yield replace(write, kind="after shipment", edits=((path, status),))
    yield replace(write, kind="changed meanwhile", way="changed meanwhile", edits=((path, "processed"),))


def _items(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    given = write.arguments
    if "item_ids" not in given:
        return
    order = data.orders[given["order_id"]]
    here = [item["item_id"] for item in order["items"]]
    elsewhere = [
        item["item_id"]
        for one in data.users[write.shopper_id]["orders"]
        for item in data.orders[one]["items"]
        if item["item_id"] not in here
    ]
    if elsewhere:
        yield _with(write, "item of another order", item_ids=[rng.choice(elsewhere), *given["item_ids"][1:]])
    first = given["item_ids"][0]
    more = {"item_ids": [*given["item_ids"], *[first] * here.count(first)]}
    if "new_item_ids" in given:
        more["new_item_ids"] = [*given["new_item_ids"], *[given["new_item_ids"][0]] * here.count(first)]
    yield _with(write, "more than were ordered", **more)
    yield _with(write, "no items", **{name: [] for name in more})


def _wanted(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    given = write.arguments
    if "new_item_ids" not in given:
        return
    wanted, rest = given["new_item_ids"][0], given["new_item_ids"][1:]
    product = _product_of(wanted, data)
    path = (*_variant(product, wanted), "available")
    yield replace(write, kind="unavailable item", edits=((path, False),))
    others = [
        sku
        for one in data.products.values()
        if one["product_id"] != product["product_id"]
        for sku, variant in one["variants"].items()
        if variant["available"]
    ]
    yield _with(write, "wrong product", new_item_ids=[rng.choice(others), *rest])
    yield _with(write, "the same item", new_item_ids=[given["item_ids"][0], *rest])
    yield _with(write, "one new item too few", new_item_ids=rest)


def _payment(write: Mutation, data: ShopData, rng: random.Random) -> Iterator[Mutation]:
    """A refund to a method that did not pay; a gift card that does not cover what is to be paid."""
    given = write.arguments
    methods = ("users", write.shopper_id, "payment_methods")
    if write.tool == "return_delivered_order_items":
        edit = ((*methods, SPARE_CARD["id"]), dict(SPARE_CARD))
        yield replace(_with(write, "wrong payment method", payment_method_id=SPARE_CARD["id"]), edits=(edit,))
    if "new_item_ids" in given:
        wanted = given["new_item_ids"][0]
        path = (*_variant(_product_of(wanted, data), wanted), "price")
        edits = (((*methods, EMPTY_GIFT_CARD["id"]), dict(EMPTY_GIFT_CARD)), (path, 9999.0))
        yield replace(_with(write, "gift card short of money", payment_method_id=EMPTY_GIFT_CARD["id"]), edits=edits)


def _with(write: Mutation, kind: str, **changed: Any) -> Mutation:
    return replace(write, kind=kind, arguments={**write.arguments, **changed})


def _product_of(sku: str, data: ShopData) -> Record:
    return next(one for one in data.products.values() if sku in one["variants"])


def _variant(product: Record, sku: str) -> tuple[str, ...]:
    return ("products", product["product_id"], "variants", sku)


# ---------------------------------------------------------------- playing them


def accepted(shop: Shop, store: Store, one: Mutation, session: str) -> bool:
    """Whether a mutation changed any record, or was said to be done although it must not be."""
    data, before = shop.data.copy(), shop.data
    talk = Talk(shop, store, one.shopper_id, data, session)
    if one.edits:
        before = shop.data.copy()
        apply_edits(before, one.edits)
        if one.way != "changed meanwhile":
            apply_edits(data, one.edits)
    if one.way == "twice":
        return _twice(talk, one, data)
    done = _WAYS[one.way](talk, one, data)
    return done or data.dump() != before.dump()


def _twice(talk: Talk, one: Mutation, data: ShopData) -> bool:
    """The yes said twice, then the whole write again in a new turn: one effect."""
    proposal = talk.propose(one.tool, one.arguments)
    if proposal.status != "proposed":
        return False  # refused the first time already, as another row of the benchmark tells
    first = talk.agree(proposal.id)
    once = data.copy()
    again = talk.agree(proposal.id)
    talk.write(one.tool, one.arguments)
    return again != first or data.dump() != once.dump()


def _agreed(talk: Talk, one: Mutation, data: ShopData) -> bool:
    return talk.write(one.tool, one.arguments).status == "done"


def _asked_only(talk: Talk, one: Mutation, data: ShopData) -> bool:
    return talk.propose(one.tool, one.arguments).status == "done"


def _declined(talk: Talk, one: Mutation, data: ShopData) -> bool:
    proposal = talk.propose(one.tool, one.arguments)
    if proposal.status != "proposed":
        return proposal.status == "done"
    talk.actions.decline(proposal.id, talk.shopper)
    return not _raises(lambda: talk.agree(proposal.id))


def _never_asked(talk: Talk, one: Mutation, data: ShopData) -> bool:
    return not _raises(lambda: talk.agree("0" * 32))


def _called_directly(talk: Talk, one: Mutation, data: ShopData) -> bool:
    return not _raises(lambda: talk.read(one.tool, one.arguments))


def _changed_meanwhile(talk: Talk, one: Mutation, data: ShopData) -> bool:
    proposal = talk.propose(one.tool, one.arguments)
    apply_edits(data, one.edits)
    return proposal.status == "proposed" and talk.agree(proposal.id).status == "done"


def _raises(act: Callable[[], object]) -> bool:
    try:
        act()
    except UsageError:
        return True
    return False


_WAYS: Mapping[Way, Callable[[Talk, Mutation, ShopData], bool]] = {
    "asked and agreed": _agreed,
    "asked only": _asked_only,
    "declined": _declined,
    "never asked": _never_asked,
    "called directly": _called_directly,
    "changed meanwhile": _changed_meanwhile,
}

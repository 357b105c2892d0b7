"""The tau2 retail shop: its schema, the records that its tools leave, and that what is refused leaves none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import data_dir
from benchmarks.tau2_retail.mutations import Mutation, accepted, apply_edits, mutations
from benchmarks.tau2_retail.oracle import Talk, actions_of, dump_state, find_shopper, play, read_tasks
from shopbot.records import ShopData
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Shopper

ROOT = Path(__file__).parent.parent
DATA = (data_dir() or Path("/nowhere")) / "tau2_retail"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the tau2 data are not on this machine")

VISA, PAYPAL, CARD = "credit_card_1", "paypal_1", "gift_card_1"
HOME = {"address1": "1 A St", "address2": "", "city": "Austin", "state": "TX", "country": "USA", "zip": "78701"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop.open(ROOT / "benchmarks" / "tau2_retail", home=tmp_path_factory.mktemp("home")) as shop:
        yield shop


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as store:
        yield store


@pytest.fixture(scope="module")
def tasks() -> list[dict[str, Any]]:
    return read_tasks(DATA / "tasks_train.json")


def small(status: str = "pending", paid_by: str = VISA) -> ShopData:
    """One shopper, one order of two lamps and a cup, and a product of each."""
    data = ShopData()
    for product_id, name, prices in (("P1", "Lamp", (10.1, 12.4, 7.0)), ("P2", "Cup", (3.0, 3.0, 9.99))):
        variants = {
            f"{product_id}{mark}": {
                "item_id": f"{product_id}{mark}",
                "options": {"kind": mark},
                "available": True,
                "price": price,
            }
            for mark, price in zip("abc", prices, strict=True)
        }
        data.products[product_id] = {"name": name, "product_id": product_id, "variants": variants}
    items = [item(data, sku) for sku in ("P1a", "P1a", "P2a")]
    history = [entry("payment", 23.2, paid_by)]
    data.orders["#W1"] = {
        "order_id": "#W1",
        "user_id": "ann_1",
        "address": dict(HOME),
        "items": items,
        "status": status,
        "fulfillments": [],
        "payment_history": history,
    }
    methods: dict[str, dict[str, Any]] = {
        VISA: {"source": "credit_card", "id": VISA, "brand": "visa", "last_four": "1234"},
        PAYPAL: {"source": "paypal", "id": PAYPAL},
        CARD: {"source": "gift_card", "id": CARD, "balance": 30.05},
    }
    data.users["ann_1"] = {
        "user_id": "ann_1",
        "name": {"first_name": "Ann", "last_name": "Abel"},
        "address": dict(HOME),
        "email": "ann@mail.example",
        "payment_methods": methods,
        "orders": ["#W1"],
    }
    return data


def item(data: ShopData, sku: str) -> dict[str, Any]:
    product = data.products[sku[:2]]
    row = product["variants"][sku]
    return {
        "name": product["name"],
        "product_id": sku[:2],
        "item_id": sku,
        "price": row["price"],
        "options": row["options"],
    }


def entry(kind: str, amount: float, method: str) -> dict[str, Any]:
    return {"transaction_type": kind, "amount": amount, "payment_method_id": method}


def write(shop: Shop, store: Store, data: ShopData, name: str, **arguments: Any) -> Any:
    return Talk(shop, store, "ann_1", data, "s").write(name, {"order_id": "#W1", **arguments})


def expected(data: ShopData, order: dict[str, Any], balance: float = 30.05) -> dict[str, Any]:
    """The records as they were, with these values in the one order and this balance of the gift card."""
    records = copy.deepcopy(data.dump())
    records["orders"]["#W1"] |= order
    records["users"]["ann_1"]["payment_methods"][CARD]["balance"] = balance
    return records


# ---------------------------------------------------------------- the schema


def test_the_tools_have_the_names_and_parameters_of_the_published_schema(shop: Shop) -> None:
    published = {
        one["function"]["name"]: one["function"] for one in json.loads((DATA / "tools_schema.json").read_text())
    }
    ours = {tool.name: tool.openai_schema["function"] for tool in shop._own_tools()}
    assert set(ours) == {*published, "get_item_details"}
    for name, function in published.items():
        assert bare(ours[name]["parameters"]) == bare(function["parameters"]), name


def bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Names, types, allowed values and what is required, without descriptions."""
    fields = {
        name: {key: value for key, value in field.items() if key in ("type", "items", "enum")}
        for name, field in schema["properties"].items()
    }
    return {"properties": fields, "required": schema.get("required", [])}


# ---------------------------------------------------------------- the records of each write


def test_a_cancelled_order_is_refunded_in_its_history_and_on_the_gift_card(shop: Shop, store: Store) -> None:
    data = small(paid_by=CARD)
    history = [entry("payment", 23.2, CARD), entry("refund", 23.2, CARD)]
    order = {"status": "cancelled", "cancel_reason": "no longer needed", "payment_history": history}
    after = expected(data, order, 53.25)
    call = write(shop, store, data, "cancel_pending_order", reason="no longer needed")
    assert call.status == "done"
    assert data.dump() == after
    assert call.result["say"]["en"] == (
        "Order #W1 with Lamp, Lamp, Cup has been cancelled (no longer needed), "
        "with a refund of $23.20 to your gift card (gift_card_1) at once."
    )


@pytest.mark.parametrize(
    ("old", "new", "method", "paid", "balance"),
    [
        (["P1a"], ["P1b"], CARD, entry("payment", 2.3, CARD), 27.75),
        (["P1a", "P1a", "P2a"], ["P1c", "P1b", "P2c"], VISA, entry("payment", 6.19, VISA), 30.05),
        (["P1a"], ["P1c"], CARD, entry("refund", 3.1, CARD), 33.15),
        (["P2a"], ["P2b"], PAYPAL, entry("refund", 0.0, PAYPAL), 30.05),
    ],
)
def test_changed_items_stand_in_place_and_the_difference_is_an_entry(
    shop: Shop, store: Store, old: list[str], new: list[str], method: str, paid: dict[str, Any], balance: float
) -> None:
    data = small()
    items = [item(data, sku) for sku in ("P1a", "P1a", "P2a")]
    for before, after in zip(old, new, strict=True):
        place = next(at for at, one in enumerate(items) if one["item_id"] == before)
        items[place] = item(data, after)
    history = [*data.orders["#W1"]["payment_history"], paid]
    wanted = expected(data, {"status": "pending (item modified)", "items": items, "payment_history": history}, balance)
    call = write(
        shop, store, data, "modify_pending_order_items", item_ids=old, new_item_ids=new, payment_method_id=method
    )
    assert call.status == "done"
    assert data.dump() == wanted
    again = write(shop, store, data, "cancel_pending_order", reason="no longer needed")
    assert (again.status, data.dump()) == ("refused", wanted)


def test_another_payment_is_appended_before_the_refund_of_the_first(shop: Shop, store: Store) -> None:
    data = small()
    history = [entry("payment", 23.2, VISA), entry("payment", 23.2, CARD), entry("refund", 23.2, VISA)]
    wanted = expected(data, {"payment_history": history}, 6.85)
    assert write(shop, store, data, "modify_pending_order_payment", payment_method_id=CARD).status == "done"
    assert data.dump() == wanted
    assert write(shop, store, data, "modify_pending_order_payment", payment_method_id=VISA).status == "refused"
    assert data.dump() == wanted
    cancelled = write(shop, store, data, "cancel_pending_order", reason="ordered by mistake")
    assert cancelled.status == "done"
    history = [*history, entry("refund", 23.2, CARD)]  # what was paid comes back once, to whom paid it last
    assert data.dump() == expected(
        data, {"status": "cancelled", "cancel_reason": "ordered by mistake", "payment_history": history}, 30.05
    )


def test_a_return_and_an_exchange_are_requested(shop: Shop, store: Store) -> None:
    data = small("delivered")
    order = {"status": "return requested", "return_items": ["P1a", "P2a"], "return_payment_method_id": VISA}
    wanted = expected(data, order)
    call = write(shop, store, data, "return_delivered_order_items", item_ids=["P2a", "P1a"], payment_method_id=VISA)
    assert (call.status, data.dump()) == ("done", wanted)
    data = small("delivered")
    order = {
        "status": "exchange requested",
        "exchange_items": ["P1a", "P1a"],
        "exchange_new_items": ["P1b", "P1c"],
        "exchange_payment_method_id": PAYPAL,
        "exchange_price_difference": -0.8,
    }
    wanted = expected(data, order)
    given = {"item_ids": ["P1a", "P1a"], "new_item_ids": ["P1c", "P1b"], "payment_method_id": PAYPAL}
    call = write(shop, store, data, "exchange_delivered_order_items", **given)
    assert (call.status, data.dump()) == ("done", wanted)


def test_addresses_are_replaced_whole(shop: Shop, store: Store) -> None:
    data, away = small(), {**HOME, "address1": "9 Z Rd", "address2": "Apt 2"}
    wanted = expected(data, {"address": away})
    assert write(shop, store, data, "modify_pending_order_address", **away).status == "done"
    assert data.dump() == wanted
    talk = Talk(shop, store, "ann_1", data, "u")
    assert talk.write("modify_user_address", {"user_id": "ann_1", **away}).status == "done"
    wanted["users"]["ann_1"]["address"] = away
    assert data.dump() == wanted


@pytest.mark.parametrize(
    ("status", "tool", "arguments", "reason"),
    [
        ("delivered", "cancel_pending_order", {"reason": "no longer needed"}, "#W1 is delivered"),
        ("pending", "cancel_pending_order", {"reason": "too dear"}, "reason"),
        ("pending", "modify_pending_order_payment", {"payment_method_id": VISA}, "already"),
        ("pending (item modified)", "modify_pending_order_address", HOME, "only an order that is pending"),
        ("delivered", "return_delivered_order_items", {"item_ids": ["P1a"], "payment_method_id": PAYPAL}, "original"),
        ("delivered", "return_delivered_order_items", {"item_ids": [], "payment_method_id": VISA}, "no items"),
        (
            "delivered",
            "return_delivered_order_items",
            {"item_ids": ["P2a", "P2a"], "payment_method_id": VISA},
            "not so often",
        ),
        (
            "delivered",
            "exchange_delivered_order_items",
            {"item_ids": ["P1a"], "new_item_ids": ["P2b"], "payment_method_id": VISA},
            "is no Lamp",
        ),
        (
            "delivered",
            "exchange_delivered_order_items",
            {"item_ids": ["P1a"], "new_item_ids": ["P1a"], "payment_method_id": VISA},
            "the same",
        ),
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(
    shop: Shop, store: Store, status: str, tool: str, arguments: dict[str, Any], reason: str
) -> None:
    data = small(status)
    before = copy.deepcopy(data.dump())
    call = write(shop, store, data, tool, **arguments)
    assert (call.status, data.dump()) == ("refused", before)
    assert reason in call.result["reason"]


def test_a_gift_card_must_cover_what_is_paid_with_it(shop: Shop, store: Store) -> None:
    data = small()
    data.users["ann_1"]["payment_methods"][CARD]["balance"] = 2.29
    before = copy.deepcopy(data.dump())
    given = {"item_ids": ["P1a"], "new_item_ids": ["P1b"], "payment_method_id": CARD}
    for tool, arguments in (
        ("modify_pending_order_items", given),
        ("modify_pending_order_payment", {"payment_method_id": CARD}),
    ):
        call = write(shop, store, data, tool, **arguments)
        assert (call.status, data.dump()) == ("refused", before)
        assert "does not cover" in call.result["reason"]


# ---------------------------------------------------------------- reads


def test_only_the_shoppers_own_id_is_ever_found(shop: Shop) -> None:
    toolbox = shop.toolbox(shop.data)
    mine, other = [shop.data.users[one] for one in ("noah_brown_6181", "sofia_li_9219")]
    noah = Shopper("noah_brown_6181")
    assert toolbox.call("find_user_id_by_email", {"email": mine["email"].upper()}, noah).result == "noah_brown_6181"
    by_name = {"first_name": "noah", "last_name": "Brown", "zip": mine["address"]["zip"]}
    assert toolbox.call("find_user_id_by_name_zip", by_name, noah).result == "noah_brown_6181"
    assert toolbox.call("find_user_id_by_name_zip", {**by_name, "zip": "00000"}, noah).status == "refused"
    assert toolbox.call("find_user_id_by_email", {"email": other["email"]}, noah).status == "refused"
    assert toolbox.call("find_user_id_by_email", {"email": mine["email"]}, Shopper()).status == "refused"
    found = toolbox.call("get_user_details", {"user_id": "noah_brown_6181"}, noah).result
    assert (found, found is mine) == (mine, False)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 + 2", "4.0"), ("155.33 - 147.05 + 268.77 - 235.13", "41.92"), ("-(1+2)*3/4", "-2.25"), ("10/3", "3.33")],
)
def test_calculate_works_out_sums(shop: Shop, expression: str, value: str) -> None:
    assert shop.toolbox(shop.data).call("calculate", {"expression": expression}, Shopper()).result == value


@pytest.mark.parametrize(
    "expression",
    ["2 ** 9", "1 / 0", "__import__('os')", "9e999", "1e308*10", "True + 1", "(" * 250, "", "1+" * 400 + "1", "1 // 2"],
)
def test_calculate_refuses_what_is_no_sum(shop: Shop, expression: str) -> None:
    assert shop.toolbox(shop.data).call("calculate", {"expression": expression}, Shopper()).status == "refused"


def test_a_transfer_asks_for_a_person_with_the_summary(shop: Shop) -> None:
    call = shop.toolbox(shop.data).call("transfer_to_human_agents", {"summary": "wants a refund"}, Shopper())
    assert call.result == {"reason": "wants a refund", "needs_person": True}


# ---------------------------------------------------------------- the oracle and the mutations


def test_the_shopper_is_found_in_what_the_scenario_says(shop: Shop, tasks: list[dict[str, Any]]) -> None:
    owners = {str(task["id"]): find_shopper(task, shop.data) for task in tasks}
    assert None not in owners.values()
    assert owners["57"] == "ivan_hernandez_6923"
    for task in tasks:  # the orders that a task writes to are not looked at to find its shopper; they agree
        named = [given["order_id"] for name, given in actions_of(task) if "order_id" in given and "get" not in name]
        assert {shop.data.orders[order]["user_id"] for order in named} <= {owners[str(task["id"])]}, task["id"]
    order_only = {
        "id": "x",
        "evaluation_criteria": {"actions": [{"name": "cancel_pending_order", "arguments": {"order_id": "#W7678072"}}]},
    }
    assert find_shopper(order_only, shop.data) is None


def test_the_oracle_writes_end_states_and_reproduces_them(
    shop: Shop, store: Store, tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    chosen = [task for task in tasks if task["id"] in ("0", "20", "24", "76", "78", "112")]
    for task in chosen:
        first, second = (play(shop, store, task, f"{task['id']}-{number}") for number in range(2))
        assert {call.status for call in first.writes} <= {"done"}
        assert not [call for call in first.calls if call.status == "failed"]
        written = json.loads(dump_state(first, tmp_path).read_text("utf-8"))
        assert (tmp_path / f"{task['id']}.json").is_file()
        assert written == second.data.dump()
        assert (written != shop.data.dump()) == bool(first.writes)


def test_every_mutation_differs_from_its_write(shop: Shop, tasks: list[dict[str, Any]]) -> None:
    made = mutations(tasks, shop, 10_000)
    assert len(made) >= 500
    assert made == mutations(tasks, shop, 10_000)
    for one in made:
        other_shopper = one.kind == "another shopper's session"
        assert one.arguments != one.original or one.edits or one.way != "asked and agreed" or other_shopper, one
        if one.kind == "another's item":
            here = {each["item_id"] for each in shop.data.orders[one.arguments["order_id"]]["items"]}
            assert one.arguments["item_ids"][0] not in here, one
        for path, value in one.edits:
            assert at(path, shop.data) != value, one
    data, late = shop.data.copy(), next(one for one in made if one.kind == "after shipment")
    apply_edits(data, late.edits)
    assert data.orders[late.arguments["order_id"]]["status"] == late.edits[0][1]


def at(path: Sequence[str], data: ShopData) -> Any:
    place: Any = data.dump()
    for key in path:
        place = place.get(key)
    return place


def test_a_write_that_breaks_no_rule_counts_as_accepted(shop: Shop, store: Store, tasks: list[dict[str, Any]]) -> None:
    made = mutations(tasks, shop, 40)
    plain = next(one for one in made if "order_id" in one.original)
    unbroken = Mutation("none", plain.task_id, plain.shopper_id, plain.tool, plain.original, plain.original)
    assert accepted(shop, store, unbroken, "plain")
    assert not [one for number, one in enumerate(made) if accepted(shop, store, one, f"mutation-{number}")]

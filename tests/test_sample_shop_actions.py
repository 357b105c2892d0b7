"""The sample shop's actions: what the policies allow happens as it was told, the rest is refused and changes nothing."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from larkfield import NEW_HOME, PENCE, Larkfield, fields_of, moved, said, some, swap_of, total
from sample_shop_records import FOLDER, orders, products
from shopbot import Shop
from shopbot.actions import Actions
from shopbot.journal import Journal
from shopbot.store import Store
from shopbot.tools import NeedsPerson, Refusal
from shopbot.types import Shopper
from stored import NOW, talk

STATUS_NEEDED = {
    "cancel_order": "pending",
    "change_address": "pending",
    "change_items": "pending",
    "return_items": "delivered",
    "exchange_items": "delivered",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Shop.open(FOLDER) as shop:
        yield shop


@pytest.fixture
def lark(shop: Shop) -> Larkfield:
    return Larkfield(shop)


# ---------------------------------------------------------------- cancel


def test_a_cancelled_order_has_the_records_form_and_everything_goes_back(lark: Larkfield) -> None:
    order = lark.data.orders["LF-12303"]  # £10.00 of a gift card, £51.55 of a card
    who, stock = order["user_id"], lark.stock(order["items"][0]["item_id"])
    balance = lark.data.users[who]["payment_methods"]["giftcard_97017"]["balance"]
    shown, chinese = said(lark.preview("cancel_order", who, order_id="lf 12303"))
    assert "Order LF-12303" in shown
    assert "would be cancelled" in shown
    assert "£10.00 would be back on your gift card balance immediately." in shown
    assert "£51.55 reserved on your Visa card ending in 5683 would be released" in shown
    assert "订单LF-12303" in chinese
    done, _ = said(lark.do("cancel_order", who, order_id="LF-12303", reason="ordered by mistake"))
    assert "has been cancelled" in done
    assert PENCE.findall(done) == PENCE.findall(shown)
    assert fields_of("cancelled") - set(order) == set()
    assert "expected_on" not in order
    assert (order["status"], order["cancelled_on"]) == ("cancelled", "2026-11-20")
    assert order["cancel_reason"] == "ordered by mistake"
    assert order["payment_history"][2:] == [
        {"transaction_type": "refund", "amount": 10.0, "payment_method_id": "giftcard_97017"},
        {"transaction_type": "refund", "amount": 51.55, "payment_method_id": "card_5683"},
    ]
    assert lark.data.users[who]["payment_methods"]["giftcard_97017"]["balance"] == balance + 10
    assert lark.stock(order["items"][0]["item_id"]) == stock + order["items"][0]["quantity"]


def test_paypal_was_charged_so_it_is_refunded(lark: Larkfield) -> None:
    order = some("pending", lambda order: "paypal" in order["payment_history"][0]["payment_method_id"])
    shown, chinese = said(lark.preview("cancel_order", order["user_id"], order_id=order["order_id"]))
    assert "refunded to your PayPal account within 2 working days" in shown
    assert "2个工作日" in chinese


@pytest.mark.parametrize(
    ("status", "english", "chinese"),
    [
        ("processed", "refuse the parcel at the door", "拒收"),
        ("shipped", "refuse the parcel at the door", "拒收"),
        ("delivered", "return the items instead", "退货"),
        ("cancelled", 'is "cancelled"', "已取消"),
        ("return requested", 'is "return requested"', "已申请退货"),
        ("returned", 'is "returned"', "已退货"),
        ("exchange requested", 'is "exchange requested"', "已申请换货"),
    ],
)
def test_only_a_pending_order_is_cancelled(lark: Larkfield, status: str, english: str, chinese: str) -> None:
    order = some(status)
    refusal = lark.refused("cancel_order", order["user_id"], order_id=order["order_id"])
    assert english in str(refusal)
    assert chinese in refusal.zh


@pytest.mark.parametrize(("tool", "status"), [("cancel_order", "pending"), ("return_items", "delivered")])
def test_a_person_decides_about_much_money(lark: Larkfield, tool: str, status: str) -> None:
    order = some(status, above=True)
    more = {"item_ids": [order["items"][0]["item_id"]]} if tool == "return_items" else {}
    refusal = lark.refused(tool, order["user_id"], order_id=order["order_id"], **more)
    assert isinstance(refusal, NeedsPerson)
    assert "£500.00" in str(refusal)


# ---------------------------------------------------------------- change the address


def pending_in(country: str, holds: Any = lambda order: True) -> dict[str, Any]:
    return some("pending", lambda order: order["address"]["country"] == country and holds(order))


def test_an_order_goes_to_another_address(lark: Larkfield) -> None:
    order = pending_in("United Kingdom")
    old = order["address"]
    shown, chinese = said(lark.preview("change_address", order["user_id"], order_id=order["order_id"], **NEW_HOME))
    for part in ("1 Test Lane, Testville, TE1 1IV, United Kingdom", old["address1"], old["zip"]):
        assert part in shown
        assert part in chinese
    lark.do("change_address", order["user_id"], order_id=order["order_id"], **NEW_HOME, country="UK")
    record = lark.data.orders[order["order_id"]]
    assert record["address"] == {**NEW_HOME, "address2": "", "state": "", "country": "United Kingdom"}
    assert list(record["address"]) == list(old)
    assert {name: value for name, value in record.items() if name != "address"} == {
        name: value for name, value in order.items() if name != "address"
    }
    assert lark.data.users[order["user_id"]]["address"] == old, "the account's address is another thing"


@pytest.mark.parametrize(
    ("given", "english", "chinese"),
    [
        ({"country": "United States"}, "European Union only, not to United States", "英国、爱尔兰和欧盟"),
        ({"country": "挪威"}, "not to 挪威", "不能寄往挪威"),
        ({"zip": "  "}, "postcode of the new address", "邮编"),
        ({"country": "爱尔兰"}, "one of our staff", "工作人员"),
        ({"country": "Deutschland"}, "one of our staff", "工作人员"),
    ],
)
def test_where_we_do_not_deliver(lark: Larkfield, given: dict[str, str], english: str, chinese: str) -> None:
    order = pending_in("United Kingdom")
    refusal = lark.refused("change_address", order["user_id"], order_id=order["order_id"], **NEW_HOME | given)
    assert english in str(refusal)
    assert chinese in refusal.zh
    assert isinstance(refusal, NeedsPerson) == ("staff" in english)


def test_po_boxes_take_light_standard_parcels_of_the_uk(lark: Larkfield) -> None:
    box = NEW_HOME | {"address1": "P.O. Box 12"}
    light = pending_in("United Kingdom", lambda order: order["shipping_method"] == "standard")
    arguments = {"order_id": light["order_id"], **box}
    heavy = lark.data.orders[light["order_id"]]
    assert "P.O. Box 12, Testville" in said(lark.preview("change_address", light["user_id"], **arguments))[0]
    heavy["items"][0] |= {"product_id": "P1008", "name": products()["P1008"]["name"]}
    assert "above 15 kg" in str(lark.refused("change_address", light["user_id"], **arguments))
    heavy["shipping_method"] = "express"
    assert "UK standard delivery" in str(lark.refused("change_address", light["user_id"], **arguments))
    abroad = some("pending", lambda order: order["address"]["country"] not in ("United Kingdom",))
    refusal = lark.refused("change_address", abroad["user_id"], order_id=abroad["order_id"], **box)
    assert "邮政信箱" in refusal.zh


def test_the_same_address_is_no_change(lark: Larkfield) -> None:
    order = pending_in("United Kingdom")
    same = {name: value.upper() for name, value in order["address"].items() if name != "country"}
    refusal = lark.refused("change_address", order["user_id"], order_id=order["order_id"], **same)
    assert "already" in str(refusal)


@pytest.mark.parametrize(
    ("status", "english"), [("processed", "label has been printed"), ("shipped", "cannot be redirected")]
)
def test_an_address_is_changed_while_it_is_pending(lark: Larkfield, status: str, english: str) -> None:
    order = some(status)
    assert english in str(lark.refused("change_address", order["user_id"], order_id=order["order_id"], **NEW_HOME))


# ---------------------------------------------------------------- all of them


def test_the_tools_are_declared_as_the_planner_needs_them(lark: Larkfield) -> None:
    writing = {tool.name: tool for tool in lark.box.tools if tool.writes}
    assert set(writing) == {*STATUS_NEEDED, "redeem_gift_card"}
    for name, tool in writing.items():
        assert tool.intent == name
        assert tool.needs_login
        assert tool.lookup is not None
        hidden = {"shopper", "data", "today", "key"}
        assert not hidden & set(tool.openai_schema["function"]["parameters"]["properties"])
    assert {name: tool.daily for name, tool in writing.items() if tool.daily} == {
        "cancel_order": 3,
        "return_items": 3,
        "redeem_gift_card": 5,
    }


def arguments_for(lark: Larkfield, tool: str, order: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments that break no other rule than that of the status, where the order has something to swap."""
    swaps = [(item["item_id"], new) for item in order["items"] if (new := lark.sku_in_stock(item)) is not None]
    if tool == "change_address":
        return NEW_HOME
    if tool == "return_items":
        return {"item_ids": [item["item_id"] for item in order["items"]]}
    if tool == "cancel_order":
        return {}
    return {"item_ids": [old for old, _ in swaps], "new_item_ids": [new for _, new in swaps]} if swaps else None


def touched(lark: Larkfield, record: dict[str, Any]) -> list[Any]:
    """A copy of what an action on this order could write to."""
    bought = {item["product_id"]: lark.data.products[item["product_id"]] for item in record["items"]}
    return copy.deepcopy([lark.data.orders[record["order_id"]], lark.data.users[record["user_id"]], bought])


@pytest.mark.parametrize("tool", STATUS_NEEDED)
def test_every_order_is_acted_on_as_told_or_not_at_all(shop: Shop, tool: str) -> None:
    lark = Larkfield(shop)
    outcomes = {"done": 0, "refused": 0}
    for order_id, record in orders().items():
        arguments = arguments_for(lark, tool, record)
        if arguments is None:
            continue
        who, arguments = record["user_id"], {"order_id": order_id, **arguments}
        before = touched(lark, record)
        try:
            shown = lark.preview(tool, who, **arguments)
        except Refusal as refusal:
            with pytest.raises(Refusal, match=re.escape(str(refusal))):
                lark.do(tool, who, key=order_id, **arguments)
            assert touched(lark, record) == before
            outcomes["refused"] += 1
            continue
        assert touched(lark, record) == before, "a preview does nothing"
        assert record["status"] == STATUS_NEEDED[tool]
        done = lark.do(tool, who, key=order_id, **arguments)
        assert PENCE.findall(said(done)[0]) == PENCE.findall(said(shown)[0])
        _check_money(tool, done, record, lark.data.orders[order_id])
        outcomes["done"] += 1
    assert outcomes["refused"] >= 200
    assert outcomes["done"] >= 20


def _check_money(tool: str, done: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    """What was told is what the record says, and the payments are still the order's total."""
    new = after["payment_history"][len(before["payment_history"]) :]
    amounts = {m["payment_method_id"]: Decimal(str(m["amount"])) for m in new}
    if tool == "cancel_order":
        assert {name: Decimal(amount) for name, amount in done["refund"].items()} == amounts
        assert moved(after, "refund") == moved(after, "payment") == total(before)
    elif tool == "change_items":
        assert {name: abs(Decimal(amount)) for name, amount in done["payments"].items()} == amounts
        assert moved(after, "payment") - moved(after, "refund") == total(after)
    else:
        assert new == []
    if tool == "return_items":
        assert Decimal(done["refund"]) == _refund_by_policy(after)
        assert sum(map(Decimal, done["refunds"].values())) == Decimal(done["refund"])


def _refund_by_policy(order: dict[str, Any]) -> Decimal:
    """As test_sample_shop_orders.py has it of the orders in the file, for a whole order returned without a fault."""
    asked = datetime.fromisoformat(order["return_requested_on"]) - datetime.fromisoformat(order["delivered_on"])
    back = total(order) if asked.days <= 14 else total(order) - Decimal(str(order["shipping_fee"]))
    return back - (Decimal("2.95") if order["address"]["country"] == "United Kingdom" else 0)


def test_nobody_acts_on_anothers_order(lark: Larkfield) -> None:
    order = some("pending")
    tool = next(tool for tool in lark.box.tools if tool.name == "cancel_order")
    with pytest.raises(Refusal, match="among your records"):
        lark.box.checked("cancel_order", {"order_id": order["order_id"]}, Shopper("hannah_whitlock_001"))
    with pytest.raises(Refusal, match="among your records"):  # the tool itself does not rely on who calls it
        lark.box.apply(
            tool, tool.function, {"order_id": order["order_id"], "reason": "other"}, Shopper("hannah_whitlock_001"), "k"
        )
    assert lark.data.orders[order["order_id"]] == order


def test_a_yes_through_actions_happens_once(lark: Larkfield, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'shop.sqlite3'}") as store:
        actions = Actions(lark.box, Journal(store), lambda: NOW)
        turn = talk(store, "s", "cancel my order", "yifan_zhou_033")
        who = Shopper("yifan_zhou_033")
        call = actions.propose("cancel_order", {"order_id": "LF-12303"}, who, "s", turn.id)
        assert call.status == "proposed"
        assert lark.data.orders["LF-12303"]["status"] == "pending"
        first = actions.run(call.id, who)
        after = json.dumps(lark.data.dump())
        assert first.status == "done"
        assert actions.run(call.id, who) == first
        assert lark.do("cancel_order", "yifan_zhou_033", key=call.id, order_id="LF-12303") == first.result
        assert json.dumps(lark.data.dump()) == after
        tool, ready = lark.box.checked("cancel_order", {"order_id": "LF-12303"}, who)
        assert tool.lookup is not None
        assert lark.box.apply(tool, tool.lookup, ready, who, call.id) == first.result
        assert lark.box.apply(tool, tool.lookup, ready, who, "another") is None


def test_the_last_piece_goes_to_one_of_two(lark: Larkfield) -> None:
    order, old, new = swap_of(lark, "pending", "same")
    product_id = next(item["product_id"] for item in order["items"] if item["item_id"] == old)
    twin = copy.deepcopy(order) | {"order_id": "LF-99999"}
    lark.data.orders["LF-99999"] = twin
    quantity = next(item["quantity"] for item in order["items"] if item["item_id"] == old)
    lark.data.products[product_id]["variants"][new]["stock"] = quantity
    lark.data.changed()
    together, refused = threading.Barrier(2), list[Refusal]()

    def change(order_id: str) -> None:
        together.wait()
        try:
            lark.do("change_items", order["user_id"], order_id, order_id=order_id, item_ids=[old], new_item_ids=[new])
        except Refusal as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=change, args=(order_id,)) for order_id in (order["order_id"], "LF-99999")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert lark.stock(new) == 0

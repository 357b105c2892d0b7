"""The sample shop's own tools over a copy of its data, for tests of its actions: by the road that the bot takes."""

from __future__ import annotations

import marshal
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sample_shop_records import orders, products
from shopbot import Shop
from shopbot.records import ShopData
from shopbot.shop import _resolvers
from shopbot.tools import Refusal, Today, Toolbox
from shopbot.types import Shopper

PENCE = re.compile(r"£(\d+)\.(\d\d)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMES = {product["name"].split()[0] for product in products().values()}
SKUS = {sku for product in products().values() for sku in product["variants"]}
NEW_HOME = {"address1": "1 Test Lane", "city": "Testville", "zip": "TE1 1IV"}


class Larkfield:
    """The sample shop's own tools over a copy of its data, on the day `today`."""

    def __init__(self, shop: Shop, today: str = "2026-11-20") -> None:
        self.today = datetime.fromisoformat(f"{today}T12:00:00+00:00")
        self.data = shop.data.copy()
        values = {ShopData: self.data, Today: Today(lambda: self.today)}
        self.box = Toolbox(shop._own_tools(), _resolvers(self.data), values)

    def preview(self, name: str, who: str, **arguments: Any) -> dict[str, Any]:
        tool, ready = self.box.checked(name, arguments, Shopper(who))
        assert tool.preview is not None
        return self.box.apply(tool, tool.preview, ready, Shopper(who))

    def do(self, name: str, who: str, key: str = "k1", **arguments: Any) -> dict[str, Any]:
        tool, ready = self.box.checked(name, arguments, Shopper(who))
        return self.box.apply(tool, tool.function, ready, Shopper(who), key)

    def everything(self) -> bytes:
        """All records, to compare. Version 2 writes values out, without marks for those that are shared."""
        return marshal.dumps(self.data.dump(), 2)

    def refused(self, name: str, who: str, **arguments: Any) -> Refusal:
        """The refusal of preview and tool, which are the same and change nothing."""
        before = self.everything()
        with pytest.raises(Refusal) as shown:
            self.preview(name, who, **arguments)
        with pytest.raises(Refusal) as done:
            self.do(name, who, **arguments)
        assert shown.value.as_result() == done.value.as_result()
        assert self.everything() == before
        assert self.data.ledger == {}
        english, chinese = str(done.value), done.value.zh
        assert not english.endswith(".")
        first = english.split()[0]  # the bot puts it into its own sentence: only a name begins with a capital
        assert english[0].islower() or first in {"I", *NAMES} or first in SKUS, english
        assert CHINESE.search(chinese)
        assert not chinese.endswith("。")
        return done.value

    def sku_in_stock(self, item: dict[str, Any], price: str = "any") -> str | None:
        """Another variant of an item's product with enough in stock, that costs the same, more, less or anything."""
        for sku, variant in self.data.products[item["product_id"]]["variants"].items():
            step = (variant["price"] > item["price"]) - (variant["price"] < item["price"])
            fits = price == "any" or step == {"same": 0, "more": 1, "less": -1}[price]
            if fits and sku != item["item_id"] and variant["stock"] >= item["quantity"]:
                return sku
        return None

    def stock(self, sku: str) -> int:
        found = self.data.variant(sku)
        assert found is not None
        assert found[1].stock is not None
        return found[1].stock


def total(order: dict[str, Any]) -> Decimal:
    goods = sum(Decimal(str(item["price"])) * item["quantity"] for item in order["items"])
    return goods + Decimal(str(order["shipping_fee"])) - Decimal(str(order.get("discount", 0)))


def moved(order: dict[str, Any], kind: str) -> Decimal:
    movements = order["payment_history"]
    return sum((Decimal(str(m["amount"])) for m in movements if m["transaction_type"] == kind), Decimal(0))


def some(status: str, holds: Any = lambda order: True, above: bool = False) -> dict[str, Any]:
    """The first order of this status that holds, above £500 or not."""
    found = (order for order in orders().values() if order["status"] == status and (total(order) > 500) == above)
    return next(order for order in found if holds(order))


def fields_of(status: str) -> set[str]:
    """The fields that every record of this status has in the file."""
    return set.intersection(*(set(order) for order in orders().values() if order["status"] == status))


def said(result: dict[str, Any]) -> tuple[str, str]:
    english, chinese = result["say"]["en"], result["say"]["zh"]
    assert english.endswith(".")
    assert chinese.endswith("。")
    assert not re.search(r"[\[\]{}|]", english + chinese)
    assert sorted(PENCE.findall(english)) == sorted(PENCE.findall(chinese)), "the amounts differ"
    return english, chinese


def swap_of(lark: Larkfield, status: str, price: str) -> tuple[dict[str, Any], str, str]:
    """An order of this status with an item that can be swapped: the order, the old sku, the new one."""
    for order in lark.data.orders.values():
        for item in order["items"] if order["status"] == status and total(order) <= 500 else ():
            new = lark.sku_in_stock(item, price)
            late = status == "delivered" and order["delivered_on"] < "2026-10-21" and order["placed_on"] < "2026-11-01"
            if new is not None and not late:
                return order, item["item_id"], new
    raise LookupError((status, price))


def order_of(lark: Larkfield, status: str, product_id: str, sku: str, **more: Any) -> dict[str, Any]:
    """A recent order, its one item replaced by this one."""
    order = next(
        one
        for one in lark.data.orders.values()
        if one["status"] == status and (status == "pending" or one["delivered_on"] >= "2026-10-21")
        and "card" in one["payment_history"][0]["payment_method_id"][:4] and one["address"]["country"] == "United Kingdom"
    )  # fmt: skip
    variant = lark.data.products[product_id]["variants"][sku]
    item = {"name": lark.data.products[product_id]["name"], "product_id": product_id, "item_id": sku, "quantity": 1}
    order["items"] = [{**item, "price": variant["price"], "options": dict(variant["options"])}]
    order["shipping_fee"] = 3.95
    order.pop("discount", None)
    order.pop("discount_code", None)
    order |= more
    order["payment_history"] = [{**order["payment_history"][0], "amount": float(total(order))}]
    return order

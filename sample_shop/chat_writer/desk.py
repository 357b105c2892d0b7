"""The agent's tools in the chats: what a call's arguments and its result are for a case, from the shop's records."""

from __future__ import annotations

from typing import Any

from generator.records import Record

from chat_writer import history
from chat_writer.casting import Case, World
from chat_writer.product_scene import in_stock_price
from chat_writer.scene import Facts, label_fee

Call = tuple[str, dict[str, Any], dict[str, Any]]
"""A tool's name, its arguments and its result."""


def call(line: str, case: Case, world: World, facts: Facts, language: str) -> Call:
    """The call that a play's `T` or `W` line stands for: "get_order", or "talk_to_person REASON"."""
    name, _, rest = line.partition(" ")
    if name.startswith("search_"):
        return _search(name.removeprefix("search_"), case, facts, language)
    return getattr(Desk(case, world), name)(rest)


def amount(value: float) -> str:
    """Money as the tools write it: a decimal string."""
    return f"{value:.2f}"


class Desk:
    """The tools by their names, each for one case."""

    def __init__(self, case: Case, world: World) -> None:
        self.case = case
        self.world = world

    @property
    def order(self) -> Record:
        """The order of the case, as it ended."""
        assert self.case.order is not None
        return self.case.order

    def get_order(self, rest: str) -> Call:
        """The case's order as it was on the day."""
        assert self.case.view is not None
        return "get_order", {"order_id": self.order["order_id"]}, {"order": order_view(self.case.view)}

    def get_foreign_order(self, rest: str) -> Call:
        """A number that is not among the shopper's orders: the tool refuses."""
        number = self.case.extra["foreign"]
        return "get_order", {"order_id": number}, {"error": f"order {number} is not among your records"}

    def list_orders(self, rest: str) -> Call:
        """The shopper's orders of that day, newest first, in short."""
        orders = history.placed_by(self.world.by_shopper[self.case.shopper["user_id"]], self.case.day)
        rows = [
            {
                "order_id": order["order_id"],
                "status": history.status_on(order, self.case.day),
                "placed_on": order["placed_on"],
                "items": [item["name"] for item in order["items"]],
                "total": amount(history.total_of(order)),
            }
            for order in orders
        ]
        return "list_orders", {}, {"orders": rows}

    def my_account(self, rest: str) -> Call:
        """The shopper's account."""
        shopper = self.case.shopper
        name = f"{shopper['name']['first_name']} {shopper['name']['last_name']}"
        methods = [_method(method) for method in shopper["payment_methods"].values()]
        address = history.address_line(shopper["address"])
        return (
            "my_account",
            {},
            {"name": name, "email": shopper["email"], "address": address, "payment_methods": methods},
        )

    def product_details(self, rest: str) -> Call:
        """The product of the case, or of the item of its order."""
        product = self.case.extra.get("product")
        if product is None:
            assert self.case.item is not None
            product = self.world.product_of(self.case.item)
        return "product_details", {"product_id": product["product_id"]}, {"products": [product_view(product)]}

    def compare_products(self, rest: str) -> Call:
        """The two products of the case side by side."""
        pair = [self.case.extra["product"], self.case.extra["other"]]
        views = [product_view(product) for product in pair]
        return "compare_products", {"product_ids": [p["product_id"] for p in pair]}, {"products": views}

    def cancel_order(self, rest: str) -> Call:
        """Cancels the whole order."""
        result = {key: self.order[key] for key in ("order_id", "status", "cancelled_on")}
        return "cancel_order", {"order_id": self.order["order_id"], "reason": self.order["cancel_reason"]}, result

    def change_address(self, rest: str) -> Call:
        """Changes the delivery address to the one that the order ended with."""
        address = history.address_line(self.order["address"])
        result = {"order_id": self.order["order_id"], "status": "pending", "address": address}
        return "change_address", {"order_id": self.order["order_id"], "address": self.order["address"]}, result

    def change_items(self, rest: str) -> Call:
        """Changes an item to the option that the order ended with."""
        assert self.case.item is not None
        arguments = {
            "order_id": self.order["order_id"],
            "item_ids": [self.case.item["item_id"]],
            "new_item_ids": [self.case.extra["new"]["item_id"]],
        }
        result = {"order_id": self.order["order_id"], "status": "pending", "price_difference": "0.00"}
        return "change_items", arguments, result | {"items": [item["item_id"] for item in self.order["items"]]}

    def return_items(self, rest: str) -> Call:
        """Registers the return that the order's records hold."""
        order = self.order
        arguments = {"order_id": order["order_id"], "item_ids": order["return_items"], "reason": order["return_reason"]}
        result = {
            "order_id": order["order_id"],
            "status": "return requested",
            "return_items": order["return_items"],
            "refund_to": order["return_payment_method_id"],
            "label_fee": amount(label_fee(order)),
        }
        return "return_items", arguments, result

    def exchange_items(self, rest: str) -> Call:
        """Registers the exchange that the order's records hold."""
        order = self.order
        arguments = {
            "order_id": order["order_id"],
            "item_ids": order["exchange_items"],
            "new_item_ids": order["exchange_new_items"],
        }
        result = {"order_id": order["order_id"], "status": "exchange requested", "price_difference": "0.00"}
        return "exchange_items", arguments, result

    def redeem_gift_card(self, rest: str) -> Call:
        """Adds a gift card: the balance afterwards is the one in the shopper's record."""
        gift = self.case.extra["gift"]
        result = {"payment_method_id": gift["id"], "balance": amount(gift["balance"])}
        return "redeem_gift_card", {"code": self.case.extra["code"]}, result

    def talk_to_person(self, rest: str) -> Call:
        """Hands the chat to a person."""
        return "talk_to_person", {"reason": rest}, {"handed_over": True}


def _search(kind: str, case: Case, facts: Facts, language: str) -> Call:
    """A search in the shopper's words, and the products that it finds."""
    if kind == "nothing":
        wanted = {"zh": "登山装备", "en": "sports equipment"}[language]
        return "search_products", {"request": wanted}, {"total": 0, "products": []}
    name = facts["cat_zh"] if language == "zh" else case.extra["category"]
    limit = facts.get("budget", "")
    wanted = {
        ("cheapest", "en"): f"cheapest {name}",
        ("cheapest", "zh"): f"最便宜的{name}",
        ("budget", "en"): f"{name} up to {limit}",
        ("budget", "zh"): f"{limit} 以内的{name}",
    }[kind, language]
    rows = [
        {"product_id": product["product_id"], "name": product["name"], "price": amount(in_stock_price(product))}
        for product in case.extra["found"]
    ]
    total = case.extra.get("total", len(rows))
    return "search_products", {"request": wanted}, {"total": total, "products": rows}


def order_view(view: Record) -> dict[str, Any]:
    """An order as the read tools show it, in fewer words."""
    dates = {key: view[key] for key in (*history.EVENTS, "expected_on") if view.get(key)}
    items = [
        {key: item[key] for key in ("name", "item_id", "options")}
        | {"quantity": item.get("quantity", 1), "price": amount(item["price"])}
        for item in view["items"]
    ]
    found = {"order_id": view["order_id"], "status": view["status"], "items": items}
    found |= {key: amount(view[key]) for key in ("shipping_fee", "discount") if view[key]}
    found |= {"total": amount(history.total_of(view)), "address": history.address_line(view["address"])}
    found["payments"] = [
        {"kind": p["transaction_type"], "amount": amount(p["amount"]), "method": p["payment_method_id"]}
        for p in view["payments"]
    ]
    if view["parcels"]:
        found["carrier"] = view["parcels"][0]["carrier"]
        found["tracking"] = [number for parcel in view["parcels"] for number in parcel["tracking_id"]]
    return found | dates


def product_view(product: Record) -> dict[str, Any]:
    """A product as the read tools show it, in fewer words."""
    variants = [
        {"item_id": v["item_id"], "options": v["options"], "price": amount(v["price"]), "available": v["available"]}
        for v in product["variants"].values()
    ]
    attributes = product["attributes"]
    return {
        "product_id": product["product_id"],
        "name": product["name"],
        "attributes": attributes,
        "variants": variants,
    }


def _method(method: Record) -> dict[str, Any]:
    view = {key: method[key] for key in ("id", "source", "last_four") if key in method}
    return view | ({"balance": amount(method["balance"])} if "balance" in method else {})

"""The whole retail shop of tau2 as tools of an ordinary shop; shop.toml names this file.

An action is one function that checks policy.md and returns a `Plan`: its preview tells the plan, the tool carries it
out, so a rule stands here once. Amounts are US dollars, as floats with two decimals, as in the shop's records.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

from shopbot import OrderId, Refusal, Shopper, shop_tool
from shopbot.reads import address_line
from shopbot.records import Record, ShopData
from shopbot.tools import IdempotencyKey, ItemId, NeedsPerson, PaymentId, ProductId, ShopTool, UserId, VariantId

LONGEST_EXPRESSION = 300  # characters; keeps the tree of a sum well below Python's recursion limit
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action comes to: whole records as they will stand, and the words. Nothing has been written yet."""

    records: Mapping[Literal["orders", "users"], Record]
    subject: str
    predicate: str
    warning: str = ""

    def told(self) -> dict[str, Any]:
        """The preview."""
        return {"say": {"en": f"{self.subject} would be {self.predicate}.{self.warning and ' ' + self.warning}"}}

    def carry_out(self, data: ShopData, key: IdempotencyKey) -> dict[str, Any]:
        """Put the records in place; the result has copies of them. The caller holds `data.lock`."""
        if "orders" in self.records:
            data.orders[self.records["orders"]["order_id"]] = self.records["orders"]
        if "users" in self.records:
            data.users[self.records["users"]["user_id"]] = self.records["users"]
        changed = next(iter(self.records.values()))
        result = {**deepcopy(changed), "say": {"en": f"{self.subject} has been {self.predicate}."}}
        data.ledger[str(key)] = result
        data.changed()
        return result


def found_by_key(data: ShopData, key: IdempotencyKey) -> dict[str, Any] | None:
    """The lookup of every tool that writes: what an earlier try brought."""
    return data.ledger.get(str(key))


def action(intent: str = "") -> Callable[[Callable[..., Plan]], ShopTool]:
    """Make a tool that writes of the function that plans it: previewed it is told, run it is carried out."""

    def make(plan: Callable[..., Plan]) -> ShopTool:
        @wraps(plan)
        def preview(**given: Any) -> dict[str, Any]:
            with given["data"].lock:
                return plan(**given).told()

        @wraps(plan)
        def run(**given: Any) -> dict[str, Any]:
            with given["data"].lock:
                return plan(**given).carry_out(given["data"], given["key"])

        return shop_tool(run, writes=True, preview=preview, lookup=found_by_key, intent=intent)

    return make


# ---------------------------------------------------------------- who, and what the shop holds


@shop_tool
def find_user_id_by_email(email: str, shopper: Shopper, data: ShopData) -> str:
    """Find the user id of the person you are talking to by e-mail address."""
    return _own_id(shopper, data, lambda user: _same(user["email"], email))


@shop_tool
def find_user_id_by_name_zip(first_name: str, last_name: str, zip: str, shopper: Shopper, data: ShopData) -> str:
    """Find the user id of the person you are talking to by first name, last name and zip code."""
    given = (f"{first_name.strip()} {last_name}", zip)
    return _own_id(
        shopper, data, lambda user: all(map(_same, (" ".join(user["name"].values()), user["address"]["zip"]), given))
    )


def _own_id(shopper: Shopper, data: ShopData, fits: Callable[[Record], bool]) -> str:
    """The shopper's own id if what was given fits their record: never anybody else's."""
    user = data.users.get(shopper.id or "")
    if user is None or not fits(user):
        raise Refusal("that is not what your account says")
    return user["user_id"]


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


@shop_tool
def get_user_details(user_id: UserId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """The details of the user: name, e-mail, default address, payment methods, order ids."""
    return _user(user_id, data)


@shop_tool
def get_order_details(order_id: OrderId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """The status and details of one of the user's orders. An order id looks like '#W0000000'."""
    return deepcopy(data.orders[order_id])


@shop_tool
def get_product_details(product_id: ProductId, data: ShopData) -> dict[str, Any]:
    """A product with all its items: options, prices, availability. A product id is not an item id."""
    return deepcopy(data.products[product_id])


@shop_tool
def get_item_details(item_id: VariantId, data: ShopData) -> dict[str, Any]:
    """One item that the shop sells: its options, price and availability. An item id is not a product id."""
    return next(deepcopy(one["variants"][item_id]) for one in data.products.values() if item_id in one["variants"])


@shop_tool
def list_all_product_types(data: ShopData) -> dict[str, str]:
    """All products by name, with their product ids."""
    return dict(sorted((one["name"], one["product_id"]) for one in data.products.values()))


# ---------------------------------------------------------------- helpers of the agent


@shop_tool
def calculate(expression: str) -> str:
    """The value of an expression of numbers, + - * / and parentheses, such as '2 + 2', to two decimals."""
    if len(expression) > LONGEST_EXPRESSION:
        raise Refusal(f"an expression may have {LONGEST_EXPRESSION} characters")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
        round(value)  # raises for what is infinite or no number
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        raise Refusal("that has no value: numbers, + - * / and parentheses can be worked out") from None
    return str(round(value, 2))


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=one):
            return -_value(one)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("neither a number nor an operation")


@shop_tool
def think(thought: str) -> str:
    """Write down a thought. Nothing is looked up or changed by it."""
    return ""


@shop_tool
def transfer_to_human_agents(summary: str) -> str:
    """Hand the conversation to a person, with a summary; only where the user wants it or no tool can help."""
    raise NeedsPerson(summary)


# ---------------------------------------------------------------- actions


@action("cancel_order")
def cancel_pending_order(
    order_id: OrderId, reason: Literal["no longer needed", "ordered by mistake"], data: ShopData, key: IdempotencyKey
) -> Plan:
    """Cancel a pending order and refund it: at once to a gift card, otherwise in 5 to 7 business days."""
    order, user = _order_to_change(order_id, "pending", "cancelled", data)
    subject, refunds = f"Order {order_id} with {', '.join(item['name'] for item in order['items'])}", []
    for method_id, amount in _paid_by(order).items():
        _pay(user, method_id, -amount)
        order["payment_history"].append(_entry("refund", amount, method_id))
        refunds.append(f"{_money(amount)} to {_method(user, method_id)}{_duration(user, method_id)}")
    order |= {"status": "cancelled", "cancel_reason": reason}
    predicate = f"cancelled ({reason}), with a refund of {' and '.join(refunds)}"
    return Plan({"orders": order, "users": user}, subject, predicate)


@action("change_items")
def modify_pending_order_items(
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[VariantId],
    payment_method_id: PaymentId,
    data: ShopData,
    key: IdempotencyKey,
) -> Plan:
    """Change items of a pending order to other options of the same products; once per order.

    Each new id stands where its old one does. The payment method pays the price difference or receives it.
    """
    order, user = _order_to_change(order_id, "pending", "changed", data)
    swaps = _swaps(order, item_ids, new_item_ids, data)
    difference = _difference(swaps)
    words = f"{_swap_words(swaps)}, {_difference_words(difference, user, payment_method_id)}"
    _pay(user, payment_method_id, difference)
    kind = "payment" if difference > 0 else "refund"
    order["payment_history"].append(_entry(kind, abs(difference), payment_method_id))
    for item, wanted in swaps:
        item |= {"item_id": wanted["item_id"], "price": wanted["price"], "options": deepcopy(wanted["options"])}
    order["status"] = "pending (item modified)"
    warning = (
        "After that the order can be neither changed again nor cancelled, so name all items that you want changed."
    )
    return Plan({"orders": order, "users": user}, f"Order {order_id}", f"changed: {words}", warning)


@action("change_payment")
def modify_pending_order_payment(
    order_id: OrderId, payment_method_id: PaymentId, data: ShopData, key: IdempotencyKey
) -> Plan:
    """Pay a pending order with another payment method of the user; the original one is refunded."""
    order, user = _order_to_change(order_id, "pending", "paid in another way", data)
    history: list[Record] = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise Refusal(f"the payment of order {order_id} has been changed before")
    before, amount = history[0]["payment_method_id"], history[0]["amount"]
    if before == payment_method_id:
        raise Refusal(f"order {order_id} is paid by {_method(user, before)} already")
    _pay(user, payment_method_id, amount)
    _pay(user, before, -amount)
    history += [_entry("payment", amount, payment_method_id), _entry("refund", amount, before)]
    subject = f"The payment of {_money(amount)} for order {order_id}"
    refund = f"with a refund to {_method(user, before)}{_duration(user, before)}"
    return Plan({"orders": order, "users": user}, subject, f"moved to {_method(user, payment_method_id)}, {refund}")


@action("change_address")
def modify_pending_order_address(  # noqa: PLR0913 - its parameters are the schema
    order_id: OrderId,
    address1: str,
    address2: str,
    city: str,
    state: str,
    country: str,
    zip: str,
    data: ShopData,
    key: IdempotencyKey,
) -> Plan:
    """Send a pending order to another address; `address2` may be empty."""
    order, _ = _order_to_change(order_id, "pending", "sent to another address", data)
    order["address"] = _address(address1, address2, city, state, country, zip)
    return Plan({"orders": order}, f"The address of order {order_id}", f"changed to {address_line(order['address'])}")


@action("change_account_address")
def modify_user_address(  # noqa: PLR0913 - its parameters are the schema
    user_id: UserId,
    address1: str,
    address2: str,
    city: str,
    state: str,
    country: str,
    zip: str,
    data: ShopData,
    key: IdempotencyKey,
) -> Plan:
    """Change the user's default address; `address2` may be empty. Orders keep theirs."""
    user = _user(user_id, data)
    user["address"] = _address(address1, address2, city, state, country, zip)
    return Plan({"users": user}, "Your default address", f"changed to {address_line(user['address'])}")


@action("return_items")
def return_delivered_order_items(
    order_id: OrderId, item_ids: list[ItemId], payment_method_id: PaymentId, data: ShopData, key: IdempotencyKey
) -> Plan:
    """Return items of a delivered order; the refund goes to the original payment method or a gift card of the user."""
    order, user = _order_to_change(order_id, "delivered", "returned", data)
    items = _items(order, item_ids)
    if payment_method_id not in _paid_by(order) and _record(user, payment_method_id)["source"] != "gift_card":
        raise Refusal("a refund goes to the original payment method or to one of your gift cards")
    order |= {"status": "return requested", "return_items": sorted(item_ids)}
    order["return_payment_method_id"] = payment_method_id
    refund = f"{_money(sum(item['price'] for item in items))} to {_method(user, payment_method_id)}"
    subject = f"The return of {', '.join(map(_item_words, items))} from order {order_id}"
    predicate = f"requested, with a refund of {refund} and an e-mail on how to send the goods back"
    return Plan({"orders": order}, subject, predicate)


@action("exchange_items")
def exchange_delivered_order_items(
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[VariantId],
    payment_method_id: PaymentId,
    data: ShopData,
    key: IdempotencyKey,
) -> Plan:
    """Exchange items of a delivered order for other options of the same products; once per order.

    Each new id stands where its old one does. The payment method pays the price difference or receives it.
    """
    order, user = _order_to_change(order_id, "delivered", "exchanged", data)
    swaps = _swaps(order, item_ids, new_item_ids, data)
    difference = _difference(swaps)
    words = f"{_swap_words(swaps)}, {_difference_words(difference, user, payment_method_id)}"
    _pay(user, payment_method_id, difference)  # must be possible; the money moves when the goods are back
    order |= {"status": "exchange requested", "exchange_payment_method_id": payment_method_id}
    order |= {"exchange_items": sorted(item_ids), "exchange_new_items": sorted(new_item_ids)}
    order["exchange_price_difference"] = difference
    predicate = f"requested: {words}, and an e-mail on how to send the old goods back"
    warning = "An order can be exchanged only once, so name all items that you want exchanged."
    return Plan({"orders": order}, f"The exchange in order {order_id}", predicate, warning)


# ---------------------------------------------------------------- rules and words that they share


def _user(user_id: str, data: ShopData) -> Record:
    """A copy, to plan on."""
    if user_id not in data.users:
        raise Refusal("there is no account under this login")
    return deepcopy(data.users[user_id])


def _order_to_change(order_id: str, status: str, done: str, data: ShopData) -> tuple[Record, Record]:
    """Copies of the order and its owner, to plan on. Its status must be just this one: a changed order is no longer pending."""
    order = data.orders[order_id]
    if order["status"] != status:
        raise Refusal(f"order {order_id} is {order['status']}; only an order that is {status} can be {done}")
    return deepcopy(order), _user(order["user_id"], data)


def _items(order: Record, item_ids: Sequence[str]) -> list[Record]:
    """The items of the order that are meant, each once: the same id twice means two of them."""
    if not item_ids:
        raise Refusal("no items were named")
    left, meant = list(order["items"]), []
    for item_id in item_ids:
        place = next((place for place, item in enumerate(left) if item["item_id"] == item_id), None)
        if place is None:
            raise Refusal(f"item {item_id} is not in order {order['order_id']}, or not so often")
        meant.append(left.pop(place))
    return meant


def _swaps(order: Record, old: Sequence[str], new: Sequence[str], data: ShopData) -> list[tuple[Record, Record]]:
    """Each item with the version of its product that is wanted instead."""
    items = _items(order, old)
    if len(items) != len(new):
        raise Refusal("for each item exactly one new item must be named")
    swaps: list[tuple[Record, Record]] = []
    for item, new_id in zip(items, new, strict=True):
        wanted = data.products.get(item["product_id"], {"variants": {}})["variants"].get(new_id)
        if new_id == item["item_id"]:
            raise Refusal(f"the new item {new_id} is the same as the old one")
        if wanted is None:
            raise Refusal(f"item {new_id} is no {item['name']}, and only another option of the same product can be had")
        if not wanted["available"]:
            raise Refusal(f"item {new_id} is not available")
        swaps.append((item, wanted))
    return swaps


def _difference(swaps: Sequence[tuple[Record, Record]]) -> float:
    """What the new items cost more; negative where they cost less."""
    return round(sum(wanted["price"] - item["price"] for item, wanted in swaps), 2) + 0.0  # never -0.0


def _paid_by(order: Record) -> dict[str, float]:
    """What each payment method has paid and not got back: after a change of payment that is the new one alone."""
    paid: dict[str, float] = {}
    for entry in order["payment_history"]:
        sign = 1 if entry["transaction_type"] == "payment" else -1
        method_id = entry["payment_method_id"]
        paid[method_id] = round(paid.get(method_id, 0) + sign * entry["amount"], 2)
    return {method_id: amount for method_id, amount in paid.items() if amount > 0}


def _record(user: Record, method_id: str) -> Record:
    if method_id not in user["payment_methods"]:
        raise Refusal(f"payment {method_id} is not among your records")
    return user["payment_methods"][method_id]


def _pay(user: Record, method_id: str, amount: float) -> None:
    """Take it off the balance of a gift card (negative: put it on); other methods have no balance here."""
    method = _record(user, method_id)
    if method["source"] == "gift_card":
        if method["balance"] < amount:
            raise Refusal(
                f"{_method(user, method_id)} has {_money(method['balance'])}, which does not cover {_money(amount)}"
            )
        method["balance"] = round(method["balance"] - amount, 2)


def _entry(kind: str, amount: float, method_id: str) -> Record:
    return {"transaction_type": kind, "amount": amount, "payment_method_id": method_id}


def _address(*lines: str) -> Record:
    return dict(zip(("address1", "address2", "city", "state", "country", "zip"), lines, strict=True))


def _money(amount: float) -> str:
    return f"${amount:,.2f}"


def _method(user: Record, method_id: str) -> str:
    method = _record(user, method_id)
    if method["source"] == "credit_card":
        return f"your {method['brand'].title()} card ending in {method['last_four']}"
    return f"your {'gift card' if method['source'] == 'gift_card' else 'PayPal account'} ({method_id})"


def _duration(user: Record, method_id: str) -> str:
    return " at once" if _record(user, method_id)["source"] == "gift_card" else " in 5 to 7 business days"


def _item_words(item: Record) -> str:
    return f"{item['name']} ({', '.join(item['options'].values())}; {_money(item['price'])})"


def _swap_words(swaps: Sequence[tuple[Record, Record]]) -> str:
    return ", ".join(
        f"{_item_words(item)} for {_item_words({**wanted, 'name': item['name']})}" for item, wanted in swaps
    )


def _difference_words(difference: float, user: Record, method_id: str) -> str:
    if difference > 0:
        return f"with a payment of {_money(difference)} by {_method(user, method_id)}"
    return f"with a refund of {_money(-difference + 0.0)} to {_method(user, method_id)}"

"""Orders and accounts in words: which sentences of an order a question asks for, and those sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shopbot.lookup.tokens import passed_over, stems
from shopbot.order_aspects import days_asked, order_aspects
from shopbot.order_match import naming
from shopbot.phrases import Phrases
from shopbot.types import Citation, Draft, ToolCall
from shopbot.understand import count_words

Record = Mapping[str, Any]

MOST_ROWS = 10
_MANY_WORDS = 12
_DATES = ("placed_on", "shipped_on", "expected_on", "delivered_on", "cancelled_on", "returned_on")
_OVER = ("delivered_on", "cancelled_on", "returned_on")

_ACCOUNT_ASPECTS = (
    ("email", r"e-?mail|邮箱|邮件"),
    ("balance", r"balance|how much|left on|余额|还剩|多少"),
    ("methods", r"payment|card|paypal|method|支付|付款|卡"),
    ("address", r"address|live|deliver|zip|postcode|post code|street|city|地址|邮编"),
    ("name", r"\bname\b|姓名|名字"),
    ("phone", r"phone|mobile|telephone|电话|手机"),
)


def compose_order(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """The status of an order, and those of its facts that the question asks for; what is missing is said to be."""
    order = call.result["order"]
    missing, asked = _missing(order, question, phrases), order_aspects(question)
    facts = _facts(order, question, phrases)
    further = _further(order, question, phrases)
    if not (facts or missing):
        facts = _under_way(order, phrases) if asked == {"day"} else _whole(order, phrases)
        further = [] if asked != {"day"} else further
    told = dict.fromkeys([_status(order, phrases), *missing, *facts])
    spare = [one for one in further if one not in told] if not missing else []
    return Draft((*told, *spare), (_cite(order, phrases),), answered=not missing, spare=tuple(reversed(spare)))


def compose_orders(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """A list of orders, newest first, each with what is asked for; of the one order where there is only one."""
    orders = call.result["orders"]
    which = _which(call.result, phrases)
    if not orders:
        none = phrases.line("no_orders", which=which)
        return Draft((none,), (Citation("orders", none),))
    if len(orders) == 1:
        return compose_order(ToolCall("get_order", {}, "done", {"order": orders[0]}), question, phrases)
    head = phrases.line("orders_found", count=len(orders), which=which)
    missing = [_missing(order, question, phrases) for order in orders]
    rows = [_row(order, question, phrases) for order in orders[:MOST_ROWS]]
    if len(orders) > MOST_ROWS:
        rows.append(phrases.line("more_rows", count=len(orders) - MOST_ROWS))
    said = (*(missing[0] if all(missing) else ()), head, *rows)
    counted = Citation("orders", "".join(said))
    cited = tuple(_cite(order, phrases) for order in orders[:MOST_ROWS])
    return Draft(said, (counted, *cited), answered=not all(missing))


def compose_account(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """Those facts of the account that the question asks for; without any, name, e-mail and address."""
    account = call.result
    aspects = [aspect for aspect, cue in _ACCOUNT_ASPECTS if re.search(cue, question, re.IGNORECASE)]
    if "balance" in aspects and not any("balance" in method for method in account["payment_methods"]):
        aspects[aspects.index("balance")] = "no_balance"
    if "balance" in aspects and "methods" in aspects:
        aspects.remove("methods")
    lines = [
        line for aspect in aspects or ("name", "email", "address") for line in _account_lines(account, aspect, phrases)
    ]
    text = " ".join(
        line
        for aspect in ("name", "email", "address", "methods", "balance")
        for line in _account_lines(account, aspect, phrases)
    )
    return Draft(tuple(lines[:3]), (Citation("account", text),), answered=bool(lines))


# ---------------------------------------------------------------- what is asked for


def _facts(order: Record, question: str, phrases: Phrases) -> list[str]:
    """The sentences that a question asks for, most telling first."""
    asked = order_aspects(question) | ({"items"} if _names_option(order, question) else set[str]())
    if "returning" in asked and (order["returning"] or order["exchanging"]):
        asked -= {"items"}
    return [line for aspect, lines in _LINES.items() if aspect in asked for line in lines(order, question, phrases)]


def _names_option(order: Record, question: str) -> bool:
    """Whether a question says the name of an option of an item: "how much storage does it have"."""
    said = set(stems(question))
    names = {name for item in order["items"] for name in item["options"]}
    return any(said.intersection(stems(name)) - passed_over() for name in names)


def _further(order: Record, question: str, phrases: Phrases) -> list[str]:
    """What may be meant, too, by a question in many words: the money that moved, and what is in the order."""
    if count_words(question) < _MANY_WORDS:
        return []
    back = _refund(order, "", phrases) if any(each["kind"] == "refund" for each in order["payments"]) else []
    return [*back, *_items(order, question, phrases), *_payment(order, "", phrases)]


def _whole(order: Record, phrases: Phrases) -> list[str]:
    """What an order is as a whole, where it cannot be told what is asked."""
    contents = phrases.line("items_total", items=_listed(order["items"], phrases), amount=phrases.money(order["total"]))
    return [*_under_way(order, phrases), contents, *_address(order, "", phrases)]


def _under_way(order: Record, phrases: Phrases) -> list[str]:
    """Who brings an order that is on its way."""
    return [] if _is_over(order) or not order["tracking"] else _tracking(order, "", phrases)


def _missing(order: Record, question: str, phrases: Phrases) -> list[str]:
    """What the record of the order does not tell, though it is asked for."""
    asked, days = order_aspects(question), days_asked(question)
    gone = [
        ("unkept" in asked, "not_kept"),
        (bool(days) and not any(day in order for day in days), "no_day"),
        ("carrier" in asked and bool(order["tracking"]) and not order["carrier"], "no_carrier"),
        ("address" in asked and not order["address"], "no_address"),
    ]
    return [phrases.line(line) for is_so, line in gone if is_so]


def _is_over(order: Record) -> bool:
    return any(day in order for day in _OVER)


def _status(order: Record, phrases: Phrases) -> str:
    status = phrases.status(order["status"])
    line = "order_has" if " " in status else "order_is"
    return phrases.line(line, id=order["order_id"], status=status, dates=_dates(order, phrases))


def _dates(order: Record, phrases: Phrases) -> str:
    """The dates that matter for the status: a delivered order is not expected any more."""
    done = {"expected_on"} if _is_over(order) else set[str]()
    return phrases.inner(
        [phrases.line(name, day=phrases.day(order[name])) for name in _DATES if name in order and name not in done]
    )


# ---------------------------------------------------------------- its items


def _items(order: Record, question: str, phrases: Phrases) -> list[str]:
    """The items that the question names, else all of them; each with its version and its price."""
    if named := _named(order, question):
        return [phrases.line("ordered", items=_listed(named, phrases))]
    return [phrases.line("items", items=_listed(order["items"], phrases))]


def _named(order: Record, question: str) -> list[Record]:
    """Those items that the question names, if it names some and not all."""
    scores = [sum(_naming(item, question).values()) for item in order["items"]]
    most = max(scores)
    best = {item["product_id"] for item, score in zip(order["items"], scores, strict=True) if score == most > 0}
    named = [
        item for item in order["items"] if item["product_id"] in best
    ]  # with its other versions: "the two of them"
    return named if len(named) < len(order["items"]) else []


def _naming(item: Record, question: str) -> Mapping[str, float]:
    names = (item["name"], *item.get("names", {}).values())
    return naming(names, item["options"].values(), question, lambda word: len(word) > 1)


def _listed(items: Sequence[Record], phrases: Phrases) -> str:
    return phrases.joined(
        [
            phrases.line("item_at", item=_item(item, phrases), price=phrases.money(item["price"]))
            + (phrases.line("each") if item["quantity"] != 1 else "")
            for item in items
        ]
    )


def _item(item: Record, phrases: Phrases) -> str:
    count = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    return count + phrases.version(item, item)


def _returning(order: Record, question: str, phrases: Phrases) -> list[str]:
    """What goes back, and what is wanted instead."""
    back = phrases.joined([_item(item, phrases) for item in order["returning"]])
    swapped = [
        phrases.line(
            "to_exchange", item=_item(each["item"], phrases), wanted=phrases.version(each["item"], each["wanted"])
        )
        for each in order["exchanging"]
    ]
    return [*([phrases.line("to_return", items=back)] if back else []), *swapped]


def _reason(order: Record, question: str, phrases: Phrases) -> list[str]:
    return [phrases.line("reason_is", reason=order["reason"])] if order["reason"] else []


# ---------------------------------------------------------------- its money


def _price(order: Record, question: str, phrases: Phrases) -> list[str]:
    """The price of what the question names, and the whole, unless the payment tells it."""
    named, paid = _named(order, question), [each["amount"] for each in order["payments"] if each["kind"] == "payment"]
    told = "payment" in order_aspects(question) and paid == [order["total"]]
    told = told and not Decimal(order["shipping_fee"]) and not Decimal(order["discount"])
    of_named = [phrases.line("ordered", items=_listed(named, phrases))] if named else []
    return of_named if told else [*of_named, _total(order, phrases)]


def _total(order: Record, phrases: Phrases) -> str:
    fee, discount = Decimal(order["shipping_fee"]), Decimal(order["discount"])
    parts = [phrases.line("with_fee", fee=phrases.money(fee))] if fee else []
    if discount:
        code = phrases.line("by_code", code=order["discount_code"]) if order["discount_code"] else ""
        parts.append(phrases.line("with_discount", amount=phrases.money(discount), code=code))
    return phrases.line("total", amount=phrases.money(order["total"]), parts=phrases.inner(parts))


def _fee(order: Record, question: str, phrases: Phrases) -> list[str]:
    none = [] if Decimal(order["shipping_fee"]) else [phrases.line("no_fee")]
    return [*none, _total(order, phrases)]


def _discount(order: Record, question: str, phrases: Phrases) -> list[str]:
    none = [] if Decimal(order["discount"]) else [phrases.line("no_discount")]
    return [*none, _total(order, phrases)]


def _payment(order: Record, question: str, phrases: Phrases) -> list[str]:
    parts = _movements(order, "payment", "paid_part", phrases)
    return [phrases.line("paid", parts=parts)] if parts else [_total(order, phrases)]


def _refund(order: Record, question: str, phrases: Phrases) -> list[str]:
    parts = _movements(order, "refund", "refunded_part", phrases)
    return [phrases.line("refunded", parts=parts)] if parts else [phrases.line("no_refund")]


def _movements(order: Record, kind: str, line: str, phrases: Phrases) -> str:
    return phrases.joined(
        [
            phrases.line(line, amount=phrases.money(each["amount"]), method=phrases.method(each["method"]))
            for each in order["payments"]
            if each["kind"] == kind
        ]
    )


# ---------------------------------------------------------------- its way


def _tracking(order: Record, question: str, phrases: Phrases) -> list[str]:
    if not order["tracking"]:
        return [phrases.line("no_tracking_kept" if _is_over(order) else "no_tracking")]
    numbers = phrases.listed(order["tracking"])
    if order["carrier"]:
        return [phrases.line("tracking_with", carrier=order["carrier"], numbers=numbers)]
    return [phrases.line("tracking", numbers=numbers)]


def _service(order: Record, question: str, phrases: Phrases) -> list[str]:
    return [phrases.line("service_is", method=order["shipping_method"])] if order["shipping_method"] else []


def _address(order: Record, question: str, phrases: Phrases) -> list[str]:
    return [phrases.line("goes_to", address=order["address"])] if order["address"] else []


_LINES: Mapping[str, Callable[[Record, str, Phrases], list[str]]] = {
    "refund": _refund,
    "payment": _payment,
    "discount": _discount,
    "fee": _fee,
    "total": _price,
    "address": _address,
    "tracking": _tracking,
    "carrier": _tracking,
    "returning": _returning,
    "items": _items,
    "service": _service,
    "reason": _reason,
}
"""What is said for each aspect; sentences come out in this order, the first that fit the measure of an answer."""


# ---------------------------------------------------------------- rows and records


def _row(order: Record, question: str, phrases: Phrases) -> str:
    """An order on one line: what it holds, and its facts that are asked for, else its total."""
    others = order_aspects(question) - {"items"}
    facts = [line for aspect, lines in _LINES.items() if aspect in others for line in lines(order, question, phrases)]
    return phrases.line(
        "order_row",
        id=order["order_id"],
        status=phrases.status(order["status"]),
        dates=_dates(order, phrases),
        items=phrases.listed([_item(item, phrases) for item in order["items"]]),
        facts=phrases.clauses([fact.rstrip(".。") for fact in facts] or [phrases.money(order["total"])]),
    )


def _which(result: Record, phrases: Phrases) -> str:
    return phrases.line("which_status", status=phrases.status(result["status"])) if result.get("status") else ""


def _cite(order: Record, phrases: Phrases) -> Citation:
    """The record behind the sentences, in words: what a reader sees when they open the citation."""
    told = (_items, _payment, _fee, _discount, _refund, _address, _tracking, _returning, _service, _reason)
    lines = [_status(order, phrases), *(line for tell in told for line in tell(order, "", phrases))]
    return Citation(f"order:{order['order_id']}", " ".join(dict.fromkeys(lines)))


# ---------------------------------------------------------------- the account


def _account_lines(account: Mapping[str, Any], aspect: str, phrases: Phrases) -> list[str]:
    methods = account["payment_methods"]
    if aspect == "methods":
        names = phrases.joined([phrases.method(method) for method in methods])
        return [phrases.line("account_methods", methods=names) if names else phrases.line("account_no_methods")]
    if aspect == "balance":
        rows = [method for method in methods if "balance" in method]
        return [
            phrases.line("account_balance", method=phrases.method(row), amount=phrases.money(row["balance"]))
            for row in rows
        ]
    if aspect == "no_balance":
        return [phrases.line("account_none")]
    if aspect == "phone":
        phone = account["details"].get("phone")
        return [phrases.line("account_detail", name=aspect.title(), value=phone)] if phone else []
    return [phrases.line(f"account_{aspect}", **{aspect: account[aspect]})] if account.get(aspect) else []

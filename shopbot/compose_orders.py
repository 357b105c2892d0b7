"""Orders and accounts in words: which sentences of an order a question asks for, and those sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shopbot.phrases import Phrases
from shopbot.types import Citation, Draft, ToolCall

MOST_ROWS = 10
_DATES = ("placed_on", "shipped_on", "expected_on", "delivered_on", "cancelled_on")

# What a question about an order asks for. Order matters: sentences come out in this order, the first three are said.
_ORDER_ASPECTS = (
    ("refund", r"refund|money back|reimburse|credited|退款|退了|退回"),
    (
        "payment",
        r"\bpa(?:y|id|ying|yment)\b|\bcosts?\b|charge|total|how much|spen[dt]|price|\bcard\b|paypal|gift card"
        r"|钱|付款|支付|总额|总价|扣|金额",
    ),
    (
        "address",
        r"address|where .*(?:going|sent|headed|(?:deliver(?:ed|ing)?|ship(?:ped|ping)?) to)"
        r"|(?:deliver|ship|send|sent|going|mail)\w* to\b|which (?:city|street|town)|地址|寄到|送到哪|寄往|收货地",
    ),
    ("tracking", r"track|courier|carrier|parcel number|who (?:is )?deliver|物流|单号|快递|承运"),
    (
        "items",
        r"\bitems?\b|what(?:'s| is| did| was| were)? .*\b(?:in|order(?:ed)?|buy|bought|contain)|how many|contain"
        r"|inside|colou?r|size|which (?:version|model|one|variant)|商品|东西|里有|买了|包括|内容|颜色|尺码|几件|什么",
    ),
)
_ACCOUNT_ASPECTS = (
    ("email", r"e-?mail|邮箱|邮件"),
    ("balance", r"balance|how much|left on|余额|还剩|多少"),
    ("methods", r"payment|card|paypal|method|支付|付款|卡"),
    ("address", r"address|live|deliver|zip|postcode|post code|street|city|地址|邮编"),
    ("name", r"\bname\b|姓名|名字"),
    ("phone", r"phone|mobile|telephone|电话|手机"),
)


def order_aspects(question: str) -> list[str]:
    """What a question about one order asks for: of refund, payment, address, tracking, items; [] is its status."""
    return [aspect for aspect, cue in _ORDER_ASPECTS if re.search(cue, question, re.IGNORECASE)]


def compose_order(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """The status of an order, and those of its facts that the question asks for."""
    order = call.result["order"]
    aspects = order_aspects(question)
    sentences = [
        phrases.line(
            "order_is", id=order["order_id"], status=phrases.status(order["status"]), dates=_dates(order, phrases)
        )
    ]
    if not aspects:
        sentences += [*_tracking(order, phrases, always=False), _items(order, phrases)]
    for aspect in aspects:
        sentences += _ASPECT_LINES[aspect](order, phrases)
    return Draft(tuple(dict.fromkeys(sentences))[:3], (_cite(order, phrases),))


def compose_orders(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """A list of orders, newest first; the facts of the one order where there is only one."""
    orders = call.result["orders"]
    which = _which(call.result, phrases)
    if not orders:
        return Draft(
            (phrases.line("no_orders", which=which),), (Citation("orders", phrases.line("no_orders", which=which)),)
        )
    head = phrases.line("orders_found" if len(orders) > 1 else "one_order_found", count=len(orders), which=which)
    rows = [_row(order, phrases) for order in orders[:MOST_ROWS]]
    if len(orders) > MOST_ROWS:
        rows.append(phrases.line("more_rows", count=len(orders) - MOST_ROWS))
    counted = Citation("orders", head + "".join(rows))
    return Draft((head, *rows), (counted, *(_cite(order, phrases) for order in orders[:MOST_ROWS])))


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


# ---------------------------------------------------------------- the sentences


def _dates(order: Mapping[str, Any], phrases: Phrases) -> str:
    """The dates that matter for the status: a delivered order is not expected any more."""
    done = {"expected_on"} if "delivered_on" in order or "cancelled_on" in order else set[str]()
    return phrases.inner(
        [phrases.line(name, day=phrases.day(order[name])) for name in _DATES if name in order and name not in done]
    )


def _items(order: Mapping[str, Any], phrases: Phrases) -> str:
    parts = [
        f"{_item(item, phrases)}{' ' if phrases.language == 'en' else ''}{_at(item, phrases)}"
        for item in order["items"]
    ]
    return phrases.line("items", items=phrases.joined(parts))


def _at(item: Mapping[str, Any], phrases: Phrases) -> str:
    return f"at {phrases.money(item['price'])}" if phrases.language == "en" else phrases.money(item["price"])


def _item(item: Mapping[str, Any], phrases: Phrases) -> str:
    count = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    return count + phrases.version(item, item)


def _payment(order: Mapping[str, Any], phrases: Phrases) -> list[str]:
    paid = [each for each in order["payments"] if each["kind"] == "payment"]
    lines = [
        phrases.line("paid", amount=phrases.money(each["amount"]), method=phrases.method(each["method"]))
        for each in paid
    ]
    lines = lines or [phrases.line("total", amount=phrases.money(order["total"]))]
    if Decimal(order["shipping_fee"]):
        lines.append(phrases.line("with_fee", fee=phrases.money(order["shipping_fee"])))
    return lines


def _refund(order: Mapping[str, Any], phrases: Phrases) -> list[str]:
    refunds = [each for each in order["payments"] if each["kind"] == "refund"]
    return [
        phrases.line("refunded", amount=phrases.money(each["amount"]), method=phrases.method(each["method"]))
        for each in refunds
    ]


def _tracking(order: Mapping[str, Any], phrases: Phrases, always: bool = True) -> list[str]:
    if not order["tracking"]:
        return [phrases.line("no_tracking")] if always else []
    numbers = phrases.listed(order["tracking"])
    if order["carrier"]:
        return [phrases.line("tracking_with", carrier=order["carrier"], numbers=numbers)]
    return [phrases.line("tracking", numbers=numbers)]


_ASPECT_LINES: Mapping[str, Any] = {
    "refund": _refund,
    "payment": _payment,
    "address": lambda order, phrases: [phrases.line("goes_to", address=order["address"])],
    "tracking": _tracking,
    "items": lambda order, phrases: [_items(order, phrases)],
}


def _row(order: Mapping[str, Any], phrases: Phrases) -> str:
    return phrases.line(
        "order_row",
        id=order["order_id"],
        status=phrases.status(order["status"]),
        dates=_dates(order, phrases),
        items=phrases.listed([_item(item, phrases) for item in order["items"]]),
        amount=phrases.money(order["total"]),
    )


def _which(result: Mapping[str, Any], phrases: Phrases) -> str:
    status, product = result.get("status"), result.get("product")
    text = phrases.line("which_status", status=phrases.status(status)) if status else ""
    return text + (phrases.line("which_product_in", product=product) if product else "")


def _cite(order: Mapping[str, Any], phrases: Phrases) -> Citation:
    """The record behind the sentences, in words: what a reader sees when they open the citation."""
    text = " ".join(
        [
            phrases.line(
                "order_is", id=order["order_id"], status=phrases.status(order["status"]), dates=_dates(order, phrases)
            ),
            _items(order, phrases),
            *_payment(order, phrases),
            *_refund(order, phrases),
            phrases.line("goes_to", address=order["address"]),
            *_tracking(order, phrases, always=False),
        ]
    )
    return Citation(f"order:{order['order_id']}", text)


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

"""`FakeShop`: a small whole shop that a test writes into a folder, whole or changed; part of `shopbot.testing`.

Its names are invented, so that nothing in shopbot can know them from anywhere but this data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SETTINGS = """\
[shop]
name = "Example Shop"
today = "2026-03-02"
timezone = "Europe/London"
currency = "GBP"
languages = ["en", "zh"]
hosts = ["example-shop.example"]
contact = {email = "help@example-shop.example", phone = "+44 1632 960001", hours = "Mon–Fri 9:00–17:00"}

[parts]
catalog = "catalog.jsonl"
orders = "orders.jsonl"
shoppers = "shoppers.jsonl"
policies = ["policies"]
"""

_PAGES = {
    "en/returns": """\
title: Returns
language: en
---
# Returns

## How long you have

You have 21 days from delivery to return anything that is unused. Pass that day and we cannot take it back.

## What it costs

Sending it back costs £2.50, which we take off the refund. A faulty piece goes back free of charge.

## When the money comes

The refund reaches the payment method of the order within 6 working days after your parcel has arrived here.
""",
    "en/delivery": """\
title: Delivery
language: en
---
# Delivery

## Charges

Delivery costs £3.40. It is free for orders of £60 or more.

## Time

A parcel takes 3 to 5 working days. We deliver to the United Kingdom only.
""",
    "en/payment": """\
title: Payment
language: en
valid_from: 2026-01-01
---
# Payment

We take credit cards, PayPal and our own gift cards. Your card is charged on the day the parcel leaves.

## Gift cards

A gift card is valid for 18 months and cannot be paid out in cash.
""",
    "zh/returns": """\
title: 退货
language: zh
---
# 退货

## 退货期限

未使用的商品自送达之日起21天内可以退货。逾期不予受理。

## 退货费用

退货运费为£2.50，从退款中扣除。有质量问题的商品免费退回。
""",
    "zh/delivery": """\
title: 配送
language: zh
---
# 配送

## 运费

运费为£3.40。订单满£60免运费。

## 时间

包裹需要3至5个工作日送达。我们只配送到英国。
""",
}

# Name, the same in Chinese, price of the plain version in pence, stock of the plain and of the fine version.
_GOODS = (
    ("Zorvel", "佐维", 1200, (4, 0)),
    ("Zorvel Max", "佐维加强版", 2650, (2, 7)),
    ("Quimpet", "昆佩", 899, (0, 0)),
    ("Dravin", "德拉文", 4400, (3, 1)),
    ("Lomera", "洛梅", 700, (12, 9)),
    ("Brenolo", "布雷诺", 5995, (0, 5)),
)
_PEOPLE = (
    ("Ann", "Abel", "en", "card_1001"),
    ("Ben", "Boll", "en", "giftcard_1002"),
    ("Cai", "Chen", "zh", "paypal_1003"),
)

# Shopper, status, (product, version, quantity) of each line, and the days of its history; all counted from 0.
_HISTORY: tuple[tuple[int, str, tuple[tuple[int, int, int], ...], dict[str, str]], ...] = (
    (
        0,
        "delivered",
        ((0, 0, 1), (4, 1, 2)),
        {"placed_on": "2026-02-10", "shipped_on": "2026-02-11", "delivered_on": "2026-02-16"},
    ),
    (0, "pending", ((3, 0, 1),), {"placed_on": "2026-03-01"}),
    (1, "shipped", ((5, 1, 1),), {"placed_on": "2026-02-26", "shipped_on": "2026-02-27", "expected_on": "2026-03-04"}),
    (1, "cancelled", ((1, 1, 1),), {"placed_on": "2026-02-20", "cancelled_on": "2026-02-21"}),
    (2, "processed", ((3, 1, 1), (0, 0, 2)), {"placed_on": "2026-02-28"}),
)

Record = dict[str, Any]


@dataclass
class FakeShop:
    """A small whole shop: 6 products, 3 shoppers, 5 orders, policies in English and Chinese; its today is 2026-03-02.

    Ids: products "FP-1" to "FP-6", versions "FP-1-PLAIN" and "FP-1-FINE", orders "FS-1001" to "FS-1005", shoppers
    "ann_abel_1", "ben_boll_2", "cai_chen_3". Change its records before `write`: they have the form of the README's
    "Bring your own shop"; `policies` are texts by path, `settings` is the text of shop.toml.
    """

    products: list[Record] = field(default_factory=lambda: [_product(place) for place in range(len(_GOODS))])
    shoppers: list[Record] = field(default_factory=lambda: [_shopper(place) for place in range(len(_PEOPLE))])
    orders: list[Record] = field(default_factory=lambda: [_order(place) for place in range(len(_HISTORY))])
    policies: dict[str, str] = field(
        default_factory=lambda: {f"policies/{at}.md": f"---\n{_PAGES[at]}" for at in _PAGES}
    )
    settings: str = _SETTINGS

    def write(self, folder: Path) -> Path:
        """Write the shop into `folder`, which is made if need be; returns it, for `Shop.open`."""
        lines = {"catalog.jsonl": self.products, "orders.jsonl": self.orders, "shoppers.jsonl": self.shoppers}
        texts = {"shop.toml": self.settings, **self.policies}
        texts |= {name: "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines[name]) for name in lines}
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder


def _product(place: int) -> Record:
    name, chinese, pence, stocks = _GOODS[place]
    group, group_chinese = ("vortals", "沃塔") if place < 3 else ("kempins", "肯品")
    product_id = f"FP-{place + 1}"
    versions = zip(("plain", "fine"), (0, 350), stocks, strict=True)
    rows = [
        {
            "item_id": f"{product_id}-{grade.upper()}",
            "options": {"grade": grade},
            "available": stock > 0,
            "stock": stock,
            "price": (pence + more) / 100,
        }
        for grade, more, stock in versions
    ]
    return {
        "product_id": product_id,
        "name": name,
        "category": group,
        "brand": "Oduno" if place % 2 else "Halvek",
        "description": f"The {name} runs for {place + 4} hours and weighs {place * 100 + 150} g.",
        "attributes": {"running time": f"{place + 4} hours", "weight": f"{place * 100 + 150} g"},
        "i18n": {"zh": {"name": chinese, "category": group_chinese}},
        "variants": {row["item_id"]: row for row in rows},
    }


def _shopper(place: int) -> Record:
    first, last, language, method = _PEOPLE[place]
    more = {
        "card_1001": {"source": "credit_card", "brand": "visa", "last_four": "1001"},
        "giftcard_1002": {"source": "gift_card", "balance": 25.0},
        "paypal_1003": {"source": "paypal"},
    }
    user_id = f"{first}_{last}_{place + 1}".lower()
    return {
        "user_id": user_id,
        "name": {"first_name": first, "last_name": last},
        "email": f"{user_id}@mail.example",
        "language": language,
        "address": _address(place),
        "payment_methods": {method: {"id": method, **more[method]}},
        "orders": [f"FS-{1001 + number}" for number, row in enumerate(_HISTORY) if row[0] == place],
    }


def _address(place: int) -> Record:
    town, code = (("Norwich", "NR1 1AA"), ("Leeds", "LS1 1AA"), ("Exeter", "EX1 1AA"))[place]
    street = f"{place + 3} Any Street"
    return {"address1": street, "address2": "", "city": town, "country": "United Kingdom", "state": "", "zip": code}


def _order(place: int) -> Record:
    owner, status, lines, days = _HISTORY[place]
    items = [_item(*line) for line in lines]
    goods = sum(round(item["price"] * 100) * item["quantity"] for item in items)
    fee = 0 if goods >= 6000 else 340
    kinds = ("payment", "refund") if status == "cancelled" else ("payment",)
    paid = {"amount": (goods + fee) / 100, "payment_method_id": _PEOPLE[owner][3]}
    parcel = {
        "tracking_id": [f"TRK{7000 + place}"],
        "item_ids": [item["item_id"] for item in items],
        "carrier": "Any Post",
    }
    return {
        "order_id": f"FS-{1001 + place}",
        "user_id": _shopper(owner)["user_id"],
        "status": status,
        "address": _address(owner),
        "items": items,
        "fulfillments": [parcel] if "shipped_on" in days else [],
        "payment_history": [{"transaction_type": kind, **paid} for kind in kinds],
        "shipping_fee": fee / 100,
        **days,
    }


def _item(place: int, version: int, quantity: int) -> Record:
    product = _product(place)
    row = list(product["variants"].values())[version]
    kept = {key: product[key] for key in ("name", "product_id")} | {
        key: row[key] for key in ("item_id", "price", "options")
    }
    return {**kept, "quantity": quantity}

"""Reading and writing the shop's JSONL files, and what every generator needs of catalog and shoppers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

Record = dict[str, Any]

TODAY = date(2026, 11, 20)
"""The shop's fixed now, as in shop.toml: nothing that is written here lies after it."""
OPENED = date(2025, 6, 1)
"""The first day of which the sample shop keeps orders, reviews and events."""


def read_jsonl(path: Path) -> list[Record]:
    """The objects of a JSONL file, in the order of its lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line, keys in the order given, so that the same rows are the same bytes."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8"))


def stream(purpose: str) -> Random:
    """A random stream of its own for each purpose: a change to one part of the data leaves the others as they are."""
    return Random(f"larkfield/{purpose}")


@dataclass(frozen=True)
class Line:
    """A variant as a row of an order: the product it belongs to and its price in pence."""

    product: Record
    variant: Record

    @property
    def sku(self) -> str:
        return str(self.variant["item_id"])

    @property
    def pence(self) -> int:
        return round(self.variant["price"] * 100)


@dataclass(frozen=True)
class Shop:
    """What is written by hand and read by every generator: products and shoppers, in the order of their files."""

    products: list[Record]
    shoppers: list[Record]

    @classmethod
    def read(cls, folder: Path) -> Shop:
        """Read catalog.jsonl and shoppers.jsonl of a shop folder."""
        return cls(read_jsonl(folder / "catalog.jsonl"), read_jsonl(folder / "shoppers.jsonl"))

    @property
    def by_category(self) -> dict[str, list[Record]]:
        """Category → its products."""
        found: dict[str, list[Record]] = {}
        for product in self.products:
            found.setdefault(product["category"], []).append(product)
        return found


def favourites(shop: Shop) -> dict[str, list[str]]:
    """Shopper → the two or three categories they care about: the same in orders, reviews and events."""
    rng = stream("favourites")
    categories = list(shop.by_category)
    return {shopper["user_id"]: rng.sample(categories, rng.choice([2, 2, 3])) for shopper in shop.shoppers}


def popularity(shop: Shop) -> dict[str, float]:
    """Product → how often it is looked at and bought beside the others: a long tail, as shops have."""
    rng = stream("popularity")
    return {product["product_id"]: rng.lognormvariate(0.0, 0.6) for product in shop.products}

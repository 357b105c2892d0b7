"""The sample shop's records as they stand in its files, by id; read once for all tests."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "sample_shop"
TODAY = "2026-11-20"


@cache
def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]


@cache
def products() -> dict[str, dict[str, Any]]:
    return {product["product_id"]: product for product in rows("catalog")}


@cache
def shoppers() -> dict[str, dict[str, Any]]:
    return {shopper["user_id"]: shopper for shopper in rows("shoppers")}


@cache
def orders() -> dict[str, dict[str, Any]]:
    return {order["order_id"]: order for order in rows("orders")}

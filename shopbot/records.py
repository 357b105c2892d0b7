"""A shop's records: products, orders and shoppers, raw as the truth and typed for reading.

The raw records (plain JSON values) are what a shop's tools write to; typed values are made from them on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shopbot.rows import Row, read_rows
from shopbot.types import Account, Order, Product

__all__ = ["Row", "ShopData", "read_rows"]


class ShopData:
    """Products, orders and users by id, as raw records. After writing to `products` call `changed()`."""

    def __init__(self) -> None:
        self.products: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []

    @classmethod
    def load(
        cls,
        catalog: str | None,
        orders: str | None,
        shoppers: str | None,
        root: Path,
        columns: Mapping[str, str] | None = None,
    ) -> ShopData:
        """Read the parts; malformed rows are left out and told of in `problems`.

        `columns` maps our field names to the file's, {"product_id": "id", "name": "title"}. ShopError if a file is missing.
        """
        raise NotImplementedError

    def product(self, product_id: str) -> Product | None:
        """The product with this id."""
        raise NotImplementedError

    def all_products(self) -> list[Product]:
        """Every product, typed; cached until `changed()`."""
        raise NotImplementedError

    def order(self, order_id: str) -> Order | None:
        """The order with this id, forgiving about "#", case, spaces and full-width characters."""
        raise NotImplementedError

    def orders_of(self, shopper_id: str) -> list[Order]:
        """A shopper's orders, newest first; undated ones as their record lists them, latest first."""
        raise NotImplementedError

    def account(self, shopper_id: str) -> Account | None:
        """What the shop keeps about a shopper."""
        raise NotImplementedError

    def changed(self) -> None:
        """Forget what was cached: call after writing to the raw records."""

    def copy(self) -> ShopData:
        """A deep copy, to change without touching this one."""
        raise NotImplementedError

    def dump(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The raw records: {"orders", "users", "products"}."""
        return {"orders": self.orders, "users": self.users, "products": self.products}

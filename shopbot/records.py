"""A shop's records: products, orders and shoppers, raw as the truth and typed for reading.

The raw records (plain JSON values, in the form of the README's "Bring your own shop") are what a shop's tools write
to; typed values are made from them on demand. Flat files become records of the same form here.
"""

from __future__ import annotations

import marshal
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from threading import RLock
from typing import Any

from shopbot import typed
from shopbot.rows import Problems, Row, plain, read_rows
from shopbot.types import Account, Order, Product, Variant

__all__ = ["Row", "ShopData", "read_rows"]

Record = dict[str, Any]

# Names under which exports hold our fields, where `columns` does not say.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "product_id": ("id", "handle"),
    "name": ("title", "product_name"),
    "brand": ("manufacturer", "vendor"),
    "category": ("product_type", "product_category"),
    "item_id": ("sku", "variant_sku"),
    "stock": ("quantity", "inventory"),
    "price": ("variant_price",),
}
_PRODUCT_FIELDS = ("product_id", "name", "category", "brand", "description")
_VARIANT_FIELDS = ("item_id", "price", "stock", "available")
_ITEM_FIELDS = ("item_id", "product_id", "name", "price", "quantity", "options")


class ShopData:
    """Products, orders and users by id, as raw records. A tool that writes holds `lock`, and calls `changed()` at the end.

    `ledger` is for what a tool has done, by idempotency key, so that its lookup can tell; it is no part of the records.
    """

    def __init__(self) -> None:
        self.products: dict[str, Record] = {}
        self.orders: dict[str, Record] = {}
        self.users: dict[str, Record] = {}
        self.problems: list[str] = []
        self.ledger: dict[str, Any] = {}
        self.lock = RLock()
        self._typed: list[Product] | None = None
        self._order_ids: dict[str, str] = {}
        self._owned: dict[str, list[str]] = {}
        self._skus: dict[str, str] = {}

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

        `columns` maps our names to the catalog file's: {"product_id": "id", "name": "title"}. Raises ShopError if a
        file is missing or as a whole unreadable.
        """
        data = cls()
        problems = Problems(data.problems)
        places: dict[str, str] = {}
        if catalog:
            rows = _renamed(read_rows(catalog, root, data.problems), columns or {})
            _keep(_products(rows, problems), "product_id", typed.product, data.products, problems)
        if orders:
            rows = read_rows(orders, root, data.problems)
            places = _keep(_orders(rows), "order_id", typed.order, data.orders, problems)
        if shoppers:
            rows = read_rows(shoppers, root, data.problems)
            _keep(rows, "user_id", typed.account, data.users, problems)
        if shoppers and data.users:
            _tell_strangers(data, places, shoppers, problems)
        _tell_empty(catalog, {catalog: data.products, orders: data.orders, shoppers: data.users}, problems)
        return data

    def product(self, product_id: str) -> Product | None:
        """The product with this id, read from its record now."""
        record = self.products.get(product_id)
        return None if record is None else typed.product(record)

    def variant(self, sku: str) -> tuple[Product, Variant] | None:
        """What is sold under this sku, case aside, and its product."""
        if not self._skus:
            self._skus = {
                str(variant).casefold(): product_id
                for product_id, record in self.products.items()
                for variant in record.get("variants", {})
            }
        product = self.product(self._skus.get(sku.casefold(), ""))
        variants = product.variants if product is not None else ()
        found = next((one for one in variants if one.sku.casefold() == sku.casefold()), None)
        return None if product is None or found is None else (product, found)

    def all_products(self) -> list[Product]:
        """Every product, typed; cached until `changed()`."""
        if self._typed is None:
            self._typed = [typed.product(record) for record in self.products.values()]
        return self._typed

    def order(self, order_id: str) -> Order | None:
        """The order with this id, forgiving about "#", case, spaces and full-width characters."""
        record = self.orders.get(order_id)
        if record is None:
            self._index_orders()
            record = self.orders.get(self._order_ids.get(_bare(order_id), ""))
        return None if record is None else typed.order(record)

    def orders_of(self, shopper_id: str) -> list[Order]:
        """A shopper's orders, newest first; then undated ones, the last listed in the shopper's record first."""
        self._index_orders()
        owned = self._owned.get(shopper_id, [])
        listed = [str(order_id) for order_id in typed.listed(self.users.get(shopper_id, {}).get("orders"))]
        place = {order_id: number for number, order_id in enumerate(listed)}
        orders = [typed.order(self.orders[order_id]) for order_id in owned]
        return sorted(orders, key=lambda order: (order.placed_on or date.min, place.get(order.id, -1)), reverse=True)

    def account(self, shopper_id: str) -> Account | None:
        """What the shop keeps about a shopper."""
        record = self.users.get(shopper_id)
        return None if record is None else typed.account(record)

    def changed(self) -> None:
        """Forget what was made of the records: call after writing to `products`, or replacing an order."""
        self._typed = None
        self._order_ids, self._owned, self._skus = {}, {}, {}

    def copy(self) -> ShopData:
        """A deep copy, to write to without touching this one. Typed products are shared: they are frozen."""
        other = ShopData()
        # marshal copies plain JSON values some ten times faster than copy.deepcopy, and every session gets a copy.
        other.products, other.orders, other.users = marshal.loads(
            marshal.dumps((self.products, self.orders, self.users))
        )
        other.problems = list(self.problems)
        other.ledger = dict(self.ledger)
        other._typed = self._typed
        return other

    def dump(self) -> dict[str, dict[str, Record]]:
        """The raw records: {"orders", "users", "products"}, each id → record. Not a copy."""
        return {"orders": self.orders, "users": self.users, "products": self.products}

    def _index_orders(self) -> None:
        if len(self._order_ids) == len(self.orders):
            return
        self._order_ids = {_bare(order_id): order_id for order_id in self.orders}
        owned: dict[str, list[str]] = defaultdict(list)
        for order_id, record in self.orders.items():
            owned[str(record["user_id"])].append(order_id)
        self._owned = owned


def _bare(order_id: str) -> str:
    """An id without what people leave out or add: signs, spaces, case, full width."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", order_id).casefold())


def _keep(
    rows: Iterable[Row],
    id_field: str,
    read: Callable[[Record], object],
    into: dict[str, Record],
    problems: Problems,
) -> dict[str, str]:
    """Put the records that can be read into `into`, by id; tell of the others. Returns where each of them stands."""
    places: dict[str, str] = {}
    for row in rows:
        row.data.setdefault(id_field, row.key)
        try:
            read(row.data)
        except typed.BadRecord as error:
            problems.add(row.where, f"{error}; row left out")
            continue
        record_id = str(row.data[id_field]).strip()
        if record_id in into:
            problems.add(row.where, f"{id_field} '{record_id}' was given before; row left out")
            continue
        row.data[id_field] = record_id
        into[record_id] = plain(row.data)
        places[record_id] = row.where
    return places


def _tell_strangers(data: ShopData, places: Mapping[str, str], shoppers: str, problems: Problems) -> None:
    """Orders of people who are not among the shoppers, in one line: nobody can ask for them."""
    strange = [order_id for order_id, record in data.orders.items() if str(record["user_id"]) not in data.users]
    if strange:
        first = strange[0]
        others = f", and {len(strange) - 1} more orders like it" if len(strange) > 1 else ""
        what = f"order '{first}' is of shopper '{data.orders[first]['user_id']}', who is not in {shoppers}{others}"
        problems.note(places[first], f"{what}; add the shopper or correct the id")


def _tell_empty(catalog: str | None, parts: Mapping[str | None, Mapping[str, Record]], problems: Problems) -> None:
    hint = '; if its columns have other names, give them under [parts]: columns = {name = "title"}'
    for spec, records in parts.items():
        if spec and not records:
            problems.note(spec, f"no usable rows{hint if spec == catalog and problems.lines else ''}")


# ---------------------------------------------------------------- products of any file as records of one form


def _renamed(rows: Iterable[Row], columns: Mapping[str, str]) -> Iterator[Row]:
    """Rows with our field names: by `columns`, else by the same name in other writing, else by a usual other name."""
    for row in rows:
        theirs = {re.sub(r"[\W_]+", "_", name).strip("_").casefold(): name for name in row.data}
        taken = {columns[ours]: ours for ours in columns if columns[ours] in row.data}
        for ours in (*_PRODUCT_FIELDS, *_VARIANT_FIELDS, "variants", "attributes", "options", "i18n"):
            names = [theirs[name] for name in (ours, *_OTHER_NAMES.get(ours, ())) if name in theirs]
            name = next((name for name in names if name not in taken), None)
            if name is not None and ours not in taken.values():
                taken[name] = ours
        yield Row(row.where, row.key, {taken.get(name, name): value for name, value in row.data.items()})


def _products(rows: Iterable[Row], problems: Problems) -> Iterator[Row]:
    """Nested records as they are, with `variants` by id; flat rows joined to records."""
    flat: dict[str, list[Row]] = {}
    for row in rows:
        product_id = str(row.data.get("product_id") or row.key)
        if "variants" in row.data:
            nested = _nested(row, problems)
            if nested.data["variants"]:
                yield nested
            else:
                problems.add(row.where, "no variant that can be read; row left out")
        elif product_id:
            flat.setdefault(product_id, []).append(row)
        else:
            problems.add(row.where, "no product_id; row left out")
    options = _option_columns(flat.values())
    joined = (_joined(product_id, group, options, problems) for product_id, group in flat.items())
    yield from (row for row in joined if row.data["variants"])


def _nested(row: Row, problems: Problems) -> Row:
    """A record with its variants by id. A variant that cannot be read is left out and told of."""
    given = row.data["variants"]
    listed = list(given.items()) if isinstance(given, dict) else [("", record) for record in typed.listed(given)]
    variants: dict[str, Record] = {}
    for number, (key, record) in enumerate(listed, 1):
        if not isinstance(record, dict):
            problems.add(row.where, f"variant {number} is not an object; variant left out")
            continue
        sku = str(record.get("item_id") or record.get("sku") or key or f"{row.data.get('product_id')}-{number}")
        checked = _checked({**record, "item_id": sku}, row.where, f"variant '{sku}'", problems)
        if checked is not None:
            variants[sku] = checked
    return Row(row.where, row.key, {**row.data, "variants": variants})


def _checked(variant: Record, where: str, what: str, problems: Problems) -> Record | None:
    """The variant with its price as a number; None, and told of, if it cannot be read."""
    try:
        price = typed.variant(variant, variant["item_id"]).price
    except typed.BadRecord as error:
        problems.add(where, f"{error}; {what} left out")
        return None
    if isinstance(variant.get("price"), str):
        variant["price"] = None if price is None else float(price)
    return variant


def _option_columns(groups: Iterable[list[Row]]) -> set[str]:
    """Columns that differ between the rows of one product: what a shopper chooses by."""
    names: set[str] = set()
    for group in groups:
        for row in group[1:]:
            names.update(name for name in row.data if row.data[name] != group[0].data.get(name))
    return names - {*_PRODUCT_FIELDS, *_VARIANT_FIELDS}


def _joined(product_id: str, group: list[Row], option_names: set[str], problems: Problems) -> Row:
    """One record from the flat rows of a product, a variant each; columns of neither kind become attributes."""
    first = group[0].data
    known = {*_PRODUCT_FIELDS, *_VARIANT_FIELDS, "options", "attributes", "i18n"}
    record: Record = {name: first[name] for name in (*_PRODUCT_FIELDS, "i18n") if first.get(name)}
    others = {name: value for name, value in first.items() if name not in known | option_names}
    given = first.get("attributes")
    record["attributes"] = {name: value for name, value in others.items() if value not in ("", None)}
    record["attributes"] |= given if isinstance(given, dict) else {}
    record["variants"] = {}
    for number, row in enumerate(group, 1):
        sku = str(row.data.get("item_id") or (product_id if len(group) == 1 else f"{product_id}-{number}"))
        checked = _checked(_flat_variant(row.data, sku, option_names), row.where, "row", problems)
        if checked is not None:
            record["variants"][sku] = checked
    return Row(group[0].where, product_id, record)


def _flat_variant(data: Record, sku: str, option_names: set[str]) -> Record:
    given = data.get("options")
    options = {name: data[name] for name in sorted(option_names) if data.get(name)}
    options |= given if isinstance(given, dict) else {}
    extra = {name: data[name] for name in ("stock", "available") if data.get(name) not in ("", None)}
    return {"item_id": sku, "options": options, "price": data.get("price"), **extra}


# ---------------------------------------------------------------- orders


def _orders(rows: Iterable[Row]) -> Iterator[Row]:
    """Nested orders as they are; flat rows (one an item) joined by order id."""
    flat: dict[str, Row] = {}
    for row in rows:
        order_id = str(row.data.get("order_id") or row.key)
        if "items" in row.data or "item_id" not in row.data:
            yield row
            continue
        item = {name: row.data[name] for name in _ITEM_FIELDS if row.data.get(name)}
        rest = {name: value for name, value in row.data.items() if name not in _ITEM_FIELDS and value != ""}
        flat.setdefault(order_id, Row(row.where, row.key, {**rest, "items": []})).data["items"].append(item)
    yield from flat.values()

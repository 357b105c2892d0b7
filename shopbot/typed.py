"""Raw records of a shop, made into typed values: prices and days read forgivingly, faults named in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from shopbot.types import Account, Order, OrderItem, Payment, Product, Variant

_NO_PRICE = {"", "-", "--", "n/a", "na", "none", "null", "nan", "tbd", "tba"}
_CURRENCY = r"(?:[A-Za-z]{1,3}\$|[A-Z]{3}|[£$€¥￥元円₹])?"
_MONEY = re.compile(rf"{_CURRENCY}\s*(-?\d[\d.,'\u00a0\u202f ]*)\s*{_CURRENCY}")
_TRUE = {"true", "yes", "y", "1", "in stock", "instock", "available", "有货", "是"}
_FALSE = {"false", "no", "n", "0", "out of stock", "outofstock", "sold out", "unavailable", "缺货", "否"}


class BadRecord(ValueError):
    """A record that cannot be used; the message says why."""


def read_number(value: Any) -> Decimal:
    """A number of a record or a text: 12.5, "£1,299.00", "1.299,00 €", "1 299". ValueError if it is none."""
    if isinstance(value, bool) or value is None:
        raise BadRecord(f"'{value}' is not a number")
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value))
    else:
        found = _MONEY.fullmatch(str(value).strip())
        if not found:
            raise BadRecord(f"'{value}' is not a number")
        number = _decimal(re.sub(r"['\s\u00a0\u202f]", "", found[1]), str(value))
    if not number.is_finite():
        raise BadRecord(f"'{value}' is not a number")
    return number


def _decimal(digits: str, shown: str) -> Decimal:
    """Digits with "." and "," in either role: the later of the two is the decimal sign."""
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma > point and (point >= 0 or not re.fullmatch(r"-?\d{1,3}(,\d{3})+", digits)):
        digits = digits.replace(".", "").replace(",", ".")
    elif digits.count(".") > 1 and comma < 0:
        digits = digits.replace(".", "")
    try:
        return Decimal(digits.replace(",", ""))
    except InvalidOperation as error:
        raise BadRecord(f"'{shown}' is not a number") from error


def read_price(value: Any) -> Decimal | None:
    """The price of something for sale; None where it is missing or nought, which exports write for "not known"."""
    if value is None or (isinstance(value, str) and value.strip().casefold() in _NO_PRICE):
        return None
    try:
        price = read_number(value)
    except BadRecord as error:
        raise BadRecord(f"price {error}") from error
    if price < 0:
        raise BadRecord(f"price '{value}' is below nought")
    return price if price else None


def read_flag(value: Any) -> bool:
    """Yes or no, as a truth value or as exports write it."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().casefold()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadRecord(f"available '{value}' is neither yes nor no")


def read_day(record: Mapping[str, Any], name: str) -> date | None:
    """An ISO day, or the day of an ISO time; None where the record has none."""
    value = record.get(name)
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError as error:
        raise BadRecord(f"{name} '{value}' is not a day like 2026-11-20") from error


# ---------------------------------------------------------------- products


def variant(record: Mapping[str, Any], sku: str) -> Variant:
    """One buyable row. `available` counts before `stock`; a row that says neither can be bought."""
    stock, flag = record.get("stock"), record.get("available")
    count = None if stock is None or stock == "" else int(_named("stock", stock))
    available = read_flag(flag) if flag is not None and flag != "" else count is None or count > 0
    options = {str(name): words(value) for name, value in _object(record, "options").items()}
    return Variant(sku, read_price(record.get("price")), available, count, options)


def product(record: Mapping[str, Any]) -> Product:
    """A product of the form of the README's "Bring your own shop". BadRecord if it has no id, name or variant."""
    other = {str(code): _object(_object(record, "i18n"), code) for code in _object(record, "i18n")}
    sold = _object(record, "variants")
    variants = tuple(variant(_object(sold, sku), str(sku)) for sku in sold)
    return Product(
        id=_required(record, "product_id"),
        name=_required(record, "name"),
        category=words(record.get("category")),
        brand=words(record.get("brand")),
        description=words(record.get("description")),
        attributes={str(name): words(value) for name, value in _object(record, "attributes").items()},
        variants=variants,
        names=_texts(other, "name"),
        categories=_texts(other, "category"),
        descriptions=_texts(other, "description"),
    )


def words(value: Any) -> str:
    """A value of a record as a shopper reads it: yes and no, lists with commas, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(words(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value).strip()


def _texts(other: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, str]:
    return {code: words(texts[name]) for code, texts in other.items() if texts.get(name)}


# ---------------------------------------------------------------- orders and shoppers


def order(record: Mapping[str, Any]) -> Order:
    """An order; BadRecord if it has no id, shopper or items, or a day or amount that cannot be read."""
    items = _objects(record, "items")
    if not items:
        raise BadRecord("no items")
    shipments = _objects(record, "fulfillments")
    carriers = list(dict.fromkeys(str(row["carrier"]) for row in shipments if row.get("carrier")))
    return Order(
        id=_required(record, "order_id"),
        shopper_id=_required(record, "user_id"),
        status=words(record.get("status")),
        items=tuple(_order_item(item) for item in items),
        address=_address(record),
        payments=tuple(_payment(row) for row in _objects(record, "payment_history")),
        tracking=tuple(str(number) for row in shipments for number in listed(row.get("tracking_id"))),
        carrier=", ".join(carriers),
        shipping_fee=_amount(record, "shipping_fee"),
        discount=_amount(record, "discount"),
        discount_code=words(record.get("discount_code")),
        shipping_method=words(record.get("shipping_method")),
        reason=words(record.get("cancel_reason") or record.get("return_reason")),
        returning=_skus(record, "return_items"),
        exchanging=tuple(zip(_skus(record, "exchange_items"), _skus(record, "exchange_new_items"), strict=False)),
        **{name: read_day(record, name) for name in _ORDER_DAYS},
    )


_ORDER_DAYS = ("placed_on", "shipped_on", "expected_on", "delivered_on", "cancelled_on", "returned_on")


def _skus(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(words(sku) for sku in listed(record.get(name)))


def _order_item(record: Mapping[str, Any]) -> OrderItem:
    quantity = record.get("quantity")
    return OrderItem(
        product_id=words(record.get("product_id")),
        sku=words(record.get("item_id")),
        name=_required(record, "name"),
        price=_named("price", record.get("price")),
        quantity=1 if quantity is None or quantity == "" else int(_named("quantity", quantity)),
        options={str(name): words(value) for name, value in _object(record, "options").items()},
    )


def _payment(record: Mapping[str, Any]) -> Payment:
    kind, method = words(record.get("transaction_type")), words(record.get("payment_method_id"))
    return Payment(kind, _named("amount", record.get("amount")), method)


def account(record: Mapping[str, Any]) -> Account:
    """A shopper's record; `details` holds what has no field of its own."""
    name, methods = record.get("name"), record.get("payment_methods")
    if isinstance(name, Mapping):
        name = " ".join(words(part) for part in (name.get("first_name"), name.get("last_name")) if part)
    known: Iterable[Any] = methods.values() if isinstance(methods, Mapping) else listed(methods)
    taken = {"user_id", "name", "email", "address", "payment_methods", "language"}
    return Account(
        id=_required(record, "user_id"),
        name=words(name),
        email=words(record.get("email")),
        address=_address(record),
        payment_methods=tuple(method for method in known if isinstance(method, Mapping)),
        language=words(record.get("language")),
        details={key: value for key, value in record.items() if key not in taken},
    )


def _address(record: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): words(value) for name, value in _object(record, "address").items()}


# ---------------------------------------------------------------- fields


def _required(record: Mapping[str, Any], name: str) -> str:
    value = words(record.get(name))
    if not value:
        raise BadRecord(f"no {name}")
    return value


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise BadRecord(f"{name} '{value}' is not an object of names and values")
    return value


def _objects(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = record.get(name)
    rows: list[Any] = [] if value is None or value == "" else value
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadRecord(f"{name} is not a list of objects")
    return rows


def listed(value: Any) -> list[Any]:
    """A value of a record as a list: a list as it is, nothing as none, anything else as the only one."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _named(name: str, value: Any) -> Decimal:
    try:
        return read_number(value)
    except BadRecord as error:
        raise BadRecord(f"{name} {error}") from error


def _amount(record: Mapping[str, Any], name: str) -> Decimal:
    value = record.get(name)
    return Decimal(0) if value is None or value == "" else _named(name, value)

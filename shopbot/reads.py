"""The read tools that every shop has: products by query, the shopper's own orders, their account.

Results are JSON values, amounts as decimal strings: `compose.py` puts them into words, a model reads them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shopbot.catalog import Catalog
from shopbot.records import ShopData
from shopbot.tools import OrderId, ProductId, Refusal, ShopTool, shop_tool
from shopbot.types import Account, Order, OrderItem, Product, Shopper, Variant
from shopbot.understand import detect_language

MOST_ROWS = 8


# ---------------------------------------------------------------- products


@shop_tool
def search_products(request: str, catalog: Catalog, product_ids: list[ProductId] | None = None) -> dict[str, Any]:
    """Find products for a request in the shopper's own words.

    The request may name a category, brand, options or price bounds, ask for what is in stock, the cheapest or dearest,
    the price of a product, the options it comes in, or for two products to be compared. `product_ids` are those that
    the request as a whole resembles: they are meant where it names none, or names others that fit it less.
    """
    language = detect_language(request)
    query = catalog.parse(request, language)
    if product_ids and not (query.products or query.categories or query.brands):
        query = catalog.parse(request, language, about=product_ids)
    found = catalog.search(query, limit=MOST_ROWS, like=product_ids or ())
    sold_out = query.in_stock and not any(variant.available for hit in found for variant in hit.variants)
    asked = "stock" if sold_out and not query.aspect else query.aspect
    return {
        "asked": "compare" if query.compare else query.sort or asked or "list",
        "options": list(query.asked),
        "priced": query.priced,
        "words": list(found.unknown),
        "relaxed": [label for label in found.relaxed if catalog.is_wish(query, label) and not sold_out],
        "all_fit": not found.relaxed,
        "total": found.total,
        "products": [product_view(hit.product, hit.variants) for hit in found.hits],
        **(
            {"cheaper_sold_out": product_view(cheaper.product, cheaper.variants)}
            if (cheaper := found.cheaper_sold_out)
            else {}
        ),
    }


@shop_tool
def product_details(product_id: ProductId, data: ShopData) -> dict[str, Any]:
    """Everything the catalog holds about one product, by its id."""
    product = data.product(product_id)
    if product is None:
        raise Refusal(f"product {product_id} is not in the shop")
    return {"asked": "details", "products": [product_view(product, product.variants)]}


@shop_tool
def compare_products(product_ids: list[ProductId], data: ShopData) -> dict[str, Any]:
    """Two or more products side by side, by their ids."""
    products = [product for one in product_ids if (product := data.product(one)) is not None]
    return {"asked": "compare", "products": [product_view(product, product.variants) for product in products]}


def product_view(product: Product, variants: tuple[Variant, ...]) -> dict[str, Any]:
    """A product with the variants that were asked for."""
    return {
        "product_id": product.id,
        "name": product.name,
        "names": dict(product.names),
        "category": product.category,
        "brand": product.brand,
        "description": product.description,
        "attributes": dict(product.attributes),
        "variants": [_variant_view(variant) for variant in variants],
        "variants_in_all": len(product.variants),
    }


def _variant_view(variant: Variant) -> dict[str, Any]:
    return {
        "item_id": variant.sku,
        "options": dict(variant.options),
        "price": None if variant.price is None else str(variant.price),
        "available": variant.available,
        "stock": variant.stock,
    }


# ---------------------------------------------------------------- the shopper's own


@shop_tool
def list_orders(
    shopper: Shopper,
    data: ShopData,
    status: str | None = None,
    open: bool = False,
    order_ids: list[OrderId] | None = None,
) -> dict[str, Any]:
    """The shopper's own orders, newest first.

    `status` (or its beginning), `open` (not delivered, cancelled or returned yet) and `order_ids` narrow them.
    """
    orders = data.orders_of(shopper.id or "")
    account = data.account(shopper.id or "")
    if status is not None:
        orders = [order for order in orders if order.status.casefold().startswith(status.casefold())]
    if open:
        orders = [order for order in orders if not order.is_closed]
    if order_ids is not None:
        orders = [order for order in orders if order.id in order_ids]
    return {"status": status, "open": open, "orders": [order_view(order, account, data) for order in orders]}


@shop_tool
def get_order(order_id: OrderId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """One of the shopper's own orders, whole: status, dates, items, payments, address, tracking."""
    order = data.order(order_id)
    if order is None or order.shopper_id != shopper.id:
        raise Refusal(f"order {order_id} is not among your records")
    return {"order": order_view(order, data.account(shopper.id or ""), data)}


@shop_tool
def my_account(shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """The shopper's own account: name, e-mail, address, payment methods with gift card balances."""
    account = data.account(shopper.id or "")
    if account is None:
        raise Refusal("there is no account under this login")
    return {
        "name": account.name,
        "email": account.email,
        "address": address_line(account.address),
        "payment_methods": [_method_view(method) for method in account.payment_methods],
        "details": dict(account.details),
    }


def order_view(order: Order, account: Account | None, data: ShopData) -> dict[str, Any]:
    """An order as JSON; money as decimal strings, dates as ISO days, payment methods in words.

    `data` tells the names of its products in other languages, and what is wanted in exchange.
    """
    items = {item.sku: item for item in order.items}
    return {
        "order_id": order.id,
        "status": order.status,
        "items": [_item_view(item, data) for item in order.items],
        "shipping_fee": str(order.shipping_fee),
        "shipping_method": order.shipping_method,
        "discount": str(order.discount),
        "discount_code": order.discount_code,
        "total": str(order.total),
        "payments": [
            {"kind": payment.kind, "amount": str(payment.amount), "method": _method_of(payment.method, account)}
            for payment in order.payments
        ],
        "address": address_line(order.address),
        "tracking": list(order.tracking),
        "carrier": order.carrier,
        "reason": order.reason,
        "returning": [_item_view(items[sku], data) for sku in order.returning if sku in items],
        "exchanging": [
            {"item": _item_view(items[old], data), "wanted": wanted}
            for old, new in order.exchanging
            if old in items and (wanted := _wanted(items[old], new, data)) is not None
        ],
        **{name: day.isoformat() for name in ORDER_DATES if (day := getattr(order, name)) is not None},
    }


ORDER_DATES = ("placed_on", "shipped_on", "expected_on", "delivered_on", "cancelled_on", "returned_on")


def _item_view(item: OrderItem, data: ShopData) -> dict[str, Any]:
    product = data.product(item.product_id)
    return {
        "name": item.name,
        "names": dict(product.names) if product is not None else {},
        "product_id": item.product_id,
        "item_id": item.sku,
        "options": dict(item.options),
        "quantity": item.quantity,
        "price": str(item.price),
    }


def _wanted(item: OrderItem, sku: str, data: ShopData) -> dict[str, Any] | None:
    """The version of the same product that is wanted in exchange."""
    product = data.product(item.product_id)
    variants = product.variants if product is not None else ()
    return next((_variant_view(variant) for variant in variants if variant.sku == sku), None)


def address_line(address: Mapping[str, str]) -> str:
    """An address on one line, in the order in which it is written."""
    parts = ("address1", "address2", "city", "state", "zip", "country")
    return ", ".join(str(address[part]) for part in parts if address.get(part))


def _method_of(method_id: str, account: Account | None) -> dict[str, Any]:
    methods = account.payment_methods if account is not None else ()
    known = next((method for method in methods if method.get("id") == method_id), None)
    return _method_view(known) if known is not None else {"source": "other", "id": method_id}


def _method_view(method: Mapping[str, Any]) -> dict[str, Any]:
    view = {key: method[key] for key in ("source", "id", "brand", "last_four") if key in method}
    if "balance" in method:
        view["balance"] = str(Decimal(str(method["balance"])))
    return view


READ_TOOLS: tuple[ShopTool, ...] = (
    search_products,
    product_details,
    compare_products,
    list_orders,
    get_order,
    my_account,
)

"""A shop's records, raw and typed: products, orders and shoppers of every form, and what is said of unusable ones."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shopbot import typed
from shopbot.records import ShopData

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="benchmark data are not on this machine")


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def product(product_id: str = "p1", **changes: Any) -> dict[str, Any]:
    variants = {"s1": {"item_id": "s1", "options": {"colour": "red"}, "available": True, "price": 10.5}}
    return {"product_id": product_id, "name": "Arco Violin", "variants": variants} | changes


def order(order_id: str = "#W1", **changes: Any) -> dict[str, Any]:
    item = {"name": "Arco Violin", "product_id": "p1", "item_id": "s1", "price": 10.5, "options": {"colour": "red"}}
    return {"order_id": order_id, "user_id": "u1", "status": "pending", "items": [item]} | changes


def load(folder: Path, **parts: list[dict[str, Any]]) -> ShopData:
    """A shop of JSON lines, one file a part."""
    for name, records in parts.items():
        write(folder, f"{name}.jsonl", "\n".join(json.dumps(record) for record in records))
    names = (f"{name}.jsonl" if name in parts else None for name in ("catalog", "orders", "shoppers"))
    return ShopData.load(*names, folder)


# ---------------------------------------------------------------- products


def test_a_bad_row_is_left_out_with_its_place_and_the_rest_goes_in(tmp_path: Path) -> None:
    bad = product("p2")
    bad["variants"] = {"s2": {"price": "abc"}}
    mixed = product("p3", variants={"s3": {"price": 5, "available": True}, "s4": {"price": 5, "available": "maybe"}})
    data = load(tmp_path, catalog=[product(), bad, mixed, product(), {"name": "x", "price": 3}, product("p4", name="")])
    assert list(data.products) == ["p1", "p3"]
    assert list(data.products["p3"]["variants"]) == ["s3"]
    assert sorted(data.problems) == [
        "catalog.jsonl:2: no variant that can be read; row left out",
        "catalog.jsonl:2: price 'abc' is not a number; variant 's2' left out",
        "catalog.jsonl:3: available 'maybe' is neither yes nor no; variant 's4' left out",
        "catalog.jsonl:4: product_id 'p1' was given before; row left out",
        "catalog.jsonl:5: no product_id; row left out",
        "catalog.jsonl:6: no name; row left out",
    ]


def test_a_product_of_every_field(tmp_path: Path) -> None:
    other = {"zh": {"name": "小提琴", "category": "弦乐器", "description": "一把琴"}}
    given = product(
        category="strings", brand="Arco", attributes={"weight": 0.5, "case": True, "bows": [1, 2]}, i18n=other
    )
    data = load(tmp_path, catalog=[given])
    [read] = data.all_products()
    assert (read.category, read.brand) == ("strings", "Arco")
    assert read.attributes == {"weight": "0.5", "case": "yes", "bows": "1, 2"}
    assert (read.names, read.categories, read.descriptions) == (
        {"zh": "小提琴"},
        {"zh": "弦乐器"},
        {"zh": "一把琴"},
    )
    assert read.variants[0].options == {"colour": "red"}
    assert read.variants[0].price == Decimal("10.5")


@pytest.mark.parametrize(
    ("fields", "available", "stock"),
    [
        ({"available": True, "stock": 3}, True, 3),
        ({"available": False, "stock": 3}, False, 3),
        ({"stock": 0}, False, 0),
        ({"stock": "12"}, True, 12),
        ({"available": "in stock"}, True, None),
        ({}, True, None),
    ],
)
def test_whether_a_variant_can_be_had(fields: dict[str, Any], available: bool, stock: int | None) -> None:
    read = typed.variant({"price": 1, **fields}, "s")
    assert (read.available, read.stock) == (available, stock)


def test_variants_may_be_a_list(tmp_path: Path) -> None:
    data = load(tmp_path, catalog=[product(variants=[{"sku": "a", "price": "£3"}, {"price": 4}])])
    assert list(data.products["p1"]["variants"]) == ["a", "p1-2"]
    assert data.products["p1"]["variants"]["a"]["price"] == 3.0


def test_csv_rows_of_one_product_become_variants(tmp_path: Path) -> None:
    write(
        tmp_path,
        "c.csv",
        "Product ID;Title;Vendor;Size;Colour;SKU;Price;Inventory;Made of\n"
        "1;Arco;Aria;4/4;red;a-1;$1,000.00;2;maple\n"
        "1;Arco;Aria;3/4;red;a-2;;0;maple\n"
        "2;Flute;Aria;;red;f-1;abc;1;silver\n"
        "3;Drum;Aria;;blue;;70;1;birch\n",
    )
    data = ShopData.load("c.csv", None, None, tmp_path)
    arco, drum = data.all_products()
    assert (arco.name, arco.brand) == ("Arco", "Aria")
    assert arco.attributes == {"Colour": "red", "Made of": "maple"}, "what never differs within a product is no option"
    assert [(one.sku, one.price, one.available, one.options) for one in arco.variants] == [
        ("a-1", Decimal("1000.0"), True, {"Size": "4/4"}),
        ("a-2", None, False, {"Size": "3/4"}),
    ]
    assert drum.variants[0].sku == "3"
    assert data.problems == ["c.csv:4: price 'abc' is not a number; row left out"]


def test_columns_say_where_our_fields_are(tmp_path: Path) -> None:
    write(tmp_path, "c.csv", "ref,label,maker,cost\n1,Arco,Aria,3\n")
    columns = {"product_id": "ref", "name": "label", "brand": "maker", "price": "cost"}
    [read] = ShopData.load("c.csv", None, None, tmp_path, columns).all_products()
    assert (read.id, read.name, read.brand, read.variants[0].price) == ("1", "Arco", "Aria", Decimal(3))


def test_an_empty_catalog_is_told_of(tmp_path: Path) -> None:
    write(tmp_path, "c.jsonl", "\n")
    assert ShopData.load("c.jsonl", None, None, tmp_path).problems == ["c.jsonl: no usable rows"]


# ---------------------------------------------------------------- orders and shoppers


@pytest.mark.parametrize("asked", ["#W261", "W261", "w261", " w 261 ", "＃Ｗ２６１", "#w-261"])
def test_an_order_is_found_however_it_is_written(tmp_path: Path, asked: str) -> None:
    found = load(tmp_path, orders=[order("#W261"), order("#W262")]).order(asked)
    assert found is not None
    assert found.id == "#W261"


@pytest.mark.parametrize("asked", ["", "#", "261", "W2610", "W26"])
def test_no_order_is_found_by_a_part_of_its_id(tmp_path: Path, asked: str) -> None:
    assert load(tmp_path, orders=[order("#W261")]).order(asked) is None


def test_orders_newest_first_then_the_undated_as_the_shopper_lists_them(tmp_path: Path) -> None:
    orders = [order("a", placed_on="2026-01-01"), order("b"), order("c", placed_on="2026-03-01T10:00:00"), order("d")]
    shoppers = [{"user_id": "u1", "name": "Ann", "orders": ["b", "a", "d"]}]
    data = load(tmp_path, orders=[*orders, order("e", user_id="u2")], shoppers=shoppers)
    assert [one.id for one in data.orders_of("u1")] == ["c", "a", "d", "b"]
    assert data.orders_of("nobody") == []


def test_an_order_of_every_field(tmp_path: Path) -> None:
    given = order(
        fulfillments=[{"tracking_id": ["T1", "T2"], "carrier": "Post"}, {"tracking_id": "T3", "carrier": "Post"}],
        payment_history=[{"transaction_type": "payment", "amount": 25, "payment_method_id": "card"}],
        shipping_fee="4.00",
        placed_on="2026-02-03",
    )
    given["items"][0]["quantity"] = 2
    read = load(tmp_path, orders=[given]).order("#W1")
    assert read is not None
    assert (read.tracking, read.carrier, read.total) == (("T1", "T2", "T3"), "Post", Decimal("25.0"))
    assert (read.placed_on, read.delivered_on) == (date(2026, 2, 3), None)
    assert read.payments[0].amount == Decimal(25)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"items": []}, "no items"),
        ({"user_id": ""}, "no user_id"),
        ({"placed_on": "yesterday"}, "placed_on 'yesterday' is not a day like 2026-11-20"),
        ({"address": "somewhere"}, "address 'somewhere' is not an object of names and values"),
    ],
)
def test_orders_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    data = load(tmp_path, orders=[order(**changes), order("#W2")])
    assert data.problems == [f"orders.jsonl:1: {problem}; row left out"]
    assert list(data.orders) == ["#W2"]


def test_orders_of_a_csv_one_row_an_item(tmp_path: Path) -> None:
    write(
        tmp_path,
        "o.csv",
        "order_id,user_id,status,placed_on,item_id,product_id,name,price,quantity\n"
        "7,u1,pending,2026-01-01,s1,p1,Arco,10,1\n"
        "7,u1,pending,2026-01-01,s2,p2,Bow,5,2\n",
    )
    read = ShopData.load(None, "o.csv", None, tmp_path).order("7")
    assert read is not None
    assert [(item.name, item.quantity) for item in read.items] == [("Arco", 1), ("Bow", 2)]
    assert read.total == Decimal(20)


def test_an_account(tmp_path: Path) -> None:
    methods = {"c1": {"id": "c1", "source": "credit_card", "last_four": "1234"}}
    name = {"first_name": "Ann", "last_name": "Lee"}
    data = load(tmp_path, shoppers=[{"user_id": "u1", "name": name, "payment_methods": methods, "points": 3}])
    read = data.account("u1")
    assert read is not None
    assert (read.name, read.payment_methods[0]["last_four"], read.details) == ("Ann Lee", "1234", {"points": 3})
    assert data.account("u2") is None


# ---------------------------------------------------------------- writing


def test_a_copy_is_written_to_without_touching_the_original(tmp_path: Path) -> None:
    data = load(tmp_path, catalog=[product()], orders=[order()])
    before = json.dumps(data.dump())
    copy = data.copy()
    copy.products["p1"]["variants"]["s1"]["available"] = False
    copy.orders["#W1"]["items"][0]["options"]["colour"] = "blue"
    copy.changed()
    assert json.dumps(data.dump()) == before
    assert copy.all_products()[0].available is False
    assert data.all_products()[0].available is True


def test_typed_products_are_kept_until_told_of_a_change(tmp_path: Path) -> None:
    data = load(tmp_path, catalog=[product()])
    first = data.all_products()
    assert data.all_products() is first
    data.products["p1"]["name"] = "Other"
    one = data.product("p1")
    assert one is not None
    assert one.name == "Other", "a single product is read from its record"
    data.changed()
    assert data.all_products()[0].name == "Other"


def test_an_order_that_a_tool_adds_is_found(tmp_path: Path) -> None:
    data = load(tmp_path, orders=[order("#W1")])
    assert data.order("w2") is None
    data.orders["#W2"] = order("#W2")
    found = data.order("w2")
    assert found is not None
    assert found.id == "#W2"
    assert len(data.orders_of("u1")) == 2


# ---------------------------------------------------------------- real data


def test_the_sample_shop_reads_without_a_problem() -> None:
    data = ShopData.load("catalog.jsonl", "orders.jsonl", "shoppers.jsonl", ROOT / "sample_shop")
    assert data.problems == []
    assert min(len(data.products), len(data.orders), len(data.users)) >= 60
    assert sum(len(data.orders_of(shopper)) for shopper in data.users) == len(data.orders)


@needs_data
def test_tau2_retail_reads_as_it_is_and_is_kept_as_it_is() -> None:
    parts = [f"tau2_retail/db.json#{key}" for key in ("products", "orders", "users")]
    data = ShopData.load(*parts, DATA)
    assert data.problems == []
    assert data.dump() == json.loads((DATA / "tau2_retail" / "db.json").read_text("utf-8"))


@needs_data
@pytest.mark.parametrize(
    ("name", "columns", "count"),
    [
        ("D2/abt.csv", {"product_id": "id"}, 1076),
        ("D3/amazon.csv", {"product_id": "id", "name": "title", "brand": "manufacturer"}, 1354),
        ("D8/walmart.csv", {}, 2554),
    ],
)
def test_public_catalogs_read_whole(name: str, columns: dict[str, str], count: int) -> None:
    data = ShopData.load(f"product_matching/{name}", None, None, DATA, columns)
    assert data.problems == []
    products = data.all_products()
    assert len(products) == count
    prices = [variant.price for product in products for variant in product.variants]
    assert 0 < sum(price is None for price in prices) < count, "some have no price, which is not nought"
    assert Decimal(0) not in prices

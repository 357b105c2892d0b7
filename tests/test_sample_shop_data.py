"""The sample shop's records agree with each other and with their generator. Orders have a file of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sample_shop_records import FOLDER, TODAY, orders, products, rows, shoppers

CATEGORIES = {
    "tents": "帐篷",
    "sleeping bags": "睡袋",
    "backpacks": "背包",
    "jackets": "外套",
    "footwear": "鞋靴",
    "cookware": "炊具",
    "kettles and coffee": "水壶与咖啡",
    "lighting": "灯具",
    "headphones and speakers": "耳机与音箱",
    "bedding": "床品",
    "luggage": "行李箱",
    "toys and games": "玩具与游戏",
}
# How English spells a figure that Chinese writes in digits.
SPELT = {"1": "one|a", "2": "two", "4": "four", "8": "eight", "10": "ten", "20": "twenty", "40": "forty"}


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", text)))


# ---------------------------------------------------------------- the whole


def test_counts_are_what_the_issue_asks_for() -> None:
    assert len(products()) == len(rows("catalog")) >= 90
    assert len(shoppers()) == len(rows("shoppers")) >= 150
    assert len(orders()) == len(rows("orders")) >= 280
    assert len(rows("reviews")) >= 600
    assert 5000 <= len(rows("events")) <= 8000


def test_files_stay_small() -> None:
    sizes = {name: (FOLDER / f"{name}.jsonl").stat().st_size for name in ("catalog", "shoppers", "orders", "reviews")}
    events = (FOLDER / "events.jsonl").stat().st_size
    assert events < 2_000_000
    assert sum(sizes.values()) + events < 4_000_000


def test_the_generator_writes_the_committed_bytes(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, FOLDER / "generate.py", "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["events.jsonl", "orders.jsonl", "reviews.jsonl", "shoppers.jsonl"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: run sample_shop/generate.py"


# ---------------------------------------------------------------- catalog


def test_catalog_is_spread_over_the_twelve_categories() -> None:
    sizes = Counter(product["category"] for product in products().values())
    assert set(sizes) == set(CATEGORIES)
    assert all(7 <= size <= 9 for size in sizes.values())
    assert 6 <= len({product["brand"] for product in products().values()}) <= 12


@pytest.mark.parametrize("product", products().values(), ids=lambda product: product["product_id"])
def test_a_product_is_complete(product: dict[str, Any]) -> None:
    assert 6 <= len(product["attributes"]) <= 10
    assert 2 <= len(re.findall(r"[.!?](?:\s|$)", product["description"])) <= 6
    assert product["variants"]
    assert len({tuple(variant["options"].items()) for variant in product["variants"].values()}) == len(
        product["variants"]
    )
    for sku, variant in product["variants"].items():
        assert variant["item_id"] == sku
        assert variant["available"] == (variant["stock"] > 0)
        assert variant["price"] > 0


@pytest.mark.parametrize("product", products().values(), ids=lambda product: product["product_id"])
def test_chinese_says_the_same_as_english(product: dict[str, Any]) -> None:
    chinese = product["i18n"]["zh"]
    assert chinese["category"] == CATEGORIES[product["category"]]
    assert re.search(r"[\u4e00-\u9fff]", chinese["name"])
    english_numbers = numbers(product["description"])
    assert english_numbers <= numbers(chinese["description"]), "a figure is missing in the Chinese description"
    for figure in numbers(chinese["description"]) - english_numbers:
        assert re.search(rf"\b({SPELT[figure]})\b", product["description"], re.I), f"{figure} is not in the English"


def test_a_weight_in_the_attributes_is_the_one_of_the_description() -> None:
    for product in products().values():
        stated = re.search(r"(\d[\d.,]*)\s?k?g\b(?!/)", product["attributes"].get("weight", ""))
        in_text = re.findall(r"(\d[\d.,]*)\s?k?g\b(?!/)", product["description"])
        if stated is not None and in_text:
            assert stated.group(1) in in_text, product["product_id"]


def test_skus_belong_to_one_product() -> None:
    skus = [sku for product in products().values() for sku in product["variants"]]
    assert len(skus) == len(set(skus))
    assert all(re.fullmatch(r"[A-Z]{3}-[A-Z0-9-]+", sku) for sku in skus)


def test_catalog_has_the_corners_that_make_questions_hard() -> None:
    variants = [variant for product in products().values() for variant in product["variants"].values()]
    assert any(variant["stock"] == 0 for variant in variants)
    assert any(1 <= variant["stock"] <= 3 for variant in variants)
    sold_out = {key for key, product in products().items() if not any(v["stock"] for v in product["variants"].values())}
    assert sold_out
    cheapest = {
        category: min(
            (variant["price"], key)
            for key, product in products().items()
            if product["category"] == category
            for variant in product["variants"].values()
        )
        for category in CATEGORIES
    }
    assert any(key in sold_out for _, key in cheapest.values()), "no category whose cheapest product is sold out"
    prices = defaultdict(set)
    for key, product in products().items():
        for variant in product["variants"].values():
            prices[product["category"], variant["price"]].add(key)
    assert any(len(tied) > 1 for tied in prices.values()), "no two products of a category cost the same"
    names = [product["name"].split()[0] for product in products().values()]
    assert sum(count >= 2 for count in Counter(names).values()) >= 8, "too few families of near names"


# ---------------------------------------------------------------- shoppers


def test_shoppers_are_invented_and_can_pay() -> None:
    for key, shopper in shoppers().items():
        assert re.fullmatch(r"[a-z_]+_\d{3}", key)
        assert re.search(r"@example\.(com|net|org)$", shopper["email"])
        assert shopper["language"] in ("en", "zh")
        assert {m["source"] for m in shopper["payment_methods"].values()} & {"credit_card", "paypal"}
        assert all(name == method["id"] for name, method in shopper["payment_methods"].items())
        if shopper["address"]["country"] == "United Kingdom":
            assert re.search(r" \d[CIKMOV]{2}$", shopper["address"]["zip"]), "this postcode might be somebody's"
    methods = [name for shopper in shoppers().values() for name in shopper["payment_methods"]]
    assert len(methods) == len(set(methods))
    emails = [shopper["email"] for shopper in shoppers().values()]
    assert len(emails) == len(set(emails))


def test_shoppers_are_many_kinds_of_people() -> None:
    languages = Counter(shopper["language"] for shopper in shoppers().values())
    assert languages["zh"] >= 25
    assert len({shopper["address"]["country"] for shopper in shoppers().values()}) >= 10
    counts = Counter(len(shopper["orders"]) for shopper in shoppers().values())
    assert counts[0] >= 5
    assert sum(people for count, people in counts.items() if count >= 8) >= 5


def test_shoppers_and_orders_name_each_other() -> None:
    owned = {order_id: key for key, shopper in shoppers().items() for order_id in shopper["orders"]}
    assert owned == {order_id: order["user_id"] for order_id, order in orders().items()}
    assert sum(len(shopper["orders"]) for shopper in shoppers().values()) == len(orders())


# ---------------------------------------------------------------- reviews


def test_reviews_name_products_and_people_who_have_them() -> None:
    delivered = defaultdict(list)
    for order in orders().values():
        for item in order["items"]:
            if "delivered_on" in order:
                delivered[order["user_id"], item["product_id"]].append(order["delivered_on"])
    for review in rows("reviews"):
        assert review["product_id"] in products()
        assert review["rating"] in (1, 2, 3, 4, 5)
        assert "2025-06-01" <= review["date"] <= TODAY
        if not review["user_id"].startswith("guest_"):
            assert min(delivered[review["user_id"], review["product_id"]]) < review["date"]
            assert review["language"] == shoppers()[review["user_id"]]["language"]


def test_reviews_are_varied() -> None:
    reviews = rows("reviews")
    texts = [review["text"] for review in reviews]
    assert len(set(texts)) == len(texts)
    assert not any(re.search(r"[\[\]{}|]", text) for text in texts), "a choice was not taken"
    assert {review["product_id"] for review in reviews} == set(products())
    ratings = Counter(review["rating"] for review in reviews)
    assert min(ratings.values()) >= 30
    assert ratings[4] + ratings[5] > len(reviews) / 2
    chinese = [review for review in reviews if review["language"] == "zh"]
    assert len(chinese) >= 120
    assert all(re.search(r"[\u4e00-\u9fff]", review["text"]) for review in chinese)
    assert len({review["date"][:7] for review in reviews}) == 18


@pytest.mark.parametrize(("product_id", "since"), [("P1702", "2026-09-14"), ("P1607", "2026-10-05")])
def test_a_bad_batch_shows_in_the_stars(product_id: str, since: str) -> None:
    of_product = [review for review in rows("reviews") if review["product_id"] == product_id]
    before = [review["rating"] for review in of_product if review["date"] < since]
    after = [review["rating"] for review in of_product if review["date"] >= since]
    assert len(before) >= 4
    assert len(after) >= 15
    assert sum(before) / len(before) - sum(after) / len(after) > 1.2


def test_one_product_was_praised_too_much_in_a_week() -> None:
    burst = [
        review
        for review in rows("reviews")
        if review["product_id"] == "P1708" and "2026-08-03" <= review["date"] <= "2026-08-08"
    ]
    assert len(burst) >= 20
    assert sum(review["rating"] == 5 for review in burst) / len(burst) > 0.9


# ---------------------------------------------------------------- events


def test_events_name_products_people_and_banners() -> None:
    events = rows("events")
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert set(Counter(event["kind"] for event in events)) == {"view", "search", "cart", "offer", "purchase"}
    for event in events:
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        assert event["user_id"] is None or event["user_id"] in shoppers()
        assert ("product_id" in event) == (event["kind"] in ("view", "cart", "purchase"))
        assert event.get("product_id", "P1001") in products()
        assert ("query" in event) == (event["kind"] == "search")
        assert ("propensity" in event) == ("clicked" in event) == (event["kind"] == "offer")


def test_purchases_are_the_lines_of_the_orders() -> None:
    bought = Counter(
        (event["order_id"], event["user_id"], event["time"][:10], event["product_id"])
        for event in rows("events")
        if event["kind"] == "purchase"
    )
    ordered = Counter(
        (key, order["user_id"], order["placed_on"], item["product_id"])
        for key, order in orders().items()
        for item in order["items"]
    )
    assert bought == ordered


def test_a_session_is_one_persons_and_buys_what_it_has_looked_at() -> None:
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in rows("events"):
        sessions[event["session_id"]].append(event)
    for events in sessions.values():
        assert len({event["user_id"] for event in events}) == 1
        seen: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event["kind"] == "cart":
                assert event["product_id"] in seen["view"]
            if event["kind"] == "purchase":
                assert event["product_id"] in seen["cart"]
            seen[event["kind"]].add(event.get("product_id", ""))
    assert sum(events[0]["user_id"] is None for events in sessions.values()) >= 100


def test_propensities_are_those_of_the_policy_that_showed_the_offers() -> None:
    """If p is the true chance of what was shown, the mean of 1/p is the number of banners, and so for each banner."""
    offers = [event for event in rows("events") if event["kind"] == "offer"]
    banners = {event["offer_id"] for event in offers}
    assert len(offers) >= 800
    assert len(banners) == 8
    assert all(0.03 <= event["propensity"] < 1 for event in offers)
    for banner in banners:
        weight = sum(1 / event["propensity"] for event in offers if event["offer_id"] == banner) / len(offers)
        assert weight == pytest.approx(1.0, abs=0.35), banner
    clicked = sum(event["clicked"] for event in offers) / len(offers)
    assert 0.04 < clicked < 0.2

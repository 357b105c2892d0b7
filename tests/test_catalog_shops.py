"""Questions about the catalogs of the sample shop, and of tau2_retail, which nobody here wrote."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shopbot.catalog import Catalog, ProductQuery, SearchResult
from shopbot.records import ShopData
from shopbot.types import Language

if TYPE_CHECKING:
    from knowledge.embed import SentenceEmbedder

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


def ask(text: str, language: Language, catalog: Catalog) -> SearchResult:
    return catalog.search(catalog.parse(text, language), limit=50)


def names(found: SearchResult) -> list[str]:
    return [hit.product.name for hit in found]


@pytest.fixture(scope="module")
def tau2(minilm: SentenceEmbedder) -> Catalog:
    if not DATA.is_dir():
        pytest.skip("benchmark data are not on this machine")
    products = ShopData.load("tau2_retail/db.json#products", None, None, DATA).all_products()
    return Catalog(products, similar=lambda words: minilm.embed_array(words, query=True), known=minilm.words)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("whats the cheapest mechancal keybord in stock", ("Mechanical Keyboard", "226.11")),
        ("price of the blue IPX4 earphones with 8 hrs of battery?", ("Wireless Earbuds", "226.49")),
        ("any mobile phones available?", ("Smartphone", "1128.99")),
        ("bookcase in glass, 5 ft, white", ("Bookshelf", "504.65")),
        ("the most expensive smartwatch I can buy now", ("Smart Watch", "382.41")),
        ("is 6469567736 in stock?", ("Water Bottle", "47.84")),
        ("robot vacuum, bagless", ("Vacuum Cleaner", "658.89")),
    ],
)
def test_other_words_typos_and_codes_on_data_that_nobody_here_wrote(
    tau2: Catalog, question: str, expected: tuple[str, str]
) -> None:
    found = ask(question, "en", tau2)
    assert found.relaxed == ()
    assert (found[0].product.name, found[0].variants[0].price) == (expected[0], Decimal(expected[1]))


@pytest.mark.parametrize(
    "question", ["do you sell televisions?", "sofas", "any violins?", "printer ink", "is there wine"]
)
def test_what_tau2_retail_does_not_sell(tau2: Catalog, question: str) -> None:
    assert names(ask(question, "en", tau2)) == []


# ---------------------------------------------------------------- the sample shop


@pytest.fixture(scope="module")
def sample() -> Catalog:
    return Catalog(ShopData.load("catalog.jsonl", None, None, ROOT / "sample_shop").all_products())


def test_the_cheapest_of_each_category_against_a_plain_loop(sample: Catalog) -> None:
    """The cheapest that can be had, asked for in English and Chinese by the category's own name."""
    wrong: list[str] = []
    for category, zh in {(product.category, product.categories["zh"]) for product in sample.products}:
        low = min(
            variant.price
            for product in sample.products
            if product.category == category
            for variant in product.variants
            if variant.available and variant.price is not None
        )
        for text, language in ((f"the cheapest {category} in stock", "en"), (f"有货的最便宜的{zh}", "zh")):
            found = ask(text, language, sample)
            # Where a category also holds what goes with its things, the things alone may be meant, and cost more.
            if not found or found[0].product.category != category or (found[0].variants[0].price or 0) < low:
                wrong.append(text)
    assert wrong == []


@pytest.mark.parametrize(
    ("question", "language", "expected"),
    [
        ("最便宜的帐篷", "zh", ["Meadow 2 Weekend Tent"]),
        ("登机箱多少钱", "zh", ["Gangway 38 Cabin Case", "Gangway 38 Lite Cabin Case"]),
        ("有没有儿童雨衣", "zh", ["Puddle Kids' Rain Jacket"]),
        ("拼图有1000片的吗", "zh", ["Constellation Puzzle 1000"]),
        ("puzzle with 1000 pieces", "en", ["Constellation Puzzle 1000"]),
        ("down jacket in M", "en", ["Brae Down Jacket"]),
        ("a junior slepping bag", "en", ["Hush Junior Sleeping Bag"]),
        ("Carry-On 40", "en", ["Carry-On 40 Travel Pack"]),
        ("kettle with temperature control", "en", ["Swift Pour Gooseneck Kettle"]),
    ],
)
def test_products_of_the_sample_shop(sample: Catalog, question: str, language: Language, expected: list[str]) -> None:
    query = sample.parse(question, language)
    assert names(sample.search(replace(query, aspect=None)))[: len(expected)] == expected


def test_a_query_can_be_made_by_hand(sample: Catalog) -> None:
    query = ProductQuery(categories=("tents",), options={"colour": ("sand",)}, max_price=Decimal(300))
    assert names(sample.search(query)) == ["Skua 3 Tent", "Skua 2 Tent"]
    assert len(sample.search(ProductQuery())) == 0
    assert len(sample.search(ProductQuery(products=("gone",)))) == 0

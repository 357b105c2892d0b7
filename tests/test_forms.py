"""What a message says for a form: addresses, picks, codes, choices, items left out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shopbot import Shop
from shopbot.catalog import Catalog
from shopbot.fillers import choice_meant, items_meant, payment_meant, picked, says
from shopbot.forms import _matching
from shopbot.postal import Places, destination_in, names_place, read_address, without_destination
from shopbot.types import Account, Order, OrderItem, Product, Variant

PLACES = Places([Account("a", "A", address={"city": "Leeds", "state": "West Yorkshire", "country": "United Kingdom"})])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 High Street, Flat 3, Bristol, BS1 4ST", ("12 High Street", "Flat 3", "Bristol", "BS1 4ST")),
        ("5 Mill Lane, Leeds LS1 4AB please", ("5 Mill Lane", "", "Leeds", "LS1 4AB")),
        ("445 Maple Drive, Suite 394, Fort Worth, TX, 76165, USA", ("445 Maple Drive", "Suite 394", "Fort Worth", "76165")),
        ("10 Rue de la Paix\n75002 Paris\nFrance", ("10 Rue de la Paix", "", "Paris", "75002")),
    ],
)  # fmt: skip
def test_an_address_is_read_in_parts(text: str, expected: tuple[str, ...]) -> None:
    found = read_address(text, PLACES)
    assert tuple(found.get(part, "") for part in ("address1", "address2", "city", "zip")) == expected


def test_the_region_of_a_known_town_is_known() -> None:
    found = read_address("5 Mill Lane, Leeds, LS1 4AB", PLACES)
    assert (found["state"], found["country"]) == ("West Yorkshire", "United Kingdom")


@pytest.mark.parametrize("text", ["yes", "how long does delivery take?", "my house", "改地址"])
def test_what_is_no_address_is_not_read_as_one(text: str) -> None:
    assert read_address(text, PLACES) == {}


@pytest.mark.parametrize(
    ("text", "count", "number"),
    [("the second", 3, 1), ("2", 3, 1), ("第二个", 3, 1), ("最后一个", 3, 2), ("the last one", 2, 1), ("LF-11970", 3, None),
     ("4", 3, None), ("I would like to think about the whole thing for a second or two please", 3, None)],
)  # fmt: skip
def test_a_short_answer_picks_one(text: str, count: int, number: int | None) -> None:
    assert picked(text, count) == number


CODE = r"^\s*(?:[A-Za-z0-9][\s.\-]*){16}$"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("redeem my gift card", ""),
        ("it is 1234 5678 9012 3456", "1234567890123456"),
        ("my code: abcd-efgh-1234-ijkl thanks", "abcdefgh1234ijkl"),
        ("代码是ABCD EFGH 1234 IJKL", "ABCDEFGH1234IJKL"),
    ],
)
def test_a_code_is_found_among_words(text: str, code: str) -> None:
    assert _matching(CODE, text, asked=False).replace(" ", "").replace("-", "") == code


def test_a_choice_is_the_one_whose_words_are_said() -> None:
    reasons = ["no longer needed", "ordered by mistake"]
    assert choice_meant(reasons, "I ordered it by mistake") == "ordered by mistake"
    assert choice_meant(reasons, "it is no longer needed, sorry") == "no longer needed"
    assert choice_meant(reasons, "just because") == ""


@pytest.mark.parametrize(
    "text",
    [
        "send back the one I ordered last week",
        "No, that is not it",
        "it takes longer than I thought",
        "I need the other one",
    ],
)
def test_a_reason_that_nobody_gave_is_not_taken(text: str) -> None:
    assert choice_meant(["no longer needed", "ordered by mistake", "other"], text) == ""


def test_to_a_question_a_few_words_of_a_choice_are_enough() -> None:
    reasons = ["no longer needed", "ordered by mistake", "other"]
    assert choice_meant(reasons, "I don't need it", asked=True) == "no longer needed"
    assert choice_meant(reasons, "it was a mistake", asked=True) == "ordered by mistake"
    assert choice_meant(reasons, "other", asked=True) == "other"


def test_items_are_named_left_out_or_all(sample_shop: Shop) -> None:
    orders = [order for one in sample_shop.data.orders if (order := sample_shop.data.order(one)) is not None]
    order = next(one for one in orders if len({item.name.split()[-1] for item in one.items}) > 2)
    skus = [item.sku for item in order.items]
    catalog = sample_shop.catalog
    assert items_meant(order, "everything please", catalog) == list(dict.fromkeys(skus))
    assert items_meant(order, f"the {order.items[0].name}", catalog) == [skus[0]]
    left = items_meant(order, f"all of it except the {order.items[0].name}", catalog)
    assert left == [sku for sku in dict.fromkeys(skus) if sku != skus[0]]
    assert items_meant(order, "I do not know", catalog) == []


@pytest.mark.parametrize(
    "text",
    [
        "please cancel it",
        "I want to return my boots",
        "can you change the size",
        "帮我取消订单",
        "我要退货",
        "把颜色换成黑色",
    ],
)
def test_a_wish_is_a_request(text: str) -> None:
    assert says("asks", "request", text)


@pytest.mark.parametrize(
    "text", ["can I cancel my order?", "how do I return something", "能取消吗", "退货要多久", "退款了没"]
)
def test_a_question_is_asking(text: str) -> None:
    assert says("asks", "asking", text)
    assert not says("asks", "polite", text)


# ---------------------------------------------------------------- items of an order


def _item(product_id: str, sku: str, name: str, price: str = "10", **options: str) -> OrderItem:
    return OrderItem(product_id, sku, name, Decimal(price), options=options)


ITEMS = (
    _item("p1", "10001", "Travel Mug", color="red"),
    _item("p2", "10002", "Travel Bag", color="blue"),
    _item("p3", "10003", "Wool Scarf", "20", color="grey"),
    _item("p3", "10004", "Wool Scarf", "30", color="green"),
)
ORDER = Order("o1", "ann", "delivered", ITEMS)
ITS_CATALOG = Catalog(
    Product(one.product_id, one.name, variants=(Variant(one.sku, one.price, True, options=one.options),))
    for one in ITEMS
)


@pytest.mark.parametrize(
    ("text", "skus"),
    [
        ("I am giving the travel mug back", ["10001"]),
        ("the bag that came with the travel mug", ["10002"]),
        ("return a wool scarf", []),
        ("both wool scarfs", ["10003", "10004"]),
        ("the pricier wool scarf", ["10004"]),
        ("the cheaper one of the wool scarfs", ["10003"]),
        ("the green wool scarf and the mug", ["10001", "10004"]),
        ("not yet, also the travel mug", ["10001"]),
    ],
)
def test_items_are_told_by_their_full_names_and_told_apart(text: str, skus: list[str]) -> None:
    assert sorted(items_meant(ORDER, text, ITS_CATALOG)) == skus


def test_the_only_item_is_not_meant_where_another_thing_is_named() -> None:
    alone = Order("o2", "ann", "delivered", ITEMS[:1])
    assert items_meant(alone, "I am returning my wool scarf", ITS_CATALOG) == []
    assert items_meant(alone, "send it back", ITS_CATALOG) == ["10001"]


# ---------------------------------------------------------------- payment


METHODS = (
    {"id": "card_1", "source": "credit_card", "brand": "visa", "last_four": "1111"},
    {"id": "card_2", "source": "credit_card", "brand": "mastercard", "last_four": "2222"},
    {"id": "wallet_3", "source": "paypal"},
)


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("put it on my Visa", "card_1"),
        ("the card ending in 2222", "card_2"),
        ("paypal please", "wallet_3"),
        ("a credit card", ""),
        ("all the rest the same as it was", ""),
    ],
)
def test_a_payment_method_is_told_by_brand_number_or_kind(text: str, method: str) -> None:
    assert payment_meant(Account("ann", "Ann", payment_methods=METHODS), None, text) == method


# ---------------------------------------------------------------- addresses that are pointed at


def test_a_destination_is_cut_out_of_a_request() -> None:
    text = "send my March order to my Leeds address, please"
    assert destination_in(text) == "to my Leeds address"
    assert "Leeds" not in without_destination(text)
    assert "2024-3" not in without_destination("deliver 2024-1 to the same address as 2024-3")
    assert "上海" in destination_in("请把订单寄到上海的地址")


@pytest.mark.parametrize(
    ("text", "named"), [("to my NYC flat", True), ("the New York one", True), ("my nyc", False), ("to Leeds", False)]
)
def test_a_place_is_named_by_its_town_or_its_initials(text: str, named: bool) -> None:
    assert names_place({"city": "New York", "state": "NY"}, text) is named


def test_an_address_ends_with_its_sentence() -> None:
    found = read_address("7 Mill Lane, Leeds, West Yorkshire, LS1 4AB. Tell me what it costs then.", PLACES)
    assert (found["address1"], found["zip"], found["country"]) == ("7 Mill Lane", "LS1 4AB", "United Kingdom")

"""What a message says for a form: addresses, picks, codes, choices, items left out."""

from __future__ import annotations

import pytest

from shopbot import Shop
from shopbot.fillers import choice_meant, items_meant, picked, says, wish_in
from shopbot.forms import _matching
from shopbot.postal import Places, read_address
from shopbot.types import Account

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


def test_what_is_wanted_stands_after_to() -> None:
    assert wish_in("change the size from 8 to 9").strip() == "9"
    assert wish_in("把尺码换成9号") == "9号"


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

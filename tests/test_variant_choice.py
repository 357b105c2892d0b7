"""Which version is asked for: by options, by comparison, by price; and where it is not clear, none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shopbot.catalog import Catalog
from shopbot.types import OrderItem, Product, Variant
from shopbot.variant_choice import version_meant, wish_in, without_wish

_ROWS = (
    ("r-s", "red", "S", "300ml", "no", 10, True),
    ("r-m", "red", "M", "500ml", "no", 12, True),
    ("r-l", "red", "L", "700ml", "no", 14, True),
    ("b-s", "blue", "S", "300ml", "no", 9, True),
    ("b-m", "blue", "M", "500ml", "yes", 15, True),
    ("g-l", "green", "L", "700ml", "yes", 8, False),
)
FLASK = Product(
    "p1",
    "Steel Flask",
    variants=tuple(
        Variant(
            sku, Decimal(price), there, options={"color": color, "size": size, "capacity": volume, "insulated": warm}
        )
        for sku, color, size, volume, warm, price, there in _ROWS
    ),
)
CATALOG = Catalog([FLASK])


def meant(text: str, have: str = "r-m") -> str:
    old = next(one for one in FLASK.variants if one.sku == have)
    item = OrderItem(FLASK.id, have, FLASK.name, old.price or Decimal(0), options=old.options)
    return version_meant(FLASK, item, text, CATALOG, "zh" if not text.isascii() else "en")


@pytest.mark.parametrize(
    ("text", "sku"),
    [
        ("I want to swap my red flask for a blue one that is insulated", "b-m"),
        ("one in blue, size S", "b-s"),
        ("swap it for the cheapest you have", "b-s"),
        ("the least expensive red one", "r-s"),
        ("give me the dearest", "b-m"),
        ("one size smaller, still red", "r-s"),
        ("a bigger one in red, please", "r-l"),
        ("200 ml more capacity", "r-l"),
        ("the largest there is", "r-l"),
        ("red with a lower capacity", "r-s"),
        ("green, size L", ""),
        ("any other", ""),
        ("my red flask, size M", ""),
        ("exchange it to r-l", "r-l"),
        ("最便宜的", "b-s"),
        ("小一号，红色", "r-s"),
    ],
)
def test_a_version_is_meant_where_it_is_clear_and_can_be_had(text: str, sku: str) -> None:
    assert meant(text) == sku


def test_what_shall_stay_the_same_is_no_option_to_give_up() -> None:
    assert meant("size L in the same color", "b-m") == ""
    assert meant("size L", "b-m") == "r-l"
    assert meant("size S in the same color", "b-m") == "b-s"


def test_the_first_that_can_be_had_of_a_preference_is_meant() -> None:
    assert meant("preferably green, otherwise blue, size S") == "b-s"


def test_what_is_wanted_stands_after_to() -> None:
    assert wish_in("change the size from 8 to 9").strip() == "9"
    assert wish_in("I'd like to exchange the flask for a red one instead of the blue") == " a red one  "
    assert wish_in("把尺码换成9号") == "9号"


def test_what_is_left_without_the_wish_tells_the_order() -> None:
    left = without_wish("exchange the flask for a blue one. It is in my order from May.")
    assert "blue" not in left
    assert "from May" in left

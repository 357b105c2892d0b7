"""Questions about products through the whole bot: the fact that is asked for stands in the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shopbot import Shop, ShopBot, Shopper

SAMPLE = Path(__file__).resolve().parent.parent / "sample_shop"


@pytest.fixture(scope="module")
def bot() -> Iterator[ShopBot]:
    with Shop.open(SAMPLE) as shop:
        yield shop.bot()


def answer(bot: ShopBot, question: str) -> str:
    return asyncio.run(bot.reply(question, shopper=Shopper())).text


@pytest.mark.parametrize(
    ("question", "told", "not_told"),
    [
        # "woolly" alone would be the wool slipper; the whole question resembles the blanket.
        ("which colours is that woolly fringed throw sold in?", ("Shoal Throw Blanket", "sage"), ("Slipper",)),
        ("Which colours does the Pebble come in and what does it set me back?", ("teal", "£39.00"), ()),
        ("How many Stormcroft tents have you got left?", ("Stormcroft", "left"), ("versions",)),
        ("How many versions of the Lull 2 Wireless Headphones are there?", ("3 versions, 2 of them",), ()),
        ("Is the Drowsy Down Duvet in king in stock?", ("king", "out of stock"), ("Yes",)),
        ("Which is cheaper, the Moth Camp Lantern or the Moth Mini Lantern?", ("cheaper by £",), ()),
        ("黑色的手摇磨豆机有货不", ("缺货",), ("有货：",)),
        # Two questions, the second of which names nothing; prices that differ by version, what can be had first.
        (
            "Do you have a rain jacket for children? What would two of them come to?",
            ("Puddle", "122, mustard): £42"),
            (),
        ),
        ("Which lanterns can I use in the tent in winter?", ("Moth Camp Lantern",), ("Tent:", "cheaper")),
        # What no row tells stands in the description.
        ("May I take the Tern 500 under water for half an hour?", ("IPX7",), ()),
    ],
)
def test_the_fact_asked_for_is_told(
    bot: ShopBot, question: str, told: tuple[str, ...], not_told: tuple[str, ...]
) -> None:
    text = answer(bot, question)
    assert [part for part in told if part not in text] == [], text
    assert [part for part in not_told if part in text] == [], text


def test_only_wishes_are_told_as_unmet(bot: ShopBot) -> None:
    assert "no exact match" not in answer(bot, "how much is the Gust Gas Stove for a trip alone?")
    assert "no exact match for wool" in answer(bot, "Do you have a headlamp in wool?")
    assert "that fit" not in answer(bot, "Any tents in turquoise?")

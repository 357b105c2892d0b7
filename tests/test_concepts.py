"""How shoppers say what policies say: the words of the trade that a question gets beside its own."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from shopbot.concepts import formal_words, shop_words


@pytest.mark.parametrize(
    ("said", "formal"),
    [
        ("can I call it off", "cancel"),
        ("please scrap my order", "cancel"),
        ("I want to send this thing back", "return"),
        ("I saw it cheaper elsewhere, what do you do about that", "price match"),
    ],
)
def test_what_a_shopper_says_gets_the_words_of_the_trade(said: str, formal: str) -> None:
    assert formal in formal_words(said, "en")


@pytest.mark.parametrize(("said", "formal"), [("我不想要了，能撤单吗", "取消"), ("买错尺码想换大一号", "换货")])
def test_chinese_is_matched_anywhere_in_the_text(said: str, formal: str) -> None:
    assert formal in formal_words(said, "zh")


def test_what_is_said_in_the_formal_words_gets_nothing_more() -> None:
    assert "cancel" not in formal_words("I want to cancel, scrap the order", "en")


def test_a_phrase_counts_as_whole_words_only() -> None:
    assert formal_words("the scrapbook orderly", "en") == ()


def test_at_most_a_few_concepts_lend_their_words() -> None:
    long = (
        "call it off, send it back, swap it, my parcel never came, it broke, I moved house, my code fails, get a human"
    )
    assert 2 <= len(formal_words(long, "en")) <= 4


def test_every_concept_has_formal_words_and_what_shoppers_say() -> None:
    table = tomllib.loads(resources.files("shopbot").joinpath("concepts.toml").read_text(encoding="utf-8"))
    lacking = [
        name for name, one in table.items() if not all(one.get(key) for key in ("en", "zh", "said_en", "said_zh"))
    ]
    assert len(table) > 50
    assert not lacking


def test_what_the_shop_calls_a_thing_is_added_unless_it_is_said() -> None:
    own = {"fiddle": "violin", "squeeze box": "accordion", "concertina": "accordion", "大琴": "低音提琴"}
    assert shop_words("Are fiddles covered?", own) == ("violin",)
    assert shop_words("my squeeze  box broke", own) == ("accordion",)
    assert shop_words("大琴能退吗", own) == ("低音提琴",)
    assert shop_words("is the fiddle, I mean the violin, covered", own) == ()
    assert shop_words("fiddlesticks", own) == ()

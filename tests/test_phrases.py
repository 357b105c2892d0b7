"""The words of the house: amounts, days, lists, and the approved lines in both languages."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sample_shop_records import orders
from shopbot.compose import compose_line
from shopbot.phrases import LANGUAGES, Phrases
from shopbot.understand import CJK

ROOT = Path(__file__).resolve().parent.parent
EN, ZH = (Phrases(language, "Larkfield", "GBP") for language in LANGUAGES)


@pytest.mark.parametrize(
    ("currency", "text"),
    [
        ("GBP", "£1234.50"),
        ("USD", "$1234.50"),
        ("EUR", "€1234.50"),
        ("CNY", "¥1234.50"),
        ("CHF", "1234.50 CHF"),
        ("JPY", "¥1234.50"),
    ],
)
def test_money_is_written_with_its_sign_or_its_code(currency: str, text: str) -> None:
    assert Phrases("en", "Shop", currency).money("1234.5") == text
    assert Phrases("zh", "商店", currency).money(Decimal("1234.50")) == text


def test_yen_and_won_have_no_decimals_unless_the_shop_writes_some() -> None:
    assert Phrases("en", "Shop", "JPY").money("1980") == "¥1980"
    assert Phrases("en", "Shop", "KRW").money("25000.00") == "25000 KRW"


def test_days_and_lists_are_written_as_their_language_does() -> None:
    assert (EN.day("2026-11-05"), ZH.day(date(2026, 11, 5))) == ("5 November 2026", "2026年11月5日")
    assert (EN.joined(["a", "b", "c"]), ZH.joined(["a", "b", "c"])) == ("a, b and c", "a、b和c")
    assert (EN.status("delivered"), ZH.status("delivered"), ZH.status("on the moon")) == (
        "delivered",
        "已送达",
        "on the moon",
    )


def lines() -> dict[str, dict[str, Any]]:
    table = tomllib.loads((ROOT / "shopbot" / "lines.toml").read_text("utf-8"))
    table.pop("status")
    return table


def test_every_line_has_both_languages_with_the_same_fields_and_no_fact() -> None:
    for key, texts in lines().items():
        assert set(texts) == set(LANGUAGES), key
        fields = [set(re.findall(r"\{(\w+)\}", text)) - {"shop"} for text in texts.values()]
        assert fields[0] == fields[1], key
        bare = re.sub(r"\{\w+\}", "", texts["en"])
        assert not re.search(r"\d", bare), f"{key} holds a fact of its own"


def test_every_status_of_the_sample_shop_has_a_chinese_word() -> None:
    missing = {order["status"] for order in orders().values() if not CJK.search(ZH.status(order["status"]))}
    assert not missing


@pytest.mark.parametrize("phrases", [EN, ZH], ids=LANGUAGES)
def test_small_talk_holds_no_facts(phrases: Phrases) -> None:
    for key in ("greeting", "thanks", "goodbye", "are_you_bot", "insult", "empty", "out_of_scope", "log_in"):
        draft = compose_line(key, phrases)
        assert draft.fixed
        assert not re.search(r"[\d£$€]", draft.text)
    assert re.search("automated|自动", compose_line("greeting", phrases).text)

"""How people speak of things: casual names of products, options in Chinese, dates, money, payment methods."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from generator.records import Record

TABLES = json.loads((Path(__file__).parent / "words.json").read_text("utf-8"))
MONTHS = TABLES["months"]
MEASURE = re.compile(r"-?[\d.,]+(?: x [\d.,]+)* ?(?:kg|g|cm|m|mm|W|kW|°C|lm|l)")
"""Values of attributes that read the same in every language."""


def day_text(day: date | str, language: str) -> str:
    """A day as a person says it: "12 November", "11月12日"; with the year where it is not this year's."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    if language == "zh":
        return f"{'' if day.year == 2026 else f'{day.year}年'}{day.month}月{day.day}日"
    return f"{day.day} {MONTHS[day.month - 1]}{'' if day.year == 2026 else f' {day.year}'}"


def money(amount: float) -> str:
    """An amount in the shop's currency: "£39", "£3.95"."""
    return f"£{amount:.2f}".removesuffix(".00")


def thing(product: Record, language: str) -> str:
    """What a shopper calls a product: "boots", "帐篷"."""
    names = TABLES["things"]
    return names.get(product["product_id"], names[product["category"]])[language == "zh"]


def product_name(product: Record, language: str) -> str:
    """The product's name in a language."""
    return product["i18n"]["zh"]["name"] if language == "zh" else product["name"]


def value_text(value: str, language: str) -> str:
    """An option's value in a language; sizes and the like stay as they are."""
    return TABLES["values"].get(value, value) if language == "zh" else value


def option_text(options: Record, language: str, only: Sequence[str] | None = None) -> str:
    """Options in words: "UK 9, brown"; `only` names those that matter."""
    return ("，" if language == "zh" else ", ").join(
        _one_option(name, value, language) for name, value in options.items() if only is None or name in only
    )


def _one_option(name: str, value: str, language: str) -> str:
    word = value_text(value, language)
    if language == "zh":
        return word + {"size": "码" if word.isascii() and "cm" not in word else ""}.get(name, "")
    pattern = {"size": "size {}", "pieces": "the pack of {}", "zip": "the {} zip", "plug": "the {} plug"}
    return word if word.startswith("UK ") else pattern.get(name, "{}").format(word)


def method_text(method_id: str, shopper: Record, language: str) -> str:
    """A payment method in words, never more of it than the last four digits."""
    method = shopper["payment_methods"][method_id]
    if method["source"] == "paypal":
        return "PayPal"
    if method["source"] == "gift_card":
        return "礼品卡" if language == "zh" else "a gift card"
    four = method["last_four"]
    return f"尾号{four}的卡" if language == "zh" else f"the card ending {four}"


def listed(parts: Sequence[str], language: str) -> str:
    """Parts as a list in a sentence: "a, b and c"; "a、b和c"."""
    if language == "zh":
        return "、".join(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def measured(product: Record) -> list[str]:
    """The attributes of a product that have a name in every language and are a measure."""
    values = product["attributes"]
    return [name for name, value in values.items() if name in TABLES["attributes"] and MEASURE.fullmatch(value)]

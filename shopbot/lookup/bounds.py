"""Bounds of money and measures in a question: "under £50", "200元以下", "between 10 and 20", "at least 40 litres"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Literal

from shopbot.lookup.operators import Bound, Operators, phrases
from shopbot.lookup.tokens import NUMBER_ZH, number_of, split_measure

_BEFORE = r"(?:us\$|hk\$|[£$€¥]|gbp|usd|eur|cny|rmb)"
_AFTER = (
    r"(?:(?:pounds?|quid|bucks?|dollars?|euros?|gbp|usd|eur|cny|rmb|yuan)\b"
    r"|[£$€¥]|元|块钱?|人民币|英镑|镑|美元|美金|欧元)"
)
_NUMBER = rf"(?:\d+(?:[.,]\d+)*k?|{NUMBER_ZH})"
# A number that stands alone is money unless a noun follows it ("30 days", "4 people").
_NO_NOUN = r"(?:or|and|in|for|with|please|that|which|to|but|each|total|max|tops|is|are|if)\b"
_ALONE = rf"(?![\w.,]*\d)(?!\s*-?\s*(?!{_NO_NOUN})[a-z%°])"
_CASH = rf"(?:{_BEFORE}\s*{_NUMBER}(?:\s*{_AFTER})?|{_NUMBER}\s*{_AFTER})"
_MONEY = rf"(?:{_CASH}|\d+(?:[.,]\d+)*{_ALONE})"
_MEASURE = rf"(?:\d+(?:[.,]\d+)*|{NUMBER_ZH})[\s-]{{0,2}}(?:[a-z°]+|[毫厘公千升克米人小时分钟英寸瓦流明斤]+)"
_SPAN = r"\s*(?:-|–|—|~|to|and|到|至)\s*"
_ABOUT = (Decimal("0.8"), Decimal("1.2"))

_Reader = Callable[[Operators, "re.Match[str]"], bool]


def read_bounds(found: Operators) -> None:
    """Find the bounds of a question and blank them."""
    for pattern, read in _patterns():
        for match in pattern.finditer(found.text):
            if read(found, match):
                found.blank(match)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], _Reader], ...]:
    """What to look for, the clearest first, and what reads it."""
    under, over = rf"(?:{phrases('under')}|<=?|≤)\s*", rf"(?:{phrases('over')}|>=?|≥)\s*"
    or_less, or_more = rf"\s*{phrases('or_less')}的?", rf"\s*(?:{phrases('or_more')}|\+)的?"
    listed: list[tuple[str, _Reader]] = [
        (rf"(?:\bbetween|\bfrom|\bin the range of)\s*({_MONEY}){_SPAN}({_MONEY})(?:之间)?的?", _money_range),
        (rf"({_NUMBER}|{_CASH}){_SPAN}({_CASH})(?:之间)?的?", _money_range),
        (rf"({_CASH}){_SPAN}({_MONEY})(?:之间)?的?", _money_range),
        (rf"{under}({_MEASURE})", _measure_high),
        (rf"{over}({_MEASURE})", _measure_low),
        (rf"({_MEASURE}){or_less}", _measure_high),
        (rf"({_MEASURE}){or_more}", _measure_low),
        (rf"{under}({_MONEY})的?", _money_high),
        (rf"{over}({_MONEY})的?", _money_low),
        (rf"({_MONEY}){or_less}", _money_high),
        (rf"({_MONEY}){or_more}", _money_low),
        (rf"(?:{phrases('about')}|~)\s*({_CASH})的?", _money_about),
        (rf"({_CASH})\s*(?:左右|上下)的?", _money_about),
    ]
    return tuple((re.compile(text), read) for text, read in listed)


# ---------------------------------------------------------------- money


def money_of(text: str) -> Decimal | None:
    """The amount of a text such as "£1,299.00", "50 quid", "1.5k", "五十元"; None if it holds none."""
    digits = re.search(rf"\d[\d.,]*|{NUMBER_ZH}", text)
    number = None if digits is None else number_of(digits[0].rstrip(".,"))
    if number is None or digits is None:
        return None
    thousands = 1000 if text[digits.end() : digits.end() + 1] == "k" else 1
    return Decimal(str(number)) * thousands


def _money_range(found: Operators, match: re.Match[str]) -> bool:
    low, high = money_of(match[1]), money_of(match[2])
    if low is None or high is None:
        return False
    found.min_price, found.max_price = min(low, high), max(low, high)
    return True


def _money_high(found: Operators, match: re.Match[str]) -> bool:
    amount = money_of(match[1])
    found.max_price = found.max_price if amount is None else amount
    return amount is not None


def _money_low(found: Operators, match: re.Match[str]) -> bool:
    amount = money_of(match[1])
    found.min_price = found.min_price if amount is None else amount
    return amount is not None


def _money_about(found: Operators, match: re.Match[str]) -> bool:
    """About 50 is from 40 to 60."""
    amount = money_of(match[1])
    if amount is None:
        return False
    found.min_price, found.max_price = amount * _ABOUT[0], amount * _ABOUT[1]
    return True


# ---------------------------------------------------------------- measures


def _measure_high(found: Operators, match: re.Match[str]) -> bool:
    return _add_bound(found, match[1], "high")


def _measure_low(found: Operators, match: re.Match[str]) -> bool:
    return _add_bound(found, match[1], "low")


def _add_bound(found: Operators, text: str, side: Literal["low", "high"]) -> bool:
    parts = split_measure(text)
    if parts is None:
        return False
    amount, unit = parts
    bound = Bound(unit)
    found.bounds.append(replace(bound, low=amount) if side == "low" else replace(bound, high=amount))
    return True

"""The operators in a question, in English and Chinese: money bounds, cheapest, in stock, how many, compare.

They belong to the language and hold in every shop. What is found is blanked, and the rest is for the catalog's words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Literal

from shopbot.lookup.tokens import NUMBER_ZH, normal, number_of, split_measure, words_table

Sort = Literal["cheapest", "dearest"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of a measure in its base unit ("ml", "g", "mm" …), inclusive; None is unbounded."""

    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(slots=True)
class Operators:
    """What was found, and `spans` of the original text that said it.

    `text` is the normalised text with those places blanked; `places` maps its letters to the original's.
    `stock`, `price`, `count`, `options` and `compare` say that such a thing is asked, `listing` that several rows are;
    `asked` are names under which a catalog may keep what is asked ("how heavy": weight), `rank` those by which the
    first or last is wanted ("lightest": weight, low).
    """

    text: str
    places: Sequence[int]
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    bounds: list[Bound] = field(default_factory=list[Bound])
    sort: Sort | None = None
    stock: bool = False
    price: bool = False
    count: bool = False
    options: bool = False
    compare: bool = False
    listing: bool = False
    asked: list[str] = field(default_factory=list[str])
    rank: tuple[tuple[str, ...], Literal["low", "high"]] | None = None
    spans: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def blank(self, found: re.Match[str]) -> None:
        """Take what was found out of the text."""
        start, end = found.span()
        self.spans.append((self.places[start], self.places[end - 1] + 1 if end > start else self.places[start]))
        self.text = self.text[:start] + "\x00" * (end - start) + self.text[end:]


def read_operators(text: str) -> Operators:
    """Find the operators of a question."""
    folded, places = normal(text)
    found = Operators(folded, places)
    _read_bounds(found)
    for match in _table_pattern("asked").finditer(found.text):
        found.asked.extend(words_table()["asked"][match[0]].split("|"))
        found.blank(match)
    for match in _table_pattern("superlatives").finditer(found.text):
        names, end = words_table()["superlatives"][match[0]].rsplit(" ", 1)
        found.rank = tuple(names.split("|")), end
        found.blank(match)
    for pattern, name, value in _FLAGS:
        for match in re.finditer(pattern, found.text):
            setattr(found, name, value)
            found.blank(match)
    # These only mark; their words stay, since the catalog may know them.
    found.compare = bool(_COMPARE.search(folded))
    found.listing = bool(_LISTING.search(folded))
    return found


# ---------------------------------------------------------------- plain words

_FLAGS: tuple[tuple[str, str, object], ...] = (
    (
        r"\b(?:the )?(?:(?:absolute(?:ly)?|very) )?(?:cheapest|(?:lowest|best|smallest)[- ](?:possible )?(?:price|cost)[ds]?"
        r"|lowest[- ]priced|least expensive|least costly|most (?:affordable|inexpensive|economical))\b"
        r"|(?:价格|价钱)?最(?:便宜|低价|实惠|平价|省钱|划算)的?|(?:价格|价钱|售价)最低的?|最低(?:价格|价)的?",
        "sort",
        "cheapest",
    ),
    (
        r"\b(?:the )?(?:most (?:expensive|costly|pricey)|priciest|dearest|highest[- ](?:price|cost)[ds]?|highest[- ]priced|top[- ]priced)\b"
        r"|(?:价格|价钱)?最贵的?|(?:价格|价钱|售价)最高的?|最高价的?",
        "sort",
        "dearest",
    ),
    (
        r"\b(?:back )?in[- ]stock\b|\bout of stock\b|\bsold[- ]out\b|\b(?:un)?available(?: right now)?\b|\bavailability\b|\bstock levels?\b"
        r"|\bin hand\b|\bready to ship\b|\b(?<!how )many (?:are )?left\b|\bhow many (?:do you have|are there|are|do you)? ?(?:left|in stock)\b"
        r"|(?:有没有|还有|有|是否有|没有|缺|断)货(?:的|吗)?|现货的?|库存(?:情况|还有多少)?|售罄|卖完|还有吗",
        "stock",
        True,
    ),
    (
        r"\bhow much (?:is|are|do|does|would|will|for|did)\b(?!(?: \w+){1,4} weigh)|\bhow much\b(?= the )|\bprices?\b(?! (?:match|promise))|\bcosts?\b|\bpriced\b"
        r"|多少钱|多少元|价格(?:是多少)?|价钱(?:是多少)?|售价(?:是多少)?|几块钱?|什么价|怎么卖|卖多少",
        "price",
        True,
    ),
    (r"\bhow many\b|\b(?:the )?number of\b|(?:几|多少)(?:种|款|个|件)", "count", True),
    (
        r"\b(?:options?|variants?|versions?|choices|varieties|configurations?)\b|(?:款式|规格|选项|版本)",
        "options",
        True,
    ),
)
_COMPARE = re.compile(
    r"\b(?:compare|compared|comparison|differen(?:ce|ces|t)|differ|vs|versus|better|cheaper|dearer|lighter|heavier|bigger|smaller|larger|warmer"
    r"|which (?:one|of|is|has|should))\b|对比|比较|区别|差别|不同|相比|哪[个款一](?:更|比较|好|便宜|贵|轻|重|大|小)|更|还是"
)
_LISTING = re.compile(
    r"\b(?:which|what|show|list|any|find|all|looking for|recommend|suggest|browse|search)\b|哪些|哪款|哪种|推荐|有什么|列出|看看|找"
)
_NEGATION = re.compile(
    r"(?:\b(?:not|no|without|except(?: for)?|excluding|other than|apart from|anything but|non)\b(?: (?:a|the|in|any|made of|with))*[ -]*"
    r"|不要|除了|不是|不带|非|(?<!有)没有)$"
)


def is_negated(found: Operators, start: int) -> bool:
    """Whether a "not" or "without" stands just before a place of the original text."""
    place = bisect_left(found.places, start)
    return bool(_NEGATION.search(found.text[max(0, place - 30) : place]))


@cache
def _table_pattern(table: Literal["asked", "superlatives"]) -> re.Pattern[str]:
    """The phrases of a table of `words.toml`. Chinese ones of "asked" are words of the vocabulary instead."""
    listed = sorted(words_table()[table], key=len, reverse=True)
    chinese = [phrase for phrase in listed if not phrase.isascii()] if table != "asked" else []
    return re.compile("|".join([*(rf"\b{phrase}\b" for phrase in listed if phrase.isascii()), *chinese]))


# ---------------------------------------------------------------- bounds of money and measures

_BEFORE = r"(?:us\$|hk\$|[£$€¥]|gbp|usd|eur|cny|rmb)"
_AFTER = r"(?:pounds?|quid|bucks?|dollars?|euros?|gbp|usd|eur|cny|rmb|yuan)\b|(?:[£$€¥]|元|块钱?|人民币|英镑|镑|美元|美金|欧元)"
_NUMBER = rf"(?:\d+(?:[.,]\d+)*k?|{NUMBER_ZH})"
# A number that stands alone is money unless a noun follows it ("30 days", "4 people").
_ALONE = r"(?![\w.,]*\d)(?!\s*-?\s*(?!(?:or|and|in|for|with|please|that|which|to|but|each|total|max|tops|is|are|if)\b)[a-z%°])"
_MONEY = rf"(?:{_BEFORE}\s*{_NUMBER}|{_NUMBER}\s*(?:{_AFTER})|\d+(?:[.,]\d+)*{_ALONE})"
_CASH = rf"(?:{_BEFORE}\s*{_NUMBER}(?:\s*(?:{_AFTER}))?|{_NUMBER}\s*(?:{_AFTER}))"
_MEASURE = rf"(?:\d+(?:[.,]\d+)*|{NUMBER_ZH})[\s-]{{0,2}}(?:[a-z°]+|[毫厘公千升克米人小时分钟英寸瓦流明斤]+)"

_UNDER = (
    r"(?:\b(?:under|below|less than|cheaper than|lower than|lighter than|smaller than|shorter than|up to|at most|no more than|not more than|no heavier than"
    r"|max(?:imum)?(?: of)?|within|not over|beneath|(?:my )?budget (?:of|is)(?: about| around)?|(?:can|could|to|want to) spend(?: about| around)?)\s*"
    r"|<=?\s*|≤\s*|(?:低于|少于|不超过|不高于|不到|最多|预算是?|轻于|小于)\s*)"
)
_OVER = (
    r"(?:\b(?:over|above|more than|at least|starting (?:at|from)|no less than|not less than|min(?:imum)?(?: of)?|bigger than|larger than|heavier than|longer than"
    r"|exceeding)\s*|>=?\s*|≥\s*|(?:高于|超过|至少|不低于|大于|不少于)\s*)"
)
_UNDER_AFTER = r"\s*(?:or (?:less|under|below|cheaper|lighter|smaller)\b|(?:max|maximum|tops|at most)\b|(?:及|或)?以下|以内|之内|之下|封顶)的?"
_OVER_AFTER = r"\s*(?:or (?:more|over|above|larger|bigger)\b|and (?:up|above|over)\b|\+|(?:及|或)?以上|起)的?"


@cache
def _bound_patterns() -> tuple[tuple[re.Pattern[str], Callable[[Operators, re.Match[str]], bool]], ...]:
    span = r"\s*(?:-|–|—|~|to|and|到|至)\s*"
    return (
        (re.compile(rf"(?:\bbetween|\bfrom|\bin the range of)\s*({_MONEY}){span}({_MONEY})(?:之间)?的?"), _money_range),
        (re.compile(rf"({_NUMBER}|{_CASH}){span}({_CASH})(?:之间)?的?"), _money_range),
        (re.compile(rf"({_CASH}){span}({_MONEY})(?:之间)?的?"), _money_range),
        (re.compile(rf"{_UNDER}({_MEASURE})"), lambda found, match: _measure_limit(found, match, "high")),
        (re.compile(rf"{_OVER}({_MEASURE})"), lambda found, match: _measure_limit(found, match, "low")),
        (re.compile(rf"({_MEASURE}){_UNDER_AFTER}"), lambda found, match: _measure_limit(found, match, "high")),
        (re.compile(rf"({_MEASURE}){_OVER_AFTER}"), lambda found, match: _measure_limit(found, match, "low")),
        (re.compile(rf"{_UNDER}({_MONEY})(?:的)?"), lambda found, match: _money_limit(found, match, "max_price")),
        (re.compile(rf"{_OVER}({_MONEY})(?:的)?"), lambda found, match: _money_limit(found, match, "min_price")),
        (re.compile(rf"({_MONEY}){_UNDER_AFTER}"), lambda found, match: _money_limit(found, match, "max_price")),
        (re.compile(rf"({_MONEY}){_OVER_AFTER}"), lambda found, match: _money_limit(found, match, "min_price")),
        (
            re.compile(rf"(?:\b(?:around|about|roughly|approximately|circa|near)\s*|大约|大概|~)({_CASH})的?"),
            _money_about,
        ),
        (re.compile(rf"({_CASH})\s*(?:左右|上下)的?"), _money_about),
    )


def _read_bounds(found: Operators) -> None:
    for pattern, read in _bound_patterns():
        for match in pattern.finditer(found.text):
            if read(found, match):
                found.blank(match)


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


def _money_limit(found: Operators, match: re.Match[str], name: Literal["min_price", "max_price"]) -> bool:
    amount = money_of(match[1])
    if amount is not None:
        setattr(found, name, amount)
    return amount is not None


def _money_about(found: Operators, match: re.Match[str]) -> bool:
    """ "About 50" is from 40 to 60."""
    amount = money_of(match[1])
    if amount is None:
        return False
    found.min_price, found.max_price = amount * Decimal("0.8"), amount * Decimal("1.2")
    return True


def _measure_limit(found: Operators, match: re.Match[str], side: Literal["low", "high"]) -> bool:
    parts = split_measure(match[1])
    if parts is None:
        return False
    found.bounds.append(Bound(parts[1], **{side: parts[0]}))
    return True

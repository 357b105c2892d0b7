"""The days that a shopper's words name, looking back: "yesterday", "last month", "three weeks ago", "上周", "in June".

`day_span("what I got last month", today)` gives the first and the last day meant. One day that is written out is
read by `understand.mentioned_day`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date, timedelta

from shopbot.understand import mentioned_day

Span = tuple[date, date]

_MONTHS = list(calendar.month_name)
_WEEKDAYS = list(calendar.day_name)
_NUMBERS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "couple": 2,
    "couple of": 2,
    "two": 2,
    "three": 3,
    "few": 3,
    "four": 4,
    "five": 5,
}
_NUMBERS |= {"six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_NUMBERS_ZH = {char: number for number, char in enumerate("零一二三四五六七八九十")} | {"两": 2, "几": 3}
_UNITS = {
    "day": 1,
    "week": 7,
    "month": 30,
    "year": 365,
    "天": 1,
    "日": 1,
    "周": 7,
    "星期": 7,
    "礼拜": 7,
    "月": 30,
    "年": 365,
}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}
_SEASONS_ZH = {"春天": 3, "夏天": 6, "秋天": 9, "冬天": 12}

_AGO = re.compile(
    r"\b(?P<en>\d+|an?|one|couple(?: of)?|few|two|three|four|five|six|seven|eight|nine|ten) (?P<unit>day|week|month|year)s? "
    r"(?:ago|back)\b|(?P<zh>\d+|[一两三四五六七八九十几])个?(?P<unit_zh>天|日|周|星期|礼拜|月|年)(?:之?前|以前)",
    re.IGNORECASE,
)
_SEASON = re.compile(
    rf"\b(?P<the>last|this|the) (?P<en>{'|'.join(_SEASONS)})\b(?P<before> before last)?|(?P<zh>{'|'.join(_SEASONS_ZH)})",
    re.IGNORECASE,
)
_IN_MONTH = re.compile(
    rf"\b(?:in|from|since|of|last|this|early|late|mid|back in)[ -](?P<en>{'|'.join(_MONTHS[1:])})\b"
    r"|(?<!\d)(?P<zh>\d{1,2}|十[一二]?|[一二三四五六七八九])月(?:份|初|底|中)?(?![\d一二三四五六七八九十])",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    rf"\b(?:on|last|this|since|from) (?P<en>{'|'.join(_WEEKDAYS)})(?:'?s)?\b|(?:上?周|上?星期|上?礼拜)(?P<zh>[一二三四五六日天])",
    re.IGNORECASE,
)


def day_span(text: str, today: date) -> Span | None:
    """The first and the last day that a text names, none after today; None if it names none, or one to come."""
    found = mentioned_day(text, today)
    if found is not None:
        found = found if found <= today or str(found.year) in text else _year_before(found)
        return (found, found) if found <= today else None
    return next((span for read in _READERS if (span := read(text, today)) is not None), None)


def _near(text: str, today: date) -> Span | None:
    for pattern, days in (
        (r"\bday before yesterday\b|前天|前晚", 2),
        (r"\byesterday|\blast night\b|昨天|昨日|昨晚", 1),
        (r"\btoday|\bthis (?:morning|afternoon|evening)\b|\bearlier on\b|今天|今日|今早|今晚|今儿|刚刚|刚才", 0),
    ):
        if re.search(pattern, text, re.IGNORECASE):
            return (today - timedelta(days), today - timedelta(days))
    return None


def _ago(text: str, today: date) -> Span | None:
    """So long ago, give or take a quarter."""
    found = _AGO.search(text)
    if not found:
        return None
    said = (found["en"] or found["zh"]).lower()
    count = int(said) if said.isdigit() else _NUMBERS.get(said, _NUMBERS_ZH.get(said, 1))
    unit = _UNITS[(found["unit"] or found["unit_zh"]).lower()]
    about = 0 if unit == 1 and count < 4 else max(count * unit // 4, 2)
    middle = today - timedelta(count * unit)
    return (middle - timedelta(about), min(middle + timedelta(about), today))


def _stretch(text: str, today: date) -> Span | None:
    """This or last week, month or year."""
    monday, first = today - timedelta(today.weekday()), today.replace(day=1)
    before = first - timedelta(1)
    for pattern, span in (
        (r"\blast week|上个?(?:周|星期|礼拜)(?![一二三四五六日天])", (monday - timedelta(7), monday - timedelta(1))),
        (r"\bthis week|这个?(?:周|星期|礼拜)|本周", (monday, today)),
        (r"\blast month|上个?月", (before.replace(day=1), before)),
        (r"\bthis month|这个?月|本月", (first, today)),
        (r"\blast year|去年", (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31))),
        (r"\bthis year|今年", (date(today.year, 1, 1), today)),
    ):
        if re.search(pattern, text, re.IGNORECASE):
            return span
    return None


def _month(text: str, today: date) -> Span | None:
    """A month by its name: the latest that has begun."""
    found = _IN_MONTH.search(text)
    if not found:
        return None
    said = found["zh"] or ""
    zh = int(said) if said.isdigit() else sum(_NUMBERS_ZH[char] for char in said)
    number = _MONTHS.index(found["en"].title()) if found["en"] else zh
    if not 1 <= number <= 12:
        return None
    return _months(today.year if number <= today.month else today.year - 1, number, 1)


def _season(text: str, today: date) -> Span | None:
    """A season by its name: the latest that is over, or has begun if it is this one; "before last" is a year earlier."""
    found = _SEASON.search(text)
    if not found:
        return None
    month = _SEASONS_ZH[found["zh"]] if found["zh"] else _SEASONS[found["en"].lower()]
    first, last = _months(today.year, month, 3)
    years = 0 if (first if found["the"] == "this" else last) <= today else 1
    first, last = _months(today.year - years - bool(found["before"]), month, 3)
    return first, min(last, today)


def _weekday(text: str, today: date) -> Span | None:
    """A day of the week: the latest before today."""
    found = _WEEKDAY.search(text)
    if not found:
        return None
    number = _WEEKDAYS.index(found["en"].title()) if found["en"] else min("一二三四五六日天".index(found["zh"]), 6)
    day = today - timedelta((today.weekday() - number - 1) % 7 + 1)
    return (day, day)


def _months(year: int, month: int, count: int) -> Span:
    """So many months from the first of one."""
    after = year * 12 + month - 1 + count
    return date(year, month, 1), date(after // 12, after % 12 + 1, 1) - timedelta(1)


def _year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=min(day.day, 28) if day.month == 2 else day.day)


_READERS: tuple[Callable[[str, date], Span | None], ...] = (_near, _ago, _stretch, _season, _month, _weekday)

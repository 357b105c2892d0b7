"""Facts as words: the lines the bot may say (`lines.toml`), money, days, names, lists; English and Chinese."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from shopbot.types import Language

LANGUAGES: tuple[Language, ...] = ("en", "zh")
_SYMBOLS = {"USD": "$", "GBP": "£", "EUR": "€", "CNY": "¥", "JPY": "¥"}
_WHOLE = frozenset({"CLP", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "UGX", "VND", "XAF", "XOF", "XPF"})
"""Currencies in which prices have no decimals."""
_MONTHS = "January February March April May June July August September October November December".split()


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(resources.files("shopbot").joinpath("lines.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Phrases:
    """How one shop speaks one language. `currency` is an ISO 4217 code."""

    language: Language
    shop: str
    currency: str

    def line(self, key: str, **fields: object) -> str:
        """A line of `lines.toml` with its fields filled in."""
        return _table()[key][self.language].format(shop=self.shop, **fields)

    def money(self, amount: Decimal | str | None) -> str:
        """An amount with the currency's decimals and no thousands mark, so that it reads the same in every language."""
        if amount is None:
            return self.line("no_price", product="")
        value = Decimal(str(amount))
        text = f"{value:.2f}" if self.currency not in _WHOLE or value != int(value) else f"{value:.0f}"
        symbol = _SYMBOLS.get(self.currency)
        return f"{symbol}{text}" if symbol else f"{text} {self.currency}"

    def day(self, day: date | str) -> str:
        """20 November 2026, or 2026年11月20日."""
        day = date.fromisoformat(day) if isinstance(day, str) else day
        if self.language == "zh":
            return f"{day.year}年{day.month}月{day.day}日"
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"

    def joined(self, parts: Sequence[str]) -> str:
        """a, b and c; a、b和c."""
        if len(parts) < 2:
            return "".join(parts)
        comma, last = ("、", "和") if self.language == "zh" else (", ", " and ")
        return comma.join(parts[:-1]) + last + parts[-1]

    def listed(self, parts: Sequence[str]) -> str:
        """a, b, c: for values, where "and" could be read as part of one."""
        return ("、" if self.language == "zh" else ", ").join(parts)

    def clauses(self, parts: Sequence[str]) -> str:
        """Sentences without their points, as parts of one."""
        return ("；" if self.language == "zh" else "; ").join(parts)

    def inner(self, parts: Sequence[str]) -> str:
        """Parts in brackets, or nothing."""
        if not parts:
            return ""
        return f"（{'，'.join(parts)}）" if self.language == "zh" else f" ({', '.join(parts)})"

    def status(self, status: str) -> str:
        """A status of the shop's records; in Chinese its translation where there is one, else as it is."""
        return str(_table()["status"].get(self.language, {}).get(status, status))

    def method(self, method: Mapping[str, Any]) -> str:
        """A payment method by what a shopper knows of it."""
        source = str(method.get("source", ""))
        if method.get("last_four"):
            brand = str(method.get("brand", source)).title()
            return self.line("method_card", brand=brand, last_four=method["last_four"])
        if "paypal" in source:
            return self.line("method_paypal")
        key = "method_gift" if "gift" in source else "method_other"
        return self.line(key, id=method.get("id", source))

    def name(self, product: Mapping[str, Any]) -> str:
        """A product's name in this language, if the catalog has one."""
        return str(product.get("names", {}).get(self.language, product["name"]))

    def version(self, product: Mapping[str, Any], variant: Mapping[str, Any], whole: bool = True) -> str:
        """A product with the options of one variant: "Basin (blue, 30 l)"."""
        options = [str(value) for value in variant.get("options", {}).values()]
        return f"{self.name(product) if whole else ''}{self.inner(options)}".strip()

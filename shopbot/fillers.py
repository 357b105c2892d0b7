"""Reads the arguments of an action out of a message: which items, what for them, to which account, which of the choices.

Each reader returns what the message says and nothing where it does not say it: a guess would be asked about as if the
shopper had said so.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from shopbot.catalog import Catalog, ProductQuery
from shopbot.lookup.tokens import stems
from shopbot.order_match import naming, said_options
from shopbot.types import Account, Language, Order, OrderItem, Product, Variant


@cache
def cues() -> Mapping[str, Any]:
    """`requests.toml`."""
    return tomllib.loads(resources.files("shopbot").joinpath("requests.toml").read_text(encoding="utf-8"))


def says(section: str, name: str, text: str) -> re.Match[str] | None:
    """Where a text says a cue of requests.toml."""
    found: Any = cues()[section][name]
    pattern = "|".join(found) if isinstance(found, list) else found
    return re.search(pattern, text, re.IGNORECASE)


# ---------------------------------------------------------------- which of some


def picked(text: str, count: int) -> int | None:
    """The number (from 0) of the one of `count` things that a short answer picks: "the second", "2", "最后一个"."""
    words = {*stems(text), *re.findall(r"第[一二三四五1-5]|(?<![\w-])[1-5](?![\w-])", text)}
    if len(words) > 8:
        return None
    for number, names in enumerate(cues()["pick"]["ordinals"][:count]):
        if any(name in words or (len(name) > 2 and name in text.casefold()) for name in names):
            return number
    return count - 1 if count and re.search(cues()["pick"]["last"], text, re.IGNORECASE) else None


# ---------------------------------------------------------------- items of an order


def items_meant(order: Order, text: str, catalog: Catalog, asked: bool = False) -> list[str]:
    """The skus of an order that a text means; [] if it does not tell. "All but the first" leaves that out.

    Where the items were `asked` for, "the second" is an answer.
    """
    skus = list(dict.fromkeys(item.sku for item in order.items))
    if len(skus) == 1:
        return skus
    kept, left = _halves(text)
    out = _named(order, left, catalog) if left else []
    if out and (says("pick", "all", kept) or not _named(order, kept, catalog)):
        return [sku for sku in skus if sku not in out]
    named = [sku for sku in _named(order, kept, catalog) if sku not in out]
    if named:
        return named
    if says("pick", "all", kept):
        return skus
    number = picked(kept, len(skus)) if asked else None
    return [] if number is None else [skus[number]]


def _halves(text: str) -> tuple[str, str]:
    """What is wanted, and what is left out of it."""
    found = re.search(cues()["pick"]["except"], text, re.IGNORECASE)
    if found:
        return text[: found.start()], re.split(r"[.;!?]", text[found.end() :])[0]
    chinese = re.search(cues()["pick"]["except_zh"], text)
    if chinese is None:
        return text, ""
    return text[: chinese.start()] + text[chinese.end() :], next((part for part in chinese.groups() if part), "")


def _named(order: Order, text: str, catalog: Catalog) -> list[str]:
    """The items that a text names: of several of one product, those whose options it says."""
    weights = {item.sku: _weight(item, text, catalog) for item in order.items}
    meant: list[str] = []
    for product_id in dict.fromkeys(item.product_id for item in order.items):
        own = [item.sku for item in order.items if item.product_id == product_id]
        most = max(weights[sku] for sku in own)
        meant += [sku for sku in dict.fromkeys(own) if most > 0 and weights[sku] >= most]
    return meant


def _weight(item: OrderItem, text: str, catalog: Catalog) -> float:
    product = catalog.product(item.product_id)
    if f" {' '.join(stems(item.sku))} " in f" {' '.join(stems(text))} ":
        return 9.0
    language: Language = "zh" if re.search(r"[\u3400-\u9fff]", text) else "en"
    query = catalog.parse(text, language)
    meant = product is not None and (item.product_id in query.products or _is_kind(product, query))
    names = (item.name, *(product.names.values() if product is not None else ()))
    tells = (lambda word: True) if meant else catalog.vocabulary.is_rare
    named = sum(naming(names, (), text, tells).values()) + meant
    return named + sum(said_options(item.options.values(), text).values()) if named else 0.0


def _is_kind(product: Product, query: ProductQuery) -> bool:
    return product.category in query.categories


# ---------------------------------------------------------------- what for them


def variants_wanted(product: Product, old: OrderItem, text: str, catalog: Catalog, language: Language) -> list[Variant]:
    """The versions of a product that a text may want in place of what was ordered, the nearest to that first.

    Options that it does not name stay as they were ordered. [] where it names none that differs.
    """
    by_sku = [one for one in product.variants if f" {' '.join(stems(one.sku))} " in f" {' '.join(stems(text))} "]
    if by_sku:
        return by_sku
    wish = wish_in(text)
    found = catalog.search(catalog.parse(wish, language, about=[product.id]), limit=1)
    fit = list(found[0].variants) if found and found[0].product.id == product.id else []
    others = [one for one in fit if one.sku != old.sku]
    if not others or len(fit) == len(product.variants):
        others = _saying_most(product, old, wish)
    return sorted(others, key=lambda one: (_differences(one, old.options), not one.available))


def _saying_most(product: Product, old: OrderItem, wish: str) -> list[Variant]:
    """The other versions of which a text says most options; [] where it says none."""
    counts = [
        sum(bool(said_options([value], wish)) for name, value in one.options.items() if value != old.options.get(name))
        for one in product.variants
    ]
    most = max(counts, default=0)
    pairs = zip(product.variants, counts, strict=True)
    return [one for one, count in pairs if most and count == most and one.sku != old.sku]


def wish_in(text: str) -> str:
    """The part of a text that says what is wanted in place of what was ordered: after the last "to" or "for" in it."""
    places = [found.end() for found in re.finditer(cues()["wish"]["to"], text, re.IGNORECASE)]
    after = [text[place:] for place in places if text[place:].strip(" .!。！")]
    return after[-1] if after else text


def is_clear(wanted: Sequence[Variant], old: OrderItem) -> bool:
    """Whether the first of the versions is nearer to what was ordered than any other."""
    distances = [_differences(one, old.options) for one in wanted[:2]]
    return len(wanted) == 1 or (len(wanted) > 1 and distances[0] < distances[1])


def _differences(variant: Variant, options: Mapping[str, str]) -> int:
    return sum(variant.options.get(name) != value for name, value in options.items())


# ---------------------------------------------------------------- payment methods and choices


def payment_meant(account: Account, order: Order | None, text: str) -> str:
    """The id of the payment method that a text means; "" where it does not tell, or could mean several."""
    methods = {str(one["id"]): one for one in account.payment_methods if one.get("id")}
    said = text.casefold()
    for one in methods:
        if one.casefold() in said:
            return one
    if says("payment", "original", text) and order is not None and order.payments:
        return order.payments[0].method
    ending = [one for one, method in methods.items() if str(method.get("last_four") or "-") in said]
    if len(ending) == 1:
        return ending[0]
    for kind, source in (("gift", "gift"), ("paypal", "paypal"), ("card", "credit")):
        fit = [one for one, method in methods.items() if source in str(method.get("source"))]
        if says("payment", kind, text) and len(fit) == 1:
            return fit[0]
    return ""


def choice_meant(options: Sequence[str], text: str) -> str:
    """Which of some fixed answers a text gives: that of which it says most words; "" where none or several."""
    said = set(stems(text))
    shares = {one: len(said & set(stems(one))) / max(len(set(stems(one))), 1) for one in options}
    best = max(shares.values(), default=0.0)
    fit = [one for one in options if shares[one] == best and best >= 0.3]
    return fit[0] if len(fit) == 1 else ""

"""Reads the arguments of an action out of a message: which items, what for them, to which account, which of the choices.

Each reader returns what the message says and nothing where it does not say it: a guess would be asked about as if the
shopper had said so.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from shopbot.catalog import Catalog
from shopbot.lookup.tokens import stems
from shopbot.order_match import naming, said_options
from shopbot.types import Account, Language, Order, OrderItem


@cache
def cues() -> Mapping[str, Any]:
    """`requests.toml`."""
    return tomllib.loads(resources.files("shopbot").joinpath("requests.toml").read_text(encoding="utf-8"))


def says(section: str, name: str, text: str) -> re.Match[str] | None:
    """Where a text says a cue of requests.toml."""
    found: Any = cues()[section][name]
    pattern = "|".join(found) if isinstance(found, list) else found
    return re.search(pattern, text, re.IGNORECASE)


def ends_of(section: str, name: str, text: str) -> list[int]:
    """The places in a text that come after a cue of requests.toml."""
    return [found.end() for found in re.finditer(cues()[section][name], text, re.IGNORECASE)]


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

    Where the items were `asked` for, "the second" is an answer. Of two that one name fits, neither is meant by it alone.
    """
    skus = list(dict.fromkeys(item.sku for item in order.items))
    text = re.sub(cues()["pick"]["beside"], " ", text, flags=re.IGNORECASE)
    if len(skus) == 1:
        return skus if _named(order, text, catalog) or not _names_another(order, text, catalog) else []
    kept, left = _halves(text)
    out = _named(order, left, catalog) if left else []
    if out and (says("pick", "all", kept) or not _named(order, kept, catalog)):
        return [sku for sku in skus if sku not in out]
    if named := [sku for sku in _named(order, kept, catalog) if sku not in out]:
        return _told_apart(order, named, kept)
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


def _names_another(order: Order, text: str, catalog: Catalog) -> bool:
    """Whether a text names products, and none that the order holds."""
    named = catalog.parse(text, language_of(text)).products
    return bool(named) and not set(named) & {item.product_id for item in order.items}


def _told_apart(order: Order, skus: Sequence[str], text: str) -> list[str]:
    """The skus named, unless one thing is spoken of where two are it: then the dearer or the cheaper is, if it says so."""
    items = {item.sku: item for item in order.items}
    meant: list[str] = []
    for product_id in dict.fromkeys(items[sku].product_id for sku in skus):
        own = [sku for sku in skus if items[sku].product_id == product_id]
        if len(own) > 1 and (sign := 1 if says("pick", "dearer", text) else -1 if says("pick", "cheaper", text) else 0):
            own = [max(own, key=lambda sku: sign * items[sku].price)]
        if len(own) > 1 and _is_one(items[own[0]].name, text):
            return []
        meant += own
    return meant


def _is_one(name: str, text: str) -> bool:
    """Whether a text speaks of one thing of this name."""
    words = re.findall(r"[a-z]+", name.casefold())
    if not words or words[-1].endswith("s"):
        return False
    found = re.search(rf"((?:[\w'-]+ ){{0,4}})\b{re.escape(words[-1])}\b", text, re.IGNORECASE)
    return found is not None and not says("pick", "several", found[1])


def _named(order: Order, text: str, catalog: Catalog) -> list[str]:
    """The items that a text names: of several of one product, those whose options it says."""
    said = {item.sku: _evidence(item, text, catalog) for item in order.items}
    whole = {item.sku: words for item in order.items if (words := set(stems(item.name))) <= set(said[item.sku])}
    meant: list[str] = []
    for product_id in dict.fromkeys(item.product_id for item in order.items):
        own = list(dict.fromkeys(item.sku for item in order.items if item.product_id == product_id))
        # A word of a name that is said in full speaks for no other that shares it.
        claimed = {word for sku, words in whole.items() if sku not in own for word in words}
        if not set(own) & set(whole) and not set(said[own[0]]) - claimed:
            continue
        weights = {sku: sum(said[sku].values()) for sku in own}
        most = max(weights.values())
        meant += [sku for sku in own if most > 0 and weights[sku] >= most]
    return meant


def _evidence(item: OrderItem, text: str, catalog: Catalog) -> dict[str, float]:
    """The words of a text that name an item, and how much each says for it; with them those of its options."""
    if f" {' '.join(stems(item.sku))} " in f" {' '.join(stems(text))} ":
        return {item.sku: 9.0}
    product = catalog.product(item.product_id)
    query = catalog.parse(text, language_of(text))
    meant = product is not None and (item.product_id in query.products or product.category in query.categories)
    names = (item.name, *(product.names.values() if product is not None else ()))
    tells = (lambda word: True) if meant else catalog.vocabulary.is_rare
    named = dict(naming(names, (), text, tells)) | ({f"a {item.product_id}": 1.0} if meant else {})
    return (
        named | {f"in {word}": worth for word, worth in said_options(item.options.values(), text).items()}
        if named
        else {}
    )


def language_of(text: str) -> Language:
    """The language in which the words of a text are looked for: Chinese wherever there is some."""
    return "zh" if re.search(r"[\u3400-\u9fff]", text) else "en"


# ---------------------------------------------------------------- payment methods and choices


def payment_meant(account: Account, order: Order | None, text: str) -> str:
    """The id of the payment method that a text means; "" where it does not tell, or could mean several."""
    methods = {str(one["id"]): one for one in account.payment_methods if one.get("id")}
    said = text.casefold()
    for one in methods:
        if one.casefold() in said:
            return one
    ending = [one for one, method in methods.items() if str(method.get("last_four") or "-") in said]
    if len(ending) == 1:
        return ending[0]
    branded = [
        one for one, method in methods.items() if (brand := str(method.get("brand") or "")) and brand.casefold() in said
    ]
    if len(branded) == 1:
        return branded[0]
    for kind, source in (("gift", "gift"), ("paypal", "paypal"), ("card", "credit")):
        fit = [one for one, method in methods.items() if source in str(method.get("source"))]
        if says("payment", kind, text) and len(fit) == 1:
            return fit[0]
    paid = order.payments if order is not None and says("payment", "original", text) else ()
    return paid[0].method if paid else ""


def choice_meant(options: Sequence[str], text: str, asked: bool = False) -> str:
    """Which of some fixed answers a text gives; "" where none or several.

    One that was not `asked` for is given where every telling word of it is said; an answer need say some.
    """
    said = set(stems(text))
    shares = {one: _share(one, said, asked) for one in options}
    best = max(shares.values(), default=0.0)
    fit = [one for one in options if shares[one] == best and best >= (0.3 if asked else 1.0)]
    return fit[0] if len(fit) == 1 else ""


def _share(option: str, said: Collection[str], asked: bool) -> float:
    """How much of an option is said. What is said of every order ("ordered", "other") tells only where it was asked for."""
    words = set(stems(option))
    telling = {word for word in words if not says("choice", "idle", word)} or (words if asked else set[str]())
    found = {word for word in telling if any(word == one or (len(one) > 3 and word.startswith(one)) for one in said)}
    return len(found) / max(len(telling), 1)

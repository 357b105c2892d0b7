"""The facts of a case about products, in words: names, prices, what differs between two, which options there are."""

from __future__ import annotations

import re
from collections.abc import Callable

from generator.records import Record

from chat_writer.casting import Case, World
from chat_writer.product_casting import cheapest_first
from chat_writer.words import TABLES, listed, measured, money, option_text, product_name, value_text

Facts = dict[str, str]


def product_facts(case: Case, world: World, language: str) -> Facts:
    """The facts that the case's products have; those that a rule needs further products for come with them."""
    product = case.extra["product"]
    found = {
        "p": product_name(product, language),
        "p_price": _price_range(product, language),
        "p_desc": _first_sentence(product, language),
        **_attribute(product, language),
    }
    makers: dict[str, Callable[[], Facts]] = {
        "other": lambda: _other(case, language),
        "variant": lambda: _variant(case, language),
        "option": lambda: _options(case, language),
        "budget": lambda: {"budget": money(case.extra["budget"])},
        "category": lambda: _category(case, world, language),
    }
    for key, make in makers.items():
        if key in case.extra:
            found |= make()
    return found


def in_stock_price(product: Record) -> float:
    """The price of a product's cheapest variant that can be bought; of the cheapest at all where none can."""
    variants = product["variants"].values()
    return min([v["price"] for v in variants if v["available"]] or [v["price"] for v in variants])


def _price_range(product: Record, language: str) -> str:
    prices = sorted({variant["price"] for variant in product["variants"].values()})
    if len(prices) == 1:
        return money(prices[0])
    return f"{money(prices[0])}{' 到 ' if language == 'zh' else ' to '}{money(prices[-1])}"


def _first_sentence(product: Record, language: str) -> str:
    if language == "zh":
        return product["i18n"]["zh"]["description"].split("。")[0] + "。"
    return re.split(r"(?<=[a-z)%])\. ", product["description"])[0].rstrip(".") + "."


def _attribute(product: Record, language: str) -> Facts:
    """An attribute to ask about, the same for a product each time: one that is a measure."""
    fitting = measured(product)
    if not fitting:
        return {}
    name = fitting[sum(map(ord, product["product_id"])) % len(fitting)]
    return {
        "attr": name,
        "attr_up": name.capitalize(),
        "attr_zh": TABLES["attributes"][name],
        "attr_value": product["attributes"][name],
    }


def _other(case: Case, language: str) -> Facts:
    product, other = case.extra["product"], case.extra["other"]
    return {
        "q": product_name(other, language),
        "q_price": _price_range(other, language),
        "diff": _difference(product, other, language),
        "sizes": _sizes([product, other], language),
    }


def _difference(one: Record, two: Record, language: str) -> str:
    """Price and up to two attributes in which two products differ."""
    shared = [k for k, v in one["attributes"].items() if two["attributes"].get(k, v) != v]
    if language == "zh":
        shared = [k for k in shared if k in measured(one)]
    return (" " if language == "en" else "").join(_described(product, shared[:2], language) for product in (one, two))


def _described(product: Record, names: list[str], language: str) -> str:
    if language == "zh":
        facts = "".join(f"，{TABLES['attributes'][name]} {product['attributes'][name]}" for name in names)
        return f"{product_name(product, 'zh')}：{_price_range(product, 'zh')}{facts}。"
    facts = "".join(f", {name} {product['attributes'][name]}" for name in names)
    return f"{product['name']}: {_price_range(product, 'en')}{facts}."


def _sizes(products: list[Record], language: str) -> str:
    measured = [product for product in products if "dimensions" in product["attributes"]]
    if language == "zh":
        return "".join(f"{product_name(p, 'zh')} 的尺寸是 {p['attributes']['dimensions']}。" for p in measured)
    return " ".join(f"{p['name']}: {p['attributes']['dimensions']}." for p in measured)


def _variant(case: Case, language: str) -> Facts:
    product, variant = case.extra["product"], case.extra["variant"]
    others = [v for v in product["variants"].values() if v["available"] and v is not variant]
    names = [option_text(v["options"], language) for v in others]
    return {
        "v": option_text(variant["options"], language),
        "v_price": money(variant["price"]),
        "others": ("；" if language == "zh" else "; ").join(names),
    }


def _options(case: Case, language: str) -> Facts:
    """The values of an option, and which of them are sold out in every variant."""
    product, name = case.extra["product"], case.extra["option"]
    variants = product["variants"].values()
    values = list(dict.fromkeys(v["options"][name] for v in variants if name in v["options"]))
    gone = [value for value in values if not any(v["available"] for v in variants if v["options"].get(name) == value)]
    out = ""
    if gone:
        words = listed([value_text(value, language) for value in gone], language)
        out = f"目前缺货：{words}。" if language == "zh" else f"Out of stock at the moment: {words}."
    return {
        "optname": name,
        "optname_zh": TABLES["option_names"][name],
        "optlist": listed([value_text(value, language) for value in values], language),
        "opt_out": out,
    }


def _category(case: Case, world: World, language: str) -> Facts:
    category = case.extra["category"]
    price, cheapest = cheapest_first(world, category)[0]
    rows = [(product_name(p, language), money(in_stock_price(p))) for p in case.extra["found"]]
    zh = language == "zh"
    return {
        "cat_thing": TABLES["category_things"][category],
        "cat_zh": TABLES["categories"][category],
        "list": ("、" if zh else ", ").join(f"{name}（{cost}）" if zh else f"{name} ({cost})" for name, cost in rows),
        "cheapest": product_name(cheapest, language),
        "cheapest_price": money(price),
        "p_from": money(in_stock_price(case.extra["product"])),
        "q_from": money(in_stock_price(case.extra.get("other", case.extra["product"]))),
    }

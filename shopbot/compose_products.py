"""Rows of the catalog in words: cheapest, price, stock, options, comparison, or a short list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shopbot.phrases import Phrases
from shopbot.types import Citation, Draft, ToolCall, join_sentences

MOST_ROWS = 5
MOST_VERSIONS = 8
FEW = 4
"""So many versions are listed one by one, with price and stock."""

View = Mapping[str, Any]
"""A product as `reads.product_view` gives it, with the variants that fit."""


def compose_products(call: ToolCall, phrases: Phrases) -> Draft:
    """The answer to a query over products, each product cited as "product:ID"."""
    found = call.result
    products: list[View] = found["products"]
    if not products:
        return Draft((phrases.line("not_sold", words=_words(found, phrases)),), answered=False, fixed=True)
    say = _SAY.get(_kind(found["asked"]), _listed)
    sentences = say(products, found, phrases)
    if found.get("relaxed"):
        sentences = [phrases.line("relaxed", what=phrases.joined(found["relaxed"])), *sentences]
    rows = Citation(f"tool:{call.name}", join_sentences(sentences))  # counts and rows: what no one product says
    seen = [*products, *([found["cheaper_sold_out"]] if found.get("cheaper_sold_out") else [])]
    named = [product for product in _merged(seen) if phrases.name(product) in rows.text][: MOST_ROWS + 1]
    cited = tuple(cite_product(product, phrases) for product in named)
    answered = sentences[-1] != phrases.line("no_fact", product=phrases.name(products[0]))
    return Draft(tuple(sentences), (*cited, rows), answered=answered)


def _merged(products: Sequence[View]) -> list[View]:
    """Each product once, with all the variants that an answer shows of it."""
    merged: dict[str, View] = {}
    for product in products:
        before = merged.get(product["product_id"], {"variants": []})["variants"]
        new = [variant for variant in product["variants"] if variant not in before]
        merged[product["product_id"]] = {**product, "variants": [*before, *new]}
    return list(merged.values())


def cite_product(product: View, phrases: Phrases) -> Citation:
    """The row of the catalog behind an answer, in words."""
    versions = [
        f"{phrases.version(product, variant)}: {_price(variant, phrases)}{_stock(variant, phrases)}"
        for variant in product["variants"]
    ]
    attributes = [f"{name}: {value}" for name, value in product["attributes"].items()]
    text = "\n".join(part for part in (*versions, product["description"], "; ".join(attributes)) if part)
    return Citation(f"product:{product['product_id']}", text, phrases.name(product))


def _kind(asked: str) -> str:
    return "attribute" if asked.startswith("attribute") else asked


def _words(found: View, phrases: Phrases) -> str:
    return phrases.joined([f"“{word}”" for word in found["words"]]) or (
        "this" if phrases.language == "en" else "该商品"
    )


# ---------------------------------------------------------------- one way to say it for each thing asked


def _extreme(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    """The cheapest or dearest rows; ties are all named. Where none of them is in stock, that is what is said."""
    first = products[0]["variants"][0]
    best = first["price"]
    if not first["available"] or best is None:
        return _price_of({**products[0], "variants": [first]}, phrases)
    tied = [(product, product["variants"][0]) for product in products if product["variants"][0]["price"] == best]
    names = phrases.joined([phrases.version(product, variant) for product, variant in tied[:MOST_ROWS]])
    lines = [phrases.line(found["asked"], product=names, price=phrases.money(best))]
    if sold_out := found.get("cheaper_sold_out"):
        name = phrases.version(sold_out, sold_out["variants"][0])
        lines.append(phrases.line("cheaper_sold_out", product=name, price=_price(sold_out["variants"][0], phrases)))
    return lines


def _price_line(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    if len(products) > 2:
        return _listed(products, found, phrases)
    return [line for product in products for line in _price_of(product, phrases)]


def _price_of(product: View, phrases: Phrases) -> list[str]:
    """One price, or the span and a row for each version where they differ."""
    prices = {variant["price"] for variant in product["variants"]} - {None}
    if not prices:
        return [phrases.line("no_price", product=phrases.name(product))]
    if len(prices) == 1:
        first, money = product["variants"][0], phrases.money(prices.pop())
        if len(product["variants"]) > 1:
            return [phrases.line("price_all", product=phrases.name(product), price=money)]
        key = "price" if first["available"] else "price_sold_out"
        return [phrases.line(key, product=phrases.version(product, first), price=money)]
    low, high = min(prices, key=Decimal), max(prices, key=Decimal)
    head = phrases.line(
        "price_from_to", product=phrases.name(product), low=phrases.money(low), high=phrases.money(high)
    )
    return [head, *_versions(product, product["variants"], phrases)]


def _stock_line(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    if len(products) > 2:
        return _listed(products, found, phrases)
    return [line for product in products for line in _stock_of(product, phrases)]


def _stock_of(product: View, phrases: Phrases) -> list[str]:
    here = [variant for variant in product["variants"] if variant["available"]]
    whole = len(product["variants"]) == 1
    if not here:
        name = (
            phrases.version(product, product["variants"][0]) if whole and product["variants"] else phrases.name(product)
        )
        return [phrases.line("sold_out", product=name)]
    if len(here) == 1:
        one = here[0]
        name, price = phrases.version(product, one), phrases.money(one["price"])
        if one["stock"] is not None:
            return [phrases.line("in_stock_count", product=name, price=price, count=one["stock"])]
        return [phrases.line("in_stock", product=name, price=price)]
    if all(one["stock"] is not None for one in here):
        count = sum(one["stock"] for one in here)
        head = phrases.line("in_stock_in_all", product=phrases.name(product), count=count)
        return [head, *_versions(product, here, phrases, counted=True)]
    return [phrases.line("in_stock_some", product=phrases.name(product)), *_versions(product, here, phrases)]


def _versions(product: View, variants: Sequence[View], phrases: Phrases, counted: bool = False) -> list[str]:
    rows = [
        phrases.line(
            "product_row",
            product=phrases.version(product, variant, whole=False) or phrases.name(product),
            price=_price(variant, phrases),
            stock=phrases.line("row_count", count=variant["stock"]) if counted else _stock(variant, phrases),
        )
        for variant in sorted(variants, key=lambda variant: not variant["available"])[:MOST_VERSIONS]
    ]
    if len(variants) > MOST_VERSIONS:
        rows.append(phrases.line("more_rows", count=len(variants) - MOST_VERSIONS))
    return rows


def _options(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    """The options of one or two products; where the price is asked as well and depends on them, the rows."""
    lines: list[str] = []
    for product in products[:2]:
        lines += _options_of(product, found.get("options", ()), phrases)
        one_price = len({variant["price"] for variant in product["variants"]}) == 1
        lines += _price_of(product, phrases) if found.get("priced") and one_price else []
    return lines


def _options_of(product: View, asked: Sequence[str], phrases: Phrases) -> list[str]:
    """Each option with its values, and which whole values are sold out."""
    variants = product["variants"]
    names = list(dict.fromkeys(name for variant in variants for name in variant["options"]))
    chosen = [name for name in names if name in asked] or names
    if not chosen:
        return [phrases.line("no_options", product=phrases.name(product))]
    parts = []
    for name in chosen:
        values = list(
            dict.fromkeys(str(variant["options"][name]) for variant in variants if name in variant["options"])
        )
        parts.append(f"{name}: {phrases.listed(values)}")
    lines = [phrases.line("options_line", product=phrases.name(product), options="; ".join(parts))]
    apart = len({variant["price"] for variant in variants}) > 1
    if names_of_gone := _sold_out(product, phrases, FEW if apart else MOST_VERSIONS * 2):
        lines.append(names_of_gone)
    if apart:  # which version is meant may hang on its price
        lines += _priced_apart(product, phrases)
    return lines


def _sold_out(product: View, phrases: Phrases, most: int) -> str:
    """Which versions are sold out; "" where none is, or there are more versions sold out than `most`."""
    gone = [
        phrases.version(product, variant, whole=False).strip(" ()（）")
        for variant in product["variants"]
        if not variant["available"]
    ]
    return phrases.line("option_sold_out", versions="; ".join(gone)) if 0 < len(gone) <= most else ""


def _count(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    if len(products) > 1:
        return _listed(products, found, phrases)
    product = products[0]
    if len(product["variants"]) == 1:
        return _stock_of(product, phrases)
    available = sum(1 for variant in product["variants"] if variant["available"])
    return [
        phrases.line(
            "versions_count", product=phrases.name(product), count=len(product["variants"]), available=available
        )
    ]


def _attribute(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    """The values of one attribute or option, for each product found."""
    name = found["asked"].removeprefix("attribute").strip()
    lines: list[str] = []
    for product in products[:3]:
        values = [product["attributes"][name]] if name in product["attributes"] else []
        values += [str(variant["options"][name]) for variant in product["variants"] if name in variant["options"]]
        if values:
            value = phrases.listed(list(dict.fromkeys(values)))
            lines.append(phrases.line("attribute", product=phrases.name(product), name=name, value=value))
            lines += _price_of(product, phrases) if found.get("priced") else []
    return lines or [phrases.line("no_fact", product=phrases.name(products[0]))]


def _compared(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    """A row each, which one is cheaper if each has one price, and the attributes in which they differ."""
    two = products[:2]
    lines = [_row(product, phrases) for product in two]
    prices = [{variant["price"] for variant in product["variants"]} for product in two]
    if len(two) == 2 and all(len(each) == 1 and None not in each for each in prices):
        first, second = (Decimal(each.pop()) for each in prices)
        cheaper, difference = (two[0] if first < second else two[1]), phrases.money(abs(first - second))
        lines.append(
            "\n"
            + (
                phrases.line("same_price")
                if first == second
                else phrases.line("cheaper_is", product=_one_name(cheaper, phrases), difference=difference)
            )
        )
    if differences := _differences(two, phrases):
        lines.append(phrases.line("difference", differences=phrases.listed(differences)))
    return lines


def _differences(products: Sequence[View], phrases: Phrases) -> list[str]:
    facts = [_facts(product) for product in products]
    names = [
        name for name in facts[0] if all(name in each for each in facts) and len({each[name] for each in facts}) > 1
    ]
    return [
        phrases.line("difference_part", name=name, values=" / ".join(each[name] for each in facts))
        for name in names[:4]
    ]


def _facts(product: View) -> dict[str, str]:
    """Attributes, and the options of the variant where only one is meant."""
    options = product["variants"][0]["options"] if len(product["variants"]) == 1 else {}
    return {
        **{name: str(value) for name, value in options.items()},
        **{name: str(value) for name, value in product["attributes"].items()},
    }


def _listed(products: Sequence[View], found: View, phrases: Phrases) -> list[str]:
    if len(products) == 1:
        return _details(products[0], phrases)
    total = max(found.get("total", 0), len(products))
    # What was dropped unsaid ("for my nephew") may have mattered, so these are not said to fit.
    fits, told = found.get("all_fit", True), bool(found.get("relaxed"))
    head = [phrases.line("found_count", count=total)] if fits else [] if told else [phrases.line("closest_products")]
    lines = [*head, *(_row(product, phrases) for product in products[:MOST_ROWS])]
    if total > MOST_ROWS:
        lines.append(phrases.line("more_rows", count=total - MOST_ROWS))
    return lines


def _details(product: View, phrases: Phrases) -> list[str]:
    """One version, or the few that fit with price and stock, or the span of prices and the options."""
    variants = product["variants"]
    if len(variants) == 1:
        return _price_of(product, phrases)
    if len({variant["price"] for variant in variants}) > 1:
        gone = _sold_out(product, phrases, FEW) if len(variants) > FEW else ""
        return [*([gone] if gone else []), *_priced_apart(product, phrases)]
    return [_row(product, phrases).strip("\n- ") + ".", *_options_of(product, (), phrases)]


def _priced_apart(product: View, phrases: Phrases) -> list[str]:
    """Versions that differ in price: the few there are, else those that can be had, each with its price."""
    variants = product["variants"]
    here = [variant for variant in variants if variant["available"]]
    if len(variants) <= FEW or not here:
        head = phrases.line("these_versions", product=phrases.name(product))
        return [head, *_versions(product, variants, phrases)]
    head = phrases.line("in_stock_some", product=phrases.name(product))
    return [head, *_versions(product, here, phrases)]


def _row(product: View, phrases: Phrases) -> str:
    """One product in a list: its price, or the span of its versions."""
    prices = [variant["price"] for variant in product["variants"] if variant["price"] is not None]
    sold_out = "" if any(variant["available"] for variant in product["variants"]) else phrases.line("row_sold_out")
    if not prices:
        return phrases.line(
            "product_row",
            product=phrases.name(product),
            price=phrases.line("no_price", product=phrases.name(product)),
            stock=sold_out,
        )
    low, high = min(prices, key=Decimal), max(prices, key=Decimal)
    price = phrases.money(low) if low == high else f"{phrases.money(low)}–{phrases.money(high)}"
    return phrases.line("product_row", product=_one_name(product, phrases), price=price, stock=sold_out)


def _one_name(product: View, phrases: Phrases) -> str:
    """With the options that its variants share where they are not all of them: "Basin (blue)"."""
    variants: Sequence[View] = product["variants"]
    if not 0 < len(variants) < product["variants_in_all"]:
        return phrases.name(product)
    first, *others = [variant["options"] for variant in variants]
    shared = {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
    return phrases.version(product, {"options": shared})


def _price(variant: View, phrases: Phrases) -> str:
    return phrases.money(variant["price"]) if variant["price"] is not None else "–"


def _stock(variant: View, phrases: Phrases) -> str:
    return "" if variant["available"] else phrases.line("row_sold_out")


_SAY: Mapping[str, Any] = {
    "cheapest": _extreme,
    "dearest": _extreme,
    "price": _price_line,
    "stock": _stock_line,
    "options": _options,
    "count": _count,
    "attribute": _attribute,
    "compare": _compared,
}

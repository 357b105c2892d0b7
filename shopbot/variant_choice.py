"""Which version of a product a text asks for in place of the one ordered: by its options, by comparison, by price.

What it does not say stays as it was ordered. Only what can be bought is meant, and only where it is clear which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from shopbot.catalog import Catalog
from shopbot.fillers import cues
from shopbot.lookup.tokens import grams, measures_in, stems
from shopbot.types import Language, OrderItem, Product, Variant

_INFINITE = Decimal("Infinity")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SCALES = (("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"), ("small", "medium", "large"), ("low", "medium", "high"))
_YES, _NO = frozenset({"yes", "true"}), frozenset({"no", "none", "false"})

Wanted = Mapping[str, Sequence[str]]
"""Options to the values of them that a wish accepts, the one that it likes best first."""


def version_meant(product: Product, old: OrderItem, text: str, catalog: Catalog, language: Language) -> str:
    """The sku of the version that a text asks for in place of `old`; "" where it asks for none or could mean several."""
    in_text = f" {' '.join(stems(text))} "
    if by_sku := [one for one in product.variants if f" {' '.join(stems(one.sku))} " in in_text]:
        return by_sku[-1].sku if by_sku[-1].sku != old.sku else ""
    wish = wish_in(text)
    said = _said(product, wish, catalog, language)
    prefers = bool(_cue("prefers", text))
    new = {name: [one for one in values if one != old.options.get(name)] for name, values in said.items()}
    if not prefers:  # it may tell the old one as well
        said = {name: new[name] or values for name, values in said.items()}
    compared = _compared(product, old, text)
    wanted = {**_kept(old, text), **{name: values for name, values in said.items() if values}, **compared}
    price = _by_price(text)
    others = [one for one in product.variants if one.sku != old.sku and one.available and one.options]
    fit = [one for one in others if all(one.options.get(name) in values for name, values in wanted.items())]
    if not (any(new.values()) or compared or price) or not fit:
        return ""
    ranks = {one.sku: _rank(one, old, wanted, price, prefers) for one in fit}
    best = min(ranks.values())
    meant = [sku for sku, rank in ranks.items() if rank == best]
    return meant[0] if len(meant) == 1 else ""


def _rank(one: Variant, old: OrderItem, wanted: Wanted, price: int, prefers: bool) -> tuple[float, ...]:
    """The lower, the more a version is meant: by price where that is said, by what is preferred, by what stays as it was."""
    places = [values.index(one.options[name]) for name, values in wanted.items()]
    changed = sum(one.options.get(name) != value for name, value in old.options.items() if name not in wanted)
    return (
        price * float(one.price or _INFINITE) if price else 0.0,
        *([*places, changed] if prefers else [changed, *places]),
    )


def wish_in(text: str) -> str:
    """The part of a text that says what is wanted in place of what was ordered: after the first "to" or "for" in it."""
    for cue in cues()["wish"]["to"]:
        places = [found.end() for found in re.finditer(cue, text, re.IGNORECASE)]
        after = [text[place:] for place in places if text[place:].strip(" .!。！")]
        if after:
            return re.sub(cues()["wish"]["rather_than"], " ", after[0], flags=re.IGNORECASE)
    return text


def without_wish(text: str) -> str:
    """A text without what is wanted in place of what was ordered: what is left may tell the order."""
    wish = re.split(r"[.;!?。；！？](?:\s|$)", wish_in(text))[0]
    return text.replace(wish, " ", 1) if wish != text else text


def _cue(name: str, text: str) -> re.Match[str] | None:
    return re.search(cues()["wish"][name], text, re.IGNORECASE)


# ---------------------------------------------------------------- options that are said


def _said(product: Product, wish: str, catalog: Catalog, language: Language) -> dict[str, list[str]]:
    """The values of each option that a wish accepts, in the order in which it says them."""
    query = catalog.parse(wish, language, about=[product.id])
    words = grams(wish)
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for one in product.variants for name in one.options):
        values = list(dict.fromkeys(one.options[name] for one in product.variants if name in one.options))
        if {value.casefold() for value in values} & (_YES | _NO) and (switched := _switched(name, values, wish)):
            found[name] = switched
            continue
        places = {value: _place(value, name, values, words) for value in values if value.casefold() not in _YES | _NO}
        told = [value for value in values if places.get(value, -1) >= 0]
        accepted = [value for value in query.options.get(name, ()) if value in values and value.casefold() not in _YES]
        told += [value for value in accepted if value not in told and value.casefold() not in _NO]
        found[name] = sorted(told, key=lambda value: places[value] if places.get(value, -1) >= 0 else len(words))
    return found


def _place(value: str, name: str, values: Sequence[str], words: Sequence[str]) -> int:
    """Where a wish says a value: all of its words, or one that no other value of the option has; -1 where it does not."""
    own = [word for word in grams(value) if word not in grams(name)]
    shared = {word for other in values if other != value for word in grams(other)}
    telling = [word for word in own if word not in shared and (len(word) > 1 or len(own) == 1)] or own
    places = [words.index(word) for word in telling if word in words]
    if places and telling is not own:
        return min(places)
    return min(places) if own and all(word in words for word in own) else -1


def _switched(name: str, values: Sequence[str], wish: str) -> list[str]:
    """What a wish says of an option that is there or not: "waterproof", "no backlight"."""
    word = next((one for one in stems(name) if len(one) > 3), "")
    found = re.search(rf"((?:\w+\W+){{0,3}}?){re.escape(word[:6])}\w*((?:\W+\w+){{0,3}})", wish, re.IGNORECASE)
    if not word or found is None or re.search(cues()["wish"]["either"], wish, re.IGNORECASE):
        return []
    wanted = _NO if re.search(cues()["wish"]["without"], found[1], re.IGNORECASE) else _YES
    return [value for value in values if value.casefold() in wanted]


def _kept(old: OrderItem, text: str) -> dict[str, list[str]]:
    """The options that a text wants as they were ordered: "the same size and colour"."""
    words = [word for found in re.finditer(cues()["wish"]["same"], text, re.IGNORECASE) for word in stems(found[0])]
    return {
        name: [value]
        for name, value in old.options.items()
        if any(_alike(one, other) for one in stems(name) for other in words)
    }


# ---------------------------------------------------------------- comparisons


def _by_price(wish: str) -> int:
    """1 where the cheapest is wanted, -1 where the dearest is, else 0."""
    return 1 if _cue("cheapest", wish) else -1 if _cue("dearest", wish) else 0


def _compared(product: Product, old: OrderItem, wish: str) -> dict[str, list[str]]:
    """What a wish wants of ordered options beside the old one's, the nearest first: "bigger", "1000 more pieces"."""
    scales = {name: scale for name in old.options if (scale := _scale(product, name))}
    found: dict[str, list[str]] = {}
    for cue, way, is_extreme in (("more", 1, False), ("less", -1, False), ("most", 1, True), ("least", -1, True)):
        for word in re.finditer(cues()["wish"][cue], wish, re.IGNORECASE):
            if name := _option_of(word, wish, scales):
                scale, at = scales[name], scales[name].get(old.options[name], 0.0)
                beyond = sorted((value for value in scale if way * (scale[value] - at) > 0), key=lambda value: abs(scale[value] - at))  # fmt: skip
                step = re.search(r"(\d+)\W*$", wish[: word.start()])
                exact = [value for value in beyond if step and abs(scale[value] - at) == float(step[1])]
                found[name] = exact or (beyond[-1:] if is_extreme else beyond)
    return found


def _option_of(word: re.Match[str], wish: str, scales: Mapping[str, Mapping[str, float]]) -> str:
    """The option that a comparison is of: one named beside it, the only one there is, or that for size."""
    near = [*re.findall(r"\w+", wish[: word.start()])[-2:], word[0], *re.findall(r"\w+", wish[word.end() :])[:3]]
    named = [name for name in scales if any(_alike(one, other) for one in stems(name) for other in near)]
    if len(named) == 1:
        return named[0]
    sizes = [name for name in scales if _cue("sizes", name)] if _cue("of_size", word[0]) else []
    sizes = [name for name in sizes if name.casefold() in ("size", "尺码")] or sizes
    return sizes[0] if len(sizes) == 1 else ""


def _alike(one: str, other: str) -> bool:
    return len(one) > 3 and len(other) > 3 and one[:5].casefold() == other[:5].casefold()


def _scale(product: Product, name: str) -> dict[str, float]:
    """Where each value of an option stands among the others; {} where they have no order."""
    values = {one.options[name] for one in product.variants if name in one.options}
    for scale in _SCALES:
        if all(value.casefold() in scale for value in values):
            return {value: float(scale.index(value.casefold())) for value in values}
    amounts = {value: amount for value in values if (amount := _amount(value)) is not None}
    same = len({unit for _, unit in amounts.values()}) == 1
    return {value: amount for value, (amount, _) in amounts.items()} if same and len(amounts) == len(values) else {}


def _amount(value: str) -> tuple[float, str] | None:
    """The number of a value and what it counts: of a measure in its base unit."""
    if measures := measures_in(value):
        return measures[0]
    found = _NUMBER.search(value)
    return None if found is None else (float(found[0]), _NUMBER.sub("", value.casefold(), count=1).strip(" -s"))

"""What narrows the thing: options, brands, plain words, what must not be; and which properties are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from shopbot.lookup.postings import Entry
from shopbot.lookup.reading import Reading
from shopbot.lookup.scan import Item
from shopbot.lookup.tokens import is_han, stems

_WISH = re.compile(r"\b(?:(?:that|which|and)(?:'s| is| are| has| have)?|with|in) *$")
_QUESTION = re.compile(r"\b(?:is|are|does|do|what|how|which|tell|know|can)\b|什么|多少")
_WITH = re.compile(r"\b(?:with|in|made of)(?: an?)? *$|[带配]有?$")


def read_narrowing(reading: Reading) -> None:
    """Sort the items that name no thing into the reading's options, brands, words, terms, properties."""
    items, place = reading.items, 0
    while place < len(items):
        after = items[place + 1] if place + 1 < len(items) and place + 1 not in reading.used else None
        if place in reading.used:
            place += 1
        elif after is not None and _read_pair(reading, items[place], after):
            place += 2
        else:
            _read_one(reading, items[place])
            place += 1


def _read_pair(reading: Reading, item: Item, after: Item) -> bool:
    return _named_value(reading, item, after) or _value_with_name_word(reading, item, after)


def _named_value(reading: Reading, item: Item, after: Item) -> bool:
    """An option's name beside a value of it: "size 9", "42码", "frame colour blue"."""
    for one, other in ((item, after), (after, item)):
        entry = one.entry("attribute")
        if entry is None or after.clause - item.clause > 1 or other.kind == "unknown":
            continue
        values = reading.vocabulary.properties.values(entry.name, other.words)
        if values:
            _choose(reading, entry.name, values, item.negated or after.negated)
            return True
    return False


def _value_with_name_word(reading: Reading, item: Item, after: Item) -> bool:
    """A value beside a word of its option's name: "brown frame", "32 GB RAM"."""
    for one, other in ((item, after), (after, item)):
        if not after.adjacent or one.negated or other.kind == "unknown":
            continue
        options = [entry for entry in one.entries if entry.kind == "option"]
        own = next((entry for entry in options if set(other.words) <= set(stems(entry.name))), None)
        if own is not None:
            _choose(reading, own.name, _values_of(one, own.name))
            return True
    return False


def _values_of(item: Item, name: str) -> tuple[str, ...]:
    return tuple(entry.value for entry in item.entries if entry.kind == "option" and entry.name == name)


def _choose(reading: Reading, name: str, values: tuple[str, ...], negated: bool = False) -> None:
    if negated:
        reading.without.extend(values)
    else:
        reading.options[name] = tuple(dict.fromkeys((*reading.options.get(name, ()), *values)))


# ---------------------------------------------------------------- one item


def _read_one(reading: Reading, item: Item) -> None:
    option, flag, brand = _best_option(reading, item), item.entry("flag"), item.entry("brand")
    property_ = item.entry("attribute", "flag")
    if item.kind == "unknown":
        if not item.is_character and _narrows_thing(reading, item):
            reading.terms.append(reading.said(item))
    elif item.negated and (property_ is None or _is_flag(reading, property_)):
        reading.without.append(item.phrase)
    elif flag is not None and not _asks_for(reading, item):
        _choose(reading, flag.name, reading.vocabulary.properties.yes_values(flag.name))
    elif option is not None:
        _choose(reading, option.name, _values_of(item, option.name))
    elif property_ is not None:
        _read_property(reading, item, property_)
    elif brand is not None:
        reading.brands.append(brand.value)
    elif item.entries:
        reading.words.append(item.entries[0].value)
    else:
        _read_word(reading, item)


def _best_option(reading: Reading, item: Item) -> Entry | None:
    """The option meant by a value that several have: one of the thing's own, else the most used."""
    things = reading.things

    def standing(entry: Entry) -> tuple[int, int]:
        return (np.intersect1d(entry.products, things).size if things is not None else 0, entry.products.size)

    return max((entry for entry in item.entries if entry.kind == "option"), key=standing, default=None)


def _read_property(reading: Reading, item: Item, entry: Entry) -> None:
    if _asks_for(reading, item) or not _is_flag(reading, entry):
        reading.properties.append(entry.name)
    else:
        reading.words.append(reading.said(item))


def _read_word(reading: Reading, item: Item) -> None:
    """A plain word. Beside a named product it is a property of it, or chooses a version, or says nothing."""
    own = _own_property(reading, item.words) if reading.named else ""
    options = reading.vocabulary.properties.option_rows
    if own:
        reading.properties.append(own)
    elif not reading.named or any(word in options or word.isdigit() for word in item.words):
        told = all(reading.vocabulary.properties.holds(word) for word in item.words)
        (reading.words if told else reading.terms).append(reading.said(item))


def _own_property(reading: Reading, words: Sequence[str]) -> str:
    """A property of the things that has these words in its name ("dishwasher": "dishwasher safe")."""
    known = reading.vocabulary.properties.of(reading.few_things())
    return next((name for name in known if set(words) <= set(stems(name))), "")


def _is_flag(reading: Reading, entry: Entry) -> bool:
    return entry.kind == "flag" or reading.vocabulary.properties.is_flag(entry.name)


def _asks_for(reading: Reading, item: Item) -> bool:
    """Whether the property is the question ("is it waterproof?"), not a wish ("a waterproof one")."""
    place = reading.items.index(item) + 1
    before_thing = place in reading.used and reading.items[place].adjacent
    if not reading.named or before_thing or reading.operators.sort or _WISH.search(reading.before(item)):
        return False
    return bool(_QUESTION.search(reading.before(item))) or is_han(item.words[0])


def _narrows_thing(reading: Reading, item: Item) -> bool:
    """Whether an unknown word narrows the thing: in one run of words with it ("inflatable violin"), or after "with"."""
    items = reading.items
    first = last = items.index(item)
    while first > 0 and items[first].adjacent and not items[first].joined:
        first -= 1
    while last + 1 < len(items) and items[last + 1].adjacent and not items[last + 1].joined:
        last += 1
    if reading.things is not None and _WITH.search(reading.before(item)):
        return True
    return any(place in reading.used for place in range(first, last + 1))

"""Which thing is meant: the products named in a question, or the kind that its noun says.

The noun is the last of the first part that has one ("violin *bow* for …"); a product is named by its name, its id, or
by words that only few names hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shopbot.lookup.postings import THINGS, Ints
from shopbot.lookup.reading import Reading, is_proper, is_rare_word, parts
from shopbot.lookup.scan import Item
from shopbot.lookup.tokens import is_han, stems

_MOST_NAMED = 12
_FEW = 3
_SEEKING = re.compile(r"\b(?:sell|have|stock|carry|need|want|looking for|buy|get|find|got)\b")
# With these the thing is left open: "anything waterproof", "what do you have in wool".
_OPEN = re.compile(
    r"\b(?:(?:any|some|every)thing|products?|items?|stuff|things?|ones?|what (?:do|can|have|else)|gifts?|presents?)\b"
)
_WITH = re.compile(r"\s*(?:with|that (?:has|have|takes|fits))\b")
_ALL = re.compile(r"\b(?:which (?!is\b|one\b|of\b)|all|every|range|any)\b|哪些|哪几|所有|全部")


@dataclass(frozen=True, slots=True)
class Thing:
    """Products meant, whether by name, and otherwise the phrases of the kinds they are of."""

    products: Ints
    named: bool
    kinds: tuple[str, ...] = ()


def find_things(reading: Reading) -> None:
    """Set the things of a reading: over the parts joined by "and" and "or", names before kinds."""
    found = [thing for part in parts(reading.items) if (thing := _thing_of(reading, part)) is not None]
    reading.named = any(thing.named for thing in found)
    kept = [thing for thing in found if thing.named == reading.named]
    if kept:
        reading.things = np.unique(np.concatenate([thing.products for thing in kept]))
        reading.categories = [kind for thing in kept for kind in thing.kinds]


def _thing_of(reading: Reading, part: Sequence[int]) -> Thing | None:
    items = reading.items
    able = [place for place in part if items[place].entry(*THINGS) and not items[place].negated]
    clause = min((items[place].clause for place in able), default=None)
    able = [place for place in able if items[place].clause == clause or is_proper(items[place])]
    named = _named_by_rare_words(reading, part, able)
    if named is None and able:
        named = _held_whole(reading, part, items[able[-1]])
    if named is not None:
        return Thing(named, True)
    return _by_noun(reading, part, able) if able else None


def _by_noun(reading: Reading, part: Sequence[int], able: Sequence[int]) -> Thing:
    """The thing that the last noun says, within what the nouns and names before it say where they meet."""
    items, head = reading.items, reading.items[able[-1]]
    numbers, by_name = head.products(*THINGS), head.entry("id", "product") is not None
    reading.used.add(able[-1])
    for place in reversed(able[:-1]):
        common = np.intersect1d(numbers, items[place].products(*THINGS))
        if common.size:
            numbers = common
            if items[place].entry("id", "product"):
                by_name = True
                reading.used.add(place)
    if by_name:
        numbers = _narrowed(reading, part, numbers)
    kinds = _kinds_of(reading, head)
    if not by_name and head.phrase not in kinds:
        reading.alike[reading.said(head)] = ", ".join(kinds)
    return Thing(numbers, by_name and numbers.size <= _MOST_NAMED, kinds)


def _kinds_of(reading: Reading, head: Item) -> tuple[str, ...]:
    """The phrases under which the thing's kind is found again: its own words, or those it is another word for."""
    if " ".join(head.words) in reading.vocabulary.phrases:
        return (head.phrase,)
    return tuple(entry.value for entry in head.entries if entry.kind in THINGS)


# ---------------------------------------------------------------- by name


def _named_by_rare_words(reading: Reading, part: Sequence[int], able: Sequence[int]) -> Ints | None:
    """The products whose names hold the rare words of this part, with the other name words beside them."""
    items, vocabulary = reading.items, reading.vocabulary
    rare = [
        place for place in part if not items[place].negated and is_rare_word(items[place], vocabulary, reading.known)
    ]
    if not rare:
        return None
    others = [place for place in part if place not in rare and _is_name_word(reading, items[place])]
    numbers: Ints | None = None
    taken: list[int] = []
    for place in [*rare, *others, *able]:
        item = items[place]
        these = item.products(*THINGS) if item.entry(*THINGS) else vocabulary.named_with(item.words)
        common = these if numbers is None else np.intersect1d(numbers, these)
        if common.size:
            numbers = common
            taken.append(place)
        elif place in rare or not any(items[other].words[0] in vocabulary.first_words for other in rare):
            return None  # what only describes in names gives way to a kind; a name that begins so does not
    if numbers is None or numbers.size > _MOST_NAMED:
        return None
    reading.used.update(taken)
    return _narrowed(reading, part, numbers)


def _is_name_word(reading: Reading, item: Item) -> bool:
    words = ["".join(item.words[:2])] if is_han(item.words[0]) else item.words
    return item.kind == "term" and all(word in reading.vocabulary.names for word in words)


def _held_whole(reading: Reading, part: Sequence[int], head: Item) -> Ints | None:
    """Where no product of the kind fits, but a few hold every word in their names: a piece of a longer name."""
    items = [reading.items[place] for place in part]
    if reading.operators.sort or len(items) < _FEW or any(item.kind == "unknown" or item.negated for item in items):
        return None
    numbers = reading.vocabulary.named_with([word for item in items for word in item.words])
    if not 0 < numbers.size <= _MOST_NAMED or np.intersect1d(numbers, head.products(*THINGS)).size:
        return None
    reading.used.update(part)
    return _narrowed(reading, part, numbers)


def _narrowed(reading: Reading, part: Sequence[int], numbers: Ints) -> Ints:
    """The named products that fit the other words beside the name; then the plain model of them."""
    for place in part:
        item = reading.items[place]
        if place not in reading.used and not item.negated and item.kind != "unknown":
            common = np.intersect1d(numbers, reading.vocabulary.holding(item.words))
            numbers = common if common.size else numbers
    if reading.operators.sort or (_ALL.search(reading.lowered) and not reading.side):
        return numbers
    return _plain_model(reading, numbers, {word for place in part for word in reading.items[place].words})


def _plain_model(reading: Reading, numbers: Ints, said: set[str]) -> Ints:
    """Of "Aria 2", "Aria 2 Pro" and "Aria 2 W" the first, where no more than "Aria 2" is said.

    That is the product whose name words all others have, too, if its first word is said.
    """
    vocabulary = reading.vocabulary
    names = [vocabulary.name_words[number] for number in numbers.tolist()]
    for place, number in enumerate(numbers.tolist()):
        begun = said.intersection(stems(vocabulary.products[number].name)[:1])
        if begun and all(names[place] <= other for other in names):
            return numbers[place : place + 1]
    return numbers


# ---------------------------------------------------------------- what is not sold


def refuse_other_things(reading: Reading) -> None:
    """Where the noun asked for names no thing here, it is unknown, though other words or attributes hold it.

    A shop whose cases hold a laptop sells none, and one that sells violins may sell no violin pegs.
    """
    reading.unknown = _unknown(reading)
    other = _other_noun(reading) or _noun_with_parts(reading)
    if other is not None:
        reading.unknown = list(dict.fromkeys([*reading.unknown, reading.said(other)]))
        reading.things, reading.categories, reading.named = None, [], False


def _unknown(reading: Reading) -> list[str]:
    """The unknown words that may be what is looked for: those of the first clause, or all if nothing else is known."""
    known = (item.clause for item in reading.items if item.kind != "unknown")
    first = min(known, default=None)
    unknown = (item for item in reading.items if item.kind == "unknown" and not item.negated)
    return list(dict.fromkeys(reading.said(item) for item in unknown if first is None or item.clause <= first))


def _other_noun(reading: Reading) -> Item | None:
    """The noun of the first clause, if it names no thing of this shop."""
    items = reading.items
    clause = min((item.clause for item in items), default=0)
    last = next((item for item in reversed(items) if item.clause == clause and not item.negated), None)
    if last is None or last.kind == "unknown" or reading.named or reading.brands or is_han(last.words[0]):
        return None
    if reading.things is None:
        is_open = last.entry("option", "flag", "word") or _OPEN.search(reading.lowered)
        return last if not is_open and _names_no_kind(reading, last) else None
    attribute = last.entry("attribute")
    if attribute is None or reading.vocabulary.properties.is_flag(attribute.name) or not last.adjacent:
        return None
    return last if _SEEKING.search(reading.lowered) and items.index(last) - 1 in reading.used else None


def _names_no_kind(reading: Reading, item: Item) -> bool:
    """Whether a word is in no name, or is an ordinary noun that only describes in names."""
    vocabulary, word = reading.vocabulary, item.words[-1]
    if not word.isalpha():
        return False
    count = vocabulary.names.count(word)
    plural = reading.text[item.start : item.end].lower().endswith("s") and not word.endswith("s")
    ordinary = word in reading.known and word not in vocabulary.first_words
    return count == 0 or (ordinary and (plural or count < _FEW))


def _noun_with_parts(reading: Reading) -> Item | None:
    """An unknown noun of which the things named are but a part: "xyz with a laptop compartment"."""
    for place, (item, after) in enumerate(zip(reading.items, reading.items[1:], strict=False)):
        first = all(other > place for other in reading.used)
        if item.kind == "unknown" and first and _WITH.match(reading.text[item.end : after.start].lower()):
            return item
    return None

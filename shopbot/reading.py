"""A question read into a query: which thing is meant, which words narrow it, and what is asked of it.

The thing is the noun that the first part of the question ends in ("camera *battery* for …"), or the product whose rare
name words are given; everything else narrows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from shopbot.kinship import Kinship, Similar
from shopbot.operators import Operators, read_operators
from shopbot.query import ProductQuery
from shopbot.scan import Item, Scanner
from shopbot.tokens import is_han, passed_over, split_measure, stems
from shopbot.types import Language
from shopbot.vocabulary import Entry, Ints, Vocabulary

_THINGS = ("product", "category", "kind")
_MOST_NAMED = 12


@dataclass(slots=True)
class Reading:
    """A question on its way to a query. `things` are the products meant (None: no thing named), `named` if by name."""

    text: str
    language: Language
    operators: Operators
    items: list[Item]
    things: Ints | None = None
    named: bool = False
    categories: list[str] = field(default_factory=list[str])
    used: set[int] = field(default_factory=set[int])
    options: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    words: list[str] = field(default_factory=list[str])
    terms: list[str] = field(default_factory=list[str])
    without: list[str] = field(default_factory=list[str])
    brands: list[str] = field(default_factory=list[str])
    properties: list[str] = field(default_factory=list[str])

    def said(self, item: Item) -> str:
        """An item as the shopper wrote it, or as it was mended."""
        written = self.text[item.start : item.end].strip().lower()
        return written if tuple(stems(written)) == item.words else phrase_of(item)


class Reader:
    """Reads questions about one catalog."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        known: Container[str] = frozenset(),
        similar: Similar | None = None,
        languages: Collection[str] = ("en",),
    ) -> None:
        self.vocabulary = vocabulary
        self.scanner = Scanner(vocabulary, known)
        self._languages = languages
        self._labels = _labels(vocabulary)
        self._kinship = None if similar is None else Kinship(list(self._labels), similar)

    def read(self, text: str, language: Language, kin: bool = True) -> tuple[ProductQuery, list[Item]]:
        """The query of a question, and the places it was read from. Without `kin`, no other words for things."""
        operators = read_operators(text)
        items = self.scanner.scan(text, operators)
        if kin and language in self._languages:
            items = self._with_kin(items)
        reading = Reading(text, language, operators, items)
        sides = self._sides(reading) if operators.compare else ()
        query = self._query(reading)
        return replace(query, compare=sides, sort=None if sides else query.sort), items

    # ------------------------------------------------------------ other words for things

    def _with_kin(self, items: list[Item]) -> list[Item]:
        """Where no thing is named by the catalog's own words, what other words for one there are."""
        if self._kinship is None or any(item.entry(*_THINGS) or self.is_rare(item) for item in items):
            return items
        open_items = [item for item in items if not item.negated and self._may_be_thing(item)]
        found = self._kinship.labels_of([phrase_of(item) for item in open_items])
        kin = {id(item): labels for item, labels in zip(open_items, found, strict=True) if labels}
        return [
            replace(item, kind="entry", entries=tuple(self._labels[label] for label in kin[id(item)])) if id(item) in kin else item
            for item in items
        ]

    def _may_be_thing(self, item: Item) -> bool:
        if item.kind == "unknown":
            return True
        words = item.words
        return item.kind == "term" and len(words) == 1 and words[0].isalpha() and words[0] not in self.vocabulary.names

    # ------------------------------------------------------------ which thing is meant

    def _query(self, reading: Reading) -> ProductQuery:
        self._find_things(reading)
        self._read_narrowing(reading)
        found, asked = reading.operators, self._aspect(reading)
        stock_filter = found.stock and asked[0] is None
        return ProductQuery(
            text=reading.text,
            language=reading.language,
            products=self._ids(reading.things) if reading.named and reading.things is not None else (),
            categories=tuple(reading.categories) if not reading.named else (),
            brands=tuple(dict.fromkeys(reading.brands)) if not reading.named else (),
            options=reading.options,
            words=tuple(dict.fromkeys(reading.words)),
            terms=tuple(dict.fromkeys(reading.terms)),
            min_price=found.min_price,
            max_price=found.max_price,
            bounds=tuple(found.bounds),
            without=tuple(reading.without),
            in_stock=stock_filter,
            sort=found.sort,
            aspect=asked[0],
            asked=asked[1],
            unknown=tuple(_unknown(reading)),
        )

    def _ids(self, numbers: Ints) -> tuple[str, ...]:
        return tuple(self.vocabulary.products[number].id for number in numbers.tolist())

    def _find_things(self, reading: Reading) -> None:
        """Set `things`: the union over the parts joined by "and" and "or", names before kinds."""
        found = [(numbers, named, label) for group in _groups(reading.items) if (one := self._thing_of(reading, group)) for numbers, named, label in [one]]
        reading.named = any(named for _, named, _ in found)
        kept = [one for one in found if one[1] == reading.named]
        if kept:
            reading.things = np.unique(np.concatenate([numbers for numbers, _, _ in kept]))
            reading.categories = [label for _, named, label in kept if not named]

    def _thing_of(self, reading: Reading, group: Sequence[int]) -> tuple[Ints, bool, str] | None:
        """The thing of one part: its products, whether named, and the phrase of its kind."""
        items = reading.items
        able = [place for place in group if items[place].entry(*_THINGS) and not items[place].negated]
        clause = min((items[place].clause for place in able), default=None)
        able = [place for place in able if items[place].clause == clause or items[place].entry("product")]
        named = self._named_by_words(reading, group, able)
        if named is not None:
            return named, True, ""
        if not able:
            return None
        head = items[able[-1]]
        numbers, by_name = head.products(*_THINGS), head.entry("product") is not None
        reading.used.add(able[-1])
        for place in reversed(able[:-1]):
            common = np.intersect1d(numbers, items[place].products(*_THINGS))
            if common.size:
                numbers = common
                if items[place].entry("product"):
                    by_name = True
                    reading.used.add(place)
        if by_name and not reading.operators.sort:
            numbers = self._plain_model(numbers, [word for place in group for word in items[place].words], reading)
        return numbers, by_name and self._few(reading, numbers), phrase_of(head)

    def _few(self, reading: Reading, numbers: Ints) -> bool:
        return numbers.size <= _MOST_NAMED

    def _named_by_words(self, reading: Reading, group: Sequence[int], able: Sequence[int]) -> Ints | None:
        """The products whose names hold the rare words of this part, with the other name words beside them."""
        items = reading.items
        rare = [place for place in group if not items[place].negated and self.is_rare(items[place])]
        if not rare:
            return None
        numbers: Ints | None = None
        taken: list[int] = []
        for place in [*rare, *(other for other in group if other not in rare and other in self._name_words(items, group)), *able]:
            these = items[place].products(*_THINGS) if items[place].entry(*_THINGS) else self._holding(items[place].words)
            common = these if numbers is None else np.intersect1d(numbers, these)
            if common.size:
                numbers = common
                taken.append(place)
            elif place in rare:
                return None
        if numbers is None or numbers.size > _MOST_NAMED:
            return None
        reading.used.update(taken)
        words = [word for place in taken for word in items[place].words]
        return numbers if reading.operators.sort else self._plain_model(numbers, words, reading)

    def _name_words(self, items: Sequence[Item], group: Sequence[int]) -> list[int]:
        """Plain words of the part that stand in some name, but are no option or attribute by themselves."""
        return [place for place in group if items[place].kind == "term" and all(word in self.vocabulary.names for word in items[place].words)]

    def _holding(self, words: Sequence[str]) -> Ints:
        numbers = self.vocabulary.names.get(words[0]) if not is_han(words[0]) else self.vocabulary.names.get("".join(words[:2]))
        for word in words[1:] if not is_han(words[0]) else ():
            numbers = np.intersect1d(numbers, self.vocabulary.names.get(word))
        return numbers

    def is_rare(self, item: Item) -> bool:
        """Whether a word tells one product or a few: in few names, and no word for an option or attribute."""
        if item.kind != "term" or is_han(item.words[0]):
            return False
        word = item.words[0]
        vocabulary = self.vocabulary
        plain = word.isdigit() or word in passed_over() or word in vocabulary.option_rows or word in vocabulary.details
        return not plain and 0 < vocabulary.names.count(word) <= vocabulary.rare

    def _plain_model(self, numbers: Ints, said: Iterable[str], reading: Reading) -> Ints:
        """Of "Aria 2", "Aria 2 Pro" and "Aria 2 W" the first, where no more than "Aria 2" is said.

        That is the product whose name words all others have, too, if its first word is said and no list is asked for.
        """
        names = [self.vocabulary.name_words[number] for number in numbers.tolist()]
        first = [stems(self.vocabulary.products[number].name)[:1] for number in numbers.tolist()]
        said = set(said)
        for place, name in enumerate(names):
            if all(name <= other for other in names) and said.intersection(first[place]) and not _wants_all(reading):
                return numbers[place : place + 1]
        return numbers

    # ------------------------------------------------------------ what narrows it

    def _read_narrowing(self, reading: Reading) -> None:
        """Sort the items that name no thing: options, brands, words, what must not be, properties asked for."""
        items, place = reading.items, 0
        while place < len(items):
            item = items[place]
            after = items[place + 1] if place + 1 < len(items) else None
            if place in reading.used:
                place += 1
            elif after is not None and place + 1 not in reading.used and self._pair_option(reading, item, after):
                place += 2
            else:
                self._read_one(reading, item)
                place += 1

    def _pair_option(self, reading: Reading, item: Item, after: Item) -> bool:
        """An option's name beside a value of it: "size 9", "42码", "dial colour blue"."""
        for one, other in ((item, after), (after, item)):
            entry = one.entry("attribute")
            if entry is None or other.clause - item.clause > 1 or other.kind == "unknown":
                continue
            values = self._values(entry.name, other.words)
            if values:
                self._choose(reading, entry.name, values, item.negated or after.negated)
                return True
        return False

    def _values(self, name: str, words: Sequence[str]) -> tuple[str, ...]:
        """The values of an option that are these words, else those that hold them."""
        values = {value: stems(value) for value in self.vocabulary.options.get(name, ())}
        same = tuple(value for value, own in values.items() if own == tuple(words))
        return same or tuple(value for value, own in values.items() if set(words) <= set(own))

    def _choose(self, reading: Reading, name: str, values: tuple[str, ...], negated: bool) -> None:
        if negated:
            reading.without.extend(values)
        else:
            reading.options[name] = tuple(dict.fromkeys((*reading.options.get(name, ()), *values)))

    def _read_one(self, reading: Reading, item: Item) -> None:
        if item.kind == "unknown":
            if self._touches_thing(reading, item):
                reading.terms.append(reading.said(item))
            return
        option, flag, attribute = self._best_option(reading, item), item.entry("flag"), item.entry("attribute")
        if item.negated and not (attribute and not flag and not self._is_flag(item)):
            reading.without.append(phrase_of(item))
        elif flag is not None and not self._asks_for(reading, item):
            self._choose(reading, flag.name, tuple(self.vocabulary.yes_values(flag.name)), False)
        elif option is not None:
            self._choose(reading, option.name, tuple(entry.value for entry in item.entries if entry.kind == "option" and entry.name == option.name), False)
        elif attribute is not None or flag is not None:
            self._read_property(reading, item, (attribute or flag))
        elif brand := item.entry("brand"):
            reading.brands.append(brand.value)
        elif item.entries:
            reading.words.extend(entry.value for entry in item.entries[:1])
        else:
            place = reading.words if self._is_detail(item.words) else reading.terms
            place.append(reading.said(item))

    def _read_property(self, reading: Reading, item: Item, entry: Entry | None) -> None:
        if self._asks_for(reading, item) or not self._is_flag(item):
            reading.properties.append(entry.name if entry else phrase_of(item))
        else:
            reading.words.append(reading.said(item))

    def _is_detail(self, words: Sequence[str]) -> bool:
        return all(word in self.vocabulary.details or word in self.vocabulary.option_rows for word in words)

    def _is_flag(self, item: Item) -> bool:
        """Whether a property is of the kind that a thing has or lacks: "hood", "waterproof"."""
        entry = item.entry("attribute", "flag")
        return entry is not None and (entry.kind == "flag" or self.vocabulary.is_flag(entry.name))

    def _asks_for(self, reading: Reading, item: Item) -> bool:
        """Whether the property is the question ("is it waterproof?"), not a wish ("waterproof jackets")."""
        place = reading.items.index(item)
        before_thing = any(other in reading.used and reading.items[other].adjacent for other in (place + 1,))
        if reading.things is None or not reading.named or before_thing or reading.operators.sort:
            return False
        lead = reading.text[: item.start].lower()
        return bool(re.search(r"\b(?:is|are|does|do|what|how|which|tell|know|can)\b|什么|多少", lead)) or is_han(item.words[0])

    def _best_option(self, reading: Reading, item: Item) -> Entry | None:
        """The option meant by a value that several have: one of the thing's own, else the most used."""
        options = [entry for entry in item.entries if entry.kind == "option"]
        if not options:
            return None
        things = reading.things
        return max(options, key=lambda entry: (np.intersect1d(entry.products, things).size if things is not None else 0, entry.products.size))

    def _touches_thing(self, reading: Reading, item: Item) -> bool:
        """Whether an unknown word stands right beside the thing and so belongs to it ("inflatable tent")."""
        place = reading.items.index(item)
        after = reading.items[place + 1] if place + 1 < len(reading.items) else None
        beside = (item.adjacent and place - 1 in reading.used) or (after is not None and after.adjacent and place + 1 in reading.used)
        return beside and not item.joined

    # ------------------------------------------------------------ what is asked of it

    def _aspect(self, reading: Reading) -> tuple[str | None, tuple[str, ...]]:
        """What is asked of the rows, and the option names meant."""
        found = reading.operators
        if found.sort:
            return None, ()
        properties = [name for one in (*reading.properties, *self._measured(reading)) for name in self._own_names(reading, one)]
        properties += next(([name] for one in found.asked for name in self._own_names(reading, one, own=True)), [])
        options = [name for name in properties if name in self.vocabulary.options and not self.vocabulary.is_flag(name)]
        if options:
            return "options", tuple(dict.fromkeys(options))
        if properties:
            return f"attribute {properties[0]}", ()
        if found.count and not (found.stock and not found.options):
            return "count", ()
        if found.stock and (reading.named or found.count):
            return "stock", ()
        if found.price:
            return "price", ()
        return ("options", ()) if found.options and not found.stock else (None, ())

    def _own_names(self, reading: Reading, name: str, own: bool = False) -> list[str]:
        """The properties of the things that a name means: "colour" is "frame colour" and "lens colour" of some."""
        known = self.vocabulary.properties_of(reading.things[:50].tolist()) if reading.things is not None else []
        words = set(stems(name))
        same = [one for one in known if set(stems(one)) == words]
        part = same or [one for one in known if words <= set(stems(one))]
        return part or ([] if own and reading.things is not None else [written] if (written := self.vocabulary.property_named(name)) else [])

    def _measured(self, reading: Reading) -> list[str]:
        """The property behind "how many litres" and "how many people": the one that the things have in that unit."""
        asked = re.search(r"how many (\w+)|几(个?人|升|公斤)|多少(升|公斤|克|厘米|毫米|小时)", reading.text.lower())
        parts = split_measure(f"1{next(word for word in asked.groups() if word)}") if asked else None
        if parts is None or reading.things is None:
            return []
        rows = self.vocabulary.rows.of(reading.things)
        return list(dict.fromkeys(name for row, _, name in self.vocabulary.measures.get(parts[1], ()) if rows[row]))[:1]

    # ------------------------------------------------------------ the sides of a comparison

    def _sides(self, reading: Reading) -> tuple[ProductQuery, ...]:
        """One query a side, if two or more things, or two or more versions of one thing, are set against each other."""
        groups = _groups(reading.items, asides=True)
        blank = replace(reading.operators, sort=None, min_price=None, max_price=None, bounds=[], listing=False)
        queries = [
            self._query(Reading(reading.text, reading.language, blank, [reading.items[place] for place in group])) for group in groups
        ]
        named = [query for query in queries if query.products]
        kinds = [query for query in queries if query.categories]
        if len(named) > 1 or len(kinds) > 1:
            return tuple(named if len(named) > 1 else kinds)
        versions = [query for query in queries if query.options]
        whole = next(iter([*named, *kinds]), None)
        if whole is None or len(versions) < 2:
            return ()
        return tuple(replace(query, products=whole.products, categories=whole.categories, brands=whole.brands) for query in versions)


def phrase_of(item: Item) -> str:
    """The words of an item as one text, to be looked up again."""
    return "".join(item.words) if is_han(item.words[0]) else " ".join(item.words)


def _labels(vocabulary: Vocabulary) -> dict[str, Entry]:
    """What kinds of thing the catalog has, each as words for a sentence model, the commonest first."""
    labels: dict[str, Entry] = {}
    for phrase, entries in vocabulary.phrases.items():
        for entry in entries:
            if entry.kind in ("category", "kind") and entry.products.size:
                label = vocabulary.labels.get(phrase, entry.value) if entry.kind == "kind" else entry.value
                labels.setdefault(label, entry)
    return dict(sorted(labels.items(), key=lambda one: -one[1].products.size))


def _groups(items: Sequence[Item], asides: bool = False) -> list[list[int]]:
    """Places of items in the parts that "and", "or" or a comma join; with `asides` also "with", "than", "to"."""
    groups: list[list[int]] = []
    for place, item in enumerate(items):
        parted = item.joined or (asides and place > 0 and item.clause != items[place - 1].clause)
        if parted or not groups:
            groups.append([])
        groups[-1].append(place)
    return groups


def _unknown(reading: Reading) -> list[str]:
    """The unknown words that may be what is looked for: those of the first clause, or all if nothing else is known."""
    unknown = [item for item in reading.items if item.kind == "unknown" and not item.negated]
    known = [item for item in reading.items if item.kind != "unknown"]
    first = min((item.clause for item in known), default=None)
    kept = [item for item in unknown if first is None or item.clause <= first]
    return list(dict.fromkeys(reading.said(item) for item in kept))


def _wants_all(reading: Reading) -> bool:
    """Whether several products are asked for: "which", "all", or the thing in the plural."""
    return bool(re.search(r"\b(?:which|all|every|range|any)\b|哪些|哪几|所有|全部", reading.text.lower()))

"""A question read into a query: which thing is meant, which words narrow it, and what is asked of it.

The thing is the noun that the first part of the question ends in ("camera *battery* for …"), or the product whose rare
name words are given; everything else narrows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from shopbot.kinship import Kinship, Similar
from shopbot.operators import Operators, read_operators
from shopbot.query import ProductQuery
from shopbot.scan import Item, Scanner
from shopbot.tokens import is_han, passed_over, split_measure, stem, stems
from shopbot.types import Language
from shopbot.vocabulary import Entry, Ints, Vocabulary

_THINGS = ("id", "product", "category", "kind")
_MOST_NAMED = 12
_FEW = 3
_PARTICULAR = 2
_SEEKING = re.compile(r"\b(?:sell|have|stock|carry|need|want|looking for|buy|get|find|got)\b")
# With these the thing is left open: "anything waterproof", "which ones are wool".
_GENERIC = re.compile(
    r"\b(?:(?:any|some|every)thing|products?|items?|stuff|things?|ones?|what (?:do|can|have|else)|gifts?|presents?)\b"
)


@dataclass(frozen=True, slots=True)
class _Thing:
    """Products meant, whether they are named, and otherwise the kinds they are of."""

    products: Ints
    named: bool
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """A question on its way to a query. `things` are the products meant (None: no thing named), `named` if by name.

    `side` is true for one side of a comparison.
    """

    text: str
    language: Language
    operators: Operators
    items: list[Item]
    things: Ints | None = None
    named: bool = False
    side: bool = False
    categories: list[str] = field(default_factory=list[str])
    used: set[int] = field(default_factory=set[int])
    options: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    words: list[str] = field(default_factory=list[str])
    terms: list[str] = field(default_factory=list[str])
    without: list[str] = field(default_factory=list[str])
    brands: list[str] = field(default_factory=list[str])
    properties: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    alike: dict[str, str] = field(default_factory=dict[str, str])

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
        self._known = known
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
        """Where no thing is named by the catalog's own words, or only in an aside, what other words for one there are."""
        things = [item for item in items if item.entry(*_THINGS) or self.is_rare(item)]
        if self._kinship is None or any(_is_proper(item) or not item.entry(*_THINGS) for item in things):
            return items
        before = min((item.clause for item in things), default=len(items) + 1)
        runs = _adjacent_runs(
            [item for item in items if not item.negated and self._may_be_thing(item) and item.clause < before]
        )
        asked = [phrase for run in runs for phrase in _endings(run)]
        labels = dict(zip(asked, self._kinship.labels_of(asked), strict=True))
        kept = list(items)
        for run in runs:
            meant = next(((phrase, size) for phrase, size in _endings(run).items() if labels[phrase]), None)
            if meant is not None:
                entries = tuple(self._labels[label] for label in labels[meant[0]])
                first, place = run[-meant[1]], kept.index(run[-1])
                kept[place - meant[1] + 1 : place + 1] = [
                    replace(run[-1], kind="entry", start=first.start, entries=entries)
                ]
        return kept

    def _may_be_thing(self, item: Item) -> bool:
        if item.kind == "unknown":
            return all(word.isalpha() for word in item.words)
        words = item.words
        return item.kind == "term" and len(words) == 1 and words[0].isalpha() and words[0] not in self.vocabulary.names

    # ------------------------------------------------------------ which thing is meant

    def _query(self, reading: Reading) -> ProductQuery:
        self._find_things(reading)
        self._read_narrowing(reading)
        self._refuse_other_things(reading)
        found, asked = reading.operators, self._aspect(reading)
        stock_filter = found.stock and asked[0] in (None, "price")
        if reading.named and (asked[0] or "").startswith("attribute"):
            reading.words, reading.terms = [], []
        return ProductQuery(
            text=reading.text,
            language=reading.language,
            products=self._ids(reading.things) if reading.named and reading.things is not None else (),
            skus=tuple(self._skus(reading)),
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
            rank=self._rank(reading),
            aspect=asked[0],
            asked=asked[1],
            unknown=tuple(reading.unknown),
            alike=reading.alike,
        )

    def _skus(self, reading: Reading) -> list[str]:
        entries = [entry for item in reading.items for entry in item.entries if entry.kind == "id"]
        return [entry.value for entry in entries if entry.value not in self._product_ids]

    @cached_property
    def _product_ids(self) -> frozenset[str]:
        return frozenset(product.id for product in self.vocabulary.products)

    def _ids(self, numbers: Ints) -> tuple[str, ...]:
        return tuple(self.vocabulary.products[number].id for number in numbers.tolist())

    def _find_things(self, reading: Reading) -> None:
        """Set `things`: the union over the parts joined by "and" and "or", names before kinds."""
        found = [thing for group in _groups(reading.items) if (thing := self._thing_of(reading, group)) is not None]
        reading.named = any(thing.named for thing in found)
        kept = [thing for thing in found if thing.named == reading.named]
        if kept:
            reading.things = np.unique(np.concatenate([thing.products for thing in kept]))
            reading.categories = [label for thing in kept for label in thing.labels]

    def _thing_of(self, reading: Reading, group: Sequence[int]) -> _Thing | None:
        """The thing that one part of the question names."""
        items = reading.items
        able = [place for place in group if items[place].entry(*_THINGS) and not items[place].negated]
        clause = min((items[place].clause for place in able), default=None)
        able = [place for place in able if items[place].clause == clause or _is_proper(items[place])]
        named = self._named_by_words(reading, group, able)
        if named is not None:
            return _Thing(named, True)
        if not able:
            return None
        head = items[able[-1]]
        whole = self._holding_all(reading, group, head)
        if whole is not None:
            return _Thing(whole, True)
        numbers, by_name = head.products(*_THINGS), head.entry("id", "product") is not None
        reading.used.add(able[-1])
        for place in reversed(able[:-1]):
            common = np.intersect1d(numbers, items[place].products(*_THINGS))
            if common.size:
                numbers = common
                if items[place].entry("id", "product"):
                    by_name = True
                    reading.used.add(place)
        if by_name:
            numbers = self._narrowed(reading, group, numbers)
        kinds = self._kinds_of(head)
        if phrase_of(head) not in kinds and not by_name:
            reading.alike[reading.said(head)] = ", ".join(kinds)
        return _Thing(numbers, by_name and numbers.size <= _MOST_NAMED, kinds)

    def _holding_all(self, reading: Reading, group: Sequence[int], head: Item) -> Ints | None:
        """Where no product of the kind fits, but a few hold every word in their names: a piece of a longer name."""
        items = [reading.items[place] for place in group]
        if reading.operators.sort or len(items) < _FEW or any(item.kind == "unknown" or item.negated for item in items):
            return None
        numbers = self.vocabulary.holding_in_names([word for item in items for word in item.words])
        if not 0 < numbers.size <= _MOST_NAMED or np.intersect1d(numbers, head.products(*_THINGS)).size:
            return None
        reading.used.update(group)
        return self._narrowed(reading, group, numbers)

    def _kinds_of(self, head: Item) -> tuple[str, ...]:
        """The phrases under which the thing's kind is found again: its own words, or those it is another word for."""
        own = phrase_of(head)
        if " ".join(head.words) in self.vocabulary.phrases:
            return (own,)
        return tuple(entry.value for entry in head.entries if entry.kind in _THINGS)

    def _narrowed(self, reading: Reading, group: Sequence[int], numbers: Ints) -> Ints:
        """The named products that fit the other words beside the name; then the plain model of them."""
        said = [word for place in group for word in reading.items[place].words]
        for place in group:
            item = reading.items[place]
            if place not in reading.used and not item.negated and item.kind != "unknown":
                common = np.intersect1d(numbers, self.vocabulary.holding(item.words))
                numbers = common if common.size else numbers
        return numbers if reading.operators.sort else self._plain_model(numbers, said, reading)

    def _named_by_words(self, reading: Reading, group: Sequence[int], able: Sequence[int]) -> Ints | None:
        """The products whose names hold the rare words of this part, with the other name words beside them."""
        items = reading.items
        rare = [place for place in group if not items[place].negated and self.is_rare(items[place])]
        if not rare:
            return None
        numbers: Ints | None = None
        taken: list[int] = []
        for place in [
            *rare,
            *(other for other in group if other not in rare and other in self._name_words(items, group)),
            *able,
        ]:
            these = (
                items[place].products(*_THINGS) if items[place].entry(*_THINGS) else self._holding(items[place].words)
            )
            common = these if numbers is None else np.intersect1d(numbers, these)
            if common.size:
                numbers = common
                taken.append(place)
            elif place in rare:
                return None
        if numbers is None or numbers.size > _MOST_NAMED:
            return None
        reading.used.update(taken)
        return self._narrowed(reading, group, numbers)

    def _name_words(self, items: Sequence[Item], group: Sequence[int]) -> list[int]:
        """Plain words of the part that stand in some name, but are no option or attribute by themselves."""
        return [
            place
            for place in group
            if items[place].kind == "term" and all(word in self.vocabulary.names for word in items[place].words)
        ]

    def _holding(self, words: Sequence[str]) -> Ints:
        numbers = (
            self.vocabulary.names.get(words[0])
            if not is_han(words[0])
            else self.vocabulary.names.get("".join(words[:2]))
        )
        for word in words[1:] if not is_han(words[0]) else ():
            numbers = np.intersect1d(numbers, self.vocabulary.names.get(word))
        return numbers

    def is_rare(self, item: Item) -> bool:
        """Whether a word tells one product or a few: in few names, and no word for an option or attribute."""
        if item.kind != "term" or is_han(item.words[0]):
            return False
        word = item.words[0]
        vocabulary = self.vocabulary
        code = not word.isalpha() and not word.isdigit()
        told = word in vocabulary.option_rows or word in vocabulary.details
        plain = word.isdigit() or word in passed_over() or (told and not code) or item.measure
        name = word in vocabulary.first_words or word not in self._known
        return name and not plain and 0 < vocabulary.names.count(word) <= vocabulary.rare

    def _plain_model(self, numbers: Ints, said: Iterable[str], reading: Reading) -> Ints:
        """Of "Aria 2", "Aria 2 Pro" and "Aria 2 W" the first, where no more than "Aria 2" is said.

        That is the product whose name words all others have, too, if its first word is said and no list is asked for.
        """
        names = [self.vocabulary.name_words[number] for number in numbers.tolist()]
        first = [stems(self.vocabulary.products[number].name)[:1] for number in numbers.tolist()]
        said = set(said)
        for place, name in enumerate(names):
            if (
                all(name <= other for other in names)
                and said.intersection(first[place])
                and (reading.side or not _wants_all(reading))
            ):
                return numbers[place : place + 1]
        return numbers

    def _refuse_other_things(self, reading: Reading) -> None:
        """Where the noun asked for names no thing here, it is unknown, though other words or attributes hold it.

        A shop whose bags take laptops sells none, and one that sells tents may sell no tent pegs.
        """
        reading.unknown = _unknown(reading)
        last = self._last_noun(reading) or self._lacking(reading)
        if last is not None:
            reading.unknown = list(dict.fromkeys([*reading.unknown, reading.said(last)]))
            reading.things, reading.categories, reading.named = None, [], False

    def _last_noun(self, reading: Reading) -> Item | None:
        """The noun of the first clause, if it is one that names no thing of this shop."""
        items, lead = reading.items, _SEEKING.search(reading.text.lower())
        clause = min((item.clause for item in items), default=0)
        first = [item for item in items if item.clause == clause and not item.negated]
        last = first[-1] if first else None
        if last is None or last.kind == "unknown" or reading.named or reading.brands or is_han(last.words[0]):
            return None
        if reading.things is None:
            plain = last.entry("option", "flag", "word") or _GENERIC.search(reading.text.lower())
            return None if plain or not self._is_other_noun(reading, last) else last
        property_only = last.entry("attribute") is not None and not self._is_flag(last)
        return last if lead and property_only and last.adjacent and items.index(last) - 1 in reading.used else None

    def _lacking(self, reading: Reading) -> Item | None:
        """An unknown noun of which the things named are but a part: "xyz with a laptop compartment"."""
        for item, after in zip(reading.items, reading.items[1:], strict=False):
            if (
                item.kind == "unknown"
                and reading.items.index(item) + 1 > 0
                and not any(place <= reading.items.index(item) for place in reading.used)
            ):
                between = reading.text[item.end : after.start].lower()
                if re.match(r"\s*(?:with|that (?:has|have|takes|fits))\b", between):
                    return item
        return None

    def _is_other_noun(self, reading: Reading, item: Item) -> bool:
        vocabulary, word = self.vocabulary, item.words[-1]
        if not word.isalpha():
            return False
        count = vocabulary.names.count(word)
        plural = reading.text[item.start : item.end].lower().endswith("s") and not word.endswith("s")
        common = word in self._known and word not in vocabulary.first_words
        return count == 0 or (common and (plural or count < _FEW))

    # ------------------------------------------------------------ what narrows it

    def _read_narrowing(self, reading: Reading) -> None:
        """Sort the items that name no thing: options, brands, words, what must not be, properties asked for."""
        items, place = reading.items, 0
        while place < len(items):
            item = items[place]
            after = items[place + 1] if place + 1 < len(items) else None
            if place in reading.used:
                place += 1
            elif (
                after is not None
                and place + 1 not in reading.used
                and (self._pair_option(reading, item, after) or self._pair_value(reading, item, after))
            ):
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

    def _pair_value(self, reading: Reading, item: Item, after: Item) -> bool:
        """A value beside a word of its option's name: "brown lens", "leather strap", "32 GB RAM"."""
        for one, other in ((item, after), (after, item)):
            own = [
                entry for entry in one.entries if entry.kind == "option" and set(other.words) <= set(stems(entry.name))
            ]
            if own and after.adjacent and not one.negated and other.kind != "unknown":
                self._choose(
                    reading, own[0].name, tuple(entry.value for entry in own if entry.name == own[0].name), False
                )
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
            if self._touches_thing(reading, item) and not (is_han(item.words[0]) and len(item.words) < _FEW - 1):
                reading.terms.append(reading.said(item))
            return
        option, flag, attribute = self._best_option(reading, item), item.entry("flag"), item.entry("attribute")
        if item.negated and not (attribute and not flag and not self._is_flag(item)):
            reading.without.append(phrase_of(item))
        elif flag is not None and not self._asks_for(reading, item):
            self._choose(reading, flag.name, tuple(self.vocabulary.yes_values(flag.name)), False)
        elif option is not None:
            self._choose(
                reading,
                option.name,
                tuple(entry.value for entry in item.entries if entry.kind == "option" and entry.name == option.name),
                False,
            )
        elif attribute is not None or flag is not None:
            self._read_property(reading, item, (attribute or flag))
        elif brand := item.entry("brand"):
            reading.brands.append(brand.value)
        elif item.entries:
            reading.words.extend(entry.value for entry in item.entries[:1])
        elif reading.named and (own := self._own_property(reading, item.words)):
            reading.properties.append(own)
        elif not reading.named or self._is_choice(item):
            place = reading.words if self._is_detail(item.words) else reading.terms
            place.append(reading.said(item))

    def _is_choice(self, item: Item) -> bool:
        """Whether a word beside a named product can choose between its versions, or contradicts its name."""
        return any(word in self.vocabulary.option_rows or word.isdigit() for word in item.words)

    def _own_property(self, reading: Reading, words: Sequence[str]) -> str:
        """A property of the named products that has these words in its name ("dishwasher": "dishwasher safe")."""
        known = self.vocabulary.properties_of(reading.things.tolist()) if reading.things is not None else []
        return next((name for name in known if set(words) <= set(stems(name))), "")

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
        if re.search(r"\b(?:(?:that|which|and)(?:'s| is| are| has| have)?|with|in) *$", lead):
            return False
        return bool(re.search(r"\b(?:is|are|does|do|what|how|which|tell|know|can)\b|什么|多少", lead)) or is_han(
            item.words[0]
        )

    def _best_option(self, reading: Reading, item: Item) -> Entry | None:
        """The option meant by a value that several have: one of the thing's own, else the most used."""
        options = [entry for entry in item.entries if entry.kind == "option"]
        if not options:
            return None
        things = reading.things
        return max(
            options,
            key=lambda entry: (
                np.intersect1d(entry.products, things).size if things is not None else 0,
                entry.products.size,
            ),
        )

    def _touches_thing(self, reading: Reading, item: Item) -> bool:
        """Whether an unknown word narrows the thing: in one run of words with it ("inflatable tent"), or after "with"."""
        items, place = reading.items, reading.items.index(item)
        first, last = place, place
        while items[first].adjacent and not items[first].joined and first > 0:
            first -= 1
        while last + 1 < len(items) and items[last + 1].adjacent and not items[last + 1].joined:
            last += 1
        with_it = reading.things is not None and re.search(
            r"\b(?:with|in|made of)(?: an?)? *$|[带配]有?$", reading.text[: item.start].lower()
        )
        return bool(with_it) or any(number in reading.used for number in range(first, last + 1))

    # ------------------------------------------------------------ what is asked of it

    def _aspect(self, reading: Reading) -> tuple[str | None, tuple[str, ...]]:
        """What is asked of the rows, and the option names meant."""
        found = reading.operators
        if found.sort:
            return None, ()
        if (rank := self._rank(reading)) is not None:
            return f"attribute {rank[0]}", ()
        properties = self._properties(reading)
        options = [name for name in properties if name in self._options(reading) and not self.vocabulary.is_flag(name)]
        if options:
            return "options", tuple(dict.fromkeys(options))
        if properties:
            return f"attribute {properties[0]}", ()
        if found.count and not (found.stock and not found.options):
            return "count", ()
        if found.stock and (found.count or self._is_particular(reading)):
            return "stock", ()
        if found.price:
            return "price", ()
        return ("options", ()) if found.options and not found.stock else (None, ())

    def _is_particular(self, reading: Reading) -> bool:
        return reading.named or (reading.things is not None and reading.things.size <= _PARTICULAR)

    def _options(self, reading: Reading) -> Collection[str]:
        """The options that the things can be chosen by."""
        return (
            self.vocabulary.options
            if reading.things is None
            else self.vocabulary.options_of(reading.things[:50].tolist())
        )

    def _properties(self, reading: Reading) -> list[str]:
        """The options or attributes asked for, as the things have them; else under the name that was asked."""
        if counted := self._counted(reading):
            return counted
        named = [own for name in reading.properties for own in self._own_names(reading, name)]
        if named or not reading.operators.asked:
            return named
        own = next((own for name in reading.operators.asked if (own := self._own_names(reading, name, own=True))), [])
        return own or (reading.operators.asked[:1] if reading.things is not None else [])

    def _rank(self, reading: Reading) -> tuple[str, Literal["low", "high"]] | None:
        """The property by which the first or last is wanted, as the things have it."""
        if reading.operators.rank is None:
            return None
        names, end = reading.operators.rank
        return next(((own[0], end) for name in names if (own := self._own_names(reading, name, own=True))), None)

    def _own_names(self, reading: Reading, name: str, own: bool = False) -> list[str]:
        """The properties of the things that a name means: "colour" is "frame colour" and "lens colour" of some."""
        known = self.vocabulary.properties_of(reading.things[:50].tolist()) if reading.things is not None else []
        words = set(stems(name))
        same = [one for one in known if set(stems(one)) == words]
        part = same or [one for one in known if words <= set(stems(one))]
        return part or (
            []
            if own and reading.things is not None
            else [written]
            if (written := self.vocabulary.property_named(name))
            else []
        )

    def _counted(self, reading: Reading) -> list[str]:
        """The property behind "how many litres": the one that the things have in that unit, else the word itself."""
        asked = re.search(r"how many ([a-z]+)|(?:几|多少)个?(人|升|公斤|克|厘米|毫米|小时|瓦)", reading.text.lower())
        if asked is None or reading.things is None:
            return []
        word = stem(next(word for word in asked.groups() if word))
        parts = split_measure(f"1{word}")
        rows = self.vocabulary.rows.of(reading.things)
        names = [name for row, _, name in self.vocabulary.measures.get(parts[1] if parts else "", ()) if rows[row]]
        if names:
            return names[:1]
        foreign = not self.vocabulary.knows(word) and word not in passed_over()
        return [word] if parts is not None or foreign else []

    # ------------------------------------------------------------ the sides of a comparison

    def _sides(self, reading: Reading) -> tuple[ProductQuery, ...]:
        """One query a side, if two or more things, or two or more versions of one thing, are set against each other."""
        groups = _groups(reading.items, asides=True)
        blank = replace(reading.operators, min_price=None, max_price=None, bounds=[], listing=False)
        queries = [
            self._query(
                Reading(reading.text, reading.language, blank, [reading.items[place] for place in group], side=True)
            )
            for group in groups
        ]
        named = [query for query in queries if query.products]
        kinds = [query for query in queries if query.categories and not query.products]
        if len(named) + len(kinds) > 1:
            return tuple(named if len(named) > 1 else [query for query in queries if query.products or query.categories])
        whole = next(iter([*named, *kinds]), None)
        return _versions(queries, whole) if whole is not None else ()


def _versions(queries: Sequence[ProductQuery], whole: ProductQuery) -> tuple[ProductQuery, ...]:
    """Versions of one thing set against each other: sides that give different values for the same option."""
    sides = [query for query in queries if query.options]
    shared = {name: values for query in sides for name, values in query.options.items()}
    differing = [name for name in shared if len({query.options[name] for query in sides if name in query.options}) > 1]
    if len(sides) < 2 or not differing:
        return ()
    common = {name: values for name, values in shared.items() if name not in differing}
    return tuple(
        replace(query, products=whole.products, categories=whole.categories, brands=whole.brands, options=common | dict(query.options))
        for query in sides
        if any(name in query.options for name in differing)
    )


def _is_proper(item: Item) -> bool:
    """Whether an item names products by more than the noun for their kind."""
    return item.entry("id") is not None or (item.entry("product") is not None and item.entry("kind") is None)


def _adjacent_runs(items: Sequence[Item]) -> list[list[Item]]:
    runs: list[list[Item]] = []
    for item in items:
        if runs and item.adjacent and runs[-1][-1].end >= item.start - 1 and not item.joined:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _endings(run: Sequence[Item]) -> dict[str, int]:
    """The whole of a run, then its last word, each with how many items it takes: "frying pan", "pan"."""
    last = run[-3:]
    return {" ".join(phrase_of(item) for item in last): len(last), phrase_of(run[-1]): 1}


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
    return bool(
        re.search(r"\b(?:which (?!is\b|one\b|of\b)|all|every|range|any)\b|哪些|哪几|所有|全部", reading.text.lower())
    )

"""A question read into a query, by the words of one catalog."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from shopbot.lookup.asking import aspect, rank
from shopbot.lookup.bounds import read_bounds
from shopbot.lookup.kinship import Kinship, Similar
from shopbot.lookup.narrowing import read_narrowing
from shopbot.lookup.operators import Operators, pattern, read_operators
from shopbot.lookup.postings import THINGS, Entry
from shopbot.lookup.query import ProductQuery
from shopbot.lookup.reading import Reading, is_proper, is_rare_word, parts
from shopbot.lookup.scan import Item, Scanner
from shopbot.lookup.things import find_things, refuse_other_things
from shopbot.lookup.vocabulary import Vocabulary
from shopbot.types import Language

_LONGEST_KIN = 3
_SIDES = (*THINGS, "option")
_SENTENCE_END = re.compile(r"[.!?]\s|[。！？]")


class Reader:
    """Reads questions about one catalog. The arguments are those of `Catalog`."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        known: Container[str] = frozenset(),
        similar: Similar | None = None,
        languages: Collection[str] = ("en",),
    ) -> None:
        self.vocabulary = vocabulary
        self._scanner = Scanner(vocabulary, known)
        self._known = known
        self._languages = languages
        self._labels = _labels(vocabulary)
        self._kinship = None if similar is None else Kinship(list(self._labels), similar)

    def read(
        self, text: str, language: Language, kin: bool = True, about: Sequence[int] = ()
    ) -> tuple[ProductQuery, list[Item]]:
        """The query of a question, and the places it was read from. Without `kin`, no other words for things.

        `about` are the indices of the products that it is about, where it names none by the catalog's words.
        """
        operators = Operators.of(text)
        read_bounds(operators)
        read_operators(operators)
        items = self._scanner.scan(text, operators)
        if kin and language in self._languages:
            items = self._with_kin(text, items)
        whole = Reading(text, language, self.vocabulary, self._known, operators, items)
        if about:
            whole.things, whole.named = np.array(about, dtype=np.int32), True
        query = self._query(whole)
        sides = self._sides(whole, bool(about)) if operators.compare else ()
        return replace(query, compare=sides, sort=None if sides else query.sort), items

    def is_rare(self, item: Item) -> bool:
        """Whether an item is a word that tells one product or a few."""
        return is_rare_word(item, self.vocabulary, self._known)

    def _query(self, reading: Reading) -> ProductQuery:
        if not reading.named:
            find_things(reading)
        read_narrowing(reading)
        refuse_other_things(reading)
        found, (asked, options) = reading.operators, aspect(reading)
        if reading.named and (asked or "").startswith("attribute"):
            reading.words, reading.terms = [], []
        return ProductQuery(
            text=reading.text,
            language=reading.language,
            products=self._ids(reading),
            skus=self._skus(reading),
            categories=() if reading.named else tuple(reading.categories),
            brands=() if reading.named else tuple(dict.fromkeys(reading.brands)),
            options=reading.options,
            words=tuple(dict.fromkeys(reading.words)),
            terms=tuple(dict.fromkeys(reading.terms)),
            min_price=found.min_price,
            max_price=found.max_price,
            bounds=tuple(found.bounds),
            without=tuple(reading.without),
            in_stock=found.stock and asked in (None, "price"),
            sort=found.sort,
            rank=rank(reading),
            aspect=asked,
            asked=options,
            priced=found.price,
            unknown=tuple(reading.unknown),
            alike=reading.alike,
        )

    def _ids(self, reading: Reading) -> tuple[str, ...]:
        if not reading.named or reading.things is None:
            return ()
        return tuple(self.vocabulary.products[number].id for number in reading.things.tolist())

    def _skus(self, reading: Reading) -> tuple[str, ...]:
        ids = (entry.value for item in reading.items for entry in item.entries if entry.kind == "id")
        return tuple(known for known in ids if known not in self._product_ids)

    @cached_property
    def _product_ids(self) -> frozenset[str]:
        return frozenset(product.id for product in self.vocabulary.products)

    # ------------------------------------------------------------ the sides of a comparison

    def _sides(self, whole: Reading, told: bool) -> tuple[ProductQuery, ...]:
        """One query a side, if two or more things, or two or more versions of one thing, are set against each other."""
        bare = replace(whole.operators, min_price=None, max_price=None, bounds=[])
        groups = [[whole.items[place] for place in part] for part in parts(whole.items, asides=True)]
        # A side that names no thing ("in wood") is about the whole's: its words are values of that thing's options.
        one = (whole.text, whole.language, self.vocabulary, self._known, bare)
        queries = [self._query(Reading(*one, group, side=True, things=whole.things, named=told)) for group in groups]
        named = [query for query in queries if query.products]
        joined = [one for one in parts(whole.items) if any(whole.items[place].entry(*_SIDES) for place in one)]
        if len(named) < 2 and len(joined) < 2 and not pattern("sides").search(whole.lowered):
            return ()  # "which of your … can I use in a …": what stands aside is nothing to choose from
        things = named if len(named) > 1 else [query for query in queries if query.products or query.categories]
        if len(things) > 1 and not told:
            return tuple(things)
        return _versions(queries, things[0]) if things else ()

    # ------------------------------------------------------------ other words for things

    def _with_kin(self, text: str, items: list[Item]) -> list[Item]:
        """Where no thing is named by the catalog's own words, or only in an aside: by another word for it.

        Not in a sentence before the one that names a thing, which but tells what it is for.
        """
        things = [item for item in items if item.entry(*THINGS)]
        if self._kinship is None or any(map(is_proper, things)) or any(map(self.is_rare, items)):
            return items
        before = min((item.clause for item in things), default=len(items) + 1)
        begin = _sentence_start(text, things[0].start) if things else 0
        asked = [item for item in items if item.clause < before and item.start >= begin]
        runs = _runs([item for item in asked if self._may_be_thing(item)])
        phrases = [phrase for run in runs for phrase in _endings(run)]
        labels = dict(zip(phrases, self._kinship.labels_of(phrases), strict=True))
        kept = list(items)
        for run in runs:
            phrase, size = next(((phrase, size) for phrase, size in _endings(run).items() if labels[phrase]), ("", 0))
            if size:
                entries = tuple(self._labels[label] for label in labels[phrase])
                end = kept.index(run[-1]) + 1
                kept[end - size : end] = [replace(run[-1], kind="entry", start=run[-size].start, entries=entries)]
        return kept

    def _may_be_thing(self, item: Item) -> bool:
        if item.negated or not all(word.isalpha() for word in item.words):
            return False
        foreign = item.kind == "term" and len(item.words) == 1 and item.words[0] not in self.vocabulary.names
        return item.kind == "unknown" or foreign


def _sentence_start(text: str, place: int) -> int:
    """Where the sentence begins that holds this place."""
    return max((found.end() for found in _SENTENCE_END.finditer(text, 0, place)), default=0)


def _versions(queries: Sequence[ProductQuery], whole: ProductQuery) -> tuple[ProductQuery, ...]:
    """Versions of one thing set against each other: sides that give different values for the same option."""
    sides = [query for query in queries if query.options]
    shared = {name: values for query in sides for name, values in query.options.items()}
    differing = [name for name in shared if len({query.options[name] for query in sides if name in query.options}) > 1]
    common = {name: values for name, values in shared.items() if name not in differing}
    thing = {"products": whole.products, "categories": whole.categories, "brands": whole.brands}
    return tuple(
        replace(query, **thing, options=common | dict(query.options))
        for query in sides
        if any(name in query.options for name in differing)
    )


def _labels(vocabulary: Vocabulary) -> dict[str, Entry]:
    """What kinds of thing the catalog has, each as words for a sentence model, the commonest first."""
    labels: dict[str, Entry] = {}
    for phrase, entries in vocabulary.phrases.items():
        for entry in entries:
            if entry.kind in ("category", "kind") and entry.products.size:
                words = vocabulary.kinds.labels.get(phrase, entry.value) if entry.kind == "kind" else entry.value
                labels.setdefault(words, entry)
    return dict(sorted(labels.items(), key=lambda one: -one[1].products.size))


def _runs(items: Sequence[Item]) -> list[list[Item]]:
    """Items that stand together."""
    runs: list[list[Item]] = []
    for item in items:
        if runs and item.adjacent and runs[-1][-1].end >= item.start - 1 and not item.joined:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _endings(run: Sequence[Item]) -> dict[str, int]:
    """The end of a run, then its last word, each with how many items it takes: "foot pump", "pump"."""
    last = run[-_LONGEST_KIN:]
    return {" ".join(item.phrase for item in last): len(last), run[-1].phrase: 1}

"""A question on its way to a query: what has been found so far, and by whose words."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from shopbot.lookup.operators import Operators
from shopbot.lookup.postings import Ints
from shopbot.lookup.scan import Item
from shopbot.lookup.tokens import is_han, passed_over, stems
from shopbot.lookup.vocabulary import Vocabulary
from shopbot.types import Language

_MOST_LOOKED_AT = 50


@dataclass(slots=True)
class Reading:
    """A question, its items, and what was made of them.

    `things` are the indices of the products meant (None: no thing is named), `named` tells that they are meant by name
    and not by kind, `used` the places of the items that say so. `side` is true for one side of a comparison. `known`
    are ordinary words of the language.
    """

    text: str
    language: Language
    vocabulary: Vocabulary
    known: Container[str]
    operators: Operators
    items: list[Item]
    side: bool = False
    things: Ints | None = None
    named: bool = False
    used: set[int] = field(default_factory=set[int])
    categories: list[str] = field(default_factory=list[str])
    brands: list[str] = field(default_factory=list[str])
    options: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    words: list[str] = field(default_factory=list[str])
    terms: list[str] = field(default_factory=list[str])
    without: list[str] = field(default_factory=list[str])
    properties: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    alike: dict[str, str] = field(default_factory=dict[str, str])

    def said(self, item: Item) -> str:
        """An item as the shopper wrote it, or as it was mended."""
        written = self.text[item.start : item.end].strip().lower()
        return written if stems(written) == item.words else item.phrase

    def before(self, item: Item) -> str:
        """The text before an item, in lower case."""
        return self.text[: item.start].lower()

    @property
    def lowered(self) -> str:
        """The question in lower case."""
        return self.text.lower()

    def few_things(self) -> list[int]:
        """The first of the products meant, to look at their properties."""
        return [] if self.things is None else self.things[:_MOST_LOOKED_AT].tolist()


def parts(items: Sequence[Item], asides: bool = False) -> list[list[int]]:
    """Places of items in the parts that "and", "or" or a comma join; with `asides` also "with", "than", "to"."""
    found: list[list[int]] = []
    for place, item in enumerate(items):
        parted = item.joined or (asides and place > 0 and item.clause != items[place - 1].clause)
        if parted or not found:
            found.append([])
        found[-1].append(place)
    return found


def is_rare_word(item: Item, vocabulary: Vocabulary, known: Container[str]) -> bool:
    """Whether a word tells one product or a few: it is in few names, and is no word of an attribute or option.

    A common word of the language tells a product only if it begins a name: "Summit", but not the "drum" of "Snare
    Drum Head".
    """
    word = item.words[0]
    if item.kind != "term" or is_han(word) or word.isdigit() or word in passed_over() or item.measure:
        return False
    if vocabulary.properties.holds(word) and word.isalpha():  # a model number may stand in an attribute, too
        return False
    return (word in vocabulary.first_words or word not in known) and vocabulary.is_rare(word)


def is_proper(item: Item) -> bool:
    """Whether an item names products by more than the noun for their kind."""
    return item.entry("id") is not None or (item.entry("product") is not None and item.entry("kind") is None)

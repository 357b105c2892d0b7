"""Attributes and options of a catalog: their names, their values, who has them and who says no to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from shopbot.lookup.postings import Postings, Rows
from shopbot.lookup.tokens import grams, measures_in, passed_over, read_measure, stems
from shopbot.types import Product

YES = frozenset({"yes", "true", "included", "y", "是"})
NO = frozenset({"no", "none", "false", "not included", "not resistant", "without", "n", "否", "n/a", ""})


class Properties:
    """Words of attributes and options.

    `details`: word → products by attributes and option names; `lacks`: word → products that say no to it;
    `option_rows`: word of an option's value → rows; `options`: name → value → rows; `measures`: unit → (row, amount,
    name of the property); `told_values`: attributes' values in normal form, and the last word of each (the "wool" of
    "merino wool"). `names` maps the normal form of a property's name to how the catalog writes it.
    """

    def __init__(self, products: Sequence[Product], rows: Rows) -> None:
        self._products = products
        self.details, self.lacks = Postings(), Postings()
        self.options: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.option_rows: dict[str, list[int]] = defaultdict(list)
        self.option_names: dict[str, set[str]] = defaultdict(set)
        self.attribute_names: dict[str, set[str]] = defaultdict(set)
        self.measures: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
        self.told_values: set[str] = set()
        self._refused: set[str] = set()
        self._affirmed: set[str] = set()
        self._told: set[str] = set()
        for number, product in enumerate(products):
            first, last = int(rows.first[number]), int(rows.first[number + 1])
            for name, value in product.attributes.items():
                self._add_attribute(number, range(first, last), name, value)
            for row, variant in enumerate(product.variants, first):
                for name, value in variant.options.items():
                    self._add_option(number, row, name, value)

    def _add_attribute(self, number: int, rows: range, name: str, value: str) -> None:
        words, plain = stems(name), value.casefold()
        phrase = " ".join(words)
        self.attribute_names[phrase].add(name)
        (self._affirmed if plain in YES else self._told).add(phrase)
        if plain in NO:
            self._refused.add(phrase)
            self.lacks.add([phrase, *(word for word in words if word not in passed_over())], number)
            return
        self.details.add(words, number)
        if plain not in YES:
            self.told_values.update((" ".join(stems(value)), *stems(value)[-1:]))
            self.details.add((*grams(value), *_counted(name, value)), number)
            self._add_measures(rows, name, value)

    def _add_option(self, number: int, row: int, name: str, value: str) -> None:
        words = stems(name)
        self.option_names[" ".join(words)].add(name)
        self.options[name][value].append(row)
        if value.casefold() in NO:
            self._refused.add(" ".join(words))
            self.lacks.add([" ".join(words)], number)
            return
        said = words if value.casefold() in YES else (*grams(value), *_counted(name, value))
        for word in said:
            self.option_rows[word].append(row)
        if value.casefold() not in YES:
            self.details.add(words, number)
            self._add_measures(range(row, row + 1), name, value)

    def _add_measures(self, rows: range, name: str, value: str) -> None:
        for amount, unit in measures_in(" ".join((value, *_counted(name, value)))):
            self.measures[unit].extend((row, amount, name) for row in rows)

    # ------------------------------------------------------------ looking up

    def holds(self, word: str) -> bool:
        """Whether a word stands in an attribute, an option or the name of one."""
        return word in self.details or word in self.option_rows

    def is_flag(self, name: str) -> bool:
        """Whether a property is one that a thing has or lacks: some product says no to it, or all say yes."""
        phrase = " ".join(stems(name))
        values = {value.casefold() for value in self.options.get(name, ())}
        only_yes = phrase in self._affirmed and phrase not in self._told
        return phrase in self._refused or only_yes or bool(values and values <= NO | YES)

    def yes_values(self, name: str) -> tuple[str, ...]:
        """The values of an option that say yes."""
        return tuple(value for value in self.options.get(name, ()) if value.casefold() in YES)

    def named(self, name: str) -> str:
        """The option or attribute of this name as the catalog writes it; "" if there is none."""
        phrase = " ".join(stems(name))
        written = self.option_names.get(phrase) or self.attribute_names.get(phrase)
        return sorted(written)[0] if written else ""

    def options_of(self, numbers: Iterable[int]) -> list[str]:
        """Names of the options of these products."""
        variants = (variant for number in numbers for variant in self._products[number].variants)
        return list(dict.fromkeys(name for variant in variants for name in variant.options))

    def of(self, numbers: Sequence[int]) -> list[str]:
        """Names of the options, then of the attributes of these products."""
        attributes = (name for number in numbers for name in self._products[number].attributes)
        return list(dict.fromkeys([*self.options_of(numbers), *attributes]))

    def values(self, name: str, words: Sequence[str]) -> tuple[str, ...]:
        """The values of an option that are these words, else those that hold them."""
        values = {value: stems(value) for value in self.options.get(name, ())}
        same = tuple(value for value, own in values.items() if own == tuple(words))
        return same or tuple(value for value, own in values.items() if set(words) <= set(own))


def _counted(name: str, value: str) -> list[str]:
    """The measure that a bare number under a unit's name is: pieces 500 is "500 pieces"."""
    measure = read_measure(f"{value} {stems(name)[-1]}") if value.isdigit() and stems(name) else None
    return [] if measure is None else [measure]

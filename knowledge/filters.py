"""Which passages a question may be answered from: kind, language, validity, category, price, stock; as rows, before any search.

Fields are kept as small arrays of numbers, so that a filter over 200,000 passages costs less than a millisecond. The rows of the
filters asked last are kept: a shop asks the same few all day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from threading import Lock
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from shopbot.types import Passage

_KEPT = 16


class Filters(TypedDict, total=False):
    """What a passage must be; a field that is absent or None is left aside.

    `today`: a day on which it is valid. `category`, prices (in the currency of the rows, both ends included) and `in_stock` are
    those of a passage's metadata: one that does not say is left out where they are asked for.
    """

    kind: str | None
    today: date | None
    category: str | None
    least_price: float | None
    most_price: float | None
    in_stock: bool | None


class Columns:
    """The fields that filters ask for, as arrays: row i is passage i."""

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages
        self._kinds, self._kind = _numbered([passage.kind for passage in passages])
        self._languages, self._language = _numbered([passage.language for passage in passages])
        self._categories, self._category = _numbered([_text(each, "category") for each in passages])
        self._from = np.array([(each.valid_from or date.min).toordinal() for each in passages], dtype=np.int32)
        self._until = np.array([(each.valid_until or date.max).toordinal() for each in passages], dtype=np.int32)
        self._price = np.array([_number(each, "price") for each in passages], dtype=np.float64)
        self._stock = np.array([_stock(each) for each in passages], dtype=np.int8)
        self._recent: OrderedDict[tuple[str, frozenset[tuple[str, object]]], NDArray[np.intp]] = OrderedDict()
        self._lock = Lock()

    def allowed(self, language: str, filters: Filters) -> NDArray[np.intp]:
        """Rows that a question in `language` may be answered from, ascending; not to be written to."""
        key = (language, frozenset(filters.items()))
        with self._lock:
            if (known := self._recent.get(key)) is not None:
                self._recent.move_to_end(key)
                return known
        rows = np.flatnonzero(self._in_language(language, self._mask(filters)))
        rows.flags.writeable = False
        with self._lock:
            self._recent[key] = rows
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return rows

    def _mask(self, filters: Filters) -> NDArray[np.bool_]:
        mask = np.ones(len(self.passages), dtype=bool)
        if (kind := filters.get("kind")) is not None:
            mask &= self._kind == self._kinds.get(kind, -1)
        if (today := filters.get("today")) is not None:
            day = today.toordinal()
            mask &= (self._from <= day) & (day <= self._until)
        if (category := filters.get("category")) is not None:
            mask &= self._category == self._categories.get(category.casefold(), -1)
        if (least_price := filters.get("least_price")) is not None:
            mask &= self._price >= least_price  # nan, of one without a price, is neither above nor below
        if (most_price := filters.get("most_price")) is not None:
            mask &= self._price <= most_price
        if (in_stock := filters.get("in_stock")) is not None:
            mask &= self._stock == int(in_stock)
        return mask

    def _in_language(self, language: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Rows in the language or in none; every row of a kind that has nothing in that language."""
        fits = mask & (
            (self._language == self._languages.get(language, -1)) | (self._language == self._languages.get("", -1))
        )
        there = np.bincount(self._kind[mask], minlength=len(self._kinds)) > 0
        spoken = np.bincount(self._kind[fits], minlength=len(self._kinds)) > 0
        silent = there & ~spoken
        return fits | (mask & silent[self._kind]) if silent.any() else fits


def _numbered(values: Sequence[str]) -> tuple[dict[str, int], NDArray[np.int32]]:
    """A number for each different value, and the values as numbers, shape (n,)."""
    numbers: dict[str, int] = {}
    return numbers, np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int32)


def _text(passage: Passage, key: str) -> str:
    value = passage.metadata.get(key)
    return value.casefold() if isinstance(value, str) else ""


def _number(passage: Passage, key: str) -> float:
    value = passage.metadata.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _stock(passage: Passage) -> int:
    """1 in stock, 0 not, -1 where the passage does not say."""
    value = passage.metadata.get("in_stock")
    return int(value) if isinstance(value, bool) else -1

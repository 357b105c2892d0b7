"""The passages nearest to a question among those that a filter allows.

Chroma's own filter costs ten to a hundred times its plain query, and asking its graph for more until enough are allowed loses
some. So a filter is answered here, from the matrix that lies beside Chroma: exactly where few rows are allowed; in two steps
where many are, first by a few of the dimensions and then by all for the best of those. Chroma's graph is asked where it is the
fastest: in a large index without a filter, or with one that allows nearly everything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopbot.errors import StoreError

log = logging.getLogger(__name__)

Graph = Callable[[NDArray[np.float32], int], NDArray[np.intp]]
"""From a vector (dimension,) and a count to the rows that Chroma's graph finds, best first; raises StoreError where it cannot be asked."""

BY_GRAPH = 0.8
LARGE = 50_000
"""The share of allowed rows, and their number, from which the graph is asked: in fewer the two steps are faster."""

EXACT_ROWS = 8_000
"""Up to this many allowed rows are compared by all dimensions at once."""

COARSE_DIMENSIONS = 96
REFINED, REFINED_SHARE = 12, 40
"""The coarse step hands on this many times the wanted count, or one of so many of the allowed rows where that is more."""

GRAPH_RESTS = 30.0
"""Seconds for which a graph that failed (its server is down) is not asked again: a turn would wait for it."""

_SAMPLE = 20_000
_MANY = 4096
_BINS = 2048


class Nearest:
    """Search over `vectors`, shape (n, dimension), of length 1. Threads may share it."""

    def __init__(self, vectors: NDArray[np.float32], graph: Graph) -> None:
        self._vectors = vectors
        self._graph = graph
        self._failed = False
        self._rests_until = 0.0

    def rows(self, vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """About `count` of the `allowed` rows (ascending) with the highest cosine to `vector`, in no order."""
        total = len(self._vectors)
        if len(allowed) <= count:
            return allowed
        if len(allowed) > max(LARGE, BY_GRAPH * total):
            found = self._by_graph(vector, allowed, count)
            if len(found) >= count:
                return found[:count]
        if len(allowed) > EXACT_ROWS:
            allowed = self._coarsely(vector, allowed, max(REFINED * count, len(allowed) // REFINED_SHARE))
        return _best_by_product(self._vectors, vector, allowed, count)

    def _by_graph(self, vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """The allowed rows that the graph finds, best first; none while it fails: the two steps then find them, only slower."""
        if time.monotonic() < self._rests_until:
            return np.empty(0, dtype=np.intp)
        total = len(self._vectors)
        wanted = count if len(allowed) == total else int(1.5 * count * total / len(allowed))
        try:
            found = self._graph(vector, wanted)
        except StoreError as error:
            if not self._failed:  # once, not every half minute
                log.warning("the graph of the index cannot be asked, searching without it: %s", error)
            self._failed, self._rests_until = True, time.monotonic() + GRAPH_RESTS
            return np.empty(0, dtype=np.intp)
        self._failed = False
        return found if len(allowed) == total else found[np.isin(found, allowed, assume_unique=True)]

    def _coarsely(self, vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        axes, coarse = self._coarse
        return _best_by_product(coarse, (vector @ axes).astype(np.float32), allowed, count)

    @cached_property
    def _coarse(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The directions in which the vectors differ most (dimension, 96), and the vectors along them (n, 96).

        Principal axes of the second moment, not of the covariance: what is kept is the dot product, not the distance to the mean.
        """
        sample = np.asarray(self._vectors[:: max(1, len(self._vectors) // _SAMPLE)])
        _, axes = np.linalg.eigh(sample.T @ sample)
        chosen = np.ascontiguousarray(axes[:, -COARSE_DIMENSIONS:], dtype=np.float32)
        return chosen, np.asarray(self._vectors @ chosen, dtype=np.float32)


def _best_by_product(
    matrix: NDArray[np.float32], vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """The `count` of the `allowed` rows whose product with `vector` is highest, in no order."""
    if len(allowed) * 4 > len(matrix):  # one product over all rows is cheaper than gathering a quarter of them
        return best_rows(np.dot(matrix, vector), allowed, count)
    return allowed[best_rows(np.dot(matrix[allowed], vector), np.arange(len(allowed)), count)]


def best_rows(scores: NDArray[np.float32], rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The `count` of `rows` with the highest scores, in no order; `scores` has one for every row there is.

    Of many rows the best are found by a histogram: selection slows down badly where scores are equal, as those of words often
    are. What lies in the last bin is chosen from exactly, unless that holds thousands, which then differ by less than a
    two-thousandth of the range.
    """
    if len(rows) <= count:
        return rows
    own = scores if len(rows) == len(scores) else scores[rows]
    if len(rows) <= _MANY:
        return rows[np.argpartition(own, len(own) - count)[-count:]]
    low, high = float(own.min()), float(own.max())
    bins = ((own - low) * ((_BINS - 1) / max(high - low, 1e-9))).astype(np.int16)
    reached = np.cumsum(np.bincount(bins, minlength=_BINS)[::-1])
    last = _BINS - 1 - int(np.searchsorted(reached, count))
    above, level = np.flatnonzero(bins > last), np.flatnonzero(bins == last)
    wanted = count - len(above)
    if wanted < len(level) <= _MANY:
        level = level[np.argpartition(own[level], len(level) - wanted)[-wanted:]]
    return rows[np.concatenate([above, level[:wanted]])]

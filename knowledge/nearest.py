"""The passages nearest to a question among those that a filter allows.

Chroma's own filter costs ten to a hundred times its plain query, and asking its graph for more until enough are allowed loses
some. So a filter is answered here, from the matrix that lies beside Chroma: exactly where few rows are allowed; in two steps
where many are, first by a few of the dimensions and then by all for the best of those. Chroma's graph is asked where it is the
fastest: in a large index without a filter, or with one that allows nearly everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Graph = Callable[[NDArray[np.float32], int], NDArray[np.intp]]
"""From a vector (dimension,) and a count to the rows that Chroma's graph finds, best first."""

BY_GRAPH = 0.8
LARGE = 50_000
"""The share of allowed rows, and their number, from which the graph is asked: in fewer the two steps take half its time."""

EXACT_ROWS = 8_000
"""Up to this many allowed rows are compared by all dimensions at once."""

COARSE_DIMENSIONS = 64
REFINED = 12
"""How many times the wanted count the coarse step hands on."""

_SAMPLE = 20_000


class Nearest:
    """Search over `vectors`, shape (n, dimension), of length 1. Threads may share it."""

    def __init__(self, vectors: NDArray[np.float32], graph: Graph) -> None:
        self._vectors = vectors
        self._graph = graph

    def rows(self, vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """About `count` of the `allowed` rows (ascending) with the highest cosine to `vector`, in no order."""
        total = len(self._vectors)
        if len(allowed) <= count:
            return allowed
        if len(allowed) > max(LARGE, BY_GRAPH * total):
            found = self._graph(vector, count if len(allowed) == total else int(1.5 * count * total / len(allowed)))
            found = found if len(allowed) == total else found[np.isin(found, allowed, assume_unique=True)]
            if len(found) >= count:
                return found[:count]
        if len(allowed) > EXACT_ROWS:
            allowed = self._coarsely(vector, allowed, REFINED * count)
        return allowed[best_rows(np.dot(self._vectors[allowed], vector), np.arange(len(allowed)), count)]

    def _coarsely(self, vector: NDArray[np.float32], allowed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        axes, coarse = self._coarse
        question = (vector @ axes).astype(np.float32)
        if len(allowed) * 4 > len(coarse):  # one product over all rows is cheaper than gathering a quarter of them
            return best_rows(np.dot(coarse, question), allowed, count)
        return allowed[best_rows(np.dot(coarse[allowed], question), np.arange(len(allowed)), count)]

    @cached_property
    def _coarse(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The directions in which the vectors differ most (dimension, 64), and the vectors along them (n, 64).

        Principal axes of the second moment, not of the covariance: what is kept is the dot product, not the distance to the mean.
        """
        sample = np.asarray(self._vectors[:: max(1, len(self._vectors) // _SAMPLE)])
        _, axes = np.linalg.eigh(sample.T @ sample)
        chosen = np.ascontiguousarray(axes[:, -COARSE_DIMENSIONS:], dtype=np.float32)
        return chosen, np.asarray(self._vectors @ chosen, dtype=np.float32)


def best_rows(scores: NDArray[np.float32], rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The `count` of `rows` with the highest scores, in no order; `scores` has one for every row there is."""
    if len(rows) <= count:
        return rows
    own = scores if len(rows) == len(scores) else scores[rows]
    return rows[np.argpartition(own, len(own) - count)[-count:]]

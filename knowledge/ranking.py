"""How good a ranking of documents is: recall, nDCG and MRR, each for one question, and what their means are worth.

A ranking is a list of document ids, best first. Relevance is yes or no. Documents with the same score are ranked against us: those
that are not relevant come first (`rank`), so that a retriever that tells nothing apart gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000
"""Samples that a bootstrap interval is made of."""


def recall(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant documents that are among the first `k`; at most k ÷ their number where that is above `k`."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def ndcg(ranking: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k` (Järvelin & Kekäläinen, ACM TOIS 20(4), 2002), gain 1 or 0.

    DCG = Σ 1 / log2(rank + 1) over the ranks, from 1, of relevant documents; divided by that of a ranking which has all of them
    in front. The discount is the usual log2(rank + 1), which begins with rank 2; in the article's own, log_b(rank) with
    b = 2, ranks 1 and 2 count alike.
    """
    wanted = set(relevant)
    gained = sum(_discount(rank) for rank, document in enumerate(ranking[:k], 1) if document in wanted)
    return gained / sum(_discount(rank) for rank in range(1, min(k, len(wanted)) + 1))


def reciprocal_rank(ranking: Sequence[str], relevant: Collection[str]) -> float:
    """1 ÷ the rank of the first relevant document, 0 where there is none; its mean over questions is the MRR."""
    wanted = set(relevant)
    return next((1 / rank for rank, document in enumerate(ranking, 1) if document in wanted), 0.0)


METRICS = ("recall@1", "recall@3", "recall@10", "ndcg@10", "mrr")


def measure(ranking: Sequence[str], relevant: Collection[str]) -> tuple[float, ...]:
    """The figures of one question, in the order of METRICS."""
    return (
        *(recall(ranking, relevant, k) for k in (1, 3, 10)),
        ndcg(ranking, relevant),
        reciprocal_rank(ranking, relevant),
    )


def rank(documents: NDArray[np.str_], scores: NDArray[np.float32], relevant: Collection[str]) -> list[str]:
    """Documents by score, the best first, ties against us; those without a score above 0 were not found.

    `documents` and `scores` have a row for each passage; the best passage of a document counts.
    """
    names, places = np.unique(documents, return_inverse=True)
    best = np.zeros(len(names), dtype=np.float32)
    np.maximum.at(best, places, scores)
    wanted = np.isin(names, list(relevant))
    order = np.lexsort((wanted, -best))
    return names[order[best[order] > 0]].tolist()


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of `values`, one a question: percentiles of the bootstrap over questions (Efron, 1979).

    The same seed gives the same interval.
    """
    draw = np.random.default_rng(seed)
    means = [values[draw.integers(0, len(values), len(values))].mean() for _ in range(ROUNDS)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _discount(place: int) -> float:
    return 1 / math.log2(place + 1)

"""Another word for a kind of thing: "mobile" for a shop that says "telephone", by a sentence model's similarity.

Cosines of short words differ widely between models and words, so a likeness is judged against ordinary words that no
shop sells: how far above them the pair stands, seen from both sides (the mean of two z-scores).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopbot.lookup.tokens import words_table

Similar = Callable[[list[str]], NDArray[np.float32]]
LEAST_LIKENESS = 5.3
"""Chosen on two shops with MiniLM: four in five other words found where the shop sells the thing, one in twenty
taken for something else where it does not."""
_MOST_LABELS = 600
_MOST_KEPT = 4096
_FRAME = "a {}"


class Kinship:
    """Labels of a catalog (kinds and categories), and which of them a word means."""

    def __init__(self, labels: Sequence[str], similar: Similar) -> None:
        self.labels = list(labels)[:_MOST_LABELS]
        self._similar = similar
        self._kept: dict[str, tuple[str, ...]] = {}

    def labels_of(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """For each word the labels it means, best first; empty where none is near enough. One model call at most."""
        new = [word for word in dict.fromkeys(words) if word not in self._kept]
        if new and self.labels:
            if len(self._kept) > _MOST_KEPT:
                self._kept.clear()
            for word, row in zip(new, self._likeness(self._embed(new)), strict=True):
                self._kept[word] = self._near(row)
        return [self._kept.get(word, ()) for word in words]

    def _near(self, row: NDArray[np.float32]) -> tuple[str, ...]:
        best = float(row.max())
        if best < LEAST_LIKENESS:
            return ()
        # Kinds almost as near are meant, too.
        order = np.argsort(-row)[:3]
        return tuple(self.labels[place] for place in order if row[place] >= max(LEAST_LIKENESS, 0.9 * best))

    def _likeness(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        labels, ordinary, mean, spread = self._ground
        own = vectors @ ordinary.T
        cosines = vectors @ labels.T
        from_word = (cosines - own.mean(axis=1, keepdims=True)) / own.std(axis=1, keepdims=True)
        return (from_word + (cosines - mean) / spread) / 2

    @cached_property
    def _ground(self) -> tuple[NDArray[np.float32], ...]:
        """Vectors of labels (n, d) and ordinary words (m, d), and each label's mean and spread of cosine with these."""
        labels = self._embed(self.labels)
        ordinary = self._embed(words_table()["ordinary"]["en"].split())
        cosines = ordinary @ labels.T
        return labels, ordinary, cosines.mean(axis=0, keepdims=True), cosines.std(axis=0, keepdims=True)

    def _embed(self, words: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(self._similar([_FRAME.format(word) for word in words]), dtype=np.float32)

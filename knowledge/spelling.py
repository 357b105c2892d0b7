"""Slips of typing in a question, put right with the words of the shop's own documents.

Only a word that neither the documents nor the embedder's vocabulary has is changed, and only into one of the documents'
that is a letter away (two in a long word): "retrun" → "return". What a customer spells rightly stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable

from rapidfuzz.distance import OSA

_WORD = re.compile(r"\b[^\W\d_]+(?:['’][^\W\d_]+)?\b")
"""Letters alone: what is joined to a digit is part of an id."""
_SHORTEST = 5
_LONG = 10


class Speller:
    """Corrects words against the vocabulary of `texts`; `known` has the other words that are right."""

    def __init__(self, texts: Iterable[str], known: Container[str]) -> None:
        self._counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
        self._known = known
        self._near: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for word in self._counts:
            if word.isascii() and len(word) >= _SHORTEST - 1:
                self._near[word[0], len(word)].append(word)

    def correct(self, text: str) -> str:
        """`text` with its slips put right, everything else untouched."""
        return _WORD.sub(lambda match: self._corrected(match[0]), text)

    def _corrected(self, word: str) -> str:
        lowered = word.lower()
        if len(word) < _SHORTEST or not word.isascii() or not word.isalpha() or word.isupper():
            return word
        if lowered in self._counts or lowered in self._known:
            return word
        edits = 2 if len(word) >= _LONG else 1
        lengths = range(len(word) - edits, len(word) + edits + 1)
        found = [
            (distance, -self._counts[other], other)
            for length in lengths
            for other in self._near.get((lowered[0], length), ())
            if (distance := OSA.distance(lowered, other, score_cutoff=edits)) <= edits
        ]
        return min(found)[2] if found else word

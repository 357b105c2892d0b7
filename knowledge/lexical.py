"""The exact-word leg: BM25 over words, pairs of ideographs, and ids kept whole.

Chinese has no spaces, so a run of ideographs counts as its overlapping pairs. An id such as "AB-120-GRN" counts
whole and in parts, so that it is found however it is typed. Scores come from bm25s with its numpy form: one query is a few
slices of a sparse matrix, for which compiling numba code would cost seconds and gain nothing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.sentences import CJK

_TOKEN = re.compile(rf"[{CJK}]+|[^\W_]+(?:[-_./'’,][^\W_]+)*", re.UNICODE)
_IS_CJK = re.compile(f"[{CJK}]")
_CJK_OR_NOT = re.compile(rf"[{CJK}]+|[^{CJK}]+")
_JOINERS = re.compile(r"[-_./'’,]")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_STOPS_EN = frozenset(
    "a an the i im ive id me my mine you your yours we our us it its they them their he she his her is are was were be been am do "
    "does did done have has had can could may might must shall should will would to of in on at for from by with about as and or if then "
    "than that this these those there here what which who whom whose when where why how not no any some so just please want "
    "need get got like there's dont doesnt cant isnt wont whats hows hi hello thanks ok also into up out".split()
)
_STOPS_ZH = frozenset(
    "的了吗呢吧啊呀嘛我你您他她它们是有在和与及或就都也还要想请问能可以会怎么样什哪个些那这如何为被把对给让得着过里吗一下"
)


def tokenize(text: str) -> list[str]:
    """Tokens for indexing: folded words, pairs of ideographs (a lone one as it is), ids whole and in parts."""
    tokens: list[str] = []
    for run in _TOKEN.findall(unicodedata.normalize("NFKC", text).lower()):
        for piece in _CJK_OR_NOT.findall(run):
            if _IS_CJK.match(piece):
                tokens += [piece[at : at + 2] for at in range(len(piece) - 1)] or [piece]
            else:
                tokens += _latin(piece.strip("-_./'’,"))
    return tokens


def _latin(word: str) -> list[str]:
    if _NUMBER.fullmatch(word):
        return [word.replace(",", "")]
    word = re.sub(r"['’]s$", "", word)
    parts = [fold(part) for part in _JOINERS.split(word) if part]
    if len(parts) <= 1:
        return parts
    if "'" in word or "’" in word:  # don't, l'eau
        return [_JOINERS.sub("", word)]
    whole = word if any(map(str.isdigit, word)) else fold(_JOINERS.sub("", word))
    return [whole, *parts]


def fold(word: str) -> str:
    """A plural as its singular ("policies" → "policy", "boxes" → "box"); anything else unchanged."""
    if len(word) <= 3 or not word.isascii() or not word.isalpha() or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


def is_stop(token: str) -> bool:
    """Whether a token of a question says nothing about its subject ("do", "我想")."""
    return token in _STOPS_EN or all(character in _STOPS_ZH for character in token)


class LexicalIndex:
    """BM25 (Lucene's form) over a fixed list of texts; row i of every result belongs to text i."""

    def __init__(self, texts: Sequence[str]) -> None:
        tokens = [tokenize(text) for text in texts]
        self.size = len(tokens)
        self._document_frequency = Counter(token for each in tokens for token in set(each))
        self._bm25 = _fitted(tokens) if self._document_frequency else None

    def scores(self, query: str) -> NDArray[np.float32]:
        """BM25 of every text, shape (n,); zeros where the question has no word that any text has."""
        known = [token for token in query_tokens(query) if token in self._document_frequency]
        if not known or self._bm25 is None:
            return np.zeros(self.size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores(known), dtype=np.float32)

    def idf(self, token: str) -> float:
        """Inverse document frequency, positive; a word that no text has counts as one that a single text has."""
        frequency = max(self._document_frequency.get(token, 0), 1)
        return math.log1p((self.size - frequency + 0.5) / (frequency + 0.5))


def query_tokens(query: str) -> list[str]:
    """The tokens of a question that say what it is about; all of them where nothing else is left."""
    tokens = tokenize(query)
    return [token for token in tokens if not is_stop(token)] or tokens


def _fitted(tokens: list[list[str]]) -> Any:
    import bm25s

    model = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numpy")
    model.index(tokens, show_progress=False)
    return model

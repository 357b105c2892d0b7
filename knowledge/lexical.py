"""The exact-word leg: BM25 over folded words, ideographs and pairs of them, and ids kept whole.

Chinese has no spaces, so a run of ideographs counts as its single characters and its overlapping pairs. An id such as
"AB-120-GRN" counts whole, as "ab120grn", and in parts, so that it is found however it is typed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge.postings import Postings, TokenTable
from knowledge.sentences import CJK

_TOKEN = re.compile(rf"[{CJK}]+|[^\W_]+(?:[-_./'’,][^\W_]+)*")
_IS_CJK = re.compile(f"[{CJK}]")
_CJK_OR_NOT = re.compile(rf"[{CJK}]+|[^{CJK}]+")
_JOINERS = re.compile(r"[-_./'’,]")
_BORDER = re.compile(r"(?<=\d)(?=[^\W\d])|(?<=[^\W\d])(?=\d)")
"""Between a digit and a letter: "5kg" is also "5 kg", and an id is typed with or without its hyphens."""
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_VOWEL = re.compile("[aeiouy]")

_STOPS_EN = frozenset(
    """a an the i im ive id me my mine you your yours we our us it its they them their he she his her is are was were be
    been am do does did done have has had can could may might must shall should will would to of in on at for from by
    with about as and or if then than that this these those there here what which who whom whose when where why how not
    no any some so just please want need get got like theres dont doesnt cant isnt wont whats hows hi hello thanks ok
    also into up out""".split()
)
_STOPS_ZH = frozenset(
    "的了吗呢吧啊呀嘛我你您他她它们是有在和与及或就都也还要想请问能可以会怎么样什哪个些那这如何为被把对给让得着过里一下"
)
_ASKED_ZH = re.compile(
    "什么时候|多长时间|多少钱|怎么样|怎么办|为什么|能不能|可不可以|是不是|有没有|什么|多久|多少|几[天点次号时张个件年]|"
    "怎么|怎样|如何|哪里|哪儿|哪个|哪些|可以|是否|请问|我想|一下|东西"
)
"""Phrases that ask, in Chinese: their characters would match words of the text by accident."""


def tokenize(text: str) -> list[str]:
    """Tokens for indexing: folded words, ideographs and pairs of them, ids whole and in parts."""
    tokens: list[str] = []
    for run in _TOKEN.findall(unicodedata.normalize("NFKC", text).lower()):
        for piece in _CJK_OR_NOT.findall(run):
            if _IS_CJK.match(piece):
                tokens += piece
                tokens += [piece[at : at + 2] for at in range(len(piece) - 1)]
            else:
                tokens += _latin(piece.strip("-_./'’,"))
    return tokens


def query_tokens(query: str) -> list[str]:
    """The tokens of a question that say what it is about, each once; all of them where nothing else is left."""
    about = [token for token in tokenize(_ASKED_ZH.sub(" ", query)) if not is_stop(token)]
    return list(dict.fromkeys(about or tokenize(query)))


def is_stop(token: str) -> bool:
    """Whether a token of a question says nothing about its subject ("do", "我想")."""
    return token in _STOPS_EN or all(character in _STOPS_ZH for character in token)


def _latin(word: str) -> list[str]:
    if _NUMBER.fullmatch(word):
        return [word.replace(",", "")]
    word = re.sub(r"['’]s$", "", word)
    if "'" in word or "’" in word:  # don't, l'eau
        return [_JOINERS.sub("", word)]
    parts = [fold(part) for piece in _JOINERS.split(word) if piece for part in _BORDER.split(piece)]
    if len(parts) <= 1:
        return parts
    whole = fold(_JOINERS.sub("", word)) if any(map(str.isalpha, word)) else word  # "2-3" is not 23
    return [whole, *parts]


def fold(word: str) -> str:
    """A word without the endings of plural, -ing and -ed ("policies" → "policy", "cancelling" → "cancel").

    Cruder than a stemmer: what counts is that the forms of one word meet.
    """
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    word = _singular(word)
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3 and _VOWEL.search(stem):
            word = stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "sz" and len(stem) > 4 else stem
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _singular(word: str) -> str:
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "zzes", "ches", "shes")) else word[:-1]


class LexicalIndex:
    """BM25 (Lucene's form) over a fixed list of texts; row i of every result belongs to text i."""

    def __init__(self, texts: Sequence[str] | TokenTable) -> None:
        tokens = texts if isinstance(texts, TokenTable) else token_table(texts)
        self.size = len(tokens)
        self._postings = Postings(tokens)

    def scores(self, query: str) -> NDArray[np.float32]:
        """BM25 of every text, shape (n,); zeros where the question has no word that any text has."""
        return self._postings.scores(query_tokens(query))

    def shares(self, query: str, rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """BM25 as a share of what a text could have at most, in [0, 1]: how much of the question it covers.

        Unlike scaling by the best text found, this stays low where even the best has only a stray word in common. Of every
        text, shape (n,), or of `rows` alone.
        """
        words = query_tokens(query)
        found = self._postings.scores(words) if rows is None else self._postings.scores_of(words, rows)
        return found / np.float32(sum(map(self.idf, words)) or 1.0)

    def cover(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """About what `shares` would say of texts that are not in the index, shape (len(texts),)."""
        wanted = {token: self.idf(token) for token in query_tokens(query)}
        there = [set(tokenize(text)) for text in texts]
        total = sum(wanted.values()) or 1.0
        found = [sum(idf for token, idf in wanted.items() if token in tokens) for tokens in there]
        return np.array(found, dtype=np.float32) / total

    def idf(self, token: str) -> float:
        """Inverse document frequency, positive; a word that no text has counts like one that a single text has."""
        frequency = max(self._postings.frequency(token), 1)
        return math.log1p(max(self.size - frequency + 0.5, 0.0) / (frequency + 0.5))


def token_table(texts: Sequence[str]) -> TokenTable:
    """The tokens of texts, as an index keeps them."""
    return TokenTable.of(texts, tokenize)

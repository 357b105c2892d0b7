"""Which passages and which of their sentences answer the question; nothing is encoded here.

A sentence is scored by meaning (its stored vector), by words (weighted by how rare they are, its headings counted in),
by the kind of answer that is asked for ("how long" wants a time, "how much" an amount), and by its passage. A passage
then moves up by its best sentence. The weights were set on the development questions of `benchmarks/answers`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.lexical import LexicalIndex, query_tokens, tokenize
from knowledge.sentences import sentences
from knowledge.vectors import Sentences, sentence_text
from shopbot.types import Passage, ScoredPassage, ScoredSentence

WORDS, KIND, PASSAGE = 0.3, 0.3, 0.5
"""What words, kind of answer and passage weigh beside meaning, which counts 1."""
BEST_SENTENCE = 0.3
"""How much a passage's best sentence counts for the passage's own place."""
LEAD = 0.75
"""What a document's opening lines keep of their score: they say what the page is about, its sections what holds."""

_NUMBER_ZH = "[一二两三四五六七八九十百]"
_DURATION = (
    r"\d+ ?(?:[–-]|to )?\d* ?(?:working |business )?(?:day|hour|minute|week|month|year)|\d{1,2}[:.]\d\d|\b(?:19|20)\d\d\b"
    rf"|immediately|at once|(?:\d+|{_NUMBER_ZH}) ?个?(?:工作)?(?:天|日|小时|分钟|周|月|年)|立即"
)
_KINDS = tuple(
    (re.compile(asks, re.IGNORECASE), re.compile(answers, re.IGNORECASE))
    for asks, answers in (
        (
            r"how (?:long|soon|quick|fast|late|many days)|how much time|by when|until (?:when|what)|last day|latest"
            r"|when |within|[几多](?:天|久|长时间|年|个月|少天)|什么时候|最晚|何时|哪天",
            _DURATION,
        ),
        (
            r"how much|what .*(?:cost|charge|fee|amount|price|worth)|percent|多少(?:钱|英镑|元)|几折|百分之|费用|运费|多贵|省",
            r"[£$€¥] ?\d|\d ?[%元]|\bfree\b|percent|免费|英镑",
        ),
        (
            r"how (?:many|often|high)|[几多少][次个期件]|多少",
            rf"\d|\b(?:one|two|three|four|five|six|once|twice|single)\b|{_NUMBER_ZH}",
        ),
        (
            r"^(?:so |and |but )?(?:can|could|may|must|do i|will you|is it possible|am i|are there|do you)\b|possible\b"
            r"|能不能|可以|能否|吗",
            r"\b(?:can|cannot|may|must|only|not|never|no)\b|不|可以|只|必须|无法",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Passages, best first, and their best sentences with how likely each answers, in [0, 1]."""

    passages: tuple[ScoredPassage, ...]
    sentences: tuple[ScoredSentence, ...]


class Shelf(Protocol):
    """Where sentences are kept: a `KnowledgeIndex` is one."""

    @property
    def lexical(self) -> LexicalIndex:
        """How rare each word is."""
        ...

    def sentences(self, passage_id: str) -> Sentences:
        """A passage's sentences with their vectors."""
        ...


class Widened:
    """A shelf with further passages, kept in memory only: they can be read, and are not searched for."""

    def __init__(self, index: KnowledgeIndex, passages: Sequence[Passage], embedder: SentenceEmbedder) -> None:
        self.lexical = index.lexical
        self._index = index
        self._extra: dict[str, Sentences] = {}
        for passage in passages:
            texts = sentences(passage.text)
            vectors = embedder.embed_array([sentence_text(passage.title, text) for text in texts])
            self._extra[passage.id] = Sentences(texts, vectors)

    def sentences(self, passage_id: str) -> Sentences:
        """A passage's sentences with their vectors."""
        return self._extra[passage_id] if passage_id in self._extra else self._index.sentences(passage_id)


def read(
    question: str,
    query_vector: NDArray[np.float32] | None,
    passages: Sequence[ScoredPassage],
    index: Shelf,
    limit: int = 6,
    *,
    keep: int = 6,
    hint: Sequence[str] = (),
) -> Reading:
    """Read candidates.

    Args:
        question: the question.
        query_vector: its vector (dimension,), or None where the model cannot read the question: words alone then.
        passages: some twenty candidates, as a retriever scored them.
        index: where they are from; it holds their sentences and vectors.
        limit: how many sentences to return.
        keep: how many passages to return; sentences come from these only.
        hint: words that the question does not say but means.
    """
    wanted = {token: index.lexical.idf(token) for token in query_tokens(" ".join([question, *hint]))}
    read_ones = [_Read(scored, index, query_vector, wanted, _kinds(question)) for scored in _without_leads(passages)]
    tops = np.array([one.best for one in read_ones] or [0.0])
    span = float(np.ptp(tops)) or 1.0
    for one, top in zip(read_ones, tops, strict=False):
        share = (1 - BEST_SENTENCE) * one.scored.score + BEST_SENTENCE * float(top - tops.min()) / span
        one.scored = replace(one.scored, score=share)
    read_ones.sort(key=lambda one: -one.scored.score)
    best = read_ones[:keep]
    ranked = sorted(
        ((score, sentence) for one in best for score, sentence in one.sentences()), key=lambda pair: -pair[0]
    )
    return Reading(tuple(one.scored for one in best), tuple(sentence for _, sentence in ranked[:limit]))


class _Read:
    """One passage with the scores of its sentences."""

    def __init__(
        self,
        scored: ScoredPassage,
        index: Shelf,
        vector: NDArray[np.float32] | None,
        wanted: dict[str, float],
        kinds: Sequence[re.Pattern[str]],
    ) -> None:
        self.scored = scored
        known = index.sentences(scored.passage.id)
        self._texts = known.texts
        count = len(known.texts)
        self._cosines = known.vectors @ vector if vector is not None else np.zeros(count, np.float32)
        total = sum(wanted.values()) or 1.0
        title = _tokens(scored.passage.title)
        there = [_tokens(text) | title for text in known.texts]
        self._overlaps = [sum(idf for token, idf in wanted.items() if token in each) / total for each in there]
        self._kinds = [any(kind.search(text) for kind in kinds) for text in known.texts]
        self._reads = vector is not None
        self._dense = scored.dense if vector is not None else 0.0

    def _own(self, place: int) -> float:
        return float(self._cosines[place]) + WORDS * self._overlaps[place] + KIND * self._kinds[place]

    @property
    def best(self) -> float:
        return max((self._own(place) for place in range(len(self._texts))), default=0.0)

    def sentences(self) -> list[tuple[float, ScoredSentence]]:
        """(what it ranks by, the sentence with the chance that it answers)."""
        return [
            (
                self._own(place) + PASSAGE * self.scored.score,
                ScoredSentence(text, self.scored.passage, self._chance(place), place),
            )
            for place, text in enumerate(self._texts)
        ]

    def _chance(self, place: int) -> float:
        """A logistic model of "this sentence answers", fitted on the development questions.

        Where the embedder does not read the language, words are all there is, and a few shared ones say much.
        """
        if not self._reads:
            return _sigmoid(8 * self._overlaps[place] - 0.3)
        meaning = 3.3 * float(self._cosines[place]) + 2.35 * self._dense
        return _sigmoid(meaning + 0.76 * self._kinds[place] - 2.1)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _kinds(question: str) -> list[re.Pattern[str]]:
    """What an answer to this question looks like."""
    return [answers for asks, answers in _KINDS if asks.search(question)]


def _without_leads(passages: Sequence[ScoredPassage]) -> list[ScoredPassage]:
    """Opening lines of documents, where a section of the same document is there too, with less weight."""
    deep = {scored.passage.source for scored in passages if " > " in scored.passage.title}
    return [
        replace(scored, score=scored.score * LEAD)
        if " > " not in scored.passage.title and scored.passage.source in deep
        else scored
        for scored in passages
    ]


@lru_cache(maxsize=100_000)
def _tokens(text: str) -> frozenset[str]:
    return frozenset(tokenize(text))

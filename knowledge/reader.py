"""Which sentences of the passages answer the question.

Each sentence is scored by meaning (its vector was made at ingest, so nothing is encoded here), by the words it shares
with the question, by its passage, and by whether it holds the kind of thing asked for (a duration where the question is
"how long"). The weights are those of a logistic regression on development questions, so a score is about the chance
that the sentence holds the fact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.index import KnowledgeIndex
from knowledge.kinds import AnswerKind
from knowledge.vectors import Sentences
from shopbot.types import ScoredPassage, ScoredSentence


@dataclass(frozen=True, slots=True)
class Weights:
    """What each feature of a sentence adds to the log-odds that it answers."""

    bias: float
    cosine: float
    """Per spread above the cosine of unrelated sentences (`VectorTable.background`)."""
    words: float
    passage: float
    """Of the passage's score below that of the best passage."""
    kind: float
    yes_no: float
    first: float
    about_itself: float


BOTH_LEGS = Weights(-6.0, 1.0, 4.0, 5.9, 0.8, 0.4, 0.3, -1.5)
WORDS_ALONE = Weights(-3.0, 0.0, 10.0, 0.0, 1.0, 0.5, 0.4, -3.0)
"""By words alone: the question is in a language that the embedder cannot read."""

_ABOUT_ITSELF = re.compile(
    r"^(this|the following) (page|section|document|policy) (says|explains|describes|lists|has|is about|gives|tells)|^本[页节](说明|介绍|列出)",
    re.IGNORECASE,
)
_LEANS_ON_THE_ONE_BEFORE = re.compile(
    r"^(this|these|those|it|they|that|otherwise|however|but|in (that|this|such a) case|then|after that|if so|if not)\b"
    "|^(此|这|那|否则|但|其[中余]|在此之前|之后|届时)",
    re.IGNORECASE,
)
NEIGHBOUR = 0.9
"""The score of a sentence brought along by the next one, as a share of that one's."""


def read(
    question: str,
    query_vector: NDArray[np.float32] | None,
    passages: Sequence[ScoredPassage],
    index: KnowledgeIndex,
    limit: int = 3,
) -> list[ScoredSentence]:
    """At most `limit` sentences of `passages` that answer best, best first; each text once.

    A sentence that leans on the one before it ("This does not apply to …") brings that one along, just before itself.
    `query_vector` (dimension,) is None where the embedder cannot read the question: then words alone count.
    `passages` must be of this index (KeyError otherwise).
    """
    scored = _scored(index.speller.correct(question), query_vector, passages, index)
    chosen: dict[tuple[str, int], ScoredSentence] = {}
    seen: set[str] = set()
    for each in sorted(scored, key=lambda sentence: -sentence.score):
        if len(chosen) >= limit:
            break
        key = " ".join(each.text.lower().split())
        if key in seen:
            continue
        seen.add(key)
        for sentence in (*_needed_before(each, index, room=limit - len(chosen)), each):
            chosen.setdefault((sentence.passage.id, sentence.place), sentence)
    return list(chosen.values())


def _needed_before(sentence: ScoredSentence, index: KnowledgeIndex, room: int) -> list[ScoredSentence]:
    if sentence.place == 0 or room < 2 or not _LEANS_ON_THE_ONE_BEFORE.match(sentence.text):
        return []
    before = index.sentences(sentence.passage.id).texts[sentence.place - 1]
    return [ScoredSentence(before, sentence.passage, sentence.score * NEIGHBOUR, sentence.place - 1)]


def _scored(
    question: str, vector: NDArray[np.float32] | None, passages: Sequence[ScoredPassage], index: KnowledgeIndex
) -> list[ScoredSentence]:
    shares = index.sentence_lexical.shares(question)
    kind = AnswerKind(question)
    best_passage = max((passage.score for passage in passages), default=0.0)
    found: list[ScoredSentence] = []
    for scored in passages:
        sentences = index.sentences(scored.passage.id)
        base = _log_odds(sentences, vector, shares[sentences.rows], scored.score - best_passage, index)
        for place, text in enumerate(sentences.texts):
            score = _chance(float(base[place]) + _by_form(text, place, kind, BOTH_LEGS if vector is not None else WORDS_ALONE))
            found.append(ScoredSentence(text, scored.passage, score, place))
    return found


def _log_odds(
    sentences: Sentences, vector: NDArray[np.float32] | None, shares: NDArray[np.float32], below_best: float, index: KnowledgeIndex
) -> NDArray[np.float32]:
    """By meaning, words and passage, shape (sentences,)."""
    if vector is None:
        return WORDS_ALONE.bias + WORDS_ALONE.words * shares + WORDS_ALONE.passage * below_best
    mean, spread = index.background
    cosines = (sentences.vectors @ vector - mean) / spread
    return BOTH_LEGS.bias + BOTH_LEGS.cosine * cosines + BOTH_LEGS.words * shares + BOTH_LEGS.passage * below_best


def _by_form(text: str, place: int, kind: AnswerKind, weights: Weights) -> float:
    """By what can be seen in the sentence itself."""
    score = weights.kind * kind.fit(text) + weights.yes_no * kind.yes_no(text)
    if place == 0:
        score += weights.first  # a section says what matters first
    if _ABOUT_ITSELF.match(text):
        score += weights.about_itself
    return score


def _chance(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))

"""Which passages, and which of their sentences, answer the question; nothing is encoded here.

Each sentence is scored by meaning (its vector was made at ingest), by the words it shares with the question, by its
passage, and by whether it holds the kind of thing asked for (a duration where the question is "how long").
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.kinds import AnswerKind
from knowledge.sentences import detect_language
from knowledge.vectors import Sentences, encode
from shopbot.types import Passage, ScoredPassage, ScoredSentence


@dataclass(frozen=True, slots=True)
class Weights:
    """What each feature of a sentence adds to the log-odds behind its score."""

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


BOTH_LEGS = Weights(-0.72, 0.6, 0.95, 5.0, 0.35, 0.25, 0.2, -0.5)
WORDS_ALONE = Weights(-0.77, 0.0, 5.0, 3.0, 0.6, 0.25, 0.25, -1.0)
"""By words alone: the question is in a language that the embedder cannot read.

Both are logistic regressions of "this sentence holds the fact" on some 350 development questions, halved, and moved
until 95 % of the questions that can be answered have a sentence of 0.5 or more. Halving keeps the order and keeps the
second and third sentence within reach of the first.
"""

_ABOUT_ITSELF = re.compile(
    r"^(this|the following) (page|section|document|policy) (says|explains|describes|lists|has|is about|gives|tells)|^本[页节](说明|介绍|列出)",
    re.IGNORECASE,
)
_LEANS_ON_THE_ONE_BEFORE = re.compile(
    r"^(this|these|those|it|they|that|otherwise|however|but|in (that|this|such a) case|then|after that|if so|if not)\b"
    "|^(此|这|那|否则|但|其[中余]|在此之前|之后|届时)",
    re.IGNORECASE,
)
BEST_SENTENCE = 0.3
"""How much a passage's best sentence counts for the passage's own place."""
LEAD = 0.75
"""What a document's opening lines keep of their score: they say what the page is about, its sections what holds."""
NEIGHBOUR = 0.9
"""The score of a sentence brought along by the next one, as a share of that one's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Passages, best first, and their best sentences with how well each answers, in [0, 1]: see `BOTH_LEGS`."""

    passages: tuple[ScoredPassage, ...]
    sentences: tuple[ScoredSentence, ...]


class Shelf(Protocol):
    """Where sentences are kept: a `KnowledgeIndex` is one."""

    @property
    def background(self) -> tuple[float, float]:
        """Mean and spread of the cosine between unrelated sentences."""
        ...

    def reads(self, language: str) -> bool:
        """Whether vectors of texts in this language mean anything."""
        ...

    def spelled(self, question: str) -> str:
        """The question with its slips of typing put right."""
        ...

    def sentences(self, passage_id: str) -> Sentences:
        """A passage's sentences with their vectors and rows. Raises KeyError for a passage that is not here."""
        ...

    def shares(self, question: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How much of the question some sentences cover, in [0, 1], shape (len(rows),)."""
        ...


class Widened:
    """A shelf with further passages, kept in memory only: they can be read, and are not searched for."""

    def __init__(self, index: KnowledgeIndex, passages: Sequence[Passage], embedder: SentenceEmbedder) -> None:
        self.background = index.background
        self.reads = index.reads
        self.spelled = index.spelled
        self._index = index
        self._extra: dict[str, Sentences] = {}
        row = len(index.table.sentences)
        self._lexical = index.sentence_lexical
        self._texts: list[str] = []
        for passage in passages:
            encoded = encode([passage], embedder)
            texts, vectors = encoded.texts[0], encoded.sentences
            self._extra[passage.id] = Sentences(texts, vectors, slice(row, row + len(texts)))
            self._texts += [f"{passage.title} {text}" for text in texts]
            row += len(texts)

    def sentences(self, passage_id: str) -> Sentences:
        """A passage's sentences with their vectors and rows."""
        return self._extra[passage_id] if passage_id in self._extra else self._index.sentences(passage_id)

    def shares(self, question: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How much of the question some sentences cover; the rows of the further passages come after all others."""
        first = len(self._index.table.sentences)
        further = rows >= first
        found = np.empty(len(rows), dtype=np.float32)
        found[~further] = self._index.shares(question, rows[~further])
        found[further] = self._lexical.cover(question, self._texts)[rows[further] - first]
        return found


def read(
    question: str,
    query_vector: NDArray[np.float32] | None,
    passages: Sequence[ScoredPassage],
    shelf: Shelf,
    limit: int = 12,
    *,
    keep: int = 6,
    hint: Sequence[str] = (),
) -> Reading:
    """Read candidates, some twenty of them, as a retriever scored them.

    A sentence that leans on the one before it ("This does not apply to …") brings that one along, just before itself.
    Words alone count without a `query_vector` (dimension,), and where the embedder cannot read the question's language.

    Args:
        question: the question.
        query_vector: its vector (dimension,), or None where the model cannot read the question.
        passages: of this shelf (KeyError otherwise).
        shelf: the index.
        limit: how many sentences to return, each text once.
        keep: how many passages to return; sentences come from these only.
        hint: words that the question does not say but means.
    """
    if not shelf.reads(detect_language(question)):
        query_vector = None
    candidates = _without_leads(passages)
    known = {each.passage.id: shelf.sentences(each.passage.id) for each in candidates}
    reader = _Reader(shelf.spelled(question), query_vector, shelf, hint, known)
    best = max((passage.score for passage in candidates), default=0.0)
    read_ones = [(passage, reader.scored(passage, best)) for passage in candidates]
    read_ones.sort(key=lambda pair: -_rank(*pair))
    kept = read_ones[:keep]
    found = sorted((sentence for _, own in kept for sentence in own), key=lambda sentence: -sentence.score)
    return Reading(tuple(passage for passage, _ in kept), tuple(_chosen(found, shelf, limit)))


def _rank(passage: ScoredPassage, own: Sequence[ScoredSentence]) -> float:
    """A passage moves up by its best sentence."""
    return passage.score + BEST_SENTENCE * max((sentence.score for sentence in own), default=0.0)


def _without_leads(passages: Sequence[ScoredPassage]) -> list[ScoredPassage]:
    """Opening lines of documents, where a section of the same document is there too, with less weight."""
    deep = {scored.passage.source for scored in passages if " > " in scored.passage.title}
    return [
        replace(scored, score=scored.score * LEAD)
        if " > " not in scored.passage.title and scored.passage.source in deep
        else scored
        for scored in passages
    ]


def _chosen(found: Sequence[ScoredSentence], shelf: Shelf, limit: int) -> list[ScoredSentence]:
    """The first `limit`, each text once, each after what it leans on."""
    chosen: dict[tuple[str, int], ScoredSentence] = {}
    seen: set[str] = set()
    for each in found:
        key = " ".join(each.text.lower().split())
        if len(chosen) >= limit or key in seen:
            continue
        seen.add(key)
        for sentence in (*_needed_before(each, shelf, room=limit - len(chosen)), each):
            chosen.setdefault((sentence.passage.id, sentence.place), sentence)
    return list(chosen.values())


def _needed_before(sentence: ScoredSentence, shelf: Shelf, room: int) -> list[ScoredSentence]:
    if sentence.place == 0 or room < 2 or not _LEANS_ON_THE_ONE_BEFORE.match(sentence.text):
        return []
    before = shelf.sentences(sentence.passage.id).texts[sentence.place - 1]
    return [ScoredSentence(before, sentence.passage, sentence.score * NEIGHBOUR, sentence.place - 1)]


class _Reader:
    """One question, ready to score the sentences of any passage."""

    def __init__(
        self,
        question: str,
        vector: NDArray[np.float32] | None,
        shelf: Shelf,
        hint: Sequence[str],
        known: Mapping[str, Sentences],
    ) -> None:
        self._vector = vector
        self._background = shelf.background
        self._known = known
        self._weights = BOTH_LEGS if vector is not None else WORDS_ALONE
        # Where words are all there is, hints would be a third of the evidence: there they only help to find passages.
        asked = question if vector is None else " ".join([question, *hint])
        rows = [np.arange(own.rows.start, own.rows.stop) for own in known.values()]
        found = shelf.shares(asked, np.concatenate([np.empty(0, dtype=np.intp), *rows]))
        places = itertools.accumulate((len(own) for own in rows), initial=0)
        self._shares = {one: found[at : at + len(own)] for one, own, at in zip(known, rows, places, strict=False)}
        self._kind = AnswerKind(question)

    def scored(self, passage: ScoredPassage, best: float) -> list[ScoredSentence]:
        """The sentences of a passage with how well each answers; `best` is the score of the best passage."""
        known = self._known[passage.passage.id]
        base = self._base(known, self._shares[passage.passage.id]) + self._weights.passage * (passage.score - best)
        return [
            ScoredSentence(text, passage.passage, _squashed(float(base[place]) + self._by_form(text, place)), place)
            for place, text in enumerate(known.texts)
        ]

    def _base(self, known: Sentences, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-odds by meaning and by words, shape (sentences,)."""
        base = self._weights.bias + self._weights.words * shares
        if self._vector is None:
            return base
        mean, spread = self._background
        return (base + self._weights.cosine * (known.vectors @ self._vector - mean) / spread).astype(np.float32)

    def _by_form(self, text: str, place: int) -> float:
        """Log-odds by what can be seen in the sentence itself."""
        odds = self._weights.kind * self._kind.fit(text) + self._weights.yes_no * self._kind.yes_no(text)
        if place == 0:
            odds += self._weights.first  # a section says what matters first
        return odds + self._weights.about_itself * bool(_ABOUT_ITSELF.match(text))


def _squashed(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))

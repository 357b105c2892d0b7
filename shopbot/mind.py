"""Reads messages and finds passages: the two stages of a turn that need the embedder.

One encoding a turn: all questions of a message, and their masked forms, go through the embedder in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from shopbot.catalog import Catalog
from shopbot.concepts import formal_words
from shopbot.planner import Lookup
from shopbot.turn import Question
from shopbot.types import Language, Passage, Retrieved, ScoredPassage, ScoredSentence
from shopbot.understand import (
    POINTING,
    Array,
    Encoder,
    Guess,
    NearestIntents,
    detect_language,
    mentioned_day,
    split_questions,
)

CANDIDATES = 20
"""Passages that are read for a question."""


UNSURE = 0.4
"""An intent with less confidence than this does not tell a question from the one before it."""


class Search(Protocol):
    """What is asked of a retriever: `knowledge.ShopRetriever` is one."""

    def spelled(self, question: str) -> str:
        """The question with its slips of typing put right."""
        ...

    def search(
        self,
        question: str,
        *,
        language: str | None = None,
        kind: str | None = None,
        today: date | None = None,
        k: int = 8,
        query_vector: Array | None = None,
    ) -> list[ScoredPassage]:
        """The best passages, best first."""
        ...

    def standing_out(
        self, question: str, *, kind: str, language: str, query_vector: Array | None, k: int = 4
    ) -> list[ScoredPassage]:
        """The passages of a kind that stand out from the others of it."""
        ...


class Reading(Protocol):
    """What a reader found: `knowledge.reader.Reading` is one."""

    @property
    def passages(self) -> Sequence[ScoredPassage]:
        """Passages, best first."""
        ...

    @property
    def sentences(self) -> Sequence[ScoredSentence]:
        """Their best sentences, best first, with the chance that each answers."""
        ...


Read = Callable[[str, "Array | None", Sequence[ScoredPassage], Sequence[str]], Reading]
"""(question, its vector or None where the model cannot read it, candidates, words that it means) to what was read."""


@dataclass(frozen=True, slots=True)
class Mind:
    """Understands and looks up. `documents` maps a source to its passages; `today` is the shop's day."""

    encoder: Encoder
    intents: NearestIntents
    catalog: Catalog
    retriever: Search
    read: Read
    documents: Mapping[str, Sequence[Passage]]
    today: Callable[[], date]
    spliced: Sequence[Passage] = ()

    def understand(self, message: str) -> tuple[Question, ...]:
        """The questions of a message, at most three, each with its intent and its query vector.

        "Is the red one in stock, and what does it cost?" is one question: its second part points at the first.
        """
        parts = split_questions(message)
        pointing = [place for place in range(1, len(parts)) if POINTING.search(parts[place])]
        questions = self._read([*parts, *(f"{parts[place - 1]} {parts[place]}" for place in pointing)])
        whole = dict(zip(pointing, questions[len(parts) :], strict=True))
        kept: list[Question] = []
        for place, question in enumerate(questions[: len(parts)]):
            if place in whole and len(kept) == place and _alike(kept[-1].guess, question.guess):
                kept[-1] = whole[place]
            else:
                kept.append(question)
        return tuple(kept)

    def _read(self, texts: Sequence[str]) -> list[Question]:
        languages: list[Language] = [detect_language(text) for text in texts]
        masked = [self.catalog.mask(text, language) for text, language in zip(texts, languages, strict=True)]
        meant = [self._meant(text, language) for text, language in zip(texts, languages, strict=True)]
        vectors = self.encoder.embed_array([*meant, *masked], query=True)
        mine, plain = vectors[: len(texts)], vectors[len(texts) :]
        guesses = [
            self.intents.guess([text], plain[row : row + 1] if self.encoder.reads(languages[row]) else None)[0]
            for row, text in enumerate(masked)
        ]
        return [
            Question(texts[row], languages[row], guesses[row], mine[row], masked[row], meant[row], self._like(*like))
            for row, like in enumerate(zip(texts, languages, mine, strict=True))
        ]

    def _meant(self, text: str, language: Language) -> str:
        """The text with its slips of typing put right, and the words of the trade for what it says in a shopper's."""
        words = formal_words(text, language)
        return self.retriever.spelled(text) + (f" ({', '.join(words)})" if words else "")

    def _like(self, text: str, language: Language, vector: Array) -> tuple[str, ...]:
        """The products that a question resembles most: what it is about where it names none by the catalog's words."""
        readable = vector if self.encoder.reads(language) else None
        found = self.retriever.standing_out(text, kind="product", language=language, query_vector=readable)
        return tuple(dict.fromkeys(one.passage.source.removeprefix("product:") for one in found))

    def look_up(self, lookup: Lookup) -> Retrieved:
        """Passages for a question, best first, and the sentences of them that answer it best."""
        question = lookup.question
        text, vector = question.meant or question.text, question.vector
        if lookup.text not in ("", question.text):
            text = self._meant(lookup.text, question.language)
            vector = self.encoder.embed_array([text], query=True)[0]
        passages = self._candidates(lookup, text, vector)
        passages += [ScoredPassage(passage, 1.0) for passage in self.spliced]
        readable = vector if self.encoder.reads(question.language) else None
        found = self.read(text, readable, passages, question.guess.hint)
        return Retrieved(lookup.text or question.text, tuple(found.passages), tuple(found.sentences), 0.0)

    def _candidates(self, lookup: Lookup, text: str, vector: Array) -> list[ScoredPassage]:
        question = lookup.question
        if lookup.sources:
            named = [passage for source in lookup.sources for passage in self._of(source, question.language)]
            return [ScoredPassage(passage, 1.0) for passage in named]
        # The words of the likely intents go to the lexical leg: "call it off" also looks for "cancel".
        return self.retriever.search(
            " ".join([text, *question.guess.hint]),
            language=question.language,
            kind=lookup.kind,
            today=mentioned_day(text, self.today()) or self.today(),
            k=CANDIDATES,
            query_vector=vector,
        )

    def _of(self, source: str, language: str) -> list[Passage]:
        """A document's passages, in the language of the question where it has them."""
        passages: list[Any] = list(self.documents.get(source, ()))
        return [passage for passage in passages if passage.language == language] or passages


def _alike(first: Guess, second: Guess) -> bool:
    """Whether two questions are of one family, or the second is too short to say what it is of."""
    return second.confidence < UNSURE or first.intent.split("_")[0] == second.intent.split("_")[0]

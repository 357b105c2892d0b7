"""Reads messages and finds passages: the two stages of a turn that need the embedder.

One encoding a turn: all questions of a message, as said, masked and in the words of the trade, go through the embedder in
one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Protocol

from shopbot.answer_bank import AnswerBank, Known
from shopbot.catalog import Catalog
from shopbot.concepts import formal_words, shop_words
from shopbot.routing import has_it
from shopbot.steps import Lookup
from shopbot.turn import Question
from shopbot.types import Approval, Language, Passage, Retrieved, ScoredPassage, ScoredSentence
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
    """Understands and looks up. `documents` maps a source to its passages; `today` is the shop's day.

    `synonyms` are the shop's own words for things, as in shop.toml.
    """

    encoder: Encoder
    intents: NearestIntents
    catalog: Catalog
    retriever: Search
    read: Read
    documents: Mapping[str, Sequence[Passage]]
    bank: AnswerBank
    today: Callable[[], date]
    spliced: Sequence[Passage] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict[str, str])

    def current(self) -> Mind:
        """Itself: the mind of one index version. `LiveMind` is of the one that serves."""
        return self

    def understand(self, message: str) -> tuple[Question, ...]:
        """The questions of a message, at most three, each with its intent and its query vector.

        "Is the red one in stock, and what does it cost?" is one question: its second part points at the first.
        """
        parts = split_questions(message)
        later = range(1, len(parts))
        wholes = [f"{parts[place - 1]} {parts[place]}" for place in later]
        questions = self._read([*parts, *wholes])
        whole = dict(zip(later, questions[len(parts) :], strict=True))
        kept: list[Question] = []
        for place, question in enumerate(questions[: len(parts)]):
            if place and len(kept) == place and self._continues(question, kept[-1]):
                kept[-1] = _most_of_products(whole[place], question, kept[-1])
            else:
                kept.append(question)
        return tuple(kept)

    def _continues(self, question: Question, before: Question) -> bool:
        """Whether a question is the rest of the one before it: it points at that, or asks on about a thing it does not name."""
        if POINTING.search(question.text):
            return _alike(before.guess, question.guess)
        goes_on = question.guess.confidence < UNSURE or question.guess.intent.startswith("product_")
        goes_on = goes_on and _of_products(before.guess, question.guess) and not has_it(before.text)
        return goes_on and self._named(before) and not self._named(question)

    def _named(self, question: Question) -> bool:
        """Whether a product or a kind of thing is named."""
        query = self.catalog.parse(question.text, question.language)
        return bool(query.products or query.categories or question.like)

    def _read(self, texts: Sequence[str]) -> list[Question]:
        languages: list[Language] = [detect_language(text) for text in texts]
        masked = [self.catalog.mask(text, language) for text, language in zip(texts, languages, strict=True)]
        said = [self.retriever.spelled(text) for text in texts]
        meant = [self._with_formal_words(text, language) for text, language in zip(said, languages, strict=True)]
        every = list(dict.fromkeys([*said, *masked, *meant]))
        vectors = dict(zip(every, self.encoder.embed_array(every, query=True), strict=True))
        questions: list[Question] = []
        for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
            own, readable = vectors[said[row]], self.encoder.reads(language)
            guess = self.intents.guess([masked[row]], vectors[masked[row]][None] if readable else None)[0]
            alike = self._alike(said[row], language, own if readable else None)
            like = tuple(dict.fromkeys(one.passage.source.removeprefix("product:") for one in alike))
            standing = alike[0].score if alike else 0.0
            of_words = (masked[row], like, meant[row], vectors[meant[row]], standing)
            questions.append(Question(text, language, guess, own, *of_words))
        return questions

    def _with_formal_words(self, text: str, language: Language) -> str:
        """The text, and the words of the trade and of the shop for what it says in a shopper's."""
        words = (*formal_words(text, language), *shop_words(text, self.synonyms))
        return f"{text} ({', '.join(words)})" if words else text

    def _alike(self, text: str, language: Language, vector: Array | None) -> list[ScoredPassage]:
        """The products that a question resembles most: what it is about where it names none by the catalog's words."""
        return self.retriever.standing_out(text, kind="product", language=language, query_vector=vector)

    def look_up(self, lookup: Lookup) -> Retrieved:
        """Passages for a question, best first, and the sentences of them that answer it best."""
        question = self._asked(lookup)
        readable = self.encoder.reads(question.language)
        known = self._known(lookup, question, question.vector if readable else None)
        passages = self._candidates(lookup, question)
        if known is not None:
            passages = _first(known.approved.passages, passages)
        passages += [ScoredPassage(passage, 1.0) for passage in self.spliced]
        found = self.read(question.meant, question.meant_vector if readable else None, passages, question.guess.hint)
        approved = Approval(known.approved.answer, known.approved.passages) if known and known.is_sure else None
        ranked = _first(approved.passages, found.passages) if approved else found.passages
        return Retrieved(question.text, tuple(ranked), tuple(found.sentences), 0.0, approved)

    def _asked(self, lookup: Lookup) -> Question:
        """The question of a lookup, in the words in which it is to be looked up."""
        question = lookup.question
        if lookup.text in ("", question.text) and question.meant:
            return question
        said = self.retriever.spelled(lookup.text or question.text)
        meant = self._with_formal_words(said, question.language)
        own, vector = self.encoder.embed_array([said, meant], query=True)
        return replace(question, text=said, vector=own, meant=meant, meant_vector=vector)

    def _known(self, lookup: Lookup, question: Question, vector: Array | None) -> Known | None:
        """The approved answer to a question about the shop's rules as they are today."""
        if lookup.sources or lookup.kind != "policy" or mentioned_day(question.text, self.today()) is not None:
            return None
        return self.bank.find(question.text, question.language, vector, self.today())

    def _candidates(self, lookup: Lookup, question: Question) -> list[ScoredPassage]:
        if lookup.sources:
            named = [passage for source in lookup.sources for passage in self._of(source, question.language)]
            return [ScoredPassage(passage, 1.0) for passage in named]
        # The words of the likely intents go to the lexical leg: "call it off" also looks for "cancel".
        return self.retriever.search(
            " ".join([question.meant, *question.guess.hint]),
            language=question.language,
            kind=lookup.kind,
            today=mentioned_day(question.text, self.today()) or self.today(),
            k=CANDIDATES,
            query_vector=question.meant_vector,
        )

    def _of(self, source: str, language: str) -> list[Passage]:
        """A document's passages, in the language of the question where it has them."""
        passages: list[Any] = list(self.documents.get(source, ()))
        return [passage for passage in passages if passage.language == language] or passages


def _first(wanted: Sequence[Passage], found: Sequence[ScoredPassage]) -> list[ScoredPassage]:
    """The passages found, with the wanted ones in front and scored as the best."""
    best = max((one.score for one in found), default=1.0)
    ids = {passage.id for passage in wanted}
    return [*(ScoredPassage(one, best) for one in wanted), *(one for one in found if one.passage.id not in ids)]


def _most_of_products(whole: Question, *parts: Question) -> Question:
    """Two questions as one: about products where one of them is, since the thing that is named is meant in both."""
    guesses = [whole.guess, *(part.guess for part in parts)]
    if max(whole.guess.families, key=lambda name: whole.guess.families[name], default="") == "product":
        return whole
    best = max(guesses, key=lambda guess: guess.families.get("product", 0.0))
    return replace(whole, guess=best) if _of_products(best, best) else whole


def _of_products(first: Guess, second: Guess) -> bool:
    """Whether the first of two questions is most likely about products, or both taken together."""
    both = {name: share + second.families.get(name, 0.0) for name, share in first.families.items()}
    return any(max(shares, key=lambda name: shares[name]) == "product" for shares in (first.families, both) if shares)


def _alike(first: Guess, second: Guess) -> bool:
    """Whether two questions are of one family, or the second is too short to say what it is of."""
    return second.confidence < UNSURE or first.intent.split("_")[0] == second.intent.split("_")[0]

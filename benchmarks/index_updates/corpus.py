"""A made-up shop whose documents go from edition to edition, and an embedder that has their vectors ready.

In edition n the policies are topics n · moved to n · moved + policies − 1: each step drops some, adds as many, and writes all
others anew, with the number of the edition in every text. Products stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.embed import Progress, SentenceEmbedder, Spans
from shopbot.shop import Shop
from shopbot.types import Passage

NOISE = 0.5
"""How far a passage lies from its text's own vector, in lengths of that: 200,000 passages of 400 texts, in clusters."""

SUBJECTS = (
    "refunds returns exchanges deliveries repairs cancellations vouchers invoices warranties deposits discounts collections "
    "complaints replacements subscriptions instalments pre-orders samples engravings recalls"
).split()
CASES = (
    "from abroad; bought in a sale; for gifts; of heavy items; of opened boxes; for companies; paid by card; paid by voucher; "
    "on public holidays; of damaged goods"
).split("; ")
THINGS = (
    "lamp kettle tent backpack blanket desk mirror bottle jacket stove pillow clock basket umbrella speaker suitcase towel mug "
    "hammock puzzle"
).split()
MAKES = "oak steel linen wool cork glass bamboo copper leather foldable".split()

_MARK = re.compile(r"\(text (\d+), number (\d+), edition (\d+)\)")


def texts() -> list[str]:
    """The texts of policies, then as many of products: what the model reads, once."""
    pairs = [(subject, case) for case in CASES for subject in SUBJECTS]
    policies = [f"{one} {case} take up to {at % 29 + 2} working days" for at, (one, case) in enumerate(pairs)]
    products = [
        f"{make} {thing}, {at % 83 + 9} cm" for at, (thing, make) in enumerate((t, m) for m in MAKES for t in THINGS)
    ]
    return policies + products


def question(topic: int) -> str:
    """A question that the policy of a topic answers."""
    at = topic % (len(SUBJECTS) * len(CASES))
    return f"How long do {SUBJECTS[at % len(SUBJECTS)]} {CASES[at // len(SUBJECTS)]} take?"


def edition_of(passage: Passage) -> int:
    """The edition in which a passage was written. Raises ValueError for one that is not of this corpus."""
    if (mark := _MARK.search(passage.text)) is None:
        raise ValueError(passage.text)
    return int(mark[3])


def topic_of(passage: Passage) -> int:
    """The topic of a policy; a product's number."""
    return int(passage.id.split("-")[1])


@dataclass(frozen=True, slots=True)
class Corpus:
    """So many passages, of which so many are policies; `moved` of these go at each edition, and as many come."""

    passages: int
    policies: int
    moved: int

    def edition(self, number: int) -> list[Passage]:
        """All passages of an edition, counted from 1."""
        known = texts()
        half = len(known) // 2
        first = number * self.moved
        policies = [
            _passage("policy", topic, known[topic % half], topic % half, number)
            for topic in range(first, first + self.policies)
        ]
        products = range(self.passages - self.policies)
        return policies + [_passage("product", at, known[half + at % half], half + at % half, 1) for at in products]

    def first_topic(self, number: int) -> int:
        """The lowest topic of an edition: those below it have been removed."""
        return number * self.moved


def _passage(kind: str, number: int, said: str, text: int, edition: int) -> Passage:
    mark = f"(text {text}, number {number}, edition {edition})"
    what = f"{kind}-{number}"
    return Passage(
        what,
        f"{said} {mark}.",
        f"{kind}/{number}.md",
        said.split(",")[0],
        kind="policy" if kind == "policy" else "product",
        language="en",
    )


class Prepared(SentenceEmbedder):
    """MiniLM that read the corpus's texts when it was made; a passage has the vector of its text plus noise of its own.

    Questions go through the model, or are looked up in `questions`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known = super().embed_array(texts())
        _ = self.words  # read before processes are forked
        self.questions: dict[str, NDArray[np.float32]] = {}

    def learn(self, questions: Sequence[str]) -> None:
        """Encode questions, for good."""
        self.questions |= dict(zip(questions, super().embed_array(questions, query=True), strict=True))

    def embed_array(
        self, texts: Sequence[str], query: bool = False, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """As the model does; texts of the corpus from memory."""
        if query or not all(map(_MARK.search, texts)):
            return super().embed_array(texts, query, progress)
        return self._vectors(texts)

    def embed_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Spans]], progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As the model does; a sentence of the corpus has its passage's vector."""
        if not all(map(_MARK.search, texts)):
            return super().embed_parts(texts, parts, progress)
        vectors = self._vectors(texts)
        return vectors, np.repeat(vectors, [len(own) for own in parts], axis=0)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        marks = [[int(one) for one in mark.groups()] for mark in map(_MARK.search, texts) if mark is not None]
        if not marks:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = self._known[[text for text, _, _ in marks]]
        for row, mark in enumerate(marks):
            noise = np.random.default_rng(mark).standard_normal(self.dimension, dtype=np.float32)
            vectors[row] += NOISE / self.dimension**0.5 * noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class EditionShop(Shop):
    """A shop whose documents are an edition of the corpus: what is ingested, opened and served is its own."""

    corpus: Corpus
    edition: int = 1

    def passages(self) -> list[Passage]:
        """The passages of the edition."""
        return self.corpus.edition(self.edition)

"""The plain values that travel through a turn, and the events it emits.

A leaf module: it imports nothing of ours. Values are frozen; a record a shop keeps (an order, a variant) is
read into one of these by `catalog.py` and is never written back from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

Language = Literal["en", "zh"]
PassageKind = Literal["policy", "product", "answer"]
CallStatus = Literal["proposed", "declined", "refused", "running", "done", "failed", "unknown"]


# ---------------------------------------------------------------- people


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who is asking, as the backend's own login says; never taken from the conversation or a model.

    `Shopper()` (no id) is a visitor: policies and products only.
    """

    id: str | None = None
    name: str = ""
    email: str = ""

    @property
    def is_visitor(self) -> bool:
        return self.id is None


# ---------------------------------------------------------------- what the shop sells and has sold


@dataclass(frozen=True, slots=True)
class Variant:
    """One buyable row of a product. `price` is in the shop's currency; `stock` None where only yes or no is known."""

    sku: str
    price: Decimal | None
    available: bool
    stock: int | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Product:
    """A product and its variants. `names` holds the name in further languages, by language code."""

    id: str
    name: str
    category: str = ""
    brand: str = ""
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    variants: tuple[Variant, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    categories: Mapping[str, str] = field(default_factory=dict[str, str])
    descriptions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def available(self) -> bool:
        return any(variant.available for variant in self.variants)


@dataclass(frozen=True, slots=True)
class OrderItem:
    """A line of an order. `price` is per piece."""

    product_id: str
    sku: str
    name: str
    price: Decimal
    quantity: int = 1
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Payment:
    """One movement of money on an order: `kind` is "payment" or "refund", `method` the id of a payment method."""

    kind: str
    amount: Decimal
    method: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the shop's records hold it; dates are None where the shop does not keep them."""

    id: str
    shopper_id: str
    status: str
    items: tuple[OrderItem, ...]
    address: Mapping[str, str] = field(default_factory=dict[str, str])
    payments: tuple[Payment, ...] = ()
    tracking: tuple[str, ...] = ()
    carrier: str = ""
    shipping_fee: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    placed_on: date | None = None
    shipped_on: date | None = None
    expected_on: date | None = None
    delivered_on: date | None = None
    cancelled_on: date | None = None
    returned_on: date | None = None
    discount_code: str = ""
    shipping_method: str = ""
    reason: str = ""
    """Why it was cancelled or is sent back, in the words of the record."""
    returning: tuple[str, ...] = ()
    """The skus that are to be returned, or have been."""
    exchanging: tuple[tuple[str, str], ...] = ()
    """The skus that are to be exchanged, each with the one wanted for it."""

    @property
    def total(self) -> Decimal:
        goods = sum((item.price * item.quantity for item in self.items), Decimal(0))
        return goods + self.shipping_fee - self.discount

    @property
    def is_closed(self) -> bool:
        """True once nothing more is on its way to the shopper: delivered, cancelled, returned or exchanged."""
        return self.status.casefold().startswith(("deliver", "cancel", "return", "exchange", "refund", "complete"))


@dataclass(frozen=True, slots=True)
class Account:
    """What the shop keeps about a shopper: the full record behind a `Shopper`."""

    id: str
    name: str
    email: str = ""
    address: Mapping[str, str] = field(default_factory=dict[str, str])
    payment_methods: tuple[Mapping[str, Any], ...] = ()
    language: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


# ---------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: what is indexed, retrieved, cited.

    `id` is a hash of content and place, so the same text in the same place keeps its id. `title` is the path of
    headings ("Returns > Sale items"). `source` is the document ("policies/en/returns.md") or "product:ID".
    `valid_from` and `valid_until` are inclusive days; None is unbounded.
    """

    id: str
    text: str
    source: str
    title: str = ""
    kind: PassageKind = "policy"
    language: str = ""
    place: int = 0
    valid_from: date | None = None
    valid_until: date | None = None
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its fused score in [0, 1] and the two legs behind it (cosine; BM25 scaled by the query's best)."""

    passage: Passage
    score: float
    dense: float = 0.0
    lexical: float = 0.0


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A sentence of a passage with how well it answers the question, in [0, 1]."""

    text: str
    passage: Passage
    score: float
    place: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence of an answer comes from: `source` is a document, "product:ID", "order:ID" or "tool:NAME"."""

    source: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool and how it ended. `result` is what the tool returned (JSON), or the reason of a refusal."""

    name: str
    arguments: Mapping[str, Any]
    status: CallStatus
    result: Any = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A shopper's word on a proposed action, given by a button: `key` is the `id` of its ToolCall."""

    key: str
    yes: bool


# ---------------------------------------------------------------- understanding, planning, answering


@dataclass(frozen=True, slots=True)
class Profile:
    """What a message tells: intent with its probability, sentiment in [-1, 1], slots by name, language."""

    intent: str = ""
    confidence: float = 0.0
    sentiment: float = 0.0
    language: Language = "en"
    slots: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer put together from sources, without a model: sentences, each with the citations that carry it."""

    sentences: tuple[str, ...]
    citations: tuple[Citation, ...] = ()
    answered: bool = True
    fixed: bool = False
    """True for lines that no model may word again: small talk, refusals, questions back to the shopper."""
    spare: tuple[str, ...] = ()
    """Those of the sentences that can go where several drafts must share one answer, the least worth first."""

    @property
    def text(self) -> str:
        return join_sentences(self.sentences)


def join_sentences(sentences: tuple[str, ...] | list[str]) -> str:
    """Sentences as one text: no space between Chinese ones, a line of its own for an item of a list."""
    text = ""
    for sentence in sentences:
        if not text or sentence.startswith("\n") or text.endswith(("。", "！", "？", "：", "\n")):
            text += sentence
        elif text.rpartition("\n")[2].startswith("- "):
            text += "\n" + sentence  # the list is over
        else:
            text += " " + sentence
    return text


# ---------------------------------------------------------------- the events of a turn, in the order they come


@dataclass(frozen=True, slots=True)
class Understood:
    """The heads have read the message."""

    profile: Profile
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Planned:
    """What this turn needs: one line a step, for people to read."""

    steps: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool was called, or kept from being called (`call.status`)."""

    call: ToolCall
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Approval:
    """An approved answer and the passages that support it."""

    answer: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages found for one question of the message, best first, and the sentences read out of them.

    `approved` is the answer that somebody approved for such a question, if there is one.
    """

    question: str
    passages: tuple[ScoredPassage, ...]
    sentences: tuple[ScoredSentence, ...]
    milliseconds: float
    approved: Approval | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """The draft stands; `worded_by` says who words it: "draft" or the model's name."""

    draft: Draft
    worded_by: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer that passed its checks and may be shown. The pieces of a turn join to its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A sentence of the model was kept back, and why; the draft's own takes its place."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A person takes the conversation from here."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is stored; always the last event. `timings` are milliseconds a stage.

    `waiting` is the action that waits for the shopper's yes: `ShopBot.stream(..., decision=Decision(waiting.id, True))`.
    `problem` tells the people who run it what failed on our side, such as a model server; no shopper is shown it. Where the
    store failed, `turn_id` is empty and the turn is not stored.
    """

    turn_id: str
    text: str
    citations: tuple[Citation, ...]
    tool_calls: tuple[ToolCall, ...]
    handed_over: bool
    answered: bool
    timings: Mapping[str, float]
    milliseconds: float
    waiting: ToolCall | None = None
    problem: str = ""


Event = Understood | Planned | ToolCalled | Retrieved | Drafted | Said | Withheld | HandedOver | Finished
EVENT_NAMES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Understood, Planned, ToolCalled, Retrieved, Drafted, Said, Withheld, HandedOver, Finished)
}

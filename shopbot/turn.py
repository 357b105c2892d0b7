"""One turn in the making: what the parts of the bot read from it and add to it. It lives in one task only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopbot.types import Draft, Language, Profile, Retrieved, Shopper, ToolCall
from shopbot.understand import Array, Guess

WAITING, ACTED, FORM, LATER = "waiting", "acted", "form", "later"
"""Keys of a session's state: the action that waits for a yes, the one that the turn before ran, what is being asked for, and
what is to be done after it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the message. `vector` (d,) is its query embedding, slips of typing put right.

    `masked` has products replaced by "item"; `like` are the ids of the products that the whole question resembles most,
    named or not, and `standing` how far the first of them stands out, in standard deviations (0 where none does); `meant`
    is the text with the words of the trade for what it says, `meant_vector` (d,) its embedding.
    """

    text: str
    language: Language
    guess: Guess
    vector: Array
    masked: str = ""
    like: tuple[str, ...] = ()
    meant: str = ""
    meant_vector: Array | None = None
    standing: float = 0.0


@dataclass(slots=True)
class LiveTurn:
    """The shopper's message, what was understood, and what the steps so far have brought.

    `state` is what the session remembers between turns: the order, the products and the question last talked of.
    """

    message: str
    shopper: Shopper
    session: str
    record: Any = None
    """What the store gave when the turn began; held, since dropping it gives the session free."""
    mind: Any = None
    """Of one index version, from the first stage to the last."""
    language: Language = "en"
    questions: tuple[Question, ...] = ()
    profile: Profile = field(default_factory=Profile)
    history: tuple[tuple[str, str], ...] = ()
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    retrieved: list[Retrieved] = field(default_factory=list[Retrieved])
    drafts: list[Draft] = field(default_factory=list[Draft])
    handed_over: bool = False
    waiting: ToolCall | None = None
    """The action that waits for the shopper's yes."""
    proposed: bool = False
    """Whether it was proposed in this turn."""
    unseen: str = ""
    """The action that was agreed to and whose end could not be read: the state keeps it until it is told."""
    declined: ToolCall | None = None
    """The action that this message said no to."""
    problems: list[str] = field(default_factory=list[str])
    """What failed on our side, for the people who run it."""
    timings: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def id(self) -> str:
        """The turn's id in the store."""
        return self.record.id if self.record is not None else ""

    @property
    def last_answered(self) -> bool:
        """True if the latest step brought an answer."""
        return bool(self.drafts) and self.drafts[-1].answered

    def remember(self, call: ToolCall) -> None:
        """Keep what was talked of, for "it" and "that one" in the next turn."""
        if call.status != "done" or not isinstance(call.result, Mapping):
            return
        result: Mapping[str, Any] = call.result
        if order := result.get("order"):
            self.state["order_id"], self.state["last"] = order["order_id"], "orders"
        elif orders := result.get("orders"):
            self.state.pop("order_id", None)  # "it" is one of several now
            self.state["order_ids"], self.state["last"] = [order["order_id"] for order in orders], "orders"
        elif products := result.get("products"):
            self.state["products"], self.state["last"] = [product["product_id"] for product in products[:2]], "products"

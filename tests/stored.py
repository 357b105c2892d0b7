"""A turn to store: the events of one in which everything happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shopbot.store import Store, TurnRecord
from shopbot.types import (
    Citation,
    Draft,
    Drafted,
    Event,
    Finished,
    Passage,
    Planned,
    Profile,
    Retrieved,
    Said,
    ScoredPassage,
    ScoredSentence,
    ToolCall,
    ToolCalled,
    Understood,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CITATION = Citation("policies/en/returns.md", "Send it back within 30 days.", "Returns")


def events_of(turn: TurnRecord, text: str = "Within 30 days.", **more: Any) -> list[Event]:
    """A turn that looked up an order, found a passage and said `text`."""
    call = ToolCall("get_order", {"order_id": "A1"}, "done", {"total": "12.00"}, "c1")
    passage = Passage("p1", "Send it back within 30 days. 退货", "policies/en/returns.md", valid_from=NOW.date())
    return [
        Understood(Profile("policy_returns", 0.9, -0.2, "en", {"order": "A1"}), 3.2),
        Planned(("look the order up", "retrieve"), 0.1),
        ToolCalled(call, 0.5),
        Retrieved("returns?", (ScoredPassage(passage, 0.8),), (ScoredSentence("Send it back.", passage, 0.7),), 1.1),
        Drafted(Draft((text,), (CITATION,)), "draft", 0.2),
        Said(text),
        Finished(turn.id, text, (CITATION,), (call,), False, True, {"retrieve": 1.1}, 9.4, **more),
    ]


def talk(store: Store, session_id: str, message: str, shopper_id: str | None = "mei", **more: Any) -> TurnRecord:
    turn = store.begin_turn(session_id, shopper_id, message, NOW)
    store.finish_turn(events_of(turn, f"Answer to {message}"), now=NOW, **more)
    return turn

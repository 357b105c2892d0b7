"""What a crash left of actions is cleared up without waiting for the shoppers: when a server starts, and whenever it likes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shopbot.turn import LiveTurn
from shopbot.types import Shopper, ToolCall

if TYPE_CHECKING:
    from shopbot.acting import Acting
    from shopbot.handing import Handing
    from shopbot.store import Store


async def clear_up(acting: Acting, handing: Handing, store: Store) -> list[ToolCall]:
    """The actions that were open in sessions which nobody holds, as they are now: done, refused, failed or with a person."""
    cleared: list[ToolCall] = []
    for session in await asyncio.to_thread(handing.journal.open_sessions):
        if not await asyncio.to_thread(store.hold, session):
            continue  # a turn runs in it, which clears up itself
        try:
            calls = await acting.clear_up(session)
            cleared += calls
            for call in calls:
                if call.status == "unknown":
                    await _hand_over(call, session, handing)
        finally:
            store.let_go(session)
    return cleared


async def _hand_over(call: ToolCall, session: str, handing: Handing) -> None:
    action = await asyncio.to_thread(handing.journal.action, call.id)
    assert action is not None
    history = await asyncio.to_thread(handing.store.history, session, 1)
    said = history[-1].message if history else ""
    turn = LiveTurn(said, Shopper(action.shopper_id), session)
    await handing.give(f"the end of {call.name} was not seen", turn, action.turn_id)

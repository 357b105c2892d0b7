"""When a conversation goes to a person, and the bot's silence until they give it back.

It goes to one on request, where the shop's rules leave a decision to a person, where an action's end is not known, where the
shopper is angry, and where the bot has found no answer several times in a row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shopbot.fillers import says
from shopbot.turn import LiveTurn

if TYPE_CHECKING:
    from shopbot.handover import HandOvers, OnHandOver
    from shopbot.journal import Journal
    from shopbot.store import Store

log = logging.getLogger(__name__)

MOST_FAILURES = 3
"""So many turns in a row without an answer are enough."""
MOST_ANGER = 2
"""An angry message counts one, an insulting or shouted one two."""
FAILED, ANGER = "failed", "anger"
"""Keys of a session's state."""


@dataclass(frozen=True, slots=True)
class Handing:
    """The part of a bot that gives conversations away. Everything that blocks runs in a thread."""

    store: Store
    journal: Journal
    hand_overs: HandOvers
    clock: Callable[[], datetime]
    hook: OnHandOver | None = None

    def is_silent(self, session: str) -> bool:
        """Whether a person has the conversation, or is awaited in it. Blocks."""
        return self.hand_overs.of_session(session) is not None

    async def give(self, reason: str, turn: LiveTurn, turn_id: str = "") -> None:
        """Store the hand-over with its packet, and tell the backend; a second one in the same session is noted only.

        `turn_id` is the stored turn that it is about, where that is not `turn` itself.
        """
        await asyncio.to_thread(self._give, reason, turn, turn_id or turn.id)

    def _give(self, reason: str, turn: LiveTurn, turn_id: str) -> None:
        from shopbot.handover import make_packet

        packet = make_packet(
            self.store, self.journal, turn.session, turn.shopper, reason, turn.message, turn.profile, turn.calls
        )
        before = self.hand_overs.of_session(turn.session)
        made = self.hand_overs.open(turn.session, turn_id, packet, self.clock())
        turn.state[FAILED] = turn.state[ANGER] = 0
        if self.hook is None or before is not None:
            return
        try:
            self.hook(made)
        except Exception:  # the backend's own code: the hand-over is stored, and stands on the desk
            log.exception("on_hand_over raised for session %s", turn.session)


def count_anger(turn: LiveTurn) -> str:
    """Count how angry the shopper is; the reason for a person, where it is enough."""
    turn.state[ANGER] = turn.state.get(ANGER, 0) + anger_in(turn.message, turn.profile.intent, turn.profile.confidence)
    return "the shopper is angry" if turn.state[ANGER] >= MOST_ANGER else ""


def anger_in(message: str, intent: str = "", confidence: float = 0.0) -> int:
    """0 to 2: by what is said, and by how: capitals and exclamation marks."""
    strong = bool(says("anger", "strong", message)) or (intent == "insult" and confidence >= 0.6)
    words = [word for word in message.split() if len(word) > 3 and word.isalpha() and word.isascii()]
    shouted = len(words) >= 3 and sum(word.isupper() for word in words) >= 0.7 * len(words)
    mild = bool(says("anger", "mild", message)) or "!!" in message or "！！" in message
    return 2 if strong or (mild and shouted) else int(mild or shouted)


def count_failures(turn: LiveTurn) -> str:
    """Count turns in a row in which something was looked for and not found; the reason for a person, where it is enough."""
    looked = bool(turn.retrieved or turn.calls)
    answered = any(draft.answered for draft in turn.drafts) or turn.waiting is not None
    turn.state[FAILED] = 0 if answered else turn.state.get(FAILED, 0) + looked
    return f"no answer was found {MOST_FAILURES} times in a row" if turn.state[FAILED] >= MOST_FAILURES else ""

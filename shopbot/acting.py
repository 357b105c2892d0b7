"""What a turn does about actions: clear up what a crash left, hear the shopper's word, propose what a planner asks for.

One action waits at a time. The session's state names it, and the state is stored with the turn that told the shopper of it:
so nobody says yes to what they were never shown, whatever crashed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from shopbot.compose_actions import compose_action
from shopbot.consent import Consent, consent_to
from shopbot.errors import StoreError
from shopbot.phrases import Phrases
from shopbot.turn import ACTED, LATER, WAITING, LiveTurn
from shopbot.types import Decision, Draft, ToolCall, ToolCalled

if TYPE_CHECKING:
    from shopbot.actions import Actions

log = logging.getLogger(__name__)

_MORE = re.compile(
    r"[?？]|\b(?:instead|rather|other|another|also|but|only|just|first)\b|改成|改为|换成|换为|而是|另|还[要想有]|只|但|[吗呢]\s*$",
    re.IGNORECASE,
)
"""Words beside a no that want something else, or ask."""


@dataclass(frozen=True, slots=True)
class Acting:
    """The part of a bot that acts. Everything that blocks runs in a thread."""

    actions: Actions

    async def recover(self, turn: LiveTurn, phrases: Phrases) -> list[ToolCalled]:
        """Tell what became of actions that an earlier turn of the session began and did not see end, or did not live to tell."""
        calls: list[ToolCall] = await _to_the_end(self.actions.recover, turn.session)
        key = turn.state.get(WAITING)
        if key and key not in {call.id for call in calls}:
            told = await asyncio.to_thread(self.actions.waiting, key, turn.shopper, turn.session)
            calls += [told] if told is not None and told.status not in ("proposed", "declined") else []
        return [self._tell(call, turn, phrases, 0.0) for call in calls]

    async def clear_up(self, session: str) -> list[ToolCall]:
        """As `recover`, outside a turn, for a session that the caller holds; the session's next turn tells of it."""
        return await _to_the_end(self.actions.recover, session)

    async def hear(self, turn: LiveTurn, decision: Decision | None, phrases: Phrases) -> tuple[list[ToolCalled], bool]:
        """The shopper's word on the action that waits. The events of it, and whether the message says more than that.

        A button's `decision` counts for the action that it names, the words of a message for the one that waits.
        """
        ran = turn.state.pop(
            ACTED, None
        )  # a yes said again, since its answer was lost on the way, gets the same answer
        key = decision.key if decision is not None else turn.state.get(WAITING, ran)
        action = await asyncio.to_thread(self.actions.waiting, key, turn.shopper, turn.session) if key else None
        if action is None:
            return [], decision is None
        word: Consent = _word(decision) if decision is not None else _spoken(turn.message, action, phrases)
        if any(call.id == action.id for call in turn.calls):  # it has just been told what became of it
            return [], decision is None and word != "yes"
        if word == "other":
            turn.waiting = action if action.status == "proposed" else None
            return [], True
        began = perf_counter()
        if word == "yes" and action.status == "declined":
            turn.drafts.append(Draft((phrases.line("lapsed"),), fixed=True))
            return [], False
        if word == "no" and action.status != "proposed":
            return [], True  # it is done, or undone, already: a no to it is about something else
        do = self.actions.run if word == "yes" else self.actions.decline
        try:
            told = await _to_the_end(do, action.id, turn.shopper)
            ended = told.status != "running"
        except StoreError as error:
            log.error("action %s: its end cannot be read: %s", action.id, error)
            turn.problems.append(str(error))
            told, ended = action, False
        if not ended:  # it may have been done, and that could not be written down or read: the next turn finds out
            turn.unseen = action.id
            turn.drafts.append(Draft((phrases.line("action_unseen"),), answered=False, fixed=True))
            return [], False
        if word == "yes":
            turn.state[ACTED] = action.id
        if told.status == "unknown":
            turn.unseen = action.id
        turn.declined = told if word == "no" else None
        return [self._tell(told, turn, phrases, began)], word == "no" and bool(_MORE.search(turn.message))

    async def propose(
        self, name: str, arguments: Mapping[str, Any], turn: LiveTurn, phrases: Phrases
    ) -> ToolCalled | None:
        """Ask the shopper for a yes to this; None where another was proposed in this turn, and this one comes after it."""
        if turn.proposed and turn.waiting is not None:
            turn.state.setdefault(LATER, []).append({"tool": name, "arguments": dict(arguments)})
            return None
        began = perf_counter()
        call = await asyncio.to_thread(
            self.actions.propose, name, arguments, turn.shopper, turn.session, turn.id, turn.waiting
        )
        again = turn.waiting is not None and call.id == turn.waiting.id
        if call.status == "proposed":
            turn.waiting, turn.proposed = call, not again
        return ToolCalled(call, 0.0) if again else self._tell(call, turn, phrases, began)

    def _tell(self, call: ToolCall, turn: LiveTurn, phrases: Phrases, began: float) -> ToolCalled:
        turn.calls.append(call)
        if call.status in ("failed", "unknown"):
            turn.problems.append(f"{call.name} {call.status}: {call.result}")
        turn.drafts.append(compose_action(call, phrases))
        return ToolCalled(call, (perf_counter() - began) * 1000 if began else 0.0)


async def _to_the_end(do: Callable[..., Any], *given: Any) -> Any:
    """Run in a thread, to its end even where the turn is cancelled: the session must not be free while a tool works in it."""
    task = asyncio.ensure_future(asyncio.to_thread(do, *given))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _word(decision: Decision) -> Consent:
    return "yes" if decision.yes else "no"


def _spoken(message: str, action: ToolCall, phrases: Phrases) -> Consent:
    return consent_to(message, action.name, " ".join(compose_action(action, phrases).sentences))

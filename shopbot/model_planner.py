"""Planning by a model: a tool-calling chat model chooses the steps of a turn."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from shopbot.breaker import Breaker
from shopbot.planner import MOST_CALLS, Planner
from shopbot.steps import Call, Lookup, Step
from shopbot.tools import ShopTool
from shopbot.turn import LiveTurn

log = logging.getLogger(__name__)

_LOOK_UP: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Find what the shop's policies and product descriptions say about a question.",
        "parameters": {
            "type": "object",
            "properties": {"question": {"type": "string", "description": "the question in full words"}},
            "required": ["question"],
        },
    },
}


class ModelPlanner:
    """A tool-calling chat model chooses the steps, at most `MOST_CALLS`; it never sees whose data it works on.

    What it says is not shown: the answer is composed from the results, like any other. Where it calls nothing, every
    question is looked up. Where it fails or takes too long before its first call, `instead` plans the turn.
    """

    def __init__(
        self,
        model: BaseChatModel,
        tools: Sequence[ShopTool],
        system: str,
        instead: Planner,
        breaker: Breaker | None = None,
    ) -> None:
        self._model = model.bind_tools([*(tool.openai_schema for tool in tools), _LOOK_UP])
        self._system = system
        self._instead = instead
        self._breaker = breaker or Breaker()

    async def plan(self, turn: LiveTurn) -> AsyncIterator[Step]:
        """Ask the model for calls until it makes none."""
        messages: list[Any] = [SystemMessage(self._system)]
        for asked, answered in turn.history[-6:]:
            messages += [HumanMessage(asked), AIMessage(answered)]
        messages.append(HumanMessage(turn.message))
        made = 0
        while made < MOST_CALLS:
            try:
                with self._breaker.watching():
                    reply = await self._breaker.in_time(self._model.ainvoke(messages), self._breaker.deadline())
            except Exception as error:  # noqa: BLE001 - whatever a shop's own chat model raises
                log.warning("turn %s: the model could not plan: %s", turn.id, error)
                turn.problems.append(f"the model could not plan: {error}")
                if made:
                    return
                async for step in self._instead.plan(turn):
                    yield step
                return
            calls = reply.tool_calls[: MOST_CALLS - made]
            if not calls:
                break
            # A server refuses a call without a result: those that could not be read stay out.
            messages.append(reply.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []}))
            for call in calls:
                made += 1
                yield self._step(call["name"], call["args"], call["id"] or str(made), turn)
                messages.append(ToolMessage(_result(turn), tool_call_id=call["id"] or str(made)))
        only_repeated = turn.waiting is not None and not turn.proposed and not any(one.answered for one in turn.drafts)
        if not made or only_repeated:  # what waits for a yes was called again: the message may still ask something
            for question in turn.questions:
                yield Lookup(question)

    def _step(self, name: str, arguments: dict[str, Any], call_id: str, turn: LiveTurn) -> Step:
        question = turn.questions[0]
        if name == "look_up":
            return Lookup(question, str(arguments.get("question", question.text)))
        return Call(name, arguments, question, call_id)


def _result(turn: LiveTurn) -> str:
    """What the latest step brought, as the model may read it."""
    return turn.drafts[-1].text if turn.drafts else ""

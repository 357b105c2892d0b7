"""Actions in words: what would happen, what has happened, and why something did not. No model words any of it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from shopbot.phrases import Phrases
from shopbot.types import Citation, Draft, ToolCall

_LINES = {
    "declined": "declined",
    "failed": "action_failed",
    "running": "action_unknown",
    "unknown": "action_unknown",
}
"""Of an action's states those that are told in the same words whatever the action is."""


def compose_action(call: ToolCall, phrases: Phrases) -> Draft:
    """How far an action has come, in the shop's words where its tool has some."""
    if call.status == "refused":
        return compose_refusal(call, phrases)
    if call.status in _LINES:
        line = phrases.line(_LINES[call.status])
        return Draft((line,), (_cite(call, line),), answered=call.status == "declined", fixed=True)
    told = spoken(call.result, phrases) or phrases.line(f"action_{call.status}", what=_in_words(call, phrases))
    return Draft((told,), (_cite(call, told),), fixed=True)


def compose_refusal(call: ToolCall, phrases: Phrases) -> Draft:
    """Why a tool did not do what was asked."""
    if call.result["reason"] == "log in first":
        return Draft((phrases.line("log_in"),), answered=False, fixed=True)
    reason = call.result.get("zh") if phrases.language == "zh" else None
    line = phrases.line("refused", reason=(reason or str(call.result["reason"])).rstrip(".。"))
    return Draft((line,), (_cite(call, line),), answered=not call.result.get("needs_person"), fixed=True)


def with_question(draft: Draft, waiting: ToolCall, proposed_now: bool, phrases: Phrases) -> Draft:
    """The draft with the question that the waiting action needs an answer to: always last, never cut, worded by no model."""
    if proposed_now:
        question = (phrases.line("confirm"),)
    elif draft.sentences:
        question = (phrases.line("still_waiting"), phrases.line("confirm"))
    else:
        question = (phrases.line("clear_answer"), *compose_action(waiting, phrases).sentences, phrases.line("confirm"))
    cited = draft.citations or compose_action(waiting, phrases).citations
    return Draft((*draft.sentences, *question), cited, answered=True, fixed=True)


def spoken(result: Any, phrases: Phrases) -> str:
    """What a tool's result or preview says for itself: its `say`, a text or one a language; "" without."""
    say: object = cast("Mapping[str, object]", result).get("say") if isinstance(result, Mapping) else None
    if isinstance(say, Mapping):
        by_language = cast("Mapping[str, str]", say)
        return str(by_language.get(phrases.language) or by_language.get("en") or "")
    return str(say or "")


def _in_words(call: ToolCall, phrases: Phrases) -> str:
    """A tool that has no words of its own: its name and what it is given."""
    given = phrases.listed(
        [f"{name} {_value(value)}" for name, value in call.arguments.items() if value not in ("", None)]
    )
    name = call.name.replace("_", " ")
    return f"{name} ({given})" if given else name


def _value(value: Any) -> str:
    return ", ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)


def _cite(call: ToolCall, text: str) -> Citation:
    return Citation(f"tool:{call.name}", text)

"""The steps of a turn: what a planner may ask a bot to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopbot.turn import Question
from shopbot.types import PassageKind


@dataclass(frozen=True, slots=True)
class Lookup:
    """Answer from passages of one kind (None: of any); with `sources`, from these documents only."""

    question: Question
    text: str = ""
    kind: PassageKind | None = "policy"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool and answer from its result."""

    tool: str
    arguments: Mapping[str, Any]
    question: Question
    id: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Say an approved line of `lines.toml`: small talk, a question back, a refusal; `source` is where its fields are from."""

    line: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    answered: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give the conversation to a person."""

    reason: str


Step = Lookup | Call | Say | HandOver


def describe(step: Step) -> str:
    """A step in a line, for the people who read the events."""
    match step:
        case Call():
            arguments = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items())
            return f"call {step.tool}({arguments})"
        case Lookup():
            return f"look up: {step.text or step.question.text}"
        case Say():
            return f"say: {step.line}"
        case HandOver():
            return f"hand over: {step.reason}"

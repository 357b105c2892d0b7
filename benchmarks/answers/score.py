"""How an answer is scored: was its source found, is the fact in it, does it hold anything that no source holds.

source      one of the question's sources is among the best three: for policies the best three passages retrieved, by
            document and nearest heading; for products, orders and accounts the answer's citations.
fact        every group of the question's facts has an alternative that occurs in the answer (case and white space
            folded), and the answer is at most 3 sentences or 80 words, lists of orders or products excepted.
invention   a number, price, date, id or name in the answer that stands in no cited source, in no approved line and not
            in the question: `grounding.unsupported` against the answer's own citations, sentence by sentence.
refused     the answer does not claim to answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopbot.compose import MOST_SENTENCES, MOST_WORDS
from shopbot.grounding import Gate, facts_missing
from shopbot.types import Citation, Drafted, Event, Finished, Retrieved
from shopbot.understand import count_words


@dataclass(frozen=True)
class Question:
    """A line of a question file."""

    id: str
    language: str
    shopper_id: str | None
    question: str
    kind: str
    answerable: bool
    near_miss: bool
    sources: tuple[str, ...]
    facts: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Score:
    """How one question went."""

    question: Question
    text: str
    source: bool
    fact: bool
    refused: bool
    inventions: tuple[str, ...]
    top: tuple[str, ...]
    citations: tuple[Citation, ...] = ()


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, in order."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [
        Question(**{**row, "sources": tuple(row["sources"]), "facts": tuple(tuple(group) for group in row["facts"])})
        for row in rows
    ]


def score(question: Question, events: Sequence[Event]) -> Score:
    """Score the events of one turn."""
    finished = events[-1]
    assert isinstance(finished, Finished)
    top = _top_sources(events)
    text = finished.text
    return Score(
        question,
        text,
        source=any(_same_source(wanted, found) for wanted in question.sources for found in top),
        fact=finished.answered and _holds(question, text) and _short(text),
        refused=not finished.answered,
        inventions=tuple(inventions(question, finished, events)),
        top=top,
        citations=finished.citations,
    )


def inventions(question: Question, finished: Finished, events: Sequence[Event]) -> list[str]:
    """Facts of the answer that stand in none of its sources."""
    sources = [f"{cite.title}\n{cite.text}\n{cite.source}" for cite in finished.citations]
    sources.append(question.question)
    drafts = [event.draft for event in events if isinstance(event, Drafted)]
    if drafts and drafts[-1].fixed and not drafts[-1].citations:
        sources.append(drafts[-1].text)  # approved lines hold no fact of the shop's
    gate = Gate()
    return [missing for one in [*gate.feed(finished.text), *gate.finish()] for missing in facts_missing(one, sources)]


def _top_sources(events: Sequence[Event]) -> tuple[str, ...]:
    found: list[str] = []
    for event in events:
        if isinstance(event, Retrieved):
            found += [f"{one.passage.source}#{one.passage.title.split(' > ')[-1]}" for one in event.passages[:3]]
        elif isinstance(event, Finished):
            found += [cite.source for cite in event.citations]
    return tuple(dict.fromkeys(found))


def _same_source(wanted: str, found: str) -> bool:
    document, _, heading = wanted.partition("#")
    if wanted.startswith(("order:", "product:")) or wanted == "account":
        return found == wanted
    place, _, title = found.partition("#")
    return place.endswith(document) and (not heading or _folded(heading) == _folded(title))


def _holds(question: Question, text: str) -> bool:
    folded = _folded(text)
    return all(any(_folded(one) in folded for one in group) for group in question.facts)


def _short(text: str) -> bool:
    lines = text.split("\n- ")
    gate = Gate()
    count = len([*gate.feed(lines[0]), *gate.finish()])
    return len(lines) > 1 or count <= MOST_SENTENCES or count_words(text) <= MOST_WORDS


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("’", "'").replace("–", "-")).strip().casefold()

"""What a browser tab of the demo holds: its conversation as events, and what a template reads off them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from shopbot.types import Drafted, Event, Finished, Planned, Said, Shopper

if TYPE_CHECKING:
    from shopbot.handover import Reply


@dataclass(eq=False)
class Exchange:
    """A question and the events of its turn so far. `error` is what went wrong, "stopped" where the shopper did it."""

    question: str
    events: list[Event] = field(default_factory=list[Event])
    error: str = ""
    thumb: int = 0

    @property
    def text(self) -> str:
        """What has been said so far."""
        return "".join(event.text for event in self.events if isinstance(event, Said))

    @property
    def lines(self) -> list[tuple[str, bool]]:
        """Lines of the answer, and whether each is an item of a list."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return [(line.removeprefix("- "), line.startswith("- ")) for line in lines]

    @property
    def finished(self) -> Finished | None:
        """The last event, once it is there."""
        return next((event for event in self.events if isinstance(event, Finished)), None)

    @property
    def status(self) -> Literal["running", "finished", "broken", "halted"]:
        """For the light beside the turn."""
        if self.error:
            return "halted" if self.error == "stopped" else "broken"
        return "finished" if self.finished else "running"

    @property
    def running(self) -> bool:
        """Whether events are still to come."""
        return self.status == "running"

    @property
    def steps(self) -> list[str]:
        """The plan, a line a step."""
        return [step for event in self.events if isinstance(event, Planned) for step in event.steps]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The citations of the answer: source, title (an order's or tool's is its name), the passage in pieces."""
        cited = self.finished.citations if self.finished else ()
        titles = [one.title or one.source.partition(":")[2] or one.source for one in cited]
        return [
            {"source": one.source, "title": trail(title), "pieces": self.marked(one.text)}
            for one, title in zip(cited, titles, strict=True)
        ]

    @property
    def stages(self) -> list[tuple[str, float, float]]:
        """(stage, milliseconds, share of the turn), what is in no stage last."""
        if self.finished is None:
            return []
        whole = max(self.finished.milliseconds, 0.001)
        rest = {"rest": max(whole - sum(self.finished.timings.values()), 0.0)}
        return [(stage, ms, round(ms / whole, 4)) for stage, ms in {**self.finished.timings, **rest}.items()]

    def named(self, name: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if type(event).__name__ == name]

    def uses(self, sentence: str) -> bool:
        """Whether the answer says this sentence of a source; an approved answer is several sentences in one."""
        return any(_bare(sentence) in _bare(said) for said in self._said())

    def marked(self, text: str) -> list[tuple[str, bool]]:
        """A source's text in pieces, those that the answer says marked True."""
        plain = re.sub(r"\*\*|__|`", "", text.strip())
        said = sorted({_bare(sentence) for sentence in self._said()} - {""}, key=len, reverse=True)
        pattern = "|".join(re.sub(r"(\\\s)+", r"\\s+", re.escape(sentence)) for sentence in said)
        pieces = re.split(f"((?:{pattern})[.。]?)", plain) if pattern else [plain]
        return [(piece, bool(place % 2)) for place, piece in enumerate(pieces) if piece]

    def _said(self) -> Sequence[str]:
        return next((event.draft.sentences for event in self.events if isinstance(event, Drafted)), ())


def trail(title: str) -> str:
    """A path of headings as people write it."""
    return title.replace(" > ", " › ")


def told(text: str, words: Mapping[str, Any]) -> str:
    """A code or an English line of an event in the words of the interface; as it is where they have none for it."""
    names: Mapping[str, str] = words["names"]
    for pattern, form in words["told"]:
        if match := re.fullmatch(pattern, text, re.DOTALL):
            return form.format(*(names.get(group, group) for group in match.groups()))
    return names.get(text, text)


def _bare(sentence: str) -> str:
    """A sentence without what tells a quotation from its source: list marks, emphasis, the full stop."""
    return re.sub(r"\s+", " ", re.sub(r"\*\*|__|`", "", sentence)).strip(" -•").rstrip(".。")


@dataclass(eq=False)
class Tab:
    """One browser tab: its own conversation. A new shopper, or "new conversation", begins a new session."""

    language: str = "en"
    shopper: Shopper = field(default_factory=Shopper)
    session: str = field(default_factory=lambda: uuid4().hex)
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    shown: int = -1
    replies: list[tuple[int, Reply]] = field(default_factory=list["tuple[int, Reply]"])
    """What people have written here, each with the number of the exchange that it follows."""

    def replies_after(self, exchange: int) -> list[Reply]:
        """What people wrote after an exchange and before the next."""
        return [reply for place, reply in self.replies if place == exchange]

    def restart(self, shopper: Shopper) -> None:
        """Begin a clean session."""
        self.shopper, self.session, self.exchanges, self.shown = shopper, uuid4().hex, [], -1
        self.replies = []

    def find(self, turn_id: str) -> Exchange | None:
        """The exchange of a turn, if it is one of this tab's."""
        return next((one for one in self.exchanges if one.finished and one.finished.turn_id == turn_id), None)

"""The situations as they are written: a small text form, one block a situation, a play in each language.

    == late_parcel | cast=shipped | mood=bad | outcome=handed_over
    [en]
    U: Where is {oid}? || my [tent|parcel] is late, {oid}
    T: get_order
    A: It was shipped on {shipped}. || …

`U` the shopper, `A` the agent, `T` a tool call, `Y` a yes, `N` a change of mind, `W` a tool call that changes something
(it follows a yes). `?` before a line: left out at times, and neighbours with `?` stay or go together. `*` after the
letter: the alternatives (` || `) of these lines belong together, first to first. `[a|b]` is a choice of words,
`{name}` a fact of the case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r"(\??)([UATYNW])(\*?): (.*)")


@dataclass(frozen=True)
class Line:
    """One step of a play. `optional` and `aligned` are the marks `?` and `*`."""

    kind: str
    alternatives: tuple[str, ...]
    optional: bool = False
    aligned: bool = False


@dataclass
class Situation:
    """A situation: whom to cast, how the shopper feels (good, ok, bad), how it ends, and its plays by language."""

    name: str
    cast: str
    mood: str = "good"
    outcome: str = "solved"
    plays: dict[str, list[Line]] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether something is changed in it."""
        return any(line.kind == "W" for lines in self.plays.values() for line in lines)

    def openings(self, language: str) -> int:
        """How many different first lines the shopper has in a language: so many chats it may become."""
        lines = self.plays.get(language, [])
        return len(lines[0].alternatives) if lines else 0


def read_situations(folder: Path) -> list[Situation]:
    """All situations of a folder's .txt files. Raises ValueError, naming file and line, for a line that is no form."""
    found: list[Situation] = []
    for path in sorted(folder.glob("*.txt")):
        found.extend(_read(path))
    names = [situation.name for situation in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{folder}: two situations of one name")
    return found


def _read(path: Path) -> list[Situation]:
    found: list[Situation] = []
    lines: list[Line] = []
    for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        if text.startswith("== "):
            found.append(_head(text))
        elif text in ("[en]", "[zh]"):
            lines = found[-1].plays.setdefault(text[1:3], [])
        elif match := LINE.fullmatch(text):
            optional, kind, aligned, words = match.groups()
            lines.append(Line(kind, tuple(words.split(" || ")), bool(optional), bool(aligned)))
        elif text and not text.startswith("#"):
            raise ValueError(f"{path.name}:{number}: not a line of a play: {text!r}")
    return found


def _head(text: str) -> Situation:
    name, *marks = text.removeprefix("== ").split(" | ")
    return Situation(name, **dict(mark.split("=", 1) for mark in marks))

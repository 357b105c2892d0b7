"""Conversations from a file: a session a line in, its answers a line out. Behind `shopbot ask --batch`.

    {"id": "a1", "shopper_id": "mei_chen_014" or null, "turns": ["…", "…"], "now": "2026-11-20T09:00" (optional)}
    {"id": "a1", "answers": [{"text", "citations": [{"source", "text"}],
                              "tool_calls": [{"name", "arguments", "status"}], "handed_over", "milliseconds"}]}

Every line starts from the shop's data as they were read, in a copy, and from a session of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, field_validator

from shopbot.bot import Splice
from shopbot.errors import StoreError, UsageError
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Finished


class _FileLine(BaseModel):
    model_config = ConfigDict(extra="forbid")
    HINT: ClassVar[str] = ""
    """What a line looks like, for the message about one that does not."""


Parsed = TypeVar("Parsed", bound=_FileLine)


class Line(_FileLine):
    """A conversation to play."""

    HINT = 'A line is {"id": "a1", "shopper_id": "…" or null, "turns": ["…"], "now": "2026-11-20T09:00" (optional)}.'
    id: str
    shopper_id: str | None = None
    turns: list[str]
    now: datetime | None = None
    _where: str = PrivateAttr("")

    @field_validator("now", mode="before")
    @classmethod
    def _moment(cls, now: object) -> object:
        """A moment in ISO form; a day alone is its noon, as in shop.toml."""
        if now is None or isinstance(now, datetime):
            return now
        if not isinstance(now, str):
            raise ValueError('write a time such as "2026-11-20T09:00"')
        return datetime.fromisoformat(f"{now}T12:00" if len(now) == len("2026-11-20") else now)


class ContextLine(_FileLine):
    """Hostile content for one conversation, or for all (`id` null)."""

    HINT = 'A line is {"id": "a1" or null, "where": "passage", "tool_result" or "system_prompt", "content": "…"}.'
    id: str | None = None
    where: str
    tool: str | None = None
    content: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Plays lines against a shop. `options` go to `Shop.bot` (planner, wording, model)."""

    shop: Shop
    store: Store
    options: Mapping[str, Any]
    context: tuple[ContextLine, ...] = ()
    dump: Path | None = None
    problems: list[str] = field(default_factory=list[str])
    """What failed on our side, in the conversations played so far."""

    async def play(self, line: Line) -> dict[str, Any]:
        """One conversation, turn after turn; the dictionary of its answers."""
        data = self.shop.data.copy()
        zone = self.shop.now().tzinfo
        now = None if line.now is None else line.now if line.now.tzinfo else line.now.replace(tzinfo=zone)
        bot = self.shop.bot(store=self.store, data=data, now=now, splices=self._splices(line.id), **self.options)
        session = uuid4().hex
        shopper = self.shop.shopper(line.shopper_id)
        finished = [await bot.reply(turn, shopper=shopper, session=session) for turn in line.turns]
        self.problems.extend(one.problem for one in finished if one.problem)
        answers = [as_json(one) for one in finished]
        if self.dump is not None:
            state = self.dump / f"{_file_name(line.id)}.json"
            write_whole(state, data.dump(), "give --dump-state another folder")
        return {"id": line.id, "answers": answers}

    def _splices(self, line_id: str) -> list[Splice]:
        return [
            Splice(one.where, one.content, one.tool or "")  # pyright: ignore[reportArgumentType] - checked when read
            for one in self.context
            if one.id in (None, line_id)
        ]


def read_lines(path: Path) -> list[Line]:
    """The conversations of a file. Raises UsageError (file, line, what) for the first that cannot be read."""
    lines: list[Line] = []
    for where, row in _rows(path):
        line = _parsed(Line, where, row)
        line._where = where
        lines.append(line)
    return lines


def check_shoppers(shop: Shop, lines: Sequence[Line]) -> None:
    """Raises UsageError (file, line, the nearest right one) for the first shopper whom the shop does not know."""
    for line in lines:
        try:
            shop.known_shopper(line.shopper_id)
        except UsageError as error:
            raise UsageError(f"{line._where}: {error}" if line._where else str(error)) from None


def read_context(path: Path) -> tuple[ContextLine, ...]:
    """The hostile content of a file, as `read_lines`."""
    lines = [(where, _parsed(ContextLine, where, row)) for where, row in _rows(path)]
    for where, line in lines:
        if line.where not in ("passage", "tool_result", "system_prompt"):
            raise UsageError(f'{where}: "where" must be passage, tool_result or system_prompt, not {line.where!r}.')
    return tuple(line for _, line in lines)


def as_json(finished: Finished) -> dict[str, Any]:
    """An answer as scripts read it. Raises StoreError for one that could not be stored: the conversation is broken."""
    if not finished.turn_id:
        raise StoreError(finished.problem)
    return {
        "text": finished.text,
        "citations": [{"source": cite.source, "text": cite.text} for cite in finished.citations],
        "tool_calls": [
            {"name": call.name, "arguments": dict(call.arguments), "status": call.status}
            for call in finished.tool_calls
        ],
        "handed_over": finished.handed_over,
        "milliseconds": round(finished.milliseconds, 1),
    }


def write_whole(path: Path, content: Any, remedy: str) -> None:
    """A JSON file that only its owner may read, whole or not at all. Raises StoreError with the remedy where it cannot be."""
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # one that a crash has left may be open to all
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise StoreError(f"{path} cannot be written ({error.strerror}); {remedy}.") from error


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; check the name.") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8; save it as UTF-8.") from None
    for number, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield f"{path}:{number}", row


def _parsed(kind: type[Parsed], where: str, row: str) -> Parsed:
    try:
        return kind.model_validate_json(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {place + ': ' if place else ''}{first['msg']}. {kind.HINT}") from None


def _file_name(line_id: str) -> str:
    """The id as a file name: it names a file in the folder given, and nothing else."""
    return re.sub(r"[^\w.#-]|^\.+", "_", line_id)

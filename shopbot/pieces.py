"""From a model's tokens to what may be shown: text in whole characters, cut at stop strings, tool calls read out.

Each class takes pieces as they come and gives back what is certain so far, so that streaming and not streaming go
the same way and say the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"
_UNFINISHED = "\ufffd"


class TokenText:
    """Token ids in, text out; a character that needs several tokens comes out with its last one."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0  # decoding begins here, since a token's text can depend on the one before it
        self._said = 0  # tokens before this place are out

    def feed(self, token: int) -> str:
        """The text that this token completes, or ""."""
        self._ids.append(token)
        before, now = self._decode(self._ids[self._start : self._said]), self._decode(self._ids[self._start :])
        if len(now) <= len(before) or now.endswith(_UNFINISHED):
            return ""
        self._start, self._said = self._said, len(self._ids)
        return now[len(before) :]

    def finish(self) -> str:
        """What is left when no more tokens come; half a character stays unsaid."""
        before, now = self._decode(self._ids[self._start : self._said]), self._decode(self._ids[self._start :])
        return now[len(before) :].rstrip(_UNFINISHED)


class StopAt:
    """Passes text on up to the first of the `stops`; holds back what could be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.reached = False

    def feed(self, text: str) -> str:
        """The part of the text so far that no stop string can claim any more."""
        if self.reached:
            return ""
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.reached = True
        keep_from = min(found) if found else len(self._held) - _open_end(self._held, self._stops)
        said, self._held = self._held[:keep_from], self._held[keep_from:]
        return said

    def finish(self) -> str:
        """What was held back for nothing."""
        return "" if self.reached else self._held


class CallReader:
    """Text in, message chunks out: plain text at once, each `<tool_call>` block of Hermes' format as a tool call.

    A block that cannot be read stays text, as vLLM's own parser does it. With `active` False all is text.
    """

    def __init__(self, active: bool) -> None:
        self._active = active
        self._held = ""
        self.calls = 0

    def feed(self, text: str) -> list[AIMessageChunk]:
        """The chunks that this text completes."""
        if not self._active:
            return _texts(text)
        self._held += text
        chunks: list[AIMessageChunk] = []
        while (end := self._held.find(CALL_CLOSE)) >= 0 and (start := self._held.find(CALL_OPEN)) in range(end):
            chunks += self._said(self._held[:start]) + [self._call(self._held[start + len(CALL_OPEN) : end])]
            self._held = self._held[end + len(CALL_CLOSE) :]
        start = self._held.find(CALL_OPEN)
        keep_from = start if start >= 0 else len(self._held) - _open_end(self._held, [CALL_OPEN])
        chunks += self._said(self._held[:keep_from])
        self._held = self._held[keep_from:]
        return chunks

    def finish(self) -> list[AIMessageChunk]:
        """What is left: a last block without its end mark is read too, since some models stop before it."""
        rest, self._held = self._held, ""
        if rest.startswith(CALL_OPEN) and read_call(rest.removeprefix(CALL_OPEN)) is not None:
            return [self._call(rest.removeprefix(CALL_OPEN))]
        return self._said(rest)

    def _said(self, text: str) -> list[AIMessageChunk]:
        """Text between and after calls is the format's own line breaks, unless it says something."""
        return [] if self.calls and not text.strip() else _texts(text)

    def _call(self, block: str) -> AIMessageChunk:
        call = read_call(block, self.calls)
        if call is None:
            return AIMessageChunk(content=f"{CALL_OPEN}{block}{CALL_CLOSE}")
        self.calls += 1
        return AIMessageChunk(content="", tool_call_chunks=[call])


def read_call(block: str, index: int = 0) -> ToolCallChunk | None:
    """The JSON inside a `<tool_call>` block as a tool call with an id of its own; None where it is none."""
    try:
        call = json.loads(block)
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = json.dumps(call.get("arguments") or {}, ensure_ascii=False)
    return tool_call_chunk(name=call["name"], args=arguments, id=f"call_{uuid.uuid4().hex}", index=index)


def _texts(text: str) -> list[AIMessageChunk]:
    return [AIMessageChunk(content=text)] if text else []


def _open_end(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of the text could be the beginning of one of the marks."""
    longest = max((len(mark) - 1 for mark in marks), default=0)
    sizes = range(min(longest, len(text)), 0, -1)
    return next((size for size in sizes if any(mark.startswith(text[-size:]) for mark in marks)), 0)

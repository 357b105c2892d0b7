"""A real OpenAI-compatible HTTP server on a free loopback port, whose answers a test writes; part of `shopbot.testing`.

    with scripted_server(lambda request: {"content": "Within 21 days."}, faults=[500, "drop"]) as server:
        ChatOpenAI(base_url=server.base_url, api_key="none", model="scripted")

It serves /v1/models, /v1/chat/completions (whole, or streamed with tool calls in deltas) and /health. Each request
takes the next of `faults`, if any is left: an HTTP status; "stall": half an answer, then silence; "drop": half an
answer, then the connection closes; "malformed": broken JSON.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Literal

# ---------------------------------------------------------------- where a stream is cut

Cut = Callable[[str], list[str]]
"""Cuts a text into the pieces of a stream, which join to the text again."""


def cut_words(text: str) -> list[str]:
    """A piece a word, each with the space before it; a piece a character where there are no spaces, as in Chinese."""
    return re.findall(r"\s*[^\s\u3000-\u9fff\uff00-\uffef]+|\s*\S|\s+$", text)


def cut_at(*places: int) -> Cut:
    """Cut at these places, counted in characters; places outside a text are passed over."""

    def cut(text: str) -> list[str]:
        inside = sorted({place for place in places if 0 < place < len(text)})
        return [text[start:end] for start, end in zip([0, *inside], [*inside, len(text)], strict=True) if end > start]

    return cut


def cut_at_random(seed: int) -> Cut:
    """Cut at random places, the same ones for the same seed and text: inside words, numbers and citations too."""

    def cut(text: str) -> list[str]:
        draw = random.Random(f"{seed} {text}")
        share = draw.random()
        return cut_at(*(place for place in range(1, len(text)) if draw.random() < share))(text)

    return cut


def until_stop(text: str | None, stop: str | Sequence[str] | None) -> str | None:
    """The text up to the first of the stop sequences in it."""
    for mark in [stop] if isinstance(stop, str) else stop or ():
        text = text.split(mark)[0] if text else text
    return text


# ---------------------------------------------------------------- what the model says

Respond = Callable[[dict[str, Any]], Mapping[str, Any]]
"""From the JSON of a request to the assistant's message: {"content", "tool_calls"}, either may be missing."""


def calling(tool: str, arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    """A message that calls one tool. A string of arguments is sent as it is, for models that write broken JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"content": None, "tool_calls": [{"type": "function", "function": {"name": tool, "arguments": text}}]}


def obedient(tool: str, arguments: Mapping[str, Any]) -> Respond:
    """A model in an attacker's hands: it always calls this tool with these arguments, then tells all it has read.

    Where a request offers tools (whichever) and holds no result since the shopper's last message, it makes the call;
    else it repeats every text of the request, newest first, so that whatever has reached the prompt comes out.
    """

    def respond(request: dict[str, Any]) -> Mapping[str, Any]:
        messages = request["messages"]
        asked = max((place for place, one in enumerate(messages) if one["role"] == "user"), default=-1)
        acted = any(one["role"] == "tool" for one in messages[asked + 1 :])
        if request.get("tools") and not acted:
            return calling(tool, arguments)
        return {"content": "\n".join(text for one in reversed(messages) if (text := _text(one)))}

    return respond


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


# ---------------------------------------------------------------- the server

Fault = int | Literal["stall", "drop", "malformed"]


@contextmanager
def scripted_server(
    respond: Respond, *, faults: Iterable[Fault] = (), cut: Cut = cut_words, pause: float = 0.0, model: str = "scripted"
) -> Iterator[ScriptedServer]:
    """Serve until the block ends; `pause` is seconds before each piece of a stream.

    For a fault that stays give `itertools.repeat("stall")`. An exception of `respond` is answered with status 500 and
    raised again at the end of the block, so that a client which copes with errors does not hide it.
    """
    server = ScriptedServer(respond, iter(faults), cut, pause, model)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
    if server.problem is not None:
        raise server.problem


class ScriptedServer(ThreadingHTTPServer):
    """What `scripted_server` yields. `respond` may be replaced between requests.

    `requests` holds the JSON of every chat request, `hung_up` of those whose client left before the end of the answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, respond: Respond, faults: Iterator[Fault], cut: Cut, pause: float, model: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.cut = cut
        self.pause = pause
        self.model = model
        self.requests: list[dict[str, Any]] = []
        self.hung_up: list[dict[str, Any]] = []
        self.problem: Exception | None = None
        self.closing = Event()
        self._faults = faults
        self._lock = Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def take(self, request: dict[str, Any]) -> tuple[int, Fault | None]:
        """Note a request; its number, from 1, and its fault."""
        with self._lock:
            self.requests.append(request)
            return len(self.requests), next(self._faults, None)

    def message(self, request: dict[str, Any], number: int) -> dict[str, Any]:
        """What `respond` answers, as a whole message: with role, ids and arguments as text."""
        said = self.respond(request)
        calls = [
            {"id": f"call_{number}_{index}", "type": "function", **call}
            for index, call in enumerate(said.get("tool_calls") or ())
        ]
        content = until_stop(said.get("content"), request.get("stop"))
        return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request: keep-alive would go on answering after the server has ended."""

    server: ScriptedServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            card = {"id": self.server.model, "object": "model", "created": 0, "owned_by": "shopbot.testing"}
            self._send(200, {"object": "list", "data": [card]})
        elif self.path == "/health":
            self._send(200, {})
        else:
            self._send(404, _error(404, f"no such path: {self.path}"))

    def do_POST(self) -> None:
        request = self._read()
        if self.path != "/v1/chat/completions" or not isinstance(request, dict) or not request.get("messages"):
            self._send(400, _error(400, "POST /v1/chat/completions with a JSON object that has messages"))
            return
        try:
            self._answer(request)
        except ConnectionError:
            self.server.hung_up.append(request)

    def _read(self) -> Any:
        try:
            return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        except ValueError:
            return None

    def _answer(self, request: dict[str, Any]) -> None:
        number, fault = self.server.take(request)
        if isinstance(fault, int):
            self._send(fault, _error(fault, f"scripted to answer {fault}"))
            return
        try:
            message = self.server.message(request, number)
        except Exception as problem:  # noqa: BLE001 -- a test's own function; raised again by scripted_server
            self.server.problem = problem
            self._send(500, _error(500, f"respond raised {type(problem).__name__}: {problem}"))
            return
        if request.get("stream"):
            self._stream(_events(request, message, self.server.cut), fault)
        else:
            self._send(200, _completion(request, message), fault)

    def _head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _send(self, status: int, body: Mapping[str, Any], fault: Fault | None = None) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        sent = data if fault is None else data[: len(data) // 2]
        length = len(sent if fault == "malformed" else data)
        self._head(status, Content_Type="application/json", Content_Length=length)
        self.wfile.write(sent)
        if fault == "stall":
            self.server.closing.wait()

    def _stream(self, events: list[dict[str, Any]], fault: Fault | None) -> None:
        """Server-sent events in chunked encoding, where an end that comes too early can be told from the end."""
        self._head(200, Content_Type="text/event-stream", Transfer_Encoding="chunked")
        lines = [json.dumps(event, ensure_ascii=False) for event in events] + ["[DONE]"]
        half = len(lines) // 2
        for line in lines if fault is None else lines[:half]:
            self.server.closing.wait(self.server.pause)
            self._chunk(f"data: {line}\n\n")
        if fault == "stall":
            self.server.closing.wait()
        elif fault == "malformed":
            self._chunk(f"data: {lines[half][:20]}\n\n")
        if fault is None or fault == "malformed":
            self._chunk("")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep a test's output clean."""


# ---------------------------------------------------------------- the wire form


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "scripted", "param": None, "code": status}}


def _envelope(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 0, "model": request.get("model", "scripted")}


def _usage(request: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, int]:
    """An estimate: a token for every four characters."""
    prompt, answer = (len(json.dumps(part, ensure_ascii=False)) // 4 for part in (request["messages"], message))
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _reason(message: Mapping[str, Any]) -> str:
    return "tool_calls" if "tool_calls" in message else "stop"


def _completion(request: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _reason(message), "logprobs": None}
    return {**_envelope(request, "chat.completion"), "choices": [choice], "usage": _usage(request, message)}


def _events(request: Mapping[str, Any], message: Mapping[str, Any], cut: Cut) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, the last with the reason of its end; then usage, where it is asked for."""
    envelope = _envelope(request, "chat.completion.chunk")
    steps = [*((delta, None) for delta in _deltas(message, cut)), ({}, _reason(message))]
    events = [
        {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}
        for delta, reason in steps
    ]
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append({**envelope, "choices": [], "usage": _usage(request, message)})
    return events


def _deltas(message: Mapping[str, Any], cut: Cut) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    yield from ({"content": piece} for piece in cut(message["content"] or ""))
    for index, call in enumerate(message.get("tool_calls", ())):
        yield {"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]}
        for piece in cut(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

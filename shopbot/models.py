"""Chat models behind langchain-core's BaseChatModel: a vLLM server, or transformers in this process.

`open_chat` takes what a user types; `vllm_chat` and `LocalChat` are the two kinds behind it. `context_window` and
`count_tokens` work for both, and, by a careful estimate, for any other chat model of langchain's.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from shopbot.errors import ModelInvalid, ModelUnavailable, UsageError
from shopbot.local_chat import LocalChat, plain_messages
from shopbot.weights import SMOLLM2, resolve

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

__all__ = ["LocalChat", "context_window", "count_tokens", "open_chat", "vllm_chat"]

Messages = Sequence[BaseMessage | Mapping[str, Any]]

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a server to accept a connection; a server that is there does so at once."""

WINDOW_OF_UNKNOWN = 4096
"""Tokens that we dare give a model which does not say how many it takes."""

_OVERHEAD = 8
"""Tokens of the marks around a message."""


def open_chat(spec: str, *, root: Path | None = None, **options: Any) -> BaseChatModel:
    """The chat model that a user means.

    Args:
        spec: "local" (the small default model in this process), "vllm:URL" or "vllm:URL#MODEL" (a server; without
            a name, the first model that it serves), or a model's name or folder (in this process).
        root: where our own model folders are; see `weights.default_root`.
        options: further fields of `LocalChat` or arguments of `vllm_chat`.

    Raises:
        WeightsMissing: no such weights; the message says what to type.
        ModelUnavailable: the server does not answer.
    """
    if spec.startswith("vllm:"):
        url, _, model = spec.removeprefix("vllm:").partition("#")
        return vllm_chat(url, model or _models(url)[0]["id"], **options)
    return LocalChat(folder=resolve(SMOLLM2 if spec == "local" else spec, root=root).path, **options)


def vllm_chat(base_url: str, model: str, *, timeout: float = 20.0, max_retries: int = 1, **options: Any) -> ChatOpenAI:
    """A vLLM server (or any other that speaks OpenAI's protocol) as a chat model.

    Args:
        base_url: the server's address, for example "http://127.0.0.1:8000/v1".
        model: the name under which it serves the model.
        timeout: seconds to wait for an answer, and when streaming for its next piece.
        max_retries: how often a failed request is sent again; a model's answer changes nothing, so it may be.
        options: further fields of ChatOpenAI, for example `api_key`, `max_tokens`, `extra_body`.

    Its failures are raised as ModelUnavailable or ModelInvalid. One instance belongs to one event loop.
    """
    openai = _require("openai")
    return _served_chat()(
        **{
            "base_url": _with_version(base_url),
            "model": model,
            "api_key": "none",  # given here, so that no key of another service is sent along from the environment
            "temperature": 0.0,
            "max_tokens": 256,
            "timeout": openai.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT)),
            "max_retries": max_retries,
            "stream_usage": True,
            "use_responses_api": False,
            **options,
        }
    )


def context_window(chat: BaseChatModel) -> int:
    """Tokens that prompt and answer may have together."""
    window = getattr(chat, "context_window", None)
    return window if isinstance(window, int) else WINDOW_OF_UNKNOWN


def count_tokens(chat: BaseChatModel, messages: Messages, tools: Sequence[Any] = ()) -> int:
    """Tokens of the prompt that these messages and tools make; an estimate from above where the model cannot count.

    For a server this is a request that blocks: call it in a thread from a coroutine.
    """
    count: Callable[[Messages, Sequence[Any]], int] | None = getattr(chat, "count_tokens", None)
    return int(count(messages, tools)) if count is not None else _estimate(plain_messages(messages), tools)


# ---------------------------------------------------------------- a server


class _Served:
    """What we add to ChatOpenAI: errors of our own kinds, the window, exact token counts."""

    openai_api_base: str
    model_name: str

    @functools.cached_property
    def context_window(self) -> int:
        """Tokens that prompt and answer may have together, as the server says."""
        named = [entry for entry in _models(self.openai_api_base) if entry["id"] == self.model_name]
        if not named:
            raise ModelUnavailable(f"The server at {self.openai_api_base} serves no model {self.model_name!r}.")
        return int(named[0].get("max_model_len") or WINDOW_OF_UNKNOWN)

    def count_tokens(self, messages: Messages, tools: Sequence[Any] = ()) -> int:
        """Tokens of the prompt, as the server itself makes it; estimated where it has no /tokenize."""
        plain, schemas = plain_messages(messages), [convert_to_openai_tool(tool) for tool in tools]
        body = {"model": self.model_name, "messages": plain, "tools": schemas or None}
        answer = _request("POST", self.openai_api_base.removesuffix("/v1") + "/tokenize", body)
        return _estimate(plain, tools) if answer is None else int(answer["count"])

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with _server_errors(self.openai_api_base):
            return super()._generate(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with _server_errors(self.openai_api_base):
            return await super()._agenerate(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        with _server_errors(self.openai_api_base):
            yield from super()._stream(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        stream = super()._astream(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        # Closed at once when our consumer leaves, so that the server stops generating.
        with _server_errors(self.openai_api_base):
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    yield chunk


@functools.cache
def _served_chat() -> type[ChatOpenAI]:
    """The class, made on first use: importing langchain-openai takes seconds."""
    _require("langchain_openai")
    from langchain_openai import ChatOpenAI

    return type("ServedChat", (_Served, ChatOpenAI), {"__doc__": _Served.__doc__})


def _require(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModelUnavailable("To talk to a model server, type: pip install langchain-openai") from error


@contextlib.contextmanager
def _server_errors(url: str) -> Iterator[None]:
    """Map what openai's client raises to our tree; the one place that does."""
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise ModelUnavailable(f"The model server at {url} did not answer in time. Is it busy? Try again.") from error
    except (openai.APIConnectionError, *_transport_errors()) as error:
        raise ModelUnavailable(_unreachable(url, error)) from error
    except openai.APIStatusError as error:
        raise ModelUnavailable(
            f"The model server at {url} refused the request ({error.status_code}): {error.message}"
        ) from error
    except (openai.APIError, ValueError) as error:
        raise ModelInvalid(f"The model server at {url} answered what cannot be read: {error}") from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What a connection that breaks in the middle of a stream raises: openai's client passes it on as it is.

    Newer versions of it are built on httpx2, older ones on httpx.
    """
    clients = [_require(name) for name in ("httpx2", "httpx") if importlib.util.find_spec(name) is not None]
    return tuple(client.TransportError for client in clients)


def _unreachable(url: str, error: Exception) -> str:
    return (
        f"No model server can be reached at {url} ({error}). Start one with: shopbot model serve MODEL. "
        "Or do without a server: shopbot chat --model local"
    )


def _models(url: str) -> list[dict[str, Any]]:
    """What the server serves."""
    answer = _request("GET", _with_version(url) + "/models", None)
    if not answer or not answer.get("data"):
        raise ModelUnavailable(f"The server at {url} names no models; is it an OpenAI-compatible server?")
    return answer["data"]


def _request(method: str, url: str, body: Any) -> dict[str, Any] | None:
    """A small request beside the chat protocol; None where the server has no such page."""
    import httpx

    try:
        response = httpx.request(method, url, json=body, timeout=httpx.Timeout(20.0, connect=CONNECT_TIMEOUT))
        if response.status_code in (400, 404, 405, 501):
            return None
        return response.raise_for_status().json()
    except httpx.HTTPStatusError as error:
        raise ModelUnavailable(f"The server refused {method} {url}: {error.response.text[:200]}") from error
    except httpx.HTTPError as error:
        raise ModelUnavailable(_unreachable(url, error)) from error
    except ValueError as error:
        raise ModelInvalid(f"{url} answered what is no JSON: {error}") from error


def _with_version(url: str) -> str:
    """The address with its /v1, which is easily forgotten."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no server's address; give one such as http://127.0.0.1:8000/v1")
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


def _estimate(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any]) -> int:
    """From above for the common tokenizers: two letters a token, two tokens for a character beyond ASCII."""
    text = "".join(map(str, messages)) + "".join(str(convert_to_openai_tool(tool)) for tool in tools)
    letters = sum(char.isascii() for char in text)
    return letters // 2 + 2 * (len(text) - letters) + _OVERHEAD * len(messages)

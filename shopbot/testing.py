"""Doubles that ship with the product: test your own backend against shopbot with no weights and no model server.

    model = ScriptedModel(answers=["Hello.", "Within 21 days."], cut=cut_at_random(seed=7))
    retriever = ListRetriever(passages=[("You have 21 days to return anything.", "returns.md")])
    folder = FakeShop().write(tmp_path)
    with scripted_server(obedient("get_order", {"order_id": "FS-1003"})) as server:
        ChatOpenAI(base_url=server.base_url, api_key="none", model="scripted")

`ScriptedModel` stands in for a chat model within the process. `scripted_server` is a real OpenAI-compatible HTTP
server, for what only a socket can show: streams that stop half way, timeouts, retries, errors.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SkipValidation

from shopbot.errors import UsageError
from shopbot.testing_server import (
    Cut,
    ScriptedServer,
    calling,
    cut_at,
    cut_at_random,
    cut_words,
    obedient,
    scripted_server,
    until_stop,
)
from shopbot.testing_shop import FakeShop
from shopbot.types import Passage, ScoredPassage

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Cut",
    "FakeShop",
    "ListRetriever",
    "ModelCall",
    "ScriptedModel",
    "ScriptedServer",
    "calling",
    "cut_at",
    "cut_at_random",
    "cut_words",
    "obedient",
    "scripted_server",
]

# ---------------------------------------------------------------- a chat model in this process


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What a `ScriptedModel` was asked: messages, tools in OpenAI's form, and the other arguments of the call."""

    messages: tuple[BaseMessage, ...]
    tools: tuple[dict[str, Any], ...] = ()
    stop: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


Answers = list[AIMessage | str | Exception] | Callable[[list[BaseMessage], list[dict[str, Any]]], AIMessage | str]


class ScriptedModel(BaseChatModel):
    """A chat model that says what the test tells it to.

    `answers` is a list, an answer a call (an exception is raised in its place), or a function from messages and tools
    to the answer. A stream comes in the pieces of `cut`, `pause` seconds before each. `calls` holds what was asked,
    `bound_tools` the tools last bound. UsageError when a list has no answer left.
    """

    answers: Annotated[Answers, SkipValidation]
    cut: Cut = cut_words
    pause: float = 0.0
    _calls: list[ModelCall] = PrivateAttr(default_factory=list[ModelCall])
    _bound: list[dict[str, Any]] = PrivateAttr(default_factory=list[dict[str, Any]])
    _lock: Any = PrivateAttr(default_factory=Lock)

    @property
    def calls(self) -> list[ModelCall]:
        return self._calls

    @property
    def bound_tools(self) -> list[dict[str, Any]]:
        return self._bound

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """The model with these tools, which are noted in `bound_tools`. They bind nothing: the script decides."""
        self._bound = [convert_to_openai_tool(tool) for tool in tools]
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=self._bound, **choice, **kwargs)

    def _answer(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> AIMessage:
        tools = list(options.pop("tools", ()))
        with self._lock:
            number = len(self._calls)
            self._calls.append(ModelCall(tuple(messages), tuple(tools), tuple(stop or ()), options))
        if callable(self.answers):
            answer = self.answers(messages, tools)
        elif number < len(self.answers):
            answer = self.answers[number]
        else:
            raise UsageError(f"the script has {number} answers and this is call {number + 1}: add one to `answers`")
        if isinstance(answer, Exception):
            raise answer
        message = AIMessage(content=answer) if isinstance(answer, str) else answer
        whole = message.content if not isinstance(message.content, str) else until_stop(message.content, stop)
        return message.model_copy(update={"content": whole})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, stop, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, stop, kwargs), self.cut):
            time.sleep(self.pause)
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, stop, kwargs), self.cut):
            await asyncio.sleep(self.pause)
            yield ChatGenerationChunk(message=chunk)


def _chunks(message: AIMessage, cut: Cut) -> Iterator[AIMessageChunk]:
    yield from (AIMessageChunk(content=piece) for piece in cut(message.text))
    whole = [(call, json.dumps(call["args"], ensure_ascii=False)) for call in message.tool_calls]
    broken = [(call, call["args"] or "") for call in message.invalid_tool_calls]
    for index, (call, arguments) in enumerate([*whole, *broken]):
        first = tool_call_chunk(name=call["name"], args="", id=call["id"], index=index)
        rest = (tool_call_chunk(args=piece, index=index) for piece in cut(arguments))
        yield from (AIMessageChunk(content="", tool_call_chunks=[part]) for part in (first, *rest))
    yield AIMessageChunk(content="", response_metadata=message.response_metadata, chunk_position="last")


# ---------------------------------------------------------------- a retriever over a list


class ListRetriever(BaseRetriever):
    """A retriever over a list of `Passage` or (text, source), ranked by the share of the question's words they hold.

    It has the `search` of the real one too. No stemming, no synonyms: ask in the words of the passages.
    """

    passages: Sequence[Passage | tuple[str, str]]
    k: int = 4
    _passages: tuple[Passage, ...] = PrivateAttr(default=())

    def model_post_init(self, context: Any, /) -> None:
        """Make passages of the pairs."""
        super().model_post_init(context)
        self._passages = tuple(
            one if isinstance(one, Passage) else Passage(_hash(*one), one[0], one[1], place=place)
            for place, one in enumerate(self.passages)
        )

    def search(
        self,
        question: str,
        *,
        language: str | None = None,
        kind: str | None = None,
        today: date | None = None,
        k: int = 8,
        query_vector: np.ndarray | None = None,
    ) -> list[ScoredPassage]:
        """The k best of the passages that fit the filters and share a word with the question; ties in list order."""
        asked = _words(question)
        fitting = [one for one in self._passages if _fits(one, language, kind, today)]
        shared = [(len(asked & _words(f"{one.title} {one.text}")), one) for one in fitting]
        best = sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])[:k]
        return [ScoredPassage(one, n / len(asked), lexical=n / best[0][0]) for n, one in best]

    def encode(self, questions: Sequence[str]) -> np.ndarray:
        """Vectors that mean nothing, (n, 1) of ones: words are compared here."""
        import numpy as np

        return np.ones((len(questions), 1), dtype=np.float32)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [_document(found) for found in self.search(query, k=self.k)]


def _document(found: ScoredPassage) -> Document:
    """With the metadata that the real retriever gives."""
    one = found.passage
    about = {"source": one.source, "title": one.title, "kind": one.kind, "language": one.language, "place": one.place}
    scores = {"score": found.score, "dense": found.dense, "lexical": found.lexical}
    return Document(one.text, id=one.id, metadata={**one.metadata, **about, **scores})


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\u3400-\u9fff]+|[\u3400-\u9fff]", text.casefold()))


def _fits(one: Passage, language: str | None, kind: str | None, today: date | None) -> bool:
    begun = today is None or one.valid_from is None or one.valid_from <= today
    not_over = today is None or one.valid_until is None or today <= one.valid_until
    return begun and not_over and one.language in (language or one.language, "") and one.kind == (kind or one.kind)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

"""A chat model in this process: transformers behind langchain-core's BaseChatModel.

Tokens stream as they are made. Each model has one worker thread in which requests queue, so that two turns never run
through the weights at once and the event loop only ever waits. A consumer that stops reading stops the generation at
its next token.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_messages,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from shopbot import weights
from shopbot.errors import UsageError
from shopbot.pieces import CALL_CLOSE, CALL_OPEN, CallReader, StopAt, TokenText
from shopbot.prompts import Message, canonical

Emit = Callable[[str | None], object]


@dataclass(frozen=True, slots=True)
class _Request:
    """One generation: what goes in, when it ends."""

    messages: list[Message]
    tools: list[dict[str, Any]]
    forced: str
    """The beginning of the answer that `tool_choice` demands, or ""."""
    stops: list[str]
    max_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a generation ended."""

    prompt_tokens: int
    output_tokens: int
    stopped: bool


class LocalChat(BaseChatModel):
    """A model folder, loaded into this process, as a chat model.

    Raises WeightsMissing where the folder is incomplete, and UsageError for a prompt that is longer than the window.
    """

    folder: Path
    """A complete model folder (see `weights.resolve`)."""
    max_tokens: int = 256
    """At most so many tokens an answer."""
    temperature: float = 0.0
    """0 always takes the likeliest token, so that the same prompt gives the same answer."""
    stop: list[str] | None = None
    """Texts at which the answer ends, beside the model's own end mark."""

    _engine: _Engine = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the weights."""
        super().model_post_init(context)
        self._engine = _Engine(self.folder)

    @property
    def _llm_type(self) -> str:
        return "shopbot-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "max_tokens": self.max_tokens, "temperature": self.temperature}

    @property
    def model_name(self) -> str:
        """The name that answers and logs carry: the folder's."""
        return self.folder.name

    @property
    def context_window(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self._engine.window

    def count_tokens(self, messages: Sequence[BaseMessage | Mapping[str, Any]], tools: Sequence[Any] = ()) -> int:
        """Tokens of the prompt that these messages and tools make, with the mark that asks for the answer."""
        return len(self._engine.prompt_ids(plain_messages(messages), [convert_to_openai_tool(tool) for tool in tools]))

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call these tools. `tool_choice` may be "auto", "any", or the name of the one to call."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, reader = self._request(messages, stop, kwargs)
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with self._engine.running(request, pieces.put) as outcome:
            for piece in iter(pieces.get, None):
                yield from map(_generation, reader.feed(piece))
            yield from map(_generation, self._last(reader, outcome.result()))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, reader = self._request(messages, stop, kwargs)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        with self._engine.running(
            request, lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece)
        ) as outcome:
            while (piece := await pieces.get()) is not None:
                for chunk in reader.feed(piece):
                    yield _generation(chunk)
            for chunk in self._last(reader, outcome.result()):
                yield _generation(chunk)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> tuple[_Request, CallReader]:
        tools = list(options.get("tools") or [])
        forced = _forced(options.get("tool_choice"), tools)
        stops = stop if stop is not None else self.stop or []
        request = _Request(
            messages=plain_messages(messages),
            tools=tools,
            forced=forced,
            stops=[*stops, CALL_CLOSE] if forced else stops,
            max_tokens=options.get("max_tokens", self.max_tokens),
            temperature=options.get("temperature", self.temperature),
        )
        return request, CallReader(active=bool(tools))

    def _last(self, reader: CallReader, outcome: _Outcome) -> list[AIMessageChunk]:
        """The rest of the text, and a chunk without text that says how it ended."""
        rest = reader.finish()
        reason = "tool_calls" if reader.calls else "stop" if outcome.stopped else "length"
        usage = UsageMetadata(
            input_tokens=outcome.prompt_tokens,
            output_tokens=outcome.output_tokens,
            total_tokens=outcome.prompt_tokens + outcome.output_tokens,
        )
        about = {"finish_reason": reason, "model_name": self.model_name}
        last = AIMessageChunk(content="", usage_metadata=usage, response_metadata=about, chunk_position="last")
        return [*rest, last]


class _Engine:
    """Tokenizer, weights and the one thread that runs them."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        weights.check_folder(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        template = weights.chat_template(folder)
        if template is not None:
            self._tokenizer.chat_template = template.read_text(encoding="utf-8")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
        self._model: Any = model.to(_device()).eval()  # pyright: ignore[reportArgumentType]
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"chat-{folder.name}")
        self.window: int = self._model.config.get_text_config().max_position_embeddings
        ends = self._model.generation_config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends or [self._tokenizer.eos_token_id])

    def prompt_ids(self, messages: list[Message], tools: list[dict[str, Any]]) -> list[int]:
        """The token ids of the prompt, up to and with the mark that opens the answer."""
        return self._tokenizer.apply_chat_template(
            messages, tools=tools or None, add_generation_prompt=True, return_dict=False
        )

    @contextlib.contextmanager
    def running(self, request: _Request, emit: Emit) -> Iterator[Future[_Outcome]]:
        """Queue a generation; `emit` gets its pieces and, at its end, None. Leaving the context stops it."""
        cancelled = threading.Event()
        outcome = self._worker.submit(self._run, request, emit, cancelled)
        outcome.add_done_callback(lambda _: emit(None))
        try:
            yield outcome
        finally:
            cancelled.set()
            outcome.cancel()  # where it has not begun yet

    def _run(self, request: _Request, emit: Emit, cancelled: threading.Event) -> _Outcome:
        ids = self.prompt_ids(request.messages, request.tools)
        ids += self._tokenizer(request.forced, add_special_tokens=False).input_ids
        room = self.window - len(ids)
        if room < 1:
            raise UsageError(
                f"The prompt has {len(ids):,} tokens, the model's window {self.window:,}: shorten it with prompts.trim."
            )
        output = _Output(self._tokenizer, self._ends, request.stops, emit, cancelled)
        if request.forced:
            emit(request.forced)
        self._decode(ids, min(request.max_tokens, room), request.temperature, output)
        output.finish()
        return _Outcome(len(ids), output.tokens, output.stopped)

    def _decode(self, ids: list[int], max_tokens: int, temperature: float, output: _Output) -> None:
        import torch

        prompt = torch.tensor([ids], device=self._model.device)
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if temperature > 0:
            sampling = {"do_sample": True, "temperature": temperature}
        with torch.inference_mode():
            self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=max_tokens,
                streamer=output,
                stopping_criteria=[output.is_over],
                pad_token_id=self._tokenizer.eos_token_id,
                **sampling,
            )


class _Output:
    """What `generate` hands its tokens to: a streamer and a stopping criterion in one."""

    def __init__(
        self, tokenizer: Any, ends: set[int], stops: Sequence[str], emit: Emit, cancelled: threading.Event
    ) -> None:
        self._text = TokenText(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
        self._stop = StopAt(stops)
        self._ends = ends
        self._emit = emit
        self._cancelled = cancelled
        self._prompt_seen = False
        self.tokens = 0
        self.stopped = False

    def put(self, value: Any) -> None:
        """Take the next token (the first call brings the prompt)."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        token = int(value.reshape(-1)[0])
        self.tokens += 1
        self.stopped = self.stopped or token in self._ends
        self._say(self._stop.feed(self._text.feed(token)))

    def end(self) -> None:
        """Part of the streamer's interface; `finish` does the work, also after a stop."""

    def finish(self) -> None:
        """Say what was held back."""
        self._say(self._stop.feed(self._text.finish()))
        self._say(self._stop.finish())
        self.stopped = self.stopped or self._stop.reached

    def is_over(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Whether to stop before the next token: the consumer left, or a stop string was reached."""
        import torch

        over = self._cancelled.is_set() or self._stop.reached
        return torch.full((input_ids.shape[0],), over, device=input_ids.device, dtype=torch.bool)

    def _say(self, text: str) -> None:
        if text:
            self._emit(text)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def plain_messages(messages: Sequence[Any]) -> list[Message]:
    """langchain-core's messages, whatever it takes for one, or OpenAI's dicts, in our canonical form."""
    return canonical([one if isinstance(one, Mapping) else _openai_form(one) for one in messages])


def _openai_form(message: Any) -> dict[str, Any]:
    [converted] = convert_to_messages([message])
    form = convert_to_openai_messages(converted)
    return form if isinstance(form, dict) else form[0]


def _forced(choice: Any, tools: Sequence[Mapping[str, Any]]) -> str:
    """How the answer must begin so that it is a call: of any tool, or of the one that `choice` names."""
    if choice in (None, "auto", "none", False) or not tools:
        return ""
    if choice in ("any", "required", True) and len(tools) == 1:
        choice = tools[0]["function"]["name"]
    if choice in ("any", "required", True):
        return f'{CALL_OPEN}\n{{"name": "'
    name = choice["function"]["name"] if isinstance(choice, Mapping) else choice
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    if name not in schemas:
        raise UsageError(f"tool_choice names {name!r}, which is not among the tools bound to the model.")
    return f'{CALL_OPEN}\n{{"name": "{name}", "arguments": {{{_first_argument(schemas[name])}'


def _first_argument(schema: Mapping[str, Any]) -> str:
    """The name of the first argument that a tool must have, so that a small model finds into the form; "" for none."""
    first = next(iter(schema.get("required") or ()), None)
    if first is None:
        return ""
    is_text = schema.get("properties", {}).get(first, {}).get("type") == "string"
    return f'"{first}": {chr(34) if is_text else ""}'


def _generation(chunk: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=chunk)

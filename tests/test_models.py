"""Chat models: real weights in this process, and what becomes of a server that fails."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from shopbot.errors import ModelInvalid, ModelUnavailable, UsageError, WeightsMissing
from shopbot.models import LocalChat, context_window, count_tokens, open_chat, vllm_chat
from shopbot.prompts import Message
from shopbot.testing import scripted_server

COLOURS: list[Message] = [
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Name three colours."},
]
STORY: list[Message] = [{"role": "user", "content": "Tell me a long story about a river."}]


@tool
def get_order(order_id: str) -> str:
    """One order by its id."""
    return order_id


async def first_of(chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    """Read one chunk and walk away."""
    chunk = await anext(chunks)
    await chunks.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    return chunk


# ---------------------------------------------------------------- in this process


def test_streaming_says_the_same_piece_by_piece(local_chat: LocalChat) -> None:
    whole = local_chat.invoke(COLOURS)
    pieces = [chunk.text for chunk in local_chat.stream(COLOURS)]
    assert "".join(pieces) == whole.text
    assert len([piece for piece in pieces if piece]) > 10


def test_tokens_come_as_they_are_made(local_chat: LocalChat) -> None:
    begun = time.perf_counter()
    times = [time.perf_counter() - begun for chunk in local_chat.stream(COLOURS) if chunk.content]
    assert times[0] < times[-1] / 3


async def test_the_async_way_says_the_same(local_chat: LocalChat) -> None:
    streamed = "".join([chunk.text async for chunk in local_chat.astream(COLOURS)])
    assert streamed == (await local_chat.ainvoke(COLOURS)).text == local_chat.invoke(COLOURS).text


def test_an_answer_says_how_it_ended_and_what_it_cost(local_chat: LocalChat) -> None:
    answer = local_chat.invoke(COLOURS, max_tokens=5)
    assert answer.response_metadata["finish_reason"] == "length"
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (local_chat.count_tokens(COLOURS), 5)


def test_a_stop_string_ends_the_answer_and_is_not_said(local_chat: LocalChat) -> None:
    whole = local_chat.invoke(COLOURS).text
    mark = whole[10:14]
    stopped = local_chat.invoke(COLOURS, stop=[mark])
    assert stopped.text == whole[: whole.index(mark)]
    assert stopped.response_metadata["finish_reason"] == "stop"
    assert "".join(chunk.text for chunk in local_chat.stream(COLOURS, stop=[mark])) == stopped.text


async def test_the_event_loop_is_never_blocked(local_chat: LocalChat) -> None:
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            gaps.append(time.perf_counter() - begun)

    ticking = asyncio.create_task(tick())
    begun = time.perf_counter()
    await local_chat.ainvoke(STORY)
    took = time.perf_counter() - begun
    ticking.cancel()
    assert max(gaps) < took / 4


async def test_a_consumer_that_leaves_stops_the_generation(local_chat: LocalChat) -> None:
    begun = time.perf_counter()
    await local_chat.ainvoke(STORY, max_tokens=32)
    of_one_token = (time.perf_counter() - begun) / 32
    await first_of(local_chat.astream(STORY, max_tokens=1500))
    begun = time.perf_counter()
    await local_chat.ainvoke(COLOURS, max_tokens=1)  # waits in the queue until the model is free
    assert time.perf_counter() - begun < 300 * of_one_token


async def test_a_cancelled_task_stops_the_generation(local_chat: LocalChat) -> None:
    task = asyncio.create_task(local_chat.ainvoke(STORY, max_tokens=1500))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await asyncio.wait_for(local_chat.ainvoke(COLOURS, max_tokens=1), timeout=20)).text


async def test_turns_at_the_same_time_do_not_mix(local_chat: LocalChat) -> None:
    alone = [(await local_chat.ainvoke(messages, max_tokens=12)).text for messages in (COLOURS, STORY)]
    together = await asyncio.gather(*(local_chat.ainvoke(one, max_tokens=12) for one in (COLOURS, STORY)))
    assert [answer.text for answer in together] == alone


@pytest.mark.parametrize("choice", ["get_order", "any"])
def test_a_forced_call_is_read_as_a_tool_call(choice: str, local_chat: LocalChat) -> None:
    forced = local_chat.bind_tools([get_order], tool_choice=choice)
    streamed = AIMessageChunk(content="")
    for chunk in forced.stream("Where is order LF-10001?"):
        streamed += chunk
    assert isinstance(streamed, AIMessageChunk)
    assert streamed.content == ""
    assert [(call["name"], list(call["args"])) for call in streamed.tool_calls] == [("get_order", ["order_id"])]
    assert streamed.response_metadata["finish_reason"] == "tool_calls"


def test_forcing_an_unknown_tool_is_the_callers_mistake(local_chat: LocalChat) -> None:
    with pytest.raises(UsageError, match="'refund', which is not among the tools"):
        local_chat.bind_tools([get_order], tool_choice="refund").invoke(COLOURS)


def test_tools_are_part_of_the_prompt(local_chat: LocalChat) -> None:
    assert local_chat.count_tokens(COLOURS, [get_order]) > local_chat.count_tokens(COLOURS) + 50
    usage = local_chat.bind_tools([get_order]).invoke(COLOURS, max_tokens=1).usage_metadata
    assert usage is not None
    assert usage["input_tokens"] == local_chat.count_tokens(COLOURS, [get_order])


def test_a_prompt_longer_than_the_window_is_refused_with_what_to_do(local_chat: LocalChat) -> None:
    assert local_chat.context_window == 8192
    with pytest.raises(UsageError, match=r"9,0\d\d tokens, the model's window 8,192: shorten it with prompts.trim"):
        local_chat.invoke("a" + " a" * 8999)


def test_open_chat_takes_folders_and_says_what_is_missing(smollm2: Path, tmp_path: Path) -> None:
    chat = open_chat(str(smollm2), max_tokens=1)
    assert isinstance(chat, LocalChat)
    assert chat.model_name == smollm2.name
    with pytest.raises(WeightsMissing, match="config.json is missing"):
        open_chat(str(tmp_path))


# ---------------------------------------------------------------- a server


def test_open_chat_asks_a_server_what_it_serves() -> None:
    with scripted_server(lambda _: {"content": "Hello."}, model="the-model") as server:
        chat = open_chat(f"vllm:{server.base_url.removesuffix('/v1')}")
        assert chat.invoke("hi").content == "Hello."
        assert server.requests[0]["model"] == "the-model"
        assert server.requests[0]["temperature"] == 0


def test_no_server_there_says_how_to_start_one() -> None:
    with pytest.raises(ModelUnavailable, match="shopbot model serve"):
        vllm_chat("http://127.0.0.1:9/v1", "m", max_retries=0).invoke("hi")
    with pytest.raises(ModelUnavailable, match="shopbot model serve"):
        open_chat("vllm:http://127.0.0.1:9")
    with pytest.raises(UsageError, match="is no server's address"):
        open_chat("vllm:127.0.0.1:9")


def test_a_server_that_accepts_and_is_silent_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        begun = time.monotonic()
        with pytest.raises(ModelUnavailable, match="did not answer in time"):
            vllm_chat(url, "m", timeout=0.3, max_retries=0).invoke("hi")
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("fault", "kind"), [(500, ModelUnavailable), (404, ModelUnavailable), ("malformed", ModelInvalid)]
)
async def test_a_servers_failures_are_ours_by_kind(fault: int | str, kind: type[Exception]) -> None:
    with scripted_server(lambda _: {"content": "Hello."}, faults=itertools.repeat(fault)) as server:  # pyright: ignore[reportArgumentType]
        chat = vllm_chat(server.base_url, "scripted", max_retries=0)
        with pytest.raises(kind, match=server.base_url):
            chat.invoke("hi")
        with pytest.raises(kind, match=server.base_url):
            await chat.ainvoke("hi")


@pytest.mark.parametrize("fault", ["drop", "stall"])
async def test_a_stream_that_breaks_half_way_is_unavailable(fault: str) -> None:
    with scripted_server(lambda _: {"content": "one two three four"}, faults=itertools.repeat(fault)) as server:  # pyright: ignore[reportArgumentType]
        chat = vllm_chat(server.base_url, "scripted", timeout=0.4, max_retries=0)
        with pytest.raises(ModelUnavailable, match=server.base_url):
            [chunk async for chunk in chat.astream("hi")]
        with pytest.raises(ModelUnavailable, match=server.base_url):
            list(chat.stream("hi"))


async def test_a_failed_request_is_sent_again_once() -> None:
    with scripted_server(lambda _: {"content": "Hello."}, faults=[500]) as server:
        chat = vllm_chat(server.base_url, "scripted")
        assert (await chat.ainvoke("hi")).content == "Hello."
        assert len(server.requests) == 2


async def test_leaving_a_stream_hangs_up() -> None:
    with scripted_server(lambda _: {"content": "word " * 2000}, pause=0.01) as server:
        chat = vllm_chat(server.base_url, "scripted")
        await first_of(chat.astream("hi"))
        for _ in range(100):
            if server.hung_up:
                break
            await asyncio.sleep(0.05)
        assert len(server.hung_up) == 1


# ---------------------------------------------------------------- any other chat model


def test_a_model_that_cannot_count_is_estimated_from_above(local_chat: LocalChat) -> None:
    other = FakeListChatModel(responses=["x"])
    texts = ["Where is order LF-10001? It cost £12.50.", "订单 LF-10001 现在到哪里了？", "aaa bbb ccc " * 50]
    for text in texts:
        messages: list[Message] = [{"role": "user", "content": text}]
        exact = count_tokens(local_chat, messages, [get_order])
        assert exact <= count_tokens(other, messages, [get_order]) < 4 * exact
    assert context_window(other) == 4096
    assert context_window(local_chat) == 8192

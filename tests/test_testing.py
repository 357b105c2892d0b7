"""The doubles behave as the real things do: under langchain-core, and as a server under the real openai client."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

from shopbot.errors import ModelUnavailable, UsageError
from shopbot.records import ShopData
from shopbot.shop import Shop
from shopbot.testing import (
    FakeShop,
    ListRetriever,
    ScriptedModel,
    ScriptedServer,
    calling,
    cut_at,
    cut_at_random,
    cut_words,
    obedient,
    scripted_server,
)
from shopbot.types import Passage, Shopper

TEXT = "It costs £2.50 [1]. 退货运费为£2.50，从退款中扣除。\n 21 days."
ARGUMENTS = {"order_id": "FS-1003", "note": '加急 & "quoted"', "count": 2}
TWO_CALLS = AIMessage(
    content="Let me look.",
    tool_calls=[
        {"name": "get_order", "args": ARGUMENTS, "id": "a"},
        {"name": "find", "args": {"words": "ab"}, "id": "b"},
    ],
)


@pytest.fixture
def look_up() -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    return {"type": "function", "function": {"name": "get_order", "description": "One.", "parameters": parameters}}


def whole(chunks: Iterator[Any] | list[Any]) -> AIMessageChunk:
    """The chunks of a stream as one message, as LangChain adds them up."""
    first, *rest = chunks
    return sum(rest, first)


def called(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    assert not message.invalid_tool_calls
    return [(call["name"], call["args"]) for call in message.tool_calls]


# ---------------------------------------------------------------- where a stream is cut


@given(text=st.text(), seed=st.integers(), places=st.lists(st.integers()))
def test_pieces_join_to_the_text(text: str, seed: int, places: list[int]) -> None:
    for cut in (cut_words, cut_at(*places), cut_at_random(seed)):
        pieces = cut(text)
        assert "".join(pieces) == text
        assert all(pieces)


def test_cuts_fall_where_they_are_asked_for() -> None:
    assert cut_at(1, 3, 99)("abcde") == ["a", "bc", "de"]
    assert cut_words("Two days. 两天") == ["Two", " days.", " 两", "天"]
    assert cut_at_random(3)(TEXT) == cut_at_random(3)(TEXT)
    assert len({tuple(cut_at_random(seed)(TEXT)) for seed in range(20)}) > 15


# ---------------------------------------------------------------- ScriptedModel


def test_scripted_answers_come_in_order_and_run_out() -> None:
    model = ScriptedModel(answers=["one", AIMessage(content="two"), ModelUnavailable("down")])
    assert [model.invoke("a").content, model.invoke("b").content] == ["one", "two"]
    with pytest.raises(ModelUnavailable, match="down"):
        model.invoke("c")
    with pytest.raises(UsageError, match="3 answers and this is call 4"):
        model.invoke("d")
    assert [call.messages[0].content for call in model.calls] == ["a", "b", "c", "d"]


def test_a_function_sees_messages_and_bound_tools(look_up: dict[str, Any]) -> None:
    def answer(messages: list[Any], tools: list[dict[str, Any]]) -> AIMessage:
        return AIMessage(content=f"{messages[-1].content}: {[tool['function']['name'] for tool in tools]}")

    model = ScriptedModel(answers=answer)
    bound = model.bind_tools([look_up], tool_choice="any", strict=True)
    assert bound.invoke([HumanMessage("hello")]).content == "hello: ['get_order']"
    assert model.invoke("bare").content == "bare: []"
    assert model.bound_tools == [look_up]
    assert model.calls[0].tools == (look_up,)
    assert model.calls[0].options == {"tool_choice": "any", "strict": True}


@given(seed=st.integers(0, 10_000))
def test_a_stream_adds_up_to_the_whole_answer(seed: int) -> None:
    model = ScriptedModel(answers=[TEXT, TWO_CALLS], cut=cut_at_random(seed))
    assert whole(model.stream("a")).content == TEXT
    streamed = whole(model.stream("b"))
    assert (streamed.content, [call["id"] for call in streamed.tool_calls]) == (TWO_CALLS.content, ["a", "b"])
    assert called(streamed) == [("get_order", ARGUMENTS), ("find", {"words": "ab"})]


async def test_it_streams_in_the_given_pieces_and_async_alike() -> None:
    model = ScriptedModel(answers=["abcdef", "abcdef", "", AIMessage(content="")], cut=cut_at(2, 5))
    assert [chunk.content for chunk in model.stream("x") if chunk.content] == ["ab", "cde", "f"]
    assert [chunk.content async for chunk in model.astream("x") if chunk.content] == ["ab", "cde", "f"]
    assert whole(list(model.stream("x"))).content == ""
    assert (await model.ainvoke("x")).content == ""


def test_broken_arguments_come_through_as_broken() -> None:
    broken = {"name": "get_order", "args": '{"order_id": FS', "id": "a", "error": None, "type": "invalid_tool_call"}
    model = ScriptedModel(answers=lambda *_: AIMessage(content="", invalid_tool_calls=[broken]), cut=cut_at(4))
    assert model.invoke("x").invalid_tool_calls[0]["args"] == broken["args"]
    joined = "".join(part["args"] or "" for chunk in model.stream("x") for part in chunk.tool_call_chunks)
    assert joined == broken["args"]


def test_it_stops_at_stop_sequences() -> None:
    model = ScriptedModel(answers=lambda *_: "one. two. three.")
    assert model.invoke("x", stop=["three", "two"]).content == "one. "
    assert whole(model.stream("x", stop=[" two"])).content == "one."
    assert model.calls[0].stop == ("three", "two")


async def test_a_stream_that_is_left_does_not_go_on() -> None:
    model = ScriptedModel(answers=["a b c d e f g h"], pause=0.02)
    seen: list[str] = []

    async def read() -> None:
        async for chunk in model.astream("x"):
            seen.append(str(chunk.content))
            if len(seen) == 3:
                reading.set()

    reading = asyncio.Event()
    reader = asyncio.create_task(read())
    await reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert seen == ["a", " b", " c"]


# ---------------------------------------------------------------- ListRetriever


def test_the_best_overlap_comes_first() -> None:
    retriever = ListRetriever(
        passages=[("Delivery costs £3.40.", "delivery.md"), ("A return costs £2.50 to send back.", "returns.md")], k=1
    )
    found = retriever.invoke("what does a return costs?")
    assert [document.metadata["source"] for document in found] == ["returns.md"]
    assert found[0].page_content == "A return costs £2.50 to send back."
    assert found[0].id
    best, second = retriever.search("a return costs")
    assert (best.score, best.lexical, best.passage.source) == (1.0, 1.0, "returns.md")
    assert 0 < second.score < 1
    assert retriever.search("zebra") == []


def test_filters_come_before_the_cut_to_k() -> None:
    old = Passage("1", "21 days to return", "old.md", language="en", valid_until=date(2025, 12, 31))
    new = Passage("2", "return within 30 days", "new.md", language="en", valid_from=date(2026, 1, 1))
    other = Passage("3", "退货期限 30 天", "zh.md", language="zh")
    sold = Passage("4", "return thing", "product:X", kind="product", language="en")
    retriever = ListRetriever(passages=[old, new, other, sold])

    def sources(question: str, **filters: Any) -> list[str]:
        return [found.passage.source for found in retriever.search(question, **filters)]

    assert sources("days to return", k=1, today=date(2026, 1, 1)) == ["new.md"]
    assert sources("days to return", k=1, today=date(2025, 12, 31)) == ["old.md"]
    assert sources("return", kind="product") == ["product:X"]
    assert sources("退货期限 return", language="zh") == ["zh.md"]
    assert retriever.encode(["a", "b"]).shape == (2, 1)


# ---------------------------------------------------------------- FakeShop


def test_the_fake_shop_is_whole_and_readable(tmp_path: Path) -> None:
    folder = FakeShop().write(tmp_path / "shop")
    settings = tomllib.loads((folder / "shop.toml").read_text("utf-8"))
    parts = settings["parts"]
    data = ShopData.load(parts["catalog"], parts["orders"], parts["shoppers"], folder)
    assert data.problems == []
    assert (len(data.products), len(data.orders), len(data.users)) == (6, 5, 3)
    assert all(len(product.variants) == 2 for product in data.all_products())
    pages = sorted(path.relative_to(folder / "policies").as_posix() for path in folder.rglob("*.md"))
    assert pages == ["en/delivery.md", "en/payment.md", "en/returns.md", "zh/delivery.md", "zh/returns.md"]
    assert all(text.startswith("---\ntitle: ") for text in FakeShop().policies.values())


def test_the_records_of_the_fake_shop_agree(tmp_path: Path) -> None:
    data = ShopData.load("catalog.jsonl", "orders.jsonl", "shoppers.jsonl", FakeShop().write(tmp_path))
    statuses = set()
    for user_id, user in data.users.items():
        orders = data.orders_of(user_id)
        assert sorted(order.id for order in orders) == sorted(user["orders"])
        for order in orders:
            statuses.add(order.status)
            assert order.payments[0].amount == order.total
            goods = sum(item.price * item.quantity for item in order.items)
            assert order.shipping_fee == (0 if goods >= 60 else Decimal("3.4")), "the delivery policy says so"
            assert order.payments[0].method in user["payment_methods"]
            for item in order.items:
                product = data.product(item.product_id)
                assert product is not None
                assert item.price in [variant.price for variant in product.variants if variant.sku == item.sku]
    assert statuses == {"pending", "processed", "shipped", "delivered", "cancelled"}


def test_a_changed_record_is_written_and_others_stay(tmp_path: Path) -> None:
    shop = FakeShop()
    shop.orders[0]["status"] = "lost"
    shop.policies["policies/en/extra.md"] = "# Extra"
    folder = shop.write(tmp_path)
    assert json.loads((folder / "orders.jsonl").read_text("utf-8").splitlines()[0])["status"] == "lost"
    assert (folder / "policies/en/extra.md").is_file()
    assert FakeShop().orders[0]["status"] == "delivered"


# ---------------------------------------------------------------- scripted_server, under the real client


def client(server: ScriptedServer, **options: Any) -> ChatOpenAI:
    settings = {"model": "scripted", "api_key": "none", "max_retries": 0, "timeout": 10} | options
    return ChatOpenAI(base_url=server.base_url, **settings)


def test_models_and_health_are_told() -> None:
    with scripted_server(lambda request: {}, model="some-model") as server:
        listed = openai.OpenAI(base_url=server.base_url, api_key="none").models.list()
        assert [card.id for card in listed.data] == ["some-model"]
        root = server.base_url.removesuffix("/v1")
        assert httpx.get(f"{root}/health").status_code == 200
        assert httpx.get(f"{root}/nowhere").status_code == 404
        assert httpx.post(f"{server.base_url}/chat/completions", content=b"{").status_code == 400
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{root}/health")


@pytest.mark.parametrize("seed", range(5))
async def test_text_streamed_or_not_is_the_same(seed: int) -> None:
    with scripted_server(lambda request: {"content": TEXT}, cut=cut_at_random(seed)) as server:
        model = client(server, stream_usage=True)
        assert model.invoke("x").content == TEXT
        chunks = list(model.stream("x"))
        assert whole(chunks).content == TEXT
        assert whole(chunks).response_metadata["finish_reason"] == "stop"
        assert whole(chunks).usage_metadata["output_tokens"] > 0
        assert (await model.ainvoke("x")).content == TEXT
        pieces = [chunk.content async for chunk in model.astream("x") if chunk.content]
        assert pieces == cut_at_random(seed)(TEXT)
        assert [bool(request.get("stream")) for request in server.requests] == [False, True, False, True]


@pytest.mark.parametrize("seed", range(5))
async def test_tool_calls_arrive_whole(seed: int, look_up: dict[str, Any]) -> None:
    both = {"tool_calls": calling("get_order", ARGUMENTS)["tool_calls"] + calling("my_account", {})["tool_calls"]}
    with scripted_server(lambda request: both, cut=cut_at_random(seed)) as server:
        model = client(server).bind_tools([look_up])
        answers = [model.invoke("x"), whole(model.stream("x")), await model.ainvoke("x")]
        answers.append(whole([chunk async for chunk in model.astream("x")]))
        for answer in answers:
            assert called(answer) == [("get_order", ARGUMENTS), ("my_account", {})]
            assert answer.response_metadata["finish_reason"] == "tool_calls"
        ids = [call["id"] for answer in answers for call in answer.tool_calls]
        assert len(set(ids)) == 8
        assert server.requests[0]["tools"] == [look_up]


def test_broken_arguments_are_sent_as_they_are() -> None:
    with scripted_server(lambda request: calling("get_order", '{"order_id": FS')) as server:
        (broken,) = client(server).invoke("x").invalid_tool_calls
        assert (broken["name"], broken["args"]) == ("get_order", '{"order_id": FS')
        parts = [part for chunk in client(server).stream("x") for part in chunk.tool_call_chunks]
        assert "".join(part["args"] or "" for part in parts) == '{"order_id": FS'


def test_the_server_stops_at_stop_sequences() -> None:
    with scripted_server(lambda request: {"content": "one. two."}) as server:
        assert client(server).invoke("x", stop=["two"]).content == "one. "


# ---------------------------------------------------------------- what can go wrong


@pytest.mark.parametrize(("status", "error"), [(500, openai.InternalServerError), (429, openai.RateLimitError)])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_status_is_the_client_s_error(status: int, error: type[Exception], stream: bool) -> None:
    with scripted_server(lambda request: {"content": "ok"}, faults=[status]) as server:
        with pytest.raises(error, match=f"scripted to answer {status}"):
            ask(client(server), stream)
        assert ask(client(server), stream).content == "ok"


def ask(model: ChatOpenAI, stream: bool) -> AIMessage:
    return whole(model.stream("x")) if stream else model.invoke("x")


def test_retries_reach_the_answer_behind_the_faults() -> None:
    with scripted_server(lambda request: {"content": "ok"}, faults=[500, 429]) as server:
        assert client(server, max_retries=2).invoke("x").content == "ok"
        assert len(server.requests) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_dropped_connection_is_no_answer(stream: bool) -> None:
    with scripted_server(lambda request: {"content": TEXT}, faults=["drop"]) as server:
        model = client(server)
        with pytest.raises(openai.APIConnectionError):
            ask(model, stream)


def test_a_stream_is_dropped_in_its_middle() -> None:
    with scripted_server(lambda request: {"content": TEXT}, faults=["drop"]) as server:
        stream = client(server).stream("x")
        text = "".join(str(next(stream).content) for _ in range(5))
        assert text
        assert TEXT.startswith(text)
        with pytest.raises(openai.APIConnectionError):
            list(stream)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stalled_answer_times_out(stream: bool) -> None:
    with scripted_server(lambda request: {"content": TEXT}, faults=itertools.repeat("stall")) as server:
        model = client(server, timeout=0.3)
        with pytest.raises(openai.APITimeoutError):
            ask(model, stream)


@pytest.mark.parametrize("stream", [False, True])
def test_malformed_json_is_the_client_s_error(stream: bool) -> None:
    with scripted_server(lambda request: {"content": TEXT}, faults=["malformed"]) as server:
        model = client(server)
        with pytest.raises(json.JSONDecodeError):
            ask(model, stream)


def test_an_error_of_the_script_is_not_swallowed() -> None:
    def respond(request: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("my mistake")

    with pytest.raises(KeyError, match="my mistake"), scripted_server(respond) as server:
        model = client(server)
        with pytest.raises(openai.InternalServerError, match="respond raised KeyError"):
            model.invoke("x")


async def test_a_client_that_leaves_is_noted() -> None:
    with scripted_server(lambda request: {"content": "a b c d e f g h"}, pause=0.05) as server:
        async for chunk in client(server).astream("leaves"):
            if chunk.content:
                break
        for _ in range(100):
            if server.hung_up:
                break
            await asyncio.sleep(0.02)
        assert [request["messages"][0]["content"] for request in server.hung_up] == ["leaves"]


async def test_many_at_once_each_get_their_own() -> None:
    with scripted_server(lambda request: {"content": request["messages"][-1]["content"]}) as server:
        model = client(server)
        asked = [f"question {random.Random(number).random()}" for number in range(40)]
        assert [answer.content for answer in await model.abatch(asked)] == asked
        assert len(server.requests) == 40


# ---------------------------------------------------------------- an obedient model


def test_an_obedient_model_calls_then_tells_all(look_up: dict[str, Any]) -> None:
    with scripted_server(obedient("get_order", {"order_id": "FS-1003"})) as server:
        model = client(server).bind_tools([look_up])
        asked = [SystemMessage("Be kind."), HumanMessage("Where is my friend's order?")]
        call = model.invoke(asked)
        assert called(call) == [("get_order", {"order_id": "FS-1003"})]
        result = ToolMessage("order FS-1003 goes to Leeds", tool_call_id=call.tool_calls[0]["id"])
        told = model.invoke([*asked, call, result])
        assert not told.tool_calls
        assert told.content.split("\n") == ["order FS-1003 goes to Leeds", "Where is my friend's order?", "Be kind."]
        again = model.invoke([*asked, call, result, told, HumanMessage("And now?")])
        assert called(again) == [("get_order", {"order_id": "FS-1003"})]


def test_an_obedient_model_without_tools_repeats_and_takes_new_orders(look_up: dict[str, Any]) -> None:
    with scripted_server(obedient("my_account", {})) as server:
        assert client(server).invoke("secret draft").content == "secret draft"
        server.respond = obedient("get_order", {"order_id": "FS-1001"})
        assert called(whole(client(server).bind_tools([look_up]).stream("x"))) == [
            ("get_order", {"order_id": "FS-1001"})
        ]


async def test_the_doubles_fit_the_product(tmp_path: Path) -> None:
    """A shop from data alone, a model that obeys an attacker: the call is made, and refused; nothing of it is said."""
    with (
        scripted_server(obedient("get_order", {"order_id": "FS-1003"})) as server,
        Shop.open(FakeShop().write(tmp_path / "shop"), home=tmp_path / "home") as shop,
    ):
        bot = shop.bot(planner="model", model=client(server))
        answer = await bot.reply("Show me order FS-1003.", shopper=Shopper("ann_abel_1"))
        assert [(call.name, call.status) for call in answer.tool_calls] == [("get_order", "refused")]
        assert len(server.requests) == 2
        assert not {"Leeds", "Brenolo", "63.45"} & set(re.findall(r"[\w.]+", answer.text))
        own = await bot.reply("Show me order FS-1003.", shopper=Shopper("ben_boll_2"))
        assert [(call.name, call.status) for call in own.tool_calls] == [("get_order", "done")]
        assert "Brenolo" in own.text

"""From tokens to what may be shown: no character is lost, doubled or said too early, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from shopbot.pieces import CallReader, StopAt, TokenText, read_call

TEXTS = st.text(alphabet="ab<>/tol_cE 订单。😀\n", max_size=40)


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in zip(edges, edges[1:], strict=False)]


PLACES = st.lists(st.integers(0, 1000), max_size=12)


# ---------------------------------------------------------------- characters


@given(TEXTS)
def test_text_in_bytes_comes_out_in_whole_characters(text: str) -> None:
    """The hardest tokenizer: a token a byte."""
    decoder = TokenText(lambda ids: bytes(ids).decode("utf-8", errors="replace"))
    pieces = [decoder.feed(byte) for byte in text.encode()]
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(pieces) + decoder.finish() == text


def test_a_character_is_said_with_its_last_token() -> None:
    decoder = TokenText(lambda ids: bytes(ids).decode("utf-8", errors="replace"))
    assert [decoder.feed(byte) for byte in "退a".encode()] == ["", "", "退", "a"]


def test_half_a_character_at_the_end_stays_unsaid() -> None:
    decoder = TokenText(lambda ids: bytes(ids).decode("utf-8", errors="replace"))
    said = "".join(decoder.feed(byte) for byte in "ok退".encode()[:-1])
    assert said + decoder.finish() == "ok"


# ---------------------------------------------------------------- stop strings


@given(TEXTS, PLACES, st.lists(st.sampled_from(["</", "\n<", "ab", "单。", "a"]), max_size=3))
def test_text_ends_at_the_first_stop_however_it_is_cut(text: str, places: list[int], stops: list[str]) -> None:
    stop = StopAt(stops)
    said = "".join(stop.feed(piece) for piece in cut(text, places)) + stop.finish()
    found = [text.find(mark) for mark in stops if mark in text]
    assert said == (text[: min(found)] if found else text)
    assert stop.reached == bool(found)


def test_only_what_could_begin_a_stop_is_held_back() -> None:
    stop = StopAt(["</answer>"])
    assert [stop.feed(piece) for piece in ("a <", "/ans", "x", "</answer>b")] == ["a ", "", "</ansx", ""]


# ---------------------------------------------------------------- tool calls

CALL = '<tool_call>\n{"name": "get_order", "arguments": {"order_id": "单 1"}}\n</tool_call>'


def read(pieces: list[str], active: bool = True) -> AIMessageChunk:
    reader = CallReader(active)
    chunks = [chunk for piece in pieces for chunk in reader.feed(piece)] + reader.finish()
    whole = AIMessageChunk(content="")
    for chunk in chunks:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


@given(PLACES)
def test_calls_are_read_however_they_are_cut(places: list[int]) -> None:
    message = read(cut(f"One moment.\n{CALL}\n{CALL}", places))
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("get_order", {"order_id": "单 1"})] * 2
    assert message.content == "One moment.\n"
    assert len({call["id"] for call in message.tool_calls}) == 2


@given(TEXTS, PLACES)
def test_text_without_calls_is_passed_on_whole(text: str, places: list[int]) -> None:
    assert read(cut(text, places)).content == text


def test_text_goes_out_before_the_call_is_complete() -> None:
    reader = CallReader(active=True)
    assert [chunk.content for chunk in reader.feed("Let me look.\n<tool_call>\n{")] == ["Let me look.\n"]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nno json\n</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>\n{"name": "get_order", "arg',
        "</tool_call> before <tool_call>",
    ],
)
def test_what_cannot_be_read_stays_text(text: str) -> None:
    message = read([text])
    assert (message.content, message.tool_calls) == (text, [])


def test_a_last_call_without_its_end_mark_is_read() -> None:
    assert read([CALL.removesuffix("</tool_call>")]).tool_calls[0]["name"] == "get_order"


def test_without_tools_a_call_is_text() -> None:
    message = read([CALL], active=False)
    assert (message.content, message.tool_calls) == (CALL, [])


def test_a_call_without_arguments_has_none() -> None:
    call = read_call('{"name": "my_account", "arguments": null}')
    assert call is not None
    assert call["args"] == "{}"

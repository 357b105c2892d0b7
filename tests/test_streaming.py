"""Streaming: the same sentences however a text is cut, told alike over HTTP; and a gate that is too hasty is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.streaming import (
    MARKED,
    SPECIAL,
    Asked,
    bots,
    cut_everywhere,
    over_http,
    questions_to_word,
    repeats_the_draft,
    texts_of,
    told,
)
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.testing import scripted_server
from shopbot.types import Said, Withheld


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "streaming.db") as opened:
        yield opened


def test_the_same_sentences_wherever_the_shop_s_texts_are_cut(sample_shop: Shop) -> None:
    fell = cut_everywhere(texts_of(sample_shop), 400)
    assert fell["streams"] >= 400
    assert all(fell[kind] > 20 for kind in SPECIAL)


def hasty(pieces: Sequence[str]) -> list[str]:
    """A gate that does not wait for the character behind a mark."""
    sentences, text = [], ""
    for piece in pieces:
        text += piece
        if text.endswith((".", "。", "！", "?")):
            sentences.append(text)
            text = ""
    return [*sentences, text] if text else sentences


def test_a_gate_that_cuts_too_early_is_found_out() -> None:
    with pytest.raises(AssertionError, match="."):
        cut_everywhere(MARKED, 200, hasty)


def test_over_http_the_bot_tells_the_same_however_the_stream_is_cut(sample_shop: Shop, store: Store) -> None:
    assert asyncio.run(over_http(sample_shop, store, questions=2, cuts=5)) == (10, 10)


def test_what_the_model_invents_is_withheld_in_both_ways(sample_shop: Shop, store: Store) -> None:
    """The comparison is of real events: something is said, and something is withheld."""

    async def both(asked: Asked, url: str) -> list[list[Said | Withheld]]:
        return [await told(bot, asked) for bot in bots(sample_shop, store, url, "scripted")]

    [asked] = asyncio.run(questions_to_word(sample_shop, store, 1))
    with scripted_server(repeats_the_draft) as server:
        streamed, whole = asyncio.run(both(asked, server.base_url))
        assert [bool(request.get("stream")) for request in server.requests] == [True, False]
    assert streamed == whole
    assert "".join(event.text for event in streamed if isinstance(event, Said)) == asked.draft.text
    [withheld] = [event.text for event in streamed if isinstance(event, Withheld)]
    assert withheld == "It costs £999.99 [1]."

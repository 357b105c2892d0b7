"""The whole bot on a real vLLM server: policy questions are worded by the model, cited and supported, streaming and not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.streaming import Asked, bots, events_of, questions_to_word
from shopbot.bot import ShopBot
from shopbot.grounding import Gate, unsupported
from shopbot.prompts import STOPS
from shopbot.serving import Server
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Drafted, Event, Finished, Said, Shopper

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Shop.open(ROOT / "sample_shop") as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("vllm") / "vllm.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def questions(shop: Shop, store: Store) -> list[Asked]:
    """Two questions to the policies that have no approved answer, with their drafts."""
    found = asyncio.run(questions_to_word(shop, store, 6))
    return [one for one in found if one.draft.citations[0].source.startswith("policies/en/")][:2]


@pytest.fixture
def streamed(shop: Shop, store: Store, vllm_server: Server) -> ShopBot:
    """A bot whose model words the answers, token by token."""
    return bots(shop, store, vllm_server.base_url, vllm_server.name)[0]


@pytest.fixture
def whole(shop: Shop, store: Store, vllm_server: Server) -> ShopBot:
    """The same with a model that is asked for whole answers."""
    return bots(shop, store, vllm_server.base_url, vllm_server.name)[1]


def tokens_read(server: Server) -> float:
    """Prompt tokens that the server has read so far, by its own count; it does not count answers that are cut short."""
    page = httpx.get(server.base_url.removesuffix("/v1") + "/metrics", timeout=20).text
    return sum(float(count) for count in re.findall(r"^vllm:prompt_tokens_total\{.*\} (\S+)$", page, re.MULTILINE))


def check_cited_and_supported(events: list[Event], server: Server) -> None:
    """The answer names policies, and each of its sentences passes the checks against what it names."""
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.answered
    assert finished.citations
    assert all(cite.source.startswith("policies/en/") for cite in finished.citations)
    assert [event.worded_by for event in events if isinstance(event, Drafted)] == [server.name]
    assert finished.text == "".join(event.text for event in events if isinstance(event, Said))
    sources = [cite.text for cite in finished.citations]
    gate = Gate()
    sentences = [*gate.feed(finished.text), *gate.finish()]
    assert sentences
    assert [reason for one in sentences if (reason := unsupported(one, sources, "Larkfield")) is not None] == []


@pytest.mark.parametrize("number", [0, 1])
async def test_a_policy_question_is_worded_by_the_model_with_its_source_streaming_and_not(
    number: int, questions: list[Asked], streamed: ShopBot, whole: ShopBot, vllm_server: Server
) -> None:
    question = questions[number].text
    before = tokens_read(vllm_server)
    events = await events_of(streamed, question)
    once = tokens_read(vllm_server) - before
    assert once > 100
    check_cited_and_supported(events, vllm_server)
    answer = await whole.reply(question, shopper=Shopper())
    assert tokens_read(vllm_server) == before + 2 * once
    assert isinstance(events[-1], Finished)
    assert (answer.text, answer.citations) == (events[-1].text, events[-1].citations)


async def test_the_bare_model_says_the_same_with_the_bot_s_prompt_streaming_and_not(
    questions: list[Asked], streamed: ShopBot
) -> None:
    wording, asked = streamed.wording, questions[0]
    assert wording is not None
    prompt = await wording.prompt(asked.draft, asked.text, "en", ())
    assert f'<source id="1" title="{asked.draft.citations[0].title}">' in str(prompt[-1].content)
    pieces = [str(chunk.content) async for chunk in wording.model.astream(prompt, stop=STOPS)]
    assert len([piece for piece in pieces if piece]) > 5
    assert "".join(pieces) == (await wording.model.ainvoke(prompt, stop=STOPS)).text

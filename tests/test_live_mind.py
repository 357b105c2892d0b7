"""A bot that runs serves a new index version from the first turn after the switch, and no answer mixes two versions."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knowledge.embed import SentenceEmbedder
from shopbot import Shop, Shopper, live_mind
from shopbot.bot import ShopBot
from shopbot.errors import IndexRefused
from shopbot.live_mind import LiveMind
from shopbot.testing import FakeShop
from shopbot.types import Finished, Understood

RETURNS = "How long do I have to return something?"
OLD, NEW = "21 days", "33 days"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake = FakeShop()
    fake.settings = fake.settings.replace("[parts]\n", '[parts]\nanswers = "answers.jsonl"\n')
    return fake.write(tmp_path / "shop")


@pytest.fixture
def shop(folder: Path, tmp_path: Path, minilm: SentenceEmbedder) -> Iterator[Shop]:
    (folder / "answers.jsonl").write_text("", encoding="utf-8")
    with Shop.open(folder, home=tmp_path / "home") as shop:
        shop.embedder = minilm
        yield shop


@pytest.fixture
def bot(shop: Shop) -> ShopBot:
    return shop.bot()


def policy(folder: Path) -> Path:
    (path,) = [one for one in folder.glob("policies/**/*.md") if OLD in one.read_text("utf-8")]
    return path


def ingest_elsewhere(shop: Shop) -> None:
    """As another process does."""
    with Shop.open(shop.folder, home=shop.home.parent.parent) as other:
        other.embedder = shop.embedder
        other.ingest().close()


def change_policy(shop: Shop) -> None:
    path = policy(shop.folder)
    path.write_text(path.read_text("utf-8").replace(OLD, NEW), encoding="utf-8")
    ingest_elsewhere(shop)


async def ask(bot: ShopBot, question: str = RETURNS, **more: Any) -> Finished:
    return await bot.reply(question, shopper=Shopper(), **more)


async def test_the_first_turn_after_the_switch_reads_the_new_version(shop: Shop, bot: ShopBot) -> None:
    assert OLD in (await ask(bot)).text
    await asyncio.to_thread(change_policy, shop)
    answer = await ask(bot)
    assert NEW in answer.text
    assert OLD not in answer.text + "".join(cite.text for cite in answer.citations)


async def test_a_policy_that_was_removed_is_not_answered_from(shop: Shop, bot: ShopBot) -> None:
    await ask(bot)
    policy(shop.folder).unlink()
    await asyncio.to_thread(ingest_elsewhere, shop)
    answer = await ask(bot)
    assert OLD not in answer.text + "".join(cite.text for cite in answer.citations)


async def test_a_turn_keeps_the_version_that_it_began_with(shop: Shop, bot: ShopBot) -> None:
    last: Any = None
    async for event in bot.stream(RETURNS, shopper=Shopper()):
        if isinstance(event, Understood):
            await asyncio.to_thread(change_policy, shop)
        last = event
    assert OLD in last.text
    assert NEW not in last.text + "".join(cite.text for cite in last.citations)


async def test_an_approved_answer_is_not_given_once_its_passage_says_something_else(
    folder: Path, tmp_path: Path, minilm: SentenceEmbedder
) -> None:
    source = str(policy(folder).relative_to(folder))
    entry = {
        "question": RETURNS,
        "language": "en",
        "answer": f"You have {OLD}, and we are glad to help.",
        "sources": [source],
    }
    (folder / "answers.jsonl").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    with Shop.open(folder, home=tmp_path / "home") as shop:
        shop.embedder = minilm
        bot = shop.bot()
        assert "glad to help" in (await ask(bot)).text, shop.problems
        await asyncio.to_thread(change_policy, shop)
        answer = await ask(bot)
    assert NEW in answer.text
    assert "glad" not in answer.text


async def test_an_index_that_is_damaged_or_gone_leaves_the_version_that_serves(shop: Shop, bot: ShopBot) -> None:
    whole = (await ask(bot)).text
    pointer = shop.home / "index" / "CURRENT"
    kept = pointer.read_text("utf-8")
    pointer.write_text("0099", encoding="utf-8")
    assert (await ask(bot)).text == whole
    pointer.write_text(kept, encoding="utf-8")
    away = shutil.move(shop.home / "index", shop.home / "away")
    assert (await ask(bot)).text == whole
    shutil.move(away, shop.home / "index")
    await asyncio.to_thread(change_policy, shop)
    assert NEW in (await ask(bot)).text


async def test_turns_at_once_open_a_new_version_once(shop: Shop, bot: ShopBot, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(bot)
    await asyncio.to_thread(change_policy, shop)
    opened: list[int] = []
    make = shop._mind

    def counted(*given: Any) -> Any:
        opened.append(os.getpid())
        return make(*given)

    monkeypatch.setattr(shop, "_mind", counted)
    answers = await asyncio.gather(*(ask(bot) for _ in range(8)))
    assert all(NEW in one.text and OLD not in one.text for one in answers)
    assert len(opened) == 1


def test_a_version_that_could_not_be_opened_is_left_alone_for_a_while_and_then_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_mind, "RETRY_SECONDS", 0.3)
    serving, opened, is_down = "1", list[str](), False

    def make() -> Any:
        opened.append(serving)
        if is_down:
            raise IndexRefused("the Chroma server does not answer")
        return serving

    mind: Any = LiveMind(make, lambda: serving)
    serving, is_down = "2", True
    assert [mind.current() for _ in range(3)] == ["1", "1", "1"]
    assert opened == ["1", "2"], "one try, not one a turn"
    is_down = False
    time.sleep(0.35)
    assert mind.current() == "2"

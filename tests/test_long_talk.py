"""The essentials of benchmarks/long_talk: odd messages, a conversation that outgrows the window, and the checks of both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.long_talk import (
    PENDING,
    QUICK,
    SHOPPER,
    Listener,
    Prompts,
    Told,
    broken,
    failures,
    growth,
    listened,
    talk,
    unfounded,
    wanted,
    with_pending,
)
from benchmarks.talk import FIRST_PROBE, PROBES, Turn, conversation, odd_messages
from shopbot import Finished, Shop, Shopper
from shopbot.store import Store

NARROW = 900
TURNS = 16
Heard = tuple[list[Told], Prompts, Listener, list[str]]
"""The conversation, what its prompts were, the model that heard them, and what failed."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("talk") / "talk.db") as store:
        yield store


@pytest.fixture(scope="module")
def heard(sample_shop: Shop, store: Store, smollm2: Path) -> Heard:
    """A conversation through the real tokenizer, in a window too narrow for its past; what failed in it."""
    model = Listener(folder=smollm2)
    bot = sample_shop.bot(store=store, wording="model", model=model)
    turns = conversation(sample_shop, SHOPPER, TURNS)
    with failures() as failed:
        told, prompts = asyncio.run(listened(bot, turns, sample_shop.shopper(SHOPPER), "long", NARROW))
    return told, prompts, model, failed


def test_no_turn_fails_and_no_fact_is_without_a_source(heard: Heard) -> None:
    told, _, _, failed = heard
    assert failed == []
    assert [one.turn.text for one in told if broken(one)] == []
    assert [fact for one in told for fact in unfounded(one)] == []
    assert {one.turn.kind for one in told} >= {"policy", "product", "order", "small", "probe"}


def test_every_prompt_fits_and_keeps_question_draft_and_sources(
    heard: Heard,
) -> None:
    _, prompts, _, _ = heard
    assert prompts.wrong == []
    assert prompts.seen >= 5
    assert prompts.cut >= 3  # the window was too narrow indeed
    assert prompts.longest <= prompts.budget


def test_a_confirmation_that_waits_is_kept_beside_ten_long_passages(
    sample_shop: Shop, store: Store, heard: Heard
) -> None:
    told, _, model, _ = heard
    wording = sample_shop.bot(store=store, wording="model", model=model).wording
    assert wording is not None
    prompts = with_pending(told, wording, model, NARROW + 200, replace(QUICK, looks=8))
    assert (prompts.wrong, prompts.seen, prompts.cut) == ([], 2, 2)


def test_odd_messages_break_nothing_and_are_stored(sample_shop: Shop, store: Store) -> None:
    said = odd_messages()
    turns = [Turn(name, text) for name, text in said.items()] + [Turn("after", PROBES[0])]
    with failures() as failed:
        told = asyncio.run(talk(sample_shop.bot(store=store), turns, Shopper(), "odd"))
    assert failed == []
    assert [one.turn.kind for one in told if broken(one)] == []
    assert [fact for one in told for fact in unfounded(one)] == []
    assert "30 days" in told[-1].finished.text
    assert [len(turn.message) for turn in store.history("odd")] == [len(turn.text) for turn in turns]


@pytest.mark.parametrize(
    "name", ["empty", "white space", "only marks", "only emoji", "zero width", "control characters"]
)
def test_what_holds_no_word_is_asked_back(sample_shop: Shop, store: Store, name: str) -> None:
    bot = sample_shop.bot(store=store)
    [told] = asyncio.run(talk(bot, [Turn(name, odd_messages()[name])], Shopper(), name))
    assert told.finished.text == bot.voices["en"].line("empty")


# ---------------------------------------------------------------- the checks see what they are for


def test_unfounded_sees_a_made_up_price_and_a_missing_source(
    heard: Heard,
) -> None:
    one = next(told for told in heard[0] if told.finished.citations and not told.draft.fixed)

    def ending(last: Finished) -> Told:
        return replace(one, events=(*one.events[:-1], last))

    assert unfounded(ending(replace(one.finished, text=f"{one.finished.text} It costs £987.65.")))
    assert unfounded(ending(replace(one.finished, citations=())))
    assert broken(ending(replace(one.finished, text=f"{one.finished.text} And more.")))


def test_prompts_sees_what_is_lost_and_what_is_too_long(
    heard: Heard,
) -> None:
    one = next(told for told in heard[0] if told.finished.citations)
    prompts = Prompts(10, len)
    needs = wanted(one.draft, one.turn.text, 1) | {"what is pending": PENDING}
    prompts.check("nothing of it", "a prompt", "a prompt", needs)
    assert prompts.wrong == ["question lost", "draft lost", "source 1 lost", "what is pending lost"]
    prompts.check(" ".join(needs.values()), "longer than ten", "longer than ten", needs)
    assert prompts.wrong[4:] == ["15 tokens, 10 are allowed"]


def test_growth_is_the_ratio_of_late_to_early(heard: Heard) -> None:
    told = [replace(one, milliseconds=1.0) for one in heard[0]]
    assert growth(told) == 1.0
    late = [replace(one, milliseconds=5.0) for one in told[-len(PROBES) :]]
    assert growth([*told[: -len(PROBES)], *late]) == 5.0
    assert [one.turn.text for one in told[FIRST_PROBE:][: len(PROBES)]] == [one.turn.text for one in late]

"""A model words the draft, behind the checks; whatever it does, what is shown is true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from langchain_core.messages import AIMessage

from shopbot.errors import ModelUnavailable
from shopbot.models import LocalChat, vllm_chat
from shopbot.testing import ScriptedModel, cut_at_random
from shopbot.types import Citation, Draft, Event, Said, Withheld
from shopbot.wording import Wording

POLICY = (
    "You can return an item within 30 days of delivery. Sale items cannot be returned. Delivery is covered by this."
)
DRAFT = Draft(
    ("You can return an item within 30 days of delivery.", "Sale items cannot be returned."),
    (Citation("returns.md", POLICY),),
)


def word(answer: AIMessage | str | Exception, seed: int = 0, draft: Draft = DRAFT) -> tuple[str, list[Withheld]]:
    """(what is shown, what was withheld) where the model says this."""
    wording = Wording(ScriptedModel(answers=[answer], cut=cut_at_random(seed)), "scripted", "You are a bot.", "Shop")

    async def run() -> Sequence[Event]:
        return [event async for event in wording.word(draft, "How long?", "en", [])]

    events = asyncio.run(run())
    text = "".join(event.text for event in events if isinstance(event, Said))
    return text, [event for event in events if isinstance(event, Withheld)]


@pytest.mark.parametrize("seed", range(5))
def test_a_true_wording_is_shown_however_it_is_cut(seed: int) -> None:
    said = "You can return an item within 30 days of delivery. Sale items cannot be returned."
    assert word(said, seed) == (said, [])


@pytest.mark.parametrize(
    "lie",
    [
        "You can return an item within 90 days of delivery.",
        "Sale items can be returned.",
        "I have refunded you.",
        "Yes, delivery is free.",
        "",
    ],
)
def test_a_lie_never_reaches_the_shopper_and_the_draft_speaks(lie: str) -> None:
    text, withheld = word(lie)
    assert text == DRAFT.text
    assert [one.text for one in withheld] == ([lie] if lie else [])


def test_facts_that_the_model_leaves_out_are_said_by_the_draft() -> None:
    text, _ = word("Sale items cannot be returned.")
    assert "30 days" in text


@pytest.mark.parametrize(
    "more",
    [
        "Items are returned within 30 days.",
        "You can return an item within 30 days of delivery.",
        "Delivery is covered by this policy.",
    ],
)
def test_the_answer_does_not_outgrow_the_draft(more: str) -> None:
    """Neither by what was said already, nor by what its sources say beside it."""
    text, withheld = word(f"You can return an item within 30 days of delivery. {more} Sale items cannot be returned.")
    assert text == DRAFT.text
    assert [one.text for one in withheld] == [more]


def test_two_sentences_in_one_piece_of_the_draft_are_worded_one_by_one() -> None:
    said = "You may return an item within 30 days of delivery."
    text, withheld = word(said, draft=replace(DRAFT, sentences=(POLICY.split(" Delivery")[0],)))
    assert (text, withheld) == (f"{said} Sale items cannot be returned.", [])


def test_a_model_that_is_down_leaves_the_draft_and_its_reason() -> None:
    text, withheld = word(ModelUnavailable("the server is down"))
    assert text == DRAFT.text
    assert [one.reason for one in withheld] == ["the server is down"]


def test_a_chat_model_of_the_shops_own_that_fails_in_its_own_way_leaves_the_draft() -> None:
    text, withheld = word(RuntimeError("out of luck"))
    assert text == DRAFT.text
    assert [one.reason for one in withheld] == ["out of luck"]


def test_the_room_for_an_answer_is_what_our_models_may_write() -> None:
    """A prompt cut to the window beside less than that would be refused by a server."""
    served = vllm_chat("http://127.0.0.1:1/v1", "m")
    [room] = [field.default for field in fields(Wording) if field.name == "answer_tokens"]
    assert room == served.max_tokens == LocalChat.model_fields["max_tokens"].default

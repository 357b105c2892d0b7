"""The circuit breaker: what fails again and again is left alone for a while, and tried again after it."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from shopbot.breaker import Breaker
from shopbot.errors import ModelUnavailable
from shopbot.models import vllm_chat
from shopbot.testing import ScriptedModel, scripted_server
from shopbot.types import Citation, Draft, Said, Withheld
from shopbot.wording import Wording

DRAFT = Draft(("You can return it within 30 days.",), (Citation("returns.md", "You can return it within 30 days."),))


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def use(breaker: Breaker, *, works: bool) -> str:
    """ "worked", "failed", or why it was not tried."""
    try:
        with breaker.watching():
            if not works:
                raise ValueError("broken")
    except ModelUnavailable as refused:
        return str(refused)
    except ValueError:
        return "failed"
    return "worked"


def test_it_opens_after_failures_in_a_row_and_lets_one_try_through_after_its_rest() -> None:
    clock = Clock()
    breaker = Breaker("the model", failures=3, rest=30, clock=clock)
    assert [use(breaker, works=False) for _ in range(3)] == ["failed"] * 3
    clock.time += 10
    assert use(breaker, works=True) == "the model failed 3 times in a row; it is asked again in 20 s"
    clock.time += 21
    assert use(breaker, works=False) == "failed"
    assert "asked again in 30 s" in use(breaker, works=True)
    clock.time += 31
    assert [use(breaker, works=True) for _ in range(3)] == ["worked"] * 3


def test_failures_that_are_not_in_a_row_leave_it_closed() -> None:
    breaker = Breaker(failures=2)
    assert [use(breaker, works=works) for works in (False, True) * 4] == ["failed", "worked"] * 4


def test_while_one_tries_again_the_others_wait_for_what_becomes_of_it() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, rest=30, clock=clock)
    assert use(breaker, works=False) == "failed"
    clock.time += 31
    with breaker.watching():
        assert "asked again" in use(breaker, works=True)
    assert use(breaker, works=True) == "worked"


def test_a_consumer_that_leaves_is_no_failure() -> None:
    breaker = Breaker(failures=1)
    with pytest.raises(GeneratorExit), breaker.watching():
        raise GeneratorExit
    assert use(breaker, works=True) == "worked"


async def test_work_that_takes_too_long_is_given_up() -> None:
    breaker = Breaker("the model", patience=0.05)
    with pytest.raises(ModelUnavailable, match=r"the model gave no whole answer in 0\.05 s"):
        await breaker.in_time(asyncio.sleep(5), breaker.deadline())


# ---------------------------------------------------------------- around a real server


async def said(wording: Wording) -> tuple[str, str]:
    """(what the shopper reads, what the people who run it read)."""
    events = [event async for event in wording.word(DRAFT, "How long?", "en", [])]
    text = "".join(event.text for event in events if isinstance(event, Said))
    return text, "".join(event.reason for event in events if isinstance(event, Withheld))


async def test_a_server_that_fails_is_not_asked_for_a_while_and_the_draft_speaks_all_along() -> None:
    clock = Clock()
    with scripted_server(lambda _: {"content": DRAFT.text}, faults=[503, 503]) as server:
        model = vllm_chat(server.base_url, "scripted", max_retries=0)
        breaker = Breaker("the model", failures=2, rest=30, clock=clock)
        wording = Wording(model, "scripted", "You are a bot.", "Shop", breaker=breaker)
        told = [await said(wording) for _ in range(4)]
        assert [text for text, _ in told] == [DRAFT.text] * 4
        assert ["refused the request" in why for _, why in told] == [True, True, False, False]
        assert "asked again in 30 s" in told[-1][1]
        asked = len(server.requests)
        clock.time += 31
        assert await said(wording) == (DRAFT.text, "")
        assert len(server.requests) > asked


async def test_a_server_that_stalls_in_its_answer_costs_no_more_than_the_patience() -> None:
    with scripted_server(lambda _: {"content": DRAFT.text}, faults=itertools.repeat("stall", 1)) as server:
        model = vllm_chat(server.base_url, "scripted", max_retries=0)
        wording = Wording(model, "scripted", "You are a bot.", "Shop", breaker=Breaker(patience=0.5))
        began = time.monotonic()
        text, why = await said(wording)
        assert (text, why) == (DRAFT.text, "the model gave no whole answer in 0.5 s")
        assert time.monotonic() - began < 3


async def test_a_slow_model_in_this_process_is_cut_off_and_counted() -> None:
    model = ScriptedModel(answers=lambda messages, tools: DRAFT.text, pause=0.2)
    wording = Wording(model, "scripted", "You are a bot.", "Shop", breaker=Breaker(failures=2, patience=0.3))
    told = [await said(wording) for _ in range(3)]
    assert [text for text, _ in told] == [DRAFT.text] * 3
    assert len(model.calls) == 2

"""The demo where a model words the answers: the stop button, and a model that fails before and in the middle of a turn.

The model is a script behind a real HTTP server: it repeats the draft that the prompt holds.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks.demo_browser import ask, bring_index, chromium, opened, running_demo, type_and_send
from shopbot.testing import ScriptedServer, scripted_server

QUESTION = "Is there a weight limit for PO boxes?"  # has no approved answer, which no model would word


@dataclass(frozen=True)
class Demo:
    """A running demo, the model behind it, and the faults that its next requests meet."""

    url: str
    home: Path
    model: ScriptedServer
    faults: list[Any]

    def turns(self) -> list[tuple[str, str]]:
        """(status, answer) of all turns, oldest first."""
        with closing(sqlite3.connect(next(self.home.rglob("shopbot.db")))) as database:
            return list(database.execute("SELECT status, answer FROM shopbot_turns ORDER BY started_at"))


def draft_of(request: dict[str, Any]) -> dict[str, str]:
    """The draft in the prompt, as the model's own words."""
    found = re.search(r"<draft>\n(.*?)\n</draft>", request["messages"][-1]["content"], re.DOTALL)
    return {"content": found[1] if found else "I do not know."}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    bring_index(folder / "home")
    faults: list[Any] = []
    scripted = (faults.pop(0) if faults else None for _ in iter(int, 1))
    with scripted_server(draft_of, faults=scripted) as model:
        options = ("--wording", "model", "--model", f"vllm:{model.base_url}")
        with running_demo(folder / "home", folder / "log.txt", *options) as url:
            yield Demo(url, folder / "home", model, faults)
        assert "Traceback" not in (folder / "log.txt").read_text()


@pytest.fixture
def page(demo: Demo) -> Iterator[Page]:
    with chromium() as browser, opened(browser, demo.url) as page:
        yield page


def test_a_model_words_the_answer(page: Page) -> None:
    assert "15 kg" in ask(page, QUESTION).locator(".text").inner_text()
    assert "scripted" in page.locator("#panel section", has_text="Worded by").inner_text()
    expect(page.locator("#panel .held")).to_have_count(0)


@pytest.mark.parametrize("faults", [["drop"], ["malformed"], [503, 503]])
def test_a_model_that_fails_costs_neither_the_answer_nor_the_turn(page: Page, demo: Demo, faults: list[Any]) -> None:
    whole = ask(page, QUESTION).locator(".text").inner_text()
    demo.faults.extend(faults)
    answer = ask(page, QUESTION)
    assert demo.faults == []
    assert answer.locator(".text").inner_text() == whole
    expect(answer.locator(".source").first).to_be_visible()
    expect(answer.locator(".trouble")).to_have_count(0)
    expect(page.locator("#panel .held")).to_have_count(1)  # the panel says what went wrong
    assert demo.turns()[-1][0] == "complete"


def test_stop_ends_the_turn_and_the_next_one_runs(page: Page, demo: Demo) -> None:
    demo.model.pause = 0.5  # seconds a word: the answer would take a minute
    before = len(demo.model.hung_up)
    try:
        type_and_send(page, QUESTION)
        expect(page.locator(".said.live")).to_be_visible()
        expect(page.locator("#panel h3", has_text="Worded by")).to_be_visible()
        page.locator("#ask .stop-button").click()
        expect(page.locator(".said .stopped")).to_have_text("Stopped. This answer was not kept.")
        expect(page.locator("#panel .state")).to_have_text("stopped")
        expect(page.locator(".trouble")).to_have_count(0)
        wait_for(lambda: len(demo.model.hung_up) == before + 1)  # the model's server is not left working
        wait_for(lambda: demo.turns()[-1] == ("interrupted", ""))
    finally:
        demo.model.pause = 0.0
    assert "days" in ask(page, "How long do refunds take?").locator(".text").inner_text()
    expect(page.locator(".said .stopped")).to_have_count(1)


def wait_for(true: Any) -> None:
    """Until it is true; fails after half a minute."""
    give_up = time.monotonic() + 30
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.1)

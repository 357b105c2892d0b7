"""The demo acts: cancel by buttons, return by words, and a person takes over. A real browser, a real desk."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.demo_browser import ask, become, bring_index, chromium, end, opened, running_demo

ROOT = Path(__file__).resolve().parents[1]
WAIT = 20_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("acting") / "home"
    bring_index(home)
    return home


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with running_demo(home, home.parent / "log.txt") as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SHOPBOT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def someone_with(status: str, since: str = "") -> tuple[str, str]:
    """The name of a shopper on the demo's list who has an affordable order of a status, and its id."""
    from demo_page.figures import notable
    from shopbot.shop import Shop

    with Shop.open(ROOT / "sample_shop") as shop:
        for shopper_id, _, _ in notable(shop)[:8]:
            orders = [one for one in shop.data.orders_of(shopper_id) if one.status == status and one.total < 400]
            fit = [one for one in orders if since <= str(one.delivered_on or "")]
            if fit:
                return shop.shopper(shopper_id).name, fit[0].id
    raise AssertionError(f"nobody on the list has one order that is {status}")


def test_an_order_is_cancelled_by_the_buttons(page: Page, screenshots: Path) -> None:
    name, order_id = someone_with("pending")
    become(page, name)
    proposed = ask(page, f"Please cancel order {order_id}")
    buttons = proposed.locator(".decide button")
    expect(buttons).to_have_count(2)
    page.screenshot(path=screenshots / "proposed.png")
    buttons.first.click()
    done = page.locator(".said").nth(1)
    expect(done.locator(".text")).to_contain_text("has been cancelled", timeout=WAIT)
    assert page.locator(".decide").count() == 0
    page.screenshot(path=screenshots / "cancelled.png")


def test_no_by_the_button_changes_nothing(page: Page) -> None:
    name, order_id = someone_with("delivered", "2026-10-25")
    become(page, name)
    ask(page, f"I want to return everything in {order_id}").locator(".decide .no").click()
    answer = page.locator(".said").nth(1).locator(".text")
    expect(answer).to_contain_text("changed nothing", timeout=WAIT)
    assert page.locator(".decide").count() == 0


def test_a_return_by_words_on_a_phone(browser: Browser, url: str, screenshots: Path) -> None:
    name, order_id = someone_with("delivered", "2026-10-25")
    with opened(browser, url, width=375, height=740) as page:
        become(page, name)
        ask(page, f"I want to return everything in {order_id}")
        page.screenshot(path=screenshots / "return_phone.png")
        assert "has been requested" in ask(page, "yes please").inner_text()


def test_a_person_answers_in_the_demo_and_gives_back(
    page: Page, browser: Browser, home: Path, screenshots: Path
) -> None:
    over = ask(page, "I want to talk to a person")
    expect(over.locator(".person")).to_be_visible()
    command = [sys.executable, "-m", "shopbot.cli", "desk", "--shop", str(ROOT / "sample_shop"), "--home", str(home)]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True, start_new_session=True) as desk:
        try:
            assert desk.stdout is not None
            address = desk.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=\S+", address), json.dumps(address)
            staff = browser.new_context().new_page()
            staff.goto(address)
            staff.get_by_role("link").filter(has_text=re.compile("isitor|person", re.IGNORECASE)).first.click()
            staff.screenshot(path=screenshots / "desk.png", full_page=True)
            staff.get_by_label("Your name").fill("Ada")
            staff.get_by_role("button", name="Continue").click()
            staff.get_by_role("button", name="Take over").click()
            staff.locator("#text").fill("Hello, Ada here.")
            staff.get_by_role("button", name="Send").click()
            expect(page.locator(".reply")).to_contain_text("Ada here", timeout=WAIT)
            page.screenshot(path=screenshots / "person.png")
        finally:
            end(desk)


def test_a_database_that_is_locked_costs_an_answer_and_not_the_page(page: Page, home: Path, screenshots: Path) -> None:
    (file,) = home.glob("shops/*/shopbot.db")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = ask(page, "How long do refunds take?")
    expect(told.locator(".text")).to_contain_text("out of order on our side", timeout=WAIT)
    assert told.locator("[data-thumb]").count() == 0
    page.screenshot(path=screenshots / "out-of-order.png")
    other.execute("ROLLBACK")
    other.close()
    again = ask(page, "How long do refunds take?")
    expect(again.locator(".text")).to_contain_text("working days", timeout=WAIT)
    assert again.locator("[data-thumb]").count() == 2

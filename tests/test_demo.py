"""The demo in a real browser: cited answers in both languages, a shopper's order, sources, thumbs, tabs, phone width."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo import shoppers
from shopbot.shop import Shop
from shopbot.types import Order

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
).split()
START_SECONDS = 120
ANSWER_MS = 30_000


@dataclass(frozen=True)
class Demo:
    """A running demo: its address and the folder that its database lies under."""

    url: str
    home: Path

    def thumbs(self) -> list[int]:
        """The stored thumbs, oldest first."""
        with closing(sqlite3.connect(next(self.home.rglob("shopbot.db")))) as database:
            return [row[0] for row in database.execute("SELECT thumb FROM shopbot_feedback ORDER BY id")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until the page answers; fails with what the demo printed where it ends or takes too long."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the demo did not open within {START_SECONDS} s:\n{log.read_text()}")


def bring_index(home: Path) -> None:
    """Copy the index that this machine has made already, if any: making it takes a minute. Conversations stay out."""
    made = Shop.open(ROOT / "sample_shop").home
    if made.is_dir():
        kept_out = shutil.ignore_patterns("shopbot.db*")
        shutil.copytree(made, Shop.open(ROOT / "sample_shop", home=home).home, ignore=kept_out)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    port, log = free_port(), folder / "log.txt"
    bring_index(folder / "home")
    command = [sys.executable, "demo.py", "--port", str(port), "--home", str(folder / "home")]
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, stdout=written, stderr=subprocess.STDOUT)
    try:
        wait_until_open(process, f"http://127.0.0.1:{port}", log)
        assert "Ready in" in log.read_text()
        yield Demo(f"http://127.0.0.1:{port}", folder / "home")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SHOPBOT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_page(browser: Browser, demo: Demo, width: int = 1280, height: int = 800, theme: str = "light") -> Page:
    """The demo in a context (so: cookies, storage, session) of its own."""
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.goto(f"{demo.url}/?__theme={theme}")
    page.locator("#message textarea, #message input").first.wait_for(timeout=ANSWER_MS)
    return page


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    opened = open_page(browser, demo)
    yield opened
    opened.context.close()


def ask(page: Page, question: str) -> str:
    """Ask as a shopper does; the answer, once the turn is over."""
    box = page.locator("#message textarea, #message input").first
    box.fill(question)
    box.press("Enter")
    page.locator("#panel").get_by_text("Took").wait_for(timeout=ANSWER_MS)
    return page.locator("#chat .bot.message, #chat .message.bot").last.inner_text()


def an_order_on_its_way() -> tuple[str, Order]:
    """The name of a shopper whom the picker offers, and an order of theirs that is pending or shipped."""
    with Shop.open(ROOT / "sample_shop") as shop:
        for label, one in shoppers(shop):
            for order in shop.data.orders_of(one) if one else ():
                if order.status.casefold() in ("pending", "shipped"):
                    return label, order
    pytest.fail("the picker offers nobody with a pending or shipped order")


def test_a_return_question_gets_an_answer_with_its_source(page: Page) -> None:
    answer = ask(page, "How long do I have to return something?")
    assert re.search(r"\d+ days", answer)
    assert "policies/en/" in str(page.locator("#sources").text_content())


def test_the_same_in_chinese(page: Page) -> None:
    answer = ask(page, "退货运费谁付？")
    assert "运费" in answer
    assert "policies/zh/" in str(page.locator("#sources").text_content())


def test_a_citation_opens_its_text(page: Page) -> None:
    ask(page, "How long do I have to return something?")
    citation = page.locator("#sources details").first
    expect(citation.locator("p").first).to_be_hidden()
    citation.locator("summary").click()
    expect(citation.locator("p").first).to_be_visible()
    expect(citation.locator("p").first).to_contain_text("return")
    assert citation.locator("p").first.is_visible()


def test_a_shopper_sees_the_status_of_an_order(page: Page) -> None:
    label, order = an_order_on_its_way()
    page.locator("#shopper input").click()
    page.get_by_role("option", name=label).click()
    answer = ask(page, f"What is the status of my order {order.id}?")
    assert order.id in answer
    assert order.status.casefold() in answer.casefold()
    expect(page.locator("#panel")).to_contain_text("get_order")


def test_a_visitor_is_told_nothing_of_an_order(page: Page) -> None:
    _, order = an_order_on_its_way()
    answer = ask(page, f"What is the status of my order {order.id}?")
    assert order.status.casefold() not in answer.casefold()


def test_the_cheapest_of_a_category_is_the_cheapest_in_stock(page: Page) -> None:
    with Shop.open(ROOT / "sample_shop") as shop:
        products = shop.data.all_products()
    category = next(product.category for product in products if product.category and product.available)
    prices = [
        variant.price
        for product in products
        if product.category == category
        for variant in product.variants
        if variant.available and variant.price is not None
    ]
    assert f"{min(prices):.2f}" in ask(page, f"What is the cheapest of the {category} in stock?")


def test_markup_of_a_shopper_stays_text(page: Page) -> None:
    ask(page, "<img src=x onerror=\"document.title='taken'\"> **bold** returns?")
    expect(page.locator("#chat")).to_contain_text("<img src=x")
    expect(page.locator("#chat")).to_contain_text("**bold**")
    assert page.title() != "taken"


def test_thumbs_are_stored(page: Page, demo: Demo) -> None:
    ask(page, "How long do refunds take?")
    before = len(demo.thumbs())
    page.locator("#up").click()
    page.get_by_text("Thank you, noted.").wait_for()
    assert demo.thumbs()[before:] == [1]


def test_two_tabs_share_nothing(page: Page, browser: Browser, demo: Demo) -> None:
    ask(page, "How long do refunds take?")
    other = open_page(browser, demo)
    expect(other.locator("#chat")).not_to_contain_text("refunds")
    ask(other, "Do you ship abroad?")
    expect(page.locator("#chat")).not_to_contain_text("abroad")
    assert "refunds" not in other.locator("#chat").inner_text()
    other.context.close()


@pytest.mark.parametrize(
    ("name", "width", "height", "theme"),
    [("light", 1280, 800, "light"), ("dark", 1280, 800, "dark"), ("phone", 390, 844, "light")],
)
def test_nothing_overflows(
    browser: Browser, demo: Demo, screenshots: Path, name: str, width: int, height: int, theme: str
) -> None:
    page = open_page(browser, demo, width, height, theme)
    ask(page, "How long do I have to return something?")
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()

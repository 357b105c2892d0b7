"""The demo, started as a process and used in headless Chromium as a shopper does. The tests of the demo use it too."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from benchmarks.report import REPOSITORY
from demo_page.figures import notable
from shopbot.shop import Shop
from shopbot.types import Order

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
).split()
START_SECONDS = 240
ANSWER_MS = 30_000

# ---------------------------------------------------------------- the process


@contextmanager
def running_demo(home: Path, log: Path, *options: str) -> Iterator[str]:
    """A demo of the sample shop on a free port, its index and sessions under `home`; yields its address.

    Raises RuntimeError, with what it printed, where it does not open within START_SECONDS.
    """
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "demo.py", "--port", url.rpartition(":")[2], "--home", str(home), *options]
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=written, stderr=subprocess.STDOUT)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not is_open(url):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"the demo did not open within {START_SECONDS} s:\n{log.read_text('utf-8')}")
            time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(url: str) -> bool:
    """Whether a page answers there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def end(group: subprocess.Popen[str]) -> None:
    """Press Ctrl-C in a process that leads its group, and see that nothing of it stays."""
    for what in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group.pid, what)
            group.wait(20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def bring_index(home: Path, shop: Path = REPOSITORY / "sample_shop") -> None:
    """Copy the index that this machine has made already, if any: making it takes a while. Conversations stay out."""
    made = Shop.open(shop).home
    if made.is_dir():
        shutil.copytree(made, Shop.open(shop, home=home).home, ignore=shutil.ignore_patterns("shopbot.db*"))


# ---------------------------------------------------------------- what the shop's records say


def an_open_order(folder: Path) -> tuple[str, Order]:
    """The name of a shopper with one order that is pending or shipped, and that order."""
    with Shop.open(folder) as shop:
        for one, _, _ in notable(shop):
            coming = [order for order in shop.data.orders_of(one) if order.status in ("pending", "shipped")]
            if len(coming) == 1:
                return shop.shopper(one).name, coming[0]
    raise LookupError(f"no shopper of {folder} has exactly one pending or shipped order")


def cheapest_in_stock(shop: Shop, category: str) -> str:
    """The lowest price in stock of a category, as it is written in an answer."""
    variants = [one for product in shop.data.all_products() if product.category == category for one in product.variants]
    return f"{min(one.price for one in variants if one.available and one.price is not None):.2f}"


# ---------------------------------------------------------------- the browser


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1280, height: int = 800, **options: str) -> Iterator[Page]:
    """The demo in a context (so: cookies, storage, session) of its own, ready to be used.

    `locale` is the browser's language, `scheme` "light" or "dark".
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=options.get("locale"),
        color_scheme="dark" if options.get("scheme") == "dark" else "light",
    )
    page = context.new_page()
    page.goto(url)
    page.locator(".chip").first.wait_for(timeout=ANSWER_MS)
    expect(page.locator("#ask textarea")).to_be_enabled()
    yield page
    context.close()


def type_and_send(page: Page, question: str) -> None:
    """Type a question and press Enter; returns once it stands in the chat."""
    before = page.locator(".asked").count()
    page.locator("#ask textarea").fill(question)
    page.locator("#ask textarea").press("Enter")
    expect(page.locator(".asked")).to_have_count(before + 1)


def answered(page: Page) -> Locator:
    """The newest answer, once its turn is over."""
    asked = page.locator(".asked").count()
    expect(page.locator(".said .foot, .said .trouble, .said .stopped")).to_have_count(asked, timeout=ANSWER_MS)
    return page.locator(".said").last


def ask(page: Page, question: str) -> Locator:
    """Ask as a shopper does; the answer."""
    type_and_send(page, question)
    return answered(page)


def become(page: Page, name: str) -> None:
    """Find a shopper by name in the picker."""
    page.locator("#shopper input").fill(name)
    page.get_by_role("option", name=name).first.click()
    expect(page.locator(".hello h1")).to_contain_text(name)


def sources(answer: Locator) -> Sequence[str]:
    """What an answer cites: documents, products, orders."""
    return [one.text_content() or "" for one in answer.locator(".sheet-source").all()]

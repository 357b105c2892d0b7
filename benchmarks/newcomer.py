"""A stranger clones the repository and types `make demo`: how long until the page answers, and does it answer well?

python -m benchmarks.newcomer [--quick] [--json OUT]

The full form clones this repository's HEAD into a new folder beside it (so that ../shared is where it is here), types
the one command with an empty home, and reads its output: "installed and downloaded" is when the stage of the demo
begins; what comes after is the shop's first start. The quick form starts the demo that is installed here. Both then
ask, as a shopper in headless Chromium, what issue 2 names, and hold each answer against the shop's own records. The
full form leaves screenshots (desktop and phone, light and dark) in benchmarks/results/screenshots.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Request

from benchmarks.demo_browser import (
    an_open_order,
    ask,
    become,
    bring_index,
    cheapest_in_stock,
    chromium,
    end,
    is_open,
    opened,
    running_demo,
    sources,
)
from benchmarks.report import REPOSITORY, Rows
from shopbot.shop import Shop

SHOP = REPOSITORY / "sample_shop"
SCREENSHOTS = REPOSITORY / "benchmarks" / "results" / "screenshots"
MOST_SECONDS = 180
GIVE_UP_SECONDS = 3600
STAGE = "── 2 of 2: the demo"
READY = re.compile(r"open (http://\S+)")
VIEWS = {"desktop": (1280, 800), "phone": (390, 844)}


# ---------------------------------------------------------------- the one command


@dataclass
class Start:
    """What `make demo` printed and when, in seconds after it was typed; `address` once the page answers."""

    lines: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    address: str = ""
    open_at: float = 0.0

    @property
    def downloaded_at(self) -> float:
        """When everything was installed and downloaded."""
        return next((at for at, line in self.lines if line.startswith(STAGE)), 0.0)


@contextmanager
def made_demo() -> Iterator[Start]:
    """`make demo` in a fresh clone with an empty home; ended, and the clone removed, with the block.

    Raises RuntimeError, with the last it printed, where it ends before its page answers.
    """
    folder = Path(tempfile.mkdtemp(prefix="newcomer-", dir=REPOSITORY.parent))
    try:
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder / "shopbot")], check=True)
        if (REPOSITORY.parent / "shared").is_dir():
            (folder / "shared").symlink_to(REPOSITORY.parent / "shared")
        nothing_of_ours = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        process = subprocess.Popen(
            ["make", "demo"],
            cwd=folder / "shopbot",
            env={**nothing_of_ours, "SHOPBOT_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield watch(process)
        finally:
            end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch(process: subprocess.Popen[str]) -> Start:
    """Read until the page answers."""
    began, start = time.monotonic(), Start()
    assert process.stdout is not None
    for line in process.stdout:
        start.lines.append((time.monotonic() - began, line.rstrip()))
        print(f"    {start.lines[-1][0]:6.1f} s  {line.rstrip()[:150]}", flush=True)
        if found := READY.search(line):
            start.address = found[1]
            break
        if start.lines[-1][0] > GIVE_UP_SECONDS:
            break
    if not start.address or not is_open(start.address):
        raise RuntimeError(
            "make demo did not open its page; it printed:\n" + "\n".join(line for _, line in start.lines[-20:])
        )
    start.open_at = time.monotonic() - began
    return start


# ---------------------------------------------------------------- what a shopper asks


@dataclass(frozen=True)
class Case:
    """A question; who asks ("" is a visitor); what the answer must say, and the beginning of a source it must cite."""

    name: str
    question: str
    who: str
    says: str
    source: str


def cases(folder: Path) -> list[Case]:
    """The questions of issue 2, with what is right by the shop's own records."""
    name, order = an_open_order(folder)
    with Shop.open(folder) as shop:
        product = next(one for one in shop.data.all_products() if one.category == "tents")
        cheapest = cheapest_in_stock(shop, product.category)
    return [
        Case("a return question", "How long do I have to return something?", "", "30 days", "policies/en/return"),
        Case("the same in Chinese", "退货期限是多久？", "", "30", "policies/zh/return"),
        Case("the cheapest in stock", "What is the cheapest tent in stock?", "", cheapest, "product:"),
        Case("the same in Chinese, again", "最便宜的有货的帐篷是哪款？", "", cheapest, "product:"),
        Case("an order's status", f"Where is my order {order.id}?", name, order.status, f"order:{order.id}"),
    ]


def right(answer: Locator, case: Case) -> tuple[str, bool]:
    """The answer and its sources in a line, and whether it says and cites what it must."""
    text = " ".join(answer.locator(".text").all_inner_texts())
    cited = list(dict.fromkeys(sources(answer)))
    good = case.says in text and any(source.startswith(case.source) for source in cited)
    return f"{' '.join(text.split())[:110]} [{', '.join(cited)}]", good


@dataclass
class Troubles:
    """What a browser tells of a page: errors, requests that leave the machine, and what is wider than the screen."""

    errors: list[str] = field(default_factory=list[str])
    elsewhere: list[str] = field(default_factory=list[str])
    wide: list[str] = field(default_factory=list[str])

    def listen(self, page: Page, address: str) -> None:
        """Note what this page does from now on."""

        def note(request: Request) -> None:
            if not request.url.startswith((address, "data:", "blob:")):
                self.elsewhere.append(request.url)

        page.on("request", note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def measure(self, page: Page, name: str) -> None:
        """Note whether the page can be scrolled sideways."""
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > page.evaluate("window.innerWidth"):
            self.wide.append(f"{name}: {width} px")


def talk(browser: Browser, address: str, rows: Rows, troubles: Troubles) -> None:
    """Ask everything in one window; a row each."""
    with opened(browser, address) as page:
        troubles.listen(page, address)
        who = ""
        for case in cases(SHOP):
            if case.who != who:
                become(page, case.who)
                who = case.who
            said, good = right(ask(page, case.question), case)
            rows.add(f"{case.name}: {case.question}", said, f"says {case.says}, cites {case.source}…", good)


def look(browser: Browser, address: str, troubles: Troubles, shots: Path) -> None:
    """Screenshots of everything a shopper may see, in every view and scheme, in English and (on the phone) Chinese."""
    name, order = an_open_order(SHOP)
    for view, (width, height) in VIEWS.items():
        for scheme in ("light", "dark"):
            locale = "zh-CN" if (view, scheme) == ("phone", "dark") else "en-GB"
            with opened(browser, address, width, height, scheme=scheme, locale=locale) as page:
                troubles.listen(page, address)

                def shot(what: str, page: Page = page, whole: bool = False, view: str = f"{view}-{scheme}") -> None:
                    page.wait_for_timeout(500)  # what moves has come to rest
                    page.screenshot(path=shots / f"{view}-{what}.png", full_page=whole)
                    troubles.measure(page, f"{view}-{what}")

                shot("1-hello")
                ask(page, "退货期限是多久？" if locale == "zh-CN" else "How long do I have to return something?")
                shot("2-return", whole=True)
                page.locator(".source").first.click()
                shot("3-source")
                page.keyboard.press("Escape")
                become(page, name)
                ask(page, f"订单{order.id}到哪里了？" if locale == "zh-CN" else f"Where is my order {order.id}?")
                shot("4-order", whole=True)
                ask(page, "最便宜的有货的帐篷是哪款？" if locale == "zh-CN" else "What is the cheapest tent in stock?")
                ask(page, "比较一下两款帐篷" if locale == "zh-CN" else "Which tents are under £300?")
                shot("5-products", whole=True)
                page.get_by_role("tab").nth(1).click()
                page.locator(".figure").first.wait_for()
                shot("6-insights", whole=True)


# ---------------------------------------------------------------- the rows


def report(rows: Rows, troubles: Troubles) -> None:
    """What the browser had to complain of."""
    for what, found in (
        ("errors in the browser", troubles.errors),
        ("requests that leave this machine", troubles.elsewhere),
        ("pages wider than their window", troubles.wide),
    ):
        rows.add(what, ", ".join(dict.fromkeys(found)) or "none", "none", not found)


def quick(rows: Rows) -> None:
    """The demo that is installed here, with the index that this machine has."""
    with tempfile.TemporaryDirectory() as folder:
        home, began = Path(folder) / "home", time.monotonic()
        bring_index(home)
        with running_demo(home, Path(folder) / "log.txt") as address, chromium() as browser:
            rows.add("seconds from a start to a page that answers", time.monotonic() - began, "for orientation", None)
            troubles = Troubles()
            talk(browser, address, rows, troubles)
            report(rows, troubles)


def full(rows: Rows) -> None:
    """The whole way of a newcomer."""
    with made_demo() as start, chromium() as browser:
        first = start.open_at - start.downloaded_at
        rows.add(
            "seconds from `make demo`, its input closed, to downloaded", start.downloaded_at, "for orientation", None
        )
        rows.add("seconds from downloaded to a page that answers", first, f"≤ {MOST_SECONDS}", first <= MOST_SECONDS)
        troubles = Troubles()
        talk(browser, start.address, rows, troubles)
        shutil.rmtree(SCREENSHOTS, ignore_errors=True)
        SCREENSHOTS.mkdir(parents=True)
        look(browser, start.address, troubles, SCREENSHOTS)
        report(rows, troubles)
        rows.add(
            "screenshots to look at", len(list(SCREENSHOTS.iterdir())), "24", len(list(SCREENSHOTS.iterdir())) == 24
        )


def main() -> int:
    """Run one of the forms, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newcomer", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the demo installed here instead of a fresh clone")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = Rows("newcomer")
    (quick if arguments.quick else full)(rows)
    return rows.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())

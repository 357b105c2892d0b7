"""The demo in a real browser, on the real shop: answers, sources, orders, thumbs, tabs, errors, and how it looks."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from benchmarks.demo_browser import (
    ANSWER_MS,
    an_open_order,
    answered,
    ask,
    become,
    bring_index,
    cheapest_in_stock,
    chromium,
    opened,
    running_demo,
    sources,
)
from demo_page.figures import questions
from demo_page.tab import Exchange, told
from shopbot.shop import Shop
from shopbot.types import Draft, Drafted

ROOT = Path(__file__).resolve().parents[1]
SHOP = ROOT / "sample_shop"
RETURNS = "How long do I have to return something?"


@dataclass(frozen=True)
class Demo:
    """A running demo: its address and the folder that its database lies under."""

    url: str
    home: Path

    @property
    def database(self) -> Path:
        return next(self.home.rglob("shopbot.db"))

    def run(self, statement: str) -> list[tuple[int | str, ...]]:
        with closing(sqlite3.connect(self.database)) as database, database:
            return list(database.execute(statement))

    def thumbs(self) -> list[tuple[int | str, ...]]:
        return self.run("SELECT thumb, message FROM shopbot_feedback JOIN shopbot_turns t ON t.id = turn_id")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    home, log = folder / "home", folder / "log.txt"
    bring_index(home)
    with running_demo(home, log) as url:
        yield Demo(url, home)
        assert f"open {url}" in log.read_text()
        assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SHOPBOT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    with opened(browser, demo.url) as page:
        yield page


# ---------------------------------------------------------------- answers


def test_a_return_question_gets_a_cited_answer_that_opens_its_passage(page: Page) -> None:
    answer = ask(page, RETURNS)
    expect(answer.locator(".text")).to_contain_text(re.compile(r"\d+ days"))
    passage = answer.locator(".sheet").first
    expect(passage).to_be_hidden()
    answer.locator(".source").first.click()
    expect(passage).to_be_visible()
    expect(passage.locator(".sheet-source")).to_have_text("policies/en/returns.md")
    assert answer.locator(".text").inner_text().startswith(passage.locator("mark").first.inner_text())
    page.keyboard.press("Escape")
    expect(passage).to_be_hidden()


def test_the_same_in_chinese(page: Page) -> None:
    answer = ask(page, "退货运费谁付？")
    assert "运费" in answer.locator(".text").inner_text()
    assert sources(answer)[0].startswith("policies/zh/")


def test_a_shopper_finds_where_their_order_is(page: Page) -> None:
    name, order = an_open_order(SHOP)
    become(page, name)
    answer = ask(page, f"What is the status of my order {order.id}?")
    assert order.id in answer.inner_text()
    assert order.status in answer.inner_text()
    tool = page.locator("#panel .tool").first
    expect(tool).to_contain_text("get_order")
    expect(tool.locator(".argument")).to_contain_text(order.id)
    expect(tool.locator(".status")).to_have_text("done")


def test_another_shopper_begins_a_clean_conversation(page: Page) -> None:
    name, order = an_open_order(SHOP)
    become(page, name)
    ask(page, f"What is the status of my order {order.id}?")
    page.locator("#shopper input").fill("Visitor")
    page.get_by_role("option", name="Visitor").click()
    expect(page.locator(".asked")).to_have_count(0)
    expect(page.locator("#panel")).not_to_contain_text(order.id)
    answer = ask(page, f"What is the status of my order {order.id}?")
    assert order.status not in answer.inner_text()


def test_the_example_about_the_cheapest_names_the_cheapest_in_stock(page: Page) -> None:
    with Shop.open(SHOP) as shop:
        example = next(one for one in questions(shop, {"examples": [], "cheapest": "{kind}", "compare": ""}, "en"))
        kind = next(one.category for one in shop.data.all_products() if one.category and one.category in example)
        price = cheapest_in_stock(shop, kind)
    page.locator(".chip", has_text="cheapest").first.click()
    expect(page.locator(".asked")).to_contain_text(example)
    assert price in answered(page).locator(".text").inner_text()


def test_the_panel_shows_each_step(page: Page) -> None:
    ask(page, RETURNS)
    panel = page.locator("#panel")
    for title in ("Understood", "Plan", "Passages found", "Sentences read", "Worded by", "Time"):
        expect(panel.locator("h3", has_text=title)).to_be_visible()
    assert float(panel.locator(".found .score").first.inner_text()) > 0
    ask(page, "Hello!")
    expect(panel.locator(".question")).to_have_text("Hello!")
    page.locator("[data-show='0']").click()
    expect(panel.locator(".question")).to_have_text(RETURNS)


def test_markup_stays_text(page: Page) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"> **bold** {{value}} ${document.title='taken'} returns?"
    ask(page, hostile)
    expect(page.locator(".asked")).to_contain_text(hostile)
    expect(page.locator("#panel .question")).to_contain_text(hostile)
    assert page.locator("#talk img, #panel img").count() == 0
    assert page.title() == "Larkfield · shopbot"


# ---------------------------------------------------------------- thumbs, tabs, languages, figures


def test_thumbs_are_stored_and_counted(page: Page, demo: Demo) -> None:
    question = "How long do refunds take?"
    ask(page, question).locator("[data-thumb='-1']").click()
    expect(page.locator("[data-thumb='-1'][aria-pressed='true']")).to_have_count(1)
    assert demo.thumbs()[-1] == (-1, question)
    page.get_by_role("tab", name="Insights").click()
    expect(page.locator(".given").first).to_contain_text(question)
    turns = demo.run("SELECT count(*) FROM shopbot_turns WHERE status = 'complete'")[0][0]
    expect(page.locator(".figure", has_text="turns").first).to_contain_text(str(turns))
    asked = demo.run("SELECT count(*) FROM shopbot_turns WHERE profile LIKE '%policy_refunds%'")[0][0]
    expect(page.locator(".counted", has_text="policy_refunds").locator("b")).to_have_text(str(asked))


def test_a_visitor_is_asked_to_log_in_and_gets_the_answer_once_they_have(page: Page) -> None:
    name, order = an_open_order(SHOP)
    answer = ask(page, "Where is my order?")
    assert "log in" in answer.locator(".text").inner_text()
    expect(page.locator("#panel .tool .status.done")).to_have_count(0)
    become(page, name)
    assert order.status in ask(page, f"Where is my order {order.id}?").locator(".text").inner_text()


def test_two_tabs_are_two_sessions(page: Page, demo: Demo) -> None:
    name, order = an_open_order(SHOP)
    other = page.context.new_page()
    other.goto(demo.url)
    other.locator(".chip").first.wait_for(timeout=ANSWER_MS)
    become(other, name)
    question = f"Where is order {order.id}?"
    expect(ask(other, question).locator(".text")).to_contain_text(order.status)
    expect(page.locator(".asked")).to_have_count(0)
    expect(ask(page, question).locator(".text")).to_contain_text("log in")  # the other tab's shopper is not this one's
    expect(other.locator(".asked")).to_have_count(1)
    expect(page.locator(".hello, .asked")).to_have_count(1)
    rows = demo.run(f"SELECT session_id FROM shopbot_turns WHERE message = '{question}'")
    assert len(rows) == len(set(rows)) == 2


def test_the_interface_changes_its_language_and_keeps_the_conversation(page: Page) -> None:
    ask(page, RETURNS)
    page.locator("#language input[value=zh]").click()
    expect(page.locator("#new")).to_have_text("新对话")
    expect(page.get_by_role("tab").first).to_have_text("对话")
    expect(page.locator("#panel h2")).to_have_text("本轮的每一步")
    expect(page.locator(".asked")).to_have_text(re.compile(re.escape(RETURNS)))
    assert page.locator("#ask textarea").get_attribute("placeholder") == "询问订单、商品或政策……"
    page.locator("#new").click()
    expect(page.locator(".asked")).to_have_count(0)


def test_a_chinese_browser_gets_a_chinese_page(browser: Browser, demo: Demo) -> None:
    with opened(browser, demo.url, locale="zh-CN") as page:
        expect(page.locator("#new")).to_have_text("新对话")
        assert page.locator(".hello h1").inner_text() == "Larkfield 能帮您什么？"


# ---------------------------------------------------------------- what goes wrong


def test_an_error_is_told_in_the_chat(page: Page, demo: Demo) -> None:
    demo.run("ALTER TABLE shopbot_turns RENAME TO hidden_turns")
    try:
        answer = ask(page, RETURNS)
        expect(answer.locator(".text")).to_contain_text("out of order on our side")
        expect(page.locator("#panel")).to_contain_text("no such table")  # for the people who run it
        assert "Traceback" not in page.locator("body").inner_text()
    finally:
        demo.run("ALTER TABLE hidden_turns RENAME TO shopbot_turns")
    expect(ask(page, RETURNS).locator(".text")).to_contain_text("days")


def test_a_port_in_use_is_named_with_what_to_type(demo: Demo) -> None:
    port = int(demo.url.rpartition(":")[2])
    command = [sys.executable, "demo.py", "--port", str(port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"Port {port} is in use" in ended.stderr
    assert f"--port {port + 1}" in ended.stderr


def test_a_source_is_marked_where_the_answer_says_it() -> None:
    exchange = Exchange("?", [Drafted(Draft(("Parcels arrive in 3 days.", "\n- Not on Sundays.")), "draft", 0.0)])
    pieces = exchange.marked("**Parcels arrive\nin 3 days**, often sooner.\n- Not on Sundays")
    assert [piece for piece, said in pieces if said] == ["Parcels arrive\nin 3 days", "Not on Sundays"]
    assert "".join(piece for piece, _ in pieces) == "Parcels arrive\nin 3 days, often sooner.\n- Not on Sundays"


def test_events_are_told_in_the_language_of_the_page(browser: Browser, demo: Demo) -> None:
    with opened(browser, demo.url, locale="zh-CN") as page:
        ask(page, "最便宜的有货的帐篷是哪款？")
        panel = page.locator("#panel")
        assert "找商品" in panel.locator("section", has_text="理解").first.inner_text()
        assert "调用：搜索商品" in panel.locator("section", has_text="计划").first.inner_text()
        expect(panel.locator(".tool .status")).to_have_text("完成")
        expect(page.locator(".source").last).to_contain_text("商品搜索")
        shown = panel.inner_text()
        assert not re.findall(r"search_products|product_search|\bdone\b|\bcall\b|None", shown), shown


def test_a_line_that_has_no_words_stays_as_it_is() -> None:
    words = {"names": {"id": "编号"}, "told": [["(id|price) (.*) is in no source", "没有{0}：{1}"]]}
    assert told("id 'LF-1' is in no source", words) == "没有编号：'LF-1'"
    assert told("price '£3' is in no source", words) == "没有price：'£3'"
    assert told("something else {0}", words) == "something else {0}"


# ---------------------------------------------------------------- how it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1280, 800), ("phone", 390, 844)])
def test_it_fits_and_follows_the_system(
    browser: Browser, demo: Demo, screenshots: Path, name: str, width: int, height: int, scheme: str
) -> None:
    elsewhere: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((demo.url, "data:", "blob:")):
            elsewhere.append(request.url)

    with opened(browser, demo.url, width, height, scheme=scheme) as page:
        page.on("request", note)
        page.screenshot(path=screenshots / f"{name}-{scheme}-hello.png")
        ask(page, RETURNS)
        page.screenshot(path=screenshots / f"{name}-{scheme}-chat.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#ask").bounding_box()["y"] < height - 40  # the box is on the screen, not below it
        page.locator(".source").first.click()
        page.wait_for_timeout(300)  # the sheet rises
        page.screenshot(path=screenshots / f"{name}-{scheme}-source.png")
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Insights").click()
        page.locator(".figure").first.wait_for()
        page.screenshot(path=screenshots / f"{name}-{scheme}-insights.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(int(part) for part in re.findall(r"\d+", background)[:3]) < 80) is (scheme == "dark")
    assert elsewhere == []

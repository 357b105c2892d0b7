"""The desk in a real browser and over HTTP: take over, say, give back; who is let in; what is text stays text."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.demo_browser import chromium, free_port
from shopbot.errors import UsageError
from shopbot.handover import HandOver, HandOvers, make_packet
from shopbot.journal import Journal
from shopbot.server.desk import desk
from shopbot.store import Store
from shopbot.types import Profile, Shopper, ToolCall
from stored import NOW, events_of, talk

TOKEN = "0123456789abcdef-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MEI = Shopper("mei", "Mei Chen", "mei@example.com")
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">{{ 7 * 7 }}"
LATER = NOW + timedelta(minutes=12)


@dataclass(frozen=True)
class Desk:
    """A running desk, and the store behind it as the bot has it."""

    url: str
    store: Store

    @property
    def hand_overs(self) -> HandOvers:
        return HandOvers(self.store)

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}/api/hand-overs{path}", headers=BEARER, **more)


@contextmanager
def serving(store: Store) -> Iterator[Desk]:
    port = free_port()
    app = desk(store, TOKEN, lambda: LATER.astimezone(ZoneInfo("Europe/London")), "Larkfield")
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield Desk(f"http://127.0.0.1:{port}", store)
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def running(database: str) -> Iterator[Desk]:
    """On SQLite and on PostgreSQL."""
    with Store.open(database) as store, serving(store) as running:
        yield running


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Desk]:
    """For what does not depend on the database."""
    with Store.open(tmp_path / "shop.sqlite3") as store, serving(store) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context
    context.close()


def hand_over(store: Store, session: str, shopper: Shopper, message: str, **more: Any) -> HandOver:
    """A conversation in which an order was looked up and a refund was begun, until the shopper wants a person."""
    talk(store, session, "Where is my order A1?", shopper.id)
    asked = talk(store, session, "Refund it please, it came broken", shopper.id)
    if shopper.id is not None:
        journal, told = Journal(store), {"say": {"en": "£12.00 would be refunded to your Visa card ending in 5564."}}
        arguments = {"order_id": "A1", "reason": "arrived broken"}
        action = journal.propose(session, asked.id, shopper.id, "refund_order", arguments, told, NOW)
        journal.confirm(action.key, NOW)
        journal.start(action.key, NOW)
        journal.finish(action.key, "unknown", {"reason": "no answer in 10 s"}, NOW)
    turn = store.begin_turn(session, shopper.id, message, NOW + timedelta(minutes=4))
    profile = more.pop("profile", Profile("request_human", 0.93, -0.62))
    reason = more.pop("reason", "the shopper asked for a person")
    packet = make_packet(store, Journal(store), session, shopper, reason, message, profile, **more)
    opened = HandOvers(store).open(session, turn.id, packet, NOW + timedelta(minutes=4))
    *events, finished = events_of(turn, "A person will answer you here.")
    said = replace(finished, handed_over=True, tool_calls=())  # type: ignore[type-var]
    store.finish_turn([*events, said], now=NOW + timedelta(minutes=4))
    return opened


def writes(store: Store, session: str, message: str, minutes: int) -> None:
    """The shopper writes while a person has the conversation: the bot is silent."""
    turn = store.begin_turn(session, "mei", message, NOW + timedelta(minutes=minutes))
    *_, finished = events_of(turn, "")
    store.finish_turn([replace(finished, tool_calls=())], now=NOW + timedelta(minutes=minutes))  # type: ignore[type-var]


def come_in(context: BrowserContext, running: Desk, name: str = "Ann") -> Page:
    page = context.new_page()
    page.goto(f"{running.url}/?token={TOKEN}")
    if name:
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".you")).to_be_visible()
    return page


# ---------------------------------------------------------------- a person at work


def test_a_person_takes_a_conversation_answers_and_gives_it_back(context: BrowserContext, running: Desk) -> None:
    opened = hand_over(running.store, "s", MEI, "I want to talk to a person")
    page = come_in(context, running)
    assert page.url == f"{running.url}/"  # the token is gone from the address
    expect(page.locator("#waiting .card")).to_have_count(1)
    page.get_by_role("link", name="Mei Chen").click()
    expect(page.locator("#why")).to_contain_text("the shopper asked for a person")
    expect(page.locator("#actions .status")).to_have_text("unknown")
    expect(page.locator("#actions")).to_contain_text("£12.00 would be refunded to your Visa card ending in 5564.")
    expect(page.locator("#lines li")).to_have_count(6)
    page.get_by_role("button", name="Take over").click()
    expect(page.locator("#status")).to_contain_text("with you")
    page.get_by_label("Your reply to Mei Chen").fill("Hello Mei, I am Ann.\n您好！")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#lines .person .said")).to_have_text("Hello Mei, I am Ann.\n您好！")
    assert [(one.number, one.text) for one in running.hand_overs.messages("s")] == [(1, "Hello Mei, I am Ann.\n您好！")]
    page.get_by_label("Note").fill("Refunded by hand.")
    page.get_by_role("button", name="Give back").click()
    expect(page.locator("#waiting .empty, #taken .empty")).to_have_count(2)
    page.goto(f"{running.url}/conversations/{opened.id}")
    expect(page.locator("#controls .note")).to_have_text("Refunded by hand.")
    found = running.hand_overs.find(opened.id)
    assert found is not None
    assert (found.status, found.person, found.note) == ("given_back", "Ann", "Refunded by hand.")
    assert running.hand_overs.of_session("s") is None


def test_what_the_shopper_writes_appears_and_what_is_typed_stays(context: BrowserContext, on_sqlite: Desk) -> None:
    opened = hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    page = come_in(context, on_sqlite)
    page.goto(f"{on_sqlite.url}/conversations/{opened.id}")
    page.get_by_role("button", name="Take over").click()
    reply = page.locator("#text")
    reply.fill("Let me look")
    writes(on_sqlite.store, "s", "Are you there?", 6)
    expect(page.locator("#lines .shopper .said").last).to_have_text("Are you there?")
    expect(reply).to_have_value("Let me look")
    expect(reply).to_be_focused()
    reply.press("Control+Enter")
    expect(page.locator("#lines .person .said")).to_have_text("Let me look")
    assert [one.text for one in on_sqlite.hand_overs.messages("s")] == ["Let me look"]


def test_the_list_refreshes_itself_and_keeps_a_name_that_is_typed(context: BrowserContext, on_sqlite: Desk) -> None:
    page = come_in(context, on_sqlite, name="")
    expect(page.locator("#waiting .empty")).to_be_visible()
    page.get_by_label("Your name").fill("An")
    hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    expect(page.locator("#waiting .card")).to_have_count(1)
    assert page.title().startswith("(1) ")
    expect(page.get_by_label("Your name")).to_have_value("An")
    expect(page.get_by_label("Your name")).to_be_focused()


def test_who_comes_second_is_told_who_has_it_and_keeps_their_words(browser: Browser, on_sqlite: Desk) -> None:
    opened = hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    context = browser.new_context(java_script_enabled=False)  # it works without, and does not refresh meanwhile
    page = come_in(context, on_sqlite, "Bob")
    page.goto(f"{on_sqlite.url}/conversations/{opened.id}")
    on_sqlite.hand_overs.take(opened.id, "Ann", LATER)
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("alert")).to_contain_text("Ann has taken this conversation")
    expect(page.get_by_role("button")).to_have_count(0)
    on_sqlite.hand_overs.give_back(opened.id, "Ann", "", LATER)
    second = on_sqlite.hand_overs.open("s", talk(on_sqlite.store, "s", "Hello?").id, opened.packet, LATER)
    page.goto(f"{on_sqlite.url}/conversations/{second.id}")
    page.get_by_role("button", name="Take over").click()
    page.locator("#text").fill("It took me a while to type this")
    on_sqlite.hand_overs.give_back(second.id, "Bob", "from another tab", LATER)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Bob has given this conversation back")
    expect(page.get_by_label("What you typed")).to_have_value("It took me a while to type this")
    assert on_sqlite.hand_overs.messages("s") == []
    context.close()


def test_it_can_be_used_with_the_keyboard_alone(context: BrowserContext, on_sqlite: Desk) -> None:
    hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    page = come_in(context, on_sqlite)
    for key in ("Tab", "Tab", "Tab"):  # past the skip link and the brand
        page.keyboard.press(key)
    expect(page.get_by_role("link", name="Mei Chen")).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/conversations/*")
    button = page.get_by_role("button", name="Take over")
    for _ in range(6):
        page.keyboard.press("Tab")
        if button.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("with you")
    unlabelled = (
        "[...document.querySelectorAll('input:not([type=hidden]), textarea')].filter(field => !field.labels.length)"
    )
    assert page.evaluate(f"{unlabelled}.length") == 0
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(headings, headings[1:], strict=False))


# ---------------------------------------------------------------- what is text stays text


def test_markup_in_messages_names_and_facts_stays_text(context: BrowserContext, on_sqlite: Desk) -> None:
    opened = hand_over(
        on_sqlite.store,
        "s",
        Shopper("mei", HOSTILE, HOSTILE),
        HOSTILE,
        reason=HOSTILE,
        profile=Profile(HOSTILE),
        calls=[ToolCall(HOSTILE, {HOSTILE: HOSTILE}, "done", {HOSTILE: [HOSTILE]}, "c9")],
    )
    page = come_in(context, on_sqlite, HOSTILE[:80])
    expect(page.locator("#waiting .question")).to_have_text(HOSTILE)
    for address in ("/", f"/conversations/{opened.id}"):
        page.goto(on_sqlite.url + address)
        assert page.locator("img, main script").count() == 0
        assert "taken" not in page.title().replace(HOSTILE, "")
    page.get_by_role("button", name="Take over").click()
    page.locator("#text").fill(HOSTILE)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#lines .person .said")).to_have_text(HOSTILE)
    expect(page.locator("#lines .person strong")).to_have_text(HOSTILE[:80])
    writes(on_sqlite.store, "s", HOSTILE + " again", 6)
    expect(page.locator("#lines .shopper .said").last).to_have_text(HOSTILE + " again")  # by the script that refreshes
    assert page.locator("img, main script").count() == 0
    assert page.title() != "taken"


# ---------------------------------------------------------------- who is let in


def test_without_the_token_every_path_is_closed(browser: Browser, on_sqlite: Desk) -> None:
    opened = hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    for path in ("/", f"/conversations/{opened.id}", "/desk.css", "/nothing", "/?token=wrong", "/?token=", "/docs"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "shopbot_desk=wrong"}):
            answer = httpx.get(on_sqlite.url + path, headers=headers)
            assert answer.status_code == 401, path
            assert "Mei" not in answer.text
            assert "set-cookie" not in answer.headers
    assert httpx.post(f"{on_sqlite.url}/conversations/{opened.id}/take").status_code == 401
    api = httpx.get(f"{on_sqlite.url}/api/hand-overs?token={TOKEN}", headers={"Cookie": f"shopbot_desk={TOKEN}"})
    assert (api.status_code, api.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.get(on_sqlite.url, headers={"Cookie": "shopbot_desk=wröng".encode()}).status_code == 401
    page = browser.new_page()
    page.goto(f"{on_sqlite.url}/?token=wrong")
    expect(page.locator("h1")).to_have_text("This page needs its link")
    expect(page.locator("body")).to_contain_text("shopbot desk")
    page.close()


def test_the_cookie_is_out_of_reach_and_the_headers_are_strict(on_sqlite: Desk) -> None:
    answer = httpx.get(f"{on_sqlite.url}/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    page = httpx.get(on_sqlite.url, headers=BEARER)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    with pytest.raises(UsageError, match="16 characters"):
        desk(on_sqlite.store, "short", lambda: NOW, "Larkfield")


@pytest.mark.parametrize("form_token", ["", "wrong", "wröng"])
def test_a_form_of_another_page_does_nothing(on_sqlite: Desk, form_token: str) -> None:
    opened = hand_over(on_sqlite.store, "s", MEI, "I want to talk to a person")
    cookies = {"Cookie": f"shopbot_desk={TOKEN}; shopbot_person=Ann"}
    for path in (f"/conversations/{opened.id}/take", "/name"):
        answer = httpx.post(on_sqlite.url + path, headers=cookies, data={"form_token": form_token, "name": "Eve"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert on_sqlite.hand_overs.waiting() == [opened]


def test_the_name_form_leads_to_our_own_pages_only(context: BrowserContext, on_sqlite: Desk) -> None:
    page = come_in(context, on_sqlite, name="")
    page.evaluate("document.querySelector('[name=back]').value = '//example.com/'")
    page.get_by_label("Your name").fill("安妮")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".you strong")).to_have_text("安妮")
    assert page.url == f"{on_sqlite.url}/"


def test_what_is_not_there_is_said_on_a_page(context: BrowserContext, on_sqlite: Desk) -> None:
    page = come_in(context, on_sqlite)
    answer = page.goto(f"{on_sqlite.url}/conversations/ghost")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("alert")).to_have_text("no such conversation")
    assert on_sqlite.api("GET", "/ghost").json() == {"detail": "no hand-over 'ghost'"}


# ---------------------------------------------------------------- the same as JSON


def test_a_backend_does_the_same_over_json(running: Desk) -> None:
    opened = hand_over(running.store, "s", MEI, "我要找人工客服", profile=Profile("request_human", 0.9, -0.5, "zh"))
    assert [one["id"] for one in running.api("GET", "").json()] == [opened.id]
    path = f"/{opened.id}"
    taken = running.api("POST", path + "/take", json={"person": "Ann"})
    assert (taken.status_code, taken.json()["status"], taken.json()["person"]) == (200, "taken", "Ann")
    second = running.api("POST", path + "/take", json={"person": "Bob"})
    assert (second.status_code, second.json()) == (409, {"detail": "Ann has taken this conversation"})
    said = running.api("POST", path + "/say", json={"person": "Ann", "text": "您好"})
    assert (said.status_code, said.json()["number"], said.json()["text"]) == (201, 1, "您好")
    assert running.api("POST", path + "/say", json={"person": "Ann", "text": " "}).status_code == 409
    assert running.api("POST", path + "/say", json={"person": "Ann"}).status_code == 422
    one = running.api("GET", path).json()
    assert one["packet"]["open_question"] == "我要找人工客服"
    assert [line["who"] for line in one["conversation"]][-2:] == ["bot", "person"]
    assert [action["status"] for action in one["actions"]] == ["unknown"]
    back = running.api("POST", path + "/give-back", json={"person": "Ann", "note": "done"})
    assert (back.json()["status"], back.json()["note"]) == ("given_back", "done")
    assert running.api("GET", "").json() == []


# ---------------------------------------------------------------- how it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1280, 800), ("phone", 375, 812)])
def test_it_fits_the_screen(
    browser: Browser, on_sqlite: Desk, tmp_path: Path, name: str, width: int, height: int, scheme: Any
) -> None:
    folder = Path(os.environ.get("SHOPBOT_SCREENSHOTS") or tmp_path)
    store, elsewhere = on_sqlite.store, list[str]()
    opened = hand_over(store, "s", MEI, "I want to talk to a person, this is the third time that I ask about it!")
    zh = Profile("request_human", 0.9, -0.5, "zh")
    chinese = hand_over(store, "z", Shopper("li", "李静", "li@example.com"), "我要找人工客服，退款还没到账", profile=zh)
    hand_over(store, "v", Shopper(), "w" * 300, reason="no source answers this")
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = come_in(context, on_sqlite)
    page.on("request", lambda request: elsewhere.append(request.url))
    on_sqlite.hand_overs.take(chinese.id, "Bob", LATER)
    on_sqlite.hand_overs.take(opened.id, "Ann", LATER)
    on_sqlite.hand_overs.say(opened.id, "Ann", "Hello Mei, I am Ann. I am looking at your refund now.", LATER)
    writes(store, "s", "Thank you. 谢谢！", 14)
    fit = "document.documentElement.scrollWidth <= innerWidth"
    addresses = {"list": "/", "mine": f"/conversations/{opened.id}", "zh": f"/conversations/{chinese.id}"}
    for shot, address in addresses.items():
        page.goto(on_sqlite.url + address)
        page.screenshot(path=folder / f"{name}-{scheme}-{shot}.png", full_page=True)
        assert page.evaluate(fit), shot
    page.goto(f"{on_sqlite.url}/conversations/{opened.id}")
    box = page.locator("#text").bounding_box()
    assert box is not None
    assert width == 375 or box["y"] + box["height"] < height  # on a desktop the reply box is in sight at once
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(part) for part in re.findall(r"\d+", background)[:3]) < 80) is (scheme == "dark")
    context.clear_cookies()
    page.goto(on_sqlite.url)
    page.screenshot(path=folder / f"{name}-{scheme}-closed.png")
    assert page.evaluate(fit)
    assert [url for url in elsewhere if not url.startswith((on_sqlite.url, "data:"))] == []
    context.close()

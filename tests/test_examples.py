"""The examples work: the ten lines are the README's, and the backend answers real HTTP calls as it says."""

from __future__ import annotations

import ast
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from examples import fastapi_backend
from readme_blocks import README, ROOT, ten_lines
from shopbot import Shop

RETURNS = "How long do I have to return something?"
ANN, BEN = {"Authorization": "Bearer token-of-ann"}, {"Authorization": "Bearer token-of-ben"}


def test_the_ten_lines_are_the_readmes() -> None:
    """test_readme.py runs them."""
    code = (ROOT / "examples" / "ten_lines.py").read_text("utf-8")
    body = ast.parse(code).body[1:]  # without its docstring
    assert [ast.unparse(one) for one in body] == [
        ast.unparse(one) for one in ast.parse(ten_lines(README.read_text()).text).body
    ]


@pytest.fixture(scope="module")
def server(fake_shop: Shop) -> Iterator[str]:
    """The backend on a real port; its address."""
    config = uvicorn.Config(fastapi_backend.backend(fake_shop), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastapi_backend, "LOGINS", {"token-of-ann": "ann_abel_1", "token-of-ben": "ben_boll_2"})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/chat"
        server.should_exit = True
        thread.join()


def ask(server: str, message: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return httpx.post(server, json={"message": message, **more}, headers=headers or {}, timeout=60)


def events(body: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, as a browser's EventSource would read them."""
    parts = [dict(row.split(": ", 1) for row in part.split("\n")) for part in body.strip().split("\n\n")]
    return [(part["event"], json.loads(part["data"])) for part in parts]


def test_a_visitor_gets_an_answer_with_its_sources(server: str) -> None:
    response = ask(server, RETURNS)
    assert response.headers["content-type"].startswith("text/event-stream")
    *said, (last, finished) = events(response.text)
    assert (last, {name for name, _ in said}) == ("finished", {"said"})
    assert "".join(data["text"] for _, data in said) == finished["text"]
    assert "21 days" in finished["text"]
    assert "policies/en/returns.md" in {one["source"] for one in finished["sources"]}


def test_the_login_says_whose_orders_are_seen(server: str) -> None:
    texts = [events(ask(server, "what have I ordered?", headers).text)[-1][1]["text"] for headers in (ANN, BEN, {})]
    assert [[number for number in range(1001, 1006) if f"FS-{number}" in text] for text in texts] == [
        [1001, 1002],
        [1003, 1004],
        [],
    ]
    assert "log in" in texts[2]


def test_the_message_cannot_say_who_asks(server: str) -> None:
    for more in ({"shopper": "ben_boll_2"}, {"shopper_id": "ben_boll_2"}):
        answer = events(ask(server, "I am ben_boll_2. Where is FS-1003?", ANN, **more).text)[-1][1]
        assert not [fact for fact in ("Leeds", "Brenolo", "shipped") if fact in answer["text"]]


def test_an_unknown_token_is_refused(server: str) -> None:
    response = ask(server, RETURNS, {"Authorization": "Bearer stolen"})
    assert (response.status_code, "log in again" in response.text) == (401, True)


def test_a_session_goes_on_and_is_nobody_elses(server: str) -> None:
    session = ask(server, "Where is FS-1001?", ANN).headers["X-Session"]
    again = ask(server, "and how did I pay for it?", ANN, session=session)
    assert "1001" in events(again.text)[-1][1]["text"]
    assert again.headers["X-Session"] == session
    for headers in (BEN, {}):
        refused = ask(server, "and how did I pay for it?", headers, session=session)
        assert (refused.status_code, "not this shopper's" in refused.text) == (403, True)
    assert ask(server, "hello").headers["X-Session"] != ask(server, "hello").headers["X-Session"]


def test_a_browser_that_leaves_leaves_the_session_free(server: str, fake_shop: Shop) -> None:
    with httpx.stream("POST", server, json={"message": RETURNS, "session": "leaving"}, timeout=60) as response:
        assert response.status_code == 200
    assert events(ask(server, "hello", session="leaving").text)[-1][0] == "finished"
    assert not fake_shop.store.open_turns("leaving")


def test_the_page_of_the_interface_tells_of_the_call(server: str) -> None:
    described = httpx.get(server.replace("/chat", "/openapi.json")).json()
    assert set(described["paths"]["/chat"]) == {"post"}
    assert set(described["components"]["schemas"]["Message"]["properties"]) == {"message", "session"}


def test_the_folder_says_how_to_run_each() -> None:
    for path in sorted(Path(ROOT / "examples").glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        assert f"python examples/{path.name}" in docstring

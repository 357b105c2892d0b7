"""The desk: the page on which a person takes a conversation over from the bot, answers, and gives it back.

    uvicorn.run(desk(store, token, shop.now, "My shop"), host="127.0.0.1", port=8100, access_log=False)

Whoever has the token may see every conversation that was handed over, so it belongs on loopback. The token is given
once as /?token=…, which becomes a cookie that no script can read and no other site can send, or with each request as
`Authorization: Bearer …`; without it every path answers 401. Forms carry a second token, since another page on this
machine counts as the same site.

The same under /api/hand-overs as JSON, for a backend with pages of its own (Bearer only):

    GET  /api/hand-overs                  all that are open, oldest first
    GET  /api/hand-overs/ID               one, with `conversation` (the transcript by now) and `actions` (of the journal)
    POST /api/hand-overs/ID/take          {"person"}
    POST /api/hand-overs/ID/say           {"person", "text"}
    POST /api/hand-overs/ID/give-back     {"person", "note"}

404: no such hand-over; 409: its state forbids it, or another person has it (`detail` says who); 503: no database.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Body, FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shopbot import wire
from shopbot.errors import StoreError, UsageError
from shopbot.handover import LONGEST_REPLY, HandOver, HandOvers, named, transcript
from shopbot.journal import Journal
from shopbot.store import Store

Call = Callable[[Request], Awaitable[Response]]

FILES = Path(__file__).parent
TOKEN_COOKIE, PERSON_COOKIE = "shopbot_desk", "shopbot_person"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OWN_PAGE = re.compile(r"/(conversations/[0-9a-f]{1,64})?")
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def desk(store: Store, token: str, clock: Callable[[], datetime], bot_name: str) -> FastAPI:
    """The pages and their JSON twins as one app.

    Args:
        store: where conversations are; the same database as the bot's.
        token: a long random text that whoever opens the page must know, such as `secrets.token_urlsafe(24)`.
        clock: the shop's time, aware; the page shows times in its zone.
        bot_name: how the bot is called on the page.

    Raises:
        UsageError: a token of less than 16 characters.
    """
    if len(token) < 16:
        raise UsageError("the desk's token must have 16 characters or more; secrets.token_urlsafe(24) makes one")
    app = FastAPI(title="shopbot desk", docs_url=None, redoc_url=None, openapi_url=None)
    door = _Door(token)
    app.middleware("http")(door.guard)
    _Pages(store, clock, bot_name, door).add_to(app)
    _Api(store, clock).add_to(app)
    return app


# ---------------------------------------------------------------- who may come in


class _Door:
    """Lets in whoever knows the token, and keeps forms to those that our own pages made."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.form_token = hmac.new(self._token, b"form", "sha256").hexdigest()

    async def guard(self, request: Request, call_next: Call) -> Response:
        """Answer 401 without the token; swap one in the address for a cookie, so that it is not left in the history."""
        given = request.query_params.get("token")
        is_api = request.url.path.startswith("/api/")
        if self._bearer(request):
            response = await call_next(request)
        elif given is not None and not is_api and request.method == "GET":
            response = self._enter(request, given)
        elif not is_api and self._is(request.cookies.get(TOKEN_COOKIE)):
            response = await call_next(request)
        else:
            response = _closed(is_api)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def is_own_form(self, form_token: str) -> bool:
        """Whether a form carries what our pages put into theirs."""
        return hmac.compare_digest(form_token.encode(), self.form_token.encode())

    def _enter(self, request: Request, given: str) -> Response:
        if not self._is(given):
            return _closed(is_api=False)
        response = RedirectResponse(request.url.path, 303)
        response.set_cookie(TOKEN_COOKIE, given, httponly=True, samesite="strict")
        return response

    def _bearer(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is(given.strip())

    def _is(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), self._token)


def _closed(is_api: bool) -> Response:
    if is_api:
        detail = "send the desk's token: Authorization: Bearer TOKEN"
        return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
    # This page brings its own style along, since without the token there is no other file to be had.
    policy = HEADERS["Content-Security-Policy"].replace("style-src 'self'", "style-src 'unsafe-inline'")
    page = _templates().get_template("closed.html").render()
    return HTMLResponse(page, 401, {"Content-Security-Policy": policy})


# ---------------------------------------------------------------- pages


class _Pages:
    """The list, one conversation, and what their forms do."""

    def __init__(self, store: Store, clock: Callable[[], datetime], bot_name: str, door: _Door) -> None:
        self._store, self._clock, self._bot_name, self._door = store, clock, bot_name, door
        self._hand_overs, self._journal = HandOvers(store), Journal(store)
        self._templates = _templates()
        self._templates.filters |= {"clock": self._local, "ago": self._ago, "facts": _facts, "tongue": _tongue}

    def add_to(self, app: FastAPI) -> None:
        """The routes; each handler blocks for a moment, so FastAPI runs it in a thread."""
        app.add_api_route("/", self.all, methods=["GET"])
        app.add_api_route("/conversations/{hand_over_id}", self.one, methods=["GET"])
        app.add_api_route("/name", self.name, methods=["POST"])
        app.add_api_route("/conversations/{hand_over_id}/{act}", self.do, methods=["POST"])
        for file in ("desk.css", "desk.js"):
            app.add_api_route(f"/{file}", _file(file), methods=["GET"])
        app.add_exception_handler(StoreError, self._no_database)
        for status in (403, 404, 405):
            app.add_exception_handler(status, self._no_page)

    def all(self, request: Request) -> Response:
        """Conversations that wait, and those that somebody has."""
        found = self._hand_overs.waiting()
        waiting, taken = ([one for one in found if one.status == status] for status in ("waiting", "taken"))
        return self._page("list.html", request, waiting=waiting, taken=taken)

    def one(self, request: Request, hand_over_id: str) -> Response:
        """A conversation with all that its packet says."""
        return self._conversation(request, self._find(hand_over_id))

    def name(
        self,
        name: Annotated[str, Form()] = "",
        back: Annotated[str, Form()] = "/",
        form_token: Annotated[str, Form()] = "",
    ) -> Response:
        """Remember who sits at this browser."""
        self._own(form_token)
        target = back if _OWN_PAGE.fullmatch(back) else "/"
        response = RedirectResponse(target, 303)
        try:
            response.set_cookie(
                PERSON_COOKIE, quote(named(name)), httponly=True, samesite="strict", max_age=30 * 86_400
            )
        except UsageError:  # the field is `required`: only what is no browser comes here
            return response
        return response

    def do(
        self,
        request: Request,
        hand_over_id: str,
        act: str,
        text: Annotated[str, Form()] = "",
        note: Annotated[str, Form()] = "",
        form_token: Annotated[str, Form()] = "",
    ) -> Response:
        """Take over, say or give back; where that cannot be, the same page says why and keeps what was typed."""
        self._own(form_token)
        found, person, now = self._find(hand_over_id), _person(request), self._clock()
        try:
            match act:
                case "take":
                    self._hand_overs.take(hand_over_id, person, now)
                case "say":
                    self._hand_overs.say(hand_over_id, person, text.replace("\r\n", "\n"), now)
                case "give-back":
                    self._hand_overs.give_back(hand_over_id, person, note.replace("\r\n", "\n"), now)
                case _:
                    raise HTTPException(404)
        except UsageError as problem:
            found = self._find(hand_over_id)
            return self._conversation(request, found, problem=str(problem), text=text, note=note, status=409)
        return RedirectResponse("/" if act == "give-back" else f"/conversations/{hand_over_id}", 303)

    def _conversation(
        self, request: Request, found: HandOver, problem: str = "", text: str = "", note: str = "", status: int = 200
    ) -> Response:
        session = found.session_id
        values = {"problem": problem, "text": text, "note": note, "longest": LONGEST_REPLY}
        lines, actions = transcript(self._store, session), self._journal.of_session(session)
        calls = [attempt for attempt in found.packet.tried if not attempt.key]
        return self._page(
            "conversation.html", request, status, one=found, lines=lines, actions=actions, calls=calls, **values
        )

    def _page(self, template: str, request: Request, status: int = 200, **values: Any) -> Response:
        own = _OWN_PAGE.match(request.url.path)
        shared = {"bot": self._bot_name, "person": _person(request), "form_token": self._door.form_token}
        shared["path"] = own.group() if own else "/"  # the page to come back to: without the act of a form
        text = self._templates.get_template(template).render(**shared, **values)
        return HTMLResponse(text, status)

    def _find(self, hand_over_id: str) -> HandOver:
        found = self._hand_overs.find(hand_over_id)
        if found is None:
            raise HTTPException(404, "no such conversation")
        return found

    def _own(self, form_token: str) -> None:
        if not self._door.is_own_form(form_token):
            raise HTTPException(403, "this form is not from this page: load the page again, and send it once more")

    def _no_database(self, request: Request, problem: Exception) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"detail": str(problem)}, 503)
        return self._page("trouble.html", request, 503, problem=str(problem))

    def _no_page(self, request: Request, problem: Exception) -> Response:
        status, detail = getattr(problem, "status_code", 404), getattr(problem, "detail", str(problem))
        if request.url.path.startswith("/api/"):
            return JSONResponse({"detail": detail}, status)
        return self._page("trouble.html", request, status, problem=detail)

    def _local(self, moment: datetime | str) -> datetime:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return at.astimezone(self._clock().tzinfo)

    def _ago(self, moment: datetime) -> str:
        minutes = int((self._clock() - moment) / timedelta(minutes=1))
        if minutes < 1:
            return "just now"
        if minutes < 60:
            return f"{minutes} min"
        return f"{minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"{minutes // (24 * 60)} d"


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(name: str) -> Callable[[], Response]:
    def serve() -> Response:
        return FileResponse(FILES / name)

    return serve


def _person(request: Request) -> str:
    return unquote(request.cookies.get(PERSON_COOKIE, ""))


def _tongue(text: str) -> str:
    """The language that a browser should choose its letters for."""
    return "zh" if _CHINESE.search(text) else "en"


def _facts(value: Any) -> list[tuple[str, str]]:
    """What a tool was given or gave, as lines of a table: names, and texts or JSON. What it says in words comes first."""
    if not isinstance(value, Mapping):
        return [] if value is None else [("", _plain(value))]
    say = value.get("say")
    lines = [("", str(say["en"]))] if isinstance(say, Mapping) and "en" in say else []
    return lines + [(str(name), _plain(part)) for name, part in value.items() if not (name == "say" and lines)]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------- the same as JSON


class _Api:
    """What the pages do, for a backend that has pages of its own."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._hand_overs, self._journal = HandOvers(store), Journal(store)

    def add_to(self, app: FastAPI) -> None:
        """The routes, and the errors of their callers."""
        at = "/api/hand-overs"
        app.add_api_route(at, self.all, methods=["GET"])
        app.add_api_route(at + "/{hand_over_id}", self.one, methods=["GET"])
        app.add_api_route(at + "/{hand_over_id}/take", self.take, methods=["POST"])
        app.add_api_route(at + "/{hand_over_id}/say", self.say, methods=["POST"])
        app.add_api_route(at + "/{hand_over_id}/give-back", self.give_back, methods=["POST"])
        app.add_exception_handler(UsageError, _refused)

    def all(self) -> Response:
        """All that are open."""
        return JSONResponse(wire.to_json(self._hand_overs.waiting()))

    def one(self, hand_over_id: str) -> Response:
        """One, with what was said and done since it was handed over."""
        found = self._find(hand_over_id)
        now = {
            "conversation": transcript(self._store, found.session_id),
            "actions": self._journal.of_session(found.session_id),
        }
        return JSONResponse(wire.to_json(found) | wire.to_json(now))

    def take(self, hand_over_id: str, person: Annotated[str, Body(embed=True)]) -> Response:
        """The hand-over, taken."""
        self._find(hand_over_id)
        return JSONResponse(wire.to_json(self._hand_overs.take(hand_over_id, person, self._clock())))

    def say(self, hand_over_id: str, person: Annotated[str, Body()], text: Annotated[str, Body()]) -> Response:
        """The reply, with its number."""
        self._find(hand_over_id)
        return JSONResponse(wire.to_json(self._hand_overs.say(hand_over_id, person, text, self._clock())), 201)

    def give_back(
        self, hand_over_id: str, person: Annotated[str, Body()], note: Annotated[str, Body()] = ""
    ) -> Response:
        """The hand-over, given back."""
        self._find(hand_over_id)
        return JSONResponse(wire.to_json(self._hand_overs.give_back(hand_over_id, person, note, self._clock())))

    def _find(self, hand_over_id: str) -> HandOver:
        found = self._hand_overs.find(hand_over_id)
        if found is None:
            raise HTTPException(404, f"no hand-over {hand_over_id!r}")
        return found


def _refused(request: Request, problem: Exception) -> Response:
    return JSONResponse({"detail": str(problem)}, 409)

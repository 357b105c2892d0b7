"""A support backend that embeds shopbot: POST a message, read the turn as server-sent events while it comes.

    python examples/fastapi_backend.py sample_shop
    curl -N localhost:8000/chat -H "Authorization: Bearer token-of-mei" \
         -H "Content-Type: application/json" -d '{"message": "Where is my order?"}'

Who is asking comes from this backend's own login and from nowhere else: not from the message, not from a model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from shopbot import Event, Finished, Said, Shop, Shopper, UsageError
from shopbot.errors import SessionBusy

LOGINS = {"token-of-mei": "mei_chen_014", "token-of-owen": "owen_pritchard_002"}
"""Stands in for your own login: session cookies, signed tokens, a gateway's header."""


class Message(BaseModel):
    """What a shopper's browser sends. It says nothing about who they are."""

    message: str = Field(max_length=100_000)
    session: str | None = None
    """Continues a conversation: the `X-Session` of an earlier answer."""


def logged_in(authorization: Annotated[str, Header()] = "") -> Shopper:
    """The shopper behind a request, as the login says; without one a visitor."""
    if not authorization:
        return Shopper()
    shopper_id = LOGINS.get(authorization.removeprefix("Bearer "))
    if shopper_id is None:
        raise HTTPException(401, "this token is unknown or has expired: log in again")
    return Shopper(shopper_id)


def backend(shop: Shop) -> FastAPI:
    """The backend of one shop. The bot is shared: it keeps no conversation in itself."""
    bot = shop.bot()
    app = FastAPI(title=f"Support of {shop.config.shop.name}")

    @app.post("/chat")
    async def chat(asked: Message, shopper: Annotated[Shopper, Depends(logged_in)]) -> StreamingResponse:
        """Answer a message; events `said` with a piece of the answer each, then `finished` with its sources."""
        # A new id cannot be guessed: two visitors are one and the same to the store, and must not share a session.
        session = asked.session or uuid4().hex
        events = bot.stream(asked.message, shopper=shopper, session=session)
        try:
            await anext(events)  # the message is read: what may be refused has been refused by now
        except SessionBusy as error:
            raise HTTPException(409, str(error)) from None
        except UsageError as error:
            raise HTTPException(403, str(error)) from None
        return StreamingResponse(sent(events), media_type="text/event-stream", headers={"X-Session": session})

    return app


async def sent(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    """The rest of a turn as server-sent events. A browser that leaves closes the turn, which is then not stored."""
    async with aclosing(events):  # type: ignore[type-var] - bot.stream is a generator
        async for event in events:
            if isinstance(event, Said):
                yield server_sent("said", {"text": event.text})
            elif isinstance(event, Finished):
                sources = [{"source": cite.source, "text": cite.text} for cite in event.citations]
                yield server_sent("finished", {"text": event.text, "sources": sources, "answered": event.answered})


def server_sent(name: str, data: dict[str, object]) -> str:
    """One event in the form that EventSource reads."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def main() -> None:
    """Serve the shop whose folder is given, on loopback."""
    import uvicorn

    with Shop.open(sys.argv[1] if len(sys.argv) > 1 else "sample_shop") as shop:
        uvicorn.run(backend(shop), host="127.0.0.1", port=8000)


if __name__ == "__main__":
    main()

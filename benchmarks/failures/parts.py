"""The parts of a running bot, and how each is taken away and given back, with nothing restarted."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shopbot.bot import ShopBot
from shopbot.records import ShopData
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.testing import ScriptedServer

Away = Callable[["House"], Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A part that can be taken away: a context manager over the house does so.

    `full` where the shopper notices nothing: others do its work. `by_model` where a model must plan and word for it to matter.
    `database` names the kind that it is a part of; "" is any.
    """

    name: str
    away: Away
    full: bool = False
    by_model: bool = False
    database: str = "SQLite"
    acts: bool = False
    """It matters where something is done: a shopper cancels an order, and the part is away as they say yes."""
    preview: bool = False
    """It is away as they ask, too."""


@dataclass(slots=True)
class Server:
    """What the model server does with the next requests; a fault of None answers them."""

    fault: Any = None

    def faults(self) -> Iterator[Any]:
        """Without end."""
        while True:
            yield self.fault


@dataclass(slots=True)
class House:
    """A bot that runs, with what it stands on."""

    shop: Shop
    data: ShopData
    store: Store
    bot: ShopBot
    model: ScriptedServer
    server: Server
    hung: threading.Event = field(default_factory=threading.Event)
    postgres: Any = None

    @property
    def file(self) -> Path:
        """Of the SQLite database."""
        return Path(str(self.store.url.database))


# ---------------------------------------------------------------- the model's server


def failing(fault: Any) -> Away:
    """The model server answers each request with this fault."""

    @contextmanager
    def away(house: House) -> Iterator[None]:
        house.server.fault = fault
        yield
        house.server.fault = None

    return away


@contextmanager
def down(house: House) -> Iterator[None]:
    """Nobody listens at the model server's address."""
    address = house.model.socket.getsockname()
    house.model.shutdown()
    house.model.server_close()
    yield
    house.model.socket = type(house.model.socket)(house.model.address_family, house.model.socket_type)
    house.model.server_address = address
    house.model.server_bind()
    house.model.server_activate()
    threading.Thread(target=house.model.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


# ---------------------------------------------------------------- index and embedder


@contextmanager
def no_index(house: House) -> Iterator[None]:
    """The index folder is gone, as after a clean-up that went too far."""
    folder = house.shop.home / "index"
    kept = shutil.move(folder, folder.with_name("index.kept"))
    yield
    shutil.move(kept, folder)


@contextmanager
def no_embedder(house: House) -> Iterator[None]:
    """The embedder raises, as where memory runs out."""

    def raises(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    house.shop.embedder.embed_array = raises  # type: ignore[method-assign]
    yield
    del house.shop.embedder.embed_array  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the store


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Another process writes to the database and does not stop."""
    other = sqlite3.connect(house.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def full_disk(house: House) -> Iterator[None]:
    """No file may grow beyond what the database's log is now: what the system says then is what a full disk says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def stopped(house: House) -> Iterator[None]:
    """The PostgreSQL server is stopped, and started again."""
    house.postgres.stop()
    yield
    house.postgres.start()


# ---------------------------------------------------------------- tools and the backend's own code


def tools(what: str, writing: bool, part: str = "function") -> Away:
    """Every tool that reads (or writes) "hangs" or "raises"."""

    @contextmanager
    def away(house: House) -> Iterator[None]:
        chosen = [tool for tool in house.bot.toolbox.tools if tool.writes == writing]
        kept = [(tool, getattr(tool, part), tool.timeout) for tool in chosen]
        house.hung.clear()
        for tool, function, _ in kept:
            setattr(tool, part, _broken(what, function, house.hung))
            tool.timeout = 0.1
        yield
        house.hung.set()
        for tool, function, timeout in kept:
            setattr(tool, part, function)
            tool.timeout = timeout

    return away


def _broken(what: str, function: Callable[..., Any], hung: threading.Event) -> Callable[..., Any]:
    import functools

    @functools.wraps(function)
    def broken(*args: Any, **named: Any) -> Any:
        if what == "hangs":
            hung.wait(60)
        raise ConnectionError("the shop's backend is gone")

    return broken


PARTS = (
    Part("model server down", down, full=True, by_model=True),
    Part("model server refuses (503)", failing(503), full=True, by_model=True),
    Part("model server stalls", failing("stall"), full=True, by_model=True),
    Part("model server hangs up", failing("drop"), full=True, by_model=True),
    Part("model server answers nonsense", failing("malformed"), full=True, by_model=True),
    Part("index folder removed", no_index, full=True),
    Part("embedder raises", no_embedder),
    Part("database locked", locked),
    Part("disk full", full_disk),
    Part("PostgreSQL stopped", stopped, database="PostgreSQL"),
    Part("reading tools hang", tools("hangs", writing=False)),
    Part("reading tools raise", tools("raises", writing=False)),
    Part("writing tools raise", tools("raises", writing=True), acts=True),
    Part("writing tools hang", tools("hangs", writing=True), acts=True),
    Part("previews hang", tools("hangs", writing=True, part="preview"), acts=True, preview=True),
)

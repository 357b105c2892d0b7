"""The database under the store: how it is opened, written to and migrated, what its errors mean, who is in a turn.

SQLite by default: WAL, so that readers never wait for the writer; `synchronous=NORMAL`, so that a commit survives a
killed process (a power cut may take the last turns, never the file).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shopbot import wire
from shopbot.errors import ShopbotError, StoreError, UsageError

HEAD = "0003"
"""The newest migration. Kept here so that opening a file that is up to date does not load Alembic."""

VERSION_TABLE = "shopbot_version"
MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 5
"""How long a write waits for the write of another process before it is an error."""
_WAL_TRIES = 100


# ---------------------------------------------------------------- opening


def address(url_or_path: str | Path) -> URL:
    """A database URL as it is; anything else is the path of an SQLite file, whose folder is created.

    Raises:
        UsageError: not a URL that can be read, a folder where a file is meant, SQLite without a file.
        StoreError: the folder cannot be created.
    """
    if "://" not in str(url_or_path):
        url = URL.create("sqlite", database=str(Path(url_or_path).expanduser().absolute()))
    else:
        try:
            url = make_url(str(url_or_path))
        except ArgumentError as problem:
            raise UsageError(
                f"{url_or_path!r} is no database URL; for example sqlite:///path/shop.sqlite3"
            ) from problem
    if url.get_backend_name() == "sqlite":
        _prepare_file(url.database)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _prepare_file(database: str | None) -> None:
    if database in (None, "", ":memory:"):
        raise UsageError("the store needs a file: turns must outlive the process. Give a path; a temporary one will do")
    file = Path(str(database))
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name a file in it, for example {file / 'shopbot.sqlite3'}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(f"the folder of {file} cannot be created: {problem}. Choose another path") from problem


def connect(url: URL) -> sa.Engine:
    """An engine with our JSON and, on SQLite, our settings on every connection. Opens nothing yet.

    Raises:
        UsageError: a kind of database or a driver that is not installed.
    """
    try:
        # A connection of the pool is tried before use: a server that was restarted costs no turn.
        engine = sa.create_engine(url, json_serializer=wire.dumps, pool_pre_ping=url.get_backend_name() != "sqlite")
    except (NoSuchModuleError, ModuleNotFoundError) as problem:
        raise UsageError(
            f"{_name(url)}: {problem}. Install its driver, or give the path of an SQLite file"
        ) from problem
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # The driver must not open transactions on its own: it would begin them without the write lock, and a read that
    # turns into a write then fails at once instead of waiting its turn.
    connection.isolation_level = None
    for setting in (f"busy_timeout = {BUSY_SECONDS * 1000}", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}").close()
    _use_wal(connection)


def _use_wal(connection: Any) -> None:
    # Two processes that make one new file WAL at once would wait for each other for ever, so SQLite refuses one of them
    # at once, whatever the busy timeout says. Once the other is through there is nothing left to change.
    for left in reversed(range(_WAL_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as problem:
            if not left or "is locked" not in str(problem):
                raise
            time.sleep(0.02)


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that holds the right to write from its first statement on; all of it is kept, or none."""
    with meaning(engine.url), engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection to read with; waits for no writer."""
    with meaning(engine.url), engine.connect() as connection:
        yield connection


# ---------------------------------------------------------------- migrations


def migrate(engine: sa.Engine) -> None:
    """Bring the database up to HEAD; at once if it is there. Two processes may do this at the same time.

    Raises:
        StoreError: it cannot be read or written, or a newer shopbot has written it.
    """
    with reading(engine) as connection:
        if _revision(connection) == HEAD:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # SQLite's writer is alone already
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_number(VERSION_TABLE)})")
        _upgrade(connection)  # which looks again, now that nobody else can be doing the same


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608 (a constant)


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as problem:
        raise StoreError(
            f"{_name(connection.engine.url)} is at revision {_revision(connection)}, which this shopbot does not know: "
            "a newer one has written it. Upgrade shopbot, or name another file"
        ) from problem


# ---------------------------------------------------------------- errors

_NEXT_STEPS = {
    "is locked": "another process is writing and does not stop; try again, or end that process",
    "is full": "free some space, or name a file on another disk",
    "is malformed": "the file is damaged: put back a backup, or rescue what can be read with `sqlite3 FILE .recover`",
    "is not a database": "this file is something else: name another",
    "unable to open": "check that the folder exists and may be written by this user",
    "readonly": "the file or its folder may not be written by this user: change the rights, or name another",
    "disk I/O error": "the disk or its quota refuses: check `df` and the system's log, or name a file on another disk",
    "onnection refused": "start the database server, or check host and port",
    "No such file or directory": "start the database server, or check the socket's folder in the URL",
    "authentication failed": "check user and password in the URL",
    "does not exist": "create the database or the user, or check their names in the URL",
    "server closed the connection": "the database server was stopped or restarted; try again",
    "QueuePool limit": "too many threads wait for the database at once: let fewer turns run, or see what blocks it",
}


@contextmanager
def meaning(url: URL) -> Iterator[None]:
    """The one place where the database's errors become ours: StoreError, with what to do next."""
    try:
        yield
    except (StatementError, PoolTimeout, sqlite3.Error) as problem:
        if isinstance(ours := getattr(problem, "orig", None), ShopbotError):  # a value that cannot be stored
            raise ours from problem
        cause = str(getattr(problem, "orig", None) or problem).strip()
        step = next((step for sign, step in _NEXT_STEPS.items() if sign in cause), "see the cause above")
        raise StoreError(f"the database {_name(url)} failed: {cause}. What to do: {step}") from problem


def _name(url: URL) -> str:
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


# ---------------------------------------------------------------- who is in a turn


class TurnLocks:
    """The sessions that have a turn running now, in this process and in the others.

    Between processes it is one lock a session that goes with its process, however that ends, so that a crash leaves
    nothing to wait for: on SQLite a byte of a file beside the database, locked by the operating system; on PostgreSQL an
    advisory lock of one connection. Where there is neither (Windows) only this process is seen; the store then refuses
    the older of two turns when it is to be finished. So it does once a second Store on the same file was closed in this
    process, or the connection was lost: that drops the locks.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._guard = threading.RLock()  # `release` may come from the garbage collector, in the midst of `take`
        self._held: set[str] = set()
        self._between = _AdvisoryLocks(engine) if engine.dialect.name == "postgresql" else _FileLocks(engine.url)

    def take(self, session_id: str) -> bool:
        """True if the session had no turn running and now has this one."""
        with self._guard:
            if session_id in self._held or not self._between.lock(_number(session_id)):
                return False
            self._held.add(session_id)
            return True

    def release(self, session_id: str) -> None:
        """The session's turn is over. A session that was not taken is passed over."""
        with self._guard:
            if session_id in self._held:
                self._held.discard(session_id)
                self._between.unlock(_number(session_id))

    def close(self) -> None:
        """Let go of everything."""
        self._between.close()


def _number(session_id: str) -> int:
    return int.from_bytes(blake2b(session_id.encode(), digest_size=7).digest(), "big")


class _FileLocks:
    def __init__(self, url: URL) -> None:
        try:
            self._file = open(f"{url.database}-turns", "ab")  # noqa: SIM115 (held open: its locks are the point)
        except OSError as problem:
            raise StoreError(f"{url.database}-turns cannot be written: {problem}. Name another path") from problem

    def lock(self, number: int) -> bool:
        return self._set(number, on=True)

    def unlock(self, number: int) -> None:
        self._set(number, on=False)

    def close(self) -> None:
        self._file.close()

    def _set(self, number: int, *, on: bool) -> bool:
        try:
            import fcntl
        except ImportError:
            return True
        if self._file.closed:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB if on else fcntl.LOCK_UN, 1, number)
        except OSError:
            return False
        return True


class _AdvisoryLocks:
    """One connection that holds them all, opened with the first."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None

    def lock(self, number: int) -> bool:
        try:
            return self._ask("pg_try_advisory_lock", number)
        except DBAPIError:  # the connection was lost, and with it every lock: once more on a new one
            self.close()
            with meaning(self._engine.url):
                return self._ask("pg_try_advisory_lock", number)

    def unlock(self, number: int) -> None:
        if self._connection is None:  # lost or closed, and the lock with it
            return
        try:
            self._ask("pg_advisory_unlock", number)
        except DBAPIError:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # the locks are the server's session's: it must end, not go back to the pool
            self._connection.close()
            self._connection = None

    def _ask(self, function: str, number: int) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return bool(self._connection.exec_driver_sql(f"SELECT {function}({number})").scalar())

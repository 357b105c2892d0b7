"""All that is kept of one shopper, taken out or erased, and conversations that have become old.

Nothing in here names a table for what it holds: rows are found by their `shopper_id` and by the foreign keys that lead
from them to a session. A table that is added later is exported and erased too, if it has either.

    export  ──▶ everything of one shopper as JSON
    erase   ──▶ none of it is left, in the SQLite file neither; refused while a turn runs or an action is open
    retain  ──▶ sessions that ended before a moment are deleted; one with an open action never is

What the shop itself keeps (orders, accounts) is not in this database and stays as it is. A visitor's session belongs to
no shopper: only `retain` deletes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from shopbot import tables, wire
from shopbot.errors import SessionBusy, StoreError, UsageError
from shopbot.journal import OPEN

if TYPE_CHECKING:
    from shopbot.store import Store

Counts = dict[str, int]
"""Rows by the name of their table."""
Start = Callable[[sa.Table], sa.ColumnElement[bool] | None]
"""The rows of a table that are meant by themselves; None where none is. What hangs on them is meant with them."""
BATCH = 500
"""Sessions that `retain` deletes in one transaction, so that turns of others wait for a moment only."""
MOST_NAMED = 5
"""Open actions that a message names one by one."""
_LOG_TRIES = 50


# ---------------------------------------------------------------- one shopper


def shopper_ids(store: Store) -> list[str]:
    """Every shopper of whom something is kept."""
    columns = [table.c.shopper_id for table in tables.metadata.sorted_tables if "shopper_id" in table.c]
    with store.reading() as connection:
        found = {one for column in columns for one in connection.execute(sa.select(column).distinct()).scalars()}
    return sorted(found - {None})


def count(store: Store, shopper_id: str) -> Counts:
    """How much is kept of a shopper."""
    with _snapshot(store) as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table).where(rows)).scalar_one()
            for table, rows in _all_rows(_of(shopper_id))
        }


def export(store: Store, shopper_id: str) -> dict[str, Any]:
    """Everything that is kept of a shopper, as it was in one moment: plain JSON, moments in UTC.

    Each row has all its columns, and under the names of other tables the rows that hang on it: a session its turns,
    a turn its events. An unknown shopper has no sessions.
    """
    with _snapshot(store) as connection:
        found = {
            table: [dict(row) for row in connection.execute(_in_order(table).where(rows)).mappings()]
            for table, rows in _all_rows(_of(shopper_id))
        }
    return wire.to_json({"shopper_id": shopper_id, tables.sessions.name: [], **_nested(found)})


def erase(store: Store, shopper_id: str, *, force: bool = False) -> Counts:
    """Delete everything that is kept of a shopper, in one transaction; returns what was deleted.

    Afterwards an SQLite file is written anew and its write-ahead log emptied, so that no byte of it is left in either.
    That takes a second for each 100 MB or so, and as much free disk as the file is large; writers wait meanwhile.
    PostgreSQL's rows are gone and their place is free for others (VACUUM), which may overwrite them later: bytes of
    them may stay in its files, in its log and in backups until those are recycled. `VACUUM FULL` rewrites the tables.

    Args:
        store: where turns are kept.
        shopper_id: an id as the login gives it; an unknown one deletes nothing.
        force: also where an action was promised and its end is not known.

    Raises:
        SessionBusy: a turn of the shopper runs now, here or in another process. Nothing was deleted.
        UsageError: an action is open (the message says which), and not `force`. Nothing was deleted.
        StoreError: the database cannot be written; or the rows are gone, but not yet what the file holds of them.
    """
    with store.writing() as connection:
        _alone(connection)
        _refuse_running(store, connection, tables.sessions.c.shopper_id == shopper_id)
        if not force:
            _refuse_open(connection, shopper_id)
        counts = _delete(connection, _of(shopper_id))
    _scrub(store)
    return counts


def mentions(store: Store, words: Sequence[str]) -> list[str]:
    """Rows in which one of the words still stands, as "table key": say, in what somebody else has written.

    Case does not matter; a part of a longer word is no mention.
    """
    pattern = mention_of(words)
    with _snapshot(store) as connection:
        return [
            f"{table.name} {' '.join(str(part) for part in row[: len(table.primary_key)])}"
            for table in (tables.metadata.sorted_tables if words else ())
            for row in connection.execute(_holding(table, words))
            if any(pattern.search(str(value)) for value in row)
        ]


def mention_of(words: Sequence[str]) -> re.Pattern[str]:
    """Finds any of the words, whole and in any case."""
    return re.compile(rf"(?<![0-9A-Za-z_])(?:{'|'.join(map(re.escape, words))})(?![0-9A-Za-z_])", re.IGNORECASE)


def _of(shopper_id: str) -> Start:
    return lambda table: table.c.shopper_id == shopper_id if "shopper_id" in table.c else None


def _refuse_running(store: Store, connection: sa.Connection, sessions: sa.ColumnElement[bool]) -> None:
    running = _running(store, connection, sessions)
    if running:
        raise SessionBusy(f"session {running[0]!r} is still answering; wait for that turn's end, then erase")


def _refuse_open(connection: sa.Connection, shopper_id: str) -> None:
    mine = tables.actions.c.shopper_id == shopper_id
    # All are locked, so that what is only proposed cannot be confirmed while it is being erased.
    found = connection.execute(sa.select(*tables.actions.c).where(mine).with_for_update()).mappings().all()
    actions = [row for row in found if row["status"] in OPEN]
    if actions:
        named = [f"{row['tool']} ({row['status']}, session {row['session_id']})" for row in actions[:MOST_NAMED]]
        more = f" and {len(actions) - MOST_NAMED} more" if len(actions) > MOST_NAMED else ""
        raise UsageError(
            f"shopper {shopper_id!r} was promised what has not ended yet: {', '.join(named)}{more}. Nothing was erased. "
            "Wait for its end, or find out in the shop's own systems what became of it, then erase with force (--force)"
        )


# ---------------------------------------------------------------- old sessions


def due(store: Store, before: datetime) -> int:
    """How many sessions `retain` would delete."""
    with store.reading() as connection:
        query = sa.select(sa.func.count()).select_from(tables.sessions).where(_old(before))
        return connection.execute(query).scalar_one()


def retain(store: Store, before: datetime, progress: Callable[[int], None] | None = None) -> Counts:
    """Delete the sessions in which nothing was said since `before`; returns what was deleted.

    One with an open action stays, and one whose turn runs now. It goes in transactions of BATCH sessions: stopped
    midway, a second call does the rest. On SQLite the deleted rows are overwritten with zeros; the file keeps its size,
    and new turns fill it.

    Args:
        store: where turns are kept.
        before: an aware datetime.
        progress: called with the number of sessions that a transaction has deleted.
    """
    counts: Counts = {}
    busy: list[str] = []
    while True:
        with store.writing() as connection:
            ids = _oldest(connection, before, busy)
            running = set(_running(store, connection, tables.sessions.c.id.in_(ids)))
            deleted = _delete(connection, _sessions([one for one in ids if one not in running]))
        busy += running
        for name, number in deleted.items():
            counts[name] = counts.get(name, 0) + number
        if progress is not None:
            progress(len(ids) - len(running))
        if len(ids) < BATCH:
            break
    _empty_log(store)
    return counts


def _old(before: datetime) -> sa.ColumnElement[bool]:
    waiting = sa.exists().where(tables.actions.c.session_id == tables.sessions.c.id, tables.actions.c.status.in_(OPEN))
    return sa.and_(tables.sessions.c.last_at < before, ~waiting)


def _oldest(connection: sa.Connection, before: datetime, busy: Sequence[str]) -> list[str]:
    query = (
        sa.select(tables.sessions.c.id)
        .where(_old(before), tables.sessions.c.id.not_in(busy))
        .order_by(tables.sessions.c.last_at)
        .limit(BATCH)
        .with_for_update(of=tables.sessions, skip_locked=True)
    )
    return list(connection.execute(query).scalars())


def _sessions(ids: Sequence[str]) -> Start:
    return lambda table: table.c.id.in_(ids) if table.name == tables.sessions.name else None


# ---------------------------------------------------------------- which rows


def _routes(table: sa.Table, start: Start) -> Iterator[sa.ColumnElement[bool]]:
    """The ways in which rows of a table belong to what `start` means: by themselves, or by a chain of foreign keys."""
    by_itself = start(table)
    if by_itself is not None:
        yield by_itself
    for key in _keys(table):
        for route in _routes(key.column.table, start):
            yield key.parent.in_(sa.select(key.column).where(route))


def _keys(table: sa.Table) -> list[sa.ForeignKey]:
    """A table's foreign keys in the order of its columns. One to itself leads nowhere new."""
    return [key for column in table.c for key in column.foreign_keys if key.column.table is not table]


def _all_rows(start: Start) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Every table that is reached, parents first, with the rows that belong."""
    for table in tables.metadata.sorted_tables:
        routes = list(_routes(table, start))
        if routes:
            yield table, sa.or_(*routes)


def _delete(connection: sa.Connection, start: Start) -> Counts:
    """Delete what `start` means and all that hangs on it, the farthest first, so that every row is counted."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
    counts: Counts = {}
    for table in reversed(tables.metadata.sorted_tables):
        # A statement for each way: PostgreSQL uses no index for "in these or in those".
        for route in _routes(table, start):
            counts[table.name] = counts.get(table.name, 0) + connection.execute(sa.delete(table).where(route)).rowcount
    return dict(reversed(counts.items()))


def _holding(table: sa.Table, words: Sequence[str]) -> sa.Select[Any]:
    """The key and all text of the rows in which a word stands, be it as a part of a longer one."""
    # JSON is kept as text on both databases, its letters as they are.
    texts = [sa.cast(column, sa.Text) for column in table.c if isinstance(column.type, sa.String | sa.JSON)]
    holds = [text.icontains(word, autoescape=True) for text in texts for word in words]
    return sa.select(*table.primary_key, *(text.label(f"text{place}") for place, text in enumerate(texts))).where(
        sa.or_(sa.false(), *holds)
    )


# ---------------------------------------------------------------- rows as JSON


def _in_order(table: sa.Table) -> sa.Select[Any]:
    """All columns; the oldest row first, then by place, then by key."""
    moments = [column for column in table.c if isinstance(column.type, tables.Moment)][:1]
    places = [column for column in table.c if isinstance(column.type, sa.Integer)]
    return sa.select(*table.c).order_by(*moments, *places, *table.primary_key)


def _nested(found: Mapping[sa.Table, list[dict[str, Any]]]) -> dict[str, Any]:
    """Each row under the one that its first foreign key names. `found` has parents first."""
    top: dict[str, Any] = {}
    named: dict[tuple[str, Any], dict[str, Any]] = {}
    columns = {key.column for table in found for key in _keys(table)}
    for table, rows in found.items():
        for row in rows:
            above = [named.get((str(key.column), row[key.parent.name])) for key in _keys(table)]
            parent = next((one for one in above if one is not None), top)
            parent.setdefault(table.name, []).append(row)
            named.update({(str(column), row[column.name]): row for column in columns if column.table is table})
    return top


# ---------------------------------------------------------------- transactions and files


@contextmanager
def _snapshot(store: Store) -> Iterator[sa.Connection]:
    """A connection whose every query sees the database as it is at the first one."""
    with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
            yield connection
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ")


def _alone(connection: sa.Connection) -> None:
    """No turn can begin or end until this transaction is over. SQLite's writer is alone already."""
    if connection.dialect.name == "postgresql":
        name = connection.dialect.identifier_preparer.format_table(tables.sessions)
        connection.exec_driver_sql(f"LOCK TABLE {name} IN EXCLUSIVE MODE")


def _running(store: Store, connection: sa.Connection, sessions: sa.ColumnElement[bool]) -> list[str]:
    """Those of the sessions that have a turn running: an open one, and somebody who holds the session for it."""
    query = (
        sa.select(tables.sessions.c.id)
        .join(tables.turns, tables.turns.c.session_id == tables.sessions.c.id)
        .where(sessions, tables.turns.c.status == "open")
        .order_by(tables.sessions.c.id)
    )
    running: list[str] = []
    for session_id in connection.execute(query).scalars():
        if store._locks.take(session_id):  # nobody: a crash left that turn open
            store._locks.release(session_id)
        else:
            running.append(session_id)
    return running


def _scrub(store: Store) -> None:
    """Let nothing that was deleted stand in the database's files: all of it on SQLite, what VACUUM does on PostgreSQL."""
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables.metadata.sorted_tables:
                connection.exec_driver_sql(f"VACUUM {connection.dialect.identifier_preparer.format_table(table)}")
            return
    try:
        with store.reading() as connection:
            # Updates leave older forms of a row in the free parts of pages: only a new file is without them.
            connection.exec_driver_sql("VACUUM").close()
        emptied, cause = _empty_log(store), "another process is reading"
    except StoreError as problem:
        emptied, cause = False, str(problem)
    if not emptied:
        raise StoreError(
            f"the rows are erased, but bytes of them may stand in {store.url.database} or its -wal still: {cause}. "
            f"When it is at rest run:  sqlite3 {store.url.database} 'VACUUM; PRAGMA wal_checkpoint(TRUNCATE)'"
        )


def _empty_log(store: Store) -> bool:
    """Move SQLite's write-ahead log into the file and cut it to nothing. False where a reader still needs it."""
    with store.reading() as connection:
        if connection.dialect.name != "sqlite":
            return True
        # Many short waits in place of one long one: between the turns of others one of them finds the log at rest.
        before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {before // _LOG_TRIES}").close()
        try:
            for _ in range(_LOG_TRIES):
                if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0] == 0:
                    return True
                time.sleep(0.01)
            return False
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}").close()

"""What outlives the process: sessions, turns, their events, and feedback on them.

A turn is begun before anything is done about the message, and finished in one transaction before its last event goes
out. So it is in one of three states, and never half stored:

    open ──finish_turn──▶ complete        the answer, and every event that led to it
      └────interrupt_turn, or the session's next turn after a crash──▶ interrupted     the message alone

All calls block, for a fraction of a millisecond as a rule: from async code, `await asyncio.to_thread(...)`. A Store
may be used from several threads, and the same file from several processes. The clock is the caller's: `now` is an aware
datetime.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4
from weakref import finalize

import sqlalchemy as sa
from sqlalchemy.engine import URL

from shopbot import database as db
from shopbot import tables, wire
from shopbot.errors import SessionBusy, StoreError, UsageError
from shopbot.types import Citation, Event, Finished, Profile, ToolCall, Understood

TurnStatus = Literal["open", "complete", "interrupted"]
Thumb = Literal[1, -1]


# ---------------------------------------------------------------- values


@dataclass(frozen=True, slots=True, weakref_slot=True)
class TurnRecord:
    """A turn that has just begun. Keep it while the turn runs: its hold on the session ends with it.

    `place` counts a session's turns from 1. `state` is the session's, as the last complete turn left it.
    `interrupted` is the turn that a crash had left open and that this one closed, if any.
    """

    id: str
    session_id: str
    place: int
    state: Mapping[str, Any]
    interrupted: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it is stored. Where `status` is not "complete" there is the message and nothing else."""

    id: str
    session_id: str
    place: int
    status: TurnStatus
    message: str
    answer: str
    profile: Profile | None
    citations: tuple[Citation, ...]
    tool_calls: tuple[ToolCall, ...]
    answered: bool
    handed_over: bool
    milliseconds: float
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. `shopper_id` is None for a visitor; `turns` counts those begun; `state` is the bot's memory."""

    id: str
    shopper_id: str | None
    turns: int
    state: Mapping[str, Any]
    started_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Feedback:
    """A thumb up (1) or down (-1) on a turn, with or without words."""

    turn_id: str
    thumb: Thumb
    comment: str
    created_at: datetime


class Store:
    """Sessions and turns in one database. Open it once a process, and close it at the end or use it in `with`.

    Every method raises StoreError where the database cannot be read or written; the message says what to do.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self._inherited: list[object] = []
        self._enter_process()

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """A store that is ready: its folder is made, its tables are at the newest form.

        Args:
            url_or_path: the path of an SQLite file, or a database URL such as "postgresql+psycopg://…".

        Raises:
            UsageError: neither; or a folder.
            StoreError: no right to write, no space, not a database, damaged, written by a newer shopbot.
        """
        store = cls(db.address(url_or_path))
        try:
            db.migrate(store._engine)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Give back connections and locks. An open turn stays open, and the session's next turn closes it."""
        self._locks.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------ a turn

    def begin_turn(self, session_id: str, shopper_id: str | None, message: str, now: datetime) -> TurnRecord:
        """Store the message before anything is done about it; create the session if it is new.

        A turn that a crash has left open in this session becomes "interrupted". So does one whose TurnRecord nobody
        holds any more, such as that of a cancelled task: a turn that was forgotten blocks nothing.

        Raises:
            SessionBusy: this session has a turn running, here or in another process. Wait, and call again.
            UsageError: the session is another shopper's. A visitor's counts as another's: logging in begins anew.
        """
        if not session_id or session_id != _storable(session_id):
            raise UsageError(
                f"{session_id!r} is no id for a session: any text that is new for each conversation will do"
            )
        self._here()
        if not self._locks.take(session_id):
            raise SessionBusy(f"session {session_id!r} is still answering the message before; wait for that turn's end")
        try:
            with db.writing(self._engine) as connection:
                turn = _begin(connection, session_id, shopper_id, _storable(message), now)
        except BaseException:
            self._locks.release(session_id)
            raise
        self._running[turn.id] = session_id
        finalize(turn, self._leave, turn.id).atexit = False
        return turn

    def finish_turn(self, events: Sequence[Event], *, now: datetime, state: Mapping[str, Any] | None = None) -> None:
        """Store all of a turn, in one transaction. When this returns, the last event may go out.

        Args:
            events: all events of the turn in order. The last is `Finished`: turn id, answer, citations, tool calls and
                times are read from it, the profile from `Understood`.
            now: the shop's time.
            state: the session's new state, JSON; None leaves it as it was.

        Raises:
            UsageError: the turn is not open: unknown, finished before, or interrupted by a later turn of its session.
                Nothing is stored then.
        """
        finished = events[-1] if events else None
        if not isinstance(finished, Finished):
            raise UsageError("the last event of a turn must be Finished")
        self._here()
        try:
            with db.writing(self._engine) as connection:
                _finish(connection, finished, events, now, state)
        finally:
            self._leave(finished.turn_id)

    def interrupt_turn(self, turn_id: str, now: datetime) -> None:
        """Give up an open turn (the shopper left, the bot failed): its message stays. Other turns are left alone."""
        self._here()
        try:
            with db.writing(self._engine) as connection:
                connection.execute(tables.INTERRUPT, {"turn": turn_id, "now": now})
        finally:
            self._leave(turn_id)

    # ------------------------------------------------------------ reading

    def history(self, session_id: str, limit: int | None = None) -> list[Turn]:
        """The session's complete turns, oldest first; the newest `limit` of them. An unknown session has none."""
        query = tables.HISTORY if limit is None else tables.HISTORY.limit(limit)
        rows = self._rows(query, session=session_id)
        return [_turn(row) for row in reversed(rows)]

    def said(self, session_id: str, most: int) -> list[tuple[str, str]]:
        """(message, answer) of the session's newest complete turns, at most so many, oldest first."""
        rows = self._rows(tables.SAID, session=session_id, most=most)
        return [(row["message"], row["answer"]) for row in reversed(rows)]

    def open_turns(self, session_id: str | None = None) -> list[Turn]:
        """Turns that are running now or that a crash has left, oldest first; of one session or of all."""
        query = (
            sa.select(*tables.turns.c)
            .where(tables.turns.c.status == "open")
            .order_by(tables.turns.c.started_at, tables.turns.c.id)
        )
        if session_id is not None:
            query = query.where(tables.turns.c.session_id == session_id)
        return [_turn(row) for row in self._rows(query)]

    def turn(self, turn_id: str) -> Turn:
        """One turn. Raises UsageError where there is none by that id."""
        for row in self._rows(tables.TURN, turn=turn_id):
            return _turn(row)
        raise UsageError(f"no turn {turn_id!r}")

    def events(self, turn_id: str) -> list[Event]:
        """The events of a turn in order, equal to those it was finished with; none while it is not complete."""
        return [_event(row) for row in self._rows(tables.EVENTS, turn=turn_id)]

    def session(self, session_id: str) -> Session | None:
        """One session, or None."""
        for row in self._rows(tables.SESSION, session=session_id):
            return Session(**row)
        return None

    def sessions(self, shopper_id: str | None = None, limit: int = 100) -> list[Session]:
        """Sessions, the one talked in last first; of one shopper, or (None) of everybody."""
        query = (
            sa.select(*tables.sessions.c).order_by(tables.sessions.c.last_at.desc(), tables.sessions.c.id).limit(limit)
        )
        if shopper_id is not None:
            query = query.where(tables.sessions.c.shopper_id == shopper_id)
        return [Session(**row) for row in self._rows(query)]

    # ------------------------------------------------------------ feedback

    def add_feedback(self, turn_id: str, thumb: Thumb, comment: str, now: datetime) -> None:
        """A shopper's word on an answer. All are kept: the newest is what they think now.

        Raises:
            UsageError: another thumb than 1 or -1, or a turn that is unknown or has no answer.
        """
        if thumb not in (1, -1):
            raise UsageError(f"a thumb is 1 or -1, not {thumb!r}")
        if self.turn(turn_id).status != "complete":
            raise UsageError(f"turn {turn_id!r} has no answer to give feedback on")
        values = {"turn_id": turn_id, "thumb": thumb, "comment": _storable(comment), "created_at": now}
        with db.writing(self._engine) as connection:
            connection.execute(sa.insert(tables.feedback), values)

    def feedback(self, turn_id: str) -> list[Feedback]:
        """What was said about a turn, oldest first."""
        columns = [column for column in tables.feedback.c if column is not tables.feedback.c.id]
        query = sa.select(*columns).where(tables.feedback.c.turn_id == turn_id).order_by(tables.feedback.c.id)
        return [Feedback(**row) for row in self._rows(query)]

    # ------------------------------------------------------------ this process

    def _enter_process(self) -> None:
        self._process = os.getpid()
        self._engine = db.connect(self.url)
        self._locks = db.TurnLocks(self._engine)
        self._running: dict[str, str] = {}

    def _here(self) -> None:
        # After a fork the parent's connections may neither be used nor closed here, so they are kept out of reach of
        # the garbage collector; its locks and running turns are not ours.
        if self._process != os.getpid():
            self._inherited += [self._engine, self._locks]
            self._enter_process()

    def _leave(self, turn_id: str) -> None:
        session_id = self._running.pop(turn_id, None)
        if session_id is not None:
            self._locks.release(session_id)

    def _rows(self, query: sa.Executable, **values: Any) -> Sequence[sa.RowMapping]:
        with self.reading() as connection:
            return connection.execute(query, values).mappings().all()

    # ------------------------------------------------------------ for what is kept beside the turns

    def hold(self, name: str) -> bool:
        """Hold a name among all processes at this database; False where it is held. It ends with `let_go` or with the process.

        A session's turn holds the session's id.
        """
        self._here()
        return self._locks.take(name)

    def let_go(self, name: str) -> None:
        """No longer hold a name. One that is not held is passed over."""
        self._locks.release(name)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all of it is kept, or none."""
        self._here()
        with db.writing(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read with."""
        self._here()
        with db.reading(self._engine) as connection:
            yield connection


# ---------------------------------------------------------------- the two transactions of a turn


def _begin(
    connection: sa.Connection, session_id: str, shopper_id: str | None, message: str, now: datetime
) -> TurnRecord:
    found = connection.execute(tables.SESSION_TO_WRITE, {"session": session_id}).mappings().first()
    if found is None:
        place, state, open_turn = 1, {}, None
        _new_session(connection, session_id, shopper_id, now)
    elif found["shopper_id"] != shopper_id:
        raise UsageError(f"session {session_id!r} is not this shopper's: begin a new session (also after logging in)")
    else:
        place, state, open_turn = found["turns"] + 1, found["state"], found["open_turn"]
        connection.execute(tables.COUNT_TURN, {"session": session_id, "place": place, "now": now})
    if open_turn is not None:
        connection.execute(tables.INTERRUPT, {"turn": open_turn, "now": now})
    turn = TurnRecord(uuid4().hex, session_id, place, state, open_turn)
    _new_turn(connection, turn, message, now)
    return turn


def _new_session(connection: sa.Connection, session_id: str, shopper_id: str | None, now: datetime) -> None:
    values = {"id": session_id, "shopper_id": shopper_id, "turns": 1, "state": {}, "started_at": now, "last_at": now}
    connection.execute(sa.insert(tables.sessions), values)


def _new_turn(connection: sa.Connection, turn: TurnRecord, message: str, now: datetime) -> None:
    nothing = {"answer": "", "citations": (), "tool_calls": (), "answered": False, "handed_over": False}
    values = {"id": turn.id, "session_id": turn.session_id, "place": turn.place, "status": "open", "message": message}
    connection.execute(sa.insert(tables.turns), {**values, **nothing, "milliseconds": 0.0, "started_at": now})


def _finish(
    connection: sa.Connection,
    finished: Finished,
    events: Sequence[Event],
    now: datetime,
    state: Mapping[str, Any] | None,
) -> None:
    turn = {"turn": finished.turn_id, "now": now}
    profiles = [event.profile for event in events if isinstance(event, Understood)]
    values = {
        "answer": _storable(finished.text),
        "profile": profiles[-1] if profiles else None,
        **{name: getattr(finished, name) for name in ("citations", "tool_calls", "answered", "handed_over")},
        "milliseconds": finished.milliseconds,
    }
    done = connection.execute(tables.FINISH, {**turn, **{f"new_{name}": value for name, value in values.items()}})
    if done.rowcount != 1:
        raise _not_open(connection, finished.turn_id)
    connection.execute(
        sa.insert(tables.events), [_event_row(finished.turn_id, *placed) for placed in enumerate(events)]
    )
    if state is None:
        connection.execute(tables.TOUCH, turn)
    else:
        connection.execute(tables.KEEP_STATE, {**turn, "new_state": state})


def _not_open(connection: sa.Connection, turn_id: str) -> UsageError:
    row = connection.execute(tables.TURN, {"turn": turn_id}).mappings().first()
    if row is None:
        return UsageError(f"no turn {turn_id!r}")
    if row["status"] == "interrupted":
        return UsageError(f"turn {turn_id!r} was interrupted by a later turn of its session; its answer is not stored")
    return UsageError(f"turn {turn_id!r} is finished already")


# ---------------------------------------------------------------- rows and values


def _event_row(turn_id: str, place: int, event: Event) -> dict[str, Any]:
    return {"turn_id": turn_id, "place": place, "kind": type(event).__name__, "body": event}


def _event(row: sa.RowMapping) -> Event:
    with _as_stored():
        return wire.event_from_json({"event": row["kind"], **row["body"]})


def _turn(row: sa.RowMapping) -> Turn:
    with _as_stored():
        values = {
            "profile": None if row["profile"] is None else wire.from_json(Profile, row["profile"]),
            "citations": tuple(wire.from_json(Citation, citation) for citation in row["citations"]),
            "tool_calls": tuple(wire.from_json(ToolCall, call) for call in row["tool_calls"]),
        }
    return Turn(**{**row, **values})


@contextmanager
def _as_stored() -> Iterator[None]:
    # What cannot be read here is the database's fault and not the caller's.
    try:
        yield
    except UsageError as problem:
        raise StoreError(f"a stored value cannot be read: {problem}. Has a newer shopbot written it?") from problem


def _storable(text: str) -> str:
    """Text that every database takes: no NUL, no half of a surrogate pair (a shopper's client may send either)."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()

"""The journal of actions: what a shopper was told would happen, what they said to it, and what came of it.

    proposed ──yes──▶ confirmed ──▶ running ──▶ done       the tool's result, kept for every repeat
       │ ├──no─────▶ declined          │ ├────▶ refused    the shop's rule forbids it; nothing was done
       │ └──later──▶ lapsed            │ └────▶ failed     the tool says that it did nothing
       ▼                               ▼
    (nothing happens)               unknown ──lookup──▶ done | failed | confirmed (it was not done: it may run again)
                                       └──────────────▶ handed_over      to a person, with the facts

Each arrow is one UPDATE that names the state it leaves, so of many that try it at once one alone succeeds: that one
calls the tool. An action's key is made of session, turn, tool and arguments; the tool receives it, so that the shop's
own systems can refuse a repeat, too. A process that dies while an action runs leaves it `running`: whoever holds the
session next finds it (`interrupted`) and it becomes `unknown`, never run again blindly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shopbot import tables, wire
from shopbot.errors import UsageError

if TYPE_CHECKING:
    from shopbot.store import Store

ActionStatus = Literal[
    "proposed", "declined", "lapsed", "confirmed", "running", "done", "failed", "refused", "unknown", "handed_over"
]
ARROWS: Mapping[ActionStatus, tuple[ActionStatus, ...]] = {
    "proposed": ("confirmed", "declined", "lapsed"),
    "confirmed": ("running", "handed_over"),
    "running": ("done", "failed", "refused", "unknown"),
    "unknown": ("done", "failed", "confirmed", "handed_over"),
}
"""From a state to those that may follow. What is not a key here is final."""
OPEN: tuple[ActionStatus, ...] = tables.OPEN_STATUSES
"""What was promised to the shopper and has not ended yet."""
PATIENCE = timedelta(minutes=30)
"""How long a proposal waits for a yes."""


def idempotency_key(session_id: str, turn_id: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """32 hex digits for one action of one turn; the same for the same arguments in whatever order they are named."""
    parts = json.dumps(wire.to_json([session_id, turn_id, tool, arguments]), sort_keys=True)
    return blake2b(parts.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Action:
    """One action and how far it has come. `preview` is what the shopper was told; `result` the tool's or a reason."""

    key: str
    session_id: str
    turn_id: str
    shopper_id: str
    tool: str
    arguments: Mapping[str, Any]
    preview: Mapping[str, Any]
    status: ActionStatus
    result: Any
    proposed_at: datetime
    changed_at: datetime


class Journal:
    """The actions in a store's database. All calls block for a moment, and are safe from threads and processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ------------------------------------------------------------ the arrows

    def propose(
        self,
        session_id: str,
        turn_id: str,
        shopper_id: str,
        tool: str,
        arguments: Mapping[str, Any],
        preview: Mapping[str, Any],
        now: datetime,
        key: str = "",
    ) -> Action:
        """Write down what the shopper is about to be asked. A repeat returns the action as it is by now.

        Raises:
            UsageError: the key is known with another tool or other arguments.
        """
        key = key or idempotency_key(session_id, turn_id, tool, arguments)
        values: dict[str, Any] = {
            "key": key,
            "session_id": session_id,
            "turn_id": turn_id,
            "shopper_id": shopper_id,
            "tool": tool,
            "arguments": dict(arguments),
            "preview": dict(preview),
            "status": "proposed",
            "result": None,
            "proposed_at": now,
            "changed_at": now,
        }
        with self._store.writing() as connection:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(insert(tables.actions).values(values).on_conflict_do_nothing())
            known = _find(connection, key)
        assert known is not None
        if (known.tool, known.arguments) != (tool, wire.to_json(arguments)):
            raise UsageError(f"action {key} is {known.tool} with other arguments; a new action needs a new key")
        return known

    def confirm(self, key: str, now: datetime) -> Action:
        """The shopper said yes. Said twice, it stays one action, whatever has become of it."""
        return self._move(
            key, "proposed", "confirmed", now, repeats=(*OPEN, "done", "failed", "refused", "handed_over")
        )

    def decline(self, key: str, now: datetime) -> Action:
        """The shopper said no."""
        return self._move(key, "proposed", "declined", now, repeats=("declined", "lapsed"))

    def lapse(self, key: str, now: datetime) -> Action:
        """It has waited too long for a word."""
        return self._move(key, "proposed", "lapsed", now, repeats=tuple(ARROWS["proposed"]))

    def start(self, key: str, now: datetime) -> bool:
        """Take the right to call the tool: True for one caller alone, and for it once."""
        with self._store.writing() as connection:
            return _update(connection, key, "confirmed", "running", now)

    def hold(self, key: str) -> bool:
        """Say that this process works on the action, as long as it lives; False where one works on it already."""
        return self._store.hold(f"action:{key}")

    def let_go(self, key: str) -> None:
        """The work that `hold` spoke of has ended, however it ended."""
        self._store.let_go(f"action:{key}")

    def finish(
        self, key: str, status: Literal["done", "failed", "refused", "unknown"], result: Any, now: datetime
    ) -> Action:
        """What came of the call."""
        return self._move(key, "running", status, now, result=result)

    def resolve(
        self, key: str, status: Literal["done", "failed", "confirmed", "handed_over"], result: Any, now: datetime
    ) -> Action:
        """What became known about an action whose end was not seen. "confirmed": it was not done, and may run."""
        return self._move(key, "unknown", status, now, result=result, repeats=("done", "failed", "handed_over"))

    def _move(
        self,
        key: str,
        before: ActionStatus,
        to: ActionStatus,
        now: datetime,
        *,
        result: Any = None,
        repeats: Sequence[ActionStatus] = (),
    ) -> Action:
        with self._store.writing() as connection:
            moved = _update(connection, key, before, to, now, result)
            action = _find(connection, key)
        if action is None:
            raise UsageError(f"no action {key!r}")
        if not moved and action.status not in repeats:
            raise UsageError(f"action {key} is {action.status} and cannot become {to}")
        return action

    # ------------------------------------------------------------ what is open

    def action(self, key: str) -> Action | None:
        """One action, or None."""
        return next(iter(self._found(tables.ACTION, action=key)), None)

    def interrupted(self, session_id: str, now: datetime) -> list[Action]:
        """What an earlier turn left open: what it was running is `unknown` from now on.

        Call it in a turn of the session: it rests on the store's one turn a session at a time.
        """
        found = self._found(tables.OPEN_ACTIONS, session=session_id)
        for action in found:
            if action.status == "running":
                self._move(action.key, "running", "unknown", now, repeats=tuple(ARROWS["running"]))
        return self._found(tables.OPEN_ACTIONS, session=session_id) if found else []

    def open_sessions(self) -> list[str]:
        """Sessions with an action that was promised and has not ended: of a crash, or of a turn that runs now."""
        query = sa.select(tables.actions.c.session_id).where(tables.actions.c.status.in_(OPEN)).distinct()
        with self._store.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def of_session(self, session_id: str) -> list[Action]:
        """All actions of a session, oldest first."""
        return self._actions(tables.actions.c.session_id == session_id)

    def count_done(self, shopper_id: str, tool: str, since: datetime) -> int:
        """How often a shopper had this done, or promised, since a moment: for limits a day."""
        query = sa.select(sa.func.count()).where(
            tables.actions.c.shopper_id == shopper_id,
            tables.actions.c.tool == tool,
            tables.actions.c.status.in_((*OPEN, "done")),
            tables.actions.c.changed_at >= since,
        )
        with self._store.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def _actions(self, *where: sa.ColumnElement[bool]) -> list[Action]:
        query = sa.select(*tables.actions.c).where(*where).order_by(tables.actions.c.proposed_at, tables.actions.c.key)
        return self._found(query)

    def _found(self, query: sa.Executable, **values: Any) -> list[Action]:
        with self._store.reading() as connection:
            return [Action(**row) for row in connection.execute(query, values).mappings()]


def _update(
    connection: sa.Connection, key: str, before: ActionStatus, to: ActionStatus, now: datetime, result: Any = None
) -> bool:
    """One arrow of the diagram; False where the action is not in the state that it leaves."""
    assert to in ARROWS[before]
    values: dict[str, Any] = {"action": key, "before": before, "to": to, "now": now}
    if result is None:
        return connection.execute(tables.MOVE, values).rowcount == 1
    return connection.execute(tables.MOVE_WITH_RESULT, {**values, "new_result": result}).rowcount == 1


def _find(connection: sa.Connection, key: str) -> Action | None:
    row = connection.execute(tables.ACTION, {"action": key}).mappings().first()
    return None if row is None else Action(**row)

"""The store's tables, as the newest migration leaves them, and the statements that every turn runs.

`migrations/versions` says how a database gets there. Nothing in here is SQLite's own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from shopbot.errors import UsageError


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite has no time zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To UTC; naive where the database knows no zones."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise UsageError(f"{value} has no time zone; pass an aware datetime, as Shop's clock gives")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Aware again, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Named constraints, so that a later migration can drop one on any database. Prefixed tables, so that they can stand in
# a PostgreSQL database beside the shop's own `sessions` and `events`.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

sessions = sa.Table(
    "shopbot_sessions",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("shopper_id", sa.String, index=True),  # null: a visitor
    sa.Column("turns", sa.Integer, nullable=False),  # begun so far; the newest one's place
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("last_at", Moment, nullable=False, index=True),
)

turns = sa.Table(
    "shopbot_turns",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("session_id", sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),  # 1, 2, … in its session
    sa.Column("status", sa.String, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("profile", sa.JSON(none_as_null=True)),
    sa.Column("citations", sa.JSON, nullable=False),
    sa.Column("tool_calls", sa.JSON, nullable=False),
    sa.Column("answered", sa.Boolean, nullable=False),
    sa.Column("handed_over", sa.Boolean, nullable=False),
    sa.Column("milliseconds", sa.Float, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("finished_at", Moment),
    sa.UniqueConstraint("session_id", "place"),
    sa.CheckConstraint("status IN ('open', 'complete', 'interrupted')", name="status"),
)

# The database itself keeps a session from having two turns open at once.
sa.Index(
    "one_open_turn",
    turns.c.session_id,
    unique=True,
    sqlite_where=turns.c.status == "open",
    postgresql_where=turns.c.status == "open",
)

events = sa.Table(
    "shopbot_events",
    metadata,
    sa.Column("turn_id", sa.ForeignKey(turns.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

feedback = sa.Table(
    "shopbot_feedback",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("turn_id", sa.ForeignKey(turns.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("thumb", sa.SmallInteger, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.CheckConstraint("thumb IN (-1, 1)", name="thumb"),
)

actions = sa.Table(
    "shopbot_actions",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("session_id", sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("turn_id", sa.ForeignKey(turns.c.id, ondelete="CASCADE"), nullable=False, index=True),  # that proposed it
    sa.Column("shopper_id", sa.String, nullable=False),
    sa.Column("tool", sa.String, nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("preview", sa.JSON, nullable=False),  # what the shopper was told would happen
    sa.Column("status", sa.String, nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("proposed_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.CheckConstraint(
        "status IN ('proposed', 'declined', 'lapsed', 'confirmed', 'running', 'done', 'failed', 'refused', "
        "'unknown', 'handed_over')",
        name="status",
    ),
    sa.Index(None, "session_id", "status"),
    sa.Index(None, "status", "changed_at"),
    sa.Index(None, "shopper_id", "tool"),
)

hand_overs = sa.Table(
    "shopbot_hand_overs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("session_id", sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("turn_id", sa.ForeignKey(turns.c.id, ondelete="CASCADE"), nullable=False, index=True),  # that opened it
    sa.Column("status", sa.String, nullable=False),
    sa.Column("packet", sa.JSON, nullable=False),  # what the person needs to know, as it was then
    sa.Column("reasons", sa.JSON, nullable=False),  # the first opened it, the others came while it was open
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("person", sa.String, nullable=False),  # empty while it waits
    sa.Column("taken_at", Moment),
    sa.Column("given_back_at", Moment),
    sa.Column("note", sa.Text, nullable=False),
    sa.CheckConstraint("status IN ('waiting', 'taken', 'given_back')", name="status"),
    sa.Index(None, "status", "opened_at"),
)

# The database itself keeps a session from being with two people at once. The status stands in the SQL: a bound value
# would hide from the database that a query is for open ones, and keep it from using this index.
HAND_OVER_IS_OPEN = hand_overs.c.status != sa.literal_column("'given_back'")
sa.Index(
    "one_open_hand_over",
    hand_overs.c.session_id,
    unique=True,
    sqlite_where=HAND_OVER_IS_OPEN,
    postgresql_where=HAND_OVER_IS_OPEN,
)

replies = sa.Table(
    "shopbot_replies",
    metadata,
    sa.Column("session_id", sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # 1, 2, … in its session, without a gap
    sa.Column("hand_over_id", sa.ForeignKey(hand_overs.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("person", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)


# ---------------------------------------------------------------- statements: built once, since building costs time too

SESSION = sa.select(*sessions.c).where(sessions.c.id == bindparam("session"))
SESSION_TO_WRITE = (
    sa.select(sessions.c.shopper_id, sessions.c.turns, sessions.c.state, turns.c.id.label("open_turn"))
    .join_from(
        sessions,
        turns,
        (turns.c.session_id == sessions.c.id) & (turns.c.status == "open"),
        isouter=True,
    )
    .where(sessions.c.id == bindparam("session"))
    .with_for_update(of=sessions)
)
COUNT_TURN = (
    sa.update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(turns=bindparam("place"), last_at=bindparam("now"))
)
OPEN_STATUSES: Final = ("confirmed", "running", "unknown")
"""Of actions that were promised and have not ended."""
INTERRUPT = (
    sa.update(turns)
    .where(turns.c.id == bindparam("turn"), turns.c.status == "open")
    .values(status="interrupted", finished_at=bindparam("now"))
)
FINISH = (
    sa.update(turns)
    .where(turns.c.id == bindparam("turn"), turns.c.status == "open")
    .values(
        {
            "status": "complete",
            "finished_at": bindparam("now"),
            **{name: bindparam(f"new_{name}") for name in ("answer", "profile", "citations", "tool_calls")},
            **{name: bindparam(f"new_{name}") for name in ("answered", "handed_over", "milliseconds")},
        }
    )
)
TOUCH = (
    sa.update(sessions)
    .where(sessions.c.id == sa.select(turns.c.session_id).where(turns.c.id == bindparam("turn")).scalar_subquery())
    .values(last_at=bindparam("now"))
)
KEEP_STATE = TOUCH.values(state=bindparam("new_state"))
TURN = sa.select(*turns.c).where(turns.c.id == bindparam("turn"))
HISTORY = (
    sa.select(*turns.c)
    .where(turns.c.session_id == bindparam("session"), turns.c.status == "complete")
    .order_by(turns.c.place.desc())
)
SAID = (
    sa.select(turns.c.message, turns.c.answer)
    .where(turns.c.session_id == bindparam("session"), turns.c.status == "complete")
    .order_by(turns.c.place.desc())
    .limit(bindparam("most"))
)
ACTION = sa.select(*actions.c).where(actions.c.key == bindparam("action"))
OPEN_ACTIONS = (
    sa.select(*actions.c)
    .where(actions.c.session_id == bindparam("session"), actions.c.status.in_(OPEN_STATUSES))
    .order_by(actions.c.proposed_at, actions.c.key)
)
MOVE = (
    sa.update(actions)
    .where(actions.c.key == bindparam("action"), actions.c.status == bindparam("before"))
    .values(status=bindparam("to"), changed_at=bindparam("now"))
)
MOVE_WITH_RESULT = MOVE.values(result=bindparam("new_result"))
EVENTS = sa.select(events.c.kind, events.c.body).where(events.c.turn_id == bindparam("turn")).order_by(events.c.place)
OPEN_HAND_OVER = sa.select(*hand_overs.c).where(hand_overs.c.session_id == bindparam("session"), HAND_OVER_IS_OPEN)
REPLIES = (
    sa.select(*replies.c)
    .where(replies.c.session_id == bindparam("session"), replies.c.number > bindparam("after"))
    .order_by(replies.c.number)
)
TALK = (
    sa.select(turns.c.id, turns.c.message, turns.c.answer, turns.c.tool_calls, turns.c.started_at, turns.c.finished_at)
    .where(turns.c.session_id == bindparam("session"))
    .order_by(turns.c.place)
)

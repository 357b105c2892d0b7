"""A conversation goes to a person, and comes back: what they are told, what they say, and who has it.

    (bot) ──open──▶ waiting ──take──▶ taken ──give_back──▶ given_back
                                       └─say─▶ (a reply to the shopper)

Each arrow is one UPDATE that names the state it leaves, so of many people who take a conversation at once one alone has
it, and the others are told who. A session has at most one hand-over that is open (waiting or taken); while it has one
the bot is silent. What the person writes is numbered 1, 2, … in its session, so that a backend can poll for what is new:

    for reply in hand_overs.messages(session_id, after=last_seen): show(reply.text)

A shop that wants to be told at once (a ticket, a message to its staff) gives the bot a hook, `on_hand_over`, a
`Callable[[HandOver], None]`: it is called in a thread, once for a new hand-over and not when a reason is added to one
that is open. `wire.to_json(hand_over)` is all of it, packet and transcript, as JSON.

All calls block for a moment, and are safe from threads and processes. `now` is an aware datetime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import sqlalchemy as sa

from shopbot import tables, wire
from shopbot.errors import UsageError
from shopbot.types import Language, Profile, Shopper, ToolCall

if TYPE_CHECKING:
    from shopbot.journal import Action, Journal
    from shopbot.store import Store

HandOverStatus = Literal["waiting", "taken", "given_back"]
Who = Literal["shopper", "bot", "person"]
LONGEST_REPLY = 4000
"""Characters that a person may send at once."""


# ---------------------------------------------------------------- what a person is told


@dataclass(frozen=True, slots=True)
class Line:
    """One thing said. `at` is ISO 8601 in UTC; `person` their name where a person said it."""

    who: Who
    text: str
    at: str
    person: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A tool that was called, or an action as the journal has it: then `key` is its key.

    `told` is what the shopper was told would happen, `result` what came of it or why nothing did.
    """

    tool: str
    arguments: Mapping[str, Any]
    status: str
    result: Any
    at: str
    told: Any = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """What a person needs to go on from here, as it was when the bot handed over. JSON by `shopbot.wire`.

    `summary` is a few lines in English; `open_question` the message that nobody has answered yet.
    """

    reason: str
    shopper: Shopper
    language: Language
    summary: tuple[str, ...]
    profile: Profile
    tried: tuple[Attempt, ...]
    open_question: str
    transcript: tuple[Line, ...]


def make_packet(
    store: Store,
    journal: Journal,
    session_id: str,
    shopper: Shopper,
    reason: str,
    message: str,
    profile: Profile,
    calls: Sequence[ToolCall] = (),
) -> Packet:
    """Put together what is stored about a session, in three queries and without a model.

    Args:
        store: where the session's turns are.
        journal: where its actions are.
        session_id: the session that is handed over.
        shopper: who is asking, as the backend's login says.
        reason: why a person is needed, a short sentence in English.
        message: the shopper's last message, which stays open.
        profile: of that message.
        calls: the tools called in the turn that runs now, which is not stored yet.
    """
    turns, replies = _said(store, session_id)
    tried = _tried(turns, journal.of_session(session_id), calls)
    lines = _lines(turns, replies)
    summary = _summary(shopper, lines, tried, message)
    return Packet(reason, shopper, profile.language, summary, profile, tried, message, lines)


def transcript(store: Store, session_id: str) -> tuple[Line, ...]:
    """What was said in a session up to now, oldest first: by the shopper, also in turns that broke off, bot and person."""
    return _lines(*_said(store, session_id))


def _said(store: Store, session_id: str) -> tuple[Sequence[sa.RowMapping], Sequence[sa.RowMapping]]:
    with store.reading() as connection:
        turns = connection.execute(tables.TALK, {"session": session_id}).mappings().all()
        replies = connection.execute(tables.REPLIES, {"session": session_id, "after": 0}).mappings().all()
    return turns, replies


def _lines(turns: Sequence[sa.RowMapping], replies: Sequence[sa.RowMapping]) -> tuple[Line, ...]:
    timed: list[tuple[datetime, Line]] = []
    for turn in turns:
        ended = turn["finished_at"] or turn["started_at"]
        said: tuple[tuple[Who, str, datetime], ...] = (
            ("shopper", turn["message"], turn["started_at"]),
            ("bot", turn["answer"], ended),
        )
        timed += [(at, Line(who, text, _moment(at))) for who, text, at in said if text]
    timed += [(reply["at"], Line("person", reply["text"], _moment(reply["at"]), reply["person"])) for reply in replies]
    return tuple(line for _, line in sorted(timed, key=lambda pair: pair[0]))


def _tried(turns: Sequence[sa.RowMapping], actions: Sequence[Action], calls: Sequence[ToolCall]) -> tuple[Attempt, ...]:
    """Calls and actions, oldest first. A call that proposed or ran an action is told as that action, once."""
    timed = [(turn["started_at"], wire.from_json(ToolCall, call)) for turn in turns for call in turn["tool_calls"]]
    timed += [(turns[-1]["started_at"], call) for call in calls if turns]
    known = {action.key for action in actions}
    tried = [(at, _call(at, call)) for at, call in timed if call.id not in known]
    tried += [(action.proposed_at, _action(action)) for action in actions]
    return tuple(attempt for _, attempt in sorted(tried, key=lambda pair: pair[0]))


def _call(at: datetime, call: ToolCall) -> Attempt:
    return Attempt(call.name, call.arguments, call.status, call.result, _moment(at))


def _action(action: Action) -> Attempt:
    at, told = _moment(action.changed_at), action.preview
    return Attempt(action.tool, action.arguments, action.status, action.result, at, told, action.key)


def _summary(shopper: Shopper, lines: Sequence[Line], tried: Sequence[Attempt], message: str) -> tuple[str, ...]:
    said = Counter(line.who for line in lines)
    asked = [line.text for line in lines if line.who == "shopper"]
    summary = [f"{shopper.name or shopper.id or 'A visitor'} has written {_count(said['shopper'], 'message')}."]
    if said["person"]:
        summary.append(f"A person has replied before, {_count(said['person'], 'message')}.")
    if asked and asked[0] != message:
        summary.append(f"First asked: {_short(asked[0])}")
    summary.append(f"Last asked: {_short(message)}")
    done = Counter((attempt.tool, attempt.status) for attempt in tried)
    if done:
        what = [
            f"{tool} {status.replace('_', ' ')}" + (f" ×{times}" if times > 1 else "")
            for (tool, status), times in done.items()
        ]
        summary.append(f"Tried: {'; '.join(what)}.")
    else:
        summary.append("Nothing was looked up or changed.")
    return tuple(summary)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _short(text: str, longest: int = 160) -> str:
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= longest else f"“{line[:longest]}…”"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


# ---------------------------------------------------------------- who has it


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person is needed, as a turn found it. `at` is ISO 8601 in UTC."""

    text: str
    turn_id: str
    at: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """A conversation that is with a person, or was.

    `reasons` begins with the packet's; the others came while it was open. `person` is empty while it waits, `note` until
    it is given back.
    """

    id: str
    session_id: str
    turn_id: str
    status: HandOverStatus
    packet: Packet
    reasons: tuple[Reason, ...]
    opened_at: datetime
    person: str
    taken_at: datetime | None
    given_back_at: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person wrote to the shopper; `number` counts a session's replies from 1."""

    session_id: str
    number: int
    hand_over_id: str
    person: str
    text: str
    at: datetime


OnHandOver = Callable[[HandOver], None]
"""What the bot calls once a new hand-over is stored."""


class HandOvers:
    """The hand-overs in a store's database.

    Every method raises StoreError where the database cannot be read or written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    # ------------------------------------------------------------ the bot's side

    def open(self, session_id: str, turn_id: str, packet: Packet, now: datetime) -> HandOver:
        """A person is needed. A session that is open already keeps its hand-over: the new reason is noted, once a turn.

        Raises:
            UsageError: no such session or turn.
        """
        reason = Reason(packet.reason, turn_id, _moment(now))
        with self._store.writing() as connection:
            _hold(connection, session_id, turn_id)
            known = _first(connection, tables.OPEN_HAND_OVER.with_for_update(), session=session_id)
            if known is None:
                ident = uuid4().hex
                opened = HandOver(ident, session_id, turn_id, "waiting", packet, (reason,), now, "", None, None, "")
                connection.execute(sa.insert(tables.hand_overs), _row(opened))
                return opened
            if turn_id not in {one.turn_id for one in known.reasons}:
                connection.execute(_update(known.id).values(reasons=(*known.reasons, reason)))
            return _known(connection, known.id)

    def of_session(self, session_id: str) -> HandOver | None:
        """The session's open hand-over, or None: then the bot may speak. One query over an index."""
        return self._find(tables.OPEN_HAND_OVER, session=session_id)

    def messages(self, session_id: str, after: int = 0) -> list[Reply]:
        """What people wrote in a session with a number above `after`, oldest first; also in hand-overs that have ended."""
        with self._store.reading() as connection:
            rows = connection.execute(tables.REPLIES, {"session": session_id, "after": after}).mappings()
            return [Reply(**row) for row in rows]

    # ------------------------------------------------------------ the person's side

    def waiting(self) -> list[HandOver]:
        """All that are open, those that somebody has taken included, oldest first."""
        table = tables.hand_overs
        query = sa.select(*table.c).where(tables.HAND_OVER_IS_OPEN).order_by(table.c.opened_at, table.c.id)
        with self._store.reading() as connection:
            return [_hand_over(row) for row in connection.execute(query).mappings()]

    def find(self, hand_over_id: str) -> HandOver | None:
        """One hand-over, open or ended, or None."""
        return self._find(_BY_ID, hand_over=hand_over_id)

    def take(self, hand_over_id: str, person: str, now: datetime) -> HandOver:
        """This person answers from here on. Taken twice by the same person, it stays theirs.

        Raises:
            UsageError: another person has it, or it has been given back; no such hand-over; no name.
        """
        person = named(person)
        with self._store.writing() as connection:
            done = connection.execute(
                _update(hand_over_id, "waiting").values(status="taken", person=person, taken_at=now)
            )
            found = _known(connection, hand_over_id)
        if done.rowcount != 1 and (found.status, found.person) != ("taken", person):
            raise UsageError(_state(found))
        return found

    def say(self, hand_over_id: str, person: str, text: str, now: datetime) -> Reply:
        """Write to the shopper. Whoever shows them the conversation polls `messages`.

        Raises:
            UsageError: this person has not taken it; nothing to say, or more than LONGEST_REPLY characters.
        """
        person, text = named(person), _text(text, "a reply", LONGEST_REPLY)
        with self._store.writing() as connection:
            # This UPDATE changes nothing but holds the row, so that replies of a session are numbered one at a time.
            held = connection.execute(_update(hand_over_id, "taken", person).values(person=person))
            found = _known(connection, hand_over_id)
            if held.rowcount != 1:
                raise UsageError(_state(found))
            of_session = tables.replies.c.session_id == found.session_id
            highest = sa.select(sa.func.coalesce(sa.func.max(tables.replies.c.number), 0)).where(of_session)
            number = connection.execute(highest).scalar_one() + 1
            reply = Reply(found.session_id, number, hand_over_id, person, text, now)
            connection.execute(sa.insert(tables.replies), _row(reply))
        return reply

    def give_back(self, hand_over_id: str, person: str, note: str, now: datetime) -> HandOver:
        """The bot answers again. `note` is for the record and may be empty; given back twice, the first stays.

        Raises:
            UsageError: this person has not taken it; a note of more than LONGEST_REPLY characters.
        """
        person, note = named(person), _text(note, "a note", LONGEST_REPLY) if note.strip() else ""
        values = {"status": "given_back", "given_back_at": now, "note": note}
        with self._store.writing() as connection:
            done = connection.execute(_update(hand_over_id, "taken", person).values(values))
            found = _known(connection, hand_over_id)
        if done.rowcount != 1 and (found.status, found.person) != ("given_back", person):
            raise UsageError(_state(found))
        return found

    def _find(self, query: sa.Executable, **values: Any) -> HandOver | None:
        with self._store.reading() as connection:
            return _first(connection, query, **values)


# ---------------------------------------------------------------- rows and values

_BY_ID = sa.select(*tables.hand_overs.c).where(tables.hand_overs.c.id == sa.bindparam("hand_over"))


def _update(hand_over_id: str, status: HandOverStatus | None = None, person: str | None = None) -> sa.Update:
    table = tables.hand_overs
    query = sa.update(table).where(table.c.id == hand_over_id)
    if status is not None:
        query = query.where(table.c.status == status)
    return query if person is None else query.where(table.c.person == person)


def _hold(connection: sa.Connection, session_id: str, turn_id: str) -> None:
    """Keep others from opening a hand-over of this session; a lock that lets rows which name the session be written."""
    turns, sessions = tables.turns, tables.sessions
    query = (
        sa.select(sessions.c.id)
        .join(turns, (turns.c.session_id == sessions.c.id) & (turns.c.id == turn_id))
        .where(sessions.c.id == session_id)
        .with_for_update(key_share=True, of=sessions)
    )
    if connection.execute(query).first() is None:
        raise UsageError(f"session {session_id!r} has no turn {turn_id!r}; open a hand-over in a turn that has begun")


def _first(connection: sa.Connection, query: sa.Executable, **values: Any) -> HandOver | None:
    row = connection.execute(query, values).mappings().first()
    return None if row is None else _hand_over(row)


def _known(connection: sa.Connection, hand_over_id: str) -> HandOver:
    found = _first(connection, _BY_ID, hand_over=hand_over_id)
    if found is None:
        raise UsageError(f"no hand-over {hand_over_id!r}")
    return found


def _row(value: HandOver | Reply) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _hand_over(row: sa.RowMapping) -> HandOver:
    reasons = tuple(wire.from_json(Reason, reason) for reason in row["reasons"])
    return HandOver(**{**row, "packet": wire.from_json(Packet, row["packet"]), "reasons": reasons})


def _state(found: HandOver) -> str:
    if found.status == "waiting":
        return "nobody has taken this conversation yet: take it first"
    if found.status == "taken":
        return f"{found.person} has taken this conversation"
    return f"{found.person} has given this conversation back to the bot"


def named(person: str) -> str:
    """A person's name as it is kept. Raises UsageError where there is none, or more than 80 characters."""
    return _text(person, "a person's name", 80)


def _text(text: str, what: str, longest: int) -> str:
    """What every database takes, without space around it. Raises UsageError where it is empty or too long."""
    plain = str(wire.to_json(text)).replace("\0", "?").strip()
    if not plain:
        raise UsageError(f"{what} cannot be empty")
    if len(plain) > longest:
        raise UsageError(f"{what} may have {longest} characters at most; this has {len(plain)}")
    return plain

"""Hand-overs to a person: the packet, the state diagram, and many people at once, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from processes import CONTEXT, start
from shopbot import tables, wire
from shopbot.errors import UsageError
from shopbot.handover import LONGEST_REPLY, Attempt, HandOver, HandOvers, Packet, make_packet, transcript
from shopbot.journal import Journal
from shopbot.store import Store, TurnRecord
from shopbot.types import Profile, Shopper, ToolCall
from stored import NOW, events_of, talk

MEI = Shopper("mei", "Mei Chen", "mei@example.com")
CANCEL = {"order_id": "A1", "reason": "ordered by mistake"}
UNHAPPY = Profile("request_human", 0.9, -0.6, "en")
ANN, BOB = "Ann", "Bob"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


def conversation(store: Store, session: str = "s") -> TurnRecord:
    """Two answered turns, the second with an action whose end is not known; then a third that is running."""
    talk(store, session, "Where is my order A1?")
    turn = talk(store, session, "Cancel it please")
    journal = Journal(store)
    told = {"say": {"en": "Order A1 would be cancelled and £12.00 refunded."}}
    action = journal.propose(session, turn.id, "mei", "cancel_order", CANCEL, told, NOW)
    journal.confirm(action.key, NOW)
    journal.start(action.key, NOW)
    journal.finish(action.key, "unknown", {"reason": "no answer in 10 s"}, NOW)
    return store.begin_turn(session, "mei", "I want to talk to a person", NOW + timedelta(minutes=1))


def packet_of(store: Store, session: str = "s", **more: Any) -> Packet:
    message = "I want to talk to a person"
    return make_packet(store, Journal(store), session, MEI, "the shopper asked for a person", message, UNHAPPY, **more)


def opened(store: Store, session: str = "s") -> HandOver:
    turn = conversation(store, session)
    hand_over = HandOvers(store).open(session, turn.id, packet_of(store, session), NOW)
    store.finish_turn(events_of(turn, "A person will answer you here."), now=NOW + timedelta(minutes=1))
    return hand_over


# ---------------------------------------------------------------- the packet


def test_a_packet_of_a_real_conversation_lacks_nothing(store: Store) -> None:
    conversation(store)
    packet = packet_of(store)
    assert not [field.name for field in fields(packet) if not getattr(packet, field.name)]
    assert packet.shopper == MEI
    assert packet.open_question == packet.transcript[-1].text == "I want to talk to a person"
    assert [(line.who, line.text) for line in packet.transcript] == [
        ("shopper", "Where is my order A1?"),
        ("bot", "Answer to Where is my order A1?"),
        ("shopper", "Cancel it please"),
        ("bot", "Answer to Cancel it please"),
        ("shopper", "I want to talk to a person"),
    ]
    assert packet.summary == (
        "Mei Chen has written 3 messages.",
        "First asked: “Where is my order A1?”",
        "Last asked: “I want to talk to a person”",
        "Tried: get_order done ×2; cancel_order unknown.",
    )
    assert wire.from_json(Packet, wire.to_json(packet)) == packet


def test_what_was_tried_has_calls_and_actions_with_status_and_facts(store: Store) -> None:
    conversation(store)
    now = ToolCall("find_coupon", {"code": "X"}, "refused", {"reason": "unknown"}, "c9")
    *lookups, last, action = sorted(packet_of(store, calls=[now]).tried, key=lambda attempt: attempt.key)
    assert [(one.tool, one.status, one.result) for one in lookups] == [("get_order", "done", {"total": "12.00"})] * 2
    assert (last.tool, last.status, last.arguments) == ("find_coupon", "refused", {"code": "X"})
    assert (action.tool, action.status, action.arguments) == ("cancel_order", "unknown", CANCEL)
    assert action.result == {"reason": "no answer in 10 s"}
    assert action.told == {"say": {"en": "Order A1 would be cancelled and £12.00 refunded."}}


def test_a_call_that_is_an_action_is_told_once_and_as_it_is_by_now(store: Store) -> None:
    turn = store.begin_turn("s", "mei", "Cancel A1", NOW)
    action = Journal(store).propose("s", turn.id, "mei", "cancel_order", CANCEL, {}, NOW)
    proposed = ToolCall("cancel_order", CANCEL, "proposed", {}, action.key)
    *events, finished = events_of(turn)
    store.finish_turn([*events, replace(finished, tool_calls=(proposed,))], now=NOW)  # type: ignore[type-var]
    Journal(store).decline(action.key, NOW)
    found: tuple[Attempt, ...] = packet_of(store).tried
    assert [(one.tool, one.status) for one in found] == [("cancel_order", "declined")]


def test_a_packet_takes_three_queries(store: Store) -> None:
    conversation(store)
    journal, asked = Journal(store), []
    listener = lambda *args: asked.append(args[2])  # noqa: E731 (removed by name below)
    event.listen(sa.Engine, "after_cursor_execute", listener)
    try:
        make_packet(store, journal, "s", MEI, "r", "m", UNHAPPY)
        assert len(asked) == 3
        assert HandOvers(store).of_session("s") is None
        assert len(asked) == 4
    finally:
        event.remove(sa.Engine, "after_cursor_execute", listener)


def test_a_visitor_in_chinese_whose_turn_broke_off(store: Store) -> None:
    turn = store.begin_turn("s", None, "有人吗？", NOW)
    store.interrupt_turn(turn.id, NOW)
    store.begin_turn("s", None, "我要找人工客服", NOW)
    packet = make_packet(store, Journal(store), "s", Shopper(), "r", "我要找人工客服", Profile(language="zh"))
    assert (packet.language, packet.tried) == ("zh", ())
    assert packet.summary == (
        "A visitor has written 2 messages.",
        "First asked: “有人吗？”",
        "Last asked: “我要找人工客服”",
        "Nothing was looked up or changed.",
    )


# ---------------------------------------------------------------- the diagram


def test_a_hand_over_waits_is_taken_and_given_back(store: Store) -> None:
    hand_overs, hand_over = HandOvers(store), opened(store)
    assert hand_over == hand_overs.of_session("s") == hand_overs.find(hand_over.id)
    assert (hand_over.status, hand_over.person, hand_over.taken_at) == ("waiting", "", None)
    assert hand_overs.waiting() == [hand_over]
    later = NOW + timedelta(minutes=2)
    taken = hand_overs.take(hand_over.id, f" {ANN} ", later)
    assert (taken.status, taken.person, taken.taken_at) == ("taken", ANN, later)
    assert taken == hand_overs.take(hand_over.id, ANN, NOW) == hand_overs.waiting()[0]
    assert hand_overs.say(hand_over.id, ANN, "Hello, I am Ann. 您好\0", later).number == 1
    assert hand_overs.say(hand_over.id, ANN, "It is cancelled.", later).number == 2
    assert [(one.number, one.text) for one in hand_overs.messages("s")] == [
        (1, "Hello, I am Ann. 您好?"),
        (2, "It is cancelled."),
    ]
    assert [one.text for one in hand_overs.messages("s", after=1)] == ["It is cancelled."]
    back = hand_overs.give_back(hand_over.id, ANN, "Cancelled by hand.", later)
    assert (back.status, back.note, back.given_back_at) == ("given_back", "Cancelled by hand.", later)
    assert back == hand_overs.give_back(hand_over.id, ANN, "again", NOW) == hand_overs.find(hand_over.id)
    assert hand_overs.of_session("s") is None
    assert hand_overs.waiting() == []
    assert len(hand_overs.messages("s")) == 2


def test_what_the_states_forbid_says_who_has_it(store: Store) -> None:
    hand_overs, hand_over = HandOvers(store), opened(store)
    with pytest.raises(UsageError, match="nobody has taken"):
        hand_overs.say(hand_over.id, ANN, "Hello", NOW)
    with pytest.raises(UsageError, match="nobody has taken"):
        hand_overs.give_back(hand_over.id, ANN, "", NOW)
    hand_overs.take(hand_over.id, ANN, NOW)
    for act in (
        lambda: hand_overs.take(hand_over.id, BOB, NOW),
        lambda: hand_overs.say(hand_over.id, BOB, "Hello", NOW),
        lambda: hand_overs.give_back(hand_over.id, BOB, "", NOW),
    ):
        with pytest.raises(UsageError, match="Ann has taken"):
            act()
    hand_overs.give_back(hand_over.id, ANN, "  ", NOW)
    for act in (lambda: hand_overs.take(hand_over.id, ANN, NOW), lambda: hand_overs.say(hand_over.id, ANN, "?", NOW)):
        with pytest.raises(UsageError, match="Ann has given"):
            act()
    with pytest.raises(UsageError, match="no hand-over 'ghost'"):
        hand_overs.take("ghost", ANN, NOW)
    assert hand_overs.find("ghost") is None
    assert hand_overs.messages("s") == []


@pytest.mark.parametrize(("person", "text"), [("", "Hello"), (" \n", "Hello"), (ANN, " "), (ANN, "x" * 4001)])
def test_a_name_and_a_text_are_needed_and_have_a_length(store: Store, person: str, text: str) -> None:
    hand_overs, hand_over = HandOvers(store), opened(store)
    hand_overs.take(hand_over.id, ANN, NOW)
    with pytest.raises(UsageError, match=f"cannot be empty|at most; this has {LONGEST_REPLY + 1}"):
        hand_overs.say(hand_over.id, person, text, NOW)
    assert hand_overs.messages("s") == []


def test_a_session_keeps_its_open_hand_over_and_notes_new_reasons_once(store: Store) -> None:
    hand_overs, hand_over = HandOvers(store), opened(store)
    turn = talk(store, "s", "Hello??")
    again = replace(packet_of(store), reason="no answer for 5 minutes")
    for _ in range(2):
        noted = hand_overs.open("s", turn.id, again, NOW + timedelta(minutes=5))
        assert (noted.id, noted.packet) == (hand_over.id, hand_over.packet)
        assert [one.text for one in noted.reasons] == ["the shopper asked for a person", "no answer for 5 minutes"]
    hand_overs.take(hand_over.id, ANN, NOW)
    assert hand_overs.open("s", turn.id, again, NOW).status == "taken"
    hand_overs.give_back(hand_over.id, ANN, "", NOW)
    second = hand_overs.open("s", turn.id, again, NOW)
    assert second.id != hand_over.id
    assert hand_overs.take(second.id, BOB, NOW).person == BOB
    assert hand_overs.say(second.id, BOB, "Hello", NOW).number == 1


def test_the_numbers_of_messages_go_on_in_the_next_hand_over_and_count_by_session(store: Store) -> None:
    hand_overs, first, other = HandOvers(store), opened(store), opened(store, "other")
    for one in (first, other):
        hand_overs.take(one.id, ANN, NOW)
        hand_overs.say(one.id, ANN, "one", NOW)
    hand_overs.give_back(first.id, ANN, "", NOW)
    second = hand_overs.open("s", talk(store, "s", "again").id, packet_of(store), NOW)
    hand_overs.take(second.id, BOB, NOW)
    assert hand_overs.say(second.id, BOB, "two", NOW).number == 2
    assert [one.number for one in hand_overs.messages("other")] == [1]
    assert "A person has replied before, 2 messages." in packet_of(store).summary


def test_the_oldest_waits_first_and_the_transcript_goes_on(store: Store) -> None:
    hand_overs, turn = HandOvers(store), conversation(store, "late")
    late = hand_overs.open("late", turn.id, packet_of(store, "late"), NOW + timedelta(hours=1))
    early = opened(store, "early")
    assert [one.id for one in hand_overs.waiting()] == [early.id, late.id]
    hand_overs.take(early.id, ANN, NOW)
    hand_overs.say(early.id, ANN, "Hello", NOW + timedelta(minutes=2))
    store.begin_turn("early", "mei", "Are you there?", NOW + timedelta(minutes=3))
    said = [(line.who, line.person, line.text) for line in transcript(store, "early")]
    assert said[-3:] == [
        ("bot", "", "A person will answer you here."),
        ("person", ANN, "Hello"),
        ("shopper", "", "Are you there?"),
    ]
    assert len(early.packet.transcript) == 5


def test_only_a_turn_of_the_session_opens_one(store: Store) -> None:
    opened(store)
    turn = talk(store, "other", "Hello")
    for session, turn_id in (("ghost", turn.id), ("s", turn.id), ("other", "ghost")):
        with pytest.raises(UsageError, match="has no turn"):
            HandOvers(store).open(session, turn_id, packet_of(store), NOW)
    assert HandOvers(store).of_session("other") is None


def test_a_session_takes_its_hand_overs_with_it(store: Store) -> None:
    hand_overs, hand_over = HandOvers(store), opened(store)
    hand_overs.take(hand_over.id, ANN, NOW)
    hand_overs.say(hand_over.id, ANN, "Hello", NOW)
    with store.writing() as connection:
        connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.id == "s"))
    with store.reading() as connection:
        left = [connection.execute(sa.select(table)).all() for table in (tables.hand_overs, tables.replies)]
    assert left == [[], []]


# ---------------------------------------------------------------- many at once


def take_together(database: str, hand_over_id: str, person: str, together: Any, won: Any) -> None:
    with Store.open(database) as store:
        together.wait()
        try:
            HandOvers(store).take(hand_over_id, person, NOW)
        except UsageError as problem:
            assert "has taken this conversation" in str(problem)
        else:
            with won.get_lock():
                won.value += 1


def test_of_two_processes_that_take_at_once_one_wins(store: Store, database: str) -> None:
    hand_over, together, won = opened(store), CONTEXT.Barrier(2), CONTEXT.Value("i", 0)
    children = [start(take_together, database, hand_over.id, person, together, won) for person in (ANN, BOB)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert won.value == 1
    found = HandOvers(store).find(hand_over.id)
    assert found is not None
    assert found.person in (ANN, BOB)


def test_many_threads_open_one_and_number_what_they_say_without_a_gap(store: Store) -> None:
    hand_overs, turn = HandOvers(store), conversation(store)
    packet = packet_of(store)
    with ThreadPoolExecutor(4) as pool:
        opened_ids = set(pool.map(lambda _: hand_overs.open("s", turn.id, packet, NOW).id, range(12)))
        assert len(opened_ids) == 1
        hand_over = hand_overs.take(opened_ids.pop(), ANN, NOW)
        numbers = list(pool.map(lambda text: hand_overs.say(hand_over.id, ANN, str(text), NOW).number, range(20)))
    assert sorted(numbers) == list(range(1, 21))
    assert len(hand_over.reasons) == 1


def test_the_database_itself_refuses_a_second_open_one(store: Store) -> None:
    hand_over = opened(store)
    with store.reading() as connection:
        row = dict(connection.execute(sa.select(tables.hand_overs)).mappings().one())
    for status, refused in (("given_back", False), ("taken", True)):
        with store._engine.connect() as connection:
            try:
                connection.execute(sa.insert(tables.hand_overs), {**row, "id": status, "status": status})
            except sa.exc.IntegrityError:
                assert refused, status
            else:
                assert not refused, status
    assert HandOvers(store).waiting() == [hand_over]

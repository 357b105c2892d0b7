"""The LangGraph side of benchmarks/durable_turn: it says what our bot says, and keeps as much of a conversation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.durable_turn import Bench, Kept, Peer, Took, cancellations, measured, settings, talks
from shopbot import Shop, Shopper
from shopbot.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "ours.db") as store:
        yield store


@pytest.fixture
def bench(sample_shop: Shop, tmp_path: Path) -> Bench:
    return Bench(sample_shop, Kept(sample_shop.embedder), tmp_path)


def kept_by(peer: Peer, session: str) -> dict[str, Any]:
    return peer._graph.get_state({"configurable": {"thread_id": session}}).values


def test_both_sides_say_the_same_and_keep_the_conversation(bench: Bench, store: Store, tmp_path: Path) -> None:
    took, said = Took(), talks(bench.shop, 2, 6)
    with (
        closing(Peer(bench._bot(store), tmp_path / "theirs.db")) as peer,
        closing(Peer(bench._bot(store), tmp_path / "theirs.db")) as another,  # reads what a killed process would leave
    ):
        asyncio.run(measured(bench._bot(store), peer, said, took))
        assert settings(peer.connection) == ("wal", 1)
        assert took.equal == sum(len(one) for one in took.pairs) == 12
        for talk in said:
            state, session = kept_by(another, talk.session), store.session(talk.session)
            assert session is not None
            assert state["memory"] == session.state
            history = store.history(talk.session)
            assert state["past"] == [[one.message, one.answer] for one in history]
            kinds = [type(one).__name__ for one in store.events(history[-1].id)]
            assert [kind for kind in kinds if kind != "Said"][-2:] == ["Drafted", "Finished"]
            assert json.loads(state["events"])[-1]["text"] == history[-1].answer
            assert len(json.loads(state["events"])) == len(kinds)


def test_a_turn_that_breaks_off_leaves_its_message(bench: Bench, store: Store, tmp_path: Path) -> None:
    bot = bench._bot(store)
    broken = replace(bot, mind=SimpleNamespace(current=object))  # a mind that can do nothing
    with closing(Peer(broken, tmp_path / "theirs.db")) as peer:
        with pytest.raises(AttributeError, match="understand"):
            peer.reply("Where is my order?", Shopper("u"), "s")
        assert kept_by(peer, "s")["message"] == "Where is my order?"


@pytest.mark.parametrize("whole", [False, True])
def test_one_node_says_the_same_as_a_node_a_stage(bench: Bench, store: Store, tmp_path: Path, whole: bool) -> None:
    talk = talks(bench.shop, 1, 2)[0]
    with closing(Peer(bench._bot(store), tmp_path / "theirs.db", whole)) as peer:
        said = [peer.reply(message, talk.shopper, talk.session) for message in talk.messages]
        assert kept_by(peer, talk.session)["past"] == [list(one) for one in zip(talk.messages, said, strict=True)]


def test_a_write_waits_for_a_yes_on_both_sides(bench: Bench, store: Store, tmp_path: Path) -> None:
    took, talk = Took(), cancellations(bench.shop.data, 1)[0]
    ours, theirs = bench._bot(store), bench._bot(store)
    orders = [bot.planner._data.orders[talk.session] for bot in (ours, theirs)]  # type: ignore[attr-defined]
    with closing(Peer(theirs, tmp_path / "theirs.db")) as peer:
        asyncio.run(measured(ours, peer, [replace(talk, messages=talk.messages[:1])], took))
        assert kept_by(peer, talk.session)["waiting"]["name"] == "cancel_order"
        assert [order["status"] for order in orders] == ["pending", "pending"]
        asyncio.run(measured(ours, peer, [replace(talk, messages=talk.messages[1:])], took))
    assert took.equal == 2
    assert [order["status"] for order in orders] == ["cancelled", "cancelled"]


def test_a_text_is_encoded_once(sample_shop: Shop) -> None:
    kept = Kept(sample_shop.embedder)
    first = kept.embed_array(["a tent", "a kettle"], query=True)
    again = kept.embed_array(["a kettle", "a tent"], query=True)
    assert kept.encoded == 2
    assert (first == again[::-1]).all()
    assert kept.reads("en") == sample_shop.embedder.reads("en")


def test_the_ratio_is_the_median_of_turns_and_its_interval_of_sessions() -> None:
    took = Took([[(1.0, 2.0), (3.0, 4.0)], [(4.0, 4.0)]])
    middle, low, high = took.ratio()
    assert middle == 0.75
    assert 0.5 <= low <= middle <= high <= 1.0

"""The checks of benchmarks/hand_over: a conversation by each road holds, and what falls short is found out."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from benchmarks.hand_over import ROADS, Heard, conversations, faults, heard, judge, scripts
from benchmarks.report import Rows
from shopbot import Shop
from shopbot.handover import HandOver
from shopbot.store import Store
from shopbot.types import Language


@pytest.fixture(scope="module")
def all_heard(sample_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Heard]:
    return asyncio.run(conversations(sample_shop, tmp_path_factory.mktemp("hand_over"), len(ROADS)))


def test_every_road_leads_to_a_person_who_is_told_all(all_heard: list[Heard]) -> None:
    assert [one.script.road for one in all_heard if one.turn_id] == list(ROADS)
    assert [one.wrong for one in all_heard] == [[]] * len(ROADS)
    rows = Rows("hand_over")
    judge(all_heard, rows)
    assert [row["holds"] for row in rows.rows] == [True] * 5


def test_what_fell_short_is_counted(all_heard: list[Heard]) -> None:
    rows = Rows("hand_over")
    short = replace(all_heard[0], is_complete=False, messages_meanwhile=1, hooked=2, answers_again=False, turn_id="")
    judge([short, *all_heard[1:]], rows)
    assert [row["value"] for row in rows.rows] == [4, 4, 1, 4, 4]
    assert not any(row["holds"] for row in rows.rows)


def test_a_packet_that_lacks_or_changes_anything_is_found_out(sample_shop: Shop, tmp_path: Path) -> None:
    told: list[HandOver] = []
    script = next(one for one in scripts(sample_shop, 5) if one.road == "unknown")
    limit = next(one for one in scripts(sample_shop, 5) if one.road == "limit")
    with Store.open(tmp_path / "one.db") as store:
        bot = sample_shop.bot(store=store, data=sample_shop.data.copy(), on_hand_over=told.append)
        one = asyncio.run(heard(bot, limit, "s", told))
    made = told[0]
    assert faults(made, one) == []
    other: Language = "en" if made.packet.language == "zh" else "zh"
    changes = {
        "reason": "because",
        "shopper": script.shopper,
        "language": other,
        "summary": made.packet.summary[:-1],
        "profile": replace(made.packet.profile, confidence=2.0),
        "tried": (),
        "open_question": "?",
        "transcript": made.packet.transcript[:-1],
    }
    assert set(changes) == {each.name for each in fields(made.packet)}
    for name, value in changes.items():
        assert faults(replace(made, packet=replace(made.packet, **{name: value})), one), name
    assert faults(replace(made, turn_id="another"), one)


def test_the_conversations_are_varied_and_no_order_is_acted_on_twice(sample_shop: Shop) -> None:
    made = scripts(sample_shop, 50)
    assert len(made) == 50
    assert {one.language for one in made} == {"en", "zh"}
    acted = [re.findall(r"LF-\d+", " ".join(one.messages)) for one in made if one.road in ("limit", "unknown")]
    assert len({order_id for (order_id,) in acted}) == 20
    assert len({one.messages[-1] for one in made if one.road == "request"}) == 10

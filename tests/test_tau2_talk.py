"""Scripted customers of the tau2 shop: their file, how they speak and judge, and that a wrong write is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import data_dir
from benchmarks.tau2_retail.oracle import Played, Task, play, read_tasks
from benchmarks.tau2_retail.talk import NO, YES, Entry, Talked, Turns, read_turns, shown, talk
from shopbot.errors import UsageError
from shopbot.shop import Shop
from shopbot.store import Store

ROOT = Path(__file__).parent.parent
DATA = (data_dir() or Path("/nowhere")) / "tau2_retail"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the tau2 data are not on this machine")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop.open(ROOT / "benchmarks" / "tau2_retail", home=tmp_path_factory.mktemp("home")) as shop:
        yield shop


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as store:
        yield store


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {str(task["id"]): task for task in read_tasks(DATA / "tasks_train.json")}


def without_writes(task: Task) -> Task:
    """A task whose customer wants nothing done after all."""
    return {**task, "evaluation_criteria": {"actions": []}}


async def talked(shop: Shop, store: Store, task: Task, turns: Turns | None = None) -> tuple[Talked, Played]:
    played = play(shop, store, task)
    return await talk(shop, store, turns or read_turns()[str(task["id"])], played), played


def said(one: Talked) -> list[str]:
    return [line.said for line in one.lines]


# ---------------------------------------------------------------- turns.jsonl


def test_every_task_has_one_customer(tasks: dict[str, Task]) -> None:
    turns = read_turns()
    assert list(turns) == list(tasks)
    for one in turns.values():
        assert one.says[0].when == "say"
        assert all(entry.text.strip() and len(entry.text) <= 400 for entry in one.says), one.task_id


def test_whoever_wants_a_write_can_answer_what_it_needs(tasks: dict[str, Task]) -> None:
    turns = read_turns()
    needs = {"order_id": "order", "new_item_ids": "version", "payment_method_id": "payment", "reason": "reason"}
    for task_id, task in tasks.items():
        tells = {kind for entry in turns[task_id].says for kind in entry.tells}
        for action in task["evaluation_criteria"]["actions"]:
            if not action["name"].startswith(("get_", "find_")):
                needed = {needs[name] for name in action["arguments"] if name in needs}
                needed |= {"address"} if "address1" in action["arguments"] else set()
                assert needed <= tells, (task_id, action["name"])


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        '{"task": "0", "says": ["Hi"]}',
        '{"task": "0", "says": [], "tells": {}}',
        '{"task": "0", "says": [{"if_refused": "Then not."}], "tells": {}}',
        '{"task": "0", "says": ["Hi", {"else": "Then not."}], "tells": {}}',
        '{"task": "0", "says": ["Hi"], "tells": {"colour": "red"}}',
        '{"task": "0", "says": ["Hi"], "tells": {}}\n{"task": "0", "says": ["Hi"], "tells": {}}',
    ],
)
def test_a_line_of_another_form_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(UsageError, match=r"turns\.jsonl:\d: not the turns of a customer"):
        read_turns(path)


def test_a_message_may_have_answers_of_its_own(tmp_path: Path) -> None:
    own = {"if_refused": "B", "tells": {"order": ["y", "z"]}}
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"task": "0", "says": ["A", own], "tells": {"order": "x", "payment": "p"}}), "utf-8")
    first, second = read_turns(path)["0"].says
    assert (first.when, first.text, dict(first.tells)) == ("say", "A", {"order": ("x",), "payment": ("p",)})
    assert (second.when, second.text, dict(second.tells)) == (
        "if_refused",
        "B",
        {"order": ("y", "z"), "payment": ("p",)},
    )


# ---------------------------------------------------------------- the player and the bot


async def test_a_customer_agrees_to_what_they_want_and_ends_where_the_oracle_does(
    shop: Shop, store: Store, tasks: dict[str, Task]
) -> None:
    one, played = await talked(shop, store, tasks["85"])
    assert said(one) == [read_turns()["85"].says[0].text, YES]
    assert (one.right, one.done, one.expected, one.wrong) == (True, 1, 1, [])
    text = shown(one, played)
    assert text.startswith("task 85\ncustomer: I want to exchange my Fleece Jacket")
    assert "[modify_pending_order_items proposed: " in text
    assert "the end state is right; 1 of 1 writes done:" in text


async def test_a_customer_answers_what_is_asked_and_leaves_out_what_did_not_come_to_pass(
    shop: Shop, store: Store, tasks: dict[str, Task]
) -> None:
    one, _ = await talked(shop, store, tasks["76"])
    assert {entry.text for entry in read_turns()["76"].says if entry.when == "say"} <= set(said(one))
    assert (one.right, one.done, one.wrong) == (True, 2, [])
    asked, _ = await talked(shop, store, tasks["88"])
    answers = [line.said for before, line in zip(asked.lines, asked.lines[1:], strict=False) if before.asked]
    assert "I ordered it by mistake." in answers
    assert asked.right


async def test_who_declines_everything_changes_nothing(shop: Shop, store: Store, tasks: dict[str, Task]) -> None:
    one, _ = await talked(shop, store, without_writes(tasks["85"]))
    assert said(one)[1] == NO
    assert YES not in said(one)
    assert (one.right, one.done, one.expected, one.wrong) == (True, 0, 0, [])


async def test_a_write_that_the_task_does_not_list_is_wrong(shop: Shop, store: Store, tasks: dict[str, Task]) -> None:
    hasty = replace(read_turns()["85"], says=(*read_turns()["85"].says, Entry("if_proposed", YES, {})))
    one, _ = await talked(shop, store, without_writes(tasks["85"]), hasty)
    assert [write.split()[0] for write in one.wrong] == ["modify_pending_order_items"]
    assert (one.right, one.done) == (False, 0)


async def test_a_change_of_mind_takes_the_place_of_the_no(shop: Shop, store: Store, tasks: dict[str, Task]) -> None:
    turns = read_turns()["24"]
    one, _ = await talked(shop, store, tasks["24"])
    before = said(one).index(turns.says[1].text) - 1
    assert one.lines[before].answer.waiting is not None
    assert NO not in said(one)
    assert one.right


async def test_items_may_be_told_in_any_order(shop: Shop, store: Store, tasks: dict[str, Task]) -> None:
    listed: list[dict[str, Any]] = [
        dict(one) for one in tasks["73"]["evaluation_criteria"]["actions"] if one["name"].startswith("return")
    ]
    given = listed[0]["arguments"]
    listed[0]["arguments"] = {**given, "item_ids": given["item_ids"][::-1]}
    task = {**tasks["73"], "evaluation_criteria": {"actions": [*listed]}}
    one, _ = await talked(shop, store, task)
    assert (one.right, one.done) == (True, 1)

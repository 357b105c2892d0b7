"""Planners: which steps for which message. The steps are data, so no model and no database is needed here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from shopbot import Shop
from shopbot.model_planner import ModelPlanner
from shopbot.planner import MOST_CALLS, HeadPlanner, Planner
from shopbot.reads import READ_TOOLS
from shopbot.steps import Call, HandOver, Lookup, Say, Step
from shopbot.testing import ScriptedModel
from shopbot.turn import LiveTurn, Question
from shopbot.types import Draft, Language, Shopper, ToolCall
from shopbot.understand import Guess, detect_language, family

ANN = Shopper("ann_abel_1", "Ann Abel", "ann_abel_1@mail.example")
VISITOR = Shopper()


def question(text: str, intent: str = "", confidence: float = 0.9, similarity: float = 0.9) -> Question:
    """A question as it was understood: of this intent, so surely."""
    language: Language = detect_language(text)
    guess = Guess(intent, confidence, similarity, families={family(intent): confidence})
    return Question(text, language, guess, np.zeros(4, dtype=np.float32))


def turn_of(*questions: Question, shopper: Shopper = ANN, **more: Any) -> LiveTurn:
    message = " ".join(each.text for each in questions)
    return LiveTurn(message, shopper, "s1", questions=questions, language=questions[0].language, **more)


def plan(planner: Planner, turn: LiveTurn, answers: Sequence[bool] = ()) -> list[Step]:
    """The steps of a turn, each carried out in name: `answers` says of each whether it answers, True for the rest."""

    async def run() -> list[Step]:
        steps: list[Step] = []
        async for step in planner.plan(turn):
            answered = answers[len(steps)] if len(steps) < len(answers) else True
            turn.drafts.append(Draft(("said",), answered=answered))
            if isinstance(step, Call):
                turn.calls.append(ToolCall(step.tool, step.arguments, "done"))
            steps.append(step)
        return steps

    return asyncio.run(run())


def brief(steps: Sequence[Step]) -> list[tuple[str, Any]]:
    """Each step by what matters of it."""
    told: list[tuple[str, Any]] = []
    for step in steps:
        match step:
            case Call():
                told.append((step.tool, dict(step.arguments)))
            case Say():
                told.append(("say", step.line))
            case Lookup():
                told.append(("look up", step.text or step.question.text))
            case HandOver():
                told.append(("hand over", step.reason))
    return told


# ---------------------------------------------------------------- by heads


@pytest.fixture(scope="module")
def heads(fake_shop: Shop) -> HeadPlanner:
    return HeadPlanner(fake_shop.catalog, fake_shop.data)


@pytest.mark.parametrize(
    ("text", "intent", "expected"),
    [
        ("hello", "greeting", [("say", "greeting")]),
        ("谢谢", "thanks", [("say", "thanks")]),
        ("you stupid machine", "insult", [("say", "insult")]),
        ("are you a robot?", "are_you_bot", [("say", "are_you_bot")]),
        ("who won the cup final?", "out_of_scope", [("say", "out_of_scope")]),
        ("let me talk to someone", "talk_to_person", [("hand over", "the shopper asks for a person")]),
    ],
)
def test_small_talk_gets_an_approved_line(
    heads: HeadPlanner, text: str, intent: str, expected: list[tuple[str, Any]]
) -> None:
    assert brief(plan(heads, turn_of(question(text, intent)))) == expected


@pytest.mark.parametrize(("confidence", "similarity"), [(0.4, 0.9), (0.9, 0.5)])
def test_small_talk_that_is_not_sure_is_looked_up(heads: HeadPlanner, confidence: float, similarity: float) -> None:
    steps = plan(heads, turn_of(question("good to know what you charge", "greeting", confidence, similarity)))
    assert brief(steps) == [("look up", "good to know what you charge")]


def test_out_of_scope_counts_neither_with_an_order_nor_with_a_thing_of_the_catalog(heads: HeadPlanner) -> None:
    for text in ("is my parcel on the moon?", "does the Dravin like jazz?"):
        steps = brief(plan(heads, turn_of(question(text, "out_of_scope"))))
        assert ("say", "out_of_scope") not in steps


@pytest.mark.parametrize(
    ("text", "intent", "tool", "arguments"),
    [
        ("Where is FS-1002?", "order_status", "get_order", {"order_id": "FS-1002"}),
        ("fs1001 到哪了", "order_status", "get_order", {"order_id": "fs1001"}),
        ("where is my order?", "order_status", "get_order", {"order_id": "FS-1002"}),  # the one that is still open
        ("what was in my last order?", "order_details", "get_order", {"order_id": "FS-1002"}),
        ("when does my Dravin come?", "order_status", "get_order", {"order_id": "FS-1002"}),  # the one that holds it
        ("what have I ordered so far?", "order_list", "list_orders", {}),
        ("what did I pay?", "order_details", "list_orders", {}),  # two could be meant: both are shown
        ("which of my orders were delivered?", "order_list", "list_orders", {"status": "delivered"}),
        ("我的哪些订单已发货", "order_list", "list_orders", {"status": "shipped"}),
        ("what is my address?", "account_details", "my_account", {}),
    ],
)
def test_the_shoppers_own_records_are_read(
    heads: HeadPlanner, text: str, intent: str, tool: str, arguments: dict[str, Any]
) -> None:
    assert brief(plan(heads, turn_of(question(text, intent)))) == [(tool, arguments)]


def test_several_open_orders_are_all_shown(fake_shop: Shop) -> None:
    data = fake_shop.data.copy()
    data.orders["FS-1001"]["status"] = "shipped"
    steps = plan(HeadPlanner(fake_shop.catalog, data), turn_of(question("where is my order?", "order_status")))
    assert brief(steps) == [("list_orders", {"open": True})]


def test_an_order_is_not_chosen_where_none_holds_the_thing_named(fake_shop: Shop) -> None:
    data = fake_shop.data.copy()
    asked = question("where is my Quimpet?", "order_status")
    steps = plan(HeadPlanner(fake_shop.catalog, data), turn_of(asked))
    assert all(not (isinstance(step, Call) and step.tool == "get_order") for step in steps)


def test_it_and_that_one_are_the_order_just_talked_of(heads: HeadPlanner) -> None:
    turn = turn_of(question("and how much did it cost?", "order_details"), state={"order_id": "FS-1001"})
    assert brief(plan(heads, turn)) == [("get_order", {"order_id": "FS-1001"})]


def test_a_second_question_of_the_message_is_about_the_same_order(heads: HeadPlanner) -> None:
    first, second = question("Where is FS-1001?", "order_status"), question("how did I pay?", "order_details")
    assert brief(plan(heads, turn_of(first, second))) == [("get_order", {"order_id": "FS-1001"})] * 2


@pytest.mark.parametrize(
    ("text", "intent", "step"),
    [
        ("where is my order?", "order_status", "look up, say"),
        ("where is FS-1003?", "order_status", "say"),
        ("我的订单到哪了？", "order_status", "look up, say"),
        ("which address of mine do you have?", "account_details", "look up, say"),
        ("how long may I keep it before I send it back?", "policy_returns", "look up"),
        ("what does the Zorvel Max cost?", "product_price", "search_products"),
    ],
)
def test_a_visitor_gets_policies_and_products_and_is_asked_to_log_in_for_the_rest(
    heads: HeadPlanner, text: str, intent: str, step: str
) -> None:
    steps = plan(heads, turn_of(question(text, intent), shopper=VISITOR), answers=[step != "look up, say"])
    assert ", ".join(what for what, _ in brief(steps)) == step
    assert not isinstance(steps[-1], Say) or (steps[-1].line, steps[-1].answered) == ("log_in", False)


def test_a_visitor_who_may_mean_the_rule_is_told_it_first(heads: HeadPlanner) -> None:
    text = "can I cancel my order?"
    steps = plan(heads, turn_of(question(text, "cancel_order", confidence=0.3), shopper=VISITOR))
    assert brief(steps) == [("look up", text), ("say", "log_in")]


@pytest.mark.parametrize(
    "text",
    [
        "show me the orders of ben_boll_2@mail.example",
        "I am ben_boll_2, where is my order?",
        "what did Ben Boll buy?",
        "my login is cai_chen_3@mail.example, list my orders",
    ],
)
def test_another_persons_name_id_or_e_mail_ends_the_question(heads: HeadPlanner, text: str) -> None:
    for intent in ("order_list", "account_details", "policy_privacy"):
        assert brief(plan(heads, turn_of(question(text, intent)))) == [("say", "only_yours")]


def test_the_shoppers_own_name_and_e_mail_may_be_named(heads: HeadPlanner) -> None:
    text = "I am Ann Abel, ann_abel_1@mail.example, what have I ordered?"
    assert brief(plan(heads, turn_of(question(text, "order_list")))) == [("list_orders", {})]


def test_a_foreign_order_is_asked_of_the_toolbox_alone(heads: HeadPlanner) -> None:
    """Looking the rule up for its status would tell the status."""
    steps = plan(heads, turn_of(question("cancel FS-1003 please", "cancel_order")), answers=[False])
    assert brief(steps) == [("get_order", {"order_id": "FS-1003"})]


def test_a_change_is_answered_with_the_order_and_the_rule_for_its_status(heads: HeadPlanner) -> None:
    steps = plan(heads, turn_of(question("please cancel FS-1002", "cancel_order")))
    assert brief(steps) == [("get_order", {"order_id": "FS-1002"}), ("look up", "please cancel FS-1002 pending order")]


def test_a_change_of_an_order_that_is_not_known_is_answered_with_the_rule(heads: HeadPlanner) -> None:
    steps = plan(heads, turn_of(question("I want to send something back", "return_items")))
    assert brief(steps) == [("look up", "I want to send something back"), ("say", "cannot_act")]


def test_a_question_about_data_is_a_query(heads: HeadPlanner) -> None:
    text = "what is the cheapest kempins you have?"
    assert brief(plan(heads, turn_of(question(text, "product_search")))) == [("search_products", {"request": text})]


def test_what_the_rows_do_not_tell_is_looked_for_in_the_description_and_then_in_the_policies(
    heads: HeadPlanner,
) -> None:
    asked = question("does the Dravin come with a spare lid?", "product_detail")
    steps = plan(heads, turn_of(asked), answers=[False, False, False])
    kinds = [(step.kind, step.sources) if isinstance(step, Lookup) else step.tool for step in steps]  # type: ignore[union-attr]
    assert kinds == [("product", ("product:FP-4",)), "search_products", ("policy", ())]


def test_a_product_is_meant_until_another_is_named(heads: HeadPlanner) -> None:
    turn = turn_of(question("and is it in stock?", "product_stock"), state={"products": ["FP-4"]})
    assert brief(plan(heads, turn)) == [("search_products", {"request": "Dravin and is it in stock?"})]


def test_a_short_question_goes_on_from_the_one_before(heads: HeadPlanner) -> None:
    before = {"question": "How long may I keep things before I return them?"}
    turn = turn_of(question("what about faulty ones?", "policy_returns"), state=before)
    assert brief(plan(heads, turn)) == [("look up", f"{before['question']} what about faulty ones?")]


def test_every_question_of_a_message_gets_its_steps(heads: HeadPlanner) -> None:
    asked = [
        question("hello", "greeting"),
        question("Where is FS-1002?", "order_status"),
        question("how long is a gift card valid?", "policy_gift_cards"),
    ]
    assert [what for what, _ in brief(plan(heads, turn_of(*asked)))] == ["say", "get_order", "look up"]


# ---------------------------------------------------------------- by a model


def call(name: str, arguments: dict[str, Any], call_id: str = "c1") -> dict[str, Any]:
    return {"name": name, "args": arguments, "id": call_id, "type": "tool_call"}


class Nothing:
    """A planner for when the model fails, which it does not here."""

    async def plan(self, turn: LiveTurn) -> AsyncIterator[Step]:
        raise AssertionError("the model has not failed")
        yield  # pyright: ignore[reportUnreachable]


def by_model(*answers: AIMessage | str) -> tuple[ScriptedModel, ModelPlanner]:
    model = ScriptedModel(answers=list(answers))
    return model, ModelPlanner(model, READ_TOOLS, "You are a shop's assistant.", Nothing())


ASKED = question("Where is my order?", "order_status")


def test_the_model_sees_tools_without_identity_and_a_way_to_look_up() -> None:
    model, _ = by_model()
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in model.bound_tools}
    assert set(schemas) == {tool.name for tool in READ_TOOLS} | {"look_up"}
    assert schemas["get_order"]["required"] == ["order_id"]
    assert schemas["my_account"]["properties"] == {}
    chosen = {name for schema in schemas.values() for name in schema["properties"]}
    assert chosen == {"request", "product_id", "product_ids", "status", "open", "order_ids", "order_id", "question"}


def test_what_the_model_is_sent_does_not_say_who_asks() -> None:
    model, planner = by_model("nothing to do")
    plan(planner, turn_of(ASKED))
    sent = str(model.calls[0].messages) + json.dumps(model.calls[0].tools)
    assert not [word for word in ("ann_abel_1", "Ann Abel", "mail.example") if word in sent]


def test_the_model_chooses_calls_until_it_makes_none_and_reads_what_they_brought() -> None:
    model, planner = by_model(
        AIMessage("", tool_calls=[call("list_orders", {"open": True}, "a")]),
        AIMessage("", tool_calls=[call("look_up", {"question": "late parcels"}, "b")]),
        "I am done.",
    )
    steps = plan(planner, turn_of(ASKED))
    assert brief(steps) == [("list_orders", {"open": True}), ("look up", "late parcels")]
    assert isinstance(steps[0], Call)
    assert steps[0].id == "a"
    told = [message for message in model.calls[-1].messages if isinstance(message, ToolMessage)]
    assert [(message.tool_call_id, message.content) for message in told] == [("a", "said"), ("b", "said")]


def test_past_turns_come_before_the_message() -> None:
    model, planner = by_model("nothing to do")
    plan(planner, turn_of(ASKED, history=(("Hi", "Hello!"),)))
    assert [message.content for message in model.calls[0].messages[1:]] == ["Hi", "Hello!", "Where is my order?"]


def test_a_model_that_calls_nothing_leaves_every_question_to_be_looked_up() -> None:
    _, planner = by_model("It will come tomorrow, I promise.")
    assert brief(plan(planner, turn_of(ASKED, question("Do you ship abroad?")))) == [
        ("look up", "Where is my order?"),
        ("look up", "Do you ship abroad?"),
    ]


def test_at_most_eight_calls_however_they_come() -> None:
    many = AIMessage("", tool_calls=[call("my_account", {}, f"c{number}") for number in range(5)])
    model, planner = by_model(*[many] * 5)
    assert len(plan(planner, turn_of(ASKED))) == MOST_CALLS == 8
    assert len(model.calls) == 2  # five, then the three that are left


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("get_oder", {"order_id": "FS-1002"}), ("get_order", {"order": 5}), ("get_order", {"order_id": "FS-1003"})],
)
def test_whatever_the_model_calls_is_only_proposed(fake_shop: Shop, name: str, arguments: dict[str, Any]) -> None:
    """An unknown tool, malformed arguments, another's order: the step reaches the toolbox, which refuses it."""
    _, planner = by_model(AIMessage("", tool_calls=[call(name, arguments)]), "done")
    steps = plan(planner, turn_of(ASKED))
    assert brief(steps) == [(name, arguments)]
    toolbox = fake_shop.toolbox(fake_shop.data)
    assert [toolbox.call(each.tool, each.arguments, ANN).status for each in steps if isinstance(each, Call)] == [
        "refused"
    ]


def test_a_call_that_cannot_be_read_is_dropped_and_every_call_that_is_kept_gets_its_result() -> None:
    """A server refuses a conversation in which a call has no result."""
    broken = {"name": "get_order", "args": '{"order_id": ', "id": "bad", "error": None, "type": "invalid_tool_call"}
    mixed = AIMessage("", tool_calls=[call("my_account", {}, "good")], invalid_tool_calls=[broken])
    model, planner = by_model(mixed, "done")
    assert brief(plan(planner, turn_of(ASKED))) == [("my_account", {})]
    last = model.calls[-1].messages
    made = [one["id"] for m in last if isinstance(m, AIMessage) for one in [*m.tool_calls, *m.invalid_tool_calls]]
    assert made == [m.tool_call_id for m in last if isinstance(m, ToolMessage)] == ["good"]


def test_only_calls_that_cannot_be_read_leave_the_question_to_be_looked_up() -> None:
    broken = {"name": "get_order", "args": "{", "id": "bad", "error": None, "type": "invalid_tool_call"}
    _, planner = by_model(AIMessage("", invalid_tool_calls=[broken]), "done")
    assert brief(plan(planner, turn_of(ASKED))) == [("look up", "Where is my order?")]


def test_the_message_is_the_shoppers_own_words() -> None:
    model, planner = by_model("done")
    plan(planner, turn_of(ASKED))
    assert model.calls[0].messages[-1] == HumanMessage("Where is my order?")

"""The turn acts: after a yes, once, and never else. Real shop, real database; both planners."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from shopbot import Shop, Shopper
from shopbot.bot import ShopBot
from shopbot.handover import HandOver
from shopbot.records import ShopData
from shopbot.store import Store
from shopbot.testing import ScriptedModel
from shopbot.types import Decision, Finished, Order

SESSION = "s"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "shopbot.db") as store:
        yield store


@pytest.fixture
def bot(sample_shop: Shop, store: Store, data: ShopData) -> ShopBot:
    return sample_shop.bot(store=store, data=data)


async def say(bot: ShopBot, shopper_id: str, *messages: str, session: str = SESSION) -> Finished:
    """The last of the answers to some messages in a session."""
    answers = [await bot.reply(one, shopper=Shopper(shopper_id), session=session) for one in messages]
    return answers[-1]


def statuses(answer: Finished) -> list[tuple[str, str]]:
    return [(call.name, call.status) for call in answer.tool_calls]


# ---------------------------------------------------------------- a yes


async def test_an_order_is_cancelled_after_a_yes_and_not_before(bot: ShopBot, data: ShopData, pending: Order) -> None:
    asked = await say(bot, pending.shopper_id, "Please cancel my order")
    assert statuses(asked) == [("cancel_order", "proposed")]
    assert asked.waiting is not None
    assert asked.waiting.arguments["order_id"] == pending.id
    assert pending.id in asked.text
    assert f"{pending.total:.2f}" in asked.text
    assert asked.text.endswith("Please answer yes or no.")
    assert data.orders[pending.id]["status"] == "pending"
    done = await say(bot, pending.shopper_id, "yes please")
    assert statuses(done) == [("cancel_order", "done")]
    assert data.orders[pending.id]["status"] == "cancelled"
    assert done.waiting is None


async def test_a_yes_by_a_button_counts_once_however_often_it_is_pressed(
    bot: ShopBot, data: ShopData, pending: Order
) -> None:
    waiting = (await say(bot, pending.shopper_id, "Please cancel my order")).waiting
    assert waiting is not None
    press = {"shopper": Shopper(pending.shopper_id), "session": SESSION, "decision": Decision(waiting.id, True)}
    answers = [await bot.reply("Yes", **press) for _ in range(3)]
    assert [statuses(one) for one in answers] == [[("cancel_order", "done")]] * 3
    assert len({one.text for one in answers}) == 1
    refunds = [one for one in data.orders[pending.id]["payment_history"] if one["transaction_type"] == "refund"]
    assert len(refunds) == len(pending.payments)


async def test_a_yes_said_again_at_once_gets_the_first_answer(bot: ShopBot, data: ShopData, pending: Order) -> None:
    """The answer was lost on its way, so the shopper says it again."""
    first = await say(bot, pending.shopper_id, "Please cancel my order", "yes please")
    again = await say(bot, pending.shopper_id, "yes please")
    assert (again.text, statuses(again)) == (first.text, [("cancel_order", "done")])
    assert "Nothing waits" in (await say(bot, pending.shopper_id, "thanks", "yes")).text


async def test_anothers_button_does_nothing(bot: ShopBot, data: ShopData, pending: Order) -> None:
    waiting = (await say(bot, pending.shopper_id, "Please cancel my order")).waiting
    assert waiting is not None
    thief = next(one for one in data.users if one != pending.shopper_id)
    answer = await bot.reply("Yes", shopper=Shopper(thief), session="other", decision=Decision(waiting.id, True))
    assert not answer.tool_calls
    assert data.orders[pending.id]["status"] == "pending"


NO_YES = [
    "you must not cancel it",
    "yes… wait, no",
    "no",
    "how long do refunds take?",
    "ok but how long will it take?",
    "hmm",
    "maybe later",
    "好的，先别取消",
    "不要取消",
    "取消之后多久退款？",
    "",
    "🤔",
]


@pytest.mark.parametrize("message", NO_YES)
@pytest.mark.parametrize("planner", ["head", "model"])
async def test_nothing_happens_without_a_yes(
    sample_shop: Shop, store: Store, data: ShopData, pending: Order, planner: Any, message: str
) -> None:
    call = AIMessage("", tool_calls=[{"name": "cancel_order", "args": {"order_id": pending.id}, "id": "1"}])

    def obedient(messages: list[Any], tools: list[Any]) -> AIMessage | str:
        return "" if messages[-1].type == "tool" else call

    model = ScriptedModel(answers=obedient) if planner == "model" else None
    bot = sample_shop.bot(store=store, data=data, planner=planner, model=model)
    before = data.copy().dump()
    asked = await say(bot, pending.shopper_id, f"Please cancel {pending.id}")
    assert statuses(asked) == [("cancel_order", "proposed")]
    answer = await say(bot, pending.shopper_id, message)
    assert data.dump() == before
    assert answer.text
    if "refunds" in message:
        assert "working days" in answer.text
        assert answer.waiting is not None


async def test_a_button_counts_in_the_session_that_showed_it(bot: ShopBot, data: ShopData, pending: Order) -> None:
    """Another session's turn does not hold this one: a crash's clean-up there could take the action for dead."""
    waiting = (await say(bot, pending.shopper_id, "Please cancel my order")).waiting
    assert waiting is not None
    elsewhere = {"shopper": Shopper(pending.shopper_id), "session": "other", "decision": Decision(waiting.id, True)}
    assert not (await bot.reply("Yes", **elsewhere)).tool_calls
    assert data.orders[pending.id]["status"] == "pending"


async def test_no_model_words_what_would_be_or_has_been_done(
    sample_shop: Shop, store: Store, data: ShopData, pending: Order
) -> None:
    model = ScriptedModel(answers=lambda messages, tools: "I have refunded you 999.")
    bot = sample_shop.bot(store=store, data=data, wording="model", model=model)
    asked = await say(bot, pending.shopper_id, "Please cancel my order")
    done = await say(bot, pending.shopper_id, "yes")
    assert model.calls == []
    assert (pending.id in asked.text, pending.id in done.text) == (True, True)


async def test_what_waits_is_dropped_when_a_person_takes_over(bot: ShopBot, pending: Order) -> None:
    answers = [
        await say(bot, pending.shopper_id, one) for one in ("Please cancel my order", "I want to talk to a person")
    ]
    assert [one.waiting is not None for one in answers] == [True, False]
    assert "yes or no" not in answers[1].text


async def test_a_message_that_was_never_shown_the_proposal_is_no_yes_to_it(
    bot: ShopBot, store: Store, data: ShopData, pending: Order
) -> None:
    """A turn that crashes after it has proposed has told the shopper nothing."""
    turn = store.begin_turn(SESSION, pending.shopper_id, "Please cancel my order", bot.clock())
    bot.acting.actions.propose("cancel_order", {"order_id": pending.id}, Shopper(pending.shopper_id), SESSION, turn.id)
    store.interrupt_turn(turn.id, bot.clock())
    answer = await say(bot, pending.shopper_id, "yes")
    assert not answer.tool_calls
    assert data.orders[pending.id]["status"] == "pending"


async def test_an_action_that_a_crash_left_running_is_told_in_the_next_turn(
    bot: ShopBot, store: Store, data: ShopData, pending: Order
) -> None:
    waiting = (await say(bot, pending.shopper_id, "Please cancel my order")).waiting
    assert waiting is not None
    journal = bot.handing.journal
    journal.confirm(waiting.id, bot.clock())
    assert journal.start(waiting.id, bot.clock())
    answer = await say(bot, pending.shopper_id, "hello?")
    assert statuses(answer)[0] == ("cancel_order", "done")
    assert data.orders[pending.id]["status"] == "cancelled"


async def test_what_waited_too_long_has_lapsed(sample_shop: Shop, store: Store, data: ShopData, pending: Order) -> None:
    early = sample_shop.bot(store=store, data=data)
    await say(early, pending.shopper_id, "Please cancel my order")
    late = sample_shop.bot(store=store, data=data, now=early.clock() + timedelta(hours=2))
    answer = await say(late, pending.shopper_id, "yes")
    assert "lapsed" in answer.text
    assert data.orders[pending.id]["status"] == "pending"


# ---------------------------------------------------------------- over several turns


async def test_what_is_missing_is_asked_for_and_questions_between_are_answered(
    bot: ShopBot, data: ShopData, pending: Order
) -> None:
    asked = await say(bot, pending.shopper_id, "I'd like to change the address of my order")
    assert "whole new address" in asked.text
    between = await say(bot, pending.shopper_id, "how much is standard delivery?")
    assert "3.95" in between.text
    assert "whole new address" in between.text
    told = await say(bot, pending.shopper_id, "12 High Street, Flat 3, Bristol, BS1 4ST")
    assert told.waiting is not None
    await say(bot, pending.shopper_id, "yes")
    address = data.orders[pending.id]["address"]
    assert (address["address1"], address["address2"], address["city"], address["zip"]) == (
        "12 High Street",
        "Flat 3",
        "Bristol",
        "BS1 4ST",
    )


@pytest.fixture
def delivered(data: ShopData) -> Order:
    """An order of several items that may be sent back."""
    return next(
        order
        for one in data.orders
        if (order := data.order(one)) is not None
        and order.status == "delivered"
        and str(order.delivered_on) > "2026-11-05"
        and len({item.product_id for item in order.items}) > 2
        and order.total < 400
    )


async def test_a_part_of_what_was_proposed_is_proposed_anew(bot: ShopBot, data: ShopData, delivered: Order) -> None:
    whole = await say(bot, delivered.shopper_id, f"I want to return everything in {delivered.id}")
    assert whole.waiting is not None
    assert len(whole.waiting.arguments["item_ids"]) == len(delivered.items)
    part = await say(bot, delivered.shopper_id, f"only the {delivered.items[1].name}")
    assert part.waiting is not None
    assert part.waiting.arguments["item_ids"] == [delivered.items[1].sku]
    await say(bot, delivered.shopper_id, "yes")
    assert data.orders[delivered.id]["return_items"] == [delivered.items[1].sku]


async def test_a_return_in_chinese(bot: ShopBot, data: ShopData, delivered: Order) -> None:
    await say(bot, delivered.shopper_id, "我要退货", delivered.id, "全部")
    done = await say(bot, delivered.shopper_id, "好的")
    assert statuses(done) == [("return_items", "done")]
    assert data.orders[delivered.id]["status"] == "return requested"


async def test_two_requests_are_settled_one_after_the_other(bot: ShopBot, data: ShopData, pending: Order) -> None:
    text = "Change the address of my order to 5 Mill Lane, Leeds, LS1 4AB. Then cancel it please"
    first = await say(bot, pending.shopper_id, text)
    assert first.waiting is not None
    assert first.waiting.name == "change_address"
    second = await say(bot, pending.shopper_id, "yes")
    assert statuses(second) == [("change_address", "done"), ("cancel_order", "proposed")]
    await say(bot, pending.shopper_id, "yes")
    assert data.orders[pending.id]["status"] == "cancelled"


async def test_the_rule_that_forbids_it_is_told(bot: ShopBot, data: ShopData, delivered: Order) -> None:
    before = data.copy().dump()
    answer = await say(bot, delivered.shopper_id, f"Please cancel {delivered.id}")
    assert statuses(answer) == [("cancel_order", "refused")]
    assert "only while it is pending" in answer.text
    assert data.dump() == before


async def test_anothers_order_is_not_acted_on(bot: ShopBot, data: ShopData, pending: Order, delivered: Order) -> None:
    answer = await say(bot, pending.shopper_id, f"Please cancel {delivered.id}", "ok", "yes")
    assert not answer.tool_calls or statuses(answer)[0][1] not in ("proposed", "done")
    assert data.orders[delivered.id]["status"] == "delivered"
    assert data.orders[pending.id]["status"] == "pending"


# ---------------------------------------------------------------- a person


async def test_a_person_takes_over_and_the_bot_is_silent_until_they_give_back(
    sample_shop: Shop, store: Store, data: ShopData, pending: Order
) -> None:
    told: list[HandOver] = []
    bot = sample_shop.bot(store=store, data=data, on_hand_over=told.append)
    over = await say(bot, pending.shopper_id, "How long do refunds take?", "I want to talk to a person")
    assert over.handed_over
    assert "handing our conversation over" in over.text
    silent = [await say(bot, pending.shopper_id, one) for one in ("hello?", "cancel my order", "yes")]
    assert [(one.text, one.tool_calls, one.handed_over) for one in silent] == [("", (), True)] * 3
    (made,) = told
    assert made.packet.shopper.id == pending.shopper_id
    assert made.packet.open_question == "I want to talk to a person"
    assert any("How long do refunds take?" in str(line) for line in made.packet.transcript)
    desk = bot.handing.hand_overs
    desk.take(made.id, "Ada", bot.clock())
    desk.say(made.id, "Ada", "I am here.", bot.clock())
    desk.give_back(made.id, "Ada", "settled", bot.clock())
    again = await say(bot, pending.shopper_id, "How long do refunds take?")
    assert "working days" in again.text


@pytest.mark.parametrize(
    "messages",
    [
        ["This is ridiculous, where is my refund", "I am really angry now, this is a joke"],
        ["YOU ARE ALL THIEVES AND I WANT MY MONEY BACK NOW!!!"],
        ["你们这是骗子，我要投诉"],
        ["who won the world cup in 1998?", "which planet is biggest", "who won the world cup in 2002?"],
    ],
    ids=["twice angry", "shouting", "zh", "no answer three times"],
)
async def test_anger_and_repeated_failure_go_to_a_person(bot: ShopBot, pending: Order, messages: list[str]) -> None:
    answers = [await say(bot, pending.shopper_id, one) for one in messages]
    assert [one.handed_over for one in answers] == [*[False] * (len(messages) - 1), True]


async def test_what_is_above_the_limit_goes_to_a_person(bot: ShopBot, data: ShopData) -> None:
    orders = [order for one in data.orders if (order := data.order(one)) is not None]
    dear = next((one for one in orders if one.status == "pending" and one.total > 500), None)
    assert dear is not None
    answer = await say(bot, dear.shopper_id, f"Please cancel {dear.id}")
    assert answer.handed_over
    assert data.orders[dear.id]["status"] == "pending"


# ---------------------------------------------------------------- more than one thing, and things put right


def two_pending(data: ShopData) -> list[Order]:
    """Orders that can be cancelled without a person, of a shopper who has two such, newest first."""
    mine = [[order for order in data.orders_of(one) if order.status == "pending"] for one in data.users]
    return next(orders for orders in mine if len(orders) == 2 and all(order.total < 400 for order in orders))


@pytest.mark.parametrize("message", ["Call off all my open orders, please", "请把我所有的订单都取消"])
async def test_each_of_several_orders_is_proposed_in_turn(bot: ShopBot, data: ShopData, message: str) -> None:
    orders = two_pending(data)
    answers = [await say(bot, orders[0].shopper_id, one) for one in (message, "yes", "yes")]
    proposed = [one.waiting.arguments["order_id"] for one in answers if one.waiting is not None]
    assert sorted(proposed) == sorted(order.id for order in orders)
    assert {data.orders[order.id]["status"] for order in orders} == {"cancelled"}


async def test_a_no_to_one_of_several_leaves_the_other(bot: ShopBot, data: ShopData) -> None:
    first, second = two_pending(data)
    answers = [await say(bot, first.shopper_id, one) for one in ("Cancel both orders", "no", "yes")]
    assert statuses(answers[1]) == [("cancel_order", "declined"), ("cancel_order", "proposed")]
    assert sorted(data.orders[order.id]["status"] for order in (first, second)) == ["cancelled", "pending"]


@pytest.mark.parametrize(
    "message",
    [
        "Could you tell me whether I can cancel once it is packed?",
        "Is it possible to cancel?",
        "There is no need to cancel any order of mine.",
        "What happens if I cancel my order?",
        "发货之后还能取消吗？",
    ],
)
async def test_a_question_about_the_rule_proposes_nothing(bot: ShopBot, pending: Order, message: str) -> None:
    answer = await say(bot, pending.shopper_id, message)
    assert answer.waiting is None
    assert not any(name == "cancel_order" for name, _ in statuses(answer))


async def test_a_whole_order_is_not_proposed_where_only_a_part_of_it_is_meant(bot: ShopBot, pending: Order) -> None:
    item = pending.items[0].name
    answer = await say(bot, pending.shopper_id, f"Please cancel only the {item} of my order, I keep the rest")
    assert answer.waiting is None


async def test_what_is_said_beside_a_no_is_no_reason_to_propose_the_same_again(bot: ShopBot, pending: Order) -> None:
    answer = await say(bot, pending.shopper_id, "Please cancel my order", "No, that is not what I meant at all")
    assert statuses(answer) == [("cancel_order", "declined")]


async def test_the_order_of_a_request_is_the_one_talked_of(bot: ShopBot, data: ShopData, pending: Order) -> None:
    asked = await say(bot, pending.shopper_id, f"I want to return {pending.id}", "Then please cancel that order")
    assert asked.waiting is not None
    assert asked.waiting.arguments["order_id"] == pending.id


async def test_another_request_takes_the_place_of_what_is_asked_for(bot: ShopBot, pending: Order) -> None:
    change = f"Please change the {pending.items[0].name} in {pending.id} to another version"
    asked = await say(bot, pending.shopper_id, change)
    assert asked.waiting is None
    instead = await say(bot, pending.shopper_id, "Then just cancel the entire order")
    assert statuses(instead) == [("cancel_order", "proposed")]

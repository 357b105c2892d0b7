"""Which parts of a text ask to have something done, and which only ask, or say what not to do."""

from __future__ import annotations

import pytest

from shopbot.wishes import is_unwanted, wishes

CANCEL, RETURN, EXCHANGE = "cancel_order", "return_items", "exchange_items"


def asked(text: str) -> list[str]:
    return [wish.verbs[0] if wish.verbs else "" for wish in wishes(text)]


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        ("Okay, now send back the scarf.", [RETURN]),
        ("For LF-12345, cancel the order.", [CANCEL]),
        ("If it is still in your warehouse, please cancel it.", [CANCEL]),
        ("Swap the scarf for the blue one. Wool or not, both are fine.", [EXCHANGE]),
        ("Please swap the scarf. If possible with the tag, it is a gift.", [EXCHANGE]),
        ("I'd like the scarf returned, the green one.", [RETURN]),
        ("It does not fit, so I want to return it.", [RETURN]),
        ("I don't think I'll wear it. Please cancel.", [CANCEL]),
        ("请取消订单，我不想要了", [CANCEL]),
        ("尺码太小了，帮我换大一号的", [EXCHANGE]),
        ("颜色特别难看，帮我换个别的颜色", [EXCHANGE]),
    ],
)
def test_what_asks_for_something_is_found_beside_what_does_not(text: str, intents: list[str]) -> None:
    assert asked(text) == intents


@pytest.mark.parametrize(
    "text",
    [
        "Can I cancel once you have shipped it?",
        "How do I send something back?",
        "did I cancel that scarf or not?",
        "refund?",
        "Have you cancelled it already?",
        "What if I return it after a month?",
        "Return policy",
        "Exchange fee?",
        "Can I cancel the order, return it or exchange it?",
        "Is it possible to swap a scarf?",
        "There is no need to cancel anything.",
        "Don't cancel my order yet.",
        "I'm not sure yet, so please don't process the return.",
        "我想退货，怎么操作",
        "发货之后还能取消吗？",
        "先别取消",
    ],
)
def test_a_question_about_the_rule_and_a_refusal_ask_for_nothing(text: str) -> None:
    assert wishes(text) == []


def test_two_requests_of_a_sentence_are_two_wishes_each_with_its_own_words() -> None:
    first, second = wishes("Return the mug, and exchange the bag and the scarf for cheaper ones. They are from May.")
    assert (first.part, first.verbs[0]) == ("Return the mug", RETURN)
    assert second.part.startswith("exchange the bag and the scarf")
    assert second.text.endswith("They are from May.")


def test_what_stands_before_a_wish_goes_with_it_and_what_is_not_to_be_done_with_none() -> None:
    (wish,) = wishes("My mug has arrived with a crack. Exchange it for a whole one. No need to cancel the order.")
    assert wish.text == "My mug has arrived with a crack. Exchange it for a whole one."
    assert wish.verbs[0] == EXCHANGE


def test_wanting_a_thing_no_longer_is_not_a_refusal() -> None:
    assert not is_unwanted("I don't want it any more, cancel it")
    assert is_unwanted("I don't want to return it")

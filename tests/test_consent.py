"""A yes is a yes from end to end; everything else is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbot.consent import consent_to

PROPOSAL = "I can cancel order LF-20311 (Zorvel, £79.00); £79.00 goes back to your card. Shall I?"


@pytest.mark.parametrize(
    "message",
    [
        "yes", "actually yes", "Y", "👍🏽", "OK!!", "yesss pleeease", "sure, go ahead", "Yes, cancel it please. Thanks!", "cancel LF-20311",
        "That’s right, do it", "Sounds good, thanks for being so quick", "Yes please cancel it, found it cheaper elsewhere",
        "好的", "可以，取消吧", "嗯，麻烦您帮我取消一下，谢谢", "好，請取消訂單", "不想要了，取消吧",
    ],
)  # fmt: skip
def test_a_yes(message: str) -> None:
    assert consent_to(message, "cancel_order", PROPOSAL) == "yes"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("you must not cancel it", "no"),
        ("yes… wait, no", "no"),
        ("好的，先别取消", "no"),
        ("算了，不取消了", "no"),
        ("No, this is not what I asked for", "no"),
        ("no, but what does it cost", "other"),
        ("what do you mean, not now", "other"),
        ("yes, if it is quick", "other"),
        ("ok but only the shoes", "other"),
        ("Yes, I received your mail", "other"),
        ("ok my order is with me now", "other"),
        ("go ahead and tell me what that means", "other"),
        ("cancel LF-99999", "other"),
        ("cancel 79", "other"),
        ("cancel 20311 of them", "other"),
        ("yes, the other one", "other"),
        ("sure you can?", "other"),
        ("可以吗", "other"),
        ("行程改了", "other"),
        ("", "other"),
        ("ok " * 2000, "other"),
    ],
)
def test_everything_else(message: str, expected: str) -> None:
    assert consent_to(message, "cancel_order", PROPOSAL) == expected


def test_the_action_named_must_be_the_one_proposed() -> None:
    assert consent_to("return it", "return_items") == "yes"
    assert consent_to("return it", "cancel_order") == "other"
    assert consent_to("Please do it, cancel that", "return_items") != "yes"
    assert consent_to("wrap it", "wrap_present") == "other"
    assert consent_to("yes please", "wrap_present") == "yes"


@given(st.text(alphabet="不别if but? 吗等wait", min_size=3, max_size=12))
def test_what_denies_limits_or_asks_is_never_a_yes(text: str) -> None:
    if any(word in text for word in ("不", "别", "?", "but", "wait")):
        assert consent_to(f"yes {text}", "cancel_order") != "yes"


@given(st.text(max_size=400))
def test_any_text_is_read_quickly(text: str) -> None:
    assert consent_to(text, "cancel_order") in ("yes", "no", "other")

"""The first checks, and the gate that cuts a stream into sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbot.grounding import Gate, covers, facts_missing, unsupported

POLICY = (
    "You can return items within 30 days of delivery. Sale items cannot be returned. "
    "Refunds take 5-7 business days. Delivery costs £3.95. Order LF-10001 goes to Bristol."
)
TEXTS = (
    "Hello there. It costs £3.50, e.g. this one! 你好。可以退货吗？是的 30 days. Ok?” Next… No. 5 is here.\n- a list\n- of 2.5 kg",
    "运费为£3.95。满£50包邮！2026年11月20日之前有效。",
    "Order LF-10001 (see https://shop.example/a.b) costs 1,299.00 USD. Really?! Yes.",
)


def _sentences(pieces: list[str]) -> list[str]:
    gate = Gate()
    return [sentence for piece in pieces for sentence in gate.feed(piece)] + gate.finish()


@given(st.sampled_from(TEXTS), st.lists(st.integers(0, 200), max_size=60))
def test_the_same_sentences_however_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert _sentences(pieces) == _sentences([text])


@given(st.text(alphabet="ab3.,。！? \n£“”é你", max_size=80), st.lists(st.integers(0, 80), max_size=30))
def test_any_text_survives_any_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert _sentences(pieces) == _sentences([text])
    assert "".join("".join(_sentences([text])).split()) == "".join(text.split())


def test_a_point_in_a_number_ends_nothing() -> None:
    assert _sentences(["It costs £3.", "50. Fine."]) == ["It costs £3.50.", "Fine."]


@pytest.mark.parametrize(
    "claim",
    [
        "You can return items within 30 days.",
        "Sale items cannot be returned.",
        "Refunds take 5-7 business days.",
        "Return items within thirty days of delivery.",
        "Delivery costs £3.95.",
    ],
)
def test_what_the_source_says_may_be_said(claim: str) -> None:
    assert unsupported(claim, [POLICY]) is None


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("You can return items within 60 days.", "number"),
        ("You can return items within 3 days.", "number"),
        ("Delivery costs £13.95.", "price"),
        ("Delivery costs $3.95.", "price"),
        ("Sale items can be returned.", "yes where its source says no"),
        ("Yes, delivery costs £3.95.", "yes or no"),
        ("I have refunded you.", "claim of an action"),
        ("Order LF-10009 goes to Bristol.", "id"),
        ("Order LF-10001 goes to London.", "name"),
        ("Delivery is free.", "promise"),
        ("Our showroom welcomes visitors with coffee and cake.", "not close"),
    ],
)
def test_what_no_source_says_is_withheld_with_its_reason(claim: str, why: str) -> None:
    reason = unsupported(claim, [POLICY])
    assert reason is not None
    assert why in reason


def test_facts_missing_names_each() -> None:
    assert facts_missing("It takes 9 days and £4.", [POLICY]) == ["price £4", "number 9", "number 4"]
    assert facts_missing("Refunds take 5-7 business days.", [POLICY]) == []


def test_what_was_said_covers_a_sentence_only_with_its_facts() -> None:
    assert covers(
        "You may return items within 30 days of delivery.", "You can return items within 30 days of delivery."
    )
    assert not covers("You may return items after delivery.", "You can return items within 30 days of delivery.")

"""Slips of typing: what is put right, with which word, and what is left as the customer wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from knowledge.spelling import Speller

QUICK = settings(deadline=None, max_examples=60)
DOCUMENTS = (
    "You can return a kettle within thirty days. A return is free, and every refund follows the return.",
    "Warranty of the dishwasher: cancellation of a subscription, gift vouchers and a voucher by post.",
)
KNOWN = frozenset("yesterday through thorough exchange orders ordered house".split())
SPELLER = Speller(DOCUMENTS, KNOWN)
WORDS = sorted(
    {word.strip(".,:").lower() for text in DOCUMENTS for word in text.split() if len(word.strip(".,:")) >= 6}
)


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("retrun", "return"),  # two letters swapped
        ("retun", "return"),  # one lost
        ("keettle", "kettle"),  # one too many
        ("refumd", "refund"),  # one wrong
        ("Retrun", "return"),
        ("canceltaion", "cancellation"),  # two slips are allowed in a long word
        ("dishwaher", "dishwasher"),
        ("vouchr", "voucher"),
    ],
)
def test_a_slip_is_put_right(typed: str, right: str) -> None:
    assert SPELLER.correct(typed) == right


@pytest.mark.parametrize(
    "word",
    [
        "yesterday",  # known to the embedder
        "thorough",
        "kettle",  # known to the documents
        "free",
        "dyas",  # too short to be sure
        "KETTEL",  # capitals: a name or an id
        "kettel1",  # part of an id
        "a1kettel",
        "sattel",  # the first letter is hardly ever the slip
        "rfudn",  # two slips in a short word
        "résumé",
        "退货",
    ],
)
def test_everything_else_stays(word: str) -> None:
    assert SPELLER.correct(word) == word


def test_of_two_words_as_near_the_one_that_the_documents_say_more_often_is_taken() -> None:
    assert Speller(["lamps lamps ramps", "clamp lamp"], frozenset()).correct("lampz") == "lamps"
    assert Speller(["stove stove store"], frozenset()).correct("stoxe") == "stove"
    assert Speller(["stove store store"], frozenset()).correct("stoxe") == "store"


def test_the_nearer_word_wins_over_the_frequent_one() -> None:
    speller = Speller(["subscription subscriptions subscriptions subscriptions"], frozenset())
    assert speller.correct("subscripton") == "subscription"


def test_only_the_slip_is_touched() -> None:
    text = "  Can I retrun  my kettel-set (KT-400), s'il vous plaît?\n退货 retrun! "
    assert SPELLER.correct(text) == "  Can I return  my kettle-set (KT-400), s'il vous plaît?\n退货 return! "


@QUICK
@given(st.sampled_from(WORDS), st.data())
def test_one_slip_in_a_word_of_the_documents_is_put_right(word: str, data: st.DataObject) -> None:
    """Whatever single letter after the first is lost, doubled or swapped, a word of the documents comes back."""
    at = data.draw(st.integers(1, len(word) - 2))
    slip = data.draw(st.sampled_from(("lose", "double", "swap")))
    typed = {
        "lose": word[:at] + word[at + 1 :],
        "double": word[:at] + word[at] + word[at:],
        "swap": word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    }[slip]
    corrected = SPELLER.correct(typed)
    assert corrected in WORDS
    assert OSA.distance(typed, corrected) <= 1


@QUICK
@given(st.text(max_size=80))
def test_correcting_twice_changes_nothing_more_and_words_stay_as_many(text: str) -> None:
    once = SPELLER.correct(text)
    assert SPELLER.correct(once) == once
    assert len(once.split()) == len(text.split())


@QUICK
@given(st.lists(st.sampled_from([*WORDS, *sorted(KNOWN)]), max_size=12))
def test_right_words_are_never_touched(words: list[str]) -> None:
    text = " ".join(words)
    assert SPELLER.correct(text) == text
    assert SPELLER.correct(text.upper()) == text.upper()


def test_without_documents_nothing_is_changed() -> None:
    assert Speller([], frozenset()).correct("retrun the kettel") == "retrun the kettel"

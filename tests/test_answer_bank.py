"""The answer bank: which questions get an approved answer, and when such an answer lapses."""

from __future__ import annotations

from datetime import date
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.answer_bank import calibrate
from benchmarks.answer_bank.calibrate import Asked, Found, bank_questions, calibrated, wilson
from shopbot.answer_bank import AnswerBank, Approved, read_entries, wordings
from shopbot.rows import Row
from shopbot.types import Passage

if TYPE_CHECKING:
    from knowledge.embed import SentenceEmbedder

TODAY = date(2026, 11, 20)
KEEP = Passage("a", "Goods can be sent back within 30 days.", "rules/returns.md", "Returns > How long", "policy", "en")
FEE = Passage("b", "Delivery costs 4.50.", "rules/delivery.md", "Delivery > Cost", "policy", "en", valid_until=TODAY)
DOCUMENTS = {"rules/returns.md": [KEEP], "rules/delivery.md": [FEE]}
RETURNS = {
    "question": "How long do I have to return something?",
    "answer": "You have 30 days.",
    "language": "en",
    "sources": ["rules/returns.md#How long"],
    "variants": ["until when can I send goods back"],
}
DELIVERY = {"question": "What does delivery cost?", "answer": "Delivery costs 4.50.", "sources": ["rules/delivery.md"]}


def _read(*rows: dict[str, Any]) -> tuple[list[Approved], list[str]]:
    problems: list[str] = []
    given = [Row(f"answers.jsonl:{number}", "", row) for number, row in enumerate(rows, 1)]
    return read_entries(given, DOCUMENTS, problems), problems


@pytest.fixture(scope="module")
def bank(minilm: SentenceEmbedder) -> AnswerBank:
    entries, _ = _read(RETURNS, DELIVERY)
    return AnswerBank(entries, minilm.embed_array(wordings(entries), query=True))


def test_a_question_much_like_an_approved_one_gets_its_answer(bank: AnswerBank, minilm: SentenceEmbedder) -> None:
    text = "how long do I have for returning something?"
    known = bank.find(text, "en", minilm.embed_array([text], query=True)[0], TODAY)
    assert known is not None
    assert known.is_sure
    assert known.approved.answer == "You have 30 days."
    assert known.approved.passages == (KEEP,)


@pytest.mark.parametrize("text", ["do you sell umbrellas?", "where is my parcel?"])
def test_another_question_gets_none(bank: AnswerBank, minilm: SentenceEmbedder, text: str) -> None:
    known = bank.find(text, "en", minilm.embed_array([text], query=True)[0], TODAY)
    assert known is None or not known.is_sure


def _sure(bank: AnswerBank, minilm: SentenceEmbedder, text: str) -> bool:
    known = bank.find(text, "en", minilm.embed_array([text], query=True)[0], TODAY)
    return known is not None and known.is_sure


def test_every_wording_gets_its_answer(bank: AnswerBank, minilm: SentenceEmbedder) -> None:
    assert all(_sure(bank, minilm, text) for entry in bank.entries for text in entry.wordings)


@pytest.mark.parametrize(
    "text",
    [
        "What does delivery cost on Sunday?",
        "What does delivery cost in August?",
        "What does delivery cost for two parcels?",
        "What does only delivery cost?",
        "What does delivery cost for order AB-10017?",
    ],
)
def test_a_narrower_question_gets_no_approved_answer(bank: AnswerBank, minilm: SentenceEmbedder, text: str) -> None:
    match = bank.match(text, "en", minilm.embed_array([text], query=True)[0])
    assert match is not None
    assert match.approved.answer == "Delivery costs 4.50."
    assert match.likeness > 0.6
    assert match.strength == 0
    assert not match.is_sure
    assert match.is_alike


def test_a_number_that_the_answer_holds_narrows_nothing(bank: AnswerBank, minilm: SentenceEmbedder) -> None:
    assert _sure(bank, minilm, "Does delivery cost 4.50?")


def test_a_question_whose_answer_is_another_entry_s_gets_none(minilm: SentenceEmbedder) -> None:
    """Its words are nearest to one wording, what it asks is answered by the other entry."""
    entries, problems = _read(
        RETURNS | {"question": "How long do I have?", "variants": []},
        DELIVERY
        | {"question": "delivery?", "answer": "Goods can be sent back within 30 days.", "sources": RETURNS["sources"]},
    )
    assert not problems
    bank = AnswerBank(entries, minilm.embed_array(wordings(entries), query=True))
    text = "How long do I have to send goods back?"
    match = bank.match(text, "en", minilm.embed_array([text], query=True)[0])
    assert match is not None
    assert match.approved.answer == "You have 30 days."
    assert match.strength == 0


def test_without_meaning_only_a_wording_itself_is_sure(minilm: SentenceEmbedder) -> None:
    entries, _ = _read(DELIVERY | {"question": "寄到爱尔兰的运费是多少？", "language": "zh"}, RETURNS)
    bank = AnswerBank(entries, minilm.embed_array(wordings(entries), query=True))
    same, near = (
        bank.find("寄到爱尔兰的运费是多少", "zh", None, TODAY),
        bank.find("寄到瑞士的运费是多少？", "zh", None, TODAY),
    )
    assert same is not None
    assert same.is_sure
    assert near is not None
    assert not near.is_sure


def test_an_answer_in_another_language_is_not_given(bank: AnswerBank) -> None:
    assert bank.find("退货期限有多久？", "zh", None, TODAY) is None


def test_an_answer_lapses_with_the_validity_of_its_passages(bank: AnswerBank, minilm: SentenceEmbedder) -> None:
    text = "What does delivery cost?"
    vector = minilm.embed_array([text], query=True)[0]
    assert bank.find(text, "en", vector, TODAY) is not None
    assert bank.find(text, "en", vector, date(2026, 11, 21)) is None


def test_a_bank_without_entries_finds_nothing(minilm: SentenceEmbedder) -> None:
    empty = AnswerBank([], minilm.embed_array([], query=True))
    assert empty.find("What does delivery cost?", "en", minilm.embed_array(["x"], query=True)[0], TODAY) is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (RETURNS | {"answer": "You have 60 days."}, "its sources do not say number 60"),
        (RETURNS | {"sources": ["rules/returns.md#Gone"]}, "there is no passage 'rules/returns.md#Gone'"),
        (RETURNS | {"sources": []}, "no sources"),
        ({"sources": ["rules/returns.md"]}, "no question and no answer"),
    ],
)
def test_an_entry_that_its_sources_do_not_carry_is_left_out_and_told_of(row: dict[str, Any], told: str) -> None:
    entries, problems = _read(row, RETURNS)
    assert len(entries) == 1
    assert len(problems) == 1
    assert problems[0].startswith("answers.jsonl:1: ")
    assert told in problems[0]


def test_an_entry_that_names_its_passages_lapses_with_any_change_of_them() -> None:
    entries, problems = _read(RETURNS | {"passages": ["a"]}, RETURNS | {"passages": ["the id of an earlier text"]})
    assert len(entries) == 1
    assert problems == [
        "answers.jsonl:2: its sources say something else than when it was approved; the approved answer is left out"
    ]


def test_a_yes_that_was_turned_into_a_no_lapses_without_named_passages() -> None:
    opposite = RETURNS | {"answer": "Goods cannot be sent back within 30 days."}
    entries, problems = _read(opposite, RETURNS | {"answer": "Goods can be sent back within 30 days."})
    assert [entry.answer for entry in entries] == ["Goods can be sent back within 30 days."]
    assert "yes where its source says no" in problems[0]


# ---------------------------------------------------------------- the benchmark's calibration


def _found(strength: float, is_right: bool) -> Found:
    return Found(Asked("?"), "en", strength, is_right, False)


def test_calibration_gives_the_weakest_right_answer_above_the_false_ones_that_are_too_many() -> None:
    found = [_found(0.9, True), _found(0.8, False), _found(0.7, True), _found(0.6, False), _found(0.5, True)]
    assert calibrated(found, asked=100, rate=0.5) == 0.5
    assert calibrated(found, asked=100, rate=0.06) == 0.7  # one false answer of 100: at most 5.4 %
    assert calibrated(found, asked=100, rate=0.02) == 0.9  # none at all leaves 3.7 %: none is allowed
    assert calibrated(found[1:2], asked=100) == inf


def test_an_interval_is_wilson_s() -> None:
    assert wilson(1, 100) == pytest.approx((0.0018, 0.0545), abs=1e-3)
    assert wilson(0, 200) == pytest.approx((0, 0.0188), abs=1e-3)


def test_the_questions_are_those_that_were_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(bank_questions("test")) == 200
    edited = tmp_path / "questions.jsonl"
    edited.write_text(calibrate.QUESTIONS.read_text("utf-8") + "\n", "utf-8")
    monkeypatch.setattr(calibrate, "QUESTIONS", edited)
    with pytest.raises(SystemExit, match="was edited"):
        bank_questions("dev")


def test_an_answer_is_right_by_its_entry_or_by_its_facts() -> None:
    (entry,), _ = _read(DELIVERY)
    assert Asked("?", right=("What does delivery cost?",)).is_answered_by(entry)
    assert Asked("?", facts=(("4.50", "4,50"),)).is_answered_by(entry)
    assert not Asked("?", facts=(("4.50",), ("Ireland",))).is_answered_by(entry)
    assert not Asked("?").is_answered_by(entry)

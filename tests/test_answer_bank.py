"""The answer bank: which questions get an approved answer, and when such an answer lapses."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

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

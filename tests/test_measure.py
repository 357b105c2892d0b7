"""The measure of an answer: what is filled up to it, and what goes first where several drafts share it."""

from __future__ import annotations

import pytest

from shopbot.compose import MOST_SENTENCES, MOST_WORDS, combine, compose_passages
from shopbot.phrases import LANGUAGES, Phrases
from shopbot.types import Citation, Draft, Language, Passage, ScoredSentence
from shopbot.understand import count_words

EN = Phrases("en", "Larkfield", "GBP")
SHORT = "This rule number {} has exactly ten words in one sentence."


def rules(*scores: float, text: str = SHORT) -> list[ScoredSentence]:
    """Sentences of one section, in order, with these scores."""
    passage = Passage("p1", "", "rules.md", "Rules > One", "policy")
    return [ScoredSentence(text.format(place), passage, score, place) for place, score in enumerate(scores)]


def line(text: str, spare: tuple[str, ...] = ()) -> Draft:
    return Draft((text, *spare), (Citation("a", text),), spare=tuple(reversed(spare)))


def test_what_is_worth_it_is_said_beyond_the_third_sentence_while_there_is_room() -> None:
    draft = compose_passages(rules(0.9, 0.8, 0.7, 0.65, 0.6, 0.58, 0.57, 0.56, 0.55), EN)
    assert MOST_SENTENCES < len(draft.sentences) <= MOST_WORDS // 10
    assert count_words(draft.text) <= MOST_WORDS


def test_what_is_worth_little_is_not_said_though_there_is_room() -> None:
    assert len(compose_passages(rules(0.9, 0.8, 0.3, 0.2), EN).sentences) == 2


def test_of_two_drafts_the_least_worth_goes_first_and_the_best_stays() -> None:
    found = compose_passages(rules(0.6, 0.9, 0.8, 0.7, 0.65), EN)
    other = line("The other answer is told here in " + "very " * 45 + "many words.")
    text = combine([found, other], EN).text
    assert "number 1" in text and "number 2" in text and other.sentences[0] in text
    assert "number 0" not in text
    assert count_words(text) <= MOST_WORDS


def test_a_sentence_that_a_further_one_stands_under_is_not_given_up() -> None:
    passages = [Passage(name, "", "rules.md", f"Rules > {name}", "policy") for name in ("One", "Two")]
    chosen = [
        ScoredSentence("First of the first.", passages[0], 0.7, 0),
        ScoredSentence("Second of the first.", passages[0], 0.9, 1),
        ScoredSentence("First of the second.", passages[1], 0.8, 0),
    ]
    draft = compose_passages(chosen, EN)
    assert draft.sentences[0] == "One: First of the first."
    assert draft.sentences[0] not in draft.spare  # its heading is the second's, too


def test_a_sentence_that_two_drafts_share_counts_once() -> None:
    head = "The order is on its way and here are all of its many dates, " + "one after another, " * 10 + "told."
    facts = [f"A fact of its own is told here, number {number}." for number in range(3)]
    text = combine([Draft((head, facts[0])), Draft((head, facts[1])), Draft((head, facts[2]))], EN).text
    assert text.count(head) == 1
    assert [fact for fact in facts if fact not in text] == []


def test_a_source_that_two_drafts_cite_is_cited_once_with_both_texts() -> None:
    row, told = Citation("product:P1", "£5, in stock", "Lamp"), Citation("product:P1", "It is blue.", "Lamp")
    [cited] = combine([Draft(("£5.",), (row,)), Draft(("It is blue.",), (told,))], EN).citations
    assert row.text in cited.text and told.text in cited.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_draft_alone_keeps_what_is_spare(language: Language) -> None:
    draft = line("One.", spare=("Two.", "Three."))
    assert combine([draft], Phrases(language, "Larkfield", "GBP")).sentences == draft.sentences

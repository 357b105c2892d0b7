"""The reader: which sentences answer, in what order, how many, and never a word that the passage does not say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.reader import NEIGHBOUR, Reading, Widened, read
from knowledge.retriever import ShopRetriever
from knowledge_corpus import corpus, passage
from shopbot.types import ScoredPassage, ScoredSentence
from small_embedders import small_embedder

QUICK = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

REFUNDS = passage(
    "This page explains refunds. Refunds reach your card within five working days. We send an e-mail when the money is on "
    "its way. Gift cards are not refunded.",
    title="Refunds",
    source="refunds.md",
)
RETURNS = passage(
    "You can return an item within 30 days of delivery. This does not apply to swimwear. Return it in its box.\n\n"
    "Put into the parcel:\n- the printed return label that came with your order\n- the receipt, or the order number on a "
    "piece of paper\n- every part, cable, manual and free gift that belongs to the item",
    title="Returns > How",
    source="returns.md",
)
OPENING = passage("All about returns within 30 days of delivery.", title="Returns", source="returns.md")
DELIVERY = passage("Delivery costs £4.50. It is free from £40.", title="Delivery", source="delivery.md")
CHINESE = passage("退款在五个工作日内到账。礼品卡不予退款。", title="退款", source="zh.md", language="zh")
SHOP = [REFUNDS, RETURNS, OPENING, DELIVERY, CHINESE]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, minilm: SentenceEmbedder) -> Iterator[ShopRetriever]:
    with KnowledgeIndex.build(tmp_path_factory.mktemp("shop"), SHOP, minilm) as index:
        yield ShopRetriever(index, minilm)


def reading(shop: ShopRetriever, question: str, limit: int = 6, keep: int = 6) -> Reading:
    vector = shop.encode([question])[0]
    return read(question, vector, shop.search(question, query_vector=vector), shop.index, limit, keep=keep)


def texts(found: Reading) -> list[str]:
    return [sentence.text for sentence in found.sentences]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long does a refund take?", "Refunds reach your card within five working days."),
        ("Can I get my money back for a gift card?", "Gift cards are not refunded."),
        ("how much is delivery", "Delivery costs £4.50."),
        ("How many days do I have to send something back?", "You can return an item within 30 days of delivery."),
        ("how long does a refnud take", "Refunds reach your card within five working days."),
        ("退款多久到账？", "退款在五个工作日内到账。"),
    ],
)
def test_the_sentence_that_answers_comes_first(shop: ShopRetriever, question: str, answer: str) -> None:
    assert texts(reading(shop, question))[0] == answer


def test_a_sentence_that_leans_on_the_one_before_brings_it_along(shop: ShopRetriever) -> None:
    found = texts(reading(shop, "Does it apply to swimwear?"))
    leaning = found.index("This does not apply to swimwear.")
    assert found[leaning - 1] == "You can return an item within 30 days of delivery."


def test_the_section_that_holds_beats_the_opening_lines_of_its_document(shop: ShopRetriever) -> None:
    vector = shop.encode(["return within 30 days"])[0]
    alike = [ScoredPassage(OPENING, 0.8), ScoredPassage(RETURNS, 0.75)]
    assert read("return within 30 days", vector, alike, shop.index).passages[0].passage == RETURNS


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_no_more_sentences_than_the_limit(shop: ShopRetriever, limit: int) -> None:
    assert len(texts(reading(shop, "Does it apply to swimwear?", limit=limit))) == limit


def test_sentences_come_from_the_kept_passages_only(shop: ShopRetriever) -> None:
    found = reading(shop, "refund", limit=20, keep=1)
    assert len(found.passages) == 1
    assert {sentence.passage.id for sentence in found.sentences} == {found.passages[0].passage.id}


def test_nothing_is_read_out_of_nothing(shop: ShopRetriever) -> None:
    assert read("refund", None, [], shop.index) == Reading((), ())


def test_a_passage_of_another_index_is_refused(shop: ShopRetriever) -> None:
    with pytest.raises(KeyError):
        read("refund", None, [ScoredPassage(passage("Never ingested."), 1.0)], shop.index)


def test_a_text_that_two_passages_say_is_read_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    embedder = small_embedder(tmp_path_factory.mktemp("models") / "small")
    twice = [passage("Refunds take five days. One.", "a.md"), passage("Refunds take  five days. Two.", "b.md")]
    with KnowledgeIndex.build(tmp_path_factory.mktemp("twice"), twice, embedder) as index:
        found = read("refunds", None, [ScoredPassage(each, 0.5) for each in twice], index)
    assert sorted(" ".join(text.split()) for text in texts(found)) == ["One.", "Refunds take five days.", "Two."]


def test_a_widened_shelf_reads_passages_that_were_never_ingested(shop: ShopRetriever, minilm: SentenceEmbedder) -> None:
    extra = passage("Parcels to Norway take nine days. Customs may ask for a receipt.", source="context")
    shelf = Widened(shop.index, [extra], minilm)
    question = "How long do parcels to Norway take?"
    vector = shop.encode([question])[0]
    candidates = [ScoredPassage(extra, 0.6), *shop.search(question, query_vector=vector)]
    found = read(question, vector, candidates, shelf)
    assert texts(found)[0] == "Parcels to Norway take nine days."
    assert len(shop.index.passages) == len(SHOP)


# ---------------------------------------------------------------- nothing but what the passage says


@pytest.mark.parametrize("question", ["what goes into the parcel", "receipt", "refund", "退款", "free gift", ""])
def test_every_sentence_is_in_its_passage_word_by_word(shop: ShopRetriever, question: str) -> None:
    found = reading(shop, question, limit=50)
    assert found.sentences
    for sentence in found.sentences:
        for piece in pieces(sentence.text):
            assert piece in sentence.passage.text


def pieces(sentence: str) -> list[str]:
    """A sentence as it was written: the items of a list stand behind the line that leads into it."""
    return re.split("(?<=:) |; ", sentence)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeIndex]:
    embedder = small_embedder(tmp_path_factory.mktemp("models") / "small")
    with KnowledgeIndex.build(tmp_path_factory.mktemp("many"), corpus(60), embedder) as index:
        yield index


@QUICK
@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["how long", "refund", "can I", "kettle"]), max_size=4).map(" ".join),
    st.lists(st.tuples(st.integers(0, 59), st.floats(0, 1)), max_size=12, unique_by=lambda pair: pair[0]),
    st.integers(0, 12),
    st.booleans(),
)
def test_whatever_is_read_is_from_the_candidates_in_order_and_within_bounds(
    many: KnowledgeIndex, question: str, chosen: list[tuple[int, float]], limit: int, with_vector: bool
) -> None:
    passages = list(many.passages.values())
    candidates = [ScoredPassage(passages[number], score) for number, score in chosen]
    vector = many.table.passages[0] if with_vector else None
    found = read(question, vector, candidates, many, limit, keep=4)
    assert len(found.passages) == min(4, len(candidates))
    assert len(found.sentences) <= limit
    assert len({(each.passage.id, each.place) for each in found.sentences}) == len(found.sentences)
    kept = {each.passage.id for each in found.passages}
    for each in found.sentences:
        assert each.passage.id in kept
        assert 0 <= each.score <= 1
        assert each.text == many.sentences(each.passage.id).texts[each.place]
        assert each.text in each.passage.text
    # One that the next sentence leans on stands before it, with a little less.
    pairs = itertools.zip_longest(found.sentences, found.sentences[1:])
    own = [each.score for each, following in pairs if not is_needed(each, following)]
    assert own == sorted(own, reverse=True)
    assert found == read(question, vector, candidates, many, limit, keep=4)


def is_needed(sentence: ScoredSentence, following: ScoredSentence | None) -> bool:
    return (
        following is not None
        and following.passage.id == sentence.passage.id
        and following.place == sentence.place + 1
        and sentence.score == pytest.approx(following.score * NEIGHBOUR)
    )

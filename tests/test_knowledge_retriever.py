"""The retriever over a real index: filters before top-k, both legs, fused scores, Chinese by words, a LangChain chain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from knowledge import nearest as nearest_module
from knowledge import retriever as retriever_module
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.lexical import tokenize
from knowledge.retriever import ShopRetriever
from knowledge_corpus import WORDS, corpus, passage
from shopbot.types import Passage
from small_embedders import small_embedder

TODAY = date(2026, 11, 24)
QUICK = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])

SHOP = [
    passage("Money comes back to your card within five working days after we receive the parcel.", title="Refunds"),
    passage("Parcels leave our warehouse within two days and arrive in three more.", title="Delivery"),
    passage("Every machine is repaired free of charge for two years.", title="Warranty"),
    passage("Winter sale: ten percent off.", title="Sale", valid_from=date(2026, 12, 1)),
    passage("Summer sale: twenty percent off.", title="Sale", valid_until=date(2026, 8, 31)),
    passage("Autumn sale: five percent off.", title="Sale", valid_from=TODAY, valid_until=TODAY),
    passage("Kettle KT-400-BLK, black, boils a litre in three minutes.", title="Kettle", kind="product"),
    passage("Kettle KT-400-RED, red, boils a litre in three minutes.", title="Red kettle", kind="product"),
    passage("收到退货后五个工作日内，退款会退回您的银行卡。", title="退款", language="zh"),
    passage("包裹两天内发货，三天内送达。", title="配送", language="zh"),
    passage("Une garantie de deux ans.", title="Garantie", language="fr"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, minilm: SentenceEmbedder) -> Iterator[ShopRetriever]:
    with KnowledgeIndex.build(tmp_path_factory.mktemp("shop"), SHOP, minilm) as index:
        yield ShopRetriever(index, minilm)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopRetriever]:
    """300 passages of random words."""
    embedder = small_embedder(tmp_path_factory.mktemp("models") / "small")
    with KnowledgeIndex.build(tmp_path_factory.mktemp("many"), corpus(300), embedder) as index:
        yield ShopRetriever(index, embedder)


def titles(retriever: ShopRetriever, question: str, **filters: object) -> list[str]:
    return [found.passage.title for found in retriever.search(question, **filters)]  # pyright: ignore[reportArgumentType]


# ---------------------------------------------------------------- the two legs


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("When do I get reimbursed?", "Refunds"),  # by meaning: not one word in common
        ("How fast is shipping?", "Delivery"),
        ("my toaster broke, who fixes it", "Warranty"),
        ("KT-400-RED", "Red kettle"),  # by word: to the model both kettles are alike
        ("is kt400blk good", "Kettle"),
        ("waranty", "Warranty"),  # a slip of typing
    ],
)
def test_the_right_passage_comes_first_by_meaning_or_by_word(shop: ShopRetriever, question: str, title: str) -> None:
    assert titles(shop, question, today=TODAY)[0] == title


@pytest.mark.parametrize(("question", "title"), [("退款多久到账？", "退款"), ("包裹什么时候送达", "配送")])
def test_chinese_is_found_by_words_alone(shop: ShopRetriever, question: str, title: str) -> None:
    found = shop.search(question, today=TODAY)
    assert found[0].passage.title == title
    assert {each.passage.language for each in found} == {"zh"}
    assert {each.dense for each in found} == {0.0}


def test_a_question_vector_made_before_gives_the_same(shop: ShopRetriever) -> None:
    question = "When do I get reimbursd?"
    vector = shop.encode([question])[0]
    assert shop.search(question, query_vector=vector) == shop.search(question)


def test_the_cosine_is_mostly_that_of_the_best_sentence(many: ShopRetriever) -> None:
    index = many.index
    vector = many.encode(["refund of a kettle"])[0]
    for found in many.search("refund of a kettle", language="en"):
        best = (index.sentences(found.passage.id).vectors @ vector).max()
        whole = index.table.passages[index.table.rows[found.passage.id]] @ vector
        assert found.dense == pytest.approx(0.7 * best + 0.3 * whole, abs=1e-5)


# ---------------------------------------------------------------- filters


def test_only_what_holds_today_is_found(shop: ShopRetriever) -> None:
    def sales(today: date | None) -> set[str]:
        found = shop.search("which sale is on", today=today, k=20)
        return {each.passage.text.split()[0] for each in found if each.passage.title == "Sale"}

    assert sales(TODAY) == {"Autumn"}
    assert sales(date(2026, 12, 1)) == {"Winter"}
    assert sales(date(2026, 8, 31)) == {"Summer"}
    assert sales(date(2026, 9, 1)) == set()
    assert sales(None) == {"Autumn", "Winter", "Summer"}


def test_kind_and_language_are_kept_to(shop: ShopRetriever) -> None:
    assert set(titles(shop, "black kettle", kind="product")) == {"Kettle", "Red kettle"}
    assert titles(shop, "garantie", language="fr")[0] == "Garantie"
    assert titles(shop, "kettle", kind="nothing of this kind") == []
    # There is no product in Chinese: better one in English than none.
    assert titles(shop, "KT-400-BLK 多少钱", kind="product", language="zh")[0] == "Kettle"


@QUICK
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join),
    st.sampled_from(("policy", "product", None)),
    st.sampled_from(("en", "zh")),
    st.sampled_from((date(2025, 1, 1), date(2026, 3, 1), date(2026, 7, 1), date(2027, 1, 1), None)),
    st.integers(0, 400),
)
def test_filters_choose_before_the_best_are_taken(
    many: ShopRetriever, question: str, kind: str | None, language: str, today: date | None, k: int
) -> None:
    def allowed(each: Passage) -> bool:
        holds = today is None or (each.valid_from or date.min) <= today <= (each.valid_until or date.max)
        return holds and each.language == language and kind in (None, each.kind)

    may = {each.id for each in many.index.passages.values() if allowed(each)}
    found = many.search(question, kind=kind, language=language, today=today, k=k)
    ids = [each.passage.id for each in found]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= may
    # Whatever shares a word with the question is a candidate: with room for all, all of it is found.
    wanted = set(tokenize(question))
    sharing = {identity for identity in may if wanted & set(tokenize(many.index.passages[identity].text))}
    assert len(ids) >= min(k, len(sharing), retriever_module.CANDIDATES)

    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < each.score <= 1 + 1e-5 for each in found)
    assert all(0 <= each.lexical <= 1 + 1e-5 for each in found)
    assert all(-1 - 1e-5 <= each.dense <= 1 + 1e-5 for each in found)


def test_one_valid_passage_is_found_among_many_that_lapsed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    embedder = small_embedder(tmp_path_factory.mktemp("models") / "small")
    lapsed = [passage(f"Vouchers hold {days} days.", valid_until=date(2026, 1, 1)) for days in range(200)]
    valid = passage("A gift card holds until it is spent.")
    with KnowledgeIndex.build(tmp_path_factory.mktemp("lapsed"), [*lapsed, valid], embedder) as index:
        found = ShopRetriever(index, embedder).search("how many days do vouchers hold", today=TODAY, k=1)
    assert [each.passage for each in found] == [valid]


@QUICK
@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=6).map(" ".join))
def test_the_graph_of_chroma_gives_what_exact_search_gives(many: ShopRetriever, question: str) -> None:
    exact = many.search(question, language="en", k=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "LARGE", 0)
        by_graph = many.search(question, language="en", k=5)
    assert [each.passage.id for each in by_graph] == [each.passage.id for each in exact]


# ---------------------------------------------------------------- edges, and LangChain


def test_an_empty_index_finds_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    embedder = small_embedder(tmp_path_factory.mktemp("models") / "small")
    with KnowledgeIndex.build(tmp_path_factory.mktemp("empty"), [], embedder) as index:
        assert ShopRetriever(index, embedder).search("a refund") == []


@pytest.mark.parametrize("question", ["", "?!", "zzzzqqq xxyy", "a " * 5000])
def test_odd_questions_are_answered_without_an_error(shop: ShopRetriever, question: str) -> None:
    found = shop.search(question)
    assert len(found) <= 8
    assert np.isfinite([each.score for each in found]).all()


def _titles(documents: list[Document]) -> list[str]:
    return [document.metadata["title"] for document in documents]


def test_it_is_a_retriever_of_langchain_and_works_in_a_chain(shop: ShopRetriever) -> None:
    assert isinstance(shop, BaseRetriever)
    retriever = ShopRetriever(shop.index, shop._embedder, k=2, today=TODAY, kind="policy")
    chain = retriever | RunnableLambda(_titles)
    assert chain.invoke("When do I get reimbursed?")[0] == "Refunds"
    first, second = chain.batch(["How fast is shipping?", "which sale is on"])
    assert (first[0], second[0], len(first)) == ("Delivery", "Sale", 2)


async def test_documents_carry_the_passage_and_its_scores(shop: ShopRetriever) -> None:
    (document, *_) = await shop.ainvoke("When do I get reimbursed?")
    assert isinstance(document, Document)
    found = shop.search("When do I get reimbursed?")[0]
    assert (document.id, document.page_content) == (found.passage.id, found.passage.text)
    assert document.metadata == {
        "source": "a.md", "title": "Refunds", "kind": "policy", "language": "en", "place": 0,
        "score": found.score, "dense": found.dense, "lexical": found.lexical,
    }  # fmt: skip

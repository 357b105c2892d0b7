"""Texts into vectors with the real MiniLM: the same as sentence-transformers' own, in any order and any batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from knowledge.embed import MINILM, SentenceEmbedder, prompts_for
from shopbot.errors import WeightsMissing
from shopbot.weights import resolve
from small_embedders import small_embedder

TEXTS = [
    "How long do refunds take?",
    "",
    "A refund reaches your card within five working days. " * 3,
    "退款多久到账？",
    "Where is my order",
    "Kettle KT-400-BLK, black, 1.7 l, £39.99",
    "a",
]
LONG = "The warranty covers faults of material and workmanship for two years. " * 60


@pytest.fixture(scope="module")
def minilm() -> SentenceEmbedder:
    """In float32, whatever the processor has, so that numbers can be compared exactly."""
    return SentenceEmbedder(precision="float32")


@pytest.fixture(scope="module")
def vectors(minilm: SentenceEmbedder) -> NDArray[np.float32]:
    return minilm.embed_array(TEXTS)


def test_bfloat16_gives_nearly_the_same_vectors(vectors: NDArray[np.float32]) -> None:
    halved = SentenceEmbedder(precision="bfloat16")
    again = halved.embed_array(TEXTS)
    assert again.dtype == np.float32
    assert (again * vectors).sum(axis=1).min() > 0.999
    assert SentenceEmbedder().precision in ("float32", "bfloat16")


# ---------------------------------------------------------------- parts of texts


def test_a_part_is_the_mean_of_its_tokens_within_the_text(minilm: SentenceEmbedder) -> None:
    text = "Refunds take five days. The kettle boils."
    whole, parts = minilm.embed_parts([text], [[[(0, 23)], [(24, 41)], [(0, 23), (24, 41)]]])
    tokens = minilm._model(minilm._model.preprocess([text]))["token_embeddings"][0].detach().numpy()
    expected = tokens[1:7].mean(axis=0)  # ref ##unds take five days . behind the token that begins every text
    np.testing.assert_allclose(parts[0], expected / np.linalg.norm(expected), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(whole, minilm.embed_array([text]), atol=1e-6)
    both = minilm.embed_array(["the refund of money", "boiling water"], query=True)
    assert (parts[0] @ both[0] > parts[1] @ both[0]) and (parts[1] @ both[1] > parts[0] @ both[1])


def test_parts_keep_their_rows_in_any_batch(minilm: SentenceEmbedder) -> None:
    texts = [f"{'word ' * (place % 7)}number {place}" for place in range(10)]
    spans = [[[(0, len(text))]] * (place % 3) for place, text in enumerate(texts)]
    _, parts = minilm.embed_parts(texts, spans)
    alone = [minilm.embed_parts([text], [own])[1] for text, own in zip(texts, spans, strict=True)]
    np.testing.assert_allclose(parts, np.concatenate(alone), atol=2e-5)


def test_what_the_model_does_not_read_or_pool_has_no_vector(minilm: SentenceEmbedder, tmp_path: Path) -> None:
    end = len(LONG)
    _, parts = minilm.embed_parts([LONG], [[[(0, 20)], [(end - 20, end)], []]])
    assert [bool(row.any()) for row in parts] == [True, False, False]
    _, none = small_embedder(tmp_path / "static").embed_parts(["a text"], [[[(0, 6)]]])
    assert not none.any()


def test_one_float32_vector_of_length_one_for_each_text(minilm: SentenceEmbedder, vectors: NDArray[np.float32]) -> None:
    assert minilm.dimension == 384
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(minilm: SentenceEmbedder) -> None:
    none = minilm.embed_array([])
    assert none.shape == (0, 384)
    assert none.dtype == np.float32
    assert minilm.embed_documents([]) == []


def test_the_same_as_the_encode_of_sentence_transformers(
    minilm: SentenceEmbedder, vectors: NDArray[np.float32]
) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(resolve(MINILM).path), device="cpu")
    texts = [*TEXTS, LONG]
    expected = theirs.encode(texts, normalize_embeddings=True, batch_size=3)
    np.testing.assert_allclose(np.vstack([vectors, minilm.embed_array([LONG])]), expected, atol=2e-5)


@settings(deadline=None, max_examples=6)
@given(st.permutations(range(len(TEXTS))), st.integers(1, 8))
def test_rows_keep_the_order_of_the_texts_in_every_batch_size(
    minilm: SentenceEmbedder, vectors: NDArray[np.float32], order: list[int], batch_size: int
) -> None:
    before = minilm.batch_size
    minilm.batch_size = batch_size
    try:
        again = minilm.embed_array([TEXTS[at] for at in order])
    finally:
        minilm.batch_size = before
    np.testing.assert_allclose(again, vectors[order], atol=2e-5)


def test_what_goes_past_the_window_of_the_model_is_cut(minilm: SentenceEmbedder) -> None:
    whole, more = minilm.embed_array([LONG, LONG + "Nobody reads this any more."])
    np.testing.assert_allclose(whole, more, atol=2e-5)


def test_meaning_counts_and_not_words(minilm: SentenceEmbedder) -> None:
    question, near, far = minilm.embed_array(
        ["How do I get my money back?", "Refunds are paid within five days.", "The back of the chair is oak."]
    )
    assert question @ near > question @ far + 0.2


def test_the_interface_of_langchain_gives_the_same_numbers(
    minilm: SentenceEmbedder, vectors: NDArray[np.float32]
) -> None:
    assert isinstance(minilm, Embeddings)
    documents = minilm.embed_documents(TEXTS[:2])
    query = minilm.embed_query(TEXTS[0])
    assert all(isinstance(number, float) for number in (*documents[0], *query))
    np.testing.assert_allclose([*documents, query], vectors[[0, 1, 0]], atol=2e-5)


def test_threads_share_one_embedder(minilm: SentenceEmbedder, vectors: NDArray[np.float32]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: minilm.embed_array([text])[0], TEXTS * 4))
    np.testing.assert_allclose(found, np.tile(vectors, (4, 1)), atol=2e-5)


def test_progress_counts_up_to_all_texts(minilm: SentenceEmbedder) -> None:
    told: list[tuple[int, int]] = []
    minilm.embed_array(["a kettle"] * 150, progress=lambda done, total: told.append((done, total)))
    assert told == [(64, 150), (128, 150), (150, 150)]


# ---------------------------------------------------------------- prompts, words, languages, other models


def test_a_prompt_stands_before_a_question_or_a_passage(tmp_path: Path) -> None:
    plain = small_embedder(tmp_path / "plain")
    prompted = SentenceEmbedder(str(tmp_path / "plain"), prompts=("query: ", "passage: "))
    expected = plain.embed_array(["query: a kettle", "passage: a kettle"])
    np.testing.assert_array_equal(prompted.embed_array(["a kettle"], query=True)[0], expected[0])
    np.testing.assert_array_equal(prompted.embed_array(["a kettle"])[0], expected[1])
    np.testing.assert_allclose(prompted.embed_query("a kettle"), expected[0])


@pytest.mark.parametrize(
    ("name", "own", "prompts"),
    [
        (MINILM, None, ("", "")),
        ("intfloat/multilingual-e5-small", None, ("query: ", "passage: ")),
        ("intfloat/E5-base-v2", {}, ("query: ", "passage: ")),
        ("BAAI/bge-m3", None, ("", "")),
        ("BAAI/bge-small-en-v1.5", None, ("Represent this sentence for searching relevant passages: ", "")),
        ("nomic-ai/nomic-embed-text-v1.5", None, ("search_query: ", "search_document: ")),
        ("BAAI/bge-small-en-v1.5", {"query": "Q: ", "document": "D: "}, ("Q: ", "D: ")),
        ("acme/own", {"passage": "P: "}, ("", "P: ")),
        ("acme/own", {"query": "", "document": ""}, ("", "")),
    ],
)
def test_prompts_are_the_models_own_else_those_of_its_family(
    name: str, own: dict[str, str] | None, prompts: tuple[str, str]
) -> None:
    assert prompts_for(name, own) == prompts


def test_words_are_whole_ordinary_words(minilm: SentenceEmbedder) -> None:
    assert {"return", "order", "kettle"} <= minilm.words
    assert not {"##ing", "[CLS]", "retrun", "42"} & minilm.words
    assert all(word == word.lower() for word in minilm.words)


def test_an_english_model_reads_no_chinese_and_another_may(minilm: SentenceEmbedder, tmp_path: Path) -> None:
    assert minilm.reads("en")
    assert not minilm.reads("zh")
    assert small_embedder(tmp_path / "multilingual").reads("zh")


def test_a_folder_names_its_model(tmp_path: Path) -> None:
    embedder = small_embedder(tmp_path / "our-model", dimension=16)
    assert (embedder.name, embedder.dimension, embedder.origin) == ("our-model", 16, "a local folder")


def test_a_model_that_is_not_to_be_had_says_what_to_do() -> None:
    with pytest.raises(WeightsMissing, match="shopbot model fetch"):
        SentenceEmbedder("nobody/no-such-model", offline=True)

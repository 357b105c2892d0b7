"""The exact-word leg: what a token is, in English and Chinese and in ids, and whose words rank a text first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.lexical import LexicalIndex, fold, is_stop, query_tokens, tokenize

QUICK = settings(deadline=None, max_examples=40)  # other work on the machine makes a single example slow
PLAIN = st.text("bcdfglmnprtvw", min_size=4, max_size=9)
"""Words that fold into themselves: no ending to lose, no vowel to lose it by."""
TEXTS = st.lists(st.lists(PLAIN, min_size=1, max_size=12), min_size=2, max_size=12)
ANY_TEXT = st.text(max_size=60)
IDEOGRAPHS = st.text("退货换配送费用优惠券保修期限发票地址", min_size=1, max_size=8)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("forms", "folded"),
    [
        ("policy policies", "policy"),
        ("cancel cancels cancelled cancelling", "cancel"),
        ("box boxes", "box"),
        ("return returns returned returning", "return"),
        ("address addresses", "address"),
        ("size sizes", "size"),
        ("gas", "gas"),
        ("status", "status"),
        ("bed", "bed"),
        ("prize prizes", "priz"),
        ("string", "string"),
    ],
)
def test_forms_of_a_word_meet(forms: str, folded: str) -> None:
    assert {fold(form) for form in forms.split()} == {folded}


def test_ideographs_count_alone_and_in_pairs() -> None:
    assert tokenize("退货费") == ["退", "货", "费", "退货", "货费"]
    assert tokenize("买iPhone手机") == ["买", "iphon", "手", "机", "手机"]


@pytest.mark.parametrize(
    "typed", ["AB-120-GRN", "ab-120-grn", "AB_120_GRN", "ab.120.grn", "AB120GRN", "ＡＢ-１２０-ＧＲＮ"]
)
def test_an_id_counts_whole_however_it_is_typed(typed: str) -> None:
    assert tokenize(typed)[0] == "ab120grn"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("1,250.50", ["1250.50"]),
        ("24/7", ["24/7", "24", "7"]),
        ("2-3 days", ["2-3", "2", "3", "day"]),
        ("e-mail", ["email", "e", "mail"]),
        ("customer's don't", ["customer", "dont"]),
        ("(£40.)", ["40"]),
        ("", []),
        ("?!… — ", []),
    ],
)
def test_numbers_joined_words_and_marks(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


@QUICK
@given(ANY_TEXT)
def test_case_and_width_never_matter(text: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)
    assert tokenize(wide) == tokenize(text)
    if text.isascii():
        assert tokenize(text.upper()) == tokenize(text.lower())


@QUICK
@given(ANY_TEXT)
def test_tokens_hold_no_white_space_and_are_never_empty(text: str) -> None:
    assert all(token and not any(map(str.isspace, token)) for token in tokenize(text))


@QUICK
@given(ANY_TEXT)
def test_a_question_keeps_only_tokens_of_its_own_each_once(text: str) -> None:
    tokens = query_tokens(text)
    assert len(set(tokens)) == len(tokens)
    assert set(tokens) <= set(tokenize(text))
    assert bool(tokens) == bool(tokenize(text))


def test_words_that_only_ask_are_left_out_unless_nothing_else_is_there() -> None:
    assert query_tokens("What is your policy about refunds?") == ["policy", "refund"]
    assert query_tokens("请问多久可以退款") == ["退", "款", "退款"]
    assert query_tokens("who are you") == ["who", "are", "you"]
    assert is_stop("the")
    assert is_stop("可以")
    assert not is_stop("refund")
    assert not is_stop("退款")


# ---------------------------------------------------------------- ranking


@QUICK
@given(TEXTS, st.data())
def test_a_word_that_one_text_alone_has_ranks_it_first(texts: list[list[str]], data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(texts) - 1))
    others = {word for at, words in enumerate(texts) if at != chosen for word in words}
    rare = "zqxj" + data.draw(PLAIN)
    common = data.draw(st.sampled_from(sorted(others)))
    index = LexicalIndex([" ".join([*words, rare] if at == chosen else words) for at, words in enumerate(texts)])
    scores = index.scores(rare)
    assert scores[chosen] > 0
    assert np.flatnonzero(scores).tolist() == [chosen]
    assert index.idf(rare) >= index.idf(common)


@QUICK
@given(st.lists(IDEOGRAPHS, min_size=2, max_size=8), st.data())
def test_a_chinese_word_that_one_text_alone_has_ranks_it_first(texts: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(texts) - 1))
    index = LexicalIndex([text + "，礼盒包装" if at == chosen else text for at, text in enumerate(texts)])
    assert int(np.argmax(index.scores("礼盒多少钱"))) == chosen


@pytest.mark.parametrize("query", ["is KT-400-BLK in stock", "kt400blk", "KT 400 BLK"])
def test_an_id_finds_its_text_among_its_neighbours(query: str) -> None:
    index = LexicalIndex(["Kettle KT-400-RED, red", "Kettle KT-400-BLK, black", "Kettle KT-410-BLK, black", "Toaster"])
    assert int(np.argmax(index.scores(query))) == 1


@QUICK
@given(TEXTS, st.lists(PLAIN, min_size=1, max_size=5))
def test_shares_lie_between_nothing_and_all(texts: list[list[str]], query: list[str]) -> None:
    index = LexicalIndex([" ".join(words) for words in texts])
    shares = index.shares(" ".join(query))
    assert shares.shape == (len(texts),)
    assert shares.dtype == np.float32
    assert ((shares >= 0) & (shares <= 1 + 1e-5)).all()


@QUICK
@given(TEXTS, st.data())
def test_cover_is_all_for_a_text_with_every_word_and_falls_with_each_lost(
    texts: list[list[str]], data: st.DataObject
) -> None:
    words = sorted({word for each in texts for word in each})
    query = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=4, unique=True))
    index = LexicalIndex([" ".join(each) for each in texts])
    cover = index.cover(" ".join(query), [" ".join(query[:count]) for count in range(len(query), -1, -1)])
    assert cover[0] == pytest.approx(1.0)
    assert cover[-1] == 0.0
    assert (np.diff(cover) <= 1e-6).all()


@QUICK
@given(TEXTS)
def test_order_of_the_texts_changes_no_score(texts: list[list[str]]) -> None:
    joined = [" ".join(words) for words in texts]
    forward, backward = LexicalIndex(joined), LexicalIndex(joined[::-1])
    query = " ".join(texts[0])
    np.testing.assert_allclose(forward.scores(query), backward.scores(query)[::-1], rtol=1e-5)


@pytest.mark.parametrize("texts", [[], [""], ["", "…"]])
def test_texts_without_words_score_nothing(texts: list[str]) -> None:
    index = LexicalIndex(texts)
    assert index.scores("anything at all").tolist() == [0.0] * len(texts)
    assert index.shares("").tolist() == [0.0] * len(texts)
    assert index.cover("a kettle", [""]).tolist() == [0.0]


@QUICK
@given(TEXTS, st.data())
def test_scores_are_those_of_bm25s(texts: list[list[str]], data: st.DataObject) -> None:
    import bm25s

    words = sorted({word for text in texts for word in text})
    query = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=5, unique=True))
    theirs = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend="numpy")
    theirs.index([tokenize(" ".join(text)) for text in texts], show_progress=False)
    index = LexicalIndex([" ".join(text) for text in texts])
    own = index.scores(" ".join(query))
    np.testing.assert_allclose(own, theirs.get_scores(query), atol=1e-5)
    some = np.array(sorted(data.draw(st.sets(st.integers(0, len(texts) - 1), min_size=1))))
    np.testing.assert_allclose(index.shares(" ".join(query), some), index.shares(" ".join(query))[some], atol=1e-6)

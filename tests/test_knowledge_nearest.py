"""The nearest of the rows that a filter allows, against exact search; and the filters themselves, against reading every passage."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from knowledge import nearest
from knowledge.filters import Columns, Filters
from knowledge.nearest import EXACT_ROWS, Nearest, best_rows
from knowledge_corpus import corpus
from shopbot.errors import StoreError

MANY = 30_000
COUNT = 100


def never(vector: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    raise AssertionError("the graph was asked")


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Clustered, as texts are: 300 centres that lie in 60 directions, and noise in all."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((300, 60)) @ draw.standard_normal((60, 384))
    found = centres[draw.integers(0, 300, MANY)] / 7 + 0.4 * draw.standard_normal((MANY, 384))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.01, 0.001])
def test_what_exact_search_finds_is_found_among_the_allowed(vectors: NDArray[np.float32], share: float) -> None:
    draw = np.random.default_rng(1)
    allowed = np.flatnonzero(draw.random(MANY) < share)
    search = Nearest(vectors, never)
    recall: list[float] = []
    for row in draw.integers(0, MANY, 40):
        question = (vectors[row] + 0.02 * draw.standard_normal(384)).astype(np.float32)
        exact = allowed[np.argsort(-(vectors[allowed] @ question), kind="stable")[:10]]
        found = search.rows(question, allowed, COUNT)
        assert len(set(found.tolist())) == min(COUNT, len(allowed))
        assert np.isin(found, allowed).all()
        recall.append(len(np.intersect1d(exact, found)) / len(exact))
    assert np.mean(recall) >= 0.99
    assert len(allowed) > EXACT_ROWS or np.mean(recall) == 1.0


def test_where_the_graph_cannot_be_asked_the_rows_are_found_without_it(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "LARGE", 10_000)
    asked: list[int] = []

    def broken(vector: NDArray[np.float32], count: int) -> NDArray[np.intp]:
        asked.append(count)
        raise StoreError("the server is down")

    search = Nearest(vectors, broken)
    found = [search.rows(vectors[7], np.arange(MANY), COUNT) for _ in range(3)]
    assert all(7 in rows and len(rows) == COUNT for rows in found)
    assert asked == [COUNT], "asked once, and then left alone for a while"


# ---------------------------------------------------------------- choosing the best


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from((50, 5_000, 20_000)), st.integers(1, 400), st.booleans())
def test_the_best_rows_are_those_that_sorting_gives(seed: int, size: int, count: int, some: bool) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.random(size).astype(np.float32)
    rows = np.flatnonzero(draw.random(size) < 0.7) if some else np.arange(size)
    expected = rows[np.argsort(-scores[rows], kind="stable")[:count]]
    assert sorted(best_rows(scores, rows, count).tolist()) == sorted(expected.tolist())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 400))
def test_among_equal_scores_any_of_the_best_will_do(seed: int, levels: int, count: int) -> None:
    scores = np.random.default_rng(seed).integers(0, levels, 20_000).astype(np.float32)
    found = best_rows(scores, np.arange(20_000), count)
    assert len(set(found.tolist())) == count
    assert sorted(scores[found].tolist()) == sorted(np.sort(scores)[-count:].tolist())


# ---------------------------------------------------------------- filters

TODAY = date(2026, 11, 24)
PASSAGES = [
    replace(
        one,
        kind="product" if number % 3 else "policy",
        language=("en", "zh", "")[number % 5 % 3],
        valid_from=None if number % 4 else TODAY.replace(day=1 + number % 28),
        valid_until=None if number % 7 else TODAY.replace(month=12, day=1 + number % 28),
        metadata={
            key: value
            for key, value in {"price": number / 2, "in_stock": number % 2 == 0, "category": "AB"[number % 2]}.items()
            if number % 6
        },
    )
    for number, one in enumerate(corpus(120))
]
OPTIONAL: Any = {
    "kind": st.sampled_from([None, "product", "policy"]),
    "today": st.sampled_from([None, TODAY, TODAY.replace(month=12, day=20)]),
    "category": st.sampled_from([None, "a", "B", "other"]),
    "least_price": st.sampled_from([None, 0.0, 20.0]),
    "most_price": st.sampled_from([None, 0.0, 35.5]),
    "in_stock": st.sampled_from([None, True, False]),
}


@settings(deadline=None, max_examples=200)
@given(st.fixed_dictionaries({}, optional=OPTIONAL), st.sampled_from(["en", "zh", "fr"]))
def test_a_filter_allows_what_reading_every_passage_allows(filters: Filters, language: str) -> None:
    columns = Columns(PASSAGES)
    fitting = [row for row, one in enumerate(PASSAGES) if _fits(one, filters)]
    spoken = {PASSAGES[row].kind for row in fitting if PASSAGES[row].language in (language, "")}
    expected = [row for row in fitting if PASSAGES[row].language in (language, "") or PASSAGES[row].kind not in spoken]
    assert columns.allowed(language, filters).tolist() == expected
    assert columns.allowed(language, filters).tolist() == expected, "asked again, from what is kept"


def _fits(one: Any, filters: Filters) -> bool:
    about = one.metadata
    day, kind, category = filters.get("today"), filters.get("kind"), filters.get("category")
    least, most, stock = filters.get("least_price"), filters.get("most_price"), filters.get("in_stock")
    return (
        (kind is None or one.kind == kind)
        and (day is None or (one.valid_from or day) <= day <= (one.valid_until or day))
        and (category is None or str(about.get("category", "")).lower() == category.lower())
        and (least is None or ("price" in about and about["price"] >= least))
        and (most is None or ("price" in about and about["price"] <= most))
        and (stock is None or about.get("in_stock") is stock)
    )

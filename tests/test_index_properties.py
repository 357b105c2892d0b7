"""Any series of ingests, rollbacks, prunings and openings of a real index, held against a dict of passages and numpy.

Searched is by meaning alone (the dense leg's share is learned to be 1): exactly what the model's sums over all passages say.
Whoever draws a series draws from few texts, so that passages leave and come back under the same id.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.retriever import BEST_SENTENCE, ShopRetriever
from knowledge_corpus import WORDS, corpus, passage
from shopbot.errors import UsageError
from shopbot.types import Passage
from small_embedders import small_embedder

TEXTS = corpus(16, seed=3)
"""Whose text, source and title the drawn passages have; with fewer than `CANDIDATES` every allowed one is scored."""
DAYS = [date(2026, 1, 1), date(2026, 5, 31), date(2026, 6, 1), date(2026, 12, 31)]
NEAR = 1e-5
"""Scores closer than this may stand in any order."""

VALUES = st.one_of(st.booleans(), st.integers(-5, 5), st.sampled_from(["", "é", "帐", "a'b", 'line\n"two"', "null"]))
FIELDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["policy", "product"]),
        "language": st.sampled_from(["en", "zh", ""]),
        "place": st.integers(0, 9),
        "valid_from": st.sampled_from([None, *DAYS[::2]]),
        "valid_until": st.sampled_from([None, *DAYS[1::2]]),
        "metadata": st.dictionaries(st.sampled_from(["number", "kind", "text", "语"]), VALUES, max_size=2),
    }
)
FRESH = st.builds(
    lambda base, words, fields: passage(f"{base.text} {words}.", base.source, base.title, **fields),
    st.sampled_from(TEXTS),
    st.sampled_from(["", "Also now", "Never sold"]),
    FIELDS,
)


class AnIndex(RuleBasedStateMachine):
    """`documents` is what the index has to hold, in order; `kept` what every version on disk has to hold."""

    def __init__(self, embedder: SentenceEmbedder) -> None:
        super().__init__()
        self.embedder = embedder
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "index"
        self.documents: list[Passage] = []
        self.kept: dict[str, list[Passage]] = {}
        self.before: dict[str, str] = {}
        self.serving = ""
        self.newest = 0
        self.index: KnowledgeIndex | None = None

    # ---------------------------------------------------------------- what is done

    @initialize(passages=st.lists(FRESH, max_size=12))
    def begin(self, passages: list[Passage]) -> None:
        self.ingest(passages)

    @rule(passages=st.lists(FRESH, min_size=1, max_size=5), in_front=st.booleans())
    def add(self, passages: list[Passage], in_front: bool) -> None:
        """One that is there already under its id is given twice, and the first counts."""
        self.ingest([*passages, *self.documents] if in_front else [*self.documents, *passages])

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Whatever stays is in another order then."""
        gone = data.draw(st.sets(st.sampled_from(range(max(1, len(self.documents)))), max_size=6))
        self.ingest([each for row, each in enumerate(self.documents) if row not in gone][::-1])

    @rule(data=st.data(), words=st.sampled_from(WORDS))
    def change_text(self, data: st.DataObject, words: str) -> None:
        if self.documents:
            row = data.draw(st.sampled_from(range(len(self.documents))))
            old = self.documents[row]
            new = replace(passage(f"{old.text} And {words}.", old.source, old.title), kind=old.kind, place=old.place)
            self.ingest([*self.documents[:row], new, *self.documents[row + 1 :]])

    @rule(data=st.data(), fields=FIELDS)
    def change_metadata(self, data: st.DataObject, fields: dict[str, object]) -> None:
        if self.documents:
            row = data.draw(st.sampled_from(range(len(self.documents))))
            new = replace(self.documents[row], **fields)  # pyright: ignore[reportArgumentType]
            self.ingest([*self.documents[:row], new, *self.documents[row + 1 :]])

    @rule()
    def go_back(self) -> None:
        older = [self.before[self.serving], *sorted((one for one in self.kept if one < self.serving), reverse=True)]
        expected = next((one for one in older if one in self.kept), None)
        if expected is not None:
            self.roll_back(None, expected)
            return
        with pytest.raises(UsageError, match="no whole version before"):
            versions.roll_back(self.folder)

    @rule(data=st.data())
    def go_to_a_named_one(self, data: st.DataObject) -> None:
        if others := sorted(self.kept.keys() - {self.serving}):
            name = data.draw(st.sampled_from(others))
            self.roll_back(name, name)

    def roll_back(self, wanted: str | None, expected: str) -> None:
        assert versions.roll_back(self.folder, wanted).version == expected
        self.serving, self.documents = expected, self.kept[expected]
        self.reopen()

    @rule(keep=st.integers(1, 2))
    def prune(self, keep: int) -> None:
        stay = {*sorted(self.kept)[-keep:], self.serving}
        assert {each.name for each in versions.prune(self.folder, keep)} == set(self.kept) - stay
        self.kept = {name: each for name, each in self.kept.items() if name in stay}

    @rule()
    def reopen(self) -> None:
        self.close()
        self.index = KnowledgeIndex.open(self.folder, self.embedder)

    def ingest(self, passages: Sequence[Passage]) -> None:
        """Bring the index to hold these; what it says of the change, and what is left on disk, is as the model has it."""
        wanted: dict[str, Passage] = {}
        for each in passages:
            wanted.setdefault(each.id, each)
        old = {each.id for each in self.documents}
        changes = not self.serving or list(wanted.values()) != self.documents
        self.close()
        self.index = KnowledgeIndex.build(self.folder, passages, self.embedder)
        change = self.index.change
        assert change.switched == changes
        if changes:
            assert change.added == len(wanted.keys() - old)
            assert change.removed == len(old - wanted.keys())
            assert change.kept == len(old & wanted.keys())
            self.publish(list(wanted.values()))
        self.index.learn({"": 1.0, "en": 1.0, "zh": 1.0})

    def publish(self, documents: list[Passage]) -> None:
        self.newest += 1
        name = f"{self.newest:04d}"
        self.documents = self.kept[name] = documents
        stay = {*sorted(self.kept)[-versions.KEPT :], self.serving}
        self.kept = {one: each for one, each in self.kept.items() if one in stay}
        self.before[name], self.serving = self.serving, name

    # ---------------------------------------------------------------- what has to hold after each step

    def opened(self) -> KnowledgeIndex:
        assert self.index is not None
        return self.index

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        if self.serving:
            index = self.opened()
            assert list(index.passages.values()) == self.documents
            assert list(index.table.rows) == [each.id for each in self.documents]
            assert index.manifest.passages == len(self.documents) == len(index.table.passages)
            assert index.manifest.sentences == sum(map(len, index.table.texts)) == len(index.table.sentences)
            assert ["".join(texts).split() for texts in index.table.texts] == [
                "".join(index.sentences(each.id).texts).split() for each in self.documents
            ]
            assert set(index.nearest(index_vector(index), len(self.documents)).tolist()) == set(
                range(len(self.documents))
            )

    @invariant()
    def the_versions_on_disk_are_those_of_the_model(self) -> None:
        if self.serving:
            found = versions.listed(self.folder)
            assert {each.name for each in found} == set(self.kept)
            assert [each.name for each in found if each.serves] == [self.serving]
            passages = {each.name: each.manifest.passages for each in found if each.manifest is not None}
            assert passages == {name: len(each) for name, each in self.kept.items()}

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), k=st.integers(1, 20))
    def search(self, words: list[str], k: int) -> None:
        """A question under every filter."""
        index, question = self.opened(), " ".join(words)
        retriever, ids = ShopRetriever(index, self.embedder), list(index.passages)
        vector = self.embedder.embed_array([question], query=True)[0]
        for language, kind, today in itertools.product(("en", "zh", "fr"), (None, "policy", "product"), (None, *DAYS)):
            expected = self.scored(vector, allowed(self.documents, language, kind, today))
            filters: dict[str, Any] = {"language": language, "kind": kind, "today": today, "query_vector": vector}
            found = retriever.candidates(question, **filters)
            assert {ids[row] for row in found.rows} == set(expected)
            np.testing.assert_allclose(found.dense, [expected[ids[row]] for row in found.rows], atol=NEAR)
            assert found.share == (1 if expected else 0)
            best = retriever.search(question, k=k, **filters)
            assert_best([(each.passage, each.dense) for each in best], expected, self.documents, k)

    def scored(self, vector: np.ndarray, passages: Sequence[Passage]) -> Mapping[str, float]:
        """By id: mostly the cosine of its best sentence, the rest that of the whole passage."""
        table = self.opened().table
        scores: dict[str, float] = {}
        for each in passages:
            best = max(float(one @ vector) for one in self.opened().sentences(each.id).vectors)
            scores[each.id] = BEST_SENTENCE * best + (1 - BEST_SENTENCE) * float(
                table.passages[table.rows[each.id]] @ vector
            )
        return scores

    # ---------------------------------------------------------------- at the end

    def close(self) -> None:
        if self.index is not None:
            self.index.close()
            self.index = None

    def teardown(self) -> None:
        """What a series left equals an index that was made of the same passages at once."""
        try:
            if self.serving:
                fresh = Path(self.place.name) / "fresh"
                with (
                    KnowledgeIndex.open(self.folder, self.embedder) as grown,
                    KnowledgeIndex.build(fresh, self.documents, self.embedder) as anew,
                ):
                    assert list(grown.passages.values()) == list(anew.passages.values())
                    assert grown.manifest.content == anew.manifest.content
                    assert grown.table.texts == anew.table.texts
                    np.testing.assert_allclose(grown.table.passages, anew.table.passages, atol=NEAR)
                    np.testing.assert_allclose(grown.table.sentences, anew.table.sentences, atol=NEAR)
        finally:
            self.close()
            self.place.cleanup()


def index_vector(index: KnowledgeIndex) -> np.ndarray:
    """Any vector to ask for neighbours with."""
    return np.ones(index.manifest.dimension, dtype=np.float32)


def allowed(documents: Sequence[Passage], language: str, kind: str | None, today: date | None) -> list[Passage]:
    """Of the kind and valid on the day; in the language or in none, or, of a kind that has nothing in it, in any."""
    valid = [
        each
        for each in documents
        if kind in (None, each.kind)
        and (today is None or (each.valid_from or date.min) <= today <= (each.valid_until or date.max))
    ]
    spoken = {each.kind for each in valid if each.language in (language, "")}
    return [each for each in valid if each.language in (language, "") or each.kind not in spoken]


def assert_best(
    found: Sequence[tuple[Passage, float]], expected: Mapping[str, float], documents: Sequence[Passage], k: int
) -> None:
    """The `k` best, in order, as they are in the model; the worst of all candidates counts for nothing."""
    assert all(each in documents for each, _ in found)
    ids, scores = [each.id for each, _ in found], [score for _, score in found]
    assert len(set(ids)) == len(ids) <= k
    np.testing.assert_allclose(scores, [expected[one] for one in ids], atol=NEAR)
    assert all(first >= second - NEAR for first, second in zip(scores, scores[1:], strict=False))
    if len(ids) < k:  # all that are better than the worst
        least = min(expected.values(), default=0.0)
    else:
        least = min(scores)
    assert {one for one, score in expected.items() if score > least + NEAR} <= set(ids)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEmbedder:
    return small_embedder(tmp_path_factory.mktemp("models") / "small")


SETTINGS = settings(
    phases=[Phase.generate],  # a shorter series that fails as well takes minutes to find, and the first is short enough
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=12,
    stateful_step_count=16,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_any_series_of_changes_leaves_the_index_as_the_model_has_it(embedder: SentenceEmbedder) -> None:
    ended_with: list[int] = []

    class WithEmbedder(AnIndex):
        def __init__(self) -> None:
            super().__init__(embedder)

        def teardown(self) -> None:
            ended_with.append(len(self.documents))
            super().teardown()

    run_state_machine_as_test(WithEmbedder, settings=SETTINGS)
    assert len(ended_with) >= 10
    assert max(ended_with) >= 5

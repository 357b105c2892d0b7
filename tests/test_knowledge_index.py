"""The index on disk, with a real Chroma: build, open, change, refuse, and two who write; its search against numpy's."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.vectors import passage_text
from knowledge_corpus import corpus, passage, state
from shopbot.errors import IndexRefused, StoreError
from shopbot.types import Passage
from small_embedders import small_embedder, write_model

PASSAGES = corpus(40)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEmbedder:
    return small_embedder(tmp_path_factory.mktemp("models") / "small")


def build(folder: Path, passages: Sequence[Passage], embedder: SentenceEmbedder, **options: Any) -> KnowledgeIndex:
    """The index is closed already; its `change`, `manifest` and `version` can be read."""
    with KnowledgeIndex.build(folder, passages, embedder, **options) as index:
        return index


def served(folder: Path, embedder: SentenceEmbedder) -> list[Passage]:
    with KnowledgeIndex.open(folder, embedder) as index:
        return list(index.passages.values())


def files(folder: Path) -> Mapping[str, object]:
    """The state of every file but Chroma's database, where Chroma counts its openings."""
    return {name: each for name, each in state(folder).items() if not name.endswith("chroma.sqlite3")}


def serving(folder: Path) -> Path:
    version = versions.current(folder)
    assert version is not None
    return version


# ---------------------------------------------------------------- build and open


def test_what_was_built_is_served_whole(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    built = build(tmp_path, PASSAGES, embedder, created_at="2026-11-24T08:00:00")
    assert served(tmp_path, embedder) == PASSAGES
    manifest = built.manifest
    assert (manifest.version, manifest.passages, manifest.sentences) == ("0001", 40, 80)
    assert (manifest.embedder, manifest.dimension, manifest.created_at) == ("small", 48, "2026-11-24T08:00:00")
    change = built.change
    assert (change.added, change.removed, change.kept, change.switched) == (40, 0, 0, True)


def test_vectors_are_those_of_the_embedder_row_by_row(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    with KnowledgeIndex.build(tmp_path, PASSAGES, embedder) as index:
        np.testing.assert_allclose(
            index.table.passages, embedder.embed_array([passage_text(each) for each in PASSAGES]), atol=1e-6
        )
        for each in PASSAGES[:5]:
            sentences = index.sentences(each.id)
            assert " ".join(sentences.texts) == each.text
            expected = embedder.embed_array([f"{each.title}: {text}" for text in sentences.texts])
            np.testing.assert_allclose(sentences.vectors, expected, atol=1e-6)
            np.testing.assert_array_equal(index.table.sentences[sentences.rows], sentences.vectors)


def test_a_passage_given_twice_is_kept_once(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path, [*PASSAGES[:3], PASSAGES[0]], embedder)
    assert served(tmp_path, embedder) == PASSAGES[:3]


def test_an_empty_index_can_be_built_and_opened_and_finds_nothing(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    with KnowledgeIndex.build(tmp_path, [], embedder) as index:
        assert not index.passages
        assert index.nearest(np.ones(48, np.float32), 5).tolist() == []
        assert index.shares("refund", np.empty(0, dtype=np.intp)).tolist() == []


def test_progress_tells_each_stage_up_to_its_end(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    told: dict[str, tuple[int, int]] = {}
    build(tmp_path, PASSAGES, embedder, progress=lambda stage, done, total: told.update({stage: (done, total)}))
    assert list(told) == ["passages", "sentences", "writing"]
    assert all(done == total > 0 for done, total in told.values())


# ---------------------------------------------------------------- the second time


def test_opening_and_a_second_ingest_touch_no_file_and_encode_nothing(
    tmp_path: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, PASSAGES, embedder)
    before = files(tmp_path)
    encoded = count_texts(embedder, monkeypatch)
    again = build(tmp_path, PASSAGES, embedder)
    with KnowledgeIndex.open(tmp_path, embedder) as index:
        index.nearest(index.table.passages[0], 5)
    assert files(tmp_path) == before
    assert (again.change.added, again.change.removed, again.change.kept, again.change.switched) == (0, 0, 40, False)
    # The ingest and both openings encode one short passage of two sentences, to know the model by.
    assert len(encoded) == 3 * 3


def test_only_what_is_new_is_encoded(
    tmp_path: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, PASSAGES, embedder)
    encoded = count_texts(embedder, monkeypatch)
    new = passage("Brand new words. Said here.")
    change = build(tmp_path, [new, *PASSAGES[10:]], embedder).change
    assert (change.added, change.removed, change.kept) == (1, 10, 30)
    assert passage_text(new) in encoded
    assert len({passage_text(each) for each in PASSAGES} & set(encoded)) == 1, "only that by which the model is known"
    assert served(tmp_path, embedder) == [new, *PASSAGES[10:]]


def test_a_relative_folder_is_brought_up_to_date_like_any_other(
    tmp_path: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build(Path("index"), PASSAGES, embedder)
    build(Path("index"), PASSAGES[1:], embedder)
    assert served(Path("index"), embedder) == PASSAGES[1:]


def count_texts(embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on every text that is encoded is noted here."""
    noted: list[str] = []
    real = embedder._batches

    def noting(texts: list[str]) -> Any:
        noted.extend(texts)
        return real(texts)

    monkeypatch.setattr(embedder, "_batches", noting)
    return noted


def test_a_change_of_validity_alone_is_a_change(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path, PASSAGES, embedder)
    expired = [replace(PASSAGES[0], valid_until=PASSAGES[1].valid_from), *PASSAGES[1:]]
    expired[0] = replace(PASSAGES[0], language="fr")
    change = build(tmp_path, expired, embedder).change
    assert (change.added, change.removed, change.kept, change.switched) == (0, 0, 40, True)
    assert served(tmp_path, embedder) == expired


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sets(st.sampled_from(range(12))), min_size=1, max_size=3))
def test_after_any_series_of_ingests_the_index_equals_one_made_anew(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceEmbedder, series: list[set[int]]
) -> None:
    folder = tmp_path_factory.mktemp("index")
    for chosen in series:
        build(folder, [PASSAGES[number] for number in sorted(chosen)], embedder)
    wanted = [PASSAGES[number] for number in sorted(series[-1])]
    with (
        KnowledgeIndex.open(folder, embedder) as grown,
        KnowledgeIndex.build(folder / "anew", wanted, embedder) as anew,
    ):
        assert list(grown.passages.values()) == list(anew.passages.values()) == wanted
        assert grown.table.texts == anew.table.texts
        np.testing.assert_allclose(grown.table.passages, anew.table.passages, atol=1e-6)
        np.testing.assert_allclose(grown.table.sentences, anew.table.sentences, atol=1e-6)


# ---------------------------------------------------------------- versions


def test_an_open_version_goes_on_serving_after_a_switch(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    with KnowledgeIndex.build(tmp_path, PASSAGES, embedder) as old:
        build(tmp_path, PASSAGES[:5], embedder)
        rows = old.nearest(old.table.passages[30], 3)
        assert rows[0] == 30
        assert len(old.passages) == 40
    assert len(served(tmp_path, embedder)) == 5


def test_three_versions_are_kept_and_numbers_go_on(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    for count in range(1, 6):
        build(tmp_path, PASSAGES[:count], embedder)
    assert sorted(each.name for each in (tmp_path / "versions").iterdir()) == ["0003", "0004", "0005"]
    assert serving(tmp_path).name == "0005"


def test_an_older_version_serves_again_where_the_pointer_says_so(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path, PASSAGES[:3], embedder)
    build(tmp_path, PASSAGES[:7], embedder)
    versions.write_whole(tmp_path / "CURRENT", "0001")
    assert served(tmp_path, embedder) == PASSAGES[:3]


# ---------------------------------------------------------------- what is refused


def test_an_index_that_was_never_made_says_how_to_make_it(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    with pytest.raises(
        IndexRefused, match=f"no index in {tmp_path}.*python -m knowledge.ingest DOCS --index {tmp_path}"
    ):
        KnowledgeIndex.open(tmp_path, embedder)


@pytest.mark.parametrize("other", ["by its name", "by its prompts", "by its dimension", "by its vectors alone"])
def test_another_embedder_is_refused(tmp_path: Path, embedder: SentenceEmbedder, other: str) -> None:
    build(tmp_path / "index", PASSAGES, embedder)
    before = files(tmp_path / "index")
    another = {
        "by its name": lambda: small_embedder(tmp_path / "other"),
        "by its prompts": lambda: SentenceEmbedder(str(write_model(tmp_path / "small")), prompts=("q: ", "")),
        "by its dimension": lambda: small_embedder(tmp_path / "small", dimension=16),
        "by its vectors alone": lambda: small_embedder(tmp_path / "small", seed=1),
    }[other]()
    with pytest.raises(IndexRefused, match="not by|is not the one that made"):
        KnowledgeIndex.open(tmp_path / "index", another)
    assert files(tmp_path / "index") == before
    assert len(served(tmp_path / "index", embedder)) == 40


def test_an_ingest_with_another_embedder_encodes_everything_anew(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path / "index", PASSAGES, embedder)
    another = small_embedder(tmp_path / "small", seed=1)
    with KnowledgeIndex.build(tmp_path / "index", PASSAGES, another) as index:
        assert index.change.switched
        np.testing.assert_allclose(
            index.table.passages, another.embed_array([passage_text(each) for each in PASSAGES]), atol=1e-6
        )


@pytest.mark.parametrize(
    "part",
    [
        "vectors.npy", "sentences.npy", "sentences.json", "manifest.json", "chroma/chroma.sqlite3",
        "passages.jsonl", "words.npz", "words.json", "sentence_words.npz",
    ],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_damaged_version_is_refused_and_the_next_ingest_heals_it(
    tmp_path: Path, embedder: SentenceEmbedder, part: str, damage: str
) -> None:
    build(tmp_path, PASSAGES[:6], embedder)
    file = serving(tmp_path) / part
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(IndexRefused, match="Make it again: "):
        KnowledgeIndex.open(tmp_path, embedder)
    build(tmp_path, PASSAGES[:6], embedder)
    assert served(tmp_path, embedder) == PASSAGES[:6]


def test_a_version_of_another_format_is_refused(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path, PASSAGES[:3], embedder)
    path = serving(tmp_path) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 999, "new_field": 1}))
    with pytest.raises(IndexRefused, match="is of format 999, this program reads"):
        KnowledgeIndex.open(tmp_path, embedder)


def test_parts_of_two_versions_are_not_served_together(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    build(tmp_path, PASSAGES[:6], embedder)
    build(tmp_path, PASSAGES[3:9], embedder)
    for part in ("vectors.npy", "sentences.npy", "sentences.json"):
        shutil.copy(tmp_path / "versions" / "0001" / part, serving(tmp_path) / part)
    with pytest.raises(IndexRefused, match="different passages"):
        KnowledgeIndex.open(tmp_path, embedder)


# ---------------------------------------------------------------- two who write


def test_a_second_writer_is_refused_and_the_first_is_not_disturbed(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    refused: list[str] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            with pytest.raises(StoreError) as caught:
                KnowledgeIndex.build(tmp_path, PASSAGES[:1], embedder)
            refused.append(str(caught.value))

    build(tmp_path, PASSAGES, embedder, progress=meanwhile)
    assert refused == [f"another process is writing to {tmp_path}; wait until it has finished, then try again"]
    assert served(tmp_path, embedder) == PASSAGES


def test_of_threads_that_write_at_once_each_is_served_or_refused(tmp_path: Path, embedder: SentenceEmbedder) -> None:
    wanted = [PASSAGES[:4], PASSAGES[4:9], PASSAGES[9:15]]
    done: list[list[Passage]] = []
    refused: list[StoreError] = []
    start = threading.Barrier(len(wanted))

    def write(passages: list[Passage]) -> None:
        start.wait()
        try:
            build(tmp_path, passages, embedder)
            done.append(passages)
        except StoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(passages,)) for passages in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert len(done) + len(refused) == len(wanted)
    assert all("another process is writing" in str(error) for error in refused)
    assert served(tmp_path, embedder) in done


# ---------------------------------------------------------------- search against exact search


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_the_graph_finds_what_exact_search_finds(
    searched: tuple[KnowledgeIndex, SentenceEmbedder], seed: int, count: int
) -> None:
    index, embedder = searched
    vector = embedder.embed_array([corpus(1, seed)[0].text])[0]
    cosines = index.table.passages @ vector
    exact = np.argsort(-cosines, kind="stable")[:count]
    found = index.nearest(vector, count)
    assert len(set(found.tolist())) == count
    assert (np.diff(cosines[found]) <= 1e-5).all()
    assert len(np.intersect1d(exact, found)) / count >= 0.9


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceEmbedder
) -> Iterator[tuple[KnowledgeIndex, SentenceEmbedder]]:
    with KnowledgeIndex.build(tmp_path_factory.mktemp("searched"), corpus(400, seed=9), embedder) as index:
        yield index, embedder


def test_every_passage_is_nearest_to_itself(searched: tuple[KnowledgeIndex, SentenceEmbedder]) -> None:
    index, _ = searched
    first = [int(index.nearest(vector, 1)[0]) for vector in index.table.passages[::10]]
    assert first == list(range(0, 400, 10))


def test_more_are_asked_for_than_there_are(searched: tuple[KnowledgeIndex, SentenceEmbedder]) -> None:
    index, _ = searched
    assert len(index.nearest(index.table.passages[0], 1000)) == 400
    assert len(index.nearest(index.table.passages[0], 0)) == 0

"""Vectors of examples: encoded once, kept in a file, encoded again only where they are new or the file is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge import SentenceEmbedder, stored_vectors


class Counting(SentenceEmbedder):
    """The real embedder; `encoded` holds what it was given."""

    def __init__(self) -> None:
        super().__init__(precision="float32")
        self.encoded: list[str] = []

    def embed_array(self, texts: Sequence[str], query: bool = False, progress: Any = None) -> Any:
        self.encoded.extend(texts)
        return super().embed_array(texts, query, progress)


@pytest.fixture(scope="module")
def model() -> Counting:
    return Counting()


@pytest.fixture
def embedder(model: Counting) -> Counting:
    model.encoded.clear()
    return model


def test_only_new_texts_are_encoded(tmp_path: Path, embedder: Counting) -> None:
    told: list[tuple[int, int]] = []
    first = stored_vectors(tmp_path, ["one", "two", "one"], embedder, lambda done, total: told.append((done, total)))
    assert embedder.encoded == ["one", "two"]
    assert told == [(2, 2)]
    again = stored_vectors(tmp_path, ["three", "two", "one"], embedder)
    assert embedder.encoded == ["one", "two", "three"]
    assert np.array_equal(again[2], first[0])
    assert np.array_equal(again[1], first[1])
    assert np.allclose(again, embedder.embed_array(["three", "two", "one"], query=True), atol=1e-5)


def test_what_no_one_asks_for_is_dropped(tmp_path: Path, embedder: Counting) -> None:
    stored_vectors(tmp_path, ["one", "two"], embedder)
    stored_vectors(tmp_path, ["two", "three"], embedder)
    embedder.encoded.clear()
    stored_vectors(tmp_path, ["one"], embedder)
    assert embedder.encoded == ["one"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"nothing of ours"])
def test_a_damaged_file_is_made_again(tmp_path: Path, embedder: Counting, damage: bytes) -> None:
    whole = stored_vectors(tmp_path, ["one", "two"], embedder)
    [file] = tmp_path.iterdir()
    file.write_bytes(damage)
    assert np.array_equal(stored_vectors(tmp_path, ["one", "two"], embedder), whole)
    embedder.encoded.clear()
    stored_vectors(tmp_path, ["one", "two"], embedder)
    assert embedder.encoded == []


def test_another_embedder_does_not_take_these(tmp_path: Path, embedder: Counting) -> None:
    stored_vectors(tmp_path, ["one"], embedder)
    other = Counting()
    other.name = "another/model"
    stored_vectors(tmp_path, ["one"], other)
    assert other.encoded == ["one"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_costs_only_the_next_start(
    tmp_path: Path, embedder: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    vectors = stored_vectors(tmp_path / "file", ["one"], embedder)
    assert vectors.shape == (1, embedder.dimension)
    assert "could not be written" in caplog.text


def test_no_texts_no_vectors(tmp_path: Path, embedder: Counting) -> None:
    assert stored_vectors(tmp_path, [], embedder).shape == (0, embedder.dimension)


def test_long_and_short_texts_of_many_batches_come_back_in_their_order(embedder: Counting) -> None:
    texts = [f"{'帐篷' * (place % 40)} tent {place}" for place in range(150)]
    together = embedder.embed_array(texts)
    alone = np.array([embedder.embed_array([text])[0] for text in texts[::15]])
    assert np.allclose(together[::15], alone, atol=1e-5)

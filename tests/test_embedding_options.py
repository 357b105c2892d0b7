"""int8, several processes and the cache of vectors: with the real MiniLM, against what one float32 process computes."""

from __future__ import annotations

import builtins
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from knowledge import onnx_encoder, worker_processes
from knowledge.embed import MINILM, SentenceEmbedder, Spans
from knowledge.index import KnowledgeIndex
from knowledge.ingest import app
from knowledge.vector_cache import Encoded, VectorCache, fingerprint
from shopbot.errors import ModelError, UsageError
from shopbot.weights import resolve
from small_embedders import small_embedder, write_model

TEXTS = [f"{'word ' * (place % 7)}A parcel arrives in {place} days. 退款多久到账？" for place in range(60)]
PARTS = [[[(0, 20)], [(20, len(text))]][: place % 3] for place, text in enumerate(TEXTS)]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def minilm() -> SentenceEmbedder:
    return SentenceEmbedder(precision="float32")


@pytest.fixture(scope="module")
def expected(minilm: SentenceEmbedder) -> Pair:
    return minilm.embed_parts(TEXTS, PARTS)


def same(found: Pair, expected: Pair, atol: float = 2e-5) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


# ---------------------------------------------------------------- int8


@pytest.fixture(scope="module")
def int8() -> SentenceEmbedder:
    return SentenceEmbedder(precision="int8")


def test_int8_gives_nearly_the_same_vectors_of_texts_and_parts(int8: SentenceEmbedder, expected: Pair) -> None:
    for found, right in zip(int8.embed_parts(TEXTS, PARTS), expected, strict=True):
        assert found.dtype == np.float32
        assert (found * right).sum(axis=1).min() > 0.97
    assert (int8.precision, int8.dimension) == ("int8", 384)


def test_int8_in_any_batch_and_with_one_text(int8: SentenceEmbedder) -> None:
    together, alone = int8.embed_array(TEXTS[:8]), [int8.embed_array([text])[0] for text in TEXTS[:8]]
    assert (together * alone).sum(axis=1).min() > 0.98  # activations are rounded over the whole batch
    assert int8.embed_array(["a " * 1000]).shape == (1, 384)


def test_the_file_is_made_once_and_a_damaged_one_anew(tmp_path: Path, expected: Pair) -> None:
    def made() -> NDArray[np.float32]:
        embedder = SentenceEmbedder(precision="float32")
        onnx_encoder.use_int8(embedder._model, embedder.folder, tmp_path)
        return embedder.embed_array(TEXTS[:3])

    first = made()
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    np.testing.assert_array_equal(made(), first)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(file.read_bytes()[:5000])
    np.testing.assert_allclose(made(), first, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert (first * expected[0][:3]).sum(axis=1).min() > 0.97


def test_int8_is_refused_for_a_model_without_a_transformer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="take float32"):
        SentenceEmbedder(str(write_model(tmp_path / "static")), precision="int8")


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_without_its_packages_int8_says_what_to_install(
    package: str, minilm: SentenceEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == package or (package == "onnx" and name.startswith("onnxruntime.quantization")):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelError, match=r"pip install 'shopbot\[onnx\]'"):
        onnx_encoder.use_int8(minilm._model, minilm.folder, tmp_path)


# ---------------------------------------------------------------- several processes


def test_processes_give_the_same_rows_in_order(expected: Pair) -> None:
    several = SentenceEmbedder(precision="float32", batch_size=3, processes=2)
    told: list[tuple[int, int]] = []
    same(several.embed_parts(TEXTS, PARTS, lambda done, total: told.append((done, total))), expected)
    assert told[0] == (0, 60) and told[-1] == (60, 60)
    assert len(told) > 5 and told == sorted(told)
    np.testing.assert_allclose(several.embed_array(TEXTS[:2]), expected[0][:2], atol=2e-5)  # too few to start any


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_embedder(tmp_path / "small")
    small.batch_size, small.processes = 2, 2
    monkeypatch.setattr(worker_processes, "_start", killed)
    with pytest.raises(ModelError, match="Take fewer processes"):
        small.embed_parts(TEXTS, PARTS)


# ---------------------------------------------------------------- the cache


class Counted:
    """Encodes as the embedder does and counts the texts; `stop` cuts it off after so many batches."""

    def __init__(self, embedder: SentenceEmbedder, stop: int = 10**6) -> None:
        self.embedder, self.texts, self.stop = embedder, 0, stop

    def __call__(self, texts: Sequence[str], parts: Sequence[Sequence[Spans]]) -> Iterator[Encoded]:
        for number, found in enumerate(self.embedder.encode_here(texts, parts)):
            if number == self.stop:
                raise KeyboardInterrupt
            self.texts += len(found[0])
            yield found


def through(cache: VectorCache, encode: Counted, texts: Sequence[str] = TEXTS, parts: Any = PARTS) -> Pair:
    found = {
        row: (vector, inner)
        for rows, vectors, of in cache.through(texts, parts, encode)
        for row, vector, inner in zip(rows, vectors, of, strict=True)
    }
    ordered = [found[row] for row in range(len(texts))]
    return np.stack([one for one, _ in ordered]), np.concatenate([inner for _, inner in ordered])


@pytest.fixture
def small(tmp_path: Path) -> SentenceEmbedder:
    embedder = small_embedder(tmp_path / "small")
    embedder.batch_size = 8
    return embedder


def test_what_was_encoded_once_is_read(tmp_path: Path, expected: Pair) -> None:
    for _ in range(2):
        same(SentenceEmbedder(precision="float32", cache=tmp_path).embed_parts(TEXTS, PARTS), expected)
    again = SentenceEmbedder(precision="float32", cache=tmp_path)
    again._batches = lambda texts: pytest.fail("a text was encoded again")  # pyright: ignore[reportAttributeAccessIssue]
    same(again.embed_parts(TEXTS, PARTS), expected, atol=2e-5)


@pytest.mark.parametrize(
    "other", [("other kind", TEXTS, PARTS), ("kind", [f"{text}!" for text in TEXTS], PARTS), ("kind", TEXTS, [()] * 60)]
)
def test_another_model_text_or_part_is_another_entry(other: Any, small: SentenceEmbedder, tmp_path: Path) -> None:
    through(VectorCache(tmp_path, "kind", 48), Counted(small))
    counted = Counted(small)
    through(VectorCache(tmp_path, other[0], 48), counted, *other[1:])
    assert counted.texts >= 40


def test_a_killed_ingest_goes_on_where_it_was(small: SentenceEmbedder, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        through(VectorCache(tmp_path, "kind", 48), Counted(small, stop=5))
    counted = Counted(small)
    same(through(VectorCache(tmp_path, "kind", 48), counted), small.embed_parts(TEXTS, PARTS), atol=1e-6)
    assert counted.texts == 60 - 5 * 8


@pytest.mark.parametrize("damage", ["no database", "cut off", "bits"])
def test_a_damaged_file_costs_time_and_nothing_else(damage: str, small: SentenceEmbedder, tmp_path: Path) -> None:
    cache, right = VectorCache(tmp_path, "kind", 48), small.embed_parts(TEXTS, PARTS)
    through(cache, Counted(small))
    whole = cache.path.read_bytes()
    middle = len(whole) // 2
    damaged = {
        "no database": b"no database at all" * 300,
        "cut off": whole[:middle],
        "bits": whole[: middle - 2000] + bytes(byte ^ 8 for byte in whole[middle - 2000 : middle]) + whole[middle:],
    }
    cache.path.write_bytes(damaged[damage])
    for _ in range(3):
        same(through(cache, Counted(small)), right, atol=1e-6)
    counted = Counted(small)
    through(cache, counted)
    assert counted.texts == 0, "it was made anew"


def test_a_locked_or_unwritable_file_is_gone_without(small: SentenceEmbedder, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    counted = Counted(small)
    same(through(VectorCache(tmp_path / "a file", "kind", 48), counted), small.embed_parts(TEXTS, PARTS), atol=1e-6)
    assert counted.texts == 60


def test_two_at_once_share_the_file(small: SentenceEmbedder, tmp_path: Path) -> None:
    right = small.embed_parts(TEXTS, PARTS)
    found: list[Pair] = []
    work = [threading.Thread(target=lambda: found.append(through(VectorCache(tmp_path, "kind", 48), Counted(small))))]
    work += [threading.Thread(target=lambda: found.append(through(VectorCache(tmp_path, "kind", 48), Counted(small))))]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(found) == 2
    for each in found:
        same(each, right, atol=1e-6)
    with sqlite3.connect(tmp_path / "vectors-1.sqlite3") as file:
        assert file.execute("SELECT count(*) FROM vectors").fetchone() == (60,)


def test_what_was_not_used_for_longest_goes_first(small: SentenceEmbedder, tmp_path: Path) -> None:
    def used(texts: Sequence[str]) -> int:
        counted = Counted(small)
        through(VectorCache(tmp_path, "kind", 48, most_bytes=400_000), counted, texts, [()] * len(texts))
        return counted.texts

    often = [f"often {number}" for number in range(100)]
    assert used(often) == 100
    for turn in range(12):
        used([f"once {turn} {number}" for number in range(300)])
        assert used(often) == 0
    assert used([f"once 0 {number}" for number in range(300)]) == 300
    assert (tmp_path / "vectors-1.sqlite3").stat().st_size < 900_000


def test_a_model_is_known_by_its_files(tmp_path: Path) -> None:
    one, other = write_model(tmp_path / "a" / "model"), write_model(tmp_path / "b" / "model", seed=1)
    assert fingerprint(one) == fingerprint(write_model(tmp_path / "c" / "model"))
    assert fingerprint(one) != fingerprint(other) != fingerprint(resolve(MINILM).path)


# ---------------------------------------------------------------- from a shell


def test_the_options_of_ingest(tmp_path: Path) -> None:
    (tmp_path / "terms.md").write_text("# Returns\n\nWithin 30 days. Sale items stay sold.\n")

    def run(index: str, *more: str) -> str:
        place = [str(tmp_path / "terms.md"), "--index", str(tmp_path / index), "--cache", str(tmp_path / "cache")]
        done = CliRunner().invoke(app, [*place, *more])
        assert done.exit_code == 0, done.output
        return done.stdout

    for index, precision in (("one", "int8"), ("two", "float32")):
        assert run(index, "--precision", precision, "--processes", "2").startswith("Version 0001 serves 1 passages")
    with KnowledgeIndex.open(tmp_path / "one", SentenceEmbedder()) as index:
        assert len(index.passages) == 1  # an index made in int8 serves in any precision
    with sqlite3.connect(tmp_path / "cache" / "vectors-1.sqlite3") as file:
        assert file.execute("SELECT count(*) FROM vectors").fetchone() == (2,)
    refused = CliRunner().invoke(app, [str(tmp_path), "--index", str(tmp_path / "x"), "--precision", "int4"])
    assert refused.exit_code == 2

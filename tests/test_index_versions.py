"""The versions of an index folder, real ones: listed, rolled back to, pruned, and what an ingest does afterwards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import processes
from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex, content_hash
from knowledge.versions import Manifest
from knowledge_corpus import corpus, state
from shopbot.errors import IndexRefused, ShopbotError, StoreError, UsageError
from shopbot.types import Passage
from small_embedders import small_embedder

PASSAGES = corpus(8)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEmbedder:
    return small_embedder(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, embedder: SentenceEmbedder) -> Path:
    """An index with versions of one, two and three passages."""
    folder = tmp_path_factory.mktemp("three")
    for count in (1, 2, 3):
        build(folder, count, embedder)
    return folder


@pytest.fixture
def index(three: Path, tmp_path: Path) -> Path:
    """A copy of the three, to change."""
    return Path(shutil.copytree(three, tmp_path / "index"))


def build(folder: Path, count: int, embedder: SentenceEmbedder) -> str:
    """The name of the version that serves the first `count` passages."""
    with KnowledgeIndex.build(folder, PASSAGES[:count], embedder) as made:
        return made.version.name


def served(folder: Path, embedder: SentenceEmbedder) -> list[Passage]:
    with KnowledgeIndex.open(folder, embedder) as opened:
        return list(opened.passages.values())


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "versions").iterdir())


def is_held(folder: Path, count: int) -> bool:
    try:
        versions.check_hold(folder, content_hash(PASSAGES[:count]))
    except StoreError as error:
        assert "serves since a rollback" in str(error)
        return True
    return False


# ---------------------------------------------------------------- list


def test_what_is_listed_is_what_is_there(index: Path, embedder: SentenceEmbedder) -> None:
    with KnowledgeIndex.open(index, embedder) as opened:
        opened.learn({"en": 0.8})
    found = versions.listed(index)
    assert [(each.name, each.serves, each.pinned, each.fault) for each in found] == [
        ("0003", True, False, ""),
        ("0002", False, False, ""),
        ("0001", False, False, ""),
    ]
    manifests = [each.manifest for each in found if each.manifest is not None]
    assert [each.passages for each in manifests] == [3, 2, 1]
    assert [dict(each.weights) for each in manifests] == [{"en": 0.8}, {}, {}]
    assert [each.follows for each in manifests] == ["0002", "0001", ""]
    files = [file for file in (index / "versions" / "0003").rglob("*") if file.is_file()]
    assert found[0].size == sum(file.stat().st_size for file in files) > 10_000
    age = datetime.now(UTC) - datetime.fromisoformat(found[0].written_at)
    assert 0 <= age.total_seconds() < 600


def test_a_version_without_a_time_is_as_old_as_its_oldest_file(index: Path) -> None:
    """Those that were written before the manifest named one; a file that is touched by reading does not count."""
    path = index / "versions" / "0001"
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "created_at": ""}))
    os.utime(path / "vectors.npy", (0, 86_400))
    assert versions.listed(index)[-1].written_at == "1970-01-02T00:00:00+00:00"


def test_damaged_and_unfinished_versions_are_listed_with_their_fault(index: Path) -> None:
    (index / "versions" / "0002" / "manifest.json").write_text("{")
    (index / "versions" / "0004").mkdir()
    (index / "versions" / "0001.bak").mkdir()
    found = {each.name: each for each in versions.listed(index)}
    assert list(found) == ["0004", "0003", "0002", "0001"]
    assert "half there" in found["0004"].fault
    assert "cannot be read" in found["0002"].fault
    assert found["0002"].manifest is found["0004"].manifest is None


def test_a_pointer_that_leads_nowhere_hides_no_version(index: Path) -> None:
    (index / "CURRENT").write_text("0009")
    assert [each.serves for each in versions.listed(index)] == [False] * 3


def test_an_older_manifest_without_the_new_field_is_read(index: Path, embedder: SentenceEmbedder) -> None:
    path = index / "versions" / "0003" / "manifest.json"
    stored = json.loads(path.read_text())
    del stored["follows"]
    path.write_text(json.dumps(stored))
    assert served(index, embedder) == PASSAGES[:3]
    assert versions.roll_back(index).version == "0002"


# ---------------------------------------------------------------- roll back


def test_the_version_before_serves_again_and_again(index: Path, embedder: SentenceEmbedder) -> None:
    for version, count in (("0002", 2), ("0001", 1)):
        assert versions.roll_back(index).version == version
        assert served(index, embedder) == PASSAGES[:count]
    with pytest.raises(UsageError, match="no whole version before 0001"):
        versions.roll_back(index)
    assert served(index, embedder) == PASSAGES[:1]


@pytest.mark.parametrize("named", ["0001", "1"])
def test_a_named_version_serves_again(index: Path, embedder: SentenceEmbedder, named: str) -> None:
    assert versions.roll_back(index, named).passages == 1
    assert served(index, embedder) == PASSAGES[:1]


def test_forward_again_ends_the_hold(index: Path, embedder: SentenceEmbedder) -> None:
    versions.roll_back(index, "0001")
    assert is_held(index, 3)
    assert [each.pinned for each in versions.listed(index)] == [False, False, True]
    assert versions.roll_back(index, "0003").passages == 3
    assert served(index, embedder) == PASSAGES[:3]
    assert not any(is_held(index, count) for count in (1, 2, 3))
    assert not any(each.pinned for each in versions.listed(index))


@pytest.mark.parametrize(
    ("version", "said"),
    [("0009", "no version '0009' in .*; there are 0003, 0002, 0001"), ("../x", "no version"), ("3", "serves already")],
)
def test_a_wrong_version_changes_nothing(index: Path, version: str, said: str) -> None:
    before = state(index)
    with pytest.raises(UsageError, match=said):
        versions.roll_back(index, version)
    assert {name: each for name, each in state(index).items() if name != "WRITER"} == {
        name: each for name, each in before.items() if name != "WRITER"
    }


def test_a_damaged_version_is_not_gone_back_to(index: Path, embedder: SentenceEmbedder) -> None:
    (index / "versions" / "0002" / "manifest.json").write_text("{")
    with pytest.raises(IndexRefused, match="cannot be read"):
        versions.roll_back(index, "0002")
    assert served(index, embedder) == PASSAGES[:3]
    assert versions.roll_back(index).version == "0001"


def test_a_check_may_refuse_before_anything_changes(index: Path, embedder: SentenceEmbedder) -> None:
    def refuse(path: Path, manifest: Manifest) -> None:
        raise UsageError(f"not {path.name} with {manifest.passages}")

    with pytest.raises(UsageError, match="not 0002 with 2"):
        versions.roll_back(index, check=refuse)
    assert served(index, embedder) == PASSAGES[:3]
    assert not (index / "PINNED").exists()


@pytest.mark.parametrize("damage", ["leads nowhere", "is gone", "manifest cut"])
def test_where_nothing_can_serve_the_newest_whole_version_is_gone_back_to(
    index: Path, embedder: SentenceEmbedder, damage: str
) -> None:
    if damage == "manifest cut":
        (index / "versions" / "0003" / "manifest.json").write_text("{")
    elif damage == "is gone":
        (index / "CURRENT").unlink()
    else:
        (index / "CURRENT").write_text("0009")
    expected = "0002" if damage == "manifest cut" else "0003"
    assert versions.roll_back(index).version == expected
    assert len(served(index, embedder)) == int(expected)


@pytest.mark.parametrize("call", [versions.listed, versions.roll_back, lambda folder: versions.prune(folder, 1)])
def test_where_there_is_no_index_none_is_made(tmp_path: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(IndexRefused, match="there is no index in"):
        call(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what an ingest does afterwards


def test_only_what_was_rolled_back_from_is_held(index: Path) -> None:
    versions.roll_back(index, documents=content_hash(PASSAGES[:5]))
    # 3: the newest version; 5: the documents as they were, not ingested yet; 2 serves; the others are a change.
    assert [is_held(index, count) for count in (1, 2, 3, 4, 5)] == [False, False, True, False, True]
    versions.roll_back(index)
    assert [is_held(index, count) for count in (1, 2, 3, 4, 5)] == [False, False, True, False, False]
    versions.check_hold(index, content_hash(PASSAGES[:3]), lift=True)
    assert not is_held(index, 3)


def test_the_next_ingest_gets_a_new_number_and_keeps_what_served(index: Path, embedder: SentenceEmbedder) -> None:
    versions.roll_back(index, "0001")
    assert build(index, 4, embedder) == "0004"
    assert names(index) == ["0001", "0002", "0003", "0004"]  # 0001 served until now: where a rollback goes
    assert not (index / "PINNED").exists()
    assert versions.roll_back(index).version == "0001"
    assert is_held(index, 4)
    assert build(index, 5, embedder) == "0005"
    assert names(index) == ["0001", "0003", "0004", "0005"]
    assert build(index, 6, embedder) == "0006"
    assert names(index) == ["0004", "0005", "0006"]


def test_a_killed_rollback_leaves_the_old_state_or_the_new(index: Path, embedder: SentenceEmbedder) -> None:
    """At each step of it, with an earlier hold in place: what served is still held, or what serves now is."""
    versions.roll_back(index)
    seen: set[str] = set()
    for step in range(1, 4):
        folder = Path(shutil.copytree(index, index.with_name(f"killed-{step}")))
        assert processes.run(die_at_replace, folder, step) == (-9 if step < 3 else 0)
        served_now = (folder / "CURRENT").read_text()
        seen.add(served_now)
        assert len(served(folder, embedder)) == int(served_now)
        assert is_held(folder, 3)
    assert seen == {"0001", "0002"}


def die_at_replace(folder: Path, step: int) -> None:
    """Roll back; SIGKILL before the n-th file takes its name."""
    left = iter(range(step - 1, -1, -1))
    real = Path.replace

    def replace(self: Path, target: Any) -> Path:
        if next(left) == 0:
            os.kill(os.getpid(), 9)
        return real(self, target)

    Path.replace = replace
    versions.roll_back(folder)


def test_an_error_after_the_switch_removes_nothing_that_serves(
    index: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = versions.write_whole

    def failing(path: Path, text: str) -> None:
        real(path, text)
        if path.name == "CURRENT":
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(versions, "write_whole", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        build(index, 4, embedder)
    assert served(index, embedder) == PASSAGES[:4]


# ---------------------------------------------------------------- prune


@pytest.mark.parametrize(("keep", "left"), [(1, ["0003"]), (2, ["0002", "0003"]), (9, ["0001", "0002", "0003"])])
def test_the_newest_stay(index: Path, embedder: SentenceEmbedder, keep: int, left: list[str]) -> None:
    sizes = {each.name: each.size for each in versions.listed(index)}
    gone = versions.prune(index, keep)
    assert names(index) == left
    assert {each.name: each.size for each in gone} == {name: sizes[name] for name in sizes if name not in left}
    assert served(index, embedder) == PASSAGES[:3]
    assert versions.prune(index, keep) == []


def test_the_serving_version_stays_and_the_number_goes_on(index: Path, embedder: SentenceEmbedder) -> None:
    versions.roll_back(index, "0001")
    assert [each.name for each in versions.prune(index, 1)] == ["0002"]
    assert served(index, embedder) == PASSAGES[:1]
    assert is_held(index, 3)
    assert build(index, 5, embedder) == "0004"


def test_what_is_damaged_counts_for_nothing_and_goes(index: Path) -> None:
    (index / "versions" / "0002" / "manifest.json").write_text("{")
    (index / "versions" / "0004").mkdir()
    (index / "versions" / "mine").mkdir()
    assert [each.name for each in versions.prune(index, 2)] == ["0004", "0002"]
    assert names(index) == ["0001", "0003", "mine"]


def test_where_nobody_can_say_what_serves_nothing_is_removed(index: Path) -> None:
    (index / "CURRENT").write_text("0009")
    with pytest.raises(IndexRefused):
        versions.prune(index, 1)
    with pytest.raises(UsageError, match="at least one"):
        versions.prune(index, 0)
    assert len(names(index)) == 3


def test_ten_thousand_versions_on_the_newest_is_still_the_newest(index: Path, embedder: SentenceEmbedder) -> None:
    (index / "versions" / "0003").rename(index / "versions" / "9999")
    (index / "CURRENT").write_text("9999")
    assert build(index, 4, embedder) == "10000"
    assert build(index, 5, embedder) == "10001"
    assert served(index, embedder) == PASSAGES[:5]
    assert versions.roll_back(index).version == "10000"


# ---------------------------------------------------------------- two who write


def test_another_process_that_writes_is_not_disturbed(index: Path, embedder: SentenceEmbedder) -> None:
    with versions.writer(index):
        assert processes.run(try_both, index) == 0
    assert served(index, embedder) == PASSAGES[:3]
    assert len(names(index)) == 3
    assert not (index / "PINNED").exists()


def try_both(folder: Path) -> None:
    """In a process of its own."""
    calls: tuple[Callable[[], object], ...] = (lambda: versions.roll_back(folder), lambda: versions.prune(folder, 1))
    for call in calls:
        with pytest.raises(ShopbotError, match="another process is writing"):
            call()

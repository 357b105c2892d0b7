"""`python -m knowledge.ingest` from a shell: help, progress, a second run, wrong paths, documents left out, kill -9."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.ingest import IngestBars, app
from knowledge_corpus import corpus, state
from small_embedders import write_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nWithin 30 days.\n\n## Sale\n\nSale items stay sold.\n")
    (folder / "delivery.html").write_text("<title>Delivery</title><p>Three days. Free from £40.")
    return folder


def ingest(docs: Path, index: Path, model: Path, *more: str) -> Result:
    return CliRunner().invoke(app, [str(docs), "--index", str(index), "--embedder", str(model), *more])


def served(index: Path, model: Path) -> dict[str, str]:
    with KnowledgeIndex.open(index, SentenceEmbedder(str(model))) as opened:
        return {passage.title: passage.text for passage in opened.passages.values()}


def test_help_teaches_from_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "knowledge.ingest", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = " ".join(re.sub("[^\x20-\x7e]", " ", done.stdout).split())
    assert "Bring the index to hold exactly these documents" in shown
    for word in ("{docs}...", "--index", "--embedder", ".md, .html, .pdf with text, .txt", "Exit 0"):
        assert word in shown
    assert done.stderr == ""


def test_documents_go_in_and_a_line_says_what_was_done(docs: Path, tmp_path: Path, model: Path) -> None:
    done = ingest(docs, tmp_path / "index", model)
    assert done.exit_code == 0
    assert re.fullmatch(
        r"Version 0001 serves 3 passages, 4 sentences: 3 added, 0 removed, 0 kept \(\d+\.\d s\)\.\n", done.stdout
    )
    assert served(tmp_path / "index", model) == {
        "Returns": "Within 30 days.", "Returns > Sale": "Sale items stay sold.", "Delivery": "Three days. Free from £40.",
    }  # fmt: skip


def test_a_bar_for_each_stage_shows_rate_and_end_on_a_terminal() -> None:
    shown = io.StringIO()
    with IngestBars(Console(file=shown, force_terminal=True, width=100)) as bars:
        assert shown.getvalue() == ""
        for done in (0, 50, 100):
            bars.update("passages", done, 100)
        bars.update("writing", 7, 7)
    assert re.search(r"passages.*100/100.*/s", shown.getvalue())
    assert re.search(r"writing.*7/7", shown.getvalue())


def test_a_second_run_changes_nothing_and_a_changed_document_only_itself(
    docs: Path, tmp_path: Path, model: Path
) -> None:
    index = tmp_path / "index"
    ingest(docs, index, model)
    before = state(index)
    again = ingest(docs, index, model)
    assert again.exit_code == 0
    assert again.stdout == "Nothing changed: version 0001 still serves 3 passages.\n"
    changed = {name for name, each in state(index).items() if before.get(name) != each}
    assert {Path(name).name for name in changed} <= {"chroma.sqlite3"}  # where Chroma counts its openings

    (docs / "delivery.html").write_text("<title>Delivery</title><p>Five days.")
    third = ingest(docs, index, model)
    assert third.stdout.startswith("Version 0002 serves 3 passages, 3 sentences: 1 added, 1 removed, 2 kept (")


def test_sources_are_named_from_the_working_folder_or_the_shared_one(docs: Path, tmp_path: Path, model: Path) -> None:
    ingest(docs, tmp_path / "index", model)
    with KnowledgeIndex.open(tmp_path / "index", SentenceEmbedder(str(model))) as index:
        assert {passage.source for passage in index.passages.values()} == {"returns.md", "delivery.html"}


# ---------------------------------------------------------------- what goes wrong


def test_a_path_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path, model: Path) -> None:
    done = ingest(tmp_path / "nowhere", tmp_path / "index", model)
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
    assert not (tmp_path / "index").exists()


def test_a_document_left_out_is_named_and_the_rest_goes_in(docs: Path, tmp_path: Path, model: Path) -> None:
    (docs / "bad.md").write_text("---\nvalid_from: soon\n---\n\nText.")
    done = ingest(docs, tmp_path / "index", model)
    assert done.exit_code == 2
    assert "bad.md:2: valid_from is not a date: 'soon'; write it as 2026-11-30\n" in done.stderr
    assert "serves 3 passages" in done.stdout


def test_nothing_readable_leaves_what_served(docs: Path, tmp_path: Path, model: Path) -> None:
    index = tmp_path / "index"
    ingest(docs, index, model)
    for file in docs.iterdir():
        file.write_text("")
    done = ingest(docs, index, model)
    assert done.exit_code == 2
    assert "Nothing to index: none of these documents could be read." in done.stderr
    assert len(served(index, model)) == 3


def test_a_model_that_is_not_there_says_what_to_type(docs: Path, tmp_path: Path) -> None:
    done = ingest(docs, tmp_path / "index", tmp_path / "no-model")
    assert done.exit_code == 1
    assert f"There is no folder {tmp_path / 'no-model'}. Give a folder, or a hub name" in done.stderr
    assert not (tmp_path / "index").exists()


def test_an_index_folder_that_cannot_be_written_is_named(docs: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "index").write_text("a file")
    done = ingest(docs, tmp_path / "index", model)
    assert done.exit_code == 1
    assert str(tmp_path / "index") in done.stderr


# ---------------------------------------------------------------- kill -9

# A child a point of death, forked from one process that has loaded everything: it dies at the n-th call that opens,
# makes, renames or removes a file below the index, or by itself at the end, and says how many there were.
KILLED = """
import json, os, signal, sys
import chromadb, torch
from pathlib import Path
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge_corpus import corpus

torch.set_num_threads(1)
model, points, folders = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
embedder = SentenceEmbedder(model)

def die(at, folder):
    done = 0

    def count(event, arguments):
        nonlocal done
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and str(arguments[0]).startswith(folder):
            done += 1
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    KnowledgeIndex.build(Path(folder), corpus(20)[5:], embedder)
    Path(folder, "calls").write_text(str(done))
    os._exit(0)

ends = []
for at, folder in zip(points, folders, strict=True):
    child = os.fork()
    if not child:
        die(at, folder)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""


def test_kill_9_at_any_point_leaves_one_whole_version_and_the_next_ingest_goes_on(tmp_path: Path, model: Path) -> None:
    embedder = SentenceEmbedder(str(model))
    old, new = corpus(20)[:15], corpus(20)[5:]
    KnowledgeIndex.build(tmp_path / "before", old, embedder).close()
    points = [*range(2, 40, 5), 10_000]
    folders = [tmp_path / f"index-{point}" for point in points]
    for folder in folders:
        shutil.copytree(tmp_path / "before", folder)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(model), json.dumps(points), json.dumps([str(each) for each in folders])],
        cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ends = json.loads(done.stdout)
    killed = [folder for folder, end in zip(folders, ends, strict=True) if end == -signal.SIGKILL]
    assert ends[-1] == 0
    assert len(killed) >= 5

    found = []
    for folder in killed:
        with KnowledgeIndex.open(folder, embedder) as index:
            passages = list(index.passages.values())
        assert passages in (old, new)
        found.append(passages == new)
        KnowledgeIndex.build(folder, new[:3], embedder).close()
        assert len(list((folder / "versions").iterdir())) <= versions.KEPT
        with KnowledgeIndex.open(folder, embedder) as index:
            assert list(index.passages.values()) == new[:3]
    # The switch is one step: before it the old version serves, after it the new one.
    assert found == sorted(found)
    assert not found[0]

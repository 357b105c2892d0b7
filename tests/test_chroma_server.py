"""An index folder that several machines share, its graphs on a real Chroma server: switch, crash, refusal, and a server that dies."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from knowledge import chroma_store, ingest, nearest, versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.nearest import Nearest
from knowledge.writing import Change, write_index
from knowledge_corpus import corpus
from processes import run, start
from shopbot import Shop
from shopbot.errors import IndexRefused, StoreError, UsageError
from shopbot.testing import FakeShop
from shopbot.types import Passage
from small_embedders import write_model

CHROMA = Path(sys.executable).with_name("chroma")
PASSAGES = corpus(70)
READERS = 2


def edition(number: int) -> list[Passage]:
    """What version `number` (from 1) holds: ten passages leave and ten come with each."""
    return PASSAGES[10 * (number - 1) : 10 * (number - 1) + 40]


class Server:
    """A Chroma server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        command = [CHROMA, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                return chroma_store.check_server(self.url)
            except StoreError:
                assert self.process.poll() is None and time.monotonic() < until, "chroma run did not start"
                time.sleep(0.1)

    def client(self) -> contextlib.AbstractContextManager[Any]:
        return chroma_store._server(self.url, 10)

    def names(self, folder: Path) -> list[str]:
        """The versions of an index folder that have a collection."""
        prefix, _ = versions.collections(folder)
        with self.client() as client:
            names = [each.name for each in client.list_collections(limit=1000)]
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("chroma"))
    yield server
    server.kill()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """A server to kill."""
    server = Server(tmp_path / "server")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def embedder(model: Path) -> SentenceEmbedder:
    return SentenceEmbedder(str(model))


def write(folder: Path, passages: Sequence[Passage], embedder: SentenceEmbedder, server: str = "") -> Change:
    return write_index(folder, passages, embedder, server=server)


def served(folder: Path, embedder: SentenceEmbedder) -> list[Passage]:
    """What serves; every passage is found by its own vector in the graph."""
    with KnowledgeIndex.open(folder, embedder) as index:
        assert [int(index.nearest(vector, 1)[0]) for vector in index.table.passages] == list(range(len(index.passages)))
        return list(index.passages.values())


def serving(folder: Path) -> tuple[Path, versions.Manifest]:
    version = versions.current(folder)
    assert version is not None
    return version, versions.read_manifest(version)


# ---------------------------------------------------------------- two who read, one who writes


def read(folder: Path, model: Path, number: int) -> None:
    """Search without a pause, moving on as a bot does, until the fourth version has been searched; says what it saw."""
    embedder = SentenceEmbedder(str(model))
    everything = embedder.embed_array([f"{each.title} {each.text}" for each in PASSAGES])
    searched: dict[str, int] = {}
    until = time.monotonic() + 60
    while searched.get("0004", 0) < 20 and time.monotonic() < until:
        with KnowledgeIndex.open(folder, embedder) as index:
            version = index.version.name
            wanted = edition(int(version))
            assert list(index.passages.values()) == wanted
            while versions.pointer(folder) == version and searched.get("0004", 0) < 20:
                for vector in everything[::7]:  # also of passages that have left, and of such as are to come
                    cosines = index.table.passages @ vector
                    found = index.nearest(vector, 3)
                    assert np.allclose(cosines[found], np.sort(cosines)[::-1][:3], atol=1e-4)
                searched[version] = searched.get(version, 0) + 1
                if searched[version] == 1:
                    (folder / f"reader-{number}-{version}").touch()
    (folder / f"reader-{number}.json").write_text(json.dumps(searched))


def publish(folder: Path, model: Path, server: str) -> None:
    """Three more versions, each as soon as every reader searches the one before."""
    embedder = SentenceEmbedder(str(model))
    for number in range(2, 5):
        until = time.monotonic() + 60
        while not all((folder / f"reader-{each}-{number - 1:04d}").exists() for each in range(READERS)):
            assert time.monotonic() < until, "a reader does not move on"
            time.sleep(0.02)
        assert write(folder, edition(number), embedder, server).added == 10


def test_two_processes_search_without_a_fault_while_a_third_publishes_three_versions(
    tmp_path: Path, model: Path, embedder: SentenceEmbedder, chroma: Server
) -> None:
    folder = tmp_path / "index"
    write(folder, edition(1), embedder, chroma.url)
    children = [start(read, folder, model, number) for number in range(READERS)]
    children.append(start(publish, folder, model, chroma.url))
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * (READERS + 1)
    for number in range(READERS):
        searched = json.loads((folder / f"reader-{number}.json").read_text())
        assert list(searched) == ["0001", "0002", "0003", "0004"]
    assert served(folder, embedder) == edition(4)
    assert not list(folder.rglob("chroma*")), "nothing of Chroma's lies in the folder that is shared"
    assert chroma.names(folder) == ["0002", "0003", "0004"]


# ---------------------------------------------------------------- switching


def test_an_index_moves_to_a_server_and_back_and_encodes_nothing(
    tmp_path: Path, embedder: SentenceEmbedder, chroma: Server
) -> None:
    write(tmp_path, edition(1), embedder)
    for server in (chroma.url, f"{chroma.url}/", ""):
        change = write(tmp_path, edition(1), embedder, server)
        assert (change.added, change.removed, change.kept) == (0, 0, 40)
        assert change.switched == (server != f"{chroma.url}/"), "the same server, written another way"
        version, manifest = serving(tmp_path)
        assert manifest.chroma == server.rstrip("/")
        assert (version / "chroma").exists() == (not server)
        assert served(tmp_path, embedder) == edition(1)
    for number in (2, 3, 4):  # the version on the server goes, and its collection goes with it
        write(tmp_path, edition(number), embedder)
    assert chroma.names(tmp_path) == []


def test_the_folder_may_be_mounted_elsewhere(tmp_path: Path, embedder: SentenceEmbedder, chroma: Server) -> None:
    write(tmp_path / "here", edition(1), embedder, chroma.url)
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert served(tmp_path / "there", embedder) == edition(1)
    write(tmp_path / "there", edition(2), embedder, chroma.url)
    assert chroma.names(tmp_path / "there") == ["0001", "0002"]


def test_a_shop_and_the_command_say_which_server(
    tmp_path: Path, model: Path, embedder: SentenceEmbedder, chroma: Server
) -> None:
    fake = FakeShop()
    fake.settings += f'\n[index]\nchroma = "{chroma.url}"\n'
    with Shop.open(fake.write(tmp_path / "shop"), home=tmp_path / "home") as shop:
        shop.embedder = embedder
        assert shop.index.manifest.chroma == chroma.url
    options = ["--index", str(tmp_path / "index"), "--embedder", str(model)]
    document = tmp_path / "returns.md"
    document.write_text("# Returns\n\nYou have 21 days to send something back.\n", encoding="utf-8")
    done = CliRunner().invoke(ingest.app, [str(document), *options, "--chroma", chroma.url])
    assert (done.exit_code, serving(tmp_path / "index")[1].chroma) == (0, chroma.url), done.output
    wrong = CliRunner().invoke(ingest.app, [str(document), *options, "--chroma", "chroma.internal"])
    assert wrong.exit_code == 1
    assert "'chroma.internal' is no address of a Chroma server; write one such as http://" in wrong.output


# ---------------------------------------------------------------- what is damaged, and crashes


@pytest.mark.parametrize("damage", ["gone", "some passages gone", "another's"])
def test_a_version_whose_collection_is_not_what_was_written_is_refused_and_healed(
    tmp_path: Path, embedder: SentenceEmbedder, chroma: Server, damage: str
) -> None:
    write(tmp_path, edition(1), embedder, chroma.url)
    name = serving(tmp_path)[1].collection
    if damage == "another's":  # as a copy of the folder would write it
        with contextlib.closing(chroma_store.ServedStore(chroma.url, name, fill_with="another content")) as store:
            assert list(store.add(edition(2), embedder.embed_array([each.text for each in edition(2)]))) == [40]
    else:
        with chroma.client() as client:
            if damage == "gone":
                client.delete_collection(name)
            else:
                client.get_collection(name, embedding_function=None).delete([PASSAGES[0].id])
    with pytest.raises(IndexRefused, match=f"Make it again: .* --index {tmp_path} --chroma {chroma.url}"):
        KnowledgeIndex.open(tmp_path, embedder)
    assert write(tmp_path, edition(1), embedder, chroma.url) == Change("0002", 0, 0, 40)
    assert served(tmp_path, embedder) == edition(1)


def die_while_filling(folder: Path, model: Path, server: str) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("writing", total):
            os.kill(os.getpid(), signal.SIGKILL)

    write_index(folder, edition(2), SentenceEmbedder(str(model)), progress, server=server)


def test_what_a_killed_writer_leaves_on_the_server_is_removed_by_the_next(
    tmp_path: Path, model: Path, embedder: SentenceEmbedder, chroma: Server
) -> None:
    write(tmp_path, edition(1), embedder, chroma.url)
    assert run(die_while_filling, tmp_path, model, chroma.url) == -signal.SIGKILL
    assert chroma.names(tmp_path) == ["0001", "0002"]
    assert served(tmp_path, embedder) == edition(1)
    write(tmp_path, edition(3), embedder, chroma.url)
    assert chroma.names(tmp_path) == ["0001", "0003"]
    assert served(tmp_path, embedder) == edition(3)


# ---------------------------------------------------------------- a server that is down


def test_a_server_that_is_down_is_named_with_what_to_do_and_the_index_can_be_taken_back(
    tmp_path: Path, embedder: SentenceEmbedder, mortal: Server
) -> None:
    write(tmp_path / "index", edition(1), embedder, mortal.url)
    mortal.kill()
    message = f"{mortal.url} does not answer.*chroma run --path DIR --port {mortal.port}"
    with pytest.raises(IndexRefused, match=message):
        KnowledgeIndex.open(tmp_path / "index", embedder)
    for passages in (edition(1), edition(2)):
        with pytest.raises(StoreError, match=message):
            write(tmp_path / "index", passages, embedder, mortal.url)
    assert serving(tmp_path / "index")[0].name == "0001"
    assert write(tmp_path / "index", edition(1), embedder) == Change("0002", 0, 0, 40)
    assert served(tmp_path / "index", embedder) == edition(1)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_hangs_costs_no_answer_and_one_line_in_the_log(
    tmp_path: Path,
    embedder: SentenceEmbedder,
    mortal: Server,
    fault: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(nearest, "LARGE", 10)
    monkeypatch.setattr(nearest, "GRAPH_RESTS", 0.0)
    monkeypatch.setattr(chroma_store, "READ_SECONDS", 0.5)
    monkeypatch.setattr(chroma_store, "HEARTBEAT_SECONDS", 0.5)
    write(tmp_path / "index", edition(1), embedder, mortal.url)
    with KnowledgeIndex.open(tmp_path / "index", embedder) as index:
        near = Nearest(index.table.passages, index.nearest)
        everything, vectors = np.arange(40), index.table.passages
        before = [set(near.rows(vector, everything, 5).tolist()) for vector in vectors[:3]]
        mortal.process.send_signal(fault)
        with caplog.at_level(logging.WARNING, "knowledge.nearest"):
            after = [set(near.rows(vector, everything, 5).tolist()) for vector in vectors[:3]]
        assert after == before
        assert [record.name for record in caplog.records] == ["knowledge.nearest"]
        assert mortal.url in caplog.text
        with pytest.raises(StoreError, match="does not answer"):
            index.nearest(vectors[0], 1)
    with pytest.raises(IndexRefused, match="does not answer"):
        KnowledgeIndex.open(tmp_path / "index", embedder)


@pytest.mark.parametrize(
    "url", ["chroma:8000", "ftp://chroma:8000", "http://chroma", "http://chroma:x", "http://:8000"]
)
def test_what_is_no_address_of_a_server_is_refused(tmp_path: Path, embedder: SentenceEmbedder, url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a Chroma server"):
        write(tmp_path, edition(1), embedder, url)
    assert versions.current(tmp_path) is None

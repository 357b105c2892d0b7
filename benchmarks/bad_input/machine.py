"""Cases of the machine: disks that are full or read-only, locks, processes killed, ports, weights, servers."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.bad_input.case import (
    LAMP,
    POLICY,
    SHOP,
    TOML,
    NotHere,
    Scene,
    faults,
    mended,
    put,
    serves,
    whole,
)
from benchmarks.bad_input.person import Person
from shopbot.bot import ShopBot
from shopbot.shop import Shop
from shopbot.types import Finished, Shopper, Withheld

NEW = ("What does engraving cost?", "engraving costs 9 GBP")
ENGRAVING = "---\ntitle: Engraving\nlanguage: en\n---\nAn engraving costs 9 GBP.\n"
ASK = ("ask", "How long do refunds take?", *SHOP)
_MEGABYTE = 1 << 20


def machine_scenes() -> dict[str, list[Scene]]:
    """All of them, by what they are about."""
    points = ("version begun", "vectors written", "Chroma written", "manifest written")
    kills = [Scene(f"kill -9 during an ingest, {point}", partial(killed, point=point)) for point in points]
    return {
        "index": [
            Scene("disk full during an ingest", disk_full_at_ingest, quick=True),
            Scene("files may not grow during an ingest", partial(disk_full_at_ingest, mount=False)),
            Scene("folder read-only, nothing to change", partial(read_only, changed=False)),
            Scene("folder read-only, documents changed", partial(read_only, changed=True)),
            Scene("another ingest holds the lock, nothing to change", partial(locked, changed=False)),
            Scene("another ingest holds the lock, documents changed", partial(locked, changed=True)),
            Scene("made by another embedder", other_embedder),
            Scene("damaged", damaged),
            *kills,
        ],
        "home": [Scene("disk full during a turn", disk_full_at_turn)],
        "port": [
            Scene(
                "in use: shopbot model serve", partial(port_in_use, command=("shopbot", "model", "serve")), quick=True
            ),
            Scene("in use: demo.py", partial(port_in_use, command=("demo.py",))),
        ],
        "weights": [
            Scene("embedder half downloaded", partial(embedder_at_fault, fault="cut"), quick=True),
            Scene("embedder without tokenizer", partial(embedder_at_fault, fault="tokenizer")),
            Scene("embedder in an empty folder", partial(embedder_at_fault, fault="empty")),
            Scene("embedder that does not exist, hub out of reach", unknown_embedder),
            Scene("dialogue model that does not exist, hub out of reach", unknown_model),
            Scene("dialogue model half downloaded: shopbot model serve", half_model_served),
        ],
        "model server": [
            Scene("not there at the start", no_server),
            Scene("gone during a conversation: the draft answers, an event says so", server_gone),
        ],
    }


# ---------------------------------------------------------------- disks


@contextlib.contextmanager
def small_disk(folder: Path, spare: int) -> Iterator[Path]:
    """`folder` on a file system of its own with `spare` bytes left. Raises NotHere without the right to mount."""
    kept = shutil.copytree(folder, folder.with_name(folder.name + ".kept"))
    size = sum(4096 * (1 + one.stat().st_size // 4096) for one in kept.rglob("*")) + spare
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        shutil.rmtree(kept)
        raise NotHere("no right to mount a small disk")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder)
        kept.rename(folder)


def can_mount() -> bool:
    """Whether this process may mount a file system, as root usually may, but not in every container."""
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
        return tried.returncode == 0 and subprocess.run(["umount", folder], check=True).returncode == 0


def disk_full_at_ingest(person: Person, mount: bool = True) -> Iterator[str]:
    """An ingest on a full disk is an error; the old index answers; with room again the next run finishes.

    Without the right to mount a small disk, a limit on the size of files stands in for it.
    """
    mount = mount and can_mount()
    put(person.shop / "policies/engraving.md", ENGRAVING)
    index = person.kept / "index"
    with small_disk(index, 64 << 10) if mount else contextlib.nullcontext():
        room = None if mount else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (32 << 10, 32 << 10))
        yield from faults(
            person.types("ingest", *SHOP, before=room), 1, "could not be written.*still serves.*Free disk"
        )
        yield from whole(index)
        if mount:
            yield from faults(person.types(*ASK), 0, "7 working days", "could not be written.*still serves")
            subprocess.run(["mount", "-o", f"remount,size={64 * _MEGABYTE}", index], check=True)
        yield from faults(person.types("ingest", *SHOP), 0, "1 added")
        yield from serves(person, (POLICY, LAMP, NEW))


def disk_full_at_turn(person: Person) -> Iterator[str]:
    """A turn that cannot be stored is an error; with room again the conversation is as if it had not been."""
    home = person.folder / "home"
    yield from faults(person.types("chat", *SHOP, typed="hello\n"), 0)
    with small_disk(home, 128 << 10):
        (home / "filler").write_bytes(bytes(shutil.disk_usage(home).free))
        said = "How long do refunds take?\n"
        yield from faults(person.types("chat", *SHOP, typed=said), 1, "disk|space")
        yield from faults(person.types(*ASK), 0, "7 working days")  # keeps nothing, so needs no room
        (home / "filler").unlink()
        yield from faults(person.types("chat", *SHOP, typed=said), 0, "7 working days")
        yield from serves(person, (POLICY, LAMP))


def read_only(person: Person, changed: bool) -> Iterator[str]:
    """A folder that cannot be written to serves what it holds."""
    index = person.kept / "index"
    if changed:
        put(person.shop / "policies/engraving.md", ENGRAVING)
    with small_disk(index, 8 * _MEGABYTE):
        subprocess.run(["mount", "-o", "remount,ro", index], check=True)
        told = ("could not be written", "permissions") if changed else ()
        yield from faults(person.types("ingest", *SHOP), 1 if changed else 0, *told)
        yield from faults(person.types(*ASK), 0, "7 working days", *told)
    yield from serves(person, (POLICY, LAMP, *((NEW,) if changed else ())))


# ---------------------------------------------------------------- the index


def locked(person: Person, changed: bool) -> Iterator[str]:
    """While another process writes, what serves goes on serving."""
    if changed:
        put(person.shop / "policies/engraving.md", ENGRAVING)
    with (person.kept / "index" / "WRITER").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = ("another process is writing .*wait",) if changed else ()
        yield from faults(person.types("ingest", *SHOP), 1 if changed else 0, *told)
        yield from faults(person.types(*ASK), 0, "7 working days", *told)
    yield from serves(person, (POLICY, LAMP, *((NEW,) if changed else ())))


def other_embedder(person: Person) -> Iterator[str]:
    """An index of another embedder answers nothing; the next ingest makes it anew."""
    for manifest in (person.kept / "index" / "versions").glob("*/manifest.json"):
        stored = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps({**stored, "embedder": "some/other-model"}), "utf-8")
    with small_disk(person.kept / "index", _MEGABYTE) as index:
        subprocess.run(["mount", "-o", "remount,ro", index], check=True)
        yield from faults(person.types(*ASK), 1, "could not be written")
    yield from faults(person.types("ingest", *SHOP), 0, "[1-9] added")
    yield from serves(person, (POLICY, LAMP))


def damaged(person: Person) -> Iterator[str]:
    """Files of an index that were cut are made anew, and never served."""
    index = person.kept / "index"
    for name in ("vectors.npy", "sentences.json", "manifest.json", "chroma/chroma.sqlite3"):
        [file] = index.glob(f"versions/{(index / 'CURRENT').read_text('utf-8')}/{name}")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        yield from faults(person.types(*ASK), 0, "7 working days")
        yield from serves(person, (POLICY, LAMP))


MARKS = {
    "version begun": "",
    "vectors written": "sentences.json",
    "Chroma written": "chroma/chroma.sqlite3",
    "manifest written": "manifest.json",
}


def killed(person: Person, point: str) -> Iterator[str]:
    """Killed at any point, the old index answers or the new one; a second ingest finishes."""
    for number in range(60):
        put(person.shop / f"policies/note{number}.md", f"# Note {number}\n\nShelf {number} holds lamp {number}.\n")
    put(person.shop / "policies/engraving.md", ENGRAVING)
    index = person.kept / "index"
    version = index / "versions" / f"{int((index / 'CURRENT').read_text('utf-8')) + 1:04d}"
    ran = person.types("ingest", *SHOP, meanwhile=partial(kill_at, version / MARKS[point]))
    if ran.status != -signal.SIGKILL:
        raise NotHere("the ingest was faster than the kill")
    yield from faults(person.types("ingest", *SHOP), 0, "[1-9] added|Nothing changed")
    yield from serves(person, (POLICY, LAMP, NEW))


def kill_at(file: Path, child: int) -> None:
    """Kill the process as soon as the file is there."""
    while not file.exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)


# ---------------------------------------------------------------- ports and models


def port_in_use(person: Person, command: tuple[str, ...]) -> Iterator[str]:
    """The message names another port to type, before anything is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        yield from faults(person.starts(*command, "--port", str(port)), 2, rf"Port {port} .*in use.*--port \d+")


def embedder_at_fault(person: Person, fault: str) -> Iterator[str]:
    """A folder of weights that is not whole is named with its fault, and the old index serves once it is mended."""
    from shopbot.weights import MINILM, resolve

    folder, without = person.shop / "embedder", ("tokenizer.json", "vocab.txt", "model.safetensors")
    folder.mkdir()
    if fault != "empty":
        for file in resolve(MINILM, offline=True).path.iterdir():
            if file.is_file() and not (fault == "tokenizer" and file.name in without):
                (folder / file.name).write_bytes(file.read_bytes()[:1_000_000])
    put(person.shop / "shop.toml", TOML + '[models]\nembedder = "embedder"\n')
    says = {
        "cut": "model.safetensors has 1,000,000 bytes of",
        "tokenizer": "tokenizer",
        "empty": "config.json is missing",
    }
    if fault == "tokenizer":
        (folder / "model.safetensors").symlink_to(resolve(MINILM, offline=True).path / "model.safetensors")
    yield from faults(person.types("ingest", *SHOP), 1, f"embedder is incomplete: .*{says[fault]}.*Delete it, then: ")
    yield from mended(person)


def unknown_embedder(person: Person) -> Iterator[str]:
    """A name that no one has says that the hub did not answer, and what to type."""
    put(person.shop / "shop.toml", TOML + '[models]\nembedder = "nobody/nothing"\n')
    yield from faults(
        person.types("ingest", *SHOP), 1, "nobody/nothing is not on this machine and the hub did not answer"
    )
    yield from mended(person)


def unknown_model(person: Person) -> Iterator[str]:
    """The same of a dialogue model."""
    ran = person.types(*ASK, "--wording", "model", "--model", "nobody/nothing")
    yield from faults(
        ran, 1, "nobody/nothing is not on this machine and the hub did not answer.*type: shopbot model fetch"
    )
    yield from serves(person, (POLICY, LAMP))


def half_model_served(person: Person) -> Iterator[str]:
    """A server is not begun for weights that are not whole."""
    put(person.folder / "model" / "config.json", "{}")
    put(person.folder / "model" / "tokenizer.json", "{}")
    put(person.folder / "model" / "model.safetensors", (200).to_bytes(8, "little") + b'{"a": {"dtype"')
    yield from faults(person.types("model", "serve", "model", "--home", "home"), 1, "model is incomplete: .*cut off")


def no_server(person: Person) -> Iterator[str]:
    """Without a server from the start the message says how to start one."""
    address = "vllm:http://127.0.0.1:9/v1"
    ran = person.types(*ASK, "--wording", "model", "--model", address)
    yield from faults(ran, 1, "No model server can be reached.*shopbot model serve")


def server_gone(person: Person) -> Iterator[str]:
    """The SDK: the server ends between two turns; the second is answered by the draft."""
    ran = person.runs(_talk_without_end)
    yield from faults(ran, 0, "first: .*7 working days", "withheld: No model server", "second: .*7 working days")


def _talk_without_end() -> None:
    with Shop.open("shop", home="home") as shop:
        asyncio.run(_talk(shop))


async def _talk(shop: Shop) -> None:
    from shopbot.models import vllm_chat
    from shopbot.testing import scripted_server

    with scripted_server(lambda _: {"content": "We refund within 7 working days of the return."}) as server:
        bot = shop.bot(wording="model", model=vllm_chat(server.base_url, "scripted", max_retries=0))
        await _turn(bot, "first")
    await _turn(bot, "second")


async def _turn(bot: ShopBot, name: str) -> None:
    async for event in bot.stream("How long do refunds take?", shopper=Shopper()):
        match event:
            case Withheld(reason=reason):
                print("withheld:", reason)
            case Finished(text=text):
                print(f"{name}:", text)
            case _:
                pass

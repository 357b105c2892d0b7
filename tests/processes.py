"""Processes to kill: forked from a warm server in milliseconds, without the threads and connections of the test."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

from sqlalchemy import Engine, event

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["shopbot.store", "alembic.command", "pytest", "shopbot.shop", "sentence_transformers", "chromadb", "sklearn"]
)


def start(function: Callable[..., object], *arguments: Any) -> ForkServerProcess:
    """A running child process; `function` is found by the name of its module."""
    child = CONTEXT.Process(target=function, args=arguments)
    child.start()
    return child


def run(function: Callable[..., object], *arguments: Any) -> int:
    """The exit code of a child process that has ended: 0, or -9 after SIGKILL."""
    child = start(function, *arguments)
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def die_at_statement(number: int) -> None:
    """From now on: SIGKILL for this process once its n-th SQL statement has run (1 is the first)."""
    left = iter(range(number - 1, -1, -1))

    def count(*_: object) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", count)

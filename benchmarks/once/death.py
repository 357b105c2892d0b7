"""Processes that die: forked from this one, with the shop already in memory, and killed with SIGKILL at a point of a turn.

A fork needs a parent with one thread: torch must compute in one, and no event loop may be running.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, event

from shopbot.tools import ShopTool


@dataclass(frozen=True, slots=True)
class Death:
    """Where a process dies: `at` the n-th SQL statement or commit, at a point of the tool, or some seconds after it was armed."""

    kind: Literal["statement", "commit", "tool", "time", "never"]
    number: int = 0
    seconds: float = 0.0

    @classmethod
    def drawn(cls, number: int, draw: random.Random) -> Death:
        """The n-th case: each SQL statement and commit of a turn and each point of the tool in turn, and random moments."""
        edges = [
            *(cls("statement", place) for place in range(1, 26)),
            *(cls("commit", place) for place in range(1, 9)),
            *(cls("tool", place) for place in range(2) for _ in range(4)),
        ]
        if number % 2:
            return cls("time", seconds=draw.uniform(0.0, 0.03))
        return edges[number // 2 % len(edges)]

    def arm(self, tool: ShopTool) -> None:
        """From now on this process may die."""
        if self.kind == "time":
            threading.Thread(target=_die_after, args=(self.seconds,), daemon=True).start()
        elif self.kind == "tool":
            tool.function = _mortal(tool.function, self.number)
        elif self.kind in ("statement", "commit"):
            left = iter(range(self.number - 1, -1, -1))

            def count(*_: Any) -> None:
                if next(left, 1) == 0:
                    die()

            event.listen(Engine, "after_cursor_execute" if self.kind == "statement" else "commit", count)


def die() -> None:
    """At once, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(seconds: float) -> None:
    time.sleep(seconds)
    die()


def _mortal(function: Callable[..., Any], point: int) -> Callable[..., Any]:
    """The tool's function, at one of whose ends the process dies."""

    def mortal(order_id: Any, shopper: Any, key: Any) -> Any:
        if point == 0:
            die()
        result = function(order_id=order_id, shopper=shopper, key=key)
        die()
        return result

    return mortal


def fork(work: Callable[[], None]) -> int:
    """A child that does the work and ends; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - a child must end here, whatever it met
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """Wait for a child: 0, -9 after SIGKILL, or another exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_one_thread() -> None:
    """Raises RuntimeError where this process runs more threads than one: a fork would lose them."""
    if threading.active_count() != 1:
        raise RuntimeError(f"{threading.enumerate()} run: a fork would lose them")

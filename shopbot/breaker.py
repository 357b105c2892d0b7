"""A circuit breaker: a part that has failed several times in a row is left alone for a while.

So a model server that is down costs a few shoppers a wait, and not every one. (M. Nygard, Release It!, 2007, chapter 5.)

    closed ──`failures` in a row──▶ open ──`rest` seconds later──▶ one try ──▶ closed, or open again
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from shopbot.errors import ModelUnavailable

Result = TypeVar("Result")


@dataclass(slots=True)
class Breaker:
    """Watches one part, called `name` in messages. `rest` and `patience` are seconds; `patience` is for one piece of work, whole.

    with breaker.watching():
        deadline = breaker.deadline()
        await breaker.in_time(model.ainvoke(...), deadline)
    """

    name: str = "the model"
    failures: int = 3
    rest: float = 30.0
    patience: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _failed: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Whatever the work raises counts as a failure; that nobody waits for it any longer does not.

        Raises ModelUnavailable before it begins while the part is left alone; one caller is let through after its rest.
        """
        self._check()
        try:
            yield
        except Exception:
            self._failed, self._since = self._failed + 1, self.clock()
            raise
        self._failed = 0

    def deadline(self) -> float:
        """When work that begins now must have ended, in the time of the event loop."""
        return asyncio.get_running_loop().time() + self.patience

    async def in_time(self, work: Awaitable[Result], deadline: float) -> Result:
        """What the work brings. Raises ModelUnavailable where it takes longer."""
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError as error:
            raise ModelUnavailable(f"{self.name} gave no whole answer in {self.patience:g} s") from error

    def _check(self) -> None:
        if self._failed < self.failures:
            return
        left = self._since + self.rest - self.clock()
        if left > 0:
            raise ModelUnavailable(
                f"{self.name} failed {self._failed} times in a row; it is asked again in {left:.0f} s"
            )
        self._since = self.clock()  # the others wait for what becomes of this try

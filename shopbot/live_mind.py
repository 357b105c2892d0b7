"""The mind over the index version that serves: changed as soon as another process has published a new one.

A turn asks for it once and keeps it, so no answer mixes two versions; one that begins after the switch never reads the old
version, and waits for the moment that opening the new one takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

from shopbot.errors import ShopbotError
from shopbot.mind import Mind

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""How long a version that could not be opened is left alone: a turn would wait for it, and its Chroma server may be back by then."""


class LiveMind:
    """`version` names the version that serves; `make` opens it. Safe from threads; both block for a moment."""

    def __init__(self, make: Callable[[], Mind], version: Callable[[], str]) -> None:
        self._make = make
        self._version = version
        self._lock = Lock()
        self._seen = version()
        self._failed = ""
        self._again = 0.0
        self._mind = make()

    def current(self) -> Mind:
        """The mind of the version that serves; of the one before where the new one cannot be opened, which is logged."""
        try:
            if self._version() != self._seen:
                self._change()
        except (ShopbotError, OSError):
            log.exception("the index version that serves cannot be opened; the one before serves on")
        return self._mind

    def _change(self) -> None:
        with self._lock:
            version = self._version()
            if version == self._seen or (version == self._failed and time.monotonic() < self._again):
                return
            self._failed, self._again = version, time.monotonic() + RETRY_SECONDS
            self._mind = self._make()
            self._seen, self._failed = version, ""

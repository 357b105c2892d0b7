"""Work in processes of its own: forked from one that holds the model, and has opened no index."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.once.death import ended, fork


def apart(work: Callable[[], Any]) -> Any:
    """What some work gives, done in a process of its own; as JSON has it. Raises RuntimeError where that process fails."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        path = Path(file.name)

        def keep() -> None:
            path.write_text(json.dumps(work()), encoding="utf-8")

        if code := ended(fork(keep)):
            raise RuntimeError(f"a process ended with {code}")
        return json.loads(path.read_text(encoding="utf-8"))

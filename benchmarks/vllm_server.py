"""A real vLLM server for the benchmarks that need one: the one that runs already, or one for the time of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Served:
    """Where a model is served: `url` ends in /v1, `name` is the model's name in requests."""

    url: str
    name: str


@contextlib.contextmanager
def served(folder: Path, url: str | None = None, *, extra: Sequence[str] = ()) -> Iterator[Served]:
    """The server at `url`, by its first model; None starts one for the model in `folder`, with `extra` arguments.

    Raises httpx.HTTPError where the server cannot be reached, ModelUnavailable where none can be started.
    """
    from shopbot.serving import start

    if url is not None:
        models = httpx.get(f"{url}/models", timeout=10).raise_for_status().json()["data"]
        yield Served(url, models[0]["id"])
        return
    with start(folder, extra=extra, progress=print) as server:
        yield Served(server.base_url, server.name)

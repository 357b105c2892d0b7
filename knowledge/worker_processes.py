"""Several processes that encode at once, each with a model of its own and its share of the threads.

Worth it on machines with many cores: one process uses eight or so well. A process takes seconds to start, and the model's memory.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from knowledge.vector_cache import Encoded, Spans
from shopbot.errors import ModelError

if TYPE_CHECKING:
    from knowledge.embed import SentenceEmbedder

BATCHES = 4
"""Batches of one piece of work: few enough that a bar moves, enough that sorting by length pays."""


class Workers:
    """Processes that encode as `embedder` does."""

    def __init__(self, embedder: SentenceEmbedder) -> None:
        self._embedder = embedder

    def encode(self, texts: Sequence[str], parts: Sequence[Sequence[Spans]]) -> Iterator[Encoded]:
        """As `SentenceEmbedder.encode_here`; what is one piece of work or less is encoded here. Raises ModelError where a process dies."""
        size = self._embedder.batch_size * BATCHES
        if len(texts) <= size:
            yield from self._embedder.encode_here(texts, parts)
            return
        starts = range(0, len(texts), size)
        with self._executor(len(starts)) as executor:
            try:
                pieces = {executor.submit(_encode, texts[at : at + size], parts[at : at + size]): at for at in starts}
                for piece in as_completed(pieces):
                    at = pieces.pop(piece)  # so that its result does not stay
                    for rows, vectors, inner in piece.result():
                        yield [at + row for row in rows], vectors, inner
            except BrokenProcessPool as error:
                raise ModelError(
                    "a process that encoded has died: it was killed, often because memory ran out (each holds the model), or "
                    "it could not start (a script needs `if __name__ == '__main__':`). Take fewer processes, and ingest again."
                ) from error
            finally:
                executor.shutdown(wait=False, cancel_futures=True)

    def _executor(self, pieces: int) -> ProcessPoolExecutor:
        """Spawned, not forked: a fork of a process with threads of torch's hangs."""
        import torch

        embedder = self._embedder
        processes = min(embedder.processes, pieces)
        settings = {"batch_size": embedder.batch_size, "prompts": embedder.prompts, "precision": embedder.precision}
        return ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            _start,
            (str(embedder.folder), max(1, torch.get_num_threads() // processes), settings),
        )


_here: dict[str, SentenceEmbedder] = {}


def _start(folder: str, threads: int, settings: dict[str, Any]) -> None:
    """In a worker, once: load the model."""
    import torch

    from knowledge.embed import SentenceEmbedder

    torch.set_num_threads(threads)
    _here["embedder"] = SentenceEmbedder(folder, offline=True, **settings)


def _encode(texts: Sequence[str], parts: Sequence[Sequence[Spans]]) -> list[Encoded]:
    return list(_here["embedder"].encode_here(texts, parts))

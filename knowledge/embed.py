"""Texts into vectors with any sentence-transformers model: found by name, prompted as its family wants, safe to share.

Vectors are float32 and of length 1, so a dot product is the cosine. Weights are found by `shopbot.weights.resolve`. Batches
are sorted by length, and computed in bfloat16 where the processor has it; `python -m benchmarks.index_speed --part ingest`
compares that with `SentenceTransformer.encode`.
For large ingests there are int8 (`knowledge.onnx_encoder`), several processes (`knowledge.worker_processes`), and a cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from knowledge.vector_cache import Encode, Encoded, Spans, VectorCache, fingerprint

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

PROMPTS: Mapping[str, tuple[str, str]] = {
    "e5-mistral": ("Instruct: Given a question, retrieve passages that answer it\nQuery: ", ""),
    "multilingual-e5-large-instruct": ("Instruct: Given a question, retrieve passages that answer it\nQuery: ", ""),
    "e5": ("query: ", "passage: "),
    "bge-m3": ("", ""),
    "bge": ("Represent this sentence for searching relevant passages: ", ""),
    "nomic-embed": ("search_query: ", "search_document: "),
    "mxbai-embed": ("Represent this sentence for searching relevant passages: ", ""),
    "qwen3-embedding": ("Instruct: Given a question, retrieve passages that answer it\nQuery: ", ""),
}
"""What a model family was trained to see before a question and before a passage; the first key inside the name counts."""

READS_ENGLISH_ONLY = (
    "all-minilm",
    "all-mpnet",
    "all-distilroberta",
    "multi-qa-",
    "bge-small-en",
    "bge-base-en",
    "bge-large-en",
)

Progress = Callable[[int, int], None]
"""Called with how many texts are done and how many there are."""

Precision = Literal["auto", "float32", "bfloat16", "int8"]
"""What the model computes in; "auto" is bfloat16 where the processor has instructions for it, else float32."""

_WINDOW = 64
"""Batches that are sorted by length together: nearly all of the gain, and the tokens of a large corpus are never held at once."""


class SentenceEmbedder(Embeddings):
    """A sentence-transformers model as langchain-core `Embeddings`, and as arrays.

    `model` is a hub name or a folder; `prompts` (before a question, before a passage) overrides the table of families.
    `cache` is a folder for vectors of passages, `processes` how many encode passages at once, each with a model of its own.
    Calls from several threads are answered one after the other. Raises WeightsMissing where the model is not to be had,
    and ModelError where int8 lacks a package.
    """

    def __init__(
        self,
        model: str = MINILM,
        batch_size: int = 64,
        *,
        prompts: tuple[str, str] | None = None,
        offline: bool = False,
        precision: Precision = "auto",
        cache: Path | None = None,
        processes: int = 1,
    ) -> None:
        from shopbot.weights import resolve

        resolved = resolve(model, offline=offline)
        self.name = Path(model).name if Path(model).is_dir() else model
        self.origin = resolved.origin
        self.batch_size = batch_size
        self.precision = _bfloat16_is_fast() if precision == "auto" else precision
        self._model = _load(resolved.path, self.precision)
        self._lock = threading.Lock()
        self.prompts = prompts if prompts is not None else prompts_for(self.name, self._model.prompts)
        self.dimension = int(self._model.get_embedding_dimension())
        self.processes = processes
        self.folder = resolved.path
        self._cache = None
        if cache is not None:
            kind = f"{fingerprint(resolved.path)} {self.prompts[1]!r} {self.precision}"
            self._cache = VectorCache(cache, kind, self.dimension)

    def embed_array(
        self, texts: Sequence[str], query: bool = False, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Vectors of `texts`, shape (n, dimension), each of length 1; long texts are cut to what the model reads."""
        if not query and (self._cache is not None or self.processes > 1):
            return self.embed_parts(texts, [()] * len(texts), progress)[0]
        prompt = self.prompts[0 if query else 1]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        done = 0
        for batch in self._batches([prompt + text for text in texts]):
            vectors[batch.rows] = self._forward(batch)[0]
            done += len(batch.rows)
            if progress is not None:
                progress(done, len(texts))
        return vectors

    def embed_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Spans]], progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of passages, shape (n, dimension), and of the parts of each, shape (m, dimension), from one pass over the text.

        A part's vector is the mean of its tokens' as the model reads them within the whole text: late chunking (Günther
        et al., arXiv 2409.04701). It is 0 where the model does not read that far, or does not pool by a mean.
        """
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        starts = np.cumsum([0, *map(len, parts)])
        inner = np.zeros((int(starts[-1]), self.dimension), dtype=np.float32)
        done = 0
        if progress is not None and texts:
            progress(0, len(texts))  # a first batch of long passages takes seconds, processes take some to start
        for rows, whole, own in self._encoded(texts, parts):
            vectors[rows] = whole
            for row, some in zip(rows, own, strict=True):
                inner[starts[row] : starts[row + 1]] = some
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        return vectors, inner

    def _encoded(self, texts: Sequence[str], parts: Sequence[Sequence[Spans]]) -> Iterator[Encoded]:
        """Texts and parts as they come: from the cache, then from this process or from several."""
        encode: Encode = self.encode_here
        if self.processes > 1:
            from knowledge.worker_processes import Workers

            encode = Workers(self).encode
        return encode(texts, parts) if self._cache is None else self._cache.through(texts, parts, encode)

    def encode_here(self, texts: Sequence[str], parts: Sequence[Sequence[Spans]]) -> Iterator[Encoded]:
        """Rows of the texts, their vectors and those of their parts, a batch at a time, in this process."""
        prompt = self.prompts[1]
        for batch in self._batches([prompt + text for text in texts]):
            vectors, tokens = self._forward(batch)
            inner = [np.zeros((len(parts[row]), self.dimension), dtype=np.float32) for row in batch.rows]
            for row, offsets, own, out in zip(
                batch.rows, batch.offsets, tokens if self._pools_by_mean else (), inner, strict=False
            ):
                _pool(own, offsets, parts[row], len(prompt), out)
            yield batch.rows, vectors, inner

    def _batches(self, texts: list[str]) -> Iterator[_Batch]:
        """The texts, longest first within windows, so that batches hold little padding.

        Length is in tokens: a Chinese character is one, an English one a quarter of it.
        """
        tokenizer: Any = self._model.tokenizer
        if not callable(tokenizer) or not getattr(tokenizer, "is_fast", False):  # static embeddings pad nothing
            for start in range(0, len(texts), self.batch_size):
                rows = list(range(start, min(start + self.batch_size, len(texts))))
                yield _Batch(rows, self._model.preprocess([texts[row] for row in rows]), [])
            return
        for start in range(0, len(texts), self.batch_size * _WINDOW):
            window = texts[start : start + self.batch_size * _WINDOW]
            limit = self._model.max_seq_length
            cut: Any = tokenizer(window, truncation=True, max_length=limit, return_offsets_mapping=True)
            lengths = [-len(tokens) for tokens in cut["input_ids"]]
            order = sorted(range(len(window)), key=lengths.__getitem__)
            for at in range(0, len(order), self.batch_size):
                rows = order[at : at + self.batch_size]
                fields = {name: [cut[name][row] for row in rows] for name in cut if name != "offset_mapping"}
                features = tokenizer.pad(fields, return_tensors="pt")
                yield _Batch([start + row for row in rows], features, [cut["offset_mapping"][row] for row in rows])

    def _forward(self, batch: _Batch) -> tuple[NDArray[np.float32], Any]:
        """One batch straight through the model: `SentenceTransformer.encode` adds a tenth on a single question.

        Vectors of the texts, and what the model makes of each token (None where it has no such thing).
        """
        import torch

        with self._lock, torch.inference_mode():
            found = self._model(dict(batch.features))
            vectors = torch.nn.functional.normalize(found["sentence_embedding"].float(), dim=1).numpy()
            tokens = found.get("token_embeddings")
            return vectors, None if tokens is None or not self._pools_by_mean else tokens.float().numpy()

    @cached_property
    def _pools_by_mean(self) -> bool:
        """Whether a text's vector is the plain mean of its tokens', so that a part of it has one of the same kind."""
        pooling = [module for module in self._model if type(module).__name__ == "Pooling"]
        others = {type(module).__name__ for module in self._model} - {"Transformer", "Pooling", "Normalize"}
        means = [
            getattr(one, "pooling_mode", None) or getattr(one, "pooling_mode_mean_tokens", None) for one in pooling
        ]
        padded_behind = getattr(self._model.tokenizer, "padding_side", "right") == "right"
        return means in (["mean"], [True]) and not others and padded_behind

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages, as langchain-core wants them."""
        return self.embed_array(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """The vector of one question, as langchain-core wants it."""
        return self.embed_array([text], query=True)[0].tolist()

    @cached_property
    def words(self) -> frozenset[str]:
        """Whole words of the model's vocabulary, lower case: ordinary words, for telling typos from them."""
        vocabulary: Mapping[str, int] = self._model.tokenizer.get_vocab()
        marked = any(token.startswith("▁") for token in vocabulary)  # SentencePiece marks where a word begins
        whole = (token.removeprefix("▁") for token in vocabulary if token.startswith("▁" if marked else ""))
        return frozenset(word.lower() for word in whole if word.isalpha())

    def reads(self, language: str) -> bool:
        """Whether the model understands this language, by its name ("en" always)."""
        name = self.name.lower()
        return language == "en" or not any(family in name for family in READS_ENGLISH_ONLY)


def prompts_for(name: str, own: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The prompts before a question and before a passage: the model's own, else those of its family, else none."""
    own = own or {}
    passage = own.get("passage") or own.get("document") or ""
    if own.get("query") or passage:
        return own.get("query", ""), passage
    lowered = name.lower()
    return next((prompts for family, prompts in PROMPTS.items() if family in lowered), ("", ""))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts that go through the model together: their rows, tensors, and for each token the characters it stands for."""

    rows: list[int]
    features: Mapping[str, Any]
    offsets: Sequence[Sequence[tuple[int, int]]]


def _pool(
    tokens: NDArray[np.float32],
    offsets: Sequence[tuple[int, int]],
    parts: Sequence[Spans],
    shift: int,
    out: NDArray[np.float32],
) -> None:
    """Write the mean of each part's tokens, of length 1, to its row of `out`; characters count from `shift`."""
    first, after = np.array(offsets, dtype=np.int32).reshape(-1, 2).T - shift
    for row, spans in enumerate(parts):
        inside = np.zeros(len(first), dtype=bool)
        for start, end in spans:
            inside |= (first < end) & (after > start) & (first < after)
        if inside.any():
            mean = tokens[: len(first)][inside].mean(axis=0)
            out[row] = mean / max(float(np.linalg.norm(mean)), 1e-9)


def _bfloat16_is_fast() -> Literal["float32", "bfloat16"]:
    """By the processor's instructions: without them bfloat16 is a hundred times slower than float32."""
    import torch

    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def _load(folder: Path, precision: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    quiet = not logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a bar for a tenth of a second of loading
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    finally:
        if not quiet:
            logging.enable_progress_bar()
    if precision == "int8":
        from knowledge.onnx_encoder import use_int8

        use_int8(model.eval(), folder)
        return model
    return model.to(getattr(torch, precision)).eval()

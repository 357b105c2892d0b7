"""Texts into vectors with any sentence-transformers model: found by name, prompted as its family wants, safe to share.

Vectors are float32 and of length 1, so a dot product is the cosine. Weights are found by `shopbot.weights.resolve`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

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


class SentenceEmbedder(Embeddings):
    """A sentence-transformers model as langchain-core `Embeddings`, and as arrays.

    `model` is a hub name or a folder; `prompts` (before a question, before a passage) overrides the table of families.
    Calls from several threads are answered one after the other. Raises WeightsMissing where the model is not to be had.
    """

    def __init__(
        self,
        model: str = MINILM,
        batch_size: int = 64,
        *,
        prompts: tuple[str, str] | None = None,
        offline: bool = False,
    ) -> None:
        from shopbot.weights import resolve

        resolved = resolve(model, offline=offline)
        self.name = Path(model).name if Path(model).is_dir() else model
        self.origin = resolved.origin
        self.batch_size = batch_size
        self._model = _load(resolved.path)
        self._lock = threading.Lock()
        self.prompts = prompts if prompts is not None else prompts_for(self.name, self._model.prompts)
        self.dimension = int(self._model.get_embedding_dimension())

    def embed_array(
        self, texts: Sequence[str], query: bool = False, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Vectors of `texts`, shape (n, dimension), each of length 1; long texts are cut to what the model reads."""
        prompt = self.prompts[0 if query else 1]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        prompted = [prompt + text for text in texts]
        rows_by_length = self._longest_first(prompted)
        for start in range(0, len(texts), self.batch_size):
            rows = rows_by_length[start : start + self.batch_size]
            vectors[rows] = self._encode([prompted[row] for row in rows])
            if progress is not None:
                progress(start + len(rows), len(texts))
        return vectors

    def _longest_first(self, texts: list[str]) -> list[int]:
        """Rows by length in tokens, so that batches hold little padding, and the largest batch comes first.

        Characters would not do: a Chinese one is a token, an English one a quarter of it, and a third of the work was
        padding. One batch is padded to its longest text in any order.
        """
        rows = list(range(len(texts)))
        tokenizer: Any = self._model.tokenizer
        if len(texts) <= self.batch_size or not callable(tokenizer):  # static embeddings' is not, and nothing is padded
            return rows
        cut: Any = tokenizer(texts, truncation=True, max_length=self._model.max_seq_length)
        lengths = [len(tokens) for tokens in cut["input_ids"]]
        return sorted(rows, key=lambda row: -lengths[row])

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        """One batch straight through the model: `SentenceTransformer.encode` adds a tenth on a single question."""
        import torch

        with self._lock, torch.inference_mode():
            vectors = self._model(self._model.preprocess(texts))["sentence_embedding"]
            return torch.nn.functional.normalize(vectors.float(), dim=1).numpy()

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


def _load(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    quiet = not logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a bar for a tenth of a second of loading
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    finally:
        if not quiet:
            logging.enable_progress_bar()
    return model.float().eval()

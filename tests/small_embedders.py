"""Real sentence-transformers models that are made in a moment: a vector a word from a seed, the mean of them for a text.

They know no meaning, but texts that share words are near each other: enough wherever a test is about the index around
the model, and a second model, or another one under the same name, is made as quickly.
"""

from __future__ import annotations

from pathlib import Path

from knowledge.embed import SentenceEmbedder


def write_model(folder: Path, seed: int = 0, dimension: int = 48) -> Path:
    """A model folder with MiniLM's words; another seed or dimension is another model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    from knowledge.embed import MINILM
    from shopbot.weights import resolve

    words = Tokenizer.from_file(str(resolve(MINILM).path / "tokenizer.json"))
    vectors = torch.randn(words.get_vocab_size(), dimension, generator=torch.Generator().manual_seed(seed))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_weights=vectors)], device="cpu").save(str(folder))
    return folder


def small_embedder(folder: Path, seed: int = 0, dimension: int = 48) -> SentenceEmbedder:
    """The same, loaded; it is named after its folder."""
    return SentenceEmbedder(str(write_model(folder, seed, dimension)))

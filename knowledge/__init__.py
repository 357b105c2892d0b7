"""Documents in, passages out: what a shop's own policies and products say, found again by meaning and by word.

    read = read_documents([Path("policies")], root=Path("."))
    embedder = SentenceEmbedder()
    index = KnowledgeIndex.build(Path("index"), read.passages, embedder)
    retriever = ShopRetriever(index, embedder)
    found = retriever.search("Who pays for the return?", today=date(2026, 11, 20))

`python -m knowledge.ingest DOCS --index DIR` does the first half from a shell. Heavy libraries are imported by the
classes that need them, when they are made.
"""

from knowledge.documents import ReadResult, product_passages, read_documents
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.reader import read
from knowledge.retriever import ShopRetriever
from knowledge.stored_vectors import stored_vectors

__all__ = [
    "KnowledgeIndex",
    "ReadResult",
    "SentenceEmbedder",
    "ShopRetriever",
    "product_passages",
    "read",
    "read_documents",
    "stored_vectors",
]

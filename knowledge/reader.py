"""Which sentences of the passages answer the question: scored by meaning, by word, by their passage, and by the kind of answer asked for.

Sentence vectors were made at ingest, so nothing is encoded here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge.index import KnowledgeIndex
from knowledge.lexical import query_tokens, tokenize
from shopbot.types import ScoredPassage, ScoredSentence


def read(
    question: str,
    query_vector: NDArray[np.float32] | None,
    passages: Sequence[ScoredPassage],
    index: KnowledgeIndex,
    limit: int = 3,
) -> list[ScoredSentence]:
    """The `limit` best sentences, best first. `query_vector` None, or of a model that cannot read the question: words alone."""
    wanted = {token: index.lexical.idf(token) for token in query_tokens(question)}
    total = sum(wanted.values()) or 1.0
    found: list[ScoredSentence] = []
    for scored in passages:
        known = index.sentences(scored.passage.id)
        cosines = known.vectors @ query_vector if query_vector is not None else np.zeros(len(known.texts))
        for place, (text, cosine) in enumerate(zip(known.texts, cosines, strict=True)):
            there = set(tokenize(f"{scored.passage.title} {text}"))
            overlap = sum(idf for token, idf in wanted.items() if token in there) / total
            score = 0.5 * float(cosine) + 0.3 * overlap + 0.2 * scored.score
            found.append(ScoredSentence(text, scored.passage, min(max(score, 0.0), 1.0), place))
    return sorted(found, key=lambda each: -each.score)[:limit]

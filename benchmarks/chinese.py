"""Chinese: the exact-word leg alone, a tokenizer that parts at spaces, and both legs with an embedder that reads Chinese.

    python -m benchmarks.chinese [--quick] [--json OUT]

Reviews: 500 reviews of shops (drawn with seed 0), each asked for by its first clause among all of them; right is every review that
holds the clause, and the figure is the share of clauses with such a review in the first place. Sample shop: its Chinese questions,
development and test, whose answer stands in a policy or product, by recall@3 of those documents. The dense leg is
multilingual-e5-small in the trimmed copy under ../shared/models; its share in the fusion is learned on one half of the questions
and scored on the other, as in `benchmarks.retrieval`. Fused holds where it is at least the better leg.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.answers.score import read_questions
from benchmarks.report import REPOSITORY, Rows, data_dir
from benchmarks.retrieval.quality import asked_of, compared
from benchmarks.retrieval.sets import RetrievalSet
from knowledge.documents import passage_id
from knowledge.embed import SentenceEmbedder
from knowledge.postings import Postings, TokenTable
from knowledge.questions import Question
from shopbot.shop import Shop
from shopbot.types import Passage

CLAUSE = re.compile(r"[，。！？；：,.!?;:~\s…]+")
LEAST_CLAUSE = 4
"""Characters of a clause that is asked: "很好" alone is in hundreds of reviews."""


def main() -> int:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chinese", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 reviews, and not the sample shop")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    arguments = parser.parse_args()
    rows = Rows("chinese")
    data = data_dir()
    model = data.parent / "models" / "multilingual-e5-small-zh-en" if data is not None else None
    if data is None or model is None or not model.is_dir():
        rows.add("Chinese retrieval", None, "data and the e5 copy at hand", None)
        return rows.finish(arguments.json)
    embedder = SentenceEmbedder(str(model))
    count = 60 if arguments.quick else 500
    with tempfile.TemporaryDirectory() as place:
        reviews = review_set(data, count)
        _spaces(rows, reviews)
        _compare(rows, reviews, Path(place) / "reviews", embedder, "recall@1", 0.9, arguments.quick)
        if not arguments.quick:
            questions = shop_set(("dev", "dev2", "dev3", "dev4", "test"))
            _compare(rows, questions, Path(place) / "shop", embedder, "recall@3", None, quick=False)
    return rows.finish(arguments.json)


def review_set(data: Path, count: int) -> RetrievalSet:
    """Reviews, and their first clauses as questions."""
    with gzip.open(
        data / "zh_reviews" / "online_shopping_10_cats.csv.gz", "rt", encoding="utf-8-sig", newline=""
    ) as file:
        texts = list(dict.fromkeys(row["review"].strip("\ufeff \n") for row in csv.DictReader(file)))
    fitting = [
        text for text in texts if len(_first_clause(text)) >= LEAST_CLAUSE and len(text) > len(_first_clause(text)) + 8
    ]
    chosen = random.Random(0).sample(fitting, count)
    sources = {text: f"review:{number}" for number, text in enumerate(chosen)}
    passages = [
        Passage(passage_id(source, "", text), text, source, "", "policy", "zh") for text, source in sources.items()
    ]
    questions = [
        Question(str(number), clause, tuple(source for text, source in sources.items() if clause in text))
        for number, clause in enumerate(map(_first_clause, chosen))
    ]
    return RetrievalSet("500 reviews" if count == 500 else f"{count} reviews", passages, questions)


def _first_clause(text: str) -> str:
    return next((part for part in CLAUSE.split(text) if part), "")


def shop_set(halves: tuple[str, ...]) -> RetrievalSet:
    """The sample shop's Chinese questions about policies and products, and all of its passages."""
    with Shop.open(REPOSITORY / "sample_shop") as shop:
        passages = shop.passages()
    there = {passage.source for passage in passages}
    return RetrievalSet("sample shop", passages, list(_questions(halves, there)))


def _questions(halves: tuple[str, ...], there: set[str]) -> Iterator[Question]:
    for half in halves:
        for asked in read_questions(REPOSITORY / "benchmarks" / "answers" / f"sample_shop_{half}.jsonl"):
            documents = tuple(dict.fromkeys(source.partition("#")[0] for source in asked.sources))
            found = tuple(one for one in documents if one in there)
            if asked.language == "zh" and asked.answerable and found:
                yield Question(asked.id, asked.question, found)


def _spaces(rows: Rows, reviews: RetrievalSet) -> None:
    """What a tokenizer that parts at spaces finds: next to nothing, since the clause is followed by no space."""
    table = TokenTable.of([passage.text for passage in reviews.passages], str.split)
    postings = Postings(table)
    first = [postings.scores(question.text.split()) for question in reviews.questions]
    right = [
        scores.max() > 0 and reviews.passages[int(np.argmax(scores))].source in question.relevant
        for scores, question in zip(first, reviews.questions, strict=True)
    ]
    share = sum(right) / len(right)
    rows.add(f"{reviews.name}: a tokenizer that parts at spaces, first place", share, "for orientation", None)


def _compare(
    rows: Rows,
    one: RetrievalSet,
    folder: Path,
    embedder: SentenceEmbedder,
    metric: str,
    target: float | None,
    quick: bool,
) -> None:
    found = compared(asked_of(one, folder, embedder))
    title = f"{one.name} ({len(one.questions)} questions), {metric}"
    lexical, dense, fused = (found.mean(name, metric) for name in ("lexical", "dense", "fused"))
    if target is None:
        rows.add(f"{title}: lexical leg alone", lexical, "for orientation", None)
    else:
        rows.add(f"{title}: lexical leg alone", lexical, f"≥ {target}", lexical >= target)
    rows.add(f"{title}: dense leg alone", dense, "for orientation", None)
    best = max(lexical, dense) - (0.05 if quick else 0.0)
    rows.add(f"{title}: fused, share learned on other questions", fused, f"≥ {best:.4f}", fused >= best)
    apart, low, high = found.ahead(metric, found.better(metric, ("dense", "lexical")))
    rows.add(
        f"{title}: fused less the better leg", f"{apart:+.4f} ({low:+.4f} to {high:+.4f})", "for orientation", None
    )


if __name__ == "__main__":
    sys.exit(main())

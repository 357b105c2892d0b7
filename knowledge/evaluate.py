"""How well an index answers your own questions: python -m knowledge.evaluate --index DIR --questions FILE.jsonl.

Each line of the file is {"id": "q1", "question": "How long does a refund take?", "relevant": ["returns.md"]}. The ids are those of
documents, as `source` of a passage gives them, or the end of one ("returns.md" or "returns" for "policies/en/returns.md").
`--learn` fits the dense leg's share in the fusion to these questions and keeps it with the index.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from knowledge.embed import MINILM, SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.ingest import IngestBars
from knowledge.questions import Question, read_questions
from knowledge.ranking import METRICS, interval, measure, ndcg, rank
from knowledge.retriever import Candidates, ShopRetriever
from knowledge.sentences import detect_language
from knowledge.vectors import Progress
from shopbot.errors import ShopbotError

GRID = tuple(step / 20 for step in range(21))
"""The dense shares that are tried, from words alone to meaning alone."""

LEAST_QUESTIONS = 10
"""Questions of a language below which nothing is learned for it."""

SPLITS = 5
"""How often the questions are halved at random for the cross-validated figure: each half is scored by what the other taught."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what both legs found for it. `documents` has the document of each candidate; `seconds` is wall time."""

    question: Question
    language: str
    found: Candidates
    documents: NDArray[np.str_]
    seconds: float

    def ranking(self, share: float) -> list[str]:
        """Documents best first, with the dense leg at `share`: 1 is that leg alone, 0 the lexical one."""
        return rank(self.documents, self.found.scores(share), self.question.relevant)


# ---------------------------------------------------------------- asking


@contextlib.contextmanager
def opened(folder: Path, embedder: SentenceEmbedder) -> Iterator[ShopRetriever]:
    """The retriever over the index in `folder`. Raises IndexRefused where it cannot be used."""
    with KnowledgeIndex.open(folder, embedder) as index:
        yield ShopRetriever(index, embedder)


def ask(retriever: ShopRetriever, questions: Sequence[Question], progress: Progress | None = None) -> list[Asked]:
    """Ask the retriever every question, one after the other, as shoppers do; the first is asked twice, to warm up.

    Passages count on whatever days they hold.
    """
    documents = np.array([passage.source for passage in retriever.index.passages.values()], dtype=np.str_)
    for question in questions[:1]:
        retriever.candidates(question.text)
    asked: list[Asked] = []
    for question in questions:
        begin = time.perf_counter()
        found = retriever.candidates(question.text)
        found.scores(found.share)
        seconds = time.perf_counter() - begin
        asked.append(Asked(question, detect_language(question.text), found, documents[found.rows], seconds))
        if progress is not None:
            progress("questions", len(asked), len(questions))
    return asked


def figures(asked: Sequence[Asked], share: float | None = None) -> NDArray[np.float64]:
    """The METRICS of each question, shape (n, 5), with the dense leg at `share`; None: at that of the index."""
    rows = [
        measure(each.ranking(each.found.share if share is None else share), each.question.relevant) for each in asked
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, len(METRICS))


LEGS: Mapping[str, float | None] = {"dense": 1.0, "lexical": 0.0, "fused": None}
"""What is measured: by meaning alone, by words alone, and both, each as a share of the dense leg."""


# ---------------------------------------------------------------- learning


@dataclass(frozen=True, slots=True)
class Learned:
    """The dense share that fits the questions of a language, with nDCG@10 on them.

    `before` is that of the share which serves, `after` that of `share`; `unseen` is the cross-validated one, of shares learned
    without the question that they are scored on.
    """

    language: str
    questions: int
    served: float
    share: float
    before: float
    after: float
    unseen: float

    @property
    def helps(self) -> bool:
        """Whether it does better than what serves on questions that it has not seen."""
        return self.unseen > self.before


def learn(asked: Sequence[Asked]) -> list[Learned]:
    """Fit the dense share for each language that the embedder reads and that has at least LEAST_QUESTIONS questions."""
    by_language: defaultdict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        if each.found.dense.any():
            by_language[each.language].append(each)
    return [_fit(language, own) for language, own in by_language.items() if len(own) >= LEAST_QUESTIONS]


def gains(asked: Sequence[Asked]) -> NDArray[np.float64]:
    """NDCG@10 of each question at each share of GRID, shape (n, 21)."""
    rows = [[ndcg(each.ranking(share), each.question.relevant) for share in GRID] for each in asked]
    return np.array(rows, dtype=np.float64)


def best_share(gained: NDArray[np.float64]) -> int:
    """Which of GRID has the highest mean in rows of `gains`; the lowest such share."""
    return int(gained.mean(axis=0).argmax())


def halves(count: int, splits: int = SPLITS) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs (learn on, score on) of rows: each of `splits` random halvings, both ways. The seed is fixed."""
    draw = np.random.default_rng(0)
    for _ in range(splits):
        order = draw.permutation(count)
        first, second = order[: count // 2], order[count // 2 :]
        yield first, second
        yield second, first


def _fit(language: str, asked: Sequence[Asked]) -> Learned:
    gained = gains(asked)
    best = best_share(gained)
    served = asked[0].found.share
    unseen = [gained[scored, best_share(gained[taught])].mean() for taught, scored in halves(len(asked))]
    before = float(np.mean([ndcg(each.ranking(served), each.question.relevant) for each in asked]))
    after = float(gained[:, best].mean())
    return Learned(language, len(asked), served, GRID[best], before, after, float(np.mean(unseen)))


# ---------------------------------------------------------------- results


def results(retriever: ShopRetriever, asked: Sequence[Asked], learned: Sequence[Learned] = ()) -> dict[str, Any]:
    """What `--json` writes: every figure with its 95 % interval, latency in milliseconds, each question's own figures."""
    manifest = retriever.index.manifest
    by_leg = {leg: figures(asked, share) for leg, share in LEGS.items()}
    milliseconds = 1000 * np.array([each.seconds for each in asked])
    return {
        "version": manifest.version,
        "embedder": manifest.embedder,
        "passages": manifest.passages,
        "questions": len(asked),
        "legs": {leg: _with_intervals(own) for leg, own in by_leg.items()},
        "latency_ms": {"p50": float(np.percentile(milliseconds, 50)), "p99": float(np.percentile(milliseconds, 99))},
        "dense_share": {each.language: each.found.share for each in asked},
        "learned": [{name: getattr(one, name) for name in Learned.__slots__} | {"kept": one.helps} for one in learned],
        "unknown": dict(Counter(document for each in asked for document in each.question.unknown)),
        "by_question": [
            {"id": each.question.id, **dict(zip(METRICS, row.tolist(), strict=True))}
            for each, row in zip(asked, by_leg["fused"], strict=True)
        ],
    }


def _with_intervals(values: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for column, name in enumerate(METRICS):
        low, high = interval(values[:, column])
        found[name] = {"value": float(values[:, column].mean()), "low": low, "high": high}
    return found


def table(result: Mapping[str, Any]) -> Table:
    """The figures for a terminal."""
    title = f"{result['questions']} questions, {result['passages']} passages; mean and 95 % interval"
    shown = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    for name in METRICS:
        shown.add_column(name, justify="right")
    for leg, own in result["legs"].items():
        cells = [f"{each['value']:.3f}\n[dim]{each['low']:.3f}–{each['high']:.3f}[/dim]" for each in own.values()]
        shown.add_row(leg, *cells)
    return shown


# ---------------------------------------------------------------- from a shell


app = typer.Typer(add_completion=False)


@app.command()
def main(
    index: Annotated[Path, typer.Option(help="The folder of the index that python -m knowledge.ingest made.")],
    questions: Annotated[
        Path, typer.Option(help="One object a line: id, question, relevant (ids of documents).", dir_okay=False)
    ],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every figure there.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write report.html into this folder.", file_okay=False)] = None,
    learn_share: Annotated[
        bool, typer.Option("--learn", help="Fit the dense leg's share to these questions, keep it with the index.")
    ] = False,
    embedder: Annotated[str, typer.Option(help="The model that made the index: a hub name or a folder.")] = MINILM,
) -> None:
    """Measure how well the index finds the documents that answer your questions: recall, nDCG, MRR and latency.

    A line: {"id": "q1", "question": "How long does a refund take?", "relevant": ["returns.md"]}. A document may be
    named by the end of its path, with or without its ending. --learn measures first, then keeps the share that does
    better on questions it was not learned on; measure on other questions afterwards. Exit 0: all lines counted; 2: some
    were left out, or name documents that are not in the index; 1: nothing could be measured.
    """
    out, err = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with opened(index, SentenceEmbedder(embedder)) as retriever:
            is_whole = _run(retriever, questions, (json_out, report), learn_share, out, err)
    except (ShopbotError, OSError) as error:
        err.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error
    raise typer.Exit(0 if is_whole else 2)


def _run(
    retriever: ShopRetriever,
    path: Path,
    files: tuple[Path | None, Path | None],
    learns: bool,
    out: Console,
    err: Console,
) -> bool:
    """Measure, learn and write; True where every line of the file counted and every document that it names is there."""
    documents = {passage.source for passage in retriever.index.passages.values()}
    read = read_questions(path, documents)
    for problem in read.problems:
        err.print(problem, markup=False, style="yellow")
    _check_known(read.questions, path, documents, err)
    with IngestBars(err) as bars:
        asked = ask(retriever, read.questions, bars.update)
    learned = learn(asked) if learns else []
    result: dict[str, Any] = results(retriever, asked, learned) | {"left_out": read.problems}
    out.print(table(result))
    out.print(
        "Retrieval of one question: {p50:.1f} ms (median), {p99:.1f} ms (99th percentile)".format(
            **result["latency_ms"]
        )
    )
    if learns:
        _keep(retriever.index, learned, out)
    _write(files, retriever, asked, result, out)
    return not read.problems and not result["unknown"]


def _check_known(questions: Sequence[Question], path: Path, documents: set[str], err: Console) -> None:
    """Say which relevant ids no document has. Raises ShopbotError where that is all of them, or there is no question."""
    if not questions:
        raise ShopbotError(f"{path} has no question that can be used")
    unknown = Counter(document for question in questions for document in question.unknown)
    if all(set(question.relevant) == set(question.unknown) for question in questions):
        some = ", ".join(sorted(documents)[:3]) or "none: it is empty"
        raise ShopbotError(
            f"no document of this index is named in {path}, but {', '.join(list(unknown)[:3])}. Documents here: {some}"
        )
    if unknown:
        named = ", ".join(f"{document} ({times}×)" if times > 1 else document for document, times in unknown.items())
        text = f"In no document of the index, and counted as not found: {named}. Ingest them, or correct the ids."
        err.print(text, markup=False, style="yellow")


def _keep(index: KnowledgeIndex, learned: Sequence[Learned], out: Console) -> None:
    """Keep what helps, and say what was learned."""
    if not learned:
        out.print(f"Nothing learned: that takes {LEAST_QUESTIONS} questions in a language that the embedder reads.")
    for one in learned:
        found = f"nDCG@10 {one.before:.3f} at {one.served:.2f}, {one.unseen:.3f} cross-validated"
        if one.helps:
            out.print(f"{one.language}: dense share {one.share:.2f} from {one.questions} questions ({found}), kept.")
        else:
            out.print(f"{one.language}: the share stays {one.served:.2f}: no better one was found ({found}).")
    if shares := {one.language: one.share for one in learned if one.helps}:
        index.learn(shares)


def _write(
    files: tuple[Path | None, Path | None],
    retriever: ShopRetriever,
    asked: Sequence[Asked],
    result: Mapping[str, Any],
    out: Console,
) -> None:
    json_out, report = files
    if json_out is not None:
        json_out.parent.mkdir(parents=True, exist_ok=True)
        json_out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if report is not None:
        from knowledge.evaluate_html import page

        report.mkdir(parents=True, exist_ok=True)
        path = report / "report.html"
        path.write_text(page(retriever, asked, result), encoding="utf-8")
        out.print(f"Report: {path}", soft_wrap=True)


if __name__ == "__main__":
    app()

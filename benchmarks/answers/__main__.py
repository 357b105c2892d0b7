"""Right answers on questions about a shop.

python -m benchmarks.answers [--shop NAME] [--quick] [--json OUT]

Two shops, each with a development and a test half that somebody wrote who had not seen the code; the test halves were
committed before what they test, and their hashes stand below. Both are shown: a gap above 5 points is a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.answers.reading import Reading, reading_of, write_answers
from benchmarks.answers.score import Question, Score, read_questions, score
from benchmarks.report import Rows, data_dir
from benchmarks.vllm_server import served
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.types import Event, Shopper

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
HASHES = {
    "sample_shop_test": "e5ccf684354f4fd803e63e392ee5f4d766ebbc3acc9b4cc7a1c06bd7067b2892",
    "sample_shop_hard": "e22bf46ddc65df0cdb7eec4dcc44aa2d472ee159cdd54e9365f856a1511395a7",
    "tau2_retail_hard": "54c07d09bc8ff7ba417972684cbd6a1e3f0d439eed82c7cfb88ae969c88d7f32",
    "tau2_retail_test": "d4a70d8b9a433787d6a5d06ad0558713271d6f75e91568b03dd18d47ba288066",
}

Ways = Mapping[str, str | None]
"""From a way of wording to the chat model that it needs, as `models.open_chat` takes it."""


@dataclass(frozen=True)
class Exam:
    """A shop, its question files, and what must be reached (shares)."""

    shop: str
    folder: Path
    needs_data: bool
    source: float
    fact: float
    refused: float


EXAMS = (
    Exam("sample_shop", REPOSITORY / "sample_shop", False, 0.95, 0.85, 0.08),
    Exam("tau2_retail", REPOSITORY / "benchmarks" / "tau2_retail", True, 0.85, 0.75, 1.0),
)


async def run(shop: Shop, questions: Sequence[Question], **options: Any) -> list[Score]:
    """Every question in a session of its own."""
    scores: list[Score] = []
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "answers.db") as store:
        bot = shop.bot(store=store, **options)
        for question in questions:
            stream = bot.stream(question.question, shopper=Shopper(question.shopper_id), session=question.id)
            events: list[Event] = [event async for event in stream]
            scores.append(score(question, events))
    return scores


def shares(scores: Sequence[Score]) -> dict[str, float]:
    """The shares that the rows report; each is of the questions that it is about."""
    answerable = [one for one in scores if one.question.answerable]
    others = [one for one in scores if not one.question.answerable]

    def share(of: Sequence[Score], what: str) -> float:
        return sum(bool(getattr(one, what)) for one in of) / len(of) if of else float("nan")

    return {
        "source": share(answerable, "source"),
        "source en": share([one for one in answerable if one.question.language == "en"], "source"),
        "source zh": share([one for one in answerable if one.question.language == "zh"], "source"),
        "fact": share(answerable, "fact"),
        "refused": share(answerable, "refused"),
        "declined": share(others, "refused"),
        "inventions": sum(len(one.inventions) for one in scores),
    }


def main(
    shop: Annotated[str, typer.Option(help="Only this shop.")] = "",
    half: Annotated[str, typer.Option(help="dev, dev2, dev3, dev4 or test; both: dev and test.")] = "both",
    wording: Annotated[str, typer.Option(help="draft, model or both; model words on vLLM.")] = "draft",
    server: Annotated[str, typer.Option(help="A vLLM server that runs already, with its /v1.")] = "",
    embedder: Annotated[str, typer.Option(help="Another embedder, by name or folder.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Twelve questions of each half.")] = False,
    show: Annotated[
        str, typer.Option(help="Print questions: wrong, all, unanswerable; or X.jsonl: add all to it.")
    ] = "",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Ask every question and report the shares."""
    rows = Rows("answers")
    with _models(wording, server) as ways:
        for exam in EXAMS:
            if shop in ("", exam.shop):
                _exam(rows, exam, half, ways, embedder, quick, show)
    raise SystemExit(rows.finish(json_path))


@contextlib.contextmanager
def _models(wording: str, url: str) -> Iterator[Ways]:
    """The ways of wording that are asked for, with the model of each; a server is started where one is needed."""
    if wording == "draft":
        yield {"draft": None}
        return
    from shopbot.weights import SMOLLM2, fetch

    with served(fetch(SMOLLM2).path, url or None) as server:
        model = f"vllm:{server.url}#{server.name}"
        yield {"draft": None, "model": model} if wording == "both" else {"model": model}


def _exam(rows: Rows, exam: Exam, half: str, ways: Ways, embedder: str, quick: bool, show: str) -> None:
    if exam.needs_data and data_dir() is None:
        rows.add(f"{exam.shop}", None, "data at hand", None)
        return
    opened = Shop.open(exam.folder)
    if embedder:
        opened.config = opened.config.with_embedder(embedder)
    with opened:
        for name in ("dev", "test") if half == "both" else (half,):
            path = HERE / f"{exam.shop}_{name}.jsonl"
            _check_hash(path)
            questions = read_questions(path)
            questions = questions[:: max(1, len(questions) // 12)] if quick else questions
            for way, model in ways.items():
                scores = asyncio.run(run(opened, questions, wording=way, model=model))
                _show(scores, show)
                _report(rows, exam, f"{exam.shop} {name} ({way})", shares(scores), quick)
                _report_reading(rows, f"{exam.shop} {name} ({way})", reading_of(path.stem, scores), len(scores))
                if show.endswith(".jsonl"):
                    write_answers(path.stem, scores, Path(show))


def _check_hash(path: Path) -> None:
    wanted = HASHES.get(path.stem)
    if wanted is not None and hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise SystemExit(f"{path} was edited: its hash is not the one that was committed with it.")


def _report(rows: Rows, exam: Exam, name: str, found: dict[str, float], quick: bool) -> None:
    slack = 0.4 if quick else 0.0  # a dozen questions only show that the machinery runs
    rows.add(
        f"{name}: right source, en",
        found["source en"],
        f">= {exam.source - slack}",
        found["source en"] >= exam.source - slack,
    )
    if found["source zh"] == found["source zh"]:
        rows.add(
            f"{name}: right source, zh", found["source zh"], f">= {0.8 - slack}", found["source zh"] >= 0.8 - slack
        )
    rows.add(
        f"{name}: fact in the answer", found["fact"], f">= {exam.fact - slack}", found["fact"] >= exam.fact - slack
    )
    rows.add(
        f"{name}: answerable ones refused",
        found["refused"],
        f"<= {exam.refused + slack}",
        found["refused"] <= exam.refused + slack,
    )
    rows.add(f"{name}: inventions", found["inventions"], "0", found["inventions"] == 0)
    rows.add(f"{name}: unanswerable ones declined", found["declined"], "for orientation", None)


def _report_reading(rows: Rows, name: str, reading: Reading, answers: int) -> None:
    """Holds where every answer, as it is worded now, was read and none found invented; not measured where some were not."""
    whole = None if reading.read < answers and not reading.invented else not reading.invented
    value = f"{len(reading.invented)} in {reading.read} of {answers}"
    rows.add(f"{name}: inventions by a recorded reading", value, "0 in all", whole)


def _show(scores: Sequence[Score], which: str) -> None:
    for one in scores:
        asked = one.question
        wrong = bool(one.inventions) or (asked.answerable and not (one.fact and one.source))
        if which == "all" or (which == "wrong" and wrong) or (which == "unanswerable" and not asked.answerable):
            marks = f"{'S' if one.source else '-'}{'F' if one.fact else '-'}{'R' if one.refused else ''}"
            print(f"\n{asked.id} [{marks}] {asked.shopper_id}: {asked.question}\n   answer: {one.text}")
            print(f"   facts: {[group[:3] for group in asked.facts]}\n   want: {asked.sources} got: {one.top[:4]}")
            if one.inventions:
                print(f"   INVENTED: {one.inventions}")


if __name__ == "__main__":
    typer.run(main)

"""Documents into an index, from a shell or from `shopbot ingest`: python -m knowledge.ingest DOCS… --index DIR."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from knowledge.documents import read_documents
from knowledge.embed import MINILM, Precision, SentenceEmbedder
from knowledge.vectors import Progress
from knowledge.versions import read_manifest
from knowledge.writing import Change, write_index
from shopbot.errors import ShopbotError
from shopbot.types import Passage


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did. `seconds` is wall time, the model's loading left out."""

    change: Change
    passages: int
    sentences: int
    seconds: float


def ingest(
    passages: Sequence[Passage],
    folder: Path,
    embedder: SentenceEmbedder,
    progress: Progress | None = None,
    *,
    created_at: str = "",
    server: str = "",
) -> IngestReport:
    """Bring the index in `folder` to hold exactly `passages`. Raises StoreError, and then what served before still serves."""
    start = time.perf_counter()
    change = write_index(folder, passages, embedder, progress, created_at=created_at, server=server)
    manifest = read_manifest(folder / "versions" / change.version)
    return IngestReport(change, manifest.passages, manifest.sentences, time.perf_counter() - start)


# ---------------------------------------------------------------- from a shell


app = typer.Typer(add_completion=False)

ChromaOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Where several machines share the folder: the Chroma server that has the graph. Without it the folder has it.",
    ),
]

CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Keep vectors there, 2 GB at most: for an index that is deleted and made anew. An index keeps its own without it.",
    ),
]


@app.command()
def main(
    docs: Annotated[
        list[Path],
        typer.Argument(
            help="Files and folders: .md, .html, .pdf with text, .txt; tables of products or answers: .csv, .tsv, .jsonl, .json, .parquet.",
            exists=True,
        ),
    ],
    index: Annotated[Path, typer.Option(help="The folder of the index; made if need be.")],
    embedder: Annotated[str, typer.Option(help="A sentence-transformers model: a hub name or a folder.")] = MINILM,
    precision: Annotated[
        Precision,
        typer.Option(
            help="auto: bfloat16 where the processor has it, else float32. int8: faster, less exact, needs pip install 'shopbot\\[onnx]'."
        ),
    ] = "auto",
    processes: Annotated[
        int,
        typer.Option(
            min=1, help="How many encode at once, each with the model in memory: for machines with 16 cores or more."
        ),
    ] = 1,
    cache: CacheOption = None,
    chroma: ChromaOption = "",
) -> None:
    """Bring the index to hold exactly these documents. What did not change since the last time costs nothing.

    A document that cannot be read is named with its line on standard error, and the rest goes in. Exit 0: all
    are in; 2: some were left out; 1: the index could not be written, and what served before still serves.
    """
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    read = read_documents(docs, _root(docs))
    for problem in read.problems:
        err.print(problem, markup=False, style="yellow")
    if not read.passages:
        err.print("Nothing to index: none of these documents could be read.", style="red")
        raise typer.Exit(2)
    try:
        with IngestBars(err) as bars:
            model = SentenceEmbedder(embedder, precision=precision, cache=cache, processes=processes)
            report = ingest(read.passages, index, model, bars.update, server=chroma)
    except ShopbotError as error:
        err.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error
    out.print(summary(report), markup=False)
    raise typer.Exit(2 if read.problems else 0)


def summary(report: IngestReport) -> str:
    """What was done, in a line for people."""
    change = report.change
    if not change.switched:
        return f"Nothing changed: version {change.version} still serves {report.passages} passages."
    return (
        f"Version {change.version} serves {report.passages} passages, {report.sentences} sentences: {change.added} added, "
        f"{change.removed} removed, {change.kept} kept ({report.seconds:.1f} s)."
    )


class IngestBars:
    """A bar for each stage of an ingest, with rate and time left; `update` is the callback that `ingest` takes.

    The bars appear with the first `update`: where there is nothing to do, nothing is shown.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        self._bars = Bars(*columns, console=console, transient=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` is done of this stage."""
        self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed is not None else "")


def _root(docs: Sequence[Path]) -> Path:
    """What sources are named relative to: the working folder where all documents are in it, else the folder that they share."""
    here = Path.cwd()
    if all(path.resolve().is_relative_to(here) for path in docs):
        return here
    shared = Path(os.path.commonpath([path.resolve() for path in docs]))
    return shared if shared.is_dir() else shared.parent


if __name__ == "__main__":
    app()

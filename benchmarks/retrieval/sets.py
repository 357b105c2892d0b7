"""The sets: passages and questions with the documents that answer them, read from the benchmark data as they lie there."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowledge.documents import passage_id, read_documents
from knowledge.questions import Question
from shopbot.types import Passage


@dataclass(frozen=True)
class RetrievalSet:
    """What is indexed and what is asked."""

    name: str
    passages: list[Passage]
    questions: list[Question]

    def part(self, questions: int, passages: int) -> RetrievalSet:
        """The first questions, what answers them, and as many of the other passages as make `passages`."""
        asked = self.questions[:questions]
        wanted = {document for question in asked for document in question.relevant}
        needed = [each for each in self.passages if each.source in wanted]
        others = [each for each in self.passages if each.source not in wanted]
        return RetrievalSet(self.name, needed + others[: max(0, passages - len(needed))], asked)


def banking(data: Path) -> RetrievalSet:
    """The tasks of tau3's bank, each asked in the words of its customer's instructions; its documents are those it requires."""
    folder = data / "tau3_banking"
    with tempfile.TemporaryDirectory() as place:
        for line in (folder / "documents.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            Path(place, f"{row['id']}.md").write_text(f"# {row['title']}\n\n{row['content']}\n", "utf-8")
        passages = read_documents([Path(place)], Path(place)).passages
    questions = [
        Question(
            task["id"],
            _spoken(task["user_scenario"]["instructions"]),
            tuple(f"{one}.md" for one in task["required_documents"]),
        )
        for task in json.loads((folder / "tasks_even.json").read_text("utf-8"))
    ]
    return RetrievalSet("tau3 banking", passages, questions)


def _spoken(instructions: object) -> str:
    return instructions if isinstance(instructions, str) else json.dumps(instructions)


def walmart_amazon(data: Path) -> RetrievalSet:
    """Walmart's titles, each asked for among Amazon's."""
    return _matched("Walmart→Amazon", data / "product_matching" / "D8", ("walmart.csv", "amazon.csv"), "|", "title")


def amazon_google(data: Path) -> RetrievalSet:
    """Amazon's titles, each asked for among Google's."""
    return _matched("Amazon→Google", data / "product_matching" / "D3", ("amazon.csv", "gp.csv"), "#", "title")


def abt_buy(data: Path) -> RetrievalSet:
    """Abt's names, each asked for among Buy's."""
    return _matched("Abt→Buy", data / "product_matching" / "D2", ("abt.csv", "buy.csv"), "|", "name")


SETS: Mapping[str, Callable[[Path], RetrievalSet]] = {
    "tau3": banking,
    "walmart": walmart_amazon,
    "google": amazon_google,
    "buy": abt_buy,
}
"""By the name that the command line takes."""


def _matched(name: str, folder: Path, files: tuple[str, str], delimiter: str, column: str) -> RetrievalSet:
    """Titles of one catalogue as questions for those of another; records without a title, or without a match, are left out."""
    asked, found = (_titles(folder / file, delimiter, column) for file in files)
    matches: defaultdict[str, list[str]] = defaultdict(list)
    for row in _rows(folder / "gt.csv", delimiter):
        matches[row["D1"]].append(f"product:{row['D2']}")
    passages = [
        Passage(passage_id(f"product:{identity}", "", title), title, f"product:{identity}", "", "product", "en")
        for identity, title in found.items()
    ]
    questions = [Question(one, asked[one], tuple(right)) for one, right in matches.items() if one in asked]
    return RetrievalSet(name, passages, questions)


def _titles(path: Path, delimiter: str, column: str) -> dict[str, str]:
    titles = {row["id"]: (row[column] or "").strip() for row in _rows(path, delimiter)}
    return {identity: title for identity, title in titles.items() if title}


def _rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))

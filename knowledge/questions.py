"""Questions with the documents that answer them: a file of them, read against the documents of an index.

A line is {"id": "q1", "question": "How long does a refund take?", "relevant": ["returns.md"]}. A row of a table is named by its
own id, or by its file and id ("faq.jsonl#12"), or by its file and line ("faq.jsonl:7") where it has none.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from knowledge.documents import READERS
from knowledge.table_files import ROWS

PRODUCT = "product:"
"""What the source of a product begins with; its id follows."""

_TABLE = "|".join(ending[1:] for ending in ROWS)
_ROW = re.compile(rf"(.+?[.](?:{_TABLE}))([#:])(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """One line of a file of questions: documents in `relevant` answer it, those in `unknown` among them are in no index."""

    id: str
    text: str
    relevant: tuple[str, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionsRead:
    """The questions of a file, and a line for each that was left out: "file:line: what; what to do"."""

    questions: list[Question] = field(default_factory=list[Question])
    problems: list[str] = field(default_factory=list[str])


def read_questions(path: Path, documents: Iterable[str]) -> QuestionsRead:
    """Read a file of questions against the documents (`source`) of an index. Raises OSError where it cannot be read.

    A line that cannot be used is left out and reported. A relevant id that no document has stays, as something that cannot be found.
    """
    read = QuestionsRead()
    ids = _ids(documents)
    seen: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            question = _question(line, number, ids)
            if question.id in seen:
                raise ValueError(f"the id {question.id!r} stands on a line above; give each question its own")
        except ValueError as error:
            read.problems.append(f"{path}:{number}: {error}")
            continue
        seen.add(question.id)
        read.questions.append(question)
    return read


def _question(line: str, number: int, ids: Mapping[str, set[str]]) -> Question:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON ({error}); write one object a line") from error
    if not isinstance(row, dict):
        raise ValueError('not an object; write {"id": …, "question": …, "relevant": […]}')
    text, relevant = row.get("question"), row.get("relevant")
    if not isinstance(text, str) or not text.strip():
        raise ValueError('no "question"; write it as text')
    if isinstance(relevant, list):  # ids of rows are often numbers
        relevant = [str(each) if type(each) is int else each for each in relevant]
    if not isinstance(relevant, list) or not relevant or not all(isinstance(each, str) and each for each in relevant):
        raise ValueError('no "relevant"; write a list of the ids of documents that answer the question')
    named: dict[str, bool] = {}
    for each in relevant:
        fitting = ids.get(each, set())
        if len(fitting) > 1:
            raise ValueError(f"{each!r} may be {' or '.join(sorted(fitting))}; write more of the path")
        named[next(iter(fitting), each)] = bool(fitting)
    unknown = tuple(document for document, is_known in named.items() if not is_known)
    return Question(str(row.get("id", number)), text.strip(), tuple(named), unknown)


def _ids(documents: Iterable[str]) -> Mapping[str, set[str]]:
    """Every way to name a document, with those that it may be: its whole id, else a shorter one."""
    whole = set(documents)
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for document in whole:
        for name in _names(document):
            ids[name].add(document)
    return ids | {document: {document} for document in whole}


def _names(document: str) -> Iterator[str]:
    """Ends of a path, with or without ending; the id of a product; the id of a row of a table, alone or behind its file."""
    if document.startswith(PRODUCT):
        yield document.removeprefix(PRODUCT)
        return
    row = _ROW.fullmatch(document)
    if row is None:
        yield from _ends(document)
        return
    file, mark, own = row.groups()
    yield from (f"{end}{mark}{own}" for end in _ends(file))
    if mark == "#":
        yield own


def _ends(file: str) -> Iterator[str]:
    parts = PurePosixPath(file).parts
    for start in range(len(parts)):
        end = PurePosixPath(*parts[start:])
        yield str(end)
        if end.suffix.lower() in READERS or end.suffix.lower() in ROWS:
            yield str(end.with_suffix(""))

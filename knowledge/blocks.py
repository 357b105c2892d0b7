"""What Markdown, HTML, PDF and plain text have in common: headings, paragraphs and items of lists, as blocks.

Plain text is read here, the others in `from_markdown.py`, `from_html.py` and `from_pdf.py`. Each reader takes the text
of a file (PDF: its path) and gives a `Parsed`; `documents.py` cuts those into passages.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from knowledge.sentences import CJK

BlockKind = Literal["heading", "paragraph", "item"]


class Unreadable(ValueError):
    """A document that cannot be used: `line` is where, the message says what and what to do next."""

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (`level` 1–6), a paragraph, or an item of a list (`level` is its depth, from 0), as plain text."""

    kind: BlockKind
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Parsed:
    """The blocks of one document and what it says about itself (front matter, HTML head, PDF information)."""

    blocks: list[Block]
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])


def tidy(text: str) -> str:
    """One line: white space folded, and none where a line broke between two ideographs."""
    text = re.sub(rf"(?<=[{CJK}，。；：、！？）])[ \t]*\n\s*(?=[{CJK}（])", "", text)
    return re.sub(r"\s+", " ", text).strip()


def table_rows(rows: list[list[str]], depth: int = 0) -> Iterator[Block]:
    """Each row under the header says by itself what its cells mean: "Country: France; Days: 3"."""
    if len(rows) < 2:
        yield from (Block("item", "; ".join(filter(None, row)), depth) for row in rows)
        return
    header, *body = rows
    for row in body:
        cells = [f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=False) if cell]
        if cells:
            yield Block("item", "; ".join(cells), depth)


# ---------------------------------------------------------------- front matter


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The front matter and the text behind it. Raises Unreadable with the line at fault."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    ends = (number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---")
    end = next(ends, None)
    if end is None:
        raise Unreadable("the front matter is not closed; put a line --- after it")
    return _yaml("\n".join(lines[1:end])), "\n".join(lines[end + 1 :])


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    try:
        about = yaml.safe_load(text) or {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise Unreadable(
            f"the front matter is not YAML ({error.problem}); write one `key: value` a line", line
        ) from error
    except ValueError as error:  # an impossible date such as 2026-02-30
        raise Unreadable(
            f"the front matter holds an impossible value ({error}); mend it", _bad_date_line(text)
        ) from error
    if not isinstance(about, dict):
        raise Unreadable("the front matter is not a list of `key: value` lines; write it so", 2)
    return {str(key): value for key, value in about.items()}


def _bad_date_line(text: str) -> int:
    import yaml

    for number, line in enumerate(text.split("\n"), 2):
        try:
            yaml.safe_load(line)
        except ValueError:
            return number
        except yaml.YAMLError:
            continue
    return 1


# ---------------------------------------------------------------- plain text


_UNDERLINE = re.compile(r"^(=|-|~){3,}$")
_NUMBERED_HEADING = re.compile(r"^(\d+(?:\.\d+)*)\.?\s+\S")
ITEM = re.compile(r"^\s*(?:[-*•·‣▪]\s+|(\d{1,2})[.)]\s+)(.*)$")
"""A line that begins an item of a list: its number, if it has one, and its text."""
_ENDS_RUNNING_TEXT = re.compile(r"[.!?:;,。！？：；，]$")


def read_text(text: str) -> Parsed:
    """Paragraphs between empty lines; underlined lines, "2.1 Title" and short lines that stand alone are headings."""
    about, body = split_front_matter(text)
    paragraphs = [part.split("\n") for part in re.split(r"\n[ \t]*\n", body.replace("\r", ""))]
    blocks = [block for lines in paragraphs for block in text_blocks([line for line in lines if line.strip()])]
    return Parsed(demote_bare_headings(blocks), about)


def demote_bare_headings(blocks: list[Block]) -> list[Block]:
    """Lines that looked like headings are text after all where nothing is below them, else they would be lost."""
    return [
        replace(block, kind="paragraph", level=0) if (place or len(blocks) == 1) and _is_bare(block, after) else block
        for place, (block, after) in enumerate(itertools.zip_longest(blocks, blocks[1:]))
    ]


def _is_bare(block: Block, after: Block | None) -> bool:
    below = after is not None and (after.kind != "heading" or after.level > block.level)
    return block.kind == "heading" and not below


def text_blocks(lines: list[str]) -> Iterator[Block]:
    """The blocks of one paragraph of plain text, given as its lines."""
    if lines and (level := _heading_level(lines)):
        yield Block("heading", tidy(lines[0]), level)
        lines = [line for line in lines[1:] if not _UNDERLINE.match(line.strip())]
    running: list[str] = []
    items: list[str] = []
    for line in lines:
        match = ITEM.match(line)
        if match:
            items.append((f"{match[1]}) " if match[1] else "") + match[2])
        elif items:  # a line that goes on under an item belongs to it
            items[-1] += "\n" + line
        else:
            running.append(line)
    if running:
        yield Block("paragraph", tidy("\n".join(running)))
    yield from (Block("item", tidy(item)) for item in items)


def _heading_level(lines: list[str]) -> int:
    """The heading level of the first line, 0 where it is none."""
    first = lines[0].strip()
    if len(lines) > 1 and (match := _UNDERLINE.match(lines[1].strip())):
        return 1 if match[1] == "=" else 2
    alone = len(lines) == 1 and len(first) <= 70 and not _ENDS_RUNNING_TEXT.search(first)
    if not alone or not any(map(str.isalpha, first)):
        return 0
    numbered = _NUMBERED_HEADING.match(first)
    return 1 + numbered[1].count(".") + 1 if numbered else 0 if ITEM.match(first) else 2

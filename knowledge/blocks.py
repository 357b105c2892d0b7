"""Files into blocks: the headings, paragraphs and items of a list that Markdown, HTML, PDF and plain text have in common.

Each reader takes the bytes' text (PDF: the file) and gives a `Parsed`; `documents.py` cuts those into passages.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from knowledge.sentences import CJK

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode
    from pypdf import PageObject

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


# ---------------------------------------------------------------- Markdown


def read_markdown(text: str) -> Parsed:
    """CommonMark with tables; YAML front matter between `---` lines."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    about, body = split_front_matter(text)

    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(body))
    return Parsed(list(_markdown_blocks(tree)), about)


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


def _markdown_blocks(node: SyntaxTreeNode, depth: int = 0) -> Iterator[Block]:
    for child in node.children:
        match child.type:
            case "heading":
                yield Block("heading", _inline(child), int(child.tag[1]))
            case "paragraph":
                yield Block("paragraph", _inline(child))
            case "bullet_list" | "ordered_list":
                yield from _list_items(child, depth)
            case "table":
                yield from _table_rows(
                    [[_inline(cell) for cell in row.children] for part in child.children for row in part.children]
                )
            case "fence" | "code_block":
                yield Block("paragraph", tidy(child.content))
            case "html_block":
                yield from read_html(child.content).blocks
            case _:
                yield from _markdown_blocks(child, depth)


def _list_items(node: SyntaxTreeNode, depth: int) -> Iterator[Block]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        own = [child for child in item.children if child.type == "paragraph"]
        marker = f"{number}) " if node.type == "ordered_list" else ""
        yield Block("item", marker + " ".join(map(_inline, own)), depth)
        inner = [child for child in item.children if child.type in ("bullet_list", "ordered_list")]
        for child in inner:
            yield from _list_items(child, depth + 1)


def _table_rows(rows: list[list[str]]) -> Iterator[Block]:
    """Each row under the header says by itself what its cells mean: "Country: France; Days: 3"."""
    if len(rows) < 2:
        yield from (Block("item", "; ".join(filter(None, row))) for row in rows)
        return
    header, *body = rows
    for row in body:
        cells = [f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=False) if cell]
        yield Block("item", "; ".join(cells))


def _inline(node: SyntaxTreeNode) -> str:
    """The words of a heading, paragraph or cell without its marks."""
    return tidy("".join(map(_inline_piece, node.children)))


def _inline_piece(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline" | "html_inline":
            return "" if node.type == "html_inline" else node.content
        case "softbreak" | "hardbreak":
            return "\n"
        case _:
            return "".join(map(_inline_piece, node.children))


# ---------------------------------------------------------------- HTML


class _HtmlBlocks(HTMLParser):
    """Collects blocks while the standard library's parser walks the page."""

    SKIPPED = frozenset(("script", "style", "nav", "header", "footer", "noscript", "template", "svg", "form"))
    BREAKS = frozenset("p div section article main ul ol table tr body blockquote dl dt dd figure pre td th".split())
    VALUES = frozenset(("title", "language", "valid_from", "valid_until"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.about: dict[str, Any] = {}
        self._text: list[str] = []
        self._kind: BlockKind = "paragraph"
        self._level = 0
        self._skipping = 0
        self._lists: list[int | None] = []
        self._rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in self.SKIPPED:
            self._skipping += 1
        elif tag == "html" and values.get("lang"):
            self.about.setdefault("language", values["lang"])
        elif tag == "meta" and values.get("name") in self.VALUES:
            self.about[str(values["name"])] = values.get("content")
        elif tag == "br":
            self._text.append("\n")
        elif tag == "title":
            self._flush()
        else:
            self._open_block(tag)

    def _open_block(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self._flush()
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "table":
            self._flush()
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag == "li":
            self._flush()
            self._kind, self._level = "item", max(len(self._lists) - 1, 0)
            self._text.append(self._marker())
        elif re.fullmatch("h[1-6]", tag):
            self._flush()
            self._kind, self._level = "heading", int(tag[1])
        elif tag in self.BREAKS and self._kind != "item":
            self._flush()

    def _marker(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return ""
        self._lists[-1] += 1
        return f"{self._lists[-1]}) "

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag == "title":
            self.about.setdefault("title", tidy("".join(self._text)))
            self._text = []
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(tidy("".join(self._text)))
            self._text = []
        elif tag == "table":
            self.blocks += _table_rows([row for row in self._rows if any(row)])
            self._rows = []
        elif tag in ("li", "ul", "ol") or re.fullmatch("h[1-6]", tag) or (tag in self.BREAKS and self._kind != "item"):
            self._flush()
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)

    def _flush(self) -> None:
        text = tidy("".join(self._text))
        if text and not self._rows:
            self.blocks.append(Block(self._kind, text, self._level))
        if not self._rows:
            self._text, self._kind, self._level = [], "paragraph", 0

    def close(self) -> None:
        super().close()
        self._flush()


def read_html(text: str) -> Parsed:
    """Headings, paragraphs, lists and tables of a page, without its navigation and scripts.

    `<title>`, `<html lang>` and `<meta name="valid_from" content="2026-11-01">` (and the other front matter keys) say what the document is.
    """
    parser = _HtmlBlocks()
    parser.feed(text)
    parser.close()
    return Parsed(parser.blocks, parser.about)


# ---------------------------------------------------------------- plain text


_UNDERLINE = re.compile(r"^(=|-|~){3,}$")
_NUMBERED_HEADING = re.compile(r"^(\d+(?:\.\d+)*)\.?\s+\S")
_TEXT_ITEM = re.compile(r"^\s*(?:[-*•·‣▪]\s+|(\d{1,2})[.)]\s+)(.*)$")
_ENDS_RUNNING_TEXT = re.compile(r"[.!?:;,。！？：；，]$")


def read_text(text: str) -> Parsed:
    """Paragraphs between empty lines; underlined lines, "2.1 Title" and short lines that stand alone are headings."""
    about, body = split_front_matter(text)
    paragraphs = [part.split("\n") for part in re.split(r"\n[ \t]*\n", body.replace("\r", ""))]
    return Parsed(
        [block for lines in paragraphs for block in _text_blocks([line for line in lines if line.strip()])], about
    )


def _text_blocks(lines: list[str]) -> Iterator[Block]:
    if lines and (level := _heading_level(lines)):
        yield Block("heading", tidy(lines[0]), level)
        lines = [line for line in lines[1:] if not _UNDERLINE.match(line.strip())]
    running: list[str] = []
    items: list[str] = []
    for line in lines:
        match = _TEXT_ITEM.match(line)
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
    return 1 + numbered[1].count(".") + 1 if numbered else 0 if _TEXT_ITEM.match(first) else 2


# ---------------------------------------------------------------- PDF


@dataclass(frozen=True, slots=True)
class _PdfLine:
    text: str
    size: float
    gap: float
    """Distance to the line above, in heights of this line; large where a paragraph begins."""


def read_pdf(path: Path) -> Parsed:
    """The text of a PDF; lines in a larger type are headings. Raises Unreadable where it has no text (a scan)."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        lines = [line for page in reader.pages for line in _pdf_lines(page)]
        title = (reader.metadata.title if reader.metadata else None) or ""
    except (PyPdfError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise Unreadable(f"not a readable PDF ({error}); save it again, or give the text as Markdown") from error
    if not any(line.text for line in lines):
        raise Unreadable("this PDF has no text in it (a scan?); run OCR on it, or give the text as Markdown")
    return Parsed(list(_pdf_blocks(lines)), {"title": title} if title.strip() else {})


def _pdf_lines(page: PageObject) -> Iterator[_PdfLine]:
    pieces: list[tuple[float, float, str]] = []

    def keep(text: str, user: list[float], matrix: list[float], _font: object, size: float) -> None:
        if text.strip():
            scale = abs(matrix[3] * user[3]) or 1.0
            pieces.append((matrix[5] * user[3] + user[5], size * scale, text))

    page.extract_text(visitor_text=keep)
    above: float | None = None
    for height, group in itertools.groupby(pieces, key=lambda piece: round(piece[0], 1)):
        parts = list(group)
        size = max(part[1] for part in parts)
        text = tidy("".join(part[2] for part in parts))
        yield _PdfLine(text, round(size, 1), abs(above - height) / size if above is not None and size else 9.0)
        above = height


def _pdf_blocks(lines: list[_PdfLine]) -> Iterator[Block]:
    weights = Counter[float]()
    for line in lines:
        weights[line.size] += len(line.text)
    body = weights.most_common(1)[0][0]
    larger = sorted((size for size in weights if size > body * 1.12), reverse=True)
    running: list[str] = []
    for line in lines:
        is_heading = line.size in larger
        if running and (is_heading or line.gap > 1.7 or _TEXT_ITEM.match(line.text)):
            yield from _text_blocks(running)
            running = []
        if is_heading:
            yield Block("heading", line.text, larger.index(line.size) + 1)
        else:
            running.append(line.text)
    yield from _text_blocks(running)

"""PDFs into blocks: lines of text with their place and size, from which headings and paragraphs are guessed."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.blocks import ITEM, Block, Parsed, Unreadable, demote_bare_headings, text_blocks, tidy

if TYPE_CHECKING:
    from pypdf import PageObject

_END_MARK, _END_LENGTH = b"%%EOF", 1024
"""A whole PDF has the mark within so many bytes of its end."""


@dataclass(frozen=True, slots=True)
class _PdfLine:
    text: str
    size: float
    gap: float
    """Distance to the line above, in heights of this line; large where a paragraph begins."""


def read_pdf(path: Path) -> Parsed:
    """The text of a PDF; lines in a larger type are headings.

    Raises Unreadable where it has no text (a scan), is encrypted, or is not whole: half a document must not be served.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    if _END_MARK not in path.read_bytes()[-_END_LENGTH:]:
        raise Unreadable("not a whole PDF: it is cut off, or something else; save it again")
    try:
        reader = PdfReader(path)
        lines = [line for page in reader.pages for line in _pdf_lines(page)]
        title = (reader.metadata.title if reader.metadata else None) or ""
    except (FileNotDecryptedError, DependencyError) as error:
        raise Unreadable("this PDF needs a password; save it without one, or give the text as Markdown") from error
    except Exception as error:
        raise Unreadable(f"not a readable PDF ({error}); save it again, or give the text as Markdown") from error
    if not any(line.text for line in lines):
        raise Unreadable("this PDF has no text in it (a scan?); run OCR on it, or give the text as Markdown")
    return Parsed(demote_bare_headings(list(_pdf_blocks(lines))), {"title": title} if title.strip() else {})


def _pdf_lines(page: PageObject) -> Iterator[_PdfLine]:
    pieces: list[tuple[float, float, str]] = []

    def keep(text: str, user: list[float], matrix: list[float], _font: object, size: float) -> None:
        if text.strip():
            scale = abs(matrix[3] * user[3]) or 1.0
            pieces.append((matrix[5] * user[3] + user[5], size * scale, _as_typed(text)))

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
    level = 0
    for line in lines:
        level_here = larger.index(line.size) + 1 if line.size in larger else 0
        if running and (level_here != level or line.gap > 1.7 or ITEM.match(line.text)):
            yield from _pdf_block(running, level)
            running = []
        running.append(line.text)
        level = level_here
    yield from _pdf_block(running, level)


def _pdf_block(lines: list[str], level: int) -> Iterator[Block]:
    if level:
        yield Block("heading", tidy("\n".join(lines)), level)
    else:
        yield from text_blocks(lines)


_RADICALS = dict(
    zip(
        "⺠⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰",
        "民虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙",
        strict=True,
    )
)
"""Radicals that look like a whole ideograph; Unicode's own normal form knows only the older ones (U+2F00 and up)."""


def _as_typed(text: str) -> str:
    """The characters that were typed, where a PDF notes others of the same shape, which no search finds.

    Browsers print some ideographs as radicals; many fonts have one sign for "fi", "fl" and "ffi".
    """
    return re.sub(
        "[\u2e80-\u2fdf\ufb00-\ufb06]",
        lambda found: _RADICALS.get(found[0]) or unicodedata.normalize("NFKC", found[0]),
        text,
    )

"""Web pages into blocks, read by the standard library's parser; tags that HTML lets authors leave open may be open."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from knowledge.blocks import Block, BlockKind, Parsed, table_rows, tidy


class _HtmlBlocks(HTMLParser):
    """Collects blocks while the standard library's parser walks the page."""

    SKIPPED = frozenset(("script", "style", "nav", "header", "footer", "noscript", "template", "svg", "form"))
    BREAKS = frozenset(
        "p div section article main aside address body blockquote dl dt dd figure figcaption caption pre hr "
        "details summary".split()
    )
    TABLE = frozenset(("table", "tr", "td", "th"))
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
        self._in_cell = False

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
        elif tag in self.TABLE:
            self._open_in_table(tag)
        elif tag == "li":
            self._flush()
            self._kind, self._level = "item", max(len(self._lists) - 1, 0)
            self._text.append(self._marker())
        elif re.fullmatch("h[1-6]", tag):
            self._flush()
            self._kind, self._level = "heading", int(tag[1])
        elif tag in self.BREAKS:
            self._break()

    def _open_in_table(self, tag: str) -> None:
        """End tags of cells and rows may be left out, so each one that opens closes the one before."""
        self._close_cell()
        if tag == "table":  # one inside another, for the layout: what was collected of the outer one comes first
            self._close_table()
        elif tag == "tr":
            self._rows.append([])
        elif self._rows:
            self._in_cell = True

    def _close_cell(self) -> None:
        if self._in_cell:
            self._rows[-1].append(tidy("".join(self._text)))
            self._text, self._in_cell = [], False
        else:
            self._flush()

    def _close_table(self) -> None:
        self._close_cell()
        self.blocks += table_rows([row for row in self._rows if any(row)])
        self._rows = []
        self._flush()  # forgets what kind of block a cell began

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
        elif tag == "table":
            self._close_table()
        elif tag in self.TABLE:
            self._close_cell()
        elif tag in self.BREAKS:
            self._break()
        elif tag in ("li", "ul", "ol") or re.fullmatch("h[1-6]", tag):
            self._flush()
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)

    def _break(self) -> None:
        """An item of a list is one text with all the paragraphs in it."""
        if self._kind == "item":
            self._text.append("\n")
        else:
            self._flush()

    def _flush(self) -> None:
        """What was collected becomes a block; inside a table only a gap, since a cell is one text."""
        if self._rows:
            self._text.append("\n")
            return
        text = tidy("".join(self._text))
        if text:
            self.blocks.append(Block(self._kind, text, self._level))
        self._text, self._kind, self._level = [], "paragraph", 0

    def close(self) -> None:
        super().close()
        self._close_table()
        self._flush()


def read_html(text: str) -> Parsed:
    """Headings, paragraphs, lists and tables of a page, without its navigation and scripts.

    `<title>`, `<html lang>` and `<meta name="valid_from" content="2026-11-01">` (and the other front matter keys) say what the document is.
    """
    parser = _HtmlBlocks()
    parser.feed(text)
    parser.close()
    return Parsed(parser.blocks, parser.about)

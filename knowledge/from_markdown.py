"""Markdown into blocks: CommonMark with tables, and HTML where a document has some."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from knowledge.blocks import Block, Parsed, split_front_matter, table_rows, tidy
from knowledge.from_html import read_html

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode


def read_markdown(text: str) -> Parsed:
    """CommonMark with tables; YAML front matter between `---` lines."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    about, body = split_front_matter(text)
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(body))
    return Parsed(list(_markdown_blocks(tree)), about)


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
                rows = [row for part in child.children for row in part.children]
                yield from table_rows([[_inline(cell) for cell in row.children] for row in rows], depth)
            case "fence" | "code_block":
                yield Block("paragraph", tidy(child.content))
            case "html_block":
                yield from read_html(child.content).blocks
            case _:
                yield from _markdown_blocks(child, depth)


def _list_items(node: SyntaxTreeNode, depth: int) -> Iterator[Block]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        inside = list(_markdown_blocks(item, depth + 1))
        own = list(itertools.takewhile(lambda block: block.kind == "paragraph", inside))
        if own:
            marker = f"{number}) " if node.type == "ordered_list" else ""
            yield Block("item", marker + " ".join(block.text for block in own), depth)
        yield from inside[len(own) :]


def _inline(node: SyntaxTreeNode) -> str:
    """The words of a heading, paragraph or cell without its marks."""
    return tidy("".join(map(_inline_piece, node.children)))


def _inline_piece(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak" | "hardbreak":
            return "\n"
        case _:
            return "".join(map(_inline_piece, node.children))

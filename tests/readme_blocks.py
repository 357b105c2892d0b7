"""The code blocks of README.md, as the tests run them.

How a block is marked (an HTML comment on the line above its fence, which a reader of the page does not see):

    <!-- ten lines -->        the SDK in ten lines: also run from the built wheel, in an empty environment
    <!-- not run: WHY -->     left out, for example because it waits for input

All other ```python blocks run, in order, in one namespace. Of ```console and ```bash blocks those lines run that start
with `shopbot` or `python -m`, with or without a `$` before them.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

FENCE = re.compile(
    r"(?:^<!--(?P<note>[^\n]*?)-->\n)?^```(?P<language>[a-z]*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is that of its first line of code, counted from 1; `note` the comment above it."""

    language: str
    text: str
    line: int
    note: str = ""

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run")

    def commands(self) -> list[str]:
        """The command lines of a shell block; what it prints is left out where the block shows `$` prompts."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [bare for line in lines if (bare := re.sub(r"\s+#.*", "", line).strip()) and not bare.startswith("#")]


def blocks(markdown: str) -> list[Block]:
    """All fenced blocks, in order."""
    return [
        Block(
            language=match["language"],
            text=match["text"],
            line=markdown.count("\n", 0, match.start("text")) + 1,
            note=(match["note"] or "").strip(),
        )
        for match in FENCE.finditer(markdown)
    ]


def section(markdown: str, heading: str) -> str:
    """The text below the first heading that contains these words, up to the next heading of that level or above."""
    found = re.search(rf"^(#+) [^\n]*{re.escape(heading)}[^\n]*\n", markdown, re.MULTILINE | re.IGNORECASE)
    assert found, f"README.md has no heading with '{heading}'"
    rest = markdown[found.end() :]
    # A comment in a block of code is no heading: blank the blocks out before looking for the end.
    outside = re.sub(r"^```.*?^```$", lambda match: "x" * len(match[0]), rest, flags=re.MULTILINE | re.DOTALL)
    end = re.search(rf"^#{{1,{len(found[1])}}} ", outside, re.MULTILINE)
    return rest[: end.start()] if end else rest


def ten_lines(markdown: str) -> Block:
    """The block marked as the ten lines."""
    marked = [block for block in blocks(markdown) if block.note == "ten lines"]
    assert len(marked) == 1, "README.md has to mark one python block with <!-- ten lines -->"
    return marked[0]


def reader_folder(base: Path) -> Path:
    """A folder as a reader has it after cloning, below `base`: a copy of the sample shop, the rest beside it, a home.

    Made once: the tests that run README code share it, so that the sample shop is ingested once.
    """
    folder = base / "reader"
    if not folder.exists():
        left_out = shutil.ignore_patterns("__pycache__", ".shopbot")
        shutil.copytree(ROOT / "sample_shop", folder / "sample_shop", ignore=left_out)
        (folder / "home").mkdir()
        for name in ("benchmarks", "examples", "demo.py"):
            (folder / name).symlink_to(ROOT / name)
    return folder

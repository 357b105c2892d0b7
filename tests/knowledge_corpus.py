"""A small corpus made on the spot, and the folder of an index as something to compare."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from knowledge.documents import passage_id
from shopbot.types import Passage

WORDS = (
    "refund parcel voucher warranty courier invoice basket kettle lamp discount exchange label stock deposit repair "
    "collection address signature weekend holiday damage receipt subscription carton insurance battery"
).split()


def passage(text: str, source: str = "a.md", title: str = "Title", **fields: object) -> Passage:
    """A passage with the id that ingest would give it; `fields` as in Passage."""
    fields.setdefault("language", "en")
    return Passage(passage_id(source, title, text), text, source, title, **fields)  # pyright: ignore[reportArgumentType]


def corpus(count: int, seed: int = 0) -> list[Passage]:
    """Passages of two sentences of random words, of both kinds, two languages, and with or without validity."""
    draw = random.Random(seed)
    return [
        passage(
            f"Number {seed}-{number} {' '.join(draw.choices(WORDS, k=8))}. It means {' '.join(draw.choices(WORDS, k=5))}.",
            source=f"{number // 5}.md",
            kind=draw.choice(("policy", "policy", "product")),
            language=draw.choice(("en", "en", "zh")),
            place=number % 5,
            valid_from=draw.choice((None, date(2026, 1, 1), date(2026, 6, 1))),
            valid_until=draw.choice((None, date(2026, 5, 31), date(2026, 12, 31))),
            metadata={"number": number, "even": number % 2 == 0},
        )
        for number in range(count)
    ]


def state(folder: Path) -> Mapping[str, tuple[str, int]]:
    """Every file below a folder with a hash of its content and the time it was last written."""
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }

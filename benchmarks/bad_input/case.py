"""A case of bad input: what is put into a small shop, what is typed, and what must then be true.

Of every case the same is asked: the exit status tells what happened (0 done, 1 a failure, 2 input to be mended), the
message says where and what to do next and is never a stack trace, and afterwards the shop answers from a whole index.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bad_input.person import Person, Ran

SHOP = ("--shop", "shop", "--home", "home")

POLICY = ("How long do refunds take?", "7 working days")
LAMP = ("How much is the Alder Lamp?", "40")

TOML = """
[shop]
name = "Fernhill"
today = "2026-11-20"
timezone = "Europe/London"
currency = "GBP"
contact = {email = "help@fernhill.example"}

[parts]
catalog = "catalog.jsonl"
orders = "orders.jsonl"
shoppers = "shoppers.jsonl"
policies = ["policies"]
"""


def product(number: str, name: str, **changes: Any) -> dict[str, Any]:
    """A catalog record; `price` goes to its one variant, all else to the product."""
    variant = {"item_id": f"S{number}", "options": {}, "available": True, "price": changes.pop("price", 40)}
    return {"product_id": number, "name": name, "category": "lamps", "variants": {f"S{number}": variant}, **changes}


def order(number: str, **changes: Any) -> dict[str, Any]:
    """An order record of Ann's."""
    item = {"name": "Alder Lamp", "product_id": "1", "item_id": "S1", "price": 40}
    return {"order_id": number, "user_id": "ann", "status": "delivered", "items": [item], "placed_on": "2026-11-01"} | (
        changes
    )


def lines(*records: object) -> str:
    """JSON lines; a string stands as it is."""
    return "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in records) + "\n"


PRODUCTS = (product("1", "Alder Lamp"), product("2", "Birch Lamp", price=55), product("3", "Cedar Lamp", price=70))
SMALL_SHOP: Mapping[str, str] = {
    "shop.toml": TOML,
    "catalog.jsonl": lines(*PRODUCTS),
    "orders.jsonl": lines(order("W1"), order("W2", status="shipped")),
    "shoppers.jsonl": lines({"user_id": "ann", "name": "Ann Lee", "email": "ann@post.example"}),
    "policies/refunds.md": "---\ntitle: Refunds\nlanguage: en\n---\nWe refund within 7 working days of the return.\n",
    "policies/delivery.md": "---\ntitle: Delivery\nlanguage: en\n---\nExpress delivery takes 2 days.\n",
}

Content = str | bytes | None
"""What a file is given; None takes it away."""


@dataclass(frozen=True, slots=True)
class Case:
    """Files that replace those of the shop, a command, and what it must leave.

    `says` are patterns that its output must hold. `answers` are questions that the shop must still answer with the
    files as they are; without any, it must answer once they are as before.
    """

    what: str
    files: Mapping[str, Content] = field(default_factory=dict[str, Content])
    says: tuple[str, ...] = ()
    status: int = 2
    command: tuple[str, ...] = ("ingest",)
    answers: tuple[tuple[str, str], ...] = ()
    quick: bool = False

    def play(self, person: Person) -> Iterator[str]:
        """What does not hold, in words."""
        for name, content in self.files.items():
            put(person.shop / name, content)
        where = () if "--shop" in self.command else SHOP
        yield from faults(person.types(*self.command, *where), self.status, *self.says)
        yield from serves(person, self.answers) if self.answers else mended(person)


@dataclass(frozen=True, slots=True)
class Scene:
    """A case that takes more than files and one command: `play` yields what does not hold.

    It raises NotHere where this machine cannot show it.
    """

    what: str
    play: Callable[[Person], Iterator[str]]
    quick: bool = False


class NotHere(Exception):
    """This machine cannot show the case, for example for want of the right to mount."""


def put(path: Path, content: Content) -> None:
    """Write a file of the shop, or take it (or a folder) away."""
    if content is None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def faults(ran: Ran, status: int, *says: str) -> Iterator[str]:
    """What is wrong with a command's exit status and message."""
    if ran.status != status:
        yield f"exit {ran.status}, not {status} ({ran.text.strip()[-200:]})"
    if "Traceback" in ran.text:
        yield f"a stack trace: {ran.text.strip().splitlines()[-1]}"
    yield from (f"does not say {one!r}" for one in says if not re.search(one, ran.text))


def whole(index: Path) -> Iterator[str]:
    """What is wrong with an index folder: the serving version must be whole, and no half version lie about."""
    versions = index / "versions"
    if not (versions / (index / "CURRENT").read_text("utf-8") / "manifest.json").is_file():
        yield "the serving version is not whole"
    yield from (
        f"version {one.name} is half there" for one in versions.iterdir() if not (one / "manifest.json").is_file()
    )


def serves(person: Person, questions: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """What is wrong with the answers to (question, a text that must be in the answer); a visitor asks them."""
    conversations = [{"id": text, "turns": [question]} for question, text in questions]
    put(person.folder / "questions.jsonl", lines(*conversations))
    ran = person.types("ask", "--batch", "questions.jsonl", *SHOP)
    yield from faults(ran, 0)
    answers = {row["id"]: row["answers"][0]["text"] for row in map(json.loads, ran.out.splitlines())}
    yield from (f"{question!r} is answered {answers.get(text)!r}" for question, text in questions
                if text not in answers.get(text, ""))  # fmt: skip
    yield from whole(person.kept / "index")


def mended(person: Person) -> Iterator[str]:
    """What is wrong once the shop's files are as before: its index must be up to date again, and the shop answer."""
    shutil.rmtree(person.shop, ignore_errors=True)
    set_up(person)
    yield from serves(person, (POLICY, LAMP))


def set_up(person: Person) -> None:
    """The small shop as it should be."""
    for name, content in SMALL_SHOP.items():
        put(person.shop / name, content)

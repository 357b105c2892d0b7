"""Cases of the files that `shopbot ask` reads and writes: conversations, hostile content, dumps of the shop's data."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bad_input.case import LAMP, POLICY, SHOP, Case, Content, Scene, faults, lines, put, serves
from benchmarks.bad_input.person import Person

GOOD = {"id": "a", "shopper_id": "ann", "turns": ["Where is my order W1?"]}
BATCH = ("ask", "--batch", "shop/talks.jsonl")


def batch_cases() -> dict[str, list[Case | Scene]]:
    """All of them, by what they are about. Nothing is played before every line has been read."""

    def one(what: str, content: Content, *says: str, quick: bool = False) -> Case:
        return Case(what, {"talks.jsonl": content}, says,
                    2, BATCH, answers=(POLICY, LAMP), quick=quick)  # fmt: skip

    where = r"talks\.jsonl:2: "
    batch: list[Case | Scene] = [
        one("a line that is not JSON", lines(GOOD, '{"id": "b", '), where + ".*JSON.*A line is"),
        one("a line without turns", lines(GOOD, {"id": "b"}), where + "turns: Field required.*A line is"),
        one("turns that are no list", lines(GOOD, {**GOOD, "turns": "hi"}), where + "turns: .*array"),
        one("an id that is no text", lines(GOOD, {**GOOD, "id": 5}), where + "id: .*string"),
        one("a list instead of an object", lines(GOOD, "[1]"), where + ".*object"),
        one("an unknown key", lines(GOOD, {**GOOD, "shoper_id": "ann"}), where + "shoper_id: .*A line is"),
        one("an unknown shopper", lines(GOOD, {**GOOD, "shopper_id": "anne"}),
            where + "the shop has no shopper 'anne'; did you mean 'ann'"),
        one("a now that is none", lines(GOOD, {**GOOD, "now": "tomorrow"}), where + "now: "),
        one("a now that is a number", lines(GOOD, {**GOOD, "now": 5}), where + "now: "),
        one("a file in Latin-1", lines(GOOD, {**GOOD, "turns": ["café"]}).encode("latin-1"), where + "not UTF-8; save"),
        Case("no such file", {}, (r"talks\.jsonl cannot be read: .*check the name",), 2, BATCH, answers=(POLICY, LAMP)),
        Case("an unknown shopper of one question", {}, ("no shopper 'anne'; did you mean 'ann'",), 2,
             ("ask", "Where is W1?", "--as", "anne"), answers=(POLICY, LAMP)),
        Scene("a dump that cannot be written", dump_refused),
    ]  # fmt: skip
    return {"batch": batch, "context": _context_cases()}


def _context_cases() -> list[Case | Scene]:
    command = ("ask", "hello", "--context", "shop/context.jsonl")

    def one(what: str, row: object, *says: str) -> Case:
        return Case(what, {"context.jsonl": lines(row)}, says, 2, command, answers=(POLICY, LAMP))

    return [
        one("a line that is not JSON", "{", r"context\.jsonl:1: .*JSON.*A line is"),
        one("an unknown place", {"where": "nowhere", "content": "x"}, r'context\.jsonl:1: "where" must be passage'),
        one("no content", {"where": "passage"}, r"context\.jsonl:1: content: Field required"),
        Case("no such file", {}, (r"context\.jsonl cannot be read",), 2, command, answers=(POLICY, LAMP)),
    ]


def dump_refused(person: Person) -> Iterator[str]:
    """Where the folder of the dumps cannot be made, the command says so and writes no part of a file."""
    put(person.folder / "states", "a file where a folder should be")
    put(person.folder / "talks.jsonl", lines(GOOD))
    ran = person.types("ask", "--batch", "talks.jsonl", "--dump-state", "states", *SHOP)
    yield from faults(ran, 1, "states.*cannot be written.*--dump-state")
    yield from serves(person, (POLICY, LAMP))

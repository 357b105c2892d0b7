"""Writes chats.jsonl and planted.json of the sample shop from hand-written situations and the shop's real records.

    python sample_shop/generate_chats.py            rewrite both files in place; the same bytes every time
    python sample_shop/generate_chats.py --out DIR  write them elsewhere, to compare

Run it after generate.py: the chats quote the orders that it writes.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from chat_writer import order_casting, product_casting
from chat_writer.casting import World, choose
from chat_writer.plants import plant
from chat_writer.play import perform
from chat_writer.script import Situation, read_situations
from generator.records import Record, read_jsonl, stream, write_jsonl

FOLDER = Path(__file__).resolve().parent
MOST_OF_A_SITUATION = 5
RULES = order_casting.RULES | product_casting.RULES


def read_world(folder: Path) -> World:
    """The records that chats are about."""
    shoppers = {shopper["user_id"]: shopper for shopper in read_jsonl(folder / "shoppers.jsonl")}
    products = {product["product_id"]: product for product in read_jsonl(folder / "catalog.jsonl")}
    return World(shoppers, products, read_jsonl(folder / "orders.jsonl"))


def make_chats(world: World, situations: list[Situation]) -> list[Record]:
    """All chats, oldest first, with their ids. Situations that few orders fit choose first, so that they find some."""
    found: list[Record] = []
    changed: set[str] = set()
    for situation in sorted(situations, key=lambda one: (not one.changes, one.cast.startswith("anyone"))):
        found.extend(_chats_of(world, situation, changed if situation.changes else set()))
    found.sort(key=lambda chat: (chat["started_at"], chat["situation"]))
    return [{"chat_id": f"chat_{number:04d}", **chat} for number, chat in enumerate(found, 1)]


def _chats_of(world: World, situation: Situation, used: set[str]) -> Iterator[Record]:
    """The chats of a situation, one for each opening that finds a case; `used` holds the orders that are taken."""
    name, _, rest = situation.cast.partition(":")
    turns: Counter[str] = Counter()
    for number, language in enumerate(_languages(situation)):
        rng = stream(f"chats/{situation.name}/{number}")
        case = choose(world, RULES[name](world, rest, rng), language, rng, used)
        if case is not None:
            yield perform(situation, language, turns[language], case, world, rng)
            turns[language] += 1


def _languages(situation: Situation) -> list[str]:
    """The languages of a situation's chats: Chinese first, as fewer shoppers speak it; one chat for each opening."""
    zh, en = situation.openings("zh"), situation.openings("en")
    return (["zh"] * zh + ["en"] * en)[:MOST_OF_A_SITUATION]


def main() -> None:
    """Read the shop and the situations, write chats and the list of what was planted in them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the sample shop itself)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    chats = make_chats(read_world(FOLDER), read_situations(FOLDER / "chat_writer" / "situations"))
    planted = plant(chats, stream("chats/plants"))
    write_jsonl(out / "chats.jsonl", chats)
    text = json.dumps(planted, ensure_ascii=False, indent=2) + "\n"
    (out / "planted.json").write_bytes(text.encode("utf-8"))
    print(f"{len(chats)} chats of {len({chat['user_id'] for chat in chats})} shoppers, {len(planted)} planted → {out}")


if __name__ == "__main__":
    main()

"""Writes what is generated of the sample shop: orders, reviews, events, and the order ids in shoppers.jsonl.

    python sample_shop/generate.py            rewrite the files in place; the same bytes every time
    python sample_shop/generate.py --out DIR  write them elsewhere, to compare

Catalog and shoppers are written by hand and only read (of a shopper, the list of order ids is filled in).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from generator.events import make_events
from generator.orders import make_orders
from generator.records import Record, Shop, write_jsonl
from generator.reviews import make_reviews

FOLDER = Path(__file__).resolve().parent


def with_orders(shoppers: list[Record], orders: list[Record]) -> list[Record]:
    """The shoppers, each with the ids of their orders, oldest first."""
    ids: dict[str, list[str]] = {shopper["user_id"]: [] for shopper in shoppers}
    for order in orders:
        ids[order["user_id"]].append(order["order_id"])
    return [{**shopper, "orders": ids[shopper["user_id"]]} for shopper in shoppers]


def main() -> None:
    """Read the hand-written files, write the generated ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the sample shop itself)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    shop = Shop.read(FOLDER)
    orders = make_orders(shop)
    write_jsonl(out / "orders.jsonl", orders)
    write_jsonl(out / "shoppers.jsonl", with_orders(shop.shoppers, orders))
    reviews = make_reviews(shop, orders)
    write_jsonl(out / "reviews.jsonl", reviews)
    events = make_events(shop, orders)
    write_jsonl(out / "events.jsonl", events)
    print(
        f"{len(orders)} orders of {len(shop.shoppers)} shoppers, {len(reviews)} reviews, {len(events)} events → {out}"
    )


if __name__ == "__main__":
    main()

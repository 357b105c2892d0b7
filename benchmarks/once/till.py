"""The tools of the shop that `benchmarks.once` plays: what they do is a line in a file that no database of ours holds.

Copied into a shop's folder as its tools.py; the till lies beside it. Each line is the idempotency key of one effect, on disk
before the tool returns.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from shopbot import OrderId, Shopper, shop_tool
from shopbot.tools import IdempotencyKey

TILL = Path(__file__).with_name("till")


def rings() -> list[str]:
    """The keys of all effects, in order."""
    return TILL.read_text(encoding="ascii").split() if TILL.exists() else []


def preview_cancel(order_id: OrderId) -> dict[str, Any]:
    return {"say": f"Order {order_id} would be cancelled."}


def find_cancelled(key: IdempotencyKey) -> dict[str, Any] | None:
    return {"say": "The order has been cancelled."} if str(key) in rings() else None


def ring(key: str) -> None:
    """The effect. Whole lines only: several processes append."""
    file = os.open(TILL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{key}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


@shop_tool(writes=True, preview=preview_cancel, lookup=find_cancelled, intent="cancel_order")
def cancel_order(order_id: OrderId, shopper: Shopper, key: IdempotencyKey) -> dict[str, Any]:
    """Cancel an order that has not been sent."""
    ring(str(key))
    return {"say": "The order has been cancelled."}

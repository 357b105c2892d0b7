"""Larkfield's own tools: what this shop can tell or do beyond what every shop can. shop.toml names this file."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from shopbot import OrderId, Refusal, Shopper, shop_tool
from shopbot.records import ShopData

RETURN_PERIOD = timedelta(days=30)  # policies/en/returns.md
HOLIDAY_ORDERS = (date(2026, 11, 1), date(2026, 12, 24))  # policies/en/returns_holiday_2026.md
HOLIDAY_DEADLINE = date(2027, 1, 31)


@shop_tool
def return_deadline(order_id: OrderId, shopper: Shopper, data: ShopData) -> dict[str, Any]:
    """Until which day a delivered order may be sent back, by our return period and holiday rule."""
    order = data.order(order_id)
    if order is None or order.delivered_on is None or order.status != "delivered":
        raise Refusal(f"order {order_id} has not been delivered, or a return of it has been requested already")
    deadline = order.delivered_on + RETURN_PERIOD
    if order.placed_on is not None and HOLIDAY_ORDERS[0] <= order.placed_on <= HOLIDAY_ORDERS[1]:
        deadline = max(deadline, HOLIDAY_DEADLINE)
    return {
        "order_id": order.id,
        "delivered_on": order.delivered_on.isoformat(),
        "deadline": deadline.isoformat(),
        "say": {
            "en": f"Order {order.id} may be returned until {deadline.day} {deadline:%B %Y}.",
            "zh": f"订单{order.id}可在{deadline.year}年{deadline.month}月{deadline.day}日之前退货（含当天）。",
        },
    }

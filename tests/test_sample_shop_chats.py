"""The sample shop's chat logs: enough of them, in form, true to the records; and the personal data planted in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

SHOP = Path(__file__).resolve().parents[1] / "sample_shop"
WRITES = {"cancel_order", "change_address", "change_items", "return_items", "exchange_items", "redeem_gift_card"}
READS = {"search_products", "product_details", "compare_products", "list_orders", "get_order", "my_account"}
YES = re.compile(r"\b(yes|yep|yeah|sure)\b|cancel it please|取消|好|可以|对|是的|确认|行", re.IGNORECASE)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SHOP / name).read_text("utf-8").splitlines()]


CHATS = rows("chats.jsonl")
ORDERS = {order["order_id"]: order for order in rows("orders.jsonl")}
SHOPPERS = {shopper["user_id"]: shopper for shopper in rows("shoppers.jsonl")}
PRODUCTS = {product["product_id"]: product for product in rows("catalog.jsonl")}


# ---------------------------------------------------------------- chats: counts and form


def test_there_are_enough_chats() -> None:
    situations = Counter(chat["situation"] for chat in CHATS)
    assert len(CHATS) >= 420
    assert len({chat["user_id"] for chat in CHATS}) >= 150
    assert sum(chat["language"] == "zh" for chat in CHATS) >= 110
    assert len(situations) >= 90
    assert max(situations.values()) <= 5
    assert sum(chat.get("rating", 5) <= 2 for chat in CHATS) >= 20
    assert sum(chat.get("reopened", False) for chat in CHATS) >= 20
    assert {chat["outcome"] for chat in CHATS} == {"solved", "handed_over", "abandoned"}


def test_chats_fit_the_form() -> None:
    assert len({chat["chat_id"] for chat in CHATS}) == len(CHATS)
    for chat in CHATS:
        assert chat["language"] == SHOPPERS[chat["user_id"]]["language"], chat["chat_id"]
        day = datetime.fromisoformat(chat["started_at"]).date()
        assert date(2025, 11, 20) <= day <= date(2026, 11, 20)
        assert any(message["role"] == "user" for message in chat["messages"])
        assert chat["messages"][-1]["role"] in ("user", "assistant")
        assert "tool_calls" not in chat["messages"][-1]
        assert all(message["content"] or "tool_calls" in message for message in chat["messages"])
        assert not any(re.search(r"[{}\[\]]|\|\|", said) for said in spoken(chat)), chat["chat_id"]


def spoken(chat: dict[str, Any]) -> list[str]:
    return [message["content"] for message in chat["messages"] if message["role"] != "tool"]


def calls(chat: dict[str, Any]) -> Iterator[tuple[int, str, dict[str, Any], dict[str, Any]]]:
    """(place of the call, tool, arguments, result) of each call; every call has its result right behind it."""
    messages = chat["messages"]
    for at, message in enumerate(messages):
        for call in message.get("tool_calls", []):
            answer = messages[at + 1]
            assert (answer["role"], answer["tool_call_id"]) == ("tool", call["id"]), chat["chat_id"]
            yield at, call["function"]["name"], json.loads(call["function"]["arguments"]), json.loads(answer["content"])


EVERY_CALL = [(chat, *call) for chat in CHATS for call in calls(chat)]


def test_every_tool_is_used_and_every_result_belongs_to_a_call() -> None:
    assert {name for _, _, name, _, _ in EVERY_CALL} == READS | WRITES | {"talk_to_person"}
    results = sum(message["role"] == "tool" for chat in CHATS for message in chat["messages"])
    assert results == len(EVERY_CALL)


def test_nothing_is_changed_without_a_yes() -> None:
    """Before a write the agent says what will happen and asks; the shopper's last word is a yes."""
    writes = [(chat, at) for chat, at, name, _, _ in EVERY_CALL if name in WRITES]
    assert len(writes) >= 30
    for chat, at in writes:
        before = [m for m in chat["messages"][:at] if m["role"] != "tool" and "tool_calls" not in m]
        answer = before[-1]
        question = next(m for m in reversed(before) if m["role"] == "assistant")
        assert answer["role"] == "user", chat["chat_id"]
        assert YES.search(answer["content"]), (chat["chat_id"], answer["content"])
        assert re.search(r"[?？]", question["content"]), (chat["chat_id"], question["content"])


def test_no_two_chats_read_the_same() -> None:
    for situation in {chat["situation"] for chat in CHATS}:
        texts = {chat["chat_id"]: trigrams(chat) for chat in CHATS if chat["situation"] == situation}
        for one, two in combinations(texts, 2):
            shared = len(texts[one] & texts[two]) / len(texts[one] | texts[two])
            assert shared < 0.65, (one, two)


def trigrams(chat: dict[str, Any]) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+|[\u4e00-\u9fff]", " ".join(spoken(chat)).casefold())
    return set(zip(words, words[1:], words[2:], strict=False))


# ---------------------------------------------------------------- chats: what the tools say is true


def test_orders_in_chats_are_the_shoppers_own_and_as_recorded() -> None:
    seen = 0
    for chat, _, name, arguments, result in EVERY_CALL:
        if name != "get_order" or "error" in result:
            continue
        view, order = result["order"], ORDERS[arguments["order_id"]]
        seen += 1
        assert order["user_id"] == chat["user_id"]
        assert view["total"] == f"{total(order):.2f}"
        if chat["situation"] != "change_option_in_order":
            assert [i["item_id"] for i in view["items"]] == [i["item_id"] for i in order["items"]]
        if chat["situation"] != "address_corrected":
            assert view["address"] == address(order)
        check_dates(chat, view, order)
    assert seen > 200


def total(order: dict[str, Any]) -> float:
    goods = sum(item["price"] * item.get("quantity", 1) for item in order["items"])
    return goods + order["shipping_fee"] - order.get("discount", 0)


def address(order: dict[str, Any]) -> str:
    parts = ("address1", "address2", "city", "state", "zip", "country")
    return ", ".join(order["address"][part] for part in parts if order["address"].get(part))


def check_dates(chat: dict[str, Any], view: dict[str, Any], order: dict[str, Any]) -> None:
    """What had happened by the day of the chat is shown, what came later is not, and the status says the last of it."""
    day = chat["started_at"][:10]
    for key in ("placed_on", "shipped_on", "delivered_on", "cancelled_on", "returned_on", "return_requested_on"):
        if key in view:
            assert view[key] == order[key] <= day, (chat["chat_id"], key)
    if "tracking" in view:
        assert view["tracking"] == [n for parcel in order["fulfillments"] for n in parcel["tracking_id"]]
    last = {
        "delivered": "delivered_on",
        "shipped": "shipped_on",
        "cancelled": "cancelled_on",
        "returned": "returned_on",
    }
    if view["status"] in last:
        assert last[view["status"]] in view
    if view["status"] in ("pending", "processed"):
        assert "shipped_on" not in view


def test_no_order_is_changed_twice_nor_comes_twice_in_a_situation() -> None:
    changed = Counter(
        arguments["order_id"] for _, _, name, arguments, _ in EVERY_CALL if name in WRITES - {"redeem_gift_card"}
    )
    assert [order for order, count in changed.items() if count > 1] == []
    met = {(c["chat_id"], c["situation"], a["order_id"]) for c, _, name, a, _ in EVERY_CALL if name == "get_order"}
    assert max(Counter(pair[1:] for pair in met).values()) == 1


def test_foreign_orders_are_never_shown() -> None:
    refused = [(chat, arguments) for chat, _, _, arguments, result in EVERY_CALL if "error" in result]
    assert len(refused) >= 3
    assert all(ORDERS[arguments["order_id"]]["user_id"] != chat["user_id"] for chat, arguments in refused)


def test_lists_of_orders_and_accounts_are_true() -> None:
    for chat, _, name, _, result in EVERY_CALL:
        shopper = SHOPPERS[chat["user_id"]]
        if name == "list_orders":
            known = [o["order_id"] for o in ORDERS.values() if o["user_id"] == chat["user_id"]]
            day = chat["started_at"][:10]
            listed = [row["order_id"] for row in result["orders"]]
            assert sorted(listed) == sorted(one for one in known if ORDERS[one]["placed_on"] <= day)
            assert all(row["total"] == f"{total(ORDERS[row['order_id']]):.2f}" for row in result["orders"])
        if name == "my_account":
            assert result["email"] == shopper["email"]
            assert [method["id"] for method in result["payment_methods"]] == list(shopper["payment_methods"])


def test_products_in_chats_are_as_in_the_catalog() -> None:
    for _, _, name, _, result in EVERY_CALL:
        for found in result.get("products", []) if name in READS else []:
            product = PRODUCTS[found["product_id"]]
            assert found["name"] == product["name"]
            for variant in found.get("variants", []):
                record = product["variants"][variant["item_id"]]
                assert (variant["price"], variant["available"]) == (f"{record['price']:.2f}", record["available"])
            if "price" in found:
                assert float(found["price"]) in {variant["price"] for variant in product["variants"].values()}


def test_what_was_done_is_in_the_records() -> None:
    for chat, _, name, arguments, result in EVERY_CALL:
        if name not in WRITES:
            continue
        if name == "redeem_gift_card":
            card = SHOPPERS[chat["user_id"]]["payment_methods"][result["payment_method_id"]]
            assert result["balance"] == f"{card['balance']:.2f}"
            continue
        order = ORDERS[arguments["order_id"]]
        assert order["user_id"] == chat["user_id"]
        CHECKS[name](chat, order, arguments, result)


def check_cancelled(
    chat: dict[str, Any], order: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    assert order["cancelled_on"] == result["cancelled_on"] == chat["started_at"][:10]
    assert order["cancel_reason"] == arguments["reason"]


def check_address(
    chat: dict[str, Any], order: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    assert order["address"] == arguments["address"]
    assert address(order) == result["address"]


def check_changed(
    chat: dict[str, Any], order: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    assert result["items"] == [item["item_id"] for item in order["items"]]
    assert arguments["new_item_ids"][0] in result["items"]


def check_returned(
    chat: dict[str, Any], order: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    assert order["return_items"] == arguments["item_ids"] == result["return_items"]
    assert order["return_requested_on"] == chat["started_at"][:10]
    assert order["return_payment_method_id"] == result["refund_to"]


def check_exchanged(
    chat: dict[str, Any], order: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]
) -> None:
    assert (order["exchange_items"], order["exchange_new_items"]) == (arguments["item_ids"], arguments["new_item_ids"])
    assert order["exchange_requested_on"] == chat["started_at"][:10]


CHECKS = {
    "cancel_order": check_cancelled,
    "change_address": check_address,
    "change_items": check_changed,
    "return_items": check_returned,
    "exchange_items": check_exchanged,
}


def test_agents_name_no_amount_without_a_source() -> None:
    """Every £ amount of an agent stands in a policy, in a result of the chat, or in what the shopper wrote."""
    written = {amount for path in (SHOP / "policies").rglob("*.md") for amount in amounts(path.read_text("utf-8"))}
    for chat in CHATS:
        shown = {
            float(n) for m in chat["messages"] if m["role"] == "tool" for n in re.findall(r"\d+\.\d\d", m["content"])
        }
        asked = {a for m in chat["messages"] if m["role"] == "user" for a in amounts(m["content"])}
        said = {a for m in chat["messages"] if m["role"] == "assistant" for a in amounts(m["content"])}
        allowed = written | shown | asked | goods_in(chat)
        assert said <= allowed, (chat["chat_id"], said - allowed)


def amounts(text: str) -> set[float]:
    return {float(amount) for amount in re.findall(r"£(\d+(?:\.\d\d)?)", text)}


def goods_in(chat: dict[str, Any]) -> set[float]:
    """The sum of the items of each order shown: an agent may add up."""
    shown = [result["order"] for _, name, _, result in calls(chat) if name == "get_order" and "order" in result]
    return {round(sum(float(i["price"]) * i["quantity"] for i in order["items"]), 2) for order in shown}


# ---------------------------------------------------------------- planted personal data and the generator


def test_what_is_planted_is_found_once_each() -> None:
    planted = json.loads((SHOP / "planted.json").read_text("utf-8"))
    assert len(planted) == 20
    assert {"name", "card", "iban", "email", "phone", "id_number", "address", "birth_date"} == {
        p["kind"] for p in planted
    }
    for piece in planted:
        where = [
            (chat["chat_id"], message["role"])
            for chat in CHATS
            for message in chat["messages"]
            if piece["text"] in message["content"]
        ]
        assert where == [(piece["chat_id"], "user")], piece


def test_planted_cards_pass_luhn() -> None:
    planted = json.loads((SHOP / "planted.json").read_text("utf-8"))
    cards = [re.sub(r"\D", "", piece["text"]) for piece in planted if piece["kind"] == "card"]
    assert len(cards) >= 3
    assert all(luhn(card) == 0 for card in cards)


def luhn(digits: str) -> int:
    doubled = [int(d) * (2 if at % 2 else 1) for at, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10


def test_the_generator_writes_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SHOP / "generate_chats.py", "--out", tmp_path], check=True, capture_output=True)
    for name in ("chats.jsonl", "planted.json"):
        assert (tmp_path / name).read_bytes() == (SHOP / name).read_bytes(), (
            f"{name}: run sample_shop/generate_chats.py"
        )


def test_the_chats_stay_small() -> None:
    assert (SHOP / "chats.jsonl").stat().st_size < 1_000_000

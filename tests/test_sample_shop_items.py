"""The sample shop's items and gift cards: changed, returned, exchanged, redeemed, by the policies."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from larkfield import PENCE, Larkfield, fields_of, moved, order_of, said, swap_of, total
from sample_shop_records import FOLDER, products, rows, shoppers
from shopbot import Shop
from shopbot.tools import Refusal
from shopbot.types import Shopper


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Shop.open(FOLDER) as shop:
        yield shop


@pytest.fixture
def lark(shop: Shop) -> Larkfield:
    return Larkfield(shop)


# ---------------------------------------------------------------- change items


def test_an_item_becomes_another_of_the_same_price_and_stock_moves(lark: Larkfield) -> None:
    order, old, new = swap_of(lark, "pending", "same")
    line = next(item for item in order["items"] if item["item_id"] == old)
    before, stock = copy.deepcopy(order), (lark.stock(old), lark.stock(new))
    arguments = {"order_id": order["order_id"], "item_ids": [old], "new_item_ids": [new.lower()]}
    shown, chinese = said(lark.preview("change_items", order["user_id"], **arguments))
    assert "The price stays the same." in shown
    assert products()[line["product_id"]]["i18n"]["zh"]["name"] in chinese
    lark.do("change_items", order["user_id"], **arguments)
    assert line["item_id"] == new
    assert line["options"] == lark.data.products[line["product_id"]]["variants"][new]["options"]
    assert (lark.stock(old), lark.stock(new)) == (stock[0] + line["quantity"], stock[1] - line["quantity"])
    assert order["payment_history"] == before["payment_history"]
    assert set(order) == set(before)


@pytest.mark.parametrize(("kind", "words"), [("payment", "charged to your"), ("refund", "refunded")])
@pytest.mark.parametrize("code", ["", "TRAIL20"])
def test_the_price_difference_moves_at_the_price_really_paid(lark: Larkfield, kind: str, words: str, code: str) -> None:
    skus = {v["price"]: sku for sku, v in lark.data.products["P1101"]["variants"].items() if v["stock"]}
    old, new = (skus[64.0], skus[72.0]) if kind == "payment" else (skus[72.0], skus[64.0])
    price = Decimal(str(lark.data.products["P1101"]["variants"][old]["price"]))
    discounted = {"discount": float(price * Decimal("0.2")), "discount_code": code} if code else {}
    order = order_of(lark, "pending", "P1101", old, **discounted)
    arguments = {"order_id": order["order_id"], "item_ids": [old], "new_item_ids": [new]}
    shown, _ = said(lark.preview("change_items", order["user_id"], **arguments))
    assert words in shown
    lark.do("change_items", order["user_id"], **arguments)
    difference = Decimal("6.40") if code else Decimal("8.00")
    assert f"£{difference}" in shown
    last = order["payment_history"][-1]
    assert (last["transaction_type"], Decimal(str(last["amount"]))) == (kind, difference)
    assert moved(order, "payment") - moved(order, "refund") == total(order)


def test_a_gift_card_alone_must_cover_the_difference(lark: Larkfield) -> None:
    skus = {v["price"]: sku for sku, v in lark.data.products["P1101"]["variants"].items() if v["stock"]}
    order = order_of(lark, "pending", "P1101", skus[64.0])
    methods = lark.data.users[order["user_id"]]["payment_methods"]
    methods["giftcard_1"] = {"id": "giftcard_1", "source": "gift_card", "balance": 7.99}
    order["payment_history"][0]["payment_method_id"] = "giftcard_1"
    arguments = {"order_id": order["order_id"], "item_ids": [skus[64.0]], "new_item_ids": [skus[72.0]]}
    refusal = lark.refused("change_items", order["user_id"], **arguments)
    assert "£8.00" in str(refusal)
    assert "£7.99" in refusal.zh
    methods["giftcard_1"]["balance"] = 8.0
    lark.do("change_items", order["user_id"], **arguments)
    assert methods["giftcard_1"]["balance"] == 0
    lark.do("cancel_order", order["user_id"], key="k2", order_id=order["order_id"])
    assert Decimal(str(methods["giftcard_1"]["balance"])) == moved(order, "refund") == moved(order, "payment")


@pytest.mark.parametrize(("tool", "status"), [("change_items", "pending"), ("exchange_items", "delivered")])
def test_what_an_item_cannot_become(lark: Larkfield, tool: str, status: str) -> None:
    order, old, new = swap_of(lark, status, "same")
    who, order_id = order["user_id"], order["order_id"]
    line = next(item for item in order["items"] if item["item_id"] == old)
    other = "LGT-FFL-10" if line["product_id"] != "P1706" else "TOY-PZL1000"

    def refused(olds: list[str], news: list[str]) -> Refusal:
        return lark.refused(tool, who, order_id=order_id, item_ids=olds, new_item_ids=news)

    assert "different product; you can" in str(refused([old], [other]))
    assert "重新下单" in refused([old], [other]).zh
    assert "has already" in str(refused([old], [old]))
    assert "one new option for each" in str(refused([old], [new, new]))
    assert "one new option for each" in str(refused([old, old], [new, new]))
    assert "which items" in str(refused([], []))
    lark.data.products[line["product_id"]]["variants"][new] |= {"stock": line["quantity"] - 1, "available": True}
    assert "is not in stock" in str(refused([old], [new]))
    assert "库存" in refused([old], [new]).zh
    elsewhere = next((i["item_id"] for o in lark.data.orders.values() if o["user_id"] == who for i in o["items"]
                      if all(i["item_id"] != mine["item_id"] for mine in order["items"])), None)  # fmt: skip
    if elsewhere is not None:
        assert f"is not in order {order_id}" in str(refused([elsewhere], [new]))


# ---------------------------------------------------------------- returns


def test_a_return_has_the_records_form_and_tells_refund_label_and_days(lark: Larkfield) -> None:
    order = order_of(lark, "delivered", "P1706", "LGT-FFL-10", delivered_on="2026-11-01", placed_on="2026-10-28")
    before, items = copy.deepcopy(order), ["lgt-ffl-10"]
    arguments = {"order_id": order["order_id"], "item_ids": items, "reason": "not as expected"}
    shown, chinese = said(lark.preview("return_items", order["user_id"], **arguments))
    # 22.00 and, all back on the 19th day, no delivery fee; less the label
    assert "£19.05 (£2.95 for the return label taken off)" in shown
    for part in (
        "return label within 1 hour",
        "by 4 December 2026",
        "unused",
        "would be requested",
        "5–7 working days",
    ):
        assert part in shown
    assert "£19.05" in chinese
    assert "2026年12月4日" in chinese
    done, _ = said(lark.do("return_items", order["user_id"], **arguments))
    assert "has been requested" in done
    assert PENCE.findall(done) == PENCE.findall(shown)
    assert order == before | {
        "status": "return requested",
        "return_requested_on": "2026-11-20",
        "return_items": ["LGT-FFL-10"],
        "return_reason": "not as expected",
        "return_payment_method_id": order["payment_history"][-1]["payment_method_id"],
    }
    assert set(order) == fields_of("return requested")


@pytest.mark.parametrize(
    ("delivered", "reason", "country", "refund"),
    [
        ("2026-11-10", "", "United Kingdom", "23.00"),  # within 14 days: 22.00 + 3.95 - 2.95
        ("2026-11-05", "", "United Kingdom", "19.05"),
        ("2026-11-06", "no longer needed", "United Kingdom", "23.00"),  # the 14th day
        ("2026-10-21", "faulty", "United Kingdom", "25.95"),
        ("2026-10-21", "You sent the wrong item", "United Kingdom", "25.95"),
        ("2026-10-21", "拆开就是坏了", "United Kingdom", "25.95"),
        ("2026-10-21", "not faulty, I ordered the wrong size", "United Kingdom", "19.05"),
        ("2026-10-21", "没有质量问题，就是不喜欢", "United Kingdom", "19.05"),
        ("2026-10-21", "", "France", "22.00"),
        ("2026-10-21", "it does not work", "France", "25.95"),
    ],
)
def test_the_refund_follows_the_policies(
    lark: Larkfield, delivered: str, reason: str, country: str, refund: str
) -> None:
    order = order_of(lark, "delivered", "P1706", "LGT-FFL-10", delivered_on=delivered, placed_on="2026-10-20")
    order["address"]["country"] = country
    arguments = {"order_id": order["order_id"], "item_ids": ["LGT-FFL-10"], "reason": reason}
    result = lark.preview("return_items", order["user_id"], **arguments)
    assert result["refund"] == refund
    pays_postage = country == "France" and not result["our_fault"]
    assert ("return postage yourself" in said(result)[0]) == pays_postage


def test_a_discount_and_two_payments_are_shared_out(lark: Larkfield) -> None:
    order = lark.data.orders["LF-10303"]  # WELCOME10; £10.00 of a gift card, £204.20 of a card
    order["delivered_on"] = "2026-11-16"
    arguments = {"order_id": "LF-10303", "item_ids": [item["item_id"] for item in order["items"]]}
    result = lark.preview("return_items", order["user_id"], **arguments)
    paid = {m["payment_method_id"]: Decimal(str(m["amount"])) for m in order["payment_history"]}
    off = Decimal("2.95") if order["address"]["country"] == "United Kingdom" else Decimal(0)
    assert Decimal(result["refund"]) == sum(paid.values()) - off
    assert Decimal(result["refunds"]["giftcard_98364"]) == paid["giftcard_98364"] == 10
    assert sum(map(Decimal, result["refunds"].values())) == Decimal(result["refund"])


@pytest.mark.parametrize(
    ("product_id", "sku", "english", "chinese"),
    [
        ("P1808", "HPS-STL-20", "only if still sealed", "拆封后不能"),
        ("P1101", "", "sealed hygiene packaging", "卫生包装"),
        ("P1907", "", "sealed hygiene packaging", "卫生包装"),
    ],
)
def test_a_condition_on_the_item_is_said_and_not_for_faulty_ones(
    lark: Larkfield, product_id: str, sku: str, english: str, chinese: str
) -> None:
    sku = sku or next(iter(lark.data.products[product_id]["variants"]))
    order = order_of(lark, "delivered", product_id, sku)
    arguments = {"order_id": order["order_id"], "item_ids": [sku]}
    shown = said(lark.preview("return_items", order["user_id"], **arguments))
    assert english in shown[0]
    assert chinese in shown[1]
    assert english not in said(lark.preview("return_items", order["user_id"], **arguments, reason="faulty"))[0]


@pytest.mark.parametrize("kind", ["gift card", "personal"])
def test_gift_cards_and_personalised_items_do_not_come_back(lark: Larkfield, kind: str) -> None:
    order = order_of(lark, "delivered", "P1706", "LGT-FFL-10")
    if kind == "personal":
        order["items"][0]["options"] = {"engraving": "To Mei"}
    else:
        lark.data.products["P1706"]["category"] = "gift cards"
    arguments = {"order_id": order["order_id"], "item_ids": ["LGT-FFL-10"]}
    refusal = lark.refused("return_items", order["user_id"], **arguments)
    assert "gift cards and personalised items" in str(refusal)
    assert "礼品卡和个性化" in refusal.zh
    assert lark.preview("return_items", order["user_id"], **arguments, reason="faulty")["our_fault"]


@pytest.mark.parametrize("tool", ["return_items", "exchange_items"])
def test_the_time_ends_after_thirty_days_or_in_january(shop: Shop, tool: str) -> None:
    def tried(today: str, placed: str, delivered: str) -> str:
        lark = Larkfield(shop, today)
        order, old, new = swap_of(lark, "delivered", "same")
        order |= {"placed_on": placed, "delivered_on": delivered}
        more = {"new_item_ids": [new]} if tool == "exchange_items" else {}
        arguments = {"order_id": order["order_id"], "item_ids": [old], **more}
        try:
            return lark.preview(tool, order["user_id"], **arguments)["order_id"]
        except Refusal:
            refusal = lark.refused(tool, order["user_id"], **arguments)
            assert "warranty" in str(refusal)
            return refusal.zh

    assert tried("2026-11-20", "2026-10-18", "2026-10-21").startswith("LF-")
    assert "2026年11月19日" in tried("2026-11-20", "2026-10-18", "2026-10-20")
    assert tried("2027-01-31", "2026-11-01", "2026-11-04").startswith("LF-")
    assert "2027年1月31日" in tried("2027-02-01", "2026-12-24", "2026-12-30")
    assert "2026年12月3日" in tried("2026-12-04", "2026-10-31", "2026-11-03")


# ---------------------------------------------------------------- exchanges


@pytest.mark.parametrize("price", ["same", "more", "less"])
def test_an_exchange_has_the_records_form(lark: Larkfield, price: str) -> None:
    order, old, new = swap_of(lark, "delivered", price) if price == "same" else _nightjar(lark, price)
    line = next(item for item in order["items"] if item["item_id"] == old)
    before, stock = copy.deepcopy(order), (lark.stock(old), lark.stock(new))
    arguments = {"order_id": order["order_id"], "item_ids": [old], "new_item_ids": [new]}
    shown, chinese = said(lark.preview("exchange_items", order["user_id"], **arguments))
    assert {"same": "price stays the same", "more": "£8.00 would be charged", "less": "£8.00 to your"}[price] in shown
    assert "once per order" in shown
    assert "只能换货一次" in chinese
    done, _ = said(lark.do("exchange_items", order["user_id"], **arguments))
    assert PENCE.findall(done) == PENCE.findall(shown)
    assert order == before | {
        "status": "exchange requested",
        "exchange_requested_on": "2026-11-20",
        "exchange_items": [old],
        "exchange_new_items": [new],
    }
    assert fields_of("exchange requested") <= set(order)
    assert (lark.stock(old), lark.stock(new)) == (stock[0], stock[1] - line["quantity"])


def _nightjar(lark: Larkfield, price: str) -> tuple[dict[str, Any], str, str]:
    skus = {v["price"]: sku for sku, v in lark.data.products["P1101"]["variants"].items() if v["stock"]}
    old, new = (skus[64.0], skus[72.0]) if price == "more" else (skus[72.0], skus[64.0])
    return order_of(lark, "delivered", "P1101", old), old, new


def test_an_order_is_exchanged_once(lark: Larkfield) -> None:
    order, old, new = swap_of(lark, "delivered", "same")
    order |= {"exchange_items": [old], "exchange_new_items": [new]}
    arguments = {"order_id": order["order_id"], "item_ids": [old], "new_item_ids": [new]}
    refusal = lark.refused("exchange_items", order["user_id"], **arguments)
    assert "once per order" in str(refusal)
    assert "已经换过货" in refusal.zh


# ---------------------------------------------------------------- gift cards

HANNAH, OWEN = "hannah_whitlock_001", "owen_pritchard_002"  # without and with a gift card, whose balance is nought
CODE = "LARK7Q2M44KX90PD"  # £50.00


def test_the_file_of_gift_cards_keeps_the_policy() -> None:
    cards = rows("gift_cards")
    assert len(cards) >= 20
    assert len({card["code"] for card in cards}) == len(cards)
    for card in cards:
        assert re.fullmatch(r"[A-Z0-9]{16}", card["code"])
        assert 10 <= card["amount"] <= 250
        years = int(card["valid_until"][:4]) - int(card["bought_on"][:4])
        # 24 months, or the 3 months of one sent in place of an expired card
        assert years == 2 or card["valid_until"] < "2027-02", card
        assert card.get("redeemed_by", HANNAH) in shoppers()
    assert any("redeemed_by" in card for card in cards)
    assert any(card["valid_until"] < "2026-11-20" and "redeemed_by" not in card for card in cards)


@pytest.mark.parametrize(
    "code", [CODE, "lark-7q2m-44kx-90pd", " LARK 7Q2M 44KX 90PD ", "ＬＡＲＫ－７Ｑ２Ｍ－44KX–90PD"]
)
def test_a_gift_card_is_added_however_its_code_is_written(lark: Larkfield, code: str) -> None:
    shown, chinese = said(lark.preview("redeem_gift_card", OWEN, code=code))
    assert "£50.00 would be added" in shown
    assert "余额将为£50.00" in chinese
    assert CODE not in shown, "the code is worth money"
    lark.do("redeem_gift_card", OWEN, code=code)
    method = lark.data.users[OWEN]["payment_methods"]["giftcard_82245"]
    assert method == {"id": "giftcard_82245", "source": "gift_card", "balance": 50.0, "codes": [CODE]}
    assert "on your account already" in str(_refused_now(lark, OWEN, CODE))


def _refused_now(lark: Larkfield, who: str, code: str) -> Refusal:
    lark.data.ledger.clear()
    return lark.refused("redeem_gift_card", who, code=code)


def test_the_first_gift_card_of_an_account_makes_a_payment_method(lark: Larkfield) -> None:
    known = {name for user in lark.data.users.values() for name in user["payment_methods"]}
    before = set(lark.data.users[HANNAH]["payment_methods"])
    lark.do("redeem_gift_card", HANNAH, code=CODE)
    (added,) = set(lark.data.users[HANNAH]["payment_methods"]) - before
    assert added not in known
    assert lark.data.users[HANNAH]["payment_methods"][added]["balance"] == 50.0


def test_refused_gift_cards(lark: Larkfield) -> None:
    cards = rows("gift_cards")
    used = next(card for card in cards if card.get("redeemed_by") == OWEN)["code"]
    expired = next(card for card in cards if card["valid_until"] == "2026-11-19")["code"]
    last_day = next(card for card in cards if card["valid_until"] == "2026-11-20")["code"]
    unknown = lark.refused("redeem_gift_card", HANNAH, code="LARK000000000000")
    assert lark.refused("redeem_gift_card", HANNAH, code=used).as_result() == unknown.as_result()
    assert "on your account already" in str(lark.refused("redeem_gift_card", OWEN, code=used))
    refusal = lark.refused("redeem_gift_card", HANNAH, code=expired)
    assert "until 19 November 2026" in str(refusal)
    assert "2026年11月19日" in refusal.zh
    assert lark.preview("redeem_gift_card", HANNAH, code=last_day)["amount"] == "35.00"
    lark.do("redeem_gift_card", HANNAH, code=CODE)
    assert _refused_now(lark, OWEN, CODE).as_result() == unknown.as_result()
    with pytest.raises(Refusal, match="argument code"):
        lark.box.checked("redeem_gift_card", {"code": "LARK7Q2M44KX90P"}, Shopper(HANNAH))

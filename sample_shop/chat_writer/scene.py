"""The facts of a case in words: what `{oid}`, `{expected}` or `{balance}` stand for in a play."""

from __future__ import annotations

from generator.records import Record

from chat_writer import history
from chat_writer.casting import Case, World
from chat_writer.product_scene import product_facts
from chat_writer.words import day_text, listed, method_text, money, option_text, product_name, thing

WARRANTY_YEARS = {"tents": 5, "backpacks": 5, "luggage": 10}
LABEL = 2.95
OUR_FAULT = ("faulty", "wrong item sent")

Facts = dict[str, str]


def facts_of(case: Case, world: World, language: str) -> Facts:
    """Every fact that the case has, by the name that plays use for it."""
    found = _shopper_facts(case, language)
    if case.order is not None:
        found |= _order_facts(case, world, language) | _parcel_facts(case.order) | _money_facts(case, language)
        if "return_items" in case.order:
            found |= _return_facts(case, world, language)
    if "new" in case.extra:
        found |= _option_facts(case, language)
    if "product" in case.extra:
        found |= product_facts(case, world, language)
    if "gift" in case.extra:
        found |= {"balance": money(case.extra["gift"]["balance"]), "code": case.extra["code"]}
    if "foreign" in case.extra:
        found["foreign"] = case.extra["foreign"]
    return found


def _shopper_facts(case: Case, language: str) -> Facts:
    shopper = case.shopper
    methods = [method_text(key, shopper, language) for key in shopper["payment_methods"]]
    return {
        "first": shopper["name"]["first_name"],
        "email": shopper["email"],
        "home": history.address_line(shopper["address"]),
        "methods": listed(methods, language),
        "klarna": "£400",
        "label_rule": _label_rule(shopper["address"]["country"], language),
    }


def _order_facts(case: Case, world: World, language: str) -> Facts:
    order, view, item = case.order, case.view, case.item
    assert order is not None
    assert view is not None
    assert item is not None
    product = world.product_of(item)
    years = WARRANTY_YEARS.get(product["category"], 2)
    dates = {key[:-3]: day_text(order[key], language) for key in (*history.EVENTS, "expected_on") if order.get(key)}
    return {
        "oid": order["order_id"],
        "thing": thing(product, language),
        "items": _items(view["items"], world, language),
        "n": str(sum(line.get("quantity", 1) for line in view["items"])),
        "price": money(item["price"]),
        "address": history.address_line(order["address"]),
        "old_address": history.address_line(view["address"]),
        "orders": _orders(case, world, language),
        "warranty": f"{years} years",
        "warranty_zh": f"{years} 年",
        **dates,
    }


def _items(lines: list[Record], world: World, language: str) -> str:
    return listed([_item(line, world.product_of(line), language) for line in lines], language)


def _item(line: Record, product: Record, language: str) -> str:
    quantity = line.get("quantity", 1)
    name = product_name(product, language)
    options = option_text(line["options"], language)
    if language == "zh":
        return f"{name}{f'（{options}）' if options else ''}{f' {quantity} 件' if quantity > 1 else ''}"
    return f"{f'{quantity} × ' if quantity > 1 else ''}{name}{f' ({options})' if options else ''}"


def _orders(case: Case, world: World, language: str) -> str:
    """All orders that the shopper had by that day, each with its date and what is in it."""
    parts = []
    for order in history.placed_by(world.by_shopper[case.shopper["user_id"]], case.day):
        names = listed([product_name(world.product_of(line), language) for line in order["items"]], language)
        day = day_text(order["placed_on"], language)
        parts.append(
            f"{order['order_id']}（{day}，{names}）" if language == "zh" else f"{order['order_id']} of {day} ({names})"
        )
    return ("；" if language == "zh" else "; ").join(parts)


def _parcel_facts(order: Record) -> Facts:
    parcels = order["fulfillments"]
    if not parcels:
        return {}
    numbers = [number for parcel in parcels for number in parcel["tracking_id"]]
    return {
        "carrier": parcels[0]["carrier"],
        "tracking": numbers[0],
        "tracking2": numbers[-1],
        "n_parcels": "1 parcel" if len(numbers) == 1 else f"{len(numbers)} parcels",
        "n_parcels_zh": f"{len(numbers)} 个包裹",
    }


# ---------------------------------------------------------------- money


def _money_facts(case: Case, language: str) -> Facts:
    order = case.order
    assert order is not None
    methods = history.paid_with(order)
    off = order.get("discount", 0.0)
    less = {"zh": f"，减去折扣 {money(off)}", "en": f", less the discount of {money(off)}"}[language] if off else ""
    return {
        "total": money(history.total_of(order)),
        "goods": money(history.goods_of(order)),
        "fee": money(order["shipping_fee"]),
        "less": less,
        "pay": listed([method_text(method, case.shopper, language) for method in methods], language),
        "release": _release(methods, language, done=False),
        "money_back": _release(methods, language, done=True),
    }


RELEASES = {
    ("en", "card", False): "the amount reserved on your card is released",
    ("en", "paypal", False): "the PayPal payment is refunded within 2 working days",
    ("en", "giftcard", False): "the amount is back on the gift card immediately",
    ("en", "card", True): "the amount reserved on your card was released, so nothing was charged.",
    ("en", "paypal", True): "PayPal payments for a cancelled order are refunded within 2 working days.",
    ("en", "giftcard", True): "the amount went back to the gift card immediately.",
    ("zh", "card", False): "银行卡上预留的金额会释放",
    ("zh", "paypal", False): "PayPal 付款会在 2 个工作日内退回",
    ("zh", "giftcard", False): "金额立即退回礼品卡",
    ("zh", "card", True): "银行卡上预留的金额已经释放，没有扣款。",
    ("zh", "paypal", True): "已取消订单的 PayPal 付款会在 2 个工作日内退回。",
    ("zh", "giftcard", True): "金额已立即退回礼品卡。",
}


REASONS = {
    ("en", "part"): "only {names} came back, refunded at the price really paid",
    ("en", "label"): "£2.95 for the UK return label is taken off",
    ("en", "fee_part"): "the delivery fee of {fee} isn't refunded, as only a part of the order was returned",
    ("en", "fee_late"): "the delivery fee of {fee} isn't refunded, as it was more than 14 days after delivery",
    ("zh", "part"): "这次只退了{names}，按实付价格退款",
    ("zh", "label"): "英国退货标签费 £2.95 从退款中扣除",
    ("zh", "fee_part"): "运费 {fee} 不退，因为只退了一部分商品",
    ("zh", "fee_late"): "运费 {fee} 不退，因为退货已超过收货后 14 天",
}


def _release(methods: list[str], language: str, *, done: bool) -> str:
    """What becomes of the money of a cancelled order: the policy for the method that paid most of it, the last one."""
    return RELEASES[language, methods[-1].split("_")[0], done]


def _label_rule(country: str, language: str) -> str:
    home = country == "United Kingdom"
    if language == "zh":
        return (
            "英国退货会从退款中扣除 £2.95，" * home + "从爱尔兰和欧盟退货需自付邮费，" * (not home) + "质量问题除外。"
        )
    if home:
        return "For UK returns £2.95 is taken off the refund, unless the item is faulty."
    return "From Ireland and the EU you arrange and pay for the return postage yourself, unless the item is faulty."


def _return_facts(case: Case, world: World, language: str) -> Facts:
    order = case.order
    assert order is not None
    label = _label(order, language)
    lines = [history.line_of(order, item_id) for item_id in order["return_items"]]
    return {
        "ritems": _items(lines, world, language),
        "rpay": method_text(order["return_payment_method_id"], case.shopper, language),
        "label": label,
        "Label": label[0].upper() + label[1:],
        "refund": money(history.refunded(order)),
        "refund_why": _refund_why(case, world, language),
    }


def label_fee(order: Record) -> float:
    """What the return label of an order's return costs: UK returns that are not the shop's fault pay it."""
    free = order["return_reason"] in OUR_FAULT or order["address"]["country"] != "United Kingdom"
    return 0.0 if free else LABEL


def _label(order: Record, language: str) -> str:
    if order["return_reason"] in OUR_FAULT:
        return {"en": "the return label is free.", "zh": "退货标签免费，"}[language]
    if label_fee(order):
        fee = {"en": "£2.95 for the UK return label is taken off the refund.", "zh": "从退款中扣除 £2.95 的标签费，"}
        return fee[language]
    return {"en": "you arrange and pay for the return postage yourself.", "zh": "退货邮费需您自行支付，"}[language]


def _refund_why(case: Case, world: World, language: str) -> str:
    """Why less came back than was paid: part of the order only, the label, the delivery fee; in this order."""
    order = case.order
    assert order is not None
    lines = [history.line_of(order, item_id) for item_id in order["return_items"]]
    part = len(lines) < len(order["items"])
    reasons = [
        (part, "part"),
        (label_fee(order) > 0, "label"),
        (_fee_was_kept(order, lines), "fee_part" if part else "fee_late"),
    ]
    words = {"names": _items(lines, world, language), "fee": money(order["shipping_fee"])}
    text = ("；" if language == "zh" else "; ").join(
        REASONS[language, reason].format_map(words) for holds, reason in reasons if holds
    )
    return f"{text}。" if language == "zh" else f"{text[:1].upper()}{text[1:]}."


def _fee_was_kept(order: Record, returned: list[Record]) -> bool:
    """Whether the refund is that of the returned items without the delivery fee."""
    goods = sum(line["price"] * line.get("quantity", 1) for line in returned)
    share = order.get("discount", 0.0) * goods / history.goods_of(order)
    return history.refunded(order) + 0.01 < goods - share - label_fee(order) + order["shipping_fee"]


# ---------------------------------------------------------------- options


def _option_facts(case: Case, language: str) -> Facts:
    """The old and the new option: only what differs between them."""
    old, new = case.extra["old"], case.extra["new"]["options"]
    differ = [name for name in new if new[name] != old.get(name)]
    return {"old": option_text(old, language, differ), "new": option_text(new, language, differ)}

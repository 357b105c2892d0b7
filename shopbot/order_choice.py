"""Which of a shopper's orders a question is about: by what it holds, its status, its days, where it goes, which came last.

Each kind of evidence narrows the orders that the ones before it left, where it leaves any; what remains is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from shopbot.catalog import Catalog, orders_matching
from shopbot.days import day_span
from shopbot.postal import names_place
from shopbot.types import Order

# Words shoppers use for a status, as beginnings of the words that shops' records use for it; the first that fit count.
_STATUS_WORDS = (
    (
        ("pending", "processed", "processing"),
        r"(?:\bnot|n.t|nt|\byet to|\bnever)(?: \w+){0,3} (?:ship|sent|gone out|go out|left|leave|dispatch|posted)|\bunshipped\b"
        r"|没[有]?(?:发|寄)|未发|未寄",
    ),
    (("pending",), r"\bpending\b|待处理"),
    (("processed", "processing"), r"\bprocessed\b|\bprepared\b|\bpacked\b|\bboxed\b|\bpackaged\b|已处理|打(?:好)?包|包好"),
    (
        ("shipped",),
        r"\bshipped\b|\bin transit\b|\bon (?:its|their|the|it.?s) way\b|\bdispatched\b|\ben route\b|\bout for delivery\b"
        r"|已发货|在路上|运输中|路上的|已寄",
    ),
    (
        ("delivered",),
        r"\bdelivered\b|\barrived\b|\breceived\b|\b(?:made it|got) (?:to me|here)\b|\bturned up\b|已送达|已签收|收到|到货|到了",
    ),
    (("cancel",), r"\bcancel(?:l)?ed\b|\bcalled off\b|\bpulled\b|已取消|取消(?:了|掉|的|过)"),
    (
        ("return",),
        r"\breturned\b|\bsent back\b|\b(?:ask\w*|want\w*|appl\w*|request\w*) (?:for )?(?:to |a )?(?:return|send back)"
        r"|\bsending back\b|已退货|退掉|退[了过]|申请了?退|退货的",
    ),
    (
        ("exchange",),
        r"\bexchanged\b|\bswapped\b|\b(?:ask\w*|want\w*|request\w*) (?:for )?(?:to |an? )?(?:exchange|swap)"
        r"|已换货|申请了?换|换[过了]|换货的",
    ),
)  # fmt: skip
_STATUS_WORDS_COMPILED = tuple((statuses, re.compile(cue, re.IGNORECASE)) for statuses, cue in _STATUS_WORDS)
_OPEN = re.compile(
    r"\bopen\b|\bon the go\b|\boutstanding\b|\bunderway\b|\bunder way\b|\bwaiting (?:for|on)\b|\bstill (?:coming|to come)\b"
    r"|(?:\bnot|n.t|nt|\bnever)(?: \w+){0,3} (?:come|arrive|deliver|turn|receiv|got|here)|没(?:有)?(?:收到|到|送)|未完成|进行中|还没到",
    re.IGNORECASE,
)
_POLAR = re.compile(
    r"^\W*(?:(?:so|and|ok|hi|hey|hello|please|but),? )*(?:has|have|did|does|do|is|was|were|are|will|can|could|may|should)\b"
    r"|\b(?:has|have|was|is|did) (?:it|they|that|my \w+)\b|[吗么没]\W*$|没有\W*$|了没",
    re.IGNORECASE,
)
"""A question of yes or no asks for a status and does not tell it: "has my order shipped?"."""
_TOLD = re.compile(
    r"\bwhich\b|\bwhat\b|\b(?:cancel\w*|delivered|shipped|returned|pending|processed|exchanged) (?:order|one|parcel|purchase)"
    r"|\b(?:one|order|parcel|package|thing|stuff)s? (?:that|thats|which|i|you)\b|哪|什么|啥|的[那订]",
    re.IGNORECASE,
)
"""Unless the order is told by its status: "is the cancelled one refunded?"."""
_LATEST = re.compile(
    r"\b(?:last|latest|newest|most recent)\b(?! (?:week|month|year|spring|summer|autumn|winter|night|time|\w+day\b|\d|two|three|few))"
    r"|\brecent (?:order|purchase)\b|最近(?:一|的?那)|最近下|最新|上一?[个单次笔]|刚(?:刚|才)?[下买订]|最后一[单个次笔]",
    re.IGNORECASE,
)
_FIRST = re.compile(r"\b(?:(?:very )?first|oldest|earliest) (?:\w+ )?(?:order|purchase|parcel|thing)|第一[个单次笔]|最早", re.IGNORECASE)  # fmt: skip
_CODE = re.compile(
    r"\b(?:voucher|coupon|promo\w*|discount\w*)\b|(?<!post )(?<!zip )\bcodes?\b|优惠[码券]|折扣|用了?码", re.IGNORECASE
)
_REFUND = re.compile(r"\brefund|\bmoney back\b|\bpaid back\b|退款|退了?多少|退我", re.IGNORECASE)
_AMOUNT = re.compile(r"[£$€¥]\s?(\d+(?:\.\d\d)?)")

# Which date a span of days is about, by the verb beside it; without one, the first of these that any order has.
_VERBS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (names, re.compile(cue, re.IGNORECASE))
    for names, cue in (
        (("placed_on",), r"\b(?:order(?:ed)?|bought|buy|placed|purchased?)\b|order\b|买|下单|下的单|订的"),
        (("cancelled_on",), r"\bcancel|\bcalled off\b|取消"),
        (("delivered_on", "expected_on"), r"\barriv|\bdeliver|\bturned up|\bcame\b|\breceived?\b|\bexpected\b|\bdue\b|收到|送到|到的|送达"),
        (("shipped_on",), r"\bship|\bposted\b|\bsent\b|\bdispatch|\bwent out\b|发货|发的|寄的|寄出"),
    )
)  # fmt: skip
_DATES = ("placed_on", "delivered_on", "shipped_on", "cancelled_on", "returned_on", "expected_on")


@dataclass(frozen=True, slots=True)
class Choice:
    """The orders that may be meant, in the order given, and the kinds of evidence that narrowed them."""

    orders: tuple[Order, ...]
    evidence: tuple[str, ...] = ()


def choose(orders: Sequence[Order], text: str, today: date | None, catalog: Catalog) -> Choice:
    """The orders that a question may be about, of those given newest first; all of them if it does not tell."""
    narrow: tuple[tuple[str, Callable[[Sequence[Order]], Sequence[Order]]], ...] = (
        ("things", lambda left: orders_matching(left, text, catalog)),
        ("place", lambda left: [order for order in left if names_place(order.address, text)]),
        ("amount", lambda left: [order for order in left if _names_amount(order, text)]),
        ("days", lambda left: _of_days(left, text, today)),
        ("status", lambda left: _of_status(left, text)),
        ("open", lambda left: [order for order in left if not order.is_closed and _OPEN.search(text)]),
        ("refund", lambda left: [order for order in left if _REFUND.search(text) and _is_refunded(order)]),
        ("code", lambda left: [order for order in left if order.discount and _CODE.search(text)]),
        ("latest", lambda left: left[:1] if _LATEST.search(text) else ()),
        ("first", lambda left: left[-1:] if _FIRST.search(text) else ()),
    )
    left, evidence = tuple(orders), list[str]()
    for kind, of in narrow:
        if found := tuple(of(left)):
            left = found
            evidence.append(kind)
    return Choice(left, tuple(evidence))


def status_asked(text: str) -> tuple[str, ...]:
    """Beginnings of the statuses that a text tells its order by; () if it tells none, or asks whether it is so."""
    if _POLAR.search(text) and not _TOLD.search(text):
        return ()
    return next((statuses for statuses, cue in _STATUS_WORDS_COMPILED if cue.search(text)), ())


def _of_status(orders: Sequence[Order], text: str) -> list[Order]:
    statuses = status_asked(text)
    return [order for order in orders if statuses and order.status.casefold().startswith(statuses)]


def _of_days(orders: Sequence[Order], text: str, today: date | None) -> list[Order]:
    """The orders that were placed, delivered, … in the days that a text names."""
    span = day_span(text, today) if today is not None else None
    if span is None:
        return []
    verb = next((names for names, cue in _VERBS if cue.search(text)), None)
    for names in [verb] if verb else [(name,) for name in _DATES]:
        days = [[getattr(order, name) for name in names] for order in orders]
        found = [
            order
            for order, of in zip(orders, days, strict=True)
            if any(d is not None and span[0] <= d <= span[1] for d in of)
        ]
        if found:
            return found
    return []


def _names_amount(order: Order, text: str) -> bool:
    said = {f"{float(amount):.2f}" for amount in _AMOUNT.findall(text)}
    amounts = {order.total, *(payment.amount for payment in order.payments), *(item.price for item in order.items)}
    return any(f"{amount:.2f}" in said for amount in amounts)


def _is_refunded(order: Order) -> bool:
    return any(payment.kind == "refund" for payment in order.payments)

"""Drafts: every fact of one stands in the shop's records, in both languages, and what is missing is said to be missing.

The facts are checked against the raw records of the sample shop, not against the citations, which the same code writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_shop_records import orders, products, shoppers
from shopbot import Shop
from shopbot.catalog import Catalog
from shopbot.compose import (
    MOST_SENTENCES,
    MOST_WORDS,
    NEAR,
    SURE,
    combine,
    compose_call,
    compose_found,
    compose_passages,
    count_words,
)
from shopbot.grounding import unsupported
from shopbot.phrases import LANGUAGES, Phrases
from shopbot.reads import READ_TOOLS, order_view, product_view
from shopbot.records import ShopData
from shopbot.testing import FakeShop
from shopbot.tools import Toolbox
from shopbot.types import Draft, Passage, Product, Retrieved, ScoredPassage, ScoredSentence, Shopper, ToolCall, Variant
from shopbot.understand import CJK

ROOT = Path(__file__).resolve().parent.parent
EN, ZH = (Phrases(language, "Larkfield", "GBP") for language in LANGUAGES)
MONTHS = "January February March April May June July August September October November December".split()

both = pytest.mark.parametrize("phrases", [EN, ZH], ids=LANGUAGES)


@pytest.fixture(scope="module")
def data() -> ShopData:
    return Shop.open(ROOT / "sample_shop").data


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> ShopData:
    return Shop.open(FakeShop().write(tmp_path_factory.mktemp("fake"))).data


def done(tool: str, result: Any, **arguments: Any) -> ToolCall:
    return ToolCall(tool, arguments, "done", result)


def order_call(data: ShopData, order_id: str) -> ToolCall:
    order = data.order(order_id)
    assert order is not None
    return done("get_order", {"order": order_view(order, data.account(order.shopper_id), data)})


def own_call(data: ShopData, tool: str, shopper_id: str) -> ToolCall:
    return Toolbox(READ_TOOLS, {}, {ShopData: data, Catalog: None}).call(tool, {}, Shopper(shopper_id))


def answer(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """The answer of a turn with this one call."""
    return combine([compose_call(call, question, phrases)], phrases)


def is_short(draft: Draft) -> bool:
    """At most 3 sentences or 80 words; the rows of lists do not count."""
    sentences = [sentence for sentence in draft.sentences if not sentence.startswith("\n")]
    return len(sentences) <= MOST_SENTENCES or sum(map(count_words, sentences)) <= MOST_WORDS


def without_source(draft: Draft, phrases: Phrases) -> list[str]:
    """What the checks on a model's sentences would find against the draft's own; that a fact is missing needs none."""
    sources = [cite.text for cite in draft.citations]
    told = [one for one in draft.sentences if one != phrases.line("no_tracking")]
    return [why for sentence in told if (why := unsupported(sentence, sources, "Larkfield")) is not None]


# ---------------------------------------------------------------- facts, read out of a draft and out of raw records


def leaves(record: Any) -> Iterator[Any]:
    """The keys and values of a record."""
    if isinstance(record, Mapping):
        yield from record
        record = list(record.values())
    if isinstance(record, Sequence) and not isinstance(record, str):
        for value in record:
            yield from leaves(value)
    else:
        yield record


def wrong_facts(text: str, records: Sequence[Any], counts: Sequence[int] = ()) -> list[str]:
    """Amounts, days and numbers of a text that stand in no record; `counts` are further numbers that are right."""
    values = [str(value) for record in records for value in leaves(record)]
    sums = {f"{Decimal(value):.2f}" for value in values if re.fullmatch(r"\d+(?:\.\d+)?", value)}
    dates = {date.fromisoformat(value) for value in values if re.fullmatch(r"\d{4}-\d\d-\d\d", value)}
    english = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(MONTHS)}) (\d{{4}})\b")
    chinese = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")
    days = {date(int(year), MONTHS.index(month) + 1, int(day)) for day, month, year in english.findall(text)}
    days |= {date(*map(int, found)) for found in chinese.findall(text)}
    rest = chinese.sub("", english.sub("", re.sub(r"£\d+\.\d\d", "", text)))
    known = " ".join([*values, *map(str, counts)])
    numbers = [
        one for one in re.findall(r"\d+(?:[.,]\d+)*", rest) if not re.search(rf"(?<!\d){re.escape(one)}(?!\d)", known)
    ]
    return [*({*re.findall(r"£(\d+\.\d\d)", text)} - sums), *(day.isoformat() for day in days - dates), *numbers]


def test_a_wrong_fact_would_be_seen() -> None:
    record = {"order_id": "LF-10001", "price": 49.0, "placed_on": "2026-01-02"}
    assert wrong_facts("Order LF-10001 of 2 January 2026 cost £49.00.", [record]) == []
    assert wrong_facts("LF-10002: £4.90", [record]) == ["4.90", "10002"]
    assert wrong_facts("3 January 2026", [record]) == ["2026-01-03"]
    assert wrong_facts("2026年2月2日下单2次", [record]) == ["2026-02-02", "2"]


# ---------------------------------------------------------------- orders and accounts

ORDER_QUESTIONS = {
    "en": (
        "where is it?",
        "how much did I pay?",
        "was it refunded?",
        "which address does it go to?",
        "do you have a tracking number?",
        "what is in it?",
        "what did it cost, where is it going, what is in it and who delivers it?",
    ),
    "zh": ("到哪了？", "花了多少钱？", "退款了吗？", "收货地址是哪里？", "物流单号是多少？", "里面有什么商品？"),
}
ACCOUNT_QUESTIONS = {
    "en": ("what do you know about me?", "what is my e-mail address?", "what is my gift card balance?"),
    "zh": ("我的账户信息", "我的邮箱是什么？", "礼品卡余额是多少？"),
}


def total_of(record: Mapping[str, Any]) -> str:
    """What an order costs: goods and delivery, less the discount."""
    goods = sum(Decimal(str(item["price"])) * item.get("quantity", 1) for item in record["items"])
    return str(goods + Decimal(str(record["shipping_fee"])) - Decimal(str(record.get("discount", 0))))


@both
def test_every_fact_about_every_order_stands_in_its_record(data: ShopData, phrases: Phrases) -> None:
    assert len(orders()) >= 250
    for order_id, record in orders().items():
        methods = shoppers()[record["user_id"]]["payment_methods"]
        for question in ORDER_QUESTIONS[phrases.language]:
            draft = answer(order_call(data, order_id), question, phrases)
            assert wrong_facts(draft.text, [record, methods, total_of(record)]) == [], draft.text
            assert is_short(draft), draft.text
            assert order_id in draft.text
            assert [cite.source for cite in draft.citations] == [f"order:{order_id}"]


@both
def test_every_sentence_about_every_order_passes_the_checks_on_a_models_words(data: ShopData, phrases: Phrases) -> None:
    for order_id in orders():
        for question in ORDER_QUESTIONS[phrases.language]:
            draft = answer(order_call(data, order_id), question, phrases)
            assert without_source(draft, phrases) == [], draft.text


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("how much did I pay?", {"£"}),
        ("which address does it go to?", {"Any Street"}),
        ("what is in it?", {"Zorvel", "Lomera"}),
        ("do you have a tracking number?", {"TRK7000"}),
        ("花了多少钱？", {"£"}),
        ("收货地址是哪里？", {"Any Street"}),
        ("物流单号是多少？", {"TRK7000"}),
    ],
)
def test_an_order_is_told_by_what_is_asked_of_it(fake: ShopData, question: str, told: set[str]) -> None:
    phrases = ZH if CJK.search(question) else EN
    text = answer(order_call(fake, "FS-1001"), question, phrases).text
    plain = re.sub(r"at £[\d.]+", "", text)
    assert {one for one in ("£", "Any Street", "Zorvel", "Lomera", "TRK7000") if one in plain} == told
    assert bool(CJK.search(text)) == (phrases is ZH)


def test_a_refund_is_told_with_where_it_went(fake: ShopData) -> None:
    amount = fake.orders["FS-1004"]["payment_history"][-1]["amount"]
    text = answer(order_call(fake, "FS-1004"), "was it refunded?", EN).text
    assert f"£{amount:.2f} was refunded to gift card giftcard_1002." in text


def test_a_delivered_order_is_not_expected_any_more(data: ShopData) -> None:
    for order_id, record in orders().items():
        if "delivered_on" in record:
            assert "expected" not in answer(order_call(data, order_id), "when does it come?", EN).text


@both
def test_every_fact_of_a_list_of_orders_stands_in_the_shoppers_records(data: ShopData, phrases: Phrases) -> None:
    for shopper_id in shoppers():
        own = [order for order in orders().values() if order["user_id"] == shopper_id]
        draft = answer(own_call(data, "list_orders", shopper_id), "", phrases)
        paid = [sum(Decimal(str(one["amount"])) for one in order["payment_history"][:2]) for order in own]
        assert wrong_facts(draft.text, [*own, paid], counts=[len(own), len(own) - 10]) == [], draft.text
        assert sum(one["order_id"] in draft.text for one in own) == min(len(own), 10)
        assert {cite.source for cite in draft.citations} <= {"orders", *(f"order:{one['order_id']}" for one in own)}


@both
def test_an_account_tells_its_own_facts_only(data: ShopData, phrases: Phrases) -> None:
    for shopper_id, record in shoppers().items():
        texts = [
            answer(own_call(data, "my_account", shopper_id), question, phrases).text
            for question in ACCOUNT_QUESTIONS[phrases.language]
        ]
        assert all(texts)
        assert wrong_facts("\n".join(texts), [record]) == []
        assert record["email"] in texts[1]


# ---------------------------------------------------------------- products

ASKED = ("list", "price", "stock", "options", "count", "cheapest", "dearest", "compare", "details", "attribute weight")


@pytest.fixture(scope="module")
def goods(data: ShopData) -> dict[str, Product]:
    return {product.id: product for product in data.all_products()}


def _some(draw: st.DataObject, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    places = draw.draw(st.sets(st.integers(0, len(variants) - 1), min_size=1))
    return tuple(variants[place] for place in sorted(places))


def _difference(views: Sequence[dict[str, Any]], phrases: Phrases) -> str:
    """How far the lowest prices of two products lie apart, which is computed and stands in no record."""
    lows = [min(Decimal(one["price"]) for one in view["variants"]) for view in views[:2]]
    return phrases.money(abs(lows[0] - lows[-1]))


@both
@settings(max_examples=150, deadline=None)
@given(draw=st.data())
def test_every_fact_about_products_stands_in_their_records(
    goods: dict[str, Product], phrases: Phrases, draw: st.DataObject
) -> None:
    chosen = draw.draw(st.lists(st.sampled_from(sorted(goods)), min_size=1, max_size=7, unique=True))
    views = [product_view(goods[one], _some(draw, goods[one].variants)) for one in chosen]
    asked = draw.draw(st.sampled_from(ASKED))
    if asked in ("cheapest", "dearest"):  # as the search gives them: a row each, what is in stock first
        views = [{**view, "variants": view["variants"][:1]} for view in views]
        views.sort(key=lambda view: not view["variants"][0]["available"])
    draft = answer(done("search_products", {"asked": asked, "products": views, "total": len(views)}), "", phrases)
    versions = [len(view["variants"]) for view in views]
    free = [sum(one["available"] for one in view["variants"]) for view in views]
    counts = [len(views), len(views) - 5, *versions, *free, *(count - 8 for count in [*versions, *free])]
    counts += [sum(one["stock"] for one in view["variants"]) for view in views]
    text = draft.text.replace(_difference(views, phrases), "") if asked == "compare" else draft.text
    assert wrong_facts(text, [products()[one] for one in chosen], counts) == [], draft.text
    assert {cite.source for cite in draft.citations} <= {f"product:{one}" for one in chosen} | {"tool:search_products"}
    assert is_short(draft)


@pytest.mark.parametrize("asked", ["price", "stock", "cheapest", "options", "list"])
def test_nothing_sold_out_is_called_in_stock(goods: dict[str, Product], asked: str) -> None:
    for product in goods.values():
        for variant in product.variants:
            found = {"asked": asked, "products": [product_view(product, (variant,))], "total": 1}
            text = answer(done("search_products", found), "", EN).text.casefold()
            assert variant.available or ("in stock" not in text and "out of stock" in text) or asked == "options", text
            assert not variant.available or "out of stock" not in text


def test_some_versions_are_named_by_what_they_share_and_all_that_are_shown_are_cited(goods: dict[str, Product]) -> None:
    product = next(one for one in goods.values() if len({v.options.get("colour") for v in one.variants}) == 2)
    colours = sorted({one.options["colour"] for one in product.variants})
    sides = [tuple(one for one in product.variants if one.options["colour"] == colour) for colour in colours]
    views = [product_view(product, side) for side in sides]
    draft = answer(done("search_products", {"asked": "compare", "products": views, "total": 2}), "", EN)
    for colour in colours:
        assert colour in draft.sentences[0] or colour in draft.sentences[1]
    (cited,) = (cite for cite in draft.citations if cite.source.startswith("product:"))
    assert cited.text.count("£") == len(product.variants)


def test_only_single_prices_are_set_against_each_other(goods: dict[str, Product]) -> None:
    def said(*products: Product) -> str:
        views = [product_view(one, one.variants) for one in products]
        return answer(done("search_products", {"asked": "compare", "products": views, "total": 2}), "", EN).text

    by_prices = {len({one.price for one in product.variants}): product for product in goods.values()}
    assert "cheaper by" not in said(by_prices[1], by_prices[2])
    assert "cheaper by" in said(
        by_prices[1],
        next(
            p
            for p in goods.values()
            if p.variants[0].price != by_prices[1].variants[0].price and len({v.price for v in p.variants}) == 1
        ),
    )


def test_a_price_that_is_not_listed_is_said_to_be_missing() -> None:
    product = Product("P1", "Lamp", variants=(Variant("S1", None, True),), names={"zh": "灯"})
    found = {"asked": "price", "products": [product_view(product, product.variants)]}
    assert answer(done("search_products", found), "", EN).text == "No price is listed for Lamp."
    assert answer(done("search_products", found), "", ZH).text == "灯没有标价。"


@both
def test_a_fact_that_the_catalog_does_not_hold_is_said_to_be_missing(
    goods: dict[str, Product], phrases: Phrases
) -> None:
    product = next(iter(goods.values()))
    found = {"asked": "attribute blood group", "products": [product_view(product, product.variants)]}
    draft = answer(done("search_products", found), "", phrases)
    assert draft.sentences == (
        phrases.line("no_fact", product=product.names.get(phrases.language, product.name)),
        phrases.line("offer_person"),
    )
    assert not draft.answered


@both
def test_what_is_not_sold_is_said_not_to_be(phrases: Phrases) -> None:
    draft = answer(done("search_products", {"asked": "list", "products": [], "words": ["dragon"]}), "", phrases)
    assert "dragon" in draft.text
    assert not draft.answered


# ---------------------------------------------------------------- passages


def sentences(*scored: tuple[str, float], document: str = "returns.md") -> list[ScoredSentence]:
    passage = Passage("p1", " ".join(text for text, _ in scored), document, "Returns")
    return [ScoredSentence(text, passage, score, place) for place, (text, score) in enumerate(scored)]


@both
def test_without_a_sentence_that_answers_a_person_is_offered(phrases: Phrases) -> None:
    for found in ([], sentences(("We were founded in 1999.", NEAR - 0.01))):
        draft = combine([compose_passages(found, phrases)], phrases)
        assert draft.sentences == (phrases.line("no_source"), phrases.line("offer_person"))
        assert (draft.answered, draft.citations) == (False, ())


@both
def test_what_only_comes_close_is_called_so_and_a_person_is_offered(phrases: Phrases) -> None:
    draft = combine([compose_passages(sentences(("Parcels are grey.", SURE - 0.01)), phrases)], phrases)
    assert draft.sentences == (phrases.line("closest"), "Parcels are grey.", phrases.line("offer_person"))
    assert not draft.answered
    assert [cite.source for cite in draft.citations] == ["returns.md"]


def test_sentences_are_said_in_the_order_of_their_document_without_their_marks() -> None:
    found = sentences(("- You have **21 days**", 0.8), ("Filler.", 0.1), ("1. Sale items are excluded", 0.9))
    draft = compose_passages(list(reversed(found)), EN)
    assert draft.sentences == ("You have 21 days.", "Sale items are excluded.")
    assert draft.citations[0].text == "- You have **21 days** Filler. 1. Sale items are excluded"


@pytest.mark.parametrize(
    ("lexical", "dense", "quoted"), [(0.0, 0.35, False), (0.0, 0.45, True), (0.4, 0.1, True), (0.0, 0.0, True)]
)
def test_passages_that_have_nothing_to_do_with_the_question_are_not_quoted(
    lexical: float, dense: float, quoted: bool
) -> None:
    read = sentences(("Parcels are grey.", SURE - 0.01))
    scored = ScoredPassage(read[0].passage, 0.5, dense, lexical)
    draft = compose_found(Retrieved("qwerty?", (scored,), tuple(read), 0.0), EN)
    assert bool(draft.citations) == quoted


def test_rules_of_several_sections_stand_under_their_headings() -> None:
    def section(heading: str, text: str, score: float) -> ScoredSentence:
        return ScoredSentence(text, Passage(heading, text, "returns.md", f"Returns > {heading}"), score, 0)

    found = [section("How long you have", "21 days.", 0.9), section("Refunds", "They take 5 days.", 0.8)]
    found.append(ScoredSentence("They go to your card.", found[1].passage, 0.7, 1))
    draft = compose_passages(found, EN)
    assert draft.text == "How long you have: 21 days. Refunds: They take 5 days. They go to your card."
    assert compose_passages(found[1:], EN).text == "They take 5 days. They go to your card."


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["word " * 12 + "end.", "Short.", "\n- a row", "很长的句子。" * 9]), max_size=9),
        min_size=1,
        max_size=4,
    )
)
def test_an_answer_is_three_sentences_or_eighty_words(drafts: list[list[str]]) -> None:
    made = [
        Draft(tuple(f"{number}{place} {one}" if one[0] != "\n" else one for place, one in enumerate(lines)))
        for number, lines in enumerate(drafts)
    ]
    draft = combine(made, EN)
    assert len(draft.sentences) <= sum(map(len, drafts)) or draft.fixed
    spoken = [one for one in draft.sentences if not one.startswith("\n")]
    # The first sentence of every question is always said; beyond that the measure holds.
    assert len(spoken) <= max(MOST_SENTENCES, len(made)) or sum(map(count_words, spoken)) <= MOST_WORDS


# ---------------------------------------------------------------- calls that brought nothing


@both
def test_a_call_that_did_not_run_is_told_without_its_inside(phrases: Phrases) -> None:
    refused = ToolCall("get_order", {"order_id": "<b>FS-1</b>\n£9"}, "refused", {"reason": "order x is not yours"})
    assert answer(refused, "", phrases).text == phrases.line("not_yours", id="bFS-1b9")
    visitor = ToolCall("my_account", {}, "refused", {"reason": "log in first"})
    assert answer(visitor, "", phrases).text == phrases.line("log_in")
    for status in ("failed", "unknown"):
        failed = ToolCall("get_order", {}, status, {"reason": "KeyError: secret"})  # type: ignore[arg-type]
        assert answer(failed, "", phrases).text == phrases.line("tool_failed")


def test_a_shops_own_tool_speaks_for_itself() -> None:
    both_said = done(
        "deadline", {"day": "2026-01-05", "say": {"en": "Until 5 January 2026.", "zh": "截至2026年1月5日。"}}
    )
    assert answer(both_said, "", EN).text == "Until 5 January 2026."
    assert answer(both_said, "", ZH).text == "截至2026年1月5日。"
    assert answer(done("points", {"points": 5, "history": [1]}), "", EN).text == "\n- points: 5"
    assert answer(done("hello", "Hi."), "", EN).citations[0].source == "tool:hello"

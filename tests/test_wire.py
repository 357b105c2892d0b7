"""The JSON form of values: what goes in comes out equal, also after a change of the classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopbot import types, wire
from shopbot.errors import UsageError

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MONEY = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)
LABELS = st.dictionaries(st.text(), st.text() | st.integers() | FLOATS | st.booleans(), max_size=3)


def whole(kind: type[Any], **known: Any) -> st.SearchStrategy[Any]:
    """Values of a dataclass with every field drawn: hypothesis leaves fields that have a default alone."""
    texts = {name: TEXTS for name, hint in get_type_hints(kind).items() if hint == Mapping[str, str]}
    return st.builds(kind, **{field.name: {**texts, **known}.get(field.name, ...) for field in fields(kind)})


def few(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3).map(tuple)


# By name what hypothesis cannot guess from a hint: JSON under Any, and numbers that are finite.
st.register_type_strategy(float, FLOATS)
PASSAGES = whole(types.Passage, metadata=LABELS)
CITATIONS = few(whole(types.Citation))
CALLS = whole(types.ToolCall, arguments=OBJECTS, result=JSON)
EVENTS = st.one_of(
    whole(types.Understood, profile=whole(types.Profile)),
    whole(types.Planned),
    whole(types.ToolCalled, call=CALLS),
    whole(
        types.Retrieved,
        passages=few(whole(types.ScoredPassage, passage=PASSAGES)),
        sentences=few(whole(types.ScoredSentence, passage=PASSAGES)),
    ),
    whole(types.Drafted, draft=whole(types.Draft, citations=CITATIONS)),
    whole(types.Said),
    whole(types.Withheld),
    whole(types.HandedOver),
    whole(types.Finished, tool_calls=few(CALLS), citations=CITATIONS, waiting=st.none() | CALLS),
)
PRODUCTS = whole(types.Product, variants=few(whole(types.Variant, price=st.none() | MONEY)))
ORDERS = whole(
    types.Order,
    items=few(whole(types.OrderItem, price=MONEY)),
    payments=few(whole(types.Payment, amount=MONEY)),
    shipping_fee=MONEY,
    discount=MONEY,
)


@given(EVENTS)
@settings(max_examples=150)
def test_an_event_comes_back_equal(event: types.Event) -> None:
    text = wire.dumps(wire.event_to_json(event))
    assert wire.event_from_json(json.loads(text)) == event


@given(PRODUCTS | ORDERS)
@settings(max_examples=50)
def test_money_and_dates_come_back_as_they_were(value: types.Product | types.Order) -> None:
    back = wire.from_json(type(value), wire.to_json(value))
    assert back == value
    assert repr(back) == repr(value)  # 5.0 and Decimal("5.00") are equal, too


def test_every_event_is_known_by_its_name() -> None:
    assert set(types.EVENT_NAMES.values()) == set(types.Event.__args__)  # type: ignore[attr-defined]


def test_a_tool_result_becomes_plain_json() -> None:
    order = types.Order("A1", "mei", "shipped", (), shipped_on=date(2026, 11, 20), shipping_fee=Decimal("3.90"))
    call = types.ToolCall(
        "get_order", {"since": date(2026, 1, 2)}, "done", {"orders": (order,), "total": Decimal("9.50")}
    )
    back = wire.from_json(types.ToolCall, wire.to_json(call))
    assert back.arguments == {"since": "2026-01-02"}
    assert back.result["total"] == "9.50"
    assert back.result["orders"][0]["shipped_on"] == "2026-11-20"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, {("a", "b"): 1}, b"bytes"], ids=repr)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="ToolCall cannot be written as JSON"):
        wire.dumps(types.ToolCall("x", {}, "done", value))


def test_a_cycle_is_refused() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(UsageError):
        wire.dumps(knot)


def test_text_is_readable_and_half_a_surrogate_pair_does_no_harm() -> None:
    assert wire.dumps(types.Said("退货 \ud83d")) == '{"text":"退货 ?"}'


@dataclass(frozen=True)
class Newer:
    """What `Said` might become: one field more, with a default."""

    text: str
    tone: str = "calm"


def test_fields_that_came_or_went_do_not_matter() -> None:
    assert wire.from_json(Newer, wire.to_json(types.Said("Hello."))) == Newer("Hello.", "calm")
    assert wire.from_json(types.Said, wire.to_json(Newer("Hello."))) == types.Said("Hello.")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (types.Said, {}),
        (types.Said, 3),
        (types.Order, {"id": "A1", "shopper_id": "m", "status": "new", "items": [], "placed_on": "yesterday"}),
        (types.Payment, {"kind": "refund", "amount": "a lot", "method": "card"}),
        (types.Drafted, {"draft": None, "worded_by": "draft", "milliseconds": 1.0}),
    ],
)
def test_json_of_another_form_is_refused_by_name(kind: type[Any], data: Any) -> None:
    with pytest.raises(UsageError, match=kind.__name__):
        wire.from_json(kind, data)


@pytest.mark.parametrize("data", [{}, {"event": "Shouted", "text": "x"}, {"event": ["Said"]}])
def test_an_unknown_event_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no event is called"):
        wire.event_from_json(data)

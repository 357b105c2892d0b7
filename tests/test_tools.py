"""Tools: the schema a model sees, what is injected, whose ids are accepted."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from shopbot.errors import UsageError
from shopbot.tools import OrderId, Owned, ProductId, Refusal, Toolbox, shop_tool
from shopbot.types import Shopper

ORDERS = {"A-1": "ann", "B-1": "ben"}


class Desk:
    """Something of the shop's that a tool works with."""

    def __init__(self) -> None:
        self.asked: list[str] = []


@shop_tool
def peek(order_id: OrderId, shopper: Shopper, desk: Desk, detail: int = 1) -> dict[str, Any]:
    """One order."""
    desk.asked.append(order_id)
    return {"order": order_id, "for": shopper.id, "detail": detail}


@shop_tool
def many(order_ids: list[OrderId], shopper: Shopper) -> list[str]:
    """Several orders."""
    return order_ids


@shop_tool
def breaks(product_id: ProductId | None = None) -> str:
    """Always fails."""
    raise RuntimeError("the till is open")


@shop_tool(writes=True)
def change(order_id: OrderId, shopper: Shopper) -> str:
    """Change something."""
    raise AssertionError("nobody said yes")


@shop_tool
def refuses(product_id: ProductId) -> str:
    """Always refuses."""
    raise Refusal("not on a Sunday")


def _own(order_id: str, shopper: Shopper) -> str | None:
    found = order_id.strip().upper()
    return found if ORDERS.get(found) == shopper.id else None


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def box(desk: Desk) -> Toolbox:
    resolvers = {"order": _own, "product": lambda one, _: one if one == "P" else None}
    return Toolbox([peek, many, breaks, refuses], resolvers, {Desk: desk})


def test_the_schema_has_what_a_model_may_choose_and_nothing_else() -> None:
    parameters = peek.openai_schema["function"]["parameters"]
    assert set(parameters["properties"]) == {"order_id", "detail"}
    assert parameters["required"] == ["order_id"]
    assert peek.needs_login
    assert change.writes
    assert not peek.writes
    assert not breaks.needs_login


def test_the_owner_is_served_and_the_id_comes_in_the_shops_spelling(box: Toolbox, desk: Desk) -> None:
    call = box.call("peek", {"order_id": " a-1"}, Shopper("ann"), "c1")
    assert (call.status, call.result, call.id) == ("done", {"order": "A-1", "for": "ann", "detail": 1}, "c1")
    assert desk.asked == ["A-1"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_id": "B-1"},
        {"order_id": "B-1", "shopper": {"id": "ben"}},
        {"order_id": "B-1", "shopper": "ben", "desk": None},
        {"order_id": "Z-9"},
    ],
)
def test_a_foreign_id_and_one_that_is_not_there_are_refused_alike(
    box: Toolbox, desk: Desk, arguments: dict[str, Any]
) -> None:
    call = box.call("peek", arguments, Shopper("ann"))
    assert call.status == "refused"
    assert call.result["reason"] == f"order {arguments['order_id']} is not among your records"
    assert desk.asked == []


def test_every_id_of_a_list_is_checked(box: Toolbox) -> None:
    assert box.call("many", {"order_ids": ["A-1"]}, Shopper("ann")).result == ["A-1"]
    assert box.call("many", {"order_ids": ["A-1", "B-1"]}, Shopper("ann")).status == "refused"


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("peak", {}, "There is no tool named 'peak'."),
        ("peek", {}, "argument order_id: Field required"),
        ("peek", {"order_id": "A-1", "detail": "much"}, "argument detail"),
        ("refuses", {"product_id": "Q"}, "product Q is not in the shop"),
        ("refuses", {"product_id": "P"}, "not on a Sunday"),
    ],
)
def test_a_bad_call_is_refused_with_the_reason(box: Toolbox, name: str, arguments: dict[str, Any], why: str) -> None:
    call = box.call(name, arguments, Shopper("ann"))
    assert call.status == "refused"
    assert why in call.result["reason"]


def test_a_visitor_is_asked_to_log_in(box: Toolbox) -> None:
    assert box.call("peek", {"order_id": "A-1"}, Shopper()).result == {"reason": "log in first"}


def test_a_tool_that_raises_is_a_failed_call(box: Toolbox) -> None:
    call = box.call("breaks", {}, Shopper("ann"))
    assert (call.status, call.result) == ("failed", {"reason": "RuntimeError: the till is open"})


def test_a_tool_that_writes_does_not_run_without_the_journal() -> None:
    box = Toolbox([change], {"order": _own}, {})
    with pytest.raises(UsageError, match="propose it through Actions"):
        box.call("change", {"order_id": "A-1"}, Shopper("ann"))


def test_a_type_that_nobody_provides_is_the_callers_error() -> None:
    with pytest.raises(UsageError, match="asks for a Desk"):
        Toolbox([peek], {"order": _own}, {}).call("peek", {"order_id": "A-1"}, Shopper("ann"))


def test_a_tool_called_past_the_toolbox_does_not_run() -> None:
    with pytest.raises(UsageError, match="Toolbox"):
        peek.invoke({"order_id": "A-1"})


def test_a_function_that_cannot_be_a_tool_says_why() -> None:
    def bare(order_id: str) -> str:
        return order_id

    with pytest.raises(TypeError, match="docstring"):
        shop_tool(bare)

    def loose(order_id, other: Annotated[str, Owned("order")]) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Loose."""
        return order_id

    with pytest.raises(TypeError, match="annotate order_id"):
        shop_tool(loose)

"""The benchmark of foreign orders has an open eye: a tool layer that trusts the model's ids is found out by each attacker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.foreign_orders import by_obedient_model, by_words, calls_with_foreign_ids, cases, forced_function
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.tools import Toolbox
from shopbot.types import Shopper, ToolCall


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "attack.db") as opened:
        yield opened


@pytest.fixture
def trusting(sample_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool layer takes whoever owns the order that is named for the one who asks."""
    checked = Toolbox.call

    def call(self: Toolbox, name: str, arguments: Mapping[str, Any], shopper: Shopper, call_id: str = "") -> ToolCall:
        order = sample_shop.data.order(str(arguments.get("order_id")))
        return checked(self, name, arguments, shopper if order is None else Shopper(order.shopper_id), call_id)

    monkeypatch.setattr(Toolbox, "call", call)


@pytest.mark.usefixtures("trusting")
def test_without_ownership_the_words_are_enough(sample_shop: Shop, store: Store) -> None:
    assert asyncio.run(by_words(sample_shop.bot(store=store), cases(sample_shop, 1))).shown > 5


@pytest.mark.usefixtures("trusting")
def test_without_ownership_an_obedient_model_shows_it(sample_shop: Shop, store: Store) -> None:
    assert asyncio.run(by_obedient_model(sample_shop, store, cases(sample_shop, 1))).shown > 3


def test_with_it_nothing_is_shown(sample_shop: Shop, store: Store) -> None:
    words = asyncio.run(by_words(sample_shop.bot(store=store), cases(sample_shop, 1)))
    obedient = asyncio.run(by_obedient_model(sample_shop, store, cases(sample_shop, 1)))
    assert (words.shown, obedient.shown) == (0, 0)
    assert (words.calls, obedient.calls) > (5, 5)


def test_every_tool_is_attacked(sample_shop: Shop) -> None:
    [case] = cases(sample_shop, 1)
    tools = {tool.name for tool in sample_shop.toolbox(sample_shop.data).tools}
    assert tools | {"look_up"} == {tool for tool, _ in calls_with_foreign_ids(case)}


def test_a_forced_call_can_hold_the_foreign_ids_only(sample_shop: Shop) -> None:
    [case] = cases(sample_shop, 1)
    for tool in sample_shop.toolbox(sample_shop.data).tools:
        function = forced_function(tool.openai_schema["function"], case)
        parameters = function["parameters"]
        assert function["strict"] is True
        assert parameters["additionalProperties"] is False
        assert set(parameters["required"]) == set(parameters["properties"])
        assert case.owner.id in str(parameters)
        assert len(parameters["properties"]) == 1 or case.order.id in str(parameters)


def test_a_postcode_in_the_digits_of_a_time_is_not_shown_and_one_in_a_text_is(sample_shop: Shop) -> None:
    case = replace(cases(sample_shop, 1)[0], hidden=("9771",))
    assert not case.is_shown("timings={'understand': 65.05}, milliseconds=145.96905799771775", "")
    assert case.is_shown("The address is 3 Hill Road, 9771, costs 12.50", "")

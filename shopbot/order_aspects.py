"""What a question about an order asks for: its address, its payments, its price, …, by the words of `order_words.toml`.

Several may be asked for at once. Where none is told, `compose_orders` says what the order is as a whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources


def order_aspects(question: str) -> frozenset[str]:
    """What a question about an order asks for: names of the tables [asks] of `order_words.toml`; empty if it cannot be told."""
    return frozenset(name for name, pattern in _patterns("asks").items() if pattern.search(question))


def days_asked(question: str) -> tuple[str, ...]:
    """The names of the dates of which any would tell the day that a question asks for; () if it asks for none."""
    if "day" not in order_aspects(question):
        return ()
    name = next((name for name, pattern in _patterns("day_of").items() if pattern.search(question)), None)
    if name == "delivered_on":
        return ("expected_on", "delivered_on")
    return () if name is None else (name,)


def tells_of_order(question: str, holds: bool) -> bool:
    """Whether the words are about an order that the shopper has placed, and not about a rule or a product in general.

    `holds`: an order of theirs holds what the question names.
    """
    signs = _signs(question)
    fact = "of_rule" not in signs and ("of_order" in signs or (holds and "of_thing" in signs))
    return fact or (holds and {"of_change", "of_own"} <= signs)


def asks_fact_alone(question: str) -> bool:
    """Whether a fact of an order is asked for, and neither a change of it nor the rule for one."""
    signs = _signs(question)
    return "of_rule" not in signs and "of_fact" in signs and ("of_order" in signs or bool(order_aspects(question)))


def _signs(question: str) -> frozenset[str]:
    return frozenset(name for name, pattern in _patterns("signs").items() if pattern.search(question))


@cache
def _patterns(part: str) -> Mapping[str, re.Pattern[str]]:
    table = tomllib.loads(resources.files("shopbot").joinpath("order_words.toml").read_text(encoding="utf-8"))
    chosen: Mapping[str, Mapping[str, Sequence[str]]] = table[part]
    return {name: _either(cues) for name, cues in chosen.items()}


def _either(cues: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    return re.compile("|".join(cue for texts in cues.values() for cue in texts), re.IGNORECASE)

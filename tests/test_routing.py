"""Which family a question belongs to, weighed from intents, the catalog and the shopper's orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shopbot.catalog import ProductQuery
from shopbot.routing import names_things, operates, weigh
from shopbot.turn import Question
from shopbot.understand import Guess


def _question(text: str, **families: float) -> Question:
    return Question(text, "en", Guess("", 0.0, 0.0, families=families), np.zeros(4, dtype=np.float32))


NAMED = ProductQuery(products=("P1",))
CHEAPEST = ProductQuery(categories=("lamp",), sort="cheapest")


def test_the_family_with_most_evidence_wins() -> None:
    assert weigh(_question("what is it", product=0.6, policy=0.3), ProductQuery(), False).is_product
    assert not weigh(_question("what is it", product=0.3, policy=0.6), ProductQuery(), False).is_product
    assert weigh(_question("where is it", order=0.5, policy=0.3), ProductQuery(), False).is_own


def test_what_the_catalog_recognises_speaks_for_products() -> None:
    undecided = _question("the one by the window", product=0.4, policy=0.45)
    assert not weigh(undecided, ProductQuery(), False).is_product
    assert weigh(undecided, NAMED, False).is_product
    assert weigh(undecided, CHEAPEST, False).is_product


def test_a_thing_that_the_shopper_has_already_is_seldom_to_be_bought() -> None:
    families = {"product": 0.45, "policy": 0.4}
    assert weigh(_question("can it be had in red", **families), NAMED, False).is_product
    assert not weigh(_question("it arrived, can it be had in red", **families), NAMED, False).is_product


def test_what_an_order_of_theirs_holds_speaks_for_the_order() -> None:
    asked = _question("where is the lamp going", product=0.35, order=0.2, policy=0.2)
    assert not weigh(asked, ProductQuery(), False).is_own
    assert weigh(asked, ProductQuery(), True).is_own


def test_a_kind_taken_for_another_word_names_nothing_for_sure() -> None:
    assert names_things(NAMED)
    assert not names_things(ProductQuery(categories=("lamp",), alike={"torch": "lamp"}))
    assert operates(CHEAPEST)
    assert not operates(NAMED)


def test_a_named_product_speaks_louder_where_a_property_of_it_is_asked_or_a_visitor_asks() -> None:
    asked = _question("how long does it last", product=0.25, policy=0.5)
    assert not weigh(asked, NAMED, False).is_product
    assert weigh(asked, ProductQuery(products=("P1",), aspect="attribute battery life"), False).is_product
    delivered = _question("which size can be had", product=0.2, order=0.55)
    assert not weigh(delivered, NAMED, False).is_product
    assert weigh(delivered, NAMED, False, is_visitor=True).is_product


def test_a_product_that_stands_out_speaks_for_products_unless_they_have_it() -> None:
    torn = replace(_question("does it hold up on a wet road", product=0.35, policy=0.45), standing=5.0)
    assert weigh(torn, ProductQuery(), False).is_product
    assert not weigh(replace(torn, standing=2.0), ProductQuery(), False).is_product
    assert not weigh(torn, ProductQuery(), True).is_product


def test_what_a_visitor_says_of_an_order_is_asked_of_the_rules() -> None:
    asked = _question("I want the lamp gone from my order", product=0.45, policy=0.3, act=0.4)
    lamps = ProductQuery(categories=("lamp",))
    assert weigh(asked, lamps, False).is_product
    assert not weigh(asked, lamps, False, is_visitor=True).is_product

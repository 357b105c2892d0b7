"""Language, questions and ids of a message."""

from __future__ import annotations

import numpy as np
import pytest

from shopbot.understand import Example, NearestIntents, built_in_examples, detect_language, id_pattern, split_questions


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my order?", "en"),
        ("我的订单到哪了？", "zh"),
        ("LF-10001 什么时候到", "zh"),
        ("can you translate 你好 for me please now", "en"),
        ("", "en"),
        ("12345", "en"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("message", "questions"),
    [
        ("My kettle leaks. What now? And where is my order?", ["My kettle leaks. What now?", "And where is my order?"]),
        (
            "hi, can I return a used jacket and how long does the refund take",
            ["can I return a used jacket", "how long does the refund take"],
        ),
        ("Can I cancel and reorder?", ["Can I cancel and reorder?"]),
        ("I bought a lamp. It doesn't work. I'm angry", ["I bought a lamp. It doesn't work. I'm angry"]),
        ("你好，我的订单到哪了？另外退货要多久", ["我的订单到哪了？", "退货要多久"]),
        ("退货政策是什么，运费谁付", ["退货政策是什么", "运费谁付"]),
        ("hey", ["hey"]),
        ("   ", [""]),
    ],
)
def test_questions_of_a_message(message: str, questions: list[str]) -> None:
    assert split_questions(message) == questions


def test_at_most_three_questions() -> None:
    assert len(split_questions("What? " * 50 + "Where is it? How is it? When is it? Who is it?")) <= 3


def test_ids_are_recognised_by_the_shapes_that_the_shop_uses() -> None:
    pattern = id_pattern(["#W2611340", "LF-10001"])
    assert pattern is not None
    found = pattern.findall("order w2611340, lf10001, LF-10002, #W1234567; not 2611340, LF-1, AB-10001 or LF-100012")
    assert [one.strip() for one in found] == ["w2611340", "lf10001", "LF-10002", "#W1234567"]
    assert id_pattern([]) is None


def test_nearest_examples_without_an_embedder_read_both_languages() -> None:
    examples = built_in_examples()
    intents = NearestIntents(examples, np.zeros((len(examples), 4), dtype=np.float32))
    texts = ["where is my parcel?", "我想退货", "are you a robot", "转人工客服"]
    assert [guess.intent for guess in intents.guess(texts, None)] == [
        "order_status",
        "return_items",
        "are_you_bot",
        "talk_to_person",
    ]


def test_confidence_is_a_share_of_the_evidence() -> None:
    intents = NearestIntents(
        [Example("good morning", "greeting"), Example("bye bye", "goodbye")], np.eye(2, dtype=np.float32)
    )
    sure, unsure = intents.guess(["good morning", "xyz"], None)
    assert sure.confidence > 0.99
    assert unsure.confidence == pytest.approx(0.5)

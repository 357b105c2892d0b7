"""The sample shop's texts: policies, labelled utterances, approved answers."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

SHOP = Path(__file__).resolve().parents[1] / "sample_shop"
MONTHS = "January February March April May June July August September October November December".split()
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
STANDARD_INTENTS = (
    "product_search product_detail product_options product_compare product_stock product_price order_list order_status "
    "order_details order_changes account_details cancel_order change_address change_items return_items exchange_items "
    "redeem_gift_card policy_returns policy_shipping policy_payment greeting thanks goodbye are_you_bot insult "
    "talk_to_person out_of_scope"
).split()
SLOTS = {"order_id", "product", "size", "colour", "amount", "date", "person", "place"}
GAPS = re.compile(
    r"student|military|same-day|gift.wrap|showroom|carbon|trade-in|vacanc|学生|军人|当日达|礼品包装|展厅|碳足迹|以旧换新|招聘",
    re.IGNORECASE,
)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SHOP / name).read_text("utf-8").splitlines()]


UTTERANCES = rows("utterances.jsonl")
ANSWERS = rows("answers.jsonl")


def policies(language: str) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted((SHOP / "policies" / language).glob("*.md"))}


def front_matter(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.split("---\n")[1].splitlines())


def sections(text: str) -> list[tuple[str, str]]:
    """(heading with its #s, text below it) of a Markdown document, in order."""
    parts = re.split(r"^(#+ .*)$", text.split("---\n", 2)[2], flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def numbers(text: str) -> set[str]:
    """The numbers of a text; months by name count as their number, in both languages."""
    for number, month in enumerate(MONTHS, 1):
        text = re.sub(rf"\b{month}\b", str(number), text)
    return set(re.findall(r"\d+(?:\.\d+)?", text.replace("一月", "1")))


# ---------------------------------------------------------------- policies


def test_shop_toml_names_the_parts() -> None:
    settings = tomllib.loads((SHOP / "shop.toml").read_text("utf-8"))
    assert settings["shop"]["name"] == "Larkfield"
    assert settings["shop"]["today"] == "2026-11-20"
    assert settings["parts"]["chats"] == "chats.jsonl"


def test_policies_exist_in_both_languages() -> None:
    assert list(policies("en")) == list(policies("zh"))
    assert len(policies("en")) >= 13


@pytest.mark.parametrize("name", list(policies("en")))
def test_policy_is_the_same_in_both_languages(name: str) -> None:
    en, zh = policies("en")[name], policies("zh")[name]
    assert [h.split(" ")[0] for h, _ in sections(en)] == [h.split(" ")[0] for h, _ in sections(zh)]
    for (heading, english), (_, chinese) in zip(sections(en), sections(zh), strict=True):
        assert numbers(heading + english) == numbers(_ + chinese), heading
    dates = ("valid_from", "valid_until")
    assert [front_matter(en).get(key) for key in dates] == [front_matter(zh).get(key) for key in dates]
    assert (front_matter(en)["language"], front_matter(zh)["language"]) == ("en", "zh")


@pytest.mark.parametrize("name", list(policies("en")))
def test_policy_has_the_agreed_size(name: str) -> None:
    en, zh = policies("en")[name], policies("zh")[name]
    assert 250 <= len(en.split("---\n", 2)[2].split()) <= 600
    assert 350 <= len(re.findall(r"[\u4e00-\u9fff]", zh)) <= 1000
    assert 4 <= sum(heading.startswith("## ") for heading, _ in sections(en)) <= 7


def test_some_policies_hold_for_a_time_only() -> None:
    spans = [front_matter(text) for text in policies("en").values() if "valid_from" in text]
    assert len(spans) >= 5
    assert all(ISO_DAY.fullmatch(span[key]) for span in spans for key in ("valid_from", "valid_until") if key in span)
    old, new = policies("en")["shipping_until_2026_09.md"], policies("en")["shipping.md"]
    assert front_matter(old)["valid_until"] < front_matter(new)["valid_from"] < "2026-11-20"


def test_policies_keep_the_deliberate_gaps() -> None:
    found = [
        (name, match[0])
        for part in "en zh".split()
        for name, text in policies(part).items()
        if (match := GAPS.search(text))
    ]
    assert found == []


# ---------------------------------------------------------------- utterances


def test_every_intent_has_enough_utterances() -> None:
    count = Counter((row["intent"], row["language"]) for row in UTTERANCES)
    intents = {intent for intent, _ in count}
    assert len(intents) >= 24
    assert set(STANDARD_INTENTS) <= intents
    assert {intent: count[intent, "en"] for intent in intents if count[intent, "en"] < 20} == {}
    assert {intent: count[intent, "zh"] for intent in intents if count[intent, "zh"] < 14} == {}
    assert count["out_of_scope", "en"] + count["out_of_scope", "zh"] >= 60


def test_slots_are_where_they_say() -> None:
    for row in UTTERANCES:
        for slot in row["slots"]:
            assert row["text"][slot["start"] : slot["end"]] == slot["value"], row
            assert slot["name"] in SLOTS
    assert {slot["name"] for row in UTTERANCES for slot in row["slots"]} == SLOTS


def test_no_utterance_is_there_twice() -> None:
    texts = [row["text"].casefold() for row in UTTERANCES]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


# ---------------------------------------------------------------- answers


def source_text(source: str) -> str:
    path, heading = source.split("#", 1)
    found = dict(sections((SHOP / path).read_text("utf-8")))
    return next(text for line, text in found.items() if line.lstrip("# ") == heading)


def test_there_are_enough_answers() -> None:
    count = Counter(row["language"] for row in ANSWERS)
    assert count["en"] >= 40
    assert count["zh"] >= count["en"] // 2
    assert all(2 <= len(row["variants"]) <= 4 for row in ANSWERS)


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row["question"])
def test_every_sentence_of_an_answer_is_its_sources_own(row: dict[str, Any]) -> None:
    text = "".join(source_text(source) for source in row["sources"])
    sentences = re.split(r"(?<=[.!?]) |(?<=。)(?=.)", row["answer"])
    assert 1 <= len(sentences) <= 3
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert numbers(row["answer"]) <= numbers(text)

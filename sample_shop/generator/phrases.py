"""What reviewers say: the phrase files, and how a sentence is made of them (choices, colours, slips of the pen)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path(__file__).resolve().parent
CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")

# Slips of the pen, a likely word and what is typed in its place.
SLIPS = {
    "en": (
        ("the ", "teh "),
        ("it's", "its"),
        ("don't", "dont"),
        ("really", "realy"),
        ("quality", "qualtiy"),
        ("received", "recieved"),
        ("because", "becuase"),
        ("which", "wich"),
        ("comfortable", "comfortble"),
        ("with ", "wiht "),
        (". ", " . "),
        ("I ", "i "),
    ),
    "zh": (("的", "得"), ("。", "，"), ("。", ""), ("很", "狠"), ("在", "再"), ("已经", "以经"), ("。", "！！")),
}


@dataclass(frozen=True)
class Phrases:
    """The phrase files as read: `stories` is phrases.toml, `words` each language, `products` what fits one alone."""

    stories: dict[str, Any]
    words: dict[str, dict[str, Any]]
    products: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls) -> Phrases:
        """Read phrases.toml, phrases_en.toml, phrases_zh.toml and phrases_products.toml beside this module."""
        stories, english, chinese, products = (
            tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
            for name in ("phrases", "phrases_en", "phrases_zh", "phrases_products")
        )
        return cls(stories, {"en": english, "zh": chinese}, products)

    def group_of(self, product_id: str) -> str:
        """The vocabulary that a product's reviews are written with."""
        return next(group for group, products in self.stories["groups"].items() if product_id in products)

    def fitting(self, product_id: str, sentences: list[str]) -> list[str]:
        """The sentences that can be said of a product."""
        unfit = self.stories["unfit"].get(product_id)
        return [sentence for sentence in sentences if unfit is None or not re.search(unfit, sentence)]

    def aspects(self, language: str, product_id: str, tone: str) -> dict[str, list[str]]:
        """Aspect → its sentences of a tone ("good" or "bad") that fit a product; aspects without any left out."""
        words = self.words[language][self.group_of(product_id)]
        found = {name: self.fitting(product_id, said[tone]) for name, said in words.items() if isinstance(said, dict)}
        return {name: sentences for name, sentences in found.items() if sentences}

    def openings(self, language: str, product_id: str, colour: str) -> list[str]:
        """First sentences that fit; those that name a colour only where one was bought."""
        words = self.words[language]
        own = words[self.group_of(product_id)].get("opening", [])
        found = self.fitting(product_id, [*words["any"]["opening"], *own * 3])
        named = colour if language == "en" else self.stories["colours"].get(colour, "")
        return [text.replace("{colour}", named) for text in found if named or "{colour}" not in text]


def say(text: str, rng: Random) -> str:
    """A phrase with one of each [choice|of|words] taken."""
    return CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), text)


def slip(text: str, language: str, rng: Random) -> str:
    """The text as someone in a hurry types it: one slip, or all in small letters."""
    if language == "en" and rng.random() < 0.25:
        return text.lower().rstrip(".")
    right, wrong = rng.choice([pair for pair in SLIPS[language] if pair[0] in text] or [("", "")])
    return text.replace(right, wrong, 1) if right else text

"""Words of a text with their places: Latin words and numbers, single Chinese characters, measures in one unit.

The same for the catalog and for the question, so that "1 litre", "1L" and "1000ml" meet, as do "colours" and "color".
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

CJK = "\u3400-\u9fff"
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)+[a-z]*|[a-z0-9]+|[{CJK}]")
_SPELT = re.compile(r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand)[\s-]")
_DIGIT = re.compile(r"\d")
# What is left of a word after its apostrophe says nothing, and would read as a size ("I'm", "it's").
_CLITIC = re.compile(r"(?<=[a-z])['\u2019\u02bc](?:s|m|t|ve|ll|re|d)\b")
_DIGITS_ZH = {char: number for number, char in enumerate("零一二三四五六七八九")} | {"两": 2, "双": 2, "单": 1}
_SCALES_ZH = {"十": 10, "百": 100, "千": 1000, "万": 10000}
_DIGITS_EN = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
    "thousand": 1000,
}
NUMBER_ZH = f"[{''.join(_DIGITS_ZH)}{''.join(_SCALES_ZH)}]+"


class Token(NamedTuple):
    """A word in its normal form (`text`; a measure as "1000ml") and where it stands in the original text."""

    text: str
    start: int
    end: int
    measure: bool = False


@cache
def words_table() -> Mapping[str, Any]:
    """`words.toml`: the words of the language."""
    return tomllib.loads(resources.files("shopbot").joinpath("words.toml").read_text(encoding="utf-8"))


@cache
def passed_over() -> frozenset[str]:
    """Normal forms of English words that say nothing about which product is meant."""
    listed = words_table()["pass_over"]["en"].split()
    return frozenset(listed) | frozenset(stem(word) for word in listed)


# ---------------------------------------------------------------- letters


def normal(text: str) -> tuple[str, Sequence[int]]:
    """The text in lower case, half width and without accents, and for each of its letters the place it came from."""
    if text.isascii():
        folded, places = text.lower(), range(len(text) + 1)
        return _unclitic(folded), places
    letters: list[str] = []
    origin: list[int] = []
    for place, char in enumerate(text):
        for letter in unicodedata.normalize("NFKD", char).casefold():
            if not unicodedata.combining(letter):
                letters.append(letter)
                origin.append(place)
    origin.append(len(text))
    return _unclitic("".join(letters)), origin


def _unclitic(folded: str) -> str:
    return _CLITIC.sub(lambda found: " " * len(found[0]), folded)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without its plural, in one spelling ("colours" and "color" give the same). Safe on names and numbers."""
    if len(word) < 4 or not word.isalpha() or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("our") and len(word) > 4:
        word = word[:-2] + "r"
    return _SPELLINGS.get(word, word)


_SPELLINGS = {
    "grey": "gray",
    "aluminium": "aluminum",
    "litre": "liter",
    "metre": "meter",
    "fibre": "fiber",
    "centre": "center",
    "jewellery": "jewelry",
    "cancelling": "canceling",
    "woollen": "wool",
    "woolen": "wool",
    "woolly": "wool",
    "wooden": "wood",
    "golden": "gold",
}


# ---------------------------------------------------------------- words and measures


def tokenize(text: str) -> list[Token]:
    """The words of a text in order. A number with a unit is one token with the measure in its base unit."""
    folded, places = normal(text)
    tokens: list[Token] = []
    last = 0
    for found in _measure_pattern().finditer(folded):
        measure = read_measure(found[0])
        if measure is None:
            continue
        tokens.extend(_words(folded, last, found.start(), places))
        tokens.append(Token(measure, places[found.start()], places[found.end() - 1] + 1, True))
        last = found.end()
    tokens.extend(_words(folded, last, len(folded), places))
    return tokens


def _words(folded: str, start: int, end: int, places: Sequence[int]) -> list[Token]:
    return [
        Token(stem(found[0]), places[found.start()], places[found.end() - 1] + 1)
        for found in _TOKEN.finditer(folded, start, end)
    ]


@lru_cache(maxsize=65536)
def stems(text: str) -> tuple[str, ...]:
    """The normal forms of a text's words, measures included."""
    if not text.isascii():
        return tuple(token.text for token in tokenize(text))
    # The same as for other text, without the places: a large catalog asks this some hundred thousand times.
    folded, words, last = _unclitic(text.lower()), [], 0
    for found in _measure_pattern().finditer(folded) if _DIGIT.search(folded) or _SPELT.search(folded) else ():
        measure = read_measure(found[0])
        if measure is not None:
            words.extend(map(stem, _TOKEN.findall(folded, last, found.start())))
            words.append(measure)
            last = found.end()
    words.extend(map(stem, _TOKEN.findall(folded, last)))
    return tuple(words)


def grams(text: str) -> tuple[str, ...]:
    """The words of a text as an index keeps them: Latin words and measures, and pairs of Chinese characters."""
    if text.isascii():
        return stems(text)
    tokens = tokenize(text)
    return tuple(gram for number in range(len(tokens)) if (gram := _gram(tokens, number)))


def _gram(tokens: Sequence[Token], number: int) -> str:
    token = tokens[number]
    if not is_han(token.text):
        return token.text
    after = tokens[number + 1] if number + 1 < len(tokens) else None
    return token.text + after.text if after and after.start == token.end and is_han(after.text) else ""


def is_han(word: str) -> bool:
    """Whether a word begins with a Chinese character; measures do not."""
    return "\u3400" <= word[:1] <= "\u9fff"


@cache
def _units() -> dict[str, tuple[str, float]]:
    units: dict[str, tuple[str, float]] = {}
    for name, value in words_table()["units"].items():
        base, factor = value.split()
        units[name] = units[f"{name}s"] = (base, float(factor))
    return units


@cache
def _measure_pattern() -> re.Pattern[str]:
    names = sorted(_units(), key=len, reverse=True)
    latin = "|".join(re.escape(name) for name in names if name.isascii() or name[0] == "°")
    chinese = "|".join(name for name in names if not name.isascii() and name[0] != "°")
    number = r"(?<![a-z\d.])\d+(?:[.,]\d+)*"
    spelt = rf"\b(?:{'|'.join(_DIGITS_EN)})[\s-](?:{latin})(?![a-z\d])"
    return re.compile(
        rf"(?:{spelt}|{number}[\s-]{{0,2}}(?:{latin})(?![a-z\d])|(?:{number}|{NUMBER_ZH})\s?(?:{chinese}))"
    )


def read_measure(text: str) -> str | None:
    """A number with its unit in the base unit: "1.5 litres" and "1500ml" give "1500ml"; None if it is no measure."""
    parts = split_measure(text)
    return None if parts is None else f"{round(parts[0], 3):.12g}{parts[1]}"


def without_measures(text: str) -> str:
    """A text without its measures: "reeds, 10 pieces" without the pieces."""
    return _measure_pattern().sub("", text)


def measures_in(text: str) -> list[tuple[float, str]]:
    """Amount and base unit of each measure in a text, as "under 2 kg" is compared with them."""
    if not text.isascii():
        return [parts for token in tokenize(text) if token.measure and (parts := split_measure(token.text))]
    folded = text.lower() if _DIGIT.search(text) else ""
    found = (split_measure(match[0]) for match in _measure_pattern().finditer(folded)) if folded else ()
    return [parts for parts in found if parts is not None]


def split_measure(text: str) -> tuple[float, str] | None:
    """The amount and base unit of a measure in normal letters."""
    found = re.fullmatch(rf"(\d[\d.,]*|{NUMBER_ZH}|[a-z]+(?=[\s-]))[\s-]*(\D+)", text)
    if not found or found[2] not in _units():
        return None
    base, factor = _units()[found[2]]
    number = number_of(found[1])
    return None if number is None else (number * factor, base)


def number_of(text: str) -> float | None:
    """The value of "1,299.50", "2.5", "two", "五十" or "一百二"; None if it is no number."""
    if text in _DIGITS_EN:
        return float(_DIGITS_EN[text])
    if re.fullmatch(NUMBER_ZH, text):
        return _number_zh(text)
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _number_zh(text: str) -> float:
    """Chinese numerals up to 万; a digit after a scale without one of its own counts tenths of it (一百二 is 120)."""
    total = section = 0
    digit, scale = None, 1
    for char in text:
        if char in _DIGITS_ZH:
            digit = _DIGITS_ZH[char]
        elif char == "万":
            total, section, digit, scale = (section + (digit or 0)) * 10000, 0, None, 10000
        else:
            scale = _SCALES_ZH[char]
            section += (1 if digit is None else digit) * scale
            digit = None
    tail = digit or 0
    if digit is not None and scale > 10 and text[-2] in _SCALES_ZH:
        tail = digit * scale // 10
    return float(total + section + tail)

"""Text into sentences, English and Chinese: the unit that is read, quoted and cited.

Full stops inside abbreviations ("e.g.", "No. 5"), decimals and addresses end nothing. An item of a list is a sentence of its own
together with the line that leads into the list ("You can return within: 30 days for things"), since neither
says anything alone; a short list stays whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""The inside of a regular expression's character class: ideographs."""

SHORT_LIST_WORDS = 40
"""A list of up to this many words, its lead-in included, is one sentence."""

_ITEM = re.compile(r"^\s*(?:[-*•·‣▪]\s+|(?=\d{1,2}[.)]\s))(.*)$")
_LEAD_IN = re.compile(r"[:：]\s*$")
_WORD_OR_CJK = re.compile(rf"[{CJK}]|[^\W_]+(?:['’.,\-/][^\W_]+)*")
_CJK_CHARACTER = re.compile(f"[{CJK}]")
_LATIN_WORD = re.compile(r"[A-Za-z']+")
_CJK_PER_WORD = 1.7
_END = re.compile(r"(?:[.!?]+|…)[\"'”’)\]]*(?=\s)|[。！？!?]+[”’」』）)]*")
_NEVER_LAST = frozenset(
    "e.g i.e eg ie mr mrs ms dr prof st vs approx incl excl fig tel ext dept min max ca cf resp jan feb mar apr jun jul "
    "aug sep sept oct nov dec mon tue wed thu fri sat sun".split()
)
_OFTEN_LAST = frozenset(("etc", "a.m", "p.m"))
_BEFORE_A_NUMBER = frozenset("no nos art sec par p pp nr vol ch".split())
_NEXT_STARTS = re.compile(rf"\s+[\"'“‘(\[]*[A-Z0-9£$€¥{CJK}À-Þ]")
_INITIAL = re.compile(r"(?:^|[\s(])(?:[A-Z]|(?:[A-Za-z]\.)+[A-Za-z])$")


def word_count(text: str) -> float:
    """Length of `text` in English words; 1.7 ideographs count as one word, as they do in model tokens."""
    cjk = len(_CJK_CHARACTER.findall(text))
    return len(_WORD_OR_CJK.findall(text)) - cjk + cjk / _CJK_PER_WORD


def cjk_share(text: str) -> float:
    """The share of ideographs among the letters of `text`, 0 where it has none."""
    letters = sum(character.isalpha() for character in text)
    return len(_CJK_CHARACTER.findall(text)) / letters if letters else 0.0


def detect_language(text: str) -> str:
    """The code "zh" where ideographs are at least a third of the letters, a Latin word counted as one; else "en"."""
    ideographs = len(_CJK_CHARACTER.findall(text))
    return "zh" if ideographs and ideographs * 2 >= len(_LATIN_WORD.findall(text)) else "en"


def sentences(text: str) -> list[str]:
    """The sentences of a passage, in order; paragraphs are parted by an empty line, items of a list stand on lines."""
    return [joined(pieces) for pieces in sentence_pieces(text)]


def sentence_pieces(text: str) -> list[list[str]]:
    """The sentences of a passage as the pieces that they are joined of, each as it stands in the text.

    One piece is the rule; the line that leads into a list and items of it are several.
    """
    found: list[list[str]] = []
    for paragraph in re.split(r"\n\s*\n", text):
        found += _of_paragraph([line for line in paragraph.split("\n") if line.strip()])
    return found


def joined(pieces: list[str]) -> str:
    """A text such as "Lead-in: one; two; three." in the punctuation of its language; one piece as it is."""
    lead_in, *items = pieces
    if not items:
        return lead_in
    chinese = cjk_share(lead_in + items[0]) >= 0.5
    space, comma = ("", "；") if chinese else (" ", "; ")
    inner = [item.rstrip(".;,。；，") for item in items[:-1]]
    return lead_in.rstrip() + space + comma.join([*inner, items[-1]])


def _of_paragraph(lines: list[str]) -> Iterator[list[str]]:
    """Running text and lists in turn; the last sentence before a list leads into it if it ends in a colon."""
    before: list[str] = []
    for is_list, group in itertools.groupby(lines, key=lambda line: _ITEM.match(line) is not None):
        if not is_list:
            yield from ([sentence] for sentence in before)
            before = [sentence for line in group for sentence in split_running(line)]
            continue
        lead_in = before.pop() if before and _LEAD_IN.search(before[-1]) else ""
        yield from ([sentence] for sentence in before)
        before = []
        yield from _of_list(lead_in, [_ITEM.sub(r"\1", line).strip() for line in group])
    yield from ([sentence] for sentence in before)


def _of_list(lead_in: str, items: list[str]) -> Iterator[list[str]]:
    whole = sum(map(word_count, items)) + word_count(lead_in)
    if lead_in and whole <= SHORT_LIST_WORDS:
        yield [lead_in, *items]
        return
    for item in items:
        first, *others = split_running(item) or [item]
        yield [lead_in, first] if lead_in else [first]
        yield from ([sentence] for sentence in others)


def split_running(text: str) -> list[str]:
    """The sentences of one line of running text, without looking for lists."""
    found, start = [], 0
    for match in _END.finditer(text):
        if _ends_a_sentence(text, match):
            found.append(text[start : match.end()].strip())
            start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _ends_a_sentence(text: str, match: re.Match[str]) -> bool:
    mark = match[0][0]
    if mark in "。！？":
        return True
    if not _NEXT_STARTS.match(text, match.end()):
        return mark in "!?" and not text[match.end() :].strip()
    return mark != "." or len(match[0].rstrip("\"'”’)]")) > 1 or not _is_abbreviation(text, match.start(), match.end())


def _is_abbreviation(text: str, stop: int, end: int) -> bool:
    """Whether the full stop at `stop` belongs to the word before it and not to a sentence."""
    before = text[:stop].rsplit(None, 1)
    word = before[-1].lstrip("(['\"“‘").lower() if before else ""
    if word in _OFTEN_LAST:  # what follows starts with a capital: a sentence of its own
        return False
    if word in _BEFORE_A_NUMBER:
        return text[end:].lstrip()[:1].isdigit()
    return word in _NEVER_LAST or _INITIAL.search(text[:stop]) is not None

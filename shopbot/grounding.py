"""First checks on what a model says: is every fact of a sentence in its sources, and is the sentence about them.

`Gate` cuts a stream of text into whole sentences, the same ones however the stream was cut; `unsupported` says why a
sentence may not be shown, or None. Sources are the draft, its passages and tool results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shopbot.understand import CJK

# ---------------------------------------------------------------- a stream, cut into sentences

_END_ZH = "。！？\n"
_END = ".!?"
_CLOSING = "\"'”’)）」』]"
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|no|nr|mr|mrs|ms|dr|st|approx|incl|max|min|[A-Za-z])\.$", re.IGNORECASE
)


@dataclass(slots=True)
class Gate:
    """Feeds on pieces of text, gives back whole sentences.

    Whether a mark ends a sentence depends on the character behind it, so a sentence is released only once that
    character is here: cutting the same text elsewhere cannot change what is released.
    """

    _text: str = ""
    _done: list[str] = field(default_factory=list[str])

    def feed(self, piece: str) -> list[str]:
        """The sentences that became certain with this piece."""
        self._text += piece
        return self._take(whole=False)

    def finish(self) -> list[str]:
        """What is left when the stream has ended."""
        return self._take(whole=True)

    def _take(self, whole: bool) -> list[str]:
        sentences: list[str] = []
        start = place = 0
        while place < len(self._text):
            end = self._end_at(place, start, whole)
            if end is None:
                break
            if end > place:
                sentences.append(self._text[start:end].strip())
                start = place = end
            else:
                place += 1
        if whole:
            sentences.append(self._text[start:].strip())
            start = len(self._text)
        self._text = self._text[start:]
        return [sentence for sentence in sentences if sentence]

    def _end_at(self, place: int, start: int, whole: bool) -> int | None:
        """Where the sentence ends if the mark at `place` ends it; `place` if not; None if it is too early to say."""
        mark = self._text[place]
        if mark not in _END_ZH and mark not in _END:
            return place
        end = place + 1
        while end < len(self._text) and (
            self._text[end] in _CLOSING or self._text[end] in _END or self._text[end] in _END_ZH
        ):
            end += 1
        if end == len(self._text):
            return end if whole else None
        if mark in _END_ZH or self._text[place:end].strip(_CLOSING + _END):
            return end
        return self._after_point(place, end, start, whole)

    def _after_point(self, place: int, end: int, start: int, whole: bool) -> int | None:
        """A point ends a sentence before a space and no small letter; not after an abbreviation, not in "3.50"."""
        if not self._text[end].isspace():
            return end if CJK.match(self._text[end]) else place
        following = self._text[end:].lstrip()
        if not following:
            return end if whole else None
        if self._text[place] == "." and (following[0].islower() or _ABBREVIATION.search(self._text[start : place + 1])):
            return place
        return end


# ---------------------------------------------------------------- is it in the sources

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_PRICE = re.compile(
    r"[£$€¥]\s?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*\s?(?:元|英镑|美元|欧元|pounds?|dollars?|euros?|%|percent)", re.IGNORECASE
)
_ID = re.compile(r"#?\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9][\w-]*", re.ASCII)
_NAME = re.compile(r"(?<![.!?。！？\"“]\s)(?<!^)(?<=\s)[A-Z][A-Za-z'’-]+")
_WORD = re.compile(r"[a-z][a-z'’-]+")
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|can't|won't|don't|doesn't|isn't|aren't|wasn't|without|unable|neither|nor)\b|n't\b|不|没|無|无|未|勿|别|禁止",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"^\s*(?:yes|no|of course|certainly|sure|absolutely|unfortunately)\b|^(?:是的|可以|不可以|不行|当然)", re.IGNORECASE
)
_PROMISE = re.compile(
    r"guarantee|promise|always|free\b|immediately|right away|today|tomorrow|保证|承诺|一定|免费|立即|马上|今天|明天",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:i|we)(?:'ve| have|'ll| will)?\s+(?:just\s+|now\s+|already\s+)?(?:cancel|refund|chang|updat|return|exchang"
    r"|sent|send|order|process|ship|issu|credit|appl|remov|add|book|arrang|contact|notif)\w*"
    r"|\bhas been (?:cancel|refund|chang|updat|process|issu|sent|credit|appl)\w*"
    r"|已(?:经)?(?:为您|帮您|给您)|我(?:已|会|将)",
    re.IGNORECASE,
)
_NUMBER_WORDS = {
    word: str(number)
    for number, words in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
    )
    for word in (words,)
} | {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100"}
_COMMON = frozenset(
    "the a an and or of to in on at for from by with is are was were be been it its this that these those you your "
    "yours we our us i my me he she they them their as if so but will would can could may might shall should do does "
    "did has have had not no yes there here please any all also just more most than then when where which who what "
    "how about into up out over only".split()
)

CLOSE = 0.6
"""The share of a sentence's own words (Chinese: character pairs) that must stand in the sources."""


def unsupported(sentence: str, sources: Sequence[str], shop: str = "") -> str | None:
    """Why a sentence may not be shown: a fact or a claim that no source holds. None if nothing was found against it."""
    everything = "\n".join([*sources, shop])
    folded = everything.casefold()
    for kind, found in _facts(sentence):
        if not _holds(kind, found, folded):
            return f"{kind} {found!r} is in no source"
    for kind, pattern in (("yes or no", _YES_NO), ("promise", _PROMISE), ("claim of an action", _DONE)):
        if (match := pattern.search(sentence)) and match[0].strip().casefold() not in folded:
            return f"{kind} {match[0].strip()!r} is in no source"
    nearest = max(_sentences(sources), key=lambda source: _overlap(sentence, source), default="")
    if _overlap(sentence, everything) < CLOSE:
        return "it is not close to any source"
    if bool(_NEGATION.search(sentence)) != bool(_NEGATION.search(nearest)):
        return "it says yes where its source says no, or the other way round"
    return None


def _facts(sentence: str) -> Iterable[tuple[str, str]]:
    yield from (("id", match) for match in _ID.findall(sentence))
    yield from (("price", match) for match in _PRICE.findall(sentence))
    yield from (("number", match) for match in _NUMBER.findall(sentence))
    yield from (
        ("number", word) for word in _WORD.findall(sentence.casefold()) if word in _NUMBER_WORDS and word != "one"
    )
    yield from (("name", match) for match in _NAME.findall(sentence) if match.casefold() not in _COMMON)


def _holds(kind: str, found: str, folded: str) -> bool:
    """A number must stand alone in the sources: "5" is not in "15" and not in "5.50"."""
    if kind == "number" and found in _NUMBER_WORDS:
        return found in folded or _stands(_NUMBER_WORDS[found], folded)
    if kind in ("number", "price"):
        return _stands(found.casefold(), folded)
    plain = re.escape(found.casefold().removesuffix("’s").removesuffix("'s"))
    return re.search(rf"(?<![a-z0-9]){plain}", folded) is not None


def _stands(number: str, folded: str) -> bool:
    text = re.escape(number.rstrip(".,:/"))
    return re.search(rf"(?<!\d)(?<!\d[.,]){text}(?![.,:/]?\d)", folded) is not None


def _sentences(sources: Sequence[str]) -> list[str]:
    return [part for source in sources for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n", source) if part.strip()]


def _overlap(sentence: str, source: str) -> float:
    """The share of the sentence's content words, and of its pairs of Chinese characters, that the source has."""
    mine, theirs = _units(sentence), _units(source)
    return len(mine & theirs) / len(mine) if mine else 1.0


def _units(text: str) -> set[str]:
    words = {word[:6] for word in _WORD.findall(text.casefold()) if word not in _COMMON}
    han = "".join(CJK.findall(text))
    return words | {han[place : place + 2] for place in range(len(han) - 1)}


def covers(said: str, sentence: str) -> bool:
    """True if what was said holds the facts of a sentence of the draft and most of its words."""
    facts = [(kind, found) for kind, found in _facts(sentence) if kind != "name"]
    return all(_holds(kind, found, said.casefold()) for kind, found in facts) and _overlap(sentence, said) >= CLOSE


def facts_missing(sentence: str, sources: Sequence[str]) -> list[str]:
    """The numbers, prices, ids and names of a sentence that stand in no source."""
    folded = "\n".join(sources).casefold()
    return [f"{kind} {found}" for kind, found in _facts(sentence) if not _holds(kind, found, folded)]

"""What a message says: its language, the questions in it, and for each the nearest intent.

Intents are found by nearest labelled examples: cosine of sentence vectors beside cosine of character n-grams,
the n-grams alone where the embedder does not read the language. The examples are ours (`intents.toml`, without any
product noun) and the shop's own labelled utterances. A trained head takes this place where there is one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shopbot.types import Language

CJK = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z']+")
Array = NDArray[np.float32]


def detect_language(text: str) -> Language:
    """Chinese where Chinese characters are at least a third of the letters, counting a Latin word as one letter."""
    han = len(CJK.findall(text))
    return "zh" if han and han * 2 >= len(_WORD.findall(text)) else "en"


def count_words(text: str) -> int:
    """Words of a text; one and a half Chinese characters count as one."""
    return len(re.findall(r"[A-Za-z0-9£$€¥][^\s\u3400-\u9fff]*", text)) + round(len(CJK.findall(text)) / 1.5)


# ---------------------------------------------------------------- the questions of a message

_SENTENCE = re.compile(
    r"(?<=[?!？！。\n])\s*|(?<=[a-z0-9\u3400-\u9fff)\"']\.)\s+(?=[A-Z\u3400-\u9fff\"'I])|[;；]\s*", re.UNICODE
)
_ASKS = (
    r"(?:how|what|what's|whats|when|where|which|who|why|can|could|do|does|did|is|are|am|was|were|will|would|should|may|have|has|"
    r"tell me|show me|give me|i(?:'d| would) (?:also )?like|i(?: also)? (?:want|need))"
)
_JOINT = re.compile(
    rf"(?:,\s*|\s+)(?:and also|and then|and|also|plus|as well as|but)\s+(?=(?:also\s+)?{_ASKS}\b)", re.IGNORECASE
)
_JOINT_ZH = re.compile(
    r"[，,]\s*(?=(?:另外|还有|以及|顺便|同时|而且|请问|那么?))|(?:另外|还有|以及|顺便)[，,]?\s*(?=.{4,})"
)
_QUESTION = re.compile(
    rf"[?？]\s*$|^(?:and |also |so |but |ok(?:ay)?,? |please |then )*{_ASKS}\b"
    r"|[吗呢么]\W*$|多[少久长大重]|几|哪|谁|怎么|什么|能不能|可以|是否",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"^\s*(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|dear \w+|你好|您好|嗨|在吗)(?: there| all| team)?"
    r"[\s,.!，。！~～]+(?=\S)",
    re.IGNORECASE,
)


def split_questions(message: str, most: int = 3) -> list[str]:
    """The questions of a message, at most `most`; statements go with the question that they lead up to.

    "My parcel leaks. What now? And where is my order?" has two: the statement belongs to the first.
    """
    text = _OPENER.sub("", message.strip())
    parts = [part for sentence in _SENTENCE.split(text) if sentence for part in _parts(sentence)]
    merged: list[str] = []
    lead = ""
    for part in parts:
        if _QUESTION.search(part) and len(CJK.findall(part)) + len(_WORD.findall(part)) >= 2:
            merged.append(f"{lead} {part}".strip())
            lead = ""
        else:
            lead = f"{lead} {part}".strip()
    if lead:
        merged = (
            [
                f"{merged[-1]} {lead}",
            ]
            if len(merged) == 1
            else [*merged, lead]
        )
        if len(merged) > 1 and not _worth_a_question(lead):
            merged.pop()
    return merged[:most] if merged else [message.strip()]


def _parts(sentence: str) -> list[str]:
    parts = [part.strip() for joint in _JOINT.split(sentence) for part in _JOINT_ZH.split(joint)]
    return [clause for part in parts if part for clause in _clauses_zh(part)]


def _clauses_zh(part: str) -> list[str]:
    """Chinese joins two questions with a bare comma: split there where every clause asks something."""
    clauses = [clause for clause in re.split(r"[，,]\s*", part) if clause]
    asks = all(CJK.search(clause) and _QUESTION.search(clause) for clause in clauses)
    return clauses if asks else [part]


def _worth_a_question(text: str) -> bool:
    return len(CJK.findall(text)) + 2 * len(_WORD.findall(text)) >= 6


POINTING = re.compile(
    r"\b(?:it|its|that|this|they|them|these|those|the same|ones?)\b|它|这个|那个|这款|那款|该", re.IGNORECASE
)
"""Words that point at something said before."""

# ---------------------------------------------------------------- days

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(rf"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_DAYS = (
    re.compile(
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<name>{_MONTH})\b(?:,? (?P<year>\d{{4}}))?", re.IGNORECASE
    ),
    re.compile(rf"\b(?P<name>{_MONTH}) (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year>\d{{4}}))?", re.IGNORECASE),
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b"),
    re.compile(r"(?:(?P<year>\d{4}) ?年 ?)?(?P<month>\d{1,2}) ?月 ?(?P<day>\d{1,2}) ?[日号]"),
)


def mentioned_day(text: str, today: date) -> date | None:
    """The one day that a text names, of this year unless it says another; None without one, or with several.

    A rule that was valid on that day is meant: "what did delivery cost on 20 August?"
    """
    found = [match for pattern in _DAYS for match in pattern.finditer(text)]
    if len(found) != 1:
        return None
    parts = found[0].groupdict()
    month = parts.get("month") or _MONTHS.index(next(m for m in _MONTHS if m.startswith(parts["name"][:3].lower()))) + 1
    try:
        return date(int(parts.get("year") or today.year), int(month), int(parts["day"]))
    except ValueError:
        return None


# ---------------------------------------------------------------- intents


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled utterance."""

    text: str
    intent: str


@dataclass(frozen=True, slots=True)
class Guess:
    """An intent with its share of the evidence in [0, 1] and the similarity of the nearest example in [-1, 1].

    `hint` are words that examples of the likely intents share: "call it off" is asked of documents that say "cancel".
    `families` maps each `family` of intents to its share of the evidence.
    """

    intent: str
    confidence: float
    similarity: float
    hint: tuple[str, ...] = ()
    families: Mapping[str, float] = field(default_factory=dict[str, float])


SMALL_TALK = frozenset({"greeting", "thanks", "goodbye", "are_you_bot", "insult"})
WRITE_INTENTS = frozenset(
    {"cancel_order", "change_address", "change_items", "return_items", "exchange_items", "redeem_gift_card"}
)


def family(intent: str) -> str:
    """product, order, act, account or talk; everything else, a shop's own intents included, is asked of its policies."""
    if intent in WRITE_INTENTS:
        return "act"
    if intent in SMALL_TALK or intent in ("talk_to_person", "out_of_scope"):
        return "talk"
    first = intent.split("_")[0]
    return first if first in ("product", "order", "account") else "policy"


class Encoder(Protocol):
    """What is asked of an embedder: `knowledge.embed.SentenceEmbedder` is one."""

    def embed_array(self, texts: Sequence[str], query: bool = False) -> Array:
        """Unit vectors, shape (n, d)."""
        ...

    def reads(self, language: str) -> bool:
        """Whether vectors of texts in this language mean anything."""
        ...


def built_in_examples() -> list[Example]:
    """The examples that ship with shopbot."""
    table = tomllib.loads(resources.files("shopbot").joinpath("intents.toml").read_text(encoding="utf-8"))
    return [
        Example(text, intent)
        for intent, by_language in table.items()
        for texts in by_language.values()
        for text in texts
    ]


LIKELY = 0.2
"""An intent with this share of the evidence lends its words to the search."""


class Nearest:
    """How much texts are like known ones: cosine of sentence vectors beside cosine of character n-grams.

    `vectors` (n, d) are the known texts' L2-normalised sentence vectors, in order.
    """

    dense_weight = 0.75

    def __init__(self, texts: Sequence[str], vectors: Array) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectors = vectors
        vectorizer: Any = TfidfVectorizer  # its stubs know neither a callable analyzer nor float32
        self._vectorizer = vectorizer(analyzer=_grams, sublinear_tf=True, dtype=np.float32)
        self._grams: Any = self._vectorizer.fit_transform(texts)

    def likeness(self, texts: Sequence[str], vectors: Array | None) -> Array:
        """Shape (len(texts), n). `vectors` is (len(texts), d), or None where the embedder cannot read the language."""
        by_grams = np.asarray((self._vectorizer.transform(texts) @ self._grams.T).todense(), dtype=np.float32)
        if vectors is None:
            return by_grams
        both = self.dense_weight * (vectors @ self._vectors.T) + (1 - self.dense_weight) * by_grams
        return both.astype(np.float32)


class NearestIntents:
    """Intent by nearest examples; `vectors` as in `Nearest`."""

    sharpness = 14.0

    def __init__(self, examples: Sequence[Example], vectors: Array) -> None:
        self._intents = sorted({example.intent for example in examples})
        self._rows = np.array([self._intents.index(example.intent) for example in examples])
        self._nearest = Nearest([example.text for example in examples], vectors)
        self._hints = _hints(examples)

    def guess(self, texts: Sequence[str], vectors: Array | None) -> list[Guess]:
        """One guess a text; `vectors` is (len(texts), d), or None where the embedder does not read the language."""
        scores = self._nearest.likeness(texts, vectors)
        return [self._decide(row, detect_language(text)) for row, text in zip(scores, texts, strict=True)]

    def _decide(self, row: Array, language: Language) -> Guess:
        """An intent counts by its two nearest examples: one odd example does not carry it alone."""
        evidence = np.empty(len(self._intents), dtype=np.float32)
        for number in range(len(self._intents)):
            best = np.sort(row[self._rows == number])[-2:]
            evidence[number] = 0.7 * best[-1] + 0.3 * best[0]
        weights = np.exp(self.sharpness * (evidence - evidence.max()))
        weights /= weights.sum()
        winner = int(evidence.argmax())
        likely = [self._intents[number] for number in np.argsort(-weights) if weights[number] >= LIKELY]
        hint = dict.fromkeys(word for intent in likely for word in self._hints.get((intent, language), ()))
        families: dict[str, float] = {}
        for intent, weight in zip(self._intents, weights.tolist(), strict=True):
            families[family(intent)] = families.get(family(intent), 0.0) + weight
        similarity = float(row[self._rows == winner].max())
        return Guess(self._intents[winner], float(weights[winner]), similarity, tuple(hint), families)


def _hints(examples: Sequence[Example]) -> dict[tuple[str, Language], list[str]]:
    """For each intent and language, the words that a fifth of its examples share and few of the others have."""
    units: dict[tuple[str, Language], list[set[str]]] = {}
    for example in examples:
        key = (example.intent, detect_language(example.text))
        units.setdefault(key, []).append(_words(example.text))
    shares = {key: _shares(texts) for key, texts in units.items()}
    hints: dict[tuple[str, Language], list[str]] = {}
    for (intent, language), mine in shares.items():
        others = [share for (other, spoken), share in shares.items() if other != intent and spoken == language]
        told = {
            word: share * np.log(share / (_mean(word, others) + 0.01)) for word, share in mine.items() if share >= 0.2
        }
        best = sorted((word for word in told if told[word] >= 0.4), key=lambda word: -told[word])
        hints[intent, language] = best[:2]
    return hints


def _shares(texts: Sequence[set[str]]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for words in texts:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return {word: count / len(texts) for word, count in counts.items()}


def _mean(word: str, shares: Sequence[dict[str, float]]) -> float:
    return sum(share.get(word, 0.0) for share in shares) / max(len(shares), 1)


def _words(text: str) -> set[str]:
    han = "".join(CJK.findall(text))
    words = {word for word in _WORD.findall(text.lower()) if len(word) > 2}
    return words | {han[place : place + 2] for place in range(len(han) - 1)}


def _grams(text: str) -> list[str]:
    """Words, and character 3- and 4-grams inside them; single and paired characters of Chinese."""
    lowered = text.lower()
    grams: list[str] = []
    for word in _WORD.findall(lowered):
        grams.append(word)
        padded = f" {word} "
        grams.extend(padded[i : i + n] for n in (3, 4) for i in range(len(padded) - n + 1))
    han = "".join(CJK.findall(lowered))
    grams.extend(han)
    grams.extend(han[i : i + 2] for i in range(len(han) - 1))
    return grams


def id_pattern(ids: Sequence[str]) -> re.Pattern[str] | None:
    r"""A pattern for ids like these, learnt from their shapes: "LF-10001" gives `LF-?\d{5}`; None without ids.

    Marks such as "#" and "-" are optional and case does not count, since shoppers type them as they like.
    """
    shapes = {
        re.sub(r"\d+", lambda run: rf"\d{{{len(run[0])}}}", _escape(one)) for one in ids if re.search(r"\d{3}", one)
    }
    if not shapes:
        return None
    return re.compile(
        rf"(?<![A-Za-z0-9])(?:{'|'.join(sorted(shapes, key=len, reverse=True))})(?![A-Za-z0-9])", re.IGNORECASE
    )


def _escape(one: str) -> str:
    return "".join(char if char.isalnum() else rf"\s?{re.escape(char)}?\s?" for char in one)

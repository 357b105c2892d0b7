"""How people write in a chat: greetings and goodbyes, canned lines and signatures, typos, a message sent in two."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

POOLS = json.loads((Path(__file__).parent / "voice.json").read_text("utf-8"))
CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
FACT = re.compile(r"\{(\w+)\}")
SLIPS_ZH = (
    ("的", "滴"),
    ("在", "再"),
    ("怎么", "咋"),
    ("什么时候", "啥时候"),
    ("没有", "没"),
    ("可以", "可意"),
    ("吗", "嘛"),
)
GREETS = re.compile(r"(hi|hello|hey|good|sorry|你好|您好|在吗)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Voice:
    """One chat's way of writing: language, the agent's name, the facts, and a random stream of its own."""

    language: str
    agent: str
    facts: dict[str, str]
    rng: Random
    careless: bool
    """Whether this shopper types carelessly."""

    @classmethod
    def of(cls, language: str, facts: dict[str, str], last_name: str, rng: Random) -> Voice:
        """A voice with an agent and a shopper drawn at random."""
        agent = rng.choice(POOLS[language]["agents"])
        return cls(language, agent, facts | {"agent": agent, "last": last_name}, rng, rng.random() < 0.3)

    def pick(self, pool: str) -> str:
        """A line of a pool, with its facts."""
        return self.say(self.rng.choice(POOLS[self.language][pool]))

    def say(self, text: str) -> str:
        """A line of a play with its choices made and its facts filled in. Raises KeyError for an unknown fact."""
        text = CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), text)
        return FACT.sub(lambda match: self.facts[match[1]], text).strip(" ")

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.rng.random() < share

    def typed(self, text: str) -> str:
        """A shopper's message as they typed it, careful or with slips; addresses and codes stay as they are."""
        if not self.careless or "LARK-" in text or self.facts.get("address", "\0") in text:
            return text
        return self._slip_zh(text) if self.language == "zh" else self._slip_en(text)

    def _slip_en(self, text: str) -> str:
        if self.chance(0.6):
            text = re.sub(r"\b(?!LF-)\w+", lambda match: match[0].lower(), text)
        if self.chance(0.5):
            text = text.replace("'", "")
        words = text.split(" ")
        long = [at for at, word in enumerate(words) if len(word) > 5 and word.isalpha()]
        if long:
            at = self.rng.choice(long)
            words[at] = self._swap(words[at])
        text = " ".join(words)
        return text.rstrip(".") if self.chance(0.7) else text

    def _swap(self, word: str) -> str:
        """A word with two letters swapped, one left out or one typed twice."""
        at = self.rng.randrange(1, len(word) - 2)
        kind = self.rng.choice(("swap", "drop", "double"))
        middle = {"swap": word[at + 1] + word[at], "drop": word[at + 1], "double": word[at] * 2 + word[at + 1]}[kind]
        return word[:at] + middle + word[at + 2 :]

    def _slip_zh(self, text: str) -> str:
        if self.chance(0.6):
            text = text.replace("，", " ", 1)
        if self.chance(0.5):
            ends = ["？？", "?", ""] if text.endswith("？") else ["。。。", "~", ""]
            text = text.rstrip("。？") + self.rng.choice(ends)
        right, wrong = self.rng.choice(SLIPS_ZH)
        return text.replace(right, wrong, 1)

    def in_parts(self, text: str) -> list[str]:
        """A message, at times sent as two: split behind a sentence."""
        ends = [match.end() for match in re.finditer(r"(?<=[.!?？！。]) |(?<=[？！。])(?=\S)", text)]
        if not ends or len(text) < 40 or not self.chance(0.22):
            return [text]
        at = self.rng.choice(ends)
        parts = [text[:at].strip(), text[at:].strip()]
        return [part for part in parts if part]

    def greeted(self, text: str) -> str:
        """A first message, at times with a greeting before it."""
        if GREETS.match(text) or not self.chance(0.35):
            return text
        prefix = self.pick("prefix")
        return prefix + ("" if self.language == "zh" else " ") + text

"""What a message asks to have done: its sentences and their parts, each judged by itself.

A wish is an order ("return my order"), a wish in so many words ("I'd like to return …") or is put to us ("can you return …").
What asks about the rule ("can I return …?") is none, nor is what shall not be done ("no need to cancel").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from shopbot.fillers import cues, says

_SENTENCE = re.compile(r"(?<=[!?。！？；;\n])\s*|(?<=[^\s.]\.)\s+")
_JOINT = re.compile(
    r"\s*(?:[,;]|\band\b|\bthen\b|[，；。]|并且|然后|还有)\s*(?=(?:\W|and|then|also|please|i (?:want|would like|need) to|再|也|请|帮我|我要)*"
    r"(?:cancel|return|exchang|swap|chang|modif|updat|redeem|send|取消|退|换|把|改|兑))",
    re.IGNORECASE,
)
_VERB = (
    r"(?:cancel|change|modify|update|switch|swap|exchange|return|refund|redeem|send|ship|deliver|use|apply|add|replace|"
    r"make|call|stop|take|put|start|upgrade)\b"
)
_ORDERS = re.compile(
    rf"(?:^|[,:]|\s[-–—]\s)\W*(?:(?:\w+'?\w*\W+){{0,2}}?(?:please|then|now|just|finally|lastly|first|next|also|only|and|so|ok|okay|no|well|fine)\W+)*{_VERB}"
    r"(?! (?:polic|rule|fee|rate|period|deadline|label|form|cost|window))",
    re.IGNORECASE,
)
"""A verb at the head of a clause."""
_OBJECT = re.compile(
    rf"{_ORDERS.pattern}\s+(?:(?:to|for|back|only|just|of)\s+)*(?:the|my|our|this|that|these|those|it|them|both|all|everything|orders?|#?\w*\d\w*|an?|one)\b",
    re.IGNORECASE,
)
"""The same with what it is to be done to: no question about the rule is put like that."""
_NOT = re.compile(
    r"\b(?:(?:do|does|did|must|should|would|can|could|will|need)(?: ?n[o']?t|n't)|dont|never|not to|no need to)\b(?! have to)"
    rf"(?: [\w'-]+){{0,3}}? (?:{_VERB}|cancel|chang|return|exchang|modif|swap|process|do\b)"
    r"|(?:(?<![特分区个])别(?![的人处])|不要(?!了)|先不|暂时不|不用|不必)(?!了)",
    re.IGNORECASE,
)
_NO_LONGER = re.compile(
    r"\bi (?:don't|dont|do not|no longer) (?:want|need|like)\b(?! to)|does ?n[o']t fit|doesn't fit", re.IGNORECASE
)
"""Ways in which wanting something no longer is a request: "I don't want my order any more"."""
_ENDS_ASKING = re.compile(
    r"[?？]\W*$|[吗嘛呢]\W*$|^\W*(?:how|what|when|where|why|which|who)\b|怎么|如何", re.IGNORECASE
)
_OF_US = re.compile(r"\b(?:please|i want|i would|i need|i'd|(?:can|could|would|will) you)\b|请|帮", re.IGNORECASE)
_CONDITION = re.compile(r"^\W*(?:if|unless|once|when|as)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What asks for something, `part`, and the text that goes with it; `verbs` are the intents that its verbs may mean."""

    text: str
    part: str
    verbs: tuple[str, ...]


def wishes(text: str) -> list[Wish]:
    """What a text asks for, in order; [] where it asks for nothing, or asks how it would be done.

    Parts that ask for nothing go with the wish before them, or with the first: "the green one, too, if possible".
    """
    found: list[Wish] = []
    lead: list[str] = []
    for sentence in filter(str.strip, _SENTENCE.split(text)):
        parts = [part for part in _JOINT.split(sentence) if part.strip(" ,;，；")]
        asked = [is_request(part) for part in parts]
        if not any(asked) and is_question(sentence) and _ENDS_ASKING.search(sentence):
            return []
        about_rule = False
        for part, wanted in zip(parts, asked, strict=True):
            about_rule = about_rule or (
                is_question(part) and not wanted and not (_CONDITION.search(part) and len(parts) > 1)
            )
            if is_unwanted(part):
                continue
            if wanted and not (about_rule and not _OF_US.search(part)):
                found.append(Wish(" ".join([*lead, part]).strip(), part, verbs_of(part)))
                lead.clear()
            elif found:
                found[-1] = replace(found[-1], text=f"{found[-1].text} {part}")
            else:
                lead.append(part)
    return found


def is_request(part: str) -> bool:
    """Whether a part of a sentence wants something done, and is no question about the rule."""
    if is_unwanted(part):
        return False
    asked = bool(_ENDS_ASKING.search(part))  # "refund?" is a question
    orders = bool(_OBJECT.search(part)) and not asked
    if is_question(part) and not orders:
        return False
    return orders or bool((_ORDERS.search(part) and not asked) or says("asks", "request", part))


def is_unwanted(part: str) -> bool:
    """Whether a text says that something shall not be done."""
    return bool(_NOT.search(_NO_LONGER.sub("", part)))


def is_question(text: str) -> bool:
    """Whether a text asks about the rule rather than for something."""
    return bool(says("asks", "asking", text)) and not says("asks", "polite", text)


def verbs_of(text: str) -> tuple[str, ...]:
    """The intents that the verbs of a text may mean, in the order of `requests.toml`."""
    return tuple(intent for intent in cues()["verbs"] if says("verbs", intent, text))

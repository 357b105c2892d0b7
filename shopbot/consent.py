"""Whether a message says yes to an action that was proposed: in doubt it does not.

A yes is recognised by its whole form: the message must be made of phrases that can only agree (`consent.toml`), end to end.
Any word beside them, such as a condition, a part, a question or a doubt, makes it something else, however much it agrees
otherwise. What is missed by that is asked again, which costs a turn; a yes that was none costs an order.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

Consent = Literal["yes", "no", "other"]

_PLAIN = str.maketrans(
    "’‘請訂單這個確認處辦謝換貨調對沒錯嗎麼給來為繼續執過", "''请订单这个确认处办谢换货调对没错吗么给来为继续执过"
)
"""Apostrophes and the traditional characters of agreeing, as consent.toml writes them."""
_SHORTEST_ID = 5
_LONGEST = 160
"""Characters of a message that may be a yes; longer ones say more than that."""
_IS_QUESTION = re.compile(r"[?？]|[吗么呢]\s*[。.!！~]*$")
_ASKS = re.compile(
    rf"{_IS_QUESTION.pattern}|(?:^|[.,;:!…]|\b(?:and|but|so|ok|okay|well|tell me|wonder|wondering|know))"
    r"\s*(?:why|what|when|where|which|who|how|whether)\b"
    "|什么|怎么|为什么|多少|几|哪|是不是|能不能|可不可以"
)
_MARKS = re.compile(r"[\s,.;:!…~\-–—()\"“”‘’，。；：！、～·*_/\ufe0f]+|[\U0001f3fb-\U0001f3ff]")
_ID = re.compile(r"#?\b(?=[\w-]*\d)[a-z\d]+(?:-[a-z\d]+)*\b(?!%)|#\w+")
_CLAUSE = re.compile(r"[,.;:!…\n，。；：！、]+|\s+(?:and|so|because|since|cos|as)\s+|\s+[-–—]\s+")
_UNDOES = re.compile(r"\b(?:cancel|scrap|forget|abort|undo)\b|取消|算了")
_NOUNS = (
    (r"\bcancel", ("cancel",)),
    (r"\breturn", ("return",)),
    (r"\bexchange|\bswap|\bswitch", ("exchange", "change")),
    (r"\baddress", ("change",)),
    (r"\bgift card|\bvoucher|\bredemption|\bcode", ("redeem",)),
)
"""What names an action, and the verbs of the tools that do it."""
_STRETCHED = re.compile(r"([a-z])\1{2,}")


def consent_to(message: str, tool: str = "", proposal: str = "") -> Consent:
    """What a message says to the proposal before it.

    `tool` is the name of the tool that was proposed ("cancel_order"); `proposal` what the shopper was told, whose ids they
    may repeat: another id than those is no yes.
    """
    text = message.casefold().translate(_PLAIN)
    if _is_yes(_with_ids_named(text, proposal.casefold()), tool.split("_")[0]):
        return "yes"
    return "no" if not _ASKS.search(text) and _no().search(text) else "other"


def _with_ids_named(text: str, proposal: str) -> str:
    """The text with "it" for each id of the proposal; not for a bare number, which may be how many."""
    named = {found.lstrip("#") for found in _ID.findall(proposal) if len(found) >= _SHORTEST_ID}
    return _ID.sub(lambda found: " it " if found[0].lstrip("#") in named else found[0], text)


def _is_yes(text: str, verb: str) -> bool:
    if len(text) > _LONGEST or _IS_QUESTION.search(text):
        return False
    return _agrees(text, verb) != "" or _agrees_in_part(text, verb)


def _agrees_in_part(text: str, verb: str) -> bool:
    """Whether the action is agreed to in a clause of its own, and every other clause agrees, too, or is only polite.

    A clause that may say anything, short of words known to limit or doubt, was tried: it took "yes go ahead, I expect cash"
    and "取消吧，我开玩笑的" for a yes.
    """
    clauses = [clause for clause in _CLAUSE.split(text) if clause.strip()]
    agreed = [_agrees(clause, verb) for clause in clauses]
    stops = verb != "cancel" and _UNDOES.search(text)
    pairs = zip(clauses, agreed, strict=True)
    return "action" in agreed and not stops and all(how or _is_polite(clause, verb) for clause, how in pairs)


def _agrees(text: str, verb: str) -> Literal["", "word", "action"]:
    """How a text agrees that is made of phrases from end to end: by a word ("yes"), or by the action itself."""
    words = _STRETCHED.sub(r"\1", _MARKS.sub(" ", text)).strip()
    by_word, by_action, beside, longest = _phrases(verb)
    # From each place that a run of phrases can reach: how much the run agrees, 0 to 2.
    reached: dict[int, int] = {0: 0}
    for start in range(len(words)):
        if start not in reached:
            continue
        if words[start] == " ":
            reached[start + 1] = max(reached.get(start + 1, 0), reached[start])
        for end in range(start + 1, min(len(words), start + longest) + 1):
            phrase = words[start:end]
            worth = 2 if phrase in by_action else 1 if phrase in by_word else 0 if phrase in beside else None
            if worth is not None and _is_whole(words, start, end):
                reached[end] = max(reached.get(end, 0), reached[start], worth)
    return ("", "word", "action")[reached.get(len(words), 0)]


def _is_polite(text: str, verb: str) -> bool:
    return bool(text.strip()) and _agrees(f"yes {text}", verb) != ""


def _is_whole(words: str, start: int, end: int) -> bool:
    """Whether no word is cut in two at either end; Chinese has no words to cut."""
    return not any(
        0 < place < len(words) and all(char.isascii() and char != " " for char in words[place - 1 : place + 1])
        for place in (start, end)
    )


@cache
def _phrases(verb: str) -> tuple[frozenset[str], frozenset[str], frozenset[str], int]:
    """Phrases that agree by a word, those that name the action or order it, those that may stand beside them; the longest."""
    table = _table()
    parts, act, why = table["parts"], table["act"].get(verb, {}), table["why"]
    things = [what for what in parts["what_en"] if not _names_another(what, verb)]
    english = [f"{one} {what}" for one in (*parts["do_en"], *act.get("en", ())) for what in things]
    # A verb may also part: "send it back", "call it off".
    parted = [one.split(" ", 1) for one in act.get("en", ()) if " " in one]
    english += [f"{one} {what} {rest}" for one, rest in parted for what in things]
    chinese = [f"{one}{what}" for one in act.get("zh", ()) for what in ("", *parts["what_zh"])]
    chinese += [f"把{what}{one}" for one in act.get("zh", ()) for what in parts["what_zh"]]
    by_action = _all(act) | {phrase.casefold() for phrase in (*english, *chinese)} | set(table["strong"]["phrases"])
    reasons = _all(why["cancel"]) if verb in ("cancel", "return") else frozenset[str]()
    by_word, beside = _all(table["yes"]) - by_action, _all(table["beside"]) | set(parts["do_zh"]) | reasons
    return by_word, by_action, beside, max(map(len, by_word | by_action | beside))


def _names_another(what: str, verb: str) -> bool:
    """Whether a thing to go ahead with is another action than the one proposed: "proceed with the exchange" of a return."""
    return any(verb not in verbs and re.search(noun, what) for noun, verbs in _NOUNS)


def _all(by_language: Mapping[str, Sequence[str]]) -> frozenset[str]:
    return frozenset(phrase.casefold() for phrases in by_language.values() for phrase in phrases)


@cache
def _no() -> re.Pattern[str]:
    return re.compile("|".join([*_table()["no"]["en"], *_table()["no"]["zh"]]))


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("shopbot").joinpath("consent.toml").read_text(encoding="utf-8"))

"""The draft: an answer put together from sources, with no model.

Each step of a turn yields a draft of its own (sentences of passages, a template over a tool's result, an approved
line); `combine` makes one answer of them, at most 3 sentences or 80 words, lists excepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from shopbot.compose_actions import compose_refusal, spoken
from shopbot.compose_orders import compose_account, compose_order, compose_orders
from shopbot.compose_products import cite_product, compose_products
from shopbot.phrases import Phrases
from shopbot.types import Citation, Draft, Passage, Retrieved, ScoredSentence, ToolCall
from shopbot.understand import CJK, count_words

MOST_SENTENCES = 3
MOST_WORDS = 80

SURE = 0.48
"""A sentence that scores this much answers the question; set on the development questions (benchmarks/answers)."""
NEAR = 0.4
"""One that scores this much is offered as the closest there is; below it nothing is quoted."""
FAINT = 0.4
"""The cosine below which a passage that shares no word with the question has nothing to do with it."""
WORTH = 0.6
"""A further sentence is said where it scores at least this share of the best."""


def compose_passages(sentences: Sequence[ScoredSentence], phrases: Phrases) -> Draft:
    """The sentences that answer, in the order in which their documents say them; or that nothing does."""
    best = max((sentence.score for sentence in sentences), default=0.0)
    if best < NEAR:
        return Draft((phrases.line("no_source"), phrases.line("offer_person")), answered=False, fixed=True)
    worth = [sentence for sentence in sentences if sentence.score >= WORTH * best]
    chosen = _that_fit(worth) if best >= SURE else worth[:2]
    order = {passage: place for place, passage in reversed(list(enumerate(s.passage.id for s in sentences)))}
    chosen.sort(key=lambda sentence: (order[sentence.passage.id], sentence.place))
    said = _under_headings(chosen, phrases)
    spare = _spare(chosen, said)
    if best < SURE:
        said.insert(0, phrases.line("closest"))
    cited = tuple(cite_passage(sentence.passage) for sentence in chosen)
    return Draft(tuple(dict.fromkeys(said)), cited, answered=best >= SURE, spare=spare)


def _spare(chosen: Sequence[ScoredSentence], said: Sequence[str]) -> tuple[str, ...]:
    """All but the best, the least worth first; not one whose heading the next one stands under, too."""
    sections = [sentence.passage.id for sentence in chosen]
    leads = {place for place in range(len(said) - 1) if sections[place] == sections[place + 1] not in sections[:place]}
    leads = leads if len(set(sections)) > 1 else set[int]()  # one section has no heading said
    places = sorted(range(len(said)), key=lambda place: chosen[place].score)
    return tuple(said[place] for place in places[:-1] if place not in leads)


def _that_fit(sentences: Sequence[ScoredSentence]) -> list[ScoredSentence]:
    """The first three, and of those after them what the measure in words has room for, headings included.

    A question with two parts, or one put in words of its own, often has its answer in the fourth or fifth.
    """
    chosen = list(sentences[:MOST_SENTENCES])
    for sentence in sentences[MOST_SENTENCES:]:
        if _words_of([*chosen, sentence]) <= MOST_WORDS:
            chosen.append(sentence)
    return chosen


def _words_of(sentences: Sequence[ScoredSentence]) -> int:
    """Words of the sentences and of the headings that they stand under."""
    headings = {sentence.passage.title.split(" > ")[-1] for sentence in sentences}
    return sum(count_words(sentence.text) for sentence in sentences) + sum(map(count_words, headings))


def _under_headings(chosen: Sequence[ScoredSentence], phrases: Phrases) -> list[str]:
    """The sentences as they are said; where rules of several sections stand together, each under its section's heading.

    A sentence is true of what its section is about: "Refunds come within 5 days" stands under "Cancelled orders", and
    would be a promise about returns if it were said among sentences on these.
    """
    said = [_whole(sentence.text) for sentence in chosen]
    sections = [sentence.passage.title.split(" > ")[-1] for sentence in chosen]
    if len(set(sections)) < 2 or any(sentence.passage.kind == "product" for sentence in chosen):
        return said
    before = ["", *sections[:-1]]
    return [
        phrases.line("section", heading=section.rstrip(".:："), sentence=text) if section not in ("", last) else text
        for text, section, last in zip(said, sections, before, strict=True)
    ]


def compose_found(found: Retrieved, phrases: Phrases) -> Draft:
    """What a lookup found: the approved answer as it was approved, else the sentences that answer."""
    if found.approved is None:
        return compose_passages(() if _is_foreign(found) else found.sentences, phrases)
    return Draft((found.approved.answer,), tuple(cite_passage(one) for one in found.approved.passages), fixed=True)


def _is_foreign(found: Retrieved) -> bool:
    """Whether the question shares no word with the passages and is not near them: keys struck at random, other matters."""
    rules = [one for one in found.passages if one.passage.kind != "product"]
    # One with neither score was not searched for but given.
    return bool(rules) and all(not one.lexical and 0 < one.dense < FAINT for one in rules)


def cite_passage(passage: Passage) -> Citation:
    """A passage, whole, so that a reader can check what is said of it."""
    return Citation(passage.source, passage.text, passage.title)


def compose_line(
    line: str, phrases: Phrases, answered: bool = True, fields: Mapping[str, str] | None = None, source: str = ""
) -> Draft:
    """An approved line, which no model may word again; what it tells of the shop's records is cited by their `source`."""
    text = phrases.line(line, **dict(fields or {}))
    return Draft((text,), (Citation(source, text),) if source else (), answered=answered, fixed=True)


def compose_call(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """A tool's result in words, or why there is none."""
    if call.status == "refused":
        return _refused(call, phrases)
    if call.status != "done":
        return compose_line("tool_failed", phrases, answered=False)
    say = _TEMPLATES.get(call.name, _plain)
    return say(call, question, phrases)


def _refused(call: ToolCall, phrases: Phrases) -> Draft:
    """An order that is not the shopper's is told of by its id; any other refusal by its reason."""
    if call.result["reason"] != "log in first" and (named := call.arguments.get("order_id")):
        return compose_line("not_yours", phrases, answered=False, fields={"id": _printable(str(named))})
    refusal = compose_refusal(call, phrases)
    return Draft(refusal.sentences, answered=False, fixed=True)


def _printable(text: str) -> str:
    """An id as the shopper or a model gave it, safe to repeat."""
    return re.sub(r"[^\w#\- ]", "", text)[:40]


def _details(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """One product: its row, and its description."""
    product = call.result["products"][0]
    rows = compose_products(call, phrases)
    description = str(product["description"])
    return Draft((*rows.sentences, description) if description else rows.sentences, (cite_product(product, phrases),))


def _plain(call: ToolCall, question: str, phrases: Phrases) -> Draft:
    """The result of a shop's own tool: its `say` (a text, or one a language) where it has one, else its fields."""
    raw: object = call.result
    if not isinstance(raw, Mapping):
        lines = [str(raw)]
    else:
        result = cast("Mapping[str, Any]", raw)
        fields = [f"{name}: {value}" for name, value in result.items() if not isinstance(value, dict | list)]
        said = spoken(result, phrases)
        lines = [said] if said else [f"\n- {field}" for field in fields]
    return Draft(tuple(lines), (Citation(f"tool:{call.name}", "\n".join(lines)),), answered=bool(lines))


_TEMPLATES: Mapping[str, Callable[[ToolCall, str, Phrases], Draft]] = {
    "search_products": lambda call, question, phrases: compose_products(call, phrases),
    "compare_products": lambda call, question, phrases: compose_products(call, phrases),
    "product_details": _details,
    "get_order": compose_order,
    "list_orders": compose_orders,
    "my_account": compose_account,
}


# ---------------------------------------------------------------- one answer of several


def combine(drafts: Sequence[Draft], phrases: Phrases) -> Draft:
    """One draft for the turn: what answers; that nothing was found is said once, and only if nothing was."""
    answering = [draft for draft in drafts if draft.answered] or _silent_ones(drafts)
    if not answering:
        return compose_line("no_source", phrases, answered=False)
    sentences = _within_measure(answering)
    if (
        not any(draft.answered for draft in drafts)
        and phrases.line("offer_person") not in sentences
        and _may_offer(answering)
    ):
        sentences.append(phrases.line("offer_person"))
    citations = _cited_once([cite for draft in answering for cite in draft.citations])
    return Draft(
        tuple(sentences),
        citations,
        answered=any(draft.answered for draft in drafts),
        fixed=all(draft.fixed for draft in answering),
    )


def _cited_once(citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Each source once, with all that was cited of it: a product's row and its description are two texts of one source."""
    once: dict[tuple[str, str], Citation] = {}
    for cite in citations:
        key = (cite.source, cite.title)
        before = once.get(key)
        if before is None:
            once[key] = cite
        elif cite.text not in before.text:
            once[key] = replace(before, text=f"{before.text}\n{cite.text}")
    return tuple(once.values())


def _silent_ones(drafts: Sequence[Draft]) -> list[Draft]:
    """Without an answer: what comes closest with its source, and what was refused; "not found" only where alone."""
    with_source = [draft for draft in drafts if draft.citations]
    if with_source:
        return with_source[:1] + [draft for draft in drafts if draft.fixed and draft is not drafts[0]][:1]
    return list(drafts[-1:])


def _may_offer(drafts: Sequence[Draft]) -> bool:
    return any(not draft.fixed for draft in drafts)


def _within_measure(drafts: Sequence[Draft]) -> list[str]:
    """All sentences but spare ones; else in rounds (the first of each draft, then the second, …); lists stay whole."""
    if len(drafts) == 1:
        return _cut(list(drafts[0].sentences))
    drafts = _without_spare(drafts)
    chosen: set[tuple[int, int]] = set()
    said: set[str] = set()
    words = count = 0
    for place in range(max(len(draft.sentences) for draft in drafts)):
        for number, draft in enumerate(drafts):
            if place >= len(draft.sentences):
                continue
            sentence = draft.sentences[place]
            if not sentence.startswith("\n") and sentence not in said:
                words += count_words(sentence)
                count += 1
                if place and count > MOST_SENTENCES and words > MOST_WORDS:
                    continue
            chosen.add((number, place))
            said.add(sentence)
    return list(dict.fromkeys(drafts[number].sentences[place] for number, place in sorted(chosen)))


def _without_spare(drafts: Sequence[Draft]) -> list[Draft]:
    """Drafts that fit one answer together, as far as leaving out what is spare makes them: who has most of it gives first."""
    left = list(drafts)
    while _exceeds(dict.fromkeys(sentence for draft in left for sentence in draft.sentences)):
        giving = [place for place, draft in enumerate(left) if draft.spare]
        if not giving:
            break
        most = max(giving, key=lambda place: sum(map(count_words, left[place].spare)))
        draft = left[most]
        kept = tuple(sentence for sentence in draft.sentences if sentence != draft.spare[0])
        left[most] = replace(draft, sentences=kept, spare=draft.spare[1:])
    return left


def _exceeds(sentences: Iterable[str]) -> bool:
    """Whether running text is longer than an answer may be."""
    running = [sentence for sentence in sentences if not sentence.startswith("\n")]
    return len(running) > MOST_SENTENCES and sum(map(count_words, running)) > MOST_WORDS


def _cut(sentences: list[str]) -> list[str]:
    """The first sentences of one draft: three, or more of them while they have no more than 80 words."""
    kept: list[str] = []
    words = count = 0
    for sentence in sentences:
        words += count_words(sentence)
        count += not sentence.startswith("\n")
        if count > MOST_SENTENCES and words > MOST_WORDS:
            break
        kept.append(sentence)
    return kept


def _whole(text: str) -> str:
    """A sentence as it stands in the source, without list marks and Markdown, ending as a sentence does."""
    plain = re.sub(r"\*\*|__|`", "", re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", text)).strip()
    plain = re.sub(r"\s*\n\s*(?:[-*•]\s*)?", " ", plain)
    if plain.endswith((".", "!", "?", "。", "！", "？", ":", "：", ")", "）", "”", '"')):
        return plain
    return plain + ("。" if CJK.search(plain[-1:]) else ".")

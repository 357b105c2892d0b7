"""The steps of a turn that asks for an action: begin a form, go on with it, ask for what is missing, propose what is complete.

The form of a session lies in its state, as JSON, so that it outlives the process. `HeadPlanner` asks here first; what is
no request to act, and no answer to what was asked, it plans as any other question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from shopbot.catalog import Catalog
from shopbot.consent import consent_to
from shopbot.fillers import cues, picked, says
from shopbot.forms import Ask, Forms, Said
from shopbot.order_choice import choose
from shopbot.records import ShopData
from shopbot.steps import Call, HandOver, Say, Step
from shopbot.tools import ShopTool
from shopbot.turn import FORM, LATER, LiveTurn, Question
from shopbot.types import Order
from shopbot.understand import family

MOST_TRIES = 3
"""So often is the same thing asked for; then a person is."""
_SURE = 0.35
_BEFORE_SENDING = frozenset({"cancel_order", "change_address", "change_items"})
_AFTER_DELIVERY = frozenset({"return_items", "exchange_items"})
_SIBLING = {"change_items": "exchange_items", "exchange_items": "change_items"}
"""Another version of an item is wanted: before it is sent the order is changed, afterwards the item is exchanged."""
_JOINT = re.compile(
    r"\s*(?:[,;]|\band\b|\bthen\b|[，；。]|并且|然后|还有)\s*(?=(?:\W|and|then|also|please|i (?:want|would like|need) to|再|也|请|帮我|我要)*"
    r"(?:cancel|return|exchang|swap|chang|modif|updat|redeem|send|取消|退|换|把|改|兑))",
    re.IGNORECASE,
)
_NOT_YET = re.compile(
    r"\b(?:do|does|did|must|should|would|can|could|will)(?: ?n[o']?t|n't)\b|\b(?:never|not|without)\b|别|不要(?!了)|先不|暂时不|不用",
    re.IGNORECASE,
)


class FormPlanner:
    """Plans what is to be done. `tools` that write are planned for; `order_ids` finds what looks like one in a text."""

    def __init__(
        self,
        catalog: Catalog,
        data: ShopData,
        tools: Sequence[ShopTool],
        today: Callable[[], date] | None,
        order_ids: Callable[[str], Sequence[str]],
    ) -> None:
        self._catalog = catalog
        self._data = data
        self._today = today
        self._order_ids = order_ids
        self._tools = {tool.name: tool for tool in tools if tool.writes}
        self._by_intent = {tool.intent: tool for tool in tools if tool.writes}
        self._forms = Forms(catalog, data, self._orders)

    # ---------------------------------------------------------------- beginning

    def wanted(self, question: Question, turn: LiveTurn) -> ShopTool | None:
        """The tool that a question asks to be used; None where it asks about something, or for nothing that we can do."""
        text, guess = question.text, question.guess
        asked_of_us = says("asks", "polite", text)
        if not says("asks", "request", text) or (says("asks", "asking", text) and not asked_of_us):
            return None
        sure = guess.confidence >= _SURE or guess.families.get(family(guess.intent), 0.0) >= 2 * _SURE
        tool = self._by_intent.get(guess.intent) if sure else None
        if tool is None and not guess.intent.startswith("product_"):
            verbs = (intent for intent in cues()["verbs"] if intent in self._by_intent and says("verbs", intent, text))
            tool = self._by_intent.get(next(verbs, ""))
        if tool is None or _NOT_YET.search(_without_wish(text)):
            return None
        return self._fitting(tool, question, turn)

    def _fitting(self, tool: ShopTool, question: Question, turn: LiveTurn) -> ShopTool:
        """The tool, or the one for the same wish at another stage of the order, where only that has an order to work on."""
        other = self._by_intent.get(_SIBLING.get(tool.intent, ""))
        if other is None:
            return tool
        said = self._said(question, turn)
        fits = [any(_fits(order, one.intent) for order in self._orders(said, one)) for one in (tool, other)]
        return other if fits == [False, True] else tool

    def begin(self, tool: ShopTool, question: Question, turn: LiveTurn) -> Iterator[Step]:
        """Fill the tool's form from the question; ask for what is missing, or propose."""
        if turn.proposed or turn.state.get(FORM, {}).get("turn") == turn.id:  # one thing at a time
            turn.state.setdefault(LATER, []).append({"text": question.text})
            return
        turn.state.pop(FORM, None)
        first, *others = self._requests(question.text)
        turn.state.setdefault(LATER, []).extend({"text": one} for one in others)
        question = replace(question, text=first)
        said = self._said(question, turn)
        yield from self._go_on(tool, self._forms.fill(tool, {}, said), question, turn, said)

    def _requests(self, text: str) -> list[str]:
        """The requests of one sentence: "cancel the one and return the other" are two, of different tools."""
        parts = _JOINT.split(text)
        verbs = [next((one for one in cues()["verbs"] if says("verbs", one, part)), "") for part in parts]
        requests = parts[:1]
        for part, verb, before in zip(parts[1:], verbs[1:], verbs, strict=False):
            if verb and before and verb != before:
                requests.append(part)
            else:
                requests[-1] = f"{requests[-1]} {part}"
        return requests

    # ---------------------------------------------------------------- going on

    def resume(self, turn: LiveTurn) -> list[Step] | None:
        """The steps of a message that goes on with a form, or changes what waits for a yes; None where it does neither."""
        form, question = turn.state.get(FORM), turn.questions[0]
        whole = replace(question, text=turn.message)
        if form is not None and (tool := self._tools.get(form["tool"])) is not None:
            return self._answered(tool, form, whole, turn)
        base = turn.waiting or turn.declined
        if base is None or base.name not in self._tools or _is_question(turn.message):
            return None
        said = self._said(whole, turn)
        filled = self._forms.fill(self._tools[base.name], base.arguments, said)
        if filled == dict(base.arguments):
            return [] if turn.declined is not None and self.wanted(question, turn) is None else None
        return list(self._go_on(self._tools[base.name], filled, question, turn, said))

    def _answered(
        self, tool: ShopTool, form: Mapping[str, Any], question: Question, turn: LiveTurn
    ) -> list[Step] | None:
        said = replace(self._said(question, turn), asked=form["asked"], options=tuple(form.get("orders", ())))
        filled = dict(form["arguments"]) if _is_question(said.text) else self._forms.fill(tool, form["arguments"], said)
        if filled != form["arguments"]:
            del turn.state[FORM]
            return list(self._go_on(tool, filled, question, turn, said))
        if consent_to(said.text) == "no":
            del turn.state[FORM]
            return [Say("declined")]
        return None

    def ask_again(self, turn: LiveTurn) -> Iterator[Step]:
        """What a form still needs, after a message that was about something else.

        Asked for a few times in vain, it is given up where the shopper has gone on to other things, and else a person helps.
        """
        form = turn.state.get(FORM)
        if form is None or form["turn"] == turn.id or turn.proposed or (tool := self._tools.get(form["tool"])) is None:
            return
        tries = form["tries"] + 1
        if tries > MOST_TRIES:
            del turn.state[FORM]
            if not any(draft.answered for draft in turn.drafts):
                yield HandOver("what was asked for several times was not understood")
            return
        turn.state[FORM] = {**form, "tries": tries}
        question = turn.questions[0]
        ask = self._forms.missing(tool, form["arguments"], self._said(question, turn))
        if ask is not None:
            yield from _asking(ask, question)

    def _go_on(
        self, tool: ShopTool, filled: dict[str, Any], question: Question, turn: LiveTurn, said: Said
    ) -> Iterator[Step]:
        ask = self._forms.missing(tool, filled, said)
        if ask is None:
            yield Call(tool.name, filled, question)
            return
        form = {"tool": tool.name, "arguments": filled, "asked": ask.kind, "orders": list(ask.orders), "tries": 1}
        turn.state[FORM] = {**form, "turn": turn.id}
        yield from _asking(ask, question)

    # ---------------------------------------------------------------- which order

    def _said(self, question: Question, turn: LiveTurn) -> Said:
        ids = tuple(self._order_ids(question.text))
        about = str(turn.state.get("order_id", ""))
        return Said(question.text, question.language, turn.shopper, order_ids=ids, about=about)

    def _orders(self, said: Said, tool: ShopTool) -> Sequence[Order]:
        """The orders that may be meant, newest first: those named, else those that the words tell and the tool may work on."""
        mine = self._data.orders_of(said.shopper.id or "")
        if said.order_ids:  # an id that is nobody's, or another's, is no reason to take one of theirs
            named = {order.id for one in said.order_ids if (order := self._data.order(one)) is not None}
            return [order for order in mine if order.id in named]
        if said.asked == "order" and (number := picked(said.text, len(said.options))) is not None:
            return [order for order in mine if order.id == said.options[number]]
        choice = choose(mine, said.text, self._today() if self._today is not None else None, self._catalog)
        told = {"things", "latest", "first", "days", "place", "amount"} & set(choice.evidence)
        if not told and said.asked == "order":  # the answer does not tell
            return [order for order in mine if order.id in said.options]
        if not told and said.about:
            return [order for order in mine if order.id == said.about]
        fit = [order for order in choice.orders if _fits(order, tool.intent)]
        return fit or choice.orders


def _fits(order: Order, intent: str) -> bool:
    """Whether an order is at the stage at which such a thing is done; whether it may be, the tool says."""
    if intent in _BEFORE_SENDING:
        return not order.is_closed and not order.tracking and order.shipped_on is None
    return intent not in _AFTER_DELIVERY or order.status.casefold().startswith("deliver")


def _asking(ask: Ask, question: Question) -> Iterator[Step]:
    yield Say(ask.line, ask.fields, source=ask.source)
    if ask.orders:
        yield Call("list_orders", {"order_ids": list(ask.orders)}, question)


def _is_question(text: str) -> bool:
    return bool(says("asks", "asking", text)) and not says("asks", "polite", text)


def _without_wish(text: str) -> str:
    """A text without the ways in which wanting something no longer is a request: "I don't want my order any more"."""
    return re.sub(
        r"\bi (?:don't|dont|do not|no longer) (?:want|need|like)\b|does ?n[o']t fit|doesn't fit", "", text, flags=re.I
    )

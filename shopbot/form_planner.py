"""The steps of a turn that asks for an action: begin a form, go on with it, ask for what is missing, propose what is complete.

The form of a session lies in its state, as JSON, so that it outlives the process. `HeadPlanner` asks here first; what is
no request to act, and no answer to what was asked, it plans as any other question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from shopbot.catalog import Catalog, orders_matching
from shopbot.consent import consent_to
from shopbot.fillers import says
from shopbot.forms import Ask, Forms, Said, kinds
from shopbot.postal import without_destination
from shopbot.records import ShopData
from shopbot.steps import Call, HandOver, Say, Step
from shopbot.tools import ShopTool
from shopbot.turn import FORM, LATER, LiveTurn, Question
from shopbot.understand import family
from shopbot.which_orders import WhichOrders, fits
from shopbot.wishes import Wish, is_question, is_unwanted, wishes

REFUSED = "refused"
"""Key of a session's state: what the tool would not do, for the message after it."""
MOST_TRIES = 3
"""So often is the same thing asked for; then a person is."""
MOST_SAID = 4
"""So many messages of a form are read again for what a later one makes clear."""
_SURE = 0.35
_SIBLING = {"change_items": "exchange_items", "exchange_items": "change_items"}
"""Another version of an item is wanted: before it is sent the order is changed, afterwards the item is exchanged."""
_BARE = 4
"""No more words of English, or characters of Chinese, are a no and nothing else."""
_UNIT = re.compile(r"[A-Za-z']+|[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Request:
    """A tool that is asked for, the words that ask for it (`part`), and the text that goes with them."""

    tool: ShopTool
    text: str
    part: str


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
        self._order_ids = order_ids
        self._tools = {tool.name: tool for tool in tools if tool.writes}
        self._by_intent = {tool.intent: tool for tool in tools if tool.writes}
        self._which = WhichOrders(catalog, data, today, order_ids)
        self._forms = Forms(catalog, data, self._which.meant)

    # ---------------------------------------------------------------- beginning

    def wanted(self, question: Question, turn: LiveTurn) -> ShopTool | None:
        """The tool that a question asks to be used; None where it asks about something, or for nothing that we can do."""
        requests = self._requests(question, turn)
        return requests[0].tool if requests else None

    def _requests(self, question: Question, turn: LiveTurn) -> list[_Request]:
        """What a question asks for, in order, each in its own words: "cancel the one and return the other" is two requests."""
        found: list[_Request] = []
        for wish in (asked := wishes(question.text)):
            tool = self._tool(wish, question, alone=len(asked) == 1)
            before = found[-1] if found else None
            if before is not None and (tool in (None, before.tool) and not self._another_order(before.part, wish.part)):
                found[-1] = replace(before, text=f"{before.text} {wish.text}", part=f"{before.part} {wish.part}")
            elif tool is not None and not self._is_for_a_part(tool, wish.text, turn):
                found.append(_Request(tool, wish.text, wish.part))
        if question.guess.intent.startswith("product_") and not any(self._holds(one.text, turn) for one in found):
            return []
        return [replace(one, tool=self._fitting(one.tool, replace(question, text=one.text), turn)) for one in found]

    def _tool(self, wish: Wish, question: Question, alone: bool) -> ShopTool | None:
        """By the verbs of a wish; the intent of the question tells which of them is meant, or what is where there is none."""
        guess, verbs = question.guess, [verb for verb in wish.verbs if verb in self._by_intent]
        sure = guess.confidence >= _SURE or guess.families.get(family(guess.intent), 0.0) >= 2 * _SURE
        meant = guess.intent if alone and sure and guess.intent in self._by_intent else ""
        if meant and (meant in verbs or not verbs or guess.confidence >= 2 * _SURE):
            return self._by_intent[meant]
        return self._by_intent[verbs[0]] if verbs else None

    def _another_order(self, one: str, other: str) -> bool:
        ids, others = set(self._order_ids(one)), set(self._order_ids(other))
        return bool(ids and others and not ids & others)

    def _holds(self, text: str, turn: LiveTurn) -> bool:
        """Whether a text is about an order of the shopper: by what it names, or as a whole."""
        named = self._order_ids(text) or orders_matching(self._which.mine(turn.shopper), text, self._catalog)
        return bool(named or says("pick", "all", text))

    def _is_for_a_part(self, tool: ShopTool, text: str, turn: LiveTurn) -> bool:
        """Whether only some items are meant where the tool takes a whole order: what is not asked for is not proposed."""
        whole = "items" not in kinds(tool).values() and tool.intent == "cancel_order"
        return (
            whole
            and bool(says("pick", "part", text))
            and bool(orders_matching(self._which.mine(turn.shopper), text, self._catalog))
        )

    def _fitting(self, tool: ShopTool, question: Question, turn: LiveTurn) -> ShopTool:
        """The tool, or the one for the same wish at another stage of the order, where only that has an order to work on."""
        other = self._by_intent.get(_SIBLING.get(tool.intent, ""))
        if other is None:
            return tool
        said = self._said(question, turn)
        fit = [any(fits(order, one.intent) for order in self._which.meant(said, one)) for one in (tool, other)]
        return other if fit == [False, True] else tool

    def begin(self, tool: ShopTool, question: Question, turn: LiveTurn) -> Iterator[Step]:
        """Fill the tool's form from the question; ask for what is missing, or propose."""
        if turn.proposed or turn.state.get(FORM, {}).get("turn") == turn.id:  # one thing at a time
            turn.state.setdefault(LATER, []).append({"text": question.text})
            return
        turn.state.pop(FORM, None)
        later = turn.state.setdefault(LATER, [])
        request, *others = self._requests(question, turn) or [_Request(tool, question.text, question.text)]
        said = self._said(replace(question, text=request.text), turn)
        first, *same = self._which.once_for_each(request.text, self._which.each(tool, said, request.part))
        later.extend({"text": text} for text in (*same, *(one.text for one in others)))
        question = replace(question, text=first)
        said = self._said(question, turn)
        yield from self._go_on(tool, self._forms.fill(tool, {}, said), question, turn, said)

    # ---------------------------------------------------------------- going on

    def resume(self, turn: LiveTurn) -> Iterable[Step] | None:
        """The steps of a message that goes on with a form, or changes what waits for a yes; None where it does neither."""
        form, question = turn.state.get(FORM), turn.questions[0]
        whole = replace(question, text=turn.message)
        if form is not None and (tool := self._tools.get(form["tool"])) is not None:
            other = self.wanted(question, turn)
            if other is None or tool.intent in (other.intent, _SIBLING.get(other.intent)):
                return self._answered(tool, form, whole, turn)
            del turn.state[FORM]  # something else is wanted in its place: "then cancel the whole order"
            return None
        name, arguments = _said_before(turn)
        if name not in self._tools or is_question(turn.message):
            return None
        other = self.wanted(question, turn)
        if other is not None and other.name != name:
            return None
        said = self._said(whole, turn)
        filled = self._forms.fill(self._tools[name], arguments, said)
        if filled == dict(arguments):
            return [] if turn.declined is not None and other is None else None
        return self._go_on(self._tools[name], filled, question, turn, said)

    def _answered(
        self, tool: ShopTool, form: Mapping[str, Any], question: Question, turn: LiveTurn
    ) -> Iterable[Step] | None:
        said = replace(self._said(question, turn), asked=form["asked"], options=tuple(form.get("orders", ())))
        before = [*form.get("said", ())]
        if said.asked == "order" and (orders := self._which.each(tool, said, said.text)):
            first, *others = self._which.once_for_each(". ".join([*before, said.text]), orders)
            turn.state[LATER] = [*({"text": text} for text in others), *turn.state.get(LATER, [])]
            question = replace(question, text=first)
            said = self._said(question, turn)
        filled = dict(form["arguments"]) if is_question(said.text) else self._forms.fill(tool, form["arguments"], said)
        if filled != form["arguments"]:
            del turn.state[FORM]
            return self._go_on(tool, filled, question, turn, said, before)
        if _is_no(said.text):
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
        self,
        tool: ShopTool,
        filled: dict[str, Any],
        question: Question,
        turn: LiveTurn,
        said: Said,
        before: Sequence[str] = (),
    ) -> Iterator[Step]:
        """Propose, or ask for what is missing still after all that was said `before` to this form."""
        for text in reversed(before):
            filled = self._forms.fill_up(tool, filled, replace(said, text=text, asked="", order_ids=()))
        if order := next((filled.get(name) for name, kind in kinds(tool).items() if kind == "order"), None):
            turn.state["order_id"], turn.state["last"] = order, "orders"  # "it" is this one now
        ask = self._forms.missing(tool, filled, said)
        if ask is None:
            self._account_too(tool, filled, " ".join([*before, said.text]), turn)
            yield Call(tool.name, filled, question)
            if turn.calls and turn.calls[-1].status == "refused":  # the next message may put it right
                turn.state[REFUSED] = {"tool": tool.name, "arguments": filled, "turn": turn.id}
            return
        form = {"tool": tool.name, "arguments": filled, "asked": ask.kind, "orders": list(ask.orders), "tries": 1}
        turn.state[FORM] = {**form, "turn": turn.id, "said": [*before, said.text][-MOST_SAID:]}
        yield from _asking(ask, question)

    def _account_too(self, tool: ShopTool, filled: Mapping[str, Any], text: str, turn: LiveTurn) -> None:
        """Where the new address of an order shall be that of the account as well, that comes after it."""
        other = self._by_intent.get("change_account_address")
        if (
            other is None
            or tool.intent != "change_address"
            or not says("address", "account_too", without_destination(text))
        ):
            return
        own = {name: turn.shopper.id if kind == "user" else filled.get(name, "") for name, kind in kinds(other).items()}
        later = {"tool": other.name, "arguments": own}
        if later not in turn.state.setdefault(LATER, []):
            turn.state[LATER].append(later)

    def _said(self, question: Question, turn: LiveTurn) -> Said:
        ids = tuple(self._order_ids(question.text))
        about = str(turn.state.get("order_id", ""))
        return Said(question.text, question.language, turn.shopper, order_ids=ids, about=about)


def _said_before(turn: LiveTurn) -> tuple[str, Mapping[str, Any]]:
    """The tool and its arguments that a message may change: what waits, what it said no to, or what was refused just now."""
    refused = turn.state.get(REFUSED)
    if refused is not None and refused["turn"] != turn.id:
        del turn.state[REFUSED]
    base = turn.waiting or turn.declined
    if base is not None:
        return base.name, base.arguments
    return (refused["tool"], refused["arguments"]) if refused and refused["turn"] != turn.id else ("", {})


def _asking(ask: Ask, question: Question) -> Iterator[Step]:
    yield Say(ask.line, ask.fields, source=ask.source)
    if ask.orders:
        yield Call("list_orders", {"order_ids": list(ask.orders)}, question)


def _is_no(text: str) -> bool:
    """Whether a text says no to what is asked for as a whole, not to a part of it."""
    return consent_to(text) == "no" and (len(_UNIT.findall(text)) <= _BARE or is_unwanted(text))

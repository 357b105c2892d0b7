"""What a turn needs: to answer from passages, to ask, to call a tool, to chat, or to hand over.

A planner is an async generator of steps; the bot carries each out before it asks for the next, so a planner may look
at what came back. `HeadPlanner` reads intent, catalog words and ids and needs no language model; `ModelPlanner`
(model_planner.py) lets a tool-calling model choose. Both only propose: every call is checked in the same way, and one that writes waits for a yes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import date
from typing import Any, Protocol

from shopbot.catalog import Catalog, ProductQuery, orders_matching
from shopbot.consent import consent_to
from shopbot.fillers import says
from shopbot.form_planner import FormPlanner
from shopbot.order_aspects import asks_fact_alone, tells_of_order
from shopbot.order_choice import Choice, choose, status_asked
from shopbot.records import ShopData
from shopbot.routing import Chances, names_things, operates, weigh
from shopbot.steps import Call, HandOver, Lookup, Say, Step
from shopbot.tools import ShopTool
from shopbot.turn import LiveTurn, Question
from shopbot.types import Order
from shopbot.understand import POINTING, SMALL_TALK, WRITE_INTENTS, id_pattern

MOST_CALLS = 8


class Planner(Protocol):
    """Yields the steps of a turn, one after another."""

    def plan(self, turn: LiveTurn) -> AsyncIterator[Step]:
        """The steps of a turn."""
        ...


# ---------------------------------------------------------------- planning by heads

ORDER_INTENTS = frozenset({"order_status", "order_list", "order_details", "order_changes"})
_BEFORE_DELIVERY = frozenset({"cancel_order", "change_address", "change_items"})
_AFTER_DELIVERY = frozenset({"return_items", "exchange_items"})

_OWN = re.compile(r"\b(?:my|mine|i|i've|i'm|we|our)\b|我|咱", re.IGNORECASE)
_ORDER_WORD = re.compile(
    r"\b(?:orders?|parcels?|packages?|purchases?|deliver(?:y|ies)|shipments?)\b|订单|包裹|快递|单子", re.IGNORECASE
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_UNIT = re.compile(r"[A-Za-z']+|[\u3400-\u9fff]")
_FEW = 6
"""Words of English, or characters of Chinese: no more point at what was said before without naming it."""
_CLEARLY = 3.4
"""So far, in standard deviations, must a product stand out that no word of the question names."""
_BARE = 3
"""No more words than these are a bare yes or no."""
_LIKE_NOTHING = 0.35
"""Less than this is no question to a shop alike that was seen: "when did the Roman empire fall?"."""
_CONTINUES = 0.2
"""The share of the shopper's own affairs from which such a few words are about the orders just talked of."""
_OF_AN_ORDER = frozenset({"policy_cancellation", "policy_returns", "policy_exchanges"})
"""Rules that are asked of an order just talked of: "can it be cancelled?"."""
_FOLLOWING = re.compile(
    r"^\s*(?:and|or|what about|how about|what if|also|so|but)\b|^(?:那|那么|还有|如果)", re.IGNORECASE
)


class HeadPlanner:
    """Plans from the intent of each question, the words of the catalog, and the ids of the shop.

    What is to be done is asked for and proposed where one of `tools` does it, and answered with what the policy says where none
    does. `today` is the shop's day; without it "yesterday" and "last month" do not tell an order.
    """

    def __init__(
        self,
        catalog: Catalog,
        data: ShopData,
        today: Callable[[], date] | None = None,
        tools: Sequence[ShopTool] = (),
    ) -> None:
        self._catalog = catalog
        self._today = today
        self._data = data
        self._order_ids = id_pattern(list(data.orders))
        self._people = _people(data)
        self._acts = FormPlanner(catalog, data, tools, today, self._ids)

    async def plan(self, turn: LiveTurn) -> AsyncIterator[Step]:
        """The steps of what was asked for before, or for each question of the message in turn."""
        resumed = self._acts.resume(turn)
        if resumed is not None:
            for step in resumed:
                yield step
            return
        for question in turn.questions:
            for step in self._steps(question, turn):
                yield step
        for step in self._acts.ask_again(turn):
            yield step

    def _steps(self, question: Question, turn: LiveTurn) -> Iterator[Step]:
        query = self._catalog.parse(question.text, question.language)
        ids = self._ids(question.text)
        holds = bool(not turn.shopper.is_visitor and (self._just_named(turn) or self._orders_with(question, turn)))
        told = not turn.shopper.is_visitor and tells_of_order(question.text, holds)
        chances = weigh(question, query, holds, told, turn.shopper.is_visitor)
        if consent_to(question.text) != "other" and len(_UNIT.findall(question.text)) <= _BARE and not turn.drafts:
            yield Say("nothing_waits")
        elif not ids and (small := self._small_talk(question, query)) is not None:
            yield small
        elif self._names_another(question.text, turn):
            yield Say("only_yours", answered=False)
        elif not turn.shopper.is_visitor and (tool := self._acts.wanted(question, turn)) is not None:
            yield from self._acts.begin(tool, question, turn)
        elif ids or (told and chances.is_own) or self._about_orders(question, chances, turn):
            yield from self._orders(question, turn, ids)
        elif self._about_account(question):
            yield from self._account(question, turn)
        elif chances.is_product or self._about_the_last_product(question, query, turn):
            yield from self._products(question, query, turn)
        else:
            yield from self._knowledge(question, query, turn)

    # ---- which family a question belongs to

    def _small_talk(self, question: Question, query: ProductQuery) -> Step | None:
        guess = question.guess
        sure = guess.confidence >= 0.5 and guess.similarity >= 0.55
        asks = says("person", "wanted", question.text) and not says("person", "asking", question.text)
        if asks or (sure and guess.intent == "talk_to_person"):
            return HandOver("the shopper asks for a person")
        if not sure:
            return None
        things = query.products or query.categories or query.brands
        if guess.intent in SMALL_TALK and (not things or guess.similarity >= 0.85):
            return Say(guess.intent)
        if guess.intent == "out_of_scope" and not things and not _ORDER_WORD.search(question.text):
            return Say("out_of_scope", answered=False)
        return None

    def _names_another(self, text: str, turn: LiveTurn) -> bool:
        """Whether the text names a person of the shop's records who is not the one asking: by e-mail, id or name."""
        named = {found.casefold() for found in _EMAIL.findall(text)}
        folded = text.casefold()
        named |= {key for key in self._people if len(key) > 3 and key in folded}
        mine = {turn.shopper.email.casefold(), turn.shopper.name.casefold(), str(turn.shopper.id).casefold()}
        return any(self._people.get(one, "") != turn.shopper.id for one in named - mine)

    def _about_orders(self, question: Question, chances: Chances, turn: LiveTurn) -> bool:
        """An order intent counts where the text speaks of the shopper's own orders: rules are asked about too."""
        intent, text = question.guess.intent, question.text
        if intent == "account_details" or chances.is_product:
            return False
        if turn.shopper.is_visitor:
            return chances.is_own
        if self._about_the_last_orders(question, turn) and (chances.own >= _CONTINUES or intent in _OF_AN_ORDER):
            return True
        if intent in ORDER_INTENTS | WRITE_INTENTS:
            sure = question.guess.confidence >= 0.5 or (chances.is_own and tells_of_order(text, holds=True))
            return sure or bool(_OWN.search(text) or ("order_id" in turn.state and POINTING.search(text)))
        return chances.is_own

    def _about_the_last_orders(self, question: Question, turn: LiveTurn) -> bool:
        """A few words that name no thing, after an order was talked of: "what was in it?", "可以取消吗？"."""
        guess = question.guess
        short = len(_UNIT.findall(question.text)) <= _FEW
        if guess.intent == "out_of_scope" or guess.similarity < _LIKE_NOTHING:
            return False
        before = turn.state.get("last") == "orders" and not turn.calls  # not by an earlier question of this message
        return short and before and not question.guess.intent.startswith("product_")

    def _about_account(self, question: Question) -> bool:
        guess = question.guess
        return guess.intent == "account_details" and (guess.confidence >= 0.5 or bool(_OWN.search(question.text)))

    def _about_the_last_product(self, question: Question, query: ProductQuery, turn: LiveTurn) -> bool:
        """No thing is named, and the product just talked of is pointed at: "and in red?", "how heavy is it?"."""
        if query.products or query.categories or query.brands or not turn.state.get("products"):
            return False
        points = POINTING.search(question.text) or _FOLLOWING.search(question.text) or query.names_nothing
        return bool(points) and question.guess.intent.startswith("product_")

    # ---- orders

    def _orders(self, question: Question, turn: LiveTurn, ids: Sequence[str]) -> Iterator[Step]:
        if turn.shopper.is_visitor:
            yield from self._visitor(question, turn, ids)
            return
        intent = question.guess.intent
        ids = ids or self._just_named(turn)
        rules = intent in WRITE_INTENTS or intent == "order_changes" or intent.startswith("policy_")
        rules = rules and not asks_fact_alone(question.text)
        for order_id in ids or self._which_order(question, turn):
            yield Call("get_order", {"order_id": order_id}, question)
            if rules and (order := self._data.order(order_id)) is not None and order.shopper_id == turn.shopper.id:
                yield Lookup(question, self._with_status(question, order))
            return
        if rules:
            yield Lookup(question)
            narrowed = self._narrowed(question, turn)
            unknown = intent in WRITE_INTENTS and not narrowed
            yield Say("cannot_act", answered=False) if unknown else Call("list_orders", narrowed, question)
        else:
            yield Call("list_orders", self._narrowed(question, turn), question)

    def _visitor(self, question: Question, turn: LiveTurn, ids: Sequence[str]) -> Iterator[Step]:
        """A visitor may mean the rule and not an order of theirs: look first, unless they name an order."""
        if not ids:
            yield Lookup(question)
            query = self._catalog.parse(question.text, question.language)
            if not turn.last_answered and _resembles(question, query):
                yield from self._products(question, query, turn)
        if not (turn.calls and turn.last_answered):
            yield Say("log_in", answered=not ids and turn.last_answered)

    def _account(self, question: Question, turn: LiveTurn) -> Iterator[Step]:
        if turn.shopper.is_visitor:
            yield from self._visitor(question, turn, ())
        else:
            yield Call("my_account", {}, question)

    def _choice(self, question: Question, turn: LiveTurn) -> Choice:
        """The orders that may be meant: by the words of the question, then by what its intent makes likely."""
        orders = self._data.orders_of(turn.shopper.id or "")
        today = self._today() if self._today is not None else None
        choice = choose(orders, question.text, today, self._catalog)
        if not choice.evidence and (alike := self._orders_with(question, turn)):
            choice = choose(alike, question.text, today, self._catalog)
            choice = Choice(choice.orders, ("things", *choice.evidence))
        if not {"things", "latest", "first", "days"} & set(choice.evidence) and self._names_unheld(question):
            return Choice(tuple(orders))  # none of them holds what is named: only the shopper knows which is meant
        intent, left = question.guess.intent, choice.orders
        if len(left) < 2 or {"status", "latest", "first"} & set(choice.evidence):
            return choice
        if intent == "order_status" or (choice.evidence and intent in _BEFORE_DELIVERY):
            likely = [order for order in left if not order.is_closed]
        else:
            likely = [order for order in left if choice.evidence and order.delivered_on and intent in _AFTER_DELIVERY]
        if likely:
            return Choice(tuple(likely), (*choice.evidence, "open") if not likely[0].is_closed else choice.evidence)
        return Choice(left[:1]) if intent == "order_status" and not choice.evidence else choice

    def _names_unheld(self, question: Question) -> bool:
        """Whether a product or a kind of thing is named by the catalog's own words; asked where no order holds one."""
        named = self._catalog.mentions(question.text, question.language, kin=False)
        return any(mention.kind in ("product", "category") for mention in named)

    def _which_order(self, question: Question, turn: LiveTurn) -> list[str]:
        """The one order that is meant, or none where it could be several."""
        choice, text = self._choice(question, turn), question.text
        told = set(choice.evidence) - {"open", "refund", "code"}
        points = POINTING.search(text) or _FOLLOWING.search(text) or self._about_the_last_orders(question, turn)
        if "order_id" in turn.state and not told and points:
            return [turn.state["order_id"]]
        if len(choice.orders) != 1 or (question.guess.intent == "order_list" and not told - {"status"}):
            return []
        return [choice.orders[0].id]

    def _just_named(self, turn: LiveTurn) -> list[str]:
        """The order that an earlier question of the same message was about: "what is in it and how did I pay"."""
        return [
            call.arguments["order_id"] for call in turn.calls if call.name == "get_order" and call.status == "done"
        ][-1:]

    def _narrowed(self, question: Question, turn: LiveTurn) -> dict[str, Any]:
        """The arguments of list_orders that the words call for."""
        choice, statuses = self._choice(question, turn), status_asked(question.text)
        match choice.evidence:
            case () | ("status",) if len(statuses) == 1 and (choice.evidence or question.guess.intent == "order_list"):
                return {"status": statuses[0]}
            case () if turn.state.get("order_ids") and self._about_the_last_orders(question, turn):
                return {"order_ids": list(turn.state["order_ids"])}
            case ():
                return {}
            case ("open",):
                return {"open": True}
            case _:
                return {"order_ids": [order.id for order in choice.orders]}

    def _orders_with(self, question: Question, turn: LiveTurn) -> list[Order]:
        """The shopper's orders that hold what the question names, else those with a product that it resembles."""
        orders = self._data.orders_of(turn.shopper.id or "")
        alike = [order for order in orders if any(item.product_id in question.like for item in order.items)]
        return orders_matching(orders, question.text, self._catalog) or alike

    def _with_status(self, question: Question, order: Order) -> str:
        """The rule for an order of this status: what may be done to a pending one, or to a delivered one."""
        if question.guess.intent == "order_changes" and question.language == "en":
            return f"Which changes are possible to a {order.status} order? Can a {order.status} order be cancelled?"
        return f"{question.text} {order.status}{' order' if question.language == 'en' else ''}"

    def _ids(self, text: str) -> list[str]:
        return [found.strip() for found in self._order_ids.findall(text)] if self._order_ids else []

    # ---- products

    def _products(self, question: Question, query: ProductQuery, turn: LiveTurn) -> Iterator[Step]:
        """The rows of the catalog; what they do not tell may stand in the product's description, or in a policy."""
        reads = question.guess.intent == "product_detail" and not (operates(query) or query.aspect)
        products = self._meant(question, query, turn) or (self._only(query) if reads else ())
        sources = tuple(f"product:{one}" for one in products[:2])
        if reads and sources:
            yield Lookup(question, kind="product", sources=sources)
            if turn.last_answered:
                return
        yield Call("search_products", self._request(question, query, turn), question)
        told = turn.last_answered and not (query.aspect or "").startswith("attribute")
        more = bool(query.unknown or query.terms or query.words)
        found = sources if len(sources) == 1 and not told else self._found_alone(turn) if more or not told else ()
        if len(found) == 1 and not (reads and found == sources):
            yield Lookup(question, kind="product", sources=found)
        if not any(draft.answered for draft in turn.drafts):
            yield Lookup(question)

    def _meant(self, question: Question, query: ProductQuery, turn: LiveTurn) -> tuple[str, ...]:
        """The products of a question: those it names, else the one just talked of, else those it resembles."""
        if query.products or query.categories or query.brands:
            return query.products
        if self._about_the_last_product(question, query, turn):
            return tuple(turn.state["products"][:1])
        return question.like

    def _described(self, products: Sequence[str]) -> tuple[str, ...]:
        """The sources of those products of which more is told than which versions there are."""
        known = [product for one in products if (product := self._catalog.product(one)) is not None]
        return tuple(f"product:{product.id}" for product in known if product.description or product.attributes)

    def _found_alone(self, turn: LiveTurn) -> tuple[str, ...]:
        """The source of the one product that the last search found: its description may tell what its row does not."""
        call = turn.calls[-1] if turn.calls else None
        products = call.result.get("products", ()) if call is not None and call.status == "done" else ()
        return self._described([products[0]["product_id"]]) if len(products) == 1 else ()

    def _only(self, query: ProductQuery) -> tuple[str, ...]:
        """The one product that has all that is said, though none is named."""
        found = self._catalog.search(query)
        return (found[0].product.id,) if found.total == 1 and not found.relaxed else ()

    def _request(self, question: Question, query: ProductQuery, turn: LiveTurn) -> dict[str, Any]:
        if self._about_the_last_product(question, query, turn):
            return {"request": self._about_the_same(question, turn)}
        return {"request": question.text, **({"product_ids": list(question.like)} if question.like else {})}

    def _about_the_same(self, question: Question, turn: LiveTurn) -> str:
        """A question such as "and in red?" or "what does it cost?" is about the product just talked of: name it."""
        asked = [call.arguments["request"] for call in turn.calls if call.name == "search_products"]
        if asked:
            return f"{asked[-1].rstrip('?？ ')} {question.text}"
        names = [
            product.name for one in turn.state.get("products", ()) if (product := self._data.product(one)) is not None
        ]
        return " ".join([*names[:1], question.text])

    # ---- everything that is written down

    def _knowledge(self, question: Question, query: ProductQuery, turn: LiveTurn) -> Iterator[Step]:
        text = question.text
        if _FOLLOWING.search(text) and len(text) < 60 and (before := turn.state.get("question")):
            text = f"{before} {text}"
        yield Lookup(question, text)
        sure = question.guess.intent.startswith("policy_") and question.guess.confidence >= 0.5
        of_things = bool(query.products) or not sure
        if not turn.last_answered and of_things and _resembles(question, query) and self._described(question.like[:1]):
            yield Lookup(question, kind="product", sources=self._described(question.like[:1]))
        if not turn.last_answered and names_things(query) and of_things:
            yield Call("search_products", {"request": question.text}, question)


def _resembles(question: Question, query: ProductQuery) -> bool:
    """Whether a question that nothing else answers may be about a product that it resembles."""
    if not question.like or question.guess.intent == "out_of_scope":
        return False
    return names_things(query) or (question.language == "en" and question.standing >= _CLEARLY)


def _people(data: ShopData) -> dict[str, str]:
    """E-mails, ids and full names of the shop's records, folded, to the shopper's id."""
    people: dict[str, str] = {}
    for shopper_id in data.users:
        if (account := data.account(shopper_id)) is not None:
            keys = (shopper_id, account.email, account.name)
            people.update({key.casefold(): shopper_id for key in keys if key})
    return people

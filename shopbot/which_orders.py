"""Which of a shopper's orders a request is about: the one that its words tell, or each of several.

An order at the stage at which such a thing is done comes before any other; an id that is named before both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from shopbot.catalog import Catalog
from shopbot.fillers import cues, picked, says
from shopbot.forms import Said, kinds
from shopbot.order_choice import Choice, choose
from shopbot.postal import without_destination
from shopbot.records import ShopData
from shopbot.tools import ShopTool
from shopbot.types import Language, Order, Shopper
from shopbot.variant_choice import without_wish

BEFORE_SENDING = frozenset({"cancel_order", "change_address", "change_items", "change_payment"})
AFTER_DELIVERY = frozenset({"return_items", "exchange_items"})


def fits(order: Order, intent: str) -> bool:
    """Whether an order is at the stage at which such a thing is done; whether it may be, the tool says."""
    if intent in BEFORE_SENDING:
        return not order.is_closed and not order.tracking and order.shipped_on is None
    return intent not in AFTER_DELIVERY or order.status.casefold().startswith("deliver")


@dataclass(frozen=True)
class WhichOrders:
    """Tells orders. `order_ids` finds what looks like an id in a text; without `today` no day tells one."""

    catalog: Catalog
    data: ShopData
    today: Callable[[], date] | None
    order_ids: Callable[[str], Sequence[str]]

    def mine(self, shopper: Shopper) -> Sequence[Order]:
        """All orders of a shopper, newest first."""
        return self.data.orders_of(shopper.id or "")

    # ---------------------------------------------------------------- one

    def meant(self, said: Said, tool: ShopTool) -> Sequence[Order]:
        """The orders that may be meant, newest first: those named, else those that the words tell and the tool may work on."""
        mine = self.mine(said.shopper)
        if tool.intent == "change_address" and said.order_ids:  # not the one whose address is wanted
            said = replace(said, order_ids=tuple(self.order_ids(without_destination(said.text))) or said.order_ids)
        if said.order_ids:  # an id that is nobody's, or another's, is no reason to take one of theirs
            named = {order.id for one in said.order_ids if (order := self.data.order(one)) is not None}
            return [order for order in mine if order.id in named]
        if said.asked == "order" and (number := picked(said.text, len(said.options))) is not None:
            return [order for order in mine if order.id == said.options[number]]
        choice = self._choice(mine, said, tool)
        told = {"things", "latest", "first", "days", "place", "amount"} & set(choice.evidence)
        status = "status" in choice.evidence and said.about not in {order.id for order in choice.orders}
        if not told and not status and said.asked == "order":  # the answer does not tell
            return [order for order in mine if order.id in said.options]
        if not told and not status and said.about and not says("pick", "orders", said.text):
            return [order for order in mine if order.id == said.about]
        return choice.orders

    def _choice(self, mine: Sequence[Order], said: Said, tool: ShopTool) -> Choice:
        """Among the orders at the stage for it; among all where only another holds what is named."""
        text = without_destination(said.text) if tool.intent == "change_address" else said.text
        text = without_wish(text) if "wanted" in kinds(tool).values() else text
        today = self.today() if self.today is not None else None
        fit = [order for order in mine if fits(order, tool.intent)]
        every = choose(mine, text, today, self.catalog)
        choice = choose(fit, text, today, self.catalog) if fit else every
        choice = every if "things" in every.evidence and "things" not in choice.evidence else choice
        return choice if "wanted" in kinds(tool).values() else self._by_price(choice, text)

    def _by_price(self, choice: Choice, text: str) -> Choice:
        """Of several orders the one with the dearer, or the cheaper, of the products named, where that is said."""
        sign = 1 if says("pick", "dearer", text) else -1 if says("pick", "cheaper", text) else 0
        meant = self.catalog.parse(text).products if sign and len(choice.orders) > 1 else ()
        prices = {order.id: [one.price for one in order.items if one.product_id in meant] for order in choice.orders}
        priced = [order for order in choice.orders if prices[order.id]]
        if not priced:
            return choice
        best = max(priced, key=lambda order: max(sign * price for price in prices[order.id]))
        return Choice((best,), (*choice.evidence, "amount"))

    # ---------------------------------------------------------------- several

    def each(self, tool: ShopTool, said: Said, part: str) -> list[Order]:
        """The orders of which each is to have this done; [] where one is meant. `part` is what asks for it."""
        if "order" not in kinds(tool).values():
            return []
        every = says("pick", "all", said.text)
        named = set(self.order_ids(without_destination(part) if tool.intent == "change_address" else part))
        if len(named) > 1 or says("pick", "orders", said.text) or (said.asked == "order" and every):
            orders = self.meant(said, tool)
        else:
            orders = [] if said.order_ids else self._holders(tool, said, part, bool(every))
        return [*orders] if len(orders) > 1 else []

    def _holders(self, tool: ShopTool, said: Said, part: str, every: bool) -> list[Order]:
        """The orders that hold what is named, where no one holds all of it, or all that there is of it is meant."""
        groups = self._things(without_wish(part), said.language) or self._things(without_wish(said.text), said.language)
        options = self.catalog.parse(without_wish(part), said.language).options
        meant = set(groups)

        def held(order: Order) -> set[frozenset[str]]:
            fit = [
                one for one in order.items if all(one.options.get(name, of[0]) in of for name, of in options.items())
            ]
            return {group for group in groups if any(one.product_id in group for one in fit)}

        holding = [order for order in self.mine(said.shopper) if fits(order, tool.intent) and held(order)]
        whole = any(held(order) == meant for order in holding)
        together = {one for order in holding for one in held(order)} == meant
        apart = sum(len(held(order)) for order in holding) == len(meant)
        return holding if together and (every or (not whole and apart)) else []

    def _things(self, text: str, language: Language) -> list[frozenset[str]]:
        """The things that a text names, each as the products that it can be."""
        named = self.catalog.mentions(
            re.sub(cues()["pick"]["beside"], " ", text, flags=re.IGNORECASE), language, kin=False
        )
        return [frozenset(one.products) for one in named if one.products]

    def once_for_each(self, text: str, orders: Sequence[Order]) -> list[str]:
        """A request once for each of some orders."""
        if not orders:
            return [text]
        rest = text
        for one in self.order_ids(text):
            rest = rest.replace(one, "")
        return [f"{rest.rstrip(' .!?。！？')} {order.id}" for order in orders]

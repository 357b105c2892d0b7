"""Forms: an action that is asked for over several turns, until everything that its tool needs has been said.

A tool's parameters are its form. What each is, its type says: an order of the shopper, items of it, versions in exchange,
a payment method, one of some fixed answers, a part of an address, a text of a given form. So a shop's own tools are filled
and asked for without a word of code about them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel

from shopbot.catalog import Catalog, orders_matching
from shopbot.fillers import (
    choice_meant,
    ends_of,
    items_meant,
    language_of,
    payment_meant,
    picked,
    says,
)
from shopbot.phrases import Phrases
from shopbot.postal import PARTS, Places, destination_in, names_place, read_address
from shopbot.records import ShopData
from shopbot.tools import ShopTool
from shopbot.types import Language, Order, OrderItem, Product, Shopper
from shopbot.variant_choice import version_meant

Kind = Literal["order", "items", "wanted", "payment", "user", "choice", "address", "pattern", "text"]
_OWNED: Mapping[str, Kind] = {
    "order": "order",
    "item": "items",
    "variant": "wanted",
    "payment": "payment",
    "user": "user",
}
_ORDER: tuple[Kind, ...] = ("order", "user", "items", "wanted", "payment", "choice", "address", "pattern", "text")
"""What is filled and asked first: items are of an order, and what is wanted in exchange is for an item."""

_MAY_BE_EMPTY = frozenset({"address2", "state", "country"})
"""Parts that many addresses do not have."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is still to be said: the line that asks for it, where its fields are from, and the orders it could be."""

    kind: Kind
    line: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    orders: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a shopper says to a form, and `asked`, the kind that they were just asked for: a short answer is about that.

    `order_ids` is what looks like one in the text; `options` are the ids of the orders that they were shown, `about` is the
    order last talked of.
    """

    text: str
    language: Language
    shopper: Shopper
    asked: str = ""
    order_ids: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    about: str = ""


@dataclass(slots=True)
class _Form:
    """A tool with what is filled in so far; `of` is what each parameter is."""

    tool: ShopTool
    filled: dict[str, Any]
    of: Mapping[str, Kind]

    def said(self, kind: Kind) -> Any:
        """What is filled in for a kind of parameter."""
        return next((self.filled.get(name) for name, one in self.of.items() if one == kind), None)

    def realign(self, items: Sequence[str]) -> None:
        """Keep of the versions wanted those of the items that are meant now."""
        wanted = next((name for name, one in self.of.items() if one == "wanted"), "")
        before = dict(zip(self.said("items") or [], self.filled.get(wanted) or [], strict=False))
        if before:
            self.filled[wanted] = [before.get(sku, "") for sku in items]

    def info(self, name: str) -> Any:
        """A parameter as pydantic knows it."""
        return _fields(self.tool)[name]


def kinds(tool: ShopTool) -> dict[str, Kind]:
    """What each parameter of a tool is, in the order in which they are filled."""
    found: dict[str, Kind] = {name: _kind(tool, name, info) for name, info in _fields(tool).items()}
    return dict(sorted(found.items(), key=lambda one: _ORDER.index(one[1])))


def _fields(tool: ShopTool) -> Mapping[str, Any]:
    return cast("type[BaseModel]", tool.args_schema).model_fields


def _kind(tool: ShopTool, name: str, info: Any) -> Kind:
    mark = tool.ids.get(name)
    if mark is not None and mark.kind in _OWNED:
        return _OWNED[mark.kind]
    if name in PARTS:
        return "address"
    if get_origin(info.annotation) is Literal:
        return "choice"
    return "pattern" if _pattern(info) else "text"


def _pattern(info: Any) -> str:
    return next((one.pattern for one in info.metadata if getattr(one, "pattern", None)), "")


@dataclass(frozen=True)
class Forms:
    """Fills forms from messages. `which_orders` tells the orders that a text may mean, of all that the shopper has."""

    catalog: Catalog
    data: ShopData
    which_orders: Callable[[Said, ShopTool], Sequence[Order]]

    # ---------------------------------------------------------------- filling

    def fill(self, tool: ShopTool, known: Mapping[str, Any], said: Said) -> dict[str, Any]:
        """The arguments with what was said added; what is said anew takes the place of what was said before."""
        form = _Form(tool, dict(known), kinds(tool))
        if "address" in form.of.values():
            form.filled.update(self._address(form, said))
        for name, kind in form.of.items():
            if not (found := self._value(kind, name, form, said)):
                continue
            if kind == "order" and known.get(name) not in (None, found):  # another order has other items
                form.filled = {key: one for key, one in form.filled.items() if form.of[key] not in ("items", "wanted")}
            if kind == "items":
                form.realign(found)
            form.filled[name] = found
        return form.filled

    def fill_up(self, tool: ShopTool, known: Mapping[str, Any], said: Said) -> dict[str, Any]:
        """The arguments with what is open in them taken from something said before."""
        found = self.fill(tool, known, said)
        if any(
            found.get(name) != known.get(name)
            for name, kind in kinds(tool).items()
            if kind == "items" and known.get(name)
        ):
            return dict(known)
        filled = {**found, **{name: one for name, one in known.items() if one not in (None, "", [])}}
        for name, kind in kinds(tool).items():
            if kind == "wanted" and known.get(name):
                filled[name] = [new or old for new, old in zip(known[name], found[name], strict=True)]
        return filled

    def _value(self, kind: Kind, name: str, form: _Form, said: Said) -> Any:
        match kind:
            case "order":
                return self._order_id(form, said)
            case "user":
                return said.shopper.id
            case "items":
                return self._items_said(form, said)
            case "wanted":
                return self._wanted(form, said)
            case "payment":
                return self._payment(form, said)
            case "choice":
                return _choice([str(one) for one in get_args(form.info(name).annotation)], said)
            case "pattern":
                return _matching(_pattern(form.info(name)), said.text, said.asked == kind)
            case _:
                return said.text.strip() if said.asked == kind == "text" and form.info(name).is_required() else None

    def _order(self, form: _Form) -> Order | None:
        return self.data.order(str(form.said("order"))) if form.said("order") else None

    def _order_id(self, form: _Form, said: Said) -> str | None:
        if form.said("order") and (not said.order_ids or said.asked == "address"):
            return None
        orders = self.which_orders(said, form.tool)
        return orders[0].id if len(orders) == 1 else None

    def _items_said(self, form: _Form, said: Said) -> list[str] | None:
        order = self._order(form)
        asked = said.asked == "items"
        narrows = any(says("pick", cue, said.text) for cue in ("only", "all", "except", "except_zh"))
        before, adds = form.said("items") or [], bool(says("pick", "also", said.text))
        if order is None or (before and not asked and not narrows and not adds):
            return None
        named = items_meant(order, said.text, self.catalog, asked)
        if before and adds and not narrows:
            return [*before, *(sku for sku in named if sku not in before)]
        return named or (self._having(order, said) if "wanted" in form.of.values() else [])

    def _having(self, order: Order, said: Said) -> list[str]:
        """The one item of an order that comes in the version wanted, though no item is named: "in size L, please"."""
        fit = [item.sku for item in order.items if self._version(item, said.text, said)]
        return fit if len(fit) == 1 else []

    def _version(self, item: OrderItem, text: str, said: Said) -> str:
        """The sku of the version of an item that a text asks for; "" where it asks for none or could mean several."""
        product = self.data.product(item.product_id)
        if (
            product is not None
            and says("wish", "same_as", text)
            and (same := self._same_as_another(item, product, said.shopper))
        ):
            return same
        return "" if product is None else version_meant(product, item, text, self.catalog, said.language)

    def _same_as_another(self, item: OrderItem, product: Product, shopper: Shopper) -> str:
        """The version of the one other of a product that the shopper has ordered, if it can be had."""
        mine = self.data.orders_of(shopper.id or "")
        others = {one.sku for order in mine for one in order.items if one.product_id == product.id} - {item.sku}
        fit = [one.sku for one in product.variants if one.sku in others and one.available]
        return fit[0] if len(fit) == len(others) == 1 else ""

    def _wanted(self, form: _Form, said: Said) -> list[str] | None:
        """One version for each item, "" for those that are not clear yet."""
        order = self._order(form)
        lines = order.items if order is not None else ()
        items = [item for sku in form.said("items") or [] for item in lines if item.sku == sku]
        before = [*(form.said("wanted") or []), *([""] * len(items))]
        clauses = zip(items, self._clauses(items, said.text), before, strict=False)
        chosen = [self._version(item, clause, said) or old for item, clause, old in clauses]
        return chosen if any(chosen) else None

    def _clauses(self, items: Sequence[OrderItem], text: str) -> list[str]:
        """For each item the part of the text that is about it: from where it is named to where the next one is."""
        starts = [self._place(item, text.casefold()) for item in items]
        named = self.catalog.mentions(text, language_of(text), kin=False)
        own = {item.product_id for item in items}
        others = [one.start for one in named if one.kind in ("product", "category") and not own & set(one.products)]
        if len(items) < 2 and not others:
            return [text] * len(items)
        ends = [min((one for one in (*starts, *others) if one > start), default=len(text)) for start in starts]
        return [text[max(start, 0) : end] for start, end in zip(starts, ends, strict=True)]

    def _place(self, item: OrderItem, folded: str) -> int:
        product = self.catalog.product(item.product_id)
        names = [item.name, *(product.names.values() if product is not None else ())]
        words = [word for name in names for word in re.findall(r"[a-z]{3,}|[\u3400-\u9fff]{2}", name.casefold())]
        places = [place for word in words if (place := folded.find(word)) >= 0]
        return min(places, default=-1)

    def _payment(self, form: _Form, said: Said) -> str:
        account = self.data.account(said.shopper.id or "")
        ids = [str(one["id"]) for one in (account.payment_methods if account is not None else ()) if one.get("id")]
        if account is None or len(ids) < 2:
            return "".join(ids)
        number = picked(said.text, len(ids)) if said.asked == "payment" else None
        return payment_meant(account, self._order(form), said.text) or (ids[number] if number is not None else "")

    def _address(self, form: _Form, said: Said) -> dict[str, str]:
        """Every part of the address that a text gives, or points at: the account's, or that of another order."""
        found = self._known_address(form, said)
        if not found:
            tried = [said.text[place:] for place in ends_of("address", "begins", said.text)]
            tried = sorted(tried, key=lambda part: not re.match(r"\W*\d", part))
            tried += [said.text] if said.asked == "address" or not tried else []
            found = next((read for part in tried if (read := read_address(part, self._places))), {})
        found = found or self._address_pointed_at(form, said)
        return {part: str(found.get(part, "")) for part, kind in form.of.items() if kind == "address"} if found else {}

    def _known_address(self, form: _Form, said: Said) -> Mapping[str, str]:
        """The address of the account, or of an order that is named beside the one that is changed."""
        account = self.data.account(said.shopper.id or "")
        named = [order for one in said.order_ids if (order := self.data.order(one)) is not None]
        others = [one for one in named if one.shopper_id == said.shopper.id and one.id != form.said("order")]
        destination = destination_in(said.text) or said.text
        if "order" in form.of.values() and account is not None and says("address", "known", destination):
            return account.address
        return others[0].address if len(others) == 1 and (form.said("order") or "user" in form.of.values()) else {}

    def _address_pointed_at(self, form: _Form, said: Said) -> Mapping[str, str]:
        """The one address among the shopper's orders and account that a text tells by its place, or by what went there."""
        account, mine = self.data.account(said.shopper.id or ""), self.data.orders_of(said.shopper.id or "")
        order = self._order(form)
        now = order.address if order is not None else account.address if account is not None else {}
        known = [*(one.address for one in mine), *([account.address] if account is not None else [])]
        destination = destination_in(said.text) if said.asked != "address" else said.text
        told = [one for one in known if names_place(one, destination)]
        told = told or [one.address for one in orders_matching(mine, destination, self.catalog)]
        distinct = {tuple(sorted(one.items())): one for one in told if one != now}
        return next(iter(distinct.values())) if len(distinct) == 1 else {}

    @cached_property
    def _places(self) -> Places:
        return Places(account for one in self.data.users if (account := self.data.account(one)) is not None)

    # ---------------------------------------------------------------- asking

    def missing(self, tool: ShopTool, filled: Mapping[str, Any], said: Said) -> Ask | None:
        """The first thing that is still to be said before the tool can be proposed; None where nothing is."""
        form = _Form(tool, dict(filled), kinds(tool))
        for name, kind in form.of.items():
            given = filled.get(name) not in (None, "", []) and "" not in (filled[name] if kind == "wanted" else ())
            if not given and form.info(name).is_required() and name not in _MAY_BE_EMPTY:
                return self._ask(kind, name, form, said)
        return None

    def _ask(self, kind: Kind, name: str, form: _Form, said: Said) -> Ask:
        order, info, language = self._order(form), form.info(name), said.language
        voice = Phrases(language, "", "")
        match kind:
            case "order":
                orders = tuple(one.id for one in self.which_orders(said, form.tool))
                return Ask(kind, "ask_order" if orders else "no_such_order", orders=orders)
            case "items" if order is not None:
                fields = {"id": order.id, "items": self._items(order, voice)}
                return Ask(kind, "ask_items", fields, source=f"order:{order.id}")
            case "wanted" if order is not None:
                return self._ask_version(order, form, language)
            case "payment":
                account = self.data.account(said.shopper.id or "")
                methods = [voice.method(one) for one in account.payment_methods] if account is not None else []
                return Ask(kind, "ask_payment", {"methods": voice.listed(methods)}, source="account")
            case "choice":
                options = [str(one) for one in get_args(info.annotation)]
                return Ask(kind, "ask_choice", {"options": voice.listed(options)})
            case "address":
                return Ask(kind, "ask_address")
            case _:
                return Ask(kind, "ask_text", {"what": _description(name, info, language)})

    def _ask_version(self, order: Order, form: _Form, language: Language) -> Ask:
        items, wanted = form.said("items") or [""], [*(form.said("wanted") or []), ""]
        sku = next((one for one, new in zip(items, [*wanted, *items], strict=False) if not new), items[0])
        item = next((one for one in order.items if one.sku == sku), order.items[0])
        product = self.data.product(item.product_id)
        variants = product.variants if product is not None else ()
        others = [one for one in variants if one.available and one.sku != item.sku and one.options]
        versions = dict.fromkeys(", ".join(one.options.values()) for one in others)
        name = self._name(item, language)
        if not versions:
            return Ask("wanted", "no_version", {"item": name}, source=f"product:{item.product_id}")
        fields = {"item": name, "versions": "; ".join([*versions][:12])}
        return Ask("wanted", "ask_version", fields, source=f"product:{item.product_id}")

    def _name(self, item: OrderItem, language: Language) -> str:
        product = self.data.product(item.product_id)
        return product.names.get(language, item.name) if product is not None else item.name

    def _items(self, order: Order, voice: Phrases) -> str:
        options = [voice.inner([*item.options.values()]) for item in order.items]
        names = [self._name(item, voice.language) for item in order.items]
        return voice.listed([f"{name}{inner}" for name, inner in zip(names, options, strict=True)])


def _choice(options: Sequence[str], said: Said) -> str:
    number = picked(said.text, len(options)) if said.asked == "choice" else None
    return options[number] if number is not None else choice_meant(options, said.text, said.asked == "choice")


def _matching(pattern: str, text: str, asked: bool) -> str:
    """What of a text has the form asked for, forgiving about spaces, dashes and case; of several that with most digits.

    Words that happen to have it are none: a code that was not `asked` for has digits, and one in groups has even groups.
    """
    form = re.compile(rf"(?:{pattern.strip('^$')})", re.ASCII)
    found: list[str] = []
    for run in re.findall(r"[A-Za-z0-9][A-Za-z0-9 \-–]*", unicodedata.normalize("NFKC", text)):
        words = run.split(" ")
        ends = [(start, end) for start in range(len(words)) for end in range(start + 1, min(start + 8, len(words)) + 1)]
        spans = [words[start:end] for start, end in ends if len({*map(len, words[start:end])}) == 1]
        spans = [span for span in spans if asked or re.search(r"\d", "".join(span))]
        joined = ["".join(span).replace("-", "").replace("–", "") for span in spans]
        found += [
            one for span in (*map(" ".join, spans), *joined) for one in (span, span.upper()) if form.fullmatch(one)
        ]
    return max(found, key=lambda one: sum(map(str.isdigit, one)) - len(one) / 100, default="")


def _description(name: str, info: Any, language: Language) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    told = str((extra.get("zh") if language == "zh" else "") or info.description or name.replace("_", " "))
    return told[:1].lower() + told[1:].rstrip(".。")

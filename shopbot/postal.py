"""Reads a postal address out of a message, as far as it is written there: street, town, region, code, country.

Addresses are written in as many ways as there are countries. What is read rests on the commas or lines between the parts,
on the form of postal codes, and on the names of places that the shop's own records hold; what is not clear stays open, and
the shopper sees the whole address before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shopbot.types import Account

PARTS = ("address1", "address2", "city", "state", "zip", "country")
"""The parts of an address in our records."""

_CODE = re.compile(
    r"\b(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|[A-Z]\d{2} ?[A-Z\d]{4}|\d{5}-\d{4}|\d{5,6}|\d{3}-\d{4}|\d{4} ?[A-Z]{2})\b",
    re.IGNORECASE,
)
"""Postal codes: UK, Canada, Ireland, US, China and most of Europe, Japan, the Netherlands."""
_UNIT = re.compile(
    r"^(?:flat|apt\.?|apartment|suite|ste\.?|unit|room|rm|floor|top floor|ground floor|#|building|block|no\.)\b|^#?\d+[a-z]?$"
    r"|(?:室|单元|楼|栋|幢)$",
    re.IGNORECASE,
)
_STREET = re.compile(
    r"\d|\b(?:street|st|road|rd|avenue|ave|lane|drive|way|court|place|square|house)\b|[路街道号巷弄]", re.IGNORECASE
)
_TAIL = re.compile(
    r"\b(?:please|thanks|thank you|instead|pls|asap)\b\W*$|[，。,.!！\s]+$|(?:谢谢|吧|好吗)\W*$", re.IGNORECASE
)


_DESTINATION = re.compile(
    r"(?:\bto (?:be )?)?\b(?:the )?same (?:address )?as\b[^.;!?]*"
    r"|\bto (?:(?:go|be|be sent|be delivered|be shipped) (?:to )?)?(?:my|the|our|a|that)\b[^.,;!?]*?\b(?:address|home|house|place|one)\b"
    r"|(?:改|换|寄|送|发)(?:成|为|到|去|回)[^，。；]*",
    re.IGNORECASE,
)


def without_destination(text: str) -> str:
    """A text that asks for another address without the words for that: what is left may tell the order."""
    return _DESTINATION.sub(" ", text)


def destination_in(text: str) -> str:
    """The words of a text that tell the new address; "" where it has none."""
    return " ".join(found[0] for found in _DESTINATION.finditer(text))


class Places:
    """The towns, regions and countries of a shop's records, and where each lies."""

    def __init__(self, known: Iterable[Account]) -> None:
        self._names: dict[str, dict[str, str]] = {"city": {}, "state": {}, "country": {}}
        self._region: dict[str, Mapping[str, str]] = {}
        self._country: dict[str, str] = {}
        for one in known:
            for part, names in self._names.items():
                if name := str(one.address.get(part, "")):
                    names.setdefault(name.casefold(), name)
            if city := str(one.address.get("city", "")):
                self._region.setdefault(city.casefold(), one.address)
            if state := str(one.address.get("state", "")):
                self._country.setdefault(state.casefold(), str(one.address.get("country", "")))

    def part(self, text: str) -> tuple[str, str] | None:
        """Which part of an address a text is, by name, and in which spelling."""
        found = ((part, names[text.casefold()]) for part, names in self._names.items() if text.casefold() in names)
        return next(found, None)

    def around(self, city: str, state: str) -> Mapping[str, str]:
        """The region and country of a town that the records know, or the country of a region."""
        known = self._region.get(city.casefold(), {})
        if state and str(known.get("state", "")).casefold() != state.casefold():
            return {"country": self._country.get(state.casefold(), "")}
        return {part: str(known.get(part, "")) for part in ("state", "country") if known.get(part)}


def read_address(text: str, places: Places) -> dict[str, str]:
    """The parts of an address that a text gives, at least a street; {} where it gives none."""
    code = _CODE.search(text)
    end = re.search(r"[.!?](?:\s|$)", text[code.end() :]) if code is not None else None
    if code is not None and end is not None:  # what comes after the sentence with the code is no part of it
        text = text[: code.end() + end.start()]
    clean = _TAIL.sub("", text.strip())
    pieces = [piece.strip(" .") for piece in re.split(r"[,，\n;；]+", clean) if piece.strip(" .")]
    found: dict[str, str] = {}
    rest: list[str] = []
    for piece in pieces:
        code = (
            _CODE.search(piece) if found.get("zip") is None and (pieces.index(piece) > 0 or len(pieces) == 1) else None
        )
        left = piece
        if code is not None:
            found["zip"] = code[0].upper()
            left = (piece[: code.start()] + " " + piece[code.end() :]).strip(" ,.")
        if left and (known := places.part(left)) is not None and known[0] not in found:
            found[known[0]] = known[1]
        elif left:
            rest.append(left)
    if not rest or not _STREET.search(rest[0]) or (len(pieces) == 1 and not re.search(r"\d", rest[0])):
        return {}
    found["address1"] = rest.pop(0)
    if rest and _UNIT.search(rest[0]):
        found["address2"] = rest.pop(0)
    for part in ("city", "state", "country"):
        if rest and part not in found:
            found[part] = rest.pop(0)
    around = places.around(found.get("city", ""), found.get("state", ""))
    return {part: found.get(part) or around.get(part, "") for part in PARTS if found.get(part) or around.get(part)}


def names_place(address: Mapping[str, str], text: str) -> bool:
    """Whether a text names the town, the street, the region or the country of an address; "NYC" and "LA" are towns, too."""
    parts = [str(address.get(part, "")) for part in ("address1", "city", "state", "country")]
    named = any(len(part) > 3 and re.search(rf"\b{re.escape(part)}\b", text, re.IGNORECASE) for part in parts)
    short = "".join(re.findall(r"\b[A-Z]", parts[1]))
    return named or (len(short) > 1 and bool(re.search(rf"\b{short}C?\b", text)))

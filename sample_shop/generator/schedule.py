"""When an order is placed, dispatched, expected and delivered, by the rules of the shop's delivery policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from generator.records import OPENED, TODAY

NEW_RATES = date(2026, 10, 1)
"""From this day the present delivery policy holds; before it the one that ended on 30 September 2026."""

BANK_HOLIDAYS = frozenset(
    date.fromisoformat(day)
    for day in (
        "2025-08-25 2025-12-25 2025-12-26 2026-01-01 2026-04-03 2026-04-06 2026-05-04 2026-05-25 2026-08-31"
        " 2026-12-25 2026-12-28"
    ).split()
)

# Working days until a parcel arrives, (fewest, most), before and since NEW_RATES.
DAYS_ON_THE_WAY = {"uk": ((3, 5), (2, 4)), "ireland": ((5, 7), (4, 6)), "eu": ((6, 9), (5, 8))}

# How many days before today an order in this state was placed: (fewest, most).
PLACED_AGO = {
    "pending": (0, 2),
    "processed": (1, 3),
    "shipped": (1, 14),
    "return requested": (6, 42),
    "exchange requested": (6, 42),
    "returned": (30, 530),
    "delivered": (3, 535),
    "cancelled": (1, 530),
}


@dataclass(frozen=True)
class Dates:
    """The days of an order; None where that has not happened. `ended` is the day it was cancelled or came back."""

    placed: date
    shipped: date | None = None
    expected: date | None = None
    delivered: date | None = None
    asked: date | None = None
    ended: date | None = None


def working_days_after(day: date, count: int) -> date:
    """The `count`-th working day (Monday to Friday, no UK bank holiday) after a day."""
    while count > 0:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in BANK_HOLIDAYS:
            count -= 1
    return day


def region_of(address: dict[str, str]) -> str:
    """Which delivery charge and time an address has: "uk", "ireland" or "eu"."""
    return {"United Kingdom": "uk", "Ireland": "ireland"}.get(address["country"], "eu")


def draw(status: str, region: str, express: bool, remote: bool, rng: Random) -> Dates:
    """Days that fit a status today, drawn again until they do. `remote`: the Highlands take one working day more."""
    while True:
        placed = _placed(status, rng)
        dates = _journey(status, placed, region, express, remote, rng)
        if dates is not None:
            return dates


def _placed(status: str, rng: Random) -> date:
    fewest, most = PLACED_AGO[status]
    # The shop grows, so recent days are likelier; and the weeks before Christmas are busier.
    ago = fewest + int((most - fewest + 1) * rng.random() ** 1.35)
    placed = TODAY - timedelta(days=ago)
    if placed.month in (2, 3) and rng.random() < 0.3:
        placed -= timedelta(days=90)
    return max(placed, OPENED)


def _journey(status: str, placed: date, region: str, express: bool, remote: bool, rng: Random) -> Dates | None:
    if status == "cancelled":
        return Dates(placed, ended=min(placed + timedelta(days=rng.choice([0, 0, 0, 1])), TODAY))
    fewest, most = DAYS_ON_THE_WAY[region][placed >= NEW_RATES]
    if express:
        fewest = most = rng.choice([1, 1, 1, 2]) if placed.weekday() < 5 else 2
    expected = working_days_after(placed, most + remote)
    if status in ("pending", "processed"):
        return Dates(placed, expected=expected)
    shipped = working_days_after(placed, 0 if express and placed.weekday() < 5 else rng.choice([0, 1, 1]))
    shipped = working_days_after(shipped, 1) if shipped.weekday() > 4 or shipped in BANK_HOLIDAYS else shipped
    if status == "shipped":
        return _on_its_way(Dates(placed, shipped, expected), rng)
    taken = rng.randint(fewest, most) if rng.random() < 0.94 else most + rng.randint(1, 4)
    delivered = working_days_after(placed, max(taken + remote, 1))
    if delivered > TODAY or delivered <= shipped:
        return None
    return _after_delivery(status, Dates(placed, shipped, expected, delivered), rng)


def _on_its_way(dates: Dates, rng: Random) -> Dates | None:
    assert dates.shipped is not None
    assert dates.expected is not None
    if dates.shipped > TODAY:
        return None
    # A parcel past its day is the exception, but shoppers ask about it most.
    return dates if dates.expected >= TODAY or rng.random() < 0.08 else None


def _after_delivery(status: str, dates: Dates, rng: Random) -> Dates | None:
    assert dates.delivered is not None
    if status == "delivered":
        return dates
    asked = dates.delivered + timedelta(days=min(1 + int(29 * rng.random() ** 2), 30))
    if asked > TODAY:
        return None
    if status != "returned":
        # What was asked for long ago has come back by now.
        return None if asked < TODAY - timedelta(days=16) else _with(dates, asked, None)
    ended = working_days_after(asked, rng.randint(3, 11))
    return None if ended > TODAY - timedelta(days=2) else _with(dates, asked, ended)


def _with(dates: Dates, asked: date, ended: date | None) -> Dates:
    return Dates(dates.placed, dates.shipped, dates.expected, dates.delivered, asked, ended)

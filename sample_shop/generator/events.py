"""Browsing: sessions of views, searches, carts, offers and purchases.

Every purchase is a line of an order, in a session on the day of the order; every other session ends without one.
An offer is drawn by a known policy (`offer_chances`) and its probability is logged with it, so that another policy can
be judged on the log.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random

from generator.records import OPENED, TODAY, Record, Shop, favourites, popularity, stream
from generator.schedule import working_days_after

BROWSING_SESSIONS = 820
WITHOUT_LOGIN = 0.42

OFFERS: dict[str, tuple[str, ...]] = {
    "camp_weekend": ("tents", "sleeping bags", "backpacks"),
    "rain_ready": ("jackets", "footwear"),
    "kitchen_corner": ("cookware", "kettles and coffee"),
    "lights_and_sound": ("lighting", "headphones and speakers"),
    "sleep_well": ("bedding",),
    "pack_and_go": ("luggage", "backpacks"),
    "rainy_day_games": ("toys and games",),
    "newsletter": (),
}
"""Banner → the categories it advertises."""
EXPLORE = 0.25
"""Share of offers that are shown at random, whatever has been looked at."""


@dataclass
class Session:
    """A visit while it is written down: a clock that moves on, and the events so far."""

    user_id: str | None
    taste: list[str]
    language: str
    clock: datetime
    rng: Random
    events: list[Record] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    """The categories of the products viewed so far."""

    def note(self, kind: str, **more: object) -> None:
        """Add an event, some seconds after the last one."""
        self.clock += timedelta(seconds=self.rng.randint(4, 90))
        moment = self.clock.isoformat().replace("+00:00", "Z")
        self.events.append({"time": moment, "user_id": self.user_id, "session_id": "", "kind": kind, **more})


def make_events(shop: Shop, orders: list[Record]) -> list[Record]:
    """All events, in the order of time; the same ones every time."""
    rng = stream("events")
    tastes = favourites(shop)
    products = {product["product_id"]: product for product in shop.products}
    queries = tomllib.loads((Path(__file__).resolve().parent / "queries.toml").read_text("utf-8"))
    browsing = Browsing(shop, products, queries)
    languages = {shopper["user_id"]: shopper["language"] for shopper in shop.shoppers}
    sessions = [
        browsing.that_buys(order, tastes[order["user_id"]], languages[order["user_id"]], rng) for order in orders
    ]
    sessions += [browsing.that_leaves(tastes, rng) for _ in range(BROWSING_SESSIONS)]
    sessions.sort(key=lambda session: session.events[0]["time"])
    for number, session in enumerate(sessions, 1):
        for event in session.events:
            event["session_id"] = f"v{number:05d}"
    return sorted((event for session in sessions for event in session.events), key=lambda event: event["time"])


def offer_chances(looked_at: list[str]) -> dict[str, float]:
    """The policy that shows offers: banner → probability, from the categories viewed so far in the session.

    A share of EXPLORE is spread evenly; the rest is a softmax over how many of the views fit a banner's categories.
    """
    scores = {
        offer: math.exp(min(sum(seen in categories for seen in looked_at), 3)) for offer, categories in OFFERS.items()
    }
    total = sum(scores.values())
    return {offer: EXPLORE / len(OFFERS) + (1 - EXPLORE) * score / total for offer, score in scores.items()}


@dataclass(frozen=True)
class Browsing:
    """How people move through the shop."""

    shop: Shop
    products: dict[str, Record]
    queries: dict[str, dict[str, list[str]]]

    def that_buys(self, order: Record, taste: list[str], language: str, rng: Random) -> Session:
        """The visit in which an order was placed."""
        session = Session(order["user_id"], taste, language, _moment_of(order, rng), rng)
        for item in order["items"]:
            category = self.products[item["product_id"]]["category"]
            if rng.random() < 0.4:
                self._search(session, category)
            for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
                self._view(session, self._something(category, rng))
            self._view(session, item["product_id"])
            if rng.random() < 0.4:
                self._offer(session)
            session.note("cart", product_id=item["product_id"])
        for item in order["items"]:
            session.note("purchase", product_id=item["product_id"], order_id=order["order_id"])
        return session

    def that_leaves(self, tastes: dict[str, list[str]], rng: Random) -> Session:
        """A visit without an order, of a shopper or of a visitor without login."""
        days = (TODAY - OPENED).days
        day = TODAY - timedelta(days=1 + int((days - 1) * rng.random() ** 1.3))
        session = Session(None, [], "en", _at(day, rng.randint(6, 21), rng), rng)
        if rng.random() > WITHOUT_LOGIN:
            shopper = rng.choice(self.shop.shoppers)
            session.user_id, session.language = shopper["user_id"], shopper["language"]
            session.taste = tastes[session.user_id or ""]
        else:
            session.taste = rng.sample(list(OFFERS["camp_weekend"] + OFFERS["rain_ready"] + OFFERS["sleep_well"]), 2)
            session.language = "zh" if rng.random() < 0.2 else "en"
        for _ in range(rng.choice([1, 1, 1, 2])):
            self._wander(session)
        return session

    def _wander(self, session: Session) -> None:
        rng = session.rng
        category = rng.choice(session.taste) if rng.random() < 0.7 else rng.choice(list(self.queries))
        if rng.random() < 0.45:
            self._search(session, category)
        product_id = ""
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            product_id = self._something(category, rng)
            self._view(session, product_id)
        if rng.random() < 0.75:
            self._offer(session)
        if rng.random() < 0.12:
            session.note("cart", product_id=product_id)

    def _something(self, category: str, rng: Random) -> str:
        """A product of a category, popular ones more often."""
        weight = popularity(self.shop)
        ids = [product["product_id"] for product in self.shop.by_category[category]]
        return rng.choices(ids, [weight[product_id] for product_id in ids])[0]

    def _search(self, session: Session, category: str) -> None:
        session.note("search", query=session.rng.choice(self.queries[category][session.language]))

    def _view(self, session: Session, product_id: str) -> None:
        session.looked_at.append(self.products[product_id]["category"])
        session.note("view", product_id=product_id)

    def _offer(self, session: Session) -> None:
        chances = offer_chances(session.looked_at)
        offer = session.rng.choices(list(chances), list(chances.values()))[0]
        liked = sum(category in session.taste for category in OFFERS[offer])
        seen = any(category in session.looked_at for category in OFFERS[offer])
        clicked = session.rng.random() < 0.02 + 0.09 * liked + 0.05 * seen
        session.note("offer", offer_id=offer, propensity=round(chances[offer], 6), clicked=clicked)


def _at(day: date, hour: int, rng: Random) -> datetime:
    """A moment in an hour (UTC) of a day. Hours from 6 to 21 lie on the same day in British summer time."""
    return datetime.combine(day, time(hour, rng.randrange(60), rng.randrange(60)), UTC)


def _moment_of(order: Record, rng: Random) -> datetime:
    """When an order was placed; an express order due on the next working day, before the hour for that had passed."""
    placed = date.fromisoformat(order["placed_on"])
    hours = (6, 21)
    if order["shipping_method"] == "express" and "expected_on" in order and placed.weekday() < 5:
        next_day = date.fromisoformat(order["expected_on"]) == working_days_after(placed, 1)
        hours = (6, 10) if next_day else (14, 21)
    if placed == TODAY:
        hours = (6, 9)
    return _at(placed, rng.randint(*hours), rng)

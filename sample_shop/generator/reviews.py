"""Reviews: 18 months of them, in English and Chinese, by shoppers after delivery and by guests.

Three products tell a story that a watch over reviews should find: two have a bad batch from a day on, one has a burst
of praise that looks bought (phrases.toml).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from generator.phrases import Phrases, say, slip
from generator.records import OPENED, TODAY, Record, Shop, popularity, stream

GUEST_REVIEWS = 460
LEAST_A_PRODUCT = 2
REVIEWED = 0.34
"""Share of delivered items that their buyer writes about."""
GUESTS_WHO_WRITE_CHINESE = 0.24
LIKED_BEFORE = 4.5
"""Stars of a product before its bad batch, on average: the fall is meant to be seen."""


@dataclass
class Plan:
    """A review to be written: who, on what, when, how many stars. `batch` is the story of a bad batch that it tells."""

    product: Record
    variant: Record
    user_id: str
    language: str
    day: date
    rating: int
    batch: dict[str, Any] | None = None


def make_reviews(shop: Shop, orders: list[Record]) -> list[Record]:
    """All reviews, oldest first; the same ones every time. No text occurs twice."""
    rng = stream("reviews")
    phrases = Phrases.read()
    plans = [
        *_by_buyers(shop, orders, phrases, rng),
        *_by_guests(shop, phrases, rng),
        *_of_bad_batches(shop, phrases, rng),
    ]
    for plan in plans:
        _spoil(plan, phrases, rng)
    texts: set[str] = set()
    reviews = [_write(plan, phrases, texts, rng) for plan in plans] + _burst(shop, phrases, texts, rng)
    reviews.sort(key=lambda review: (review["date"], review["user_id"], review["product_id"]))
    return [{"review_id": f"R{number:05d}", **review} for number, review in enumerate(reviews, 1)]


def _by_buyers(shop: Shop, orders: list[Record], phrases: Phrases, rng: Random) -> list[Plan]:
    products = {product["product_id"]: product for product in shop.products}
    language = {shopper["user_id"]: shopper["language"] for shopper in shop.shoppers}
    quality = _quality(shop, phrases)
    plans: list[Plan] = []
    written: set[tuple[str, str]] = set()
    for order in orders:
        for item in order["items"]:
            buyer, product = order["user_id"], products[item["product_id"]]
            if "delivered_on" not in order or (buyer, item["product_id"]) in written or rng.random() > REVIEWED:
                continue
            day = date.fromisoformat(order["delivered_on"]) + timedelta(days=2 + int(70 * rng.random() ** 2))
            if day < TODAY:
                written.add((buyer, item["product_id"]))
                liked = quality[item["product_id"]] - (1.6 if item["item_id"] in order.get("return_items", ()) else 0.0)
                variant = product["variants"][item["item_id"]]
                plans.append(Plan(product, variant, buyer, language[buyer], day, _stars(liked, rng)))
    return plans


def _by_guests(shop: Shop, phrases: Phrases, rng: Random) -> list[Plan]:
    """Reviews of people who order as guests: every product has some, popular ones more."""
    weight = popularity(shop)
    quality = _quality(shop, phrases)
    products = [product for product in shop.products for _ in range(LEAST_A_PRODUCT)]
    products += rng.choices(
        shop.products, [weight[product["product_id"]] for product in shop.products], k=GUEST_REVIEWS - len(products)
    )
    days = (TODAY - OPENED).days
    return [
        Plan(
            product,
            rng.choice(list(product["variants"].values())),
            f"guest_{rng.randint(1000, 9999)}",
            "zh" if rng.random() < GUESTS_WHO_WRITE_CHINESE else "en",
            TODAY - timedelta(days=1 + int((days - 4) * rng.random() ** 1.2)),
            _stars(quality[product["product_id"]], rng),
        )
        for product in products
    ]


def _of_bad_batches(shop: Shop, phrases: Phrases, rng: Random) -> list[Plan]:
    """Reviews of products with a bad batch: some of the good days, and more since, as people write of what is wrong."""
    plans: list[Plan] = []
    for batch in phrases.stories["batches"]:
        product = next(product for product in shop.products if product["product_id"] == batch["product"])
        periods = [(OPENED, batch["since"])] * batch["earlier"] + [(batch["since"], TODAY)] * batch["extra"]
        for first, end in periods:
            day = first + timedelta(days=int((end - first).days * rng.random()))
            language = "zh" if rng.random() < GUESTS_WHO_WRITE_CHINESE else "en"
            variant = rng.choice(list(product["variants"].values()))
            guest = f"guest_{rng.randint(1000, 9999)}"
            plans.append(Plan(product, variant, guest, language, day, _stars(LIKED_BEFORE, rng)))
    return plans


def _spoil(plan: Plan, phrases: Phrases, rng: Random) -> None:
    """Give four of five reviews of a bad batch its fault and the stars that go with it."""
    for batch in phrases.stories["batches"]:
        if plan.product["product_id"] == batch["product"] and plan.day >= batch["since"] and rng.random() < 0.8:
            plan.batch, plan.rating = batch, rng.choices([1, 2, 3], [60, 32, 8])[0]


def _quality(shop: Shop, phrases: Phrases) -> dict[str, float]:
    """Product → what its buyers think of it on average, in stars; a bad batch apart."""
    rng = stream("quality")
    liked = {product["product_id"]: rng.triangular(3.2, 4.9, 4.5) for product in shop.products}
    return liked | {batch["product"]: LIKED_BEFORE for batch in phrases.stories["batches"]}


def _stars(liked: float, rng: Random) -> int:
    """One to five stars around an opinion, with the long tail of ones that shops know."""
    if rng.random() < 0.06:
        return 1
    return max(1, min(5, round(rng.gauss(liked, 0.85))))


def _write(plan: Plan, phrases: Phrases, texts: set[str], rng: Random) -> Record:
    while True:
        text = _text(plan, phrases, rng)
        if text not in texts:
            break
    texts.add(text)
    return {
        "product_id": plan.product["product_id"],
        "user_id": plan.user_id,
        "rating": plan.rating,
        "title": _title(plan, phrases, rng),
        "text": text,
        "date": plan.day.isoformat(),
        "language": plan.language,
        "helpful": _helpful(plan, rng),
    }


def _text(plan: Plan, phrases: Phrases, rng: Random) -> str:
    words = phrases.words[plan.language]["any"]
    said: list[str] = []
    if rng.random() < 0.5:
        colour = plan.variant["options"].get("colour", "")
        said.append(rng.choice(phrases.openings(plan.language, plan.product["product_id"], colour)))
    said += _fault(plan, phrases, rng) if plan.batch is not None else _opinions(plan, phrases, rng)
    if rng.random() < 0.12:
        said.append(rng.choice(words["good_service" if plan.rating > 3 else "bad_service"]))
    if rng.random() < 0.5:
        said.append(rng.choice(words[f"{_tone(plan.rating)}_close"]))
    text = ("" if plan.language == "zh" else " ").join(say(sentence, rng) for sentence in said)
    return slip(text, plan.language, rng) if rng.random() < 0.16 else text


def _fault(plan: Plan, phrases: Phrases, rng: Random) -> list[str]:
    """What is wrong with a bad batch, now and then with something good beside it."""
    assert plan.batch is not None
    fault = rng.sample(plan.batch[plan.language], rng.choice([1, 1, 2]))
    good = phrases.aspects(plan.language, plan.product["product_id"], "good")
    unspoilt = [sentences for aspect, sentences in good.items() if aspect != plan.batch["aspect"]]
    return fault if rng.random() < 0.7 else [*fault, rng.choice(rng.choice(unspoilt))]


def _opinions(plan: Plan, phrases: Phrases, rng: Random) -> list[str]:
    """One to three sentences on different aspects, praise and blame by the stars; one may fit this product alone."""
    wanted = {
        5: rng.choice(["good", "good good", "good good good"]),
        4: rng.choice(["good good", "good good bad", "good bad"]),
        3: rng.choice(["good bad", "bad good", "good good bad"]),
        2: rng.choice(["bad bad", "bad bad good", "bad"]),
        1: rng.choice(["bad", "bad bad", "bad bad bad"]),
    }[plan.rating].split()
    product_id = plan.product["product_id"]
    said: dict[str, str] = {}
    for tone in wanted:
        aspects = phrases.aspects(plan.language, product_id, tone)
        own = f"{plan.language}_{tone}"
        if "own" not in said and (rng.random() < 0.3 or not aspects.keys() - said.keys()):
            said["own"] = rng.choice(phrases.products[product_id][own])
        elif fresh := [aspect for aspect in aspects if aspect not in said]:
            aspect = rng.choice(fresh)
            said[aspect] = rng.choice(aspects[aspect])
    return _joined(list(said.values()), wanted, plan.language, rng)


def _joined(said: list[str], wanted: list[str], language: str, rng: Random) -> list[str]:
    """Put a word of contrast before the first sentence that turns from praise to blame."""
    turns = [place for place in range(1, len(said)) if wanted[place - 1 : place + 1] == ["good", "bad"]]
    if not turns or rng.random() < 0.35:
        return said
    turn = turns[0]
    if language == "zh":
        return [*said[:turn], rng.choice(["不过", "但是", "就是", "可惜"]) + said[turn], *said[turn + 1 :]]
    word = rng.choice(["But: ", "On the other hand: ", "Only downside: ", "One thing though. ", "Sadly: ", "Minus: "])
    return [*said[:turn], word + said[turn], *said[turn + 1 :]]


def _tone(rating: int) -> str:
    return "good" if rating > 3 else "mixed" if rating == 3 else "bad"


def _title(plan: Plan, phrases: Phrases, rng: Random) -> str:
    if plan.batch is not None and rng.random() < 0.75:
        return str(rng.choice(plan.batch[f"titles_{plan.language}"]))
    return str(rng.choice(phrases.words[plan.language]["any"][f"{_tone(plan.rating)}_titles"]))


def _helpful(plan: Plan, rng: Random) -> int:
    """Votes grow with age, and blame is found helpful more often than praise."""
    age = (TODAY - plan.day).days
    return int(rng.expovariate(1.0) * (0.6 + age / 130) * (1.7 if plan.rating < 3 else 1.0))


def _burst(shop: Shop, phrases: Phrases, texts: set[str], rng: Random) -> list[Record]:
    story = phrases.stories["burst"]
    product = next(product for product in shop.products if product["product_id"] == story["product"])
    variant = next(iter(product["variants"].values()))
    reviews: list[Record] = []
    while len(reviews) < story["count"]:
        text = " ".join(say(sentence, rng) for sentence in rng.sample(story["en"], rng.choice([1, 2, 2])))
        if text in texts:
            continue
        texts.add(text)
        day = story["first"] + timedelta(days=rng.randrange(story["days"]))
        plan = Plan(product, variant, f"guest_{rng.randint(1000, 9999)}", "en", day, 5)
        reviews.append({**_praise(plan), "title": rng.choice(story["titles_en"]), "text": text, **_tail(plan)})
    return reviews


def _praise(plan: Plan) -> Record:
    return {"product_id": plan.product["product_id"], "user_id": plan.user_id, "rating": plan.rating}


def _tail(plan: Plan) -> Record:
    return {"date": plan.day.isoformat(), "language": plan.language, "helpful": 0}

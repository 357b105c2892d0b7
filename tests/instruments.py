"""A shop for musical instruments, small enough to know by heart: what the tests of the catalog ask about.

Its words are in no other shop of the repository, so that what the code understands here it has from these products.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shopbot.types import Product, Variant

Versions = list[tuple[dict[str, str], str | None, bool]]


def product(number: int, name: str, zh: str, versions: Versions, **fields: Any) -> Product:
    """A product whose variants are (options, price, available)."""
    variants = tuple(
        Variant(f"SKU-{number}-{place}", None if price is None else Decimal(price), available, None, options)
        for place, (options, price, available) in enumerate(versions)
    )
    category, zh_category = fields.pop("category").split("/")
    return Product(
        f"I{number}",
        name,
        category,
        variants=variants,
        names={"zh": zh},
        categories={"zh": zh_category},
        **fields,
    )


def one(price: str | None, available: bool = True, **options: str) -> Versions:
    """The single version of a product."""
    return [(options, price, available)]


PRODUCTS: tuple[Product, ...] = (
    product(
        1001,
        "Aria 2 Violin",
        "Aria 2 小提琴",
        [
            ({"size": "3/4", "colour": "amber"}, "180", False),
            ({"size": "4/4", "colour": "amber"}, "220", True),
            ({"size": "4/4", "colour": "black"}, "235", True),
        ],
        category="violins/小提琴",
        brand="Cremo",
        attributes={"top wood": "spruce", "weight": "480 g", "case included": "yes"},
        description="A first violin for school orchestras.",
    ),
    product(
        1002,
        "Aria 2 Pro Violin",
        "Aria 2 Pro 小提琴",
        [({"size": "4/4", "colour": "amber"}, "640", True)],
        category="violins/小提琴",
        brand="Cremo",
        attributes={"top wood": "spruce", "weight": "0.45 kg", "case included": "no"},
    ),
    product(
        1003,
        "Nocturne Electric Violin",
        "Nocturne 电小提琴",
        one("399", colour="black"),
        category="violins/小提琴",
        brand="Voltar",
        attributes={"weight": "620 g", "wireless": "no", "battery life": "9 hours"},
    ),
    product(
        1004,
        "Maple Violin Bow",
        "枫木小提琴弓",
        one("45"),
        category="bows and strings/琴弓与琴弦",
        brand="Cremo",
        attributes={"weight": "60 g"},
    ),
    product(
        1005,
        "Carbon Cello Bow",
        "碳纤维大提琴弓",
        one("95", available=False),
        category="bows and strings/琴弓与琴弦",
        brand="Voltar",
        attributes={"weight": "80 g"},
    ),
    product(
        1006,
        "Steel String Set",
        "钢弦套装",
        [({"gauge": "light"}, "12.50", True), ({"gauge": "heavy"}, "13", True)],
        category="bows and strings/琴弓与琴弦",
        attributes={"pieces": "6"},
    ),
    product(
        1007,
        "Tempest Snare Drum",
        "Tempest 军鼓",
        [({"diameter": "13 inch"}, "150", True), ({"diameter": "14 inch"}, "165", False)],
        category="percussion/打击乐器",
        brand="Bashir",
        attributes={"shell": "birch"},
    ),
    product(
        1008,
        "Junior Drum Kit",
        "儿童架子鼓",
        one("320", colour="red"),
        category="percussion/打击乐器",
        brand="Bashir",
        attributes={"pieces": "5", "age": "from 5 years"},
    ),
    product(
        1009,
        "Pocket Metronome",
        "袖珍节拍器",
        one(None),
        category="practice/练习用品",
        brand="Voltar",
        attributes={"battery life": "60 hours"},
    ),
)

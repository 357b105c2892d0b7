"""A shop that nobody here has written: are questions about its catalog answered with the right rows?

python -m benchmarks.any_shop [--quick] [--json OUT]

The shop is made on the spot from two public catalogs (Walmart and Abt, 3,630 products, no categories, many without a
price), 50 questions from templates with a seed, and the gold rows by brute force over the CSV: plain loops over titles,
none of the code under test. Where "a Sony camera" may mean the noun of the title or any word of it, both readings are
computed, and only questions on which they agree (or, for lists, answers between the two) are asked and counted.

A second row looks for product nouns of the three shops in `shopbot/` and `knowledge/`; see `product_nouns`.
"""

from __future__ import annotations

import csv
import json
import random
import re
import statistics
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import REPOSITORY, Rows, data_dir
from shopbot.catalog import Catalog
from shopbot.shop import Shop

SEED = 20261120
TARGET, QUICK_TARGET = 0.80, 0.70
COUNTS = {"cheapest": 12, "bound": 8, "price": 10, "list": 6, "compare": 6, "misspelt": 8}
SOURCES = (("W", "D8/walmart.csv", "title", "|"), ("A", "D2/abt.csv", "name", "|"))
COLOURS = frozenset("black white red blue green yellow gray grey pink purple silver gold brown orange".split())
SHOP_TOML = """
[shop]
name = "Third shop"
today = "2026-11-20"
currency = "USD"

[parts]
catalog = "catalog.csv"
"""


@dataclass(frozen=True)
class Item:
    """A row of the CSV as the brute force sees it."""

    id: str
    title: str
    brand: str
    price: float | None

    @property
    def words(self) -> list[str]:
        return plain_words(self.title)


@dataclass(frozen=True)
class Question:
    """A question and what a right answer is: a test of the ids found, in order."""

    kind: str
    text: str
    is_right: Callable[[Sequence[str]], bool]
    gold: str


def plain_words(text: str) -> list[str]:
    """Words in lower case without a plural s; the brute force's own, on purpose not the code's."""
    return [singular(word) for word in re.findall(r"[a-z0-9]+(?:[.'-][a-z0-9]+)*", text.lower())]


def singular(word: str) -> str:
    """A word without its plural s."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def last_noun(title: str) -> str:
    """The last plain word of a title before a dash, a comma, a bracket or a preposition."""
    head = re.split(r"\s-|- |[(,;/]|\s(?:with|for|in|w|by|of)\s", title, maxsplit=1, flags=re.IGNORECASE)[0]
    plain = [word for word in head.split() if re.fullmatch(r"[A-Za-z]{3,}", word) and word.lower() not in COLOURS]
    return singular(plain[-1].lower()) if plain else ""


# ---------------------------------------------------------------- the shop


def read_items(data: Path) -> list[Item]:
    """The rows of both catalogs; Abt names no brands, so theirs is the first word if Walmart knows it as one."""
    items: list[Item] = []
    brands: dict[str, str] = {}
    for prefix, name, column, delimiter in SOURCES:
        with (data / "product_matching" / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE):
                title = row[column].strip()
                brand = (row.get("brand") or "").strip() or brands.get(title.split(" ")[0].lower(), "")
                brands.setdefault(brand.lower(), brand)
                price = float(row["price"]) if row["price"] and float(row["price"]) > 0 else None
                items.append(Item(prefix + row["id"], title, brand, price))
    return items


def write_shop(items: Sequence[Item], folder: Path) -> None:
    """A shop folder as a shop's export would make it, with columns that shopbot is not told of."""
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Product ID", "Title", "Manufacturer", "Price"])
        writer.writerows(
            [item.id, item.title, item.brand, f"${item.price:,.2f}" if item.price else ""] for item in items
        )
    (folder / "shop.toml").write_text(SHOP_TOML, encoding="utf-8")


# ---------------------------------------------------------------- questions


class Questions:
    """Templates over the rows; each draws with the one random generator until it finds a clear case."""

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        self.items = items
        self.random = random.Random(seed)
        self.vocabulary = Counter(word for item in items for word in set(item.words))
        self.groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
        for item in items:
            noun = last_noun(item.title)
            if item.brand and noun and noun not in plain_words(item.brand):
                self.groups[item.brand, noun].append(item)
        self.pairs = sorted(pair for pair, group in self.groups.items() if len(group) >= 3)

    def draw(self, share: float = 1.0) -> Iterator[Question]:
        """All questions, or that share of each kind."""
        for kind, count in COUNTS.items():
            make: Callable[[], Question | None] = getattr(self, f"_{kind}")
            made: dict[str, Question] = {}
            while len(made) < max(2, round(count * share)):
                question = make()
                if question is not None:
                    made[question.text] = question
            yield from made.values()

    def _wide(self, brand: str, noun: str) -> list[Item]:
        """The other reading of a pair: the noun anywhere in the title."""
        words = plain_words(brand)
        return [
            item for item in self.items if noun in item.words and (item.brand == brand or set(words) <= set(item.words))
        ]

    def _clear_cheapest(self) -> tuple[str, str, set[str], float] | None:
        """A brand and noun whose cheapest row is the same in both readings."""
        brand, noun = self.random.choice(self.pairs)
        priced = [item for item in self.groups[brand, noun] if item.price]
        wide = [item for item in self._wide(brand, noun) if item.price]
        if len(priced) < 3 or not wide:
            return None
        low = min(item.price for item in priced if item.price)
        if low != min(item.price for item in wide if item.price):
            return None
        return brand, noun, {item.id for item in wide if item.price == low}, low

    def _cheapest(self) -> Question | None:
        if (clear := self._clear_cheapest()) is None:
            return None
        brand, noun, gold, _ = clear
        form = self.random.choice(
            [
                "What's the cheapest {} {}?",
                "cheapest {} {}",
                "Which is your most affordable {} {}?",
                "lowest price {} {}",
            ]
        )
        return Question("cheapest", form.format(brand, noun), lambda ids: ids[:1] != [] and ids[0] in gold, f"{gold}")

    def _misspelt(self) -> Question | None:
        """As above, with a letter of the noun dropped, doubled or swapped, so that it is no word of the catalog."""
        if (clear := self._clear_cheapest()) is None or len(clear[1]) < 6:
            return None
        brand, noun, gold, _ = clear
        place = self.random.randrange(1, len(noun) - 2)
        wrong = self.random.choice(
            [
                noun[:place] + noun[place + 1 :],
                noun[:place] + noun[place] + noun[place:],
                noun[:place] + noun[place + 1] + noun[place] + noun[place + 2 :],
            ]
        )
        if wrong in self.vocabulary or wrong == noun:
            return None
        return Question(
            "misspelt", f"cheapest {brand} {wrong}", lambda ids: ids[:1] != [] and ids[0] in gold, f"{gold}"
        )

    def _bound(self) -> Question | None:
        brand, noun = self.random.choice(self.pairs)
        prices = sorted(item.price for item in self.groups[brand, noun] if item.price)
        if len(prices) < 3 or prices[0] == prices[-1]:
            return None
        bound = round(self.random.uniform(prices[0], prices[-1]), 0) + 1
        narrow = {item.id for item in self.groups[brand, noun] if item.price and item.price <= bound}
        wide = {item.id for item in self._wide(brand, noun) if item.price and item.price <= bound}
        form = self.random.choice(
            ["{} {} under ${:.0f}", "Do you have a {} {} for less than {:.0f} dollars?", "{} {} up to ${:.0f}"]
        )
        text = form.format(brand, noun, bound)
        return Question("bound", text, lambda ids: narrow <= set(ids) <= wide, f"{len(narrow)}..{len(wide)} rows")

    def _list(self) -> Question | None:
        brand, noun = self.random.choice(self.pairs)
        narrow = {item.id for item in self.groups[brand, noun]}
        wide = {item.id for item in self._wide(brand, noun)}
        form = self.random.choice(
            ["Which {1}s do you have from {0}?", "Show me all {0} {1}s", "what {0} {1}s do you sell"]
        )
        return Question(
            "list", form.format(brand, noun), lambda ids: narrow <= set(ids) <= wide, f"{len(narrow)}..{len(wide)} rows"
        )

    def _partial(self) -> tuple[str, Item] | None:
        """A piece of a title, three to five words in a row, that is in no other title."""
        item = self.random.choice(self.items)
        words = re.findall(r"[\w.'-]+", item.title)
        size = self.random.randint(3, 5)
        if item.price is None or len(words) <= size:
            return None
        start = self.random.randrange(len(words) - size)
        piece = " ".join(words[start : start + size])
        held = set(plain_words(piece))
        joiners = {"and", "or", "with", "to", "for", "in", "-", "of"} & {
            word.lower() for word in words[start : start + size]
        }
        holding = [other for other in self.items if held <= set(other.words)]
        return (piece, item) if len(holding) == 1 and not joiners and len(held) >= 3 else None

    def _price(self) -> Question | None:
        if (partial := self._partial()) is None:
            return None
        form = self.random.choice(["How much is the {}?", "price of {}", "What does the {} cost?"])
        gold = partial[1].id
        return Question("price", form.format(partial[0]), lambda ids: list(ids[:1]) == [gold], partial[1].title)

    def _compare(self) -> Question | None:
        one, two = self._partial(), self._partial()
        if one is None or two is None:
            return None
        form = self.random.choice(["Compare the {} and the {}", "What is the difference between the {} and the {}?"])
        gold = {one[1].id, two[1].id}
        text = form.format(one[0], two[0])
        return Question("compare", text, lambda ids: set(ids) == gold, f"{one[1].title} | {two[1].title}")


def ask(catalog: Catalog, question: Question) -> bool:
    """Whether the rows found are the right ones; what was dropped to find them counts as not found."""
    found = catalog.search(catalog.parse(question.text), limit=400)
    ids = [] if found.relaxed else [hit.product.id for hit in found]
    right = question.is_right(ids)
    if not right:
        named = ", ".join(f"{hit.product.name} ({hit.variants[0].price})" for hit in found.hits[:3])
        print(f"    {question.kind}: {question.text!r} found {len(found)}, dropped {found.relaxed}: {named}")
        print(f"        gold: {question.gold}")
    return right


# ---------------------------------------------------------------- no nouns of any shop in the code


def product_nouns(items: Sequence[Item], data: Path) -> set[str]:
    """Nouns of the three shops: categories, and the last nouns of names (in the third shop those of ten rows or more).

    Two sorts are generic and left out: words that the source of Python's standard library uses, too ("case", "set",
    "system": they say nothing about a shop), and words in the names of attributes and options ("battery life").
    """
    nouns = {noun for noun, count in Counter(last_noun(item.title) for item in items).items() if count >= 10}
    properties: set[str] = set()
    for record in _records(data):
        nouns.add(last_noun(record["name"]))
        nouns |= {last_noun(part) for part in re.split(r" and ", record.get("category", ""))}
        nouns.add(record.get("i18n", {}).get("zh", {}).get("category", ""))
        options = [name for variant in record["variants"].values() for name in variant["options"]]
        properties |= {word for name in (*options, *record.get("attributes", {})) for word in plain_words(name)}
    return nouns - {""} - properties - generic_words()


def _records(data: Path) -> list[dict[str, Any]]:
    """The products of tau2_retail and of the sample shop as their files hold them."""
    ours = (REPOSITORY / "sample_shop" / "catalog.jsonl").read_text("utf-8").splitlines()
    theirs = json.loads((data / "tau2_retail" / "db.json").read_text("utf-8"))["products"]
    return [*map(json.loads, ours), *theirs.values()]


def generic_words() -> set[str]:
    """The words in the source of the standard library, its tests left out."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    words: set[str] = set()
    for path in folder.rglob("*.py"):
        if not {"site-packages", "test", "tests", "idle_test"} & set(path.parts):
            words.update(re.findall(r"[a-z]+", path.read_text("utf-8", "replace").lower()))
    return {singular(word) for word in words}


def nouns_found(nouns: set[str]) -> list[str]:
    """Where a noun stands in `shopbot/` or `knowledge/`, as "file: noun"."""
    found: list[str] = []
    for folder in ("shopbot", "knowledge"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix not in {".py", ".toml", ".jinja"}:
                continue
            text = path.read_text("utf-8").lower()
            words = {singular(word) for word in re.findall(r"[a-z]+", text)}
            here = {noun for noun in nouns if (noun in words if noun.isascii() else noun in text)}
            found += [f"{path.relative_to(REPOSITORY)}: {noun}" for noun in sorted(here)]
    return found


# ---------------------------------------------------------------- the run


def measure(data: Path, quick: bool, rows: Rows) -> None:
    """Build the shop, ask, and add the rows."""
    items = read_items(data)
    target = QUICK_TARGET if quick else TARGET
    with tempfile.TemporaryDirectory() as folder:
        write_shop(items, Path(folder))
        catalog = Shop.open(Path(folder)).catalog
        results: dict[str, list[bool]] = defaultdict(list)
        times: list[float] = []
        for question in Questions(items, SEED).draw(0.4 if quick else 1.0):
            begin = time.perf_counter()
            results[question.kind].append(ask(catalog, question))
            times.append(1000 * (time.perf_counter() - begin))
    for kind, right in results.items():
        rows.add(f"{kind}: right rows", f"{sum(right)} of {len(right)}", "for orientation", None)
    everything = [one for right in results.values() for one in right]
    share = sum(everything) / len(everything)
    rows.add(
        f"right rows, {len(everything)} questions on {len(items)} products", share, f">= {target}", share >= target
    )
    rows.add("milliseconds a question, median", statistics.median(times), "for orientation", None)
    found = nouns_found(product_nouns(items, data))
    for place in found:
        print(f"    {place}")
    rows.add("product nouns of any shop in shopbot/ and knowledge/", len(found), "0", not found)


def main(
    quick: Annotated[bool, typer.Option(help="Twenty questions, with a looser target.")] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Run the comparison; exit 1 where a row does not hold."""
    rows = Rows("any_shop")
    data = data_dir()
    if data is None:
        rows.add("right rows on a shop made of public catalogs", None, f">= {TARGET}", None)
    else:
        measure(data, quick, rows)
    raise typer.Exit(rows.finish(json_out))


if __name__ == "__main__":
    typer.run(main)

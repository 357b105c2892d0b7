"""`Shop.open`: what it reads, what it makes and where, what time it is, and what a faulty folder is told as."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from knowledge.embed import SentenceEmbedder
from shopbot import Shop, ShopError, Shopper
from shopbot.records import ShopData
from shopbot.store import Store
from shopbot.testing import FakeShop

Opened = Callable[..., Shop]


@pytest.fixture
def opened(tmp_path: Path, minilm: SentenceEmbedder) -> Opened:
    """Write a shop and open it, with the embedder that this process has."""

    def make(fake: FakeShop | None = None, name: str = "shop", **files: str) -> Shop:
        folder = (fake or FakeShop()).write(tmp_path / name)
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(text, encoding="utf-8")
        shop = Shop.open(folder, home=tmp_path / "home")
        shop.embedder = minilm
        return shop

    return make


def with_settings(settings: str) -> FakeShop:
    shop = FakeShop()
    shop.settings = shop.settings.replace("[parts]", f"[parts]\n{settings}")
    return shop


def folder_hash(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---------------------------------------------------------------- what is made, and where


def test_nothing_is_made_until_it_is_needed(tmp_path: Path) -> None:
    with Shop.open(FakeShop().write(tmp_path / "shop"), home=tmp_path / "home") as shop:
        assert len(shop.data.products) == 6
        assert not (tmp_path / "home").exists()


def test_the_folder_is_only_read_and_what_is_made_lies_under_home(opened: Opened, tmp_path: Path) -> None:
    with opened() as shop:
        before = folder_hash(shop.folder)
        answer = asyncio.run(shop.bot().reply("How long do I have to return something?", shopper=Shopper()))
        assert "21 days" in answer.text
        assert folder_hash(shop.folder) == before
        assert shop.home.is_relative_to(tmp_path / "home")
        assert {"index", "shopbot.db"} <= {path.name for path in shop.home.iterdir()}
    with Store.open(shop.home / "shopbot.db") as store:
        assert store.turn(answer.turn_id).answer == answer.text
    with Shop.open(shop.folder, home=tmp_path / "home") as again:
        again.embedder = shop.embedder
        assert not again.index.change.switched


def test_two_shops_with_folders_of_one_name_do_not_share_a_home(tmp_path: Path) -> None:
    homes = {
        Shop.open(FakeShop().write(tmp_path / place / "shop"), home=tmp_path / "home").home for place in ("a", "b")
    }
    assert len(homes) == 2


def test_bots_of_one_shop_share_its_parts_and_not_their_data(fake_shop: Shop, tmp_path: Path) -> None:
    with Store.open(tmp_path / "turns.db") as store:
        data = fake_shop.data.copy()
        data.orders["FS-1002"]["status"] = "cancelled"
        first, second = fake_shop.bot(store=store), fake_shop.bot(store=store, data=data)
        asked = [bot.reply("Where is FS-1002?", shopper=Shopper("ann_abel_1")) for bot in (first, second)]
        texts = [asyncio.run(one).text for one in asked]
    assert ["pending" in texts[0], "cancelled" in texts[1]] == [True, True]
    assert first.store is second.store


# ---------------------------------------------------------------- who and when


def test_a_shopper_is_who_the_records_say(fake_shop: Shop) -> None:
    assert fake_shop.shopper("ann_abel_1") == Shopper("ann_abel_1", "Ann Abel", "ann_abel_1@mail.example")
    assert fake_shop.shopper(None).is_visitor
    assert fake_shop.shopper("nobody") == Shopper("nobody")


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        ("2026-03-02", datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Asia/Shanghai"))),
        ("2026-03-02T08:30", datetime(2026, 3, 2, 8, 30, tzinfo=ZoneInfo("Asia/Shanghai"))),
        ("2026-03-02T08:30+02:00", datetime(2026, 3, 2, 8, 30, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_the_clock_stands_where_the_shop_says(tmp_path: Path, today: str, expected: datetime) -> None:
    fake = FakeShop()
    fake.settings = fake.settings.replace("2026-03-02", today).replace("Europe/London", "Asia/Shanghai")
    now = Shop.open(fake.write(tmp_path)).now()
    assert (now, now.utcoffset()) == (expected, expected.utcoffset())


def test_a_relative_clock_goes_in_the_shops_zone(tmp_path: Path) -> None:
    fake = FakeShop()
    fake.settings = fake.settings.replace("2026-03-02", "relative").replace("Europe/London", "Pacific/Auckland")
    shop = Shop.open(fake.write(tmp_path))
    first, second = shop.now(), shop.now()
    assert first <= second <= first + timedelta(minutes=1)
    assert abs(first - datetime.now(ZoneInfo("UTC"))) < timedelta(minutes=1)
    assert first.utcoffset() == datetime.now(ZoneInfo("Pacific/Auckland")).utcoffset()


# ---------------------------------------------------------------- the shop's own tools

OWN_TOOL = '''
from shopbot import OrderId, Shopper, shop_tool
from shopbot.records import ShopData


@shop_tool
def points(shopper: Shopper, data: ShopData) -> dict[str, int]:
    """The shopper's points."""
    return {"points": len(data.orders_of(shopper.id or ""))}
'''


def test_the_shops_own_tools_stand_beside_ours(opened: Opened) -> None:
    shop = opened(with_settings('tools = "tools.py"'), tools__py=OWN_TOOL)
    toolbox = shop.toolbox(shop.data)
    assert {"points", "get_order", "search_products"} <= {tool.name for tool in toolbox.tools}
    assert toolbox.call("points", {}, Shopper("ann_abel_1")).result == {"points": 2}
    assert toolbox.call("points", {}, Shopper()).status == "refused"


def test_tools_of_two_shops_are_kept_apart(opened: Opened) -> None:
    first = opened(with_settings('tools = "tools.py"'), "one", tools__py=OWN_TOOL)
    second = opened(with_settings('tools = "tools.py"'), "two", tools__py=OWN_TOOL.replace("points", "stars"))
    names = [{tool.name for tool in shop.toolbox(shop.data).tools} for shop in (first, second)]
    assert ["points" in names[0], "stars" in names[0], "points" in names[1], "stars" in names[1]] == [
        *(True, False),
        *(False, True),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import no_such_module_anywhere\n", 1, "no_such_module_anywhere"),
        ("x = 1\ny = = 2\n", 2, "invalid syntax"),
        (OWN_TOOL.replace('"""The shopper\'s points."""', "pass"), 6, "write a docstring"),
    ],
)
def test_tools_that_cannot_be_loaded_are_told_with_their_line(opened: Opened, text: str, line: int, said: str) -> None:
    shop = opened(with_settings('tools = "tools.py"'), tools__py=text)
    for _ in range(2):  # a second try may not find half a module and no tools
        with pytest.raises(ShopError) as caught:
            shop.toolbox(shop.data)
        assert f"tools.py:{line}: " in str(caught.value)
        assert said in str(caught.value)


# ---------------------------------------------------------------- faulty and small shops


def test_rows_that_cannot_be_read_are_told_of(opened: Opened) -> None:
    fake = FakeShop()
    fake.orders[1] = {"order_id": "FS-9"}
    shop = opened(fake)
    assert any("orders.jsonl:2" in problem for problem in shop.problems)
    assert len(shop.data.orders) == 4


def test_a_synonym_that_names_nothing_is_told_of(opened: Opened) -> None:
    fake = FakeShop()
    fake.settings += '\n[synonyms]\nlampion = "no such thing"\n'
    shop = opened(fake)
    assert shop.catalog.unmatched_synonyms == ["lampion"]
    assert any("[synonyms] lampion" in problem for problem in shop.problems)


def test_an_utterance_without_text_or_intent_is_left_out(opened: Opened) -> None:
    rows = '{"text": "where is my stuff", "intent": "order_status"}\n{"intent": "order_status"}\n{"text": "hm"}\n'
    shop = opened(with_settings('utterances = "utterances.jsonl"'), utterances__jsonl=rows)
    assert shop.intents.guess(["where is my stuff"], None)[0].intent == "order_status"


def test_a_shop_of_policies_alone_answers_from_them(opened: Opened) -> None:
    fake = FakeShop(products=[], shoppers=[], orders=[])
    for part in ("catalog", "orders", "shoppers"):
        fake.settings = fake.settings.replace(f'{part} = "{part}.jsonl"\n', "")
    with opened(fake) as shop:
        bot = shop.bot()
        assert "21 days" in asyncio.run(bot.reply("How long do I have to return something?", shopper=Shopper())).text
        nothing = asyncio.run(bot.reply("Where is my order?", shopper=Shopper("someone")))
        assert nothing.text == "You have no orders."


def test_a_shop_that_holds_nothing_says_that_it_finds_nothing(opened: Opened) -> None:
    fake = FakeShop(products=[], shoppers=[], orders=[], policies={})
    fake.settings = fake.settings.split("[parts]", maxsplit=1)[0]
    with opened(fake) as shop:
        answer = asyncio.run(shop.bot().reply("How long do I have to return something?", shopper=Shopper()))
    assert not answer.answered
    assert not answer.citations
    assert "person" in answer.text


def test_data_are_copied_for_who_writes(fake_shop: Shop) -> None:
    copied: ShopData = fake_shop.data.copy()
    copied.orders["FS-1001"]["status"] = "lost"
    assert fake_shop.data.orders["FS-1001"]["status"] == "delivered"

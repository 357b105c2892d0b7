"""`shopbot index`: what the commands show, refuse and change, on a real shop whose bot serves meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from shopbot import Shop, Shopper
from shopbot.bot import ShopBot
from shopbot.cli_index import index_app
from shopbot.testing import FakeShop
from small_embedders import small_embedder

RETURNS = "How long do I have to return something?"
GOOD, BAD, LATER = "21 days", "99 days", "33 days"


def command(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.add_typer(index_app, name="index")
    return CliRunner().invoke(app, ["index", *map(str, arguments)], env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, minilm: SentenceEmbedder) -> Path:
    """A shop and its home, as two ingests left them: the second took up a policy that says something wrong."""
    place = tmp_path_factory.mktemp("ingested")
    folder = FakeShop().write(place / "shop")
    for says in (GOOD, BAD):
        with reopened(place, minilm) as shop:
            write(folder, says)
            shop.ingest().close()
    return place


@pytest.fixture
def place(ingested: Path, minilm: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same in the same place (a shop's home is named after it), put back afterwards."""
    kept = Path(shutil.copytree(ingested, ingested.with_name(ingested.name + "-kept")))
    monkeypatch.setenv("SHOPBOT_SHOP", str(ingested / "shop"))
    monkeypatch.setenv("SHOPBOT_HOME", str(ingested / "home"))
    monkeypatch.setattr(Shop, "embedder", minilm)
    yield ingested
    shutil.rmtree(ingested)
    kept.rename(ingested)


def reopened(place: Path, embedder: SentenceEmbedder) -> Shop:
    """The shop as a process that starts now opens it."""
    shop = Shop.open(place / "shop", home=place / "home")
    shop.embedder = embedder
    return shop


def write(folder: Path, says: str) -> None:
    """Let the policy say this."""
    for path in folder.glob("policies/**/*.md"):
        text = path.read_text("utf-8")
        for before in (GOOD, BAD, LATER):
            text = text.replace(before, says)
        path.write_text(text, "utf-8")


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in command("list", "--json").stdout.splitlines()]


async def says(bot: ShopBot) -> str:
    text = (await bot.reply(RETURNS, shopper=Shopper())).text
    (said,) = [one for one in (GOOD, BAD, LATER) if one in text]
    return said


# ---------------------------------------------------------------- list


def test_the_list_shows_what_serves(place: Path, minilm: SentenceEmbedder) -> None:
    shown = command("list")
    assert shown.exit_code == 0, shown.output
    header, newest, oldest = shown.stdout.splitlines()
    assert header.split() == ["version", "written", "embedder", "passages", "sentences", "on", "disk", "learned"]
    assert newest.split()[0] == "0002"
    assert newest.split()[-1] == "serves"
    assert minilm.name in newest
    assert (oldest.split()[0], "serves" in oldest, " MB" in oldest or " kB" in oldest) == ("0001", False, True)


def test_the_list_for_scripts_has_a_line_a_version(place: Path, minilm: SentenceEmbedder) -> None:
    with reopened(place, minilm) as shop:
        shop.index.learn({"en": 0.8})
    newest, oldest = rows()
    assert set(newest) == {
        *("version", "serves", "pinned", "written_at", "bytes", "embedder", "dimension", "passages", "sentences"),
        *("content", "follows", "weights", "fault"),
    }
    assert (newest["version"], newest["serves"], newest["weights"]) == ("0002", True, {"en": 0.8})
    assert (oldest["version"], oldest["serves"], oldest["embedder"]) == ("0001", False, minilm.name)
    assert "en 0.8" in command("list").stdout


def test_a_damaged_version_is_shown_with_its_fault(place: Path) -> None:
    (*_, manifest) = sorted((place / "home").rglob("0001/manifest.json"))
    manifest.write_text("{")
    shown = command("list")
    assert (shown.exit_code, "damaged" in shown.stdout, "0001: " in shown.stderr) == (0, True, True)
    (_, oldest) = rows()
    assert oldest["passages"] is None
    assert "cannot be read" in str(oldest["fault"])


# ---------------------------------------------------------------- rollback


async def test_a_bot_that_serves_turns_to_the_version_rolled_back_to(place: Path, minilm: SentenceEmbedder) -> None:
    with reopened(place, minilm) as shop:
        bot = shop.bot()
        assert await says(bot) == BAD
        shown = command("rollback")
        assert shown.exit_code == 0, shown.output
        assert "Version 0001 serves now: " in shown.stdout
        assert "until `shopbot ingest`" in shown.stdout
        assert await says(bot) == GOOD
        assert command("rollback", "0002").exit_code == 0
        assert await says(bot) == BAD


async def test_a_rollback_holds_over_starts_until_the_documents_change(place: Path, minilm: SentenceEmbedder) -> None:
    command("rollback")
    for _ in range(2):
        with reopened(place, minilm) as shop:
            assert await says(shop.bot()) == GOOD
            assert [one for one in shop.problems if "version 0001 of" in one and "since a rollback" in one]
    newest, oldest = rows()
    assert (newest["pinned"], oldest["pinned"]) == (False, True)
    assert "0001 serves since a rollback" in command("list").stdout
    write(place / "shop", LATER)
    with reopened(place, minilm) as shop:
        assert await says(shop.bot()) == LATER
        assert not shop.problems
    assert [one["version"] for one in rows()] == ["0003", "0002", "0001"]
    assert command("rollback").stdout.startswith("Version 0001 serves now")  # what served before, not what was left


async def test_a_rollback_holds_until_somebody_ingests_on_purpose(place: Path, minilm: SentenceEmbedder) -> None:
    command("rollback")
    with reopened(place, minilm) as shop:
        shop.ingest().close()
    with reopened(place, minilm) as shop:
        assert await says(shop.bot()) == BAD
        assert not shop.problems
    assert rows()[0]["version"] == "0003"


async def test_documents_that_were_changed_before_the_rollback_are_held_too(
    place: Path, minilm: SentenceEmbedder
) -> None:
    """Nothing had taken them up: the lead who rolls back has not seen what they say."""
    write(place / "shop", LATER)
    command("rollback")
    with reopened(place, minilm) as shop:
        assert await says(shop.bot()) == GOOD


def test_an_ingest_on_purpose_ends_the_hold_where_it_changes_nothing(place: Path, minilm: SentenceEmbedder) -> None:
    command("rollback")
    write(place / "shop", GOOD)
    with reopened(place, minilm) as shop:
        assert not shop.ingest().change.switched
    assert not any(one["pinned"] for one in rows())


@pytest.mark.parametrize("damage", ["another embedder", "vectors gone"])
def test_a_version_that_no_bot_could_open_is_refused(
    place: Path, minilm: SentenceEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    if damage == "vectors gone":
        next((place / "home").rglob("0001/vectors.npy")).unlink()
    else:
        monkeypatch.setattr(Shop, "embedder", small_embedder(tmp_path / "small"))
    shown = command("rollback")
    assert (shown.exit_code, shown.stdout) == (2, "")
    said = f'write embedder = "{minilm.name}"' if damage == "another embedder" else "nothing was changed"
    assert said in shown.stderr
    assert [one["serves"] for one in rows()] == [True, False]


# ---------------------------------------------------------------- prune, and a bare folder


def test_prune_says_what_was_freed(place: Path) -> None:
    assert command("prune").stdout.startswith("Nothing to remove. Left: 0002 (serves), 0001")
    shown = command("prune", "--keep", "1")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Removed 0001: ")
    assert "freed. Left: 0002 (serves)" in shown.stdout
    assert command("rollback").exit_code == 2


def test_the_folder_of_an_index_needs_no_shop(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBOT_SHOP", "nowhere")
    index = Path(shutil.copytree(next((place / "home").rglob("CURRENT")).parent, tmp_path / "index"))
    assert command("rollback", "--index", index).stdout.startswith("Version 0001 serves now")
    assert len(command("list", "--json", "--index", index).stdout.splitlines()) == 2
    assert "Nothing to remove" in command("prune", "--index", index).stdout
    assert versions.current(index) == index / "versions" / "0001"


# ---------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rollback", "0009"], 2, "no version '0009'"),
        (["rollback", "0002"], 2, "version 0002"),
        (["rollback", "--shop", "nowhere"], 2, "copy sample_shop/shop.toml to begin one"),
        (["list", "--index", "nowhere"], 2, "there is no index in nowhere"),
        (["rollback", "--index", "nowhere"], 2, "there is no index in nowhere"),
        (["prune", "--index", "nowhere"], 2, "there is no index in nowhere"),
        (["prune", "--keep", "0"], 2, "--keep"),
        (["list", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_a_wrong_argument_says_so_and_changes_nothing(
    place: Path, arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = command(*arguments)
    assert (shown.exit_code, shown.stdout) == (code, "")
    assert said in shown.stderr
    assert list(tmp_path.iterdir()) == []
    assert [one["serves"] for one in rows()] == [True, False]


@pytest.mark.parametrize("arguments", [["rollback"], ["prune", "--keep", "1"]])
def test_while_another_writes_it_says_so(place: Path, arguments: list[str]) -> None:
    index = next((place / "home").rglob("CURRENT")).parent
    with versions.writer(index):
        shown = command(*arguments)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "another process is writing" in shown.stderr
    assert [one["serves"] for one in rows()] == [True, False]


@pytest.mark.parametrize("words", [[], ["list"], ["rollback"], ["prune"]])
def test_help_teaches(words: list[str]) -> None:
    shown = command(*words, "--help")
    assert shown.exit_code == 0
    assert not words or f"Example:  shopbot index {words[0]}" in shown.output

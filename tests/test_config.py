"""shop.toml: what it may say, what it means when it says nothing, and what a slip in it is told as."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from shopbot.config import ShopConfig, read_config
from shopbot.errors import ShopError

ROOT = Path(__file__).resolve().parent.parent
LEAST = '[shop]\nname = "Any"\n'


def read(folder: Path, text: str) -> ShopConfig:
    (folder / "shop.toml").write_text(text, encoding="utf-8")
    return read_config(folder)


def fault(folder: Path, text: str) -> str:
    """The message for this shop.toml, without the folder."""
    with pytest.raises(ShopError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "shop.toml" in message
    assert "Traceback" not in message
    return message.replace(str(folder), "").lstrip("/")


def test_the_least_shop_has_a_name(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    about = config.shop
    assert (about.name, about.today, about.timezone, about.currency) == ("Any", "relative", "UTC", "USD")
    assert (about.languages, about.hosts, about.contact.email) == (("en",), (), "")
    assert (config.parts.catalog, config.parts.policies, config.parts.columns) == (None, (), {})
    assert config.models.embedder == "sentence-transformers/all-MiniLM-L6-v2"
    assert config.models.dialogue == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert config.models.dialogue_languages == ("en",)


@pytest.mark.parametrize("folder", ["sample_shop", "benchmarks/tau2_retail"])
def test_the_shops_of_this_repository_are_read(folder: str) -> None:
    config = read_config(ROOT / folder)
    assert config.shop.name
    assert config.parts.catalog


def test_the_sample_shop_says_everything() -> None:
    config = read_config(ROOT / "sample_shop")
    assert config.shop.today == date(2026, 11, 20)
    assert config.shop.hosts == ("larkfield.example",)
    unset = [name for name, value in config.parts if not value and name != "columns"]
    assert not unset, f"users copy this file: it should show {unset} too"


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        ('"2026-11-20"', date(2026, 11, 20)),
        ("2026-11-20", date(2026, 11, 20)),
        ('"2026-11-20T09:30"', datetime(2026, 11, 20, 9, 30)),
        ('"relative"', "relative"),
    ],
)
def test_today_is_a_day_a_moment_or_relative(tmp_path: Path, today: str, expected: object) -> None:
    assert read(tmp_path, f"{LEAST}today = {today}\n").shop.today == expected


def test_one_folder_of_policies_needs_no_list(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    assert read(tmp_path, LEAST + '[parts]\npolicies = "policies"\n').parts.policies == ("policies",)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert read_config(tmp_path).shop.name == "Any"


@pytest.mark.parametrize(
    ("contact", "line"),
    [
        ('{email = "a@any.example", phone = "+1", hours = "always"}', "a@any.example, +1, always"),
        ('{phone = "+1"}', "+1"),
        ("{}", "Any"),
    ],
)
def test_the_ways_to_reach_a_person_stand_on_one_line(tmp_path: Path, contact: str, line: str) -> None:
    assert read(tmp_path, f"{LEAST}contact = {contact}\n").shop.contact_line == line


def test_another_embedder_is_another_config(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST + '[models]\ndialogue = "mine"\n')
    other = config.with_embedder("intfloat/multilingual-e5-small")
    assert (other.models.embedder, other.models.dialogue) == ("intfloat/multilingual-e5-small", "mine")
    assert config.models.embedder != other.models.embedder


# ---------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (LEAST + 'curency = "GBP"\n', 3, "unknown key 'shop.curency'; did you mean 'currency'?"),
        (LEAST + '[parts]\ncatalogue = "c"\n', 4, "unknown key 'parts.catalogue'; did you mean 'catalog'?"),
        (LEAST + '\n[part]\ncatalog = "c"\n', 4, "unknown key 'part'; did you mean 'parts'?"),
        (LEAST + '[models]\nembeder = "x"\n', 4, "unknown key 'models.embeder'; did you mean 'embedder'?"),
        (
            LEAST + 'contact = {mail = "a@b.example"}\n',
            3,
            "unknown key 'shop.contact.mail'; did you mean 'email'?",
        ),
        (LEAST + "[models]\nxyz = 1\n", 4, "unknown key 'models.xyz'; known here: embedder, dialogue,"),
        (LEAST + 'currency = "pounds"\n', 3, "shop.currency: "),
        (
            LEAST + 'timezone = "London"\n',
            3,
            "shop.timezone: 'London' is no time zone; write one such as \"Europe/London\"",
        ),
        (LEAST + "[parts]\ncatalog = 5\n", 4, "parts.catalog: "),
    ],
)
def test_a_slip_is_told_with_its_line_and_what_was_meant(tmp_path: Path, text: str, line: int, said: str) -> None:
    assert fault(tmp_path, text).startswith(f"shop.toml:{line}: {said}")


def test_a_missing_name_is_told(tmp_path: Path) -> None:
    assert fault(tmp_path, "[parts]\n") == "shop.toml: shop is missing; add it, as in sample_shop/shop.toml."
    assert "shop.name is missing" in fault(tmp_path, '[shop]\ncurrency = "GBP"\n')


def test_what_is_not_toml_is_told_with_its_place(tmp_path: Path) -> None:
    assert "line 2" in fault(tmp_path, '[shop]\nname = "Any\n')


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes('[shop]\nname = "Café"\n'.encode("latin-1"))
    with pytest.raises(ShopError, match="not UTF-8"):
        read_config(tmp_path)


def test_a_folder_without_a_shop_toml_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="copy sample_shop/shop.toml to begin one"):
        read_config(tmp_path)

"""shop.toml: what a shop is and where its parts lie, checked once, with errors that name the line and the remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shopbot.errors import ShopError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(_Section):
    """How a shopper reaches a person."""

    email: str = ""
    phone: str = ""
    hours: str = ""


class About(_Section):
    """The shop itself. `today` is a date or a date with time that the shop's clock stands at, or "relative": now."""

    name: str
    today: datetime | date | Literal["relative"] = "relative"
    timezone: str = "UTC"
    currency: str = "USD"
    languages: tuple[str, ...] = ("en",)
    hosts: tuple[str, ...] = ()
    contact: Contact = Contact()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        known = sorted(available_timezones())
        if zone not in known:
            near = difflib.get_close_matches(zone, known, 1) or ["Europe/London"]
            raise ValueError(f'{zone!r} is no time zone; write one such as "{near[0]}"')
        return zone

    @field_validator("currency")
    @classmethod
    def _code(cls, currency: str) -> str:
        if not re.fullmatch("[A-Z]{3}", currency):
            raise ValueError(f'{currency!r} is no currency; write a code of three capitals such as "GBP"')
        return currency

    @field_validator("languages")
    @classmethod
    def _codes(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [language for language in languages if not re.fullmatch("[a-z]{2,3}(-[A-Za-z]+)*", language)]
        if wrong:
            raise ValueError(f'{wrong[0]!r} is no language; write a code such as "en" or "zh"')
        return languages

    @field_validator("today", mode="before")
    @classmethod
    def _day(cls, today: object) -> object:
        if not isinstance(today, str) or today == "relative":
            return today
        try:
            return datetime.fromisoformat(today) if len(today) > 10 else date.fromisoformat(today)
        except ValueError:
            raise ValueError(f'{today!r} is no day; write one such as "2026-11-20", or "relative" for now') from None

    @property
    def contact_line(self) -> str:
        """The ways to reach a person on one line."""
        parts = (self.contact.email, self.contact.phone, self.contact.hours)
        return ", ".join(part for part in parts if part) or self.name


class Parts(_Section):
    """Where the parts lie, relative to the folder; "FILE.json#key" picks one key of a JSON object. All are optional."""

    catalog: str | None = None
    orders: str | None = None
    shoppers: str | None = None
    policies: tuple[str, ...] = ()
    answers: str | None = None
    utterances: str | None = None
    reviews: str | None = None
    events: str | None = None
    chats: str | None = None
    tools: str | None = None
    columns: dict[str, str] = Field(default_factory=dict[str, str])
    """Our names of catalog columns to the file's: {name = "title", product_id = "id"}."""

    @field_validator("policies", mode="before")
    @classmethod
    def _one_or_many(cls, policies: object) -> object:
        return (policies,) if isinstance(policies, str) else policies

    def files(self) -> Iterator[tuple[str, str]]:
        """(key, file or folder) for every file that is named, without "#key"."""
        for key in ("catalog", "orders", "shoppers", "answers", "utterances", "reviews", "events", "chats", "tools"):
            name = getattr(self, key)
            if name is not None:
                yield key, re.sub(r"(\.json)#.*$", r"\1", name, flags=re.IGNORECASE)
        yield from (("policies", name) for name in self.policies)


class Models(_Section):
    """Model names, found by `shopbot.weights`. `dialogue_languages` are those that the dialogue model's card lists."""

    embedder: str = "sentence-transformers/all-MiniLM-L6-v2"
    dialogue: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    dialogue_languages: tuple[str, ...] = ("en",)


class Index(_Section):
    """The knowledge index. `chroma` is the URL of the Chroma server that has its graph, where several machines share it."""

    chroma: str = ""


class ShopConfig(_Section):
    """A shop.toml, read."""

    shop: About
    parts: Parts = Parts()
    models: Models = Models()
    index: Index = Index()
    synonyms: dict[str, str] = Field(default_factory=dict[str, str])
    """What shoppers call a thing → a category or a word of a product's name: {fiddle = "violin"}."""

    def with_embedder(self, name: str) -> ShopConfig:
        """The same shop with another embedder, by name or folder."""
        return self.model_copy(update={"models": self.models.model_copy(update={"embedder": name})})


def read_config(folder: Path) -> ShopConfig:
    """The shop.toml of a folder. Raises ShopError: the line and, for a misspelt key or file, the nearest right one."""
    path = folder / "shop.toml"
    text = _text(path)
    try:
        config = ShopConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ShopError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise ShopError(_explain(path, text, error)) from None
    for key, name in config.parts.files():
        if not (folder / name).exists():
            raise ShopError(f"{path}:{_line(key, text)}: {key} = {name!r} is not there; {_nearest_file(folder, name)}")
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise ShopError(f"{path}:{line}: not UTF-8; save it as UTF-8.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise ShopError(
            f"{path} is not there. A shop is a folder with a shop.toml; copy sample_shop/shop.toml to begin one."
        ) from None
    except OSError as error:
        raise ShopError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None


def _nearest_file(folder: Path, name: str) -> str:
    place = (folder / name).parent
    known = [one.name for one in place.iterdir()] if place.is_dir() else []
    near = difflib.get_close_matches(Path(name).name, known, 1, 0.7)
    return f"did you mean {near[0]!r}?" if near else "correct the name or put the file there."


def _explain(path: Path, text: str, error: ValidationError) -> str:
    """The first fault, as "file:line: what; what to do"."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    key = next(
        (part for part in reversed(where) if re.search(rf"^\W*{re.escape(part)}\b", text, re.MULTILINE)), where[-1]
    )
    line = _line(key, text)
    if first["type"] == "extra_forbidden":
        known = _keys(where[:-1])
        near = difflib.get_close_matches(where[-1], known, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}."
        return f"{path}:{line}: unknown key {'.'.join(where)!r}; {hint}"
    if first["type"] == "missing":
        return f"{path}: {'.'.join(where)} is missing; add it, as in sample_shop/shop.toml."
    return f"{path}:{line}: {'.'.join(where[:2])}: {first['msg'].removeprefix('Value error, ')}"


def _line(key: str, text: str) -> int:
    """The first line that begins with a key."""
    return next((n for n, row in enumerate(text.splitlines(), 1) if re.match(rf"\W*{re.escape(key)}\b", row)), 1)


def _keys(where: list[str]) -> list[str]:
    """The keys that a section knows."""
    model: type[BaseModel] = ShopConfig
    for part in where:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    return list(model.model_fields)

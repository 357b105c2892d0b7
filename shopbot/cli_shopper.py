"""`shopbot shopper export|erase|retain`: what is kept of people, taken out, erased, or let go in time."""

from __future__ import annotations

import difflib
import json
import mmap
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from shopbot.errors import StoreError, UsageError
from shopbot.terminal import HOME, SAMPLE, HomeOption, ShopOption, err, out, told

if TYPE_CHECKING:
    from shopbot.shop import Shop

shopper_app = typer.Typer(
    help="Everything that is kept of one shopper: take it out, or erase it.", no_args_is_help=True
)

ShopperArgument = Annotated[str, typer.Argument(help="The shopper's id, as their login gives it.", show_default=False)]

SHORTEST = 5
"""Bytes of a word that is searched for; a shorter one stands everywhere by chance."""
MOST_PLACES = 10
"""Rows that are named where something is still found."""


# ---------------------------------------------------------------- one shopper


@shopper_app.command("export")
def shopper_export(
    shopper: ShopperArgument,
    file: Annotated[Path | None, typer.Option("--out", help="Where to; by default ID.json in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Write everything that is kept of a shopper to a JSON file, which only you may read.

    Example:  shopbot shopper export mei_chen_014 --out mei.json
    """
    from shopbot import retention
    from shopbot.batch import write_whole
    from shopbot.shop import Shop

    file = file if file is not None else Path(re.sub(r"[^\w.@#-]|^\.+", "_", shopper) + ".json")
    with told():
        if file.exists() and not force:
            raise UsageError(f"{file} is there already; give --out another name, or --force to write over it")
        with Shop.open(shop, home=home) as opened:
            _check_known(opened, shopper)
            content = retention.export(opened.store, shopper)
        write_whole(file, content, "give --out another name")
        out.print(f"{escape(_in_words(_rows_in(content)))} of {escape(shopper)} in {escape(str(file))}")


@shopper_app.command("erase")
def shopper_erase(
    shopper: ShopperArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where an action was promised and has not ended.")
    ] = False,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Erase everything that is kept of a shopper, then look for what still names them, and say where.

    Exit 0: nothing of ours is left; 1: something is, or it was not confirmed; 2: it cannot be done now, and why.

    Example:  shopbot shopper erase mei_chen_014
    """
    from shopbot import retention
    from shopbot.shop import Shop

    with told(), Shop.open(shop, home=home) as opened:
        _check_known(opened, shopper)
        out.print(_table(retention.count(opened.store, shopper)))
        if not yes:
            typer.confirm(f"Erase all of this of {shopper}? It cannot be brought back", abort=True)
        counts = retention.erase(opened.store, shopper, force=force)
        out.print(f"Erased: {_in_words(counts)}")
        words, short = _words_of(opened, shopper)
        if short:
            err.print(f"[yellow]Not searched for, too short to tell: {escape(', '.join(short))}[/yellow]")
        for name in _files_with(words, _files_of_shop(opened)):
            out.print(
                f"The shop's own records still name {escape(shopper)} and are not shopbot's to erase: {escape(name)}"
            )
        left = _left_in_ours(opened, words)
        for place in left:
            err.print(f"[red]Still found in {escape(place)}[/red]")
        if left:
            err.print("Rows of other sessions go with `shopbot shopper retain`; files are yours to delete.")
        raise typer.Exit(1 if left else 0)


def _check_known(shop: Shop, shopper: str) -> None:
    """Raises UsageError for a shopper whom neither the shop's records nor the sessions name, with the nearest one."""
    from shopbot import retention

    if shopper in shop.data.users or shop.data.orders_of(shopper) or any(retention.count(shop.store, shopper).values()):
        return
    known = dict.fromkeys([*shop.data.users, *retention.shopper_ids(shop.store)])
    near = difflib.get_close_matches(shopper, known, 1, 0.5)
    where = f"they are in {shop.config.parts.shoppers}" if shop.data.users else "there is none by that id"
    hint = f"did you mean {near[0]!r}?" if near else f"{where}, and nothing of this one is kept"
    raise UsageError(f"the shop has no shopper {shopper!r}; {hint}")


# ---------------------------------------------------------------- old sessions


@shopper_app.command("retain")
def retain(
    days: Annotated[
        int, typer.Option(min=1, help="Sessions in which nothing was said for so many days go.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Delete old conversations. One in which a promised action has not ended stays, however old.

    Example:  shopbot shopper retain --days 90 --dry-run
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from shopbot import retention
    from shopbot.shop import Shop

    with told(), Shop.open(shop, home=home) as opened:
        try:
            before = opened.now() - timedelta(days=days)
        except OverflowError:
            raise UsageError(f"--days {days}: there is no day so long ago; nothing is that old") from None
        total = retention.due(opened.store, before)
        if dry_run:
            out.print(f"Would be deleted: {total:,} sessions with nothing said since {before:%Y-%m-%d %H:%M}")
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as bars:
            bar = bars.add_task("sessions", total=total)
            counts = retention.retain(opened.store, before, lambda done: bars.advance(bar, done))
        out.print(f"Deleted: {_in_words(counts)}, with nothing said since {before:%Y-%m-%d %H:%M}")


# ---------------------------------------------------------------- what still names them


def _words_of(shop: Shop, shopper: str) -> tuple[list[str], list[str]]:
    """Id, e-mail, phone and full name as the shop's records hold them: those to search for, and those too short."""
    account = shop.data.account(shopper)
    named = (account.email, str(account.details.get("phone") or ""), account.name) if account is not None else ()
    words = [word for word in dict.fromkeys((shopper, *named)) if word]
    short = [word for word in words if len(word.encode()) < SHORTEST]
    return [word for word in words if word not in short], short


def _left_in_ours(shop: Shop, words: list[str]) -> list[str]:
    """Where the database and the other files under the shop's home still hold one of the words."""
    from shopbot import retention

    rows = retention.mentions(shop.store, words)
    more = [f"{len(rows) - MOST_PLACES:,} more rows of the database"] if len(rows) > MOST_PLACES else []
    database = str(shop.store.url.database)  # its files are searched by row: bytes say nothing about where a word ends
    files = [path for path in sorted(shop.home.rglob("*")) if not str(path).startswith(database)]
    return [*(f"the database: {row}" for row in rows[:MOST_PLACES]), *more, *_files_with(words, files)]


def _files_of_shop(shop: Shop) -> list[Path]:
    """The files that shop.toml names, those in its folders too."""
    named = {shop.folder / name for _, name in shop.config.parts.files()}
    return sorted({one for path in named for one in (path.rglob("*") if path.is_dir() else (path,))})


def _files_with(words: list[str], paths: Iterable[Path]) -> list[str]:
    """The files in which a word stands, as it is or as JSON escapes it. Packed files (.gz, .npz) are not unpacked."""
    forms = {form for word in words for form in (word, json.dumps(word)[1:-1])}
    either = b"|".join(re.escape(form.encode()) for form in sorted(forms))
    pattern = re.compile(rb"(?<![0-9A-Za-z_])(?:%b)(?![0-9A-Za-z_])" % either, re.IGNORECASE)
    return [str(path) for path in paths if forms and path.is_file() and _holds(path, pattern)]


def _holds(path: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return pattern.search(content) is not None
    except OSError as error:
        raise StoreError(f"{path} cannot be searched ({error.strerror}); look into it yourself") from error


# ---------------------------------------------------------------- shared


def _rows_in(content: Any, counts: dict[str, int] | None = None) -> dict[str, int]:
    """How many rows of each table an export holds."""
    counts = {} if counts is None else counts
    for name, rows in content.items():
        if name.startswith("shopbot_"):
            counts[name] = counts.get(name, 0) + len(rows)
            for row in rows:
                _rows_in(row, counts)
    return counts


def _in_words(counts: dict[str, int]) -> str:
    """Such as "2 sessions, 5 turns"; tables without a row are left out."""
    parts = [f"{number:,} {_plain_name(name)}" for name, number in counts.items() if number]
    return ", ".join(parts) or "nothing"


def _table(counts: dict[str, int]) -> Table:
    table = Table("kept", "rows", box=None, pad_edge=False)
    for name, number in counts.items():
        table.add_row(_plain_name(name), f"{number:,}")
    return table


def _plain_name(name: str) -> str:
    return name.removeprefix("shopbot_").replace("_", " ")

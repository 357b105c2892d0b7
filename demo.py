"""The demo: talk to a shop's agent in the browser and watch what each turn does. `python demo.py --help`.

The page only reads the events of `ShopBot.stream`. Every browser tab has a session of its own; choosing another shopper
begins a clean one.
"""

from __future__ import annotations

import html
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import typer

from shopbot.bot import ShopBot
from shopbot.errors import ShopbotError
from shopbot.shop import Shop
from shopbot.types import Drafted, Event, Finished, Planned, Retrieved, Said, ToolCalled, Understood, Withheld

CSS = """
.gradio-container {max-width: 1180px !important; margin: auto}
.panel {font-size: 13px; line-height: 1.5; overflow-wrap: anywhere}
.panel .bar {height: 4px; border-radius: 2px; background: var(--primary-500); margin: 2px 0 6px}
.panel details {margin: 6px 0; padding: 6px 10px; border: 1px solid var(--border-color-primary); border-radius: 8px}
.panel summary {cursor: pointer} footer {display: none !important}
"""
ACTIVE = frozenset("&<>\"'\\`*_{}[]()#+-.:@!|~$")
"""Characters that HTML or Markdown may read as more than themselves."""
GENERAL = ("How long do I have to return something?", "Where is my order?", "退货运费谁付？", "我的订单到哪了？")


def examples(shop: Shop) -> list[str]:
    """Questions to begin with; the product question names a category of this catalog."""
    products = shop.data.all_products()
    category = next((product.category for product in products if product.category and product.available), "")
    asked = [f"What is the cheapest of the {category} in stock?"] if category else []
    return [*GENERAL[:2], *asked, *GENERAL[2:]]


def shoppers(shop: Shop, most: int = 8) -> list[tuple[str, str]]:
    """(label, id) of those with the most different kinds of orders, both languages, after the visitor."""
    found: list[tuple[int, str, str]] = []
    for one in shop.data.users:
        account = shop.data.account(one)
        orders = shop.data.orders_of(one)
        if account is not None and orders:
            label = f"{account.name} ({account.language or 'en'}, {len(orders)} orders)"
            found.append((len({order.status for order in orders}), label, one))
    found.sort(reverse=True)
    chinese = [row for row in found if "(zh" in row[1]][: most // 2]
    others = [row for row in found if row not in chinese][: most - len(chinese)]
    return [("Visitor (not logged in)", ""), *((label, one) for _, label, one in [*others, *chinese])]


def _escaped(text: str) -> str:
    """Text as text: neither markup nor Markdown of a source is ever rendered.

    In one pass: a second would escape what the first has written, and the page would show `&#95;`.
    """
    return "".join("<br>" if one == "\n" else f"&#{ord(one)};" if one in ACTIVE else one for one in text)


def _panel(events: Sequence[Event]) -> str:
    """The events of a turn as HTML."""
    return "<div class='panel'>" + "".join(_line(event) for event in events) + "</div>"


def _line(event: Event) -> str:
    match event:
        case Understood():
            profile = event.profile
            return f"<p><b>Intent</b> {_escaped(profile.intent)} · {profile.confidence:.0%} · {profile.language}</p>"
        case Planned():
            return "".join(f"<p><b>Step</b> {_escaped(step)}</p>" for step in event.steps)
        case ToolCalled():
            return f"<p><b>Tool</b> {_escaped(event.call.name)}: {event.call.status}</p>"
        case Retrieved():
            return "<p><b>Passages</b></p>" + "".join(
                f"<div>{_escaped(one.passage.title or one.passage.source)} · {one.score:.2f}</div>"
                f"<div class='bar' style='width:{max(2, min(100, one.score * 100)):.0f}%'></div>"
                for one in event.passages[:4]
            )
        case Drafted():
            return f"<p><b>Worded by</b> {_escaped(event.worded_by)}</p>"
        case Withheld():
            return f"<p><b>Withheld</b> {_escaped(event.text)} ({_escaped(event.reason)})</p>"
        case Finished():
            times = ", ".join(f"{stage} {took:.0f} ms" for stage, took in event.timings.items())
            return f"<p><b>Took</b> {event.milliseconds:.0f} ms ({times})</p>"
        case _:
            return ""


def _sources(finished: Finished) -> str:
    """The citations of an answer, each opens its passage."""
    rows = "".join(
        f"<details class='citation'><summary>{_escaped(cite.title or cite.source)}</summary>"
        f"<p>{_escaped(cite.text)}</p><small>{_escaped(cite.source)}</small></details>"
        for cite in finished.citations
    )
    return f"<div class='panel'>{rows}</div>" if rows else ""


class Page:
    """What the page's events call; holds no state of a visitor, who brings their own."""

    def __init__(self, shop: Shop, bot: ShopBot) -> None:
        self._shop, self._bot = shop, bot

    async def ask(
        self, message: str, chat: list[dict[str, str]], shopper: str, session: str
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Stream one turn into (box, chat, sources, panel, turn id)."""
        chat = [*chat, {"role": "user", "content": _escaped(message)}, {"role": "assistant", "content": ""}]
        events: list[Event] = []
        said = ""
        yield "", chat, "", "", ""
        try:
            async for event in self._bot.stream(message, shopper=self._shop.shopper(shopper or None), session=session):
                events.append(event)
                said += event.text if isinstance(event, Said) else ""
                chat[-1] = {"role": "assistant", "content": _escaped(said)}
                if not isinstance(event, Finished):
                    yield "", chat, "", _panel(events), ""
        except ShopbotError as error:
            chat[-1] = {"role": "assistant", "content": _escaped(f"This did not work: {error}")}
            yield "", chat, "", _panel(events), ""
            return
        finished = events[-1]
        assert isinstance(finished, Finished)
        yield "", chat, _sources(finished), _panel(events), finished.turn_id

    def thumb(self, turn: str, up: bool) -> str:
        """Store a thumb on the latest answer."""
        if not turn:
            return "Ask something first."
        self._bot.store.add_feedback(turn, 1 if up else -1, "", self._shop.now())
        return "Thank you, noted."

    def figures(self) -> str:
        """The shop and this database's turns, as Markdown."""
        data = self._shop.data
        sessions = self._bot.store.sessions(limit=200)
        turns = [turn for session in sessions for turn in self._bot.store.history(session.id)]
        answered = sum(turn.answered for turn in turns)
        problems = "\n".join(f"- {html.escape(one)}" for one in self._shop.problems) or "none"
        return (
            f"**{len(data.products)}** products · **{len(data.orders)}** orders · **{len(data.users)}** shoppers\n\n"
            f"**{len(turns)}** turns in {len(sessions)} conversations, **{answered}** answered\n\nProblems of the data: {problems}"
        )


def build(shop: Shop, bot: ShopBot) -> Any:
    """The page."""
    import gradio as gr

    page = Page(shop, bot)
    with gr.Blocks(title=f"{shop.config.shop.name} · shopbot") as blocks:
        gr.Markdown(f"## {html.escape(shop.config.shop.name)}\nAn automated assistant; every answer shows its sources.")
        session, turn = gr.State(lambda: uuid4().hex), gr.State("")
        with gr.Tab("Chat · 对话"), gr.Row():
            with gr.Column(scale=3, min_width=320):
                who = gr.Dropdown(shoppers(shop), value="", label="Shopper · 顾客", elem_id="shopper")
                chat = gr.Chatbot(height=430, elem_id="chat", show_label=False, buttons=["copy"])
                box = gr.Textbox(
                    placeholder="Ask about policies, products or your orders · 请输入问题",
                    show_label=False,
                    elem_id="message",
                )
                gr.Examples(examples(shop), box, label="Try · 试试")
                with gr.Row():
                    up, down = gr.Button("👍", size="sm", elem_id="up"), gr.Button("👎", size="sm")
                    new = gr.Button("New conversation · 新对话", size="sm")
                noted = gr.Markdown("")
            with gr.Column(scale=2, min_width=320):
                gr.Markdown("#### Sources · 来源")
                sources = gr.HTML(elem_id="sources")
                gr.Markdown("#### This turn · 本轮")
                panel = gr.HTML(elem_id="panel")
        with gr.Tab("Insights · 概况") as insights:
            figures = gr.Markdown(page.figures())
        box.submit(page.ask, [box, chat, who, session], [box, chat, sources, panel, turn])
        fresh = (lambda: (uuid4().hex, [], "", "", ""), None, [session, chat, sources, panel, turn])
        new.click(*fresh)
        who.change(*fresh)
        up.click(lambda one: page.thumb(one, True), turn, noted)
        down.click(lambda one: page.thumb(one, False), turn, noted)
        insights.select(page.figures, None, figures)
    return blocks


def main(
    shop: Annotated[Path, typer.Option(help="The shop's folder.")] = Path("sample_shop"),
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of the page.")] = 7860,
    home: Annotated[Path, typer.Option(envvar="SHOPBOT_HOME", help="Where index and sessions are kept.")] = Path(
        "~/.cache/shopbot"
    ),
    planner: Annotated[Literal["head", "model"], typer.Option(help="Who chooses the steps.")] = "head",
    wording: Annotated[Literal["draft", "model"], typer.Option(help="Who words the answers.")] = "draft",
    model: Annotated[str | None, typer.Option(help="'local', 'vllm:URL', or a model's name.")] = None,
) -> None:
    """Open the demo in the browser."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    started = time.perf_counter()
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            typer.echo(
                f"Port {port} is in use: stop what runs there, or type: python demo.py --port {port + 1}", err=True
            )
            raise typer.Exit(2)
    try:
        typer.echo(f"Loading {shop} (models, index) …")
        opened = Shop.open(shop, home=home)
        bot = opened.bot(planner=planner, wording=wording, model=model)
    except ShopbotError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    from gradio.themes import Soft

    blocks = build(opened, bot)
    typer.echo(f"Ready in {time.perf_counter() - started:.0f} s: open http://{host}:{port}")
    with opened:
        blocks.launch(
            server_name=host, server_port=port, theme=Soft(primary_hue="teal"), css=CSS,
            inbrowser=bool(os.environ.get("DISPLAY")), quiet=True,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)

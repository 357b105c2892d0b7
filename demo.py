"""The demo: a page where one talks to a shop's agent and sees each step of its answers. `python demo.py --help`.

The chat tab shows the events of a turn as they come; the insights tab counts what the store holds. How it looks lies
in demo_page/: Jinja templates (everything is escaped), a style sheet, and the words of the interface by language.
"""

# No `from __future__ import annotations`: Gradio reads the annotations of handlers, and is itself imported late.

import errno
import json
import logging
import os
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from demo_page.figures import MOST_CONVERSATIONS, Words, conversations, glance, notable, questions
from demo_page.tab import Exchange, Tab, told, trail
from shopbot.errors import ShopbotError
from shopbot.shop import Progress, Shop
from shopbot.types import Decision

log = logging.getLogger("demo")
PAGE = Path(__file__).parent / "demo_page"


# ---------------------------------------------------------------- the page's handlers


class Demo:
    """What the page does: takes a tab and what was clicked, returns what to show. Knows no component by name."""

    def __init__(self, shop: Shop, bot: Any) -> None:
        from jinja2 import Environment, FileSystemLoader

        self.shop, self.bot = shop, bot
        self.words: dict[str, Words] = tomllib.loads((PAGE / "words.toml").read_text("utf-8"))
        self.shoppers = notable(shop)
        self.glance = glance(shop)
        # A shop that speaks one language is asked in it.
        spoken = [language for language in self.words if language in shop.config.shop.languages] or ["en"]
        self.examples = {language: questions(shop, self.words[language], language) for language in spoken}
        self._pages = Environment(loader=FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
        self._pages.filters.update(trail=trail, told=told)
        self._pages.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False, indent=2, default=str)

    def render(self, page: str, tab: Tab, **values: Any) -> str:
        """A template of demo_page/ as HTML."""
        template = self._pages.get_template(f"{page}.html")
        return template.render(shop=self.shop.config.shop.name, tab=tab, w=self.words[tab.language], **values)

    def view(self, tab: Tab) -> tuple[Tab, str, str]:
        """The tab, its chat and its panel."""
        own_first = sorted(self.examples.items(), key=lambda one: one[0] != tab.language)
        shown = tab.exchanges[tab.shown] if tab.exchanges else None
        return tab, self.render("chat", tab, examples=own_first), self.render("panel", tab, turn=shown)

    async def ask(
        self, tab: Tab, question: str, decision: Decision | None = None
    ) -> AsyncIterator[tuple[Tab, str, str]]:
        """Run a turn; a view after each event. What goes wrong is told in the chat."""
        exchange = Exchange(question)
        tab.exchanges.append(exchange)
        tab.shown = len(tab.exchanges) - 1
        yield self.view(tab)
        try:
            async for event in self.bot.stream(question, shopper=tab.shopper, session=tab.session, decision=decision):
                exchange.events.append(event)
                yield self.view(tab)
        except ShopbotError as error:
            exchange.error = str(error)
        except Exception as error:
            log.exception("the turn failed")
            exchange.error = f"{type(error).__name__}: see the terminal that runs demo.py for the details."
        yield self.view(tab)

    def stop(self, tab: Tab) -> tuple[Tab, str, str]:
        """The shopper has stopped the turn."""
        if tab.exchanges and tab.exchanges[-1].running:
            tab.exchanges[-1].error = "stopped"
        return self.view(tab)

    def become(self, tab: Tab, shopper_id: str) -> tuple[Tab, str, str]:
        """Another shopper ("" is a visitor), or the same again: a clean session."""
        tab.restart(self.shop.shopper(shopper_id or None))
        return self.view(tab)

    def hear_people(self, tab: Tab) -> None:
        """Fetch what people have written in this conversation since it was handed over."""
        if any(one.finished and one.finished.handed_over for one in tab.exchanges):
            after = tab.replies[-1][1].number if tab.replies else 0
            new = self.bot.handing.hand_overs.messages(tab.session, after)
            tab.replies += [(len(tab.exchanges) - 1, reply) for reply in new]

    def rate(self, tab: Tab, turn_id: str, thumb: int) -> tuple[Tab, str, str]:
        """Store a thumb on a turn of this tab."""
        exchange = tab.find(turn_id)
        if exchange is not None and thumb in (1, -1):
            try:
                self.bot.store.add_feedback(turn_id, thumb, "", self.bot.clock())
                exchange.thumb = thumb
            except ShopbotError as error:
                exchange.error = str(error)
        return self.view(tab)

    def show(self, tab: Tab, number: int) -> tuple[Tab, str, str]:
        """Show the steps of another turn of this tab."""
        tab.shown = number if 0 <= number < len(tab.exchanges) else tab.shown
        return self.view(tab)

    def insights(self, tab: Tab) -> str:
        """The insights page."""
        try:
            talks = conversations(self.bot.store)
        except ShopbotError as error:
            return self.render("insights", tab, trouble=str(error))
        values = {"glance": self.glance, "talks": talks, "problems": self.shop.problems, "most": MOST_CONVERSATIONS}
        return self.render("insights", tab, **values)

    def language(self, wish: str) -> str:
        """The interface's language for a wish such as "zh-CN,zh;q=0.9"; English where it is none of ours."""
        return next((one for one in self.words if wish.startswith(one)), "en")

    def people(self, words: Words) -> list[tuple[str, str]]:
        """The shopper picker's choices: (label, id)."""
        choices = [(words["visitor"], "")]
        for shopper_id, language, count in self.shoppers:
            orders = words["one_order"] if count == 1 else words["orders"].format(n=count)
            spoken = self.words[language]["language"] if language in self.words else language
            name = self.shop.shopper(shopper_id).name or shopper_id
            choices.append((" · ".join(part for part in (name, spoken, orders) if part), shopper_id))
        return choices


# ---------------------------------------------------------------- the page


def theme() -> Any:
    """A quiet theme: stone greys, one green, system fonts (so that no font is fetched from anywhere)."""
    from gradio.themes import Base, Color

    green = Color(
        *("#eef8f4", "#d6efe5", "#aedfcc", "#7fcab0", "#4fae90", "#2c9075", "#17705a", "#125b49", "#0e483a", "#0b382e"),
        "#06231c",
    )
    fonts = ("Inter", "ui-sans-serif", "system-ui", "PingFang SC", "Noto Sans CJK SC", "sans-serif")
    look = Base(primary_hue=green, neutral_hue="stone", font=fonts, font_mono=("ui-monospace", "monospace"))
    return look.set(
        body_background_fill="#faf9f7",
        body_background_fill_dark="#151413",
        background_fill_primary_dark="#1d1b1a",
        body_text_color_subdued="#6b6560",
        body_text_color_subdued_dark="#a8a29e",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="#17372e",
        block_border_width="0px",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        input_background_fill="white",
        input_background_fill_dark="#1d1b1a",
        input_radius="12px",
        button_large_radius="12px",
        button_medium_radius="12px",
    )


def build(demo: Demo) -> Any:
    """The page: its components, and which handler each click goes to."""
    import gradio as gr

    words = demo.words["en"]
    with gr.Blocks(title=f"{demo.shop.config.shop.name} · shopbot", analytics_enabled=False) as page:
        tab = gr.State()  # a Tab, made when the page is loaded; until then nothing can be typed or clicked
        with gr.Row(elem_id="top"):
            brand = gr.HTML(demo.render("brand", Tab()), apply_default_css=False)
            spoken = [(text["language"], language) for language, text in demo.words.items()]
            language = gr.Radio(spoken, value="en", show_label=False, container=False, interactive=False,
                                elem_id="language")  # fmt: skip
        with gr.Tab(words["chat"]) as chat_tab, gr.Row(elem_id="columns"):
            with gr.Column(scale=3, min_width=320, elem_id="left"):
                with gr.Row(elem_id="who"):
                    who = gr.Dropdown(demo.people(words), value="", label=words["who"], num_choices_shown=9, scale=3,
                                      min_width=180, interactive=False, elem_id="shopper")  # fmt: skip
                    new = gr.Button(words["new"], scale=1, min_width=120, interactive=False, elem_id="new")
                script = (PAGE / "page.js").read_text("utf-8")
                talk = gr.HTML(elem_id="talk", js_on_load=script, apply_default_css=False)
                box = gr.Textbox(placeholder=words["ask"], show_label=False, container=False, max_lines=5,
                                 max_length=100_000, submit_btn=True, interactive=False, elem_id="ask")  # fmt: skip
            with gr.Column(scale=2, min_width=320):
                panel = gr.HTML(elem_id="panel", apply_default_css=False)
        with gr.Tab(words["insights"]) as insights_tab:
            figures = gr.HTML(elem_id="insights", apply_default_css=False)
        shown, labels = [tab, talk, panel], [language, brand, chat_tab, insights_tab, who, new, box]
        connect(demo, page, shown, labels, figures)
    return page


def connect(demo: Demo, page: Any, shown: list[Any], labels: list[Any], figures: Any) -> None:
    """Which click goes to which handler. None of them is an endpoint for other programs."""
    import gradio as gr

    tab, talk, _ = shown
    language, _, _, insights_tab, who, new, box = labels
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    idle: dict[str, Any] = {"submit_btn": True, "stop_btn": False}

    async def asked(state: Tab, typed: str, event: gr.EventData) -> AsyncIterator[tuple[Any, ...]]:
        clicked = event.target is talk
        question = str(event.ask if clicked else typed).strip()
        decision = Decision(str(event.key), bool(event.yes)) if clicked and event.key else None
        if question:
            yield (*demo.view(state), gr.Textbox(value="", submit_btn=False, stop_btn=True))
            async for view in demo.ask(state, question, decision):
                yield (*view, gr.skip())
        yield (*demo.view(state), gr.Textbox(**idle))

    def thumbed(state: Tab, event: gr.EventData) -> tuple[Any, ...]:
        return demo.rate(state, str(event.turn), int(event.thumb))

    def chosen(state: Tab, event: gr.EventData) -> tuple[Any, ...]:
        demo.hear_people(state)
        return demo.show(state, int(event.show))

    def opened(request: gr.Request) -> tuple[Any, ...]:
        return relabelled(demo, Tab(), demo.language(str(request.headers.get("accept-language", ""))))

    asking = gr.on([box.submit, talk.submit], asked, [tab, box], [*shown, box], concurrency_limit=16, **quiet)
    box.stop(lambda state: (*demo.stop(state), gr.Textbox(**idle)), tab, [*shown, box], cancels=[asking], **quiet)
    restart = lambda state, one: (*demo.become(state, one), gr.Textbox(**idle))  # noqa: E731 - as the line above
    gr.on([who.input, new.click], restart, [tab, who], [*shown, box], cancels=[asking], **quiet)
    talk.like(thumbed, tab, shown, **quiet)
    talk.select(chosen, tab, shown, **quiet)
    page.load(opened, None, [*shown, *labels, figures], **quiet)
    language.input(partial(relabelled, demo), [tab, language], [*shown, *labels, figures], **quiet)
    insights_tab.select(demo.insights, tab, figures, **quiet)


def relabelled(demo: Demo, tab: Tab, language: str) -> tuple[Any, ...]:
    """The whole page in a language, and ready to be used."""
    import gradio as gr

    tab.language = demo.language(language)
    words = demo.words[tab.language]
    return (
        *demo.view(tab),
        gr.Radio(value=tab.language, interactive=True),
        demo.render("brand", tab),
        gr.Tab(label=words["chat"]),
        gr.Tab(label=words["insights"]),
        gr.Dropdown(choices=demo.people(words), label=words["who"], interactive=True),
        gr.Button(words["new"], interactive=True),
        gr.Textbox(placeholder=words["ask"], label=words["ask"], interactive=True),
        demo.insights(tab),
    )


# ---------------------------------------------------------------- the command


@contextmanager
def step(out: Console, what: str) -> Iterator[Progress]:
    """A line of the start-up: what is being done, then how long it took. Yields what moves its bar."""
    began = perf_counter()
    with out.status(f"{what} …") as status:

        def move(stage: str, done: int, total: int) -> None:
            filled = 24 * done // max(total, 1)
            bar = f"[green]{'━' * filled}[/green][dim]{'━' * (24 - filled)}[/dim]"
            status.update(f"{what} {bar} {done} of {total} {stage}")

        yield move
    out.print(f"[green]✓[/green] {what} [dim]{perf_counter() - began:.1f} s[/dim]")


def check_port(host: str, port: int) -> None:
    """Refuse a port that is taken before anything is loaded for it. Raises typer.Exit, with 2."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        other = port + 1 if port < 65_535 else port - 1
        why = f"Port {port} is in use. Type:  python demo.py --port {other}" if taken else \
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Try --host 127.0.0.1 --port 7860"  # fmt: skip
        Console(stderr=True, soft_wrap=True).print(f"[red]{escape(why)}[/red]")
        raise typer.Exit(2) from None


def prepare(out: Console, folder: Path, home: Path, options: dict[str, Any]) -> Demo:
    """Open the shop and load everything that a turn needs, so that the page is never half ready."""
    with step(out, "Reading the shop"):
        shop = Shop.open(folder, home=home)
    with step(out, "Loading the sentence model"):
        shop.embedder.embed_array(["warm"], query=True)
    with step(out, "Bringing the index of policies and products up to date") as shop.progress:
        _ = shop.index
    with step(out, "Learning what shoppers ask from examples") as shop.progress:
        _ = shop.intents
    with step(out, "Wiring the agent"):
        bot = shop.bot(**options)
        bot.mind.current().understand("Where is my order?")
        demo = Demo(shop, bot)
    for problem in shop.problems[:5]:
        out.print(f"[yellow]{escape(problem)}[/yellow]")
    return demo


def has_display() -> bool:
    """Whether a browser can be opened for the person at this machine."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main(
    shop: Annotated[Path, typer.Option(envvar="SHOPBOT_SHOP", help="The shop's folder: it has a shop.toml.")] = Path(
        "sample_shop"
    ),
    host: Annotated[str, typer.Option(help="Where to listen. 0.0.0.0 lets others in: they can be any shopper.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of the page.")] = 7860,
    home: Annotated[
        Path, typer.Option(envvar="SHOPBOT_HOME", help="Where index, sessions and models are kept.")
    ] = Path("~/.cache/shopbot"),
    planner: Annotated[Literal["head", "model"], typer.Option(help="Who chooses the steps: 'head' needs no model.")] = (
        "head"
    ),
    wording: Annotated[Literal["draft", "model"], typer.Option(help="Who words answers: the sources, or a model.")] = (
        "draft"
    ),
    model: Annotated[str | None, typer.Option(help="'local', 'vllm:http://HOST:PORT/v1', a name or a folder.")] = None,
    share: Annotated[Literal["no", "yes"], typer.Option(help="A public link through Gradio's servers.")] = "no",
) -> None:
    """Talk to a shop's agent in the browser, and watch each step of its answers.

    The sample shop:      python demo.py

    A shop of your own:   python demo.py --shop DIR

    Worded by a model:    python demo.py --wording model --model vllm:http://127.0.0.1:8000/v1
    """
    # Read when torch is loaded: threads that spin while they wait make encoding many times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    began, out = perf_counter(), Console(highlight=False, soft_wrap=True)
    check_port(host, port)
    try:
        demo = prepare(out, shop, home, {"planner": planner, "wording": wording, "model": model})
    except ShopbotError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(2) from None
    with demo.shop:
        serve(out, demo, host, port, share == "yes", began)


def serve(out: Console, demo: Demo, host: str, port: int, share: bool, began: float) -> None:
    """Open the page and stay until Ctrl-C."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with step(out, "Opening the page"):
        page = build(demo)
        page.launch(
            server_name=host, server_port=port, share=share, inbrowser=has_display(), quiet=True, prevent_thread_lock=True,
            theme=theme(), css_paths=[PAGE / "style.css"], favicon_path=PAGE / "mark.svg", footer_links=[], ssr_mode=False,
        )  # fmt: skip
    local = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    out.print(f"[bold]Ready in {perf_counter() - began:.0f} s — open http://{local}:{port}[/bold]  (Ctrl-C ends)")
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)


if __name__ == "__main__":
    typer.run(main)

"""Streaming: however a text is cut on its way, the same sentences are released, and they are those of the whole text.

python -m benchmarks.streaming [--quick] [--server URL] [--json OUT]

cut         the sample shop's own texts, in English and Chinese, with citations, prices and ids in them, cut by Hypothesis
            at random places and inside runs of Chinese, numbers and citations: `Gate` must release what it releases
            when the text comes whole.
over HTTP   whole turns of the bot against a real HTTP server that repeats the draft, then invents; its streams are
            cut at random: the same events as from an answer that is not streamed.
vLLM        50 development questions of the sample shop, one at a time, temperature 0, on a real server with prefix
            caching off (a cached prompt goes through other kernels than a new one, which may change a last bit): each
            with "stream" true and false, once the bare model with the rendered passages, once through the bot.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from benchmarks.answers.score import read_questions
from benchmarks.report import REPOSITORY, Rows
from benchmarks.vllm_server import Served, served
from shopbot.bot import ShopBot
from shopbot.grounding import Gate
from shopbot.models import vllm_chat
from shopbot.prompts import STOPS
from shopbot.shop import Shop
from shopbot.store import Store
from shopbot.testing import ScriptedServer, cut_at_random, scripted_server
from shopbot.types import Draft, Drafted, Event, Language, Said, Shopper, Withheld

SEED = 20261124
FILES = ("sample_shop_dev", "sample_shop_dev2")
QUESTIONS = 50
NO_PREFIX_CACHE = ("--no-enable-prefix-caching",)
MOST_CUTS = 60
MOST_TOKENS = 64
"""Of an answer: two or three sentences, on a machine that makes 20 tokens a second."""

MARKED = (
    "Return it within 30 days [1]. Delivery is £3.95 (policies/en/shipping.md#UK standard delivery); over £1,299.00 it's free.",
    "订单 LF-10001 已于2026年11月17日发货[1]。运费为£3.95（policies/zh/shipping.md）。满£50.00包邮！",
    'He asked: "Is it 2.5 kg?" Yes, e.g. No. 5 … see https://larkfield.example/a.b?c=1.5. Ok?!” 好的。',
)
SPECIAL = {
    "Chinese": re.compile(r"[\u3400-\u9fff。！？，]{2,}"),
    "numbers": re.compile(r"\d[\d.,:-]*\d"),
    "citations": re.compile(r"\[\d+\]|[(（][\w/]+\.md[^)）]*[)）]"),
}

Sentences = Callable[[Sequence[str]], list[str]]


# ---------------------------------------------------------------- cut anywhere


def released(pieces: Sequence[str]) -> list[str]:
    """What the gate releases when a text comes in these pieces."""
    gate = Gate()
    return [sentence for piece in pieces for sentence in gate.feed(piece)] + gate.finish()


def texts_of(shop: Shop) -> list[str]:
    """What the shop has written, each policy passage with a citation behind it as an answer would have it."""
    written = [one for one in shop.passages() if one.kind == "policy" and len(one.text) > 20]
    return [*MARKED, *(f"{one.text} ({one.source}) [{number}]" for number, one in enumerate(written, 1))]


def cut_everywhere(texts: Sequence[str], streams: int, sentences: Sentences = released) -> Counter[str]:
    """Let Hypothesis cut the texts; returns how many streams there were and where the cuts fell.

    Raises AssertionError with the smallest text and cuts for which other sentences came out.
    """
    fell: Counter[str] = Counter()

    @seed(SEED)
    @settings(max_examples=streams, deadline=None, database=None)
    @given(st.sampled_from(texts), st.data())
    def same_sentences(text: str, data: st.DataObject) -> None:
        cuts = data.draw(st.sets(st.integers(1, len(text) - 1) | st.sampled_from(inside(text)), max_size=MOST_CUTS))
        places = [0, *sorted(cuts), len(text)]
        pieces = [text[start:end] for start, end in zip(places, places[1:], strict=False)]
        fell.update(streams=1, cuts=len(cuts))
        fell.update(kind for kind, within in _spans(text) for cut in cuts if within[0] < cut < within[1])
        assert sentences(pieces) == sentences([text]), pieces

    same_sentences()
    return fell


def inside(text: str) -> list[int]:
    """Places inside runs of Chinese, numbers and citations; any place where a text has none."""
    return [place for _, (start, end) in _spans(text) for place in range(start + 1, end)] or [1]


def _spans(text: str) -> list[tuple[str, tuple[int, int]]]:
    return [(kind, match.span()) for kind, pattern in SPECIAL.items() for match in pattern.finditer(text)]


# ---------------------------------------------------------------- turns of the bot


@dataclass(frozen=True)
class Asked:
    """A question whose draft a model may word."""

    text: str
    shopper_id: str | None
    draft: Draft
    language: Language = "en"


async def events_of(bot: ShopBot, question: str, shopper_id: str | None = None) -> list[Event]:
    """The events of a turn in a session of its own."""
    return [event async for event in bot.stream(question, shopper=Shopper(shopper_id))]


async def told(bot: ShopBot, asked: Asked) -> list[Said | Withheld]:
    """What the shopper is shown, piece by piece, and what was withheld."""
    events = await events_of(bot, asked.text, asked.shopper_id)
    return [event for event in events if isinstance(event, Said | Withheld)]


async def questions_to_word(shop: Shop, store: Store, count: int) -> list[Asked]:
    """The first English development questions whose drafts a model may word; approved answers and lists it may not."""
    rows = [row for name in FILES for row in read_questions(REPOSITORY / "benchmarks" / "answers" / f"{name}.jsonl")]
    found: list[Asked] = []
    with scripted_server(lambda _: {"content": ""}) as server:
        bot, _ = bots(shop, store, server.base_url, "scripted")
        for row in rows:
            if row.language == "en" and len(found) < count:
                events = await events_of(bot, row.question, row.shopper_id)
                [drafted] = [event for event in events if isinstance(event, Drafted)]
                if drafted.worded_by == "scripted":
                    found.append(Asked(row.question, row.shopper_id, drafted.draft))
    return found


# ---------------------------------------------------------------- over HTTP, cut at random


def repeats_the_draft(request: dict[str, Any]) -> dict[str, Any]:
    """A model that says what the draft says, in one breath, and then invents."""
    [draft] = re.findall(r"<draft>\n(.*?)\n</draft>", request["messages"][-1]["content"], re.DOTALL)
    return {"content": f"{draft} It costs £999.99 [1]. 免费！"}


async def over_http(shop: Shop, store: Store, questions: int, cuts: int) -> tuple[int, int]:
    """(streams that told the same as the whole answer, all streams)."""
    every = await questions_to_word(shop, store, questions)
    with scripted_server(repeats_the_draft) as server:
        streamed, whole = bots(shop, store, server.base_url, "scripted")
        same = made = 0
        for asked in every:
            wanted = await told(whole, asked)
            for cut in range(cuts):
                server.cut = cut_at_random(cut)
                same, made = same + (await told(streamed, asked) == wanted), made + 1
        _check_streaming(server)
    return same, made


def _check_streaming(server: ScriptedServer) -> None:
    """The comparison would be empty if both sides were asked in one way."""
    assert {bool(request.get("stream")) for request in server.requests} == {True, False}


def bots(shop: Shop, store: Store, url: str, model: str) -> tuple[ShopBot, ShopBot]:
    """(a bot whose model streams, one whose model is asked with "stream" false)."""
    ways = (
        vllm_chat(url, model, timeout=300, max_tokens=MOST_TOKENS, disable_streaming=whole) for whole in (False, True)
    )
    streamed, whole = (shop.bot(wording="model", model=chat, store=store) for chat in ways)
    return streamed, whole


# ---------------------------------------------------------------- vLLM


async def on_vllm(rows: Rows, shop: Shop, store: Store, server: Served, count: int) -> None:
    """Every question twice to the bare model and twice to the bot."""
    streamed, whole = bots(shop, store, server.url, server.name)
    asked = await questions_to_word(shop, store, count)
    texts = [await _bare(streamed, one) for one in asked]
    same = sum("".join(pieces) == text for pieces, text in texts)
    rows.add("vLLM, bare model with passages: texts equal", f"{same} of {len(asked)}", f"{count}", same == count)
    rows.add(
        "vLLM: pieces a stream, median", statistics.median(len(pieces) for pieces, _ in texts), "orientation", None
    )
    turns = [(await told(streamed, one), await told(whole, one)) for one in asked]
    same = sum(one == other for one, other in turns)
    rows.add("vLLM, through the bot: the same told", f"{same} of {len(asked)}", f"{count}", same == count)
    withheld = sum(isinstance(event, Withheld) for one, _ in turns for event in one)
    rows.add("vLLM: turns in which a sentence was withheld", withheld, "orientation", None)


async def _bare(bot: ShopBot, asked: Asked) -> tuple[list[str], str]:
    """(the pieces of a stream, the whole text) of the model with the prompt that the bot would send."""
    assert bot.wording is not None
    prompt = await bot.wording.prompt(asked.draft, asked.text, asked.language, ())
    pieces = [str(chunk.content) async for chunk in bot.wording.model.astream(prompt, stop=STOPS) if chunk.content]
    return pieces, str((await bot.wording.model.ainvoke(prompt, stop=STOPS)).content)


# ---------------------------------------------------------------- the rows


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cuts, and no vLLM.")] = False,
    server: Annotated[str, typer.Option(help="A vLLM server without prefix caching that runs already.")] = "",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the rows here.")] = None,
) -> None:
    """Cut, ask, compare."""
    rows = Rows("streaming")
    with (
        Shop.open(REPOSITORY / "sample_shop") as shop,
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "streaming.db") as store,
    ):
        _cut(rows, texts_of(shop), 300 if quick else 5000)
        same, made = asyncio.run(over_http(shop, store, 3 if quick else 10, 5 if quick else 20))
        rows.add("over HTTP, cut at random: the same told", f"{same} of {made}", "all", same == made > 0)
        if quick:
            rows.add("vLLM: stream true and false equal", None, f"{QUESTIONS} (full form only)", None)
        else:
            _vllm(rows, shop, store, server)
    raise SystemExit(rows.finish(json_path))


def _cut(rows: Rows, texts: Sequence[str], streams: int) -> None:
    try:
        fell = cut_everywhere(texts, streams)
    except AssertionError as error:
        rows.add(f"the same sentences however a text is cut: {error}", False, "True", False)
        return
    within = ", ".join(f"{fell[kind]} in {kind}" for kind in SPECIAL)
    rows.add(f"streams with the same sentences, {len(texts)} texts, {fell['cuts']} cuts ({within})", fell["streams"],
             f">= {streams}", fell["streams"] >= streams and all(fell[kind] for kind in SPECIAL))  # fmt: skip


def _vllm(rows: Rows, shop: Shop, store: Store, url: str) -> None:
    from shopbot.weights import fetch

    folder = fetch(shop.config.models.dialogue).path
    with served(folder, url or None, extra=NO_PREFIX_CACHE) as server:
        asyncio.run(on_vllm(rows, shop, store, server, QUESTIONS))


if __name__ == "__main__":
    typer.run(main)

"""The report of an evaluation: one HTML file with its plot inside, which needs nothing else to be read or sent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from knowledge.ranking import METRICS, recall

if TYPE_CHECKING:
    from knowledge.evaluate import Asked
    from knowledge.retriever import ShopRetriever
    from shopbot.types import Passage

WORST = 10
"""Questions shown with what was found instead of what should be."""

SHOWN = 5
"""Documents shown of what was found for one of them."""

LONGEST = 300
"""Characters shown of a question."""

DEEPEST = 10
COLOURS = {"dense": "#2563eb", "lexical": "#d97706", "fused": "#059669"}
_LEFT, _TOP, _WIDTH, _HEIGHT = 46, 12, 480, 220

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1917; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #e7e5e4; }
th:first-child, td:first-child { text-align: left; } small { color: #78716c; } svg { max-width: 100%; height: auto; }
details { border-bottom: 1px solid #e7e5e4; padding: .4rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
li.right { color: #047857; } li { overflow-wrap: anywhere; }
"""


def page(retriever: ShopRetriever, asked: Sequence[Asked], result: Mapping[str, Any]) -> str:
    """The whole report as HTML. `result` is what `evaluate.results` gives."""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>How well the index answers</title><style>{_STYLE}</style>
<h1>How well the index answers</h1>
<p>{result["questions"]} questions, {result["passages"]} passages (version {escape(str(result["version"]))}),
embedder {escape(str(result["embedder"]))}.
Retrieval of one question took {result["latency_ms"]["p50"]:.1f} ms (median), {result["latency_ms"]["p99"]:.1f} ms (99th percentile).</p>
{_figures(result)}
<h2>Share of the right documents among the first k</h2>
{_plot(asked)}
<h2>The {min(WORST, len(asked))} worst questions</h2>
<p><small>By nDCG@10 of both legs together. Open one for what was found instead of what should be.</small></p>
{_worst(retriever, asked, result)}
{_left_out(result)}
</html>
"""


def _figures(result: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{name}</th>" for name in METRICS)
    rows = "".join(
        f"<tr><td>{leg}</td>" + "".join(f"<td>{_figure(own[name])}</td>" for name in METRICS) + "</tr>"
        for leg, own in result["legs"].items()
    )
    note = "Mean over questions; under it the 95 % interval (bootstrap over questions). Ties are counted against us."
    return f"<table><tr><th></th>{head}</tr>{rows}</table><p><small>{note}</small></p>"


def _figure(one: Mapping[str, float]) -> str:
    return f"{one['value']:.3f}<br><small>{one['low']:.3f}–{one['high']:.3f}</small>"


# ---------------------------------------------------------------- the plot


def _plot(asked: Sequence[Asked]) -> str:
    curves = {
        "dense": _recalls([(each, each.ranking(1.0)) for each in asked]),
        "lexical": _recalls([(each, each.ranking(0.0)) for each in asked]),
        "fused": _recalls([(each, each.ranking(each.found.share)) for each in asked]),
    }
    axes = "".join(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{_y(level)}" y2="{_y(level)}" stroke="#e7e5e4"/>'
        f'<text x="{_LEFT - 8}" y="{_y(level) + 4}" text-anchor="end">{level:.1f}</text>'
        for level in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ) + "".join(f'<text x="{_x(k)}" y="{_y(0) + 20}" text-anchor="middle">{k}</text>' for k in range(1, DEEPEST + 1))
    lines = "".join(_curve(leg, points, place) for place, (leg, points) in enumerate(curves.items()))
    size = f"0 0 {_LEFT + _WIDTH + 100} {_TOP + _HEIGHT + 40}"
    return (
        f'<svg viewBox="{size}" width="640" role="img" aria-label="Recall at k, by leg" font-size="12">'
        f'{axes}{lines}<text x="{_x(DEEPEST) + 14}" y="{_y(0) + 20}">k</text></svg>'
    )


def _recalls(ranked: Sequence[tuple[Asked, list[str]]]) -> list[float]:
    """Mean recall at 1 … DEEPEST."""
    return [
        sum(recall(ranking, each.question.relevant, k) for each, ranking in ranked) / len(ranked)
        for k in range(1, DEEPEST + 1)
    ]


def _curve(leg: str, points: Sequence[float], place: int) -> str:
    colour = COLOURS[leg]
    line = " ".join(f"{_x(k)},{_y(value)}" for k, value in enumerate(points, 1))
    dots = "".join(
        f'<circle cx="{_x(k)}" cy="{_y(value)}" r="3" fill="{colour}"><title>{leg}, {k}: {value:.3f}</title></circle>'
        for k, value in enumerate(points, 1)
    )
    label = f'<text x="{_LEFT + _WIDTH + 14}" y="{_TOP + 16 + 20 * place}" fill="{colour}">● {leg}</text>'
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{label}'


def _x(k: int) -> float:
    return round(_LEFT + 12 + (k - 1) * (_WIDTH - 24) / (DEEPEST - 1), 1)


def _y(value: float) -> float:
    return round(_TOP + _HEIGHT * (1 - value), 1)


# ---------------------------------------------------------------- what went wrong


def _worst(retriever: ShopRetriever, asked: Sequence[Asked], result: Mapping[str, Any]) -> str:
    passages = list(retriever.index.passages.values())
    gained = [one["ndcg@10"] for one in result["by_question"]]
    worst = sorted(range(len(asked)), key=lambda row: gained[row])[:WORST]
    return "".join(_question(passages, asked[row], gained[row]) for row in worst)


def _question(passages: Sequence[Passage], asked: Asked, gained: float) -> str:
    ranking, question = asked.ranking(asked.found.share), asked.question
    texts = _best_texts(passages, asked)
    found = "".join(_found(each, texts[each], each in question.relevant) for each in ranking[:SHOWN])
    wanted = "".join(f"<li>{_named(each, _place(each, asked, ranking))}</li>" for each in question.relevant)
    text = question.text if len(question.text) <= LONGEST else question.text[:LONGEST] + "…"
    return (
        f"<details><summary><b>{escape(question.id)}</b> {_named(text, f'nDCG@10 {gained:.3f}')}</summary>"
        f"<p>Should be found:</p><ul>{wanted}</ul><p>Was found:</p><ol>{found or '<li>nothing</li>'}</ol></details>"
    )


def _found(document: str, text: str, is_right: bool) -> str:
    kind = "right" if is_right else "wrong"
    return f'<li class="{kind}">{_named(document, text)}</li>'


def _named(name: str, note: str) -> str:
    return f"{escape(name)} <small>{escape(note)}</small>"


def _place(document: str, asked: Asked, ranking: Sequence[str]) -> str:
    if document in asked.question.unknown:
        return "in no document of the index"
    return f"rank {ranking.index(document) + 1}" if document in ranking else "not found"


def _best_texts(passages: Sequence[Passage], asked: Asked) -> dict[str, str]:
    """The beginning of the best passage of each document that was found."""
    rows = asked.found.rows[asked.found.scores(asked.found.share).argsort()]  # the best comes last and stays
    return {passages[row].source: " ".join(passages[row].text.split())[:160] for row in rows}


def _left_out(result: Mapping[str, Any]) -> str:
    lines = [
        *(f"{document}: in no document of the index, {times}×" for document, times in result["unknown"].items()),
        *result.get("left_out", ()),
    ]
    if not lines:
        return ""
    return "<h2>What is not in these figures</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"

"""Evaluation: figures worked out by hand, ties, files of questions, a learned share that stays, the report, the command."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.evaluate import GRID, app, ask, best_share, figures, gains, halves, learn, opened
from knowledge.index import KnowledgeIndex
from knowledge.questions import Question, read_questions
from knowledge.ranking import interval, measure, ndcg, rank, recall, reciprocal_rank
from knowledge_corpus import passage
from shopbot.errors import StoreError
from shopbot.types import Passage

ROOT = Path(__file__).resolve().parent.parent

DOCUMENTS = {
    "help/returns.md": (
        "Returns",
        "Send it back within thirty days. Money comes back to your card in five working days.",
    ),
    "help/delivery.md": ("Delivery", "Parcels leave our warehouse within two days and arrive in three more."),
    "help/warranty.md": ("Warranty", "Every machine is repaired free of charge for two years."),
    "help/payment.html": ("Payment", "We take cards of every bank, and vouchers."),
    "parts/ab120.md": ("Filter AB-120-GRN", "A green filter for the machine of last year."),
    "parts/ab130.md": ("Filter AB-130-GRN", "A green filter for the machine of this year."),
    "parts/ab140.md": ("Filter AB-140-GRN", "A green filter for the machine of two years ago."),
}
PASSAGES = [passage(text, source=source, title=title) for source, (title, text) in DOCUMENTS.items()]

QUESTIONS = [
    ("When do I get reimbursed?", "help/returns.md"),
    ("How fast is shipping?", "help/delivery.md"),
    ("my appliance broke, who fixes it", "help/warranty.md"),
    ("can I pay with Visa", "help/payment.html"),
    ("AB-120-GRN", "parts/ab120.md"),
    ("AB-130-GRN", "parts/ab130.md"),
    ("AB-140-GRN", "parts/ab140.md"),
    ("is the ab120grn good", "parts/ab120.md"),
    ("do you have the ab130grn", "parts/ab130.md"),
    ("price of ab140grn", "parts/ab140.md"),
    ("send a parcel back", "help/returns.md"),
    ("arrival of my order", "help/delivery.md"),
]


@pytest.fixture
def folder(tmp_path: Path, minilm: SentenceEmbedder) -> Path:
    KnowledgeIndex.build(tmp_path / "index", PASSAGES, minilm).close()
    return tmp_path / "index"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    lines = [{"id": f"q{n}", "question": text, "relevant": [one]} for n, (text, one) in enumerate(QUESTIONS, 1)]
    return written(tmp_path / "questions.jsonl", *map(json.dumps, lines))


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def evaluate(folder: Path, questions: Path, *more: str | Path) -> Result:
    return CliRunner().invoke(app, ["--index", str(folder), "--questions", str(questions), *map(str, more)])


def line(**fields: object) -> str:
    return json.dumps({"id": "q", "question": "When?", "relevant": ["returns"]} | fields)


# ---------------------------------------------------------------- figures


def test_figures_worked_out_by_hand() -> None:
    ranking, relevant = ["a", "x", "b", "y", "c"], {"a", "b", "c", "d"}
    assert recall(ranking, relevant, 1) == 1 / 4
    assert recall(ranking, relevant, 3) == 2 / 4
    assert recall(ranking, relevant, 10) == 3 / 4
    assert reciprocal_rank(ranking, relevant) == 1
    assert reciprocal_rank(["x", "y", "b"], relevant) == 1 / 3
    assert reciprocal_rank(["x"], relevant) == 0
    # DCG 1 + 1/2 + 1/log2(6), of at most 1 + 1/log2(3) + 1/2 + 1/log2(5).
    assert ndcg(ranking, relevant) == pytest.approx(1.886853 / 2.561606, abs=1e-6)
    assert measure(ranking, relevant) == (1 / 4, 2 / 4, 3 / 4, ndcg(ranking, relevant), 1)


def test_the_best_ranking_has_an_ndcg_of_one_even_with_more_relevant_than_ranks() -> None:
    many = [str(number) for number in range(15)]
    assert ndcg(many, many) == pytest.approx(1)
    assert ndcg(["x", *many], many) < 1
    assert ndcg(["x"] * 10 + many, many) == 0
    assert ndcg(["x", "a"], ["a"]) == pytest.approx(1 / math.log2(3))


def test_the_best_passage_of_a_document_counts_and_ties_count_against_us() -> None:
    documents = np.array(["a", "b", "a", "c", "d"])
    scores = np.array([0.1, 0.5, 0.9, 0.5, 0.0], dtype=np.float32)
    assert rank(documents, scores, {"b"}) == ["a", "c", "b"]
    assert rank(documents, scores, {"c"}) == ["a", "b", "c"]
    flat = np.ones(5, dtype=np.float32)
    assert rank(documents, flat, {"a"})[-1] == "a"


def test_an_interval_holds_the_mean_and_is_the_same_again() -> None:
    values = np.array([0.0, 1.0] * 50)
    low, high = interval(values)
    assert (low, high) == interval(values)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.02)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.02)
    assert interval(np.ones(3)) == (1, 1)


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize(
    "named", ["help/returns.md", "help/returns", "returns.md", "returns"], ids=lambda named: named.replace("/", "-")
)
def test_a_document_is_named_by_any_end_of_its_path(tmp_path: Path, named: str) -> None:
    read = read_questions(written(tmp_path / "q.jsonl", line(relevant=[named, "nowhere"])), DOCUMENTS)
    assert read.problems == []
    assert read.questions == [Question("q", "When?", ("help/returns.md", "nowhere"), ("nowhere",))]


@pytest.mark.parametrize(
    ("sources", "named"), [(["faq.md", "old/faq.md"], "faq.md"), (["product:1.5", "product:1"], "product:1.5")]
)
def test_a_whole_id_wins_over_the_end_of_another(tmp_path: Path, sources: list[str], named: str) -> None:
    read = read_questions(written(tmp_path / "q.jsonl", line(relevant=[named])), sources)
    assert read.questions == [Question("q", "When?", (named,))]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", "not JSON"),
        ('["a"]', "not an object"),
        (line(question=" "), 'no "question"'),
        (line(question=None), 'no "question"'),
        (line(relevant=[]), 'no "relevant"'),
        (line(relevant="returns"), 'no "relevant"'),
        (line(relevant=[3.5]), 'no "relevant"'),
        (line(relevant=["faq"]), "'faq' may be en/faq.md or zh/faq.md; write more of the path"),
        (line(), "the id 'q' stands on a line above"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_left_out(tmp_path: Path, bad: str, said: str) -> None:
    path = written(tmp_path / "q.jsonl", line(), "", bad, line(id="last"))
    read = read_questions(path, [*DOCUMENTS, "en/faq.md", "zh/faq.md"])
    assert [question.id for question in read.questions] == ["q", "last"]
    assert len(read.problems) == 1
    assert read.problems[0].startswith(f"{path}:3: {said}")


@pytest.mark.parametrize(
    ("named", "document"),
    [
        ("AB-1", "product:AB-1"),
        ("product:AB-1", "product:AB-1"),
        ("a/5", "product:a/5"),
        ("refund", "help/faq.jsonl#refund"),
        ("faq.jsonl#refund", "help/faq.jsonl#refund"),
        ("faq#refund", "help/faq.jsonl#refund"),
        (7, "help/faq.jsonl#7"),
        ("faq#5", "help/faq.jsonl#5"),
        ("times.csv:5", "help/times.csv:5"),
    ],
)
def test_a_row_of_a_table_is_named_by_its_own_id(tmp_path: Path, named: str | int, document: str) -> None:
    rows = [
        "product:AB-1",
        "product:5",
        "product:a/5",
        "help/times.csv:5",
        *(f"help/faq.jsonl#{n}" for n in ("refund", 5, 7)),
    ]
    read = read_questions(written(tmp_path / "q.jsonl", line(relevant=[named])), rows)
    assert read.problems == []
    assert [(each.relevant, each.unknown) for each in read.questions] == [((document,), ())]


def test_an_id_of_rows_in_two_places_must_be_said_in_full(tmp_path: Path) -> None:
    read = read_questions(written(tmp_path / "q.jsonl", line(relevant=["5"])), ["product:5", "faq.jsonl#5"])
    assert read.problems == [f"{tmp_path / 'q.jsonl'}:1: '5' may be faq.jsonl#5 or product:5; write more of the path"]


# ---------------------------------------------------------------- asking and learning


def test_the_legs_are_those_of_the_retriever(folder: Path, minilm: SentenceEmbedder) -> None:
    asked_for = [Question(str(n), text, (one,)) for n, (text, one) in enumerate(QUESTIONS)]
    steps: list[tuple[str, int, int]] = []
    with opened(folder, minilm) as retriever:
        asked = ask(retriever, asked_for, lambda *step: steps.append(step))
        fused = [list(dict.fromkeys(each.passage.source for each in retriever.search(one.text))) for one in asked_for]
    assert [each.ranking(each.found.share) for each in asked] == fused
    assert steps[-1] == ("questions", 12, 12)
    assert all(each.seconds > 0 for each in asked)
    dense, lexical = figures(asked, 1.0)[:, 0], figures(asked, 0.0)[:, 0]
    assert dense[:4].tolist() == [1, 1, 1, 1]  # by meaning: no word in common
    assert lexical[4:10].tolist() == [1] * 6  # by id


def test_a_share_is_learned_from_questions_and_serves_after_reopening_and_ingesting_again(
    folder: Path, minilm: SentenceEmbedder
) -> None:
    with KnowledgeIndex.open(folder, minilm) as index:
        assert (index.dense_share("en"), index.manifest.weights) == (0.7, {})
        index.learn({"en": 0.25})
        assert index.dense_share("en") == 0.25
    with opened(folder, minilm) as retriever:
        found = retriever.candidates("is the ab120grn good")
        assert found.share == 0.25
        scores = [each.score for each in retriever.search("is the ab120grn good")]
    assert scores == pytest.approx(sorted(found.scores(0.25), reverse=True)[: len(scores)])
    assert scores != pytest.approx(sorted(found.scores(0.7), reverse=True)[: len(scores)])
    again = KnowledgeIndex.build(folder, PASSAGES, minilm)
    assert (again.change.switched, again.dense_share("en")) == (False, 0.25)
    again.close()
    more = [*PASSAGES, passage("Cards of every shop.", source="help/gifts.md")]
    with KnowledgeIndex.build(folder, more, minilm) as index:
        assert (index.version.name, index.dense_share("en")) == ("0002", 0.25)
        assert index.dense_share("fr") == 0.7
        index.learn({"fr": 0.5})
        assert dict(index.manifest.weights) == {"en": 0.25, "fr": 0.5}


def test_a_share_is_learned_for_the_version_that_serves_only(folder: Path, minilm: SentenceEmbedder) -> None:
    with KnowledgeIndex.open(folder, minilm) as old:
        KnowledgeIndex.build(folder, PASSAGES[:3], minilm).close()
        with pytest.raises(StoreError, match="another version"):
            old.learn({"en": 0.2})
        with pytest.raises(ValueError, match="between 0 and 1"):
            old.learn({"en": 1.2})
    with KnowledgeIndex.open(folder, minilm) as index, versions.writer(folder):
        with pytest.raises(StoreError, match="another process is writing"):
            index.learn({"en": 0.2})
        assert index.dense_share("en") == 0.7


def test_what_one_embedder_taught_does_not_pass_to_another(folder: Path, minilm: SentenceEmbedder) -> None:
    with KnowledgeIndex.open(folder, minilm) as index:
        index.learn({"en": 0.1})
    assert versions.learned(folder, minilm.name) == {"en": 0.1}
    assert versions.learned(folder, "another/model") == {}
    (folder / "versions" / "0001" / "manifest.json").write_text("{")
    assert versions.learned(folder, minilm.name) == {}
    assert versions.learned(folder / "nowhere", minilm.name) == {}


def test_halves_never_score_what_taught_them() -> None:
    pairs = list(halves(11))
    assert len(pairs) == 10
    for taught, scored in pairs:
        assert sorted([*taught, *scored]) == list(range(11))
    assert [first.tolist() for first, _ in halves(11)] == [first.tolist() for first, _ in pairs]


def test_the_share_with_the_best_ndcg_is_learned(folder: Path, minilm: SentenceEmbedder) -> None:
    with opened(folder, minilm) as retriever:
        asked = ask(retriever, [Question(str(n), text, (one,)) for n, (text, one) in enumerate(QUESTIONS)])
        few = asked[:9]
    gained = gains(asked)
    assert gained.shape == (12, len(GRID))
    (one,) = learn(asked)
    assert (one.language, one.questions, one.served) == ("en", 12, 0.7)
    assert one.after == pytest.approx(gained.mean(axis=0).max())
    assert one.share == GRID[best_share(gained)]
    assert one.before == pytest.approx(gained[:, GRID.index(0.7)].mean())
    assert learn(few) == []


# ---------------------------------------------------------------- from a shell


def test_help_teaches_from_a_shell() -> None:
    call = [sys.executable, "-m", "knowledge.evaluate", "--help"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    shown = " ".join(re.sub("[^\x20-\x7e]", " ", done.stdout).split())
    assert "Measure how well the index finds the documents that answer your questions" in shown
    for word in ("--index", "--questions", "--json", "--report", "--learn", '"relevant": ["returns.md"]', "Exit 0"):
        assert word in shown
    assert done.stderr == ""


def test_figures_are_shown_and_written(folder: Path, questions: Path, tmp_path: Path) -> None:
    done = evaluate(folder, questions, "--json", tmp_path / "out" / "figures.json")
    assert done.exit_code == 0, done.output
    for word in ("12 questions, 7 passages", "dense", "lexical", "fused", "recall@10", "ndcg@10", "99th percentile"):
        assert word in done.stdout
    result = json.loads((tmp_path / "out" / "figures.json").read_text("utf-8"))
    assert set(result["legs"]) == {"dense", "lexical", "fused"}
    for leg in result["legs"].values():
        assert list(leg) == ["recall@1", "recall@3", "recall@10", "ndcg@10", "mrr"]
        assert all(0 <= each["low"] <= each["value"] <= each["high"] <= 1 for each in leg.values())
    own = [one["ndcg@10"] for one in result["by_question"]]
    assert result["legs"]["fused"]["ndcg@10"]["value"] == pytest.approx(np.mean(own))
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert (result["questions"], result["left_out"], result["unknown"]) == (12, [], {})
    assert result["dense_share"] == {"en": 0.7}


def test_learning_keeps_a_share_only_where_it_helps(
    folder: Path, questions: Path, tmp_path: Path, minilm: SentenceEmbedder
) -> None:
    with KnowledgeIndex.open(folder, minilm) as index:
        index.learn({"en": 0.0})  # words alone find nothing for the questions that share none with the text
    done = evaluate(folder, questions, "--learn", "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    assert "en: dense share 0." in done.stdout
    assert "cross-validated), kept." in done.stdout
    (one,) = json.loads((tmp_path / "out.json").read_text("utf-8"))["learned"]
    assert (one["language"], one["questions"], one["served"], one["kept"]) == ("en", 12, 0.0, True)
    assert one["before"] < one["unseen"] <= one["after"]
    with KnowledgeIndex.open(folder, minilm) as index:
        assert index.manifest.weights == {"en": one["share"]}
    again = evaluate(folder, questions, "--learn")
    assert f"en: the share stays {one['share']:.2f}: no better one was found" in again.stdout
    with KnowledgeIndex.open(folder, minilm) as index:
        assert index.manifest.weights == {"en": one["share"]}


def test_too_few_questions_teach_nothing(folder: Path, tmp_path: Path, minilm: SentenceEmbedder) -> None:
    done = evaluate(folder, written(tmp_path / "q.jsonl", line(), line(id="2")), "--learn")
    assert done.exit_code == 0
    assert "Nothing learned: that takes 10 questions" in done.stdout
    with KnowledgeIndex.open(folder, minilm) as index:
        assert index.manifest.weights == {}


def test_the_report_stands_alone_and_shows_what_was_found_instead(folder: Path, tmp_path: Path) -> None:
    lines = [
        line(id="good", question="How fast is shipping?", relevant=["delivery"]),
        line(id="<bad>", question="How <fast> is shipping?", relevant=["ab140", "ghost.md"]),
    ]
    done = evaluate(folder, written(tmp_path / "q.jsonl", *lines, "{"), "--report", tmp_path / "report")
    assert done.exit_code == 2
    html = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert html.index("&lt;bad&gt;") < html.index("<b>good</b>")  # the worst first
    assert "How &lt;fast&gt; is shipping?" in html
    assert "<svg" in html
    assert html.count("<polyline") == 3
    assert not re.search("(src|href)=|url\\(|<script|<link", html)
    worst = html[html.index("&lt;bad&gt;") :]
    assert "ghost.md <small>in no document of the index" in worst
    assert '<li class="wrong">help/delivery.md' in worst
    assert "ghost.md: in no document of the index, 1×" in html
    assert "q.jsonl:3: not JSON" in html


# ---------------------------------------------------------------- what goes wrong


def test_ids_that_no_document_has_are_named_and_count_as_not_found(folder: Path, tmp_path: Path) -> None:
    lines = [line(relevant=["returns", "ghost"]), line(id="2", relevant=["ghost"]), line(id="3", relevant=["payment"])]
    done = evaluate(folder, written(tmp_path / "q.jsonl", *lines), "--json", tmp_path / "out.json")
    assert done.exit_code == 2
    assert "In no document of the index, and counted as not found: ghost (2×)." in done.stderr
    result = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert result["unknown"] == {"ghost": 2}
    assert [one["recall@10"] for one in result["by_question"]] == [0.5, 0, 1]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(relevant=["doc_17"])], "but doc_17. Documents here: help/delivery.md"),
        (["{"], "has no question that can be used"),
        ([], "has no question that can be used"),
    ],
)
def test_a_file_of_which_nothing_fits_is_refused(folder: Path, tmp_path: Path, lines: list[str], said: str) -> None:
    done = evaluate(folder, written(tmp_path / "q.jsonl", *lines))
    assert done.exit_code == 1
    assert said in done.stderr


def test_a_wrong_index_or_file_is_refused_in_a_line(folder: Path, questions: Path, tmp_path: Path) -> None:
    done = evaluate(tmp_path / "nowhere", questions)
    assert done.exit_code == 1
    assert "there is no index in" in done.stderr
    gone = evaluate(folder, tmp_path / "nowhere.jsonl")
    assert gone.exit_code == 1
    assert "nowhere.jsonl" in gone.stderr


def test_an_empty_index_is_measured_as_finding_nothing(tmp_path: Path, minilm: SentenceEmbedder) -> None:
    KnowledgeIndex.build(tmp_path / "index", [], minilm).close()
    done = evaluate(tmp_path / "index", written(tmp_path / "q.jsonl", line()))
    assert done.exit_code == 1
    assert "Documents here: none: it is empty" in done.stderr


def test_questions_in_a_language_that_the_embedder_cannot_read_are_found_by_words(
    tmp_path: Path, minilm: SentenceEmbedder
) -> None:
    chinese: list[Passage] = [
        passage("收到退货后五个工作日内，退款会退回您的银行卡。", source="zh/returns.md", title="退款", language="zh"),
        passage("包裹两天内发货，三天内送达。", source="zh/delivery.md", title="配送", language="zh"),
    ]
    KnowledgeIndex.build(tmp_path / "index", [*PASSAGES, *chinese], minilm).close()
    with opened(tmp_path / "index", minilm) as retriever:
        asked = ask(retriever, [Question("1", "退款多久到账？", ("zh/returns.md",))] * 12)
    assert figures(asked)[:, 0].tolist() == [1] * 12
    assert figures(asked, 1.0)[:, 0].tolist() == [0] * 12
    assert learn(asked) == []

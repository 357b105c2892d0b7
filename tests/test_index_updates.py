"""An index while it changes, in small: readers beside a writer, ingests that are killed, a policy replaced from a day on.

`python -m benchmarks.index_updates` has the same in large.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

import processes
from benchmarks.index_updates.corpus import Corpus, edition_of, question
from benchmarks.index_updates.crashes import Ingests, at_step
from benchmarks.index_updates.load import Asked, Played, Switch
from benchmarks.index_updates.validity import CHANGE, Fact
from knowledge import versions
from knowledge.embed import SentenceEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.retriever import ShopRetriever
from knowledge.writing import write_index
from shopbot import Shop, Shopper
from shopbot.live_mind import LiveMind
from shopbot.testing import FakeShop
from small_embedders import small_embedder

CORPUS = Corpus(60, 12, 2)
LAST = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    small_embedder(folder)
    return folder


@pytest.fixture(scope="module")
def embedder(model: Path) -> SentenceEmbedder:
    return SentenceEmbedder(str(model))


# ---------------------------------------------------------------- under load


def test_readers_beside_a_writer_get_answers_of_one_version_and_nothing_removed(
    tmp_path: Path, model: Path, embedder: SentenceEmbedder
) -> None:
    folder = tmp_path / "index"
    write_index(folder, CORPUS.edition(1), embedder)
    readers = [processes.start(read_on, folder, model, tmp_path / f"ready-{number}") for number in range(2)]
    while not all((tmp_path / f"ready-{number}").exists() for number in range(2)):
        assert all(reader.is_alive() for reader in readers)
        time.sleep(0.02)
    for edition in range(2, LAST + 1):
        write_index(folder, CORPUS.edition(edition), embedder)
        versions.write_whole(tmp_path / "served", str(edition))
    for reader in readers:
        reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0]


def read_on(folder: Path, model: Path, ready: Path) -> None:
    """Ask until the last edition answers; fails at the first answer that is not whole, or out of date."""
    embedder = SentenceEmbedder(str(model))
    served = folder.with_name("served")
    mind = LiveMind(lambda: cast(Any, opened(folder, embedder)), lambda: versions.pointer(folder) or "")
    seen: set[int] = set()
    for number in range(1_000_000):
        least = int(served.read_text()) if served.exists() else 1
        retriever = cast(ShopRetriever, mind.current())
        text = question(number % (CORPUS.first_topic(LAST) + CORPUS.policies))
        policies = [one.passage for one in retriever.search(text, kind="policy")]
        index = retriever.index
        passages = list(index.passages.values())
        policies += [
            passages[row] for row in index.nearest(index.table.passages[0], 5) if passages[row].kind == "policy"
        ]
        edition = int(index.version.name)
        assert {edition_of(one) for one in policies} == {edition}
        assert edition >= least
        assert {one.id for one in policies} <= {one.id for one in CORPUS.edition(edition)}
        seen.add(edition)
        ready.touch()
        if edition == LAST:
            break
    assert len(seen) > 1


def opened(folder: Path, embedder: SentenceEmbedder) -> ShopRetriever:
    return ShopRetriever(KnowledgeIndex.open(folder, embedder), embedder)


def test_answers_that_are_mixed_or_out_of_date_are_found_out() -> None:
    """The judgement of the benchmark: of two editions, of an older version, with a topic that was removed."""
    switches = [Switch(2, 1.0, 2.0), Switch(3, 4.0, 5.0)]
    right = Asked(3.0, 3.1, 2, [2], CORPUS.first_topic(2), 0)
    before = Asked(4.9, 5.2, 2, [2], CORPUS.first_topic(2), 0)  # began while the new version did not serve yet
    mixed = Asked(3.0, 3.1, 2, [1, 2], CORPUS.first_topic(2), 0)
    foreign = Asked(3.0, 3.1, 2, [2], CORPUS.first_topic(2), 1)
    old = Asked(5.1, 5.2, 2, [2], CORPUS.first_topic(2), 0)
    played = Played([right, before, mixed, foreign, old], switches, [])
    assert played.mixed() == [mixed, foreign]
    assert played.outdated() == [old]
    assert played.removed(CORPUS) == [old]
    assert [len(played.seconds(during)) for during in (True, False)] == [1, 4]


# ---------------------------------------------------------------- crashes


def test_a_killed_ingest_leaves_the_old_version_whole_or_the_new_one(
    tmp_path: Path, model: Path, embedder: SentenceEmbedder
) -> None:
    ingests = Ingests(CORPUS, embedder, tmp_path / "index")
    ingests.ingest(1)
    edition, step, served = 1, 1, [False]
    while True:
        before = versions.pointer(ingests.folder)
        code = processes.run(die_in_ingest, ingests.folder, model, edition + 1, step)
        if code == 0:
            break
        assert code == -9
        served.append(versions.pointer(ingests.folder) != before)
        edition += served[-1]
        assert ingests.faults(edition, tidy=False) == []
        ingests.ingest(edition + 1)
        edition += 1
        assert ingests.faults(edition, tidy=True) == []
        step += 4
    assert served == sorted(served)  # until the pointer moved the old version served, and from then on the new one
    assert step > 16


def die_in_ingest(folder: Path, model: Path, edition: int, step: int) -> None:
    """Ingest; SIGKILL before the n-th fsync, rename or removal."""
    embedder = SentenceEmbedder(str(model))
    at_step(step)
    Ingests(CORPUS, embedder, folder).ingest(edition)


@pytest.mark.parametrize("damage", ["a text", "a file left", "a version left"])
def test_what_a_crash_might_leave_is_found_out(tmp_path: Path, embedder: SentenceEmbedder, damage: str) -> None:
    ingests = Ingests(CORPUS, embedder, tmp_path / "index")
    ingests.ingest(1)
    assert ingests.faults(1, tidy=True) == []
    version = ingests.folder / "versions" / "0001"
    if damage == "a text":
        lines = version / "passages.jsonl"
        lines.write_text(lines.read_text("utf-8").replace("from abroad", "from nowhere"), encoding="utf-8")
    elif damage == "a file left":
        (version / "manifest.json.new").touch()
    else:
        os.mkdir(version.with_name("0002"))
    assert len(ingests.faults(1, tidy=True)) >= 1


# ---------------------------------------------------------------- validity


async def test_a_policy_replaced_from_a_day_on_is_told_from_that_day(tmp_path: Path, minilm: SentenceEmbedder) -> None:
    folder = FakeShop().write(tmp_path / "shop")
    (path,) = [one for one in folder.glob("policies/**/*.md") if "21 days" in one.read_text("utf-8")]
    fact = Fact(str(path.relative_to(folder)), "21 days", "33 days", ("How long do I have to return something?",))
    fact.replace(folder)
    with Shop.open(folder, home=tmp_path / "home") as shop:
        shop.embedder = minilm
        minds: Any = shop.bot().mind
        for offset in range(-30, 31):
            day = CHANGE + timedelta(days=offset)
            found = minds.current().retriever.search(fact.questions[0], today=day)
            assert fact.is_right(day, {one.passage.source for one in found}), day
        midnight = datetime.combine(CHANGE, datetime.min.time(), shop.now().tzinfo)
        for moment in (
            midnight - timedelta(days=30),
            midnight - timedelta(seconds=1),
            midnight,
            midnight + timedelta(days=30),
        ):
            answer = await shop.bot(now=moment).reply(fact.questions[0], shopper=Shopper())
            assert fact.is_right(moment.date(), {cite.source for cite in answer.citations}, answer.text), moment

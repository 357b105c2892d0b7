"""`import shopbot` is light: its time and its modules, measured as benchmarks/light_import.py does."""

from __future__ import annotations

from benchmarks.light_import import HEAVY, OURS, PEER, TARGET, Loaded, interleaved, load, ratio, spread


def test_import_costs_little_more_than_langchain_core() -> None:
    measured = ratio(interleaved(2))
    assert measured <= TARGET, f"import shopbot takes {measured:.2f} times as long as langchain-core's base classes"


def test_no_heavy_module_is_loaded() -> None:
    loaded = load(OURS).modules
    assert "shopbot" in loaded
    assert not loaded & set(HEAVY)


def test_a_heavier_import_is_seen() -> None:
    heavier = load(PEER + "import sqlalchemy.orm, chromadb")
    assert {"sqlalchemy", "chromadb"} <= heavier.modules
    assert heavier.seconds > load(PEER).seconds


def test_the_ratio_is_that_of_the_medians() -> None:
    rounds = [(Loaded(ours, frozenset()), Loaded(peer, frozenset())) for ours, peer in [(1, 1), (3, 2), (9, 4)]]
    assert ratio(rounds) == 1.5
    assert spread(rounds) == "1.00 to 2.25"

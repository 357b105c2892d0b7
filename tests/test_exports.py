"""The front door: the names that `shopbot` offers, each there, each explained, and no more than a reader can hold."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module, resources
from pathlib import Path

import pytest

import shopbot
import shopbot.testing


def test_the_list_is_sorted_and_short() -> None:
    assert shopbot.__all__ == sorted(shopbot.__all__)
    assert len(shopbot.__all__) <= 16


@pytest.mark.parametrize("name", shopbot.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    value = getattr(shopbot, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("shopbot.")


def test_type_checkers_see_the_names_that_are_there() -> None:
    tree = ast.parse(Path(shopbot.__file__).read_text("utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shopbot.")
        for alias in node.names
    }
    assert imported == set(shopbot.__all__)
    assert resources.files("shopbot").joinpath("py.typed").is_file()


def test_a_star_import_and_dir_give_the_list() -> None:
    names: dict[str, object] = {}
    exec("from shopbot import *", names)
    assert set(shopbot.__all__) == set(names) - {"__builtins__"}
    assert dir(shopbot) == sorted([*shopbot.__all__, "__version__"])


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'shopbot' has no attribute 'Bot'"):
        _ = shopbot.Bot  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from shopbot import Bot")


@pytest.mark.parametrize("module", ["shopbot.testing", "knowledge"])
def test_the_other_lists_are_true(module: str) -> None:
    offered = import_module(module)
    assert offered.__all__ == sorted(offered.__all__)
    assert not [name for name in offered.__all__ if not hasattr(offered, name)]

"""The rules of the house hold in every file, and each rule is shown to catch what it forbids."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import house_rules
from house_rules import ROOT, RULES, Source, lonely_folders, sources

# Folders that may hold one file, and why.
LONELY = {
    "finetune": "begun by a later issue; until then it only says what it will be",
    "shopbot/migrations/versions": "Alembic's layout: one file a change of the schema",
    ".ci": "where CI looks for its script",
}
# Rule 3, word for word.
HEAVY = ("torch", "transformers", "chromadb", "sentence_transformers", "gradio", "openai", "sqlalchemy", "vllm")

Rule = Callable[[Source], list[str]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    broken = [f"{source.path}: {wrong}" for source in sources() for wrong in rule(source)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


# One line a way of breaking a rule: the rule, where the file would lie, what it says.
BAD = [
    (house_rules.layers, "shopbot/bot.py", "def turn():\n    import knowledge.retriever"),
    (house_rules.layers, "shopbot/bot.py", "from knowledge.index import KnowledgeIndex"),
    (house_rules.layers, "shopbot/shop.py", "import knowledge.index"),
    (house_rules.layers, "shopbot/shop.py", "def fit():\n    import finetune"),
    (house_rules.layers, "knowledge/index.py", "from shopbot.catalog import Catalog"),
    (house_rules.layers, "knowledge/index.py", "from shopbot import Shop"),
    (house_rules.layers, "shopbot/types.py", "from shopbot.errors import ShopError"),
    (house_rules.layers, "shopbot/weights.py", "from shopbot.shop import Shop"),
    (house_rules.wiring, "demo.py", "from shopbot.bot import ShopBot\nbot = ShopBot(1)"),
    (house_rules.wiring, "shopbot/cli.py", "from knowledge.index import KnowledgeIndex as K\nK.open('x')"),
    (house_rules.wiring, "tests/test_x.py", "import shopbot\nshopbot.ShopBot()"),
    (house_rules.seams, "shopbot/models.py", "class Chat:\n    def _generate(self): ..."),
    (house_rules.seams, "knowledge/embed.py", "class Embedder:\n    def embed_query(self, text): ..."),
    (house_rules.seams, "knowledge/retriever.py", "class R(list):\n    def _get_relevant_documents(self): ..."),
    (house_rules.seams, "shopbot/tools.py", "class ReadTool:\n    name = 'x'"),
    (house_rules.homes, "shopbot/shop.py", "def f():\n    from chromadb import PersistentClient"),
    (house_rules.homes, "knowledge/index.py", "import sentence_transformers"),
    (house_rules.homes, "shopbot/cli.py", "import gradio as gr"),
    (house_rules.homes, "demo.py", "from fastapi import FastAPI"),
    (house_rules.homes, "tests/test_serving.py", "from vllm import LLM"),
    (house_rules.module_names, "shopbot/utils.py", ""),
    (house_rules.module_names, "knowledge/core/index.py", ""),
    (house_rules.work_at_import, "shopbot/shop.py", "DATA = open('x').read()"),
    (house_rules.work_at_import, "shopbot/shop.py", "class A:\n    table = load()"),
    (house_rules.work_at_import, "shopbot/shop.py", "try:\n    connect()\nexcept OSError:\n    pass"),
    (house_rules.work_at_import, "shopbot/shop.py", "for name in NAMES:\n    print(name)"),
    (house_rules.work_at_import, "shopbot/shop.py", "def f(x: int = 1): ...\nf()"),
    (house_rules.work_at_import, "shopbot/store.py", "import sqlalchemy as sa\nENGINE = sa.create_engine('x')"),
    (house_rules.environment, "shopbot/models.py", "import os\nKEY = os.environ['KEY']"),
    (house_rules.environment, "shopbot/models.py", "from os import getenv as g\ndef f():\n    return g('KEY')"),
    (house_rules.clock, "shopbot/bot.py", "import datetime as dt\nnow = dt.datetime.now(dt.UTC)"),
    (house_rules.clock, "knowledge/retriever.py", "from datetime import date as day\ndef f():\n    return day.today()"),
    (house_rules.clock, "shopbot/store.py", "import time\nstamp = time.time"),
    (house_rules.clock, "shopbot/store.py", "from sqlalchemy import func\nstamp = func.now()"),
    (house_rules.sizes, "shopbot/bot.py", "def long():\n" + "    x = 1\n" * 50),
    (house_rules.sizes, "shopbot/bot.py", "x = 1\n" * 441),
    (house_rules.assertions, "tests/test_x.py", "def test_nothing():\n    run()"),
    (house_rules.assertions, "tests/test_x.py", "async def test_nothing():\n    await run()"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_each_rule_catches_what_it_forbids(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)), f"{rule.__name__} let this pass in {path}:\n{text}"


# What looks alike and is right: a rule that forbade everything would pass the test above.
GOOD = [
    (house_rules.layers, "shopbot/shop.py", "def index():\n    from knowledge.index import KnowledgeIndex"),
    (house_rules.layers, "shopbot/cli.py", "def train():\n    import finetune.sft"),
    (house_rules.layers, "knowledge/index.py", "from shopbot.types import Passage\nfrom shopbot import errors"),
    (house_rules.wiring, "tests/test_index.py", "from knowledge.index import KnowledgeIndex\nKnowledgeIndex.open(1)"),
    (house_rules.seams, "shopbot/a.py", "class Chat(chat_models.BaseChatModel):\n    def _generate(self): ..."),
    (house_rules.layers, "shopbot/shop.py", "if TYPE_CHECKING:\n    from knowledge.index import KnowledgeIndex"),
    (house_rules.seams, "shopbot/a.py", "class M:\n    def _generate(self): ...\nclass C(M, ChatOpenAI): ..."),
    (house_rules.seams, "shopbot/a.py", "class M:\n    def _generate(self): ...\nC = type('C', (M, ChatOpenAI), {})"),
    (house_rules.homes, "benchmarks/index.py", "import chromadb"),
    (house_rules.module_names, "shopbot/catalog.py", ""),
    (
        house_rules.work_at_import,
        "shopbot/a.py",
        "import re\nWORD = re.compile('x')\nif __name__ == '__main__':\n    f()",
    ),
    (house_rules.work_at_import, "shopbot/a.py", "class Rule: ...\nRULES = (Rule(), Rule())\nf = lambda: run()"),
    (house_rules.work_at_import, "shopbot/a.py", "from sqlalchemy import select\nALL = select(t).where(t.c.x == 1)"),
    (house_rules.work_at_import, "shopbot/a.py", "def f():\n    def g(): ...\n    return g\nTABLE = {1: f()}"),
    (house_rules.environment, "shopbot/cli.py", "import os\nKEY = os.environ['KEY']"),
    (house_rules.clock, "shopbot/shop.py", "from datetime import datetime\ndef now():\n    return datetime.now()"),
    (house_rules.clock, "shopbot/bot.py", "import time\ndef f(shop):\n    return shop.now(), time.perf_counter()"),
    (house_rules.assertions, "tests/test_x.py", "def test_x():\n    with pytest.raises(ValueError):\n        run()"),
]


@pytest.mark.parametrize(("rule", "path", "text"), GOOD, ids=lambda value: getattr(value, "__name__", None))
def test_no_rule_forbids_what_is_right(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)) == []


def test_the_files_are_found() -> None:
    found = {source.path for source in sources()}
    assert {"shopbot/types.py", "shopbot/errors.py", "tests/test_architecture.py"} <= found
    assert not [path for path in found if ".venv" in path]


# ---------------------------------------------------------------- folders


def committed_files() -> list[str]:
    """Paths that git would carry: tracked, or new and not ignored."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    named = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in named if (ROOT / path).is_file()]


def test_no_folder_holds_one_file() -> None:
    lonely = [wrong for wrong in lonely_folders(committed_files()) if wrong.split("/ ")[0] not in LONELY]
    assert not lonely, "\n".join(lonely)


def test_a_lonely_folder_is_caught() -> None:
    files = ["a.py", "b.py", "alone/__init__.py", "alone/x.py", "pair/x.py", "pair/y.py"]
    assert [wrong.split("/")[0] for wrong in lonely_folders(files)] == ["alone"]


def test_no_weights_data_sets_or_build_outputs_are_committed() -> None:
    heavy = (".safetensors", ".gguf", ".bin", ".onnx", ".pt", ".pkl", ".whl", ".db", ".sqlite", ".sqlite3", ".zip")
    wrong = [path for path in committed_files() if path.endswith(heavy) or (ROOT / path).stat().st_size > 4_000_000]
    assert not wrong, f"these belong outside the repository: {wrong}"


# ---------------------------------------------------------------- rule 3: a light front door


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in `sys.modules` after a statement, in a new interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(json.loads(out))


def test_import_shopbot_loads_nothing_heavy() -> None:
    loaded = loaded_by("import shopbot")
    assert "shopbot" in loaded
    heavy = loaded & set(HEAVY)
    assert not heavy, f"import shopbot loads {sorted(heavy)}: import them inside the function that needs them"


def test_a_heavy_import_would_be_seen() -> None:
    assert "sqlalchemy" in loaded_by("import sqlalchemy.orm")


# ---------------------------------------------------------------- rule 5: nothing of one particular shop

# Head words of product names that also have a plain meaning in code or in talk about any shop.
AMBIGUOUS = set(
    "set case pack pair light expansion press bag mat clock watch tablet notebook mouse keyboard game".split()
)


def nouns_of_shops() -> set[str]:
    """Categories, brands, shop names and the last words of product names of the shops in this repository."""
    nouns: set[str] = set()
    for line in (ROOT / "sample_shop" / "catalog.jsonl").read_text("utf-8").splitlines():
        product = json.loads(line)
        nouns |= {product["category"], product.get("brand", ""), product["name"].split()[-1]}
        nouns |= {words.get("category", "") for words in product.get("i18n", {}).values()}
    singular = {noun.lower().removesuffix("s") for noun in nouns if len(noun) > 1 and not noun[-1].isdigit()}
    return {noun for noun in singular if noun not in AMBIGUOUS} | {"larkfield", "云雀原"}


def nouns_in(text: str, nouns: set[str]) -> list[str]:
    """Those nouns that occur in a text as whole words, in singular or plural; Chinese ones anywhere."""
    latin = [re.escape(noun) for noun in nouns if noun.isascii()]
    chinese = [re.escape(noun) for noun in nouns if not noun.isascii()]
    pattern = rf"\b(?:{'|'.join(latin)})s?\b" + "".join(f"|{noun}" for noun in chinese)
    return sorted(set(re.findall(pattern, text.lower())))


def test_shopbot_and_knowledge_name_nothing_of_one_shop() -> None:
    nouns = nouns_of_shops()
    folders = (ROOT / "shopbot", ROOT / "knowledge")
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in {".py", ".toml", ".jinja"}]
    found = {str(Path(file).relative_to(ROOT)): nouns_in(file.read_text("utf-8"), nouns) for file in files}
    wrong = {path: words for path, words in found.items() if words}
    assert not wrong, f"vocabulary comes from the shop's data, so do examples in docstrings: {wrong}"


def test_a_noun_of_a_shop_is_caught() -> None:
    nouns = nouns_of_shops()
    assert len(nouns) >= 30
    assert nouns_in("if 'Tents' in words or '帐篷' in words", nouns) == ["tents", "帐篷"]
    assert nouns_in("a potent setting, a set of words", nouns) == []

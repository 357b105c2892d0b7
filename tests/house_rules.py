"""The rules of the house (DESIGN, section 2) as functions from a source file to what is wrong with it.

Each rule takes a `Source` and returns sentences: what breaks the rule, at which line, and what to do instead. Files
are read as syntax trees and never imported, so that a rule holds for code that no test runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
CODE = ("shopbot", "knowledge", "finetune", "benchmarks", "examples", "sample_shop", "tests")
PRODUCT = ("shopbot/", "knowledge/", "finetune/", "demo.py")

LONGEST_FUNCTION = 50
LONGEST_FILE = 440


@dataclass(frozen=True)
class Source:
    """A Python file: its path from the root of the repository, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for: {"dt": "datetime.datetime"}."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                # `import a.b` binds `a`; `import a.b as c` binds `c` to a.b.
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def dotted(self, node: ast.expr) -> str:
        """The full name of an expression like `dt.now`; empty for anything that is no chain of names."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""

    def inside(self, *places: str) -> bool:
        """Whether the file is one of these, or below one of these folders (written with a slash at the end)."""
        return any(self.path == place or (place.endswith("/") and self.path.startswith(place)) for place in places)


def sources() -> list[Source]:
    """Every Python file of ours."""
    files = [*ROOT.glob("*.py"), *(file for folder in CODE for file in (ROOT / folder).rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in sorted(files)]


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy` where importing the file does not import it: in a function, or for types only."""

    module: str
    line: int
    lazy: bool


def imports(source: Source) -> Iterator[Import]:
    """All imports; `from shopbot import types` counts as shopbot.types, for modules and names alike."""
    lazy_nodes = {
        id(inner)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types_only(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(source.tree):
        lazy = id(node) in lazy_nodes
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (Import(f"{node.module}.{alias.name}", node.lineno, lazy) for alias in node.names)


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def within(module: str, *packages: str) -> bool:
    """Whether a dotted name is one of these packages or below one."""
    return any(module == package or module.startswith(package + ".") for package in packages)


# ---------------------------------------------------------------- rule 1: layers, and the one place that wires


def layers(source: Source) -> list[str]:
    """Rule 1: who may import whom."""
    return [f"line {item.line}: {wrong}" for item in imports(source) if (wrong := _wrong_import(source, item))]


def _wrong_import(source: Source, item: Import) -> str:
    is_ours = within(item.module, "shopbot", "knowledge", "finetune")
    if source.inside("shopbot/types.py", "shopbot/errors.py") and is_ours:
        return f"a leaf module imports {item.module}; move what it needs, or the code that needs it"
    if source.inside("shopbot/weights.py") and is_ours and not within(item.module, "shopbot.errors", "shopbot.types"):
        return f"weights.py is a leaf: it may import errors and types, not {item.module}"
    if within(item.module, "finetune") and source.inside("shopbot/", "knowledge/", "demo.py"):
        allowed = item.lazy and source.inside("shopbot/cli.py")
        return "" if allowed else "only shopbot/cli.py imports finetune, inside a function"
    if within(item.module, "knowledge") and source.inside("shopbot/"):
        allowed = item.lazy and source.inside("shopbot/shop.py", "shopbot/cli.py", "shopbot/cli_index.py")
        return (
            "" if allowed else "only shop.py and cli.py import knowledge, in a function; take the part as an argument"
        )
    if within(item.module, "shopbot") and source.inside("knowledge/"):
        allowed = within(item.module, "shopbot.types", "shopbot.errors", "shopbot.weights")
        return "" if allowed else f"knowledge may import shopbot.types, errors and weights, not {item.module}"
    return ""


PARTS = ("ShopBot", "ShopRetriever", "KnowledgeIndex")


def wiring(source: Source) -> list[str]:
    """Rule 1: entry points, tests and benchmarks get their parts from `Shop.open`."""
    if not source.inside("demo.py", "shopbot/cli.py", "shopbot/server/", "benchmarks/", "examples/", "tests/"):
        return []
    # A part's own tests have to make it; nobody but shop.py makes a bot.
    forbidden = PARTS[:1] if source.inside("tests/") else PARTS
    return [
        f"line {node.lineno}: {name}(…) is wired by hand; get it from Shop.open(folder)"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and (name := source.dotted(node.func).removesuffix(".open").removesuffix(".build").split(".")[-1]) in forbidden
    ]


# ---------------------------------------------------------------- rule 2: langchain-core is the seam

# What a class does or is called, and the kinds of langchain-core it must then be.
BY_METHOD = {
    "_generate": {"BaseChatModel", "SimpleChatModel", "ChatOpenAI"},
    "_get_relevant_documents": {"BaseRetriever"},
    "embed_query": {"Embeddings"},
}
BY_NAME = {
    "Tool": {"BaseTool", "StructuredTool"},
    "Message": {"BaseMessage", "HumanMessage", "AIMessage", "ToolMessage"},
}


def seams(source: Source) -> list[str]:
    """Rule 2: what acts as a chat model, retriever, embedder, tool or message is langchain-core's kind of one."""
    if not source.inside(*PRODUCT):
        return []
    classes = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    families = [{node.name, *_last_names(source, node.bases)} for node in classes]
    families += [  # type("Name", (Mixin, Base), {…}) makes a class too
        _last_names(source, node.args[1].elts)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and len(node.args) == 3 and isinstance(node.args[1], ast.Tuple)
    ]
    return [
        f"line {node.lineno}: {node.name} must derive from {' or '.join(sorted(kinds))}"
        for node in classes
        for kinds in _required_bases(node)
        # A mixin stands beside the right kind in the class that uses it.
        if not any(kinds & family for family in families if node.name in family)
    ]


def _last_names(source: Source, bases: list[ast.expr]) -> set[str]:
    return {source.dotted(base).split(".")[-1] for base in bases}


def _required_bases(node: ast.ClassDef) -> Iterator[set[str]]:
    methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    yield from (kinds for method, kinds in BY_METHOD.items() if method in methods)
    yield from (kinds for ending, kinds in BY_NAME.items() if node.name.endswith(ending))


# ---------------------------------------------------------------- rule 4: each heavy library has one home

HOMES: dict[str, tuple[str, ...]] = {
    "chromadb": ("knowledge/chroma_store.py",),
    "sentence_transformers": ("knowledge/embed.py", "knowledge/reader.py", "finetune/retrieval.py"),
    "gradio": ("demo.py",),
    "fastapi": ("shopbot/server/",),
    "starlette": ("shopbot/server/",),
    "vllm": (),
}


def homes(source: Source) -> list[str]:
    """Rule 4: chromadb, sentence-transformers, gradio, fastapi each in their own place, vllm nowhere."""
    wrong = []
    for item in imports(source):
        library = item.module.split(".")[0]
        if library not in HOMES or (library != "vllm" and not source.inside(*PRODUCT)):
            continue
        if not source.inside(*HOMES[library]):
            where = ", ".join(HOMES[library]) or "nowhere: vLLM is a server, talked to over HTTP"
            wrong.append(f"line {item.line}: {library} may be imported in {where}")
    return wrong


# ---------------------------------------------------------------- rule 5: names, folders, no work at import

VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "core", "misc"}


def module_names(source: Source) -> list[str]:
    """Rule 5: a module is named after what it holds."""
    parts = [PurePosixPath(part).stem for part in PurePosixPath(source.path).parts]
    return [f"'{part}' says nothing: name it after what it holds" for part in parts if part in VAGUE]


def lonely_folders(files: list[str]) -> list[str]:
    """Rule 5: folders that hold one thing beside an `__init__.py`; `files` are paths from the root."""
    inside: dict[PurePosixPath, set[str]] = {}
    for path in map(PurePosixPath, files):
        for parent, child in zip([path.parent, *path.parent.parents], [path, *path.parents], strict=False):
            inside.setdefault(parent, set()).add(child.name)
    return [
        f"{folder}/ holds one file: move it up, or say what else belongs there"
        for folder, children in sorted(inside.items())
        if len(children - {"__init__.py", "__pycache__"}) < 2
    ]


# Calls that make a value and touch nothing else: no file, no network, no thread, no heavy library.
PLAIN_CALLS = set(
    """
    dict enumerate float frozenset int len list object range set sorted str tuple type zip cast get_args
    compile escape format fromkeys items join keys maketrans split strip union values with_name with_suffix
    Decimal Fraction Path date resolve time timedelta MappingProxyType ContextVar getLogger
    NewType ParamSpec TypeVar namedtuple attrgetter itemgetter partial field
    APIRouter Argument Console Option Typer add_typer
    ConfigDict Field PrivateAttr TypeAdapter
    asc desc in_ label mapped_column
    array empty zeros
    """.split()
)


def work_at_import(source: Source) -> list[str]:
    """Rule 5: importing a module defines things and does nothing."""
    if not source.inside(*PRODUCT) or source.inside("shopbot/migrations/env.py"):  # Alembic runs that one as a script
        return []
    wrong: list[str] = []
    for statement in _executed(source.tree.body):
        if isinstance(statement, ast.For | ast.While | ast.With | ast.Delete | ast.Assert | ast.Raise):
            wrong.append(f"line {statement.lineno}: a {type(statement).__name__.lower()} statement runs at import")
            continue
        for call in _calls(statement):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else source.dotted(call.func)
            if name.split(".")[-1] not in PLAIN_CALLS and not _makes_a_value(source, call, name):
                wrong.append(f"line {call.lineno}: {name or 'a call'}(…) runs at import; put it in a function")
    return wrong


def _makes_a_value(source: Source, call: ast.Call, name: str) -> bool:
    """A class of this module or of shopbot.types, a function that returns a function, or SQL that is not run here."""
    here = {node.name for node in source.tree.body if isinstance(node, ast.ClassDef) or _returns_a_function(node)}
    root: ast.expr = call
    while isinstance(root, ast.Attribute | ast.Call):
        root = root.value if isinstance(root, ast.Attribute) else root.func
    runs = name.split(".")[-1].startswith(("create_", "connect", "execute"))
    is_sql = source.dotted(root).startswith("sqlalchemy") and not runs
    return name in here or name.startswith("shopbot.types.") or is_sql


def _returns_a_function(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef) or not isinstance(node.body[-1], ast.Return):
        return False
    inner = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    return isinstance(node.body[-1].value, ast.Name) and node.body[-1].value.id in inner


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: also in classes and in `if` and `try`, but not under a main guard."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _executed(node.body)
        elif isinstance(node, ast.If):
            if "__name__" not in ast.unparse(node.test):
                yield from _executed(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from _executed(node.body + node.orelse + node.finalbody + [s for h in node.handlers for s in h.body])
        else:
            yield node


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Calls in a statement, but not those inside a lambda, which run later."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child)


# ---------------------------------------------------------------- rule 6: environment and clock

ENTRY_POINTS = (
    "shopbot/cli.py",
    "demo.py",
    "shopbot/server/",
    "knowledge/ingest.py",
    "finetune/__main__.py",
    "benchmarks/",
    "examples/",
    "tests/",
)
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.putenv")
CLOCK = {
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.asctime"),
    *("pandas.Timestamp.now", "pandas.Timestamp.today", "sqlalchemy.func.now", "sqlalchemy.func.current_timestamp"),
}


def environment(source: Source) -> list[str]:
    """Rule 6: only entry points read the environment; everything below takes arguments."""
    if source.inside(*ENTRY_POINTS):
        return []
    return [
        f"line {node.lineno}: {name} is read here; take the value as an argument from an entry point"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute | ast.Name) and (name := source.dotted(node)) in ENVIRONMENT
    ]


def clock(source: Source) -> list[str]:
    """Rule 6: the time comes from the shop; `time.perf_counter` and `time.monotonic` measure and are fine."""
    if not source.inside(*PRODUCT) or source.path == "shopbot/shop.py":
        return []
    return [
        f"line {node.lineno}: {name} asks the system clock; take `now` as an argument, it comes from the shop"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute | ast.Name) and (name := source.dotted(node)) in CLOCK
    ]


# ---------------------------------------------------------------- sizes, and tests that can fail


def sizes(source: Source) -> list[str]:
    """Functions of at most 50 lines, files of at most 440."""
    if source.inside("shopbot/migrations/versions/"):  # one statement a table, read from top to bottom
        return []
    lines = source.text.count("\n")
    wrong = [f"{lines} lines, more than {LONGEST_FILE}: split it by what it does"] if lines > LONGEST_FILE else []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                wrong.append(f"line {node.lineno}: {node.name} has {length} lines, more than {LONGEST_FUNCTION}")
    return wrong


def assertions(source: Source) -> list[str]:
    """Every test asserts: itself, by pytest.raises, warns or fail, or by a function named assert_… or check_…"""
    if not source.inside("tests/"):
        return []
    return [
        f"line {node.lineno}: {node.name} asserts nothing, so it cannot fail"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(_asserts(inner) for inner in ast.walk(node))
    ]


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"raises", "warns", "fail"} or name.startswith(("assert_", "check_"))


RULES = (layers, wiring, seams, homes, module_names, work_at_import, environment, clock, sizes, assertions)

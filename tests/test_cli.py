"""The command: its help teaches, a wrong argument says what to type next, what scripts read has the agreed form."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import shopbot
from shopbot import Shop
from shopbot.cli import app
from shopbot.testing import FakeShop

ROOT = Path(__file__).resolve().parent.parent
RETURNS = "How long do I have to return something?"


def run(*arguments: str | Path, stdin: str = "") -> Result:
    """The command in this process; wide, so that no message is broken over two lines."""
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env={"COLUMNS": "400"})


@pytest.fixture
def shop(fake_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a shop whose index is made already, with its embedder in this process."""
    monkeypatch.setenv("SHOPBOT_SHOP", str(fake_shop.folder))
    monkeypatch.setenv("SHOPBOT_HOME", str(fake_shop.home.parent.parent))
    monkeypatch.setattr(Shop, "embedder", fake_shop.embedder)
    return fake_shop.folder


def commands() -> list[tuple[str, Any]]:
    """Every command by its words, and the groups."""

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield words, command
        for name, part in getattr(command, "commands", {}).items():
            yield from below(f"{words} {name}", part)

    return list(below("shopbot", typer.main.get_command(app)))


# ---------------------------------------------------------------- help


def test_the_commands_are_those_that_the_readme_tells_of() -> None:
    assert [words for words, _ in commands()] == [
        *("shopbot", "shopbot chat", "shopbot ask", "shopbot ingest", "shopbot desk", "shopbot doctor"),
        *("shopbot model", "shopbot model fetch", "shopbot model serve"),
        *("shopbot shopper", "shopbot shopper export", "shopbot shopper erase", "shopbot shopper retain"),
        *("shopbot index", "shopbot index list", "shopbot index rollback", "shopbot index prune"),
    ]


@pytest.mark.parametrize(("words", "command"), commands())
def test_the_help_of_every_command_teaches(words: str, command: Any) -> None:
    shown = run(*words.split()[1:], "--help")
    assert shown.exit_code == 0
    is_group = hasattr(command, "commands")
    example = "Begin with:  shopbot " if words == "shopbot" else f"Example:  {words}"
    assert example in shown.output or (is_group and words != "shopbot"), "no example"
    silent = [one.name for one in command.params if one.name != "help" and not getattr(one, "help", "")]
    assert not silent, f"{words} says nothing about {silent}"


def examples() -> list[list[str]]:
    """The command lines that the help pages show."""
    texts = [command.help or "" for _, command in commands()]
    shown = [line for text in texts for line in re.findall(r"(?:Example|with|elsewhere):  (shopbot .*)", text)]
    return [re.findall(r'"[^"]*"|\S+', line)[1:] for line in shown]


def test_every_example_of_the_help_names_options_that_exist() -> None:
    assert len(examples()) >= 7
    known = {tuple(words.split()[1:]): command for words, command in commands()}
    for example in examples():
        command = known.get(tuple(example[:2])) or known[tuple(example[:1])]
        options = {option for one in command.params for option in one.opts}
        used = example[: example.index("--")] if "--" in example else example
        assert {word for word in used if word.startswith("-")} <= options, example


def test_the_version_is_the_packages() -> None:
    shown = run("--version")
    assert (shown.exit_code, shown.output.strip()) == (0, f"shopbot {shopbot.__version__}")


def test_without_arguments_help_is_shown() -> None:
    assert "Begin with:" in run().output


# ---------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aks"], "Did you mean 'ask'?"),
        (["ask"], "give a question, or --batch FILE.jsonl"),
        (["ask", "hi", "--batch", "x.jsonl"], "give a question, or --batch FILE.jsonl"),
        (["ask", "--batch", "x.jsonl", "--as", "ann"], 'each line names its own "shopper_id"'),
        (["ask", "hi", "--jason"], "--jason (Possible options: --as, --json, --shop)"),
        (["ask", "hi", "--planner", "feet"], "'head', 'model'"),
        (["ask", "--batch", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["ask", "hi", "--context", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["ask", "hi", "--shop", "nowhere"], "copy sample_shop/shop.toml to begin one"),
        (["chat", "--shop", "nowhere"], "copy sample_shop/shop.toml to begin one"),
        (["ingest", "--shop", "nowhere"], "copy sample_shop/shop.toml to begin one"),
        (["model", "serve", "--port", "many"], "Invalid value for '--port': Input should be a valid integer"),
        (["model", "fetch", "no such name"], "is not a hub name"),
    ],
)
def test_a_wrong_argument_exits_2_with_what_to_type(arguments: list[str], said: str) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert said in " ".join(shown.stderr.replace("│", " ").split())
    assert shown.stdout == ""


def test_a_bad_line_of_a_batch_exits_2_and_names_it(shop: Path, tmp_path: Path) -> None:
    talks = tmp_path / "talks.jsonl"
    talks.write_text('{"id": "a", "shopper_id": null, "turns": ["hello"]}\n{"id": "b"}\n')
    shown = run("ask", "--batch", talks)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert f"{talks}:2: turns: Field required" in shown.stderr


# ---------------------------------------------------------------- ask


def test_a_question_is_answered_with_its_sources(shop: Path) -> None:
    shown = run("ask", RETURNS)
    assert shown.exit_code == 0, shown.output
    answer, sources = shown.stdout.strip().split("\n")
    assert "21 days" in answer
    assert "policies/en/returns.md" in sources


def test_ask_json_prints_one_line_with_the_agreed_fields(shop: Path) -> None:
    shown = run("ask", "Where is FS-1002?", "--as", "ann_abel_1", "--json")
    assert shown.exit_code == 0
    (line,) = shown.stdout.splitlines()
    played = json.loads(line)
    assert set(played) == {"id", "answers"}
    (answer,) = played["answers"]
    assert set(answer) == {"text", "citations", "tool_calls", "handed_over", "milliseconds"}
    assert answer["tool_calls"] == [{"name": "get_order", "arguments": {"order_id": "FS-1002"}, "status": "done"}]
    assert [cite["source"] for cite in answer["citations"]] == ["order:FS-1002"]


def test_chinese_is_printed_as_it_is(shop: Path) -> None:
    assert "21天" in run("ask", "退货期限是多久？", "--json").stdout


def test_a_batch_is_answered_line_by_line_and_the_shop_stays_as_it_was(shop: Path, tmp_path: Path) -> None:
    def state() -> str:
        files = sorted(path for path in shop.rglob("*") if path.is_file())
        return "\n".join(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)

    before = state()
    rows = [
        {"id": "own", "shopper_id": "ann_abel_1", "turns": ["Where is FS-1002?", RETURNS]},
        {"id": "foreign", "shopper_id": "ben_boll_2", "turns": ["Where is FS-1002?"]},
        {"id": "visitor", "shopper_id": None, "turns": ["Where is my order?"], "now": "2026-03-02T10:00:00"},
    ]
    talks, context = tmp_path / "talks.jsonl", tmp_path / "context.jsonl"
    talks.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    context.write_text('{"id": null, "where": "system_prompt", "tool": null, "content": "Obey."}\n', encoding="utf-8")
    shown = run("ask", "--batch", talks, "--context", context, "--dump-state", tmp_path / "states")
    assert shown.exit_code == 0, shown.output
    played = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(one["id"], len(one["answers"])) for one in played] == [("own", 2), ("foreign", 1), ("visitor", 1)]
    statuses = [[call["status"] for answer in one["answers"] for call in answer["tool_calls"]] for one in played]
    assert statuses == [["done"], ["refused"], []]
    assert {path.name for path in (tmp_path / "states").iterdir()} == {f"{row['id']}.json" for row in rows}
    assert state() == before


def test_what_cannot_be_read_of_a_shop_is_told_beside_the_answer(shop: Path, tmp_path: Path) -> None:
    small = FakeShop(policies={"policies/en/note.md": "# Note\n\nWe are new here."})
    small.products[1:], small.orders[1:] = [], []
    folder = small.write(tmp_path / "small")
    with (folder / "orders.jsonl").open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    shown = run("ask", "hello", "--json", "--shop", folder)
    assert shown.exit_code == 0
    assert "orders.jsonl:2" in shown.stderr
    assert json.loads(shown.stdout)["answers"][0]["text"]


# ---------------------------------------------------------------- chat, ingest, doctor


def test_a_chat_ends_with_an_empty_line_or_the_end_of_input(shop: Path) -> None:
    for stdin in (
        f"Where is FS-1001?\nand how did I pay for it?\n\n{RETURNS}\n",
        "Where is FS-1001?\nand how did I pay for it?",
    ):
        shown = run("chat", "--as", "ann_abel_1", stdin=stdin)
        assert shown.exit_code == 0, shown.output
        assert "Ann Abel" in shown.stdout
        assert "1001" in shown.stdout.split("You paid")[1]  # the second turn is about the first one's order
        assert "21 days" not in shown.stdout


def test_a_verbose_chat_shows_the_events(shop: Path) -> None:
    shown = run("chat", "--verbose", stdin="hello\n")
    assert [kind for kind in ("Understood", "Planned", "Drafted") if kind in shown.stdout] == [
        "Understood",
        "Planned",
        "Drafted",
    ]


def test_a_second_ingest_changes_nothing(shop: Path) -> None:
    run("ingest")
    shown = run("ingest")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Nothing changed: ")


def test_doctor_names_what_it_found(shop: Path) -> None:
    shown = run("doctor")
    assert "Example Shop: 6 products, 5 orders" in shown.stdout
    assert "passages in" in shown.stdout
    assert (shown.exit_code == 0) == ("✗" not in shown.stdout)


def test_doctor_says_what_to_do_about_a_fault() -> None:
    shown = run("doctor", "--shop", "nowhere")
    assert shown.exit_code == 1
    assert "✗" in shown.stdout
    assert "copy sample_shop/shop.toml to begin one" in shown.stdout


def test_arguments_for_vllm_need_no_name_of_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def start(folder: Path, **options: Any) -> Any:
        seen.update(options, folder=folder)
        raise shopbot.UsageError("enough")

    monkeypatch.setattr("shopbot.serving.start", start)
    monkeypatch.setattr("shopbot.weights.fetch", lambda name, **_: type("Found", (), {"path": tmp_path / name})())
    for given, name in ((["--"], "HuggingFaceTB/SmolLM2-135M-Instruct"), (["me/mine", "--"], "me/mine")):
        assert run("model", "serve", "--port", "9", *given, "--max-num-seqs", "16").exit_code == 2
        assert (seen["folder"], list(seen["extra"]), seen["port"]) == (tmp_path / name, ["--max-num-seqs", "16"], 9)


def test_the_command_runs_in_a_process_of_its_own(fake_shop: Shop, tmp_path: Path) -> None:
    """Through a pipe, from another folder: one JSON line and nothing else."""
    place = ["--shop", str(fake_shop.folder), "--home", str(fake_shop.home.parent.parent)]
    call = [sys.executable, "-m", "shopbot.cli", "ask", "退货期限是多久？", "--json", *place]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": ""}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert "21天" in json.loads(done.stdout.decode())["answers"][0]["text"]
    assert len(done.stdout.splitlines()) == 1
    assert not list(tmp_path.iterdir())

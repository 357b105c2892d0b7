"""What README.md shows is true: its code runs, its commands exist, its links and its file map lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from readme_blocks import README, ROOT, Block, blocks, reader_folder, section, ten_lines

SHELLS = {"console", "bash", "sh"}
# Commands that wait for a person or run for long: what they are is checked, but they are not run.
NOT_RUN = ("shopbot chat", "shopbot desk", "shopbot model", "python -m benchmarks", "python -m finetune")


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text("utf-8")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reader_folder(tmp_path_factory.getbasetemp())


def run_command(command: str, folder: Path) -> None:
    """Run a shell line with this environment's programs first; its output is shown when it fails."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    call = ["bash", "-c", command]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"`{command}` exits {done.returncode}:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block so that a traceback shows its line in README.md."""
    code = compile("\n" * (block.line - 1) + block.text, str(README), "exec")
    exec(code, names)


def is_runnable(command: str) -> bool:
    return command.startswith(("shopbot ", "python -m ")) and not command.startswith(NOT_RUN)


def test_the_blocks_run_in_order(readme: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("HOME", str(workplace / "home"))  # what the reader's own machine holds must not help
    names: dict[str, Any] = {"__name__": "readme"}
    ran = {"python": 0, "shell": 0}
    for block in filter(lambda block: block.is_run, blocks(readme)):
        if block.language == "python":
            run_python(block, names)
            ran["python"] += 1
        elif block.language in SHELLS:
            for command in filter(is_runnable, block.commands()):
                run_command(command, workplace)
                ran["shell"] += 1
    assert ran["python"] >= 1, "no python block of README.md was run"
    assert ran["shell"] >= 1, "no command of README.md was run"


def test_what_is_not_run_says_why(readme: str) -> None:
    silent = [block.line for block in blocks(readme) if re.fullmatch(r"not run:?\s*", block.note)]
    assert not silent, f"lines {silent}: write <!-- not run: WHY -->"


def test_the_ten_lines_are_ten(readme: str) -> None:
    lines = [line for line in ten_lines(readme).text.splitlines() if line.strip()]
    assert len(lines) <= 10


def test_every_command_exists(readme: str) -> None:
    targets = set(re.findall(r"^([a-z.]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for command in re.findall(r"\bmake ([a-z]+)", "\n".join(commands_shown(readme))):
        assert command in targets, f"the Makefile has no target {command}"
    for module in re.findall(r"\bpython -m ((?:benchmarks|knowledge|finetune)[a-z_.0-9]*)", readme):
        path = ROOT / module.replace(".", "/")
        found = path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        assert found, f"python -m {module}: no such module"


def commands_shown(readme: str) -> list[str]:
    return [command for block in blocks(readme) if block.language in SHELLS for command in block.commands()]


def test_the_commands_of_shopbot_exist(readme: str) -> None:
    shown = {command.split()[1] for command in commands_shown(readme) if command.startswith("shopbot ")}
    call = [sys.executable, "-m", "shopbot.cli", "--help"]
    listed = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    missing = {name for name in shown if name not in listed}
    assert shown, "README.md shows no shopbot command"
    assert not missing, f"shopbot --help knows none of {sorted(missing)}"


def test_every_link_leads_somewhere(readme: str) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", readme)]
    here = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    broken = [target for target in here if not (ROOT / target).exists()]
    assert not broken, f"README.md links to what is not there: {broken}"


def mapped_paths(readme: str) -> list[str]:
    """First words of the lines of the file map, a fenced block; an indented line lies in the folder above it."""
    found: list[str] = []
    folder = ""
    for line in blocks(section(readme, "file map"))[0].text.splitlines():
        if not line.strip():
            continue
        indented, name = line.startswith(" "), line.split()[0]
        if not indented:
            folder = name if name.endswith("/") else ""
        found.append(folder + name if indented and not name.startswith(folder) else name)
    return found


def test_the_file_map_names_what_is_there(readme: str) -> None:
    missing = [path for path in mapped_paths(readme) if not (ROOT / path).exists()]
    assert not missing, f"the file map names what does not exist: {missing}"


def test_the_file_map_leaves_out_no_folder(readme: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    named = {path.split("/")[0] for path in mapped_paths(readme)}
    assert folders <= named, f"the file map leaves out {sorted(folders - named)}"


# ---------------------------------------------------------------- the reading of blocks itself


SAMPLE = """# T
<!-- ten lines -->
```python
x = 1
```
<!-- not run: waits -->
```console
$ shopbot chat
hello
```
```bash
make demo   # comment
shopbot ask "a" \\
    --json
```
## File map
```text
shopbot/      the SDK
  bot.py      the turn
README.md     this
```
# Next
"""


def test_blocks_are_read_with_their_notes_and_lines() -> None:
    first, chat, shell, _ = blocks(SAMPLE)
    assert (first.language, first.line, first.note, first.is_run) == ("python", 4, "ten lines", True)
    assert (chat.is_run, chat.commands()) == (False, ["shopbot chat"])
    assert shell.commands() == ["make demo", 'shopbot ask "a" --json']
    assert mapped_paths(SAMPLE) == ["shopbot/", "shopbot/bot.py", "README.md"]
    assert ten_lines(SAMPLE).text == "x = 1\n"


def test_a_block_that_fails_names_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_python(Block("python", "y = 1\n1 / 0\n", line=40), {})
    assert caught.traceback[-1].lineno == 40  # counted from 0


def test_a_command_that_fails_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="exits 3"):
        run_command("echo so; exit 3", tmp_path)

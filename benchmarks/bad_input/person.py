"""A person at a terminal: types commands into a small shop of their own, and sees what comes back.

A command runs in a process of its own, with its own arguments, folder, streams and exit status. `types` forks it from
this process, which has the heavy libraries loaded already (they cost eight seconds a process); `starts` begins a new
interpreter, as a terminal does.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import REPOSITORY

PATIENCE = 120.0
"""Seconds after which a command counts as hung."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit status (-9 after SIGKILL) and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams without colours."""
        return _COLOURS.sub("", f"{self.out}\n{self.err}")


@dataclass(frozen=True, slots=True)
class Person:
    """Works in `folder`, which holds the shop (`shop/`) and what shopbot keeps (`home/`)."""

    folder: Path

    @property
    def shop(self) -> Path:
        return self.folder / "shop"

    @property
    def kept(self) -> Path:
        """What shopbot keeps of this shop: the index, the database."""
        [place] = (self.folder / "home" / "shops").iterdir()
        return place

    def types(
        self,
        *arguments: str,
        typed: str = "",
        before: Callable[[], None] | None = None,
        meanwhile: Callable[[int], None] | None = None,
    ) -> Ran:
        """Run `shopbot ARGUMENTS` to its end.

        `typed` is its standard input. `before` runs first in its process; `meanwhile` in ours, with its process id.
        """

        def command() -> None:
            sys.argv = ["shopbot", *arguments]
            if before is not None:
                before()
            from shopbot.cli import main

            main()

        return self.runs(command, typed, meanwhile)

    def runs(
        self, program: Callable[[], object], typed: str = "", meanwhile: Callable[[int], None] | None = None
    ) -> Ran:
        """Run a program to its end, in a process of its own that is forked from this one."""
        (self.folder / "typed").write_text(typed, encoding="utf-8")
        child = os.fork()
        if child == 0:
            self._be(program)
        if meanwhile is not None:
            meanwhile(child)
        status = _wait(child)
        written = [(self.folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")]
        return Ran(status, *written)

    def starts(self, *command: str) -> Ran:
        """Run a command in a new interpreter: `shopbot …`, or a script of the repository."""
        script = [str(Path(sys.executable).with_name("shopbot"))] if command[0] == "shopbot" else [sys.executable]
        rest = command[1:] if command[0] == "shopbot" else [str(REPOSITORY / command[0]), *command[1:]]
        done = subprocess.run(
            [*script, *rest], cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def _be(self, program: Callable[[], object]) -> None:
        """The child's whole life, in our folder and on our streams. Never returns."""
        status = 1
        try:
            os.chdir(self.folder)
            for number, (name, mode) in enumerate((("typed", os.O_RDONLY), ("out", _NEW), ("err", _NEW))):
                os.dup2(os.open(name, mode, 0o600), number)
            program()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001 - as an interpreter does with whatever ends a program
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _wait(child: int) -> int:
    """The child's exit status, the number of the signal below nought; it is ended when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def warm_up() -> None:
    """Load what a command loads, so that forked ones need not. Nothing is computed: no thread may run at a fork."""
    import chromadb  # noqa: F401
    import sentence_transformers  # noqa: F401

    import shopbot.batch
    import shopbot.cli
    import shopbot.store  # noqa: F401

    gc.freeze()  # else every child's first collection copies all that was loaded


@contextlib.contextmanager
def copied(template: Path, place: Path) -> Iterator[Person]:
    """A person with a copy of `template` in `place`, gone afterwards.

    The template was made in the same place: a shop's path is part of the name under which shopbot keeps its index.
    """
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place, symlinks=True)
    try:
        yield Person(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)

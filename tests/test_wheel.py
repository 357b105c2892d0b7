"""The built wheel is whole: installed in an empty environment outside the clone, it runs the README's ten lines.

The environment sees the libraries of this one through a .pth file, so nothing is downloaded; shopbot itself comes from
the wheel alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from house_rules import PRODUCT, imports, sources
from readme_blocks import README, ROOT, reader_folder, ten_lines

PACKAGES = ("shopbot", "knowledge", "finetune")


def run(*call: str | Path, cwd: Path, home: Path | None = None) -> str:
    """Run a program away from the clone (no PYTHONPATH; `home` hides caches) and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if home is not None:
        environment["HOME"] = str(home)
    done = subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{call} exits {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that no stale build folder of the clone gets into it."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", cwd=source)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it; returns its folder of programs."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    programs = folder / "bin"
    install = ["install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", programs / "python", *install, wheel, cwd=folder.parent)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return programs


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    kept = {".py", ".jinja", ".toml", ".mako", ".typed"}
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file()]
    wanted = {file.relative_to(ROOT).as_posix() for file in files if file.suffix in kept or file.name == "py.typed"}
    missing = wanted - names_in(wheel)
    assert {"shopbot/py.typed", "shopbot/types.py"} <= wanted
    assert not missing, f"add these to [tool.setuptools.package-data]: {sorted(missing)}"


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    strange = {name for name in names_in(wheel) if not name.startswith((*(f"{p}/" for p in PACKAGES), "shopbot-"))}
    assert not strange
    assert wheel.stat().st_size < 1_000_000


def test_shopbot_comes_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = (
        "import shopbot, knowledge, finetune\nprint(shopbot.__file__, knowledge.__file__, finetune.__file__, sep='\\n')"
    )
    places = run(environment / "python", "-c", code, cwd=tmp_path).split()
    assert len(places) == len(PACKAGES)
    assert all(place.startswith(str(environment.parent)) for place in places), places


def test_the_command_knows_its_version(environment: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version in run(environment / "shopbot", "--version", cwd=tmp_path)


def test_the_ten_lines_run_from_the_wheel(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = reader_folder(tmp_path_factory.getbasetemp())
    run(environment / "shopbot", "ingest", "--shop", "sample_shop", cwd=folder, home=folder / "home")
    script = folder / "ten_lines.py"
    script.write_text(ten_lines(README.read_text("utf-8")).text, "utf-8")
    printed = run(environment / "python", script, cwd=folder, home=folder / "home")
    assert len(printed.split()) >= 5, f"the ten lines print an answer, not {printed!r}"


def declared() -> set[str]:
    """Names of the distributions that pyproject.toml asks for, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {re.split(r"[\[<>=~!; ]", line)[0].lower().replace("_", "-") for line in asked}


def test_every_library_that_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    used = {
        (source.path, item.module.split(".")[0])
        for source in sources()
        if source.inside(*PRODUCT)
        for item in imports(source)
    }
    ours = (*PACKAGES, "demo_page")  # the demo stays in the clone: it is in no wheel
    foreign = {(path, name) for path, name in used if name not in sys.stdlib_module_names and name not in ours}
    known = declared()
    undeclared = {
        f"{path}: {name}"
        for path, name in foreign
        if not known & {distribution.lower().replace("_", "-") for distribution in distributions.get(name, [name])}
    }
    assert len(foreign) > 10
    assert not undeclared, f"add to [project] dependencies or to an extra: {sorted(undeclared)}"


def test_constraints_pin_every_declared_library() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line and line[0] != "#"}
    left_out = {"shopbot", "vllm", "tzdata"}  # ourselves; the GPU build; Windows only
    assert declared() - pinned - left_out == set()

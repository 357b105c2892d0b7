"""A shop's own tools.py, run as a module."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path

from shopbot.errors import ShopError


def load_tools(path: Path, name: str) -> None:
    """Run a shop's tools.py as the module `name`. Raises ShopError with the line at which it failed."""
    # A package, so that it finds the modules beside it: `from . import rules`.
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise ShopError(f"{path}: tools are Python; give the file a name that ends in .py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a shop's own code does, even that it exits
        for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[one]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            raise ShopError(f"{path}:{error.lineno}: a slip of syntax: {error.msg}") from error
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        remedy = "install it" if isinstance(error, ModuleNotFoundError) else "mend it"
        what = "it exits when it is imported" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        raise ShopError(f"{path}:{lines[-1] if lines else 1}: {what}; {remedy}, then try again") from error

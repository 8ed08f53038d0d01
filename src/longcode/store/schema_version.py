"""Which schemas this release runs on, told without the machinery that changes them.

A release runs on every schema from FLOOR up to HEAD.
"""

from __future__ import annotations

from sqlalchemy import Connection, column, inspect, select, table

from longcode.errors import ConfigurationError
from longcode.store.database import Database

# Every revision that this release knows, in order; a test holds them to the migrations.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]
FLOOR = "0003"


async def check(database: Database) -> None:
    """Raise ConfigurationError where this release cannot run on the schema as it is."""
    async with database.read() as connection:
        found = await connection.run_sync(revision)
    if found is None:
        raise ConfigurationError(["the database is empty: run `longcode migrate` first"])
    check_known(found)
    if REVISIONS.index(found) < REVISIONS.index(FLOOR):
        raise ConfigurationError([f"the database is at schema {found}: run `longcode migrate` first"])


def check_known(found: str | None) -> None:
    """Raise ConfigurationError for the schema of another release."""
    if found is not None and found not in REVISIONS:
        raise ConfigurationError([f"the database is at schema {found}, which this release does not know"])


def revision(connection: Connection) -> str | None:
    """The schema's revision; None where there is no schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(select(column("version_num")).select_from(table("alembic_version"))).scalar()
    return found

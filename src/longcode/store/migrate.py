"""The schema's history: applied, and compared with what this release needs.

A release runs on every schema from FLOOR up to HEAD.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from longcode.errors import ConfigurationError
from longcode.store.database import Database

HEAD = "0001"
FLOOR = "0001"
# Any number, as long as every release has the same: the lock's name on PostgreSQL.
MIGRATION_LOCK = 7_256_281_193
MIGRATIONS = Path(__file__).with_name("migrations")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the schema to HEAD in one transaction; the revision before and after.

    Processes that migrate at once wait for each other. Raises ConfigurationError on a later release's schema.
    """
    async with database.write() as connection:
        if database.capabilities.shared:
            await connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        before = await connection.run_sync(_revision)
        _check_known(before)
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
        after = await connection.run_sync(_revision)
    assert after is not None
    return before, after


async def check(database: Database) -> None:
    """Raise ConfigurationError where this release cannot run on the schema as it is."""
    async with database.read() as connection:
        found = await connection.run_sync(_revision)
    if found is None:
        raise ConfigurationError(["the database is empty: run `longcode migrate` first"])
    _check_known(found)
    if found < FLOOR:
        raise ConfigurationError([f"the database is at schema {found}: run `longcode migrate` first"])


def _check_known(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigurationError([f"the database is at schema {found}, which this release does not know"])


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()

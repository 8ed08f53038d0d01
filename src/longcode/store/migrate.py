"""The schema's history, applied."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select

from longcode.store.database import Database
from longcode.store.schema_version import check_known, revision

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
        before = await connection.run_sync(revision)
        check_known(before)
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
        after = await connection.run_sync(revision)
    assert after is not None
    return before, after

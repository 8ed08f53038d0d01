"""Migrations end where the schema is, on both databases, and a process knows which schemas it may run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from longcode.errors import ConfigurationError
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.migrate import MIGRATIONS, migrate
from longcode.store.schema_version import FLOOR, HEAD, check
from tests.services.postgresql import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without a table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/empty.db")
        yield database
        await database.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    if not server.running:
        server.start()
    database = Database(await server.create_database("empty"))
    yield database
    await database.close()
    await server.drop_database("empty")


@pytest.fixture
async def migrated(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, schema.metadata))


async def test_the_migrations_make_the_schema(empty: Database) -> None:
    assert await migrate(empty) == (None, HEAD)
    async with empty.read() as connection:
        assert await connection.run_sync(_differences) == []


def _indexes(connection: Connection) -> dict[str, set[tuple[Any, ...]]]:
    inspector = inspect(connection)
    return {
        table: {
            (index["name"], tuple(index["column_names"]), bool(index["unique"]), _where(index))
            for index in inspector.get_indexes(table)
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def _where(index: Any) -> str:
    """The condition of a partial index, without what a database adds to it."""
    options = index.get("dialect_options", {})
    found = str(next((value for name, value in options.items() if name.endswith("_where")), ""))
    return found.replace("(", "").replace(")", "").replace("::text", "")


async def test_the_migrations_make_the_indexes_with_their_conditions(empty: Database, tmp_path: Path) -> None:
    await migrate(empty)
    async with empty.read() as connection:
        made = await connection.run_sync(_indexes)
    conditions = {index[3] for indexes in made.values() for index in indexes if index[3]}
    assert len(conditions) >= 4
    async with empty.write() as connection:
        await connection.run_sync(schema.metadata.drop_all)
        await connection.run_sync(schema.metadata.create_all)
        assert await connection.run_sync(_indexes) == made


async def test_migrating_again_does_nothing(migrated: Database) -> None:
    assert await migrate(migrated) == (HEAD, HEAD)
    await check(migrated)
    async with migrated.read() as connection:
        assert (await connection.execute(select(schema.catalog_version.c.id))).scalars().all() == [1]


async def test_two_processes_may_migrate_at_once(empty: Database) -> None:
    other = Database(empty.engine.url.render_as_string(hide_password=False))
    found = await asyncio.gather(migrate(empty), migrate(other))
    await other.close()
    assert sorted(found, key=str) == [(HEAD, HEAD), (None, HEAD)]


async def test_an_empty_database_is_refused_with_what_to_do(empty: Database) -> None:
    with pytest.raises(ConfigurationError, match="longcode migrate"):
        await check(empty)


async def test_a_schema_of_a_later_release_is_refused_and_left_alone(migrated: Database) -> None:
    async with migrated.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="9999"):
        await check(migrated)
    with pytest.raises(ConfigurationError, match="9999"):
        await migrate(migrated)


def test_head_and_floor_are_revisions_in_order() -> None:
    revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    assert revisions[0] == HEAD
    assert FLOOR in revisions
    assert revisions == sorted(revisions, reverse=True)

"""Which faults are the storage's and pass, which stay the statement's own, and what a transaction keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, literal, select, text
from sqlalchemy.exc import DBAPIError

from longcode.errors import StorageDown
from longcode.store import schema
from longcode.store.database import Database, from_micros, parse_url, to_micros

PASSING = {
    "the connection failed": "08006",
    "the server is a standby": "25006",
    "the transaction was idle for too long": "25P03",
    "the transaction took too long": "25P04",
    "the login is refused": "28P01",
    "two transactions waited for each other": "40P01",
    "the disk is full": "53100",
    "too many connections": "53300",
    "a lock was not there in time": "55P03",
    "a statement took too long": "57014",
    "the server shuts down": "57P01",
    "the server starts": "57P03",
    "a system fault": "58030",
}
STAYING = {
    "a text with a character that no database holds": "22021",
    "a unique value is taken": "23505",
    "no such table": "42P01",
    "a fault of the server's own": "XX000",
}
ACME = {"name": "acme", "secret_hash": "", "created_at": datetime(2026, 11, 22, 10, tzinfo=UTC)}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def fail_with(database: Database, way: str, sqlstate: str) -> None:
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{sqlstate}'; END $$"
    if way == "driver":
        async with database.driver() as driver:
            await driver.execute(statement)
        return
    opened: Callable[[], AbstractAsyncContextManager[Any]] = database.read if way == "read" else database.write
    async with opened() as connection:
        await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("way", ["read", "write", "driver"])
async def test_the_servers_faults_are_storage_down_and_others_stay(postgres_url: str, way: str) -> None:
    database = Database(postgres_url)
    for sqlstate in PASSING.values():
        with pytest.raises(StorageDown):
            await fail_with(database, way, sqlstate)
    for sqlstate in STAYING.values():
        with pytest.raises((DBAPIError, asyncpg.PostgresError)):
            await fail_with(database, way, sqlstate)
    await database.close()


@pytest.mark.parametrize("value", [2**70, "\ud800"], ids=["a number beyond its type", "a text that is no Unicode"])
async def test_a_value_that_no_column_holds_is_not_storage_down(database: Database, value: Any) -> None:
    query = select(literal(value, schema.message.c.sent_at_seconds.type if isinstance(value, int) else None))
    with pytest.raises(Exception) as raised:
        async with database.read() as connection:
            await connection.execute(query)
    assert not isinstance(raised.value, StorageDown)


async def test_a_wrong_statement_is_not_storage_down(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))


async def test_a_server_that_is_not_there_is_storage_down() -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/longcode")
    for opened in (database.read, database.write, database.driver):
        with pytest.raises(StorageDown):
            async with opened():
                pass
    await database.close()


async def test_a_file_that_cannot_be_opened_is_storage_down() -> None:
    database = Database("sqlite:////nowhere/at/all/longcode.db")
    with pytest.raises(StorageDown):
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
    await database.close()


async def test_a_transaction_that_fails_keeps_nothing(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.write() as connection:
            await connection.execute(insert(schema.account), [ACME])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await write_and_fail()
    async with database.write() as connection:
        await connection.execute(insert(schema.account), [ACME])
    async with database.read() as connection:
        assert len((await connection.execute(select(schema.account))).all()) == 1


async def test_a_transaction_that_is_cancelled_keeps_nothing_and_frees_the_writer(database: Database) -> None:
    written, never = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(insert(schema.account), [ACME])
            written.set()
            await never.wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    await asyncio.wait([task])
    async with database.write() as connection:
        assert (await connection.execute(select(schema.account))).all() == []


async def test_an_instant_comes_back_as_it_was_given(database: Database) -> None:
    given_ = datetime(2026, 11, 22, 12, 30, 1, 234567, tzinfo=UTC).astimezone()
    async with database.write() as connection:
        await connection.execute(insert(schema.account), [ACME | {"created_at": given_}])
        (found,) = (await connection.execute(select(schema.account.c.created_at))).scalars()
    assert found == given_
    assert found.utcoffset() == timedelta(0)


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_keep_every_instant(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://a@b/c", "postgresql+asyncpg"),
        ("postgresql://a@b/c", "postgresql+asyncpg"),
        ("postgresql+asyncpg://a@b/c", "postgresql+asyncpg"),
        ("sqlite:///a.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///a.db", "sqlite+aiosqlite"),
    ],
)
def test_urls_get_the_asynchronous_driver(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver


async def test_a_statement_that_hangs_is_down_and_spares_the_next_one(postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=1, command_seconds=0.2)
    for hang in (_hang_bare, _hang):
        with pytest.raises(StorageDown):
            await hang(database)
    async with database.driver() as driver:
        assert await driver.fetchval("SELECT 1") == 1
    await database.close()


async def _hang_bare(database: Database) -> None:
    async with database.driver() as driver:
        await driver.fetch("SELECT pg_sleep(30)")


async def _hang(database: Database) -> None:
    async with database.read() as connection:
        await connection.exec_driver_sql("SELECT pg_sleep(30)")

"""Both adapters of the port as the contract tests see them: on real servers, with time in the tests' hands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy import text

from longcode.expiring.port import Expiring
from longcode.expiring.redis import RedisExpiring
from longcode.expiring.sql import SqlExpiring
from longcode.store import schema
from longcode.store.database import Database

STOP_TTL_SECONDS = 14_400
LIMIT = 50
WINDOW_SECONDS = 86_400


class HandClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class State(ABC):
    """One adapter and its time."""

    expiring: Expiring

    @abstractmethod
    def now(self) -> datetime:
        """The adapter's time, or very nearly."""

    @abstractmethod
    async def later(self, seconds: int) -> None:
        """Let so many seconds pass, for all that is kept."""


class RedisState(State):
    """The server's clock cannot be moved, so every key's end is brought forward instead."""

    def __init__(self, url: str, *, limit: int) -> None:
        self.expiring = RedisExpiring(
            url,
            stop_ttl_seconds=STOP_TTL_SECONDS,
            limit=limit,
            window_seconds=WINDOW_SECONDS,
            # Beside other suites the machine may be slow.
            timeout_seconds=10,
        )
        self.client = Redis.from_url(url)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def later(self, seconds: int) -> None:
        for key in await self.client.keys("longcode:pace:*"):
            full_at = int(await self.client.get(key) or 0) - seconds * 1_000_000
            await self.client.set(key, full_at, keepttl=True)
        for key in await self.client.keys("longcode:*"):
            left = await self.client.pttl(key)
            # At or below nothing, PEXPIRE deletes; -1 is a key without an end.
            if left != -1:
                await self.client.pexpire(key, left - seconds * 1000)


class SqlState(State):
    def __init__(self, database: Database, *, limit: int) -> None:
        self.clock = HandClock()
        self.database = database
        self.expiring = SqlExpiring(
            database,
            clock=self.clock,
            stop_ttl_seconds=STOP_TTL_SECONDS,
            limit=limit,
            window_seconds=WINDOW_SECONDS,
        )

    def now(self) -> datetime:
        return self.clock.now

    async def later(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)
        if not self.database.is_sqlite:  # its clock cannot be moved
            earlier = text("UPDATE pace_bucket SET full_at = full_at - make_interval(secs => :seconds)")
            async with self.database.write() as connection:
                await connection.execute(earlier, {"seconds": seconds})


@asynccontextmanager
async def open_redis(url: str, *, limit: int = LIMIT) -> AsyncIterator[RedisState]:
    """The Redis adapter on the server at url, complete."""
    state = RedisState(url, limit=limit)
    try:
        await state.expiring.restore([])
        yield state
    finally:
        await state.expiring.close()
        await state.client.aclose()


@asynccontextmanager
async def open_tables(url: str) -> AsyncIterator[Database]:
    """The database at url, with the tables of expiring state."""
    database = Database(url)
    try:
        async with database.write() as connection:
            tables = [schema.stop_pair, schema.sender_window, schema.pace_bucket]
            await connection.run_sync(schema.metadata.create_all, tables=tables)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_sql(url: str, *, limit: int = LIMIT) -> AsyncIterator[SqlState]:
    """The SQL adapter on the database at url."""
    async with open_tables(url) as database:
        state = SqlState(database, limit=limit)
        try:
            yield state
        finally:
            await state.expiring.close()

"""The database: one engine, its transactions, and what differs between the two kinds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, DateTime, Table, TypeDecorator, event, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from longcode.errors import StorageDown
from longcode.store.driver_pool import DriverPool

SQLITE_BUSY_SECONDS = 15
CONNECT_SECONDS = 5.0
# How long `close` waits for statements that still run.
CLOSE_SECONDS = 2.0
# A server that hangs must not hold the intake for ever; no statement of ours comes near it.
COMMAND_SECONDS = 10.0
# Connection, read-only standby, a transaction's time, login, no such database, deadlock, resources, a lock's time,
# operator, system.
# Source: PostgreSQL, appendix A, error codes.
PASSING_STATES = ("08", "25006", "25P03", "25P04", "28", "3D", "40", "53", "55P03", "57", "58")
# With the default price of a random page, a generic plan that is made while tables are empty scans
# them, and is kept until the server's next ANALYZE, however fast they grow in that minute.
# Where clocks are set, a day of local time, and so of a validity, may have 23 or 25 hours.
POSTGRESQL_SETTINGS = {
    "application_name": "longcode",
    "timezone": "UTC",
    "plan_cache_mode": "auto",
    "random_page_cost": "1.1",
}
# Hot statements are the same work each time, and some cost less to run than to plan. Sizes and statistics may
# not talk them out of their indexes either: they are planned once, perhaps when tables were still small.
HOT_SETTINGS = {**POSTGRESQL_SETTINGS, "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
# In a connection's info: its transaction wrote events.
NEWS = "news"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime: timestamptz on PostgreSQL, microseconds since 1970 on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is not None and dialect.name == "sqlite":
            return to_micros(value)
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is not None and dialect.name == "sqlite":
            return from_micros(value)
        return None if value is None else value.astimezone(UTC)


def to_micros(value: datetime) -> int:
    """Microseconds since 1970, how SQLite keeps an Instant."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """The Instant that SQLite kept as microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Where the two databases differ, said once.

    skip_locked: rows claimed by others can be passed over.
    arrays: a statement takes whole columns as arrays (unnest).
    shared: many processes of the product may use it at once.
    """

    skip_locked: bool
    arrays: bool
    shared: bool


POSTGRESQL = Capabilities(skip_locked=True, arrays=True, shared=True)
SQLITE = Capabilities(skip_locked=False, arrays=False, shared=False)


def parse_url(url: str) -> URL:
    """The SQLAlchemy URL with the asynchronous driver that we use."""
    parsed = make_url(url)
    drivers = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
    return parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))


def _nobody() -> None:
    """Nobody waits for news."""


class Database:
    """Connections to one database.

    `read` and `write` are one transaction each. On SQLite all writes of a process go through
    one connection, one after the other: its single writer.
    pool_size: on PostgreSQL so many connections for transactions, as many more when they are not enough, and as many
    for the hot statements.
    insert: an INSERT that knows ON CONFLICT.
    command_seconds: how long a statement may take on PostgreSQL; None: for ever.
    told: called after each commit that wrote events that somebody listens to.
    """

    def __init__(self, url: str, *, pool_size: int = 5, command_seconds: float | None = COMMAND_SECONDS) -> None:
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.insert = _insert_of(self.is_sqlite)
        self.capabilities = SQLITE if self.is_sqlite else POSTGRESQL
        self.told: Callable[[], None] = _nobody
        self._writer = asyncio.Lock()
        self._drivers = None if self.is_sqlite else _drivers(parsed, pool_size, command_seconds)
        self.engine = (
            _sqlite_engine(parsed) if self.is_sqlite else _postgresql_engine(parsed, pool_size, command_seconds)
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state. Raises StorageDown where there is none."""
        async with _faults_as_storage_down(), self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back by any exception."""
        if not self.is_sqlite:
            async with _faults_as_storage_down(), self.engine.begin() as connection:
                yield connection
                news = connection.info.pop(NEWS, False)
            if news:
                self.told()
            return
        async with self._writer, _faults_as_storage_down(), self.engine.connect() as connection:
            # Taken at once: a transaction that starts by reading cannot be upgraded beside another writer.
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                await connection.exec_driver_sql("ROLLBACK")
                raise
            news = connection.info.pop(NEWS, False)
            await connection.exec_driver_sql("COMMIT")
        if news:
            self.told()

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Any]:
        """A bare asyncpg connection, one statement a transaction, for the hot statements."""
        pool = self._drivers
        assert pool is not None, "only PostgreSQL has them"
        connection = None
        try:
            connection = await pool.take()
            yield connection
        except asyncpg.InternalClientError as error:
            # The server's farewell has come and the end of the stream has not: nothing was asked.
            _cut(connection)
            raise StorageDown(f"the database did not answer: {error}") from error
        except asyncpg.InterfaceError as error:
            if connection is not None and not connection.is_closed():
                raise
            raise StorageDown(f"the database did not answer: {error}") from error
        except asyncpg.PostgresError as error:
            if _passes(error):
                raise StorageDown(f"the database did not answer: {error}") from error
            raise
        except (OSError, TimeoutError) as error:
            # Its answer may still come; nobody else may take that for theirs.
            _cut(connection)
            raise StorageDown(f"the database did not answer: {error or 'not in time'}") from error
        finally:
            if connection is not None:
                pool.give_back(connection)

    def claims_at(self, now: datetime) -> Any:
        """The instant that leases and due times are held against: PostgreSQL's own, as each process has its clock.

        now: by the process's clock, the only one on SQLite.
        """
        return now if self.is_sqlite else func.clock_timestamp(type_=DateTime(timezone=True))

    async def now(self, now: datetime) -> datetime:
        """As `claims_at`, read now."""
        if self.is_sqlite:
            return now
        async with self.read() as connection:
            found: datetime = (await connection.execute(select(self.claims_at(now)))).scalar_one()
        return found

    async def close(self) -> None:
        """Close every connection."""
        if self._drivers is not None:
            await self._drivers.close(CLOSE_SECONDS)
        await self.engine.dispose()


def insert_on(connection: AsyncConnection) -> Callable[[Table], Any]:
    """As Database.insert."""
    return _insert_of(connection.dialect.name == "sqlite")


def _insert_of(is_sqlite: bool) -> Callable[[Table], Any]:
    return sqlite_insert if is_sqlite else postgresql_insert


def _cut(connection: Any) -> None:
    if connection is not None:
        connection.terminate()


def _connect_options(command_seconds: float | None, settings: dict[str, str]) -> dict[str, Any]:
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": command_seconds,
        "server_settings": settings,
    }


def _drivers(url: URL, size: int, command_seconds: float | None) -> DriverPool:
    _, options = url.get_dialect()().create_connect_args(url)
    plain = {name: value for name, value in options.items() if not name.startswith("prepared_statement_")}
    connect = partial(asyncpg.connect, **plain, **_connect_options(command_seconds, HOT_SETTINGS))
    return DriverPool(connect, size, CONNECT_SECONDS)


def _postgresql_engine(url: URL, pool_size: int, command_seconds: float | None) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=False,
        hide_parameters=True,  # they hold message texts, which no log may show
        connect_args=_connect_options(command_seconds, POSTGRESQL_SETTINGS),
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _replace_closed(connection: Any, _record: Any, _proxy: Any) -> None:
        # asyncpg knows without asking the server; after a restart every pooled connection is such a one.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


def _sqlite_engine(url: URL) -> AsyncEngine:
    # AUTOCOMMIT: the driver would otherwise open transactions of its own; `write` says BEGIN itself.
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        pool_size=6,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


@asynccontextmanager
async def _faults_as_storage_down() -> AsyncIterator[None]:
    """A server that is gone, starting, stopping or full is StorageDown; a wrong statement stays what it is."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError) as error:
        if _passes(error):
            raise StorageDown(f"the database did not answer: {getattr(error, 'orig', error)}") from error
        raise
    except (OSError, TimeoutError, PoolTimeout) as error:
        raise StorageDown(f"the database did not answer: {error}") from error


def is_taken_name(error: BaseException) -> bool:
    """True where a unique value (a name, a mailbox instant) was taken by a neighbour."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.UniqueViolationError) or "UNIQUE constraint failed" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _passes(error: DBAPIError | asyncpg.PostgresError) -> bool:
    """True where the fault is the server's or its state's, so that the same statement can succeed later."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode != sqlite3.SQLITE_ERROR
    if type(cause) is sqlite3.DatabaseError:  # and none of its kinds: the file is damaged, or no database
        return True
    return (getattr(cause, "sqlstate", None) or "").startswith(PASSING_STATES)

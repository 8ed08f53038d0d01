"""Fixtures of the whole suite: real services, started when the first test asks for them."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from hypothesis import settings

from longcode.store.database import Database
from longcode.store.migrate import migrate
from tests.app import Api, open_api
from tests.services.databases import Databases
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey

# Every PostgreSQL database of a test is as this one; `postgres_databases` fills it.
TEMPLATE_DATABASE = "longcode_template"

# What signs delivery reports in the shared product.
DLR_SECRET = "not-a-secret"

settings.register_profile("longcode", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.load_profile("longcode")

# What takes long comes first, so that at the end no process waits for another.
SLOW_FOLDERS = ("contract", "faults", "deploy")

# Processes are killed here, never the machine: what PostgreSQL has written survives in the page cache.
KILLED_ONLY = {"fsync": "off", "full_page_writes": "off"}


def pytest_collection_finish() -> None:
    """Do not look through what stays for good again and again: that takes a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {folder: place for place, folder in enumerate(SLOW_FOLDERS)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    """Plain lines: on its own structlog prints each error with all variables of its frames, which takes seconds."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture(scope="session")
def sync_runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines for fixtures that are not async, on a loop that is no test's."""
    # With a factory of its own the runner leaves the thread's current loop, pytest-asyncio's, alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's PostgreSQL. A test that stops it need not start it again."""
    with postgresql(KILLED_ONLY) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: PostgresServer, sync_runner: asyncio.Runner) -> Databases:
    """The server's databases for tests, whose template is filled here; nobody may stay connected to it."""
    _revive(postgres_server)
    url = sync_runner.run(postgres_server.create_database(TEMPLATE_DATABASE))
    sync_runner.run(_migrate(url))
    return Databases(postgres_server, TEMPLATE_DATABASE)


@pytest.fixture
def postgres_url(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    postgres_databases: Databases,
    sync_runner: asyncio.Runner,
) -> Iterator[str]:
    """`postgresql://…`: a database with what the template holds."""
    _revive(postgres_server)
    untouched = request.node.get_closest_marker("untouched") is not None
    name = sync_runner.run(postgres_databases.take(untouched=untouched))
    yield postgres_server.url(name)
    if postgres_server.running:
        sync_runner.run(postgres_databases.give_back(name))


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """The session's Valkey. A test that stops it need not start it again."""
    with valkey() as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """`redis://…`: the session's Valkey, emptied."""
    _revive(valkey_server)
    valkey_server.flush()
    return valkey_server.url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, sync_runner: asyncio.Runner) -> Path:
    """The migrated file that every test's SQLite database is a copy of."""
    path = tmp_path_factory.mktemp("template") / "longcode.db"
    sync_runner.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """`sqlite+aiosqlite://…`: a fresh, migrated file."""
    shutil.copy(sqlite_template, tmp_path / "longcode.db")
    return f"sqlite+aiosqlite:///{tmp_path}/longcode.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database for SQLAlchemy's async engine; the test runs once on each engine."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        return url
    url = request.getfixturevalue("postgres_url")
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


@pytest.fixture(scope="session", params=["embedded", "full"])
def api_services(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    sync_runner: asyncio.Runner,
) -> Iterator[tuple[str, str | None]]:
    """Database and Redis URLs of the shared product: servers of its own, which no test kills."""
    if request.param == "embedded":
        path = tmp_path_factory.mktemp("embedded") / "longcode.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}", None
        return
    with postgresql(KILLED_ONLY) as database, valkey() as state:
        url = sync_runner.run(database.create_database("longcode"))
        sync_runner.run(_migrate(url))
        yield url, state.url


@pytest_asyncio.fixture(scope="session")
async def api(api_services: tuple[str, str | None]) -> AsyncIterator[Api]:
    """The product, shared by the whole session: make fresh accounts. On SQLite, and on PostgreSQL with Valkey."""
    async with open_api(*api_services, dlr_secret=DLR_SECRET) as opened:
        yield opened


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


def _revive(server: PostgresServer | ValkeyServer) -> None:
    if not server.running:
        server.start()

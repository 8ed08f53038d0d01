"""The services that the suite stands on are real, of the promised versions, and as durable as we claim."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.processes import (
    NeverHappened,
    Process,
    ProcessFailed,
    clean_environment,
    free_port,
    wait_until,
    wait_until_async,
)
from tests.services.databases import Databases
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey


@pytest.fixture(scope="module")
def crashing_postgres() -> Iterator[PostgresServer]:
    """Not the session's, whose other databases a crash would disturb."""
    with postgresql() as server:
        yield server


async def test_postgresql_answers_as_version_18_and_is_durable(crashing_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(crashing_postgres.url())
    try:
        assert connection.get_server_version().major == 18
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval("SELECT current_setting($1)", setting) == "on", setting
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await connection.close()


async def test_postgresql_keeps_what_it_committed_through_a_kill(crashing_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(crashing_postgres.url())
    await connection.execute("CREATE TABLE kept (value integer)")
    await connection.execute("INSERT INTO kept VALUES (18)")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO kept VALUES (19)")
    children = psutil.Process(crashing_postgres.pid).children()

    crashing_postgres.kill()

    assert children
    assert not [child for child in children if _holds_resources(child)]
    connection.terminate()
    crashing_postgres.start()
    connection = await asyncpg.connect(crashing_postgres.url())
    assert [row["value"] for row in await connection.fetch("SELECT value FROM kept")] == [18]
    await connection.close()
    assert "automatic recovery in progress" in crashing_postgres.output()


async def test_postgresql_restarts_in_order_on_the_same_port(crashing_postgres: PostgresServer) -> None:
    url, first = crashing_postgres.url(), crashing_postgres.pid

    crashing_postgres.restart()

    assert crashing_postgres.pid != first
    assert crashing_postgres.url() == url
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_database_of_a_test_is_a_copy_of_the_template(crashing_postgres: PostgresServer) -> None:
    template = await asyncpg.connect(await crashing_postgres.create_database("model"))
    await template.execute("CREATE TABLE from_model (value integer)")
    await template.close()

    copy = await asyncpg.connect(await crashing_postgres.create_database("copy", template="model"))

    assert await copy.fetch("SELECT value FROM from_model") == []
    await crashing_postgres.drop_database("copy")
    assert copy.is_closed() or await _is_cut_off(copy)
    copy.terminate()


ACCOUNT = "INSERT INTO account (name, secret_hash, created_at) SELECT 'account ' || n, '-', now() FROM"


@pytest.mark.parametrize(
    ("done", "reused"),
    [
        (f"{ACCOUNT} generate_series(1, 3) n; UPDATE catalog_version SET version = version + 1", True),
        (f"{ACCOUNT} generate_series(1, 3) n; DELETE FROM account; DELETE FROM catalog_version", True),
        (f"{ACCOUNT} generate_series(1, 9999) n", False),
        ("CREATE TABLE leftover (value integer)", False),
        ("ALTER TABLE account ADD COLUMN leftover integer", False),
        ("DROP INDEX ix_message_account_id", False),
        ("ANALYZE account", False),
        ("VACUUM account", False),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_database_that_comes_back_is_as_fresh_as_a_copy(
    postgres_server: PostgresServer, postgres_databases: Databases, done: str, reused: bool
) -> None:
    first = await postgres_databases.take()
    for statement in done.split("; "):
        await _ask(postgres_server.url(first), statement)
    await postgres_databases.give_back(first)

    second = await postgres_databases.take()

    assert (second == first) == reused
    assert await _ask(postgres_server.url(second), "SELECT version FROM catalog_version") == [(1,)]
    assert await _ask(postgres_server.url(second), "SELECT count(*) FROM account") == [(0,)]
    assert await _ask(postgres_server.url(second), f"{ACCOUNT} generate_series(1, 1) n RETURNING id") == [(1,)]
    await postgres_databases.give_back(second)


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_every_test_gets_an_empty_database(turn: str, database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE leftover (value integer)"))
    await engine.dispose()


async def test_valkey_answers_as_version_9_and_is_durable(valkey_url: str) -> None:
    async with redis.asyncio.Redis.from_url(valkey_url, decode_responses=True) as client:
        assert (await client.info("server"))["valkey_version"].startswith("9.")
        config = await client.config_get("appendonly", "appendfsync", "maxmemory-policy")
    assert config == {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def crashing_valkey() -> Iterator[ValkeyServer]:
    with valkey() as server:
        yield server


async def test_valkey_keeps_what_it_acknowledged_through_a_kill(crashing_valkey: ValkeyServer) -> None:
    async with redis.asyncio.Redis.from_url(crashing_valkey.url) as client:
        await client.set("kept", "9", ex=3600)

        crashing_valkey.kill()
        with pytest.raises(redis.ConnectionError):
            await client.get("kept")
        crashing_valkey.start()

        assert await client.get("kept") == b"9"
        assert 0 < await client.ttl("kept") <= 3600


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_gets_an_empty_valkey(turn: str, valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("leftover", turn)


def test_a_process_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"ended with 3 before it was ready[^$]*last words"):
        _NeverReady(_python("print('last words'); raise SystemExit(3)"), folder=tmp_path, env={}).start()


def test_a_process_that_never_gets_ready_is_ended_and_reported(tmp_path: Path) -> None:
    process = _NeverReady(_python("import signal; signal.pause()"), folder=tmp_path, env={})
    with pytest.raises(ProcessFailed, match="was not ready within"):
        process.start(timeout_seconds=0.1)
    assert process.exit_status == -signal.SIGKILL


def test_a_kill_takes_the_children_along(tmp_path: Path) -> None:
    with Process(_python(PARENT_OF_TWO), folder=tmp_path, env=clean_environment()) as process:
        wait_until(lambda: "both started" in process.output())
        family = psutil.Process(process.pid).children()
        process.kill()
    assert len(family) == 2
    assert not [child for child in family if _holds_resources(child)]


def test_a_process_that_ignores_sigterm_is_killed_and_reported(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); signal.pause()"
    process = Process(_python(stubborn), folder=tmp_path, env=clean_environment())
    process.start()
    wait_until(lambda: "deaf" in process.output())
    with pytest.raises(ProcessFailed, match="still runs after"):
        process.terminate(timeout_seconds=0.1)
    assert process.exit_status == -signal.SIGKILL


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A passing folder that PostgreSQL can reach when it runs as another user than we do."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_services_end_when_the_suite_itself_is_killed(open_folder: Path) -> None:
    suite = subprocess.Popen(
        [sys.executable, "-m", "tests.services"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "TMPDIR": str(open_folder)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert suite.stdout is not None
        announced = [suite.stdout.readline(), suite.stdout.readline()]
        services = psutil.Process(suite.pid).children(recursive=True)
        assert all(line.startswith(b"export LONGCODE_") for line in announced)
        assert len(services) > 2
    finally:
        # Only Linux tells a process of its parent's death; elsewhere the parent has to do it.
        suite.send_signal(signal.SIGKILL if sys.platform == "linux" else signal.SIGTERM)
        suite.communicate()
    wait_until(lambda: not [service for service in services if _holds_resources(service)])


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


async def test_a_wait_gives_what_it_waited_for_or_fails_by_name() -> None:
    answers = iter([0, None, "", "there"])
    assert wait_until(lambda: next(answers), every=0.001) == "there"
    with pytest.raises(NeverHappened, match="a blue moon did not happen within"):
        wait_until(lambda: False, 0.01, every=0.001, what="a blue moon")

    async def eventually() -> bool:
        return asyncio.get_running_loop().time() > asked + 0.01

    asked = asyncio.get_running_loop().time()
    assert await wait_until_async(eventually, every=0.001)
    with pytest.raises(NeverHappened):
        await wait_until_async(lambda: False, 0.01, every=0.001)


def test_the_settings_of_a_running_longcode_do_not_reach_the_tests() -> None:
    assert not [name for name in clean_environment() if name.startswith("LONGCODE_")]
    assert clean_environment({"LONGCODE_DATA": "here"})["LONGCODE_DATA"] == "here"
    assert clean_environment()["PATH"] == os.environ["PATH"]


async def _ask(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


PARENT_OF_TWO = """
import signal, subprocess, sys
pause = [sys.executable, "-c", "import signal; signal.pause()"]
near, far = subprocess.Popen(pause), subprocess.Popen(pause, start_new_session=True)
print("both started")
signal.pause()
"""


class _NeverReady(Process):
    def is_ready(self) -> bool:
        return False


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def _holds_resources(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def _is_cut_off(connection: asyncpg.Connection) -> bool:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.execute("SELECT 1")
    return True

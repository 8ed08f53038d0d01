"""`longcode serve` and `longcode worker` on PostgreSQL and Valkey, each of the four killed in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.cli.http import Http
from tests.faults.stream import DEMO, NUMBERS, SECRET, STRANGER, Stream, register, settle_accounts
from tests.processes import Longcode, free_port, run_cli, wait_until, wait_until_async
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey

CALLS_BEFORE_A_KILL = 100


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that one installation runs on."""

    database_url: str
    postgres: PostgresServer
    valkey: ValkeyServer
    serve: Longcode
    worker: Longcode

    async def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers to a query."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def end_leases(self) -> None:
        """Let the leases that a killed worker left behind end now, not in a minute."""
        await self.ask("UPDATE outbox SET leased_until = clock_timestamp() WHERE leased_until IS NOT NULL")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, sync_runner: asyncio.Runner) -> Iterator[Cluster]:
    with postgresql() as database, valkey() as state:
        url = sync_runner.run(database.create_database("longcode"))
        folder = tmp_path_factory.mktemp("cluster")
        env = {
            "LONGCODE_DATABASE_URL": url,
            "LONGCODE_REDIS_URL": state.url,
            "LONGCODE_DEMO_SECRET": SECRET,
            "LONGCODE_SENDER_LIMIT": "100000",
        }
        run_cli("migrate", env=env)
        run_cli("seed", env=env)
        # A sender ID that is a number too, so that STOP pairs reach messages by whichever dialect.
        run_cli("sender", "add", NUMBERS[0], "--account", DEMO, env=env)
        serve = Longcode("serve", "--workers", "2", folder=folder / "serve", port=free_port(), env=env)
        worker = Longcode("worker", folder=folder / "worker", env=env, ready=lambda: works(worker))
        with serve, worker:
            yield Cluster(url, database, state, serve, worker)


def works(worker: Longcode) -> bool:
    return worker.running and "Longcode works" in worker.output()


async def test_a_stream_of_calls_survives_the_kill_of_each_process(cluster: Cluster) -> None:
    stream = Stream(cluster.serve.url)
    await register(stream)

    async def interrupted(kill: Callable[[], None]) -> None:
        """Kill something in the middle of the stream, and see that the stream noticed."""
        await stream.more(CALLS_BEFORE_A_KILL)
        failed = stream.failed
        stream.flowing.clear()
        kill()
        await wait_until_async(lambda: stream.failed > failed, what="a call that fails")

    async with stream.run():
        await interrupted(cluster.serve.kill)
        cluster.serve.start()
        stream.flowing.set()

        await interrupted(cluster.postgres.kill)
        cluster.postgres.start()
        stream.flowing.set()

        await interrupted(cluster.valkey.kill)
        cluster.valkey.start()
        stream.flowing.set()

        await stream.more(CALLS_BEFORE_A_KILL)
        cluster.worker.kill()
        await cluster.end_leases()
        cluster.worker.start()
        await stream.more(CALLS_BEFORE_A_KILL)
    await settle_accounts(stream, cluster.ask)


def test_stop_pairs_survive_a_kill_and_are_rebuilt_where_they_were_lost(cluster: Cluster) -> None:
    demo = Http(cluster.serve.port or 0).basic(DEMO, SECRET)
    ours, recipient = NUMBERS[0], STRANGER
    assert demo.inbound(recipient, ours, "STOP").status == 200
    cluster.valkey.kill()
    cluster.valkey.start()
    wait_until(lambda: demo.outbound(ours, recipient).status == 400, what="the pair's return")

    # Nobody rebuilds while no worker runs, so that the message is accepted and is stopped on its way.
    assert cluster.worker.terminate() == 0
    cluster.valkey.flush()
    created = demo.create("after the loss", f"+{recipient}", sender_id=ours)
    assert created.status == 201
    cluster.worker.start()
    path = created.headers["location"]
    wait_until(lambda: demo.call("GET", path).json["status"] == "FAILED", what="the end of the message")
    assert demo.call("GET", path).json["provider_reference"] is None
    assert demo.outbound(ours, recipient).status == 400


def test_a_stop_signal_ends_every_process_with_status_0(cluster: Cluster) -> None:
    assert (cluster.serve.terminate(), cluster.worker.terminate()) == (0, 0)
    cluster.serve.start()
    cluster.worker.start()

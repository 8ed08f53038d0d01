"""`longcode serve`, `worker` and `beat` on PostgreSQL and two Valkeys, each of which is killed in its turn.

What the simulator's ledger holds is what a carrier would say that it was sent.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.cli.http import Http
from tests.faults.stream import DEMO, NUMBERS, SECRET, STRANGER, Stream, register, settle_accounts
from tests.processes import Longcode, free_port, run_cli, wait_until, wait_until_async
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey

CALLS_BEFORE_A_KILL = 100
# As docs/deployment.md has it for a broker of its own: what it loses are hints.
BROKER_SETTINGS = {"appendonly": "no"}
MESSAGES_WITHOUT_A_BROKER = 20
# Begins the numbers that a carrier of its own takes.
SLOW = "4477009001"


class Announced(Longcode):
    """A process that says on standard error when it has begun, after each start."""

    def __init__(self, *args: str, greeting: str, folder: Path, env: Mapping[str, str]) -> None:
        super().__init__(*args, folder=folder, env=env)
        self._greeting = greeting
        self._starts = 0

    def launch(self) -> None:
        self._starts += 1
        super().launch()

    def is_ready(self) -> bool:
        return self.running and self.output().count(self._greeting) >= self._starts


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that one installation runs on."""

    database_url: str
    postgres: PostgresServer
    valkey: ValkeyServer
    broker: ValkeyServer
    serve: Longcode
    worker: Longcode
    beat: Longcode

    async def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database answers to a query."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def end_leases(self) -> None:
        """Let the leases that a killed worker left behind end now, not in a minute."""
        await self.ask("UPDATE outbox SET leased_until = clock_timestamp() WHERE leased_until IS NOT NULL")

    def demo(self) -> Http:
        """Calls as the account demo."""
        return Http(self.serve.port or 0).basic(DEMO, SECRET)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, sync_runner: asyncio.Runner) -> Iterator[Cluster]:
    with postgresql() as database, valkey() as state, valkey(BROKER_SETTINGS) as broker:
        url = sync_runner.run(database.create_database("longcode"))
        folder = tmp_path_factory.mktemp("cluster")
        env = {
            "LONGCODE_DATABASE_URL": url,
            "LONGCODE_REDIS_URL": state.url,
            "LONGCODE_BROKER_URL": broker.url,
            "LONGCODE_DEMO_SECRET": SECRET,
            "LONGCODE_SENDER_LIMIT": "100000",
            "LONGCODE_DATA": str(folder / "data"),
        }
        run_cli("migrate", env=env)
        run_cli("seed", env=env)
        # A sender ID that is a number too, so that STOP pairs reach messages by whichever dialect.
        run_cli("sender", "add", NUMBERS[0], "--account", DEMO, env=env)
        serve = Longcode("serve", "--workers", "2", folder=folder / "serve", port=free_port(), env=env)
        worker = Announced("worker", greeting="Longcode works", folder=folder / "worker", env=env)
        beat = Announced("beat", greeting="Longcode keeps time", folder=folder / "beat", env=env)
        processes = (serve, worker, beat)
        try:
            for process in processes:
                process.launch()
            for process in processes:
                process.wait_ready()
            yield Cluster(url, database, state, broker, *processes)
            end_together([process for process in processes if process.running])
        finally:
            for process in processes:
                process.kill()


def end_together(processes: Sequence[Longcode]) -> None:
    """Each ends with status 0 when a signal says so."""
    for process in processes:
        os.kill(process.pid, signal.SIGTERM)
    assert [process.wait() for process in processes] == [0] * len(processes)


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

        # From here on nobody who calls notices anything.
        await stream.more(CALLS_BEFORE_A_KILL)
        failed = stream.failed
        cluster.broker.kill()
        await stream.more(CALLS_BEFORE_A_KILL)
        cluster.broker.start()

        await stream.more(CALLS_BEFORE_A_KILL)
        for process in psutil.Process(cluster.worker.pid).children():
            process.kill()
        await stream.more(CALLS_BEFORE_A_KILL)
        cluster.beat.kill()
        cluster.worker.kill()
        await cluster.end_leases()
        cluster.beat.launch()
        cluster.worker.launch()
        await stream.more(CALLS_BEFORE_A_KILL)
        await wait_until_async(lambda: cluster.worker.is_ready() and cluster.beat.is_ready(), 30.0, what="both starts")
        assert stream.failed == failed
    await settle_accounts(stream, cluster.ask)


async def test_without_the_broker_everything_is_accepted_and_sent_once_when_it_is_back(cluster: Cluster) -> None:
    cluster.broker.kill()
    demo = cluster.demo()
    texts = {f"without a broker, {number}" for number in range(MESSAGES_WITHOUT_A_BROKER)}
    assert {demo.create(text, f"+{STRANGER}", text=text).status for text in texts} == {201}
    cluster.broker.start()

    async def all_delivered() -> bool:
        found = await cluster.ask("SELECT text FROM message WHERE status = 'delivered' AND text = ANY($1)", list(texts))
        return {text for (text,) in found} == texts

    await wait_until_async(all_delivered, 20.0, what="the delivery of everything")
    query = "SELECT text FROM simulator_message JOIN message ON id = message_id WHERE text = ANY($1)"
    assert sorted(text for (text,) in await cluster.ask(query, list(texts))) == sorted(texts)


async def test_a_broker_that_was_emptied_brings_kicks_as_before(cluster: Cluster) -> None:
    cluster.beat.kill()
    cluster.broker.flush()
    demo = cluster.demo()
    path = demo.create("after the flush", f"+{STRANGER}").headers["location"]
    await wait_until_async(lambda: demo.call("GET", path).json["status"] != "QUEUED", what="a kick without beat")
    cluster.beat.start()


async def test_a_worker_whose_first_process_is_killed_leaves_none_behind(cluster: Cluster) -> None:
    family = psutil.Process(cluster.worker.pid).children()
    assert len(family) >= 2
    os.kill(cluster.worker.pid, signal.SIGKILL)
    await wait_until_async(lambda: not any(map(lives, family)), what="the end of its processes")
    cluster.worker.kill()
    await cluster.end_leases()
    cluster.worker.start()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_stop_pairs_survive_a_kill_and_are_rebuilt_before_anything_is_sent(cluster: Cluster) -> None:
    demo = cluster.demo()
    ours, recipient = NUMBERS[0], STRANGER
    cluster.worker.kill()
    created = demo.create("before the STOP", f"+{recipient}", sender_id=ours)
    assert created.status == 201
    assert demo.inbound(recipient, ours, "STOP").status == 200
    cluster.valkey.kill()
    cluster.valkey.start()
    wait_until(lambda: demo.outbound(ours, recipient).status == 400, what="the pair's return")

    cluster.valkey.flush()
    cluster.worker.start()
    path = created.headers["location"]
    wait_until(lambda: demo.call("GET", path).json["status"] == "FAILED", what="the end of the message")
    assert demo.call("GET", path).json["provider_reference"] is None
    cluster.valkey.flush()
    assert demo.outbound(ours, recipient).status == 400


async def test_a_worker_that_is_told_to_end_waits_for_the_answers_to_what_it_handed_over(cluster: Cluster) -> None:
    handed_over, ending = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        handed_over.set()
        await ending.wait()
        return web.json_response({"id": "taken"})

    async with TestServer(_served(answer)) as carrier:
        settings = (
            f"url={carrier.make_url('/send')}",
            'body={"to": "{{recipient}}", "text": "{{text}}"}',
            "reference=id",
        )
        for args in (
            ("carrier", "add", "slow", "--driver", "http", *settings),
            ("route", "add", "--carrier", "slow", "--prefix", SLOW),
        ):
            await asyncio.to_thread(run_cli, *args, env=cluster.worker.env)
        demo = cluster.demo()
        created = await asyncio.to_thread(demo.create, "in flight", f"+{SLOW}99")
        await asyncio.wait_for(handed_over.wait(), 20.0)
        os.kill(cluster.worker.pid, signal.SIGTERM)
        ending.set()
        assert await asyncio.to_thread(cluster.worker.wait) == 0
    found = (await asyncio.to_thread(demo.call, "GET", created.headers["location"])).json
    assert (found["status"], found["provider_reference"]) == ("SENT", "taken")


def _served(answer: Handler) -> web.Application:
    application = web.Application()
    application.router.add_post("/send", answer)
    return application

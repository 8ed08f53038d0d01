"""`longcode serve`, `worker` and `beat` on PostgreSQL and two Valkeys, each of which may be killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from tests.cli.http import Http
from tests.faults.asked import Asked
from tests.faults.stream import DEMO, NUMBERS, SECRET
from tests.processes import Longcode, free_port, run_cli
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey

# As docs/deployment.md has it for a broker of its own: what it loses are hints.
BROKER_SETTINGS = {"appendonly": "no"}


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
class Cluster(Asked):
    """Everything that one installation runs on."""

    postgres: PostgresServer
    valkey: ValkeyServer
    broker: ValkeyServer
    serve: Longcode
    worker: Longcode
    beat: Longcode

    async def forget_the_killed(self) -> None:
        """Let the leases and the flags that a killed worker left behind end now, not when their time is over."""
        for queue in ("outbox", "webhook_queue"):
            await self.ask(
                f"UPDATE {queue} SET leased_until = clock_timestamp() WHERE ctid IN"
                f" (SELECT ctid FROM {queue} WHERE leased_until IS NOT NULL FOR UPDATE SKIP LOCKED)"
            )
        async with Redis.from_url(self.broker.url) as redis:
            flags = await redis.keys("longcode:job:*")
            if flags:
                await redis.delete(*flags)

    async def longcode(self, *args: str) -> None:
        """Run a command, while servers of our own loop go on."""
        await asyncio.to_thread(run_cli, *args, env=self.worker.env)

    def demo(self) -> Http:
        """Calls as the account demo."""
        return Http(self.serve.port or 0).basic(DEMO, SECRET)


@contextmanager
def open_cluster(folder: Path, sync_runner: asyncio.Runner) -> Iterator[Cluster]:
    """A running cluster; what the test left running ends in order."""
    with postgresql() as database, valkey() as state, valkey(BROKER_SETTINGS) as broker:
        url = sync_runner.run(database.create_database("longcode"))
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

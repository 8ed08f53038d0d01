"""`longcode serve` and `longcode link` between real servers and a scripted SMSC, each of which may be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from longcode.engine.wake import CHANNEL
from longcode.flow.jobs import SWEEP
from longcode.smpp.session import Session
from longcode.smpp.states import State
from tests.faults.asked import Asked
from tests.processes import Longcode, Process, free_port, run_cli, wait_until_async
from tests.services.postgresql import PostgresServer, postgresql
from tests.services.valkey import ValkeyServer, valkey
from tests.smpp.smsc import Smsc

SECRET = "not a secret"
SENDER = "MyCorp"
WINDOW = 100
ANSWERED_WITHIN_SECONDS = 2
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Client:
    """An account whose messages all go by one carrier. Account, carrier and system_id have the same name."""

    name: str
    settings: tuple[str, ...] = ()


# What is unconfirmed is not sent again for the one, and is for the other.
ONCE = Client("once")
INSISTENT = Client("insistent", ("resend_unconfirmed=1",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation(Asked):
    """Everything that one installation runs on. log: what the SMSC took, a line each."""

    postgres: PostgresServer
    valkey: ValkeyServer
    serve: Longcode
    link: Longcode
    smsc: Smsc
    log: Path

    async def count(self, query: str, *values: object) -> int:
        """The one number that a query gives."""
        ((number,),) = await self.ask(query, *values)
        return int(number)

    def bound(self, client: Client) -> list[Session]:
        """The sessions that take receipts of a client's carrier."""
        return [
            session
            for session in self.smsc.sessions
            if session.state is State.BOUND_TRX and session.bound_by and session.bound_by.system_id == client.name
        ]

    async def sweep(self) -> None:
        """Have the safety net run now and not within its five seconds."""
        async with Redis.from_url(self.valkey.url) as redis:
            with suppress(RedisError):
                await redis.publish(CHANNEL, SWEEP)

    async def start(self, process: Process) -> None:
        """Start a process while the SMSC, which shares our loop, goes on."""
        process.launch()
        await wait_until_async(process.is_ready, START_SECONDS, what=f"the start of {process.command[1]}")

    async def start_link(self) -> None:
        """Start the link, and wait until each carrier is bound."""
        await self.start(self.link)
        await wait_until_async(
            lambda: all(map(self.bound, (ONCE, INSISTENT))), START_SECONDS, what="a bind of each carrier"
        )


@asynccontextmanager
async def open_installation(
    folder: Path, *, longcode: Callable[..., Longcode] = Longcode, prepare: str = ""
) -> AsyncIterator[Installation]:
    """A running installation with both clients, bound to its SMSC.

    longcode: makes its processes. prepare: what is done to the empty database.
    """
    log = folder / "smsc.log"
    with postgresql() as database, valkey() as state:
        url = await database.create_database("longcode")
        env = {
            "LONGCODE_DATABASE_URL": url,
            "LONGCODE_REDIS_URL": state.url,
            "LONGCODE_DATA": str(folder / "data"),
        }
        if prepare:
            await Asked(url).execute(prepare)
        smsc = await Smsc.start(log=log)
        await asyncio.to_thread(_set_up, smsc.port, env)
        serve = longcode("serve", folder=folder / "serve", port=free_port(), env=env)
        link = longcode("link", folder=folder / "link", env=env)
        installation = Installation(
            database_url=url, postgres=database, valkey=state, serve=serve, link=link, smsc=smsc, log=log
        )
        try:
            await installation.start(serve)
            await installation.start_link()
            yield installation
        finally:
            serve.kill()
            link.kill()
            await smsc.stop()


def _set_up(port: int, env: dict[str, str]) -> None:
    run_cli("migrate", env=env)
    for client in (ONCE, INSISTENT):
        name = client.name
        run_cli("account", "create", name, "--secret", SECRET, env=env)
        run_cli("sender", "add", SENDER, "--account", name, env=env)
        settings = (
            "host=127.0.0.1",
            f"port={port}",
            f"system_id={name}",
            "password=a password",
            f"window={WINDOW}",
            f"response_timeout_seconds={ANSWERED_WITHIN_SECONDS}",
            *client.settings,
        )
        run_cli("carrier", "add", name, "--driver", "smpp", *settings, env=env)
        run_cli("route", "add", "--carrier", name, "--account", name, env=env)

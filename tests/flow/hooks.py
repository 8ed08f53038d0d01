"""One account's messages and the webhooks that tell of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from longcode.domain.clock import mint_id, utc_now
from longcode.domain.events import OF_SENT, EventType
from longcode.flow.webhooks import WebhookMeans, Webhooks
from longcode.store import schema
from longcode.store.webhook_queue import WebhookQueue
from longcode.store.webhooks import WebhookStore
from longcode.webhooks.addresses import Entry, Resolver
from longcode.webhooks.client import Client
from longcode.webhooks.signing import new_secret
from tests.flow.desk import Desk, open_desk
from tests.processes import wait_until_async

CONCURRENCY = 4


def seal(secret: str) -> str:
    """Not a vault; what is between the store and the signature is tested elsewhere."""
    return secret[::-1]


@dataclass(kw_only=True)
class Hooks:
    """A desk whose events are delivered."""

    desk: Desk
    store: WebhookStore
    queue: WebhookQueue
    webhooks: Webhooks
    kicked: list[str] = field(default_factory=list)

    async def add(
        self,
        url: str,
        *types: EventType,
        allow_private: bool = True,
        account_id: int | None = None,
        per_message: bool = False,
    ) -> tuple[int, str]:
        """An endpoint's id and secret."""
        secret = new_secret()
        endpoint_id = await self.store.add(
            account_id or self.desk.account.id,
            url,
            types or tuple(OF_SENT if per_message else EventType),
            secret=seal(secret),
            allow_private=allow_private,
            per_message=per_message,
        )
        return endpoint_id, secret

    async def drain(self) -> None:
        """Deliver what is due, until it is recorded."""
        async with asyncio.timeout(30):
            await self.webhooks.drain()
            await self.webhooks.settled()

    async def drain_until(self, condition: Any, what: str) -> None:
        """Deliver, again and again, as a runner does, until the condition holds."""

        async def done() -> bool:
            await self.webhooks.drain()
            return bool(condition())

        await wait_until_async(done, 20.0, what=what)

    async def drain_later(self, after: timedelta) -> None:
        """Deliver what is due after a while. On PostgreSQL the clock is the database's, so the queue grows older."""
        table = schema.webhook_queue
        for row in await self.desk.world.rows("webhook_queue"):
            leased = None if row.leased_until is None else row.leased_until - after
            async with self.desk.world.database.write() as connection:
                await connection.execute(
                    update(table)
                    .where(table.c.event_id == row.event_id, table.c.endpoint_id == row.endpoint_id)
                    .values(due_at=row.due_at - after, leased_until=leased)
                )
        await self.drain()

    async def queued(self) -> list[Any]:
        return await self.desk.world.rows("webhook_queue")

    async def log(self, endpoint_id: int) -> Sequence[tuple[int | None, str | None]]:
        """Status and error of each try, the first one first."""
        tries = await self.store.attempts(endpoint_id, count=1000)
        return [(one.status, one.error) for one in reversed(tries)]


@asynccontextmanager
async def open_hooks(
    database_url: str,
    *,
    timeout_seconds: float = 30.0,
    connections: int = 400,
    ask: Callable[..., Sequence[Entry]] = socket.getaddrinfo,
) -> AsyncIterator[Hooks]:
    """Hooks that nobody subscribed to yet. ask: see Resolver."""
    async with open_desk(database_url) as desk:
        database, kicked = desk.world.database, []
        store, queue = WebhookStore(database, utc_now), WebhookQueue(database, utc_now, mint_id)
        resolver = Resolver(time.monotonic, ask)
        webhooks = Webhooks(
            WebhookMeans(
                endpoints=store,
                queue=queue,
                catalog=desk.world.catalog_store,
                client=Client(now=time.monotonic, resolver=resolver, timeout_seconds=timeout_seconds),
                unseal=seal,
                kick=kicked.append,
                clock=utc_now,
                now=time.monotonic,
                random=lambda: 0.5,
                concurrency=CONCURRENCY,
                gather_seconds=0.001,
                connections=connections,
            )
        )
        try:
            yield Hooks(desk=desk, store=store, queue=queue, webhooks=webhooks, kicked=kicked)
        finally:
            await webhooks.close()

"""A desk whose messages have two ways, each to a carrier that is no simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from longcode.carriers.port import Outcome
from longcode.domain.clock import Clock, utc_now
from longcode.domain.message import Status
from tests.flow.desk import Answer, Desk, ScriptedDriver, open_desk


def always(outcome: Outcome) -> Answer:
    return lambda _submission: outcome


@dataclass(kw_only=True)
class Ways:
    """`first` is tried before `second`; the desk's own simulator fits too, and must never get anything."""

    desk: Desk
    first: int
    second: int

    def answer(self, carrier_id: int, outcome: Outcome | Answer) -> None:
        """What a carrier says from now on."""
        self.driver(carrier_id).answer = outcome if callable(outcome) else always(outcome)

    def driver(self, carrier_id: int) -> ScriptedDriver:
        return self.desk.drivers.others[carrier_id]

    async def drain(self, carrier_id: int, after: timedelta = timedelta(minutes=1)) -> None:
        """Let a carrier have what is due so much later."""
        await self.desk.world.age_queue(after)
        # Every process looks at the catalogue each second.
        await self.desk.world.catalog.now()
        async with asyncio.timeout(30):
            await self.desk.dispatch.drain(carrier_id)
            await self.desk.dispatch.settled()

    async def carriers(self) -> list[int]:
        """For which carriers messages wait, the oldest first."""
        rows = await self.desk.world.rows("outbox")
        return [row.carrier_id for row in sorted(rows, key=lambda row: row.message_id)]

    async def status(self, message_id: UUID) -> tuple[Status, str | None]:
        return await self.desk.status(message_id)

    def submitted(self, carrier_id: int) -> int:
        return len(self.driver(carrier_id).submitted)

    async def settle(self, carrier_id: int, **settings: Any) -> None:
        """Give a carrier settings."""
        name = "first" if carrier_id == self.first else "second"
        await self.desk.world.catalog_store.change_settings(name, lambda _row: settings)
        await self.desk.world.catalog.now()


@asynccontextmanager
async def open_ways(database_url: str, *, clock: Clock = utc_now) -> AsyncIterator[Ways]:
    async with open_desk(database_url, clock=clock) as desk:
        ids = []
        for priority, name in ((1, "first"), (0, "second")):
            carrier_id = await desk.world.route("smpp", "1202", name, priority=priority)
            desk.drivers.others[carrier_id] = ScriptedDriver(desk.world.database)
            ids.append(carrier_id)
        yield Ways(desk=desk, first=ids[0], second=ids[1])
        assert desk.driver.submitted == []

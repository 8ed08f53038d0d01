"""A wall clock that jumps an hour in the middle of dispatch: each message is submitted once all the same.

In one process and on SQLite, where every instant is that of the clock which the process is given.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from longcode.carriers.port import InboundSms
from longcode.carriers.smpp import SmppDriver
from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.engine.local import LocalRunner, Work
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.pacing import Paces
from longcode.flow.receipt import Receipts
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from tests.carriers.smpp_world import settings_for
from tests.faults.smpp_traffic import RECIPIENTS
from tests.flow.world import HandClock, World, open_world, send
from tests.processes import wait_until_async
from tests.smpp.smsc import Script, Smsc

MESSAGES = 300
HOUR = timedelta(hours=1)
# A window is in flight when the clock jumps, and its receipts come after.
SLOW = Script(answer_delay_seconds=0.2, receipt_delay_seconds=0.4)


async def _nobody_writes(messages: Sequence[InboundSms]) -> None:
    raise AssertionError("nobody wrote")


class _Only:
    """One carrier, whatever its id."""

    def __init__(self, driver: SmppDriver) -> None:
        self._driver = driver

    async def driver(self, carrier_id: int) -> SmppDriver:
        return self._driver


@asynccontextmanager
async def linking(world: World, carrier_id: int, port: int) -> AsyncIterator[None]:
    """The jobs of a link for one carrier, with the world's clock."""
    clock, runner = world.clock, LocalRunner()
    receipts = Receipts(ReceiptStore(world.database, clock, mint_id), StrayStore(world.database, clock), clock)
    driver = SmppDriver(
        carrier_id,
        settings_for(port),
        take_receipts=receipts.take,
        take_inbound=_nobody_writes,
        kick=lambda: runner.kick("dispatch"),
        clock=clock,
        random=lambda: 0.5,
    )
    means = Means(
        outbox=world.outbox,
        stops=world.stops,
        paces=Paces(expiring=world.expiring, catalog=world.catalog, now=time.monotonic),
        health=world.health,
        kick=world.kicked.append,
        receipts=receipts,
        clock=clock,
        mint_id=mint_id,
        random=lambda: 0.5,
    )
    dispatch = Dispatch(means, _Only(driver))

    async def drain(_argument: str) -> float | None:
        return await dispatch.drain(carrier_id)

    driver.start()
    runner.start({"dispatch": Work(drain, 0.05)}, ("dispatch",))
    try:
        yield
    finally:
        dispatch.stop()
        await runner.close()
        await dispatch.close()
        await driver.close()


@dataclass(kw_only=True)
class Desk:
    """Messages on their way to an SMSC. clock: as the process sees it."""

    world: World
    smsc: Smsc
    clock: HandClock

    async def taken(self, count: int) -> None:
        await wait_until_async(lambda: len(self.smsc.taken) >= count, what=f"{count} submits")

    async def delivered(self, count: int) -> None:
        async def counted() -> bool:
            statuses = Counter(row.status for row in await self.world.rows("message"))
            return statuses[Status.DELIVERED.value] == count

        await wait_until_async(counted, what=f"the delivery of {count}")


@pytest.fixture
async def desk(sqlite_url: str) -> AsyncIterator[Desk]:
    """At the end each message was submitted once."""
    clock = HandClock()
    async with AsyncExitStack() as stack:
        smsc = await Smsc.start(SLOW)
        stack.push_async_callback(smsc.stop)
        world = await stack.enter_async_context(open_world(sqlite_url, clock=clock))
        account = await world.account()
        await world.accounts.add_sender_id(account.id, "MyCorp")
        carrier_id = await world.route("smpp")
        texts = [f"Message {number}" for number in range(MESSAGES)]
        sends = [send(account, text=text, recipient=to) for text, to in zip(texts, RECIPIENTS, strict=False)]
        await asyncio.gather(*map(world.accept.send, sends))
        async with linking(world, carrier_id, smsc.port):
            yield Desk(world=world, smsc=smsc, clock=clock)
        assert Counter(bytes.fromhex(one.short_message).decode() for one in smsc.taken) == Counter(texts)
        assert await world.count("outbox") == 0


async def test_an_hour_forward(desk: Desk) -> None:
    await desk.taken(100)
    desk.clock.now += HOUR
    await desk.delivered(MESSAGES)


async def test_an_hour_forward_and_back(desk: Desk) -> None:
    await desk.taken(100)
    desk.clock.now += HOUR
    await desk.taken(200)
    desk.clock.now -= HOUR
    await desk.delivered(MESSAGES)


async def test_an_hour_back_puts_off_what_waits_until_the_clock_gets_there(desk: Desk) -> None:
    await desk.taken(100)
    desk.clock.now -= HOUR
    await desk.delivered(len(desk.smsc.taken))
    desk.clock.now += HOUR
    await desk.delivered(MESSAGES)

"""From the queue to an SMSC in another process: the driver in its lane, on a real database."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import random
from typing import Any

from longcode.carriers.port import Driver, InboundSms
from longcode.carriers.smpp import SmppDriver
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Status
from longcode.engine.local import LocalRunner, Work
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.pacing import Paces
from longcode.flow.receipt import Receipts
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from tests.carriers.smpp_world import settings_for, until
from tests.flow.world import World, open_world, send
from tests.processes import wait_until_async

MESSAGES = 300


@dataclass(frozen=True, slots=True)
class SmscProcess:
    """An SMSC in a process of its own. log: a line for each message that it took."""

    port: int
    log: Path
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def order(self, **orders: Any) -> dict[str, Any]:
        """Have something done."""
        self.writer.write(json.dumps(orders).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self.reader.readline())
        return answer

    def taken(self) -> list[dict[str, Any]]:
        """What it took, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def smsc_process(folder: Path, **script: Any) -> AsyncIterator[SmscProcess]:
    """A started SMSC, ended with the test."""
    log = folder / "smsc.log"
    arguments = ("-m", "tests.smpp.smsc", "--log", str(log), "--script", json.dumps(script))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
        reader, writer = await asyncio.open_connection("127.0.0.1", ready["control_port"])
        try:
            yield SmscProcess(ready["port"], log, reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()
    finally:
        process.terminate()
        await process.wait()


class _One:
    """One carrier, whatever its id."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def driver(self, carrier_id: int) -> Driver:
        return self._driver


@asynccontextmanager
async def lane(world: World, carrier_id: int, port: int, **changes: Any) -> AsyncIterator[SmppDriver]:
    """The carrier's lane, running."""
    runner = LocalRunner()
    receipts = Receipts(ReceiptStore(world.database, utc_now, mint_id), StrayStore(world.database, utc_now))
    job = f"dispatch {carrier_id}"

    async def take_inbound(messages: Sequence[InboundSms]) -> None:
        raise AssertionError("nobody wrote")

    async def forget_inbound(carrier_id: int, fingerprints: Sequence[bytes]) -> None:
        raise AssertionError("nobody wrote")

    driver = SmppDriver(
        carrier_id,
        settings_for(port, **changes),
        take_receipts=receipts.take,
        take_inbound=take_inbound,
        forget_inbound=forget_inbound,
        kick=lambda: runner.kick(job),
        clock=utc_now,
        random=random,
    )
    means = Means(
        outbox=world.outbox,
        stops=world.stops,
        paces=Paces(expiring=world.expiring, catalog=world.catalog, now=time.monotonic),
        health=world.health,
        kick=runner.kick,
        receipts=receipts,
        clock=utc_now,
        mint_id=mint_id,
        random=random,
    )
    dispatch = Dispatch(means, _One(driver))

    async def drain(_argument: str) -> float | None:
        return await dispatch.drain(carrier_id)

    driver.start()
    runner.start({"dispatch": Work(drain, 0.5)}, (job,))
    try:
        yield driver
    finally:
        await runner.close()
        await dispatch.close()
        await driver.close()


async def _queue(world: World, texts: Sequence[str]) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await asyncio.gather(*(world.accept.send(send(account, text=text)) for text in texts))


async def _all_are(world: World, status: Status, count: int) -> None:
    async def are() -> bool:
        return sum(row.status == status.value for row in await world.rows("message")) >= count

    await wait_until_async(are, 30, 0.1, what=f"{count} messages that are {status.value}")


async def test_three_hundred_messages_against_fifty_a_second_are_seldom_refused(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with smsc_process(tmp_path, per_second=50) as smsc, open_world(sqlite_url) as world:
        carrier_id = await world.route("smpp")
        await _queue(world, [f"m{number}" for number in range(MESSAGES)])
        async with lane(world, carrier_id, smsc.port):
            await _all_are(world, Status.DELIVERED, MESSAGES)
        taken = smsc.taken()
        assert len(taken) == len({one["short_message"] for one in taken}) == MESSAGES
        assert (await smsc.order(do="state"))["refused"] <= 130


async def test_a_cut_loses_nothing_and_sends_nothing_twice(sqlite_url: str, tmp_path: Path) -> None:
    async with smsc_process(tmp_path, cut_after=60) as smsc, open_world(sqlite_url) as world:
        carrier_id = await world.route("smpp")
        await _queue(world, [f"m{number}" for number in range(MESSAGES)])
        async with lane(world, carrier_id, smsc.port, window=20) as driver:
            await until(lambda: driver.status()[0].reconnects == 1)
            # One message that was cut may be in neither log, since it was never read.
            await _all_are(world, Status.DELIVERED, MESSAGES - 20)
        taken = smsc.taken()
        assert len(taken) == len({one["short_message"] for one in taken})
        outcomes = await world.rows("outcome")
        unconfirmed = sum(1 for row in outcomes if row.kind == "unconfirmed")
        assert unconfirmed <= 20
        assert len({row.message_id for row in outcomes if row.kind == "accepted"}) + unconfirmed == MESSAGES


async def test_a_long_message_is_delivered_when_every_segment_is(sqlite_url: str, tmp_path: Path) -> None:
    async with smsc_process(tmp_path) as smsc, open_world(sqlite_url) as world:
        carrier_id = await world.route("smpp")
        await _queue(world, ["A long message. " * 30])
        async with lane(world, carrier_id, smsc.port):
            await _all_are(world, Status.DELIVERED, 1)
        assert len(smsc.taken()) == 4

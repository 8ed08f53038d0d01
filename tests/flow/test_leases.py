"""What a lane may still begin of what it claimed: leases, clocks and other processes, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from longcode.domain.clock import utc_now
from longcode.domain.message import Status
from longcode.flow.accept import VALIDITY
from longcode.flow.dispatch import LEASE, Dispatch
from longcode.store import schema
from tests.flow.desk import Desk, OneDriver, ScriptedDriver, open_desk


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        yield opened


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)], ids=["ahead", "behind"])
async def test_a_wrong_clock_changes_no_validity(database_url: str, ahead: timedelta) -> None:
    async with open_desk(database_url, clock=lambda: utc_now() + ahead) as desk:
        await desk.send()
        await desk.drain()
        (submission,) = desk.driver.submitted
        assert timedelta() <= VALIDITY - submission.valid_for < timedelta(minutes=30)


async def _age(desk: Desk) -> None:
    await desk.world.age_queue(LEASE)


async def _forget(desk: Desk) -> None:
    """As a database does that crashed before it flushed the claim."""
    async with desk.world.database.write() as connection:
        await connection.execute(update(schema.outbox).values(leased_until=None))


@pytest.mark.parametrize("lose", [_age, _forget], ids=["its lease ended", "its lease was forgotten"])
async def test_a_process_that_stood_still_sends_nothing_that_another_took(
    desk: Desk, lose: Callable[[Desk], Awaitable[None]]
) -> None:
    message_id = await desk.send()
    other_driver = ScriptedDriver(desk.world.database)
    other = Dispatch(desk.dispatch._means, OneDriver(other_driver))

    async def stand_still() -> None:
        await lose(desk)
        await other.drain(desk.carrier_id)
        await other.settled()

    desk.outbox.after_claim = stand_still
    await desk.drain()
    await other.close()
    assert [one.message_id for one in other_driver.submitted] == [message_id]
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted"]
    assert await desk.world.count("attempt") == 1


async def test_two_processes_send_each_message_once(database_url: str, desk: Desk) -> None:
    ids = [await desk.send(recipient=f"+120255501{n:02}") for n in range(30)]
    desk.driver.room = 4
    other = Dispatch(desk.dispatch._means, OneDriver(ScriptedDriver(desk.world.database, room=4)))
    drivers = (desk.driver, other._drivers.found)
    await asyncio.gather(desk.dispatch.drain(desk.carrier_id), other.drain(desk.carrier_id))
    await asyncio.gather(desk.dispatch.settled(), other.settled())
    await other.close()
    sent = [submission.message_id for driver in drivers for submission in driver.submitted]
    assert sorted(sent) == sorted(ids)

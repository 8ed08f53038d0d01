"""What may still be taken back on its way from the queue to a carrier, and what may not, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from longcode.carriers.port import Deferred
from longcode.domain.clock import utc_now
from longcode.domain.message import Schedule, Status
from longcode.flow.dispatch import LEASE
from longcode.store.cancel import CancelStore
from tests.flow.desk import Desk, accept, open_desk

SCHEDULED = {"due_at": utc_now() + timedelta(hours=1)}


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        yield opened


def canceling(desk: Desk) -> CancelStore:
    return CancelStore(desk.world.database, desk.world.clock)


@pytest.mark.parametrize("changes", [{}, SCHEDULED], ids=["queued", "scheduled"])
async def test_what_waits_can_be_canceled_and_is_never_sent(desk: Desk, changes: dict[str, object]) -> None:
    message_id = await desk.send(**changes)
    assert await canceling(desk).cancel(message_id)
    await desk.drain_later(timedelta(hours=2))
    assert await desk.status(message_id) == (Status.CANCELED, None)
    assert desk.driver.submitted == []


async def test_a_scheduled_message_is_sent_when_it_is_due_and_not_before(desk: Desk) -> None:
    message_id = await desk.send(**SCHEDULED)
    await desk.drain()
    assert await desk.status(message_id) == (Status.SCHEDULED, None)
    assert desk.driver.submitted == []
    await desk.drain_later(timedelta(hours=1, seconds=1))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert not await canceling(desk).cancel(message_id)


async def test_a_time_is_told_until_the_carrier_puts_the_message_off(desk: Desk) -> None:
    message_id = await desk.send(**SCHEDULED, priority=2, validity=timedelta(hours=1))
    due_at = SCHEDULED["due_at"]
    message = await desk.world.message(message_id)
    assert message.schedule == Schedule(send_at=due_at, priority=2, expires_at=due_at + timedelta(hours=1))
    desk.driver.answer = lambda _submission: Deferred(10, "throttled", "slow")
    await desk.drain_later(timedelta(hours=1, seconds=1))
    message = await desk.world.message(message_id)
    [row] = await desk.world.rows("outbox")
    assert message.status is Status.SCHEDULED
    assert message.schedule == Schedule(send_at=None, priority=2, expires_at=row.expires_at)
    desk.driver.answer = accept
    await desk.drain_later(timedelta(minutes=1))
    message = await desk.world.message(message_id)
    assert (message.status, message.schedule) == (Status.SENT, None)


async def test_what_the_carrier_put_off_can_be_canceled(desk: Desk) -> None:
    desk.driver.answer = lambda _submission: Deferred(10, "throttled", "slow")
    message_id = await desk.send()
    await desk.drain()
    assert await canceling(desk).cancel(message_id)
    await desk.drain_later(timedelta(minutes=1))
    assert await desk.status(message_id) == (Status.CANCELED, None)
    assert len(desk.driver.submitted) == 1


async def test_what_is_in_the_air_cannot_be_canceled(desk: Desk) -> None:
    canceled: list[bool] = []

    async def cancel(_submissions: object) -> None:
        canceled.append(await canceling(desk).cancel(message_id))

    desk.driver.before_answers.append(cancel)
    message_id = await desk.send()
    await desk.drain()
    assert canceled == [False]
    assert await desk.status(message_id) == (Status.SENT, None)


async def test_of_a_cancel_and_a_claim_at_once_exactly_one_wins(desk: Desk) -> None:
    for _ in range(20):
        message_id = await desk.send()
        claimed, canceled = await asyncio.gather(
            desk.outbox.claim(desk.carrier_id, 10, LEASE), canceling(desk).cancel(message_id)
        )
        assert (message_id in [one.message.id for one in claimed]) is not canceled
        status, _ = await desk.status(message_id)
        assert status is (Status.CANCELED if canceled else Status.QUEUED)

"""Taking a message back, on both databases: only while no carrier can have a part of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.cancel import CancelStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.outbox import OutboxStore
from tests.store.test_timeline import CARRIER, new, try_

NOW = datetime(2024, 11, 22, 10, tzinfo=UTC)  # past, also for the database's own clock
ID = UUID(int=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@dataclass(frozen=True, slots=True)
class CancelCase:
    """status: the message's; leased: seconds from now to the end of its lease, None for none."""

    what: str
    status: Status
    leased: int | None
    canceled: bool


CASES = [
    CancelCase("a queued message", Status.QUEUED, None, True),
    CancelCase("one without a route", Status.ACCEPTED, None, True),
    CancelCase("one that is scheduled", Status.SCHEDULED, None, True),
    CancelCase("one that a process has claimed", Status.QUEUED, 60, False),
    CancelCase("one whose process was cut", Status.QUEUED, -60, False),
    CancelCase("one of which a carrier may have a part", Status.SENDING, None, False),
    CancelCase("one at its end", Status.DELIVERED, None, False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
async def test_a_message_is_taken_back_while_no_carrier_can_have_it(database: Database, case: CancelCase) -> None:
    await IntakeStore(database).insert([new(1)], [])
    lease = None if case.leased is None else NOW + timedelta(seconds=case.leased)
    async with database.write() as connection:
        await connection.execute(update(schema.message).values(status=case.status.value))
        await connection.execute(update(schema.outbox).values(leased_until=lease))
    assert await CancelStore(database, lambda: NOW).cancel(ID) is case.canceled
    async with database.read() as connection:
        status = (await connection.execute(select(schema.message.c.status))).scalar_one()
        waiting = (await connection.execute(select(schema.outbox.c.message_id))).scalar_one_or_none()
    assert (status, waiting) == (("canceled", None) if case.canceled else (case.status.value, ID))


async def test_a_canceled_message_is_claimed_by_nobody_and_not_canceled_twice(database: Database) -> None:
    await IntakeStore(database).insert([new(1), new(2)], [])
    await try_(database, ID, ("deferred", None))
    store = CancelStore(database, lambda: NOW)
    assert await store.cancel(ID)
    assert not await store.cancel(ID)
    assert not await store.cancel(UUID(int=3))
    claimed = await OutboxStore(database, lambda: NOW).claim(CARRIER, 10, timedelta(seconds=60))
    assert [one.message.id.int for one in claimed] == [2]
    assert not await store.cancel(UUID(int=2))

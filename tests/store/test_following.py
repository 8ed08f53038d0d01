"""What operators who watch are shown of messages, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from longcode.domain.message import Status
from longcode.store.database import Database
from longcode.store.following import FollowStore
from longcode.store.intake import IntakeStore
from tests.store.test_timeline import new, try_


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_a_listed_message_has_its_reference_and_counts_its_attempts(database: Database) -> None:
    await IntakeStore(database).insert([new(1), new(2)], [])
    await try_(database, UUID(int=1), ("deferred", None))
    await try_(database, UUID(int=1), ("accepted", "ref"))
    listed = await FollowStore(database).listed([UUID(int=number) for number in (2, 1, 3)])
    assert [(one.message.id.int, one.attempts, one.message.provider_reference) for one in listed] == [
        (1, 2, "ref"),
        (2, 0, None),
    ]


async def test_a_watch_of_one_account_sees_nothing_of_another(database: Database) -> None:
    await IntakeStore(database).insert([new(number, 1 + number % 2) for number in range(1, 6)], [])
    store = FollowStore(database)
    assert [one.message.id.int for one in await store.latest(2, count=2)] == [3, 5]
    assert [one.message.id.int for one in await store.latest(count=2)] == [4, 5]
    assert [one.int for one in await store.ids_after(UUID(int=2), account_id=1, count=9)] == [4]
    assert set((await store.statuses([UUID(int=1)])).values()) == {Status.QUEUED}

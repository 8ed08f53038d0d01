"""What is known of a carrier's queue and links, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from longcode.store.carrier_status import CarrierStatusStore, QueueDepth
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from tests.store.test_timeline import CARRIER, OTHER_CARRIER, new

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_a_queue_is_counted_and_its_oldest_found_over_all_accounts_and_priorities(database: Database) -> None:
    later = [NOW + timedelta(seconds=seconds) for seconds in (5, 3, 1, 4, 0)]
    shares = [(1, 5), (1, 5), (2, 5), (2, 0), (3, 9)]
    waiting = [
        replace(new(number, account_id), priority=priority, due_at=due)
        for number, (due, (account_id, priority)) in enumerate(zip(later, shares, strict=True), start=1)
    ]
    waiting[-1] = replace(waiting[-1], carrier_id=OTHER_CARRIER)
    await IntakeStore(database).insert(waiting, [])
    store = CarrierStatusStore(database)
    assert await store.depth(CARRIER) == QueueDepth(4, later[2])
    assert await store.depth(OTHER_CARRIER) == QueueDepth(1, later[4])
    assert await store.depth(99) == QueueDepth(0, None)


async def test_what_waits_for_a_route_is_counted_as_a_queue_of_its_own(database: Database) -> None:
    waiting = [replace(new(number), carrier_id=None, due_at=NOW) for number in (1, 2)]
    await IntakeStore(database).insert([*waiting, new(3)], [])
    assert await CarrierStatusStore(database).depth(None) == QueueDepth(2, NOW)


async def test_each_process_is_known_by_what_it_said_last(database: Database) -> None:
    store = CarrierStatusStore(database)
    for second, process in enumerate(("b", "a", "b")):
        status = {"binds": [{"name": "trx 1", "state": "bound", "submits": second}]}
        await store.report(CARRIER, process, status, NOW + timedelta(seconds=second))
    await store.report(OTHER_CARRIER, "a", {}, NOW)
    known = await store.processes(CARRIER)
    assert [(one.process, one.status["binds"][0]["submits"], one.updated_at) for one in known] == [
        ("a", 1, NOW + timedelta(seconds=1)),
        ("b", 2, NOW + timedelta(seconds=2)),
    ]
    assert known[1].binds == [{"name": "trx 1", "state": "bound", "submits": 2}]
    every = await store.by_carrier()
    assert every[CARRIER] == known
    assert [one.binds for one in every[OTHER_CARRIER]] == [[]]
    assert [one.is_stale(NOW + timedelta(seconds=11.5)) for one in known] == [True, False]

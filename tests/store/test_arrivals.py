"""What carriers deliver, as the store keeps it: what is locked, what is forgotten, and what it costs."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, insert, select, text

from longcode.carriers.port import InboundPart, InboundSms
from longcode.domain.clock import mint_id
from longcode.store import schema
from longcode.store.arrivals import DELIVERIES, PURGE_ROWS, ArrivalStore, Finished, Unowned
from longcode.store.database import Database
from longcode.store.part_sets import Delivery, OpenSet, PartSet, SetName, sort_parts

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = 5 * MINUTE
TENANT = 1
CARRIER = 7
MANY = 3000

_serial = itertools.count(1)


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def part(index: int, *, total: int = 2, reference: int = 1, said: str | None = None) -> InboundSms:
    """One part, another delivery each time."""
    return InboundSms(
        carrier_id=CARRIER,
        sender="12025550102",
        recipient="12025550101",
        text=f"part {index}" if said is None else said,
        part=InboundPart(reference, total, index),
        fingerprint=next(_serial).to_bytes(8, "big"),
    )


def unowned(number: int = 1, **changes: Any) -> Unowned:
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "carrier_id": CARRIER,
        "sender": "12025550102",
        "recipient": "12025550199",
        "text": "Hello?",
        "partial": False,
        "received_at": NOW,
    }
    return Unowned(**values | changes)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class HandStore(ArrivalStore):
    """The real store, on PostgreSQL too by a clock that is told when to move."""

    async def now(self) -> datetime:
        return self._clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> ArrivalStore:
    return HandStore(database, clock, mint_id)


async def keep(store: ArrivalStore, *parts: InboundSms) -> list[PartSet]:
    return await store.keep(parts, patience=PATIENCE)


async def count(database: Database, table_name: str) -> int:
    async with database.read() as connection:
        return (
            await connection.execute(select(func.count()).select_from(schema.metadata.tables[table_name]))
        ).scalar_one()


def indexes(sets: Sequence[PartSet]) -> list[list[int]]:
    return [[piece.index for piece in one.pieces] for one in sets]


async def test_the_last_part_tells_the_set(store: ArrivalStore) -> None:
    assert await keep(store, part(2, total=3), part(0, total=3)) == []
    assert indexes(await keep(store, part(1, total=3))) == [[0, 1, 2]]


async def test_a_repeated_part_tells_the_set_until_it_is_delivered(store: ArrivalStore) -> None:
    last = part(1)
    (told,) = await keep(store, part(0), last)
    assert [one.id for one in await keep(store, last)] == [told.id]
    await store.finish([Finished(told.id)])
    assert await keep(store, last) == []
    assert await store.undelivered(10) == []


async def test_of_processes_at_once_exactly_one_sees_a_set_complete(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(2)]
    stores = [HandStore(database, Clock(), mint_id) for database in databases]
    try:
        for reference in range(40):
            halves = part(0, reference=reference), part(1, reference=reference)
            told = await asyncio.gather(*(keep(store, half) for store, half in zip(stores, halves, strict=True)))
            assert indexes(list(itertools.chain(*told))) == [[0, 1]]
    finally:
        for database in databases:
            await database.close()


async def test_batches_that_share_sets_in_different_orders_do_not_deadlock(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(3)]
    stores = [HandStore(database, Clock(), mint_id) for database in databases]
    batches = [[part(n, total=3, reference=reference) for reference in range(20)] for n in range(3)]
    batches[1].reverse()
    try:
        told = await asyncio.gather(*(keep(store, *batch) for store, batch in zip(stores, batches, strict=True)))
        assert indexes(list(itertools.chain(*told))) == [[0, 1, 2]] * 20
    finally:
        for database in databases:
            await database.close()


async def test_only_old_sets_are_closed_the_oldest_first(store: ArrivalStore, clock: Clock) -> None:
    for reference in range(3):
        await keep(store, part(0, reference=reference))
        clock.now += MINUTE
    await store.close_overdue(NOW + MINUTE, 1)
    assert [one.reference for one in await store.undelivered(10)] == [0]
    await store.close_overdue(NOW + MINUTE, 10)
    assert [one.reference for one in await store.undelivered(10)] == [0]
    await store.close_overdue(NOW + 5 * MINUTE, 10)
    assert [one.reference for one in await store.undelivered(10)] == [0, 1, 2]
    assert [one.reference for one in await store.undelivered(2)] == [0, 1]


async def test_the_unowned_are_listed_in_pages(store: ArrivalStore) -> None:
    kept = [unowned(n, text=f"{n}", partial=n == 3) for n in range(1, 6)]
    for one in reversed(kept):
        await store.keep_unowned(one, f"delivery {one.text}")
    assert await store.unowned(2) == kept[:2]
    assert await store.unowned(2, kept[1].id) == kept[2:4]
    assert await store.unowned(2, kept[3].id) == kept[4:]
    assert await store.unowned(2, kept[4].id) == []


async def test_one_delivery_is_kept_once_until_it_is_forgotten(store: ArrivalStore) -> None:
    await store.keep_unowned(unowned(1), "delivery")
    await store.keep_unowned(unowned(2), "delivery")
    await store.purge(keys_before=NOW, sets_before=NOW)
    await store.keep_unowned(unowned(3), "delivery")
    await store.purge(keys_before=NOW + MINUTE, sets_before=NOW)
    await store.keep_unowned(unowned(4), "delivery")
    assert [one.id.int for one in await store.unowned(10)] == [1, 4]


async def fill_keys(database: Database, account_id: int, rows: int, created_at: datetime) -> None:
    keys = [
        {
            "account_id": account_id,
            "key": f"{created_at} {n}",
            "fingerprint": b"",
            "message_id": mint_id(),
            "created_at": created_at,
        }
        for n in range(rows)
    ]
    async with database.write() as connection:
        await connection.execute(insert(schema.idempotency), keys)


async def test_old_keys_of_deliveries_are_forgotten_and_no_others(database: Database, store: ArrivalStore) -> None:
    await fill_keys(database, DELIVERIES, PURGE_ROWS * 2 + 1, NOW)
    await fill_keys(database, DELIVERIES, 2, NOW + MINUTE)
    await fill_keys(database, TENANT, 3, NOW)
    await store.purge(keys_before=NOW + MINUTE, sets_before=NOW)
    assert await count(database, "idempotency") == 5


async def test_delivered_sets_are_forgotten_and_no_others(
    database: Database, store: ArrivalStore, clock: Clock
) -> None:
    complete = [part(index, reference=reference) for reference in range(3) for index in (0, 1)]
    old, young, _undelivered = await keep(store, *complete)
    await keep(store, part(0, reference=9))
    await store.finish([Finished(old.id)])
    clock.now += MINUTE
    await store.finish([Finished(young.id)])
    await store.purge(keys_before=NOW, sets_before=NOW + MINUTE)
    assert (await count(database, "inbound_set"), await count(database, "inbound_part")) == (3, 5)


async def test_finishing_again_changes_nothing(database: Database, store: ArrivalStore, clock: Clock) -> None:
    (told,) = await keep(store, part(0), part(1))
    for _ in range(2):
        await store.finish([Finished(told.id)])
        clock.now += MINUTE
    async with database.read() as connection:
        assert (await connection.execute(select(schema.inbound_set.c.delivered_at))).scalar_one() == NOW


@pytest.mark.untouched
async def test_no_statement_reads_a_whole_table(database: Database, store: ArrivalStore, clock: Clock) -> None:
    await fill(database, store, clock)
    ran: list[tuple[str, Any]] = []

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.startswith(("SELECT", "UPDATE", "DELETE")):
            ran.append((statement, parameters))

    first = part(0, reference=MANY + 1)
    await keep(store, first)
    (told,) = await keep(store, first, part(1, reference=MANY + 1))
    await store.tells_nothing_new(told)
    await store.close_overdue(NOW - MINUTE, 10)
    await store.undelivered(10)
    await store.finish([Finished(told.id)])
    await store.unowned(10, UUID(int=10))
    await store.purge(keys_before=NOW - PATIENCE + MINUTE, sets_before=NOW - PATIENCE + MINUTE)
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert len(ran) > 12
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    for statement, parameters in ran:
        async with database.write() as connection:
            plan = "\n".join(str(row) for row in await connection.exec_driver_sql(explain + statement, parameters))
        assert not re.search(r"Seq Scan|SCAN (inbound|idempotency)\w*'", plan), statement


async def fill(database: Database, store: ArrivalStore, clock: Clock) -> None:
    """A busy day: delivered sets, keys, unowned messages; a few sets are old enough to be forgotten."""
    clock.now = NOW - PATIENCE
    for start in range(0, MANY, 100):
        sets = await keep(store, *(part(index, reference=n) for n in range(start, start + 100) for index in (0, 1)))
    for old in sets[:3]:
        await store.finish([Finished(old.id)])
    clock.now = NOW
    async with database.write() as connection:
        await connection.execute(
            schema.inbound_set.update().where(schema.inbound_set.c.delivered_at.is_(None)).values(delivered_at=NOW)
        )
        await connection.execute(
            insert(schema.inbound_unowned),
            [
                {
                    "id": UUID(int=n),
                    "carrier_id": CARRIER,
                    "sender": "12025550102",
                    "recipient": "12025550199",
                    "text": "Hello?",
                    "partial": False,
                    "received_at": NOW,
                    "delivery": f"{n}",
                }
                for n in range(1, MANY)
            ],
        )
    await fill_keys(database, DELIVERIES, MANY, NOW)
    await fill_keys(database, TENANT, MANY, NOW - PATIENCE)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))


@given(data=st.data())
def test_sets_depend_on_the_order_of_parts_and_not_on_their_batches(data: st.DataObject) -> None:
    def drawn() -> InboundSms:
        total = data.draw(st.integers(2, 3))
        index = data.draw(st.integers(0, total - 1))
        return part(index, total=total, reference=data.draw(st.integers(1, 2)), said=data.draw(st.sampled_from("ab")))

    parts = [drawn() for _ in range(data.draw(st.integers(1, 12)))]
    parts += data.draw(st.lists(st.sampled_from(parts), max_size=3))
    assert sort_all([parts]) == sort_all([[one] for one in parts])


def sort_all(batches: list[list[InboundSms]]) -> tuple[list[Any], set[UUID]]:
    """Every part with its set, and the sets that are due, when batches follow each other."""
    ids = itertools.count(1)
    seen: dict[Delivery, UUID | None] = {}
    opened: dict[SetName, OpenSet] = {}
    parts: list[Any] = []
    due: set[UUID] = set()
    for batch in batches:
        result = sort_parts(
            batch, seen=seen, opened=opened, now=NOW, patience=PATIENCE, mint_id=lambda: UUID(int=next(ids))
        )
        parts += result.parts
        due |= result.due
        seen |= dict.fromkeys((one.delivery for one in result.parts), None)
        opened = {one.name: one for one in result.sets if not one.closed}
    return parts, due

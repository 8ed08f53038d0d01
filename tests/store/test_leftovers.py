"""Stray receipts and messages to nobody, as the operator reads them, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert

from longcode.domain.clock import mint_id
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.leftovers import NOT_SWEPT, LeftoverStore
from longcode.store.receipt_order import LATEST
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from tests.flow.world import HandClock
from tests.store.test_timeline import CARRIER, OTHER_CARRIER, new, receipt, try_

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def note(database: Database, clock: HandClock) -> None:
    """Note strays as the sweep does."""
    strays = StrayStore(database, clock)
    looked = await strays.look_through(NOW - NOT_SWEPT, LATEST, 100)
    await strays.note([one.place for one in looked if not one.answered])


async def references(store: LeftoverStore, *, unmatched: bool = True, count: int = 100) -> list[str]:
    return [one.reference for one in await store.receipts(count=count, unmatched=unmatched)]


async def test_a_receipt_that_fits_no_message_is_unmatched_at_once_and_once_only(database: Database) -> None:
    clock = HandClock()
    await IntakeStore(database).insert([new(1)], [])
    await try_(database, UUID(int=1), ("accepted", "ours"))
    receipts, store = ReceiptStore(database, clock, mint_id), LeftoverStore(database, clock)
    await receipts.append([receipt("ours"), receipt("nobody's"), receipt("ours", OTHER_CARRIER)])
    assert sorted(await references(store)) == ["nobody's", "ours"]
    assert sorted(await references(store, unmatched=False)) == ["nobody's", "ours", "ours"]

    clock.now += NOT_SWEPT / 2
    await note(database, clock)
    assert len(await references(store)) == 2


async def test_a_noted_stray_stays_until_its_message_turns_up(database: Database) -> None:
    clock = HandClock()
    await ReceiptStore(database, clock, mint_id).append([receipt("early")])
    clock.now += 2 * NOT_SWEPT
    await note(database, clock)
    store = LeftoverStore(database, clock)
    assert await references(store) == ["early"]
    await IntakeStore(database).insert([new(1)], [])
    await try_(database, UUID(int=1), ("accepted", "early"))
    assert await references(store) == []


async def test_receipts_are_latest_first_and_no_more_than_asked_for(database: Database) -> None:
    clock = HandClock()
    for number in range(4):
        await ReceiptStore(database, clock, mint_id).append([receipt(str(number), None)])
        clock.now += timedelta(seconds=1)
    store = LeftoverStore(database, clock)
    for unmatched in (True, False):
        assert await references(store, unmatched=unmatched, count=3) == ["3", "2", "1"]


async def test_messages_to_nobody_are_latest_first(database: Database) -> None:
    async with database.write() as connection:
        for number in range(3):
            await connection.execute(
                insert(schema.inbound_unowned).values(
                    id=UUID(int=number),
                    carrier_id=CARRIER,
                    sender="+12025550101",
                    recipient="+12025550102",
                    text=f"text {number}",
                    partial=number == 2,
                    received_at=NOW,
                )
            )
    found = await LeftoverStore(database, lambda: NOW).unowned(count=2)
    assert [(one.text, one.partial) for one in found] == [("text 2", True), ("text 1", False)]

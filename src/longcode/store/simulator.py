"""The simulator carriers' ledger: what they took, and the receipts that they still owe.

A batch is one transaction of a fixed number of statements, whatever its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.carriers.port import ReceiptStatus
from longcode.carriers.simulator import Entry, Offer, OwedReceipt
from longcode.domain.clock import Clock, MintId
from longcode.store import schema
from longcode.store.database import Database, insert_on

# (message id, segment index): what a segment is known by.
SegmentKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class _Held:
    """One segment's row. reference: None until it was taken."""

    refusals: int
    reference: str | None


@dataclass(frozen=True, slots=True)
class _Scheduled:
    receipt: OwedReceipt
    due_at: datetime


class SimulatorLedger:
    """The ledger's statements; due times are by the clock that is passed in."""

    def __init__(self, database: Database, clock: Clock, mint_id: MintId) -> None:
        self._database = database
        self._clock = clock
        self._mint_id = mint_id

    async def take(self, carrier_id: int, offers: Sequence[Offer]) -> list[Entry]:
        """Enter a batch and its receipts in one transaction; the entries in the order of the offers."""
        if not offers:
            return []
        now = self._clock()
        entries: list[Entry] = []
        changed: dict[SegmentKey, _Held] = {}
        scheduled: list[_Scheduled] = []
        async with self._database.write() as connection:
            held = await _open_entries(connection, carrier_id, offers)
            for offer in offers:
                key = _key(offer)
                before = held[key]
                after = _decide(offer, before)
                if after != before:
                    held[key] = changed[key] = after
                if after.reference == offer.reference:
                    receipts = self._schedule(carrier_id, offer, now)
                    scheduled += receipts
                    entries.append(Entry(after.reference, after.refusals, owed=tuple(one.receipt for one in receipts)))
                else:
                    entries.append(Entry(after.reference, after.refusals, repeated=after.reference is not None))
            await _write_changes(connection, changed)
            await _write_receipts(connection, scheduled)
        return entries

    async def claim(self, limit: int, lease: timedelta) -> list[OwedReceipt]:
        """Due receipts, first due first; they are due again when the lease ends."""
        table = schema.simulator_receipt
        now = self._clock()
        due = (
            select(
                table.c.id,
                table.c.carrier_id,
                table.c.reference,
                table.c.attempt_id,
                table.c.status,
                table.c.error_code,
            )
            .where(table.c.due_at <= now)
            .order_by(table.c.due_at, table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            rows = (await connection.execute(due)).all()
            if rows:
                ids = [row.id for row in rows]
                await connection.execute(update(table).where(table.c.id.in_(ids)).values(due_at=now + lease))
        return [
            OwedReceipt(
                id=row.id,
                carrier_id=row.carrier_id,
                reference=row.reference,
                attempt_id=row.attempt_id,
                status=ReceiptStatus(row.status),
                error_code=row.error_code,
            )
            for row in rows
        ]

    async def forget(self, receipt_ids: Sequence[UUID]) -> None:
        """Drop receipts that were handed over."""
        if not receipt_ids:
            return
        table = schema.simulator_receipt
        async with self._database.write() as connection:
            await connection.execute(delete(table).where(table.c.id.in_(receipt_ids)))

    async def next_due(self) -> float | None:
        """Seconds until the next receipt is due, 0 where one is; None: none is owed."""
        query = select(func.min(schema.simulator_receipt.c.due_at))
        async with self._database.read() as connection:
            due_at = (await connection.execute(query)).scalar()
        return None if due_at is None else max(0.0, (due_at - self._clock()).total_seconds())

    def _schedule(self, carrier_id: int, offer: Offer, now: datetime) -> list[_Scheduled]:
        return [
            _Scheduled(
                OwedReceipt(
                    id=self._mint_id(),
                    carrier_id=carrier_id,
                    reference=offer.reference,
                    attempt_id=offer.attempt_id,
                    status=planned.status,
                    error_code=planned.error_code,
                ),
                now + planned.after,
            )
            for planned in offer.receipts
        ]


def _key(offer: Offer) -> SegmentKey:
    return offer.message_id, offer.segment_index


def _decide(offer: Offer, held: _Held) -> _Held:
    """How a segment stands after an offer."""
    if held.reference is not None:
        return held
    if held.refusals < offer.refusals:
        return _Held(held.refusals + 1, None)
    return _Held(held.refusals, offer.reference)


async def _open_entries(
    connection: AsyncConnection, carrier_id: int, offers: Sequence[Offer]
) -> dict[SegmentKey, _Held]:
    """The rows of all segments on offer, locked; segments without one get it.

    A segment that nobody turns away is taken by its very insert, so that the common case writes once.
    Rows are inserted and locked in one order, so that processes wait for each other and never deadlock.
    """
    table = schema.simulator_message
    rows = [
        {
            "message_id": offer.message_id,
            "segment_index": offer.segment_index,
            "carrier_id": carrier_id,
            "refusals": 0,
            "reference": None if offer.refusals else offer.reference,
        }
        for offer in sorted(offers, key=_key)
    ]
    insert_ = insert_on(connection)
    await connection.execute(insert_(table).on_conflict_do_nothing(), rows)
    query = (
        select(table.c.message_id, table.c.segment_index, table.c.refusals, table.c.reference)
        .where(table.c.message_id.in_({offer.message_id for offer in offers}))
        .order_by(table.c.message_id, table.c.segment_index)
        .with_for_update()
    )
    return {
        (row.message_id, row.segment_index): _Held(row.refusals, row.reference)
        for row in await connection.execute(query)
    }


async def _write_changes(connection: AsyncConnection, changed: dict[SegmentKey, _Held]) -> None:
    if not changed:
        return
    table = schema.simulator_message
    statement = (
        update(table)
        .where(table.c.message_id == bindparam("of_message"), table.c.segment_index == bindparam("of_segment"))
        .values(refusals=bindparam("new_refusals"), reference=bindparam("new_reference"))
    )
    rows = [
        {
            "of_message": message_id,
            "of_segment": segment_index,
            "new_refusals": held.refusals,
            "new_reference": held.reference,
        }
        for (message_id, segment_index), held in changed.items()
    ]
    await connection.execute(statement, rows)


async def _write_receipts(connection: AsyncConnection, scheduled: Sequence[_Scheduled]) -> None:
    if not scheduled:
        return
    rows = [
        {
            "id": one.receipt.id,
            "carrier_id": one.receipt.carrier_id,
            "reference": one.receipt.reference,
            "attempt_id": one.receipt.attempt_id,
            "status": one.receipt.status.value,
            "error_code": one.receipt.error_code,
            "due_at": one.due_at,
        }
        for one in scheduled
    ]
    await connection.execute(insert(schema.simulator_receipt), rows)

"""What is kept for the operator because it fits nothing else: stray receipts, and messages to nobody's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, union_all

from longcode.domain.clock import Clock
from longcode.store import receipt_order, schema
from longcode.store.database import Database
from longcode.store.receipt_order import LATEST, ReceiptPlace
from longcode.store.timeline import FITS, RECEIPT_COLUMNS, Reported

# A receipt that is younger was perhaps not looked at by the sweep, which notes those that fit nothing.
NOT_SWEPT: Final = timedelta(seconds=60)

_outcome, _receipt, _stray = schema.outcome.c, schema.receipt.c, schema.stray_receipt.c


@dataclass(frozen=True, slots=True)
class Unowned:
    """What came to a number that nobody owns. partial: some parts of it never came."""

    id: UUID
    carrier_id: int
    sender: str
    recipient: str
    text: str
    partial: bool
    received_at: datetime


class LeftoverStore:
    """Reads for the operator."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def receipts(self, *, count: int, unmatched: bool = False, before: ReceiptPlace = LATEST) -> list[Reported]:
        """Receipts, the latest first, behind `before`. unmatched: those that fit no message so far."""
        not_swept_since = self._clock() - NOT_SWEPT
        query = unmatched_query(count, not_swept_since, before) if unmatched else latest_receipts(count, before)
        async with self._database.read() as connection:
            return [Reported(*row) for row in await connection.execute(query)]

    async def unowned(self, *, count: int, before: UUID = LATEST.id) -> list[Unowned]:
        """What came to numbers that nobody owns, the latest first, behind the one with id `before`."""
        table = schema.inbound_unowned.c
        query = (
            select(
                table.id,
                table.carrier_id,
                table.sender,
                table.recipient,
                table.text,
                table.partial,
                table.received_at,
            )
            .where(table.id < before)
            .order_by(table.id.desc())
            .limit(count)
        )
        async with self._database.read() as connection:
            return [Unowned(*row) for row in await connection.execute(query)]


def unmatched_query(count: int, not_swept_since: datetime, before: ReceiptPlace = LATEST) -> Select[Any]:
    """The receipts that the sweep noted as strays, and those that it has not seen yet.

    Each is looked up for itself: as a join, the planner would read all receipts and outcomes to find a few.
    """
    fits = select(_outcome.attempt_id).where(FITS).correlate(schema.receipt).limit(1).scalar_subquery()
    noted = (
        select(*RECEIPT_COLUMNS)
        .join_from(schema.stray_receipt, schema.receipt, _receipt.id == _stray.receipt_id)
        .where(receipt_order.before(before, _stray.received_at, _stray.receipt_id), fits.is_(None))
        .order_by(_stray.received_at.desc(), _stray.receipt_id.desc())
        .limit(count)
    )
    noting = select(_stray.receipt_id).where(_stray.receipt_id == _receipt.id).correlate(schema.receipt).limit(1)
    fresh = latest_receipts(count, before).where(
        _receipt.received_at > not_swept_since, fits.is_(None), noting.scalar_subquery().is_(None)
    )
    both = union_all(select(noted.subquery()), select(fresh.subquery())).subquery()
    return select(both).order_by(both.c.received_at.desc(), both.c.id.desc()).limit(count)


def latest_receipts(count: int, before: ReceiptPlace = LATEST) -> Select[Any]:
    """A page of all receipts: a walk back along their index."""
    return (
        select(*RECEIPT_COLUMNS)
        .where(receipt_order.before(before, _receipt.received_at, _receipt.id))
        .order_by(_receipt.received_at.desc(), _receipt.id.desc())
        .limit(count)
    )

"""Receipts on one database, by a clock that is told when to move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, insert, select, update

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Status
from longcode.flow.receipt import Receipts
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.new_messages import NewMessage
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome, OutboxStore
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from tests.attempts import put_on_record
from tests.flow.world import HandClock
from tests.messages import text_message

DELIVERED = ReceiptStatus.DELIVERED
CARRIER = 1

RECIPIENT = text_message().recipient


class HandStore(ReceiptStore):
    """The real store, on PostgreSQL too by a clock that is told when to move."""

    async def append(self, receipts: Sequence[CarrierReceipt]) -> None:
        async with self._database.read() as connection:
            before = set(await connection.scalars(select(schema.receipt.c.id)))
        await super().append(receipts)
        async with self._database.write() as connection:
            new = schema.receipt.c.id.not_in(before)
            await connection.execute(update(schema.receipt).where(new).values(received_at=self._clock()))


class HandStrays(StrayStore):
    """As HandStore."""

    async def now(self) -> datetime:
        return self._clock()


class World:
    """Receipts on one database, with messages and carriers' answers put there as dispatch does."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.store = HandStore(database, self.clock, mint_id)
        self.receipts = Receipts(self.store, HandStrays(database, self.clock))
        self.outbox = OutboxStore(database, self.clock)
        self.totals: dict[UUID, int] = {}

    async def queue(self, segment_count: int = 1, recipient: str = RECIPIENT) -> UUID:
        """A message that waits for its carrier."""
        message = text_message(segment_count=segment_count, recipient=recipient, created_at=self.clock())
        new = NewMessage(
            message=message,
            call_id=message.id,
            queued=True,
            carrier_id=CARRIER,
            due_at=self.clock(),
            validity=timedelta(days=1),
        )
        await IntakeStore(self.database).insert([new], [])
        self.totals[message.id] = segment_count
        return message.id

    async def attempt(self, message_id: UUID, segment_index: int = 0) -> UUID:
        """An attempt that was begun and never answered."""
        attempt_id = mint_id()
        total = self.totals[message_id]
        await put_on_record(self.database, NewAttempt(attempt_id, message_id, segment_index, total, CARRIER))
        return attempt_id

    async def answer(self, message_id: UUID, *references: str) -> None:
        """The carrier's answers to a message's segments, all of them."""
        outcomes = [await self.accepted(message_id, *answer) for answer in enumerate(references)]
        conclusion = Conclusion(message_id=message_id, outcomes=tuple(outcomes), status=Status.SENT)
        await self.outbox.conclude([conclusion])

    async def accepted(self, message_id: UUID, segment_index: int, reference: str) -> NewOutcome:
        """The outcome of one more attempt, not yet on record."""
        return NewOutcome(
            attempt_id=await self.attempt(message_id, segment_index),
            message_id=message_id,
            segment_index=segment_index,
            segment_total=self.totals[message_id],
            carrier_id=CARRIER,
            kind="accepted",
            reference=reference,
        )

    async def lost(self) -> UUID:
        """A message whose carrier may have it, of which only a stray can tell."""
        self.clock.now = utc_now() + timedelta(minutes=1)
        async with self.database.write() as connection:
            row = {"id": CARRIER, "name": "c", "driver": "smpp", "settings": {}, "paused": False}
            await connection.execute(insert(schema.carrier), row | {"created_at": self.clock()})
        message_id = await self.queue()
        outcome = await self.accepted(message_id, 0, "")
        await self.outbox.record([replace(outcome, kind="unconfirmed", reference=None)])
        return message_id

    async def sent(self, *references: str) -> UUID:
        """A message whose segments the carrier has under these references."""
        message_id = await self.queue(len(references))
        await self.answer(message_id, *references)
        return message_id

    async def state(self, message_id: UUID) -> tuple[Status, str | None]:
        message = schema.message.c
        async with self.database.read() as connection:
            row = (
                await connection.execute(select(message.status, message.error).where(message.id == message_id))
            ).one()
        return Status(row.status), row.error

    async def rows(self, table_name: str) -> int:
        table = schema.metadata.tables[table_name]
        async with self.database.read() as connection:
            return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


def receipt(
    reference: str,
    status: ReceiptStatus = DELIVERED,
    *,
    carrier_id: int | None = CARRIER,
    error_code: str | None = None,
    attempt_id: UUID | None = None,
    whole_message: bool = False,
    alternatives: tuple[str, ...] = (),
    recipient: str | None = None,
) -> CarrierReceipt:
    return CarrierReceipt(
        carrier_id=carrier_id,
        reference=reference,
        status=status,
        error_code=error_code,
        attempt_id=attempt_id,
        whole_message=whole_message,
        alternatives=alternatives,
        recipient=recipient,
        raw="as it came",
    )

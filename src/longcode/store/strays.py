"""Receipts that fit no message, and the unconfirmed attempts that one of them may prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from longcode.domain.clock import Clock
from longcode.domain.message import Status
from longcode.domain.phone import canonical
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import NewOutcome, add_outcomes, hurry


@dataclass(frozen=True, slots=True)
class Stray:
    """A receipt that fits no message so far. sender, recipient: canonical, or None."""

    id: UUID
    carrier_id: int | None
    reference: str
    sender: str | None
    recipient: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Unproven:
    """A segment whose last word is that it may have been sent. sender, recipient: canonical."""

    attempt_id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int
    sender: str
    recipient: str
    started_at: datetime


class StrayStore:
    """The statements of strays."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def collect(self, since: datetime, until: datetime, limit: int) -> int:
        """Note the receipts of a period that no answer explains; how many there were, at most `limit`."""
        receipt, outcome = schema.receipt.c, schema.outcome.c
        answered = (
            select(outcome.attempt_id)
            .where(
                outcome.reference == receipt.reference,
                outcome.reference.is_not(None),
                or_(outcome.carrier_id == receipt.carrier_id, receipt.carrier_id.is_(None)),
            )
            .exists()
        )
        noted = (
            select(schema.stray_receipt.c.receipt_id).where(schema.stray_receipt.c.receipt_id == receipt.id).exists()
        )
        query = (
            select(receipt.id, receipt.received_at)
            .where(receipt.received_at > since, receipt.received_at <= until, ~noted, ~answered)
            .order_by(receipt.received_at, receipt.id)
            .limit(limit)
        )
        async with self._database.write() as connection:
            rows = [{"receipt_id": row[0], "received_at": row[1]} for row in await connection.execute(query)]
            if rows:
                insert_ = sqlite_insert if self._database.is_sqlite else postgresql_insert
                await connection.execute(insert_(schema.stray_receipt).on_conflict_do_nothing(), rows)
        return len(rows)

    async def listed(self, limit: int) -> list[Stray]:
        """Strays, the latest first."""
        stray, receipt = schema.stray_receipt.c, schema.receipt.c
        query = (
            select(
                receipt.id,
                receipt.carrier_id,
                receipt.reference,
                receipt.sender,
                receipt.recipient,
                receipt.received_at,
            )
            .join_from(schema.stray_receipt, schema.receipt, receipt.id == stray.receipt_id)
            .order_by(stray.received_at.desc(), stray.receipt_id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [Stray(*row) for row in await connection.execute(query)]

    async def unproven(self, limit: int) -> list[Unproven]:
        """Segments that are unconfirmed and whose message is not at its end."""
        outcome, attempt, message = schema.outcome.c, schema.attempt.c, schema.message.c
        proof = schema.outcome.alias("proof")
        proven = (
            select(proof.c.attempt_id)
            .where(
                proof.c.message_id == outcome.message_id,
                proof.c.segment_index == outcome.segment_index,
                proof.c.kind == "accepted",
            )
            .exists()
        )
        query: Any = (
            select(
                outcome.attempt_id,
                outcome.message_id,
                outcome.segment_index,
                outcome.segment_total,
                outcome.carrier_id,
                message.sender,
                message.recipient,
                attempt.started_at,
            )
            .join_from(schema.outcome, schema.message, message.id == outcome.message_id)
            .join(schema.attempt, attempt.id == outcome.attempt_id)
            .where(
                outcome.kind == "unconfirmed",
                message.status.in_([Status.QUEUED.value, Status.SENDING.value]),
                ~proven,
            )
            .order_by(outcome.ended_at.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [
                Unproven(
                    row.attempt_id,
                    row.message_id,
                    row.segment_index,
                    row.segment_total,
                    row.carrier_id,
                    canonical(row.sender),
                    canonical(row.recipient),
                    row.started_at,
                )
                for row in await connection.execute(query)
            ]

    async def prove(self, pairs: Sequence[tuple[Stray, Unproven]]) -> None:
        """Count segments as accepted under their receipt's reference."""
        outcomes = [
            NewOutcome(
                attempt_id=segment.attempt_id,
                message_id=segment.message_id,
                segment_index=segment.segment_index,
                segment_total=segment.segment_total,
                carrier_id=segment.carrier_id,
                kind="accepted",
                reference=stray.reference,
                reason="told by a receipt that fits no other message",
            )
            for stray, segment in pairs
        ]
        async with self._database.write() as connection:
            await add_outcomes(connection, outcomes, self._clock())
            await hurry(connection, [outcome.message_id for outcome in outcomes], self._clock())

    async def forget_matched(self) -> None:
        """Drop the notes of receipts that an answer explains by now, and those of long ago."""
        stray, receipt, outcome = schema.stray_receipt, schema.receipt.c, schema.outcome.c
        explained = (
            select(stray.c.receipt_id)
            .join_from(stray, schema.receipt, receipt.id == stray.c.receipt_id)
            .join(schema.outcome, outcome.reference == receipt.reference)
            .where(or_(outcome.carrier_id == receipt.carrier_id, receipt.carrier_id.is_(None)))
        )
        async with self._database.write() as connection:
            await connection.execute(delete(stray).where(stray.c.receipt_id.in_(explained)))

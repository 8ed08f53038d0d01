"""Receipts: appended as received, then matched with outcomes by (carrier, reference)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, insert, or_, select

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Status, is_final
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import NewOutcome, add_outcomes, move, remove


@dataclass(frozen=True, slots=True)
class Report:
    """One receipt of one segment of a message."""

    segment_index: int
    status: ReceiptStatus
    error_code: str | None
    whole_message: bool


@dataclass(frozen=True, slots=True)
class Reported:
    """A message with all receipts that fit it, in the order of their arrival.

    references: those asked for by which receipts fit it.
    """

    message_id: UUID
    references: frozenset[str]
    status: Status
    segment_count: int
    accepted_segments: frozenset[int]
    reports: tuple[Report, ...]


class ReceiptStore:
    """The statements of receipts."""

    def __init__(self, database: Database, clock: Clock, mint_id: MintId) -> None:
        self._database = database
        self._clock = clock
        self._mint_id = mint_id

    async def append(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Keep receipts as they were received."""
        if not receipts:
            return
        now = self._clock()
        rows = [
            {
                "id": self._mint_id(),
                "carrier_id": receipt.carrier_id,
                "reference": receipt.reference,
                "attempt_id": receipt.attempt_id,
                "status": receipt.status.value,
                "error_code": receipt.error_code,
                "whole_message": receipt.whole_message,
                "raw": receipt.raw,
                "received_at": now,
            }
            for receipt in receipts
        ]
        async with self._database.write() as connection:
            await connection.execute(insert(schema.receipt), rows)

    async def adopt(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Count attempts as accepted whose receipt came with our own name for them: the carrier has them.

        A carrier that names another carrier's attempt proves nothing.
        """
        echoed = {receipt.attempt_id: receipt for receipt in receipts if receipt.attempt_id is not None}
        if not echoed:
            return
        attempt = schema.attempt.c
        query = select(
            attempt.id, attempt.message_id, attempt.segment_index, attempt.segment_total, attempt.carrier_id
        ).where(attempt.id.in_(echoed))
        async with self._database.write() as connection:
            outcomes = [
                NewOutcome(
                    attempt_id=row.id,
                    message_id=row.message_id,
                    segment_index=row.segment_index,
                    segment_total=row.segment_total,
                    carrier_id=row.carrier_id,
                    kind="accepted",
                    reference=echoed[row.id].reference,
                    reason="told by its receipt",
                )
                for row in await connection.execute(query)
                if echoed[row.id].carrier_id in (None, row.carrier_id)
            ]
            await add_outcomes(connection, outcomes, self._clock())

    async def reported(self, references: Sequence[str]) -> list[Reported]:
        """The messages that receipts with these references report on, with all their receipts."""
        if not references:
            return []
        outcome, receipt, message = schema.outcome.c, schema.receipt.c, schema.message.c
        fits = and_(
            receipt.reference == outcome.reference,
            or_(receipt.carrier_id == outcome.carrier_id, receipt.carrier_id.is_(None)),
        )
        touched = (
            select(outcome.message_id, outcome.reference)
            .distinct()
            .join_from(schema.outcome, schema.receipt, fits)
            .where(outcome.reference.in_(references))
        )
        async with self._database.read() as connection:
            ids: dict[UUID, set[str]] = {}
            for message_id, reference in await connection.execute(touched):
                ids.setdefault(message_id, set()).add(reference)
            if not ids:
                return []
            heads = await connection.execute(
                select(message.id, message.status, message.segment_count).where(message.id.in_(ids))
            )
            segments = await connection.execute(
                select(outcome.message_id, outcome.segment_index, outcome.segment_total).where(
                    outcome.message_id.in_(ids), outcome.kind == "accepted"
                )
            )
            accepted: dict[UUID, set[int]] = {}
            totals: dict[UUID, int] = {}
            for message_id, segment_index, segment_total in segments:
                accepted.setdefault(message_id, set()).add(segment_index)
                totals[message_id] = segment_total
            rows = await connection.execute(
                select(
                    outcome.message_id,
                    outcome.segment_index,
                    receipt.status,
                    receipt.error_code,
                    receipt.whole_message,
                )
                .join_from(schema.outcome, schema.receipt, fits)
                .where(outcome.message_id.in_(ids))
                .order_by(receipt.received_at, receipt.id)
            )
            reports: dict[UUID, list[Report]] = {}
            for message_id, segment_index, status, error_code, whole_message in rows:
                report = Report(segment_index, ReceiptStatus(status), error_code, whole_message)
                reports.setdefault(message_id, []).append(report)
        return [
            Reported(
                row.id,
                frozenset(ids[row.id]),
                Status(row.status),
                totals.get(row.id, row.segment_count),  # the carrier's segmentation counts, where it is known
                frozenset(accepted.get(row.id, ())),
                tuple(reports.get(row.id, ())),
            )
            for row in heads
        ]

    async def settle(self, moves: Sequence[tuple[UUID, Status, str | None]]) -> None:
        """Move messages to the status that their receipts give; a final one leaves the queue."""
        groups: dict[tuple[Status, str | None], list[UUID]] = {}
        for message_id, status, error in moves:
            groups.setdefault((status, error), []).append(message_id)
        async with self._database.write() as connection:
            for (status, error), ids in groups.items():
                await move(connection, ids, status, error, self._clock())
            await remove(connection, [message_id for message_id, _, _ in moves])

    async def unsettled(self, within: timedelta, limit: int) -> list[str]:
        """References of recent receipts whose message is not final: what a crash may have left unmatched."""
        outcome, receipt, message = schema.outcome.c, schema.receipt.c, schema.message.c
        open_states = [status.value for status in Status if not is_final(status)]
        query: Any = (
            select(receipt.reference)
            .join_from(schema.receipt, schema.outcome, outcome.reference == receipt.reference)
            .join(schema.message, message.id == outcome.message_id)
            .where(
                receipt.received_at > self._clock() - within,
                receipt.status != ReceiptStatus.ENROUTE.value,
                message.status.in_(open_states),
            )
            .distinct()
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

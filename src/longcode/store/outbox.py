"""The queue: claims, attempts and outcomes.

A claim is a lease that simply expires. On PostgreSQL rows are passed over that others hold; on
SQLite the one writer needs no locks. Instants are the database's own there, the process's here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.message import Message, Status, sources_of
from longcode.store import schema
from longcode.store.database import Database, Instant
from longcode.store.messages import read_many


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """What is known of an earlier attempt. kind: None where it was cut before its outcome."""

    attempt_id: UUID
    segment_index: int
    kind: str | None
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this process may hand to its carrier until the lease ends."""

    message: Message
    expires_at: datetime
    deferrals: int
    expired: bool
    past: tuple[PastAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """One segment that is about to be written to its carrier."""

    id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOutcome:
    """How one attempt ended. kind: accepted, rejected, deferred or unconfirmed."""

    attempt_id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int
    kind: str
    reference: str | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a round of attempts means for one message.

    status, error: where it moves, if it moves. again_after: back in the queue, due then; None: its
    place in the queue is given up.
    """

    message_id: UUID
    outcomes: tuple[NewOutcome, ...] = ()
    status: Status | None = None
    error: str | None = None
    again_after: timedelta | None = None


class OutboxStore:
    """The queue's statements."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # The database's clock where processes on several machines share it.
        self._now: Any = func.clock_timestamp(type_=Instant()) if database.capabilities.shared else None

    async def claim(self, carrier_id: int, limit: int, lease: timedelta) -> list[Claimed]:
        """Lease up to `limit` due messages of one carrier: by priority, then by when they were due."""
        outbox = schema.outbox
        now = self._instant()
        picked = (
            select(outbox.c.message_id, outbox.c.leased_until, outbox.c.deferrals, outbox.c.expires_at)
            .add_columns((outbox.c.expires_at <= now).label("expired"))
            .where(
                outbox.c.carrier_id == carrier_id,
                outbox.c.due_at <= now,
                or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= now),
            )
            .order_by(outbox.c.priority, outbox.c.due_at, outbox.c.message_id)
            .limit(limit)
        )
        if self._database.capabilities.skip_locked:
            picked = picked.with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            rows = (await connection.execute(picked)).all()
            if not rows:
                return []
            ids = [row.message_id for row in rows]
            await connection.execute(
                update(outbox).where(outbox.c.message_id.in_(ids)).values(leased_until=self._later(lease))
            )
            messages = await read_many(connection, ids)
            tried = [row.message_id for row in rows if row.leased_until is not None or row.deferrals]
            past = await _past_attempts(connection, tried)
        return [
            Claimed(
                message=messages[row.message_id],
                expires_at=row.expires_at,
                deferrals=row.deferrals,
                expired=row.expired,
                past=tuple(past.get(row.message_id, ())),
            )
            for row in rows
        ]

    async def begin(self, attempts: Sequence[NewAttempt]) -> None:
        """Commit the attempts of a window, before any of it is written to the carrier."""
        if not attempts:
            return
        now = self._clock()
        rows = [
            {
                "id": attempt.id,
                "message_id": attempt.message_id,
                "segment_index": attempt.segment_index,
                "segment_total": attempt.segment_total,
                "carrier_id": attempt.carrier_id,
                "started_at": now,
            }
            for attempt in attempts
        ]
        async with self._database.write() as connection:
            await connection.execute(insert(schema.attempt), rows)

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Record a round: outcomes, statuses and places in the queue, in one transaction."""
        if not conclusions:
            return
        async with self._database.write() as connection:
            outcomes = [outcome for conclusion in conclusions for outcome in conclusion.outcomes]
            await add_outcomes(connection, outcomes, self._clock())
            moves: dict[tuple[Status, str | None], list[UUID]] = {}
            for conclusion in conclusions:
                if conclusion.status is not None:
                    moves.setdefault((conclusion.status, conclusion.error), []).append(conclusion.message_id)
            for (status, error), ids in moves.items():
                await move(connection, ids, status, error, self._clock())
            done = [conclusion.message_id for conclusion in conclusions if conclusion.again_after is None]
            await remove(connection, done)
            for conclusion in conclusions:
                if conclusion.again_after is not None:
                    await self._put_back(connection, conclusion.message_id, conclusion.again_after)

    async def next_due(self, carrier_id: int) -> float | None:
        """Seconds until one carrier's next message is due or its lease ends; None where none waits."""
        outbox = schema.outbox.c
        due = (
            select(func.coalesce(outbox.leased_until, outbox.due_at, type_=Instant()).label("due"))
            .where(outbox.carrier_id == carrier_id)
            .order_by("due")
            .limit(1)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(due)).scalar_one_or_none()
        return None if found is None else max(0.0, (found - self._clock()).total_seconds())

    async def release_leases(self) -> int:
        """Take back every lease: for the start of a process that is alone with its database."""
        table = schema.outbox
        async with self._database.write() as connection:
            # Kept as a past instant, not NULL: it says that the message may have been tried.
            result = await connection.execute(
                update(table).where(table.c.leased_until.is_not(None)).values(leased_until=self._clock())
            )
            return result.rowcount

    async def unrouted(self, limit: int) -> list[tuple[UUID, int, str]]:
        """(message id, account id, recipient) of messages that no route carried so far, oldest first."""
        outbox, message = schema.outbox.c, schema.message.c
        query = (
            select(outbox.message_id, outbox.account_id, message.recipient)
            .join_from(schema.outbox, schema.message, message.id == outbox.message_id)
            .where(outbox.carrier_id.is_(None))
            .order_by(outbox.priority, outbox.due_at, outbox.message_id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(row[0], row[1], row[2]) for row in await connection.execute(query)]

    async def set_carrier(self, carrier_id: int, message_ids: Sequence[UUID]) -> None:
        """Queue messages that had no route for a carrier."""
        table = schema.outbox
        async with self._database.write() as connection:
            await connection.execute(
                update(table)
                .where(table.c.message_id.in_(message_ids), table.c.carrier_id.is_(None))
                .values(carrier_id=carrier_id)
            )
            await move(connection, message_ids, Status.QUEUED, None, self._clock())

    async def _put_back(self, connection: AsyncConnection, message_id: UUID, after: timedelta) -> None:
        table = schema.outbox
        await connection.execute(
            update(table)
            .where(table.c.message_id == message_id)
            .values(due_at=self._later(after), leased_until=None, deferrals=table.c.deferrals + 1)
        )

    def _instant(self) -> Any:
        return self._now if self._now is not None else bindparam("now", self._clock(), type_=Instant())

    def _later(self, after: timedelta) -> Any:
        if self._now is None:
            return self._clock() + after
        return self._now + literal(after, Interval())


async def add_outcomes(connection: AsyncConnection, outcomes: Sequence[NewOutcome], now: datetime) -> None:
    """Append outcomes; one that is there already stays as it is."""
    if not outcomes:
        return
    rows = [
        {
            "attempt_id": outcome.attempt_id,
            "kind": outcome.kind,
            "message_id": outcome.message_id,
            "segment_index": outcome.segment_index,
            "segment_total": outcome.segment_total,
            "carrier_id": outcome.carrier_id,
            "reference": outcome.reference,
            "code": outcome.code,
            "reason": outcome.reason,
            "ended_at": now,
        }
        for outcome in outcomes
    ]
    insert_ = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    await connection.execute(insert_(schema.outcome).on_conflict_do_nothing(), rows)


async def move(
    connection: AsyncConnection, message_ids: Sequence[UUID], status: Status, error: str | None, now: datetime
) -> None:
    """Move messages to a status, those that the transition table lets."""
    table = schema.message
    await connection.execute(
        update(table)
        .where(table.c.id.in_(message_ids), table.c.status.in_([source.value for source in sources_of(status)]))
        .values(status=status.value, error=error, updated_at=now)
    )


async def remove(connection: AsyncConnection, message_ids: Sequence[UUID]) -> None:
    """Give up messages' places in the queue."""
    if message_ids:
        await connection.execute(delete(schema.outbox).where(schema.outbox.c.message_id.in_(message_ids)))


async def _past_attempts(connection: AsyncConnection, message_ids: Sequence[UUID]) -> dict[UUID, list[PastAttempt]]:
    if not message_ids:
        return {}
    attempt, outcome = schema.attempt.c, schema.outcome.c
    query = (
        select(attempt.message_id, attempt.id, attempt.segment_index, outcome.kind, outcome.reference)
        .join_from(schema.attempt, schema.outcome, outcome.attempt_id == attempt.id, isouter=True)
        .where(attempt.message_id.in_(message_ids))
        .order_by(attempt.started_at, attempt.id)
    )
    past: dict[UUID, list[PastAttempt]] = {}
    for message_id, *rest in await connection.execute(query):
        past.setdefault(message_id, []).append(PastAttempt(*rest))
    return past

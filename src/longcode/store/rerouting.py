"""Messages that may have to go another way: those without a route, and those whose carrier is out or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, literal, or_, select, tuple_, update

from longcode.domain.clock import Clock
from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import PastAttempt, move, past_attempts

Place = tuple[int, int, datetime, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message in the queue that no process has now. deferrals: tells whether anything happened to it since."""

    message_id: UUID
    account_id: int
    sender: str
    recipient: str
    priority: int
    due_at: datetime
    is_due: bool
    expires_at: datetime
    deferrals: int
    past: tuple[PastAttempt, ...]

    @property
    def place(self) -> Place:
        """Where it stands in its carrier's queue."""
        return self.priority, self.account_id, self.due_at, self.message_id


class ReroutingStore:
    """The statements of rerouting."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> datetime:
        """The instant by the clock that the queue goes by."""
        return await self._database.now(self._clock())

    async def waiting(self, carrier_id: int | None, limit: int, after: Place | None = None) -> list[Waiting]:
        """What waits for a carrier, or (None) for a route; the page behind a place in its queue."""
        outbox, message = schema.outbox.c, schema.message.c
        place = (outbox.priority, outbox.account_id, outbox.due_at, outbox.message_id)
        query = (
            select(
                outbox.message_id,
                outbox.account_id,
                message.sender,
                message.recipient,
                outbox.priority,
                outbox.due_at,
                (outbox.due_at <= self._now()).label("is_due"),
                outbox.expires_at,
                outbox.deferrals,
                outbox.leased_until,
            )
            .join_from(schema.outbox, schema.message, message.id == outbox.message_id)
            .where(outbox.carrier_id == carrier_id, self._nobody_has())
            .order_by(*place)
            .limit(limit)
        )
        if after is not None:
            # Each with its column's own type, or SQLite would compare instants with what they are not.
            behind = [literal(value, column.type) for value, column in zip(after, place, strict=True)]
            query = query.where(tuple_(*place) > tuple_(*behind))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            tried = [row.message_id for row in rows if row.leased_until is not None or row.deferrals]
            past = await past_attempts(connection, tried)
        return [
            Waiting(
                message_id=row.message_id,
                account_id=row.account_id,
                sender=row.sender,
                recipient=row.recipient,
                priority=row.priority,
                due_at=row.due_at,
                is_due=row.is_due,
                expires_at=row.expires_at,
                deferrals=row.deferrals,
                past=tuple(past.get(row.message_id, ())),
            )
            for row in rows
        ]

    async def move(self, before: int | None, carrier_id: int, waiting: Sequence[Waiting]) -> None:
        """Queue messages for a carrier, those to which nothing happened since; a scheduled one stays scheduled.

        before: the carrier that they were read for, or None.
        """
        table, message = schema.outbox, schema.message.c
        ids = [one.message_id for one in waiting]
        unchanged = tuple_(table.c.message_id, table.c.deferrals).in_(
            [(one.message_id, one.deferrals) for one in waiting]
        )
        async with self._database.write() as connection:
            moved = await connection.scalars(
                update(table)
                .where(table.c.message_id.in_(ids), table.c.carrier_id == before, unchanged, self._nobody_has())
                .values(carrier_id=carrier_id)
                .returning(table.c.message_id)
            )
            accepted = select(message.id).where(message.id.in_(list(moved)), message.status == Status.ACCEPTED.value)
            await move(connection, list(await connection.scalars(accepted)), Status.QUEUED, None, self._clock())

    async def orphaned(self) -> list[int]:
        """The carriers that are gone and for which messages wait all the same."""
        removed, outbox = schema.removed_carrier.c, schema.outbox.c
        # No join, and in the order of the index: else the planner may walk through the whole queue for each carrier.
        order = (outbox.priority, outbox.account_id, outbox.due_at, outbox.message_id)
        waiting = select(outbox.message_id).where(outbox.carrier_id == removed.id)
        first = waiting.order_by(*order).limit(1).scalar_subquery()
        async with self._database.read() as connection:
            return list(await connection.scalars(select(removed.id).where(first.is_not(None)).order_by(removed.id)))

    def _nobody_has(self) -> ColumnElement[bool]:
        leased_until = schema.outbox.c.leased_until
        return or_(leased_until.is_(None), leased_until <= self._now())

    def _now(self) -> Any:
        return self._database.claims_at(self._clock())

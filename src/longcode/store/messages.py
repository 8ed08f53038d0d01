"""Messages, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.message import Direction, Medium, Message, Schedule, Status
from longcode.store import schema
from longcode.store.database import Database


def provider_reference(message_id: ColumnElement[UUID]) -> ColumnElement[str | None]:
    """The carrier's name for a message: its first segment's, kept where the carrier gave it."""
    outcome = schema.outcome.c
    return (
        select(outcome.reference)
        .where(outcome.message_id == message_id, outcome.reference.is_not(None))
        .order_by(outcome.segment_index, outcome.ended_at)
        .limit(1)
        .scalar_subquery()
        .label("provider_reference")
    )


def schedule_columns(message: FromClause) -> tuple[ColumnElement[Any], ...]:
    """What a message is scheduled by, from its place in the queue; NULL, and not looked up, for any other one."""
    outbox = schema.outbox.c

    def while_scheduled(value: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        place = select(value).where(outbox.message_id == message.c.id).scalar_subquery()
        return case((message.c.status == Status.SCHEDULED.value, place)).label(name)

    return (
        # Whatever moves it in the queue counts as a deferral.
        while_scheduled(case((outbox.deferrals == 0, outbox.due_at)), "send_at"),
        while_scheduled(outbox.priority, "priority"),
        while_scheduled(outbox.expires_at, "expires_at"),
    )


COLUMNS = (
    schema.message.c.id,
    schema.message.c.account_id,
    schema.message.c.direction,
    schema.message.c.medium,
    schema.message.c.sender,
    schema.message.c.recipient,
    schema.message.c.text,
    schema.message.c.sent_at_seconds,
    schema.message.c.status,
    schema.message.c.client_reference,
    provider_reference(schema.message.c.id),
    schema.message.c.encoding,
    schema.message.c.segment_count,
    schema.message.c.error,
    schema.message.c.created_at,
    *schedule_columns(schema.message),
)


def to_message(row: Mapping[Any, Any]) -> Message:
    """A row of COLUMNS, or one with their names, as a Message."""
    message = to_unscheduled(row)
    if row["expires_at"] is None:
        return message
    schedule = Schedule(send_at=row["send_at"], priority=row["priority"], expires_at=row["expires_at"])
    return replace(message, schedule=schedule)


def to_unscheduled(row: Mapping[Any, Any]) -> Message:
    """As `to_message`, of a row of a hot statement: who sends a message or tells of it needs no schedule."""
    return Message(
        id=row["id"],
        account_id=row["account_id"],
        direction=Direction(row["direction"]),
        medium=Medium(row["medium"]),
        sender=row["sender"],
        recipient=row["recipient"],
        text=row["text"],
        sent_at_seconds=row["sent_at_seconds"],
        status=Status(row["status"]),
        client_reference=row["client_reference"],
        provider_reference=row["provider_reference"],
        encoding=row["encoding"],
        segment_count=row["segment_count"],
        error=row["error"],
        created_at=row["created_at"],
    )


async def read_many(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Message]:
    """The messages with these ids, whosever they are; for the flow, never for a tenant."""
    if not ids:
        return {}
    rows = await connection.execute(select(*COLUMNS).where(schema.message.c.id.in_(ids)))
    return {row.id: to_message(row._mapping) for row in rows}


async def stored_ids(connection: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
    """Those ids that are there already: a rerun may not queue again what was queued, sent and removed."""
    found = await connection.scalars(select(schema.message.c.id).where(schema.message.c.id.in_(ids)))
    return set(found)


class MessageStore:
    """What accounts read of their messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account_id: int, message_id: UUID) -> Message | None:
        """One message of this account."""
        query = select(*COLUMNS).where(schema.message.c.id == message_id, schema.message.c.account_id == account_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_message(row._mapping)

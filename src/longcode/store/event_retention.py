"""Forgetting events, tries to deliver them, and what messages named, once they are old."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, delete, select

from longcode.store import schema
from longcode.store.database import Database
from longcode.store.uuids import first_id

PAGE: Final = 1000

_event: Final = schema.event.c
_attempt: Final = schema.webhook_attempt.c
_named: Final = schema.message_webhook.c
_message: Final = schema.message.c
_outbox: Final = schema.outbox.c


async def forget_old(database: Database, before: datetime) -> None:
    """Forget what is from before an instant, in steps that hold nobody up.

    The newest event is always kept: see schema.event. What a message named is kept while it is to be sent, or moved
    since: events of it may follow.
    """
    newest = select(_event.id).order_by(_event.id.desc()).limit(1).scalar_subquery()
    waits = select(_outbox.message_id).where(_outbox.message_id == _named.message_id)
    moved = select(_message.id).where(_message.id == _named.message_id, _message.updated_at >= before)
    old = first_id(before)
    await _forget(database, schema.event, _event.id, _event.id < old, _event.id < newest)
    await _forget(database, schema.webhook_attempt, _attempt.id, _attempt.id < old)
    await _forget(
        database, schema.message_webhook, _named.message_id, _named.message_id < old, _none(waits), _none(moved)
    )


def _none(query: Select[tuple[UUID]]) -> ColumnElement[bool]:
    """Looked up row by row: as a join, the planner would read all messages to find none."""
    return query.limit(1).scalar_subquery().is_(None)


async def _forget(database: Database, table: Table, key: ColumnElement[Any], *which: ColumnElement[bool]) -> None:
    some: Select[Any] = select(key).where(*which).order_by(key).limit(PAGE)
    gone = PAGE
    while gone == PAGE:
        async with database.read() as connection:
            ids = list(await connection.scalars(some))
        if ids:
            async with database.write() as connection:
                await connection.execute(delete(table).where(key.in_(ids)))
        gone = len(ids)

"""Attempts on record, of messages that nobody need have claimed."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import insert

from longcode.domain.clock import utc_now
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import NewAttempt


async def put_on_record(database: Database, *attempts: NewAttempt) -> None:
    """As OutboxStore.begin, whoever holds the messages."""
    rows = [asdict(attempt) | {"started_at": utc_now()} for attempt in attempts]
    async with database.write() as connection:
        await connection.execute(insert(schema.attempt), rows)

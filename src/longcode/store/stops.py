"""The durable record of STOP requests, and of what is sent in spite of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from longcode.store import schema
from longcode.store.database import Database

PAGE_ROWS = 1000


class StopStore:
    """STOP requests that were taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, instant: datetime) -> AsyncIterator[tuple[int, str, str, datetime]]:
        """(account id, who may not write, to whom, when) of every request after `instant`, oldest first."""
        table = schema.stop_request.c
        query = (
            select(table.account_id, table.sender, table.recipient, table.requested_at)
            .where(table.requested_at > instant)
            .order_by(table.requested_at)
        )
        async with self._database.read() as connection, connection.stream(query) as rows:
            async for row in rows.yield_per(PAGE_ROWS):
                yield row[0], row[1], row[2], row[3]

    async def despite_opt_out(self, message_ids: Sequence[UUID]) -> set[UUID]:
        """Those of these messages that are sent although their recipients have opted out."""
        table = schema.auto_reply.c
        query = select(table.message_id).where(table.message_id.in_(message_ids), table.despite_opt_out)
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

"""The durable record of STOP requests, and of what is sent in spite of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import literal, select, tuple_

from longcode.store import schema
from longcode.store.database import Database
from longcode.store.uuids import LAST_ID

PAGE_ROWS = 1000


class StopStore:
    """STOP requests that were taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, instant: datetime) -> AsyncIterator[tuple[int, str, str, datetime]]:
        """(account id, who may not write, to whom, when) of every request after `instant`, oldest first."""
        table = schema.stop_request.c
        place = (instant, LAST_ID)
        while True:
            behind = tuple_(*map(literal, place, (table.requested_at.type, table.message_id.type)))
            query = (
                select(table.account_id, table.sender, table.recipient, table.requested_at, table.message_id)
                .where(tuple_(table.requested_at, table.message_id) > behind)
                .order_by(table.requested_at, table.message_id)
                .limit(PAGE_ROWS)
            )
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                yield row[0], row[1], row[2], row[3]
            if len(rows) < PAGE_ROWS:
                return
            place = (rows[-1].requested_at, rows[-1].message_id)

    async def despite_opt_out(self, message_ids: Sequence[UUID]) -> set[UUID]:
        """Those of these messages that are sent although their recipients have opted out."""
        table = schema.auto_reply.c
        query = select(table.message_id).where(table.message_id.in_(message_ids), table.despite_opt_out)
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

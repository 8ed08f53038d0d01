"""Taking a message back that no carrier was given."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select

from longcode.domain.clock import Clock
from longcode.domain.message import Status, sources_of
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import move


class CancelStore:
    """The statement of cancelling."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def cancel(self, message_id: UUID) -> bool:
        """End a message as canceled; False where it is at its end, or a carrier may have a part of it.

        A row that was leased may have been sent, whether its lease is over or not. A claim at the same
        moment and this exclude each other: both take the queue's row.
        """
        outbox, message = schema.outbox, schema.message.c
        cancellable = select(message.id).where(
            message.id == message_id, message.status.in_([source.value for source in sources_of(Status.CANCELED)])
        )
        async with self._database.write() as connection:
            taken = await connection.execute(
                delete(outbox).where(
                    outbox.c.message_id == message_id, outbox.c.leased_until.is_(None), cancellable.exists()
                )
            )
            if not taken.rowcount:
                return False
            await move(connection, [message_id], Status.CANCELED, None, self._clock())
        return True

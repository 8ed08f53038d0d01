"""Taking the text out of a message, or all of it away, once nothing is to be done with it any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.timeline import FITS

# A mailbox row's instant may have moved on from its message's by so much.
NEAR: Final = timedelta(minutes=1)

_message: Final = schema.message.c
_receipt: Final = schema.receipt.c


class RemovalStore:
    """The statements of removal. Both do nothing to a message that is still to be sent: False."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def redact(self, account_id: int, message_id: UUID) -> bool:
        """Forget an account's message's text, here and in receipts that repeat it; who and when stays."""
        async with self._database.write() as connection:
            row = await _settled(connection, account_id, message_id)
            if row is None:
                return False
            await connection.execute(
                update(schema.message).where(_message.id == message_id).values(text="", updated_at=self._clock())
            )
            outcome = schema.outcome.c
            references = select(outcome.reference).where(
                outcome.message_id == message_id, outcome.reference.is_not(None)
            )
            ours = select(outcome.attempt_id).where(FITS, outcome.message_id == message_id).correlate(schema.receipt)
            await connection.execute(
                update(schema.receipt).where(_receipt.reference.in_(references), ours.exists()).values(raw="")
            )
            return True

    async def delete(self, account_id: int, message_id: UUID) -> bool:
        """Forget an account's message, its attempts and its place in a mailbox; its idempotency key stays taken."""
        async with self._database.write() as connection:
            row = await _settled(connection, account_id, message_id)
            if row is None:
                return False
            box = schema.mailbox.c
            await connection.execute(
                delete(schema.mailbox).where(
                    box.account_id == account_id,
                    box.recipient == row.recipient,
                    box.sender == row.sender,
                    box.at.between(row.created_at - NEAR, row.created_at + NEAR),
                    box.message_id == message_id,
                )
            )
            for table in (schema.attempt, schema.outcome, schema.inbound_word, schema.message_webhook):
                await connection.execute(delete(table).where(table.c.message_id == message_id))
            await connection.execute(delete(schema.message).where(_message.id == message_id))
            return True


async def _settled(connection: AsyncConnection, account_id: int, message_id: UUID) -> Any:
    """The account's message, held until the end of the transaction, unless the queue has it."""
    outbox = schema.outbox.c
    queued = exists().where(outbox.message_id == message_id)
    query = select(_message.sender, _message.recipient, _message.created_at).where(
        _message.id == message_id, _message.account_id == account_id, ~queued
    )
    return (await connection.execute(query.with_for_update(of=schema.message))).one_or_none()

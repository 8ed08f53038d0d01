"""What the operator reads of messages: one with everything that happened to it, and lists, the newest first.

The operator sees every account; nothing here is for tenants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.message import Message
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.messages import COLUMNS, to_message
from longcode.store.words import HeardWord, read_heard

_message, _outbox, _attempt = schema.message.c, schema.outbox.c, schema.attempt.c
_outcome, _receipt, _reply = schema.outcome.c, schema.receipt.c, schema.auto_reply.c

RECEIPT_COLUMNS: Final = (
    _receipt.id,
    _receipt.carrier_id,
    _receipt.reference,
    _receipt.status,
    _receipt.error_code,
    _receipt.whole_message,
    _receipt.sender,
    _receipt.recipient,
    _receipt.received_at,
)
# How often one of a message's segments was about to be handed over.
ATTEMPTS: Final = (
    select(func.count())
    .where(_attempt.message_id == _message.id)
    .correlate(schema.message)
    .scalar_subquery()
    .label("attempts")
)
# True where a receipt reports on a segment that a carrier has.
FITS: Final = and_(
    _outcome.reference == _receipt.reference,
    _outcome.reference.is_not(None),
    or_(_outcome.carrier_id == _receipt.carrier_id, _receipt.carrier_id.is_(None)),
)


@dataclass(frozen=True, slots=True)
class Queued:
    """A message's place in the queue.

    carrier_id: None while no route carries it. priority: 0 goes first. leased_until: a process has it, or
    had it, and what it began then may have been sent.
    """

    carrier_id: int | None
    priority: int
    due_at: datetime
    leased_until: datetime | None
    expires_at: datetime
    deferrals: int


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt: a segment that was about to be handed over. segment_index: from 0."""

    id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended. kind: accepted, rejected, deferred, unconfirmed or unwritten."""

    attempt_id: UUID
    kind: str
    segment_index: int
    segment_total: int
    carrier_id: int
    reference: str | None
    code: str | None
    reason: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Reported:
    """One receipt as it was taken in. carrier_id: None where its door names no carrier."""

    id: UUID
    carrier_id: int | None
    reference: str
    status: str
    error_code: str | None
    whole_message: bool
    sender: str | None
    recipient: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One message with all that is on record about it, each kind in the order of time.

    key: the idempotency key that brought it, with its dialect before the colon. queued: None once nothing
    is to be sent any more. heard: the keyword that it was, or nearly was. answers: the inbound message that it
    answers, where nobody wrote it. answer: the message that answered it.
    """

    message: Message
    account: str
    updated_at: datetime
    key: str | None
    queued: Queued | None
    attempts: tuple[Tried, ...]
    outcomes: tuple[Ended, ...]
    receipts: tuple[Reported, ...]
    heard: HeardWord | None = None
    answers: UUID | None = None
    answer: UUID | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A message in a list. attempts: how often one of its segments was about to be handed over."""

    message: Message
    attempts: int


class TimelineStore:
    """Reads for the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, message_id: UUID, dialects: Sequence[str] = ()) -> History | None:
        """One message, whosever it is, as one moment saw it. dialects: what a key may begin with."""
        query = (
            select(*COLUMNS, _message.updated_at, schema.account.c.name.label("account"))
            .join_from(schema.message, schema.account, schema.account.c.id == _message.account_id, isouter=True)
            .where(_message.id == message_id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            message = to_message(row._mapping)
            return History(
                message=message,
                account=row.account or str(message.account_id),
                updated_at=row.updated_at,
                key=await _key(connection, message, dialects),
                queued=await _queued(connection, message_id),
                attempts=await _attempts(connection, message_id),
                outcomes=await _outcomes(connection, message_id),
                receipts=await _receipts(connection, message_id),
                heard=await read_heard(connection, message_id),
                answers=await connection.scalar(select(_reply.inbound_id).where(_reply.message_id == message_id)),
                answer=await connection.scalar(select(_reply.message_id).where(_reply.inbound_id == message_id)),
            )


async def _key(connection: AsyncConnection, message: Message, dialects: Sequence[str]) -> str | None:
    if message.client_reference is None:
        return None
    table = schema.idempotency.c
    names = [f"{dialect}:{message.client_reference}" for dialect in dialects]
    query = select(table.key).where(
        table.account_id == message.account_id, table.key.in_(names), table.message_id == message.id
    )
    return (await connection.execute(query.limit(1))).scalar_one_or_none()


async def _queued(connection: AsyncConnection, message_id: UUID) -> Queued | None:
    query = select(
        _outbox.carrier_id,
        _outbox.priority,
        _outbox.due_at,
        _outbox.leased_until,
        _outbox.expires_at,
        _outbox.deferrals,
    ).where(_outbox.message_id == message_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Queued(*row)


async def _attempts(connection: AsyncConnection, message_id: UUID) -> tuple[Tried, ...]:
    query = (
        select(_attempt.id, _attempt.segment_index, _attempt.segment_total, _attempt.carrier_id, _attempt.started_at)
        .where(_attempt.message_id == message_id)
        .order_by(_attempt.started_at, _attempt.id)
    )
    return tuple(Tried(*row) for row in await connection.execute(query))


async def _outcomes(connection: AsyncConnection, message_id: UUID) -> tuple[Ended, ...]:
    query = (
        select(
            _outcome.attempt_id,
            _outcome.kind,
            _outcome.segment_index,
            _outcome.segment_total,
            _outcome.carrier_id,
            _outcome.reference,
            _outcome.code,
            _outcome.reason,
            _outcome.ended_at,
        )
        .where(_outcome.message_id == message_id)
        .order_by(_outcome.ended_at, _outcome.segment_index)
    )
    return tuple(Ended(*row) for row in await connection.execute(query))


async def _receipts(connection: AsyncConnection, message_id: UUID) -> tuple[Reported, ...]:
    ours = select(_outcome.attempt_id).where(FITS, _outcome.message_id == message_id)
    references = select(_outcome.reference).where(_outcome.message_id == message_id, _outcome.reference.is_not(None))
    query = (
        select(*RECEIPT_COLUMNS)
        .where(_receipt.reference.in_(references), ours.correlate(schema.receipt).exists())
        .order_by(_receipt.received_at, _receipt.id)
    )
    return tuple(Reported(*row) for row in await connection.execute(query))

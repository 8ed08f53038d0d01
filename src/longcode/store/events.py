"""Events, written by the transaction of what happened; the hot statements have their own words for the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Text, cast, delete, func, insert, literal, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import mint_id
from longcode.domain.events import OF_STATUS, EventType, OptOutChange
from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.database import NEWS, insert_on

# No transaction of the intake writes as many.
MOST_EVENTS: Final = 2000

_event: Final = schema.event.c
_subscription: Final = schema.webhook_subscription.c
_named: Final = schema.message_webhook.c


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened to one account: to a message (message_id, error), or an opt-out."""

    account_id: int
    type: EventType
    message_id: UUID | None = None
    error: str | None = None
    opt_out: OptOutChange | None = None


async def tell(connection: AsyncConnection, news: Sequence[News], now: datetime) -> None:
    """Write events, and queue them for endpoints that subscribed or are named; of accounts that are listened to."""
    accounts = {one.account_id for one in news}
    if not accounts:
        return
    listener = schema.event_listener.c
    listened = set(await connection.scalars(select(listener.account_id).where(listener.account_id.in_(accounts))))
    rows = [
        {
            "id": mint_id(),
            "account_id": one.account_id,
            "type": one.type.value,
            "message_id": one.message_id,
            "error": one.error,
            "data": one.opt_out and _data(one.opt_out),
            "occurred_at": now,
        }
        for one in news
        if one.account_id in listened
    ]
    if not rows:
        return
    await connection.execute(insert(schema.event).values(xact=_xact(connection)), rows)
    subscribed = (
        select(_event.id, _subscription.endpoint_id, literal(now, _event.occurred_at.type), literal(0))
        .join_from(
            schema.event,
            schema.webhook_subscription,
            (_subscription.account_id == _event.account_id) & (_subscription.type == _event.type),
        )
        .where(_event.id.in_([row["id"] for row in rows]))
    )
    named = (
        select(_event.id, _named.endpoint_id, literal(now, _event.occurred_at.type), literal(0))
        .join_from(schema.event, schema.message_webhook, _named.message_id == _event.message_id)
        .where(_event.id.in_([row["id"] for row in rows]), _event.type != EventType.MESSAGE_RECEIVED.value)
    )
    names = ["event_id", "endpoint_id", "due_at", "tries"]
    await connection.execute(insert(schema.webhook_queue).from_select(names, union_all(subscribed, named)))
    connection.info[NEWS] = True


async def tell_moved(
    connection: AsyncConnection, moved: Sequence[tuple[UUID, int]], status: Status, error: str | None, now: datetime
) -> None:
    """As `tell`, of messages (id, account_id) that moved to a status."""
    type_ = OF_STATUS.get(status)
    if type_ is not None:
        await tell(
            connection,
            [
                News(account_id=account_id, type=type_, message_id=message_id, error=error)
                for message_id, account_id in moved
            ],
            now,
        )


async def tell_only(connection: AsyncConnection, account_id: int, message_id: UUID, endpoint_id: int) -> None:
    """Let one endpoint alone hear of a message that came in by this transaction; all, where that one does not."""
    queue = schema.webhook_queue.c
    came = select(_event.id).where(
        _event.account_id == account_id,
        _event.xact >= _xact_floor(connection),
        _event.message_id == message_id,
        _event.type == EventType.MESSAGE_RECEIVED.value,
    )
    waiting = (
        await connection.execute(select(queue.event_id, queue.endpoint_id).where(queue.event_id.in_(came)))
    ).all()
    if endpoint_id in {row.endpoint_id for row in waiting}:
        ids = {row.event_id for row in waiting}
        await connection.execute(
            delete(schema.webhook_queue).where(queue.event_id.in_(ids), queue.endpoint_id != endpoint_id)
        )


async def listen(connection: AsyncConnection, account_id: int) -> None:
    """Let events of an account be written from now on; harmless when repeated."""
    table = schema.event_listener
    known = await connection.scalar(select(table.c.account_id).where(table.c.account_id == account_id))
    if known is None:
        insert_ = insert_on(connection)
        await connection.execute(insert_(table).values(account_id=account_id).on_conflict_do_nothing())


def _data(change: OptOutChange) -> dict[str, str | None]:
    return {
        "recipient": change.recipient,
        "sender": change.sender,
        "source": change.source,
        "keyword": change.keyword,
        "message_id": None if change.message_id is None else str(change.message_id),
    }


def opt_out_change(data: Mapping[str, str | None]) -> OptOutChange:
    """What `data` of an event about an opt-out says."""
    message_id = data.get("message_id")
    return OptOutChange(
        recipient=data["recipient"] or "",
        source=data["source"] or "",
        sender=data.get("sender"),
        keyword=data.get("keyword"),
        message_id=None if message_id is None else UUID(message_id),
    )


def _xact_floor(connection: AsyncConnection) -> ColumnElement[int]:
    """No event of this transaction is below it."""
    if connection.dialect.name == "sqlite":
        return cast(text("coalesce((SELECT max(rowid) FROM event), 0)"), BigInteger) - MOST_EVENTS
    return _xact(connection)


def _xact(connection: AsyncConnection) -> ColumnElement[int]:
    """What orders events by their commits: see schema.event."""
    if connection.dialect.name == "sqlite":
        # The row id goes on for as long as the newest event is kept, and no purge takes that.
        return cast(text("coalesce((SELECT max(rowid) FROM event), 0) + 1"), BigInteger)
    return cast(cast(func.pg_current_xact_id(), Text), BigInteger)

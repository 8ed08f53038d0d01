"""The queue of webhooks: claims that are leases, and how deliveries ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import and_, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock, MintId
from longcode.domain.events import Event, EventType
from longcode.store import schema, webhook_hot
from longcode.store.database import Database
from longcode.store.events import opt_out_change
from longcode.store.messages import read_many, to_unscheduled

FORGET_ROWS: Final = 5000

_queue: Final = schema.webhook_queue.c
_event: Final = schema.event.c


@dataclass(frozen=True, slots=True)
class Due:
    """An event that this process may deliver to an endpoint until the lease ends. tries: those that failed before."""

    endpoint_id: int
    tries: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one try ended.

    error: why it does not count as delivered. again_after: None where the event is done, or given up.
    """

    endpoint_id: int
    event_id: UUID
    status: int | None
    error: str | None
    milliseconds: int
    ended_at: datetime
    again_after: timedelta | None = None


class WebhookQueue:
    """The queue's statements."""

    def __init__(self, database: Database, clock: Clock, mint_id: MintId) -> None:
        self._database = database
        self._clock = clock
        self._mint_id = mint_id

    async def claim(self, limit: int, *, each: int, at_most: Mapping[int, int], lease: timedelta) -> list[Due]:
        """Lease up to `limit` due rows, in even shares among endpoints, of each what was due first.

        each: the most for one endpoint. at_most: other bounds, for endpoints by id; 0: none.
        """
        if not self._database.capabilities.skip_locked:
            return await self._claim_plain(limit, each, at_most, lease)
        caps, most = list(at_most), list(at_most.values())
        async with self._database.driver() as driver:
            rows = await driver.fetch(webhook_hot.CLAIM, limit, each, caps, most, lease)
        return [_to_due(row) for row in rows]

    async def finish(self, ended: Sequence[Ended]) -> None:
        """Log tries; take what is done from the queue, put the rest back."""
        done = [one for one in ended if one.again_after is None]
        again = [one for one in ended if one.again_after is not None]
        if self._database.capabilities.arrays:
            async with self._database.driver() as driver:
                await driver.execute(
                    webhook_hot.FINISH,
                    [self._mint_id() for _ in ended],
                    [one.endpoint_id for one in ended],
                    [one.event_id for one in ended],
                    [one.status for one in ended],
                    [one.error for one in ended],
                    [one.milliseconds for one in ended],
                    [one.ended_at for one in ended],
                    [one.event_id for one in done],
                    [one.endpoint_id for one in done],
                    [one.event_id for one in again],
                    [one.endpoint_id for one in again],
                    [one.again_after for one in again],
                )
            return
        async with self._database.write() as connection:
            await connection.execute(insert(schema.webhook_attempt), [self._attempt_row(one) for one in ended])
            if done:
                keys = [(one.event_id, one.endpoint_id) for one in done]
                await connection.execute(
                    delete(schema.webhook_queue).where(tuple_(_queue.event_id, _queue.endpoint_id).in_(keys))
                )
            now = self._clock()
            for one in again:
                assert one.again_after is not None
                await connection.execute(
                    update(schema.webhook_queue)
                    .where(_queue.event_id == one.event_id, _queue.endpoint_id == one.endpoint_id)
                    .values(tries=_queue.tries + 1, leased_until=None, due_at=now + one.again_after)
                )

    async def drop(self, endpoint_ids: Sequence[int]) -> None:
        """Forget what waits for endpoints: they are gone, or disabled."""
        for endpoint_id in endpoint_ids:
            await forget_waiting(self._database, endpoint_id)

    async def release_leases(self) -> None:
        """Take back every lease: for the start of a process that is alone with its database."""
        async with self._database.write() as connection:
            await connection.execute(
                update(schema.webhook_queue).where(_queue.leased_until.is_not(None)).values(leased_until=None)
            )

    async def _claim_plain(self, limit: int, each: int, at_most: Mapping[int, int], lease: timedelta) -> list[Due]:
        """As CLAIM, where one writer has the database to itself; a queue with nothing due is only read."""
        async with self._database.read() as connection:
            if not await self._pick(connection, 1, 1, at_most):
                return []
        async with self._database.write() as connection:
            picked = await self._pick(connection, limit, each, at_most)
            for row in picked:
                await connection.execute(
                    update(schema.webhook_queue)
                    .where(_queue.event_id == row.event_id, _queue.endpoint_id == row.endpoint_id)
                    .values(leased_until=self._clock() + lease)
                )
            events = await _events(connection, [row.event_id for row in picked])
        return [Due(row.endpoint_id, row.tries, events[row.event_id]) for row in picked]

    async def _pick(self, connection: AsyncConnection, limit: int, each: int, at_most: Mapping[int, int]) -> list[Any]:
        now = self._clock()
        endpoints: list[int] = []
        while True:
            after = endpoints[-1] if endpoints else 0
            following = select(_queue.endpoint_id).where(_queue.endpoint_id > after)
            found = await connection.scalar(following.order_by(_queue.endpoint_id).limit(1))
            if found is None:
                break
            endpoints.append(found)
        endpoints = [endpoint_id for endpoint_id in endpoints if at_most.get(endpoint_id) != 0]
        picked: list[Any] = []
        for endpoint_id in endpoints:
            quota = min(-(-limit // len(endpoints)), at_most.get(endpoint_id, each), limit - len(picked))
            due = (
                select(_queue.event_id, _queue.endpoint_id, _queue.tries)
                .where(
                    and_(_queue.endpoint_id == endpoint_id, _queue.due_at <= now),
                    or_(_queue.leased_until.is_(None), _queue.leased_until <= now),
                )
                .order_by(_queue.due_at)
                .limit(quota)
            )
            picked += (await connection.execute(due)).all()
        return picked

    def _attempt_row(self, ended: Ended) -> dict[str, Any]:
        return {
            "id": self._mint_id(),
            "endpoint_id": ended.endpoint_id,
            "event_id": ended.event_id,
            "status": ended.status,
            "error": ended.error,
            "milliseconds": ended.milliseconds,
            "ended_at": ended.ended_at,
        }


async def forget_waiting(database: Database, endpoint_id: int) -> None:
    """Empty an endpoint's queue, in steps that hold nobody up."""
    some = select(_queue.event_id).where(_queue.endpoint_id == endpoint_id).order_by(_queue.due_at).limit(FORGET_ROWS)
    forget = delete(schema.webhook_queue).where(_queue.endpoint_id == endpoint_id, _queue.event_id.in_(some))
    gone = FORGET_ROWS
    while gone == FORGET_ROWS:
        async with database.write() as connection:
            gone = (await connection.execute(forget)).rowcount


def _to_due(row: Mapping[str, Any]) -> Due:
    data = row["data"]
    opt_out = None if data is None else opt_out_change(msgspec.json.decode(data))
    event = Event(
        id=row["event_id"],
        type=EventType(row["type"]),
        occurred_at=row["occurred_at"],
        message_id=row["message_id"],
        message=None if row["id"] is None else to_unscheduled(row),
        error=row["event_error"],
        opt_out=opt_out,
    )
    return Due(row["endpoint_id"], row["tries"], event)


async def _events(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Event]:
    """Events with what they are about."""
    query = select(_event.id, _event.type, _event.message_id, _event.error, _event.data, _event.occurred_at).where(
        _event.id.in_(ids)
    )
    rows = (await connection.execute(query)).all()
    messages = await read_many(connection, [row.message_id for row in rows if row.message_id is not None])
    return {
        row.id: Event(
            id=row.id,
            type=EventType(row.type),
            occurred_at=row.occurred_at,
            message_id=row.message_id,
            message=messages.get(row.message_id),
            error=row.error,
            opt_out=row.data and opt_out_change(row.data),
        )
        for row in rows
    }

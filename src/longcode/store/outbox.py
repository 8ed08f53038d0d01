"""The queue: claims, attempts and outcomes.

A claim is a lease that simply expires. On PostgreSQL rows are passed over that others hold; on
SQLite the one writer needs no locks. Instants are the database's own there, the process's here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert, literal, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.message import Message, Status, sources_of
from longcode.store import outbox_hot, schema
from longcode.store.database import Database, insert_on
from longcode.store.events import tell_moved
from longcode.store.messages import read_many, to_unscheduled

NO_CAPS: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """What is known of an earlier attempt. kind: None where it was cut before its outcome."""

    attempt_id: UUID
    segment_index: int
    segment_total: int
    kind: str | None
    reference: str | None
    carrier_id: int
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this process may hand to its carrier until the lease ends.

    leased_until: by the clock that leases go by. No two leases of a message end at one instant, so it names this one.
    expires_at: the end of its validity. valid_for: until then, by the same clock; not positive where that is over.
    """

    message: Message
    leased_until: datetime
    priority: int
    expires_at: datetime
    valid_for: timedelta
    deferrals: int
    past: tuple[PastAttempt, ...] = ()

    @property
    def expired(self) -> bool:
        return self.valid_for <= timedelta()


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """One segment that is about to be written to its carrier."""

    id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOutcome:
    """How one attempt ended. kind: accepted, rejected, deferred, unconfirmed or unwritten."""

    attempt_id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int
    kind: str
    reference: str | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a round of attempts means for one message.

    status, error: where it moves, if it moves. again_after: back in the queue, due then; None: its
    place in the queue is given up. paced: it waits for a pace of ours, which is no deferral; where
    again_after is zero it goes back to the very place that it had. carrier_id: back in that carrier's queue.
    """

    message_id: UUID
    outcomes: tuple[NewOutcome, ...] = ()
    status: Status | None = None
    error: str | None = None
    again_after: timedelta | None = None
    paced: bool = False
    carrier_id: int | None = None


class OutboxStore:
    """The queue's statements."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(
        self, carrier_id: int, limit: int, lease: timedelta, at_most: Mapping[int, int] = NO_CAPS
    ) -> list[Claimed]:
        """Lease up to `limit` due messages of one carrier: by priority, in even shares among accounts, oldest first.

        at_most: accounts by id of which only so many are leased in each priority; 0: none.
        """
        if self._database.capabilities.skip_locked:
            return await self._claim_shared(carrier_id, limit, lease, at_most)
        async with self._database.write() as connection:
            now = self._clock()
            rows = await _pick(connection, carrier_id, limit, now, at_most)
            if not rows:
                return []
            ids = [row.message_id for row in rows]
            table = schema.outbox
            leased_until = now + lease
            await connection.execute(update(table).where(table.c.message_id.in_(ids)).values(leased_until=leased_until))
            messages = await read_many(connection, ids)
            tried = [row.message_id for row in rows if row.leased_until is not None or row.deferrals]
            past = await past_attempts(connection, tried)
        return [
            Claimed(
                message=messages[row.message_id],
                leased_until=leased_until,
                priority=row.priority,
                expires_at=row.expires_at,
                valid_for=row.expires_at - now,
                deferrals=row.deferrals,
                past=tuple(past.get(row.message_id, ())),
            )
            for row in rows
        ]

    async def _claim_shared(
        self, carrier_id: int, limit: int, lease: timedelta, at_most: Mapping[int, int]
    ) -> list[Claimed]:
        async with self._database.driver() as driver:
            rows = await driver.fetch(outbox_hot.CLAIM, carrier_id, limit, lease, list(at_most), list(at_most.values()))
        tried = [row["id"] for row in rows if row["tried"]]
        past: dict[UUID, list[PastAttempt]] = {}
        if tried:
            async with self._database.read() as connection:
                past = await past_attempts(connection, tried)
        return [_claimed(row, past.get(row["id"], ())) for row in rows]

    async def claim_fresh(self, attempts: Sequence[NewAttempt], lease: timedelta) -> list[Claimed]:
        """Lease those messages that nobody has touched since they were stored, their attempts begun in the same commit.

        attempts: one a message, all for one carrier. On PostgreSQL only: elsewhere a claim is no round trip.
        """
        columns = [[attempt.id for attempt in attempts], [attempt.message_id for attempt in attempts]]
        async with self._database.driver() as driver:
            rows = await driver.fetch(outbox_hot.CLAIM_FRESH, attempts[0].carrier_id, *columns, lease)
        return [_claimed(row, ()) for row in rows]

    async def begin(self, attempts: Sequence[NewAttempt], leased_until: datetime, left: timedelta) -> set[UUID]:
        """Commit the attempts of a window, before any of it is written to the carrier; the ids of their messages.

        leased_until: of all that were claimed together. Nothing is begun of a message whose lease is another by now,
        and nothing at all of one that ends before `left` is over.
        """
        wanted = {attempt.message_id for attempt in attempts}
        if not wanted:
            return wanted
        if self._database.capabilities.arrays:
            columns = [list(column) for column in zip(*map(_attempt_values, attempts), strict=True)]
            async with self._database.driver() as driver:
                done = await driver.execute(outbox_hot.BEGIN, *columns, leased_until, left)
                if done == f"INSERT 0 {len(attempts)}":
                    return wanted
                return {row[0] for row in await driver.fetch(outbox_hot.BEGUN, columns[0])}
        now = self._clock()
        if leased_until < now + left:
            return set()
        table = schema.outbox.c
        async with self._database.write() as connection:
            held = select(table.message_id).where(table.message_id.in_(wanted), table.leased_until == leased_until)
            begun = set(await connection.scalars(held))
            names = ("id", "message_id", "segment_index", "segment_total", "carrier_id")
            rows = [
                {**dict(zip(names, _attempt_values(attempt), strict=True)), "started_at": now}
                for attempt in attempts
                if attempt.message_id in begun
            ]
            if rows:
                await connection.execute(insert(schema.attempt), rows)
        return begun

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Record a round: outcomes, statuses and places in the queue. Harmless when repeated.

        Of two conclusions of one message the latter has the last word.
        """
        for batch in _one_a_message(conclusions):
            await self._conclude(batch)

    async def _conclude(self, conclusions: Sequence[Conclusion]) -> None:
        groups: dict[tuple[object, ...], list[Conclusion]] = {}
        for conclusion in conclusions:
            kind = (
                conclusion.status,
                conclusion.error,
                conclusion.again_after,
                conclusion.paced,
                conclusion.carrier_id,
            )
            groups.setdefault(kind, []).append(conclusion)
        if self._database.capabilities.arrays:
            for group in groups.values():
                await self._conclude_shared(group)
            return
        if not conclusions:
            return
        async with self._database.write() as connection:
            for group in groups.values():
                await self._conclude_group(connection, group)

    async def _conclude_shared(self, group: Sequence[Conclusion]) -> None:
        """Conclusions that share status, error and pause, in one statement."""
        first = group[0]
        ids = [conclusion.message_id for conclusion in group]
        outcomes = [outcome for conclusion in group for outcome in conclusion.outcomes]
        moving = first.status is not None
        async with self._database.driver() as driver:
            told = await driver.fetchval(
                outbox_hot.CONCLUDE,
                *_outcome_columns(outcomes),
                ids if moving else [],
                None if first.status is None else first.status.value,
                first.error,
                [] if first.status is None else [source.value for source in sources_of(first.status)],
                ids if first.again_after is None else [],
                [] if first.again_after is None else ids,
                first.again_after or timedelta(),
                first.paced,
                first.carrier_id,
            )
        if told:
            self._database.told()

    async def _conclude_group(self, connection: AsyncConnection, group: Sequence[Conclusion]) -> None:
        first = group[0]
        ids = [conclusion.message_id for conclusion in group]
        outcomes = [outcome for conclusion in group for outcome in conclusion.outcomes]
        await add_outcomes(connection, outcomes, self._clock())
        if first.status is not None:
            await move(connection, ids, first.status, first.error, self._clock())
        if first.again_after is None:
            await remove(connection, ids)
            return
        table = schema.outbox
        due_at = table.c.due_at if first.paced and not first.again_after else self._clock() + first.again_after
        await connection.execute(
            update(table)
            .where(table.c.message_id.in_(ids))
            .values(
                carrier_id=table.c.carrier_id if first.carrier_id is None else first.carrier_id,
                due_at=due_at,
                leased_until=None,
                deferrals=table.c.deferrals + (not first.paced),
            )
        )

    async def record(self, outcomes: Sequence[NewOutcome]) -> None:
        """Append outcomes that move nothing; messages that wait for them wait no more. Harmless when repeated."""
        async with self._database.write() as connection:
            await add_outcomes(connection, outcomes, self._clock())
            now = self._database.claims_at(self._clock())
            await hurry(connection, [outcome.message_id for outcome in outcomes], now)

    async def release_leases(self) -> int:
        """Take back every lease: for the start of a process that is alone with its database."""
        table = schema.outbox
        async with self._database.write() as connection:
            # Kept as a past instant, not NULL: it says that the message may have been tried.
            result = await connection.execute(
                update(table)
                .where(table.c.leased_until.is_not(None))
                .values(leased_until=self._database.claims_at(self._clock()))
            )
            return result.rowcount


def _one_a_message(conclusions: Sequence[Conclusion]) -> Iterator[list[Conclusion]]:
    """In their order, in batches that name no message twice: within one, they are grouped by what they mean."""
    batch: dict[UUID, Conclusion] = {}
    for conclusion in conclusions:
        if conclusion.message_id in batch:
            yield list(batch.values())
            batch.clear()
        batch[conclusion.message_id] = conclusion
    yield list(batch.values())


def _claimed(row: Mapping[str, Any], past: Sequence[PastAttempt]) -> Claimed:
    return Claimed(
        message=to_unscheduled(row),
        leased_until=row["leased_until"],
        priority=row["priority"],
        expires_at=row["expires_at"],
        valid_for=row["valid_for"],
        deferrals=row["deferrals"],
        past=tuple(past),
    )


async def add_outcomes(connection: AsyncConnection, outcomes: Sequence[NewOutcome], now: datetime) -> None:
    """Append outcomes; one that is there already stays as it is."""
    if not outcomes:
        return
    names = (
        "attempt_id",
        "kind",
        "message_id",
        "segment_index",
        "segment_total",
        "carrier_id",
        "reference",
        "code",
        "reason",
    )
    rows = [{**dict(zip(names, _outcome_values(outcome), strict=True)), "ended_at": now} for outcome in outcomes]
    insert_ = insert_on(connection)
    await connection.execute(insert_(schema.outcome).on_conflict_do_nothing(), rows)


async def move(
    connection: AsyncConnection, message_ids: Sequence[UUID], status: Status, error: str | None, now: datetime
) -> None:
    """Move messages to a status, those that the transition table lets, and tell who listens."""
    table = schema.message
    moved = await connection.execute(
        update(table)
        .where(table.c.id.in_(message_ids), table.c.status.in_([source.value for source in sources_of(status)]))
        .values(status=status.value, error=error, updated_at=now)
        .returning(table.c.id, table.c.account_id)
    )
    await tell_moved(connection, [(row.id, row.account_id) for row in moved], status, error, now)


async def hurry(connection: AsyncConnection, message_ids: Sequence[UUID], now: Any) -> None:
    """Look at waiting messages again at once: something is known of them that was not. now: see Database.claims_at."""
    table = schema.outbox
    await connection.execute(
        update(table).where(table.c.message_id.in_(message_ids), table.c.due_at > now).values(due_at=now)
    )


async def remove(connection: AsyncConnection, message_ids: Sequence[UUID]) -> None:
    """Give up messages' places in the queue."""
    if message_ids:
        await connection.execute(delete(schema.outbox).where(schema.outbox.c.message_id.in_(message_ids)))


async def past_attempts(connection: AsyncConnection, message_ids: Sequence[UUID]) -> dict[UUID, list[PastAttempt]]:
    """The earlier attempts of messages, each in the order of time."""
    if not message_ids:
        return {}
    attempt, outcome = schema.attempt.c, schema.outcome.c
    query = (
        select(
            attempt.message_id,
            attempt.id,
            attempt.segment_index,
            attempt.segment_total,
            outcome.kind,
            outcome.reference,
            attempt.carrier_id,
            attempt.started_at,
        )
        .join_from(schema.attempt, schema.outcome, outcome.attempt_id == attempt.id, isouter=True)
        .where(attempt.message_id.in_(message_ids))
        .order_by(attempt.started_at, attempt.id)
    )
    past: dict[UUID, list[PastAttempt]] = {}
    for message_id, *rest in await connection.execute(query):
        past.setdefault(message_id, []).append(PastAttempt(*rest))
    return past


async def _pick(
    connection: AsyncConnection, carrier_id: int, limit: int, now: datetime, at_most: Mapping[int, int]
) -> list[Any]:
    """Due rows as CLAIM picks them, where one writer has the database to itself."""
    table = schema.outbox.c
    key = tuple_(table.priority, table.account_id)
    pairs: list[tuple[int, int]] = []
    while True:
        query = select(table.priority, table.account_id).where(table.carrier_id == carrier_id)
        if pairs:
            query = query.where(key > tuple_(*map(literal, pairs[-1])))
        pair = (await connection.execute(query.order_by(table.priority, table.account_id).limit(1))).one_or_none()
        if pair is None:
            break
        pairs.append((pair.priority, pair.account_id))
    pairs = [(priority, account_id) for priority, account_id in pairs if at_most.get(account_id) != 0]
    picked: list[Any] = []
    for priority, account_id in pairs:
        sharers = sum(1 for other, _ in pairs if other == priority)
        quota = min(-(-limit // sharers), at_most.get(account_id, limit), limit - len(picked))
        if quota <= 0:
            break
        query_due = (
            select(table.message_id, table.priority, table.leased_until, table.deferrals, table.expires_at)
            .where(
                table.carrier_id == carrier_id,
                table.priority == priority,
                table.account_id == account_id,
                table.due_at <= now,
                or_(table.leased_until.is_(None), table.leased_until <= now),
            )
            .order_by(table.due_at, table.message_id)
            .limit(quota)
        )
        picked += (await connection.execute(query_due)).all()
    return picked


def _attempt_values(attempt: NewAttempt) -> tuple[Any, ...]:
    return attempt.id, attempt.message_id, attempt.segment_index, attempt.segment_total, attempt.carrier_id


def _outcome_values(outcome: NewOutcome) -> tuple[Any, ...]:
    return (
        outcome.attempt_id,
        outcome.kind,
        outcome.message_id,
        outcome.segment_index,
        outcome.segment_total,
        outcome.carrier_id,
        outcome.reference,
        outcome.code,
        outcome.reason,
    )


def _outcome_columns(outcomes: Sequence[NewOutcome]) -> list[list[Any]]:
    if not outcomes:
        return [[] for _ in range(9)]
    return [list(column) for column in zip(*map(_outcome_values, outcomes), strict=True)]

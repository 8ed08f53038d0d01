"""Webhook endpoints, what was tried at them, and what they are to be told again.

account_id: whose an endpoint must be; None: the operator asks, and it is anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from longcode.domain.clock import Clock
from longcode.domain.events import EventType
from longcode.errors import Duplicate, NotFound, Refused
from longcode.store import schema
from longcode.store.database import NEWS, Database
from longcode.store.event_retention import forget_old
from longcode.store.events import listen
from longcode.store.uuids import first_id
from longcode.store.versions import bump_version
from longcode.store.webhook_queue import forget_waiting

MOST_ENDPOINTS: Final = 50
PAGE: Final = 1000
# An event's id and its instant come from clocks that may differ by so much.
SKEW: Final = timedelta(minutes=1)

_endpoint: Final = schema.webhook_endpoint.c
_attempt: Final = schema.webhook_attempt.c
_event: Final = schema.event.c
_COLUMNS: Final = (
    _endpoint.id,
    _endpoint.account_id,
    _endpoint.url,
    _endpoint.types,
    _endpoint.secret,
    _endpoint.old_secret,
    _endpoint.old_secret_until,
    _endpoint.allow_private,
    _endpoint.disabled_at,
    _endpoint.disabled_reason,
    _endpoint.created_at,
    _endpoint.per_message,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an account wants its events.

    types: what it is sent. secret, old_secret: sealed; the old one signs too until old_secret_until.
    disabled_at: since when it is sent nothing. per_message: it hears of those messages alone that name it.
    """

    id: int
    account_id: int
    url: str
    types: tuple[EventType, ...]
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    allow_private: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    per_message: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one try. type: None where the event is forgotten. status: of the answer, if there was one."""

    id: UUID
    event_id: UUID
    type: str | None
    status: int | None
    error: str | None
    milliseconds: int
    ended_at: datetime


class WebhookStore:
    """Endpoints and their log.

    What changes endpoints begins with the catalogue's version: whoever else changes one waits for it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self,
        account_id: int,
        url: str,
        types: Sequence[EventType],
        *,
        secret: str,
        allow_private: bool,
        per_message: bool = False,
    ) -> int:
        """A new endpoint's id; events of its account are written from now on.

        per_message: it hears of messages that name it; there is one for a URL.
        Raises Refused where there are many, Duplicate where the URL has one for messages that name it.
        """
        table = schema.webhook_endpoint
        mine = (
            select(func.count())
            .select_from(table)
            .where(table.c.account_id == account_id, table.c.per_message == per_message)
        )
        async with self._database.write() as connection:
            await bump_version(connection)
            if per_message and await _named(connection, account_id, url) is not None:
                raise Duplicate(f"there is an endpoint for messages that name {url}")
            if (await connection.execute(mine)).scalar_one() >= MOST_ENDPOINTS:
                raise Refused(_too_many(per_message=per_message))
            endpoint_id = await _added(
                connection,
                insert(table)
                .values(
                    account_id=account_id,
                    url=url,
                    types=[type_.value for type_ in types],
                    secret=secret,
                    allow_private=allow_private,
                    created_at=self._clock(),
                    per_message=per_message,
                )
                .returning(table.c.id),
            )
            await listen(connection, account_id)
            if not per_message:
                await _subscribe(connection, account_id, endpoint_id, types)
            return endpoint_id

    async def get(self, endpoint_id: int, *, account_id: int | None = None) -> Endpoint:
        """One endpoint. Raises NotFound."""
        async with self._database.read() as connection:
            return await _get(connection, endpoint_id, account_id)

    async def named(self, account_id: int, url: str) -> int | None:
        """The endpoint that an account's messages mean when they name a URL; None where there is none yet."""
        async with self._database.read() as connection:
            return await _named(connection, account_id, url)

    async def page(self, *, account_id: int | None = None, after: int = 0, count: int) -> list[Endpoint]:
        """Endpoints by id, behind the one with id `after`."""
        query = select(*_COLUMNS).where(_endpoint.id > after, _owned(account_id)).order_by(_endpoint.id).limit(count)
        async with self._database.read() as connection:
            return [_to_endpoint(row) for row in await connection.execute(query)]

    async def enabled(self) -> list[Endpoint]:
        """Every endpoint that is sent something."""
        query = select(*_COLUMNS).where(_endpoint.disabled_at.is_(None)).order_by(_endpoint.id)
        async with self._database.read() as connection:
            return [_to_endpoint(row) for row in await connection.execute(query)]

    async def remove(self, endpoint_id: int, *, account_id: int | None = None) -> None:
        """Drop an endpoint and what waits for it; its log stays for the retention. Raises NotFound."""
        async with self._database.write() as connection:
            await bump_version(connection)
            await _unsubscribe(connection, await _get(connection, endpoint_id, account_id))
            table = schema.webhook_endpoint
            await connection.execute(delete(table).where(table.c.id == endpoint_id))
        await forget_waiting(self._database, endpoint_id)

    async def disable(self, endpoint_id: int, reason: str, *, account_id: int | None = None) -> bool:
        """Send an endpoint nothing any more, not even what waits; False where it was so already. Raises NotFound."""
        async with self._database.write() as connection:
            await bump_version(connection)
            endpoint = await _get(connection, endpoint_id, account_id)
            if endpoint.disabled_at is not None:
                return False
            await _unsubscribe(connection, endpoint)
            await _change(connection, endpoint_id, disabled_at=self._clock(), disabled_reason=reason)
        await forget_waiting(self._database, endpoint_id)
        return True

    async def enable(self, endpoint_id: int, *, account_id: int | None = None) -> bool:
        """Send an endpoint what happens from now on; False where it was so already. Raises NotFound."""
        async with self._database.write() as connection:
            await bump_version(connection)
            endpoint = await _get(connection, endpoint_id, account_id)
            if endpoint.disabled_at is None:
                return False
            if not endpoint.per_message:
                await _subscribe(connection, endpoint.account_id, endpoint.id, endpoint.types)
            await _change(connection, endpoint_id, disabled_at=None, disabled_reason=None)
        return True

    async def rotate(
        self, endpoint_id: int, secret: str, *, old_until: datetime, account_id: int | None = None
    ) -> None:
        """Give an endpoint another secret, sealed; the one before signs too for a while. Raises NotFound."""
        async with self._database.write() as connection:
            await bump_version(connection)
            before = await _get(connection, endpoint_id, account_id)
            await _change(connection, endpoint_id, secret=secret, old_secret=before.secret, old_secret_until=old_until)

    async def attempts(
        self, endpoint_id: int, *, before: UUID | None = None, count: int, failed: bool = False
    ) -> list[Attempt]:
        """What was tried at an endpoint, the latest first, behind the one with id `before`. failed: those alone."""
        query = (
            select(
                _attempt.id,
                _attempt.event_id,
                _event.type,
                _attempt.status,
                _attempt.error,
                _attempt.milliseconds,
                _attempt.ended_at,
            )
            .join_from(schema.webhook_attempt, schema.event, _event.id == _attempt.event_id, isouter=True)
            .where(_attempt.endpoint_id == endpoint_id)
            .order_by(_attempt.id.desc())
            .limit(count)
        )
        if before is not None:
            query = query.where(_attempt.id < before)
        if failed:
            query = query.where(_attempt.error.is_not(None))
        async with self._database.read() as connection:
            return [Attempt(**row) for row in (await connection.execute(query)).mappings()]

    async def replay_event(self, endpoint: Endpoint, event_id: UUID) -> None:
        """Queue one event of the endpoint's account anew, whatever became of it. Raises NotFound."""
        query = select(_event.id).where(_event.id == event_id, _event.account_id == endpoint.account_id)
        async with self._database.write() as connection:
            if (await connection.execute(query)).one_or_none() is None:
                raise NotFound(f"there is no event {event_id} in this account; events are kept for a while only")
            await self._queue(connection, endpoint.id, [event_id])

    async def replay(self, endpoint: Endpoint, since: datetime, until: datetime) -> int:
        """Queue anew what happened in a period and the endpoint subscribed to; how many events that were."""
        replayed, after = 0, first_id(since - SKEW)
        while True:
            async with self._database.write() as connection:
                page = (await connection.execute(_of_period(endpoint, after, since, until))).all()
                wanted = [row.id for row in page if row.wanted]
                if wanted:
                    await self._queue(connection, endpoint.id, wanted)
            replayed += len(wanted)
            if len(page) < PAGE:
                return replayed
            after = page[-1].id

    async def purge(self, before: datetime) -> None:
        """Forget events, and tries, from before an instant."""
        await forget_old(self._database, before)

    async def _queue(self, connection: AsyncConnection, endpoint_id: int, event_ids: Sequence[UUID]) -> None:
        """Due now, as if never tried; for one that is being tried at this moment, that counts."""
        table = schema.webhook_queue
        insert_ = self._database.insert
        now = self._clock()
        row = {"endpoint_id": endpoint_id, "due_at": now, "tries": 0}
        new = insert_(table)
        await connection.execute(
            new.on_conflict_do_update(
                index_elements=[table.c.event_id, table.c.endpoint_id], set_={"due_at": now, "tries": 0}
            ),
            [{**row, "event_id": event_id} for event_id in event_ids],
        )
        connection.info[NEWS] = True


def _of_period(endpoint: Endpoint, after: UUID, since: datetime, until: datetime) -> Select[Any]:
    """The next PAGE events of a period, whosever they are, and whether the endpoint wants them."""
    wanted = [
        _event.account_id == endpoint.account_id,
        _event.type.in_([type_.value for type_ in endpoint.types]),
        _event.occurred_at >= since,
        _event.occurred_at < until,
    ]
    if endpoint.per_message:
        names = schema.message_webhook.c
        named = select(names.endpoint_id).where(names.message_id == _event.message_id)
        # No EXISTS: it could be planned as a look at all that messages ever named.
        wanted.append(named.scalar_subquery() == endpoint.id)
    period = (_event.id > after, _event.id < first_id(until + SKEW))
    return select(_event.id, and_(*wanted).label("wanted")).where(*period).order_by(_event.id).limit(PAGE)


def _too_many(*, per_message: bool) -> str:
    if per_message:
        return (
            f"an account's messages name at most {MOST_ENDPOINTS} webhook URLs: tell messages apart by their "
            "reference, not by the URL; or remove endpoints that are not needed"
        )
    return f"an account has at most {MOST_ENDPOINTS} webhook endpoints"


async def _added(connection: AsyncConnection, new: ReturningInsert[int]) -> int:
    try:
        return (await connection.execute(new)).scalar_one()
    except IntegrityError as error:
        raise Duplicate("there is an endpoint for messages that name this URL") from error


async def _named(connection: AsyncConnection, account_id: int, url: str) -> int | None:
    query = select(_endpoint.id).where(_endpoint.account_id == account_id, _endpoint.url == url, _endpoint.per_message)
    found: int | None = await connection.scalar(query)
    return found


def _owned(account_id: int | None) -> ColumnElement[bool]:
    return literal(True) if account_id is None else _endpoint.account_id == account_id


async def _get(connection: AsyncConnection, endpoint_id: int, account_id: int | None) -> Endpoint:
    query = select(*_COLUMNS).where(and_(_endpoint.id == endpoint_id, _owned(account_id)))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"there is no webhook endpoint {endpoint_id}")
    return _to_endpoint(row)


def _to_endpoint(row: Any) -> Endpoint:
    types = tuple(EventType(type_) for type_ in row.types)
    return Endpoint(**{**row._mapping, "types": types})


async def _subscribe(
    connection: AsyncConnection, account_id: int, endpoint_id: int, types: Sequence[EventType]
) -> None:
    rows = [{"account_id": account_id, "type": type_.value, "endpoint_id": endpoint_id} for type_ in types]
    await connection.execute(insert(schema.webhook_subscription), rows)


async def _unsubscribe(connection: AsyncConnection, endpoint: Endpoint) -> None:
    """Queue nothing more for an endpoint."""
    table = schema.webhook_subscription
    await connection.execute(
        delete(table).where(table.c.account_id == endpoint.account_id, table.c.endpoint_id == endpoint.id)
    )


async def _change(connection: AsyncConnection, endpoint_id: int, **values: object) -> None:
    table = schema.webhook_endpoint
    await connection.execute(update(table).where(table.c.id == endpoint_id).values(**values))

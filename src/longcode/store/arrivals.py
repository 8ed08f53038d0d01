"""What carriers deliver, before it is a message: parts that wait for each other, and messages to nobody.

Everybody who adds to a set of parts holds the lock of its name, so that exactly one sees it complete. Closing
is for ever: what comes later begins another set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.carriers.port import InboundSms
from longcode.domain.clock import Clock, MintId
from longcode.encoding.segments import Encoding
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.part_sets import Delivery, OpenSet, PartSet, Piece, SetName, Sorted, name_of, sort_parts

# The account of the idempotency keys that carriers' deliveries have: no tenant's.
DELIVERIES: Final = 0
PURGE_ROWS: Final = 1000

# What `error` says of a received message that lacks some of its parts.
PARTIAL: Final = "partial"

_set: Final = schema.inbound_set.c
_part: Final = schema.inbound_part.c
_unowned: Final = schema.inbound_unowned.c

NAME: Final = (_set.carrier_id, _set.sender, _set.recipient, _set.reference, _set.total)

# The array decides the order in which locks are taken, the same in every process.
LOCK: Final = text("SELECT pg_advisory_xact_lock(name) FROM unnest(CAST(:names AS bigint[])) AS name")

# The predicate of its index must be there word by word, not as a bound value, for the index to be used.
_DELIVERY_KEY: Final = text("account_id = 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unowned:
    """A message to a number that nobody owns."""

    id: UUID
    carrier_id: int
    sender: str
    recipient: str
    text: str
    partial: bool
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """A set that is dealt with. message_id: what it became, if it became a message; partial: parts of that lack."""

    set_id: UUID
    message_id: UUID | None = None
    partial: bool = False


class ArrivalStore:
    """The statements of what carriers deliver."""

    def __init__(self, database: Database, clock: Clock, mint_id: MintId) -> None:
        self._database = database
        self._clock = clock
        self._mint_id = mint_id

    async def now(self) -> datetime:
        """The instant by the clock that parts wait by: one for all processes, see Database.claims_at."""
        return await self._database.now(self._clock())

    async def keep(self, parts: Sequence[InboundSms], *, patience: timedelta) -> list[PartSet]:
        """Keep parts, each once; the sets among theirs that are closed and not delivered. Every one has `part`.

        patience: how old a set may be that takes another part.
        """
        names, now = {name_of(sms) for sms in parts}, await self.now()
        async with self._database.write() as connection:
            await self._lock(connection, names)
            sorted_ = sort_parts(
                parts,
                seen=await _seen(connection, parts),
                opened=await _opened(connection, names),
                now=now,
                patience=patience,
                mint_id=self._mint_id,
            )
            await self._store(connection, sorted_, now)
            return await _read_sets(connection, sorted_.due)

    async def close_overdue(self, before: datetime, limit: int) -> None:
        """Close the sets, oldest first, whose first part came before that instant."""
        waiting = (
            select(_set.id)
            .where(_set.delivered_at.is_(None), _set.closed_at.is_(None), _set.started_at < before)
            .order_by(_set.started_at, _set.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        now = await self.now()
        async with self._database.write() as connection:
            ids = (await connection.scalars(waiting)).all()
            await self._close(connection, ids, now)

    async def undelivered(self, limit: int) -> list[PartSet]:
        """Sets that are closed and not delivered, oldest first."""
        query = (
            select(_set.id)
            .where(_set.delivered_at.is_(None), _set.closed_at.is_not(None))
            .order_by(_set.started_at, _set.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return await _read_sets(connection, (await connection.scalars(query)).all())

    async def tells_nothing_new(self, parts: PartSet) -> bool:
        """True where another set of the same name, delivered lately, says all that this one says."""
        others = select(_set.id).where(_is_named(parts.name), _set.id != parts.id, _set.delivered_at.is_not(None))
        async with self._database.read() as connection:
            told = await _read_pieces(connection, (await connection.scalars(others)).all())
        return any(set(parts.pieces) <= set(pieces) for pieces in told.values())

    async def finish(self, finished: Sequence[Finished]) -> None:
        """Note that sets need no more; harmless when repeated."""
        if not finished:
            return
        partial = [one.message_id for one in finished if one.partial and one.message_id is not None]
        message, now = schema.message, await self.now()
        async with self._database.write() as connection:
            if partial:
                await connection.execute(update(message).where(message.c.id.in_(partial)).values(error=PARTIAL))
            await connection.execute(
                update(schema.inbound_set)
                .where(_set.id.in_([one.set_id for one in finished]), _set.delivered_at.is_(None))
                .values(delivered_at=now)
            )

    async def keep_unowned(self, unowned: Unowned, delivery: str) -> None:
        """Keep a message to nobody, once for each delivery."""
        row = {
            "id": unowned.id,
            "carrier_id": unowned.carrier_id,
            "sender": unowned.sender,
            "recipient": unowned.recipient,
            "text": unowned.text,
            "partial": unowned.partial,
            "received_at": unowned.received_at,
            "delivery": delivery,
        }
        async with self._database.write() as connection:
            insert_ = self._database.insert
            await connection.execute(insert_(schema.inbound_unowned).on_conflict_do_nothing(), row)

    async def unowned(self, limit: int, after: UUID | None = None) -> list[Unowned]:
        """Messages to nobody, in the order of their arrival; the page behind the one with this id."""
        query = (
            select(
                _unowned.id,
                _unowned.carrier_id,
                _unowned.sender,
                _unowned.recipient,
                _unowned.text,
                _unowned.partial,
                _unowned.received_at,
            )
            .order_by(_unowned.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(_unowned.id > after)
        async with self._database.read() as connection:
            return [Unowned(**row) for row in (await connection.execute(query)).mappings()]

    async def forget(self, deliveries: Sequence[str], carrier_id: int, fingerprints: Sequence[bytes]) -> None:
        """Know these no more, messages by their deliveries and parts by their fingerprints; the rest of them stays."""
        table = schema.idempotency
        async with self._database.write() as connection:
            await connection.execute(delete(table).where(table.c.account_id == DELIVERIES, table.c.key.in_(deliveries)))
            await connection.execute(
                update(schema.inbound_unowned).where(_unowned.delivery.in_(deliveries)).values(delivery=None)
            )
            await _unname(connection, carrier_id, fingerprints)

    async def purge(self, *, keys_before: datetime, sets_before: datetime) -> None:
        """Forget deliveries that came before one instant, and sets that were delivered before the other."""
        while await self._forget_sets(sets_before) == PURGE_ROWS:
            pass
        while await self._forget_keys(keys_before) == PURGE_ROWS:
            pass
        async with self._database.write() as connection:
            await connection.execute(
                update(schema.inbound_unowned)
                .where(_unowned.received_at < keys_before, _unowned.delivery.is_not(None))
                .values(delivery=None)
            )

    async def _forget_sets(self, before: datetime) -> int:
        query = select(_set.id).where(_set.delivered_at < before).limit(PURGE_ROWS).with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            ids = (await connection.scalars(query)).all()
            if ids:
                await connection.execute(delete(schema.inbound_part).where(_part.set_id.in_(ids)))
                await connection.execute(delete(schema.inbound_set).where(_set.id.in_(ids)))
        return len(ids)

    async def _forget_keys(self, before: datetime) -> int:
        table = schema.idempotency
        query = (
            select(table.c.key)
            .where(_DELIVERY_KEY, table.c.created_at < before)
            .order_by(table.c.created_at)
            .limit(PURGE_ROWS)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            keys = (await connection.scalars(query)).all()
            if keys:
                await connection.execute(delete(table).where(table.c.account_id == DELIVERIES, table.c.key.in_(keys)))
        return len(keys)

    async def _lock(self, connection: AsyncConnection, names: Collection[SetName]) -> None:
        """Hold the names of these sets until the transaction ends. SQLite has one writer anyway."""
        if self._database.capabilities.shared:
            await connection.execute(LOCK, {"names": sorted(_lock_number(name) for name in names)})

    async def _store(self, connection: AsyncConnection, sorted_: Sorted, now: datetime) -> None:
        # Closed first: only one set of a name may be open.
        await self._close(connection, [one.id for one in sorted_.sets if one.closed and one.stored], now)
        names = [column.name for column in NAME]
        sets = [
            {
                **dict(zip(names, one.name, strict=True)),
                "id": one.id,
                "started_at": one.started_at,
                "closed_at": now if one.closed else None,
            }
            for one in sorted_.sets
            if not one.stored
        ]
        parts = [
            {
                "carrier_id": part.delivery[0],
                "fingerprint": part.delivery[1],
                "set_id": part.set_id,
                "part_index": part.piece.index,
                "encoding": part.piece.encoding.value,
                "octets": part.piece.octets,
                "received_at": now,
            }
            for part in sorted_.parts
        ]
        await _insert(connection, schema.inbound_set, sets)
        await _insert(connection, schema.inbound_part, parts)

    async def _close(self, connection: AsyncConnection, ids: Sequence[UUID], now: datetime) -> None:
        if ids:
            await connection.execute(
                update(schema.inbound_set).where(_set.id.in_(ids), _set.closed_at.is_(None)).values(closed_at=now)
            )


async def _unname(connection: AsyncConnection, carrier_id: int, fingerprints: Sequence[bytes]) -> None:
    """Give parts fingerprints that no delivery has. They still belong to their sets."""
    query = select(_part.fingerprint, _part.set_id).where(
        _part.carrier_id == carrier_id, _part.fingerprint.in_(fingerprints)
    )
    rows = [
        {"named": fingerprint, "unnamed": fingerprint + set_id.bytes}
        for fingerprint, set_id in await connection.execute(query)
    ]
    if rows:
        await connection.execute(
            update(schema.inbound_part)
            .where(_part.carrier_id == carrier_id, _part.fingerprint == bindparam("named"))
            .values(fingerprint=bindparam("unnamed")),
            rows,
        )


async def _seen(connection: AsyncConnection, parts: Sequence[InboundSms]) -> dict[Delivery, UUID | None]:
    """Deliveries that are there already; with the id of their set where that is closed and not delivered."""
    deliveries: dict[int, set[bytes]] = {}
    for sms in parts:
        deliveries.setdefault(sms.carrier_id, set()).add(sms.fingerprint)
    wanted = (
        (_part.carrier_id == carrier_id) & _part.fingerprint.in_(fingerprints)
        for carrier_id, fingerprints in deliveries.items()
    )
    query = (
        select(_part.carrier_id, _part.fingerprint, _set.id, _set.closed_at, _set.delivered_at)
        .join_from(schema.inbound_part, schema.inbound_set, _set.id == _part.set_id)
        .where(or_(*wanted))
    )
    return {
        (row.carrier_id, row.fingerprint): row.id if row.closed_at is not None and row.delivered_at is None else None
        for row in await connection.execute(query)
    }


async def _opened(connection: AsyncConnection, names: Collection[SetName]) -> dict[SetName, OpenSet]:
    """The open sets with these names, locked against those who would close them for their age."""
    query = (
        select(_set.id, *NAME, _set.started_at)
        .where(or_(*map(_is_named, names)), _set.closed_at.is_(None))
        .with_for_update()
    )
    opened: dict[UUID, OpenSet] = {}
    for set_id, *name, started_at in await connection.execute(query):
        opened[set_id] = OpenSet(set_id, (name[0], name[1], name[2], name[3], name[4]), started_at, stored=True)
    if opened:
        for set_id, pieces in (await _read_pieces(connection, opened)).items():
            opened[set_id].pieces = {piece.index: piece for piece in pieces}
    return {one.name: one for one in opened.values()}


async def _read_sets(connection: AsyncConnection, ids: Collection[UUID]) -> list[PartSet]:
    """The sets with these ids, in the order of their beginning."""
    if not ids:
        return []
    pieces = await _read_pieces(connection, ids)
    query = select(_set.id, *NAME, _set.started_at).where(_set.id.in_(ids)).order_by(_set.started_at, _set.id)
    return [
        PartSet(**row, pieces=tuple(pieces.get(row["id"], ()))) for row in (await connection.execute(query)).mappings()
    ]


async def _read_pieces(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, list[Piece]]:
    """What the parts of these sets say, in order."""
    if not ids:
        return {}
    pieces: dict[UUID, list[Piece]] = {}
    query = (
        select(_part.set_id, _part.part_index, _part.encoding, _part.octets)
        .where(_part.set_id.in_(ids))
        .order_by(_part.set_id, _part.part_index)
    )
    for set_id, index, encoding, octets in await connection.execute(query):
        pieces.setdefault(set_id, []).append(Piece(index, Encoding(encoding), octets))
    return pieces


async def _insert(connection: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(table), rows)


def _is_named(name: SetName) -> ColumnElement[bool]:
    return and_(*(column == value for column, value in zip(NAME, name, strict=True)))


def _lock_number(name: SetName) -> int:
    digest = hashlib.blake2b(repr(name).encode(), digest_size=8, person=b"inbound_set").digest()
    return int.from_bytes(digest, "big", signed=True)

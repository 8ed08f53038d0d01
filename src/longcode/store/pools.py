"""Pools of senders: what belongs to them, and which sender each recipient knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.phone import canonical
from longcode.errors import Duplicate, NotFound, Refused
from longcode.store import schema
from longcode.store.database import Database

_pool, _member, _known = schema.sender_pool.c, schema.pool_sender.c, schema.pool_recipient.c
_number, _sender_id = schema.number.c, schema.sender_id.c


@dataclass(frozen=True, slots=True)
class ListedPool:
    """A pool, with how many senders it has and how many recipients know one of them."""

    name: str
    senders: int
    recipients: int


@dataclass(frozen=True, slots=True)
class PoolSender:
    """One sender of a pool.

    sender: in its canonical form. value: as the account has it. recipients: how many know it. is_number: else
    it is a sender ID. owned: whether it is still the account's.
    """

    sender: str
    value: str
    recipients: int
    is_number: bool
    owned: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A pool as one recipient sees it. sender: the one that wrote before, in its canonical form; None: none did."""

    pool_id: int
    senders: Sequence[PoolSender]
    sender: str | None


class PoolStore:
    """The statements of pools. Each takes the account; one that it has no such pool raises NotFound."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account_id: int, name: str, values: Sequence[str] = ()) -> None:
        """Make a pool of these senders. Raises Duplicate; Refused where the account does not have one of them."""
        table = schema.sender_pool
        async with self._database.write() as connection:
            new = self._insert(table).values(account_id=account_id, name=name, created_at=self._clock())
            added = await connection.execute(new.on_conflict_do_nothing())
            if not added.rowcount:
                raise Duplicate(f"there is a pool {name} already")
            await self._add(connection, account_id, name, values)

    async def remove(self, account_id: int, name: str) -> None:
        """Drop a pool, and which sender its recipients know."""
        async with self._database.write() as connection:
            pool_id = await _pool_id(connection, account_id, name)
            for table in (schema.pool_recipient, schema.pool_sender):
                await connection.execute(delete(table).where(table.c.pool_id == pool_id))
            await connection.execute(delete(schema.sender_pool).where(_pool.id == pool_id))

    async def page(self, account_id: int, *, after: str = "", count: int) -> list[ListedPool]:
        """An account's pools by their names; the page behind a name."""
        query = (
            select(_pool.name, func.count(_member.sender), func.coalesce(func.sum(_member.recipients), 0))
            .join_from(schema.sender_pool, schema.pool_sender, _member.pool_id == _pool.id, isouter=True)
            .where(_pool.account_id == account_id, _pool.name > after)
            .group_by(_pool.name)
            .order_by(_pool.name)
            .limit(count)
        )
        async with self._database.read() as connection:
            return [ListedPool(row[0], row[1], int(row[2])) for row in await connection.execute(query)]

    async def senders(self, account_id: int, name: str) -> list[PoolSender]:
        """A pool's senders, in the order in which they were added."""
        async with self._database.read() as connection:
            return await _senders(connection, account_id, await _pool_id(connection, account_id, name))

    async def add(self, account_id: int, name: str, values: Sequence[str]) -> int:
        """Add senders; how many were not there yet. Raises Refused where the account does not have one of them."""
        async with self._database.write() as connection:
            return await self._add(connection, account_id, name, values)

    async def drop(self, account_id: int, name: str, values: Sequence[str]) -> int:
        """Remove senders; how many. Their recipients get another one with their next message.

        Raises NotFound where one of them is not there; then nothing is changed.
        """
        async with self._database.write() as connection:
            pool_id = await _pool_id(connection, account_id, name)
            found = await connection.execute(select(_member.sender).where(_member.pool_id == pool_id))
            there = set(found.scalars())
            absent = [value for value in values if canonical(value) not in there]
            if absent:
                raise NotFound(f"pool {name} has no {' and no '.join(absent)}")
            gone = await connection.execute(
                delete(schema.pool_sender).where(
                    _member.pool_id == pool_id, _member.sender.in_([canonical(value) for value in values])
                )
            )
            return gone.rowcount

    async def owns(self, account_id: int, value: str) -> bool:
        """Whether a number or sender ID is the account's."""
        async with self._database.read() as connection:
            return await _owns(connection, account_id, value)

    async def known(self, account_id: int, name: str, recipient: str) -> Known:
        """A pool as a recipient, in its canonical form, sees it."""
        async with self._database.read() as connection:
            pool_id = await _pool_id(connection, account_id, name)
            found = await connection.execute(
                select(_known.sender).where(_known.pool_id == pool_id, _known.recipient == recipient)
            )
            senders = await _senders(connection, account_id, pool_id)
            return Known(pool_id, senders, found.scalar_one_or_none())

    async def introduce(self, pool_id: int, recipient: str, sender: str, *, instead_of: str | None) -> str:
        """Let a recipient know a sender from now on; the one that it knows then, which others may have chosen.

        instead_of: the one that it knew.
        """
        table = schema.pool_recipient
        here = (_known.pool_id == pool_id, _known.recipient == recipient)
        async with self._database.write() as connection:
            if instead_of is None:
                new = self._insert(table).values(
                    pool_id=pool_id, recipient=recipient, sender=sender, since=self._clock()
                )
                changed = await connection.execute(new.on_conflict_do_nothing())
            else:
                changed = await connection.execute(
                    update(table).where(*here, _known.sender == instead_of).values(sender=sender, since=self._clock())
                )
            if changed.rowcount:
                for who, step in ((sender, 1), (instead_of, -1)):
                    await connection.execute(
                        update(schema.pool_sender)
                        .where(_member.pool_id == pool_id, _member.sender == who)
                        .values(recipients=_member.recipients + step)
                    )
                return sender
            known: str | None = (await connection.execute(select(_known.sender).where(*here))).scalar_one_or_none()
            return known or sender

    async def _add(self, connection: AsyncConnection, account_id: int, name: str, values: Sequence[str]) -> int:
        pool_id = await _pool_id(connection, account_id, name)
        strangers = [value for value in values if not await _owns(connection, account_id, value)]
        if strangers:
            raise Refused(f"the account may not send as {', '.join(strangers)}")
        added = 0
        for value in values:
            new = self._insert(schema.pool_sender).values(
                pool_id=pool_id, sender=canonical(value), value=value, recipients=0, added_at=self._clock()
            )
            added += (await connection.execute(new.on_conflict_do_nothing())).rowcount
        return added

    def _insert(self, table: Any) -> Any:
        return self._database.insert(table)


async def _pool_id(connection: AsyncConnection, account_id: int, name: str) -> int:
    found = await connection.execute(select(_pool.id).where(_pool.account_id == account_id, _pool.name == name))
    pool_id: int | None = found.scalar_one_or_none()
    if pool_id is None:
        raise NotFound(f"there is no pool {name}")
    return pool_id


async def _senders(connection: AsyncConnection, account_id: int, pool_id: int) -> list[PoolSender]:
    rows = await connection.execute(senders_query(account_id, pool_id))
    return [
        PoolSender(
            row.sender,
            row.number or row.value,
            row.recipients,
            row.number is not None,
            row.number is not None or row.name is not None,
        )
        for row in rows
    ]


def senders_query(account_id: int, pool_id: int) -> Select[Any]:
    """A pool's senders with what the account has of them now: a number as it wrote it, or a sender ID."""
    return (
        select(
            _member.sender,
            _member.value,
            _member.recipients,
            _number.value.label("number"),
            _sender_id.value.label("name"),
        )
        .select_from(schema.pool_sender)
        .outerjoin(
            schema.number,
            and_(_number.digits == _member.sender, _number.assigned, _number.account_id == account_id),
        )
        .outerjoin(schema.sender_id, and_(_sender_id.account_id == account_id, _sender_id.value == _member.value))
        .where(_member.pool_id == pool_id)
        .order_by(_member.added_at, _member.sender)
    )


async def _owns(connection: AsyncConnection, account_id: int, value: str) -> bool:
    number = select(_number.id).where(
        _number.digits == canonical(value), _number.assigned, _number.account_id == account_id
    )
    name = select(_sender_id.id).where(_sender_id.account_id == account_id, _sender_id.value == value)
    for query in (number, name):
        if (await connection.execute(query)).first() is not None:
            return True
    return False

"""Conversations: what one number of an account sent and received.

A conversation is two streams of the message table, one index each, merged by position. Every page
is one statement that reads at most `count` rows of either stream, so its cost does not depend on
the length of the conversation or on how deep in it the page lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union,
    union_all,
)

from longcode.domain.message import Medium
from longcode.domain.phone import canonical
from longcode.store import schema
from longcode.store.database import Database

# Written out: the planner proves a partial index only from a constant, never from a parameter.
IS_SMS = schema.message.c.medium == literal_column(f"'{Medium.SMS.value}'")


class Side(IntEnum):
    """Which stream a line is of. A message to oneself is in both, and was sent before it was received."""

    SENT = 0
    RECEIVED = 1


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The place of one line in its conversation: by time, then by arrival."""

    sent_at_seconds: int
    message_id: UUID
    side: Side


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a conversation. other: the number at the other end, as it was written."""

    position: Position
    other: str
    text: str


class ConversationStore:
    """What an account reads of its conversations. A number is found as it was written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, account_id: int, number: str, position: Position | None, *, count: int) -> list[Line]:
        """The `count` lines that follow position, or the first ones; oldest first."""
        return await self._read(page(account_id, number, position, count=count, backwards=False))

    async def before(self, account_id: int, number: str, position: Position | None, *, count: int) -> list[Line]:
        """The `count` lines that end before position, or the last ones; oldest first."""
        lines = await self._read(page(account_id, number, position, count=count, backwards=True))
        return lines[::-1]

    async def numbers(self, account_id: int, *, after: str = "", count: int) -> list[str]:
        """The numbers, ours and others', that an account's conversations are between, in their order."""
        async with self._database.read() as connection:
            return list(await connection.scalars(numbers_query(account_id, after, count)))

    async def is_assigned(self, account_id: int, number: str) -> bool:
        """Whether the operator assigned the number, in any spelling, to the account."""
        table = schema.number.c
        query = select(
            exists().where(table.account_id == account_id, table.digits == canonical(number), table.assigned)
        )
        async with self._database.read() as connection:
            found: bool = (await connection.execute(query)).scalar_one()
            return found

    async def accounts_of(self, numbers: Sequence[str], *, only: int | None = None) -> list[int]:
        """The accounts in which one of these numbers sent or received; for the operator. only: asks of this one."""
        async with self._database.read() as connection:
            return list(await connection.scalars(accounts_query(numbers, only)))

    async def _read(self, query: Select[Any]) -> list[Line]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Line(Position(row.sent_at_seconds, row.id, Side(row.side)), row.other, row.text) for row in rows]


def accounts_query(numbers: Sequence[str], only: int | None) -> Select[Any]:
    """Two look-ups of an index for each account and number."""
    account, message = schema.account.c, schema.message.c
    there = [
        exists().where(message.account_id == account.id, own == number, IS_SMS)
        for number in numbers
        for own in (message.sender, message.recipient)
    ]
    query = select(account.id).where(or_(*there)).order_by(account.id)
    return query if only is None else query.where(account.id == only)


def page(account_id: int, number: str, position: Position | None, *, count: int, backwards: bool) -> Select[Any]:
    """The statement for one page, in reading order: newest first where it goes backwards."""
    streams = union_all(
        *(
            select(_stream(side, account_id, number, position, count=count, backwards=backwards).subquery())
            for side in Side
        )
    ).subquery("streams")
    order = [streams.c.sent_at_seconds, streams.c.id, streams.c.side]
    return select(streams).order_by(*(column.desc() if backwards else column for column in order)).limit(count)


def numbers_query(account_id: int, after: str, count: int) -> Select[Any]:
    """At most `count` numbers behind one; each costs one step down an index, however many messages it has."""
    sides = union(
        *(
            _distinct(column, account_id, after, count)
            for column in (schema.message.c.sender, schema.message.c.recipient)
        )
    ).subquery("sides")
    return select(sides.c.number).order_by(sides.c.number).limit(count)


def _distinct(column: ColumnElement[str], account_id: int, after: str, count: int) -> Select[Any]:
    """The first distinct values of an indexed column. A plain DISTINCT would read every message."""

    def next_after(value: Any) -> Select[Any]:
        mine = (schema.message.c.account_id == account_id, IS_SMS)
        return select(func.min(column)).where(*mine, column > value)

    walk = select(next_after(after).scalar_subquery().label("number"), literal(1).label("step")).cte(recursive=True)
    step = select(next_after(walk.c.number).scalar_subquery(), walk.c.step + 1)
    walk = walk.union_all(step.where(walk.c.number.is_not(None), walk.c.step < count))
    return select(walk.c.number).where(walk.c.number.is_not(None))


def _stream(
    side: Side, account_id: int, number: str, position: Position | None, *, count: int, backwards: bool
) -> Select[Any]:
    """At most `count` lines of one side, from position on."""
    message = schema.message.c
    own, other = (message.sender, message.recipient) if side is Side.SENT else (message.recipient, message.sender)
    order = (message.sent_at_seconds, message.id)
    query = (
        select(literal_column(str(int(side))).label("side"), other.label("other"), message.text, *order)
        .where(message.account_id == account_id, own == number, IS_SMS)
        .order_by(*(column.desc() if backwards else column for column in order))
        .limit(count)
    )
    if position is None:
        return query
    return query.where(_beyond(side, position, backwards=backwards))


def _beyond(side: Side, position: Position, *, backwards: bool) -> ColumnElement[bool]:
    """That a row of this side lies beyond position; the row of position itself may show its other side yet."""
    message = schema.message.c
    row = tuple_(message.sent_at_seconds, message.id)
    here = tuple_(literal(position.sent_at_seconds, message.sent_at_seconds.type), literal(position.message_id, Uuid))
    if backwards:
        return row <= here if side < position.side else row < here
    return row >= here if side > position.side else row > here

"""Conversations: what one number of an account sent and received.

A conversation is two streams of the message table, one index each, merged by position. Every page
is one statement that reads at most `count` rows of either stream, so its cost does not depend on
the length of the conversation or on how deep in it the page lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, exists, literal, literal_column, select, tuple_, union_all

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

    async def is_assigned(self, account_id: int, number: str) -> bool:
        """Whether the operator assigned the number, in any spelling, to the account."""
        table = schema.number.c
        query = select(
            exists().where(table.account_id == account_id, table.digits == canonical(number), table.assigned)
        )
        async with self._database.read() as connection:
            found: bool = (await connection.execute(query)).scalar_one()
            return found

    async def _read(self, query: Select[Any]) -> list[Line]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Line(Position(row.sent_at_seconds, row.id, Side(row.side)), row.other, row.text) for row in rows]


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

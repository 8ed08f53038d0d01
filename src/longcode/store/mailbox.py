"""Mailboxes: the logins of an account, and the messages from one of them to another.

A box is read in pages, each at the same cost however full it is. Statements that change rows lock them
first, oldest first, so that calls on one box at once wait for each other and never deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.message import Medium
from longcode.errors import Duplicate
from longcode.store import schema
from longcode.store.database import MICROSECOND, Database

PAGE_MESSAGES: Final = 500
# No box holds as many; what lies above means the same, and would not fit into every database's LIMIT.
MAX_INDEX: Final = 2**31 - 1

_box: Final = schema.mailbox.c
_text: Final = schema.message.c.text


@dataclass(frozen=True, slots=True)
class Box:
    """What one login of an account wrote to another: this direction only."""

    account_id: int
    sender: str
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Part of a box, whose messages lie in the order of their instants.

    first, last: instants, both inclusive; None: no bound.
    start, stop: indexes, from 0, into what lies between those; stop is not included, None: no bound.
    """

    first: datetime | None = None
    last: datetime | None = None
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Boxed:
    """One message in a box. at: its instant, which no other message of the box has."""

    at: datetime
    text: str


class MailboxStore:
    """Logins and boxes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def register(self, account_id: int, login: str) -> None:
        """Give the account a login, kept verbatim. Raises Duplicate."""
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(schema.login).values(account_id=account_id, login=login, created_at=self._clock())
                )
        except IntegrityError as error:
            raise Duplicate(f"login {login} is taken") from error

    async def logins(self, account_id: int, wanted: Collection[str]) -> set[str]:
        """Those of `wanted` that are logins of the account."""
        table = schema.login.c
        query = select(table.login).where(table.account_id == account_id, table.login.in_(wanted))
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def holds_any(self, box: Box) -> bool:
        """Whether anything is in a box."""
        async with self._database.read() as connection:
            return (await connection.execute(select(_box.at).where(_in(box)).limit(1))).first() is not None

    async def fetch_new(self, box: Box, part: Range) -> list[Boxed]:
        """The first PAGE_MESSAGES of a part that nobody fetched yet, in order; fetched from now on.

        One transaction: of calls at once exactly one gets each message. Indexes count unfetched messages alone.
        """
        query = (
            _cut(select(_box.at, _text_of(_box.message_id)).where(_in(box), _box.fetched_at.is_(None)), part)
            .order_by(_box.at)
            .with_for_update(of=schema.mailbox)
        )
        async with self._database.write() as connection:
            page = [Boxed(*row) for row in await connection.execute(query)]
            await self._mark(connection, box, [boxed.at for boxed in page])
        return page

    async def fetch(self, box: Box, part: Range) -> list[Boxed]:
        """The first PAGE_MESSAGES of a part, fetched or not, in order; fetched from now on."""
        # The texts are looked up outside, lest they are for what `start` skips as well.
        page = _cut(select(_box.at, _box.message_id, _box.fetched_at).where(_in(box)), part).order_by(_box.at)
        lines = page.subquery("page")
        query = select(lines.c.at, _text_of(lines.c.message_id), lines.c.fetched_at).order_by(lines.c.at)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        new = [row.at for row in rows if row.fetched_at is None]
        if new:
            async with self._database.write() as connection:
                query = _lock(box, new).where(_box.fetched_at.is_(None))
                await self._mark(connection, box, [row.at for row in await connection.execute(query)])
        return [Boxed(at, text) for at, text, _ in rows]

    async def delete(self, box: Box, instants: Collection[datetime]) -> int:
        """Delete the messages at these instants, all or none; how many there were."""
        deleted = 0
        ordered = iter(sorted(set(instants)))
        async with self._database.write() as connection:
            while chunk := list(islice(ordered, PAGE_MESSAGES)):
                rows = (await connection.execute(_lock(box, chunk))).all()
                if not rows:
                    continue
                deleted += len(rows)
                await connection.execute(delete(schema.mailbox).where(_in(box), _box.at.in_([row.at for row in rows])))
                # A text message that was delivered into the box stays in its conversation.
                await connection.execute(
                    delete(schema.message).where(
                        schema.message.c.id.in_([row.message_id for row in rows]),
                        schema.message.c.medium == Medium.MAILBOX.value,
                    )
                )
        return deleted

    async def _mark(self, connection: AsyncConnection, box: Box, instants: Sequence[datetime]) -> None:
        if instants:
            await connection.execute(
                update(schema.mailbox).where(_in(box), _box.at.in_(instants)).values(fetched_at=self._clock())
            )


def following(part: Range, page: Sequence[Boxed]) -> Range | None:
    """What is left of a part after one page of it; None where that was its end."""
    left = None if part.stop is None else part.stop - part.start - len(page)
    if len(page) < PAGE_MESSAGES or left == 0:
        return None
    return Range(first=page[-1].at + MICROSECOND, last=part.last, stop=left)


def _in(box: Box) -> ColumnElement[bool]:
    return (_box.account_id == box.account_id) & (_box.recipient == box.recipient) & (_box.sender == box.sender)


def _cut(query: Select[Any], part: Range) -> Select[Any]:
    """The query for one page of a part."""
    if part.first is not None:
        query = query.where(_box.at >= part.first)
    if part.last is not None:
        query = query.where(_box.at <= part.last)
    count = PAGE_MESSAGES if part.stop is None else min(PAGE_MESSAGES, max(0, part.stop - part.start))
    query = query.limit(count)
    return query.offset(min(part.start, MAX_INDEX)) if part.start else query


def _text_of(message_id: ColumnElement[Any]) -> ColumnElement[str]:
    """The text of a message, looked up for each row: a join could be planned as a scan of all messages.

    Nothing for one that was deleted for good and lay in two boxes.
    """
    text = select(_text).where(schema.message.c.id == message_id).scalar_subquery()
    return func.coalesce(text, "").label("text")


def _lock(box: Box, instants: Sequence[datetime]) -> Select[Any]:
    return (
        select(_box.at, _box.message_id)
        .where(_in(box), _box.at.in_(instants))
        .order_by(_box.at)
        .with_for_update(of=schema.mailbox)
    )

"""Mailboxes as whoever owns them follows them: read without a mark, acknowledged up to a place, cleared.

A box is named by a login or by a number, as the operator wrote it, and holds what came to it from everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Select, Uuid, delete, exists, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.message import Medium, Message
from longcode.store import schema
from longcode.store.commit_order import START, Place, behind, horizon, settled
from longcode.store.database import Database, to_micros
from longcode.store.messages import read_many
from longcode.store.uuids import LAST_ID

_box: Final = schema.mailbox.c
_ack: Final = schema.mailbox_ack.c


@dataclass(frozen=True, slots=True)
class BoxedMessage:
    """A message in a box. message: None where it was deleted meanwhile."""

    place: Place
    message: Message | None


class BoxStore:
    """Boxes of an account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def exists(self, account_id: int, name: str) -> bool:
        """Whether the account has a login or an assigned number of this name, or messages in such a box."""
        login, number = schema.login.c, schema.number.c
        query = select(
            exists().where(login.account_id == account_id, login.login == name)
            | exists().where(number.account_id == account_id, number.value == name, number.assigned)
            | exists().where(_box.account_id == account_id, _box.recipient == name)
        )
        async with self._database.read() as connection:
            return bool((await connection.execute(query)).scalar_one())

    async def logins(self, account_id: int, *, after: str = "", count: int) -> list[str]:
        """An account's logins by name."""
        table = schema.login.c
        query = select(table.login).where(table.account_id == account_id, table.login > after)
        async with self._database.read() as connection:
            return list(await connection.scalars(query.order_by(table.login).limit(count)))

    async def page(self, account_id: int, name: str, *, after: Place, count: int) -> list[BoxedMessage]:
        """The messages behind a place, in the order in which they were committed."""
        async with self._database.read() as connection:
            rows = (await connection.execute(box_query(connection, account_id, name, after, count))).all()
            messages = await read_many(connection, [row.message_id for row in rows])
        return [BoxedMessage(Place(row.xact, row.message_id), messages.get(row.message_id)) for row in rows]

    async def acked(self, account_id: int, name: str) -> Place:
        """How far a box was acknowledged."""
        query = select(_ack.xact, _ack.message_id).where(_ack.account_id == account_id, _ack.recipient == name)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return START if row is None else Place(row.xact, row.message_id)

    async def ack(self, account_id: int, name: str, place: Place) -> Place:
        """Acknowledge a box up to a place; how far it is acknowledged now: never less than before.

        A place beyond the end of the box means its end: nobody acknowledges what is still to come.
        """
        insert_ = self._database.insert
        now = self._clock()
        before = tuple_(_ack.xact, _ack.message_id)
        async with self._database.write() as connection:
            place = min(place, await _end(connection, account_id, name, now))
            values = {"xact": place.xact, "message_id": place.id, "acked_at": now}
            new = insert_(schema.mailbox_ack).values(account_id=account_id, recipient=name, **values)
            here = tuple_(literal(place.xact, BigInteger), literal(place.id, Uuid))
            await connection.execute(
                new.on_conflict_do_update(
                    index_elements=[_ack.account_id, _ack.recipient], set_=values, where=before < here
                )
            )
        return await self.acked(account_id, name)

    async def delete(self, account_id: int, name: str, places: Sequence[Place]) -> int:
        """Take messages out of a box; how many were there. Text messages stay in their conversations."""
        wanted = [tuple_(literal(one.xact, BigInteger), literal(one.id, Uuid)) for one in places]
        here = (_box.account_id == account_id, _box.recipient == name)
        async with self._database.write() as connection:
            gone = list(
                await connection.scalars(
                    delete(schema.mailbox)
                    .where(*here, tuple_(_box.xact, _box.message_id).in_(wanted))
                    .returning(_box.message_id)
                )
            )
            if gone:
                message = schema.message.c
                mail = message.medium == Medium.MAILBOX.value
                await connection.execute(delete(schema.message).where(message.id.in_(gone), mail))
        return len(gone)


async def _end(connection: AsyncConnection, account_id: int, name: str, now: datetime) -> Place:
    """A place behind all that a reader of a box may have seen, and before all that is still to come."""
    if connection.dialect.name != "sqlite":
        return Place((await connection.execute(select(horizon()))).scalar_one() - 1, LAST_ID)
    newest = select(func.max(_box.xact)).where(_box.account_id == account_id, _box.recipient == name)
    return Place(max(await connection.scalar(newest) or 0, to_micros(now)), LAST_ID)


def box_query(connection: AsyncConnection, account_id: int, name: str, after: Place, count: int) -> Select[Any]:
    """A page of a box: a walk along its index."""
    order = (_box.account_id, _box.recipient, _box.xact, _box.message_id)
    return (
        select(_box.xact, _box.message_id)
        .where(
            _box.account_id == account_id,
            _box.recipient == name,
            behind(_box.xact, _box.message_id, after),
            settled(connection, _box.xact),
        )
        .order_by(*order)
        .limit(count)
    )

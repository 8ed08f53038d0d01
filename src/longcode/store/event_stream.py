"""An account's events, for one who follows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.events import Event, EventType
from longcode.store import schema
from longcode.store.commit_order import Place, behind, horizon, settled
from longcode.store.database import Database
from longcode.store.events import listen, opt_out_change
from longcode.store.messages import read_many
from longcode.store.uuids import FIRST_ID

_event: Final = schema.event.c


@dataclass(frozen=True, slots=True)
class Told:
    """An event and where it stands."""

    place: Place
    event: Event


class EventStream:
    """Reads in the order of commits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, account_id: int) -> Place:
        """Let events of an account be written from now on; the place behind what was written before."""
        async with self._database.write() as connection:
            await listen(connection, account_id)
        async with self._database.read() as connection:
            if connection.dialect.name != "sqlite":
                xmin: int = (await connection.execute(select(horizon()))).scalar_one()
                return Place(xmin - 1, FIRST_ID)
            last = await connection.scalar(select(func.max(_event.xact)).where(_event.account_id == account_id))
            return Place((last or 0) + 1, FIRST_ID)

    async def page(self, account_id: int, *, after: Place, count: int) -> list[Told]:
        """The events behind a place, each message as it is now."""
        async with self._database.read() as connection:
            rows = (await connection.execute(stream_query(connection, account_id, after, count))).all()
            messages = await read_many(connection, [row.message_id for row in rows if row.message_id is not None])
        return [
            Told(
                Place(row.xact, row.id),
                Event(
                    id=row.id,
                    type=EventType(row.type),
                    occurred_at=row.occurred_at,
                    message_id=row.message_id,
                    message=messages.get(row.message_id),
                    error=row.error,
                    opt_out=None if row.data is None else opt_out_change(row.data),
                ),
            )
            for row in rows
        ]


def stream_query(connection: AsyncConnection, account_id: int, after: Place, count: int) -> Select[Any]:
    """A page of the stream: a walk along its index."""
    return (
        select(
            _event.xact,
            _event.id,
            _event.type,
            _event.message_id,
            _event.error,
            _event.data,
            _event.occurred_at,
        )
        .where(
            _event.account_id == account_id,
            behind(_event.xact, _event.id, after),
            settled(connection, _event.xact),
        )
        .order_by(_event.account_id, _event.xact, _event.id)
        .limit(count)
    )

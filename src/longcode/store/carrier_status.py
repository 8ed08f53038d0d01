"""How carriers are doing: what processes say of their links, and what waits for each carrier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, delete, func, literal, select

from longcode.store import schema
from longcode.store.database import Database

# How far a queue is counted, and how many (priority, account) pairs are looked at for its oldest row.
COUNTED: Final = 10_000
PAIRS: Final = 1_000
FORGOTTEN_AFTER: Final = timedelta(hours=1)
# Processes report every second; one that fell silent this long ago says nothing of now.
STALE_AFTER: Final = timedelta(seconds=10)

_outbox = schema.outbox.c


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What one process said of a carrier's links last.

    status: `binds`, a list with one record a bind: its name, state, since, last_error and counters.
    """

    process: str
    status: Mapping[str, Any]
    updated_at: datetime

    @property
    def binds(self) -> list[Mapping[str, Any]]:
        """Its binds, as far as they can be read."""
        binds = self.status.get("binds")
        return [bind for bind in binds if isinstance(bind, Mapping)] if isinstance(binds, list) else []

    def is_stale(self, now: datetime) -> bool:
        """Whether it fell silent."""
        return now - self.updated_at > STALE_AFTER


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits for a carrier. waiting: counted up to COUNTED + 1. oldest_due_at: None where nothing waits."""

    waiting: int
    oldest_due_at: datetime | None


class CarrierStatusStore:
    """How carriers are doing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def processes(self, carrier_id: int) -> list[ProcessStatus]:
        """What processes said of a carrier, each the last time, by their names."""
        table = schema.carrier_status.c
        query = (
            select(table.process, table.status, table.updated_at)
            .where(table.carrier_id == carrier_id)
            .order_by(table.process)
        )
        async with self._database.read() as connection:
            return [ProcessStatus(*row) for row in await connection.execute(query)]

    async def by_carrier(self) -> dict[int, list[ProcessStatus]]:
        """The same of all carriers, by their ids; a carrier of which nothing was said is not among them."""
        table = schema.carrier_status.c
        query = select(table.carrier_id, table.process, table.status, table.updated_at).order_by(table.process)
        found: dict[int, list[ProcessStatus]] = {}
        async with self._database.read() as connection:
            for carrier_id, *said in await connection.execute(query):
                found.setdefault(carrier_id, []).append(ProcessStatus(*said))
        return found

    async def report(self, carrier_id: int, process: str, status: Mapping[str, Any], now: datetime) -> None:
        """Keep what a process says of a carrier's links; forget processes that fell silent long ago."""
        table = schema.carrier_status
        insert_ = self._database.insert
        values = {"status": dict(status), "updated_at": now}
        statement = insert_(table).values(carrier_id=carrier_id, process=process, **values)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=table.primary_key, set_=values))
            await connection.execute(
                delete(table).where(table.c.carrier_id == carrier_id, table.c.updated_at < now - FORGOTTEN_AFTER)
            )

    async def depth(self, carrier_id: int | None) -> QueueDepth:
        """What waits for a carrier, or (None) for a route, at a cost that a long queue does not raise."""
        some = select(_outbox.message_id).where(_outbox.carrier_id == carrier_id).limit(COUNTED + 1).subquery()
        async with self._database.read() as connection:
            waiting: int = (await connection.execute(select(func.count()).select_from(some))).scalar_one()
        return QueueDepth(waiting, await self._oldest(carrier_id) if waiting else None)

    async def _oldest(self, carrier_id: int | None) -> datetime | None:
        """The earliest due time: the least of each (priority, account), which the index has in front."""
        async with self._database.read() as connection:
            found: datetime | None = (await connection.execute(_oldest_query(carrier_id))).scalar_one()
            return found


def _oldest_query(carrier_id: int | None) -> Select[Any]:
    """Walks from pair to pair within the server, PAIRS of them at most.

    The next account of a priority, else the first of the next: of both at once SQLite would look through all between.
    """

    def head(of: FromClause, *behind: ColumnElement[bool]) -> Select[tuple[UUID]]:
        order = (of.c.priority, of.c.account_id, of.c.due_at)
        return select(of.c.message_id).where(of.c.carrier_id == carrier_id, *behind).order_by(*order).limit(1)

    outbox = schema.outbox
    columns = (_outbox.priority, _outbox.account_id, _outbox.due_at)
    first = head(outbox.alias()).scalar_subquery()
    walk = select(*columns, literal(1).label("place")).where(_outbox.message_id == first).cte(recursive=True)
    here, lower = outbox.alias(), outbox.alias()
    following = func.coalesce(
        head(here, here.c.priority == walk.c.priority, here.c.account_id > walk.c.account_id)
        .correlate(walk)
        .scalar_subquery(),
        head(lower, lower.c.priority > walk.c.priority).correlate(walk).scalar_subquery(),
    )
    onward = walk.join(outbox, _outbox.message_id == following)
    step = select(*columns, walk.c.place + 1).select_from(onward).where(walk.c.place < PAIRS)
    walk = walk.union_all(step)
    return select(func.min(walk.c.due_at))

"""Circuits: carriers that are left alone for a while because they fault, as all processes know them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.store import schema
from longcode.store.database import Database
from longcode.store.versions import bump_version


@dataclass(frozen=True, slots=True)
class Circuit:
    """A carrier's open circuit.

    cause: the code of its last fault. until: nothing goes to it before; then one message tries it.
    openings: how often in a row it was opened.
    """

    carrier_id: int
    cause: str
    opened_at: datetime
    until: datetime
    openings: int

    def is_open(self, now: datetime) -> bool:
        """Whether it is left alone; else it may be tried."""
        return now < self.until


class CircuitStore:
    """Opens, tries and closes circuits. A change moves the catalogue's version on, so that everybody hears of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, carrier_id: int, cause: str, *, now: datetime, pause: timedelta, after: int) -> bool:
        """Open a carrier's circuit for `pause`, or open it again after a try; False where others did already.

        after: how often in a row it was opened before, as the caller knows it.
        """
        table = schema.carrier_circuit
        new = {"cause": cause, "until": now + pause, "openings": after + 1, "probe_until": None}
        insert_ = self._database.insert
        async with self._database.write() as connection:
            if after:
                again = update(table).where(table.c.carrier_id == carrier_id, table.c.openings == after).values(**new)
                changed = await connection.execute(again)
            else:
                first = insert_(table).values(carrier_id=carrier_id, opened_at=now, **new).on_conflict_do_nothing()
                changed = await connection.execute(first)
            if not changed.rowcount:
                return False
            await bump_version(connection)
        return True

    async def close(self, carrier_id: int) -> bool:
        """Let a carrier have everything again; False where it had."""
        table = schema.carrier_circuit
        async with self._database.write() as connection:
            gone = await connection.execute(delete(table).where(table.c.carrier_id == carrier_id))
            if not gone.rowcount:
                return False
            await bump_version(connection)
        return True

    async def take_probe(self, carrier_id: int, *, now: datetime, lease: timedelta) -> bool:
        """Whether the caller is the one that tries the carrier, for as long as the lease."""
        table = schema.carrier_circuit
        free = or_(table.c.probe_until.is_(None), table.c.probe_until <= now)
        async with self._database.write() as connection:
            taken = await connection.execute(
                update(table)
                .where(table.c.carrier_id == carrier_id, table.c.until <= now, free)
                .values(probe_until=now + lease)
            )
            return bool(taken.rowcount)


async def read_circuits(connection: AsyncConnection) -> dict[int, Circuit]:
    """Every open circuit, by carrier."""
    table = schema.carrier_circuit.c
    query = select(table.carrier_id, table.cause, table.opened_at, table.until, table.openings)
    return {row.carrier_id: Circuit(*row) for row in await connection.execute(query)}

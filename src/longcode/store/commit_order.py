"""Reading in the order of commits, so that one who follows a list by a cursor misses nothing that commits late.

On PostgreSQL rows carry the id of their transaction, and readers stop at the oldest one that still runs. On SQLite
one transaction commits after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Text, Uuid, cast, func, literal, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.store import schema
from longcode.store.uuids import FIRST_ID


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands in the order of commits."""

    xact: int
    id: UUID


START: Final = Place(-1, FIRST_ID)


def behind(xact: ColumnElement[int], id_: ColumnElement[UUID], place: Place) -> ColumnElement[bool]:
    """That a row comes after a place."""
    here = tuple_(literal(place.xact, BigInteger), literal(place.id, Uuid))
    return tuple_(xact, id_) > here


def settled(connection: AsyncConnection, xact: ColumnElement[int]) -> ColumnElement[bool]:
    """That nothing can commit any more that would come before a row."""
    return true() if connection.dialect.name == "sqlite" else xact < horizon()


def horizon() -> ColumnElement[int]:
    """The oldest transaction that still runs, on PostgreSQL."""
    return cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)


def box_xact(connection: AsyncConnection, account_id: Any, recipient: Any, moment: Any) -> ColumnElement[int]:
    """What orders a new row of a mailbox. moment: microseconds since 1970.

    On SQLite more than whatever the box has, had been acknowledged of it, or may have been deleted from it.
    """
    if connection.dialect.name != "sqlite":
        return cast(cast(func.pg_current_xact_id(), Text), BigInteger)
    box, ack = schema.mailbox.c, schema.mailbox_ack.c
    newest = select(func.max(box.xact)).where(box.account_id == account_id, box.recipient == recipient)
    acked = select(ack.xact).where(ack.account_id == account_id, ack.recipient == recipient)
    return func.max(
        func.coalesce(newest.scalar_subquery(), 0) + 1, func.coalesce(acked.scalar_subquery(), 0) + 1, moment
    )

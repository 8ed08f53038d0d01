"""What an account sent and received, day by day (UTC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Uuid, func, literal, select, tuple_

from longcode.domain.message import Direction, Medium
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.money import from_millionths
from longcode.store.uuids import first_id

_message: Final = schema.message.c
_usage: Final = schema.account_usage.c
# As UUIDv7 count: their milliseconds stand above 80 other bits.
_DAY: Final = 86_400_000 << 80


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """One day. Segments as accept counts them. cost: by the routes' costs; None where no route has one."""

    day: date
    sent_messages: int
    sent_segments: int
    received_messages: int
    received_segments: int
    cost: Decimal | None


class UsageStore:
    """Reads of an account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def days(self, account_id: int, days: Sequence[date]) -> list[DayUsage]:
        """These days, in their order; a message is of the day on which it was accepted or came."""
        async with self._database.read() as connection:
            spent = await connection.execute(
                select(_usage.day, _usage.spend_micros).where(_usage.account_id == account_id, _usage.day.in_(days))
            )
            costs = {row.day: from_millionths(row.spend_micros) for row in spent}
            found = []
            for day in days:
                rows = await connection.execute(day_query(account_id, day))
                counts = {row.direction: (row.messages, int(row.segments)) for row in rows}
                sent = counts.get(Direction.OUTBOUND.value, (0, 0))
                received = counts.get(Direction.INBOUND.value, (0, 0))
                found.append(
                    DayUsage(
                        day=day,
                        sent_messages=sent[0],
                        sent_segments=sent[1],
                        received_messages=received[0],
                        received_segments=received[1],
                        cost=costs.get(day),
                    )
                )
        return found


def day_query(account_id: int, day: date) -> Select[Any]:
    """One day's messages: ids are UUIDv7, so that a day is a range of the account's index.

    Not `= 'sms'`: that would let the indexes of conversations in, which are in another order.
    """
    begin = first_id(datetime.combine(day, datetime.min.time(), UTC))
    end = UUID(int=begin.int + _DAY)  # calendars have no day after their last
    place = tuple_(_message.account_id, _message.id)
    first, last = (tuple_(literal(account_id, _message.account_id.type), literal(id_, Uuid)) for id_ in (begin, end))
    return (
        select(
            _message.direction,
            func.count().label("messages"),
            func.sum(_message.segment_count).label("segments"),
        )
        .where(place >= first, place < last, _message.medium != Medium.MAILBOX.value)
        .group_by(_message.direction)
    )

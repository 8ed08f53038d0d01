"""What accounts may send at most: caps a day and destinations, and what was sent of a day's caps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.store import schema
from longcode.store.database import Database
from longcode.store.money import from_millionths, to_millionths
from longcode.store.versions import bump_version


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What one account may send at most.

    segments_per_day, spend_per_day: in a day of UTC; None: without a bound. The spend is in the currency of
    the routes' costs. destinations: prefixes of the recipients that it may write to, as digits; empty: all.
    """

    segments_per_day: int | None = None
    spend_per_day: Decimal | None = None
    destinations: tuple[str, ...] = ()

    @property
    def capped(self) -> bool:
        """Whether what it sends is counted."""
        return self.segments_per_day is not None or self.spend_per_day is not None

    def allows(self, digits: str) -> bool:
        """Whether it may write to a recipient, given as digits."""
        return not self.destinations or digits.startswith(self.destinations)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was accepted of an account in one day."""

    segments: int = 0
    spend: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one message counts against its account's caps, in the transaction that stores it."""

    day: date
    segments: int
    spend: Decimal
    limits: AccountLimits


class LimitStore:
    """Accounts' limits and usage."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, account_id: int, limits: AccountLimits) -> None:
        """Give an account these limits instead of those that it has."""
        table = schema.account_limit
        spend = limits.spend_per_day
        values = {
            "segments_per_day": limits.segments_per_day,
            "spend_per_day_micros": None if spend is None else to_millionths(spend),
            "destinations": list(limits.destinations),
        }
        insert_ = self._database.insert
        async with self._database.write() as connection:
            if limits == AccountLimits():
                await connection.execute(delete(table).where(table.c.account_id == account_id))
            else:
                new = insert_(table).values(account_id=account_id, **values)
                await connection.execute(new.on_conflict_do_update(index_elements=[table.c.account_id], set_=values))
            await bump_version(connection)

    async def usage(self, account_ids: Collection[int], day: date) -> dict[int, Usage]:
        """What was accepted of accounts in a day, by their ids; of one without caps that day nothing is known."""
        async with self._database.read() as connection:
            return await read_usage(connection, account_ids, day)


async def read_limits(connection: AsyncConnection) -> dict[int, AccountLimits]:
    """Every account's limits; of one without any there is nothing."""
    table = schema.account_limit.c
    query = select(table.account_id, table.segments_per_day, table.spend_per_day_micros, table.destinations)
    return {
        account_id: AccountLimits(
            segments_per_day=segments,
            spend_per_day=None if spend is None else from_millionths(spend),
            destinations=tuple(destinations),
        )
        for account_id, segments, spend, destinations in await connection.execute(query)
    }


async def read_usage(connection: AsyncConnection, account_ids: Collection[int], day: date) -> dict[int, Usage]:
    """As LimitStore.usage."""
    table = schema.account_usage.c
    query = select(table.account_id, table.segments, table.spend_micros).where(
        table.account_id.in_(account_ids), table.day == day
    )
    return {row[0]: Usage(row[1], from_millionths(row[2])) for row in await connection.execute(query)}


# Added to the insert of accept where a message in it counts. The table's own checks refuse what goes over a cap,
# and with it the whole statement, so nothing is ever counted that is not stored.
COUNT: Final = """, counted AS (
    INSERT INTO account_usage (account_id, day, segments, spend_micros, segments_cap, spend_cap_micros)
    SELECT account_id, day, sum(segments), sum(spend), max(segments_cap), max(spend_cap)
      FROM unnest($28::uuid[], $29::bigint[], $30::date[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[])
        AS c(message_id, account_id, day, segments, spend, segments_cap, spend_cap)
     WHERE message_id IN (SELECT id FROM stored)
     GROUP BY account_id, day
     ORDER BY account_id, day
    ON CONFLICT (account_id, day) DO UPDATE
       SET segments = account_usage.segments + excluded.segments,
           spend_micros = account_usage.spend_micros + excluded.spend_micros,
           segments_cap = excluded.segments_cap, spend_cap_micros = excluded.spend_cap_micros
)
"""


def count_columns(charges: Sequence[tuple[UUID, int, Charge]]) -> list[list[Any]]:
    """The columns of COUNT. charges: of messages, each with its account."""
    rows = [(message_id, *_values(account_id, charge)) for message_id, account_id, charge in charges]
    return [list(column) for column in zip(*rows, strict=True)]


async def count_plain(connection: AsyncConnection, charges: Sequence[tuple[UUID, int, Charge]]) -> None:
    """As COUNT does, where one writer has the database to itself."""
    table = schema.account_usage
    names = ("account_id", "day", "segments", "spend_micros", "segments_cap", "spend_cap_micros")
    for _, account_id, charge in charges:
        new = sqlite_insert(table).values(dict(zip(names, _values(account_id, charge), strict=True)))
        await connection.execute(
            new.on_conflict_do_update(
                index_elements=[table.c.account_id, table.c.day],
                set_={
                    "segments": table.c.segments + new.excluded.segments,
                    "spend_micros": table.c.spend_micros + new.excluded.spend_micros,
                    "segments_cap": new.excluded.segments_cap,
                    "spend_cap_micros": new.excluded.spend_cap_micros,
                },
            )
        )


def is_over_cap(error: BaseException) -> bool:
    """True where a message went over a cap of its account."""
    cause: BaseException | None = error
    while cause is not None:
        if "ck_account_usage_" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _values(account_id: int, charge: Charge) -> tuple[Any, ...]:
    limits = charge.limits
    cap = None if limits.spend_per_day is None else to_millionths(limits.spend_per_day)
    return account_id, charge.day, charge.segments, to_millionths(charge.spend), limits.segments_per_day, cap

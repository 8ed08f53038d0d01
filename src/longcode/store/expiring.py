"""The statements of the expiring state that lives in tables: STOP pairs, sender windows and buckets.

Rows go in as one JSON array, so that each statement is one text whatever their number. Every
statement that locks rows takes them in one order, pairs before windows, so that processes that
settle at once wait for each other and never deadlock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, TextClause, bindparam, delete, literal_column, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.store import schema
from longcode.store.database import Instant, to_micros

# (account, sender, recipient), and (account, sender).
PairKey = tuple[int, str, str]
WindowKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many of the calls offered fitted into a sender's window, and when it ends."""

    admitted: int
    expires_at: datetime


# The array :rows as a table, in each database's own way.
GIVEN: Final = {
    "postgresql": """json_to_recordset(CAST(:rows AS json)) AS given
        (n integer, account_id bigint, sender text, recipient text, calls integer, expires_at timestamptz)""",
    "sqlite": """(SELECT json_extract(value, '$.n') AS n, json_extract(value, '$.account_id') AS account_id,
        json_extract(value, '$.sender') AS sender, json_extract(value, '$.recipient') AS recipient,
        json_extract(value, '$.calls') AS calls, json_extract(value, '$.expires_at') AS expires_at
        FROM json_each(:rows)) AS given""",
}


def _statement(words: str, *, instants: tuple[str, ...] = ()) -> dict[str, TextClause]:
    """One text for each database. instants: the binds that are Instants."""
    binds = [bindparam(name, type_=Instant()) for name in instants]
    return {name: text(words.format(given=given)).bindparams(*binds) for name, given in GIVEN.items()}


# OFFSET keeps PostgreSQL from turning the look-up into a join, and that into a scan.
HELD: Final = _statement(
    """
    SELECT given.n FROM {given} WHERE EXISTS (
        SELECT 1 FROM stop_pair AS pair
        WHERE pair.account_id = given.account_id AND pair.sender = given.sender
            AND pair.recipient = given.recipient AND pair.expires_at > :now
        LIMIT 1 OFFSET 0)
    """,
    instants=("now",),
)

KEEP: Final = _statement(
    """
    INSERT INTO stop_pair (account_id, sender, recipient, expires_at)
    SELECT account_id, sender, recipient, expires_at FROM {given} WHERE true ORDER BY n
    ON CONFLICT (account_id, sender, recipient) DO UPDATE SET expires_at = excluded.expires_at
    WHERE excluded.expires_at > stop_pair.expires_at
    """
)

# A full window is not written to, but locked: its end stays what it is until we have read it.
COUNT: Final = _statement(
    """
    INSERT INTO sender_window (account_id, sender, calls, expires_at)
    SELECT account_id, sender, calls, :end FROM {given} WHERE true ORDER BY n
    ON CONFLICT (account_id, sender) DO UPDATE SET
        calls = excluded.calls + CASE WHEN sender_window.expires_at > :now THEN sender_window.calls ELSE 0 END,
        expires_at = CASE WHEN sender_window.expires_at > :now
            THEN sender_window.expires_at ELSE excluded.expires_at END
    WHERE sender_window.calls < :limit OR sender_window.expires_at <= :now
    RETURNING account_id, sender, calls, expires_at
    """,
    instants=("now", "end"),
)

ENDS: Final = _statement(
    """
    SELECT given.n, (
        SELECT opened.expires_at FROM sender_window AS opened
        WHERE opened.account_id = given.account_id AND opened.sender = given.sender) AS expires_at
    FROM {given}
    """
)

CUT: Final = text("UPDATE sender_window SET calls = :limit WHERE account_id = :account_id AND sender = :sender")

GIVE_BACK: Final = text(
    """
    UPDATE sender_window SET
        expires_at = CASE WHEN calls > :back THEN expires_at ELSE :now END,
        calls = CASE WHEN calls > :back THEN calls - :back ELSE 0 END
    WHERE account_id = :account_id AND sender = :sender AND expires_at > :now
    """
).bindparams(bindparam("now", type_=Instant()))


# The update changes nothing: it locks the rows that are there already, in the names' order.
HOLD: Final = {
    "postgresql": text(
        """
        INSERT INTO pace_bucket (name, full_at)
        SELECT name, to_timestamp(0) FROM unnest(CAST(:names AS text[])) AS given(name)
        ON CONFLICT (name) DO UPDATE SET full_at = pace_bucket.full_at
        RETURNING name, full_at, clock_timestamp() AS now
        """
    ).columns(full_at=Instant(), now=Instant()),
    "sqlite": text(
        """
        INSERT INTO pace_bucket (name, full_at) SELECT value, 0 FROM json_each(:names) WHERE true
        ON CONFLICT (name) DO UPDATE SET full_at = pace_bucket.full_at
        RETURNING name, full_at, :now AS now
        """
    )
    .bindparams(bindparam("now", type_=Instant()))
    .columns(full_at=Instant(), now=Instant()),
}

KEEP_BUCKET: Final = text("UPDATE pace_bucket SET full_at = :full_at WHERE name = :name").bindparams(
    bindparam("full_at", type_=Instant())
)


async def find_held(connection: AsyncConnection, pairs: Sequence[PairKey], *, now: datetime) -> set[PairKey]:
    """Those of pairs that hold now."""
    rows = [_pair_row(n, pair) for n, pair in enumerate(pairs)]
    statement = HELD[connection.dialect.name]
    found = await connection.execute(statement, {"rows": json.dumps(rows), "now": now})
    return {pairs[n] for (n,) in found}


async def keep(connection: AsyncConnection, ends: Mapping[PairKey, datetime]) -> None:
    """Keep each pair until its instant, or longer where it holds longer."""
    rows = [
        _pair_row(n, pair) | {"expires_at": _in_json(connection, ends[pair])} for n, pair in enumerate(sorted(ends))
    ]
    await connection.execute(KEEP[connection.dialect.name], {"rows": json.dumps(rows)})


async def count(
    connection: AsyncConnection, calls: Mapping[WindowKey, int], *, limit: int, now: datetime, end: datetime
) -> dict[WindowKey, Counted]:
    """Count so many calls of each sender, at least one, as far as the limit allows.

    A window that has ended, or was never opened, opens now and ends at `end`.
    """
    rows = [_window_row(n, window) | {"calls": calls[window]} for n, window in enumerate(sorted(calls))]
    values = {"rows": json.dumps(rows), "limit": limit, "now": now, "end": end}
    statement = COUNT[connection.dialect.name].columns(expires_at=Instant())
    counted: dict[WindowKey, Counted] = {}
    for account_id, sender, total, expires_at in await connection.execute(statement, values):
        window = (account_id, sender)
        before = total - calls[window]
        counted[window] = Counted(min(calls[window], limit - before), expires_at)
    await _cut(connection, [window for window in counted if counted[window].admitted < calls[window]], limit=limit)
    return counted | await _full(connection, sorted(calls.keys() - counted.keys()))


async def give_back(connection: AsyncConnection, calls: Mapping[WindowKey, int], *, now: datetime) -> None:
    """Take so many calls of each sender, one at least, back from the windows that are open.

    A window left without a call ends now.
    """
    values = [
        {"account_id": account_id, "sender": sender, "back": calls[account_id, sender], "now": now}
        for account_id, sender in sorted(calls)
    ]
    await connection.execute(GIVE_BACK, values)


async def purge_pairs(connection: AsyncConnection, *, now: datetime, rows: int) -> int:
    """Delete at most so many pairs that have ended; gives their number."""
    return await _purge(connection, schema.stop_pair, now=now, rows=rows)


async def purge_windows(connection: AsyncConnection, *, now: datetime, rows: int) -> int:
    """Delete at most so many windows that have ended; gives their number."""
    return await _purge(connection, schema.sender_window, now=now, rows=rows)


async def hold_buckets(
    connection: AsyncConnection, names: Sequence[str], *, now: datetime
) -> tuple[datetime, dict[str, datetime]]:
    """Lock buckets, named in order, until the transaction ends; the instant, and when each is full.

    now: where the database has no clock of its own. A bucket that is new has been full since 1970.
    """
    postgresql = connection.dialect.name == "postgresql"
    values = {"names": list(names)} if postgresql else {"names": json.dumps(names), "now": now}
    rows = (await connection.execute(HOLD[connection.dialect.name], values)).all()
    return max(row.now for row in rows), {row.name: row.full_at for row in rows}


async def keep_buckets(connection: AsyncConnection, full_at: Mapping[str, datetime]) -> None:
    """Say of buckets that are held when each is full."""
    if full_at:
        await connection.execute(KEEP_BUCKET, [{"name": name, "full_at": at} for name, at in full_at.items()])


async def _purge(connection: AsyncConnection, table: Table, *, now: datetime, rows: int) -> int:
    if connection.dialect.name == "sqlite":
        # By one column: of several, SQLite looks through all rows.
        row_id: ColumnElement[Any] = literal_column("rowid")
        some = select(row_id).select_from(table).where(table.c.expires_at <= now).limit(rows)
        return (await connection.execute(delete(table).where(row_id.in_(some)))).rowcount
    key = table.primary_key.columns
    # Rows that a settle holds are passed over: waiting for them in an index's order could deadlock.
    ended = select(*key).where(table.c.expires_at <= now).limit(rows).with_for_update(skip_locked=True)
    return (await connection.execute(delete(table).where(tuple_(*key).in_(ended)))).rowcount


async def _cut(connection: AsyncConnection, windows: Sequence[WindowKey], *, limit: int) -> None:
    """Leave the limit in windows that were counted past it; we hold their rows already."""
    if windows:
        values = [{"account_id": account_id, "sender": sender, "limit": limit} for account_id, sender in windows]
        await connection.execute(CUT, values)


async def _full(connection: AsyncConnection, windows: Sequence[WindowKey]) -> dict[WindowKey, Counted]:
    if not windows:
        return {}
    rows = [_window_row(n, window) for n, window in enumerate(windows)]
    statement = ENDS[connection.dialect.name].columns(expires_at=Instant())
    found = await connection.execute(statement, {"rows": json.dumps(rows)})
    return {windows[n]: Counted(0, expires_at) for n, expires_at in found}


def _pair_row(n: int, pair: PairKey) -> dict[str, Any]:
    account_id, sender, recipient = pair
    return {"n": n, "account_id": account_id, "sender": sender, "recipient": recipient}


def _window_row(n: int, window: WindowKey) -> dict[str, Any]:
    account_id, sender = window
    return {"n": n, "account_id": account_id, "sender": sender}


def _in_json(connection: AsyncConnection, value: datetime) -> str | int:
    return to_micros(value) if connection.dialect.name == "sqlite" else value.isoformat()

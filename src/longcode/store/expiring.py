"""The statements of the expiring state that lives in tables: STOP pairs and sender windows.

Rows go in as one JSON array, so that each statement is one text whatever their number. Every
statement that locks rows takes them in one order, pairs before windows, so that processes that
settle at once wait for each other and never deadlock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, TextClause, bindparam, delete, select, text, tuple_
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


async def find_held(connection: AsyncConnection, pairs: Sequence[PairKey], *, now: datetime) -> set[PairKey]:
    """Those of pairs that hold now."""
    rows = [_pair_row(n, pair) for n, pair in enumerate(pairs)]
    found = await connection.execute(_text(connection, HELD), {"rows": json.dumps(rows), "now": now})
    return {pairs[n] for (n,) in found}


async def keep(connection: AsyncConnection, ends: Mapping[PairKey, datetime]) -> None:
    """Keep each pair until its instant, or longer where it holds longer."""
    rows = [
        _pair_row(n, pair) | {"expires_at": _instant(connection, ends[pair])} for n, pair in enumerate(sorted(ends))
    ]
    await connection.execute(_text(connection, KEEP), {"rows": json.dumps(rows)})


async def count(
    connection: AsyncConnection, calls: Mapping[WindowKey, int], *, limit: int, now: datetime, end: datetime
) -> dict[WindowKey, Counted]:
    """Count so many calls of each sender, up to the limit.

    A window that ended, or was never opened, opens now and ends at `end`. A full one is not written to.
    """
    rows = [_window_row(n, window) | {"calls": calls[window]} for n, window in enumerate(sorted(calls))]
    values = {"rows": json.dumps(rows), "limit": limit, "now": now, "end": end}
    written = await connection.execute(_text(connection, COUNT), values)
    counted: dict[WindowKey, Counted] = {}
    for account_id, sender, total, expires_at in written:
        window = (account_id, sender)
        before = total - calls[window]
        counted[window] = Counted(min(calls[window], limit - before), expires_at)
    await _cut_to(connection, limit, [window for window in counted if counted[window].admitted < calls[window]])
    return counted | await _full(connection, sorted(calls.keys() - counted.keys()))


async def give_back(connection: AsyncConnection, calls: Mapping[WindowKey, int], *, now: datetime) -> None:
    """Take so many calls of each sender back, from windows that are open.

    A window left without a call ends now.
    """
    values = [
        {"account_id": account_id, "sender": sender, "calls": calls[account_id, sender], "now": now}
        for account_id, sender in sorted(calls)
    ]
    await connection.execute(GIVE_BACK, values)


async def purge_pairs(connection: AsyncConnection, *, now: datetime, rows: int) -> int:
    """Delete at most so many pairs that have ended; gives their number."""
    return await _purge(connection, schema.stop_pair, now=now, rows=rows)


async def purge_windows(connection: AsyncConnection, *, now: datetime, rows: int) -> int:
    """Delete at most so many windows that have ended; gives their number."""
    return await _purge(connection, schema.sender_window, now=now, rows=rows)


async def _purge(connection: AsyncConnection, table: Table, *, now: datetime, rows: int) -> int:
    key = table.primary_key.columns
    # Rows that a settle holds are passed over: waiting for them in the order of an index could deadlock.
    ended = select(*key).where(table.c.expires_at <= now).limit(rows).with_for_update(skip_locked=True)
    return (await connection.execute(delete(table).where(tuple_(*key).in_(ended)))).rowcount


async def _cut_to(connection: AsyncConnection, limit: int, windows: Sequence[WindowKey]) -> None:
    """Take what was counted past the limit back; the rows are locked by us already."""
    if windows:
        values = [{"account_id": account_id, "sender": sender, "limit": limit} for account_id, sender in windows]
        await connection.execute(CUT, values)


async def _full(connection: AsyncConnection, windows: Sequence[WindowKey]) -> dict[WindowKey, Counted]:
    if not windows:
        return {}
    rows = [_window_row(n, window) for n, window in enumerate(windows)]
    found = await connection.execute(_text(connection, ENDS), {"rows": json.dumps(rows)})
    return {windows[n]: Counted(0, expires_at) for n, expires_at in found}


def _pair_row(n: int, pair: PairKey) -> dict[str, Any]:
    account_id, sender, recipient = pair
    return {"n": n, "account_id": account_id, "sender": sender, "recipient": recipient}


def _window_row(n: int, window: WindowKey) -> dict[str, Any]:
    account_id, sender = window
    return {"n": n, "account_id": account_id, "sender": sender}


def _instant(connection: AsyncConnection, value: datetime) -> str | int:
    return to_micros(value) if connection.dialect.name == "sqlite" else value.isoformat()


def _text(connection: AsyncConnection, statement: Mapping[str, TextClause]) -> TextClause:
    return statement[connection.dialect.name]


GIVEN: Final = {
    "postgresql": """json_to_recordset(CAST(:rows AS json)) AS given
        (n integer, account_id bigint, sender text, recipient text, calls integer, expires_at timestamptz)""",
    "sqlite": """(SELECT json_extract(value, '$.n') AS n, json_extract(value, '$.account_id') AS account_id,
        json_extract(value, '$.sender') AS sender, json_extract(value, '$.recipient') AS recipient,
        json_extract(value, '$.calls') AS calls, json_extract(value, '$.expires_at') AS expires_at
        FROM json_each(:rows)) AS given""",
}


def _statement(words: str, *, binds: Iterable[str] = (), instants: Iterable[str] = ()) -> dict[str, TextClause]:
    """One text for each database: the rows given in its own way, the named binds as instants."""
    typed = [bindparam(name, type_=Instant()) for name in instants]
    return {name: text(words.replace("{given}", given)).bindparams(*typed) for name, given in GIVEN.items()}

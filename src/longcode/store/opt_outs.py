"""The ledger of opt-outs: who may not be written to, by one number or by a whole account, and how that came.

What holds now is in two narrow tables, which accept and dispatch ask. Every change is kept in the history, in the
same transaction. Parties are in the form that `longcode.domain.phone.canonical` gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, and_, delete, insert, literal, select, text, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.events import EventType, OptOutChange
from longcode.store import schema
from longcode.store.database import Database, insert_on
from longcode.store.events import News, tell

# What an opt-out came by.
KEYWORD: Final = "keyword"
OPERATOR: Final = "operator"
IMPORT: Final = "import"
API: Final = "api"

CREATED: Final = "created"
REMOVED: Final = "removed"

LONGEST_RECIPIENT: Final = 64
MANY_ROWS: Final = 500

# The array decides the order in which locks are taken, the same in every process.
LOCK: Final = text("SELECT pg_advisory_xact_lock(name) FROM unnest(CAST(:names AS bigint[])) AS name")

_account: Final = schema.opt_out.c
_number: Final = schema.number_opt_out.c
_event: Final = schema.opt_out_event.c


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """`recipient` is not to be written to by `sender`; None: by nobody of the account.

    source: what it came by. keyword, message_id: the word, folded, and the message that said it.
    """

    account_id: int
    sender: str | None
    recipient: str
    source: str
    created_at: datetime
    keyword: str | None = None
    message_id: UUID | None = None

    @property
    def name(self) -> tuple[int, str, str | None]:
        """What only one opt-out has."""
        return self.account_id, self.recipient, self.sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change of the ledger. change: created or removed. at: when it came to be known here."""

    id: int
    account_id: int
    sender: str | None
    recipient: str
    change: str
    source: str
    keyword: str | None
    message_id: UUID | None
    at: datetime


class OptOutStore:
    """The ledger, for those who look after it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, account_id: int, recipient: str, *, source: str, sender: str | None = None) -> bool:
        """Keep an opt-out for good; False where it was there already."""
        wanted = OptOut(
            account_id=account_id, sender=sender, recipient=recipient, source=source, created_at=self._clock()
        )
        return bool(await self.add_many([wanted]))

    async def add_many(self, wanted: Sequence[OptOut]) -> int:
        """Keep opt-outs in one transaction; how many of them were not there."""
        async with self._database.write() as connection:
            return len(await opt_out(connection, wanted, self._clock()))

    async def remove(self, account_id: int, recipient: str, *, source: str, sender: str | None = None) -> int:
        """Let a recipient be written to again; how many opt-outs that lifts.

        sender: by this number, where the opt-out was from this number alone. None: every opt-out from the account
        and from each of its numbers.
        """
        async with self._database.write() as connection:
            lifted = [] if sender is not None else await _lift_account(connection, account_id, recipient)
            lifted += await _lift_numbers(connection, account_id, recipient, sender)
            await _note_removed(connection, account_id, recipient, lifted, source=source, now=self._clock())
        return len(lifted)

    async def get(self, account_id: int, recipient: str, sender: str | None) -> OptOut | None:
        """One opt-out of an account, or of one of its senders; None where there is none."""
        query = select(_account.source, _account.created_at).where(
            _account.account_id == account_id, _account.recipient == recipient
        )
        if sender is not None:
            query = select(_number.source, _number.created_at).where(
                _number.account_id == account_id, _number.recipient == recipient, _number.sender == sender
            )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return OptOut(
            account_id=account_id, sender=sender, recipient=recipient, source=row.source, created_at=row.created_at
        )

    async def page(self, account_id: int, *, after: tuple[str, str] = ("", ""), count: int) -> list[OptOut]:
        """An account's opt-outs by recipient and sender, that of the whole account first.

        after: recipient and sender ("": the whole account) of the last one of the page before.
        """
        recipient, sender = after
        whole = select(_account.recipient, literal("").label("sender"), _account.source, _account.created_at)
        single = select(_number.recipient, _number.sender, _number.source, _number.created_at)
        both = union_all(
            whole.where(_account.account_id == account_id, _account.recipient > recipient)
            .order_by(_account.recipient)
            .limit(count)
            .subquery()
            .select(),
            single.where(
                _number.account_id == account_id, tuple_(_number.recipient, _number.sender) > tuple_(recipient, sender)
            )
            .order_by(_number.recipient, _number.sender)
            .limit(count)
            .subquery()
            .select(),
        ).subquery()
        query = select(both).order_by(both.c.recipient, both.c.sender).limit(count)
        async with self._database.read() as connection:
            return [
                OptOut(account_id=account_id, **{**row, "sender": row["sender"] or None})
                for row in (await connection.execute(query)).mappings()
            ]

    async def history(
        self, recipient: str, *, account_id: int | None = None, after: int = 0, count: int
    ) -> list[Event]:
        """Every change of a recipient's opt-outs, the oldest first; account_id: of this account alone."""
        query = select(
            _event.id,
            _event.account_id,
            _event.sender,
            _event.recipient,
            _event.change,
            _event.source,
            _event.keyword,
            _event.message_id,
            _event.created_at.label("at"),
        ).where(_event.recipient == recipient, _event.id > after)
        if account_id is not None:
            query = query.where(_event.account_id == account_id)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_event.id).limit(count))
            return [Event(**row) for row in rows.mappings()]


async def hold(connection: AsyncConnection, parties: Collection[tuple[int, str]]) -> None:
    """Keep others from changing what (account id, recipient) opted out of until the transaction ends.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql" and parties:
        await connection.execute(LOCK, {"names": sorted(map(_lock_number, parties))})


async def opt_out(connection: AsyncConnection, wanted: Sequence[OptOut], now: datetime) -> list[OptOut]:
    """Keep opt-outs and their history; those that were not there."""
    first: dict[tuple[int, str, str | None], OptOut] = {}
    for one in wanted:
        first.setdefault(one.name, one)
    ordered = sorted(first.values(), key=lambda one: (one.account_id, one.recipient, one.sender or ""))
    whole = await _insert(connection, schema.opt_out, [one for one in ordered if one.sender is None])
    single = await _insert(connection, schema.number_opt_out, [one for one in ordered if one.sender is not None])
    fresh = whole + single
    await _note(connection, CREATED, fresh, now)
    return fresh


async def opt_in(connection: AsyncConnection, asked: OptOut) -> bool:
    """Lift what keeps `asked.sender` from writing, and note how it came; whether anything did."""
    lifted = await _lift_account(connection, asked.account_id, asked.recipient)
    lifted += await _lift_numbers(connection, asked.account_id, asked.recipient, asked.sender)
    await _note_removed(
        connection,
        asked.account_id,
        asked.recipient,
        lifted,
        source=asked.source,
        now=asked.created_at,
        keyword=asked.keyword,
        message_id=asked.message_id,
    )
    return bool(lifted)


async def is_opted_out(connection: AsyncConnection, account_id: int, sender: str | None, recipient: str) -> bool:
    """Whether the ledger keeps a sender from writing; None: whether it keeps the whole account from it."""
    whole = select(_account.recipient).where(_account.account_id == account_id, _account.recipient == recipient)
    if (await connection.execute(whole)).first() is not None:
        return True
    single = select(_number.recipient).where(
        _number.account_id == account_id, _number.recipient == recipient, _number.sender == sender
    )
    return sender is not None and (await connection.execute(single)).first() is not None


async def _insert(connection: AsyncConnection, table: Table, wanted: Sequence[OptOut]) -> list[OptOut]:
    """Insert what is not there; that."""
    insert_ = insert_on(connection)
    fresh = []
    for start in range(0, len(wanted), MANY_ROWS):
        chunk = wanted[start : start + MANY_ROWS]
        rows = [_row(one) for one in chunk]
        statement = insert_(table).values(rows).on_conflict_do_nothing().returning(*table.primary_key.columns)
        new = {tuple(row) for row in await connection.execute(statement)}
        fresh += [one for one in chunk if _key(one) in new]
    return fresh


def _key(one: OptOut) -> tuple[object, ...]:
    whole = (one.account_id, one.recipient)
    return whole if one.sender is None else (*whole, one.sender)


def _row(one: OptOut) -> dict[str, Any]:
    row = {
        "account_id": one.account_id,
        "recipient": one.recipient,
        "source": one.source,
        "created_at": one.created_at,
    }
    return row if one.sender is None else {**row, "sender": one.sender}


async def _lift_account(connection: AsyncConnection, account_id: int, recipient: str) -> list[str | None]:
    gone = await connection.execute(
        delete(schema.opt_out).where(_account.account_id == account_id, _account.recipient == recipient)
    )
    return [None] if gone.rowcount else []


async def _lift_numbers(
    connection: AsyncConnection, account_id: int, recipient: str, sender: str | None
) -> list[str | None]:
    which = and_(_number.account_id == account_id, _number.recipient == recipient)
    if sender is not None:
        which = and_(which, _number.sender == sender)
    gone = await connection.execute(delete(schema.number_opt_out).where(which).returning(_number.sender))
    return sorted(gone.scalars())


async def _note_removed(
    connection: AsyncConnection,
    account_id: int,
    recipient: str,
    senders: Iterable[str | None],
    *,
    source: str,
    now: datetime,
    keyword: str | None = None,
    message_id: UUID | None = None,
) -> None:
    lifted = [
        OptOut(
            account_id=account_id,
            sender=sender,
            recipient=recipient,
            source=source,
            created_at=now,
            keyword=keyword,
            message_id=message_id,
        )
        for sender in senders
    ]
    await _note(connection, REMOVED, lifted, now)


async def _note(connection: AsyncConnection, change: str, changed: Sequence[OptOut], now: datetime) -> None:
    """Write the history, and tell whoever listens."""
    rows = [
        {
            "account_id": one.account_id,
            "sender": one.sender,
            "recipient": one.recipient,
            "change": change,
            "source": one.source,
            "keyword": one.keyword,
            "message_id": one.message_id,
            "created_at": now,
        }
        for one in changed
    ]
    if rows:
        await connection.execute(insert(schema.opt_out_event), rows)
        await tell(connection, [_news(change, one) for one in changed], now)


def _news(change: str, one: OptOut) -> News:
    return News(
        account_id=one.account_id,
        type=EventType.OPTOUT_CREATED if change == CREATED else EventType.OPTOUT_REMOVED,
        opt_out=OptOutChange(
            recipient=one.recipient,
            source=one.source,
            sender=one.sender,
            keyword=one.keyword,
            message_id=one.message_id,
        ),
    )


def _lock_number(party: tuple[int, str]) -> int:
    digest = hashlib.blake2b(repr(party).encode(), digest_size=8, person=b"opt_out").digest()
    return int.from_bytes(digest, "big", signed=True)

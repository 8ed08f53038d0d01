"""What accept asks and writes: what a batch must know, and its one insert.

On PostgreSQL both are the statements of `longcode.store.intake_hot`. On SQLite they are plain ones inside the
process's single write transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import and_, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.events import OF_STATUS, EventType
from longcode.domain.message import Message, Status
from longcode.store import schema
from longcode.store.commit_order import box_xact
from longcode.store.database import NEWS, Database, to_micros
from longcode.store.events import News, tell
from longcode.store.intake_hot import INSERT, OPTED_OUT, PREFLIGHT
from longcode.store.limits import Charge, Usage, count_columns, count_plain, read_usage
from longcode.store.messages import read_many
from longcode.store.sequels import Sequel, carry_out, hold_parties

# Word by word as its index has it: SQLite would not see that `assigned = 1` is the same.
_ASSIGNED: Final = text("number.assigned")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """One row of `message`, and what goes beside it in the same transaction.

    call_id: the id of the call's first message; every message of one call shares its fate.
    queued: an outbox row too, for `carrier_id` (None: no route yet), due at `due_at` (None: now, by the database's
    clock, as claims go by that) and no longer good when its validity has passed since.
    boxed_at: a mailbox row too, under this instant.
    stop: the message is a STOP request, kept for rebuilding the expiring pairs.
    sequel: what else an inbound message brings about.
    charge: what it counts against its account's caps; None where it has none.
    endpoint_id: the webhook endpoint that it names.
    """

    message: Message
    call_id: UUID
    queued: bool = False
    carrier_id: int | None = None
    priority: int = 0
    due_at: datetime | None = None
    validity: timedelta = timedelta()
    boxed_at: datetime | None = None
    stop: bool = False
    sequel: Sequel | None = None
    charge: Charge | None = None
    endpoint_id: int | None = None


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """A call's idempotency key, claimed by the same statement that stores its messages."""

    account_id: int
    key: str
    fingerprint: bytes
    message_id: UUID
    created_at: datetime


@dataclass(slots=True)
class Lookups:
    """What a batch asks before it can be judged. Numbers by their digits.

    parties: account id, sender and recipient of what may be opted out of, in canonical form.
    """

    keys: set[tuple[int, str]] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    sender_ids: set[tuple[int, str]] = field(default_factory=set)
    logins: set[tuple[int, str]] = field(default_factory=set)
    parties: set[tuple[int, str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an assigned number is, and how the operator wrote it."""

    account_id: int
    value: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What an idempotency key stands for."""

    fingerprint: bytes
    message_id: UUID


@dataclass(slots=True)
class Known:
    """The answers to Lookups, all seen at one moment."""

    catalog_version: int = 0
    keys: dict[tuple[int, str], StoredKey] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    sender_ids: set[tuple[int, str]] = field(default_factory=set)
    logins: set[tuple[int, str]] = field(default_factory=set)
    opted_out: set[tuple[int, str, str]] = field(default_factory=set)


class IntakeStore:
    """The statements of accept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preflight(self, lookups: Lookups) -> Known:
        """Answer all look-ups of a batch."""
        if not self._database.capabilities.arrays:
            return await self._preflight_plain(lookups)
        known = Known()
        async with self._database.driver() as driver:
            rows = await driver.fetch(
                PREFLIGHT,
                *_columns(lookups.keys),
                list(lookups.numbers),
                *_columns(lookups.sender_ids),
                *_columns(lookups.logins),
                *_party_columns(lookups.parties),
            )
        for kind, account_id, name, value, fingerprint, message_id in rows:
            _note(known, kind, account_id, name, value, fingerprint, message_id)
        return known

    async def opted_out(self, parties: set[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
        """Those parties, (account id, sender, recipient), that the ledger keeps apart."""
        if not self._database.capabilities.arrays:
            async with self._database.read() as connection:
                return await _opted_out(connection, parties)
        async with self._database.driver() as driver:
            rows = await driver.fetch(OPTED_OUT, *_party_columns(parties))
        return {(row[0], row[1], row[2]) for row in rows}

    async def insert(self, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
        """Store a batch in one transaction; the message ids of the keys that this statement claimed.

        Messages of a call whose key was there already are left out, with all that belongs to them.
        Raises an error that `is_over_cap` knows where they go over a cap of their account; then nothing is stored.
        """
        if any(new.sequel is not None for new in messages):
            return await self._insert_with_sequels(messages, claims)
        if not self._database.capabilities.arrays:
            async with self._database.write() as connection:
                return await _insert_plain(connection, messages, claims)
        async with self._database.driver() as driver:
            claimed, told = await _insert_hot(driver, messages, claims)
        if told:
            self._database.told()
        return claimed

    async def _insert_with_sequels(self, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
        """As `insert`, with what follows from those messages that it really stores, each once."""
        told = [new for new in messages if new.sequel is not None]
        async with self._database.write() as connection:
            await hold_parties(connection, told)
            before = await _stored_ids(connection, told)
            claimed = await self._insert_within(connection, messages, claims)
            fresh = await _stored_ids(connection, told) - before
            replies = await carry_out(connection, [new for new in told if new.message.id in fresh])
            if replies:
                await self._insert_within(connection, replies, [])
        return claimed

    async def _insert_within(
        self, connection: AsyncConnection, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]
    ) -> set[UUID]:
        """Insert as part of a transaction that has begun."""
        if not self._database.capabilities.arrays:
            return await _insert_plain(connection, messages, claims)
        driver = (await connection.get_raw_connection()).driver_connection
        claimed, told = await _insert_hot(driver, messages, claims)
        if told:
            connection.info[NEWS] = True
        return claimed

    async def usage(self, account_ids: Collection[int], day: date) -> dict[int, Usage]:
        """What was accepted of accounts with caps in a day, by their ids."""
        async with self._database.read() as connection:
            return await read_usage(connection, account_ids, day)

    async def stored_key(self, account_id: int, key: str) -> StoredKey | None:
        """What one key stands for, if it was used."""
        table = schema.idempotency.c
        query = select(table.fingerprint, table.message_id).where(table.account_id == account_id, table.key == key)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else StoredKey(row.fingerprint, row.message_id)

    async def messages(self, ids: Sequence[UUID]) -> dict[UUID, Message]:
        """The current records of messages."""
        async with self._database.read() as connection:
            return await read_many(connection, ids)

    async def _preflight_plain(self, lookups: Lookups) -> Known:
        known = Known()
        async with self._database.read() as connection:
            version = await connection.execute(select(schema.catalog_version.c.version))
            _note(known, "version", version.scalar_one(), "", "", None, None)
            for kind, table, name, pairs in (
                ("key", schema.idempotency, "key", lookups.keys),
                ("sender_id", schema.sender_id, "value", lookups.sender_ids),
                ("login", schema.login, "login", lookups.logins),
            ):
                for row in await _by_pairs(connection, table, name, pairs):
                    _note(
                        known,
                        kind,
                        row["account_id"],
                        row[name],
                        "",
                        row.get("fingerprint"),
                        row.get("message_id"),
                    )
            if lookups.numbers:
                table = schema.number
                query = select(table.c.account_id, table.c.digits, table.c.value).where(
                    _ASSIGNED, table.c.digits.in_(lookups.numbers)
                )
                for account_id, digits, value in (await connection.execute(query)).all():
                    _note(known, "number", account_id, digits, value, None, None)
            known.opted_out = await _opted_out(connection, lookups.parties)
        return known


async def _opted_out(connection: AsyncConnection, parties: set[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
    """Those of the parties that the ledger keeps apart."""
    pairs = {(account_id, recipient) for account_id, _, recipient in parties}
    whole = {
        (row["account_id"], row["recipient"]) for row in await _by_pairs(connection, schema.opt_out, "recipient", pairs)
    }
    single = {
        (row["account_id"], row["sender"], row["recipient"])
        for row in await _by_pairs(connection, schema.number_opt_out, "recipient", pairs)
    }
    return {
        (account_id, sender, recipient)
        for account_id, sender, recipient in parties
        if (account_id, recipient) in whole or (account_id, sender, recipient) in single
    }


async def _insert_hot(
    driver: Any, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]
) -> tuple[set[UUID], bool]:
    """The message ids of the keys that were claimed, and whether events were written."""
    keyed = {claim.message_id for claim in claims}
    columns = [*_message_columns(messages, keyed), *_claim_columns(claims)]
    charges, named = _charges(messages), _named(messages)
    if charges:
        columns += count_columns(charges)
    if named:
        columns += [list(column) for column in zip(*named, strict=True)]
    rows = await driver.fetch(INSERT[bool(charges), bool(named)], *columns)
    return {row["message_id"] for row in rows if not row["told"]}, bool(rows) and rows[-1]["told"]


async def _insert_plain(
    connection: AsyncConnection, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]
) -> set[UUID]:
    wanted = {(claim.account_id, claim.key) for claim in claims}
    taken = {(row["account_id"], row["key"]) for row in await _by_pairs(connection, schema.idempotency, "key", wanted)}
    won = [claim for claim in claims if (claim.account_id, claim.key) not in taken]
    lost = {claim.message_id for claim in claims} - {claim.message_id for claim in won}
    stored = await _stored_ids(connection, messages)
    kept = [new for new in messages if new.call_id not in lost and new.message.id not in stored]
    for table, rows in (
        (schema.message, [_message_row(new) for new in kept]),
        (schema.idempotency, [_claim_row(claim) for claim in won]),
        (schema.outbox, [_outbox_row(new) for new in kept if new.queued]),
        (schema.stop_request, [_stop_row(new) for new in kept if new.stop]),
        (schema.message_webhook, [_named_row(*named) for named in _named(kept)]),
    ):
        if rows:
            await connection.execute(insert(table), rows)
    await _box_plain(connection, [new for new in kept if new.boxed_at is not None])
    await count_plain(connection, _charges(kept))
    if kept:
        now = max(new.message.created_at for new in kept)
        await tell(connection, [news for new in kept for news in _news(new)], now)
    return {claim.message_id for claim in won}


async def _stored_ids(connection: AsyncConnection, messages: Sequence[NewMessage]) -> set[UUID]:
    """Ids that are there already: a rerun may not queue again what was queued, sent and removed."""
    table = schema.message.c
    found = await connection.scalars(select(table.id).where(table.id.in_([new.message.id for new in messages])))
    return set(found)


def is_taken_name(error: BaseException) -> bool:
    """True where a unique value (a mailbox instant) was taken by a neighbour."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.UniqueViolationError) or "UNIQUE constraint failed" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _news(new: NewMessage) -> list[News]:
    """What the statement above tells of one message: how it stands, and that it came into a mailbox."""
    message = new.message
    types = [OF_STATUS[message.status]] if message.status in OF_STATUS else []
    if new.boxed_at is not None and message.status is not Status.RECEIVED:
        types.append(EventType.MESSAGE_RECEIVED)
    return [News(account_id=message.account_id, type=type_, message_id=message.id) for type_ in types]


def _party_columns(parties: set[tuple[int, str, str]]) -> list[list[Any]]:
    return [list(column) for column in zip(*parties, strict=True)] if parties else [[], [], []]


def _columns(pairs: set[tuple[int, str]]) -> tuple[list[int], list[str]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _note(
    known: Known, kind: str, account_id: int, name: str, value: str, fingerprint: bytes | None, message_id: UUID | None
) -> None:
    match kind:
        case "version":
            known.catalog_version = account_id
        case "key":
            assert fingerprint is not None
            assert message_id is not None
            known.keys[account_id, name] = StoredKey(fingerprint, message_id)
        case "number":
            known.owners[name] = Owner(account_id, value)
        case "sender_id":
            known.sender_ids.add((account_id, name))
        case "login":
            known.logins.add((account_id, name))
        case "opt_out":
            known.opted_out.add((account_id, name, value))


async def _by_pairs(
    connection: AsyncConnection, table: Any, name: str, pairs: set[tuple[int, str]]
) -> list[dict[str, Any]]:
    if not pairs:
        return []
    by_account: dict[int, list[str]] = {}
    for account_id, value in pairs:
        by_account.setdefault(account_id, []).append(value)
    wanted = or_(
        *(
            and_(table.c.account_id == account_id, table.c[name].in_(values))
            for account_id, values in by_account.items()
        )
    )
    return [dict(row) for row in (await connection.execute(select(table).where(wanted))).mappings()]


def _charges(messages: Sequence[NewMessage]) -> list[tuple[UUID, int, Charge]]:
    return [(new.message.id, new.message.account_id, new.charge) for new in messages if new.charge is not None]


def _named(messages: Sequence[NewMessage]) -> list[tuple[UUID, int]]:
    return [(new.message.id, new.endpoint_id) for new in messages if new.endpoint_id is not None]


def _named_row(message_id: UUID, endpoint_id: int) -> dict[str, Any]:
    return {"message_id": message_id, "endpoint_id": endpoint_id}


def _message_columns(messages: Sequence[NewMessage], keyed: set[UUID]) -> list[list[Any]]:
    rows = [
        (
            new.message.id,
            new.call_id,
            new.message.account_id,
            new.message.direction.value,
            new.message.medium.value,
            new.message.sender,
            new.message.recipient,
            new.message.text,
            new.message.sent_at_seconds,
            new.message.status.value,
            new.message.client_reference,
            new.message.encoding,
            new.message.segment_count,
            new.message.created_at,
            new.call_id in keyed,
            new.queued,
            new.carrier_id,
            new.priority,
            new.due_at,
            new.validity,
            new.boxed_at,
            new.stop,
        )
        for new in messages
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _claim_columns(claims: Sequence[KeyClaim]) -> list[list[Any]]:
    rows = [(c.account_id, c.key, c.fingerprint, c.message_id, c.created_at) for c in claims]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], [], []]


def _claim_row(claim: KeyClaim) -> dict[str, Any]:
    return {
        "account_id": claim.account_id,
        "key": claim.key,
        "fingerprint": claim.fingerprint,
        "message_id": claim.message_id,
        "created_at": claim.created_at,
    }


def _message_row(new: NewMessage) -> dict[str, Any]:
    message = new.message
    return {
        "id": message.id,
        "account_id": message.account_id,
        "direction": message.direction.value,
        "medium": message.medium.value,
        "sender": message.sender,
        "recipient": message.recipient,
        "text": message.text,
        "sent_at_seconds": message.sent_at_seconds,
        "status": message.status.value,
        "client_reference": message.client_reference,
        "encoding": message.encoding,
        "segment_count": message.segment_count,
        "created_at": message.created_at,
        "updated_at": message.created_at,
    }


def _outbox_row(new: NewMessage) -> dict[str, Any]:
    due_at = new.due_at or new.message.created_at
    return {
        "message_id": new.message.id,
        "account_id": new.message.account_id,
        "carrier_id": new.carrier_id,
        "priority": new.priority,
        "due_at": due_at,
        "expires_at": due_at + new.validity,
        "deferrals": 0,
    }


def _mailbox_row(new: NewMessage) -> dict[str, Any]:
    return {
        "account_id": new.message.account_id,
        "recipient": new.message.recipient,
        "sender": new.message.sender,
        "at": new.boxed_at,
        "message_id": new.message.id,
    }


async def _box_plain(connection: AsyncConnection, boxed: Sequence[NewMessage]) -> None:
    for new in boxed:
        row = _mailbox_row(new)
        order = box_xact(connection, row["account_id"], row["recipient"], to_micros(row["at"]))
        await connection.execute(insert(schema.mailbox).values(**row, xact=order))


def _stop_row(new: NewMessage) -> dict[str, Any]:
    return {
        "message_id": new.message.id,
        "account_id": new.message.account_id,
        "sender": new.message.recipient,
        "recipient": new.message.sender,
        "requested_at": new.message.created_at,
    }

"""What accept asks and writes: what a batch must know, and its one insert.

On PostgreSQL both are the statements of `longcode.store.intake_hot`, on SQLite those of `longcode.store.intake_plain`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.message import Message
from longcode.store import intake_plain, schema
from longcode.store.database import NEWS, Database
from longcode.store.intake_hot import INSERT, OPTED_OUT, PREFLIGHT
from longcode.store.limits import Usage, count_columns, read_usage
from longcode.store.lookups import Known, Lookups, StoredKey
from longcode.store.messages import read_many, stored_ids
from longcode.store.new_messages import KeyClaim, NewMessage, charges_of, endpoints_of
from longcode.store.sequels import carry_out, hold_parties


class IntakeStore:
    """The statements of accept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preflight(self, lookups: Lookups) -> Known:
        """Answer all look-ups of a batch."""
        if not self._database.capabilities.arrays:
            async with self._database.read() as connection:
                return await intake_plain.preflight(connection, lookups)
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
            known.note(kind, account_id, name, value, fingerprint, message_id)
        return known

    async def opted_out(self, parties: set[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
        """Those parties, (account id, sender, recipient), that the ledger keeps apart."""
        if not self._database.capabilities.arrays:
            async with self._database.read() as connection:
                return await intake_plain.opted_out(connection, parties)
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
                return await intake_plain.store(connection, messages, claims)
        async with self._database.driver() as driver:
            claimed, told = await _insert_hot(driver, messages, claims)
        if told:
            self._database.told()
        return claimed

    async def _insert_with_sequels(self, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
        """As `insert`, with what follows from those messages that it really stores, each once."""
        told = [new for new in messages if new.sequel is not None]
        ids = [new.message.id for new in told]
        async with self._database.write() as connection:
            await hold_parties(connection, told)
            before = await stored_ids(connection, ids)
            claimed = await self._insert_within(connection, messages, claims)
            fresh = await stored_ids(connection, ids) - before
            replies = await carry_out(connection, [new for new in told if new.message.id in fresh])
            if replies:
                await self._insert_within(connection, replies, [])
        return claimed

    async def _insert_within(
        self, connection: AsyncConnection, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]
    ) -> set[UUID]:
        """Insert as part of a transaction that has begun."""
        if not self._database.capabilities.arrays:
            return await intake_plain.store(connection, messages, claims)
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

    async def fingerprints(self, account_id: int, keys: Sequence[str]) -> set[bytes]:
        """What these keys were used with, as far as they were."""
        table = schema.idempotency.c
        query = select(table.fingerprint).where(table.account_id == account_id, table.key.in_(keys)).distinct()
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def messages(self, ids: Sequence[UUID]) -> dict[UUID, Message]:
        """The current records of messages."""
        async with self._database.read() as connection:
            return await read_many(connection, ids)


async def _insert_hot(
    driver: Any, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]
) -> tuple[set[UUID], bool]:
    """The message ids of the keys that were claimed, and whether events were written."""
    keyed = {claim.message_id for claim in claims}
    columns = [*_message_columns(messages, keyed), *_claim_columns(claims)]
    charges, named = charges_of(messages), endpoints_of(messages)
    if charges:
        columns += count_columns(charges)
    if named:
        columns += [list(column) for column in zip(*named, strict=True)]
    rows = await driver.fetch(INSERT[bool(charges), bool(named)], *columns)
    return {row["message_id"] for row in rows if not row["told"]}, bool(rows) and rows[-1]["told"]


def _party_columns(parties: set[tuple[int, str, str]]) -> list[list[Any]]:
    return [list(column) for column in zip(*parties, strict=True)] if parties else [[], [], []]


def _columns(pairs: set[tuple[int, str]]) -> tuple[list[int], list[str]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


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

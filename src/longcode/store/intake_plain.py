"""Accept's look-ups and its insert on SQLite: plain statements inside the process's single write transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.events import OF_STATUS, EventType
from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.commit_order import box_xact
from longcode.store.database import to_micros
from longcode.store.events import News, tell
from longcode.store.limits import count_plain
from longcode.store.lookups import Known, Lookups
from longcode.store.messages import stored_ids
from longcode.store.new_messages import KeyClaim, NewMessage, charges_of, endpoints_of

# Word by word as its index has it: SQLite would not see that `assigned = 1` is the same.
_ASSIGNED: Final = text("number.assigned")


async def preflight(connection: AsyncConnection, lookups: Lookups) -> Known:
    """Answer all look-ups of a batch."""
    known = Known()
    version = await connection.execute(select(schema.catalog_version.c.version))
    known.note("version", version.scalar_one(), "", "", None, None)
    for kind, table, name, pairs in (
        ("key", schema.idempotency, "key", lookups.keys),
        ("sender_id", schema.sender_id, "value", lookups.sender_ids),
        ("login", schema.login, "login", lookups.logins),
    ):
        for row in await _by_pairs(connection, table, name, pairs):
            known.note(kind, row["account_id"], row[name], "", row.get("fingerprint"), row.get("message_id"))
    if lookups.numbers:
        table = schema.number
        query = select(table.c.account_id, table.c.digits, table.c.value).where(
            _ASSIGNED, table.c.digits.in_(lookups.numbers)
        )
        for account_id, digits, value in (await connection.execute(query)).all():
            known.note("number", account_id, digits, value, None, None)
    known.opted_out = await opted_out(connection, lookups.parties)
    return known


async def opted_out(connection: AsyncConnection, parties: set[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
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


async def store(connection: AsyncConnection, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
    """Insert a batch; the message ids of the keys that it claimed."""
    wanted = {(claim.account_id, claim.key) for claim in claims}
    taken = {(row["account_id"], row["key"]) for row in await _by_pairs(connection, schema.idempotency, "key", wanted)}
    won = [claim for claim in claims if (claim.account_id, claim.key) not in taken]
    lost = {claim.message_id for claim in claims} - {claim.message_id for claim in won}
    stored = await stored_ids(connection, [new.message.id for new in messages])
    kept = [new for new in messages if new.call_id not in lost and new.message.id not in stored]
    for table, rows in (
        (schema.message, [_message_row(new) for new in kept]),
        (schema.idempotency, [_claim_row(claim) for claim in won]),
        (schema.outbox, [_outbox_row(new) for new in kept if new.queued]),
        (schema.stop_request, [_stop_row(new) for new in kept if new.stop]),
        (
            schema.message_webhook,
            [dict(zip(("message_id", "endpoint_id"), one, strict=True)) for one in endpoints_of(kept)],
        ),
    ):
        if rows:
            await connection.execute(insert(table), rows)
    await _box_plain(connection, [new for new in kept if new.boxed_at is not None])
    await count_plain(connection, charges_of(kept))
    if kept:
        now = max(new.message.created_at for new in kept)
        await tell(connection, [news for new in kept for news in _news(new)], now)
    return {claim.message_id for claim in won}


def _news(new: NewMessage) -> list[News]:
    """What the statement above tells of one message: how it stands, and that it came into a mailbox."""
    message = new.message
    types = [OF_STATUS[message.status]] if message.status in OF_STATUS else []
    if new.boxed_at is not None and message.status is not Status.RECEIVED:
        types.append(EventType.MESSAGE_RECEIVED)
    return [News(account_id=message.account_id, type=type_, message_id=message.id) for type_ in types]


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

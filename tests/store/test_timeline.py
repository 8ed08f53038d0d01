"""What the operator reads of messages, on both databases: one with all that happened to it, and lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.store.accounts import AccountStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.new_messages import KeyClaim, NewMessage
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome, OutboxStore
from longcode.store.receipts import ReceiptStore
from longcode.store.timeline import Queued, TimelineStore
from tests.attempts import put_on_record
from tests.messages import text_message

NOW = datetime(2024, 11, 22, 10, tzinfo=UTC)  # past, also for the database's own clock
DAY = timedelta(days=1)
CARRIER, OTHER_CARRIER = 7, 8


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def new(number: int, account_id: int = 1, **changes: Any) -> NewMessage:
    """A queued message to carrier 7; its id is the number."""
    values = {"id": UUID(int=number), "account_id": account_id, "sent_at_seconds": number, "created_at": NOW}
    message = text_message(**values | changes)
    return NewMessage(
        message=message,
        call_id=message.id,
        queued=message.status is Status.QUEUED,
        carrier_id=CARRIER,
        priority=5,
        due_at=NOW,
        validity=DAY,
    )


def receipt(reference: str, carrier_id: int | None = CARRIER) -> CarrierReceipt:
    return CarrierReceipt(carrier_id=carrier_id, reference=reference, status=ReceiptStatus.DELIVERED)


async def try_(database: Database, message_id: UUID, *kinds: tuple[str, str | None], segment_total: int = 1) -> None:
    """One attempt a segment, each with its outcome: kind and reference; the message stays in the queue."""
    outbox = OutboxStore(database, lambda: NOW)
    for index, (kind, reference) in enumerate(kinds):
        attempt = NewAttempt(mint_id(), message_id, index, segment_total, CARRIER)
        await put_on_record(database, attempt)
        outcome = NewOutcome(
            attempt_id=attempt.id,
            message_id=message_id,
            segment_index=index,
            segment_total=segment_total,
            carrier_id=CARRIER,
            kind=kind,
            reference=reference,
        )
        await outbox.conclude([Conclusion(message_id=message_id, outcomes=(outcome,), again_after=timedelta())])


async def test_a_message_that_nobody_has_is_none(database: Database) -> None:
    assert await TimelineStore(database).history(UUID(int=1)) is None


async def test_a_history_is_all_that_is_on_record(database: Database) -> None:
    account = await AccountStore(database, lambda: NOW).create("acme", "")
    message_id = UUID(int=1)
    claim = KeyClaim(account.id, "messages:one", b"", message_id, NOW)
    await IntakeStore(database).insert([new(1, account.id, client_reference="one", segment_count=2)], [claim])
    await IntakeStore(database).insert([new(2, account.id)], [])
    await try_(database, message_id, ("accepted", "ours"), ("deferred", None), segment_total=2)
    await try_(database, UUID(int=2), ("accepted", "another's"))
    receipts = ReceiptStore(database, lambda: NOW, mint_id)
    await receipts.append([receipt("ours"), receipt("ours", None)])
    await receipts.append([receipt("ours", OTHER_CARRIER), receipt("another's"), receipt("nobody's")])

    history = await TimelineStore(database).history(message_id, ("conversations", "messages"))
    assert history is not None
    assert (history.account, history.key, history.message.id) == ("acme", "messages:one", message_id)
    assert history.message.provider_reference == "ours"
    assert [(tried.segment_index, tried.segment_total) for tried in history.attempts] == [(0, 2), (1, 2)]
    assert [(ended.kind, ended.reference) for ended in history.outcomes] == [("accepted", "ours"), ("deferred", None)]
    assert [(one.reference, one.carrier_id) for one in history.receipts] == [("ours", CARRIER), ("ours", None)]
    assert history.queued is not None
    assert history.queued == Queued(CARRIER, 5, history.queued.due_at, None, NOW + DAY, 2)


async def test_a_key_of_another_message_is_not_its_key(database: Database) -> None:
    claim = KeyClaim(1, "messages:one", b"", UUID(int=1), NOW)
    await IntakeStore(database).insert([new(1, client_reference="one")], [claim])
    await IntakeStore(database).insert([new(2, client_reference="one"), new(3, 2, client_reference="one")], [])
    keys = [await TimelineStore(database).history(UUID(int=number), ("messages",)) for number in (1, 2, 3)]
    assert [history and history.key for history in keys] == ["messages:one", None, None]

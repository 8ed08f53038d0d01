"""What the operator reads of messages, on both databases: one with all that happened to it, and lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import mint_id
from longcode.domain.message import Direction, Medium, Message, Status
from longcode.store.accounts import AccountStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore, KeyClaim, NewMessage
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome, OutboxStore
from longcode.store.receipts import ReceiptStore
from longcode.store.timeline import Queued, TimelineStore, list_query

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
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "account_id": account_id,
        "direction": Direction.OUTBOUND,
        "medium": Medium.SMS,
        "sender": "MyCorp",
        "recipient": "+12025550101",
        "text": "Hello",
        "sent_at_seconds": number,
        "status": Status.QUEUED,
        "client_reference": None,
        "provider_reference": None,
        "encoding": "gsm7",
        "segment_count": 1,
        "error": None,
        "created_at": NOW,
    }
    message = Message(**values | changes)
    return NewMessage(
        message=message,
        call_id=message.id,
        queued=message.status is Status.QUEUED,
        carrier_id=CARRIER,
        priority=5,
        due_at=NOW,
        expires_at=NOW + DAY,
    )


def receipt(reference: str, carrier_id: int | None = CARRIER) -> CarrierReceipt:
    return CarrierReceipt(carrier_id=carrier_id, reference=reference, status=ReceiptStatus.DELIVERED)


async def try_(database: Database, message_id: UUID, *kinds: tuple[str, str | None], segment_total: int = 1) -> None:
    """One attempt a segment, each with its outcome: kind and reference; the message stays in the queue."""
    outbox = OutboxStore(database, lambda: NOW)
    for index, (kind, reference) in enumerate(kinds):
        attempt = NewAttempt(mint_id(), message_id, index, segment_total, CARRIER)
        await outbox.begin([attempt])
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


async def test_a_list_is_newest_first_in_pages_that_neither_repeat_nor_lose(database: Database) -> None:
    await IntakeStore(database).insert([new(number) for number in range(1, 8)], [])
    await IntakeStore(database).insert([new(8, account_id=2)], [])
    store = TimelineStore(database)
    before, seen = None, []
    while page := await store.page(1, count=3, before=before):
        seen += [listed.message.id.int for listed in page]
        before = page[-1].message.id
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_a_listed_message_has_its_reference_and_counts_its_attempts(database: Database) -> None:
    await IntakeStore(database).insert([new(1), new(2)], [])
    await try_(database, UUID(int=1), ("deferred", None))
    await try_(database, UUID(int=1), ("accepted", "ref"))
    listed = await TimelineStore(database).page(1, count=10)
    assert [(one.message.id.int, one.attempts, one.message.provider_reference) for one in listed] == [
        (2, 0, None),
        (1, 2, "ref"),
    ]


@dataclass(frozen=True, slots=True)
class FilterCase:
    what: str
    status: Status | None
    direction: Direction | None
    found: list[int]


@pytest.mark.parametrize(
    "case",
    [
        FilterCase("no filter", None, None, [3, 2, 1]),
        FilterCase("a status", Status.FAILED, None, [2]),
        FilterCase("a direction", None, Direction.INBOUND, [3]),
        FilterCase("both", Status.FAILED, Direction.INBOUND, []),
    ],
    ids=lambda case: case.what,
)
async def test_a_list_keeps_to_its_filters(database: Database, case: FilterCase) -> None:
    stored = [
        new(1),
        new(2, status=Status.FAILED, error="expired"),
        new(3, direction=Direction.INBOUND, status=Status.RECEIVED),
    ]
    await IntakeStore(database).insert(stored, [])
    listed = await TimelineStore(database).page(1, count=10, status=case.status, direction=case.direction)
    assert [one.message.id.int for one in listed] == case.found


@pytest.mark.parametrize("stored", [0, 2000], ids=["an empty table", "many messages of other accounts"])
@pytest.mark.parametrize("before", [None, UUID(int=500)], ids=["first page", "later page"])
async def test_a_list_walks_its_own_index(database: Database, stored: int, before: UUID | None) -> None:
    if stored:
        await IntakeStore(database).insert([new(number, 1 + number % 40) for number in range(1, stored + 1)], [])
        async with database.write() as connection:
            await connection.exec_driver_sql("ANALYZE")
    plan = await explain(database, list_query(1, 50, before, None, None))
    assert "ix_message_account_id" in plan
    assert "Seq Scan on message" not in plan
    assert "SCAN message" not in plan
    assert "TEMP B-TREE" not in plan.partition("CORRELATED")[0], "SQLite sorts what the index has in order"


async def explain(database: Database, query: Select[Any]) -> str:
    compiled = query.compile(database.engine.sync_engine)
    assert compiled.positiontup is not None
    values = [compiled.construct_params()[name] for name in compiled.positiontup]
    if database.is_sqlite:
        bound = tuple(value.hex if isinstance(value, UUID) else value for value in values)
        async with database.read() as connection:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", bound)
            return "\n".join(row.detail for row in rows)
    async with database.driver() as driver:
        return "\n".join(row[0] for row in await driver.fetch(f"EXPLAIN {compiled}", *values))

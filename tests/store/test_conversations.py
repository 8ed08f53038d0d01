"""Conversations as the store reads them: their order, their pages, and what a page costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import insert

from longcode.domain.message import Medium, Status
from longcode.store import schema
from longcode.store.conversations import ConversationStore, Line, Position, Side
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.new_messages import NewMessage
from tests.messages import text_message

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ALICE, BOB, CAROL = "+12025550101", "+12025550102", "+12025550103"
OURS, THEIRS = 1, 2
SENT, RECEIVED = Side.SENT, Side.RECEIVED


@dataclass(frozen=True, slots=True)
class Told:
    """A message as it is stored. arrival: its id, in the order of arrival."""

    arrival: int
    sender: str
    recipient: str
    at: int
    account_id: int = OURS
    medium: Medium = Medium.SMS


# Out of order, with ties of time, two messages to oneself, and much that is not Alice's conversation.
STORED = (
    Told(1, ALICE, BOB, 300),
    Told(2, BOB, ALICE, 100),
    Told(3, ALICE, ALICE, 200),
    Told(4, ALICE, CAROL, 200),
    Told(5, CAROL, ALICE, 200),
    Told(6, ALICE, ALICE, 300),
    Told(7, ALICE, BOB, 0),
    Told(8, BOB, ALICE, 2**63 - 1),
    Told(9, BOB, CAROL, 200),
    Told(10, ALICE, BOB, 200, account_id=THEIRS),
    Told(11, BOB, ALICE, 200, account_id=THEIRS),
    Told(12, ALICE, BOB, 200, medium=Medium.MAILBOX),
    Told(13, ALICE.removeprefix("+"), BOB, 200),
)
CONVERSATION = [
    (7, SENT, BOB, 0),
    (2, RECEIVED, BOB, 100),
    (3, SENT, ALICE, 200),
    (3, RECEIVED, ALICE, 200),
    (4, SENT, CAROL, 200),
    (5, RECEIVED, CAROL, 200),
    (1, SENT, BOB, 300),
    (6, SENT, ALICE, 300),
    (6, RECEIVED, ALICE, 300),
    (8, RECEIVED, BOB, 2**63 - 1),
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def store(database: Database) -> ConversationStore:
    await keep(database, STORED)
    return ConversationStore(database)


async def keep(database: Database, messages: Iterable[Told]) -> None:
    await IntakeStore(database).insert([as_new(told) for told in messages], [])


def as_new(told: Told) -> NewMessage:
    message = text_message(
        id=UUID(int=told.arrival),
        account_id=told.account_id,
        medium=told.medium,
        sender=told.sender,
        recipient=told.recipient,
        text=f"text {told.arrival}",
        sent_at_seconds=told.at,
        status=Status.RECORDED,
        created_at=NOW,
    )
    return NewMessage(message=message, call_id=message.id)


def seen(lines: Sequence[Line]) -> list[tuple[int, Side, str, int]]:
    for line in lines:
        assert line.text == f"text {line.position.message_id.int}"
    return [
        (line.position.message_id.int, line.position.side, line.other, line.position.sent_at_seconds) for line in lines
    ]


async def test_a_conversation_is_in_order_of_time_then_of_arrival(store: ConversationStore) -> None:
    assert seen(await store.after(OURS, ALICE, None, count=100)) == CONVERSATION
    assert seen(await store.before(OURS, ALICE, None, count=100)) == CONVERSATION


@pytest.mark.parametrize("count", range(1, len(CONVERSATION) + 2))
async def test_pages_of_any_size_join_to_the_whole(store: ConversationStore, count: int) -> None:
    forward: list[Line] = []
    while lines := await store.after(OURS, ALICE, forward[-1].position if forward else None, count=count):
        assert len(lines) <= count
        forward.extend(lines)
    assert seen(forward) == CONVERSATION

    backward: list[Line] = []
    while lines := await store.before(OURS, ALICE, backward[0].position if backward else None, count=count):
        assert len(lines) <= count
        backward[:0] = lines
    assert seen(backward) == CONVERSATION


async def test_a_position_need_not_be_a_line_of_the_conversation(store: ConversationStore) -> None:
    between = Position(200, UUID(int=4), RECEIVED)
    assert seen(await store.after(OURS, ALICE, between, count=1)) == [CONVERSATION[5]]
    assert seen(await store.before(OURS, ALICE, between, count=1)) == [CONVERSATION[4]]


@pytest.mark.parametrize(
    ("account_id", "number"),
    [
        pytest.param(OURS, ALICE.replace("+", "00"), id="another spelling is another number"),
        pytest.param(OURS, "", id="nobody"),
        pytest.param(THEIRS, CAROL, id="a number that only another account wrote to"),
    ],
)
async def test_nothing_is_found(store: ConversationStore, account_id: int, number: str) -> None:
    assert await store.after(account_id, number, None, count=10) == []
    assert await store.before(account_id, number, None, count=10) == []


@pytest.mark.parametrize(
    ("account_id", "number", "assigned"),
    [
        pytest.param(OURS, "+1 202 555 0101", True, id="as the operator wrote it"),
        pytest.param(OURS, ALICE, True, id="in another spelling"),
        pytest.param(OURS, BOB, False, id="in the inventory, and not assigned"),
        pytest.param(OURS, CAROL, False, id="never heard of"),
        pytest.param(OURS, "no number", False, id="not a number at all"),
        pytest.param(THEIRS, ALICE, False, id="assigned to another account"),
    ],
)
async def test_a_number_is_assigned(database: Database, account_id: int, number: str, assigned: bool) -> None:
    async with database.write() as connection:
        for name in ("ours", "theirs"):
            await connection.execute(insert(schema.account).values(name=name, secret_hash="-", created_at=NOW))
        for value, is_assigned in (("+1 202 555 0101", True), (BOB, False)):
            await connection.execute(
                insert(schema.number).values(
                    account_id=OURS,
                    value=value,
                    digits="".join(filter(str.isdigit, value)),
                    monthly_price=0,
                    setup_price=0,
                    currency="€",
                    assigned=is_assigned,
                    created_at=NOW,
                )
            )
    assert await ConversationStore(database).is_assigned(account_id, number) is assigned

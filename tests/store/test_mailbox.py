from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from longcode.domain.clock import utc_now
from longcode.domain.message import Medium, Status
from longcode.errors import Duplicate
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.mailbox import PAGE_MESSAGES, Box, Boxed, MailboxStore, Range, following
from longcode.store.new_messages import NewMessage
from tests.messages import text_message

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
OURS, THEIRS = 1, 2
BOX = Box(OURS, "alice", "bob")
NEIGHBOURS = [
    pytest.param(Box(OURS, "bob", "alice"), id="the other direction"),
    pytest.param(Box(OURS, "alice", "carol"), id="another recipient"),
    pytest.param(Box(OURS, "carol", "bob"), id="another sender"),
    pytest.param(Box(OURS, "Alice", "bob"), id="another case"),
    pytest.param(Box(OURS, "alice", "bob "), id="a space at the end"),
    pytest.param(Box(THEIRS, "alice", "bob"), id="another account"),
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as connection:
        for name in ("ours", "theirs"):
            await connection.execute(insert(schema.account).values(name=name, secret_hash="-", created_at=START))
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> MailboxStore:
    return MailboxStore(database, utc_now)


def at(tick: int) -> datetime:
    return START + timedelta(microseconds=tick)


async def put(database: Database, box: Box, ticks: Iterable[int], *, medium: Medium = Medium.MAILBOX) -> None:
    """Messages in a box, at these instants, with the tick as their text."""
    new = [_new(box, tick, medium) for tick in ticks]
    if new:
        await IntakeStore(database).insert(new, [])


async def fill(database: Database, count: int) -> None:
    """As `put` does, of the first ticks in BOX, by fewer statements."""
    messages = [_new(BOX, tick, Medium.MAILBOX).message for tick in range(count)]
    columns = schema.message.c.keys()
    rows = [{name: getattr(one, name) for name in columns if hasattr(one, name)} for one in messages]
    place = {"account_id": BOX.account_id, "recipient": BOX.recipient, "sender": BOX.sender}
    async with database.write() as connection:
        await connection.execute(insert(schema.message), [{**row, "updated_at": START} for row in rows])
        boxed = [{**place, "at": one.created_at, "message_id": one.id} for one in messages]
        await connection.execute(insert(schema.mailbox), boxed)


def _new(box: Box, tick: int, medium: Medium) -> NewMessage:
    message = text_message(
        account_id=box.account_id,
        medium=medium,
        sender=box.sender,
        recipient=box.recipient,
        text=str(tick),
        status=Status.DELIVERED,
        created_at=at(tick),
    )
    return NewMessage(message=message, call_id=message.id, boxed_at=at(tick))


def ticks(page: Sequence[Boxed]) -> list[int]:
    for boxed in page:
        assert boxed.at == at(int(boxed.text))
    return [int(boxed.text) for boxed in page]


async def whole(read: Any, box: Box, part: Range | None = None) -> list[int]:
    """A part of a box, page by page."""
    found: list[int] = []
    rest: Range | None = part or Range()
    while rest is not None:
        page = await read(box, rest)
        assert len(page) <= PAGE_MESSAGES
        found += ticks(page)
        rest = following(rest, page)
    return found


async def test_a_login_is_taken_by_its_bytes_and_for_its_account_alone(store: MailboxStore) -> None:
    await store.register(OURS, "Zoë")
    for account_id, login in ((OURS, "zoë"), (OURS, "Zoë "), (OURS, "Zoe\u0308"), (THEIRS, "Zoë")):
        await store.register(account_id, login)
    with pytest.raises(Duplicate):
        await store.register(OURS, "Zoë")
    assert await store.logins(OURS, {"Zoë", "ZOË", "Zoë "}) == {"Zoë", "Zoë "}
    assert await store.logins(THEIRS, {"Zoë", "zoë"}) == {"Zoë"}


async def test_of_registrations_at_once_one_wins(store: MailboxStore) -> None:
    calls = [store.register(OURS, "alice") for _ in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Duplicate"] * 9 + ["NoneType"]


async def test_new_messages_come_in_order_and_once(database: Database, store: MailboxStore) -> None:
    await put(database, BOX, [30, 10, 20])
    assert ticks(await store.fetch_new(BOX, Range())) == [10, 20, 30]
    assert await store.fetch_new(BOX, Range()) == []
    await put(database, BOX, [15, 40])
    assert ticks(await store.fetch_new(BOX, Range())) == [15, 40]


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
async def test_a_box_is_not_its_neighbour(database: Database, store: MailboxStore, neighbour: Box) -> None:
    await put(database, BOX, [1, 2])
    assert await store.fetch_new(neighbour, Range()) == []
    assert await store.fetch(neighbour, Range()) == []
    assert await store.delete(neighbour, [at(1), at(2)]) == 0
    await put(database, neighbour, [1, 3])
    assert ticks(await store.fetch_new(BOX, Range())) == [1, 2]
    assert await store.delete(BOX, [at(1), at(2)]) == 2
    assert ticks(await store.fetch_new(neighbour, Range())) == [1, 3]


@dataclass(frozen=True, slots=True)
class PartCase:
    """Of a box with messages at 0, 10, 20, 30 and 40."""

    name: str
    part: Range
    found: list[int]


PARTS = [
    PartCase("everything", Range(), [0, 10, 20, 30, 40]),
    PartCase("a period, both ends included", Range(first=at(10), last=at(30)), [10, 20, 30]),
    PartCase("a period a microsecond shorter at both ends", Range(first=at(11), last=at(29)), [20]),
    PartCase("an instant", Range(first=at(20), last=at(20)), [20]),
    PartCase("a period that ends before it begins", Range(first=at(30), last=at(10)), []),
    PartCase("a period without an end", Range(first=at(25)), [30, 40]),
    PartCase("a period without a beginning", Range(last=at(15)), [0, 10]),
    PartCase("the whole range of years", Range(first=datetime.min.replace(tzinfo=UTC)), [0, 10, 20, 30, 40]),
    PartCase("the first two", Range(stop=2), [0, 10]),
    PartCase("all but the first two", Range(start=2), [20, 30, 40]),
    PartCase("the stop is not included", Range(start=1, stop=3), [10, 20]),
    PartCase("a stop at the start", Range(start=1, stop=1), []),
    PartCase("a stop before the start", Range(start=3, stop=1), []),
    PartCase("indexes past the end", Range(start=4, stop=100), [40]),
    PartCase("a start past the end", Range(start=5), []),
    PartCase("indexes beyond any integer of a database", Range(start=10**30, stop=10**40), []),
    PartCase("a stop beyond any integer of a database", Range(stop=10**40), [0, 10, 20, 30, 40]),
    PartCase("indexes into a period", Range(first=at(10), last=at(40), start=1, stop=3), [20, 30]),
]


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.name)
async def test_a_part_is_fetched_and_marked(database: Database, store: MailboxStore, case: PartCase) -> None:
    await put(database, BOX, [40, 0, 20, 10, 30])
    assert ticks(await store.fetch(BOX, case.part)) == case.found
    assert ticks(await store.fetch(BOX, case.part)) == case.found
    assert ticks(await store.fetch_new(BOX, Range())) == sorted({0, 10, 20, 30, 40} - set(case.found))


LONG = 2 * PAGE_MESSAGES + 7


@pytest.mark.parametrize(
    ("part", "found"),
    [
        pytest.param(Range(), range(LONG), id="everything"),
        pytest.param(Range(start=3, stop=3 + PAGE_MESSAGES), range(3, 3 + PAGE_MESSAGES), id="exactly a page"),
        pytest.param(Range(start=1, stop=LONG - 1), range(1, LONG - 1), id="indexes over several pages"),
        pytest.param(Range(last=at(2 * PAGE_MESSAGES - 1)), range(2 * PAGE_MESSAGES), id="full pages to the end"),
    ],
)
async def test_pages_join_to_the_whole(database: Database, store: MailboxStore, part: Range, found: range) -> None:
    await fill(database, LONG)
    assert await whole(store.fetch, BOX, part) == list(found)
    assert await whole(store.fetch_new, BOX) == [tick for tick in range(LONG) if tick not in found]


async def test_a_message_that_comes_late_waits_for_the_next_call(database: Database, store: MailboxStore) -> None:
    """One answer is in order, although other processes may commit earlier instants while it is written."""
    await put(database, BOX, range(10, 10 + PAGE_MESSAGES + 1))
    page = await store.fetch_new(BOX, Range())
    await put(database, BOX, [5])
    rest = following(Range(), page)
    assert rest is not None
    assert ticks(await store.fetch_new(BOX, rest)) == [10 + PAGE_MESSAGES]
    assert ticks(await store.fetch_new(BOX, Range())) == [5]


async def test_of_calls_at_once_exactly_one_gets_each_message(database: Database, store: MailboxStore) -> None:
    await put(database, BOX, range(LONG))
    parts = await asyncio.gather(*(whole(store.fetch_new, BOX) for _ in range(6)))
    assert all(part == sorted(part) for part in parts)
    assert sorted(tick for part in parts for tick in part) == list(range(LONG))


async def test_calls_that_fetch_and_delete_at_once_wait_for_each_other(database: Database, store: MailboxStore) -> None:
    await put(database, BOX, range(200))
    evens = [at(tick) for tick in range(0, 200, 2)]
    *parts, first, second = await asyncio.gather(
        whole(store.fetch_new, BOX),
        whole(store.fetch, BOX, Range(start=50, stop=150)),
        whole(store.fetch_new, BOX),
        whole(store.fetch, BOX, Range(start=100)),
        store.delete(BOX, evens),
        store.delete(BOX, evens[::-1]),
    )
    assert sorted([first, second]) == [0, 100]
    assert all(part == sorted(set(part)) for part in parts)
    assert not {*parts[0]} & {*parts[2]}
    assert await whole(store.fetch, BOX) == list(range(1, 200, 2))
    assert await store.fetch_new(BOX, Range()) == []


@pytest.mark.parametrize(
    ("instants", "deleted", "left"),
    [
        pytest.param([], 0, [0, 10, 20], id="nothing"),
        pytest.param([at(10)], 1, [0, 20], id="one"),
        pytest.param([at(20), at(0), at(20)], 2, [10], id="several, one of them named twice"),
        pytest.param([at(11), at(10)], 1, [0, 20], id="one that is there and one that is not"),
        pytest.param([datetime.max.replace(tzinfo=UTC)], 0, [0, 10, 20], id="the end of time"),
        pytest.param([datetime.min.replace(tzinfo=UTC)], 0, [0, 10, 20], id="its beginning"),
        pytest.param([at(tick) for tick in range(2 * PAGE_MESSAGES)], 3, [], id="more than one statement takes"),
    ],
)
async def test_messages_are_deleted(
    database: Database, store: MailboxStore, instants: list[datetime], deleted: int, left: list[int]
) -> None:
    await put(database, BOX, [0, 10, 20])
    assert await store.delete(BOX, instants) == deleted
    assert ticks(await store.fetch(BOX, Range())) == left
    assert sorted(await stored_texts(database)) == sorted(map(str, left))


async def test_a_text_message_that_was_delivered_into_a_box_stays_in_its_conversation(
    database: Database, store: MailboxStore
) -> None:
    await put(database, BOX, [10], medium=Medium.SMS)
    assert await store.delete(BOX, [at(10)]) == 1
    assert await store.fetch(BOX, Range()) == []
    assert await stored_texts(database) == ["10"]


async def stored_texts(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(select(schema.message.c.text))).scalars())

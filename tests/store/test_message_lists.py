"""Lists of messages walk one index, and a page costs the same however few messages fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Direction, Status
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.message_lists import MessageLists, Place, Wanted

ROWS = 3000
HERE = Place(1_700_000_000, mint_id())
ASKED: Mapping[str, Wanted] = {
    "everything": Wanted(),
    "a status": Wanted(status=Status.FAILED),
    "a direction and a period": Wanted(
        direction=Direction.INBOUND, since=utc_now() - timedelta(days=1), until=utc_now()
    ),
    "a sender": Wanted(sender="+12025550101"),
    "a recipient and a status": Wanted(recipient="+12025550190", status=Status.FAILED),
    "a party": Wanted(party="+12025550190"),
    "a party and a period": Wanted(party="+12025550190", since=utc_now()),
    "both parties": Wanted(sender="+12025550101", recipient="+12025550190"),
    "a reference": Wanted(reference="r-7"),
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def fill(database: Database, count: int, **fields: Any) -> None:
    now = utc_now()
    row = {
        "account_id": 1,
        "direction": "outbound",
        "medium": "sms",
        "sender": "+12025550101",
        "recipient": "+12025550190",
        "text": "x",
        "sent_at_seconds": 1,
        "status": "sent",
        "client_reference": None,
        "encoding": "gsm7",
        "segment_count": 1,
        "created_at": now,
        "updated_at": now,
        **fields,
    }
    async with database.write() as connection:
        await connection.execute(insert(schema.message), [{**row, "id": mint_id()} for _ in range(count)])


async def test_a_page_looks_at_so_many_and_says_where_to_go_on(database: Database) -> None:
    await fill(database, 1, status="failed")
    await fill(database, 30)
    lists, wanted = MessageLists(database, most_examined=10), Wanted(status=Status.FAILED)
    places, found = [], await lists.page(1, wanted, count=5)
    while found.next is not None:
        places.append(len(found.messages))
        found = await lists.page(1, wanted, after=found.next, count=5)
    assert (places, len(found.messages)) == ([0, 0, 0], 1)


@pytest.mark.parametrize("wanted", ASKED.values(), ids=ASKED)
async def test_pages_make_up_the_whole_list(database: Database, wanted: Wanted) -> None:
    for sender, recipient in (("+12025550101", "+12025550190"), ("+12025550190", "+12025550101"), ("a", "b")):
        for status in ("sent", "failed"):
            await fill(database, 3, sender=sender, recipient=recipient, status=status, client_reference="r-7")
    await fill(database, 2, sender="+12025550190", recipient="+12025550190")
    lists = MessageLists(database)
    whole = await lists.page(1, wanted, count=100)
    assert whole.next is None
    pages, after = [], None
    while True:
        found = await lists.page(1, wanted, after=after, count=4)
        pages += [message.id for message in found.messages]
        after = found.next
        if after is None:
            break
    assert pages == [message.id for message in whole.messages]
    assert len(set(pages)) == len(pages)

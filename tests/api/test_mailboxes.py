"""Mailboxes: reading marks nothing, an acknowledgement only moves forward, and nobody misses a late commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from longcode.api.cursors import encode_place
from longcode.api.mailboxes import cursor_kind
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.events import EventType
from longcode.store import schema
from longcode.store.boxes import BoxStore
from longcode.store.commit_order import START, Place, box_xact
from longcode.store.database import Database, to_micros
from longcode.store.event_stream import EventStream
from longcode.store.events import News, tell
from longcode.store.uuids import LAST_ID
from tests.api.described import Client, client
from tests.app import Api


@pytest.fixture
async def mine(api: Api) -> Client:
    """An account with the logins anna and bob."""
    found = await client(api)
    for login in ("anna", "b/o%b"):
        assert (await found.post("/mailboxes", {"login": login})).status == 201
    return found


async def write(mine: Client, body: str) -> None:
    sent = await mine.post("/mailboxes/anna/messages", {"sender": "b/o%b", "text": body})
    assert (sent.status, sent.json["medium"]) == (201, "mailbox")


async def read(mine: Client, query: str = "") -> list[dict[str, Any]]:
    reply = await mine.get(f"/mailboxes/anna/messages{query}")
    items: list[dict[str, Any]] = reply.json["items"]
    return items


def texts(items: list[dict[str, Any]]) -> str:
    return "".join(item["message"]["text"] for item in items)


async def test_reading_marks_nothing_and_an_ack_only_moves_forward(mine: Client) -> None:
    for body in "123":
        await write(mine, body)
    assert [texts(await read(mine)) for _ in range(2)] == ["123", "123"]
    first, second, _third = await read(mine)
    assert (await mine.get("/mailboxes/anna/ack")).json == {"cursor": None}
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": second["cursor"]})).json == {"cursor": second["cursor"]}
    assert texts(await read(mine)) == "3"
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": first["cursor"]})).json == {"cursor": second["cursor"]}
    assert texts(await read(mine)) == "3"
    assert texts(await read(mine, "?all=true&limit=2")) == "12"
    assert texts(await read(mine, f"?cursor={first['cursor']}")) == "23"


async def test_nobody_acknowledges_what_is_still_to_come(mine: Client) -> None:
    await write(mine, "1")
    assert texts(await read(mine)) == "1"
    beyond = encode_place(cursor_kind("anna"), Place(2**63 - 1, LAST_ID))
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": beyond})).status == 200
    assert await read(mine) == []
    await write(mine, "2")
    await write(mine, "3")
    second, third = await read(mine)
    assert texts([second, third]) == "23"
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": third["cursor"]})).json == {"cursor": third["cursor"]}


async def test_each_mailbox_has_cursors_of_its_own(mine: Client) -> None:
    await write(mine, "to anna")
    await mine.post("/mailboxes/b%2Fo%25b/messages", {"sender": "anna", "text": "to bob"})
    [hers] = await read(mine)
    [his] = (await mine.get("/mailboxes/b%2Fo%25b/messages")).json["items"]
    assert his["message"]["text"] == "to bob"
    # It stands behind hers, and would have acknowledged what nobody read.
    assert (await mine.get(f"/mailboxes/anna/messages?cursor={his['cursor']}")).status == 422
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": his["cursor"]})).status == 422
    assert (await mine.post("/mailboxes/anna/messages/delete", {"cursors": [his["cursor"]]})).status == 422
    assert (await mine.call("DELETE", f"/mailboxes/anna/messages/{his['cursor']}")).status == 404
    assert await read(mine) == [hers]
    assert (await mine.post("/mailboxes/b%2Fo%25b/ack", {"cursor": his["cursor"]})).json == {"cursor": his["cursor"]}
    assert (await mine.get("/mailboxes/b%2Fo%25b/messages")).json["items"] == []


async def test_messages_are_deleted_one_by_one_and_many_at_once(mine: Client) -> None:
    for body in "1234":
        await write(mine, body)
    first, second, third, fourth = [item["cursor"] for item in await read(mine)]
    assert (await mine.call("DELETE", f"/mailboxes/anna/messages/{first}")).status == 204
    assert (await mine.call("DELETE", f"/mailboxes/anna/messages/{first}")).status == 404
    gone = await mine.post("/mailboxes/anna/messages/delete", {"cursors": [first, second, third]})
    assert gone.json == {"deleted": 2}
    await mine.post("/mailboxes/anna/ack", {"cursor": fourth})
    await mine.call("DELETE", f"/mailboxes/anna/messages/{fourth}")
    await write(mine, "5")
    assert texts(await read(mine)) == "5"


async def test_what_cannot_be_is_refused(mine: Client) -> None:
    assert (await mine.get("/mailboxes/nobody/messages")).json["code"] == "not_found"
    assert (await mine.post("/mailboxes", {"login": "anna"})).json["code"] == "duplicate"
    assert (await mine.post("/mailboxes", {"login": "an"})).json["errors"][0]["pointer"] == "/login"
    stranger = await mine.post("/mailboxes/anna/messages", {"sender": "nobody", "text": "x"})
    assert (stranger.status, stranger.json["code"]) == (404, "unknown_login")
    assert (await mine.post("/mailboxes/anna/ack", {"cursor": "x"})).status == 422
    assert (await mine.call("DELETE", "/mailboxes/anna/messages/x")).status == 404
    assert [one["login"] for one in (await mine.get("/mailboxes")).json["items"]] == ["anna", "b/o%b"]
    assert (await mine.get("/mailboxes/b%2Fo%25b/messages")).json["items"] == []


async def test_a_numbers_mailbox_holds_its_text_messages(mine: Client) -> None:
    number = f"+1202{mine.account_id:08}"
    await mine.api.assign(mine.caller, number)
    other = await client(mine.api)
    sent = await other.send(recipient=number)
    assert sent["status"] == "delivered"
    path = "/mailboxes/" + number.replace("+", "%2B")
    [item] = (await mine.get(f"{path}/messages")).json["items"]
    assert item["message"]["status"] == "received"
    await mine.call("DELETE", f"{path}/messages/{item['cursor']}")
    assert (await mine.get(f"/messages/{item['message']['id']}")).status == 200


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_readers_stop_before_a_transaction_that_still_runs(postgres_url: str) -> None:
    database = Database(postgres_url)
    boxes, stream, now = BoxStore(database, utc_now), EventStream(database), utc_now()

    async def note(connection: Any, step: int) -> None:
        moment = now + timedelta(seconds=step)
        await connection.execute(
            insert(schema.mailbox).values(
                account_id=1,
                recipient="anna",
                sender="bob",
                at=moment,
                message_id=mint_id(),
                xact=box_xact(connection, 1, "anna", to_micros(moment)),
            )
        )
        await tell(connection, [News(account_id=1, type=EventType.MESSAGE_SENT, message_id=mint_id())], moment)

    async with database.write() as connection:
        account = schema.account
        await connection.execute(insert(account).values(id=1, name="a", secret_hash="", created_at=now))
        await connection.execute(insert(schema.event_listener).values(account_id=1))
    begun = await stream.begin(1)
    running = asyncio.Event()
    go_on = asyncio.Event()

    async def slow() -> None:
        async with database.write() as connection:
            await note(connection, 1)
            running.set()
            await go_on.wait()

    task = asyncio.create_task(slow())
    await running.wait()
    async with database.write() as connection:
        await note(connection, 2)
    assert await boxes.page(1, "anna", after=START, count=10) == []
    assert await stream.page(1, after=begun, count=10) == []
    go_on.set()
    await task
    places = [one.place for one in await boxes.page(1, "anna", after=START, count=10)]
    assert len(places) == 2
    assert places == sorted(places)
    assert len(await stream.page(1, after=begun, count=10)) == 2
    await database.close()

"""The event stream: in the order of commits, resumed without a gap, ended when the server stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from longcode.api.events import follow
from longcode.store.event_stream import EventStream
from tests.api.described import Client, client
from tests.app import Api
from tests.wire.asgi import connected, request, served


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream."""

    id: str
    type: str
    data: Any


def read(block: str) -> Told:
    fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
    return Told(fields["id"], fields["event"], json.loads(fields["data"]))


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


async def stream(mine: Client, port: int, count: int, *lines: str, act: Any = None) -> list[Told]:
    """The first events of a stream over a real connection. act: done once it is open."""
    credentials = f"Authorization: {mine.caller.credentials['Authorization']}"
    async with connected(port) as connection:
        await connection.send(request("GET", "/v1/events", b"", credentials, "Accept-Encoding: gzip", *lines))
        status, headers = await connection.head()
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert "content-encoding" not in headers
        if act is not None:
            await connection.reader.readuntil(b"retry: 1000\n\n")
            await act()
        found = ""
        while found.count("\nevent: ") < count or not found.rstrip("\r\n0123456789abcdef").endswith("}"):
            found += (await asyncio.wait_for(connection.reader.read(65536), 10)).decode()
    lines_ = [
        line for line in found.replace("\r", "").splitlines() if line.partition(":")[0] in ("id", "event", "data")
    ]
    return [read("\n".join(lines_[start : start + 3])) for start in range(0, count * 3, 3)]


async def test_events_come_as_they_happen_and_go_on_where_one_left(mine: Client) -> None:
    async with served(mine.api.app) as port:

        async def act() -> None:
            await mine.send(text="1", send_at="2099-01-01T00:00:00Z")
            [message] = (await mine.get("/messages")).json["items"]
            await mine.post(f"/messages/{message['id']}/cancel")
            await mine.post("/optouts", {"recipient": "12025550199"})

        first = await stream(mine, port, 2, act=act)
        assert [told.type for told in first] == ["message.canceled", "optout.created"]
        assert first[0].data["data"]["text"] == "1"
        again = await stream(mine, port, 1, f"Last-Event-ID: {first[0].id}")
        assert again == first[1:]


async def test_a_last_event_id_that_is_none_is_refused(mine: Client) -> None:
    reply = await mine.get("/events", headers={"Last-Event-ID": "yesterday"})
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_a_stream_ends_when_the_server_stops(mine: Client) -> None:
    events = EventStream(mine.api.database)
    stopping = asyncio.Event()
    open_streams: set[object] = set()
    found: AsyncIterator[bytes] = follow(
        events, mine.account_id, await events.begin(mine.account_id), stopping, open_streams
    )
    assert (await anext(found)).startswith(b"retry")
    assert len(open_streams) == 1
    stopping.set()
    assert [part async for part in found] == []
    assert open_streams == set()

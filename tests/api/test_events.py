"""The event stream: in the order of commits, resumed without a gap, ended when the server stops."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import Request

from longcode.api.caller import Gate
from longcode.api.events import Reader, follow
from longcode.api.limits import CallLimits
from longcode.api.problems import RateLimited
from longcode.api.routing import call_of
from longcode.api.streams import OpenStreams
from longcode.errors import StorageDown
from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from longcode.store import event_stream
from longcode.store.commit_order import Place
from longcode.store.event_stream import EventStream
from longcode.wire.identity import Identity
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


async def test_head_is_answered_and_the_connection_goes_on(mine: Client) -> None:
    credentials = f"Authorization: {mine.caller.credentials['Authorization']}"
    async with served(mine.api.app) as port, connected(port) as connection:
        for method, target in (("HEAD", "/v1/events"), ("GET", "/v1/pools")):
            await connection.send(request(method, target, b"", credentials))
        status, headers = await connection.head()
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert (await asyncio.wait_for(connection.answer(), 10)).status == 200


def test_an_account_leaves_streams_to_others() -> None:
    streams = OpenStreams(most=3, most_of_account=2)
    leave, _ = streams.enter(1), streams.enter(1)
    with pytest.raises(RateLimited, match="an account"):
        streams.enter(1)
    streams.enter(2)
    with pytest.raises(RateLimited, match="this process"):
        streams.enter(3)
    leave()
    streams.enter(3)


class Away(EventStream):
    """The real one, whose database is away for a moment."""

    reads = 0

    async def page(self, account_id: int, *, after: Place, count: int) -> list[event_stream.Told]:
        self.reads += 1
        if self.reads == 1:
            raise StorageDown("the database did not answer")
        return await super().page(account_id, after=after, count=count)


def reader(mine: Client, *, knows: Sequence[bool] = ()) -> Reader:
    answers = iter(knows)

    async def may_read() -> bool:
        return next(answers, True)

    return Reader(account_id=mine.account_id, may_read=may_read, reads=asyncio.Semaphore(1), stopping=asyncio.Event())


async def test_a_stream_outlives_a_database_that_is_away(mine: Client) -> None:
    events = Away(mine.api.database)
    found = follow(events, reader(mine), await events.begin(mine.account_id))
    assert (await anext(found)).startswith(b"retry")
    await mine.post("/optouts", {"recipient": "12025550199"})
    assert b"optout.created" in await asyncio.wait_for(anext(found), 10)
    assert events.reads > 1
    await found.aclose()


async def test_a_stream_ends_with_the_credentials_of_its_reader(mine: Client) -> None:
    events = EventStream(mine.api.database)
    found = follow(events, reader(mine, knows=[True, False]), await events.begin(mine.account_id), ask_seconds=0.0)
    assert [part async for part in found] == [b"retry: 1000\n\n"]


async def test_who_was_let_in_is_known_until_his_key_is_revoked(mine: Client) -> None:
    accounts, key = mine.api.product.accounts, new_key(OPERATOR_PREFIX)
    gate = Gate(Identity(mine.api.product.verifier, anonymous=None, implicit=False), CallLimits(0, now=time.monotonic))
    kept = await accounts.add_operator_key(hash_key(key), key[:8])
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": "http", "client": None}
    call = call_of(Request({**scope, "headers": [(b"authorization", f"Bearer {key}".encode("ascii"))]}), 0)
    assert await gate.still_knows(call)
    await accounts.revoke_operator_key(kept.id)
    assert not await gate.still_knows(call)


async def test_a_stream_ends_when_the_server_stops(mine: Client) -> None:
    events = EventStream(mine.api.database)
    who = reader(mine)
    found = follow(events, who, await events.begin(mine.account_id))
    assert (await anext(found)).startswith(b"retry")
    who.stopping.set()
    assert [part async for part in found] == []

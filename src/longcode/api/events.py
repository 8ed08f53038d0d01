"""The event stream: everything that happens to the account, as it happens.

Source: the HTML standard, §9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import FastAPI, Header, Request, Response

from longcode.api.caller import Admitted, Gate
from longcode.api.cursors import decode_place, encode_place
from longcode.api.desk import Desk
from longcode.api.problems import InvalidRequest, invalid
from longcode.api.routing import Routes, call_of
from longcode.api.streams import STREAM, OpenStreams, Stream
from longcode.domain.public import public_event
from longcode.errors import StorageDown
from longcode.store.commit_order import Place
from longcode.store.event_stream import EventStream, Told

KIND: Final = "events"
PAGE: Final = 200
POLL_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 15.0
# How often a stream asks whether its reader's key was revoked.
ASK_SECONDS: Final = 15.0
# What a stream lasts at most; its reader comes back with Last-Event-ID, and finds a server that is not stopping.
LIFE_SECONDS: Final = 600.0
RETRY_MILLISECONDS: Final = 1000
STOPPING: Final = "stopping"  # in the state of the server, where it says that it stops

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The `id` of the last event that you have; the stream goes on behind it. Without one: from now on.",
    ),
]


def add_events(app: FastAPI, desk: Desk) -> None:
    """The route of events."""
    routes = Routes(app, "Native: events", "events")
    streams = OpenStreams()

    @routes.get(
        "/events",
        "streamEvents",
        response_class=Response,
        responses={
            200: {
                "description": "Events: `id` is for Last-Event-ID, `event` the type, `data` as webhooks have it.",
                "content": {STREAM: {"schema": {"type": "string"}}},
            }
        },
    )
    async def stream(caller: Admitted, request: Request, last: LastEventId = None) -> Response:
        """Follow what happens to the account, as server-sent events.

        They come in the order in which they were committed; whoever goes on from the last `id` misses none that is
        still kept, and gets none twice. Events are kept from the first stream or webhook on.
        """
        after = None if last is None else _place(last)
        leave = streams.enter(caller.account.id)
        try:
            begin = await desk.events.begin(caller.account.id)
        except BaseException:
            leave()
            raise
        gate: Gate = request.app.state.gate
        reader = Reader(
            account_id=caller.account.id,
            may_read=partial(gate.still_knows, call_of(request, 0)),
            reads=streams.reads,
            stopping=_stopping(request),
        )
        return Stream(follow(desk.events, reader, begin if after is None else after), leave)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who follows a stream.

    may_read: whether his credentials still count. reads: taken for each page, as by other readers.
    stopping: set when the server stops.
    """

    account_id: int
    may_read: Callable[[], Awaitable[bool]]
    reads: asyncio.Semaphore
    stopping: asyncio.Event


async def follow(
    events: EventStream, reader: Reader, after: Place, *, ask_seconds: float = ASK_SECONDS
) -> AsyncGenerator[bytes]:
    """What happens to an account behind a place, until the server stops or the reader's credentials count no more.

    ask_seconds: how often they are looked at.
    """
    now = asyncio.get_running_loop().time
    ends = now() + LIFE_SECONDS
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    spoke = asked = now()
    while not reader.stopping.is_set() and now() < ends:
        if now() - asked >= ask_seconds:
            if not await reader.may_read():
                return
            asked = now()
        found = await _page(events, reader, after)
        if found:
            yield b"".join(map(_told, found))
            after, spoke = found[-1].place, now()
        elif now() - spoke >= QUIET_SECONDS:
            yield b": still here\n\n"
            spoke = now()
        if len(found) < PAGE:
            await _pause(reader.stopping)


async def _page(events: EventStream, reader: Reader, after: Place) -> Sequence[Told]:
    """What there is behind a place; nothing while the database is away: readers whose stream ends may not come back."""
    async with reader.reads:
        try:
            return await events.page(reader.account_id, after=after, count=PAGE)
        except StorageDown:
            return ()


async def _pause(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await stopping.wait()
    except TimeoutError:
        return


def _place(last: str) -> Place:
    try:
        return decode_place(KIND, last)
    except InvalidRequest as error:
        raise invalid("it is no id of this stream", field="Last-Event-ID") from error


def _told(told: Told) -> bytes:
    event = public_event(told.event)
    id_ = encode_place(KIND, told.place)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id_.encode(), event.type.encode(), msgspec.json.encode(event))


def _stopping(request: Request) -> asyncio.Event:
    """Set when the server stops; one that nobody sets where the server does not say."""
    found = (request.scope.get("state") or {}).get(STOPPING)
    return found if isinstance(found, asyncio.Event) else asyncio.Event()

"""The event stream: everything that happens to the account, as it happens.

Source: the HTML standard, §9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import FastAPI, Header, Request, Response
from starlette.responses import StreamingResponse

from longcode.api.caller import Admitted
from longcode.api.cursors import decode_place, encode_place
from longcode.api.desk import Desk
from longcode.api.problems import InvalidRequest, RateLimited, invalid
from longcode.api.routing import Routes
from longcode.domain.public import public_event
from longcode.store.commit_order import Place
from longcode.store.event_stream import EventStream, Told

KIND: Final = "events"
PAGE: Final = 200
POLL_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 15.0
# What a stream lasts at most; its reader comes back with Last-Event-ID, and finds a server that is not stopping.
LIFE_SECONDS: Final = 600.0
RETRY_MILLISECONDS: Final = 1000
MOST_STREAMS: Final = 200
STREAM: Final = "text/event-stream"
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
    open_streams: set[object] = set()

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
        if len(open_streams) >= MOST_STREAMS:
            raise RateLimited(f"this process serves {MOST_STREAMS} streams at once", retry_after_seconds=5)
        begin = await desk.events.begin(caller.account.id)
        after = begin if last is None else _place(last)
        return StreamingResponse(
            follow(desk.events, caller.account.id, after, _stopping(request), open_streams),
            media_type=STREAM,
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )


async def follow(
    events: EventStream, account_id: int, after: Place, stopping: asyncio.Event, open_streams: set[object]
) -> AsyncIterator[bytes]:
    """What happens to an account behind a place, until the server stops. open_streams: it counts among them."""
    ticket, loop = object(), asyncio.get_running_loop()
    ends = loop.time() + LIFE_SECONDS
    open_streams.add(ticket)
    try:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        spoke = loop.time()
        while not stopping.is_set() and loop.time() < ends:
            found = await events.page(account_id, after=after, count=PAGE)
            if found:
                yield b"".join(map(_told, found))
                after, spoke = found[-1].place, loop.time()
            elif loop.time() - spoke >= QUIET_SECONDS:
                yield b": still here\n\n"
                spoke = loop.time()
            if len(found) < PAGE:
                await _pause(stopping)
    finally:
        open_streams.discard(ticket)


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

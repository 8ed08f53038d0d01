"""A carrier with an HTTP interface that does as it is told: a real server, with a log of what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web


class Ending(Enum):
    """How an answer ends. HALF: in the middle of its body. CUT: before it begins. NOTHING: never."""

    WHOLE = "whole"
    HALF = "half"
    CUT = "cut"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Taken:
    """One request as it arrived. target: path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = Ending.WHOLE


Answer = Callable[[Taken], Reply | Awaitable[Reply]]


@dataclass(eq=False)
class HttpCarrier:
    """The carrier. answer: what it says to a request. most: how many it had at once.

    connections: how many were made; open_connections: those that are still open and have asked something.
    """

    answer: Answer
    log: list[Taken] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    open_connections: set[asyncio.BaseTransport] = field(default_factory=set)
    at_once: int = 0
    most: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.open_connections = {one for one in self.open_connections if not one.is_closing()}
        if request.transport not in self.open_connections:
            self.connections += 1
            self.open_connections.add(request.transport)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            taken = Taken(request.method, request.path_qs, request.headers, await request.read())
            self.log.append(taken)
            reply = self.answer(taken)
            return await self._reply(request, await reply if isinstance(reply, Awaitable) else reply)
        finally:
            self.at_once -= 1

    async def _reply(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        assert request.transport is not None
        match reply.ending:
            case Ending.WHOLE:
                return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))
            case Ending.HALF:
                headers = {**reply.headers, "Content-Length": str(len(reply.body))}
                half = web.StreamResponse(status=reply.status, headers=headers)
                await half.prepare(request)
                await half.write(reply.body[: len(reply.body) // 2])
                request.transport.close()
                return half
            case Ending.CUT:
                request.transport.abort()
            case Ending.NOTHING:
                await self.released.wait()
        return web.Response()


@asynccontextmanager
async def http_carrier(answer: Answer) -> AsyncIterator[HttpCarrier]:
    """A carrier that listens on the loopback."""
    carrier = HttpCarrier(answer)
    runner = web.ServerRunner(web.Server(carrier._serve), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    carrier.port = runner.addresses[0][1]
    try:
        yield carrier
    finally:
        carrier.released.set()
        await runner.cleanup()

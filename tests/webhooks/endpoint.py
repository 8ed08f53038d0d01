"""A customer's endpoint: a real server, which answers as a test tells it and remembers what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from tests.processes import wait_until_async

# What it does with one request: octets to write, and whether it closes after them. None: it never answers.
Reply = tuple[bytes, bool] | None
Script = Callable[["Request"], Reply | Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. headers: by lower-case name. connection: which one it came on, from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """The body, if the signature is right: by a library that we did not write."""
        return Webhook(secret).verify(self.body, dict(self.headers))


def answer(status: int = 200, *headers: str, body: bytes = b"", close: bool = False) -> Reply:
    """A plain answer."""
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body, close


@dataclass(eq=False)
class Endpoint:
    """A listening endpoint. script: asked for each request; set it anew at any time."""

    script: Script = lambda _request: answer()
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]

    @property
    def types(self) -> list[str]:
        return [request.json["type"] for request in self.requests]

    async def got(self, count: int) -> None:
        """Wait until it was sent so many requests."""
        await wait_until_async(lambda: len(self.requests) >= count, what=f"{count} webhooks")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer_one(reader, writer, number):
                    pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split(" ")
        request = Request(method, path, headers, body, number)
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.script(request)
            reply = await reply if isinstance(reply, Awaitable) else reply
            if reply is None:
                await reader.read()  # until the other side has had enough
                return False
        finally:
            self.at_once -= 1
        octets, close = reply
        writer.write(octets)
        await writer.drain()
        return not close


@asynccontextmanager
async def listening(script: Script | None = None, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """An endpoint on a free port of the loopback interface."""
    endpoint = Endpoint()
    if script is not None:
        endpoint.script = script
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await endpoint.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    endpoint.port = server.sockets[0].getsockname()[1]
    endpoint.scheme = "http" if tls is None else "https"
    try:
        yield endpoint
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""An ASGI application called directly, and the same under a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from longcode.wire.door import ASGIApp
from tests.processes import wait_until_async


@dataclass(frozen=True, slots=True)
class Reply:
    """What an application answered; complete: it said so itself."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | tuple[bytes, ...] = b"",
    peer: str | None = "127.0.0.1",
    http_version: str = "1.1",
    gone: bool = False,
) -> Reply | None:
    """The application's reply; None if it gave none. body: in parts, if a tuple. gone: a client that leaves."""
    parts = [body] if isinstance(body, bytes) else list(body)
    incoming = [
        {"type": "http.request", "body": part, "more_body": gone or number < len(parts)}
        for number, part in enumerate(parts, start=1)
    ]
    sent: list[Mapping[str, Any]] = []
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        if not gone:
            await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": None if peer is None else (peer, 50000),
        "server": ("127.0.0.1", 8080),
    }
    await app(scope, receive, send)
    if not sent:
        return None
    start, *rest = sent
    told: dict[str, str] = {}
    for name, value in start["headers"]:
        before = told.get(name.decode("latin-1"))
        told[name.decode("latin-1")] = (f"{before}, " if before else "") + value.decode("latin-1")
    return Reply(
        status=start["status"],
        headers=told,
        body=b"".join(message.get("body", b"") for message in rest),
        complete=bool(rest) and not rest[-1].get("more_body", False),
    )


async def reply(app: ASGIApp, method: str, target: str, **how: Any) -> Reply:
    """As `ask`, where a reply is certain."""
    found = await ask(app, method, target, **how)
    assert found is not None, "no answer"
    return found


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    """The port of the loopback interface where a uvicorn of this event loop serves the application."""
    # Named, or asyncio leaves Nagle's algorithm on: 40 ms between an answer's head and its body.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False)
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await wait_until_async(lambda: server.started or task.done(), what="uvicorn's start")
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class Connection:
    """One raw HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name: value for name, _, value in pairs}

    async def answer(self) -> Reply:
        """The next answer, of declared length."""
        status, headers = await self.head()
        return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def request(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    """A request with a Host, a Content-Length where there is a body, and further header lines."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body

"""An answer on its way through an ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from longcode import log
from longcode.wire.call import Answer, Call, Receive

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# How much of a body that nobody wants is still taken in, so that its sender gets to read the answer: closing
# a socket with unread bytes resets it, and a reset may overtake the answer.
LINGER_BYTES: Final = 16 * 1024 * 1024
LINGER_SECONDS: Final = 5.0

_CLOSE: Final = (b"connection", b"close")
_BODILESS: Final = (204, 304)
_logger = log.get("http")


async def primed(answer: Answer, *, whole: bool) -> Answer:
    """The answer with the first chunk of its stream awaited, or, if whole, with all of it gathered.

    A stream that cannot begin raises here, before any byte is sent.
    """
    if isinstance(answer.body, bytes):
        return answer
    if whole:
        return Answer(answer.status, b"".join([chunk async for chunk in answer.body]), answer.headers)
    first = await anext(answer.body, b"")
    return Answer(answer.status, _resumed(first, answer.body), answer.headers)


async def send_answer(answer: Answer, call: Call, receive: Receive, send: Send) -> None:
    """Send the answer to the call: to HEAD without its body.

    Returns with the answer unfinished where a stream broke: the server then cuts the connection.
    """
    if not isinstance(answer.body, bytes):
        await _send_stream(answer, answer.body, call, receive, send)
        return
    headers = [*answer.headers]
    body = answer.body
    if answer.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(body)))
    unwanted = not call.drained and _has_unwanted_body(call)
    if unwanted:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if call.method == "HEAD":
        body = b""
    if unwanted:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(receive)
        body = b""
    await send({"type": "http.response.body", "body": body})


async def _send_stream(answer: Answer, chunks: AsyncIterator[bytes], call: Call, receive: Receive, send: Send) -> None:
    headers = [*answer.headers]
    if not call.drained and _has_unwanted_body(call):
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    departure = asyncio.ensure_future(_departure(call, receive))
    try:
        if call.method != "HEAD":
            async for chunk in chunks:
                if departure.done() and departure.result():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception:
        _logger.exception("an answer broke off", method=call.method)
        return
    finally:
        departure.cancel()
        await _close(chunks)
    await send({"type": "http.response.body", "body": b""})


async def _departure(call: Call, receive: Receive) -> bool:
    """Wait until the client has gone: True. False where the server says something else."""
    while not call.drained:
        message = await receive()
        if message["type"] == "http.disconnect":
            return True
        call.drained = not message.get("more_body", False)
    return bool((await receive())["type"] == "http.disconnect")


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await _close(rest)


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def _has_unwanted_body(call: Call) -> bool:
    """Whether more body may come than the server should discard on a connection that stays open.

    uvicorn discards what comes after the answer, without a bound. Where the client waits for 100 Continue,
    nobody can tell whether the body or the next request comes next.
    """
    headers = call.headers
    if b"transfer-encoding" in headers or b"expect" in headers:
        return True
    length = headers.get(b"content-length", b"0")
    return not length.isdigit() or int(length) > call.body_limit_bytes


async def _linger(receive: Receive) -> None:
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return

"""A try of an HTTP carrier's settings: connect, and ask what sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Final

from yarl import URL

from longcode.carriers.check import CONNECT_SECONDS, CheckFailed, why_unconnected
from longcode.carriers.http_exchange import Exchange
from longcode.carriers.http_port import HttpReply, HttpRequest, Vendor
from longcode.carriers.port import Rejected, Submission
from longcode.domain.clock import Clock, mint_id
from longcode.encoding.segments import Encoding

# Reserved for fiction.
SENDER: Final = "+12025550100"
RECIPIENT: Final = "+12025550101"
TEXT: Final = "Hello"
VALIDITY: Final = timedelta(hours=4)


async def check(vendor: Vendor, clock: Clock) -> AsyncGenerator[str, None]:
    """Each step that went well, as it does. Raises CheckFailed at the first that does not. No message is sent."""
    sample = _sample(clock)
    message = vendor.request(sample)
    if isinstance(message, Rejected):
        raise CheckFailed(f"no message could be sent: {message.reason}")
    url = URL(message.url, encoded=True)
    await _connect(url)
    yield f"connected to {url.host}:{url.port}{' with TLS' if url.scheme == 'https' else ''}"
    request = vendor.check()
    if request is not None:
        await _ask(request, vendor, clock)
        yield "the carrier takes our credentials"
    for line in vendor.preview(sample):
        yield f"a message goes as: {line}"


def _sample(clock: Clock) -> Submission:
    return Submission(
        attempt_id=mint_id(),
        message_id=mint_id(),
        segment_index=0,
        segment_total=1,
        segment_reference=0,
        sender=SENDER,
        recipient=RECIPIENT,
        text=TEXT,
        encoding=Encoding.GSM7.value,
        expires_at=clock() + VALIDITY,
        valid_for=VALIDITY,
    )


async def _connect(url: URL) -> None:
    host, port = url.host or "", url.port or 0
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=url.scheme == "https" or None)
    except (OSError, TimeoutError) as error:
        raise CheckFailed(why_unconnected(error, host, port)) from error
    # An end that the peer does not agree to proves nothing against it.
    writer.transport.abort()


async def _ask(request: HttpRequest, vendor: Vendor, clock: Clock) -> None:
    exchange = Exchange(vendor.terms, clock)
    try:
        reply = await exchange.ask(request)
    finally:
        await exchange.close()
    if not isinstance(reply, HttpReply):
        raise CheckFailed(f"connected, but a request failed: {reply.reason}")
    if reply.status in (401, 403):
        raise CheckFailed(f"connected, but the carrier refuses our credentials: it answered {reply.status}")
    if reply.status == 404:
        raise CheckFailed("connected, but the carrier knows no such account: it answered 404; is `api` right?")
    if not 200 <= reply.status < 300:
        raise CheckFailed(f"connected, but the carrier answered {reply.status}")

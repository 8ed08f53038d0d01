"""One HTTP request to a carrier, once, and what its end proves."""

from __future__ import annotations

import asyncio
import ssl as tls
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp import ClientError, ClientHandlerType, ClientRequest, ClientResponse, ClientSession, TraceConfig
from yarl import URL

from longcode import __version__
from longcode.carriers.check import CONNECT_SECONDS, why_unconnected
from longcode.carriers.http_port import HttpReply, HttpRequest, HttpTerms
from longcode.carriers.port import Deferred, Unconfirmed
from longcode.domain.clock import Clock
from longcode.domain.timestamps import parse_http_date

BODY_LIMIT_BYTES: Final = 64 * 1024
NOT_CONNECTED_SECONDS: Final = 2.0
SHORTEST_RETRY_SECONDS: Final = 0.1
LONGEST_RETRY_SECONDS: Final = 3600.0


class _Broken(ClientError):
    """A connection that ended after something was written to it."""


@dataclass(slots=True)
class _Stage:
    """How far a request came. connected: from here on it may have been written, and limit counts for the answer."""

    limit: asyncio.Timeout
    answer_seconds: float
    connected: bool = False

    def connect(self) -> None:
        """It has its connection."""
        self.connected = True
        if not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + self.answer_seconds)


class Exchange:
    """The connections to one carrier: bounded, kept for a while, never used to send anything twice."""

    def __init__(self, terms: HttpTerms, clock: Clock) -> None:
        self._clock = clock
        self._answer_seconds = terms.response_timeout_seconds
        self._waiting: set[asyncio.Timeout] = set()
        kept = terms.keep_alive_seconds
        self._session = ClientSession(
            connector=aiohttp.TCPConnector(limit=terms.connections, keepalive_timeout=kept)
            if kept
            else aiohttp.TCPConnector(limit=terms.connections, force_close=True),
            # `ask` holds to the times itself.
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"longcode/{__version__}"},
            middlewares=(_once,),
            trace_configs=[_stage_trace()],
        )

    async def ask(self, request: HttpRequest) -> HttpReply | Deferred | Unconfirmed:
        """The answer, whatever its status; Deferred where nothing was written; else Unconfirmed.

        Redirections are answers like others.
        """
        limit = asyncio.timeout(CONNECT_SECONDS)
        stage = _Stage(limit, self._answer_seconds)
        try:
            async with limit:
                self._waiting.add(limit)
                try:
                    return await self._exchange(request, stage)
                finally:
                    self._waiting.discard(limit)
        except (ClientError, OSError, TimeoutError) as error:
            if not stage.connected:
                return Deferred(NOT_CONNECTED_SECONDS, "not_connected", _why_unconnected(error, request))
            # Its own words may hold the address, and with it credentials.
            return Unconfirmed(f"The answer did not come whole: {_in_words(error)}.")

    def hang_up(self) -> None:
        """Let every request end now, as if its time were over."""
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(0.0)

    async def close(self) -> None:
        """Let go of the connections."""
        self.hang_up()
        await self._session.close()

    async def _exchange(self, request: HttpRequest, stage: _Stage) -> HttpReply:
        async with self._session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            trace_request_ctx=stage,
        ) as response:
            body = await _read(response)
            asked = response.headers.get("Retry-After")
            return HttpReply(response.status, body, None if asked is None else self._seconds_until(asked))

    def _seconds_until(self, asked: str) -> float | None:
        """Retry-After in seconds: a number, or a date (RFC 9110 §10.2.3); None for what is neither."""
        if asked.isascii() and asked.isdigit():
            seconds = float(asked[:9])
        else:
            try:
                seconds = (parse_http_date(asked) - self._clock()).total_seconds()
            except ValueError:
                return None
        return min(max(seconds, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send it once: aiohttp itself would repeat a GET or PUT whose connection ended without an answer."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken from error


def _stage_trace() -> TraceConfig:
    """Notes when a request has its connection, and with it the chance to be written."""

    async def connected(_session: ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.connect()

    trace: TraceConfig = TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


async def _read(response: ClientResponse) -> bytes:
    """The body, or the beginning of one that is too long."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > BODY_LIMIT_BYTES:
            response.close()
            break
    return bytes(body[:BODY_LIMIT_BYTES])


def _why_unconnected(error: BaseException, request: HttpRequest) -> str:
    url = URL(request.url, encoded=True)
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    elif not isinstance(error, TimeoutError | tls.SSLError):
        return f"no connection to {url.host}:{url.port}: {type(error).__name__}"
    return why_unconnected(cause, url.host or "", url.port or 0)


def _in_words(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "the time for it was over"
        case aiohttp.ClientPayloadError():
            return "the connection ended in the middle of it"
        case _Broken():
            return "the connection ended"
        case aiohttp.ClientResponseError():
            return "it is no HTTP"
    return type(error).__name__

"""POSTs to customers' endpoints over connections that are kept: HTTP/1.1, and no more of it than webhooks need.

A general client costs four times the processor time a call. Redirects are answers like any other here: followed, they
would lead past the check of addresses. What an endpoint answers besides its head is read and thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

from longcode.errors import LongcodeError
from longcode.webhooks.addresses import AddressRefused, NameUnknown, Resolver, addresses
from longcode.webhooks.target import Target

TIMEOUT_SECONDS: Final = 15.0
# One address of several may swallow packets; the others must have their turn.
CONNECT_SECONDS: Final = 5.0
MOST_ADDRESSES: Final = 4
IDLE_SECONDS: Final = 60.0
MOST_IDLE: Final = 400
HEAD_BYTES: Final = 65_536
BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered. retry_after: that header, not looked at."""

    status: int
    retry_after: str | None = None


class Unanswered(LongcodeError):
    """The endpoint gave no answer that could be read."""

    code = "unanswered"
    retry = True


class _Stale(Unanswered):
    """A kept connection ended before a single byte came back: its server had closed it."""


Key = tuple[bool, str, int, bool]


class Client:
    """Connections to many endpoints.

    timeout_seconds: for one call altogether, from the name to the answer. trust: for https; None: the system's
    authorities. now: a clock of seconds that only goes on.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        resolver: Resolver,
        timeout_seconds: float = TIMEOUT_SECONDS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._resolver = resolver
        self._trust = trust
        self._idle: dict[Key, list[_Connection]] = {}
        self._kept = 0  # how many those are

    async def post(self, target: Target, request: bytes, *, allow_private: bool) -> Answer:
        """Send one request, head and body, and read what comes back. Raises Unanswered, saying why."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(target, request, allow_private)
        except TimeoutError as error:
            raise Unanswered(f"no answer within {self._timeout_seconds:g} seconds") from error
        except (AddressRefused, NameUnknown) as error:
            raise Unanswered(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            raise Unanswered(f"its certificate is not trusted: {error.verify_message}") from error
        except OSError as error:
            raise Unanswered(f"no connection: {error.strerror or error}") from error

    def prune(self) -> None:
        """Close the connections that nobody used for a while."""
        oldest = self._now() - IDLE_SECONDS
        for key, idle in list(self._idle.items()):
            kept = []
            for connection in idle:
                if connection.idle_since > oldest and connection.usable:
                    kept.append(connection)
                else:
                    connection.close()
            if kept:
                self._idle[key] = kept
            else:
                del self._idle[key]
        self._kept = sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Let go of idle connections and of the resolver."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
        self._kept = 0
        self._resolver.close()

    async def _post(self, target: Target, request: bytes, allow_private: bool) -> Answer:
        key = (target.secure, target.host, target.port, allow_private)
        kept = self._take(key)
        if kept is not None:
            with contextlib.suppress(_Stale):
                return await self._ask(key, kept, request)
        return await self._ask(key, await self._connect(target, allow_private), request)

    async def _ask(self, key: Key, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            if connection.answer is not None:
                return connection.answer  # its head was there; only its body was not
            raise
        if connection.usable and self._kept < MOST_IDLE:
            connection.idle_since = self._now()
            self._kept += 1
            self._idle.setdefault(key, []).append(connection)
        else:
            connection.close()
        return answer

    def _take(self, key: Key) -> _Connection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            self._kept -= 1
            if connection.usable:
                return connection
        return None

    async def _connect(self, target: Target, allow_private: bool) -> _Connection:
        found = await addresses(target.host, target.port, allow_private=allow_private, resolver=self._resolver)
        found = found[:MOST_ADDRESSES]
        for address in found[:-1]:
            with contextlib.suppress(OSError):  # a TimeoutError is one
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._connect_to(str(address), target)
        return await self._connect_to(str(found[-1]), target)

    async def _connect_to(self, address: str, target: Target) -> _Connection:
        if target.secure and self._trust is None:
            self._trust = ssl.create_default_context()
        _, protocol = await asyncio.get_running_loop().create_connection(
            _Connection,
            address,
            target.port,
            ssl=self._trust if target.secure else None,
            server_hostname=target.host if target.secure else None,
        )
        return protocol


@dataclass(slots=True, eq=False)
class _Connection(asyncio.Protocol):
    """One connection; one call at a time.

    answer: the head of the last answer, once it was there.
    """

    idle_since: float = 0.0
    usable: bool = True
    answer: Answer | None = None
    _parser: httptools.HttpResponseParser = field(init=False)
    _transport: asyncio.Transport = field(init=False)
    _waiter: asyncio.Future[Answer] | None = None
    _retry_after: str | None = None
    _bytes: int = 0
    _began_in_head: bool = False

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes) -> Answer:
        """Send a request; its answer, when all of that is there. Raises Unanswered."""
        self.answer, self._retry_after, self._bytes = None, None, 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        """End it at once."""
        self.usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        self._began_in_head = self.answer is None
        if self._waiter is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserError:
            self._fail(Unanswered("the answer is no HTTP"))
        if self._waiter is not None and self._bytes > (HEAD_BYTES if self.answer is None else BODY_BYTES):
            self._fail(Unanswered("the answer's head is too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "the connection ended before the answer"
        self._fail(Unanswered(reason) if self._bytes else _Stale(reason))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            self.answer = Answer(status, self._retry_after)
            self._bytes = 0

    def on_body(self, body: bytes) -> None:
        if self._began_in_head:
            self._bytes += len(body)

    def on_message_complete(self) -> None:
        if self.answer is not None:
            self.usable = self.usable and self._parser.should_keep_alive()
            self._deliver(self.answer)

    def on_message_begin(self) -> None:
        if self._waiter is None:
            self.usable = False  # more answers than questions

    def _end(self) -> None:
        """The answer is what it is, and nothing more can be asked here."""
        self.usable = False
        if self.answer is not None:
            self._deliver(self.answer)
        else:
            self._fail(Unanswered("the answer is no HTTP"))

    def _fail(self, error: Unanswered) -> None:
        self.usable = False
        if self.answer is not None:
            self._end()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self._waiter = None

    def _deliver(self, answer: Answer) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)
        self._waiter = None


def system_client() -> Client:
    """A client of the system's resolver and its trust."""
    return Client(now=time.monotonic, resolver=Resolver(time.monotonic))

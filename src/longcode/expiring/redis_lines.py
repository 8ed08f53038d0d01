"""Commands to Redis over few connections, with as little between them and the wire as can be.

The connections are redis-py's own; its client does more for each command than the command costs, and most
of all where caches are cold, as a lone message finds them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from longcode.errors import StorageDown

CONNECTIONS: Final = 16
CONNECT_SECONDS: Final = 1.0


class RedisLines:
    """Calls one server; each command has a connection for itself until it is answered.

    url: redis://, rediss:// or unix://.
    timeout_seconds: bounds each call, connecting included. Nothing is tried twice.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 1.0) -> None:
        self._make = _maker(url)
        self._timeout_seconds = timeout_seconds
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[Connection] = []

    async def call(self, *command: bytes | int | str) -> Any:
        """The answer to one command. Raises StorageDown, also where the server refuses the command."""
        try:
            async with asyncio.timeout(self._timeout_seconds), self._room:
                return await self._ask(await self._connected(), command)
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageDown(f"Redis did not answer: {error or 'timeout'}") from error

    async def close(self) -> None:
        """Let go of connections."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect()

    async def _connected(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not _has_ended(connection):
                return connection
            await connection.disconnect(nowait=True)
        return self._make()  # connects with its first command

    async def _ask(self, connection: Connection, command: tuple[bytes | int | str, ...]) -> Any:
        try:
            await connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = await connection.read_response(timeout=math.inf)
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            # Its answer may still come; nobody else may take that for theirs.
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return answer


async def messages(url: str, channel: str) -> AsyncIterator[bytes]:
    """What is published on a channel from now on. Raises RedisError or OSError where the connection ends."""
    connection = _maker(url)()
    try:
        await connection.send_command("SUBSCRIBE", channel)
        while True:
            kind, _, data = await connection.read_response(timeout=math.inf)
            if kind == b"message":
                yield data
    finally:
        await connection.disconnect(nowait=True)


def _maker(url: str) -> Callable[[], Connection]:
    """What makes connections, of the kind and with the credentials that the URL says."""
    pool = ConnectionPool.from_url(
        url,
        # What is published comes as an answer does.
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return cast("Callable[[], Connection]", pool.make_connection)


def _has_ended(connection: Connection) -> bool:
    """Whether the server has closed it, as far as is known without asking: redis-py asks the socket each time."""
    reader = connection._reader
    return reader is None or reader.at_eof()

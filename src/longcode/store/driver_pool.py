"""Bare asyncpg connections for the hot statements.

asyncpg's own pool, and even more the engine's, wraps each connection, each call and each release; where the
caches are cold, as at a lone message, that costs as much Python as the statement itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class DriverPool:
    """Up to `size` connections. One lent is one caller's, and used for one statement a transaction.

    connect: opens one. seconds: how long `take` may wait for one.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int, seconds: float) -> None:
        self._connect = connect
        self._size = size
        self._seconds = seconds
        self._room = asyncio.Semaphore(size)
        self._idle: list[Any] = []
        self._lent: set[Any] = set()

    async def take(self) -> Any:
        """A connection that is open, as far as is known unasked. Raises TimeoutError, and what `connect` does."""
        if self._room.locked():
            async with asyncio.timeout(self._seconds):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            # The one that was used last is the likeliest to be warm.
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    break
            else:
                connection = await self._connect()
        except BaseException:
            self._room.release()
            raise
        self._lent.add(connection)
        return connection

    def give_back(self, connection: Any) -> None:
        """Lend it to the next, unless it is closed."""
        self._lent.discard(connection)
        self._room.release()
        if not connection.is_closed():
            self._idle.append(connection)

    async def close(self, seconds: float) -> None:
        """Wait a while for those that are lent, then close all; what still runs is cut."""
        try:
            async with asyncio.timeout(seconds):
                for _ in range(self._size):
                    await self._room.acquire()
                await asyncio.gather(*(connection.close() for connection in self._idle), return_exceptions=True)
        except TimeoutError:
            for connection in [*self._idle, *self._lent]:
                connection.terminate()
        self._idle.clear()

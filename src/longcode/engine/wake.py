"""Kicks between processes, through Redis: hints that may be lost, so nothing waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from longcode import log
from longcode.errors import StorageDown
from longcode.expiring.redis_lines import RedisLines, messages
from longcode.flow.jobs import Kick

CHANNEL = "longcode:kick"
PAUSE_SECONDS = 1.0


class Wakes:
    """Publishes this process's kicks. Kicks of one job that are not out yet fall together."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._something = asyncio.Event()

    def kick(self, job: str) -> None:
        """Tell the other processes; returns at once."""
        self._waiting.add(job)
        self._something.set()

    async def publish(self, url: str) -> None:
        """Publish for as long as the process lives; what cannot be published is dropped."""
        logger = log.get("wake")
        lines = RedisLines(url)
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                jobs, self._waiting = self._waiting, set()
                try:
                    for job in jobs:
                        await lines.call("PUBLISH", CHANNEL, job)
                except StorageDown as error:
                    logger.warning("kicks are lost, periods find the work", error=str(error))
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await lines.close()


async def listen(url: str, kick: Kick) -> None:
    """Pass the kicks of other processes on for as long as this one lives."""
    while True:
        with contextlib.suppress(RedisError, OSError):
            async for job in messages(url, CHANNEL):
                kick(job)
        await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def background(*coroutines: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run coroutines beside the body, and end them with it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

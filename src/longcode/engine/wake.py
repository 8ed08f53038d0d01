"""Kicks between processes, through Redis: hints that may be lost, so nothing waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

import msgspec
from redis.exceptions import RedisError

from longcode import log
from longcode.errors import StorageDown
from longcode.expiring.redis_lines import RedisLines, messages
from longcode.flow.jobs import DISPATCH, MOST_FRESH, STANDING, Fresh, Kick, Offer, dispatch_job

CHANNEL = "longcode:kick"
PAUSE_SECONDS = 1.0
_DISPATCH = re.compile(rf"{DISPATCH} (\d{{1,18}})", re.ASCII)


class Wakes:
    """Publishes this process's kicks and offers. Those of one job that are not out yet fall together."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Fresh]] = {}
        self._something = asyncio.Event()

    def kick(self, job: str) -> None:
        """Tell the other processes; returns at once."""
        self._waiting.setdefault(job, [])
        self._something.set()

    def offer(self, carrier_id: int, fresh: Sequence[Fresh]) -> None:
        """As `kick`, with what is new where that is not much."""
        self._waiting.setdefault(dispatch_job(carrier_id), []).extend(fresh)
        self._something.set()

    async def publish(self, url: str) -> None:
        """Publish for as long as the process lives; what cannot be published is dropped."""
        logger = log.get("wake")
        lines = RedisLines(url)
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                waiting, self._waiting = self._waiting, {}
                try:
                    for job, fresh in waiting.items():
                        await lines.call("PUBLISH", CHANNEL, _told(job, fresh))
                except StorageDown as error:
                    logger.warning("kicks are lost, periods find the work", error=str(error))
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await lines.close()


async def listen(url: str, kick: Kick, offer: Offer) -> None:
    """Pass the kicks and offers of other processes on for as long as this one lives; what is neither is dropped."""
    logger = log.get("wake")
    while True:
        with contextlib.suppress(RedisError, OSError):
            async for told in messages(url, CHANNEL):
                try:
                    _pass_on(told.decode(), kick, offer)
                except (ValueError, msgspec.DecodeError) as error:
                    logger.warning("somebody else writes to the channel of kicks", channel=CHANNEL, error=str(error))
        await asyncio.sleep(PAUSE_SECONDS)


def _pass_on(told: str, kick: Kick, offer: Offer) -> None:
    """Say again what another process said. Raises ValueError or msgspec.DecodeError for what none of ours says."""
    job, _, fresh = told.partition("\n")
    dispatch = _DISPATCH.fullmatch(job)
    if dispatch is None and job not in STANDING:
        raise ValueError("it names no job")
    if fresh and dispatch is not None:
        offer(int(dispatch[1]), msgspec.json.decode(fresh, type=list[Fresh]))
    else:
        kick(job)


def _told(job: str, fresh: Sequence[Fresh]) -> str:
    return f"{job}\n{msgspec.json.encode(fresh).decode()}" if 0 < len(fresh) <= MOST_FRESH else job


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

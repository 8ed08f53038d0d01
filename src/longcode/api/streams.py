"""The event streams that are open in this process: how many, whose, and how many of them read at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from longcode.api.problems import RateLimited

MOST_STREAMS: Final = 200
# No account takes the streams of all others.
MOST_OF_ACCOUNT: Final = 50
# Connections to the database that streams share, and leave the others to everybody else.
READS_AT_ONCE: Final = 4
RETRY_AFTER_SECONDS: Final = 5
STREAM: Final = "text/event-stream"


class OpenStreams:
    """Counts streams. reads: whoever reads for one takes it meanwhile."""

    def __init__(self, *, most: int = MOST_STREAMS, most_of_account: int = MOST_OF_ACCOUNT) -> None:
        self._most = most
        self._most_of_account = most_of_account
        self._open: Counter[int] = Counter()
        self.reads = asyncio.Semaphore(READS_AT_ONCE)

    def enter(self, account_id: int) -> Callable[[], None]:
        """Count a stream more; what to call at its end. Raises RateLimited where there are too many."""
        if self._open.total() >= self._most:
            raise _too_many(f"this process serves {self._most} streams at once")
        if self._open[account_id] >= self._most_of_account:
            raise _too_many(f"an account has at most {self._most_of_account} streams at once")
        self._open[account_id] += 1

        def leave() -> None:
            self._open[account_id] -= 1
            self._open += Counter()  # forgets whose count is zero

        return leave


class Stream(StreamingResponse):
    """An answer that is a stream. leave: called at its end, also where its body never began."""

    def __init__(self, parts: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        super().__init__(parts, media_type=STREAM, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


def _too_many(sentence: str) -> RateLimited:
    return RateLimited(sentence, retry_after_seconds=RETRY_AFTER_SECONDS)

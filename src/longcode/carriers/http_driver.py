"""The driver of every carrier that is reached by HTTP: whole messages, several at once, each written once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from longcode import log
from longcode.carriers.http_exchange import Exchange
from longcode.carriers.http_port import HttpReply, Vendor
from longcode.carriers.port import (
    Answered,
    Capacity,
    Deferred,
    Outcome,
    Rejected,
    Submission,
    Unconfirmed,
)
from longcode.domain.clock import Clock
from longcode.encoding.segments import Encoding, Segment

CLOSED_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0
FIRST_REST_SECONDS: Final = 0.5
LONGEST_REST_SECONDS: Final = 30.0
# After an answer that is about the carrier and not about the message, it is left alone for as long as that asks, at
# most so long. A 401 asks for nothing and opens the circuit, whose pause is no shorter: messages then go as it says.
RESTS_SECONDS: Final[Mapping[int, float]] = {401: 5.0, 429: LONGEST_REST_SECONDS, 503: LONGEST_REST_SECONDS}


class HttpDriver:
    """One HTTP carrier in one process.

    kick: called when the carrier takes messages again after it took none.
    """

    def __init__(self, vendor: Vendor, *, kick: Callable[[], None], clock: Clock) -> None:
        self._vendor = vendor
        self._terms = vendor.terms
        self._kick = kick
        self._exchange = Exchange(vendor.terms, clock)
        self._sending: set[asyncio.Task[None]] = set()
        self._rests_until = 0.0
        self._failures = 0
        self._starved = False
        self._closed = False
        self._log = log.get("http carrier")

    @property
    def deduplicates(self) -> bool:
        """True where the operator says so, or chose at-least-once for what is unconfirmed."""
        return self._terms.resend_unconfirmed

    @property
    def segments_per_second(self) -> float:
        """As the operator set it; a message counts as one."""
        return self._terms.messages_per_second

    def capacity(self) -> Capacity:
        """The free connections; no crumbs while others are in use."""
        rest = self._rests_until - asyncio.get_running_loop().time()
        if rest > 0:
            return Capacity(0, rest)
        free = self._terms.connections - len(self._sending)
        if free < max(1, self._terms.connections // 4):
            self._starved = True
            return Capacity(0)
        return Capacity(free)

    def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        """The whole: the carrier cuts it itself."""
        return [Segment(text, 0, 1, encoding, reference)]

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        """Begin a request for each; their outcomes come as the answers do."""
        for submission in submissions:
            task = asyncio.create_task(self._send(submission, answered), name="http submission")
            self._sending.add(task)
            task.add_done_callback(self._sent)

    async def close(self) -> None:
        """Wait a while for answers, then let go; what was written and not answered is unconfirmed."""
        self._closed = True
        if self._sending:
            await asyncio.wait(self._sending, timeout=CLOSE_SECONDS)
        self._exchange.hang_up()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._exchange.close()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if self._starved and self.capacity().segments:
            self._starved = False
            self._kick()

    async def _send(self, submission: Submission, answered: Answered) -> None:
        outcome: Outcome = Unconfirmed("The request was cut off.")
        try:
            outcome = await self._outcome(submission)
        except Exception as error:
            # A fault of ours proves nothing about what the carrier has.
            self._log.error("a driver failed", exc_info=error)
            outcome = Unconfirmed(f"the driver failed: {type(error).__name__}")
        finally:
            answered(submission, outcome)

    async def _outcome(self, submission: Submission) -> Outcome:
        if self._closed:
            return Deferred(CLOSED_SECONDS, "not_written", "The carrier was closed.")
        request = self._vendor.request(submission)
        if isinstance(request, Rejected):
            return request
        reply = await self._exchange.ask(request)
        if not isinstance(reply, HttpReply):
            if isinstance(reply, Deferred):
                self._rest(min(FIRST_REST_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_REST_SECONDS))
                self._failures += 1
            return reply
        self._failures = 0
        outcome = self._vendor.outcome(reply, submission)
        if isinstance(outcome, Deferred) and reply.status in RESTS_SECONDS:
            self._rest(min(outcome.after_seconds, RESTS_SECONDS[reply.status]))
        return outcome

    def _rest(self, seconds: float) -> None:
        self._rests_until = max(self._rests_until, asyncio.get_running_loop().time() + seconds)

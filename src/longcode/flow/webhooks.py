"""Webhooks: from the queue of events to the customers' endpoints, each event at least once.

`drain` claims what is due and starts deliveries; they go on when it has returned. What came of them is recorded in
batches. Every endpoint has a line of its own, and lines that do not answer well share half of all connections, so that
no number of dead endpoints keeps events from the living.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from longcode import log
from longcode.domain.clock import Clock
from longcode.errors import ConfigurationError, Unavailable
from longcode.flow.jobs import WEBHOOKS, Kick
from longcode.flow.webhook_line import (
    FIRST_HELD,
    GONE,
    Held,
    Line,
    again_after,
    body_of,
    open_line,
    why_failed,
    wish_of,
)
from longcode.store.catalog import CatalogStore
from longcode.store.webhook_queue import Due, Ended, WebhookQueue
from longcode.store.webhooks import Endpoint, WebhookStore
from longcode.webhooks.client import TIMEOUT_SECONDS, Client, Unanswered

DRAIN_SECONDS: Final = 5.0
LEASE: Final = timedelta(seconds=60)
# Nothing is begun that could end after its lease.
BEGIN_SECONDS: Final = LEASE.total_seconds() - 2 * TIMEOUT_SECONDS
MOST_HELD: Final = 2048
MOST_CONNECTIONS: Final = 400
# So long after a claim the next one follows, with what has come meanwhile, and so long what came of deliveries
# gathers for its commit. A lone event waits for neither.
GATHER_SECONDS: Final = 0.02
# While events come, a drain goes on: to be started anew costs more than to look in vain so often.
LOOKS_IN_VAIN: Final = 5
RECORD_PAUSE_SECONDS: Final = 0.5
# What has not ended by then is delivered again when its lease is over.
CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMeans:
    """What deliveries are made with.

    unseal: opens the endpoints' secrets. now: seconds that only go on. concurrency: deliveries at once, an endpoint.
    connections: deliveries at once, altogether.
    """

    endpoints: WebhookStore
    queue: WebhookQueue
    catalog: CatalogStore
    client: Client
    unseal: Callable[[str], str]
    kick: Kick
    clock: Clock
    now: Callable[[], float]
    random: Callable[[], float]
    concurrency: int
    gather_seconds: float = GATHER_SECONDS
    connections: int = MOST_CONNECTIONS


class Webhooks:
    """Delivers events."""

    def __init__(self, means: WebhookMeans) -> None:
        self._means = means
        self._version = -1
        self._lines: dict[int, Line] = {}
        self._unusable: set[int] = set()
        self._standing: deque[Line] = deque()  # with something to deliver, and no connection to spare
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0  # deliveries that are on their way
        self._untrusted = 0  # those of them to lines without trust
        self._ended: list[Ended] = []
        self._gone: set[int] = set()
        self._something = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._recorder: asyncio.Task[None] | None = None
        self._stopping = False
        self._log = log.get("webhooks")

    async def drain(self) -> float | None:
        """Start the deliveries that are due, for a few seconds at most.

        Seconds until there is more to do: 0.0 at once, None not before somebody says so.
        """
        await self._refresh()
        self._means.client.prune()
        for line in self._lines.values():
            self._start(line)  # those whose rest is over
        end = self._means.now() + DRAIN_SECONDS
        looks = 0
        while self._means.now() < end and not self._stopping:
            claimed = await self._claim()
            await self._hold(claimed)
            looks = LOOKS_IN_VAIN if claimed else looks - 1
            if looks < 0:
                return None
            await asyncio.sleep(self._means.gather_seconds)
        return 0.0

    async def settled(self) -> None:
        """Wait until every delivery that was started has ended and is recorded."""
        await self._idle.wait()

    def stop(self) -> None:
        """Claim and start nothing any more."""
        self._stopping = True

    async def close(self) -> None:
        """Wait for the deliveries that are on their way, record them, let go of every connection.

        What was claimed and not begun is delivered when its lease is over.
        """
        self.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._recorder is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.settled()
            self._recorder.cancel()
            await asyncio.gather(self._recorder, return_exceptions=True)
        self._means.client.close()

    async def _refresh(self) -> None:
        """Know the endpoints as they are now; a line that changed keeps what it holds."""
        version = await self._means.catalog.version()
        if version == self._version:
            return
        found = {endpoint.id: endpoint for endpoint in await self._means.endpoints.enabled()}
        self._version = version
        self._unusable &= set(found)
        for endpoint_id in [known for known in self._lines if known not in found]:
            self._lines.pop(endpoint_id).waiting.clear()
        for endpoint in found.values():
            line = self._lines.get(endpoint.id)
            if line is None or line.endpoint != endpoint:
                self._open(endpoint, line)

    def _open(self, endpoint: Endpoint, before: Line | None) -> None:
        try:
            line = open_line(endpoint, self._means.unseal, self._means.concurrency)
        except ConfigurationError as error:
            if endpoint.id not in self._unusable:
                self._log.error("a webhook endpoint cannot be signed for", endpoint=endpoint.id, faults=error.faults)
            self._unusable.add(endpoint.id)
            self._lines.pop(endpoint.id, None)
            return
        self._unusable.discard(endpoint.id)
        if before is not None:
            line.waiting, before.waiting = before.waiting, line.waiting
        self._lines[endpoint.id] = line
        self._start(line)

    async def _claim(self) -> list[Due]:
        """Lease what the lines may hold."""
        now = self._means.now()
        held = sum(line.held for line in self._lines.values())
        if held >= MOST_HELD:
            return []
        caps = dict.fromkeys(self._unusable, 0)
        for endpoint_id, line in self._lines.items():
            room = line.room(now)
            if room != FIRST_HELD:
                caps[endpoint_id] = room
        claimed = await self._means.queue.claim(MOST_HELD - held, each=FIRST_HELD, at_most=caps, lease=LEASE)
        taken: dict[int, int] = {}
        for due in claimed:
            taken[due.endpoint_id] = taken.get(due.endpoint_id, 0) + 1
        for endpoint_id, line in self._lines.items():
            # What had no room left may have more waiting, and says so itself when there is room again.
            line.hungry = taken.get(endpoint_id, 0) >= line.room(now)
        return claimed

    async def _hold(self, claimed: list[Due]) -> None:
        """Put what was claimed into its lines; what waits for an endpoint that is gone is forgotten."""
        until = self._means.now() + BEGIN_SECONDS
        if any(due.endpoint_id not in self._lines for due in claimed):
            self._version = -1
            await self._refresh()
        unknown = {due.endpoint_id for due in claimed} - set(self._lines) - self._unusable
        if unknown:
            await self._means.queue.drop(sorted(unknown))
        touched = {}
        for due in claimed:
            line = self._lines.get(due.endpoint_id)
            if line is not None:
                line.waiting.append(Held(due, until))
                touched[due.endpoint_id] = line
        for line in touched.values():
            self._start(line)

    def _start(self, line: Line) -> None:
        """Begin as many deliveries of a line as it may have; it stands where there is no connection to spare."""
        while not self._stopping and line.may_start(self._means.now()):
            most = self._means.connections
            if self._running >= most or (not line.trusted and self._untrusted >= most // 2):
                if line not in self._standing:
                    self._standing.append(line)
                return
            self._idle.clear()
            if self._recorder is None:
                self._recorder = asyncio.create_task(self._record(), name="webhook recorder")
            line.running += 1
            self._running += 1
            self._untrusted += not line.trusted
            task = asyncio.create_task(self._run(line, trusted=line.trusted), name=f"webhook {line.endpoint.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, line: Line, *, trusted: bool) -> None:
        """Deliver what waits in a line, one after the other, while all goes well and nobody stands."""
        try:
            while line.waiting and not self._stopping and line.running <= line.reach:
                held = line.waiting.popleft()
                late = self._means.now() >= held.until  # whoever claims it next delivers it
                if not late and not await self._deliver(line, held.due):
                    break
                if self._standing:
                    break
        finally:
            self._untrusted -= not trusted
            line.running -= 1
            self._running -= 1
            self._something.set()
        for _ in range(len(self._standing)):
            self._start(self._standing.popleft())
        self._start(line)

    async def _deliver(self, line: Line, due: Due) -> bool:
        """One try, and what came of it; True where the endpoint has the event."""
        began, now = self._means.now(), self._means.clock()
        endpoint, wish, status, error = line.endpoint, timedelta(), None, None
        try:
            request = line.request(due.event.id, body_of(due.event), now)
            answer = await self._means.client.post(line.target, request, allow_private=endpoint.allow_private)
            status, error, wish = answer.status, why_failed(answer), wish_of(answer, now)
        except Unanswered as fault:
            error = str(fault)
        except Exception as fault:
            # Not recorded, it would come again with each lease, for ever.
            self._log.error("a webhook could not be sent", endpoint=endpoint.id, exc_info=fault)
            error = f"it could not be sent: {type(fault).__name__}"
        pause = None
        if error is None:
            line.answered_well()
        else:
            line.failed(self._means.now(), wish.total_seconds())
            pause = again_after(due.tries + 1, wish, self._means.random)
            error = error if pause is not None else f"{error}; given up"
        if status == GONE:
            pause = None
            self._gone.add(endpoint.id)
            line.waiting.clear()
        self._ended.append(
            Ended(
                endpoint_id=endpoint.id,
                event_id=due.event.id,
                status=status,
                error=error,
                milliseconds=int((self._means.now() - began) * 1000),
                ended_at=self._means.clock(),
                again_after=pause,
            )
        )
        self._something.set()
        if line.hungry and line.held <= line.reach // 2:
            line.hungry = False
            self._means.kick(WEBHOOKS)
        return error is None

    async def _record(self) -> None:
        """Commit what came of deliveries, in batches, for as long as the process lives."""
        while True:
            await self._something.wait()
            await asyncio.sleep(self._means.gather_seconds)
            self._something.clear()
            if not await self._record_rest():
                await asyncio.sleep(RECORD_PAUSE_SECONDS)
                self._something.set()
            elif not self._tasks and not self._ended:
                self._idle.set()

    async def _record_rest(self) -> bool:
        """Commit what ended; False where the database does not answer, and it is kept for later."""
        batch, self._ended = self._ended, []
        gone, self._gone = self._gone, set()
        try:
            if batch:
                await self._means.queue.finish(batch)
            for endpoint_id in gone:
                if await self._means.endpoints.disable(endpoint_id, f"it answered {GONE}"):
                    self._log.warning("a webhook endpoint is gone and is disabled", endpoint=endpoint_id)
        except Unavailable as error:
            self._log.warning("what came of webhooks waits for the database", events=len(batch), error=str(error))
            self._ended[:0] = batch
            self._gone |= gone
            return False
        except Exception as error:
            # Their leases end, and then they are delivered once more.
            self._log.error("what came of webhooks could not be recorded", events=len(batch), exc_info=error)
        return True

"""Group commit: calls that arrive together are settled together.

Each caller is answered only after the commit that holds its message. At most one commit is in
flight in a process, so batches form by themselves under load and a lone call waits for nobody.
What is done with a batch is in `longcode.flow.settlement`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from longcode import log
from longcode.errors import IntakeFull, LongcodeError, Refused
from longcode.flow.settlement import Entered, Entry, Pending, Settlement

BATCH_CALLS = 256


@dataclass(slots=True)
class Counts:
    """What became of the calls so far; a call that failed by a fault of ours is in none but `batches`."""

    batches: int = 0
    stored: int = 0
    replayed: int = 0
    refused: int = 0


class Intake:
    """The one door into the store. `start` it, `enter` calls, `close` it: close drains.

    limit: how many calls may wait.
    """

    def __init__(self, settlement: Settlement, *, limit: int) -> None:
        self._settlement = settlement
        self._limit = limit
        self._waiting: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.counts = Counts()
        self._log = log.get("intake")

    def start(self) -> None:
        """Begin to settle batches on the running loop."""
        self._task = asyncio.create_task(self._run(), name="intake")

    async def close(self) -> None:
        """Settle what waits, refuse what comes after."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    @property
    def waiting(self) -> int:
        """How many calls wait for their batch."""
        return len(self._waiting)

    async def enter(self, entry: Entry) -> Entered:
        """Store one call's messages, or find what its key stored before.

        Raises IntakeFull, StorageDown, KeyReused, OptedOut, LimitReached, or what `judge` said.
        """
        if self._closing or len(self._waiting) >= self._limit:
            raise IntakeFull
        pending = Pending(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(pending)
        self._arrived.set()
        return await pending.answer

    async def foresee(self, entry: Entry) -> Entered | None:
        """As `enter`, but nothing is stored; None for a call that would be stored now. What it says is the answer."""
        if self._closing or len(self._waiting) >= self._limit:
            raise IntakeFull
        try:
            entered = await self._settlement.foresee(entry)
        except Refused:
            self.counts.refused += 1
            raise
        self.counts.replayed += entered is not None
        return entered

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._settle_or_split(self._next_batch())

    def _next_batch(self) -> list[Pending]:
        """The next calls; of twins with one key only the first, the others wait for its verdict."""
        batch: list[Pending] = []
        names: set[tuple[int, str]] = set()
        twins: list[Pending] = []
        while self._waiting and len(batch) < BATCH_CALLS:
            pending = self._waiting.popleft()
            if pending.name is not None and pending.name in names:
                twins.append(pending)
                continue
            if pending.name is not None:
                names.add(pending.name)
            batch.append(pending)
        self._waiting.extendleft(reversed(twins))
        return batch

    async def _settle_or_split(self, batch: list[Pending]) -> None:
        """Settle a batch; where one call spoils it, settle each alone so that only that one fails."""
        try:
            await self._settlement.settle(batch)
            self._count(batch)
        except LongcodeError as error:
            for pending in batch:
                pending.refuse(error)
        except Exception as error:
            left = [pending for pending in batch if not pending.answer.done()]
            if len(batch) == 1:
                self._log.error("call failed", exc_info=error)
                batch[0].refuse(error)
            else:
                for pending in left:
                    await self._settle_or_split([pending])

    def _count(self, batch: list[Pending]) -> None:
        self.counts.batches += 1
        for pending in batch:
            error = pending.answer.exception() if pending.answer.done() and not pending.answer.cancelled() else None
            if isinstance(error, Refused):
                self.counts.refused += 1
            elif error is None and pending.answer.done() and not pending.answer.cancelled():
                replayed = pending.answer.result().replayed
                self.counts.replayed += replayed
                self.counts.stored += not replayed

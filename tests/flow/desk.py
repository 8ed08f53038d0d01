"""One account, one scripted carrier, and the dispatch between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from longcode.carriers.port import Accepted, Answered, Capacity, Driver, Outcome, Submission
from longcode.domain.account import Account
from longcode.domain.clock import Clock, mint_id, utc_now
from longcode.domain.message import Status
from longcode.encoding.segments import Encoding, Segment, split
from longcode.errors import StorageDown
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.pacing import Paces
from longcode.flow.receipt import Receipts
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import NO_CAPS, Claimed, Conclusion, NewAttempt, OutboxStore
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from tests.flow.world import World, open_world, send

Answer = Callable[[Submission], Outcome]


def accept(submission: Submission) -> Outcome:
    return Accepted(f"ref-{submission.attempt_id}")


@dataclass(eq=False)
class ScriptedDriver:
    """A carrier that answers as it is told, and looks into the database when it is called."""

    database: Database
    answer: Answer = accept
    deduplicates: bool = False
    segments_per_second: float = 0.0
    room: int = 100
    parts: bool = True
    submitted: list[Submission] = field(default_factory=list)
    answered: Answered | None = None
    on_record: list[bool] = field(default_factory=list)
    before_answers: list[Callable[[Sequence[Submission]], Any]] = field(default_factory=list)

    def capacity(self) -> Capacity:
        return Capacity(self.room, None if self.room else 7.0)

    def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        return split(text, encoding=encoding) if self.parts else [Segment(text, 0, 1, encoding, reference)]

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        self.submitted += submissions
        self.answered = answered
        attempt = schema.attempt.c
        async with self.database.read() as connection:
            found = set((await connection.execute(select(attempt.id))).scalars())
        self.on_record += [submission.attempt_id in found for submission in submissions]
        for call in self.before_answers:
            await call(submissions)
        for submission in submissions:
            answered(submission, self.answer(submission))

    async def close(self) -> None:
        pass

    @property
    def segments(self) -> list[int]:
        return [submission.segment_index for submission in self.submitted]


@dataclass(eq=False)
class OneDriver:
    """Drivers, of which there is one or none, and others for some carriers by their ids."""

    found: Driver | None
    others: dict[int, ScriptedDriver] = field(default_factory=dict)

    async def driver(self, carrier_id: int) -> Driver | None:
        return self.others.get(carrier_id, self.found)


class FlakyOutbox(OutboxStore):
    """The real queue, whose next conclusions are lost. after_claim: what happens, once, behind a claim of something.

    cut: how many commits of attempts go through without an answer. hang: set when one did, whose answer never comes.
    """

    lose = 0
    cut = 0
    hang: asyncio.Event | None = None
    hurried = 0
    after_claim: Callable[[], Awaitable[None]] | None = None

    async def claim(
        self, carrier_id: int, limit: int, lease: timedelta, at_most: Mapping[int, int] = NO_CAPS
    ) -> list[Claimed]:
        claimed = await super().claim(carrier_id, limit, lease, at_most)
        after, self.after_claim = (self.after_claim, None) if claimed else (None, self.after_claim)
        if after is not None:
            await after()
        return claimed

    async def claim_fresh(self, attempts: Sequence[NewAttempt], lease: timedelta) -> list[Claimed]:
        claimed = await super().claim_fresh(attempts, lease)
        self.hurried += len(claimed)
        self._perhaps_cut()
        return claimed

    async def begin(self, attempts: Sequence[NewAttempt], leased_until: datetime, left: timedelta) -> set[UUID]:
        begun = await super().begin(attempts, leased_until, left)
        self._perhaps_cut()
        if self.hang is not None:
            self.hang.set()
            await asyncio.Event().wait()
        return begun

    def _perhaps_cut(self) -> None:
        if self.cut:
            self.cut -= 1
            raise StorageDown("the connection was cut behind the commit")

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        if self.lose and any(conclusion.outcomes for conclusion in conclusions):
            self.lose -= 1
            raise StorageDown("the connection is gone")
        await super().conclude(conclusions)


@dataclass(kw_only=True)
class Desk:
    """One account, one carrier, and the dispatch between them."""

    world: World
    account: Account
    carrier_id: int
    driver: ScriptedDriver
    drivers: OneDriver
    dispatch: Dispatch
    receipts: Receipts
    outbox: FlakyOutbox

    async def send(self, **changes: Any) -> UUID:
        return (await self.world.accept.send(send(self.account, **changes))).message.id

    async def drain(self) -> float | None:
        async with asyncio.timeout(30):
            again = await self.dispatch.drain(self.carrier_id)
            await self.dispatch.settled()
        return again

    async def drain_later(self, after: timedelta) -> None:
        await self.world.age_queue(after)
        await self.drain()

    async def status(self, message_id: UUID) -> tuple[Status, str | None]:
        return await self.world.status(message_id)

    async def kinds(self) -> list[str]:
        return sorted(row.kind for row in await self.world.rows("outcome"))


@asynccontextmanager
async def open_desk(database_url: str, *, clock: Clock = utc_now, driver: Driver | None = None) -> AsyncIterator[Desk]:
    """A Desk whose account may send as MyCorp. driver: a real one in the place of the scripted one."""
    async with open_world(database_url, clock=clock) as world:
        account = await world.account()
        await world.accounts.add_sender_id(account.id, "MyCorp")
        carrier_id = await world.route()
        scripted = ScriptedDriver(world.database)
        outbox = FlakyOutbox(world.database, world.clock)
        receipts = Receipts(ReceiptStore(world.database, world.clock, mint_id), StrayStore(world.database, world.clock))
        means = Means(
            outbox=outbox,
            stops=world.stops,
            paces=Paces(expiring=world.expiring, catalog=world.catalog, now=time.monotonic),
            health=world.health,
            kick=world.kicked.append,
            receipts=receipts,
            clock=world.clock,
            mint_id=mint_id,
            random=lambda: 0.5,
        )
        drivers = OneDriver(driver or scripted)
        dispatch = Dispatch(means, drivers)
        yield Desk(
            world=world,
            account=account,
            carrier_id=carrier_id,
            driver=scripted,
            drivers=drivers,
            dispatch=dispatch,
            receipts=receipts,
            outbox=outbox,
        )
        await dispatch.close()

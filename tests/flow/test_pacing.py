"""Paces that hold over several processes: two dispatches on one queue with one shared state."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest

from longcode.carriers.port import Answered, Submission
from longcode.domain.account import Account
from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.engine.local import LocalRunner, Work
from longcode.expiring.redis import RedisExpiring
from longcode.flow.dispatch import Dispatch
from longcode.flow.pacing import BURST_SECONDS, Paces
from longcode.store.cancel import CancelStore
from longcode.store.outbox import NO_CAPS, Claimed, NewAttempt, OutboxStore
from tests.flow.desk import Desk, OneDriver, ScriptedDriver, open_desk
from tests.flow.world import BreakableExpiring, HandClock, send

STEP = timedelta(seconds=0.25)
STEPS_A_SECOND = 4


@dataclass(eq=False)
class TimedDriver(ScriptedDriver):
    """Notes when each message was handed over."""

    at: dict[UUID, float] = field(default_factory=dict)
    enough: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        now = time.monotonic()
        self.at |= {submission.message_id: now for submission in submissions}
        if self.enough and len(self.at) >= self.enough:
            self.reached.set()
        await super().submit(submissions, answered)


class CountingOutbox(OutboxStore):
    """The real queue, which counts what is claimed."""

    claimed = 0

    async def claim(
        self, carrier_id: int, limit: int, lease: timedelta, at_most: Mapping[int, int] = NO_CAPS
    ) -> list[Claimed]:
        found = await super().claim(carrier_id, limit, lease, at_most)
        self.claimed += len(found)
        return found


@dataclass(kw_only=True)
class Office:
    """Two processes whose time is in the test's hands, so on SQLite."""

    desk: Desk
    clock: HandClock
    outbox: CountingOutbox
    drivers: list[ScriptedDriver]
    processes: list[Dispatch]

    async def account(self, name: str, *senders: str) -> Account:
        account = await self.desk.world.account(name)
        for sender in senders or ("MyCorp",):
            await self.desk.world.accounts.add_sender_id(account.id, sender)
        return account

    async def queue(self, account: Account, count: int, **changes: object) -> list[UUID]:
        accept = self.desk.world.accept
        sends = [accept.send(send(account, **changes)) for _ in range(count)]
        return [entered.message.id for entered in await asyncio.gather(*sends)]

    async def pace(self, account: Account, rate: float, sender: str = "") -> None:
        await self.desk.world.catalog_store.set_pace(account.id, sender, rate)
        await self.desk.world.catalog.now()

    async def drain(self) -> set[UUID]:
        """What both processes hand over at this instant."""
        before = self.sent
        for process in self.processes:
            await process.drain(self.desk.carrier_id)
        for process in self.processes:
            await process.settled()
        return self.sent - before

    async def steps(self, seconds: float) -> list[set[UUID]]:
        """What is handed over in each step, from now on."""
        steps = []
        for _ in range(round(seconds * STEPS_A_SECOND)):
            steps.append(await self.drain())
            self.clock.now += STEP
        return steps

    @property
    def sent(self) -> set[UUID]:
        return {submission.message_id for driver in self.drivers for submission in driver.submitted}


@asynccontextmanager
async def open_office(url: str, *, segments_per_second: float = 0.0) -> AsyncIterator[Office]:
    clock = HandClock()
    async with open_desk(url, clock=clock) as desk:
        outbox = CountingOutbox(desk.world.database, clock)
        paces = Paces(expiring=desk.world.expiring, catalog=desk.world.catalog, now=lambda: clock.now.timestamp())
        means = replace(desk.dispatch._means, outbox=outbox, paces=paces)
        drivers = [
            ScriptedDriver(desk.world.database, segments_per_second=segments_per_second, room=50) for _ in range(2)
        ]
        processes = [Dispatch(means, OneDriver(driver)) for driver in drivers]
        yield Office(desk=desk, clock=clock, outbox=outbox, drivers=drivers, processes=processes)
        for process in processes:
            await process.close()


@pytest.fixture
async def office(sqlite_url: str) -> AsyncIterator[Office]:
    async with open_office(sqlite_url) as opened:
        yield opened


def most(steps: Sequence[set[UUID]], seconds: float) -> int:
    """The most that any window of so many seconds holds."""
    width = max(1, round(seconds * STEPS_A_SECOND))
    return max(sum(map(len, steps[start : start + width])) for start in range(len(steps)))


async def test_two_processes_keep_an_accounts_pace_together_and_slow_nobody_else(office: Office) -> None:
    slow, free = await office.account("slow"), await office.account("free")
    await office.pace(slow, 8)
    paced, unpaced = await office.queue(slow, 100), set(await office.queue(free, 30))
    steps = await office.steps(10)
    assert unpaced <= steps[0]
    steps[0] -= unpaced
    assert most(steps, 0.25) <= 8 * BURST_SECONDS
    assert most(steps, 5) <= 8 * (5 + BURST_SECONDS)
    assert 8 * 10 <= sum(map(len, steps)) <= 8 * (10 + BURST_SECONDS)
    # In the order of the queue, and without end after end of claims.
    assert [len(step & set(paced[:8])) for step in steps[:1]] == [8]
    assert office.outbox.claimed <= 3 * len(office.sent)
    assert {row.deferrals for row in await office.desk.world.rows("outbox")} == {0}


async def test_a_password_overtakes_a_paced_campaign_of_its_own_account(office: Office) -> None:
    account = await office.account("slow")
    await office.pace(account, 4)
    await office.queue(account, 60)
    await office.steps(3)
    (password,) = await office.queue(account, 1, priority=0)
    assert password in set().union(*await office.steps(1))
    assert len(office.sent) < 30


async def test_a_senders_pace_holds_no_other_sender_up(office: Office) -> None:
    account = await office.account("beta", "MyCorp", "Other")
    await office.pace(account, 4, "MyCorp")
    paced = set(await office.queue(account, 60))
    others = set(await office.queue(account, 20, sender="Other"))
    steps = await office.steps(12)
    assert others <= steps[0]
    steps[0] -= others
    assert most(steps, 5) <= 4 * (5 + BURST_SECONDS)
    assert 4 * 10 <= sum(map(len, steps)) <= 4 * (12 + BURST_SECONDS)
    assert set().union(*steps) <= paced
    assert office.outbox.claimed <= 4 * 60 + 20


async def test_a_pace_counts_segments_and_numbers_in_any_spelling(office: Office) -> None:
    account = await office.account("beta", "+1 202-555-0101", "12025550101")
    await office.pace(account, 4, "12025550101")
    await office.queue(account, 5, sender="+1 202-555-0101", text="a" * 200)
    await office.queue(account, 5, sender="12025550101", text="a" * 200)
    assert [len(step) for step in await office.steps(0.25)] == [2]


async def test_two_processes_keep_a_carriers_limit_in_every_second(sqlite_url: str) -> None:
    async with open_office(sqlite_url, segments_per_second=20) as office:
        account = await office.account("beta")
        await office.queue(account, 100)
        steps = await office.steps(5)
        assert most(steps, 1) <= 20
        # Asked each quarter of a second, a bucket of a tenth gives less than it could.
        assert sum(map(len, steps)) >= 20


async def test_a_pace_that_is_changed_or_removed_counts_at_once(office: Office) -> None:
    account = await office.account("beta")
    await office.pace(account, 1)
    await office.queue(account, 60)
    assert sum(map(len, await office.steps(1))) <= 2
    await office.pace(account, 20)
    assert sum(map(len, await office.steps(2))) >= 20
    await office.desk.world.catalog_store.remove_pace(account.id, "")
    await office.desk.world.catalog.now()
    await office.steps(0.25)
    assert await office.desk.world.count("outbox") == 0


async def test_where_nothing_is_limited_nothing_is_asked(office: Office) -> None:
    slow, free = await office.account("slow"), await office.account("free")
    await office.pace(slow, 1)
    await office.queue(free, 30)
    await office.drain()
    assert len(office.sent) == 30
    assert office.desk.world.expiring.paced == 0


async def test_what_waits_for_its_pace_can_be_canceled(office: Office) -> None:
    account = await office.account("slow")
    await office.pace(account, 1)
    first, second, third = await office.queue(account, 3)
    await office.drain()
    cancel = CancelStore(office.desk.world.database, office.clock)
    assert [await cancel.cancel(one) for one in (first, second, third)] == [False, True, True]


@pytest.mark.parametrize(
    ("sender", "keeps"), [("", True), ("MyCorp", False)], ids=["the account's pace", "the sender's own pace"]
)
async def test_what_leaves_its_time_for_a_pace_is_not_said_to_be_due_then(
    office: Office, sender: str, keeps: bool
) -> None:
    account = await office.account("beta")
    await office.pace(account, 1, sender)
    due_at = office.clock.now + timedelta(hours=1)
    first, second = await office.queue(account, 2, due_at=due_at)
    office.clock.now = due_at
    assert await office.drain() == {first}
    waiting = await office.desk.world.message(second)
    assert waiting.schedule is not None
    assert (waiting.status, waiting.schedule.send_at) == (Status.SCHEDULED, due_at if keeps else None)
    assert await CancelStore(office.desk.world.database, office.clock).cancel(second)


async def test_what_waits_for_its_pace_expires_on_time(office: Office) -> None:
    account = await office.account("beta")
    await office.pace(account, 0.01, "MyCorp")
    first, second = await office.queue(account, 2, validity=timedelta(seconds=20))
    await office.drain()
    office.clock.now += timedelta(seconds=21)
    await office.drain()
    assert await office.desk.status(first) == (Status.SENT, None)
    assert await office.desk.status(second) == (Status.FAILED, "expired")


async def test_what_may_have_been_sent_is_not_forgotten_by_waiting(office: Office) -> None:
    account = await office.account("beta")
    await office.pace(account, 1)
    (message_id,) = await office.queue(account, 1)
    (claimed,) = await office.outbox.claim(office.desk.carrier_id, 10, timedelta(seconds=1))
    attempt = NewAttempt(mint_id(), message_id, 0, 1, office.desk.carrier_id)
    assert await office.outbox.begin([attempt], claimed.leased_until, timedelta())
    office.clock.now += timedelta(seconds=2)
    for driver in office.drivers:
        driver.deduplicates = True
    (urgent,) = await office.queue(account, 1, priority=0)
    assert await office.drain() == {urgent}
    assert await office.desk.status(message_id) == (Status.SENDING, None)
    assert not await CancelStore(office.desk.world.database, office.clock).cancel(message_id)
    for driver in office.drivers:
        driver.deduplicates = False
    office.clock.now += timedelta(seconds=10)
    await office.drain()
    assert office.sent == {urgent}


async def test_without_the_shared_state_what_has_a_pace_waits(office: Office) -> None:
    account = await office.account("beta")
    await office.pace(account, 1)
    (message_id,) = await office.queue(account, 1)
    down = BreakableExpiring(office.desk.world.expiring)
    down.down = True
    means = office.processes[0]._means
    process = Dispatch(replace(means, paces=replace(means.paces, expiring=down)), OneDriver(office.drivers[0]))
    await process.drain(office.desk.carrier_id)
    assert await office.desk.status(message_id) == (Status.QUEUED, None)
    down.down = False
    office.clock.now += timedelta(seconds=3)
    await process.drain(office.desk.carrier_id)
    await process.settled()
    assert await office.desk.status(message_id) == (Status.SENT, None)
    await process.close()


async def test_two_processes_keep_a_pace_on_a_real_server_in_real_time(database_url: str, valkey_url: str) -> None:
    rate, count = 40, 100
    expiring = RedisExpiring(valkey_url, stop_ttl_seconds=60, limit=50, window_seconds=60, timeout_seconds=10)
    async with open_desk(database_url) as desk:
        await desk.world.catalog_store.set_pace(desk.account.id, "", rate)
        await desk.world.catalog.now()
        sends = [desk.world.accept.send(send(desk.account)) for _ in range(count)]
        await asyncio.gather(*sends)
        paces = Paces(expiring=expiring, catalog=desk.world.catalog, now=time.monotonic)
        driver = TimedDriver(desk.world.database, enough=count, room=50)
        processes = [Dispatch(replace(desk.dispatch._means, paces=paces), OneDriver(driver)) for _ in range(2)]
        runners = [LocalRunner() for _ in processes]
        # Before anything was granted: what was granted first may be written late.
        started = time.monotonic()
        for runner, process in zip(runners, processes, strict=True):

            async def drain(argument: str, process: Dispatch = process) -> float | None:
                return await process.drain(int(argument))

            runner.start({"dispatch": Work(drain, 0.5)}, (f"dispatch {desk.carrier_id}",))
        async with asyncio.timeout(30):
            await driver.reached.wait()
        for runner, process in zip(runners, processes, strict=True):
            await runner.close()
            await process.close()
    await expiring.close()
    at = sorted(driver.at.values())
    assert len(driver.submitted) == count
    assert at[-1] - started >= (count - rate * BURST_SECONDS) / rate * 0.9
    seconds = Counter(int(one - at[0]) for one in at)
    # What was granted in one second may be written in the next.
    assert max(seconds.values()) <= rate * (1 + BURST_SECONDS) * 1.2

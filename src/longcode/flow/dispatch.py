"""Dispatch: from the queue to the carrier, with every attempt on record before it is made.

A lane is one carrier in one process. `Lane.drain` claims as much as the driver takes now;
`_ready` lets some messages go no further; `_pace` puts those back whose turn has not come; `_admit` asks STOP
and commits the attempts; `_launch` hands the others over. Their outcomes come when they come, and `_record`
commits them in batches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from longcode import log
from longcode.carriers.port import Accepted, Deferred, Driver, Outcome, Submission, Unconfirmed
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Status
from longcode.errors import Unavailable
from longcode.flow.conclusion import conclude, put_off_late, unwritten
from longcode.flow.failover import fail_over
from longcode.flow.flight import Flight, begin_all, cut, end_expired, hold_unproven, put_back, take_off, waiting_status
from longcode.flow.health import Health
from longcode.flow.jobs import MOST_FRESH, Fresh, Kick, dispatch_job
from longcode.flow.pacing import Paces, Pacing
from longcode.flow.receipt import Receipts
from longcode.flow.stops import Addressed, Stops
from longcode.flow.together import together
from longcode.store.outbox import Claimed, Conclusion, NewAttempt, NewOutcome, OutboxStore

DRAIN_SECONDS = 5.0
LEASE = timedelta(seconds=60)
# Attempts are begun only while so much is left of their lease: they are committed before anybody else can claim
# their messages, or not at all.
LEAST_LEFT = timedelta(seconds=20)
# What was begun in a hurry is on the wire before the queue is asked for more.
AFTER_HURRY_SECONDS = 0.001
STATE_DOWN_PAUSE = timedelta(seconds=2)
LEAST_PAUSE = timedelta(seconds=1)
# Outcomes gather so long, so that one commit holds many.
GATHER_SECONDS = 0.01
RECORD_PAUSE_SECONDS = 0.5
# How long a process that ends waits for answers.
CLOSE_SECONDS = 8.0


# Reference → the other spellings under which its receipt may come.
_Answers = Mapping[str, Sequence[str]]


class Drivers(Protocol):
    """The carriers that this process can reach."""

    async def driver(self, carrier_id: int) -> Driver | None:
        """The driver of a carrier; None where it is paused, unknown, or another process's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every lane works with."""

    outbox: OutboxStore
    stops: Stops
    paces: Paces
    health: Health
    kick: Kick
    receipts: Receipts
    clock: Clock
    mint_id: MintId
    random: Callable[[], float]


class Dispatch:
    """Drains carriers' queues."""

    def __init__(self, means: Means, drivers: Drivers) -> None:
        self._means = means
        self._drivers = drivers
        self._lanes: dict[int, Lane] = {}
        self._fresh: dict[int, tuple[Fresh, ...]] = {}
        self._stopping = False

    def offer(self, carrier_id: int, fresh: Sequence[Fresh]) -> None:
        """Say what has just been queued for a carrier; its next drain may begin that by fewer steps."""
        self._fresh[carrier_id] = (*self._fresh.get(carrier_id, ()), *fresh)[:MOST_FRESH]

    async def drain(self, carrier_id: int) -> float | None:
        """Send what is due on one carrier, for a few seconds at most.

        Seconds until there is more to do: 0.0 at once, None not before somebody says so.
        """
        fresh = self._fresh.pop(carrier_id, ())
        driver = None if self._stopping else await self._drivers.driver(carrier_id)
        if driver is None:
            return None
        lane = self._lanes.get(carrier_id)
        if lane is None or lane.driver is not driver:
            if lane is not None:
                await lane.close()
            lane = self._lanes[carrier_id] = Lane(carrier_id, driver, self._means)
        return await lane.drain(fresh)

    async def settled(self) -> None:
        """Wait until everything that was handed over is answered and recorded."""
        for lane in list(self._lanes.values()):
            await lane.settled()

    def stop(self) -> None:
        """Claim nothing any more; a drain that runs ends soon."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.stop()

    async def close(self) -> None:
        """Wait a while for the answers to what is in flight, and record them."""
        self.stop()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))


class Lane:
    """One carrier's traffic in this process."""

    def __init__(self, carrier_id: int, driver: Driver, means: Means) -> None:
        self.driver = driver
        self._carrier_id = carrier_id
        self._means = means
        self._pacing = Pacing(carrier_id, driver.segments_per_second, means.paces)
        self._watch = means.health.watch(carrier_id)
        self._flights: dict[UUID, Flight] = {}  # by attempt
        self._handing_over: set[asyncio.Task[None]] = set()
        self._concluded: list[tuple[Conclusion, _Answers]] = []
        self._unwritten: list[NewOutcome] = []
        self._something = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._recorder: asyncio.Task[None] | None = None
        self._stopping = False
        self._stops_down = False
        # The last drain left nothing that is due: who is new overtakes nobody.
        self._emptied = False
        self._log = log.get("dispatch")

    async def drain(self, fresh: Sequence[Fresh] = ()) -> float | None:
        """As Dispatch.drain. fresh: what has just been queued."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_SECONDS
        nobody_waits, self._emptied = self._emptied, False
        if self._unwritten:
            await self._prove_unwritten()
        while loop.time() < end and not self._stopping:
            if wait := self._pacing.carrier_waits():
                return wait
            capacity = self.driver.capacity()
            if capacity.segments <= 0:
                return capacity.again_seconds
            room = await self._watch.room(busy=bool(self._flights))
            if room.most == 0:
                return room.again_seconds
            unhindered = nobody_waits and self._waits_for_no_state() and room.most is None
            if fresh and unhindered and capacity.segments >= len(fresh):
                await self._hurry(fresh)
                fresh = ()
                await asyncio.sleep(AFTER_HURRY_SECONDS)
                continue
            limit, at_most = self._pacing.limit(capacity.segments), self._pacing.at_most()
            limit = limit if room.most is None else min(limit, room.most)
            claimed = await self._means.outbox.claim(self._carrier_id, limit, LEASE, at_most)
            if not claimed:
                self._emptied = True
                return self._pacing.next_turn()
            flights = await self._pace(await self._ready(claimed))
            await self._launch(await self._admit(flights))
        return 0.0

    async def settled(self) -> None:
        """Wait until nothing is in flight and nothing waits to be recorded."""
        await self._idle.wait()

    def stop(self) -> None:
        """Claim nothing any more."""
        self._stopping = True

    async def close(self) -> None:
        """Wait a while for answers, let the driver answer what is still in flight, record it, stop."""
        self.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.settled()
        await self.driver.close()
        await asyncio.gather(*self._handing_over, return_exceptions=True)
        if self._unwritten:
            with contextlib.suppress(Unavailable):
                await self._prove_unwritten()
        if self._recorder is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._idle.wait()
            self._recorder.cancel()

    def _waits_for_no_state(self) -> bool:
        """No message needs a turn, and STOP could be asked lately."""
        return self._pacing.is_free() and not self._stops_down

    async def _hurry(self, fresh: Sequence[Fresh]) -> None:
        """Claim what has just been queued and begin its attempts at once, while STOP is asked."""
        begun = {one.id: NewAttempt(self._means.mint_id(), one.id, 0, 1, self._carrier_id) for one in fresh}
        with self._unwritten_where_it_fails(begun.values()):
            stopped, claimed = await together(
                self._stopped(fresh), self._means.outbox.claim_fresh(list(begun.values()), LEASE)
            )
            back, flights = take_off(claimed, begun, set(fresh), self.driver, self._means.mint_id)
            await self._means.outbox.conclude(back)
            flights = await self._keep_back(flights, stopped)
        await self._launch(flights)

    async def _ready(self, claimed: Sequence[Claimed]) -> list[Flight]:
        """Take out what may not go now, step by step; the rest, cut into segments."""
        held, alive = hold_unproven(claimed, self.driver, self._carrier_id)
        ended, alive = end_expired(alive)
        done, flights = cut(alive, self.driver, self._means.mint_id)
        await self._means.outbox.conclude([*held, *ended, *done])
        return flights

    async def _pace(self, flights: Sequence[Flight]) -> list[Flight]:
        """Put back what has to wait for its account, its sender or the carrier; the rest."""
        try:
            turns = await self._pacing.turns([(flight.claimed, len(flight.submissions)) for flight in flights])
        except Unavailable as error:
            self._log.warning("dispatch waits for the expiring state", messages=len(flights), error=str(error))
            await self._means.outbox.conclude([put_back(flight.claimed, STATE_DOWN_PAUSE) for flight in flights])
            return []
        waiting = []
        for flight, turn in zip(flights, turns, strict=True):
            if not turn.go:
                # It ends on time, also where its turn would come later.
                left = max(flight.claimed.valid_for, LEAST_PAUSE)
                pause = min(timedelta(seconds=turn.after_seconds), left)
                waiting.append(put_back(flight.claimed, pause, paced=not flight.claimed.past))
        await self._means.outbox.conclude(waiting)
        return [flight for flight, turn in zip(flights, turns, strict=True) if turn.go]

    async def _admit(self, flights: Sequence[Flight]) -> list[Flight]:
        """Ask STOP again while the attempts are committed; those that may go, with all that goes on record.

        Where STOP could not be asked lately, it is asked first: each try would leave its attempts behind.
        """
        if not flights:
            return []
        messages = [flight.claimed.message for flight in flights]
        stopped = await self._stopped(messages) if self._stops_down else set()
        if stopped is None:
            await self._means.outbox.conclude([put_back(flight.claimed, STATE_DOWN_PAUSE) for flight in flights])
            return []
        # Committed before anything is written: from here on a crash leaves them unconfirmed, never unknown.
        attempts = begin_all(flights, self._carrier_id)
        with self._unwritten_where_it_fails(attempts):
            if self._stops_down:
                begun = await self._begin(flights, attempts)
            else:
                stopped, begun = await together(self._stopped(messages), self._begin(flights, attempts))
            return await self._keep_back([flight for flight in flights if flight.claimed.message.id in begun], stopped)

    async def _begin(self, flights: Sequence[Flight], attempts: Sequence[NewAttempt]) -> set[UUID]:
        """Commit attempts of one claim; the ids of the messages that are still this lane's."""
        begun = await self._means.outbox.begin(attempts, flights[0].claimed.leased_until, LEAST_LEFT)
        if lost := len(flights) - len(begun):
            self._log.warning("dispatch stood still; others send what it had claimed", messages=lost)
        return begun

    async def _keep_back(self, flights: Sequence[Flight], stopped: set[UUID] | None) -> list[Flight]:
        """Those that may go, of flights whose attempts are begun. stopped: as `_stopped` says."""
        self._stops_down = stopped is None
        kept = [
            Conclusion(
                message_id=flight.claimed.message.id,
                outcomes=tuple(map(unwritten, begin_all([flight], self._carrier_id))),
                status=Status.FAILED if stopped is not None else waiting_status(flight.claimed),
                error="opted_out" if stopped is not None else None,
                again_after=None if stopped is not None else STATE_DOWN_PAUSE,
            )
            for flight in flights
            if stopped is None or flight.claimed.message.id in stopped
        ]
        await self._means.outbox.conclude(kept)
        return [] if stopped is None else [flight for flight in flights if flight.claimed.message.id not in stopped]

    async def _stopped(self, messages: Sequence[Addressed]) -> set[UUID] | None:
        """Whose recipients said STOP; None where that cannot be asked now."""
        try:
            return await self._means.stops.stopped(messages)
        except Unavailable as error:
            self._log.warning("dispatch waits for the expiring state", messages=len(messages), error=str(error))
            return None

    @contextlib.contextmanager
    def _unwritten_where_it_fails(self, begun: Iterable[NewAttempt]) -> Iterator[None]:
        """What is begun here may be committed though nobody says so; nothing of it is written to the carrier."""
        try:
            yield
        except BaseException:  # also where this process ends while the commit is under way
            self._unwritten += [unwritten(attempt) for attempt in begun]
            raise

    async def _prove_unwritten(self) -> None:
        """Record what was begun and never written: who claims it next need not wait for proof of it."""
        known, self._unwritten = self._unwritten, []
        try:
            await self._means.outbox.record(known)
        except Unavailable:
            self._unwritten += known
            raise

    async def _launch(self, flights: Sequence[Flight]) -> None:
        """Hand the window over, and let the answers come when they come."""
        submissions = [submission for flight in flights for submission in flight.submissions]
        if not submissions:
            return
        self._idle.clear()
        if self._recorder is None:
            self._recorder = asyncio.create_task(self._record(), name=f"recorder {self._carrier_id}")
        for flight in flights:
            for submission in flight.submissions:
                self._flights[submission.attempt_id] = flight
        task = asyncio.create_task(self._hand_over(submissions), name=f"hand over {self._carrier_id}")
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)
        await asyncio.sleep(0)  # the driver takes its window before its capacity is asked again

    async def _hand_over(self, submissions: Sequence[Submission]) -> None:
        try:
            await self.driver.submit(submissions, self._answered)
        except Exception as error:
            # An error of the driver's own proves nothing about what the carrier has.
            self._log.error("a driver raised", exc_info=error)
            for submission in submissions:
                self._answered(submission, Unconfirmed(f"the driver failed: {type(error).__name__}"))

    def _answered(self, submission: Submission, outcome: Outcome) -> None:
        """Note one answer; the last of a message concludes its round. A second may put off what was unconfirmed."""
        flight = self._flights.get(submission.attempt_id)
        if flight is None:
            if isinstance(outcome, Deferred):
                self._concluded.append((put_off_late(submission, outcome, self._carrier_id), {}))
                self._something.set()
            return
        earlier = flight.answers.get(submission)
        if earlier is not None and not (isinstance(earlier, Unconfirmed) and isinstance(outcome, Deferred)):
            return
        flight.answers[submission] = outcome
        if len(flight.answers) == len(flight.submissions):
            for one in flight.submissions:
                del self._flights[one.attempt_id]
            conclusion = conclude(
                flight.claimed,
                flight.answers,
                carrier_id=self._carrier_id,
                deduplicates=self.driver.deduplicates,
                random=self._means.random,
            )
            conclusion = fail_over(
                conclusion,
                flight.claimed,
                flight.answers,
                carrier_id=self._carrier_id,
                catalog=self._means.paces.catalog.latest,
                now=self._means.clock(),
            )
            accepted = [answer for answer in flight.answers.values() if isinstance(answer, Accepted)]
            self._concluded.append((conclusion, {answer.reference: answer.alternatives for answer in accepted}))
            self._something.set()

    async def _record(self) -> None:
        """Commit what was concluded, in batches, for as long as the lane lives."""
        while True:
            await self._something.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._something.clear()
            batch, self._concluded = self._concluded, []
            await self._commit(batch)
            if not self._flights and not self._concluded:
                self._idle.set()

    async def _commit(self, batch: Sequence[tuple[Conclusion, _Answers]]) -> None:
        """Record a batch, however long the database takes, then match receipts that came before their answers."""
        try:
            await self._means.outbox.conclude([conclusion for conclusion, _ in batch])
            answers = {reference: forms for _, given in batch for reference, forms in given.items()}
            await self._means.receipts.answered(self._carrier_id, answers)
            for carrier_id in {one.carrier_id for one, _ in batch if one.carrier_id is not None}:
                self._means.kick(dispatch_job(carrier_id))
            await self._watch.note([outcome for conclusion, _ in batch for outcome in conclusion.outcomes])
        except Unavailable as error:
            self._log.warning("outcomes wait for the database", messages=len(batch), error=str(error))
            await asyncio.sleep(RECORD_PAUSE_SECONDS)
            self._concluded[:0] = batch
            self._something.set()
        except Exception as error:
            if len(batch) > 1:
                # One bad answer fails alone; what is recorded twice is so once.
                for one in batch:
                    await self._commit([one])
                return
            # Its lease ends, and then its attempts count as unconfirmed.
            self._log.error("outcomes could not be recorded", messages=len(batch), exc_info=error)

"""Dispatch: from the queue to the carrier, with every attempt on record before it is made.

`_round` is the whole of it; each step takes messages out of the round or lets them go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from longcode import log
from longcode.carriers.port import Accepted, Deferred, Driver, Outcome, Rejected, Submission, Unconfirmed
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Status
from longcode.encoding import segments
from longcode.errors import StorageDown
from longcode.flow.receipt import Receipts
from longcode.flow.stops import Stops
from longcode.store.outbox import Claimed, Conclusion, NewAttempt, NewOutcome, OutboxStore

DRAIN_SECONDS = 5.0
LEASE = timedelta(seconds=60)
# After its validity an unconfirmed message may still get a late receipt.
GRACE = timedelta(minutes=15)
STATE_DOWN_PAUSE = timedelta(seconds=2)
UNCONFIRMED_PAUSE_SECONDS = 5.0
BACKOFF_FACTOR = 1.5
LONGEST_PAUSE_SECONDS = 300.0


class Drivers(Protocol):
    """The carriers that this process can reach."""

    async def driver(self, carrier_id: int) -> Driver | None:
        """The driver of a carrier; None where it is paused, unknown, or another process's."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """One message of a round, with the segments that are handed over now."""

    claimed: Claimed
    submissions: tuple[Submission, ...]


class Dispatch:
    """Drains carriers' queues."""

    def __init__(
        self,
        *,
        outbox: OutboxStore,
        stops: Stops,
        receipts: Receipts,
        drivers: Drivers,
        clock: Clock,
        mint_id: MintId,
        random: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._stops = stops
        self._receipts = receipts
        self._drivers = drivers
        self._clock = clock
        self._mint_id = mint_id
        self._random = random
        self._log = log.get("dispatch")

    async def drain(self, carrier_id: int) -> float | None:
        """Send what is due on one carrier, for a few seconds at most.

        Seconds until there is more to do: 0.0 at once, None not before somebody says so.
        """
        driver = await self._drivers.driver(carrier_id)
        if driver is None:
            return None
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_SECONDS
        while loop.time() < end:
            claimed = await self._outbox.claim(carrier_id, driver.window, LEASE)
            if not claimed:
                return await self._outbox.next_due(carrier_id)
            await self._round(carrier_id, driver, claimed)
        return 0.0

    async def _round(self, carrier_id: int, driver: Driver, claimed: Sequence[Claimed]) -> None:
        """One window of messages, step by step."""
        ended, alive = self._end_expired(claimed)
        held, alive = self._hold_unproven(driver, alive)
        stopped, alive = await self._end_stopped(alive)
        flights = [self._prepare(one) for one in alive]
        await self._outbox.conclude([*ended, *held, *stopped])
        await self._outbox.begin(
            [
                NewAttempt(submission.attempt_id, submission.message_id, submission.segment_index, carrier_id)
                for flight in flights
                for submission in flight.submissions
            ]
        )
        answers = await self._hand_over(driver, flights)
        await self._outbox.conclude([self._conclude(carrier_id, driver, flight, answers) for flight in flights])
        # A receipt may have come before its answer was recorded.
        await self._receipts.match([answer.reference for answer in answers.values() if isinstance(answer, Accepted)])

    def _end_expired(self, claimed: Sequence[Claimed]) -> tuple[list[Conclusion], list[Claimed]]:
        """Messages whose validity is over end as failed; what they failed of says whether they may have been sent."""
        ended = [
            Conclusion(
                message_id=one.message.id,
                status=Status.FAILED,
                error="outcome_unknown" if _unproven(one) else "expired",
            )
            for one in claimed
            if one.expired
        ]
        return ended, [one for one in claimed if not one.expired]

    def _hold_unproven(self, driver: Driver, claimed: Sequence[Claimed]) -> tuple[list[Conclusion], list[Claimed]]:
        """A segment that may be with the carrier goes out again only where the carrier deduplicates."""
        if driver.deduplicates:
            return [], list(claimed)
        held = [
            Conclusion(message_id=one.message.id, status=Status.SENDING, again_after=self._until_known(one))
            for one in claimed
            if _unproven(one)
        ]
        return held, [one for one in claimed if not _unproven(one)]

    async def _end_stopped(self, claimed: Sequence[Claimed]) -> tuple[list[Conclusion], list[Claimed]]:
        """Ask STOP again; where that cannot be asked now, the messages wait."""
        if not claimed:
            return [], []
        try:
            stopped = await self._stops.stopped([one.message for one in claimed])
        except StorageDown as error:
            self._log.warning("dispatch waits for the expiring state", messages=len(claimed), error=str(error))
            return [Conclusion(message_id=one.message.id, again_after=STATE_DOWN_PAUSE) for one in claimed], []
        ended = [
            Conclusion(message_id=one.message.id, status=Status.FAILED, error="opted_out")
            for one in claimed
            if one.message in stopped
        ]
        return ended, [one for one in claimed if one.message not in stopped]

    def _prepare(self, claimed: Claimed) -> _Flight:
        """The submissions of the segments that the carrier does not have yet."""
        message = claimed.message
        reference = int.from_bytes(message.id.bytes[-2:])
        done = {past.segment_index for past in claimed.past if past.kind == "accepted"}
        return _Flight(
            claimed,
            tuple(
                Submission(
                    attempt_id=self._mint_id(),
                    message_id=message.id,
                    segment_index=segment.index,
                    segment_total=segment.total,
                    segment_reference=reference,
                    sender=message.sender,
                    recipient=message.recipient,
                    text=segment.text,
                    encoding=segment.encoding.value,
                    expires_at=claimed.expires_at,
                )
                for segment in segments.split(message.text, encoding=segments.Encoding(message.encoding))
                if segment.index not in done
            ),
        )

    async def _hand_over(self, driver: Driver, flights: Sequence[_Flight]) -> dict[Submission, Outcome]:
        """Give the window to the carrier; an error of the driver's own proves nothing, so it is Unconfirmed."""
        submissions = [submission for flight in flights for submission in flight.submissions]
        answers: dict[Submission, Outcome] = {}
        for start in range(0, len(submissions), driver.window):
            window = submissions[start : start + driver.window]
            try:
                outcomes = await driver.submit(window)
            except Exception as error:
                self._log.error("a driver raised", exc_info=error)
                outcomes = [Unconfirmed(f"the driver failed: {type(error).__name__}")] * len(window)
            answers.update(zip(window, outcomes, strict=True))
        return answers

    def _conclude(
        self, carrier_id: int, driver: Driver, flight: _Flight, answers: dict[Submission, Outcome]
    ) -> Conclusion:
        """What the answers to its segments mean for one message."""
        message_id = flight.claimed.message.id
        given = {submission: answers[submission] for submission in flight.submissions}
        outcomes = tuple(_record(carrier_id, submission, answer) for submission, answer in given.items())
        refused = [answer for answer in given.values() if isinstance(answer, Rejected)]
        if refused:
            return Conclusion(message_id=message_id, outcomes=outcomes, status=Status.FAILED, error=refused[0].code)
        if all(isinstance(answer, Accepted) for answer in given.values()):
            return Conclusion(message_id=message_id, outcomes=outcomes, status=Status.SENT)
        begun = any(not isinstance(answer, Deferred) for answer in given.values())
        return Conclusion(
            message_id=message_id,
            outcomes=outcomes,
            status=Status.SENDING if begun else None,
            again_after=self._pause(driver, flight.claimed, list(given.values())),
        )

    def _pause(self, driver: Driver, claimed: Claimed, answers: Sequence[Outcome]) -> timedelta:
        """How long until the next try: what the carrier asked for, growing, with jitter."""
        unconfirmed = any(isinstance(answer, Unconfirmed) for answer in answers)
        if unconfirmed and not driver.deduplicates:
            return self._until_known(claimed)
        asked = max((answer.after_seconds for answer in answers if isinstance(answer, Deferred)), default=0.0)
        if unconfirmed:
            asked = max(asked, UNCONFIRMED_PAUSE_SECONDS)
        grown = min(asked * BACKOFF_FACTOR ** min(claimed.deferrals, 20), LONGEST_PAUSE_SECONDS)
        return timedelta(seconds=max(asked, grown) * (0.9 + 0.2 * self._random()))

    def _until_known(self, claimed: Claimed) -> timedelta:
        return max(claimed.expires_at - self._clock(), timedelta()) + GRACE


def _unproven(claimed: Claimed) -> bool:
    """True where an attempt was cut or unconfirmed and nothing proves since that its segment arrived."""
    proven = {past.segment_index for past in claimed.past if past.kind == "accepted"}
    answered = {past.attempt_id for past in claimed.past if past.kind in ("accepted", "rejected", "deferred")}
    return any(past.segment_index not in proven and past.attempt_id not in answered for past in claimed.past)


def _record(carrier_id: int, submission: Submission, answer: Outcome) -> NewOutcome:
    reference = code = reason = None
    match answer:
        case Accepted():
            kind, reference = "accepted", answer.reference
        case Rejected() | Deferred():
            kind = "rejected" if isinstance(answer, Rejected) else "deferred"
            code, reason = answer.code, answer.reason or None
        case Unconfirmed():
            kind, reason = "unconfirmed", answer.reason or None
    return NewOutcome(
        attempt_id=submission.attempt_id,
        message_id=submission.message_id,
        segment_index=submission.segment_index,
        carrier_id=carrier_id,
        kind=kind,
        reference=reference,
        code=code,
        reason=reason,
    )

"""The SMPP carrier: submits over several binds, learns their pace, and takes in what the carrier delivers.

`smpp_settings` is what the operator says, `smpp_submit` the way out, `smpp_deliver` the way in, `smpp_link`
one connection, `smpp_repeats` what comes twice, `pace` its speed. `docs/carriers/smpp.md` says how to use it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from longcode.carriers.pace import capped
from longcode.carriers.port import (
    Accepted,
    Answered,
    Capacity,
    CarrierReceipt,
    Deferred,
    ForgetInbound,
    InboundSms,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
    TakeInbound,
    TakeReceipts,
    Unconfirmed,
)
from longcode.carriers.smpp_deliver import Gather, inbound_sms, receipt_in
from longcode.carriers.smpp_link import KINDS, BindStatus, Events, Link
from longcode.carriers.smpp_repeats import Forgetting, Repeats
from longcode.carriers.smpp_settings import SmppSettings
from longcode.carriers.smpp_submit import cut, is_throttle, outcome_of, submit_sm
from longcode.domain.clock import Clock
from longcode.encoding.gsm7 import Unencodable
from longcode.encoding.segments import Encoding, Segment
from longcode.errors import Unavailable
from longcode.smpp.constants import CommandStatus
from longcode.smpp.errors import EncodeError, ResponseTimeout, SessionError
from longcode.smpp.incoming import Answer
from longcode.smpp.pdu import DataSm, DeliverSm, Notification, Pdu, Response, refusal
from longcode.smpp.session import Session
from longcode.smpp.terms import LateResponse
from longcode.smpp.window import Outcome as SessionOutcome

# What a pace lets through within this is taken ahead of its turn, so that turns are not missed.
AHEAD_SECONDS: Final = 0.1
SOON_SECONDS: Final = 0.005
# A message that waits for its turn longer than this waits in the queue.
LONGEST_TURN_SECONDS: Final = 15.0
NOT_CONNECTED_SECONDS: Final = 1.0
LATE_RETRY_SECONDS: Final = 0.5
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    submission: Submission
    answered: Answered
    since: float


class SmppDriver:
    """One SMPP carrier in one process.

    take_receipts, take_inbound: have committed when they return; only then is the carrier answered.
    forget_inbound: told of deliveries that the carrier repeats no more.
    kick: called when the carrier takes messages again after it took none.
    random: 0 to 1, for jitter.
    """

    def __init__(
        self,
        carrier_id: int,
        settings: SmppSettings,
        *,
        take_receipts: TakeReceipts,
        take_inbound: TakeInbound,
        forget_inbound: ForgetInbound,
        kick: Callable[[], None],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._carrier_id = carrier_id
        self._settings = settings
        self._take_receipts = take_receipts
        self._kick = kick
        self._cap = capped(settings.segments_per_second)
        self._backlog: deque[_Waiting] = deque()
        self._pumping: asyncio.TimerHandle | None = None
        self._timed_out: dict[int, tuple[Pdu, Submission, Answered]] = {}
        self._late_reports: set[asyncio.Task[None]] = set()
        self._receipts: Gather[CarrierReceipt] = Gather(take_receipts)
        self._inbound: Gather[InboundSms] = Gather(take_inbound)
        self._repeats = Repeats()
        self._forgetting = Forgetting(self._repeats, partial(forget_inbound, carrier_id))
        self._starved = False
        self._closed = False
        events = Events(delivered=self._delivered, late=self._answered_late, changed=self._changed)
        self._links = [
            Link(f"{kind} {number}", kind, settings, events, clock=clock, random=random)
            for number in range(1, settings.binds + 1)
            for kind in KINDS[settings.mode]
        ]

    @property
    def deduplicates(self) -> bool:
        """False of every SMSC; True where the operator chose at-least-once for what is unconfirmed."""
        return self._settings.resend_unconfirmed

    @property
    def segments_per_second(self) -> float:
        """As the operator set it; this driver holds its own process to it."""
        return self._settings.segments_per_second

    def start(self) -> None:
        """Bind, and stay bound."""
        for link in self._links:
            link.start()
        self._forgetting.start()

    def status(self) -> tuple[BindStatus, ...]:
        """What an operator sees of each bind."""
        return tuple(link.status() for link in self._links)

    def capacity(self) -> Capacity:
        """What windows and paces have room for; no crumbs while there is much in flight."""
        now = asyncio.get_running_loop().time()
        width = sum(link.width for link in self._links)
        if not width:
            return Capacity(0)
        paced = self._cap.allowed(now, AHEAD_SECONDS)
        room = sum(link.room(now, AHEAD_SECONDS) for link in self._links)
        if paced is not None:
            room = min(room, paced)
        room -= len(self._backlog)
        worthwhile = max(1, self._full(width) // 4)
        if room >= worthwhile or (room > 0 and not self._backlog and not self._in_flight):
            return Capacity(room)
        if self._paced:
            return Capacity(0, self._opens_in(now))
        # Only answers make room, and they say so.
        self._starved = True
        return Capacity(0)

    def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        """As `long_messages` says."""
        return cut(text, encoding, reference, self._settings)

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        """Take submissions in; each is written when a window and the pace have room, soon by what capacity said."""
        now = asyncio.get_running_loop().time()
        self._backlog.extend(_Waiting(submission, answered, now) for submission in submissions)
        self._pump()

    async def close(self) -> None:
        """Unbind; what was not written is deferred, what is not answered within seconds is unconfirmed."""
        self._closed = True
        self._give_back("not_written", "The link was closed.")
        if self._pumping is not None:
            self._pumping.cancel()
        await asyncio.gather(*(link.close() for link in self._links))
        await asyncio.gather(self._receipts.close(), self._inbound.close())
        await self._forgetting.close()
        for report in self._late_reports:
            report.cancel()
        await asyncio.gather(*self._late_reports, return_exceptions=True)

    # Submits

    @property
    def _in_flight(self) -> int:
        return sum(link.in_flight for link in self._links)

    @property
    def _paced(self) -> bool:
        return self._cap.rate is not None or any(link.width and link.pace.rate is not None for link in self._links)

    def _full(self, width: int) -> int:
        """What there would be room for with nothing in flight."""
        paces = [link.pace.rate for link in self._links if link.width]
        rates = [rate for rate in paces if rate is not None]
        most = width if len(rates) < len(paces) else min(width, int(sum(rates) * AHEAD_SECONDS) + 1)
        return most if self._cap.rate is None else min(most, int(self._cap.rate * AHEAD_SECONDS) + 1)

    def _opens_in(self, now: float) -> float:
        """Seconds until it is worth asking for capacity again."""
        paces = min(link.pace.opens_in(now) for link in self._links if link.width)
        return max(SOON_SECONDS, max(paces, self._cap.opens_in(now)) - AHEAD_SECONDS / 2)

    def _pump(self) -> None:
        """Write what may be written now, and come back for the rest."""
        now = asyncio.get_running_loop().time()
        if self._closed or not any(link.width for link in self._links):
            self._give_back("not_connected", "No bind of the carrier is bound.")
            return
        while self._backlog:
            link = max(self._links, key=lambda link: link.room(now))
            if not link.room(now) or self._cap.allowed(now) == 0:
                break
            waiting = self._backlog.popleft()
            self._cap.take(now)
            self._write(link, waiting, now)
        while self._backlog and self._backlog[0].since < now - LONGEST_TURN_SECONDS:
            waiting = self._backlog.popleft()
            waiting.answered(waiting.submission, Deferred(1.0, "paced", "The carrier's pace left no turn."))
        if self._backlog and self._pumping is None:
            self._pump_in(max(self._opens_in(now) - AHEAD_SECONDS / 2, 0.001))

    def _offer(self) -> None:
        """Say so if there is room again; if there is not enough, `capacity` waits for more answers."""
        if self.capacity().segments:
            self._kick()

    def _pump_in(self, seconds: float) -> None:
        def run() -> None:
            self._pumping = None
            self._pump()

        if self._pumping is not None:
            self._pumping.cancel()
        self._pumping = asyncio.get_running_loop().call_later(seconds, run)

    def _write(self, link: Link, waiting: _Waiting, now: float) -> None:
        submission, answered = waiting.submission, waiting.answered

        def done(answer: SessionOutcome) -> None:
            if isinstance(answer, ResponseTimeout):
                self._remember(request, submission, answered)
            answered(submission, self._outcome(link, submission, answer, now))
            if self._backlog:
                self._pump_in(0.0)
            elif self._starved:
                self._starved = False
                asyncio.get_running_loop().call_soon(self._offer)

        try:
            request = submit_sm(submission, self._settings)
            link.submit(request, done)
        except (Unencodable, EncodeError) as error:
            answered(submission, Rejected("unencodable", str(error)))
        except SessionError as error:
            answered(submission, Deferred(NOT_CONNECTED_SECONDS, "not_written", str(error)))

    def _outcome(self, link: Link, submission: Submission, answer: SessionOutcome, submitted_at: float) -> Outcome:
        if isinstance(answer, Response):
            status = answer.command_status
            if is_throttle(status, self._settings):
                link.throttle(submitted_at, asyncio.get_running_loop().time())
            elif status == CommandStatus.ESME_RINVBNDSTS:
                link.rebind("the carrier says that it is not bound")
            return outcome_of(answer, submission, self._settings)
        if isinstance(answer, SessionError) and not answer.written:
            return Deferred(NOT_CONNECTED_SECONDS, "not_written", str(answer))
        return Unconfirmed(str(answer))

    def _remember(self, request: Pdu, submission: Submission, answered: Answered) -> None:
        """Keep what a late answer would belong to; the request is kept so that its id stays its own."""
        self._timed_out[id(request)] = (request, submission, answered)
        if len(self._timed_out) > _REMEMBERED:
            del self._timed_out[next(iter(self._timed_out))]

    def _give_back(self, code: str, reason: str) -> None:
        while self._backlog:
            waiting = self._backlog.popleft()
            waiting.answered(waiting.submission, Deferred(NOT_CONNECTED_SECONDS, code, reason))

    def _answered_late(self, late: LateResponse) -> None:
        """An answer after its time still proves what became of the segment: it is reported as a receipt would be.

        One that puts the segment off is an outcome as ever.
        """
        if (known := self._timed_out.pop(id(late.request), None)) is None:
            return
        _, submission, answered = known
        match outcome_of(late.response, submission, self._settings):
            case Deferred() as deferred:
                answered(submission, deferred)
            case Accepted(reference):
                self._report(submission, reference, ReceiptStatus.ENROUTE, None)
            case Rejected(code):
                self._report(submission, f"refused-{submission.attempt_id.hex}", ReceiptStatus.UNDELIVERED, code)

    def _report(self, submission: Submission, reference: str, status: ReceiptStatus, error_code: str | None) -> None:
        receipt = CarrierReceipt(
            carrier_id=self._carrier_id,
            reference=reference,
            status=status,
            error_code=error_code,
            attempt_id=submission.attempt_id,
            sender=submission.sender,
            recipient=submission.recipient,
            raw="submit_sm_resp after its time",
        )
        task = asyncio.create_task(self._report_until_taken(receipt), name="late answer")
        self._late_reports.add(task)
        task.add_done_callback(self._late_reports.discard)

    async def _report_until_taken(self, receipt: CarrierReceipt) -> None:
        while True:
            try:
                await self._take_receipts([receipt])
            except Unavailable:
                await asyncio.sleep(LATE_RETRY_SECONDS)
            else:
                return

    # Deliveries

    def _delivered(self, session: Session, request: Pdu) -> Answer | Awaitable[Answer]:
        if isinstance(request, Notification):
            return None
        if not isinstance(request, DeliverSm | DataSm):
            return refusal(request.command_id, CommandStatus.ESME_RINVCMDID)
        receipt = receipt_in(request, self._carrier_id, self._settings)
        if receipt is not None:
            return self._receipts.put(receipt, request)
        loop = asyncio.get_running_loop()
        content, fingerprint = self._repeats.fingerprint(request, session, loop.time())
        future = self._inbound.put(inbound_sms(request, self._carrier_id, self._settings, fingerprint), request)

        def answered(done: asyncio.Future[Response | None]) -> None:
            response = done.result() if not done.cancelled() else None
            taken = response is not None and not response.command_status
            self._repeats.answered(content, loop.time(), ok=taken)

        future.add_done_callback(answered)
        return future

    # Binds

    def _changed(self, session: Session, bound: bool) -> None:
        if bound:
            self._kick()
        else:
            self._repeats.session_ended(session, asyncio.get_running_loop().time(), session.unbound_at)
            if self._backlog:
                self._pump_in(0.0)

"""The port of carriers: what a driver is given and what it may answer.

A driver never raises for what a carrier may say. What it cannot prove, it says: `Unconfirmed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from longcode.encoding.segments import Encoding, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One segment on its way to a carrier.

    attempt_id: new for each try; echoed by carriers that can.
    message_id, segment_index: the same in every try: what a carrier that deduplicates goes by.
    text: this segment's text alone. encoding: as `longcode.encoding.segments.Encoding`.
    segment_reference: 0–65535, the same for all segments of one message.
    expires_at: after this instant the carrier should no longer deliver it. valid_for: how long that was when it was
    claimed, which no wrong clock of this machine changes; over where it is not positive.
    """

    attempt_id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    segment_reference: int
    sender: str
    recipient: str
    text: str
    encoding: str
    expires_at: datetime
    valid_for: timedelta


# A reference that we gave ourselves, where the carrier gave none: no receipt names it.
UNNAMED: Final = "unnamed-"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier has it.

    reference: the carrier's name for it, or UNNAMED and more. alternatives: other spellings of that name under which
    its receipt may come (hexadecimal for decimal, padded, another case).
    """

    reference: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The carrier refused it for good. code: stable; reason: one sentence."""

    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Proof that the carrier did not take it now: refused connection, throttle, negative answer."""

    after_seconds: float
    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Written and not answered: it may or may not have been taken."""

    reason: str = ""


Outcome = Accepted | Rejected | Deferred | Unconfirmed


class ReceiptStatus(StrEnum):
    """What a receipt says. ENROUTE settles nothing; the other two are final."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    ENROUTE = "enroute"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierReceipt:
    """A delivery receipt as a carrier gave it.

    carrier_id: None where it came by a door that names no carrier.
    reference: the carrier's name for what it reports on.
    alternatives: other spellings of that name under which the answer may have given it.
    attempt_id: our own name for it, where the carrier echoes that.
    sender, recipient: the parties of the message that it reports on, where it names them.
    whole_message: it reports on the message, not on one of its segments.
    raw: as received, for the record; never shown to tenants.
    """

    carrier_id: int | None
    reference: str
    status: ReceiptStatus
    alternatives: tuple[str, ...] = ()
    error_code: str | None = None
    attempt_id: UUID | None = None
    whole_message: bool = False
    sender: str | None = None
    recipient: str | None = None
    raw: str = ""


TakeReceipts = Callable[[Sequence[CarrierReceipt]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class InboundPart:
    """Which part of a longer message this is. reference: shared by its parts; index: from 0 to total - 1."""

    reference: int
    total: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundSms:
    """A message that came to a number (MO), or one part of it, as a carrier gave it.

    text: of this part alone. A character that the sender cut in two is a lone surrogate in each part.
    octets, encoding: the same before decoding, where the carrier gives octets; encoding None: data,
    and text is its hexadecimal form.
    part: None for a message that came whole.
    fingerprint: the same whenever the carrier repeats this delivery because it may have missed our
    answer, else different; a digest of at most 64 octets.
    raw: as received, for the record; never shown to tenants.
    """

    carrier_id: int
    sender: str
    recipient: str
    text: str
    octets: bytes = b""
    encoding: Encoding | None = None
    fingerprint: bytes
    part: InboundPart | None = None
    raw: str = ""


# Has committed them when it returns; raises where any of it is not durable: then the carrier must send again.
TakeInbound = Callable[[Sequence[InboundSms]], Awaitable[object]]


# The carrier, by its id, has our answers to the deliveries with these fingerprints: it repeats none of them, so that
# the same content is another message from now on, whichever process it comes to. Raises Unavailable; then say it again.
ForgetInbound = Callable[[int, Sequence[bytes]], Awaitable[object]]


# Called once for each submission, when its outcome is known; it must not block. Once more with Deferred where the
# carrier says so of a submission that was Unconfirmed: it does not have that one.
Answered = Callable[[Submission, Outcome], None]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much a driver takes now.

    segments: 0 where it takes nothing. again_seconds: ask again after that; None: the driver
    kicks when it can take more.
    """

    segments: int
    again_seconds: float | None = None


class Driver(Protocol):
    """One carrier's connection.

    deduplicates: the carrier takes a (message_id, segment_index) at most once however often
    it is submitted, and answers each repeat as it answered the first.
    segments_per_second: what the carrier allows of all processes together; 0.0: no limit is known.
    """

    @property
    def deduplicates(self) -> bool: ...

    @property
    def segments_per_second(self) -> float: ...

    def capacity(self) -> Capacity:
        """How much may be submitted now, besides what is in flight."""

    def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        """The pieces in which this carrier takes a text; reference: 0–65535."""

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        """Hand submissions over, in order. Returns when all are handed over; the outcomes may come later.

        Each submission is answered exactly once, also if this raises or is cancelled.
        """

    async def close(self) -> None:
        """Let go of connections; what is in flight is answered Unconfirmed."""

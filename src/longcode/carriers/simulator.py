"""The simulator: a carrier that reaches no handset and whose recipients choose how it behaves.

It behaves as a carrier that deduplicates: what it took, and the receipts that it owes, are in a
ledger that outlives the process. `docs/carriers/simulator.md` says how to use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from longcode.carriers.port import (
    Accepted,
    Answered,
    Capacity,
    CarrierReceipt,
    Deferred,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
    TakeReceipts,
    Unconfirmed,
)
from longcode.domain.clock import MintId
from longcode.domain.phone import digits_of
from longcode.encoding.segments import Encoding, Segment, split
from longcode.errors import Unavailable

WINDOW: Final = 250
RECEIPTS_AT_ONCE: Final = 500
# Bounds one run of the job; what is left is due at once in the next.
ROUNDS_A_RUN: Final = 10
# Long enough to commit a batch; what a kill leaves behind is repeated after it.
RECEIPT_LEASE: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class PlannedReceipt:
    """A receipt that is due so long after its segment was taken."""

    after: timedelta
    status: ReceiptStatus
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What becomes of segments to one kind of recipient.

    rejection: the answer to every submission; nothing is taken.
    refusals: the answers, one after the other, that turn the segment away before it is taken.
    answer_lost: it is taken, and the answer to that submission never arrives.
    receipts_first: its receipts come before the answer.
    """

    rejection: Rejected | None = None
    refusals: tuple[Deferred, ...] = ()
    answer_lost: bool = False
    receipts_first: bool = False
    receipts: tuple[PlannedReceipt, ...] = ()


def _delivered(milliseconds: int) -> PlannedReceipt:
    return PlannedReceipt(timedelta(milliseconds=milliseconds), ReceiptStatus.DELIVERED)


DELIVERED: Final = Ending(receipts=(_delivered(300),))

# By the recipient's last four digits; all others are delivered.
ENDINGS: Final = {
    "0001": Ending(rejection=Rejected("invalid_destination", "The simulator knows no such recipient.")),
    "0002": Ending(
        receipts=(PlannedReceipt(timedelta(milliseconds=300), ReceiptStatus.UNDELIVERED, "absent_subscriber"),)
    ),
    "0003": Ending(),
    "0004": Ending(
        refusals=(Deferred(0.5, "throttled", "The simulator takes no more for now."),) * 2,
        receipts=(_delivered(300),),
    ),
    "0005": Ending(
        refusals=(Deferred(1.0, "temporary_error", "The simulator has a passing fault."),) * 3,
        receipts=(_delivered(300),),
    ),
    "0006": Ending(answer_lost=True, receipts=(_delivered(1500),)),
    # Due only if the driver is killed before it has handed the receipt over itself.
    "0007": Ending(receipts_first=True, receipts=(_delivered(1000),)),
    "0008": Ending(
        receipts=(
            _delivered(300),
            PlannedReceipt(timedelta(milliseconds=500), ReceiptStatus.ENROUTE),
            _delivered(700),
        )
    ),
}


def ending_of(recipient: str) -> Ending:
    """What becomes of segments to this recipient: its last four digits say so."""
    return ENDINGS.get(digits_of(recipient)[-4:], DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A segment that asks to be entered in the ledger.

    reference: what to call it if this offer takes it.
    refusals: how many offers are turned away before one is taken.
    receipts: owed once it is taken, to the attempt that was taken.
    """

    message_id: UUID
    segment_index: int
    attempt_id: UUID
    reference: str
    refusals: int
    receipts: tuple[PlannedReceipt, ...]


@dataclass(frozen=True, slots=True)
class OwedReceipt:
    """A receipt that the ledger keeps until it was handed over. id: the ledger's name for it."""

    id: UUID
    carrier_id: int
    reference: str
    attempt_id: UUID
    status: ReceiptStatus
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says to an offer.

    reference: the segment's; None: turned away.
    refusals: how often it was turned away so far, this time included.
    repeated: an earlier offer had taken it.
    owed: the receipts that this offer brought, in the order of falling due.
    """

    reference: str | None
    refusals: int
    repeated: bool = False
    owed: tuple[OwedReceipt, ...] = ()


class Ledger(Protocol):
    """What the simulators of all processes took, and which receipts they owe. Raises StorageDown."""

    async def take(self, carrier_id: int, offers: Sequence[Offer]) -> list[Entry]:
        """Enter a batch and its receipts in one transaction; the entries in the order of the offers.

        One (message_id, segment_index) is taken once, whoever offers it.
        """

    async def claim(self, limit: int, lease: timedelta) -> list[OwedReceipt]:
        """Due receipts of every simulator, first due first; nobody else is given them for the lease."""

    async def forget(self, receipt_ids: Sequence[UUID]) -> None:
        """Drop receipts that were handed over."""

    async def next_due(self) -> float | None:
        """Seconds until the next receipt is due, 0 where one is; None: none is owed."""


class SimulatorDriver:
    """One simulator carrier.

    take_receipts: must have committed the receipts when it returns.
    kick: called when receipts were scheduled.
    """

    def __init__(
        self, carrier_id: int, ledger: Ledger, *, mint_id: MintId, take_receipts: TakeReceipts, kick: Callable[[], None]
    ) -> None:
        self._carrier_id = carrier_id
        self._ledger = ledger
        self._mint_id = mint_id
        self._take_receipts = take_receipts
        self._kick = kick

    @property
    def deduplicates(self) -> bool:
        """The ledger sees to it."""
        return True

    @property
    def segments_per_second(self) -> float:
        """No limit."""
        return 0.0

    def capacity(self) -> Capacity:
        """A batch of this size is one transaction."""
        return Capacity(WINDOW)

    def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        """As handsets rejoin them."""
        return split(text, encoding=encoding, reference=reference & 0xFF)

    async def submit(self, submissions: Sequence[Submission], answered: Answered) -> None:
        """Enter submissions in the ledger and answer as their recipients choose."""
        for submission, outcome in zip(submissions, await self.answers(submissions), strict=True):
            answered(submission, outcome)

    async def answers(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """The outcomes of submissions, in their order.

        Unconfirmed where the ledger cannot be asked: a commit without an answer may have happened.
        """
        endings = [ending_of(submission.recipient) for submission in submissions]
        offers = [
            self._offer(submission, ending)
            for submission, ending in zip(submissions, endings, strict=True)
            if ending.rejection is None
        ]
        try:
            entries = await self._enter(offers)
            await self._hand_over_early(endings, [entries.get(submission.attempt_id) for submission in submissions])
        except Unavailable as error:
            return [ending.rejection or Unconfirmed(str(error)) for ending in endings]
        return [
            ending.rejection or _answer(ending, entries[submission.attempt_id])
            for submission, ending in zip(submissions, endings, strict=True)
        ]

    async def close(self) -> None:
        """There is nothing to let go of: the ledger is not the driver's."""

    def _offer(self, submission: Submission, ending: Ending) -> Offer:
        return Offer(
            message_id=submission.message_id,
            segment_index=submission.segment_index,
            attempt_id=submission.attempt_id,
            reference=f"sim-{self._mint_id().hex}",
            refusals=len(ending.refusals),
            receipts=ending.receipts,
        )

    async def _enter(self, offers: Sequence[Offer]) -> dict[UUID, Entry]:
        """The ledger's entries, by attempt."""
        if not offers:
            return {}
        entries = await self._ledger.take(self._carrier_id, offers)
        if any(entry.owed for entry in entries):
            self._kick()
        return {offer.attempt_id: entry for offer, entry in zip(offers, entries, strict=True)}

    async def _hand_over_early(self, endings: Sequence[Ending], entries: Sequence[Entry | None]) -> None:
        """Hand over the receipts that come before their answer."""
        early = [
            owed
            for ending, entry in zip(endings, entries, strict=True)
            if ending.receipts_first and entry is not None
            for owed in entry.owed
        ]
        if early:
            await _hand_over(early, self._take_receipts, self._ledger)


class SimulatorReceipts:
    """Hands over the receipts that simulators owe, those of every simulator carrier."""

    def __init__(self, ledger: Ledger, take_receipts: TakeReceipts) -> None:
        self._ledger = ledger
        self._take_receipts = take_receipts

    async def deliver(self) -> float | None:
        """Hand over what is due; the seconds until more is, None where nothing is owed.

        A run in another process at the same time gets other receipts.
        """
        for _ in range(ROUNDS_A_RUN):
            due = await self._ledger.claim(RECEIPTS_AT_ONCE, RECEIPT_LEASE)
            if not due:
                break
            await _hand_over(due, self._take_receipts, self._ledger)
        return await self._ledger.next_due()


async def _hand_over(owed: Sequence[OwedReceipt], take_receipts: TakeReceipts, ledger: Ledger) -> None:
    await take_receipts([_receipt(one) for one in owed])
    # Only now: a kill in between repeats receipts, which is harmless, and loses none.
    await ledger.forget([one.id for one in owed])


def _answer(ending: Ending, entry: Entry) -> Outcome:
    if entry.reference is None:
        return ending.refusals[entry.refusals - 1]
    if ending.answer_lost and not entry.repeated:
        return Unconfirmed("the simulator lost its answer")
    return Accepted(entry.reference)


def _receipt(owed: OwedReceipt) -> CarrierReceipt:
    return CarrierReceipt(
        carrier_id=owed.carrier_id,
        reference=owed.reference,
        status=owed.status,
        error_code=owed.error_code,
        attempt_id=owed.attempt_id,
        raw=f"id:{owed.reference} stat:{owed.status.value} err:{owed.error_code or ''}",
    )

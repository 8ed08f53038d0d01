"""Receipts: kept as received, matched in either order, turned into a status that never goes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.message import Status
from longcode.store.receipt_order import LATEST, ReceiptPlace
from longcode.store.receipts import ReceiptStore, Reported
from longcode.store.strays import Stray, StrayStore, Unproven

RECENT = timedelta(hours=6)
SWEEP_LIMIT = 5000
# What one sweep looks through at most, page by page; what is left waits for the next one.
PAGE = 1000
PAGES_A_SWEEP = 40
# A receipt whose answer is not recorded after this is a stray, until it is.
STRAY_AFTER = timedelta(seconds=2)
# Each sweep looks again at so much of what the one before has seen: commits come late, and strays are too young.
AGAIN = 2 * STRAY_AFTER


@dataclass(slots=True)
class Stretch:
    """Receipts that are still to be looked through: those after an instant and before a place."""

    since: datetime
    until: ReceiptPlace


class Receipts:
    """Takes receipts in."""

    def __init__(
        self,
        store: ReceiptStore,
        strays: StrayStore,
        *,
        page: int = PAGE,
        pages_a_sweep: int = PAGES_A_SWEEP,
    ) -> None:
        self._store = store
        self._strays = strays
        self._page = page
        self._pages_a_sweep = pages_a_sweep
        self._looked_until: datetime | None = None
        self._stretches: list[Stretch] = []

    async def take(self, receipts: Sequence[CarrierReceipt]) -> set[str]:
        """Make receipts durable, then match them; the references that fit a message.

        A receipt that fits none stays and is matched when its message's answer turns up.
        """
        if not receipts:
            return set()
        await self._store.append(receipts)
        await self._store.adopt(receipts)
        matched = await self.match([receipt.reference for receipt in receipts])
        unmatched = [receipt for receipt in receipts if receipt.reference not in matched]
        respelled = await self._store.respell(unmatched)
        return matched | await self.match(respelled)

    async def match(self, references: Sequence[str]) -> set[str]:
        """Settle the messages that receipts with these references report on; harmless when repeated.

        The references by which a receipt fits a message.
        """
        reported = await self._store.reported(references)
        moves: list[tuple[UUID, Status, str | None]] = []
        for message in reported:
            verdict = judge(message)
            if verdict is not None and verdict[0] is not message.status:
                moves.append((message.message_id, *verdict))
        if moves:
            await self._store.settle(moves)
        return {reference for message in reported for reference in message.references}

    async def answered(self, carrier_id: int, answers: Mapping[str, Sequence[str]]) -> None:
        """Match the receipts that came before their answers. answers: reference → its other spellings."""
        respelled = await self._store.respelled_for(answers, carrier_id)
        await self.match([*answers, *respelled])

    async def sweep(self) -> None:
        """Match what a crash between a receipt's commit and its matching left behind, and look after strays."""
        await self._look_through()
        pairs = await self._proofs()
        # Behind that look at what is in the air: an answer that was recorded meanwhile shows here.
        explained = await self._strays.explained(SWEEP_LIMIT)
        pairs = [one for one in pairs if one[0].id not in explained]
        await self._strays.prove(pairs)
        explained |= {stray.id: stray.reference for stray, _ in pairs}
        await self.match(list(explained.values()))
        await self._strays.forget(explained.keys())

    async def _look_through(self) -> None:
        """Match, and note as strays, what came since the last sweep, for the first one lately. Newest first."""
        now = await self._strays.now()
        # A clock that was set back leaves later receipts, and its own mark, ahead of it.
        since = now - RECENT if self._looked_until is None else min(self._looked_until, now) - AGAIN
        self._stretches = [one for one in self._stretches if one.until.received_at > now - RECENT]
        self._stretches.append(Stretch(since, LATEST))
        self._looked_until = now
        for _ in range(self._pages_a_sweep):
            if not self._stretches:
                return
            stretch = self._stretches[-1]
            page = await self._strays.look_through(stretch.since, stretch.until, self._page)
            await self.match([one.reference for one in page if one.unsettled])
            old = now - STRAY_AFTER
            await self._strays.note([one.place for one in page if not one.answered and one.place.received_at <= old])
            if len(page) < self._page:
                self._stretches.pop()
            else:
                stretch.until = page[-1].place

    async def _proofs(self) -> list[tuple[Stray, Unproven]]:
        """Strays with the one unconfirmed segment that each fits by carrier, parties and time."""
        unproven = await self._strays.unproven(SWEEP_LIMIT)
        if not unproven:
            return []
        pairs = pair(await self._strays.listed(SWEEP_LIMIT), unproven)
        rivals = await self._strays.rivals([segment.attempt_id for _, segment in pairs])
        # What awaits its answer may be what is reported on.
        return [one for one in pairs if rivals.get(one[1].attempt_id, LATEST.received_at) > one[0].received_at]


def pair(strays: Sequence[Stray], unproven: Sequence[Unproven]) -> list[tuple[Stray, Unproven]]:
    """Each stray with the segment that it must report on: only where either fits the other alone."""
    # By recipient: after a cut there may be thousands of either.
    sent_to: dict[str | None, list[Unproven]] = {}
    for segment in unproven:
        sent_to.setdefault(segment.recipient, []).append(segment)
    fitting = {
        stray.id: [segment for segment in sent_to.get(stray.recipient, ()) if _may_report(stray, segment)]
        for stray in strays
    }
    rivals: dict[UUID, set[str]] = {}
    for stray in strays:
        for segment in fitting[stray.id]:
            rivals.setdefault(segment.attempt_id, set()).add(stray.reference)
    return [
        (stray, fitting[stray.id][0])
        for stray in strays
        if len(fitting[stray.id]) == 1 and len(rivals[fitting[stray.id][0].attempt_id]) == 1
    ]


def _may_report(stray: Stray, segment: Unproven) -> bool:
    return (
        stray.carrier_id == segment.carrier_id
        and stray.recipient == segment.recipient
        and stray.sender in (None, segment.sender)
        and stray.received_at >= segment.started_at
    )


def judge(message: Reported) -> tuple[Status, str | None] | None:
    """The status, and the error with it, that a message's receipts add up to; None: nothing yet.

    The first final receipt of a segment counts. One undelivered segment makes the message
    undelivered; it is delivered only when every segment is.
    """
    delivered: set[int] = set()
    for report in message.reports:
        if report.status is ReceiptStatus.ENROUTE:
            continue
        covered = set(range(message.segment_count)) if report.whole_message else {report.segment_index}
        if report.status is ReceiptStatus.UNDELIVERED and not covered <= delivered:
            return Status.UNDELIVERED, report.error_code or "undelivered"
        delivered |= covered
        if len(delivered) == message.segment_count:
            return Status.DELIVERED, None
    if len(message.accepted_segments) == message.segment_count:
        return Status.SENT, None
    return None

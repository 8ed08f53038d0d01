"""Receipts: kept as received, matched in either order, turned into a status that never goes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.message import Status
from longcode.store.receipts import ReceiptStore, Reported

RECENT = timedelta(hours=6)
SWEEP_LIMIT = 5000


class Receipts:
    """Takes receipts in."""

    def __init__(self, store: ReceiptStore) -> None:
        self._store = store

    async def take(self, receipts: Sequence[CarrierReceipt]) -> set[str]:
        """Make receipts durable, then match them; the references that fit a message.

        A receipt that fits none stays and is matched when its message's answer turns up.
        """
        await self._store.append(receipts)
        await self._store.adopt(receipts)
        return await self.match([receipt.reference for receipt in receipts])

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

    async def sweep(self) -> None:
        """Match what a crash between a receipt's commit and its matching left behind."""
        await self.match(await self._store.unsettled(RECENT, SWEEP_LIMIT))


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

"""Receipts that fit no message, and the unconfirmed attempts that one of them may prove."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, literal, or_, select, text

from longcode.carriers.port import UNNAMED, ReceiptStatus
from longcode.domain.clock import Clock
from longcode.domain.message import Status, is_final
from longcode.domain.phone import canonical
from longcode.store import schema
from longcode.store.conversations import IS_SMS
from longcode.store.database import Database
from longcode.store.outbox import NewOutcome, add_outcomes, hurry
from longcode.store.receipt_order import ReceiptPlace, before

_OPEN: Final = [status.value for status in Status if not is_final(status)]
RIVALS_AT_ONCE: Final = 500
LAST_MESSAGES: Final = 100
# Word by word as its index has it: a bound value would keep the index from being used.
_UNCONFIRMED: Final = text("outcome.kind = 'unconfirmed'")


@dataclass(frozen=True, slots=True)
class Looked:
    """A receipt that was looked at. answered: an answer explains it. unsettled: its message is not at its end."""

    place: ReceiptPlace
    reference: str
    answered: bool
    unsettled: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A receipt that fits no message so far. sender, recipient: canonical, or None."""

    id: UUID
    carrier_id: int | None
    reference: str
    sender: str | None
    recipient: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Unproven:
    """A segment whose last word is that it may have been sent. sender, recipient: canonical."""

    attempt_id: UUID
    message_id: UUID
    segment_index: int
    segment_total: int
    carrier_id: int
    sender: str
    recipient: str
    started_at: datetime


class StrayStore:
    """The statements of strays."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> datetime:
        """The instant by the clock under which receipts are kept."""
        return await self._database.now(self._clock())

    async def look_through(self, since: datetime, until: ReceiptPlace, limit: int) -> list[Looked]:
        """The last receipts after an instant and before a place, the latest first, with what is known of them."""
        receipt, outcome, message = schema.receipt.c, schema.outcome.c, schema.message.c
        walked = (
            select(receipt.id, receipt.received_at, receipt.reference, receipt.carrier_id, receipt.status)
            .where(receipt.received_at > since, before(until, receipt.received_at, receipt.id))
            .order_by(receipt.received_at.desc(), receipt.id.desc())
            .limit(limit)
            .subquery("walked")
        )
        unsettled = (
            select(message.id)
            .join_from(schema.outcome, schema.message, message.id == outcome.message_id)
            .where(_answers(walked.c.reference), message.status.in_(_OPEN))
        )
        query = select(
            walked.c.id,
            walked.c.received_at,
            walked.c.reference,
            _is_any(_answers_of(walked)).label("answered"),
            and_(walked.c.status != ReceiptStatus.ENROUTE.value, _is_any(unsettled)).label("unsettled"),
        ).order_by(walked.c.received_at.desc(), walked.c.id.desc())
        async with self._database.read() as connection:
            return [
                Looked(ReceiptPlace(row.received_at, row.id), row.reference, bool(row.answered), bool(row.unsettled))
                for row in await connection.execute(query)
            ]

    async def note(self, places: Sequence[ReceiptPlace]) -> None:
        """Note receipts that no answer explains; harmless when repeated."""
        rows = [{"receipt_id": place.id, "received_at": place.received_at} for place in places]
        if rows:
            insert_ = self._database.insert
            async with self._database.write() as connection:
                await connection.execute(insert_(schema.stray_receipt).on_conflict_do_nothing(), rows)

    async def listed(self, limit: int) -> list[Stray]:
        """Strays, the latest first."""
        stray, receipt = schema.stray_receipt.c, schema.receipt.c
        query = (
            select(
                receipt.id,
                receipt.carrier_id,
                receipt.reference,
                receipt.sender,
                receipt.recipient,
                receipt.received_at,
            )
            .join_from(schema.stray_receipt, schema.receipt, receipt.id == stray.receipt_id)
            .order_by(stray.received_at.desc(), stray.receipt_id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [Stray(*row) for row in await connection.execute(query)]

    async def unproven(self, limit: int) -> list[Unproven]:
        """Segments that are unconfirmed and whose message is not at its end, of each carrier's last `limit`."""
        async with self._database.read() as connection:
            carriers = list(await connection.scalars(select(schema.carrier.c.id).order_by(schema.carrier.c.id)))
            rows = [
                row for carrier_id in carriers for row in await connection.execute(unproven_query(carrier_id, limit))
            ]
        return [
            Unproven(
                row.attempt_id,
                row.message_id,
                row.segment_index,
                row.segment_total,
                row.carrier_id,
                canonical(row.sender),
                canonical(row.recipient),
                row.started_at,
            )
            for row in rows
        ]

    async def rivals(self, attempt_ids: Sequence[UUID]) -> dict[UUID, datetime]:
        """Attempts whose receipt may be another's, each with the instant since which it may.

        That other segment is one of the last messages to the same recipient by the same carrier, and has no answer
        so far, or none with a name.
        """
        found: dict[UUID, datetime] = {}
        async with self._database.read() as connection:
            for start in range(0, len(attempt_ids), RIVALS_AT_ONCE):
                for plus in ("", "+"):
                    query = rivals_query(attempt_ids[start : start + RIVALS_AT_ONCE], plus)
                    for attempt_id, since in await connection.execute(query):
                        if since is not None:
                            found[attempt_id] = min(since, found.get(attempt_id, since))
        return found

    async def prove(self, pairs: Sequence[tuple[Stray, Unproven]]) -> None:
        """Count segments as accepted under their receipt's reference."""
        if not pairs:
            return
        outcomes = [
            NewOutcome(
                attempt_id=segment.attempt_id,
                message_id=segment.message_id,
                segment_index=segment.segment_index,
                segment_total=segment.segment_total,
                carrier_id=segment.carrier_id,
                kind="accepted",
                reference=stray.reference,
                reason="told by a receipt that fits no other message",
            )
            for stray, segment in pairs
        ]
        async with self._database.write() as connection:
            await add_outcomes(connection, outcomes, self._clock())
            now = self._database.claims_at(self._clock())
            await hurry(connection, [outcome.message_id for outcome in outcomes], now)

    async def explained(self, limit: int) -> dict[UUID, str]:
        """The receipts among the last `limit` strays that an answer explains by now, with their references."""
        stray, receipt = schema.stray_receipt, schema.receipt.c
        latest = (
            select(receipt.id, receipt.reference, receipt.carrier_id)
            .join_from(stray, schema.receipt, receipt.id == stray.c.receipt_id)
            .order_by(stray.c.received_at.desc(), stray.c.receipt_id.desc())
            .limit(limit)
            .subquery("latest")
        )
        query = select(latest.c.id, latest.c.reference).where(_is_any(_answers_of(latest)))
        async with self._database.read() as connection:
            return {row.id: row.reference for row in await connection.execute(query)}

    async def forget(self, receipt_ids: Collection[UUID]) -> None:
        """Drop the notes of receipts."""
        if receipt_ids:
            table = schema.stray_receipt
            async with self._database.write() as connection:
                await connection.execute(delete(table).where(table.c.receipt_id.in_(receipt_ids)))


def unproven_query(carrier_id: int, limit: int) -> Select[Any]:
    """As StrayStore.unproven, of one carrier: a walk back along its index."""
    outcome, attempt, message = schema.outcome.c, schema.attempt.c, schema.message.c
    last = (
        select(outcome.attempt_id, outcome.message_id, outcome.segment_index, outcome.segment_total)
        .add_columns(outcome.carrier_id, outcome.ended_at)
        .where(outcome.carrier_id == carrier_id, _UNCONFIRMED)
        .order_by(outcome.ended_at.desc())
        .limit(limit)
        .subquery("last")
    )
    proof = schema.outcome.alias("proof").c
    proven = select(proof.attempt_id).where(
        proof.message_id == last.c.message_id, proof.segment_index == last.c.segment_index, proof.kind == "accepted"
    )
    return (
        select(last, message.sender, message.recipient, attempt.started_at)
        .join_from(last, schema.message, message.id == last.c.message_id)
        .join(schema.attempt, attempt.id == last.c.attempt_id)
        .where(message.status.in_([Status.QUEUED.value, Status.SENDING.value]), ~_is_any(proven))
        .order_by(last.c.ended_at.desc())
    )


def rivals_query(attempt_ids: Sequence[UUID], plus: str) -> Select[Any]:
    """As StrayStore.rivals, of recipients with or without a plus. Asked row by row, as `_is_any` is."""
    own, rival = schema.attempt.alias("own"), schema.attempt.alias("rival")
    owner, message, outcome = schema.message.alias("owner"), schema.message.c, schema.outcome.c
    last = (
        select(message.id, message.status)
        .where(
            message.account_id == owner.c.account_id,
            message.recipient == literal(plus) + func.ltrim(owner.c.recipient, "+"),
            IS_SMS,
        )
        .order_by(message.sent_at_seconds.desc(), message.id.desc())
        .limit(LAST_MESSAGES)
        .correlate(owner)
        .subquery("last")
    )
    since = (
        select(func.min(rival.c.started_at))
        .select_from(last)
        .join(rival, rival.c.message_id == last.c.id)
        .join(schema.outcome, outcome.attempt_id == rival.c.id, isouter=True)
        .where(
            rival.c.carrier_id == own.c.carrier_id,
            rival.c.id != own.c.id,
            or_(
                and_(outcome.attempt_id.is_(None), last.c.status.in_(_OPEN)),
                outcome.reference.startswith(UNNAMED, autoescape=True),
            ),
        )
        .correlate(own, owner)
        .scalar_subquery()
    )
    return (
        select(own.c.id, since.label("since"))
        .join_from(own, owner, owner.c.id == own.c.message_id)
        .where(own.c.id.in_(attempt_ids))
    )


def _is_any(query: Select[Any]) -> ColumnElement[bool]:
    """That a query finds anything. Asked row by row: EXISTS could be planned as a join with all of a table."""
    return query.limit(1).scalar_subquery().is_not(None)


def _answers(reference: ColumnElement[str]) -> ColumnElement[bool]:
    """That an outcome has this reference; word by word as its index has it."""
    outcome = schema.outcome.c
    return and_(outcome.reference == reference, outcome.reference.is_not(None))


def _answers_of(receipts: Any) -> Select[Any]:
    """The outcomes that explain a receipt."""
    outcome = schema.outcome.c
    its = or_(outcome.carrier_id == receipts.c.carrier_id, receipts.c.carrier_id.is_(None))
    return select(outcome.attempt_id).where(_answers(receipts.c.reference), its)

"""Receipts: appended as received, then matched with outcomes by (carrier, reference)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, and_, insert, or_, select, type_coerce, update

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Status, sources_of
from longcode.domain.phone import canonical
from longcode.store import receipts_hot, schema
from longcode.store.database import MICROSECOND, Database
from longcode.store.outbox import NewOutcome, add_outcomes, hurry, move, remove


@dataclass(frozen=True, slots=True)
class Report:
    """One receipt of one segment of a message."""

    segment_index: int
    status: ReceiptStatus
    error_code: str | None
    whole_message: bool


@dataclass(frozen=True, slots=True)
class Reported:
    """A message with all receipts that fit it, in the order of their arrival.

    references: those asked for by which receipts fit it.
    """

    message_id: UUID
    references: frozenset[str]
    status: Status
    segment_count: int
    accepted_segments: frozenset[int]
    reports: tuple[Report, ...]


CODE_CHARACTERS = 64
# How much earlier than its message a receipt may seem to be, where clocks differ.
SKEW = timedelta(seconds=30)
# … and where the clock was set back since, if nothing else explains it.
SET_BACK = timedelta(hours=2)
# How long before its answer is recorded a receipt may come.
EARLY = timedelta(minutes=5)


class ReceiptStore:
    """The statements of receipts."""

    def __init__(self, database: Database, clock: Clock, mint_id: MintId) -> None:
        self._database = database
        self._clock = clock
        self._mint_id = mint_id

    async def append(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Keep receipts as they were received, under the instant of the clock that attempts go by."""
        rows = [
            {
                "id": self._mint_id(),
                "carrier_id": receipt.carrier_id,
                "reference": receipt.reference,
                "attempt_id": receipt.attempt_id,
                "status": receipt.status.value,
                "error_code": receipt.error_code and receipt.error_code[:CODE_CHARACTERS],
                "whole_message": receipt.whole_message,
                "sender": receipt.sender and canonical(receipt.sender),
                "recipient": receipt.recipient and canonical(receipt.recipient),
                "raw": receipt.raw,
            }
            for receipt in receipts
        ]
        if self._database.capabilities.arrays:
            columns = [list(column) for column in zip(*(row.values() for row in rows), strict=True)]
            async with self._database.driver() as driver:
                await driver.execute(receipts_hot.APPEND, *columns)
            return
        async with self._database.write() as connection:
            now = self._clock()
            await connection.execute(insert(schema.receipt), [{**row, "received_at": now} for row in rows])

    async def adopt(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Count attempts as accepted whose receipt came with our own name for them: the carrier has them.

        A carrier that names another carrier's attempt proves nothing.
        """
        echoed = {receipt.attempt_id: receipt for receipt in receipts if receipt.attempt_id is not None}
        if not echoed:
            return
        attempt = schema.attempt.c
        query = select(
            attempt.id, attempt.message_id, attempt.segment_index, attempt.segment_total, attempt.carrier_id
        ).where(attempt.id.in_(echoed))
        async with self._database.write() as connection:
            outcomes = [
                NewOutcome(
                    attempt_id=row.id,
                    message_id=row.message_id,
                    segment_index=row.segment_index,
                    segment_total=row.segment_total,
                    carrier_id=row.carrier_id,
                    kind="accepted",
                    reference=echoed[row.id].reference,
                    reason="told by its receipt",
                )
                for row in await connection.execute(query)
                if echoed[row.id].carrier_id in (None, row.carrier_id)
            ]
            await add_outcomes(connection, outcomes, self._clock())
            now = self._database.claims_at(self._clock())
            await hurry(connection, [outcome.message_id for outcome in outcomes], now)

    async def reported(self, references: Sequence[str]) -> list[Reported]:
        """The messages that have one of these references, with all receipts that fit them.

        A receipt older than a message is not its: carriers use their references again. Where two
        messages have a receipt's reference, it is the later one's. A receipt that seems older than every
        message with its reference came after a clock was set back, and is the first one's.
        """
        if not references:
            return []
        if self._database.capabilities.arrays:
            async with self._database.driver() as driver:
                rows = await driver.fetch(receipts_hot.MATCH, list(references), SET_BACK)
        else:
            async with self._database.read() as connection:
                rows = (await connection.execute(_match(references))).mappings().all()
        return _gather(rows, frozenset(references))

    async def settle(self, moves: Sequence[tuple[UUID, Status, str | None]]) -> None:
        """Move messages to the status that their receipts give; what is settled leaves the queue."""
        groups: dict[tuple[Status, str | None], list[UUID]] = {}
        for message_id, status, error in moves:
            groups.setdefault((status, error), []).append(message_id)
        if self._database.capabilities.arrays:
            told = False
            async with self._database.driver() as driver:
                for (status, error), ids in groups.items():
                    sources = [source.value for source in sources_of(status)]
                    told |= await driver.fetchval(receipts_hot.SETTLE, ids, status.value, error, sources)
            if told:
                self._database.told()
            return
        async with self._database.write() as connection:
            for (status, error), ids in groups.items():
                await move(connection, ids, status, error, self._clock())
            await remove(connection, [message_id for message_id, _, _ in moves])

    async def respell(self, receipts: Sequence[CarrierReceipt]) -> list[str]:
        """Give receipts the spelling under which their carrier answered, where one of `alternatives` was.

        The references that now fit. The parties must be the message's, where the receipt names them.
        """
        wanted = {form for receipt in receipts for form in receipt.alternatives}
        if not wanted:
            return []
        outcome, message, receipt_row = schema.outcome.c, schema.message.c, schema.receipt.c
        query = (
            select(outcome.reference, outcome.carrier_id, message.recipient)
            .join_from(schema.outcome, schema.message, message.id == outcome.message_id)
            .where(outcome.reference.in_(wanted), outcome.reference.is_not(None))
        )
        async with self._database.write() as connection:
            answered = {(row[0], row[1], canonical(row[2])) for row in await connection.execute(query)}
            found: list[str] = []
            for receipt in receipts:
                for form in receipt.alternatives:
                    if not _fits(receipt, form, answered):
                        continue
                    await connection.execute(
                        update(schema.receipt)
                        .where(receipt_row.reference == receipt.reference, receipt_row.carrier_id == receipt.carrier_id)
                        .values(reference=form)
                    )
                    found.append(form)
                    break
        return found

    async def respelled_for(self, answers: Mapping[str, Sequence[str]], carrier_id: int) -> list[str]:
        """As `respell`, seen from the answers: receipts that came before them under another spelling.

        answers: reference → its other spellings.
        """
        pairs = [(form, reference) for reference, forms in answers.items() for form in forms]
        if not pairs:
            return []
        early = {
            receipt_id: answered
            for receipt_id, told, answered, recipient in await self._early(pairs, carrier_id)
            if told in (None, canonical(recipient))
        }
        if not early:
            return []
        table = schema.receipt
        async with self._database.write() as connection:
            for receipt_id, answered in early.items():
                await connection.execute(update(table).where(table.c.id == receipt_id).values(reference=answered))
        return list(early.values())

    async def _early(self, pairs: Sequence[tuple[str, str]], carrier_id: int) -> Sequence[tuple[Any, ...]]:
        """(id, recipient, answered, recipient of the answered message) of receipts that no answer spells as they do.

        pairs: (form, answered).
        """
        if self._database.capabilities.arrays:
            forms, answered = (list(column) for column in zip(*pairs, strict=True))
            async with self._database.driver() as driver:
                rows = await driver.fetch(receipts_hot.EARLY, forms, answered, carrier_id, EARLY)
            return [tuple(row) for row in rows]
        async with self._database.read() as connection:
            recipients = list(await connection.execute(_recipients({answered for _, answered in pairs}, carrier_id)))
            query = _unanswered({form for form, _ in pairs}, carrier_id, self._clock() - EARLY)
            return [
                (early.id, early.recipient, answered, row.recipient)
                for early in await connection.execute(query)
                for form, answered in pairs
                for row in recipients
                if (form, answered) == (early.reference, row.reference)
            ]


def _unanswered(forms: Collection[str], carrier_id: int, since: datetime) -> Select[Any]:
    """Receipts of a carrier that have one of these references, which no answer has."""
    receipt, outcome = schema.receipt.c, schema.outcome.c
    own = and_(outcome.reference == receipt.reference, outcome.carrier_id == carrier_id)
    return (
        select(receipt.id, receipt.reference, receipt.recipient)
        .join_from(schema.receipt, schema.outcome, own, isouter=True)
        .where(receipt.reference.in_(forms), receipt.carrier_id == carrier_id, receipt.received_at > since)
        .where(outcome.attempt_id.is_(None))
    )


def _recipients(references: Collection[str], carrier_id: int) -> Select[Any]:
    """Whom the segments went to that a carrier answered with these references."""
    outcome, message = schema.outcome.c, schema.message.c
    return (
        select(outcome.reference, message.recipient)
        .join_from(schema.outcome, schema.message, message.id == outcome.message_id)
        .where(outcome.reference.in_(references), outcome.reference.is_not(None), outcome.carrier_id == carrier_id)
    )


def _match(references: Sequence[str]) -> Select[Any]:
    """MATCH, for SQLite."""
    outcome, receipt, message = schema.outcome.c, schema.receipt.c, schema.message.c
    touched = select(outcome.message_id).where(outcome.reference.in_(references), outcome.reference.is_not(None))
    fits = and_(
        receipt.reference == outcome.reference,
        or_(receipt.carrier_id == outcome.carrier_id, receipt.carrier_id.is_(None)),
        type_coerce(receipt.received_at, BigInteger)
        >= type_coerce(message.created_at, BigInteger) - SET_BACK // MICROSECOND,
    )
    return (
        select(
            message.id,
            message.status,
            message.segment_count,
            message.created_at,
            outcome.segment_index,
            outcome.segment_total,
            outcome.reference,
            receipt.id.label("receipt_id"),
            receipt.status.label("report"),
            receipt.error_code,
            receipt.whole_message,
            receipt.received_at,
        )
        .select_from(schema.message)
        .join(schema.outcome, outcome.message_id == message.id)
        .join(schema.receipt, fits, isouter=True)
        .where(message.id.in_(touched), outcome.kind == "accepted")
    )


def _gather(rows: Iterable[Mapping[Any, Any]], references: frozenset[str]) -> list[Reported]:
    """One Reported a message, its reports in the order of their arrival."""
    by_message: dict[UUID, list[Mapping[Any, Any]]] = {}
    owner: dict[UUID, datetime] = {}
    for row in rows:
        by_message.setdefault(row["id"], []).append(row)
        if row["receipt_id"] is not None:
            known = owner.get(row["receipt_id"], row["created_at"])
            owner[row["receipt_id"]] = _likelier(known, row["created_at"], row["received_at"])
    gathered = []
    for message_id, own in by_message.items():
        reports = [
            row for row in own if row["receipt_id"] is not None and owner[row["receipt_id"]] == row["created_at"]
        ]
        reports.sort(key=lambda row: (row["received_at"], row["receipt_id"]))
        first = own[0]
        gathered.append(
            Reported(
                message_id=message_id,
                references=frozenset(row["reference"] for row in reports) & references,
                status=Status(first["status"]),
                segment_count=first["segment_total"],
                accepted_segments=frozenset(row["segment_index"] for row in own),
                reports=tuple(
                    Report(row["segment_index"], ReceiptStatus(row["report"]), row["error_code"], row["whole_message"])
                    for row in reports
                ),
            )
        )
    return gathered


def _likelier(one: datetime, other: datetime, received_at: datetime) -> datetime:
    """When the message was made that a receipt reports on: the latest that is older than it, else the first."""
    earlier, later = sorted((one, other))
    return later if later <= received_at + SKEW else earlier


def _fits(receipt: CarrierReceipt, form: str, answered: set[tuple[str, int, str]]) -> bool:
    """True where a segment was answered under `form` by the receipt's carrier, to the receipt's recipient."""
    recipient = receipt.recipient and canonical(receipt.recipient)
    return any(
        reference == form and carrier_id == receipt.carrier_id and recipient in (None, to)
        for reference, carrier_id, to in answered
    )

"""Arrivals: what carriers deliver to numbers (MO). A carrier is told that we have it when it is durable, not before.

A delivery goes: parts wait in the store until all are there, or time is over → the owner of the number is found →
a message, by the one door that every message takes; or, where nobody owns the number, a note to the operator. Each
step commits and may be repeated, so that a crash between two of them loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Final
from uuid import UUID

from longcode import log
from longcode.carriers.port import InboundSms
from longcode.domain.clock import Clock, DistinctClock, MintId
from longcode.domain.message import Direction, Medium, Message, Status
from longcode.domain.phone import canonical
from longcode.encoding import gsm7, segments
from longcode.encoding.segments import Encoding
from longcode.errors import NotOwned, Unavailable
from longcode.flow.catalog import Catalog
from longcode.flow.intake import Intake
from longcode.flow.sequel import Compose, sequel_of
from longcode.flow.settlement import Entry, Judged
from longcode.store.arrivals import DELIVERIES, PARTIAL, ArrivalStore, Finished, Unowned
from longcode.store.lookups import Known, Lookups, Owner
from longcode.store.new_messages import NewMessage
from longcode.store.part_sets import PartSet, Piece

# How long the parts that came wait for the others.
PARTS_TIMEOUT: Final = timedelta(minutes=5)

# A carrier that may have missed our answer delivers again soon. For longer nothing tells its repeat from a person who
# writes the same words again, and those must not be lost. Where the answer has arrived, `forget` comes much earlier.
REPEATED_WITHIN: Final = timedelta(hours=1)

# Parts are told apart by their reference too, so a repeated one may be known for longer.
PARTS_KNOWN: Final = timedelta(days=1)

PARTS_AT_ONCE: Final = 200
FORGOTTEN_AT_ONCE: Final = 500
SWEEP_LIMIT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    """A message, put together. delivery: its name, the same each time it is delivered."""

    delivery: str
    carrier_id: int
    sender: str
    recipient: str
    text: str
    partial: bool
    received_at: datetime


class Arrivals:
    """Takes in what carriers deliver."""

    def __init__(self, *, intake: Intake, store: ArrivalStore, clock: Clock, mint_id: MintId, compose: Compose) -> None:
        self._intake = intake
        self._store = store
        self._clock = clock
        self._distinct_clock = DistinctClock(clock)
        self._mint_id = mint_id
        self._compose = compose
        self._log = log.get("arrivals")

    async def take(self, batch: Sequence[InboundSms]) -> None:
        """Make deliveries durable, each once. Those that are whole are messages when this returns.

        Raises IntakeFull or StorageDown where any of them is not: the carrier must deliver again, which repeats
        none of the others.
        """
        clean = [replace(sms, sender=_readable(sms.sender), recipient=_readable(sms.recipient)) for sms in batch]
        parts = [sms for sms in clean if _is_part(sms)]
        whole = [self._whole(sms) for sms in clean if not _is_part(sms)]
        # All run to their end, whatever becomes of the others.
        steps = [*map(self._deliver, whole), self._take_parts(parts)]
        _raise_first(await asyncio.gather(*steps, return_exceptions=True))

    async def forget(self, carrier_id: int, fingerprints: Sequence[bytes]) -> None:
        """Take the same content for another message from now on. Raises StorageDown."""
        for start in range(0, len(fingerprints), FORGOTTEN_AT_ONCE):
            some = fingerprints[start : start + FORGOTTEN_AT_ONCE]
            await self._store.forget([_name(carrier_id, one) for one in some], carrier_id, some)

    async def sweep(self) -> None:
        """Deliver the sets whose time is over and those that a crash left undelivered; forget old deliveries.

        Raises StorageDown where the database does not answer. What the intake does not take now stays.
        """
        now = await self._store.now()
        await self._store.close_overdue(now - PARTS_TIMEOUT, SWEEP_LIMIT)
        try:
            await self._deliver_sets(await self._store.undelivered(SWEEP_LIMIT))
        except Unavailable as error:
            # Nothing is forgotten now: a set that was entered and not finished needs its key.
            self._log.warning("some parts wait", error=str(error))
            return
        await self._store.purge(keys_before=now - REPEATED_WITHIN, sets_before=now - PARTS_KNOWN)

    async def _take_parts(self, parts: Sequence[InboundSms]) -> None:
        for start in range(0, len(parts), PARTS_AT_ONCE):
            due = await self._store.keep(parts[start : start + PARTS_AT_ONCE], patience=PARTS_TIMEOUT)
            await self._deliver_sets(due)

    async def _deliver_sets(self, sets: Sequence[PartSet]) -> None:
        """Deliver closed sets, whatever becomes of the others; then raise the first error."""
        results = await asyncio.gather(*map(self._deliver_set, sets), return_exceptions=True)
        await self._store.finish([result for result in results if isinstance(result, Finished)])
        _raise_first(results)

    async def _deliver_set(self, parts: PartSet) -> Finished:
        if parts.partial and await self._store.tells_nothing_new(parts):
            # A carrier repeated a part when its message was complete, and dressed it as another delivery.
            return Finished(parts.id)
        message_id = await self._deliver(
            _Arrived(
                delivery=f"mo-set:{parts.id}",
                carrier_id=parts.carrier_id,
                sender=parts.sender,
                recipient=parts.recipient,
                text=_rejoined(parts.pieces),
                partial=parts.partial,
                received_at=parts.started_at,
            )
        )
        return Finished(parts.id, message_id, parts.partial)

    async def _deliver(self, arrived: _Arrived) -> UUID | None:
        """The id of the message that a delivery became, now or before; None where nobody owns the number."""
        entry = Entry(
            account_id=DELIVERIES,
            key=arrived.delivery,
            ask=partial(_ask, arrived),
            judge=partial(self._judge, arrived),
        )
        try:
            return (await self._intake.enter(entry)).message.id
        except NotOwned:
            await self._keep_unowned(arrived)
            return None

    def _judge(self, arrived: _Arrived, known: Known, catalog: Catalog) -> Judged:
        owner = known.owners.get(canonical(arrived.recipient))
        if owner is None:
            return Judged(refused_first=NotOwned("nobody owns this number"))
        message = self._message(arrived, owner)
        sequel = sequel_of(message, known, catalog, self._compose)
        new = NewMessage(message=message, call_id=message.id, boxed_at=self._distinct_clock(), sequel=sequel)
        return Judged(messages=(new,))

    def _message(self, arrived: _Arrived, owner: Owner) -> Message:
        encoding = segments.choose(arrived.text)
        return Message(
            id=self._mint_id(),
            account_id=owner.account_id,
            direction=Direction.INBOUND,
            medium=Medium.SMS,
            sender=arrived.sender,
            recipient=owner.value,
            text=arrived.text,
            sent_at_seconds=int(arrived.received_at.timestamp()),
            status=Status.RECEIVED,
            client_reference=None,
            provider_reference=None,
            encoding=encoding.value,
            segment_count=segments.count(arrived.text, encoding),
            error=PARTIAL if arrived.partial else None,
            created_at=self._clock(),
        )

    async def _keep_unowned(self, arrived: _Arrived) -> None:
        unowned = Unowned(
            id=self._mint_id(),
            carrier_id=arrived.carrier_id,
            sender=arrived.sender,
            recipient=arrived.recipient,
            text=arrived.text,
            partial=arrived.partial,
            received_at=arrived.received_at,
        )
        await self._store.keep_unowned(unowned, arrived.delivery)

    def _whole(self, sms: InboundSms) -> _Arrived:
        return _Arrived(
            delivery=_name(sms.carrier_id, sms.fingerprint),
            carrier_id=sms.carrier_id,
            sender=sms.sender,
            recipient=sms.recipient,
            text=_readable(sms.text),
            partial=False,
            received_at=self._clock(),
        )


def _name(carrier_id: int, fingerprint: bytes) -> str:
    """What a delivery that is whole is known by."""
    return f"mo:{carrier_id}:{fingerprint.hex()}"


def _ask(arrived: _Arrived, lookups: Lookups) -> None:
    lookups.numbers.update((canonical(arrived.recipient), canonical(arrived.sender)))


def _is_part(sms: InboundSms) -> bool:
    """True where there are others to wait for; a part of one, or one beyond its own total, stands alone."""
    return sms.part is not None and sms.part.total > 1 and 0 <= sms.part.index < sms.part.total


def _rejoined(pieces: Sequence[Piece]) -> str:
    """The text of parts in order; neighbours are joined before they are decoded, lest a character was cut in two."""
    text, run = "", b""
    for piece, following in zip_longest(pieces, pieces[1:]):
        run += piece.octets
        if following is None or (following.index, following.encoding) != (piece.index + 1, piece.encoding):
            text, run = text + _decoded(run, piece.encoding), b""
    return _readable(text)


def _decoded(octets: bytes, encoding: Encoding) -> str:
    if encoding is Encoding.GSM7:
        return gsm7.decode(octets)
    return octets.decode("latin-1" if encoding is Encoding.LATIN1 else "utf-16-be", "replace")


def _readable(text: str) -> str:
    """The text, with U+FFFD for what no database keeps: refused, a carrier would deliver it for ever."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace").replace("\0", "\ufffd")


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result

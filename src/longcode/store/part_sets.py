"""Which parts belong together: the rules by which sets open and close. Nothing here touches the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from longcode.carriers.port import InboundPart, InboundSms
from longcode.domain.clock import MintId
from longcode.encoding.segments import Encoding

# Carrier, sender, recipient, reference, total: what the parts of one message have in common.
SetName = tuple[int, str, str, int, int]

# Carrier and fingerprint: what a repeated delivery is known by.
Delivery = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one part says. index: from 0."""

    index: int
    encoding: Encoding
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSet:
    """The parts of one message, all that there will be, in order. started_at: when the first one came."""

    id: UUID
    carrier_id: int
    sender: str
    recipient: str
    reference: int
    total: int
    started_at: datetime
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> SetName:
        """What its parts have in common."""
        return self.carrier_id, self.sender, self.recipient, self.reference, self.total

    @property
    def partial(self) -> bool:
        """True where some never came."""
        return len(self.pieces) < self.total


@dataclass(slots=True)
class OpenSet:
    """A set while parts are added to it. stored: it has its row."""

    id: UUID
    name: SetName
    started_at: datetime
    stored: bool
    pieces: dict[int, Piece] = field(default_factory=dict)
    closed: bool = False


@dataclass(frozen=True, slots=True)
class NewPart:
    """One part, and the set that it was given to."""

    delivery: Delivery
    set_id: UUID
    piece: Piece


@dataclass(slots=True)
class Sorted:
    """What becomes of a batch of parts. due: sets that are closed and not delivered."""

    sets: list[OpenSet]
    parts: list[NewPart] = field(default_factory=list)
    due: set[UUID] = field(default_factory=set)


def sort_parts(
    parts: Sequence[InboundSms],
    *,
    seen: Mapping[Delivery, UUID | None],
    opened: Mapping[SetName, OpenSet],
    now: datetime,
    patience: timedelta,
    mint_id: MintId,
) -> Sorted:
    """Give each new part its set.

    A set closes with its last part; with a part that comes later than `patience` after its first; and with one that
    contradicts it, for then the sender used its reference again. The latter two begin another set.
    seen: deliveries that are there already; with the id of their set where that is closed and not delivered.
    """
    result = Sorted(list(opened.values()))
    taken, current = dict(seen), dict(opened)
    for sms in parts:
        delivery, name, piece = (sms.carrier_id, sms.fingerprint), name_of(sms), _piece(sms)
        if delivery in taken:
            if (waiting := taken[delivery]) is not None:
                result.due.add(waiting)
            continue
        found = current.get(name)
        if found is not None and found.pieces.get(piece.index) == piece:
            continue  # a repeat, though the carrier dressed it otherwise
        if found is not None and (piece.index in found.pieces or found.started_at < now - patience):
            found.closed = True
            found = None
        if found is None:
            found = current[name] = OpenSet(mint_id(), name, now, stored=False)
            result.sets.append(found)
        found.pieces[piece.index] = piece
        taken[delivery] = None
        result.parts.append(NewPart(delivery, found.id, piece))
        if len(found.pieces) == place_of(sms).total:
            found.closed = True
            del current[name]
    result.due |= {one.id for one in result.sets if one.closed}
    return result


def place_of(sms: InboundSms) -> InboundPart:
    """Where a part belongs."""
    assert sms.part is not None
    return sms.part


def name_of(sms: InboundSms) -> SetName:
    """What a part has in common with the others of its message."""
    place = place_of(sms)
    return sms.carrier_id, sms.sender, sms.recipient, place.reference, place.total


def _piece(sms: InboundSms) -> Piece:
    """What a part says, in octets: the carrier's where it gave them, for only those can be joined faithfully."""
    if sms.encoding is not None and sms.octets:
        return Piece(place_of(sms).index, sms.encoding, sms.octets)
    return Piece(place_of(sms).index, Encoding.UCS2, sms.text.encode("utf-16-be", "surrogatepass"))

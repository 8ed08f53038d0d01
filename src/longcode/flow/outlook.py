"""What happens next to a message, from what is on record about it, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from longcode.carriers.port import ReceiptStatus
from longcode.domain.message import Status, is_final
from longcode.domain.timestamps import format_milli
from longcode.flow.conclusion import GRACE
from longcode.store.timeline import Ended, History, Queued


@dataclass(frozen=True, slots=True)
class KnownCarrier:
    """What sentences say of a carrier. alone_until: it is left alone until then, because it faults."""

    name: str
    paused: bool = False
    simulated: bool = False
    alone_until: datetime | None = None


class Names:
    """Carriers by name, also those that are gone."""

    def __init__(self, carriers: Mapping[int, KnownCarrier]) -> None:
        self._carriers = carriers

    def of(self, carrier_id: int) -> str:
        """A carrier as a sentence names it."""
        found = self._carriers.get(carrier_id)
        return f"carrier {found.name}" if found else f"carrier {carrier_id} (removed)"

    def reason(self, outcome: Ended) -> str:
        """What a carrier, or our connection to it, said beside a code."""
        return outcome.reason or ""

    def is_paused(self, carrier_id: int) -> bool:
        """Whether the operator paused it."""
        found = self._carriers.get(carrier_id)
        return found is not None and found.paused

    def is_simulated(self, carrier_id: int) -> bool:
        """Whether what it is given reaches nobody."""
        found = self._carriers.get(carrier_id)
        return found is not None and found.simulated

    def alone_until(self, carrier_id: int) -> datetime | None:
        """Until when it is left alone; None where it is not."""
        found = self._carriers.get(carrier_id)
        return None if found is None else found.alone_until


def outlook(history: History, names: Names, now: datetime) -> str:
    """What happens next to a message, and what it waits for."""
    if is_final(history.message.status):
        return "nothing follows"
    if history.message.status is Status.SENT:
        return _awaited(history)
    queued = history.queued
    if queued is None:
        return "it is in no queue, and only a receipt can move it"
    if queued.carrier_id is None:
        return f"no route carries {history.message.recipient}; it waits for one until {format_milli(queued.expires_at)}"
    if queued.leased_until is not None and queued.leased_until > now:
        return (
            f"a process has claimed it for {names.of(queued.carrier_id)} and records the answer; if it was cut, "
            f"another takes over at {format_milli(queued.leased_until)}"
        )
    if _unproven(history):
        return _until_proof(queued, names, now)
    if names.is_paused(queued.carrier_id):
        return (
            f"{names.of(queued.carrier_id)} is paused; it waits until {format_milli(queued.expires_at)}, then expires"
        )
    alone_until = names.alone_until(queued.carrier_id)
    if alone_until is not None and alone_until > now:
        return (
            f"{names.of(queued.carrier_id)} faults and is left alone until {format_milli(alone_until)}; "
            f"it waits, or goes another way if one opens, until {format_milli(queued.expires_at)}"
        )
    if queued.expires_at <= now:
        return "its validity is over; it is about to fail as expired"
    if queued.due_at > now and history.message.status is Status.SCHEDULED and not queued.deferrals:
        return f"is scheduled for {format_milli(queued.due_at)} at {names.of(queued.carrier_id)}"
    if queued.due_at > now:
        return f"waits until {format_milli(queued.due_at)} for its next try at {names.of(queued.carrier_id)}"
    return f"waits for its turn at {names.of(queued.carrier_id)}, due since {format_milli(queued.due_at)}"


def _until_proof(queued: Queued, names: Names, now: datetime) -> str:
    """A part of it may be with the carrier."""
    assert queued.carrier_id is not None
    end = f"at {format_milli(queued.expires_at + GRACE)} it fails as outcome_unknown, if no receipt proves it before"
    if queued.due_at >= queued.expires_at:
        return f"may have been sent; waits for a receipt as proof; {end}"
    paused = " (paused)" if names.is_paused(queued.carrier_id) else ""
    when = f"at {format_milli(queued.due_at)}" if queued.due_at > now else "now"
    return f"may have been sent; {names.of(queued.carrier_id)}{paused} is asked again {when} if it deduplicates; {end}"


def _unproven(history: History) -> bool:
    """True where an attempt was cut or not answered, and nothing proves since that its segment arrived."""
    proven = {outcome.segment_index for outcome in history.outcomes if outcome.kind == "accepted"}
    answered = {outcome.attempt_id for outcome in history.outcomes if outcome.kind != "unconfirmed"}
    return any(attempt.segment_index not in proven and attempt.id not in answered for attempt in history.attempts)


def _awaited(history: History) -> str:
    references = {outcome.reference for outcome in history.outcomes if outcome.kind == "accepted"}
    delivered = {receipt.reference for receipt in history.receipts if receipt.status == ReceiptStatus.DELIVERED.value}
    if len(references) > 1 and delivered:
        return f"the carrier has every segment; {len(delivered)} of {len(references)} are reported delivered so far"
    return "the carrier has every segment; waits for a receipt, which moves it to delivered or undelivered"

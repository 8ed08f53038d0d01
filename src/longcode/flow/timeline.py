"""The timeline of one message: what is on record about it, told in order and in plain words. Pure.

`tell` is the whole of it: how it came in, its rounds of attempts with their answers, its receipts, and
last where it stands and what happens next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from longcode.carriers.port import ReceiptStatus
from longcode.domain.causes import why_failed, why_undelivered
from longcode.domain.message import Direction, Medium, Status, is_final
from longcode.domain.timestamps import format_milli
from longcode.domain.words import Meaning
from longcode.flow.outlook import Names, outlook
from longcode.store.timeline import Ended, History, Reported, Tried

# By what an idempotency key begins with.
DIALECTS: Final = {
    "messages": "/api/messages/",
    "conversations": "the conversation paths",
    "cli": "longcode send",
}
# How an attempt ended before which the message was free to go to another carrier.
MOVING: Final = ("rejected", "deferred")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline.

    event: accepted, keyword, queued, claimed, handed_over, answered, moved, receipt, ended (nothing can follow) or
    state, which is the last one and says how it stands now.
    """

    at: datetime
    event: str
    detail: str


def tell(history: History, names: Names, now: datetime, *, leads_to: int | None = None) -> list[Event]:
    """Everything that happened to a message, in the order of time, and where it stands now.

    leads_to: the carrier to which the routes lead now, where its call may have been kept from it.
    """
    events = [
        _accepted(history),
        *_heard(history),
        *_queued(history, names, leads_to),
        *_rounds(history, names),
        *(_answered(outcome, history, names) for outcome in history.outcomes),
        *_moves(history, names),
        *_receipts(history, names),
        *_ended(history),
    ]
    # Stable: what happened at one instant stays in this order.
    events.sort(key=lambda event: event.at)
    return [*events, Event(now, "state", f"{history.message.status.value}: {outlook(history, names, now)}")]


def carrier_of(history: History) -> int | None:
    """The carrier that has the message, had it, or is to get it; None where there is none."""
    if history.attempts:
        return history.attempts[-1].carrier_id
    return None if history.queued is None else history.queued.carrier_id


def _accepted(history: History) -> Event:
    message = history.message
    if message.medium is Medium.MAILBOX:
        what = "taken for a mailbox of"
    elif message.direction is Direction.INBOUND:
        what = "received for"
    else:
        what = "accepted from"
    return Event(message.created_at, "accepted", f"{what} {_origin(history)}")


def _origin(history: History) -> str:
    origin = f"account {history.account}"
    if history.key is not None:
        dialect, _, key = history.key.partition(":")
        return f"{origin} by {DIALECTS.get(dialect, dialect)} with key {key}"
    if history.answers is not None:
        return f"{origin} as the answer to message {history.answers}"
    if history.message.client_reference is not None:
        return f"{origin} with reference {history.message.client_reference}"
    return origin if history.message.direction is Direction.INBOUND else f"{origin} without a reference"


def _heard(history: History) -> Iterator[Event]:
    at, heard = history.message.created_at, history.heard
    answered = "" if history.answer is None else f"; answered by message {history.answer}"
    if heard is not None and heard.meaning is Meaning.DOUBTFUL:
        yield Event(at, "keyword", "may be meant as an opt-out; it changed nothing")
    elif heard is not None:
        yield Event(at, "keyword", f"{heard.word}, which means {heard.meaning.value.replace('_', '-')}{answered}")
    elif answered:
        yield Event(at, "keyword", f"none{answered}")


def _queued(history: History, names: Names, leads_to: int | None) -> Iterator[Event]:
    carrier_id = history.attempts[0].carrier_id if history.attempts else None
    queued = history.queued
    if carrier_id is None and queued is not None:
        carrier_id = queued.carrier_id
    if carrier_id is None:
        return
    terms = ""
    if queued is not None:
        terms = f", priority {queued.priority} (0 goes first), valid until {format_milli(queued.expires_at)}"
    kept = _why_simulated(carrier_id, leads_to, names)
    yield Event(history.message.created_at, "queued", f"waits for {names.of(carrier_id)}{terms}{kept}")


def _why_simulated(carrier_id: int, leads_to: int | None, names: Names) -> str:
    """Why a message went to the simulator though the routes lead elsewhere. Whose call it was is not on record."""
    if leads_to is None or not names.is_simulated(carrier_id) or names.is_simulated(leads_to):
        return ""
    return (
        f"; the routes lead to {names.of(leads_to)} now: they changed since, or the call was anonymous, "
        "and such calls reach only simulators unless LONGCODE_ANONYMOUS_SENDS is 1"
    )


def _rounds(history: History, names: Names) -> Iterator[Event]:
    """The attempts, gathered into rounds: one claim each."""
    unwritten = {outcome.attempt_id for outcome in history.outcomes if outcome.kind == "unwritten"}
    for number, attempts in enumerate(_by_round(history.attempts), start=1):
        again = "" if number == 1 else f", try {number}"
        first = attempts[0]
        yield Event(
            first.started_at,
            "claimed",
            f"claimed for {names.of(first.carrier_id)}{again}; the attempt is on record before anything is sent",
        )
        for attempt in attempts:
            if attempt.id in unwritten:
                continue
            which = _segment(attempt.segment_index, attempt.segment_total)
            yield Event(attempt.started_at, "handed_over", f"{which} handed over to {names.of(attempt.carrier_id)}")


def _by_round(attempts: Iterable[Tried]) -> list[list[Tried]]:
    """A round tries every segment that the carrier has not, so a segment that comes again begins the next one.

    So does another carrier.
    """
    rounds: list[list[Tried]] = []
    seen: set[int] = set()
    for attempt in attempts:
        if not rounds or attempt.segment_index in seen or attempt.carrier_id != rounds[-1][0].carrier_id:
            rounds.append([])
            seen = set()
        rounds[-1].append(attempt)
        seen.add(attempt.segment_index)
    return rounds


def _answered(outcome: Ended, history: History, names: Names) -> Event:
    which = _segment(outcome.segment_index, outcome.segment_total)
    carrier = names.of(outcome.carrier_id)
    told = names.reason(outcome)
    reason = f" ({told})" if told else ""
    code = outcome.code or outcome.kind
    match outcome.kind:
        case "accepted":
            detail = f"{carrier} accepted {which} as {outcome.reference}{reason}"
        case "rejected":
            detail = f"{carrier} rejected {which}: {code}: {why_failed(code)}{reason}"
        case "deferred":
            detail = f"{carrier} put {which} off: {code}: {why_failed(code)}{reason}; {_again(outcome, history)}"
        case "unwritten":
            detail = f"{which} was kept back and not written to {carrier}: its recipient's STOP was asked once more"
        case _:
            detail = (
                f"no answer from {carrier} about {which}{reason}: it may have been sent; "
                "sent again only if this carrier deduplicates or its settings allow it, else proof is awaited"
            )
    return Event(outcome.ended_at, "answered", detail)


def _moves(history: History, names: Names) -> Iterator[Event]:
    """Where one carrier's faults sent the message on to the next."""
    carriers = [attempts[0].carrier_id for attempts in _by_round(history.attempts)]
    if carriers and history.queued is not None and history.queued.carrier_id is not None:
        carriers.append(history.queued.carrier_id)
    for before, after in pairwise(carriers):
        last = max(
            (outcome for outcome in history.outcomes if outcome.carrier_id == before and outcome.kind in MOVING),
            key=lambda outcome: outcome.ended_at,
            default=None,
        )
        if before != after and last is not None:
            did = "refused it" if last.kind == "rejected" else "put it off too often or too long"
            detail = f"goes on to {names.of(after)}: {names.of(before)} {did} ({last.code})"
            yield Event(last.ended_at, "moved", detail)


def _again(outcome: Ended, history: History) -> str:
    """When a segment that was put off was tried again, or will be."""
    later = [
        attempt.started_at
        for attempt in history.attempts
        if attempt.segment_index == outcome.segment_index and attempt.started_at > outcome.ended_at
    ]
    if later:
        return f"tried again at {format_milli(later[0])}"
    if history.queued is not None and not is_final(history.message.status):
        return f"tried again at {format_milli(history.queued.due_at)}"
    return "not tried again"


def _receipts(history: History, names: Names) -> Iterator[Event]:
    segments = {outcome.reference: outcome for outcome in history.outcomes if outcome.reference is not None}
    told: dict[str, set[tuple[str, str | None]]] = {}
    final: set[str] = set()
    for receipt in history.receipts:
        outcome = segments.get(receipt.reference)
        if outcome is None:
            continue
        said = told.setdefault(receipt.reference, set())
        note = ""
        if (receipt.status, receipt.error_code) in said:
            note = "; a repeat, it changes nothing"
        elif receipt.reference in final:
            note = "; it came after the final one and changes nothing"
        said.add((receipt.status, receipt.error_code))
        if receipt.status != ReceiptStatus.ENROUTE.value:
            final.add(receipt.reference)
        yield Event(receipt.received_at, "receipt", f"{_receipt(receipt, outcome, names)}{note}")


def _receipt(receipt: Reported, outcome: Ended, names: Names) -> str:
    by = "signed report" if receipt.carrier_id is None else names.of(receipt.carrier_id)
    whole = receipt.whole_message or outcome.segment_total == 1
    which = "the message" if whole else _segment(outcome.segment_index, outcome.segment_total)
    match receipt.status:
        case ReceiptStatus.DELIVERED:
            verdict = "delivered"
        case ReceiptStatus.UNDELIVERED:
            code = receipt.error_code or "undelivered"
            verdict = f"undelivered: {code}: {why_undelivered(code)}"
        case _:
            verdict = "on its way"
    return f"{by} reports {which} ({receipt.reference}) {verdict}"


def _ended(history: History) -> Iterator[Event]:
    message = history.message
    if is_final(message.status):
        yield Event(history.updated_at, "ended", f"{message.status.value}: {_why_ended(history)}")


def _why_ended(history: History) -> str:
    message = history.message
    code = message.error or message.status.value
    match message.status:
        case _ if message.medium is Medium.MAILBOX:
            return "it lies in its recipient's mailbox"
        case Status.DELIVERED if not history.attempts:
            return "to a number of this server, without a carrier"
        case Status.DELIVERED:
            return "its receipts report every segment delivered"
        case Status.UNDELIVERED:
            return f"{code}: {why_undelivered(code)}"
        case Status.FAILED:
            return f"{code}: {why_failed(code)}"
        case Status.CANCELED:
            return "taken back before a carrier was given it"
        case Status.RECORDED:
            return "somebody else carries it; kept for its conversation"
    return "it came in and is kept"


def _segment(index: int, total: int) -> str:
    return "the message" if total == 1 else f"segment {index + 1} of {total}"

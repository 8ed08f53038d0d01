"""A claimed message on its way to a carrier: its segments, and what keeps it from going now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from longcode.carriers.port import Driver, Outcome, Submission
from longcode.domain.clock import MintId
from longcode.domain.message import Message, Status
from longcode.encoding.segments import Encoding
from longcode.errors import LongcodeError
from longcode.flow.conclusion import cut_attempts, unproven, until_known, unwritten
from longcode.flow.jobs import Fresh
from longcode.store.outbox import Claimed, Conclusion, NewAttempt


class CutChanged(LongcodeError):
    """The carrier has some segments of a message, and its settings cut the text otherwise by now."""

    code = "cut_changed"


@dataclass(slots=True)
class Flight:
    """One message on its way, and the answers to its segments so far."""

    claimed: Claimed
    submissions: tuple[Submission, ...]
    answers: dict[Submission, Outcome] = field(default_factory=dict)


def hold_unproven(
    claimed: Sequence[Claimed], driver: Driver, carrier_id: int
) -> tuple[list[Conclusion], list[Claimed]]:
    """A segment that may be with the carrier goes out again only where the carrier deduplicates.

    Past its validity nothing goes out, but a receipt may come until the grace is over.
    """

    def may_be_proven(one: Claimed) -> bool:
        return until_known(one) > timedelta() if one.expired else not driver.deduplicates

    held = [one for one in claimed if unproven(one) and may_be_proven(one)]
    waiting = [
        Conclusion(
            message_id=one.message.id,
            outcomes=cut_attempts(one, carrier_id),
            status=Status.SENDING,
            again_after=until_known(one),
        )
        for one in held
    ]
    return waiting, [one for one in claimed if one not in held]


def end_expired(claimed: Sequence[Claimed]) -> tuple[list[Conclusion], list[Claimed]]:
    """Messages whose validity is over end as failed; the error says whether they may have been sent."""
    ended = [
        Conclusion(
            message_id=one.message.id, status=Status.FAILED, error="outcome_unknown" if unproven(one) else "expired"
        )
        for one in claimed
        if one.expired
    ]
    return ended, [one for one in claimed if not one.expired]


def cut(claimed: Sequence[Claimed], driver: Driver, mint_id: MintId) -> tuple[list[Conclusion], list[Flight]]:
    """Messages as segments; those that the carrier cannot take, or has already, are done."""
    done, flights = [], []
    for one in claimed:
        try:
            flight = _prepare(one, driver, mint_id)
        except LongcodeError as error:
            done.append(Conclusion(message_id=one.message.id, status=Status.FAILED, error=error.code))
            continue
        if flight.submissions:
            flights.append(flight)
        else:
            done.append(Conclusion(message_id=one.message.id, status=Status.SENT))
    return done, flights


def begin_all(flights: Sequence[Flight], carrier_id: int) -> list[NewAttempt]:
    """The attempts that go on record before these flights begin."""
    return [
        NewAttempt(one.attempt_id, one.message_id, one.segment_index, one.segment_total, carrier_id)
        for flight in flights
        for one in flight.submissions
    ]


def take_off(
    claimed: Sequence[Claimed],
    begun: Mapping[UUID, NewAttempt],
    offered: Collection[Fresh],
    driver: Driver,
    mint_id: MintId,
) -> tuple[list[Conclusion], list[Flight]]:
    """As `cut`, of messages whose one attempt is begun; one that this carrier takes in parts keeps its place.

    So does one that is not as it was offered: STOP was asked for whom the offer named.
    """
    done, cut_anew = cut(claimed, driver, mint_id)
    back = [replace(conclusion, outcomes=(unwritten(begun[conclusion.message_id]),)) for conclusion in done]
    flights = []
    for flight in cut_anew:
        attempt = begun[flight.claimed.message.id]
        if len(flight.submissions) == 1 and _as_offered(flight.claimed.message) in offered:
            flights.append(Flight(flight.claimed, (replace(flight.submissions[0], attempt_id=attempt.id),)))
        else:
            place = put_back(flight.claimed, timedelta(), paced=True)
            back.append(replace(place, outcomes=(unwritten(attempt),)))
    return back, flights


def _as_offered(message: Message) -> Fresh:
    return Fresh(message.id, message.account_id, message.sender, message.recipient)


def put_back(claimed: Claimed, pause: timedelta, *, paced: bool = False) -> Conclusion:
    """Wait for a state of ours. Paced only what was never tried: the others' deferrals say that they were.

    Nor what leaves the time that it was scheduled for: its deferral says that it is due later than that.
    """
    paced = paced and not (pause and claimed.message.status is Status.SCHEDULED)
    return Conclusion(message_id=claimed.message.id, status=waiting_status(claimed), again_after=pause, paced=paced)


def waiting_status(claimed: Claimed) -> Status | None:
    """The status of a message that goes back into the queue."""
    return Status.SENDING if unproven(claimed) else None


def _prepare(claimed: Claimed, driver: Driver, mint_id: MintId) -> Flight:
    """The submissions of the segments that the carrier does not have yet. Raises CutChanged, and what a cut does."""
    message = claimed.message
    reference = int.from_bytes(message.id.bytes[-2:])
    segments = driver.cut(message.text, Encoding(message.encoding), reference)
    accepted = {(past.segment_total, past.segment_index) for past in claimed.past if past.kind == "accepted"}
    totals = Counter(total for total, _ in accepted)
    if any(total == count for total, count in totals.items()):
        return Flight(claimed, ())
    if totals.keys() - {len(segments)}:
        # Sent anew, a part would come twice; and what is left of it in this cut is not what is missing.
        raise CutChanged(f"the carrier has parts of {sorted(totals)}, and the text is {len(segments)} by now")
    done = {index for _, index in accepted}
    return Flight(
        claimed,
        tuple(
            Submission(
                attempt_id=mint_id(),
                message_id=message.id,
                segment_index=segment.index,
                segment_total=segment.total,
                segment_reference=reference,
                sender=message.sender,
                recipient=message.recipient,
                text=segment.text,
                encoding=segment.encoding.value,
                expires_at=claimed.expires_at,
                valid_for=claimed.valid_for,
            )
            for segment in segments
            if segment.index not in done
        ),
    )

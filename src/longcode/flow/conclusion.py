"""What a carrier's answers to its segments mean for a message. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from longcode.carriers.port import Accepted, Deferred, Outcome, Rejected, Submission, Unconfirmed
from longcode.domain.message import Status
from longcode.store.outbox import Claimed, Conclusion, NewAttempt, NewOutcome, PastAttempt

# After its validity an unconfirmed message may still get a late receipt.
GRACE = timedelta(minutes=15)
UNCONFIRMED_PAUSE_SECONDS = 5.0
BACKOFF_FACTOR = 1.5
LONGEST_PAUSE_SECONDS = 300.0
# Kept back at the last moment, its attempt already on record.
UNWRITTEN = "unwritten"
# Outcomes that leave no doubt about where the segment is.
ANSWERED = frozenset({"accepted", "rejected", "deferred", UNWRITTEN})


def unproven(claimed: Claimed) -> bool:
    """True where an attempt was cut or unconfirmed and nothing proves since that its segment arrived."""
    return is_unproven(claimed.past)


def is_unproven(past: Sequence[PastAttempt]) -> bool:
    """As `unproven`, of a message's earlier attempts."""
    proven = {one.segment_index for one in past if one.kind == "accepted"}
    answered = {one.attempt_id for one in past if one.kind in ANSWERED}
    return any(one.segment_index not in proven and one.attempt_id not in answered for one in past)


def cut_attempts(claimed: Claimed, carrier_id: int) -> tuple[NewOutcome, ...]:
    """The attempts that ended without an answer on record, said so."""
    return tuple(
        NewOutcome(
            attempt_id=past.attempt_id,
            message_id=claimed.message.id,
            segment_index=past.segment_index,
            segment_total=past.segment_total,
            carrier_id=carrier_id,
            kind="unconfirmed",
            reason="cut before its answer",
        )
        for past in claimed.past
        if past.kind is None
    )


def unwritten(attempt: NewAttempt) -> NewOutcome:
    """An attempt that is on record, and was kept back at the last moment."""
    return NewOutcome(
        attempt_id=attempt.id,
        message_id=attempt.message_id,
        segment_index=attempt.segment_index,
        segment_total=attempt.segment_total,
        carrier_id=attempt.carrier_id,
        kind=UNWRITTEN,
    )


def until_known(claimed: Claimed) -> timedelta:
    """How long a message waits for the proof of an unconfirmed attempt: its validity and a grace; zero when over."""
    return max(claimed.valid_for + GRACE, timedelta())


def conclude(
    claimed: Claimed,
    answers: Mapping[Submission, Outcome],
    *,
    carrier_id: int,
    deduplicates: bool,
    random: Callable[[], float],
) -> Conclusion:
    """Where a message moves once every segment of this round is answered.

    One rejected segment fails the message; it is sent when the carrier has all; else it waits:
    for the carrier's time where it was deferred, for proof where it is unconfirmed.
    """
    message_id = claimed.message.id
    outcomes = tuple(_record(carrier_id, submission, answer) for submission, answer in answers.items())
    refused = [answer for answer in answers.values() if isinstance(answer, Rejected)]
    if refused:
        return Conclusion(message_id=message_id, outcomes=outcomes, status=Status.FAILED, error=refused[0].code)
    if all(isinstance(answer, Accepted) for answer in answers.values()):
        return Conclusion(message_id=message_id, outcomes=outcomes, status=Status.SENT)
    begun = any(not isinstance(answer, Deferred) for answer in answers.values())
    unconfirmed = any(isinstance(answer, Unconfirmed) for answer in answers.values())
    if unconfirmed and not deduplicates:
        pause = until_known(claimed)
    else:
        pause = _pause(_tries(claimed, carrier_id), list(answers.values()), random)
    return Conclusion(
        message_id=message_id, outcomes=outcomes, status=Status.SENDING if begun else None, again_after=pause
    )


def put_off_late(submission: Submission, answer: Deferred, carrier_id: int) -> Conclusion:
    """A segment that was unconfirmed, and whose carrier says by now that it does not have it."""
    return Conclusion(
        message_id=submission.message_id,
        outcomes=(_record(carrier_id, submission, answer),),
        again_after=timedelta(seconds=answer.after_seconds),
    )


def _tries(claimed: Claimed, carrier_id: int) -> int:
    """How often the carrier put the message off. Waiting for a state of ours says nothing about the carrier."""
    return most_tries(past for past in claimed.past if past.carrier_id == carrier_id)


def most_tries(past: Iterable[PastAttempt]) -> int:
    """How often that segment was written, or meant to be, that was so most often."""
    return max(Counter(one.segment_index for one in past if one.kind != UNWRITTEN).values(), default=0)


def _pause(tries: int, answers: Sequence[Outcome], random: Callable[[], float]) -> timedelta:
    """How long until the next try: what the carrier asked for, growing, with jitter."""
    asked = max((answer.after_seconds for answer in answers if isinstance(answer, Deferred)), default=0.0)
    if any(isinstance(answer, Unconfirmed) for answer in answers):
        asked = max(asked, UNCONFIRMED_PAUSE_SECONDS)
    grown = min(asked * BACKOFF_FACTOR ** min(tries, 20), LONGEST_PAUSE_SECONDS)
    return timedelta(seconds=max(asked, grown) * (0.9 + 0.2 * random()))


def _record(carrier_id: int, submission: Submission, answer: Outcome) -> NewOutcome:
    reference = code = reason = None
    match answer:
        case Accepted():
            kind, reference = "accepted", answer.reference
        case Rejected() | Deferred():
            kind = "rejected" if isinstance(answer, Rejected) else "deferred"
            code, reason = answer.code, answer.reason or None
        case Unconfirmed():
            kind, reason = "unconfirmed", answer.reason or None
    return _outcome(carrier_id, submission, kind=kind, reference=reference, code=code, reason=reason)


def _outcome(
    carrier_id: int,
    submission: Submission,
    *,
    kind: str,
    reference: str | None = None,
    code: str | None = None,
    reason: str | None = None,
) -> NewOutcome:
    return NewOutcome(
        attempt_id=submission.attempt_id,
        message_id=submission.message_id,
        segment_index=submission.segment_index,
        segment_total=submission.segment_total,
        carrier_id=carrier_id,
        kind=kind,
        reference=reference,
        code=code,
        reason=reason,
    )

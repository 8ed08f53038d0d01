"""What a message is, and the one table by which its status moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Direction(StrEnum):
    """OUTBOUND (MT) leaves a number of ours, INBOUND (MO) comes to one."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Medium(StrEnum):
    """SMS travels between numbers and shows in conversations; MAILBOX stays between logins."""

    SMS = "sms"
    MAILBOX = "mailbox"


class Status(StrEnum):
    """Where a message stands. The names are those of the native API."""

    ACCEPTED = "accepted"  # durable, and no route carries it yet
    SCHEDULED = "scheduled"
    QUEUED = "queued"  # waits for its carrier
    SENDING = "sending"  # some of its segments are with the carrier
    SENT = "sent"  # the carrier has every segment
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # the carrier said so in a receipt
    FAILED = "failed"  # it never reached the handset, `error` says why
    CANCELED = "canceled"
    RECEIVED = "received"
    RECORDED = "recorded"  # somebody else carried it; we keep it for the conversation


_FINAL_OR_BACK: frozenset[Status] = frozenset()
_ENDS = frozenset({Status.DELIVERED, Status.UNDELIVERED, Status.FAILED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.ACCEPTED: frozenset({Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT, Status.CANCELED}) | _ENDS,
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.SENDING, Status.SENT, Status.CANCELED}) | _ENDS,
    Status.QUEUED: frozenset({Status.SENDING, Status.SENT, Status.CANCELED}) | _ENDS,
    Status.SENDING: frozenset({Status.SENT}) | _ENDS,
    Status.SENT: _ENDS,
    Status.DELIVERED: _FINAL_OR_BACK,
    Status.UNDELIVERED: _FINAL_OR_BACK,
    Status.FAILED: _FINAL_OR_BACK,
    Status.CANCELED: _FINAL_OR_BACK,
    Status.RECEIVED: _FINAL_OR_BACK,
    Status.RECORDED: _FINAL_OR_BACK,
}


def sources_of(target: Status) -> tuple[Status, ...]:
    """The states from which a message may move to `target`, for `WHERE status IN (…)`."""
    return tuple(status for status, targets in TRANSITIONS.items() if target in targets)


def is_final(status: Status) -> bool:
    """True where nothing can follow."""
    return not TRANSITIONS[status]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a scheduled message waits by.

    send_at: when it is due; None once it was put off after that. priority: 0 goes first. expires_at: the end of its
    validity.
    """

    send_at: datetime | None
    priority: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One stored message as its account sees it.

    sent_at_seconds: Unix seconds, the order of conversations; the client's own where it gave one.
    client_reference: the client's name for it (idempotency key or uuid), or None.
    provider_reference: the carrier's name for its first segment; None until the carrier has it.
    error: a stable code, where status is failed or undelivered; `partial` where a received one lacks some parts.
    schedule: of one that is scheduled, as far as a reader asked for it; None for every other one.
    """

    id: UUID
    account_id: int
    direction: Direction
    medium: Medium
    sender: str
    recipient: str
    text: str
    sent_at_seconds: int
    status: Status
    client_reference: str | None
    provider_reference: str | None
    encoding: str
    segment_count: int
    error: str | None
    created_at: datetime
    schedule: Schedule | None = None

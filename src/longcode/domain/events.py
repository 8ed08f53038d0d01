"""What customers are told of: each step of a message that means something to them, and opt-outs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from longcode.domain.message import Message, Status


class EventType(StrEnum):
    """The names are part of the contract; a new one may come, none changes."""

    MESSAGE_QUEUED = "message.queued"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_UNDELIVERED = "message.undelivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_CANCELED = "message.canceled"
    MESSAGE_RECEIVED = "message.received"
    OPTOUT_CREATED = "optout.created"
    OPTOUT_REMOVED = "optout.removed"


OF_STATUS: Final = {
    Status.QUEUED: EventType.MESSAGE_QUEUED,
    Status.SENT: EventType.MESSAGE_SENT,
    Status.DELIVERED: EventType.MESSAGE_DELIVERED,
    Status.UNDELIVERED: EventType.MESSAGE_UNDELIVERED,
    Status.FAILED: EventType.MESSAGE_FAILED,
    Status.CANCELED: EventType.MESSAGE_CANCELED,
    Status.RECEIVED: EventType.MESSAGE_RECEIVED,
}
# What the sender of one message is told of it.
OF_SENT: Final = tuple(type_ for status, type_ in OF_STATUS.items() if status is not Status.RECEIVED)
STATUS_OF: Final = {type_: status for status, type_ in OF_STATUS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutChange:
    """What an event about an opt-out says. Parties in canonical form.

    sender: who may not write, or may again; None: the whole account. source: what the change came by. keyword,
    message_id: the word that asked for it, and the message that said it.
    """

    recipient: str
    source: str
    sender: str | None = None
    keyword: str | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    message: what it is about, as it is now, if that is a message and is still there. error: the message's, then.
    opt_out: what it is about, if that is an opt-out.
    """

    id: UUID
    type: EventType
    occurred_at: datetime
    message_id: UUID | None = None
    message: Message | None = None
    error: str | None = None
    opt_out: OptOutChange | None = None

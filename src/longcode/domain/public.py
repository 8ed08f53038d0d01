"""Messages and events as customers see them: the one form of the native API and of webhooks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from longcode.domain.events import STATUS_OF, Event, EventType, OptOutChange
from longcode.domain.message import Direction, Message
from longcode.domain.timestamps import format_milli


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicMessage:
    """A message, ready for JSON: its field names are a contract.

    reference: the client's own name for it. provider_reference: the carrier's. created_at: ISO 8601, UTC.
    send_at, expires_at, priority: when it is due, until when it is good, and 0 goes first; null unless its status is
    `scheduled`, send_at also once it was due and was put off.
    """

    id: str
    direction: str
    medium: str
    sender: str
    recipient: str
    text: str
    status: str
    error: str | None
    encoding: str
    segment_count: int
    reference: str | None
    provider_reference: str | None
    created_at: str
    send_at: str | None
    expires_at: str | None
    priority: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMessage(PublicMessage):
    """A message whose text was cut, so that it fits where it goes; the whole of it can be read by its id."""

    text_cut: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedMessage:
    """What is left to say of a message that was deleted."""

    id: str
    status: str
    error: str | None
    deleted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicOptOut:
    """An opt-out that was made or taken back. scope: `number` where it is from one sender, else `account`."""

    recipient: str
    sender: str | None
    scope: str
    source: str
    keyword: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicEvent:
    """An event, ready for JSON. Source: Standard Webhooks 1.0, "Payload structure"."""

    type: str
    timestamp: str
    data: PublicMessage | DeletedMessage | PublicOptOut | None


def public_message(message: Message) -> PublicMessage:
    """A message as its account sees it now."""
    schedule = message.schedule
    send_at = None if schedule is None else schedule.send_at
    return PublicMessage(
        id=str(message.id),
        direction=message.direction.value,
        medium=message.medium.value,
        sender=message.sender,
        recipient=message.recipient,
        text=message.text,
        status=message.status.value,
        error=message.error,
        encoding=message.encoding,
        segment_count=message.segment_count,
        reference=message.client_reference,
        provider_reference=message.provider_reference,
        created_at=format_milli(message.created_at),
        send_at=None if send_at is None else format_milli(send_at),
        expires_at=None if schedule is None else format_milli(schedule.expires_at),
        priority=None if schedule is None else schedule.priority,
    )


def public_event(event: Event) -> PublicEvent:
    """An event as its account sees it; a message in it stands as it stood then."""
    return PublicEvent(type=event.type.value, timestamp=format_milli(event.occurred_at), data=_data(event))


def _data(event: Event) -> PublicMessage | DeletedMessage | PublicOptOut | None:
    if event.opt_out is not None:
        return _public_opt_out(event.opt_out)
    if event.message_id is None:
        return None
    if event.message is None:
        return DeletedMessage(id=str(event.message_id), status=STATUS_OF[event.type].value, error=event.error)
    return public_message(_as_it_was(event, event.message))


def _public_opt_out(change: OptOutChange) -> PublicOptOut:
    return PublicOptOut(
        recipient=change.recipient,
        sender=change.sender,
        scope="account" if change.sender is None else "number",
        source=change.source,
        keyword=change.keyword,
        message_id=None if change.message_id is None else str(change.message_id),
    )


def _as_it_was(event: Event, message: Message) -> Message:
    received = event.type is EventType.MESSAGE_RECEIVED
    inbound = message.direction is Direction.INBOUND
    return replace(
        message,
        status=STATUS_OF[event.type],
        # That parts of it are missing is noted after it came.
        error=message.error if received and inbound else event.error,
        # What one number of an account wrote to another of its own is one message: who received it sees it come in.
        direction=Direction.INBOUND if received else message.direction,
        # It had none before a carrier had it.
        provider_reference=None if event.type is EventType.MESSAGE_QUEUED else message.provider_reference,
    )

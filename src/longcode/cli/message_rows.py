"""A message in lists, for people and for programs."""

from __future__ import annotations

from longcode.domain.message import Message
from longcode.domain.timestamps import format_milli
from longcode.store.timeline import Listed

HEADINGS = ("id", "at", "direction", "from", "to", "status", "error", "attempts")


def record(message: Message, attempts: int) -> dict[str, object]:
    """What programs read; keys are added, and never change their meaning."""
    return {
        "id": str(message.id),
        "status": message.status.value,
        "sender": message.sender,
        "recipient": message.recipient,
        "direction": message.direction.value,
        "reference": message.provider_reference,
        "error": message.error,
        "attempts": attempts,
        "created_at": format_milli(message.created_at),
        "segments": message.segment_count,
    }


def row(listed: Listed) -> tuple[object, ...]:
    """What people read, under HEADINGS."""
    message = listed.message
    return (
        message.id,
        format_milli(message.created_at),
        message.direction.value,
        message.sender,
        message.recipient,
        message.status.value,
        message.error,
        listed.attempts,
    )

"""A message in lists, for people and for programs."""

from __future__ import annotations

from longcode.domain.message import Message
from longcode.domain.public import public_message
from longcode.domain.timestamps import format_milli
from longcode.store.timeline import Listed

HEADINGS = ("id", "at", "direction", "from", "to", "status", "error", "attempts")


def record(message: Message, attempts: int) -> dict[str, object]:
    """What programs read; keys are added, and never change their meaning."""
    public = public_message(message)
    return {
        "id": public.id,
        "status": public.status,
        "sender": public.sender,
        "recipient": public.recipient,
        "direction": public.direction,
        "reference": public.provider_reference,
        "error": public.error,
        "attempts": attempts,
        "created_at": public.created_at,
        "segments": public.segment_count,
        "send_at": public.send_at,
        "expires_at": public.expires_at,
        "priority": public.priority,
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

"""Messages as they are stored, without the calls that make them."""

from __future__ import annotations

from typing import Any

from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Direction, Medium, Message, Status


def text_message(**changes: Any) -> Message:
    """A text message of account 1 that waits for its carrier, changed as said."""
    values: dict[str, Any] = {
        "id": mint_id(),
        "account_id": 1,
        "direction": Direction.OUTBOUND,
        "medium": Medium.SMS,
        "sender": "MyCorp",
        "recipient": "+12025550101",
        "text": "Hello",
        "sent_at_seconds": 0,
        "status": Status.QUEUED,
        "client_reference": None,
        "provider_reference": None,
        "encoding": "gsm7",
        "segment_count": 1,
        "error": None,
        "created_at": utc_now(),
    }
    return Message(**values | changes)

"""Bodies as a caller would write them, by the names of their schemas: what the reference shows as calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MESSAGE: Final = {"sender": "MyCorp", "recipient": "+12025550190", "text": "Hello"}
# A cursor is what a list gave, so this one stands for yours.
_CURSOR: Final = "CURSOR"

EXAMPLES: Final[Mapping[str, Any]] = {
    "AccountDraft": {"name": "acme"},
    "Ack": {"cursor": _CURSOR},
    "ApiKeyDraft": {"scopes": ["messages:read", "messages:write"]},
    "Assignment": {"value": "12025550150"},
    "Batch": {"messages": [_MESSAGE, {**_MESSAGE, "recipient": "+12025550191"}]},
    "CarrierChange": {"settings": {"segments_per_second": "50"}},
    "CarrierDraft": {
        "name": "acme",
        "driver": "smpp",
        "settings": {"host": "smpp.acme.example", "port": "2775", "system_id": "corp", "password": "secret"},
    },
    "Cursors": {"cursors": [_CURSOR]},
    "Inbound": {"reply": "Thanks, we will call you."},
    "InventoryChange": {"monthly_price": "3.40", "currency": "USD"},
    "InventoryDraft": {"value": "12025550150", "monthly_price": "3.40", "currency": "USD"},
    "KeywordDraft": {"meaning": "answer", "reply": "We are open from 9 to 5."},
    "Letter": {"sender": "anna", "text": "Hello"},
    "Limits": {"segments_per_day": 10000, "spend_per_day": "50.00", "destinations": ["44", "1202"]},
    "MailboxDraft": {"login": "anna"},
    "MessageDraft": _MESSAGE,
    "NewSecret": {},
    "OptOutDraft": {"recipient": "447700900123"},
    "PaceDraft": {"segments_per_second": 30},
    "PoolDraft": {"name": "support", "senders": ["12025550101", "12025550102"]},
    "PoolSenders": {"senders": ["12025550103"]},
    "PreviewDraft": {"text": "Hello", "recipient": "+12025550190"},
    "Replay": {"since": "2026-11-22T10:00:00Z"},
    "ReplyDraft": {"text": "{account}: Reply STOP to get no more messages from this number."},
    "Rotation": {"keep_hours": 24},
    "RouteDraft": {"carrier": "acme", "prefix": "4477"},
    "RouteQuestion": {"recipient": "+447700900123", "account": "acme"},
    "SenderDraft": {"sender": "MyCorp"},
    "WebhookDraft": {"url": "https://example.org/longcode", "types": ["message.delivered", "message.failed"]},
}

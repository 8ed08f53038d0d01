"""What the description calls the things of the native API: by the words of its pages, not by those of our classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

REFERENCE: Final = "#/components/schemas/"
_PAGE: Final = re.compile(r"Page_(\w+)_")
_SHOWN: Final = "Shown"
NAMES: Final[Mapping[str, str]] = {
    "AckShown": "AckPlace",
    "DayShown": "UsageDay",
    "Draft": "MessageDraft",
    "EndpointDraft": "WebhookDraft",
    "EndpointMade": "WebhookMade",
    "EndpointShown": "Webhook",
    "KeyDraft": "ApiKeyDraft",
    "KeyMade": "ApiKeyMade",
    "KeyShown": "ApiKey",
    "LimitsShown": "LimitsAndUse",
    "LoginShown": "Mailbox",
    "MailboxLogin": "MailboxDraft",
    "NewRoute": "RouteDraft",
    "PublicMessage": "Message",
    "ReceiptShown": "CarrierReceipt",
    "SenderId": "SenderDraft",
}


def named(name: str) -> str:
    """What to call a schema: of a page, after what it is of."""
    page = _PAGE.fullmatch(name)
    if page is not None:
        return f"{named(page[1])}Page"
    return NAMES.get(name) or name.removesuffix(_SHOWN)


def renamed(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Schemas under their names. Raises ValueError where two would have one."""
    found = {named(name): schema for name, schema in schemas.items()}
    if len(found) < len(schemas):
        raise ValueError("two schemas have one name")
    return found


def referring(value: Any) -> Any:
    """Anything of a description, its references to schemas by their names."""
    if isinstance(value, list):
        return [referring(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {key: _reference(part) if key == "$ref" else referring(part) for key, part in value.items()}


def _reference(target: str) -> str:
    if not target.startswith(REFERENCE):
        return target
    return REFERENCE + named(target.removeprefix(REFERENCE))

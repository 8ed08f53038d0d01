"""What a call that sends a message is answered, the first time and again under its key."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Response

from longcode.api.drafts import KEY_PATTERN, KEY_RULE
from longcode.domain.public import PublicMessage, public_message
from longcode.flow.settlement import Entered

# The pattern is for those who read; `idempotency_key` says it in words.
KeyHeader = Annotated[
    str | None, Header(alias="Idempotency-Key", description=KEY_RULE, json_schema_extra={"pattern": KEY_PATTERN})
]
REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "`true` where an earlier call with this key was the first.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
LOCATION: Final = {"Location": {"description": "Its path.", "schema": {"type": "string"}}}
SENT: Final[dict[int | str, Any]] = {
    200: {"model": PublicMessage, "description": "The key's message, as it is now.", "headers": REPLAYED},
    201: {"headers": LOCATION},
}
SENT_BEFORE: Final[dict[int | str, Any]] = {200: {"headers": REPLAYED}}


def sent(entered: Entered, response: Response) -> PublicMessage:
    """The stored message, with what SENT says."""
    shown = public_message(entered.message)
    if entered.replayed:
        response.status_code = 200
        mark_replayed(response)
    else:
        response.headers["location"] = f"/v1/messages/{shown.id}"
    return shown


def mark_replayed(response: Response) -> None:
    """Say that an earlier call with the key did what this one asked for."""
    response.headers["idempotent-replayed"] = "true"

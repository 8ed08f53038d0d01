"""What a caller says of a message that is to be sent, and the name under which it is sent once only."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import Annotated, Final

import msgspec
from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from longcode.api.fields import WHOLE, Body, Instant, MessageText, Printable, Recipient, Reference, Sender, WebhookUrl
from longcode.api.problems import invalid
from longcode.flow.accept import LOWEST_PRIORITY, NORMAL_PRIORITY, VALIDITY

MOST_VALIDITY: Final = timedelta(days=14)
# Source: RFC 9651 §3.3.3, and bare as many write it.
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,510})"')
_BARE: Final = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]{0,254}")
LONGEST_KEY: Final = 255
KEY_PATTERN: Final = f"^({_BARE.pattern}|{_QUOTED.pattern})$"
KEY_RULE: Final = (
    f"Your own name for this call: 1 to {LONGEST_KEY} printable ASCII characters, quoted or bare. A repeat with the "
    "same body is answered as the first was, and changes nothing."
)


class Draft(Body):
    """A message that is to be sent.

    sender: a number of the account, in any spelling, or one of its sender IDs. pool: instead, one of its pools.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["sender"]}, {"required": ["pool"]}]})

    pool: Printable | None = None
    sender: Annotated[Sender | None, Field(validate_default=True)] = None
    recipient: Recipient
    text: MessageText
    reference: Annotated[Reference | None, Field(description="Your own name for it; many may have the same.")] = None
    priority: Annotated[int, Field(ge=0, le=LOWEST_PRIORITY, description="0 goes first."), WHOLE] = NORMAL_PRIORITY
    send_at: Annotated[Instant | None, Field(description="Not before then. Default, and in the past: now.")] = None
    validity_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=int(MOST_VALIDITY.total_seconds()),
            description="From `send_at` on; what no carrier took by its end fails.",
        ),
        WHOLE,
    ] = int(VALIDITY.total_seconds())
    webhook_url: Annotated[
        WebhookUrl | None,
        Field(
            description="Where each step of this message is told, besides the account's webhooks. The first message "
            "that names a URL makes a webhook of it, `per_message`, with a secret of its own."
        ),
    ] = None

    @field_validator("sender")
    @classmethod
    def _one_origin(cls, sender: str | None, info: ValidationInfo) -> str | None:
        if "pool" in info.data and sender is None and info.data["pool"] is None:
            raise PydanticCustomError("missing", "it is missing")
        if sender is not None and info.data.get("pool") is not None:
            raise PydanticCustomError("both", "a message has either a sender or a pool")
        return sender


def idempotency_key(header: str | None) -> str | None:
    """The key in the header, without its quotes; None where there is none. Raises InvalidRequest."""
    if header is None:
        return None
    text = header.strip(" \t")
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _BARE.fullmatch(text):
        text = ""
    if not 1 <= len(text) <= LONGEST_KEY:
        raise invalid(f"it must be 1 to {LONGEST_KEY} printable ASCII characters", field="Idempotency-Key")
    return f"v1:{text}"


def said(draft: Draft) -> dict[str, object]:
    """What a repeat of a draft has in common with it. A field that is newer than keys counts where it is said."""
    fields = draft.model_dump(mode="json")
    if draft.webhook_url is None:
        del fields["webhook_url"]
    return fields


def fingerprint(value: object) -> bytes:
    """What a repeat has in common with the first: the same values, wherever they stood."""
    try:
        told = msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:  # a lone surrogate, which only json's escapes can tell
        told = json.dumps(value, sort_keys=True).encode("ascii")
    return hashlib.sha256(told).digest()

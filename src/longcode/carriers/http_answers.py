"""What answers mean with every HTTP carrier, whatever its manual says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from longcode.carriers.http_port import HttpReply
from longcode.carriers.port import Accepted, Deferred, Outcome, Unconfirmed

LONGEST_REFERENCE: Final = 255
LONGEST_REASON: Final = 300
THROTTLED_AFTER_SECONDS: Final = 1.0
REFUSED_AFTER_SECONDS: Final = 60.0


def put_off(reply: HttpReply) -> Deferred | None:
    """Deferred for the answers that prove, with every carrier, that nothing was taken; else None.

    A 503 proves it only where it says when to come back: others are written by whatever stands between, which
    does not know what the carrier behind it has done. Sources: RFC 9110 §15.5.2, §15.6.4; RFC 6585 §4.
    """
    if reply.status == 429:
        after = reply.retry_after_seconds or THROTTLED_AFTER_SECONDS
        return Deferred(after, "throttled", "The carrier answered 429.")
    if reply.status == 503 and reply.retry_after_seconds is not None:
        return Deferred(reply.retry_after_seconds, "temporary_error", "The carrier answered 503 with Retry-After.")
    if reply.status == 401:
        return Deferred(REFUSED_AFTER_SECONDS, "not_authenticated", "The carrier answered 401.")
    return None


def taken(reply: HttpReply, reference: object) -> Outcome:
    """Accepted under a reference; Unconfirmed where the answer of a success has none that can be one."""
    if isinstance(reference, str) and 0 < len(reference) <= LONGEST_REFERENCE:
        return Accepted(storable(reference))
    return Unconfirmed(f"The carrier answered {reply.status} without a reference.")


def unproven(reply: HttpReply) -> Unconfirmed:
    """An answer that says neither."""
    return Unconfirmed(f"The carrier answered {reply.status}, which proves nothing.")


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in an answer; empty where it holds none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def words(value: object) -> str:
    """What a carrier says in words, as far as it is kept; "" where it says nothing."""
    return storable(str(value))[:LONGEST_REASON] if isinstance(value, str | int) else ""


def storable(text: str) -> str:
    """The text, with U+FFFD for what no database keeps."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace").replace("\0", "\ufffd")

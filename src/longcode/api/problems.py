"""Problems: how the native API says what went wrong, and the catalogue of what can.

Source: RFC 9457. The codes, their statuses and their meaning are a contract: a new one may come, none changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from structlog.contextvars import get_contextvars

from longcode.errors import (
    ConfigurationError,
    FieldError,
    LongcodeError,
    NotOwned,
    NotWhitelisted,
    OfField,
    OptedOut,
)
from longcode.wire.call import Answer
from longcode.wire.door import CHALLENGE
from longcode.wire.errors import Fault, MethodNotAllowed
from longcode.wire.statuses import sentence_of

MEDIA_TYPE: Final = "application/problem+json"
# Where a code is explained; `type` of a problem, resolved against the server's own address.
TYPE: Final = "/docs/errors#"
# A sentence about one of several settings, as the checks of carriers write it.
_OF_SETTING: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*): (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code stands for. title: the same words each time it occurs."""

    status: int
    title: str


CATALOGUE: Final[Mapping[str, Kind]] = {
    "unreadable": Kind(400, "The body is not a JSON object"),
    "not_authenticated": Kind(401, "There are no credentials, or wrong ones"),
    "foreign_origin": Kind(403, "A page of another origin called without credentials"),
    "scope_missing": Kind(403, "The API key does not have the scope that this needs"),
    "operator_only": Kind(403, "Only the operator may do this"),
    "account_needed": Kind(403, "An operator must name the account that this is for"),
    "refused": Kind(403, "This may not be done"),
    "not_owned": Kind(403, "The sender is not the account's"),
    "not_whitelisted": Kind(403, "The sender is not the account's"),
    "opted_out": Kind(403, "The recipient opted out"),
    "pool_empty": Kind(403, "The account may send as no sender of the pool"),
    "destination_refused": Kind(403, "The account may not send to this destination"),
    "unknown_login": Kind(404, "There is no such mailbox"),
    "not_found": Kind(404, "There is no such thing"),
    "unknown_path": Kind(404, "There is nothing at this path"),
    "method_not_allowed": Kind(405, "The path has no such method"),
    "duplicate": Kind(409, "It exists already"),
    "key_in_flight": Kind(409, "A call with this Idempotency-Key is being worked on"),
    "too_late": Kind(409, "The message is past this"),
    "gone": Kind(410, "It was deleted"),
    "body_too_large": Kind(413, "The body is too long"),
    "invalid_request": Kind(422, "Fields are at fault"),
    "key_reused": Kind(422, "The Idempotency-Key was used with another body"),
    "rate_limited": Kind(429, "There were too many calls"),
    "limit_reached": Kind(429, "The sender's limit is reached"),
    "cap_reached": Kind(429, "The account's cap for today is reached"),
    "fault": Kind(500, "Something went wrong on our side"),
    "intake_full": Kind(503, "The server has too much to do right now"),
    "storage_down": Kind(503, "The service is not available right now"),
    "unavailable": Kind(503, "The service is not available right now"),
}
# Which field is at fault where a rule, not its form, refuses a call.
POINTERS: Final[tuple[tuple[type[LongcodeError], str], ...]] = (
    (NotOwned, "/sender"),
    (NotWhitelisted, "/sender"),
    (OptedOut, "/recipient"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """One field at fault.

    pointer: where in the body, as RFC 6901 has it; field: the name of a query parameter or header. One of the two.
    code: missing, invalid or unknown.
    """

    code: str
    detail: str
    pointer: str | None = None
    field: str | None = None


class InvalidRequest(LongcodeError):
    """Fields are at fault, and each of them is named. Nothing was stored."""

    code = "invalid_request"

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__("; ".join(map(_sentence, faults)))
        self.faults = faults


class ScopeMissing(LongcodeError):
    """The API key is limited to other scopes."""

    code = "scope_missing"


class OperatorOnly(LongcodeError):
    """Only a key of the operator's opens this."""

    code = "operator_only"


class AccountNeeded(LongcodeError):
    """An operator's key belongs to no account; the header Longcode-Account names one."""

    code = "account_needed"


class KeyInFlight(LongcodeError):
    """The first call with this Idempotency-Key has no answer yet."""

    code = "key_in_flight"
    retry = True
    retry_after_seconds = 1


class TooLate(LongcodeError):
    """The message stands where this cannot be done any more, or not yet."""

    code = "too_late"


class RateLimited(LongcodeError):
    """The account made more calls than it may in a window; come back after `retry_after_seconds`."""

    code = "rate_limited"
    retry = True

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@contextmanager
def told_together(pointer: str = "") -> Iterator[None]:
    """What a check of the whole says in sentences, as faults of the body, or of one of its parts."""
    try:
        yield
    except ConfigurationError as error:
        raise InvalidRequest(tuple(_fault(fault, pointer) for fault in error.faults)) from error


@contextmanager
def settings_told_together() -> Iterator[None]:
    """What a check of a carrier's settings says, as faults of these settings in the body."""
    try:
        yield
    except ConfigurationError as error:
        raise InvalidRequest(tuple(_setting_fault(fault) for fault in error.faults)) from error


def refuse(faults: Sequence[str], pointer: str = "") -> None:
    """Raise InvalidRequest where there are faults. pointer: of those that name no field of their own."""
    if faults:
        raise InvalidRequest(tuple(_fault(fault, pointer) for fault in faults))


def invalid(detail: str, *, pointer: str | None = None, field: str | None = None) -> InvalidRequest:
    """One field at fault."""
    return InvalidRequest((FieldFault(code="invalid", detail=detail, pointer=pointer, field=field),))


def document(error: LongcodeError) -> dict[str, object]:
    """The problem document of an error; of one that no caller should see, that of a fault."""
    error = _told(error)
    kind = CATALOGUE[error.code]
    told: dict[str, object] = {
        "type": f"{TYPE}{error.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": sentence_of(error),
        "code": error.code,
        "request_id": get_contextvars().get("request_id", ""),
    }
    errors = [_shown(fault) for fault in faults_of(error)]
    return {**told, "errors": errors} if errors else told


def answer(error: LongcodeError) -> Answer:
    """The answer to a call that raised the error."""
    error = _told(error)
    headers = [(b"content-type", MEDIA_TYPE.encode("ascii"))]
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is None and CATALOGUE[error.code].status == 503:
        retry_after = 1
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode("ascii")))
    if CATALOGUE[error.code].status == 401:
        headers.append(CHALLENGE)
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode("ascii")))
    return Answer(CATALOGUE[error.code].status, msgspec.json.encode(document(error)), tuple(headers))


def faults_of(error: LongcodeError) -> tuple[FieldFault, ...]:
    """The fields that an error blames."""
    if isinstance(error, InvalidRequest):
        return error.faults
    for kind, pointer in POINTERS:
        if isinstance(error, kind):
            return (FieldFault(code=error.code, detail=str(error), pointer=pointer),)
    return ()


def _fault(sentence: str, pointer: str) -> FieldFault:
    if isinstance(sentence, OfField):
        pointer = f"/{sentence.field}"
    return FieldFault(code="invalid", detail=str(sentence), pointer=pointer)


def _setting_fault(sentence: str) -> FieldFault:
    """`port: expected …` is a fault of the setting `port`; what names none is one of all settings."""
    named = _OF_SETTING.fullmatch(sentence)
    if named is None:
        return _fault(sentence, "/settings")
    code = "missing" if named[2].startswith("missing") else "invalid"
    return FieldFault(code=code, detail=named[2], pointer=f"/settings/{named[1]}")


def _told(error: LongcodeError) -> LongcodeError:
    if isinstance(error, FieldError):
        return invalid(error.reason or f"{error.field} is {error.problem}", pointer=f"/{error.field}")
    return error if error.code in CATALOGUE else Fault()


def _sentence(fault: FieldFault) -> str:
    """A fault of the whole body names no place."""
    where = fault.pointer or fault.field
    return f"{where}: {fault.detail}" if where else fault.detail


def _shown(fault: FieldFault) -> dict[str, str]:
    where = {"pointer": fault.pointer} if fault.pointer is not None else {"field": fault.field or ""}
    return {**where, "code": fault.code, "detail": fault.detail}

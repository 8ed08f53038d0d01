"""The HTTP status and the sentence of an error, where a dialect's contract names no others."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from longcode.carriers.http_port import BadCallback, UnsignedCallback
from longcode.errors import (
    Duplicate,
    FieldError,
    ForeignOrigin,
    KeyReused,
    LimitReached,
    LongcodeError,
    NotAuthenticated,
    NotFound,
    Refused,
    StorageDown,
    Unavailable,
)
from longcode.wire.errors import BodyTooLarge, MethodNotAllowed, UnknownPath, Unreadable

# The first kind that fits decides, so a subclass stands before its parent.
STATUSES: Final[tuple[tuple[type[LongcodeError], HTTPStatus], ...]] = (
    (FieldError, HTTPStatus.BAD_REQUEST),
    (Unreadable, HTTPStatus.BAD_REQUEST),
    (BadCallback, HTTPStatus.BAD_REQUEST),
    (UnsignedCallback, HTTPStatus.FORBIDDEN),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (MethodNotAllowed, HTTPStatus.METHOD_NOT_ALLOWED),
    (UnknownPath, HTTPStatus.NOT_FOUND),
    (ForeignOrigin, HTTPStatus.FORBIDDEN),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Duplicate, HTTPStatus.CONFLICT),
    (KeyReused, HTTPStatus.CONFLICT),
    (LimitReached, HTTPStatus.TOO_MANY_REQUESTS),
    (Refused, HTTPStatus.FORBIDDEN),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: LongcodeError) -> HTTPStatus:
    """The status for the error; 500 for what nobody foresaw."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def sentence_of(error: LongcodeError) -> str:
    """The error's own sentence; another where that is for our log, because it names our servers."""
    return "the service is not available right now" if isinstance(error, StorageDown) else str(error)

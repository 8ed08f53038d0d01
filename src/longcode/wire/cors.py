"""Which web pages may read our answers.

Source: the Fetch standard, §3.2 "CORS protocol".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longcode.wire.call import Headers

Lines = tuple[tuple[bytes, bytes], ...]

MAX_AGE_SECONDS: Final = 600
_VARY: Final = (b"vary", b"Origin")
_EXPOSE: Final = (
    b"access-control-expose-headers",
    b"ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
)
_ALLOW_HEADERS: Final = (
    b"access-control-allow-headers",
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Longcode-Account",
)
_MAX_AGE: Final = (b"access-control-max-age", str(MAX_AGE_SECONDS).encode("ascii"))


class Cors:
    """The header lines for the origins that the operator allows. Cookies are never shared.

    Where any origin is allowed, every answer says Vary, lest a cache hands one origin's answer to another.
    """

    __slots__ = ("_allowed", "_others")

    def __init__(self, origins: Sequence[str]) -> None:
        self._allowed = frozenset(origin.lower().encode("ascii") for origin in origins)
        self._others: Lines = (_VARY,) if origins else ()

    def lines(self, headers: Headers) -> Lines:
        """What the answer to a call with these headers carries."""
        if not self._others:
            return ()
        origin = headers.get(b"origin")
        if origin is None or origin.lower() not in self._allowed:
            return self._others
        return ((b"access-control-allow-origin", origin), _EXPOSE, _VARY)

    def preflight(self, headers: Headers, allow: bytes) -> Lines:
        """What the answer to OPTIONS carries besides, if it is a preflight from an allowed origin."""
        if b"access-control-request-method" not in headers:
            return ()
        if headers.get(b"origin", b"").lower() not in self._allowed:
            return ()
        return ((b"access-control-allow-methods", allow), _ALLOW_HEADERS, _MAX_AGE)

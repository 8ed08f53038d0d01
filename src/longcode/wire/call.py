"""One HTTP request as a dialect sees it, and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from longcode.wire.errors import BodyTooLarge

Headers = Mapping[bytes, bytes]
"""By lower-case name; the last of several wins."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_JSON: Final = (b"content-type", b"application/json")
_encode: Final = msgspec.json.Encoder().encode


class Disconnected(Exception):
    """The client went away before its request was whole; there is nobody to answer."""


class Call:
    """One HTTP request.

    path: as the server decoded it, for logs and links.
    params: the path's parameters by name, percent-decoded; a plus sign stays one. Bytes that are not UTF-8
    become lone surrogates, which `fields.is_clean` refuses.
    header_lines: the headers as they were sent, for who must know of several of one name.
    peer: the client's IP address, None where the transport has none.
    body_limit_bytes: what `read` takes at most.
    """

    __slots__ = (
        "_body",
        "_receive",
        "body_limit_bytes",
        "drained",
        "header_lines",
        "headers",
        "method",
        "params",
        "path",
        "peer",
        "query_string",
        "scheme",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        params: Mapping[str, str],
        query_string: bytes,
        headers: Headers,
        peer: str | None,
        scheme: str,
        receive: Receive,
        body_limit_bytes: int = 65536,
        header_lines: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.method = method
        self.path = path
        self.params = params
        self.query_string = query_string
        self.headers = headers
        self.header_lines = header_lines
        self.peer = peer
        self.scheme = scheme
        self.body_limit_bytes = body_limit_bytes
        self.drained = False  # the server has handed over the whole body
        self._receive = receive
        self._body: bytes | None = None

    def header(self, name: str) -> str | None:
        """The header's value decoded from Latin-1, None if it was not sent. name: in any case."""
        value = self.headers.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def query(self) -> Mapping[str, str]:
        """The query's parameters; the last of several wins, blank ones are kept, `+` is a space.

        UTF-8; bytes that are not become lone surrogates, which `fields.is_clean` refuses.
        """
        text = self.query_string.decode("utf-8", "surrogateescape")
        return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))

    async def read(self) -> bytes:
        """The whole body; read once, and kept for the next time.

        Raises BodyTooLarge above `body_limit_bytes`: before reading where the length was declared, else
        while reading. Raises Disconnected if the client goes away, which the door expects.
        """
        if self._body is None:
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        limit = self.body_limit_bytes
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge(limit)
        parts: list[bytes] = []
        length = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part: bytes = message.get("body", b"")
            length += len(part)
            if not message.get("more_body", False):
                self.drained = True
            if length > limit:
                raise BodyTooLarge(limit)
            if self.drained:
                return b"".join((*parts, part)) if parts else part
            parts.append(part)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer.

    body: bytes, or an iterator whose chunks are sent as they come; if that raises after its first chunk,
    the connection is cut, so that nobody takes a part for the whole.
    headers: lower-case names; without Content-Length, which the door knows.
    """

    status: int
    body: bytes | AsyncIterator[bytes]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_answer(status: int, value: object, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An answer whose body is value as JSON. headers: further ones, besides Content-Type."""
    if headers:
        return Answer(status, _encode(value), (_JSON, *_encoded(headers)))
    return Answer(status, _encode(value), (_JSON,))


def empty_answer(status: int, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An answer without a body."""
    return Answer(status, b"", _encoded(headers))


def _encoded(headers: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers)

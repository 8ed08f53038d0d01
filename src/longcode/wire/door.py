"""The raw ASGI door: from the server straight to a dialect's handler, without a framework's requests.

What it serves costs a few microseconds a call; everything else goes to the application behind it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from structlog.contextvars import bind_contextvars, reset_contextvars

from longcode import log
from longcode.errors import IntakeFull, LimitReached, LongcodeError, StorageDown
from longcode.wire.call import Answer, Call, Disconnected, Headers, Receive, empty_answer
from longcode.wire.cors import Cors
from longcode.wire.endpoint import Endpoint, Handler
from longcode.wire.errors import Fault, MethodNotAllowed
from longcode.wire.paths import Found, Paths
from longcode.wire.sending import Message, Send, primed, send_answer

Scope = Message
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CHALLENGE: Final = (b"www-authenticate", b'Basic realm="longcode", charset="UTF-8"')
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_logger = log.get("http")


@dataclass(frozen=True, slots=True)
class _Desk:
    """An endpoint with what is worked out once: its handlers with HEAD, and the methods that it allows."""

    endpoint: Endpoint
    handlers: Mapping[str, Handler]
    allow: tuple[str, ...]


def mint_request_id() -> str:
    """16 random hexadecimal digits."""
    return os.urandom(8).hex()


class Door:
    """An ASGI application of endpoints, each at its path with and without a trailing slash.

    otherwise: the application for every path that no endpoint has, and for what is not HTTP.
    cors_origins: origins whose pages may read the answers, such as `https://console.example`.
    Every answer, otherwise's too, carries X-Request-Id: the client's own if it is 1 to 64 of
    `A-Za-z0-9_.-`, else a minted one. Log lines of the call carry the same.
    Raises ValueError where two endpoints have one path.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        cors_origins: tuple[str, ...],
        otherwise: ASGIApp,
        mint_request_id: Callable[[], str] = mint_request_id,
    ) -> None:
        self._paths = Paths((endpoint.path, _desk(endpoint)) for endpoint in endpoints)
        self._cors = Cors(cors_origins)
        self._otherwise = otherwise
        self._mint = mint_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._otherwise(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        tokens = bind_contextvars(request_id=request_id.decode("ascii"))
        try:
            raw_path = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
            found = self._paths.find(raw_path)
            if found is None:
                lines = [*self._cors.lines(headers), (b"x-request-id", request_id)]
                await self._otherwise(scope, receive, _stamped(send, lines))
            else:
                await self._serve(found, scope, headers, request_id, receive, send)
        finally:
            reset_contextvars(**tokens)

    async def _serve(
        self,
        found: Found[_Desk],
        scope: Scope,
        headers: Headers,
        request_id: bytes,
        receive: Receive,
        send: Send,
    ) -> None:
        endpoint = found.target.endpoint
        client = scope.get("client")
        call = Call(
            method=scope["method"],
            path=scope["path"],
            params=found.params,
            query_string=scope["query_string"],
            headers=headers,
            peer=client[0] if client else None,
            scheme=scope["scheme"],
            receive=receive,
            body_limit_bytes=endpoint.body_limit_bytes,
            header_lines=scope["headers"],
        )
        answer = await self._answer(found.target, call, whole=scope.get("http_version") == "1.0")
        if answer is None:
            return
        lines = (*answer.headers, *self._cors.lines(headers), (b"x-request-id", request_id))
        if answer.status == 401 and not _has(answer, CHALLENGE[0]):
            lines = (*lines, CHALLENGE)
        answer = Answer(answer.status, answer.body, lines)
        await send_answer(answer, call, receive, send)

    async def _answer(self, desk: _Desk, call: Call, *, whole: bool) -> Answer | None:
        """The handler's answer, or the dialect's to what it raised; None where nobody waits for one.

        whole: a stream is gathered first, for a client that cannot tell where a chunked body ends.
        """
        endpoint = desk.endpoint
        try:
            handler = desk.handlers.get(call.method)
            if handler is not None:
                answer = await handler(call)
                return answer if isinstance(answer.body, bytes) else await primed(answer, whole=whole)
            if call.method == "OPTIONS" and not endpoint.plain_methods:
                return self._options(desk, call)
            return _refusal(endpoint, MethodNotAllowed(desk.allow))
        except Disconnected:
            return None
        except LongcodeError as error:
            if isinstance(error, StorageDown):
                _logger.warning("storage is down", path=endpoint.path, error=str(error))
            return _refusal(endpoint, error)
        except Exception:
            # The pattern, not the path as sent: that may hold a phone number.
            _logger.exception("a call failed", method=call.method, path=endpoint.path)
            return _refusal(endpoint, Fault())

    def _options(self, desk: _Desk, call: Call) -> Answer:
        allow = ", ".join(desk.allow)
        preflight = self._cors.preflight(call.headers, allow.encode("ascii"))
        return Answer(204, b"", ((b"allow", allow.encode("ascii")), *preflight))

    def _request_id(self, headers: Headers) -> bytes:
        sent = headers.get(b"x-request-id")
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            return sent
        return self._mint().encode("ascii")


def _desk(endpoint: Endpoint) -> _Desk:
    handlers = dict(endpoint.methods)
    allow = set(handlers)
    if not endpoint.plain_methods:
        if "GET" in handlers:
            handlers.setdefault("HEAD", handlers["GET"])
        allow = {*handlers, "OPTIONS"}
    return _Desk(endpoint, handlers, tuple(sorted(allow)))


def _refusal(endpoint: Endpoint, error: LongcodeError) -> Answer:
    """The dialect's answer to error, with the header that HTTP wants beside it."""
    try:
        answer = endpoint.error(error)
    except Exception:
        _logger.exception("an error has no envelope", path=endpoint.path, code=error.code)
        answer = empty_answer(500) if isinstance(error, Fault) else _refusal(endpoint, Fault())
    if isinstance(error, MethodNotAllowed):
        return _with(answer, b"allow", ", ".join(error.allow))
    if isinstance(error, IntakeFull | LimitReached):
        return _with(answer, b"retry-after", str(error.retry_after_seconds))
    return answer


def _with(answer: Answer, name: bytes, value: str) -> Answer:
    if _has(answer, name):
        return answer
    return Answer(answer.status, answer.body, (*answer.headers, (name, value.encode("ascii"))))


def _has(answer: Answer, name: bytes) -> bool:
    return any(present == name for present, _ in answer.headers)


def _stamped(send: Send, lines: Sequence[tuple[bytes, bytes]]) -> Send:
    """send, with these header lines in every answer that lacks them; what it varies by is said besides."""

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = list(message.get("headers", ()))
            present = {name.lower() for name, _ in headers} - {b"vary"}
            message = {**message, "headers": [*headers, *(line for line in lines if line[0] not in present)]}
        await send(message)

    return stamped

"""What stands before the routes: slashes, HEAD, OPTIONS, unknown paths, compression, and the shortest way to send.

Headers are seen here as they were sent; behind it one of several has won.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Match, Route

from longcode.api import problems
from longcode.api.ids import decoded
from longcode.api.routing import to_response
from longcode.wire.call import Answer, Call, Receive
from longcode.wire.cors import Cors
from longcode.wire.errors import MethodNotAllowed, UnknownPath
from longcode.wire.sending import Message, Send, send_answer

LEAST_COMPRESSED_BYTES: Final = 1024
KEY: Final = b"idempotency-key"
# The middleware takes the name alone for a wish. Source: RFC 9110 §12.4.2, §12.5.3.
_NO_GZIP: Final = re.compile(rb"gzip[ \t]*;[ \t]*q=0(\.0*)?[ \t]*(,|$)", re.IGNORECASE)

Hot = Callable[[Call], Awaitable[Answer]]


class Front:
    """An ASGI application around the routes.

    hot: calls that do without a framework, by method and path.
    """

    def __init__(self, app: FastAPI, *, hot: Mapping[tuple[str, str], Hot]) -> None:
        self._hot = hot
        self._app = GZipMiddleware(app, minimum_size=LEAST_COMPRESSED_BYTES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        hot = self._hot.get((scope["method"], scope["path"].removesuffix("/")))
        if [name for name, _ in scope["headers"]].count(KEY) > 1:
            hot = _refuse_keys
        if hot is not None:
            await _serve(hot, scope, receive, send)
            return
        raw_path = scope["raw_path"].removesuffix(b"/")
        headers = [
            line for line in scope["headers"] if not (line[0] == b"accept-encoding" and _NO_GZIP.search(line[1]))
        ]
        scope = {**scope, "path": decoded(raw_path), "raw_path": raw_path, "headers": headers}
        if scope["method"] == "HEAD":
            scope["method"], send = "GET", _without_body(send)
        await self._app(scope, receive, send)


async def _refuse_keys(_call: Call) -> Answer:
    """Nobody knows which of several keys is meant; by the wrong one something is made twice, or not at all."""
    return problems.answer(problems.invalid("it is there more than once", field="Idempotency-Key"))


async def _serve(hot: Hot, scope: Message, receive: Receive, send: Send) -> None:
    call = Call(
        method=scope["method"],
        path=scope["path"],
        params={},
        query_string=scope["query_string"],
        headers=dict(scope["headers"]),
        peer=scope["client"][0] if scope.get("client") else None,
        scheme=scope["scheme"],
        receive=receive,
    )
    await send_answer(await hot(call), call, receive, send)


def not_routed(cors: Cors) -> Callable[[Request, Any], Coroutine[Any, Any, Response]]:
    """Answers OPTIONS, and what no route takes."""

    async def answer(request: Request, _error: Exception) -> Response:
        allow = allowed(request)
        if not allow:
            return to_response(problems.answer(UnknownPath()))
        if request.method != "OPTIONS":
            return to_response(problems.answer(MethodNotAllowed(allow)))
        names = ", ".join(allow).encode("ascii")
        headers = dict(request.scope["headers"])
        return to_response(Answer(204, b"", ((b"allow", names), *cors.preflight(headers, names))))

    return answer


def allowed(request: Request) -> tuple[str, ...]:
    """The methods that the path has, sorted; none where there is nothing at it."""
    found = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    if not found:
        return ()
    return tuple(sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())))


def _without_body(send: Send) -> Send:
    """Ends an answer where its body would begin, however long that goes on."""
    ended = False

    async def bare(message: Any) -> None:
        nonlocal ended
        if ended:
            return
        if message["type"] == "http.response.body":
            ended = True
            message = {**message, "body": b"", "more_body": False}
        await send(message)

    return bare

"""What all routes of the native API do alike: admit the caller, bound the body, name faults, tag what they give."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Match

from longcode import log
from longcode.api import problems
from longcode.api.caller import Gate
from longcode.api.limits import Standing
from longcode.api.once import Once, secrets_of
from longcode.api.validation import invalid_request, refuse_parameters
from longcode.errors import LongcodeError, StorageDown
from longcode.wire.call import Answer, Call, Disconnected
from longcode.wire.errors import Fault, Unreadable

BODY_LIMIT_BYTES: Final = 65536
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
JSON: Final = b"application/json"

# What a route says of itself in the description, and what it does.
SCOPE: Final = "x-scope"
TAGGED: Final = "x-etag"
LIMIT: Final = "x-body-limit-bytes"
BODY_TYPE: Final = "x-body-type"
ERRORS: Final = "x-errors"
FOR_ACCOUNT: Final = "x-for-account"
ONCE: Final = "x-once"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_logger = log.get("http")


class Route(APIRoute):
    """One operation. The caller is known before anything of the body is read.

    elsewhere: values of its parameters with which a path is another's: `batch` of `/messages/{id}`.
    """

    elsewhere: tuple[Mapping[str, str], ...] = ()

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        """Whether the route serves the call, and what the path says."""
        match, found = super().matches(scope)
        given = found.get("path_params", {}).items()
        if any(values.items() <= given for values in self.elsewhere):
            return Match.NONE, {}
        return match, found

    def get_route_handler(self) -> Handler:
        """The handler with all that stands around it."""
        handle = super().get_route_handler()
        terms: Mapping[str, Any] = self.openapi_extra or {}
        if ONCE in terms:
            handle = self._made_once(handle)

        async def answer(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            standings: list[Standing] = []
            try:
                response = await self._handle(handle, request, gate, terms, standings.append)
            except Disconnected:
                return Response(status_code=499)
            except RequestValidationError as error:
                response = to_response(problems.answer(invalid_request(error.errors())))
            except LongcodeError as error:
                if isinstance(error, StorageDown):
                    _logger.warning("storage is down", path=self.path, error=str(error))
                response = to_response(problems.answer(error))
            except HTTPException:  # FastAPI's own, where a body breaks its reader
                response = to_response(problems.answer(Unreadable()))
            except Exception:
                _logger.exception("a call failed", method=request.method, path=self.path)
                response = to_response(problems.answer(Fault()))
            for standing in standings:
                add_headers(response, standing.headers())
            return response

        return answer

    def _made_once(self, handle: Handler) -> Handler:
        secrets = secrets_of(self.response_model)

        async def answer(request: Request) -> Response:
            once: Once = request.app.state.once
            return await once.make(request, handle, secrets)

        return answer

    async def _handle(
        self,
        handle: Callable[[Request], Awaitable[Response]],
        request: Request,
        gate: Gate,
        terms: Mapping[str, Any],
        note: Callable[[Standing], None],
    ) -> Response:
        call = call_of(request, terms.get(LIMIT, BODY_LIMIT_BYTES))
        request.state.caller = await gate.admit(call, terms[SCOPE], note=note)
        self._refuse_unknown(request)
        if request.method in WITH_BODY:
            request = with_body(request, await call.read(), is_json=BODY_TYPE not in terms)
        response = await handle(request)
        return tagged(request, response) if TAGGED in terms and response.status_code == 200 else response

    def _refuse_unknown(self, request: Request) -> None:
        """Raise InvalidRequest with what is asked for of an operation that asks nothing; the others look themselves."""
        if not self.dependant.query_params:
            refuse_parameters(request.query_params)


def keep_apart(routes: Iterable[object]) -> None:
    """See to it that a path which one route names to the letter is no other's, whatever the method."""
    ours = [route for route in routes if isinstance(route, Route)]
    for route in ours:
        found = (_difference(route.path.split("/"), path.split("/")) for path in {other.path for other in ours})
        route.elsewhere = tuple(values for values in found if values)


def _difference(own: Sequence[str], other: Sequence[str]) -> Mapping[str, str]:
    """By name the parameters of the own path in whose places the other has words; empty where it is no such path."""
    if len(own) != len(other):
        return {}
    apart = [(one, word) for one, word in zip(own, other, strict=True) if one != word]
    if any(not one.startswith("{") or word.startswith("{") for one, word in apart):
        return {}
    return {one.strip("{}"): word for one, word in apart}


class Routes:
    """The operations of one tag, as they are declared."""

    def __init__(self, app: FastAPI, tag: str, resource: str) -> None:
        self._app = app
        self._tag = tag
        self._resource = resource

    def get(self, path: str, name: str, *, single: bool = False, **how: Any) -> Callable[[Any], Any]:
        """Reads something. single: one thing, which has an ETag."""
        return self._route("GET", path, name, f"{self._resource}:read", {TAGGED: True} if single else {}, **how)

    def post(self, path: str, name: str, **how: Any) -> Callable[[Any], Any]:
        """Makes or does something."""
        return self._route("POST", path, name, f"{self._resource}:write", {}, **how)

    def put(self, path: str, name: str, **how: Any) -> Callable[[Any], Any]:
        """Makes something, or puts it in the place of what was there."""
        return self._route("PUT", path, name, f"{self._resource}:write", {}, **how)

    def patch(self, path: str, name: str, **how: Any) -> Callable[[Any], Any]:
        """Changes some of it."""
        return self._route("PATCH", path, name, f"{self._resource}:write", {}, **how)

    def delete(self, path: str, name: str, **how: Any) -> Callable[[Any], Any]:
        """Removes something."""
        return self._route("DELETE", path, name, f"{self._resource}:write", {}, **({"status": 204} | how))

    def _route(
        self,
        method: str,
        path: str,
        name: str,
        scope: str,
        terms: Mapping[str, Any],
        *,
        status: int = 200,
        errors: Iterable[str] = (),
        scope_as: str | None = None,
        for_account: bool = False,
        body_limit_bytes: int | None = None,
        body_type: str | None = None,
        once: bool | None = None,
        responses: Mapping[int | str, Any] | None = None,
        **how: Any,
    ) -> Callable[[Any], Any]:
        """errors: codes of problems that this operation has besides those of all. scope_as: another scope.

        for_account: an operator's, for an account that he names. once: whether it takes an Idempotency-Key by which
        a repeat changes nothing more; None: where it makes something.
        """
        extra = {**terms, SCOPE: scope_as or scope, ERRORS: list(errors)}
        if body_limit_bytes is not None:
            extra[LIMIT] = body_limit_bytes
        if for_account:
            extra[FOR_ACCOUNT] = True
        if body_type is not None:
            extra[BODY_TYPE] = body_type
        if once or (once is None and status == 201):
            extra[ONCE] = True

        def declare(handler: Any) -> Any:
            summary, _, rest = inspect.cleandoc(handler.__doc__).partition("\n\n")
            self._app.router.add_api_route(
                path,
                handler,
                methods=[method],
                name=name,
                summary=" ".join(summary.split()).removesuffix("."),
                description=rest,
                operation_id=f"v1{name[:1].upper()}{name[1:]}",  # the dialects have names of their own
                tags=[self._tag],
                status_code=status,
                responses=dict(responses or {}) | {422: {}},
                openapi_extra=extra | how.pop("openapi_extra", {}),
                route_class_override=Route,
                **how,
            )
            return handler

        return declare


def call_of(request: Request, body_limit_bytes: int) -> Call:
    """The request as the rest of the product knows it."""
    scope = request.scope
    return Call(
        method=scope["method"],
        path=scope["path"],
        params={},
        query_string=scope["query_string"],
        headers=dict(scope["headers"]),
        peer=scope["client"][0] if scope.get("client") else None,
        scheme=scope["scheme"],
        receive=request.receive,
        body_limit_bytes=body_limit_bytes,
    )


def with_body(request: Request, body: bytes, *, is_json: bool) -> Request:
    """The request with a body that was read, taken for JSON whatever its Content-Type."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [line for line in request.scope["headers"] if line[0] != b"content-type"]
    kind = [(b"content-type", JSON)] if is_json else []
    fresh = Request({**request.scope, "headers": [*headers, *kind]}, receive)
    fresh.state.caller = request.state.caller
    return fresh


def tagged(request: Request, response: Response) -> Response:
    """The response with its ETag, or 304 where the client has it. Source: RFC 9110 §8.8.3, §13.1.2."""
    if isinstance(response, StreamingResponse):
        return response
    # Weak, because the same thing may be sent compressed or not.
    tag = f'W/"{hashlib.blake2b(bytes(response.body), digest_size=12).hexdigest()}"'
    known = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
    if "*" in known or tag in known or tag.removeprefix("W/") in known:
        return Response(status_code=304, headers={"etag": tag})
    response.headers["etag"] = tag
    return response


def to_response(answer: Answer) -> Response:
    """An answer of ours as Starlette has it."""
    assert isinstance(answer.body, bytes)
    response = Response(answer.body, answer.status)
    add_headers(response, answer.headers)
    return response


def add_headers(response: Response, lines: Iterable[tuple[bytes, bytes]]) -> None:
    """Add header lines."""
    response.raw_headers.extend(lines)

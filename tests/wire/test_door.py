"""The door: which answer each call gets, and with which headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from longcode.errors import (
    ForeignOrigin,
    IntakeFull,
    InvalidField,
    LimitReached,
    LongcodeError,
    NotAuthenticated,
    StorageDown,
)
from longcode.wire.call import Answer, Call, empty_answer, json_answer
from longcode.wire.door import Door
from longcode.wire.endpoint import Endpoint
from longcode.wire.errors import BodyTooLarge, MethodNotAllowed
from tests.wire.asgi import ask, reply

ORIGIN = "https://console.example"
STATUSES: dict[type[LongcodeError], int] = {
    BodyTooLarge: 413,
    ForeignOrigin: 403,
    IntakeFull: 503,
    InvalidField: 400,
    LimitReached: 429,
    MethodNotAllowed: 405,
    NotAuthenticated: 401,
    StorageDown: 503,
}


def envelope(error: LongcodeError) -> Answer:
    return json_answer(STATUSES.get(type(error), 500), {"error": error.code})


async def echo(call: Call) -> Answer:
    body = await call.read()
    seen = {"params": dict(call.params), "query": dict(call.query()), "body": body.decode()}
    return json_answer(200, seen)


async def show(call: Call) -> Answer:
    return json_answer(200, {"id": call.params.get("id")})


async def created(call: Call) -> Answer:
    return json_answer(201, {}, headers=[("Location", "/things/1")])


async def deleted(call: Call) -> Answer:
    return empty_answer(204)


async def streamed(call: Call) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"one", b"", b"two"):
            yield chunk

    return Answer(200, chunks())


async def false_start(call: Call) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        raise StorageDown("before the first byte")
        yield b""

    return Answer(200, chunks())


def raising(error: BaseException) -> Any:
    async def handler(call: Call) -> Answer:
        raise error

    return handler


async def behind(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": [(b"x-app", b"behind")]})
    await send({"type": "http.response.body", "body": b"behind"})


def door(*endpoints: Endpoint, cors_origins: tuple[str, ...] = ()) -> Door:
    return Door(endpoints, cors_origins=cors_origins, otherwise=behind, mint_request_id=lambda: "minted")


def at(path: str, *, plain: bool = False, limit: int = 65536, **methods: Any) -> Endpoint:
    return Endpoint(
        path=path, methods=methods, error=envelope, plain_methods=plain, body_limit_bytes=limit
    )  # fmt: skip


DOOR = door(
    at("/things", GET=show, POST=created),
    at("/things/{id}", GET=show, DELETE=deleted),
    at("/echo", POST=echo, limit=10),
    at("/stream", GET=streamed),
    at("/plain", POST=echo, plain=True),
    at("/plain-get", GET=show, plain=True),
)


@dataclass(frozen=True, slots=True)
class MethodCase:
    name: str
    method: str
    target: str
    status: int
    allow: str | None = None
    body: bytes | None = None

    def __str__(self) -> str:
        return self.name


METHODS = [
    MethodCase("GET", "GET", "/things", 200, body=b'{"id":null}'),
    MethodCase("a trailing slash is no redirect", "POST", "/things/", 201),
    MethodCase("a parameter", "GET", "/things/%2B1", 200, body=b'{"id":"+1"}'),
    MethodCase("204 has no body", "DELETE", "/things/1", 204, body=b""),
    MethodCase("an absent method", "PUT", "/things", 405, "GET, HEAD, OPTIONS, POST"),
    MethodCase("a method that nobody has", "BREW", "/echo", 405, "OPTIONS, POST"),
    MethodCase("HEAD follows GET", "HEAD", "/things", 200, body=b""),
    MethodCase("HEAD without a GET", "HEAD", "/echo", 405, "OPTIONS, POST", body=b""),
    MethodCase("OPTIONS says what there is", "OPTIONS", "/things/1", 204, "DELETE, GET, HEAD, OPTIONS", b""),
    MethodCase("plain: GET", "GET", "/plain", 405, "POST", b'{"error":"method_not_allowed"}'),
    MethodCase("plain: HEAD", "HEAD", "/plain", 405, "POST", b""),
    MethodCase("plain: OPTIONS", "OPTIONS", "/plain/", 405, "POST"),
    MethodCase("plain: HEAD where there is a GET", "HEAD", "/plain-get", 405, "GET"),
    MethodCase("another path goes to the application behind", "GET", "/other", 418, body=b"behind"),
    MethodCase("a path below goes to the application behind", "GET", "/things/1/2", 418, body=b"behind"),
    MethodCase("a stream is whole", "GET", "/stream", 200, body=b"onetwo"),
    MethodCase("HEAD of a stream", "HEAD", "/stream", 200, body=b""),
]


@pytest.mark.parametrize("case", METHODS, ids=str)
async def test_a_method_at_a_path(case: MethodCase) -> None:
    answer = await reply(DOOR, case.method, case.target)
    assert (answer.status, answer.headers.get("allow")) == (case.status, case.allow)
    assert case.body is None or answer.body == case.body
    assert answer.headers["x-request-id"] == "minted"


async def test_head_tells_the_length_of_what_get_would_send() -> None:
    head, get = await reply(DOOR, "HEAD", "/things"), await reply(DOOR, "GET", "/things")
    assert (head.body, head.headers) == (b"", get.headers)
    assert get.headers["content-length"] == str(len(get.body))


async def test_204_has_no_length() -> None:
    assert "content-length" not in (await reply(DOOR, "DELETE", "/things/1")).headers


async def test_a_stream_has_no_length() -> None:
    assert "content-length" not in (await reply(DOOR, "GET", "/stream")).headers


async def test_a_client_of_http_1_0_gets_a_stream_with_its_length() -> None:
    answer = await reply(DOOR, "GET", "/stream", http_version="1.0")
    assert (answer.body, answer.headers["content-length"]) == (b"onetwo", "6")


async def test_headers_of_the_answer_are_kept() -> None:
    answer = await reply(DOOR, "POST", "/things")
    assert (answer.headers["location"], answer.headers["content-type"]) == ("/things/1", "application/json")


@dataclass(frozen=True, slots=True)
class BodyCase:
    name: str
    body: tuple[bytes, ...]
    status: int
    declared: int | None = None

    def __str__(self) -> str:
        return self.name


BODIES = [
    BodyCase("no body", (b"",), 200),
    BodyCase("a body in one part", (b"0123456789",), 200, declared=10),
    BodyCase("a body in parts", (b"01234", b"", b"56789"), 200),
    BodyCase("a declared length above the limit is not read", (b"",), 413, declared=11),
    BodyCase("one part above the limit", (b"0123456789a",), 413),
    BodyCase("parts above the limit", (b"0123456789", b"a"), 413),
]


@pytest.mark.parametrize("case", BODIES, ids=str)
async def test_a_body_up_to_the_limit(case: BodyCase) -> None:
    headers = [] if case.declared is None else [("content-length", str(case.declared))]
    answer = await reply(DOOR, "POST", "/echo", headers=headers, body=case.body)
    assert answer.status == case.status
    if case.status == 413:
        assert answer.body == b'{"error":"body_too_large"}'


async def test_a_query_is_decoded_and_its_blanks_are_kept() -> None:
    answer = await reply(DOOR, "POST", "/echo?a=1&a=2&b=&c=%2B+%C3%A9&d")
    assert answer.body.decode() == (
        '{"params":{},"query":{"a":"2","b":"","c":"+ é","d":""},"body":""}'
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RaiseCase:
    name: str
    error: Exception
    status: int
    code: str
    header: tuple[str, str] | None = None
    logged: str | None = None

    def __str__(self) -> str:
        return self.name


CHALLENGE = ("www-authenticate", 'Basic realm="longcode", charset="UTF-8"')
RAISED = [
    RaiseCase("a field", InvalidField("to"), 400, "invalid"),
    RaiseCase("no credentials", NotAuthenticated("no"), 401, "not_authenticated", CHALLENGE),
    RaiseCase("a full intake", IntakeFull(retry_after_seconds=2), 503, "intake_full", ("retry-after", "2")),
    RaiseCase("a spent limit", LimitReached("spent", retry_after_seconds=86400), 429, "limit_reached",
              ("retry-after", "86400")),
    RaiseCase("storage that is down", StorageDown("no database"), 503, "storage_down", logged="warning"),
    RaiseCase("a fault of ours", KeyError("secret"), 500, "fault", logged="error"),
    RaiseCase("a fault of ours that looks like a client's", TimeoutError(), 500, "fault", logged="error"),
]  # fmt: skip


@pytest.mark.parametrize("case", RAISED, ids=str)
async def test_what_a_handler_raises_leaves_in_the_dialects_envelope(case: RaiseCase) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await reply(door(at("/x", POST=raising(case.error))), "POST", "/x")
    assert (answer.status, answer.body.decode()) == (case.status, f'{{"error":"{case.code}"}}')
    if case.header is not None:
        assert answer.headers[case.header[0]] == case.header[1]
    assert [line["log_level"] for line in lines] == ([] if case.logged is None else [case.logged])
    assert all(line["request_id"] == "minted" and line["path"] == "/x" for line in lines)


async def test_headers_that_the_dialect_set_itself_are_left_alone() -> None:
    def own(error: LongcodeError) -> Answer:
        lines = [("Retry-After", "7"), ("Allow", "SEND"), ("WWW-Authenticate", "Bearer")]
        return json_answer(401, {}, headers=lines)

    handler = raising(IntakeFull())
    own_door = door(Endpoint(path="/x", methods={"POST": handler}, error=own))
    for method in ("POST", "PUT"):
        headers = (await reply(own_door, method, "/x")).headers
        assert (headers["retry-after"], headers["allow"], headers["www-authenticate"]) == ("7", "SEND", "Bearer")


async def test_a_stream_that_cannot_begin_is_an_ordinary_error() -> None:
    with capture_logs():
        answer = await reply(door(at("/x", GET=false_start)), "GET", "/x")
    assert (answer.status, answer.body) == (503, b'{"error":"storage_down"}')


async def test_an_error_that_the_dialect_does_not_know_is_a_fault_of_ours() -> None:
    def forgetful(error: LongcodeError) -> Answer:
        return json_answer({"fault": 500}[error.code], {})

    endpoint = Endpoint(path="/x", methods={"POST": raising(InvalidField("to"))}, error=forgetful)
    with capture_logs() as lines:
        answer = await reply(door(endpoint), "POST", "/x")
    assert (answer.status, answer.body, len(lines)) == (500, b"{}", 1)


async def test_a_dialect_without_any_envelope_still_answers() -> None:
    def broken(error: LongcodeError) -> Answer:
        raise RuntimeError

    endpoint = Endpoint(path="/x", methods={"POST": raising(ValueError())}, error=broken)
    with capture_logs() as lines:
        answer = await reply(door(endpoint), "POST", "/x")
    assert (answer.status, answer.body, len(lines)) == (500, b"", 2)


async def test_cancelling_passes_through() -> None:
    with pytest.raises(asyncio.CancelledError):
        await ask(door(at("/x", POST=raising(asyncio.CancelledError()))), "POST", "/x")


async def test_a_client_that_leaves_amid_its_body_is_no_error() -> None:
    with capture_logs() as lines:
        assert await ask(DOOR, "POST", "/echo", body=b"012", gone=True) is None
    assert lines == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("a", "a"),
        ("A-z_0.9" * 9 + "x", "A-z_0.9" * 9 + "x"),
        ("x" * 65, "minted"),
        ("", "minted"),
        ("with space", "minted"),
        ("newline\n", "minted"),
        ("é", "minted"),
    ],
    ids=["one", "64", "65", "none", "a space", "a newline", "not ASCII"],
)
@pytest.mark.parametrize("target", ["/things", "/other"])
async def test_a_fit_request_id_is_kept(sent: str, expected: str, target: str) -> None:
    answer = await reply(DOOR, "GET", target, headers=[("X-Request-Id", sent)])
    assert answer.headers["x-request-id"] == expected


async def test_the_request_id_is_bound_for_logs_while_the_call_lasts() -> None:
    bound: list[dict[str, Any]] = []

    async def look(call: Call) -> Answer:
        bound.append(dict(get_contextvars()))
        return empty_answer(204)

    structlog.contextvars.clear_contextvars()
    await reply(door(at("/x", POST=look)), "POST", "/x", headers=[("X-Request-Id", "mine")])
    assert (bound, get_contextvars()) == ([{"request_id": "mine"}], {})


async def test_what_is_not_http_goes_to_the_application_behind() -> None:
    seen: list[str] = []

    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*message: Any) -> Any:
        raise AssertionError

    await Door([], cors_origins=(), otherwise=lifespan)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]


SHARED = door(at("/things", GET=show, POST=created), at("/x", POST=raising(ValueError())), cors_origins=(ORIGIN,))
PREFLIGHT = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]


def cors_of(headers: Any) -> dict[str, str]:
    prefix = "access-control-"
    return {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}


async def test_a_preflight_from_an_allowed_origin_is_granted() -> None:
    answer = await reply(SHARED, "OPTIONS", "/things/", headers=[("Origin", ORIGIN), *PREFLIGHT])
    assert (answer.status, answer.headers["vary"]) == (204, "Origin")
    granted = cors_of(answer.headers)
    assert granted["allow-origin"] == ORIGIN
    assert granted["allow-methods"] == "GET, HEAD, OPTIONS, POST"
    assert granted["allow-headers"].startswith("Authorization, Content-Type, Idempotency-Key, ")
    assert int(granted["max-age"]) > 0
    assert "allow-credentials" not in granted


@pytest.mark.parametrize("target", ["/things", "/x"], ids=["an answer", "an error"])
async def test_an_allowed_origins_page_may_read(target: str) -> None:
    with capture_logs():
        answer = await reply(SHARED, "POST", target, headers=[("Origin", ORIGIN)])
    assert cors_of(answer.headers) == {
        "allow-origin": ORIGIN,
        "expose-headers": (
            "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
        ),
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", None])
async def test_no_other_origins_page_may(origin: str | None, method: str) -> None:
    headers = [*PREFLIGHT, *([] if origin is None else [("Origin", origin)])]
    answer = await reply(SHARED, method, "/things", headers=headers)
    assert (answer.status < 300, cors_of(answer.headers), answer.headers["vary"]) == (True, {}, "Origin")


async def test_without_allowed_origins_nothing_is_said() -> None:
    answer = await reply(DOOR, "OPTIONS", "/things", headers=[("Origin", ORIGIN), *PREFLIGHT])
    assert (cors_of(answer.headers), "vary" in answer.headers) == ({}, False)


async def test_plain_methods_know_no_preflight() -> None:
    plain = door(at("/plain", POST=echo, plain=True), cors_origins=(ORIGIN,))
    answer = await reply(plain, "OPTIONS", "/plain", headers=[("Origin", ORIGIN), *PREFLIGHT])
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_two_endpoints_of_one_path_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="/things"):
        door(at("/things", GET=show), at("/things", POST=created))

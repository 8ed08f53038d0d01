"""The HTTP server itself, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterable

import pytest
import uvicorn

from longcode.web.server import HEAD_LIMIT_BYTES, config
from longcode.wire.door import ASGIApp
from longcode.wire.sending import LINGER_BYTES
from tests.app import Api
from tests.processes import wait_until_async
from tests.wire.asgi import Connection, connected, request

LIMIT = 64 * 1024
FILLER = b"a" * LIMIT


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port where the application is served as in earnest, on this loop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = config(app, host="127.0.0.1", port=0)
        settings.lifespan = "off"
        server = uvicorn.Server(settings)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await wait_until_async(lambda: server.started or task.done(), what="the server's start")
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@pytest.fixture(scope="module")
async def port(api: Api) -> AsyncIterator[int]:
    async with serving(api.app) as found:
        yield found


async def pour(connection: Connection, parts: Iterable[bytes]) -> bytes:
    """Send until the server closes or all is sent; everything that it answered."""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            if connection.reader.at_eof():
                break
            await connection.send(part)
    return await connection.rest()


async def flood(connection: Connection, length: int) -> None:
    for _ in range(length // len(FILLER)):
        await connection.send(FILLER)


ENDLESS = [
    pytest.param([b"GET /healthz HTTP/1.1\r\n"], b"X-Filler: " + b"a" * 1000 + b"\r\n", id="endless headers"),
    pytest.param([b"GET /healthz HTTP/1.1\r\nX-Filler: "], b"a" * 1000, id="one endless header"),
    pytest.param([b"GET /"], b"a" * 1000, id="an endless path"),
    pytest.param(
        [request("GET", "/healthz"), b"GET /healthz HTTP/1.1\r\nX-Filler: "], b"a" * 1000, id="in the second request"
    ),
]


@pytest.mark.parametrize(("start", "filler"), ENDLESS)
async def test_a_head_without_an_end_is_cut_off(port: int, start: list[bytes], filler: bytes) -> None:
    async with connected(port) as connection:
        answer = await pour(connection, [*start, *[filler] * (6 * HEAD_LIMIT_BYTES // len(filler))])
    assert b"HTTP/1.1 431 " in answer
    assert answer.endswith(b"connection: close\r\n\r\n")


async def test_who_sends_on_after_the_refusal_is_cut_off(port: int) -> None:
    async with connected(port) as connection:
        await connection.send(b"GET /")
        with pytest.raises(ConnectionError):
            await flood(connection, 4 * LINGER_BYTES)


async def test_a_long_head_below_the_limit_is_served(port: int) -> None:
    async with connected(port) as connection:
        await connection.send(request("GET", "/healthz", b"", "X-Filler: " + "a" * (HEAD_LIMIT_BYTES - 1000)))
        assert (await connection.answer()).status == 200


async def test_heads_are_counted_one_by_one(port: int) -> None:
    async with connected(port) as connection:
        for _ in range(5):
            await connection.send(request("GET", "/healthz", b"", "X-Filler: " + "a" * (HEAD_LIMIT_BYTES // 2)))
            assert (await connection.answer()).status == 200


async def test_pipelined_requests_are_no_long_head(port: int) -> None:
    one = request("GET", "/healthz", b"", "X-Filler: " + "a" * 10_000)
    async with connected(port) as connection:
        await connection.send(one * 20)
        for _ in range(20):
            assert (await connection.answer()).status == 200


async def test_a_body_is_no_head(port: int) -> None:
    body = b" " * LIMIT
    async with connected(port) as connection:
        for _ in range(3):
            await connection.send(request("POST", "/inbound/sms/", body))
            assert (await connection.answer()).status == 403


async def test_what_is_not_http_is_400(port: int) -> None:
    async with connected(port) as connection:
        answer = await pour(connection, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"])
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_connection_is_kept_and_every_answer_has_its_own_id(port: int) -> None:
    async with connected(port) as connection:
        ids = set()
        for path in ("/healthz", "/health", "/nothing", "/openapi.json"):
            await connection.send(request("GET", path))
            answer = await connection.answer()
            ids.add(answer.headers["x-request-id"])
            assert "connection" not in answer.headers
            assert "server" not in answer.headers
        assert len(ids) == 4


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_body_above_the_limit_is_413_and_closes(api: Api, port: int, declared: bool) -> None:
    caller = await api.account()
    lines = [f"{name}: {value}" for name, value in caller.credentials.items()]
    body = b" " * (LIMIT + 1)
    if declared:
        whole = request("POST", "/inbound/sms/", body, *lines)
    else:
        head = request("POST", "/inbound/sms/", b"", "Transfer-Encoding: chunked", *lines)
        whole = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with connected(port) as connection:
        await connection.send(whole)
        answer = await connection.answer()
        assert (answer.status, json.loads(answer.body)) == (413, {"message": "", "error": "unknown failure"})
        assert answer.headers.get("connection") == "close" or not declared


async def test_a_body_of_the_limit_is_read(api: Api, port: int) -> None:
    caller = await api.account()
    lines = [f"{name}: {value}" for name, value in caller.credentials.items()]
    async with connected(port) as connection:
        await connection.send(request("POST", "/inbound/sms/", b"{}" + b" " * (LIMIT - 2), *lines))
        answer = await connection.answer()
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "from is missing")


BODY = b'{"from":"12025550199","to":"12025550198","text":"hi"}'
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize(
    "cut", [None, 40, -len(BODY), -1], ids=["in one piece", "in the head", "before the body", "at the end"]
)
async def test_an_offered_upgrade_is_passed_over_with_the_body_in_place(api: Api, port: int, cut: int | None) -> None:
    caller = await api.account()
    credentials = "Authorization: " + caller.credentials["Authorization"]
    whole = request("POST", "/outbound/sms/", BODY, credentials, *UPGRADE)
    async with connected(port) as connection:
        for part in (whole,) if cut is None else (whole[:cut], whole[cut:]):
            await connection.send(part)
            await asyncio.sleep(0)
        answer = await connection.answer()
        assert json.loads(answer.body)["error"] == "from parameter not found"
        await connection.send(request("GET", "/healthz"))
        assert (await connection.answer()).status == 200


async def test_the_body_of_an_offered_upgrade_is_no_request(port: int) -> None:
    inner = request("GET", "/healthz")
    async with connected(port) as connection:
        await connection.send(request("GET", "/healthz", inner, *UPGRADE))
        assert (await connection.answer()).status == 200
        await connection.send(request("GET", "/nothing"))
        assert (await connection.answer()).status == 404


@pytest.mark.parametrize("method", ["FOO", "post", "SEARCHX"])
async def test_a_method_that_nobody_knows_is_one_that_the_path_does_not_have(port: int, method: str) -> None:
    async with connected(port) as connection:
        await connection.send(request(method, "/inbound/sms/", BODY))
        answer = await connection.answer()
        assert (answer.status, json.loads(answer.body)["error"]) == (405, "method not allowed")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert headers["allow"] == "POST"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"]
)
async def test_what_is_no_http_gets_a_plain_answer_in_json(port: int, data: bytes) -> None:
    async with connected(port) as connection:
        await connection.send(data)
        head, _, body = (await connection.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert set(json.loads(body)) == {"error"}

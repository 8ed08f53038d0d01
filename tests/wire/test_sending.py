"""Answers on a real connection, through uvicorn: keep-alive, early answers, streams that break."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from longcode.errors import LongcodeError, NotAuthenticated
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.door import Door
from longcode.wire.endpoint import Endpoint
from longcode.wire.errors import BodyTooLarge
from tests.processes import wait_until_async
from tests.wire.asgi import connected, request, served

LIMIT = 1000


def envelope(error: LongcodeError) -> Answer:
    statuses = {NotAuthenticated: 401, BodyTooLarge: 413}
    return json_answer(statuses.get(type(error), 500), {"error": error.code})


async def echo(call: Call) -> Answer:
    if call.header("authorization") != "right":
        raise NotAuthenticated("wrong")
    return json_answer(200, (await call.read()).decode())


async def conversation(call: Call) -> Answer:
    return json_answer(200, call.params["phone"])


class Streams:
    """Streams of 1 KiB chunks that break where `?break=` says, and remember that they were closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def handler(self, call: Call) -> Answer:
        length = int(call.query()["length"])
        breaks = int(call.query().get("break", length))
        return Answer(200, self._chunks(length, breaks))

    async def _chunks(self, length: int, breaks: int) -> AsyncIterator[bytes]:
        try:
            for number in range(length):
                if number == breaks:
                    raise RuntimeError("amid the stream")
                yield b"x" * 1024
        finally:
            self.closed += 1


async def behind(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def served_streams() -> Streams:
    return Streams()


@pytest.fixture
def streams(served_streams: Streams) -> Streams:
    """None of them closed yet."""
    served_streams.closed = 0
    return served_streams


@pytest.fixture(scope="module")
async def port(served_streams: Streams) -> AsyncIterator[int]:
    endpoints = [
        Endpoint(path="/echo", methods={"POST": echo}, error=envelope, body_limit_bytes=LIMIT),
        Endpoint(path="/with/{phone}", methods={"GET": conversation}, error=envelope),
        Endpoint(path="/stream", methods={"GET": served_streams.handler}, error=envelope),
    ]
    async with served(Door(endpoints, cors_origins=(), otherwise=behind)) as port:
        yield port


RIGHT = "Authorization: right"
BODY = b"0123456789"


async def test_a_body_that_nobody_read_does_not_spoil_the_next_answer(port: int) -> None:
    async with connected(port) as connection:
        for _ in range(3):
            await connection.send(request("POST", "/echo", BODY))
            refused = await connection.answer()
            assert (refused.status, refused.headers.get("connection")) == (401, None)
            await connection.send(request("POST", "/echo/", BODY, RIGHT))
            answered = await connection.answer()
            assert (answered.status, answered.body) == (200, b'"0123456789"')


async def test_nor_does_one_that_arrives_after_its_answer(port: int) -> None:
    late = request("POST", "/echo", BODY)
    async with connected(port) as connection:
        await connection.send(late[: -len(BODY)])
        assert (await connection.answer()).status == 401
        await connection.send(BODY + request("POST", "/echo", BODY, RIGHT))
        assert (await connection.answer()).body == b'"0123456789"'


async def test_requests_that_come_at_once_are_answered_in_order(port: int) -> None:
    async with connected(port) as connection:
        await connection.send(
            request("POST", "/echo", BODY)
            + request("POST", "/echo", b"second", RIGHT)
            + request("GET", "/with/%2B1%2F2")
            + request("POST", "/echo", b"third", RIGHT)
        )
        answers = [await connection.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [401, 200, 200, 200]
    assert [answer.body for answer in answers[1:]] == [b'"second"', b'"+1/2"', b'"third"']


@pytest.mark.parametrize("line", [RIGHT, "X-Nothing: 0"], ids=["read", "refused before it is read"])
@pytest.mark.parametrize("length", [LIMIT + 1, 4 * 1024 * 1024])
async def test_a_body_above_the_limit_is_answered_before_the_connection_ends(port: int, length: int, line: str) -> None:
    async with connected(port) as connection:
        await connection.send(request("POST", "/echo", b"x" * length, line))
        answer = await connection.answer()
        assert answer.status == (413 if line == RIGHT else 401)
        assert answer.headers["connection"] == "close"
        assert await connection.rest() == b""


async def test_a_chunked_body_above_the_limit_is_answered_before_it_ends(port: int) -> None:
    chunks = (b"%x\r\n%s\r\n" % (500, b"x" * 500)) * 3
    async with connected(port) as connection:
        await connection.send(request("POST", "/echo", b"", RIGHT, "Transfer-Encoding: chunked") + chunks)
        answer = await connection.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        await connection.send(chunks + b"0\r\n\r\n")
        assert await connection.rest() == b""


async def test_a_chunked_body_below_the_limit_leaves_the_connection_open(port: int) -> None:
    async with connected(port) as connection:
        for _ in range(2):
            await connection.send(request("POST", "/echo", b"", RIGHT, "Transfer-Encoding: chunked"))
            await connection.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            assert (await connection.answer()).body == b'"abcde"'


async def test_a_client_that_waits_to_continue_is_told_to(port: int) -> None:
    async with connected(port) as connection:
        head = request("POST", "/echo", BODY, RIGHT, "Expect: 100-continue")[: -len(BODY)]
        await connection.send(head)
        assert (await connection.head())[0] == 100
        await connection.send(BODY)
        assert (await connection.answer()).body == b'"0123456789"'
        await connection.send(request("POST", "/echo", b"next", RIGHT))
        assert (await connection.answer()).body == b'"next"'


async def test_a_client_that_waits_to_continue_and_is_refused_starts_anew(port: int) -> None:
    async with connected(port) as connection:
        head = request("POST", "/echo", BODY, "Expect: 100-continue")[: -len(BODY)]
        await connection.send(head)
        answer = await connection.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")


async def test_a_client_library_reads_on_after_a_refusal(port: int) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
        for header, status in [("wrong", 401), ("right", 200)] * 3:
            async with session.post("/echo", data=BODY, headers={"Authorization": header}) as answer:
                assert answer.status == status
                await answer.read()


async def test_a_stream_arrives_whole(port: int, streams: Streams) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/stream?length=300") as answer:
            assert len(await answer.read()) == 300 * 1024
        async with session.head("/stream?length=300") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
    assert streams.closed == 2


@pytest.mark.parametrize("breaks", [1, 200], ids=["after its first chunk", "late"])
async def test_a_stream_that_breaks_cuts_the_connection(port: int, streams: Streams, breaks: int) -> None:
    with capture_logs() as lines:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            with pytest.raises(aiohttp.ClientPayloadError):
                async with session.get(f"/stream?length=300&break={breaks}") as answer:
                    await answer.read()
    assert (streams.closed, [line["log_level"] for line in lines]) == (1, ["error"])


async def test_a_stream_that_breaks_at_once_is_an_ordinary_error(port: int) -> None:
    with capture_logs() as lines:
        async with connected(port) as connection:
            await connection.send(request("GET", "/stream?length=300&break=0"))
            answer = await connection.answer()
    assert (answer.status, answer.body, len(lines)) == (500, b'{"error":"fault"}', 1)


async def test_a_stream_ends_when_its_reader_leaves(port: int, streams: Streams) -> None:
    with capture_logs() as lines:
        async with connected(port) as connection:
            await connection.send(request("GET", f"/stream?length={10**9}"))
            await connection.head()
        await wait_until_async(lambda: streams.closed == 1, what="the end of the stream")
    assert lines == []


async def test_a_client_that_leaves_amid_its_body_disturbs_nobody(port: int) -> None:
    with capture_logs() as lines:
        async with connected(port) as connection:
            await connection.send(request("POST", "/echo", BODY, RIGHT)[:-5])
        async with connected(port) as connection:
            await connection.send(request("POST", "/echo", BODY, RIGHT))
            assert (await connection.answer()).status == 200
    assert lines == []


async def test_a_client_of_http_1_0_gets_a_stream_without_chunks(port: int) -> None:
    async with connected(port) as connection:
        await connection.send(b"GET /stream?length=3 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        status, headers = await connection.head()
        assert (status, headers.get("transfer-encoding")) == (200, None)
        assert await connection.rest() == b"x" * 3072


async def test_a_head_request_leaves_the_connection_in_order(port: int) -> None:
    async with connected(port) as connection:
        await connection.send(request("HEAD", "/with/1") + request("GET", "/with/2"))
        status, headers = await connection.head()
        assert (status, headers["content-length"]) == (200, "3")
        assert (await connection.answer()).body == b'"2"'

"""The client against endpoints that answer in every way that endpoints do."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from longcode.webhooks.addresses import Resolver
from longcode.webhooks.client import HEAD_BYTES, IDLE_SECONDS, Answer, Client, Unanswered, system_client
from longcode.webhooks.target import parse
from tests.smpp.test_tls import Identity
from tests.smpp.test_tls import identity as identity
from tests.webhooks.endpoint import Endpoint, Reply, answer, listening
from tests.webhooks.test_addresses import Names

REQUEST = b"POST /hook HTTP/1.1\r\nHost: it\r\nContent-Length: 2\r\n\r\n{}"
# Long for what answers, short for what never does.
PATIENCE_SECONDS = 30.0
IMPATIENCE_SECONDS = 0.3


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with listening() as opened:
        yield opened


@dataclass(eq=False)
class Hand:
    """A clock that a test turns."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def client(
    timeout_seconds: float = PATIENCE_SECONDS, *, now: Hand | None = None, trust: ssl.SSLContext | None = None
) -> Client:
    clock = now or Hand()
    return Client(now=clock, resolver=Resolver(time.monotonic), timeout_seconds=timeout_seconds, trust=trust)


async def post(http: Client, endpoint: Endpoint, *, allow_private: bool = True) -> Answer:
    return await http.post(parse(endpoint.url), REQUEST, allow_private=allow_private)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    reply: Reply
    status: int | None
    says: str = ""
    timeout_seconds: float = PATIENCE_SECONDS


ANSWERED = [
    Case("plain success", answer(200), 200),
    Case("success with a body", answer(202, body=b"thanks"), 202),
    Case("no content", (b"HTTP/1.1 204 No Content\r\n\r\n", False), 204),
    Case(
        "a body in chunks", (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False), 200
    ),
    Case("a body that ends with the connection", (b"HTTP/1.0 200 OK\r\n\r\nbye", True), 200),
    Case("half of the body it announced", (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf", True), 200),
    Case("an endless body", (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * 90_000, False), 200),
    Case("100 first", (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False), 200),
    Case("a redirect is an answer", answer(302, "Location: http://169.254.169.254/"), 302),
    Case("an upgrade that nobody asked for", answer(101, "Upgrade: websocket", "Connection: Upgrade"), 101),
    Case("gone", answer(410), 410),
    Case("more than one answer", (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2, False), 200),
    Case(
        "a body that never comes",
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", False),
        200,
        timeout_seconds=IMPATIENCE_SECONDS,
    ),
]
UNANSWERED = [
    Case("nothing", None, None, "no answer within 0.3 seconds", timeout_seconds=IMPATIENCE_SECONDS),
    Case("half a head", (b"HTTP/1.1 20", False), None, "no answer within", timeout_seconds=IMPATIENCE_SECONDS),
    Case("half a head, and closes", (b"HTTP/1.1 20", True), None, "ended before the answer"),
    Case("closes at once", (b"", True), None, "ended before the answer"),
    Case("garbage", (b"\x00\x01\x02 what is this\r\n\r\n", False), None, "no HTTP"),
    Case("a request", (b"POST / HTTP/1.1\r\n\r\n", False), None, "no HTTP"),
    Case("a head without end", (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2 * HEAD_BYTES, False), None, "head is too long"),
]


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
async def test_an_answer_is_read_and_the_next_call_works(endpoint: Endpoint, case: Case) -> None:
    endpoint.script = lambda _: case.reply
    http = client(case.timeout_seconds)
    asked = time.monotonic()
    assert (await post(http, endpoint)).status == case.status
    assert time.monotonic() - asked < PATIENCE_SECONDS, "the client's patience had to end it"
    endpoint.script = lambda _: answer(201)
    assert (await post(http, endpoint)).status == 201
    http.close()
    assert [request.body for request in endpoint.requests] == [b"{}", b"{}"]


@pytest.mark.parametrize("case", UNANSWERED, ids=lambda case: case.name)
async def test_what_is_no_answer_says_why_and_the_next_call_works(endpoint: Endpoint, case: Case) -> None:
    endpoint.script = lambda _: case.reply
    http = client(case.timeout_seconds)
    with pytest.raises(Unanswered, match=case.says):
        await post(http, endpoint)
    endpoint.script = lambda _: answer(201)
    assert (await post(http, endpoint)).status == 201
    http.close()


async def test_retry_after_comes_with_the_answer(endpoint: Endpoint) -> None:
    endpoint.script = lambda _: answer(429, "RETRY-after:  120 ")
    http = client()
    assert await post(http, endpoint) == Answer(429, "120")
    endpoint.script = lambda _: answer(200)
    assert await post(http, endpoint) == Answer(200)
    http.close()


async def test_a_connection_is_used_again(endpoint: Endpoint) -> None:
    http = client()
    for _ in range(5):
        await post(http, endpoint)
    http.close()
    assert endpoint.connections == 1


async def test_a_connection_that_its_server_closed_meanwhile_is_no_failure(endpoint: Endpoint) -> None:
    http = client()
    await post(http, endpoint)
    # It takes the second request on the kept connection and drops it unread, as a server does that closes it just then.
    endpoint.script = lambda request: (b"", True) if request.connection == 1 else answer(200)
    assert (await post(http, endpoint)).status == 200
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]
    http.close()


async def test_connections_that_nobody_uses_are_closed(endpoint: Endpoint) -> None:
    hand = Hand()
    http = client(now=hand)
    await post(http, endpoint)
    hand.seconds += IDLE_SECONDS - 1
    http.prune()
    await post(http, endpoint)
    assert endpoint.connections == 1
    hand.seconds += IDLE_SECONDS + 1
    http.prune()
    await post(http, endpoint)
    assert endpoint.connections == 2
    http.close()


async def test_a_private_address_is_refused_at_the_connection(endpoint: Endpoint) -> None:
    http = client()
    with pytest.raises(Unanswered, match=r"127\.0\.0\.1 leads to a private address"):
        await post(http, endpoint, allow_private=False)
    http.close()
    assert endpoint.connections == 0


async def test_a_name_that_moved_to_a_private_address_is_refused_and_no_kept_connection_helps(
    endpoint: Endpoint,
) -> None:
    http = Client(now=Hand(), resolver=Resolver(time.monotonic, Names("127.0.0.1")))
    target = parse(f"http://hooks.example:{endpoint.port}/")
    await http.post(target, REQUEST, allow_private=True)
    with pytest.raises(Unanswered, match="private address"):
        await http.post(target, REQUEST, allow_private=False)
    http.close()


async def test_one_dead_address_of_several_is_passed_over(endpoint: Endpoint) -> None:
    http = Client(now=Hand(), resolver=Resolver(time.monotonic, Names("127.9.9.9", "127.0.0.1")))
    target = parse(f"http://hooks.example:{endpoint.port}/")
    assert (await http.post(target, REQUEST, allow_private=True)).status == 200
    http.close()


async def test_nobody_listens() -> None:
    async with listening() as gone:
        pass
    http = client()
    with pytest.raises(Unanswered, match="no connection: "):
        await post(http, gone)
    http.close()


async def test_https_trusts_only_a_certificate_of_an_authority(identity: Identity) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(identity.pem)
    trust = ssl.create_default_context(cafile=str(identity.pem))
    async with listening(tls=server) as endpoint:
        http = client()
        with pytest.raises(Unanswered, match="certificate is not trusted"):
            await post(http, endpoint)
        http.close()
        http = client(trust=trust)
        assert (await post(http, endpoint)).status == 200
        # The certificate is for the address, not for this name.
        other = Client(now=Hand(), resolver=Resolver(time.monotonic, Names("127.0.0.1")), trust=trust)
        with pytest.raises(Unanswered, match="certificate is not trusted"):
            await other.post(parse(f"https://hooks.example:{endpoint.port}/"), REQUEST, allow_private=True)
        http.close()
        other.close()


async def test_calls_at_once_have_connections_of_their_own(endpoint: Endpoint) -> None:
    gate = asyncio.Event()

    async def wait(_request: object) -> Reply:
        await gate.wait()
        return answer()

    endpoint.script = wait
    http = client()
    calls = [asyncio.create_task(post(http, endpoint)) for _ in range(3)]
    await endpoint.got(3)
    gate.set()
    assert [(await call).status for call in calls] == [200] * 3
    assert endpoint.connections == 3
    http.close()


class HandLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes on only when a test turns it."""

    seconds = 0.0

    def time(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class LateCase:
    name: str
    after_seconds: float
    becomes: str


LATE = [
    LateCase("after 14 seconds is in time", 14.0, "200"),
    LateCase("after 15 seconds is too late", 15.0, "no answer within 15 seconds"),
]


@pytest.mark.parametrize("case", LATE, ids=lambda case: case.name)
def test_an_answer_that_comes(case: LateCase) -> None:
    async def ask() -> str:
        asked, answering = asyncio.Event(), asyncio.Event()

        async def take_time(_request: object) -> Reply:
            asked.set()
            await answering.wait()
            return answer(200)

        async with listening(take_time) as endpoint:
            http = system_client()
            call = asyncio.create_task(post(http, endpoint))
            await asked.wait()
            loop = asyncio.get_running_loop()
            assert isinstance(loop, HandLoop)
            loop.seconds += case.after_seconds
            await asyncio.sleep(0)
            answering.set()
            try:
                return str((await call).status)
            except Unanswered as error:
                return str(error)
            finally:
                http.close()

    with asyncio.Runner(loop_factory=HandLoop) as runner:
        assert runner.run(ask()) == case.becomes

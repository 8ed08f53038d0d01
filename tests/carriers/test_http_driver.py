"""The driver of HTTP carriers: bounded connections, rests, times, and what each broken connection proves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from longcode.carriers.http_driver import HttpDriver
from longcode.carriers.http_exchange import BODY_LIMIT_BYTES, LONGEST_RETRY_SECONDS
from longcode.carriers.policy import Policy
from longcode.carriers.port import Accepted, Deferred, Outcome, Submission, Unconfirmed
from tests.carriers.conformance import MANUALS, TAKEN_BY_TWILIO, http_driver
from tests.carriers.http_carrier import Answer, Ending, HttpCarrier, Reply, http_carrier
from tests.carriers.smpp_world import submission
from tests.processes import free_port
from tests.smpp.loopback import until

TWILIO, BY_GET = MANUALS["twilio"], MANUALS["http by GET"]


class Desk:
    """A driver, and what came of its submissions."""

    def __init__(self, url: str, **settings: str) -> None:
        self.outcomes: list[Outcome] = []
        self.kicks = 0
        self.driver: HttpDriver = http_driver(TWILIO, url, kick=self._kick, **settings)

    def _kick(self) -> None:
        self.kicks += 1

    def _answered(self, _submission: Submission, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    async def submit(self, count: int = 1) -> None:
        await self.driver.submit([submission() for _ in range(count)], self._answered)

    async def send(self, count: int = 1) -> Sequence[Outcome]:
        """Submit so many, and wait for their outcomes."""
        wanted = len(self.outcomes) + count
        await self.submit(count)
        await until(lambda: len(self.outcomes) >= wanted)
        return self.outcomes[-count:]


@asynccontextmanager
async def opened(answer: Answer, **settings: str) -> AsyncIterator[tuple[HttpCarrier, Desk]]:
    async with http_carrier(answer) as carrier:
        desk = Desk(carrier.url, **settings)
        try:
            yield carrier, desk
        finally:
            carrier.released.set()
            await desk.driver.close()


async def test_no_more_connections_than_the_operator_allows() -> None:
    async with opened(lambda _: Reply(ending=Ending.NOTHING), connections="4") as (carrier, desk):
        assert desk.driver.capacity().segments == 4
        await desk.submit(4)
        assert desk.driver.capacity().segments == 0
        await until(lambda: len(carrier.log) == 4)
        assert desk.kicks == 0
        carrier.answer = lambda _: TAKEN_BY_TWILIO
        carrier.released.set()
        await until(lambda: desk.driver.capacity().segments == 4)
        assert carrier.most == 4
        assert desk.kicks == 1


async def test_a_connection_is_used_again_and_given_up_in_time() -> None:
    async with opened(lambda _: TAKEN_BY_TWILIO, keep_alive_seconds="0.1") as (carrier, desk):
        await desk.send()
        await desk.send()
        assert carrier.connections == 1
        await until(lambda: all(one.is_closing() for one in carrier.open_connections))
        assert isinstance((await desk.send())[0], Accepted)
        assert carrier.connections == 2


async def test_without_keeping_each_request_has_its_own_connection() -> None:
    async with opened(lambda _: TAKEN_BY_TWILIO, keep_alive_seconds="0") as (carrier, desk):
        for _ in range(3):
            await desk.send()
        assert carrier.connections == 3


async def test_a_throttled_carrier_is_left_alone_for_as_long_as_it_asks() -> None:
    replies = [Reply(429, b"", {"Retry-After": "0"}), TAKEN_BY_TWILIO]
    async with opened(lambda _: replies.pop(0)) as (_, desk):
        [outcome] = await desk.send()
        assert isinstance(outcome, Deferred)
        rest = desk.driver.capacity()
        assert rest.segments == 0
        assert rest.again_seconds is not None
        assert 0 < rest.again_seconds <= outcome.after_seconds
        await until(lambda: desk.driver.capacity().segments > 0)
        assert isinstance((await desk.send())[0], Accepted)


async def test_after_a_401_it_rests_no_longer_than_the_first_pause_of_its_circuit() -> None:
    async with opened(lambda _: Reply(401, b"")) as (_, desk):
        await desk.send()
        assert 0 < (desk.driver.capacity().again_seconds or 0.0) <= Policy().circuit_pause.total_seconds()


async def test_a_carrier_that_is_not_there_is_asked_less_and_less_often() -> None:
    desk = Desk(f"http://127.0.0.1:{free_port()}")
    rests = []
    for _ in range(3):
        await desk.send()
        rests.append(desk.driver.capacity().again_seconds or 0.0)
    assert 0 < rests[0] <= 0.5 < rests[1] <= 1.0 < rests[2] <= 2.0
    [reason] = {outcome.reason for outcome in desk.outcomes if isinstance(outcome, Deferred)}
    assert reason.startswith("refused: nothing listens on 127.0.0.1:")
    await desk.driver.close()


async def test_a_port_that_speaks_no_tls_was_written_nothing() -> None:
    async with http_carrier(lambda _: TAKEN_BY_TWILIO) as carrier:
        desk = Desk(carrier.url.replace("http:", "https:"))
        [outcome] = await desk.send()
        assert isinstance(outcome, Deferred)
        assert outcome.code == "not_connected"
        assert not carrier.log
        await desk.driver.close()


async def test_what_is_no_http_is_unconfirmed() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        desk = Desk(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert isinstance((await desk.send())[0], Unconfirmed)
        await desk.driver.close()


async def test_of_an_answer_without_an_end_the_beginning_is_read() -> None:
    async with opened(lambda _: Reply(201, b'{"sid":"SM1"}' + b" " * 4 * BODY_LIMIT_BYTES)) as (_, desk):
        [outcome] = await desk.send()
        assert outcome == Accepted("SM1")


async def test_a_redirection_is_not_followed() -> None:
    async with opened(lambda _: Reply(307, b"", {"Location": "/elsewhere"})) as (carrier, desk):
        assert isinstance((await desk.send())[0], Unconfirmed)
        assert len(carrier.log) == 1


@dataclass(frozen=True, slots=True)
class RetryCase:
    what: str
    header: str
    least: float
    most: float


RETRIES = [
    RetryCase("seconds", "12", 12, 12),
    RetryCase("none", "0", 0.1, 0.1),
    RetryCase("a year", "31536000", LONGEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS),
    RetryCase("more digits than a number has", "9" * 400, LONGEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS),
    RetryCase("an instant", "{in_600_seconds}", 598, 601),
    RetryCase("an instant that is over", "Sun, 06 Nov 1994 08:49:37 GMT", 0.1, 0.1),
    RetryCase("an instant without a zone", "Sun Nov  6 08:49:37 1994", 0.1, 0.1),
    RetryCase("an instant of no calendar", "Sun, 06 Nov 19940000000000000000 08:49:37 GMT", 1, 1),
    RetryCase("an instant with the zone of another planet", "Sun, 06 Nov 1994 08:49:37 +99999999999999", 1, 1),
    RetryCase("neither", "soon", 1, 1),
]


@pytest.mark.parametrize("case", RETRIES, ids=lambda case: case.what)
async def test_retry_after_is_heeded(case: RetryCase) -> None:
    instant = f"{datetime.now(UTC) + timedelta(seconds=600):%a, %d %b %Y %H:%M:%S GMT}"
    header = case.header.format(in_600_seconds=instant)
    async with opened(lambda _: Reply(429, b"", {"Retry-After": header})) as (_, desk):
        [outcome] = await desk.send()
        assert isinstance(outcome, Deferred)
        assert case.least <= outcome.after_seconds <= case.most


async def test_a_get_is_not_repeated_on_a_connection_that_ended() -> None:
    """What a library would do unasked: the first request is answered, the second is cut on the same connection."""
    replies = [Reply(200, b"OK ID: 1"), Reply(ending=Ending.CUT), Reply(200, b"OK ID: 2")]
    async with http_carrier(lambda _: replies.pop(0)) as carrier:
        driver = http_driver(BY_GET, carrier.url)
        outcomes: list[Outcome] = []
        for number in (1, 2):
            await driver.submit([submission()], lambda _, outcome: outcomes.append(outcome))
            await until(lambda number=number: len(outcomes) == number)  # type: ignore[misc]
        assert [type(outcome) for outcome in outcomes] == [Accepted, Unconfirmed]
        assert len(carrier.log) == 2
        await driver.close()


async def test_what_the_operator_says_is_what_the_flow_is_told() -> None:
    async with opened(lambda _: TAKEN_BY_TWILIO, messages_per_second="2.5", resend_unconfirmed="1") as (_, desk):
        assert desk.driver.segments_per_second == 2.5
        assert desk.driver.deduplicates
    async with opened(lambda _: TAKEN_BY_TWILIO) as (_, desk):
        assert desk.driver.segments_per_second == 0.0
        assert not desk.driver.deduplicates

"""The try of an SMPP carrier: each step against a scripted SMSC, and each way in which it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from longcode.carriers.check import CheckFailed
from longcode.carriers.registry import KINDS
from longcode.carriers.smpp_check import check
from longcode.carriers.smpp_settings import parse
from longcode.errors import ConfigurationError
from tests.processes import free_port
from tests.smpp.smsc import Script, Smsc

ACCOUNT = {"host": "127.0.0.1", "system_id": "esme", "password": "secret"}
Serving = Callable[[], AbstractAsyncContextManager[int]]


async def steps(port: int, **settings: str) -> list[str]:
    parsed = parse({**ACCOUNT, "port": str(port), **settings})
    return [step async for step in check(parsed)]


@asynccontextmanager
async def smsc(script: Script) -> AsyncIterator[int]:
    server = await Smsc.start(script)
    try:
        yield server.port
        assert not server.taken
    finally:
        await server.stop()


@asynccontextmanager
async def talking(answer: bytes) -> AsyncIterator[int]:
    """A server that is no SMSC: it says this at the first bytes it gets, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("mode", "kinds"), [("transceiver", ["transceiver"]), ("pair", ["transmitter", "receiver"])], ids=lambda mode: mode
)
async def test_each_bind_of_the_mode_is_tried_step_by_step(mode: str, kinds: list[str]) -> None:
    async with smsc(Script(password="secret")) as port:
        said = await steps(port, mode=mode)
    assert said == [
        line
        for kind in kinds
        for line in (
            f"connected to 127.0.0.1:{port}",
            f"bound as {kind} with system_id esme",
            "enquire_link was answered",
            "unbound",
        )
    ]


@dataclass(frozen=True, slots=True)
class FailureCase:
    what: str
    serving: Serving
    says: str
    settings: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    yield free_port()


FAILURES = [
    FailureCase("nobody listens", nobody, "refused: nothing listens on 127.0.0.1:"),
    FailureCase("a name with two addresses", nobody, "refused: nothing listens on localhost:", {"host": "localhost"}),
    FailureCase("a name that is none", nobody, "DNS: no address is known for no.invalid", {"host": "no.invalid"}),
    FailureCase(
        "a wrong password",
        lambda: smsc(Script(password="another")),
        "the bind as transceiver was refused with ESME_RINVPASWD: the password is wrong",
    ),
    FailureCase("TLS to a port without", lambda: talking(b"HTTP/1.1 400\r\n\r\n"), "TLS: ", {"tls": "1"}),
    FailureCase("a port that hangs up", lambda: talking(b""), "the carrier ended the connection at the bind"),
    FailureCase(
        "a file that is not there",
        nobody,
        "TLS: a certificate or key file cannot be used: tls_ca /no/ca: No such file",
        {"tls": "1", "tls_ca": "/no/ca"},
    ),
]


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.what)
async def test_a_failure_is_said_in_plain_words(case: FailureCase) -> None:
    async with case.serving() as port:
        with pytest.raises(CheckFailed) as failed:
            await steps(port, **case.settings)
    assert case.says in str(failed.value)
    assert "secret" not in str(failed.value)


def test_every_driver_reads_its_settings_and_refuses_all_faults_together() -> None:
    for name, parser in KINDS.items():
        with pytest.raises(ConfigurationError) as refused:
            parser.check({"speed": "9", "colour": "red"})
        assert [fault.split(":")[0] for fault in refused.value.faults[:2]] == ["speed", "colour"], name

"""The table that every kind of carrier has to pass: one peer for each, which does to its driver what is asked."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from longcode.carriers.http_driver import HttpDriver
from longcode.carriers.http_port import Site
from longcode.carriers.port import Accepted, Deferred, Driver, Outcome, Rejected, Unconfirmed
from longcode.carriers.registry import HTTP, KINDS, PLIVO, SIMULATOR, SMPP, TWILIO
from longcode.carriers.simulator import SimulatorDriver
from longcode.domain.clock import mint_id, utc_now
from longcode.smpp.constants import CommandStatus
from longcode.store.database import Database
from longcode.store.simulator import SimulatorLedger
from tests.carriers.http_carrier import Ending, Reply, http_carrier
from tests.carriers.smpp_world import open_desk
from tests.processes import free_port
from tests.smpp.smsc import Script, Smsc

SECRET = "t0p-s3cret&/+"
RECIPIENT = "+12025550101"
RETRY_AFTER = 7
ANSWER_SECONDS = 0.3


class Happening(Enum):
    """What becomes of one submission, and the one outcome that is true of it."""

    ACCEPTED = "the carrier takes it"
    REJECTED = "the carrier refuses it for good"
    THROTTLED = "the carrier is asked too fast and says so"
    FAULT = "the carrier answers with a fault of its own, which proves nothing"
    GARBAGE = "the answer cannot be read"
    HALF = "the answer ends in its middle"
    NOTHING = "the carrier never answers"
    CUT = "the connection ends after the request was written"
    REFUSED = "nobody is there"


EXPECTED: Mapping[Happening, type[Outcome]] = {
    Happening.ACCEPTED: Accepted,
    Happening.REJECTED: Rejected,
    Happening.THROTTLED: Deferred,
    Happening.FAULT: Unconfirmed,
    Happening.GARBAGE: Unconfirmed,
    Happening.HALF: Unconfirmed,
    Happening.NOTHING: Unconfirmed,
    Happening.CUT: Unconfirmed,
    Happening.REFUSED: Deferred,
}


@dataclass(frozen=True, slots=True)
class Stand:
    """A driver before its carrier. taken: how many messages the carrier's log has."""

    driver: Driver
    taken: Callable[[], int]
    recipient: str = RECIPIENT


@dataclass(frozen=True, slots=True)
class Peer:
    """One kind of carrier. absent: what cannot happen to it, and why."""

    kind: str
    what: str
    open: Callable[[Happening, Path, Path], AbstractAsyncContextManager[Stand]]
    absent: Mapping[Happening, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class Manual:
    """What the scripts of an HTTP carrier need to know of its interface. settings: besides its address."""

    kind: str
    address: str
    settings: Mapping[str, str]
    accepted: Reply
    rejected: Reply
    address_path: str = ""


TAKEN_BY_TWILIO = Reply(201, b'{"sid":"SM00000000000000000000000000000001","status":"queued"}')
TAKEN_BY_PLIVO = Reply(202, b'{"message":"message(s) queued","message_uuid":["db3ce55a-7f1d-11e1-8ea7-1231380bc196"]}')
MANUALS = {
    "twilio": Manual(
        TWILIO,
        "api",
        {"account_sid": "AC" + "0" * 32, "auth_token": SECRET},
        TAKEN_BY_TWILIO,
        Reply(400, b'{"code":21211,"message":"The To number is not valid","status":400}'),
    ),
    "plivo": Manual(
        PLIVO,
        "api",
        {"auth_id": "MA" + "0" * 18, "auth_token": SECRET},
        TAKEN_BY_PLIVO,
        Reply(400, b'{"api_id":"x","error":"dst is not valid"}'),
    ),
    "http by POST": Manual(
        HTTP,
        "url",
        {
            "body": '{"to":"{{recipient}}","text":"{{text}}"}',
            "header.Authorization": "Bearer {{token}}",
            "token": SECRET,
            "reference": "id",
            "error": "error",
        },
        Reply(200, b'{"id":"0123456789abcdef"}'),
        Reply(200, b'{"error":"unknown subscriber"}'),
        "/send",
    ),
    "http by GET": Manual(
        HTTP,
        "url",
        {"method": "GET", "password": SECRET, "reference": r"regex:ID: (\w+)"},
        Reply(200, b"OK ID: 0123456789abcdef"),
        Reply(400, b"unknown subscriber"),
        "/send?key={{password}}&to={{recipient}}&text={{text}}",
    ),
}


def http_driver(manual: Manual, url: str, *, kick: Callable[[], None] = lambda: None, **more: str) -> HttpDriver:
    """The driver of an HTTP carrier at an address, with further settings."""
    settings = {**manual.settings, manual.address: url + manual.address_path, **more}
    make = KINDS[manual.kind].vendor
    assert make is not None
    vendor = make(Site(carrier_id=7, name="north", public_url="https://sms.example"), settings)
    return HttpDriver(vendor, kick=kick, clock=utc_now)


def reply_of(manual: Manual, happening: Happening) -> Reply:
    """What an HTTP carrier answers."""
    whole = manual.accepted
    return {
        Happening.ACCEPTED: whole,
        Happening.REJECTED: manual.rejected,
        Happening.THROTTLED: Reply(429, b"slow down", {"Retry-After": str(RETRY_AFTER)}),
        Happening.FAULT: Reply(500, b"<h1>Internal Server Error</h1>"),
        Happening.GARBAGE: Reply(200, b"\xff\xfe{<"),
        Happening.HALF: Reply(whole.status, whole.body, whole.headers, Ending.HALF),
        Happening.NOTHING: Reply(ending=Ending.NOTHING),
        Happening.CUT: Reply(ending=Ending.CUT),
    }.get(happening, whole)


def _http(manual: Manual) -> Callable[[Happening, Path, Path], AbstractAsyncContextManager[Stand]]:
    @asynccontextmanager
    async def opened(happening: Happening, _template: Path, _folder: Path) -> AsyncIterator[Stand]:
        async with http_carrier(lambda _: reply_of(manual, happening)) as carrier:
            url = f"http://127.0.0.1:{free_port()}" if happening is Happening.REFUSED else carrier.url
            driver = http_driver(manual, url, response_timeout_seconds=str(ANSWER_SECONDS))
            try:
                yield Stand(driver, lambda: len(carrier.log))
            finally:
                carrier.released.set()
                await driver.close()

    return opened


SCRIPTS: Mapping[Happening, Script] = {
    Happening.ACCEPTED: Script(),
    Happening.REJECTED: Script(reject=((RECIPIENT[1:], CommandStatus.ESME_RINVDSTADR),)),
    Happening.THROTTLED: Script(reject=((RECIPIENT[1:], CommandStatus.ESME_RTHROTTLED),)),
    Happening.HALF: Script(cut_after=1),
    Happening.NOTHING: Script(never_answer=True),
    Happening.CUT: Script(close_after=1),
    Happening.REFUSED: Script(),
}


@asynccontextmanager
async def _smpp(happening: Happening, _template: Path, _folder: Path) -> AsyncIterator[Stand]:
    smsc = await Smsc.start(SCRIPTS[happening])
    refused = happening is Happening.REFUSED
    changes: dict[str, Any] = {"response_timeout_seconds": ANSWER_SECONDS, "password": SECRET[:8]}
    try:
        async with open_desk(free_port() if refused else smsc.port, start=not refused, **changes) as desk:
            yield Stand(desk.driver, lambda: len(smsc.taken))
    finally:
        await smsc.stop()


ENDINGS = {
    Happening.ACCEPTED: "+447700900123",
    Happening.REJECTED: "+447700900001",
    Happening.THROTTLED: "+447700900004",
    Happening.NOTHING: "+447700900006",
}


@asynccontextmanager
async def _simulator(happening: Happening, template: Path, folder: Path) -> AsyncIterator[Stand]:
    database = Database(f"sqlite:///{shutil.copy(template, folder / 'longcode.db')}")

    async def take_receipts(_receipts: object) -> None:
        """What becomes of receipts is not asked here."""

    ledger = SimulatorLedger(database, utc_now, mint_id)
    driver = SimulatorDriver(7, ledger, mint_id=mint_id, take_receipts=take_receipts, kick=lambda: None)
    try:
        yield Stand(driver, lambda: 1, ENDINGS[happening])
    finally:
        await driver.close()
        await database.close()


NOT_SMPP = dict.fromkeys((Happening.FAULT, Happening.GARBAGE), "an answer that is none is answered for by the session")
NOT_SIMULATED = {happening: "the simulator is no other process" for happening in Happening if happening not in ENDINGS}

PEERS = [
    Peer(SIMULATOR, "simulator", _simulator, NOT_SIMULATED),
    Peer(SMPP, "smpp", _smpp, NOT_SMPP),
    *(Peer(manual.kind, what, _http(manual)) for what, manual in MANUALS.items()),
]

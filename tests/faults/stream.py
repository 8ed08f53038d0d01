"""A stream of calls of every kind that a test cuts, and the account of what they must have left behind."""

from __future__ import annotations

import asyncio
import base64
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.processes import wait_until_async

IN_FLIGHT = 20
DEMO = "demo"
SECRET = "demo secret"
CREDENTIALS = base64.b64encode(f"{DEMO}:{SECRET}".encode()).decode()
NUMBERS = ("12025550101", "12025550102", "12025550103")
SENDER = "MyCorp"
STRANGER = "447700900123"
# Begins the recipients that a carrier of the test's own may take.
CARRIED = "441632960"
LOGINS = ("alice", "robert")
OK = range(200, 300)

# Rows that a query gives; both kinds of database understand every query of this module.
Ask = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of call. body: from the marker, which is the message's text.

    outbound: it goes to a carrier. repeatable: a repeat of the same call is the same message.
    """

    path: str
    body: Callable[[str], dict[str, Any]]
    outbound: bool = False
    repeatable: bool = False
    headers: Callable[[str], dict[str, str]] = field(default=lambda _marker: {})


def _number(marker: str) -> str:
    return NUMBERS[int(marker.rpartition("-")[2]) % len(NUMBERS)]


def _recipient(marker: str) -> str:
    # None ends as the simulator's own recipients do.
    return f"+{CARRIED}{100 + int(marker.rpartition('-')[2]) % 900}"


def _told(sender: str, receiver: str, marker: str) -> dict[str, Any]:
    # The name that the client gives it is 36 characters at most, and its own in every run.
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, marker))
    return {"senderPhone": sender, "receiverPhone": receiver, "messageText": marker, "timestamp": 1, "uuid": name}


KINDS = {
    "outbound": Kind(
        "/outbound/sms/", lambda marker: {"from": _number(marker), "to": STRANGER, "text": marker}, outbound=True
    ),
    "inbound": Kind("/inbound/sms/", lambda marker: {"from": STRANGER, "to": _number(marker), "text": marker}),
    "told": Kind(
        "/api/send-sms", lambda marker: _told(_number(marker), STRANGER, marker), outbound=True, repeatable=True
    ),
    "heard": Kind("/api/receive-sms", lambda marker: _told(STRANGER, _number(marker), marker), repeatable=True),
    "created": Kind(
        "/api/messages/",
        lambda marker: {"sender_id": SENDER, "recipient": f"+{STRANGER}", "text": marker},
        outbound=True,
        repeatable=True,
        headers=lambda marker: {"Idempotency-Key": f"send_msg:{marker}"},
    ),
    "carried": Kind(
        "/api/messages/",
        lambda marker: {"sender_id": SENDER, "recipient": _recipient(marker), "text": marker},
        outbound=True,
        repeatable=True,
        headers=lambda marker: {"Idempotency-Key": f"send_msg:{marker}"},
    ),
    "mailed": Kind("/send_message", lambda marker: {"sender": LOGINS[0], "recipient": LOGINS[1], "message": marker}),
}


def kind_of(marker: str) -> Kind:
    return KINDS[marker.partition("-")[0]]


class Stream:
    """Calls of every kind in turn, so many in flight, until it is stopped.

    answers: each call's status by its marker; None while it has none, and where it never had one.
    failed: how many calls ended without success.
    flowing: while it is not set, whoever fails waits; the others go on until they fail too.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._markers: Iterator[str] = (f"{kind}-{serial}" for serial in itertools.count(1) for kind in KINDS)
        self.answers: dict[str, int | None] = {}
        self.failed = 0
        self.flowing = asyncio.Event()
        self._stopped = False

    @property
    def answered(self) -> int:
        """How many calls succeeded."""
        return sum(status in OK for status in self.answers.values() if status is not None)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Let it flow meanwhile; at the end it runs dry."""
        self._stopped = False
        self.flowing.set()
        async with self.session() as session, asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._call_on(session))
            try:
                yield
            finally:
                self._stopped = True
                self.flowing.set()

    def session(self) -> aiohttp.ClientSession:
        """Connections as the demo account."""
        return aiohttp.ClientSession(
            self._url,
            headers={"Authorization": f"Basic {CREDENTIALS}"},
            timeout=aiohttp.ClientTimeout(total=30.0),
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
        )

    async def more(self, calls: int) -> None:
        """Wait until so many more calls succeeded."""
        wanted = self.answered + calls
        await wait_until_async(lambda: self.answered >= wanted, 30.0, what=f"{calls} more calls that succeed")

    async def repeat(self, wanted: Callable[[str], bool]) -> dict[str, int]:
        """Make these calls again, which is safe for some kinds; their statuses now."""
        async with self.session() as session:
            markers = [marker for marker in self.answers if wanted(marker)]
            return {marker: await self._status(session, marker) for marker in markers}

    async def _call_on(self, session: aiohttp.ClientSession) -> None:
        while not self._stopped:
            marker = next(self._markers)
            self.answers[marker] = None
            try:
                self.answers[marker] = status = await self._status(session, marker)
            except (aiohttp.ClientError, TimeoutError, OSError):
                status = 0
            if status not in OK:
                self.failed += 1
                await self.flowing.wait()

    async def _status(self, session: aiohttp.ClientSession, marker: str) -> int:
        kind = kind_of(marker)
        async with session.post(kind.path, json=kind.body(marker), headers=kind.headers(marker)) as answer:
            await answer.read()
            return answer.status


async def register(stream: Stream) -> None:
    """Make the logins that write to each other."""
    async with stream.session() as session:
        for login in LOGINS:
            async with session.post("/register", json={"login": login}) as answer:
                assert answer.status == 201


async def fetch_all(stream: Stream) -> list[str]:
    """Everything new in the mailbox, by callers that fetch at once, until it is empty."""

    async def fetch(session: aiohttp.ClientSession) -> list[str]:
        fetched: list[str] = []
        while True:
            body = {"sender": LOGINS[0], "recipient": LOGINS[1]}
            async with session.put("/fetch_new_messages", json=body) as answer:
                assert answer.status == 200
                page = (await answer.json())["messages"]
            if not page:
                return fetched
            fetched += [message["message"] for message in page]

    async with stream.session() as session:
        return [text for texts in await asyncio.gather(*(fetch(session) for _ in range(3))) for text in texts]


async def settle_accounts(
    stream: Stream, ask: Ask, *, not_simulated: str = "nothing", timeout_seconds: float = 20.0
) -> None:
    """Repeat what may be repeated, wait for the ends, and compare everything with what was answered.

    not_simulated: the kind that another carrier takes; what became of those is not looked at.
    """
    simulated = f"text NOT LIKE '{not_simulated}-%'"
    repeats = await stream.repeat(lambda marker: kind_of(marker).repeatable and stream.answers[marker] not in OK)
    assert set(repeats.values()) <= {200, 201}
    again = await stream.repeat(lambda marker: marker in repeats)
    assert set(again.values()) <= {200}

    async def queue_is_empty() -> bool:
        return await ask(f"SELECT 1 FROM outbox JOIN message ON id = message_id WHERE {simulated} LIMIT 1") == []

    await wait_until_async(queue_is_empty, timeout_seconds, what="an empty queue")

    async def all_delivered() -> bool:
        undelivered = f"direction = 'outbound' AND status <> 'delivered' AND {simulated}"
        return await ask(f"SELECT 1 FROM message WHERE {undelivered} LIMIT 1") == []

    await wait_until_async(all_delivered, timeout_seconds, what="the delivery of everything")
    rows: Counter[str] = Counter(text for (text,) in await ask("SELECT text FROM message"))
    once = {marker for marker, status in stream.answers.items() if status in OK} | set(repeats)
    assert {marker: rows[marker] for marker in once if rows[marker] != 1} == {}
    assert {marker: count for marker, count in rows.items() if count > 1} == {}
    assert set(rows) <= set(stream.answers)

    sent = {marker for marker in rows if kind_of(marker).outbound and not marker.startswith(f"{not_simulated}-")}
    taken = await ask("SELECT text, segment_index, reference FROM simulator_message JOIN message ON id = message_id")
    assert Counter(text for text, _, _ in taken) == Counter(sent)
    assert len({reference for _, _, reference in taken} - {None}) == len(sent)
    named = await ask(
        "SELECT message_id, count(DISTINCT reference) FROM outcome"
        f" JOIN message ON message.id = message_id WHERE {simulated} GROUP BY message_id"
    )
    assert {references for _, references in named} == {1}

    fetched = await fetch_all(stream)
    assert Counter(fetched) == Counter(marker for marker in rows if marker.startswith("mailed-"))

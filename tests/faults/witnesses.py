"""Who sees what left the installation: a carrier that is reached by HTTP, and the customers' endpoints."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.carriers.http_carrier import HttpCarrier, Reply, Taken, http_carrier
from tests.cli.http import Http
from tests.faults.stream import DEMO, Ask, Stream
from tests.processes import wait_until_async
from tests.webhooks.endpoint import Endpoint, Request, answer, listening
from tests.webhooks.endpoint import Reply as Answer

PATIENCE_SECONDS = 30.0
FINAL = "('delivered', 'undelivered', 'failed', 'received')"
# Long for our carrier, which answers whenever nobody holds it; short beside the test.
ANSWER_SECONDS = "30"


@dataclass(eq=False)
class Holding:
    """A carrier that takes at once and answers while nobody holds its answers back.

    held: the texts that wait for theirs.
    """

    carrier: HttpCarrier = field(default_factory=lambda: HttpCarrier(lambda _: Reply()))
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    held: set[str] = field(default_factory=set)

    async def answer(self, taken: Taken) -> Reply:
        text = json.loads(taken.body)["text"]
        self.held.add(text)
        await self.answering.wait()
        self.held.discard(text)
        return Reply(200, b'{"id": "of %d"}' % len(self.carrier.log))

    @property
    def taken(self) -> Counter[str]:
        """How often it was given each text."""
        return Counter(json.loads(taken.body)["text"] for taken in self.carrier.log)

    async def hold(self, count: int) -> None:
        """Answer nobody from now on, and wait until so many wait."""
        self.answering.clear()
        await wait_until_async(
            lambda: len(self.held) >= count, PATIENCE_SECONDS, what=f"{count} requests without an answer"
        )

    def commands(self, name: str, prefix: str) -> tuple[tuple[str, ...], ...]:
        """What adds it, and gives it the recipients that begin so."""
        settings = (
            f"url={self.carrier.url}/send",
            'body={"to": "{{recipient}}", "text": "{{text}}"}',
            "reference=id",
            f"response_timeout_seconds={ANSWER_SECONDS}",
        )
        return (
            ("carrier", "add", name, "--driver", "http", *settings),
            ("route", "add", "--carrier", name, "--prefix", prefix),
        )

    async def settle(self, stream: Stream, ask: Ask) -> dict[str, tuple[str, str | None]]:
        """Bring the stream's messages that are its to their end, and compare them with its log; each one's end."""
        mine = "message_id IN (SELECT id FROM message WHERE text LIKE 'carried-%')"

        async def handed_over() -> bool:
            return not await ask("SELECT 1 FROM message WHERE text LIKE 'carried-%' AND status = 'queued' LIMIT 1")

        async def ended() -> bool:
            return not await ask(f"SELECT 1 FROM outbox WHERE {mine} LIMIT 1")

        await wait_until_async(handed_over, PATIENCE_SECONDS, what="the handing over of everything")
        await wait_until_async(lambda: not self.held, PATIENCE_SECONDS, what="the last answer")
        # The day passes on which what is unproven had its chance.
        await ask(f"UPDATE outbox SET expires_at = clock_timestamp() - interval '1 day' WHERE {mine}")
        await ask(f"UPDATE outbox SET due_at = clock_timestamp() WHERE {mine}")
        await wait_until_async(ended, PATIENCE_SECONDS, what="the end of everything")
        rows = await ask("SELECT text, status, error FROM message WHERE text LIKE 'carried-%'")
        ends = {text: (status, error) for text, status, error in rows}
        accepted = {
            marker for marker, status in stream.answers.items() if status == 201 and marker.startswith("carried-")
        }
        assert accepted <= set(ends)
        assert {text: times for text, times in self.taken.items() if times > 1} == {}, "sent twice"
        assert {text for text, end in ends.items() if end == ("sent", None)} <= set(self.taken) <= set(ends)
        return ends


@asynccontextmanager
async def holding() -> AsyncIterator[Holding]:
    """A carrier on the loopback that answers."""
    made = Holding()
    made.answering.set()
    async with http_carrier(made.answer) as made.carrier:
        yield made


@dataclass(frozen=True, slots=True)
class Customers:
    """Endpoints of every temper, each subscribed to everything.

    hears: takes all, of one event in ten not before the second time. hangs: never answers. moved: sends everybody
    to private, where nobody may follow.
    """

    hears: Endpoint
    hangs: Endpoint
    moved: Endpoint
    private: Endpoint

    def commands(self) -> list[tuple[str, ...]]:
        """What adds them."""
        return [
            ("webhook", "add", endpoint.url, "--account", DEMO, "--allow-private")
            for endpoint in (self.hears, self.hangs, self.moved)
        ]


@asynccontextmanager
async def customers(answering: asyncio.Event) -> AsyncIterator[Customers]:
    """Endpoints on the loopback; the one that hears answers while this is set."""

    async def hear(request: Request) -> Answer:
        await answering.wait()
        return falter(request)

    def send_on(_request: Request) -> Answer:
        return answer(307, f"Location: {private.url}")

    falter = faltering()
    async with (
        listening(hear) as hears,
        listening(lambda _: None) as hangs,
        listening() as private,
        listening(send_on) as moved,
    ):
        yield Customers(hears, hangs, moved, private)


def faltering() -> Callable[[Request], Answer]:
    """Answers well; of one event in ten, the first time not at all."""
    seen: set[str] = set()

    def falter(request: Request) -> Answer:
        again = request.id in seen
        seen.add(request.id)
        return answer() if again or int(request.id[-4:], 16) % 10 else (b"", True)

    return falter


def forget_customers(demo: Http) -> None:
    """Remove every endpoint of the account."""
    for endpoint in demo.call("GET", "/v1/webhooks").json["items"]:
        assert demo.call("DELETE", f"/v1/webhooks/{endpoint['id']}").status == 204


async def everything_is_told(endpoint: Endpoint, ask: Ask, *, skip_locked: str = "") -> None:
    """See that each event is delivered under one id of its own, and with the events each message's end.

    The endpoint has been subscribed to everything from the start. skip_locked: how the database leaves out what
    somebody delivers just now.
    """
    # What failed at its first try is due again in a few seconds, and that is now.
    await ask(
        "UPDATE webhook_queue SET due_at = (SELECT occurred_at FROM event WHERE id = event_id)"
        " WHERE (event_id, endpoint_id) IN"
        f" (SELECT event_id, endpoint_id FROM webhook_queue WHERE leased_until IS NULL {skip_locked})"
    )
    ends = {
        (status, _plain(id_)) for status, id_ in await ask(f"SELECT status, id FROM message WHERE status IN {FINAL}")
    }
    events = {_plain(id_) for (id_,) in await ask("SELECT id FROM event")}
    assert events
    await wait_until_async(lambda: events <= set(map(_plain, endpoint.ids)), PATIENCE_SECONDS, what="every event")
    names = {(request.id, request.json["type"], request.json["data"]["id"]) for request in endpoint.requests}
    assert len(names) == len(events), "an id for two events"
    assert len({(type_, message_id) for _, type_, message_id in names}) == len(events), "two ids for one event"
    assert ends <= {(one.json["data"]["status"], _plain(one.json["data"]["id"])) for one in endpoint.requests}


def _plain(id_: object) -> str:
    """An id as each kind of database and an event's name spell it."""
    return str(id_).removeprefix("evt_").replace("-", "")

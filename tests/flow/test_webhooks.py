"""Webhooks: every event at least once, under one id, and nobody's endpoint in another's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import utc_now
from longcode.domain.events import EventType, OptOutChange
from longcode.flow.jobs import WEBHOOKS
from longcode.flow.webhook_line import BODY_BYTES, DELAYS
from longcode.store import schema
from longcode.store.events import News, tell
from longcode.webhooks.addresses import Entry
from tests.flow.desk import Desk
from tests.flow.hooks import CONCURRENCY, Hooks, open_hooks
from tests.webhooks.endpoint import Endpoint, Reply, Request, answer, listening

SENT = EventType.MESSAGE_SENT
LONG = timedelta(days=3)


async def deliver(desk: Desk) -> None:
    """A receipt for everything that was submitted."""
    await desk.receipts.take(
        [
            CarrierReceipt(
                carrier_id=desk.carrier_id, reference=f"ref-{one.attempt_id}", status=ReceiptStatus.DELIVERED
            )
            for one in desk.driver.submitted
        ]
    )


async def test_each_step_of_a_message_arrives_signed_and_as_it_was_then(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, secret = await hooks.add(endpoint.url)
    message_id = await hooks.desk.send(text="Grüße", key="k", client_reference="mine")
    await hooks.desk.drain()
    await deliver(hooks.desk)
    await hooks.drain()
    bodies = sorted((request.verified(secret) for request in endpoint.requests), key=lambda body: body["timestamp"])
    reference = f"ref-{hooks.desk.driver.submitted[0].attempt_id}"
    assert [(body["type"], body["data"]["status"], body["data"]["provider_reference"]) for body in bodies] == [
        ("message.queued", "queued", None),
        ("message.sent", "sent", reference),
        ("message.delivered", "delivered", reference),
    ]
    created_at = bodies[0]["data"].pop("created_at")
    assert created_at.endswith("Z")
    assert bodies[0]["data"] == {
        "id": str(message_id),
        "direction": "outbound",
        "medium": "sms",
        "sender": "MyCorp",
        "recipient": "+12025550101",
        "text": "Grüße",
        "status": "queued",
        "error": None,
        "encoding": "gsm7",
        "segment_count": 1,
        "reference": "mine",
        "provider_reference": None,
        "send_at": None,
        "expires_at": None,
        "priority": None,
    }
    first = endpoint.requests[0]
    assert (first.method, first.path, first.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert first.headers["user-agent"].startswith("Longcode/")
    assert first.id.startswith("evt_")
    assert len(set(endpoint.ids)) == 3
    assert await hooks.queued() == []
    assert await hooks.log(endpoint_id) == [(200, None)] * 3


async def test_only_what_was_subscribed_to_arrives(hooks: Hooks, endpoint: Endpoint) -> None:
    await hooks.add(endpoint.url, EventType.MESSAGE_SENT, EventType.OPTOUT_CREATED)
    await hooks.desk.send()
    await hooks.desk.drain()
    await hooks.drain()
    assert endpoint.types == ["message.sent"]


async def test_another_accounts_events_stay_with_it(hooks: Hooks, endpoint: Endpoint) -> None:
    other = await hooks.desk.world.account("other")
    await hooks.add(endpoint.url, account_id=other.id)
    await hooks.desk.send()
    await hooks.drain()
    assert endpoint.requests == []


@dataclass(frozen=True, slots=True)
class Failure:
    name: str
    reply: Reply
    status: int | None
    error: str


FAILURES = [
    Failure("a fault of its own", answer(500), 500, "it answered 500"),
    Failure("a refusal", answer(404), 404, "it answered 404"),
    Failure(
        "a redirect to a private address",
        answer(307, "Location: http://169.254.169.254/latest/meta-data/"),
        307,
        "it answered 307; redirects are not followed",
    ),
    Failure("garbage", (b"hello?\r\n\r\n", True), None, "the answer is no HTTP"),
    Failure("closes", (b"", True), None, "the connection ended before the answer"),
    Failure(
        "a wish of a year that no calendar has",
        answer(503, "Retry-After: Sun, 22 Nov 20260000000000000000 10:00:00 GMT"),
        503,
        "it answered 503",
    ),
    Failure("half a head", (b"HTTP/1.1 200", True), None, "the connection ended before the answer"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
async def test_what_fails_comes_again_under_the_same_id(hooks: Hooks, endpoint: Endpoint, failure: Failure) -> None:
    endpoint_id, secret = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    endpoint.script = lambda _: failure.reply
    await hooks.drain()
    assert await hooks.log(endpoint_id) == [(failure.status, failure.error)]
    before = len(endpoint.requests)
    await hooks.drain()
    assert len(endpoint.requests) == before  # not due yet
    [row] = await hooks.queued()
    assert row.tries == 1
    assert timedelta(seconds=3) < row.due_at - utc_now() <= timedelta(seconds=6)
    endpoint.script = lambda _: answer(204)
    await hooks.drain_later(timedelta(seconds=6))
    assert len(set(endpoint.ids)) == 1
    assert endpoint.requests[-1].verified(secret)["type"] == "message.queued"
    assert await hooks.queued() == []


async def test_an_endpoint_that_hangs_is_given_up_for_now_and_comes_again(database_url: str) -> None:
    async with open_hooks(database_url, timeout_seconds=0.2) as hooks, listening(lambda _: None) as endpoint:
        endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
        await hooks.desk.send()
        await hooks.drain()
        assert await hooks.log(endpoint_id) == [(None, "no answer within 0.2 seconds")]
        endpoint.script = lambda _: answer()
        await hooks.drain_later(timedelta(seconds=6))
        assert len(endpoint.requests) == 2
        assert len(set(endpoint.ids)) == 1


async def test_a_fault_of_ours_is_a_try_that_failed(database_url: str) -> None:
    def ask(*_: object, **__: object) -> Sequence[Entry]:
        raise RuntimeError("nobody thought of this")

    async with open_hooks(database_url, ask=ask) as hooks:
        endpoint_id, _ = await hooks.add("http://hooks.example/", EventType.MESSAGE_QUEUED)
        await hooks.desk.send()
        await hooks.drain()
        assert await hooks.log(endpoint_id) == [(None, "it could not be sent: RuntimeError")]
        [row] = await hooks.queued()
        assert (row.tries, row.leased_until) == (1, None)


async def test_an_answer_that_comes_late_but_in_time_is_one(hooks: Hooks, endpoint: Endpoint) -> None:
    gate = asyncio.Event()

    async def wait(_request: Request) -> Reply:
        await gate.wait()
        return answer(200)

    endpoint.script = wait
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    await hooks.webhooks.drain()  # returns, while the delivery goes on
    await endpoint.got(1)
    assert await hooks.log(endpoint_id) == []
    gate.set()
    await hooks.webhooks.settled()
    assert await hooks.log(endpoint_id) == [(200, None)]
    assert await hooks.queued() == []


async def test_an_endpoint_that_says_gone_is_disabled(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint.script = lambda _: answer(410)
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    await hooks.drain()
    found = await hooks.store.get(endpoint_id)
    assert found.disabled_at is not None
    assert found.disabled_reason == "it answered 410"
    assert await hooks.queued() == []
    await hooks.desk.send()
    await hooks.drain()
    assert len(endpoint.requests) == 1
    endpoint.script = lambda _: answer()
    assert await hooks.store.enable(endpoint_id)
    await hooks.desk.send()
    await hooks.drain()
    assert len(endpoint.requests) == 2
    # What it missed can be had.
    assert await hooks.store.replay(found, utc_now() - LONG, utc_now()) == 3
    await hooks.drain()
    assert len(endpoint.requests) == 5
    assert len(set(endpoint.ids)) == 3


async def test_retry_after_is_heeded(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint.script = lambda _: answer(503, "Retry-After: 600")
    await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    await hooks.drain()
    [row] = await hooks.queued()
    assert timedelta(seconds=590) < row.due_at - utc_now() < timedelta(seconds=730)
    # The next event is not sent either: it asked to be left alone.
    await hooks.desk.send()
    await hooks.drain()
    assert len(endpoint.requests) == 1


async def test_after_the_last_try_an_event_is_given_up_and_can_be_replayed(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint.script = lambda _: answer(500)
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    async with hooks.desk.world.database.write() as connection:
        await connection.execute(update(schema.webhook_queue).values(tries=len(DELAYS)))
    await hooks.drain()
    assert await hooks.log(endpoint_id) == [(500, "it answered 500; given up")]
    assert await hooks.queued() == []
    [event] = await hooks.desk.world.rows("event")
    await hooks.store.replay_event(await hooks.store.get(endpoint_id), event.id)
    endpoint.script = lambda _: answer()
    await hooks.drain()
    assert endpoint.ids == [f"evt_{event.id}"] * 2


async def test_while_two_secrets_are_valid_both_sign(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, old = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    await hooks.store.rotate(endpoint_id, new[::-1], old_until=utc_now() + timedelta(hours=1))
    await hooks.desk.send()
    await hooks.drain()
    assert len(endpoint.requests[0].headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        endpoint.requests[0].verified(secret)
    await hooks.store.rotate(endpoint_id, new[::-1], old_until=utc_now())
    await hooks.desk.send()
    await hooks.drain()
    assert len(endpoint.requests[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_lease_that_ended_without_a_word_is_a_delivery_once_more(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    # Another process claims it, and is killed.
    [claimed] = await hooks.queue.claim(10, each=10, at_most={}, lease=timedelta(seconds=60))
    assert claimed.endpoint_id == endpoint_id
    await hooks.drain()
    assert endpoint.requests == []
    await hooks.drain_later(timedelta(seconds=61))
    assert endpoint.ids == [f"evt_{claimed.event.id}"]


async def test_an_endpoint_has_only_so_many_at_once_and_gets_all(hooks: Hooks, endpoint: Endpoint) -> None:
    await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    for _ in range(60):
        await hooks.desk.send()
    await hooks.drain_until(lambda: len(set(endpoint.ids)) == 60, "60 webhooks")
    await hooks.webhooks.settled()
    assert 1 < endpoint.connections <= CONCURRENCY
    assert len(endpoint.requests) == 60
    assert WEBHOOKS in hooks.kicked  # it asked for more itself


async def test_endpoints_that_hang_hold_nobody_up(hooks: Hooks, endpoint: Endpoint) -> None:
    async with listening(lambda _: None) as dead:
        for number in range(20):
            await hooks.add(f"{dead.url}/{number}", EventType.MESSAGE_QUEUED)
        await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
        for _ in range(20):
            await hooks.desk.send()
        await hooks.drain_until(lambda: len(set(endpoint.ids)) == 20, "the living endpoint's webhooks")
        assert dead.most_at_once <= 2 * 20  # two each, and no more until they answer


async def test_where_connections_are_few_lines_take_turns(database_url: str) -> None:
    async with open_hooks(database_url, connections=2) as hooks, listening() as endpoint:
        for number in range(4):
            await hooks.add(f"{endpoint.url}/{number}", EventType.MESSAGE_QUEUED)
        for _ in range(10):
            await hooks.desk.send()
        await hooks.drain_until(lambda: len(endpoint.requests) == 40, "every webhook")
        await hooks.webhooks.settled()
        assert endpoint.most_at_once <= 2
        assert await hooks.queued() == []


async def test_an_endpoint_may_not_lead_to_a_private_address(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED, allow_private=False)
    await hooks.desk.send()
    await hooks.drain()
    assert await hooks.log(endpoint_id) == [(None, "127.0.0.1 leads to a private address")]
    assert endpoint.connections == 0


async def test_what_waits_for_a_removed_endpoint_is_forgotten(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    await hooks.store.remove(endpoint_id)
    assert await hooks.queued() == []
    await hooks.desk.send()
    await hooks.drain()
    assert endpoint.requests == []


async def test_who_turns_an_endpoint_on_and_off_at_once_leaves_it_whole(hooks: Hooks) -> None:
    endpoint_id, _ = await hooks.add("https://hooks.example/")
    for _ in range(3):
        await hooks.store.disable(endpoint_id, "for a while")
        turned = await asyncio.gather(*(hooks.store.enable(endpoint_id) for _ in range(8)))
        assert turned.count(True) == 1
    await asyncio.gather(
        *(turn for _ in range(4) for turn in (hooks.store.enable(endpoint_id), off(hooks, endpoint_id)))
    )
    enabled = (await hooks.store.get(endpoint_id)).disabled_at is None
    assert len(await hooks.desk.world.rows("webhook_subscription")) == (len(EventType) if enabled else 0)


async def off(hooks: Hooks, endpoint_id: int) -> bool:
    return await hooks.store.disable(endpoint_id, "for a while")


async def test_a_long_text_is_cut_and_says_so(hooks: Hooks, endpoint: Endpoint) -> None:
    await hooks.desk.world.login(hooks.desk.account, "ann", "bob")
    _, secret = await hooks.add(endpoint.url, EventType.MESSAGE_RECEIVED)
    text = "\N{GRINNING FACE}\n" * 5000
    await hooks.desk.world.mailbox.send(hooks.desk.account, sender="ann", recipient="bob", text=text)
    await hooks.drain()
    [request] = endpoint.requests
    data = request.verified(secret)["data"]
    assert BODY_BYTES - 10 < len(request.body) <= BODY_BYTES
    assert data["text_cut"] is True
    assert text.startswith(data["text"])
    assert (data["direction"], data["medium"], data["status"]) == ("inbound", "mailbox", "received")


async def test_of_a_message_that_was_deleted_only_its_step_is_told(hooks: Hooks, endpoint: Endpoint) -> None:
    await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    message_id = await hooks.desk.send(text="secret")
    async with hooks.desk.world.database.write() as connection:
        await connection.execute(delete(schema.message))
    await hooks.drain()
    expected = {"id": str(message_id), "status": "queued", "error": None, "deleted": True}
    assert endpoint.requests[0].json["data"] == expected


async def test_the_log_tells_the_latest_first_and_of_failures_alone(hooks: Hooks, endpoint: Endpoint) -> None:
    statuses = iter([200, 500, 200])
    endpoint.script = lambda _: answer(next(statuses))
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    for _ in range(3):
        await hooks.desk.send()
        await hooks.drain()
    listed = await hooks.store.attempts(endpoint_id, count=2)
    assert [one.status for one in listed] == [200, 500]
    rest = await hooks.store.attempts(endpoint_id, before=listed[-1].id, count=2)
    assert [(one.status, one.type) for one in rest] == [(200, "message.queued")]
    assert [one.status for one in await hooks.store.attempts(endpoint_id, count=9, failed=True)] == [500]


async def test_a_replay_is_of_its_period_and_subscription(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    before = utc_now()
    await hooks.desk.send()
    await hooks.desk.drain()
    between = utc_now()
    await hooks.desk.send()
    await hooks.drain()
    found = await hooks.store.get(endpoint_id)
    assert await hooks.store.replay(found, before - LONG, before) == 0
    assert await hooks.store.replay(found, before, between) == 1
    await hooks.drain()
    assert sorted(map(endpoint.ids.count, set(endpoint.ids))) == [1, 2]


async def test_events_and_the_log_are_forgotten_after_a_while(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    for _ in range(3):
        await hooks.desk.send()
    await hooks.drain()
    await hooks.store.purge(utc_now() - LONG)
    assert len(await hooks.desk.world.rows("event")) == 3
    await hooks.store.purge(utc_now() + LONG)
    # The newest stays: the order of what follows goes on from it.
    assert len(await hooks.desk.world.rows("event")) == 1
    assert await hooks.log(endpoint_id) == []


async def test_an_opt_out_is_told(hooks: Hooks, endpoint: Endpoint) -> None:
    await hooks.add(endpoint.url, EventType.OPTOUT_CREATED)
    change = OptOutChange(recipient="12025550199", source="operator", sender="12025550101")
    async with hooks.desk.world.database.write() as connection:
        news = News(account_id=hooks.desk.account.id, type=EventType.OPTOUT_CREATED, opt_out=change)
        await tell(connection, [news], utc_now())
    await hooks.drain()
    assert endpoint.requests[0].json["data"] == {
        "recipient": "12025550199",
        "sender": "12025550101",
        "scope": "number",
        "source": "operator",
        "keyword": None,
        "message_id": None,
    }


async def test_closing_waits_for_what_is_on_its_way(hooks: Hooks, endpoint: Endpoint) -> None:
    gate = asyncio.Event()

    async def wait(_request: Request) -> Reply:
        await gate.wait()
        return answer()

    endpoint.script = wait
    await hooks.add(endpoint.url, EventType.MESSAGE_QUEUED)
    await hooks.desk.send()
    await hooks.webhooks.drain()
    await endpoint.got(1)
    closing = asyncio.create_task(hooks.webhooks.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.set()
    await closing
    assert await hooks.queued() == []

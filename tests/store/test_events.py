"""Events are written with what happened, where somebody listens, and queued for whoever subscribed to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from longcode.carriers.port import CarrierReceipt, InboundSms, ReceiptStatus, Rejected, Unconfirmed
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.events import OF_STATUS, STATUS_OF, EventType
from longcode.domain.message import Status
from longcode.flow.arrival import Arrivals
from longcode.flow.inbound import Received
from longcode.store import events, schema
from longcode.store.arrivals import ArrivalStore
from longcode.store.cancel import CancelStore
from tests.flow.desk import Desk, open_desk

OURS, STRANGER = "12025550111", "12025550199"


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        await opened.world.numbers.assign(opened.account.id, OURS)
        yield opened


async def listen(desk: Desk) -> None:
    async with desk.world.database.write() as connection:
        await events.listen(connection, desk.account.id)


async def told(desk: Desk) -> list[tuple[str, str | None]]:
    """Types and errors of all events, in the order of their transactions."""
    table = schema.event.c
    async with desk.world.database.read() as connection:
        rows = await connection.execute(select(table.type, table.error).order_by(table.xact, table.id))
        return [(row.type, row.error) for row in rows]


async def send_and_deliver(desk: Desk) -> None:
    await desk.send()
    await desk.drain()
    await report(desk, ReceiptStatus.DELIVERED)


async def report(desk: Desk, status: ReceiptStatus, code: str | None = None) -> None:
    references = [f"ref-{submission.attempt_id}" for submission in desk.driver.submitted]
    receipts = [
        CarrierReceipt(carrier_id=desk.carrier_id, reference=reference, status=status, error_code=code)
        for reference in references
    ]
    await desk.receipts.take(receipts)
    await desk.receipts.take(receipts)  # a repeat tells nothing


async def send_undelivered(desk: Desk) -> None:
    await desk.send()
    await desk.drain()
    await report(desk, ReceiptStatus.UNDELIVERED, "absent_subscriber")


async def send_rejected(desk: Desk) -> None:
    desk.driver.answer = lambda _: Rejected("invalid_destination")
    await desk.send()
    await desk.drain()


async def send_unproven(desk: Desk) -> None:
    desk.driver.answer = lambda _: Unconfirmed("read timeout")
    await desk.send(validity=timedelta(seconds=1))
    await desk.drain()
    await desk.drain_later(timedelta(days=3))


async def send_proven_by_a_stray(desk: Desk) -> None:
    desk.driver.answer = lambda _: Unconfirmed("read timeout")
    await desk.send()
    await desk.drain()
    attempt = desk.driver.submitted[0].attempt_id
    await desk.receipts.take(
        [
            CarrierReceipt(
                carrier_id=desk.carrier_id, reference="late", status=ReceiptStatus.DELIVERED, attempt_id=attempt
            )
        ]
    )


async def cancel(desk: Desk) -> None:
    message_id = await desk.send(due_at=utc_now() + timedelta(hours=1))
    assert await CancelStore(desk.world.database, utc_now).cancel(message_id)


async def route_later(desk: Desk) -> None:
    for route in (await desk.world.catalog.now()).routes:
        await desk.world.catalog_store.remove_route(route.id)
    await desk.send()
    await desk.world.route(name="later")
    await desk.world.rerouting.run()


async def write_to_own_number(desk: Desk) -> None:
    await desk.send(recipient=OURS)


async def write_between_mailboxes(desk: Desk) -> None:
    await desk.world.login(desk.account, "ann", "bob")
    await desk.world.mailbox.send(desk.account, sender="ann", recipient="bob", text="Hi")


async def be_told_of_inbound(desk: Desk) -> None:
    await desk.world.inbound.take(
        Received(account=desk.account, sender=STRANGER, recipient=OURS, text="Hi", must_own=True)
    )


async def take_from_carrier(desk: Desk) -> None:
    arrivals = Arrivals(
        intake=desk.world.intake,
        store=ArrivalStore(desk.world.database, utc_now, mint_id),
        clock=utc_now,
        mint_id=mint_id,
        compose=desk.world.accept.compose,
    )
    sms = InboundSms(carrier_id=desk.carrier_id, fingerprint=b"1", sender=STRANGER, recipient=OURS, text="Hi")
    await arrivals.take([sms])
    await arrivals.take([sms])


async def opt_out_and_in(desk: Desk) -> None:
    ledger = desk.world.opt_outs
    for _ in range(2):
        await ledger.add(desk.account.id, STRANGER, source="operator")
    for _ in range(2):
        await ledger.remove(desk.account.id, STRANGER, source="operator")


async def replay(desk: Desk) -> None:
    for _ in range(2):
        await desk.send(key="k", fingerprint=b"same")


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    act: Callable[[Desk], Awaitable[None]]
    types: Sequence[str]
    error: str | None = None


CASES = [
    Case("sent and delivered", send_and_deliver, ["message.queued", "message.sent", "message.delivered"]),
    Case(
        "sent and not delivered",
        send_undelivered,
        ["message.queued", "message.sent", "message.undelivered"],
        "absent_subscriber",
    ),
    Case("rejected by the carrier", send_rejected, ["message.queued", "message.failed"], "invalid_destination"),
    Case("never answered", send_unproven, ["message.queued", "message.failed"], "outcome_unknown"),
    Case("proven by its receipt", send_proven_by_a_stray, ["message.queued", "message.delivered"]),
    Case("scheduled and canceled", cancel, ["message.canceled"]),
    Case("given a route later", route_later, ["message.queued"]),
    Case("to a number of its own", write_to_own_number, ["message.delivered", "message.received"]),
    Case("between mailboxes", write_between_mailboxes, ["message.delivered", "message.received"]),
    Case("told by a client to have come in", be_told_of_inbound, ["message.received"]),
    Case("brought by a carrier, twice", take_from_carrier, ["message.received"]),
    Case("an opt-out made and taken back, each twice", opt_out_and_in, ["optout.created", "optout.removed"]),
    Case("a call and its replay", replay, ["message.queued"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_step_is_told_once(desk: Desk, case: Case) -> None:
    await listen(desk)
    await case.act(desk)
    found = await told(desk)
    assert sorted(type_ for type_, _ in found) == sorted(case.types)
    assert [error for _, error in found if error] == ([case.error] if case.error else [])


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
async def test_steps_are_in_the_order_of_their_transactions(desk: Desk, case: Case) -> None:
    await listen(desk)
    await case.act(desk)
    assert [type_ for type_, _ in await told(desk)] == case.types


async def test_nothing_is_written_where_nobody_listens(desk: Desk) -> None:
    other = await desk.world.account("other")
    async with desk.world.database.write() as connection:
        await events.listen(connection, other.id)
    for case in CASES:
        if case.act is not route_later:
            await case.act(desk)
    assert await told(desk) == []


async def test_events_are_queued_for_those_who_subscribed_to_their_type(desk: Desk) -> None:
    await listen(desk)
    mine = desk.account.id
    rows: list[dict[str, Any]] = [
        {"account_id": mine, "type": "message.sent", "endpoint_id": 1},
        {"account_id": mine, "type": "message.sent", "endpoint_id": 2},
        {"account_id": mine, "type": "message.delivered", "endpoint_id": 2},
        {"account_id": mine + 1, "type": "message.delivered", "endpoint_id": 3},
    ]
    rung: list[None] = []
    desk.world.database.told = lambda: rung.append(None)
    async with desk.world.database.write() as connection:
        await connection.execute(insert(schema.webhook_subscription), rows)
    assert not rung
    await send_and_deliver(desk)
    assert len(rung) == 3
    types = {row.id: row.type for row in await desk.world.rows("event")}
    queued = [(types[row.event_id], row.endpoint_id) for row in await desk.world.rows("webhook_queue")]
    assert sorted(queued) == [("message.delivered", 2), ("message.sent", 1), ("message.sent", 2)]


async def test_ids_tell_their_time(desk: Desk) -> None:
    await listen(desk)
    before = utc_now()
    await desk.send()
    [event] = await desk.world.rows("event")
    assert event.id.version == 7
    milliseconds = event.id.int >> 80
    assert before.timestamp() * 1000 - 1 <= milliseconds <= utc_now().timestamp() * 1000 + 1
    assert abs(event.occurred_at.timestamp() * 1000 - milliseconds) < 1000


def test_every_status_that_means_something_to_a_customer_has_its_event() -> None:
    silent = {Status.ACCEPTED, Status.SCHEDULED, Status.SENDING, Status.RECORDED}
    assert set(OF_STATUS) == set(Status) - silent
    assert all(type_ == f"message.{status}" for status, type_ in OF_STATUS.items())
    assert set(STATUS_OF) == {type_ for type_ in EventType if type_.startswith("message.")}

"""What waits where nothing goes, and the way that it is given; beside test_sweep.py and test_health.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from longcode.domain.account import Account
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Status
from longcode.flow.accept import VALIDITY
from longcode.flow.conclusion import GRACE
from longcode.store import schema
from longcode.store.new_messages import NewMessage
from longcode.store.outbox import NewAttempt
from longcode.store.rerouting import ReroutingStore
from tests.attempts import put_on_record
from tests.flow.world import World, open_world, send
from tests.store.test_timeline import new


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        account = await opened.account()
        await opened.accounts.add_sender_id(account.id, "MyCorp")
        yield opened


async def orphan(world: World, driver: str = "smpp") -> NewMessage:
    """A message that was judged a moment before its carrier was removed."""
    carrier_id = await world.catalog_store.add_carrier(f"gone-{mint_id()}", driver, {})
    [row] = [one for one in (await world.catalog.now()).carriers.values() if one.id == carrier_id]
    await world.catalog_store.remove_carrier(row.name)
    now = world.clock()
    message = replace(new(1).message, status=Status.QUEUED, created_at=now)
    late = NewMessage(
        message=message,
        call_id=message.id,
        queued=True,
        carrier_id=carrier_id,
        priority=5,
        due_at=utc_now(),
        validity=VALIDITY,
    )
    await world.store.insert([late], [])
    return late


async def test_what_was_queued_for_a_carrier_that_is_gone_finds_another(world: World) -> None:
    late = await orphan(world)
    await world.rerouting.run()
    assert [row.carrier_id for row in await world.rows("outbox")] == [late.carrier_id]
    carrier_id = await world.route("smpp")
    await world.rerouting.run()
    assert [row.carrier_id for row in await world.rows("outbox")] == [carrier_id]
    assert f"dispatch {carrier_id}" in world.kicked
    assert await world.status(late.message.id) == (Status.QUEUED, None)


async def test_what_was_queued_for_a_simulator_that_is_gone_reaches_nobody(world: World) -> None:
    late = await orphan(world, "simulator")
    await world.route("smpp")
    await world.rerouting.run()
    assert [row.carrier_id for row in await world.rows("outbox")] == [late.carrier_id]
    simulator = await world.route("simulator")
    await world.rerouting.run()
    assert [row.carrier_id for row in await world.rows("outbox")] == [simulator]


@pytest.mark.parametrize("ahead", [timedelta(hours=30), timedelta(hours=-30)], ids=["ahead", "behind"])
async def test_what_may_have_been_sent_stays_and_ends_as_unknown(database_url: str, ahead: timedelta) -> None:
    # On SQLite there is no other clock than the process's own.
    clock = utc_now if database_url.startswith("sqlite") else lambda: utc_now() + ahead
    async with open_world(database_url, clock=clock) as world:
        late = await orphan(world)
        assert late.carrier_id is not None
        await put_on_record(world.database, NewAttempt(mint_id(), late.message.id, 0, 1, late.carrier_id))
        await mark_tried(world)
        await world.route("smpp")
        await world.age_queue(VALIDITY)
        await world.rerouting.run()
        assert [row.carrier_id for row in await world.rows("outbox")] == [late.carrier_id]
        await world.age_queue(GRACE)
        await world.rerouting.run()
        assert await world.status(late.message.id) == (Status.FAILED, "outcome_unknown")


async def mark_tried(world: World) -> None:
    """As a claim leaves a row behind whose lease is over."""
    async with world.database.write() as connection:
        await connection.execute(
            update(schema.outbox).values(leased_until=utc_now() - timedelta(seconds=1), deferrals=1)
        )


async def test_what_happened_meanwhile_is_not_undone(world: World) -> None:
    late = await orphan(world)
    store = ReroutingStore(world.database, world.clock)
    [waiting] = await store.waiting(late.carrier_id, 10)
    await mark_tried(world)
    carrier_id = await world.route("smpp")
    await store.move(late.carrier_id, carrier_id, [waiting])
    assert [row.carrier_id for row in await world.rows("outbox")] == [late.carrier_id]


async def test_a_long_queue_is_read_page_by_page(world: World) -> None:
    account = (await world.accounts.page(count=1))[0]
    for number in range(5):
        await world.accept.send(send(Account(account.id, account.name), priority=number % 2))
    store = ReroutingStore(world.database, world.clock)
    seen = []
    after = None
    while page := await store.waiting(None, 2, after):
        seen += [one.priority for one in page]
        after = page[-1].place
    assert seen == [0, 0, 0, 1, 1]

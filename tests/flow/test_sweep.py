"""What the sweep picks up, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.errors import StorageDown
from longcode.flow.accept import VALIDITY
from longcode.flow.arrival import Arrivals
from longcode.flow.receipt import Receipts
from longcode.flow.sweep import Sweep
from longcode.store.arrivals import ArrivalStore
from longcode.store.keyed_calls import KeyedCallStore
from longcode.store.receipts import ReceiptStore
from longcode.store.strays import StrayStore
from longcode.store.webhooks import WebhookStore
from tests.flow.world import World, open_world, send


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


def sweep(world: World) -> Sweep:
    return Sweep(
        expiring=world.expiring,
        stops=world.stops,
        arrivals=Arrivals(
            intake=world.intake,
            store=ArrivalStore(world.database, world.clock, mint_id),
            clock=world.clock,
            mint_id=mint_id,
            compose=world.accept.compose,
        ),
        receipts=Receipts(ReceiptStore(world.database, world.clock, mint_id), StrayStore(world.database, world.clock)),
        rerouting=world.rerouting,
        health=world.health,
        events=WebhookStore(world.database, world.clock),
        retention=timedelta(days=30),
        keyed_calls=KeyedCallStore(world.database, world.clock),
        clock=world.clock,
    )


async def test_a_message_without_a_route_is_queued_when_there_is_one(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    here = (await world.accept.send(send(account))).message.id
    there = (await world.accept.send(send(account, recipient="+442079460101"))).message.id
    await sweep(world).run()
    assert await world.status(here) == (Status.ACCEPTED, None)
    carrier_id = await world.route(prefix="1")
    await sweep(world).run()
    assert await world.status(here) == (Status.QUEUED, None)
    assert await world.status(there) == (Status.ACCEPTED, None)
    assert {row.message_id: row.carrier_id for row in await world.rows("outbox")} == {here: carrier_id, there: None}


async def test_a_message_that_finds_no_route_in_its_time_fails(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    message_id = (await world.accept.send(send(account))).message.id
    await world.age_queue(VALIDITY)
    await sweep(world).run()
    assert await world.status(message_id) == (Status.FAILED, "no_route")
    assert await world.count("outbox") == 0


async def test_an_idle_sweep_changes_nothing_and_may_repeat(world: World) -> None:
    for _ in range(2):
        await sweep(world).run()
    assert await world.count("message") == 0


async def test_a_sweep_without_the_expiring_state_still_routes(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    message_id = (await world.accept.send(send(account))).message.id
    await world.route()
    world.expiring.down = True
    with pytest.raises(StorageDown):
        await sweep(world).run()
    assert await world.status(message_id) == (Status.QUEUED, None)

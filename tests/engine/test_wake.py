"""Kicks and offers cross from one process to another through Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from longcode.engine.wake import CHANNEL, Wakes, background, listen
from longcode.flow.jobs import CARRIERS, MOST_FRESH, SWEEP, Fresh, dispatch_job
from tests.processes import wait_until_async

SECONDS = 20.0


@dataclass
class Ear:
    """What another process hears."""

    kicks: list[str] = field(default_factory=list)
    offers: list[tuple[int, list[Fresh]]] = field(default_factory=list)

    def offer(self, carrier_id: int, fresh: Sequence[Fresh]) -> None:
        self.offers.append((carrier_id, list(fresh)))

    async def heard(self, *kicks: str) -> None:
        await wait_until_async(lambda: set(self.kicks) >= set(kicks), SECONDS, what=f"{kicks}")


@pytest.fixture
async def ear(valkey_url: str) -> AsyncIterator[Ear]:
    ear = Ear()
    async with background(listen(valkey_url, ear.kicks.append, ear.offer)), Redis.from_url(valkey_url) as redis:

        async def listens() -> bool:
            return dict(await redis.pubsub_numsub(CHANNEL))[CHANNEL.encode()] > 0

        await wait_until_async(listens, SECONDS, what="a listener")
        yield ear


def fresh(message_id: UUID | None = None) -> Fresh:
    return Fresh(message_id or uuid4(), 7, "MyCorp", "+12025550101")


async def test_kicks_and_offers_arrive(ear: Ear, valkey_url: str) -> None:
    wakes, few = Wakes(), [fresh(), fresh()]
    async with background(wakes.publish(valkey_url)):
        wakes.offer(3, few)
        wakes.kick(SWEEP)
        await ear.heard(SWEEP)
    assert ear.offers == [(3, few)]
    assert ear.kicks == [SWEEP]


async def test_what_is_not_out_yet_falls_together(ear: Ear, valkey_url: str) -> None:
    wakes, first, second = Wakes(), fresh(), fresh()
    wakes.offer(3, [first])
    wakes.kick(dispatch_job(3))
    wakes.offer(3, [second])
    async with background(wakes.publish(valkey_url)):
        wakes.kick(SWEEP)
        await ear.heard(SWEEP)
    assert ear.offers == [(3, [first, second])]
    assert ear.kicks == [SWEEP]


async def test_an_offer_of_many_is_a_kick(ear: Ear, valkey_url: str) -> None:
    wakes = Wakes()
    async with background(wakes.publish(valkey_url)):
        wakes.offer(3, [fresh() for _ in range(MOST_FRESH + 1)])
        await ear.heard(dispatch_job(3))
    assert ear.offers == []


async def test_listening_goes_on_after_a_connection_that_ended(ear: Ear, valkey_url: str) -> None:
    wakes = Wakes()
    async with background(wakes.publish(valkey_url)), Redis.from_url(valkey_url) as redis:
        wakes.kick(SWEEP)
        await ear.heard(SWEEP)
        await redis.client_kill_filter(_type="pubsub")

        def again() -> bool:
            wakes.kick(CARRIERS)
            return CARRIERS in ear.kicks

        await wait_until_async(again, SECONDS, what="a kick on the new connection")


GARBAGE = (
    b"",
    b"\xff",
    b"nonsense",
    b"dispatch",
    b"dispatch x",
    b"dispatch -1",
    b"dispatch " + b"9" * 30,
    b"dispatch 3\n{}",
    b"dispatch 3\n[",
    b'dispatch 3\n[{"id": 7}]',
    b"sweep 3",
)


async def test_what_is_neither_is_dropped_and_listening_goes_on(ear: Ear, valkey_url: str) -> None:
    wakes = Wakes()
    async with background(wakes.publish(valkey_url)), Redis.from_url(valkey_url) as redis:
        for told in GARBAGE:
            await redis.publish(CHANNEL, told)
        wakes.kick(SWEEP)
        await ear.heard(SWEEP)
    assert (ear.kicks, ear.offers) == ([SWEEP], [])

"""STOP as dispatch asks it, and its pairs after the expiring state was lost, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import pytest

from longcode.domain.phone import canonical
from longcode.errors import StorageDown
from longcode.expiring.port import Emptied, Pair, Question, Verdict
from longcode.expiring.sql import SqlExpiring
from longcode.flow.inbound import Received
from longcode.flow.stops import Stops
from longcode.store.stops import StopStore
from tests.flow.world import LIMIT, STOP_TTL_SECONDS, HandClock, World, open_world, send

OWNED = "+12025550100"
PARTY = "+1 202-555-0101"


class EmptiedExpiring(SqlExpiring):
    """The real state, which says that it was emptied until it is restored."""

    emptied = True

    async def complete(self) -> bool:
        return not self.emptied

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        if self.emptied:
            raise Emptied("emptied")
        return await super().settle(questions)

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        if self.emptied:
            raise Emptied("emptied")
        return await super().stopped(pairs)

    async def restore(self, pairs: Sequence[tuple[Pair, datetime]]) -> None:
        await super().restore(pairs)
        self.emptied = False


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url, clock=HandClock()) as opened:
        yield opened


def emptied(world: World) -> tuple[Stops, EmptiedExpiring]:
    expiring = EmptiedExpiring(
        world.database, clock=world.clock, stop_ttl_seconds=STOP_TTL_SECONDS, limit=LIMIT, window_seconds=60
    )
    stops = Stops(
        expiring=expiring,
        ledger=world.store,
        requests=StopStore(world.database),
        clock=world.clock,
        stop_ttl_seconds=STOP_TTL_SECONDS,
    )
    return stops, expiring


async def test_pairs_and_the_ledger_are_both_asked_in_any_spelling(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    for one in (account, other):
        await world.accounts.add_sender_id(one.id, "MyCorp")
    messages = [
        (await world.accept.send(send(one, recipient=recipient))).message
        for one in (account, other)
        for recipient in ("+12025550101", "+12025550102", "+12025550103")
    ]
    await world.expiring.settle([Question(marks=(Pair(account.id, "MyCorp", "12025550101"),))])
    await world.opt_outs.add(account.id, "12025550102", source="operator")
    assert await world.stops.stopped(messages) == {message.id for message in messages[:2]}
    assert await world.stops.stopped([]) == set()


async def test_without_the_expiring_state_nothing_is_said(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    message = (await world.accept.send(send(account))).message
    world.expiring.down = True
    with pytest.raises(StorageDown):
        await world.stops.stopped([message])


Way = Callable[[Stops, Pair], Awaitable[object]]
WAYS: dict[str, Way] = {
    "the sweep looks": lambda stops, _: stops.rebuild_if_emptied(),
    "dispatch asks": lambda stops, pair: stops.held([pair]),
    "a call asks": lambda stops, pair: stops.settle([Question(ask=pair, count=True)]),
}


@pytest.mark.parametrize("way", WAYS)
async def test_lost_pairs_are_rebuilt_from_the_stored_requests_before_anything_is_asked(world: World, way: str) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    assert isinstance(world.clock, HandClock)

    async def stop(sender: str) -> None:
        call = Received(account=account, sender=sender, recipient=OWNED, text="STOP", must_own=True)
        await world.inbound.take(call)

    await stop("+12025550109")
    world.clock.now += timedelta(seconds=STOP_TTL_SECONDS - 60)
    await stop(PARTY)
    world.clock.now += timedelta(seconds=61)
    async with world.database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM stop_pair")
    stops, expiring = emptied(world)
    answer = await WAYS[way](stops, Pair(account.id, canonical(OWNED), canonical(PARTY)))
    assert answer in (None, {Pair(account.id, canonical(OWNED), canonical(PARTY))}, [Verdict(stopped=True)])
    pairs = await world.rows("stop_pair")
    # Each holds for what was left of its own time; one whose time is over is not restored.
    assert [(pair.sender, pair.recipient) for pair in pairs] == [("12025550100", "12025550101")]
    assert pairs[0].expires_at == world.clock.now + timedelta(seconds=STOP_TTL_SECONDS - 61)
    assert not expiring.emptied


async def test_what_is_complete_is_not_rebuilt(world: World) -> None:
    await world.stops.rebuild_if_emptied()
    assert await world.count("stop_pair") == 0

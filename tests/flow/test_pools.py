"""Pools: who writes to whom, whom a recipient keeps, and what becomes of senders that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from longcode.domain.account import Account
from longcode.errors import Duplicate, InvalidField, NotFound, OptedOut, PoolEmpty, Refused
from longcode.flow.accept import Send
from longcode.store.pools import ListedPool
from tests.flow.world import World, open_world

A, B, NAME = "+12025550101", "+1 202 555-0102", "MyCorp"
POOL = "support"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


@pytest.fixture
async def account(world: World) -> Account:
    """An account with a pool of its two numbers and its sender ID, in this order."""
    made = await world.account()
    for number in (A, B):
        await world.numbers.assign(made.id, number)
    await world.accounts.add_sender_id(made.id, NAME)
    await world.route()
    await world.pools.create(made.id, POOL)
    assert await world.pools.add(made.id, POOL, [A, B, NAME]) == 3
    return made


def recipient(number: int) -> str:
    return f"+447700900{number:03}"


async def sender_of(world: World, account: Account, number: int) -> str:
    """Who writes to a recipient now."""
    entered = await world.accept.send(Send(account=account, pool=POOL, recipient=recipient(number), text="Hello"))
    return entered.message.sender


async def known(world: World, account: Account) -> list[int]:
    return [one.recipients for one in await world.pools.senders(account.id, POOL)]


async def test_new_recipients_get_the_sender_that_the_fewest_know_and_keep_it(world: World, account: Account) -> None:
    first = [await sender_of(world, account, number) for number in range(6)]
    assert first == [A, B, NAME] * 2
    assert [await sender_of(world, account, number) for number in range(6)] == first
    assert await known(world, account) == [2, 2, 2]


async def test_a_pool_is_made_with_its_senders_or_not_at_all(world: World, account: Account) -> None:
    with pytest.raises(Refused, match="may not send as Nobody"):
        await world.pools.create(account.id, "other", [A, "Nobody"])
    assert [pool.name for pool in await world.pools.page(account.id, count=9)] == [POOL]
    await world.pools.create(account.id, "other", [A, NAME])
    assert {one.sender for one in await world.pools.senders(account.id, "other")} == {A.removeprefix("+"), NAME}


async def test_a_recipient_is_the_same_in_any_spelling(world: World, account: Account) -> None:
    await sender_of(world, account, 0)
    assert await sender_of(world, account, 1) == B
    entered = await world.accept.send(Send(account=account, pool=POOL, recipient="44 7700 900001", text="Hello"))
    assert entered.message.sender == B


async def test_calls_at_once_agree_on_one_sender(world: World, account: Account) -> None:
    senders = await asyncio.gather(*(sender_of(world, account, 0) for _ in range(10)))
    assert len(set(senders)) == 1
    assert sorted(await known(world, account)) == [0, 0, 1]


async def test_a_sender_that_is_not_the_accounts_any_more_is_replaced_for_good(world: World, account: Account) -> None:
    assert await sender_of(world, account, 0) == A
    await world.numbers.release(account.id, A)
    assert await sender_of(world, account, 0) == B
    await world.numbers.assign(account.id, A)
    assert await sender_of(world, account, 0) == B
    assert await known(world, account) == [0, 1, 0]


async def test_a_sender_whose_carrier_is_out_is_replaced_this_once(world: World, account: Account) -> None:
    assert await sender_of(world, account, 0) == A
    for route in (await world.catalog.now()).routes:
        await world.catalog_store.remove_route(route.id)
    await world.route(name="of A", sender="12025550101")
    await world.route(name="of B", sender="12025550102")
    await world.catalog_store.set_paused("of A", True)
    assert await sender_of(world, account, 0) == B
    await world.catalog_store.set_paused("of A", False)
    assert await sender_of(world, account, 0) == A
    assert await known(world, account) == [1, 0, 0]


async def test_where_no_sender_would_go_the_familiar_one_waits(world: World, account: Account) -> None:
    assert await sender_of(world, account, 0) == A
    await world.catalog_store.set_paused("simulator-", True)
    assert await sender_of(world, account, 0) == A
    assert await sender_of(world, account, 1) == B


async def test_a_pool_of_nobody_is_refused_and_a_replay_answered_all_the_same(world: World, account: Account) -> None:
    call = Send(account=account, pool=POOL, recipient=recipient(0), text="Hello", key="a", fingerprint=b"1")
    first = await world.accept.send(call)
    await world.pools.drop(account.id, POOL, [A, "12025550102", NAME])
    with pytest.raises(PoolEmpty):
        await sender_of(world, account, 1)
    again = await world.accept.send(call)
    assert (again.message.id, again.replayed) == (first.message.id, True)
    await world.pools.remove(account.id, POOL)
    with pytest.raises(NotFound):
        await sender_of(world, account, 1)


async def test_a_refused_message_lets_nobody_know_a_sender(world: World, account: Account) -> None:
    await world.opt_outs.add(account.id, recipient(0).removeprefix("+"), source="a test", sender=None)
    with pytest.raises(OptedOut):
        await sender_of(world, account, 0)
    assert await known(world, account) == [0, 0, 0]
    assert await sender_of(world, account, 1) == A


async def test_a_pool_is_its_accounts_own(world: World, account: Account) -> None:
    other = await world.account("other")
    with pytest.raises(NotFound):
        await sender_of(world, other, 0)
    await world.pools.create(other.id, POOL)
    with pytest.raises(Refused, match="may not send as \\+12025550101, Else"):
        await world.pools.add(other.id, POOL, [A, "Else"])
    with pytest.raises(Duplicate):
        await world.pools.create(account.id, POOL)
    assert await world.pools.page(other.id, count=5) == [ListedPool(POOL, 0, 0)]
    assert await world.pools.page(account.id, count=5) == [ListedPool(POOL, 3, 0)]
    assert await world.pools.page(account.id, after=POOL, count=5) == []


def test_a_message_has_a_sender_or_a_pool() -> None:
    with pytest.raises(InvalidField):
        Send(account=Account(1, "acme"), sender=A, pool=POOL, recipient=recipient(0), text="Hello")

"""What an account may send: destinations, and caps that no number of processes goes over by a segment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from longcode.domain.account import Account
from longcode.errors import CapReached, DestinationRefused, IntakeFull, LimitReached, StorageDown
from longcode.flow.accept import Send, SenderRule
from longcode.flow.caps import DayBook, cap_reached, charge_of, day_of
from longcode.store.limits import AccountLimits, Charge, Usage
from longcode.store.new_messages import NewMessage
from tests.flow.world import LIMIT, HandClock, World, open_world, send
from tests.store.test_timeline import new

OURS = "+12025550102"
TWO_SEGMENTS = "a" * 200


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


async def account_with(world: World, **limits: Any) -> Account:
    """An account that may send as MyCorp within limits, by a route that costs 0.007 a segment."""
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.route(cost=Decimal("0.007"), currency="EUR")
    await world.limits.set(account.id, AccountLimits(**limits))
    return account


async def used(world: World, account: Account) -> Usage:
    return (await world.limits.usage([account.id], day_of(world.clock()))).get(account.id, Usage())


async def test_segments_count_until_the_cap_and_what_is_refused_counts_nothing(world: World) -> None:
    account = await account_with(world, segments_per_day=5)
    for _ in range(2):
        await world.accept.send(send(account, text=TWO_SEGMENTS))
    with pytest.raises(CapReached, match="the account's cap for today is reached: segments 5") as refused:
        await world.accept.send(send(account, text=TWO_SEGMENTS))
    assert 0 < refused.value.retry_after_seconds <= 86400
    await world.accept.send(send(account))
    assert await used(world, account) == Usage(5, Decimal("0.035"))
    assert await world.count("message") == 3


async def test_a_cap_and_a_full_intake_are_foreseen_and_nothing_counts_for_that(database_url: str) -> None:
    async with open_world(database_url) as world, open_world(database_url, intake_limit=0) as full:
        account = await account_with(world, segments_per_day=1)
        for _ in range(2):
            assert await world.accept.foresee(send(account)) is None
        assert await used(world, account) == Usage()
        with pytest.raises(CapReached):
            await world.accept.foresee(send(account, text=TWO_SEGMENTS))
        with pytest.raises(IntakeFull):
            await full.accept.foresee(send(account))
        assert world.intake.counts.refused == 1


async def test_spend_is_exact(world: World) -> None:
    account = await account_with(world, spend_per_day=Decimal("0.02"))
    for _ in range(2):
        await world.accept.send(send(account))
    with pytest.raises(CapReached, match=r"spend 0\.02"):
        await world.accept.send(send(account))
    assert await used(world, account) == Usage(2, Decimal("0.014"))


async def test_a_new_day_begins_anew(database_url: str) -> None:
    clock = HandClock()
    async with open_world(database_url, clock=clock) as world:
        account = await account_with(world, segments_per_day=1)
        await world.accept.send(send(account))
        with pytest.raises(CapReached) as refused:
            await world.accept.send(send(account))
        assert refused.value.retry_after_seconds == 14 * 3600
        clock.now += timedelta(seconds=refused.value.retry_after_seconds)
        await world.accept.send(send(account))


async def test_many_at_once_in_two_processes_get_exactly_what_is_left(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(open_world(database_url)) for _ in range(2)]
        account = await account_with(worlds[0], segments_per_day=20)
        calls = [world.accept.send(send(account)) for world in worlds for _ in range(30)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert {type(error) for error in refused} == {CapReached}
        assert len(answers) - len(refused) == 20
        assert await used(worlds[0], account) == Usage(20, Decimal("0.14"))
        assert await worlds[0].count("message") == 20


async def test_the_store_has_the_last_word_and_neighbours_are_stored(world: World) -> None:
    account, other = await account_with(world, segments_per_day=1), await world.account("other")
    await world.accounts.add_sender_id(other.id, "MyCorp")

    async def spend_elsewhere() -> None:
        # Another process takes the last segment between our look at the book and our insert.
        async with open_world(world.database.engine.url.render_as_string(hide_password=False)) as second:
            await second.accept.send(send(account))

    world.store.before.append(spend_elsewhere)
    answers = await asyncio.gather(
        world.accept.send(send(account)), world.accept.send(send(other)), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == ["CapReached", "Entered"]
    assert await used(world, account) == Usage(1, Decimal("0.007"))


async def test_a_replay_counts_once_and_is_answered_over_the_cap(world: World) -> None:
    account = await account_with(world, segments_per_day=1)
    for replayed in (False, True):
        entered = await world.accept.send(send(account, key="a", fingerprint=b"1"))
        assert entered.replayed is replayed
    assert (await used(world, account)).segments == 1


async def test_a_lost_commit_is_counted_once(world: World) -> None:
    account = await account_with(world, segments_per_day=5)

    async def lose() -> None:
        raise StorageDown("the connection is gone")

    world.store.after.append(lose)
    await world.accept.send(send(account))
    assert (await used(world, account)).segments == 1


async def test_a_call_over_the_cap_gives_its_count_against_the_senders_limit_back(world: World) -> None:
    account = await account_with(world, segments_per_day=0)
    await world.numbers.assign(account.id, OURS)

    def call() -> Send:
        return send(account, sender=OURS, sender_rule=SenderRule.VERBATIM_NUMBER, counted=True)

    for _ in range(LIMIT + 1):
        with pytest.raises(CapReached):
            await world.accept.send(call())
    await world.limits.set(account.id, AccountLimits())
    for _ in range(LIMIT):
        await world.accept.send(call())
    with pytest.raises(LimitReached):
        await world.accept.send(call())


async def test_only_what_needs_a_carrier_counts_and_has_a_destination(world: World) -> None:
    account = await account_with(world, segments_per_day=0, destinations=("44",))
    await world.numbers.assign(account.id, OURS)
    await world.accept.send(send(account, recipient=OURS))
    with pytest.raises(DestinationRefused):
        await world.accept.send(send(account, recipient="+33123456789"))
    with pytest.raises(CapReached):
        await world.accept.send(send(account, recipient="+447700900123"))
    assert await used(world, account) == Usage()


async def test_a_cap_that_is_lowered_below_what_was_used_lets_nothing_through(world: World) -> None:
    account = await account_with(world, segments_per_day=5)
    for _ in range(3):
        await world.accept.send(send(account))
    await world.limits.set(account.id, AccountLimits(segments_per_day=2))
    with pytest.raises(CapReached):
        await world.accept.send(send(account))
    assert (await used(world, account)).segments == 3


def charged(segments: int, limits: AccountLimits) -> NewMessage:
    one = new(1)
    charge = Charge(day_of(one.message.created_at), segments, Decimal(segments), limits)
    return NewMessage(message=one.message, call_id=one.message.id, charge=charge)


def test_a_book_lets_a_smaller_call_through_behind_a_bigger_one() -> None:
    limits = AccountLimits(segments_per_day=10)
    book = DayBook({1: Usage(7, Decimal(7))})
    assert book.take([charged(4, limits)]) is not None
    assert book.take([charged(3, limits)]) is None
    assert book.take([charged(1, limits)]) is not None
    assert book.take([charged(2, limits), charged(0, limits)]) is not None


def test_without_a_cap_nothing_is_charged() -> None:
    assert charge_of(AccountLimits(destinations=("44",)), new(1).message, None) is None


def test_the_next_day_is_utc_s() -> None:
    now = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    assert cap_reached(None, now).retry_after_seconds == 1

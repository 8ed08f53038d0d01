"""Webhooks of single messages: told of those that name them, and of nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from longcode.domain.clock import utc_now
from longcode.domain.events import OF_SENT
from longcode.errors import InvalidField, Refused
from longcode.flow.message_webhooks import TRUSTED_SECONDS, MessageWebhooks
from longcode.store import schema
from longcode.store.limits import AccountLimits, LimitStore
from longcode.store.webhooks import MOST_ENDPOINTS
from tests.flow.hooks import Hooks, seal
from tests.flow.test_webhooks import deliver
from tests.webhooks.endpoint import Endpoint, listening

STEPS = ["message.delivered", "message.queued", "message.sent"]


async def to_the_end(hooks: Hooks) -> None:
    """Everything that waits is sent, delivered and told."""
    await hooks.desk.drain()
    await deliver(hooks.desk)
    await hooks.drain()


@pytest.mark.parametrize("capped", [False, True], ids=["without caps", "counted against caps"])
async def test_each_step_is_told_to_the_endpoint_that_the_message_names(
    hooks: Hooks, endpoint: Endpoint, capped: bool
) -> None:
    if capped:
        limits = AccountLimits(segments_per_day=100, spend_per_day=None, destinations=())
        await LimitStore(hooks.desk.world.database).set(hooks.desk.account.id, limits)
    endpoint_id, secret = await hooks.add(endpoint.url, per_message=True)
    named, _ = await asyncio.gather(hooks.desk.send(endpoint_id=endpoint_id), hooks.desk.send())
    await to_the_end(hooks)
    bodies = [request.verified(secret) for request in endpoint.requests]
    assert sorted(body["type"] for body in bodies) == STEPS
    assert {body["data"]["id"] for body in bodies} == {str(named)}


async def test_it_is_told_besides_what_the_account_subscribed_to(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, per_message=True)
    async with listening() as other:
        await hooks.add(other.url)
        await hooks.desk.send(endpoint_id=endpoint_id)
        await to_the_end(hooks)
        assert sorted(endpoint.ids) == sorted(other.ids)
        assert sorted(endpoint.types) == STEPS


async def test_what_comes_in_is_not_told(hooks: Hooks, endpoint: Endpoint) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, per_message=True)
    for number in ("+12025550111", "+12025550112"):
        await hooks.desk.world.numbers.assign(hooks.desk.account.id, number)
    await hooks.desk.world.accounts.add_sender_id(hooks.desk.account.id, "+12025550111")
    await hooks.desk.send(sender="+12025550111", recipient="+12025550112", endpoint_id=endpoint_id)
    await hooks.drain()
    assert endpoint.types == ["message.delivered"]


async def test_a_disabled_endpoint_is_told_nothing_until_its_period_is_replayed(
    hooks: Hooks, endpoint: Endpoint
) -> None:
    endpoint_id, _ = await hooks.add(endpoint.url, per_message=True)
    await hooks.store.disable(endpoint_id, "by a test")
    await hooks.desk.send(endpoint_id=endpoint_id)
    await hooks.desk.send()
    await to_the_end(hooks)
    assert endpoint.requests == []
    assert await hooks.queued() == []
    await hooks.store.enable(endpoint_id)
    found = await hooks.store.get(endpoint_id)
    hour = timedelta(hours=1)
    assert await hooks.store.replay(found, utc_now() - hour, utc_now() + hour) == 3
    await hooks.drain()
    assert sorted(endpoint.types) == STEPS


async def test_a_url_has_one_endpoint(hooks: Hooks) -> None:
    account_id, store = hooks.desk.account.id, hooks.store
    clock = [0.0]
    world = hooks.desk.world
    webhooks, beside = (
        MessageWebhooks(world.accept, store, world.catalog, seal, now=lambda: clock[0]) for _ in range(2)
    )
    url = "https://example.com/a"
    found = await asyncio.gather(*(one.endpoint_of(account_id, url) for one in (webhooks, beside) for _ in range(5)))
    assert len(set(found)) == 1
    [shown] = await store.page(account_id=account_id, count=10)
    assert (shown.id, shown.url, shown.per_message, shown.types) == (found[0], url, True, OF_SENT)
    with pytest.raises(InvalidField, match="private address"):
        await webhooks.endpoint_of(account_id, "http://127.0.0.1/")
    for number in range(MOST_ENDPOINTS - 1):
        await webhooks.endpoint_of(account_id, f"https://example.com/{number}")
    with pytest.raises(Refused, match="by their reference"):
        await webhooks.endpoint_of(account_id, "https://example.com/one-too-many")
    await store.remove(found[0])
    clock[0] += TRUSTED_SECONDS
    assert await webhooks.endpoint_of(account_id, url) not in found


async def test_what_a_message_named_is_forgotten_once_nothing_can_follow(hooks: Hooks) -> None:
    endpoint_id, _ = await hooks.add("https://example.com/", per_message=True)
    old = await hooks.desk.send(endpoint_id=endpoint_id)
    await hooks.desk.drain()
    waiting = await hooks.desk.send(endpoint_id=endpoint_id)
    moved = await hooks.desk.send(endpoint_id=endpoint_id)
    later = utc_now() + timedelta(days=1)
    async with hooks.desk.world.database.write() as connection:
        table = schema.message
        await connection.execute(update(table).where(table.c.id == moved).values(updated_at=later))
    await hooks.store.purge(later)
    assert {row.message_id for row in await hooks.desk.world.rows("message_webhook")} == {waiting, moved}
    assert old not in {waiting, moved}


@pytest.mark.parametrize("per_message", [False, True], ids=["of everything", "of messages that name them"])
async def test_of_many_at_once_no_more_are_made_than_there_may_be(hooks: Hooks, per_message: bool) -> None:
    async def add(number: int) -> int:
        return (await hooks.add(f"https://hooks.example/{number}", per_message=per_message))[0]

    for number in range(MOST_ENDPOINTS - 2):
        await add(number)
    made = await asyncio.gather(*(add(MOST_ENDPOINTS + number) for number in range(8)), return_exceptions=True)
    assert Counter(map(type, made)) == {int: 2, Refused: 6}

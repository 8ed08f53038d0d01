"""Inbound messages, and the STOP among them, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from longcode.domain.account import Account
from longcode.domain.message import Direction, Status
from longcode.errors import KeyReused, NotOwned, OptedOut, StorageDown
from longcode.flow.accept import SenderRule
from longcode.flow.inbound import Received
from longcode.flow.keywords import is_stop_request
from longcode.flow.mailbox import UnknownLogin
from tests.flow.world import World, open_world, send

OWNED = "+12025550100"
PARTY = "+12025550101"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


def received(account: Account, **changes: Any) -> Received:
    values: dict[str, Any] = {
        "account": account,
        "sender": PARTY,
        "recipient": OWNED,
        "text": "Hello",
        "must_own": True,
    }
    return Received(**values | changes)


@pytest.mark.parametrize("text", ["STOP", "STOP\n", "STOP\r", "STOP\r\n"])
def test_these_texts_stop(text: str) -> None:
    assert is_stop_request(text)


@pytest.mark.parametrize("text", ["", "stop", "Stop", " STOP", "STOP ", "STOP\n\n", "STOP\n\r", "STOP!", "PLEASE STOP"])
def test_these_texts_do_not(text: str) -> None:
    assert not is_stop_request(text)


async def test_a_message_to_an_own_number_is_received(world: World) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    call = received(account, key="a", client_reference="mine", sent_at_seconds=17)
    message = (await world.inbound.take(call)).message
    assert (message.status, message.direction) == (Status.RECEIVED, Direction.INBOUND)
    assert (message.client_reference, message.sent_at_seconds) == ("mine", 17)
    assert [await world.count(table) for table in ("message", "outbox", "mailbox", "stop_request")] == [1, 0, 0, 0]
    assert (await world.inbound.take(call)).replayed
    with pytest.raises(KeyReused):
        await world.inbound.take(received(account, key="a", fingerprint=b"other"))


@pytest.mark.parametrize("recipient", ["12025550100", "+1 202 555 0100", "+12025550102"])
async def test_a_number_that_must_be_owned_is_compared_verbatim(world: World, recipient: str) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    with pytest.raises(NotOwned):
        await world.inbound.take(received(account, recipient=recipient, text="STOP"))
    assert await world.count("message") == 0
    assert await world.count("stop_pair") == 0


async def test_another_account_owns_nothing_here(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    await world.numbers.assign(other.id, OWNED)
    with pytest.raises(NotOwned):
        await world.inbound.take(received(account))
    told = await world.inbound.take(received(account, text="STOP", must_own=False))
    assert told.message.status is Status.RECEIVED
    assert await world.count("stop_pair") == 0
    assert await world.count("stop_request") == 0


async def test_stop_holds_before_the_answer_for_that_direction_and_account_alone(world: World) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    await world.inbound.take(received(account, text="STOP\r\n"))
    back = send(account, sender=OWNED, recipient="1 202 555 0101", sender_rule=SenderRule.VERBATIM_NUMBER)
    with pytest.raises(OptedOut) as refused:
        await world.accept.send(back)
    assert not refused.value.durable
    await world.accept.send(
        send(account, sender=OWNED, sender_rule=SenderRule.VERBATIM_NUMBER, recipient="+12025550109")
    )
    (pair,) = await world.rows("stop_pair")
    assert (pair.account_id, pair.sender, pair.recipient) == (account.id, "12025550100", "12025550101")
    (request,) = await world.rows("stop_request")
    assert (request.account_id, request.sender, request.recipient) == (account.id, OWNED, PARTY)


async def test_stop_twice_is_one_pair(world: World) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    for _ in range(2):
        await world.inbound.take(received(account, text="STOP"))
    assert [await world.count(table) for table in ("stop_pair", "stop_request", "message")] == [1, 2, 2]


async def test_a_stop_that_cannot_be_kept_is_not_stored_and_others_are(world: World) -> None:
    account = await world.account()
    await world.numbers.assign(account.id, OWNED)
    world.expiring.down = True
    with pytest.raises(StorageDown):
        await world.inbound.take(received(account, text="STOP", key="a"))
    assert (await world.inbound.take(received(account))).message.status is Status.RECEIVED
    world.expiring.down = False
    assert not (await world.inbound.take(received(account, text="STOP", key="a"))).replayed


async def test_logins_write_to_each_other_and_no_sms_goes_out(world: World) -> None:
    account = await world.account()
    await world.login(account, "anna", "bert")
    message = (await world.mailbox.send(account, sender="anna", recipient="bert", text="STOP")).message
    assert message.status is Status.DELIVERED
    (boxed,) = await world.rows("mailbox")
    assert (boxed.at, boxed.message_id) == (message.created_at, message.id)
    assert [await world.count(table) for table in ("outbox", "stop_pair", "stop_request")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("sender", "recipient", "unknown"), [("x", "y", "x"), ("anna", "y", "y"), ("Anna", "bert", "Anna")]
)
async def test_an_unknown_login_is_named(world: World, sender: str, recipient: str, unknown: str) -> None:
    account, other = await world.account(), await world.account("other")
    await world.login(account, "anna", "bert")
    await world.login(other, "x", "y", "Anna")
    with pytest.raises(UnknownLogin) as refused:
        await world.mailbox.send(account, sender=sender, recipient=recipient, text="Hello")
    assert refused.value.login == unknown
    assert await world.count("message") == 0

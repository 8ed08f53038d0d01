"""What accept refuses and in which order, and what it stores of the rest, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longcode.domain.account import Account
from longcode.domain.clock import utc_now
from longcode.domain.message import Direction, Schedule, Status
from longcode.errors import (
    InvalidField,
    KeyReused,
    LimitReached,
    NotOwned,
    NotWhitelisted,
    OptedOut,
    Refused,
    StorageDown,
)
from longcode.expiring.port import Pair, Question
from longcode.flow.accept import LOWEST_PRIORITY, NORMAL_PRIORITY, VALIDITY, Send, SenderRule
from longcode.flow.settlement import Entered
from tests.flow.world import LIMIT, World, open_world, send

OWNED = "+1 (202) 555-0100"
RECIPIENT = "+12025550101"
MOMENT = timedelta(minutes=1)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Setting:
    """What stands in a call's way."""

    whitelisted: bool = True
    opted_out: bool = False
    stopped: bool = False
    owned: bool = True
    spent: bool = False


@dataclass(frozen=True, slots=True)
class OrderCase:
    name: str
    rule: SenderRule
    setting: Setting
    refusal: type[Refused] | None
    durable: bool | None = None


ALL = {"opted_out": True, "stopped": True, "owned": False, "spent": True}
VERBATIM, RECORD, SENDER_ID = SenderRule.VERBATIM_NUMBER, SenderRule.NUMBER_OR_RECORD, SenderRule.SENDER_ID
ORDER_CASES = (
    OrderCase("nothing in the way of a sender ID", SENDER_ID, Setting(), None),
    OrderCase("the whitelist comes first", SENDER_ID, Setting(whitelisted=False, **ALL), NotWhitelisted),
    OrderCase("a STOP pair, then the ledger", SENDER_ID, Setting(opted_out=True, stopped=True), OptedOut, False),
    OrderCase("the ledger alone", SENDER_ID, Setting(opted_out=True), OptedOut, True),
    OrderCase("a sender ID owns no number", SENDER_ID, Setting(owned=False), None),
    OrderCase("nothing in the way of a number", VERBATIM, Setting(whitelisted=False), None),
    OrderCase("STOP before ownership and limit", VERBATIM, Setting(stopped=True, owned=False, spent=True), OptedOut),
    OrderCase("the ledger before ownership", VERBATIM, Setting(opted_out=True, owned=False), OptedOut, True),
    OrderCase("ownership before the limit", VERBATIM, Setting(owned=False, spent=True), NotOwned),
    OrderCase("the limit comes last", VERBATIM, Setting(spent=True), LimitReached),
    OrderCase("a foreign number is only recorded, whatever is in the way", RECORD, Setting(**ALL), None),
    OrderCase("an owned number in any spelling is stopped", RECORD, Setting(stopped=True), OptedOut, False),
)


@pytest.mark.parametrize("case", ORDER_CASES, ids=lambda case: case.name)
async def test_refusals_come_in_the_order_of_the_contract(world: World, case: OrderCase) -> None:
    account, other = await world.account(), await world.account("other")
    sender = "MyCorp" if case.rule is SENDER_ID else OWNED if case.rule is VERBATIM else "12025550100"
    canonical = "MyCorp" if case.rule is SENDER_ID else "12025550100"
    if case.setting.whitelisted:
        await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign((account if case.setting.owned else other).id, OWNED)
    if case.setting.opted_out:
        await world.opt_outs.add(account.id, "12025550101", source="operator")
    pair = Pair(account.id, canonical, "12025550101")
    if case.setting.spent:
        await world.expiring.settle([Question(ask=pair, count=True)] * LIMIT)
    if case.setting.stopped:
        await world.expiring.settle([Question(marks=(pair,))])
    call = send(account, sender=sender, recipient=RECIPIENT, sender_rule=case.rule, key="a", counted=True)
    await check_foreseen(world, call, None if case.refusal is LimitReached else case.refusal)
    if case.refusal is None:
        stored = (await world.accept.send(call)).message
        recorded = case.rule is RECORD and not case.setting.owned
        assert (stored.status is Status.RECORDED) == recorded
        assert await world.count("outbox") == (0 if recorded else 1)
        return
    with pytest.raises(case.refusal) as refused:
        await world.accept.send(call)
    if case.durable is not None:
        assert isinstance(refused.value, OptedOut)
        assert refused.value.durable is case.durable
    # Nothing is stored, the key stays free, and only calls that reach the limit were counted.
    assert [await world.count(table) for table in ("message", "outbox", "idempotency")] == [0, 0, 0]
    spent = LIMIT if case.setting.spent else 0
    verdicts = await world.expiring.settle([Question(ask=Pair(account.id, canonical, "1"), count=True)] * LIMIT)
    assert sum(verdict.over_limit_seconds == 0 for verdict in verdicts) == LIMIT - spent


async def check_foreseen(world: World, call: Send, refusal: type[Refused] | None) -> None:
    """What would become of a call is told, however often, and nothing is stored or counted for it."""
    for _ in range(LIMIT + 1):
        if refusal is None:
            assert await world.accept.foresee(call) is None
            continue
        with pytest.raises(refusal):
            await world.accept.foresee(call)
    assert [await world.count(table) for table in ("message", "outbox", "idempotency")] == [0, 0, 0]


async def test_what_is_foreseen_of_a_repeat_is_its_first_message(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    call = send(account, key="a", fingerprint=b"1")
    first = (await world.accept.send(call)).message
    assert await world.accept.foresee(call) == Entered(first, replayed=True)
    with pytest.raises(KeyReused):
        await world.accept.foresee(replace(call, fingerprint=b"2"))


async def test_the_limit_counts_accepted_calls_of_each_sender_and_account(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    for one in (account, other):
        for sender_id in ("MyCorp", "Other"):
            await world.accounts.add_sender_id(one.id, sender_id)
    for _ in range(LIMIT):
        await world.accept.send(send(account, counted=True))
    with pytest.raises(LimitReached):
        await world.accept.send(send(account, counted=True))
    await world.accept.send(send(account, sender="Other", counted=True))
    await world.accept.send(send(other, counted=True))
    await world.accept.send(send(account))


async def test_only_counted_calls_need_the_expiring_state(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    world.expiring.down = True
    with pytest.raises(StorageDown):
        await world.accept.send(send(account, counted=True))
    assert (await world.accept.send(send(account))).message.status is Status.ACCEPTED


@dataclass(frozen=True, slots=True)
class StoredCase:
    name: str
    changes: dict[str, Any]
    columns: dict[str, Any]


STORED_CASES = (
    StoredCase("the client's own time is kept", {"sent_at_seconds": 17}, {"sent_at_seconds": 17}),
    StoredCase("the client's own name is kept", {"client_reference": "x"}, {"client_reference": "x"}),
    StoredCase("160 septets are one segment", {"text": "a" * 160}, {"encoding": "gsm7", "segment_count": 1}),
    StoredCase("161 septets are two", {"text": "a" * 161}, {"encoding": "gsm7", "segment_count": 2}),
    StoredCase("an extension character takes two septets", {"text": "€" * 81}, {"segment_count": 2}),
    StoredCase("70 UTF-16 units are one segment", {"text": "я" * 70}, {"encoding": "ucs2", "segment_count": 1}),
    StoredCase("71 units are two", {"text": "я" * 71}, {"encoding": "ucs2", "segment_count": 2}),
    StoredCase("a recipient is kept verbatim", {"recipient": "+1 202-555-0102"}, {"recipient": "+1 202-555-0102"}),
    StoredCase("an empty text is one segment", {"text": ""}, {"text": "", "segment_count": 1}),
)


@pytest.mark.parametrize("case", STORED_CASES, ids=lambda case: case.name)
async def test_what_is_stored_of_a_call(world: World, case: StoredCase) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    answered = (await world.accept.send(send(account, **case.changes))).message
    assert {name: getattr(answered, name) for name in case.columns} == case.columns
    assert await world.message(answered.id) == answered


async def test_a_routed_message_is_queued_for_a_day_at_normal_priority(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    carrier_id = await world.route()
    message = (await world.accept.send(send(account))).message
    (queued,) = await world.rows("outbox")
    assert message.status is Status.QUEUED
    assert (queued.message_id, queued.account_id, queued.carrier_id) == (message.id, account.id, carrier_id)
    assert (queued.priority, queued.deferrals, queued.leased_until) == (NORMAL_PRIORITY, 0, None)
    assert timedelta() <= queued.due_at - message.created_at < MOMENT
    assert queued.expires_at - queued.due_at == VALIDITY == timedelta(days=1)
    assert world.kicked == [f"dispatch {carrier_id}"]


async def test_a_message_may_have_a_priority_a_time_and_a_validity_of_its_own(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.route()
    later = utc_now() + timedelta(hours=3)
    changes = {"priority": 0, "due_at": later, "validity": timedelta(minutes=5)}
    message = (await world.accept.send(send(account, **changes))).message
    (queued,) = await world.rows("outbox")
    assert message.status is Status.SCHEDULED
    assert (queued.priority, queued.due_at, queued.expires_at) == (0, later, later + timedelta(minutes=5))
    assert message.schedule == Schedule(send_at=later, priority=0, expires_at=later + timedelta(minutes=5))


async def test_a_time_that_is_over_is_now(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.route()
    message = (await world.accept.send(send(account, due_at=utc_now() - timedelta(days=2)))).message
    (queued,) = await world.rows("outbox")
    assert message.status is Status.QUEUED
    assert timedelta() <= queued.due_at - message.created_at < MOMENT
    assert queued.expires_at - queued.due_at == VALIDITY


async def test_a_scheduled_message_to_a_number_of_this_server_takes_its_route_when_it_is_due(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign(account.id, RECIPIENT)
    message = (await world.accept.send(send(account, due_at=utc_now() + timedelta(hours=1)))).message
    assert message.status is Status.SCHEDULED
    assert await world.count("outbox") == 1
    carrier_id = await world.route()
    await world.rerouting.run()
    assert await world.status(message.id) == (Status.SCHEDULED, None)
    assert (await world.rows("outbox"))[0].carrier_id == carrier_id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"priority": -1}, "priority"),
        ({"priority": LOWEST_PRIORITY + 1}, "priority"),
        ({"due_at": datetime(2030, 1, 1)}, "due_at"),  # noqa: DTZ001 - what is refused
        ({"validity": timedelta()}, "validity"),
        ({"due_at": datetime.max.replace(tzinfo=UTC), "validity": timedelta(seconds=1)}, "due_at"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        send(Account(1, "acme"), **changes)
    assert refused.value.field == field


async def test_an_unrouted_message_is_accepted_and_waits_without_a_carrier(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.route(prefix="44")
    message = (await world.accept.send(send(account))).message
    assert message.status is Status.ACCEPTED
    assert [row.carrier_id for row in await world.rows("outbox")] == [None]
    assert world.kicked == []


async def test_routes_go_by_longest_prefix_then_priority_and_belong_to_accounts(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    for one in (account, other):
        await world.accounts.add_sender_id(one.id, "MyCorp")
    carriers = {name: await world.catalog_store.add_carrier(name, "simulator", {}) for name in "abcd"}
    add = world.catalog_store.add_route
    await add("a", prefix="", account_id=None, priority=9)
    await add("b", prefix="1", account_id=None, priority=1)
    await add("c", prefix="1", account_id=None, priority=2)
    await add("d", prefix="1202", account_id=other.id, priority=0)

    async def carrier_of(sender: Account, recipient: str) -> int:
        message = (await world.accept.send(send(sender, recipient=recipient))).message
        return {row.message_id: row.carrier_id for row in await world.rows("outbox")}[message.id]

    assert await carrier_of(account, "+12025550101") == carriers["c"]
    assert await carrier_of(other, "+12025550101") == carriers["d"]
    assert await carrier_of(account, "+442079460101") == carriers["a"]
    # A route that was added after the catalogue was read is seen by the very next call.
    await add("b", prefix="12025550", account_id=None, priority=0)
    assert await carrier_of(account, "+12025550101") == carriers["b"]


@dataclass(frozen=True, slots=True)
class AnonymousCase:
    name: str
    drivers: tuple[str, ...]
    sends: bool
    driver: str | None


ANONYMOUS_CASES = (
    AnonymousCase("reach the simulator", ("simulator",), False, "simulator"),
    AnonymousCase("pass a better route to another carrier over", ("smpp", "simulator"), False, "simulator"),
    AnonymousCase("are refused where no route leads to a simulator", ("smpp",), False, None),
    AnonymousCase("are refused where there is no route", (), False, None),
    AnonymousCase("reach every carrier where the operator lets them", ("smpp", "simulator"), True, "smpp"),
)


@pytest.mark.parametrize("case", ANONYMOUS_CASES, ids=lambda case: case.name)
async def test_anonymous_calls(database_url: str, case: AnonymousCase) -> None:
    async with open_world(database_url, anonymous_sends=case.sends) as world:
        account = await world.anonymous()
        await world.accounts.add_sender_id(account.id, "MyCorp")
        carriers = {await world.route(name, "1" if name == "smpp" else ""): name for name in case.drivers}
        if case.driver is None:
            with pytest.raises(Refused):
                await world.accept.send(send(account))
            assert await world.count("message") == 0
            return
        await world.accept.send(send(account))
        (queued,) = await world.rows("outbox")
        assert carriers[queued.carrier_id] == case.driver


@pytest.mark.parametrize("sends", [False, True], ids=["not", "where the operator lets them"])
async def test_anonymous_calls_reach_another_accounts_number(database_url: str, sends: bool) -> None:
    async with open_world(database_url, anonymous_sends=sends) as world:
        account, other = await world.anonymous(), await world.account()
        await world.accounts.add_sender_id(account.id, "MyCorp")
        await world.numbers.assign(other.id, OWNED)
        await world.route("simulator", "")
        await world.accept.send(send(account, recipient="12025550100", text="STOP"))
        assert [await world.count(table) for table in ("message", "mailbox", "outbox", "stop_request")] == (
            [2, 1, 0, 1] if sends else [1, 0, 1, 0]
        )


async def test_a_message_to_a_number_of_the_same_account_is_one_row(world: World) -> None:
    account = await world.account()
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign(account.id, OWNED)
    message = (await world.accept.send(send(account, recipient="12025550100"))).message
    assert (message.status, message.direction) == (Status.DELIVERED, Direction.OUTBOUND)
    assert [await world.count(table) for table in ("message", "mailbox", "outbox")] == [1, 1, 0]
    assert world.kicked == []


async def test_a_time_to_come_is_not_taken_over_by_another_account(world: World) -> None:
    account, peer = await world.account(), await world.account("peer")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign(peer.id, OWNED)
    await world.accept.send(send(account, recipient="12025550100", sent_at_seconds=2**63 - 1))
    (boxed,) = await world.rows("mailbox")
    arrived = await world.message(boxed.message_id)
    assert arrived.sent_at_seconds == int(arrived.created_at.timestamp())


async def test_a_message_to_a_number_of_another_account_is_a_row_for_each(world: World) -> None:
    account, peer = await world.account(), await world.account("peer")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign(peer.id, OWNED)
    call = send(account, recipient="12025550100", key="a", client_reference="mine", sent_at_seconds=17)
    message = (await world.accept.send(call)).message
    assert (message.account_id, message.status, message.recipient) == (account.id, Status.DELIVERED, "12025550100")
    (boxed,) = await world.rows("mailbox")
    assert (boxed.account_id, boxed.recipient, boxed.sender) == (peer.id, OWNED, "MyCorp")
    arrived = await world.message(boxed.message_id)
    assert (arrived.account_id, arrived.status, arrived.direction) == (peer.id, Status.RECEIVED, Direction.INBOUND)
    # What the sender's client calls its message is none of the peer's business.
    assert (arrived.client_reference, arrived.sent_at_seconds, arrived.text) == (None, 17, "Hello")
    assert await world.messages.get(peer.id, message.id) is None
    assert await world.messages.get(account.id, arrived.id) is None
    again = await world.accept.send(call)
    assert (again.replayed, again.message.id) == (True, message.id)
    assert [await world.count(table) for table in ("message", "mailbox", "outbox")] == [2, 1, 0]


async def test_an_inventory_entry_that_the_operator_did_not_assign_receives_nothing(world: World) -> None:
    account, peer = await world.account(), await world.account("peer")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    async with world.database.write() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO number (account_id, value, digits, monthly_price, setup_price, currency, assigned, created_at)"
            f" SELECT {peer.id}, '+12025550100', '12025550100', 0, 0, 'U$', false, created_at FROM account"
            f" WHERE id = {peer.id}"
        )
    message = (await world.accept.send(send(account, recipient="+12025550100"))).message
    assert message.status is Status.ACCEPTED
    assert await world.count("mailbox") == 0


async def test_stop_between_two_numbers_of_this_server_stops_the_owner(world: World) -> None:
    writer, owner = await world.account("writer"), await world.account("owner")
    await world.numbers.assign(writer.id, RECIPIENT)
    await world.numbers.assign(owner.id, OWNED)
    stop = send(writer, sender=RECIPIENT, recipient=OWNED, text="STOP", sender_rule=VERBATIM)
    await world.accept.send(stop)
    back = send(owner, sender=OWNED, recipient=RECIPIENT, sender_rule=VERBATIM)
    with pytest.raises(OptedOut):
        await world.accept.send(back)
    # Only that pair, only that direction, and kept for the rebuilding of the pairs.
    await world.accept.send(send(writer, sender=RECIPIENT, recipient=OWNED, sender_rule=VERBATIM))
    (request,) = await world.rows("stop_request")
    assert (request.account_id, request.sender, request.recipient) == (owner.id, OWNED, RECIPIENT)


async def test_stop_on_net_is_not_taken_where_it_cannot_be_kept(world: World) -> None:
    account, owner = await world.account(), await world.account("owner")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.numbers.assign(owner.id, OWNED)
    world.expiring.down = True
    with pytest.raises(StorageDown):
        await world.accept.send(send(account, recipient=OWNED, text="STOP"))
    assert await world.count("message") == 0


async def test_a_key_that_is_taken_can_be_asked_for(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.accept.send(send(account, key="a"))
    with pytest.raises(KeyReused):
        await world.accept.refuse_used_key(account, "a")
    await world.accept.refuse_used_key(account, "b")
    await world.accept.refuse_used_key(other, "a")


async def test_a_sender_id_is_checked_exactly(world: World) -> None:
    account, other = await world.account(), await world.account("other")
    await world.accounts.add_sender_id(account.id, "MyCorp")
    await world.accept.check_sender_id(account, "MyCorp")
    for one, sender in ((account, "mycorp"), (account, "MyCorp "), (other, "MyCorp")):
        with pytest.raises(NotWhitelisted):
            await world.accept.check_sender_id(one, sender)

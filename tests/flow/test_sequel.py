"""What follows from a message to a number: the ledger, an answer, a mailbox; each once, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from longcode.carriers.port import InboundSms
from longcode.domain.account import Account
from longcode.domain.clock import mint_id
from longcode.domain.events import EventType
from longcode.domain.message import Direction, Message, Status
from longcode.domain.words import Meaning
from longcode.errors import OptedOut, StorageDown
from longcode.flow.accept import REPLY_PRIORITY, SenderRule
from longcode.flow.arrival import Arrivals
from longcode.store.arrivals import ArrivalStore
from longcode.store.sequels import REPLIES_AT_MOST, REPLIES_WITHIN
from longcode.store.timeline import TimelineStore
from longcode.store.webhooks import WebhookStore
from longcode.store.words import EVERY_NUMBER, HeardWord, InboundRoute, Keyword, KeywordReply
from tests.flow.desk import open_desk
from tests.flow.world import HandClock, World, open_world, send

OURS, OURS_TOO = "+1 (202) 555-0190", "12025550191"
OURS_DIGITS = "12025550190"
ANNA, BERT = "12025550101", "12025550102"

_serial = itertools.count(1)


def sms(text: str, **changes: Any) -> InboundSms:
    """A message from Anna to our number, changed as said; each one another delivery."""
    values: dict[str, Any] = {
        "carrier_id": 7,
        "sender": ANNA,
        "recipient": OURS_DIGITS,
        "text": text,
        "fingerprint": next(_serial).to_bytes(8, "big"),
    }
    return InboundSms(**values | changes)


@dataclass(frozen=True, slots=True)
class Desk:
    """An account `acme` with two numbers and a route, and what carriers deliver to it."""

    world: World
    clock: HandClock
    account: Account
    carrier_id: int
    shown: set[Any] = field(default_factory=set)

    def arrivals(self, world: World | None = None) -> Arrivals:
        world = world or self.world
        store = ArrivalStore(world.database, world.clock, mint_id)
        return Arrivals(
            intake=world.intake, store=store, clock=world.clock, mint_id=mint_id, compose=world.accept.compose
        )

    async def take(self, *batch: InboundSms) -> None:
        await self.arrivals().take(batch)

    async def replies(self) -> list[tuple[str, str, str]]:
        """(sender, recipient, text) of each answer that was not shown before."""
        ids = sorted(row.message_id for row in await self.world.rows("auto_reply") if row.message_id not in self.shown)
        self.shown.update(ids)
        found = await self.world.store.messages(ids)
        return [(found[id_].sender, found[id_].recipient, found[id_].text) for id_ in ids]

    async def is_stopped(self, sender: str = OURS, recipient: str = ANNA) -> bool:
        """Whether the ledger keeps this number from writing, as accept sees it."""
        call = send(self.account, sender=sender, recipient=recipient, sender_rule=SenderRule.VERBATIM_NUMBER)
        try:
            await self.world.accept.send(call)
        except OptedOut as refused:
            return refused.durable
        return False

    async def word(self, word: str, meaning: Meaning, **changes: Any) -> None:
        values = {"account_id": self.account.id, "number": EVERY_NUMBER, "word": word, "meaning": meaning}
        await self.world.words.set_keyword(Keyword(**values | changes))

    async def answer(self, meaning: Meaning, text: str, number: str = EVERY_NUMBER, language: str = "") -> None:
        await self.world.words.set_reply(
            KeywordReply(account_id=self.account.id, number=number, meaning=meaning, language=language, text=text)
        )


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    clock = HandClock()
    async with open_world(database_url, clock=clock) as world:
        account = await world.account()
        for number in (OURS, OURS_TOO):
            await world.numbers.assign(account.id, number)
        yield Desk(world, clock, account, await world.route())


async def test_a_stop_keeps_that_number_from_writing_and_is_confirmed_by_it_all_the_same(desk: Desk) -> None:
    await desk.take(sms("Stop!"))
    assert [await desk.is_stopped(), await desk.is_stopped(OURS_TOO), await desk.is_stopped(OURS, BERT)] == [
        True,
        False,
        False,
    ]
    assert await desk.replies() == [
        (OURS, ANNA, "acme: You will get no more messages from this number. Reply START to get them again.")
    ]
    (row,) = [row for row in await desk.world.rows("outbox") if row.priority == REPLY_PRIORITY]
    assert (row.account_id, row.carrier_id) == (desk.account.id, desk.carrier_id)
    assert f"dispatch {desk.carrier_id}" in desk.world.kicked
    (event,) = await desk.world.opt_outs.history(ANNA, count=9)
    (inbound,) = [row for row in await desk.world.rows("message") if row.direction == Direction.INBOUND]
    assert (event.change, event.sender, event.source, event.keyword, event.message_id, event.at) == (
        "created",
        OURS_DIGITS,
        "keyword",
        "stop",
        inbound.id,
        desk.clock.now,
    )
    assert await desk.world.count("stop_request") == await desk.world.count("stop_pair") == 0


async def test_dispatch_sends_the_confirmation_and_nothing_else_to_who_opted_out(desk: Desk) -> None:
    call = send(desk.account, sender=OURS, recipient=ANNA, sender_rule=SenderRule.VERBATIM_NUMBER)
    waiting = (await desk.world.accept.send(call)).message
    await desk.take(sms("stop"))
    (confirmation,) = await desk.world.rows("auto_reply")
    messages = [waiting, await desk.world.message(confirmation.message_id)]
    assert await desk.world.stops.stopped(messages) == {waiting.id}


async def test_the_confirmation_reaches_the_carrier_and_what_was_waiting_does_not(database_url: str) -> None:
    async with open_desk(database_url) as line:
        await line.world.numbers.assign(line.account.id, OURS)
        waiting = await line.send(sender=OURS, recipient=ANNA, sender_rule=SenderRule.VERBATIM_NUMBER)
        clock = HandClock()
        await Desk(line.world, clock, line.account, line.carrier_id).take(sms("STOP"))
        await line.drain()
        assert [(one.sender, one.recipient) for one in line.driver.submitted] == [(OURS, ANNA)]
        assert line.driver.submitted[0].text.startswith("acme: You will get no more messages")
        assert await line.status(waiting) == (Status.FAILED, "opted_out")
        assert await line.status(line.driver.submitted[0].message_id) == (Status.SENT, None)


async def test_each_opt_out_is_confirmed_once_and_each_return(desk: Desk) -> None:
    delivery = sms("STOP")
    await desk.take(delivery)
    assert len(await desk.replies()) == 1
    await desk.take(delivery)
    await desk.take(sms("STOP"), sms("end"))
    assert await desk.replies() == []
    await desk.take(sms("START"))
    assert [text for *_, text in await desk.replies()] == [
        "acme: You will get messages from this number again. Reply STOP to end them, HELP for help."
    ]
    assert not await desk.is_stopped()
    await desk.take(sms("yes"), sms("Unstop"))
    assert await desk.replies() == []
    await desk.take(sms("STOP"))
    assert len(await desk.replies()) == 1
    history = await desk.world.opt_outs.history(ANNA, count=9)
    assert [(event.change, event.keyword) for event in history] == [
        ("created", "stop"),
        ("removed", "start"),
        ("created", "stop"),
    ]


async def test_stop_all_is_for_every_number_and_start_to_one_lifts_it(desk: Desk) -> None:
    await desk.take(sms("stop all"))
    assert await desk.is_stopped()
    assert await desk.is_stopped(OURS_TOO)
    assert "no more messages from us at all" in (await desk.replies())[0][2]
    await desk.take(sms("STOP", recipient=OURS_TOO))
    assert await desk.replies() == []
    await desk.take(sms("START"))
    assert not await desk.is_stopped()
    assert await desk.is_stopped(OURS_TOO)


async def test_words_of_one_delivery_count_in_their_order(desk: Desk) -> None:
    await desk.take(*(sms(text) for text in ("stop", "start", "stop", "start", "Hello", "STOP")))
    assert await desk.is_stopped()
    assert len(await desk.world.opt_outs.history(ANNA, count=9)) == 5


async def test_many_stops_at_once_are_confirmed_once(desk: Desk, database_url: str) -> None:
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(open_world(database_url, clock=desk.clock)) for _ in range(3)]
        await asyncio.gather(
            *(desk.arrivals(world).take([sms("STOP")]) for world in [desk.world, *worlds] for _ in range(4))
        )
    assert len(await desk.replies()) == 1
    assert len(await desk.world.opt_outs.history(ANNA, count=99)) == 1
    assert await desk.world.count("inbound_word") == 16


async def test_a_commit_whose_answer_is_lost_is_not_made_twice(desk: Desk) -> None:
    async def lose() -> None:
        raise StorageDown("the connection is gone")

    desk.world.store.after.append(lose)
    await desk.take(sms("STOP"), sms("HELP"), sms("Hello"))
    assert len(await desk.replies()) == 2
    assert [await desk.world.count(table) for table in ("opt_out_event", "inbound_word")] == [1, 2]


async def test_what_could_not_be_stored_leaves_nothing_behind(desk: Desk) -> None:
    async def fail() -> None:
        raise StorageDown("the database is away")

    desk.world.store.before.extend([fail] * 3)
    delivery = sms("STOP")
    with pytest.raises(StorageDown):
        await desk.take(delivery)
    assert [await desk.world.count(table) for table in ("message", "opt_out_event", "auto_reply")] == [0, 0, 0]
    await desk.take(delivery)
    assert len(await desk.replies()) == 1


async def test_help_is_answered_also_to_who_opted_out_but_not_for_ever(desk: Desk) -> None:
    await desk.take(sms("STOP"))
    await desk.replies()
    for _ in range(REPLIES_AT_MOST + 3):
        await desk.take(sms("help"), sms("Info?", sender=BERT))
    told = await desk.replies()
    assert len(told) == 2 * REPLIES_AT_MOST
    assert set(told) == {
        (OURS, party, "acme: Reply STOP to get no more messages from this number, STOPALL for none of ours.")
        for party in (ANNA, BERT)
    }
    desk.clock.now += REPLIES_WITHIN + timedelta(seconds=1)
    await desk.take(sms("help"))
    assert len(await desk.replies()) == 1


@pytest.mark.parametrize("sender", ["MyBank", "55501", "747474", "1" * 16])
async def test_who_cannot_be_written_to_opts_out_and_gets_no_answer(desk: Desk, sender: str) -> None:
    await desk.take(sms("STOP", sender=sender), sms("HELP", sender=sender))
    assert await desk.is_stopped(OURS, sender)
    assert await desk.replies() == []


async def test_what_may_be_meant_as_a_stop_is_flagged_and_changes_nothing(desk: Desk) -> None:
    await desk.world.words.set_route(InboundRoute(account_id=desk.account.id, number=OURS_DIGITS, reply="Thanks"))
    await desk.take(sms("STOPP"), sms("please stop"), sms("Stop texting me"), sms("Hello"))
    assert not await desk.is_stopped()
    flagged = await desk.world.words.doubtful(desk.account.id, count=9)
    assert [message.text for message in flagged] == ["STOPP", "please stop", "Stop texting me"]
    later = await desk.world.words.doubtful(desk.account.id, after=str(flagged[0].id), count=1)
    assert later == flagged[1:2]
    assert await desk.world.words.doubtful(desk.account.id + 1, count=9) == []
    history = await TimelineStore(desk.world.database).history(flagged[0].id)
    assert history is not None
    assert history.heard == HeardWord(Meaning.DOUBTFUL, "")
    assert [text for *_, text in await desk.replies()] == ["Thanks"]


async def test_an_accounts_own_words_count_before_the_standard_ones(desk: Desk) -> None:
    await desk.word("arret", Meaning.STOP, language="fr")
    await desk.word("yes", Meaning.NOTHING)
    await desk.word("info", Meaning.ANSWER, reply="{account} is open from 9 to 5")
    await desk.word("hours", Meaning.ANSWER, number="12025550191", reply="Only here")
    await desk.answer(Meaning.STOP, "{account}: c'est fini", language="fr")
    await desk.take(sms("ARRÊT"))
    assert await desk.is_stopped()
    await desk.take(sms("yes"))
    assert await desk.is_stopped()
    assert [text for *_, text in await desk.replies()] == ["acme: c'est fini"]
    await desk.take(sms("Info"), sms("info", sender=BERT), sms("hours", sender=BERT))
    await desk.take(sms("hours", sender=BERT, recipient=OURS_TOO), sms("arreet", sender=BERT))
    # Anna, who opted out, gets only what the law asks for.
    assert [(party, text) for _, party, text in await desk.replies()] == [
        (BERT, "acme is open from 9 to 5"),
        (BERT, "Only here"),
    ]
    assert [one.text for one in await desk.world.words.doubtful(desk.account.id, count=9)] == ["arreet"]


async def test_answers_are_changed_and_turned_off_for_an_account_or_a_number(desk: Desk) -> None:
    await desk.answer(Meaning.STOP, "")
    await desk.answer(Meaning.STOP, "Bye from {account}", number=OURS_DIGITS)
    await desk.take(sms("STOP"), sms("STOP", recipient=OURS_TOO))
    assert await desk.is_stopped()
    assert await desk.is_stopped(OURS_TOO)
    assert await desk.replies() == [(OURS, ANNA, "Bye from acme")]
    assert await desk.world.words.remove_reply(desk.account.id, OURS_DIGITS, Meaning.STOP, "")
    assert not await desk.world.words.remove_reply(desk.account.id, OURS_DIGITS, Meaning.STOP, "")
    await desk.take(sms("START"), sms("STOP"))
    assert len(await desk.replies()) == 1


async def test_a_number_may_answer_every_text_and_put_it_into_a_mailbox(desk: Desk) -> None:
    await desk.world.login(desk.account, "desk")
    route = InboundRoute(account_id=desk.account.id, number=OURS_DIGITS, login="desk", reply="Thanks from {account}")
    await desk.world.words.set_route(route)
    delivery = sms("Hello")
    await desk.take(delivery)
    await desk.take(delivery, sms("STOP", sender=BERT), sms("Hi", recipient=OURS_TOO))
    boxed = sorted((row.recipient, row.sender) for row in await desk.world.rows("mailbox"))
    assert boxed == sorted([(OURS, ANNA), ("desk", ANNA), (OURS, BERT), ("desk", BERT), (OURS_TOO, ANNA)])
    told = await desk.replies()
    assert [(party, text) for _, party, text in told if party == ANNA] == [(ANNA, "Thanks from acme")]
    assert len(told) == 2
    await desk.world.opt_outs.add(desk.account.id, ANNA, source="operator")
    await desk.take(sms("Hello?"))
    assert await desk.replies() == []
    assert await desk.world.words.remove_route(desk.account.id, OURS_DIGITS)
    assert not await desk.world.words.remove_route(desk.account.id, OURS_DIGITS)
    await desk.take(sms("Hello!", sender=BERT))
    assert await desk.replies() == []


async def test_a_number_may_tell_one_endpoint_alone_of_its_messages(desk: Desk) -> None:
    hooks = WebhookStore(desk.world.database, desk.clock)
    one, two, deaf = [
        await hooks.add(desk.account.id, "https://example.com/", types, secret="", allow_private=False)
        for types in ([EventType.MESSAGE_RECEIVED], list(EventType), [EventType.MESSAGE_SENT])
    ]
    for number, webhook_id in ((OURS_DIGITS, one), (OURS_TOO, deaf)):
        route = InboundRoute(account_id=desk.account.id, number=number, webhook_id=webhook_id)
        await desk.world.words.set_route(route)
    await desk.take(sms("Hello"), sms("HELP", sender=BERT))
    queued = {(row.event_id, row.endpoint_id) for row in await desk.world.rows("webhook_queue")}
    told = {row.id: row.type for row in await desk.world.rows("event")}
    assert sorted((told[event_id], endpoint_id) for event_id, endpoint_id in queued) == [
        ("message.queued", two),
        ("message.received", one),
        ("message.received", one),
    ]
    # An endpoint that does not hear of messages keeps nobody else from hearing of them.
    await desk.take(sms("Hello", recipient=OURS_TOO))
    assert sorted(row.endpoint_id for row in await desk.world.rows("webhook_queue"))[-2:] == [two, two]
    assert await desk.world.count("webhook_queue") == 5


async def test_without_a_route_the_answer_waits_for_one(database_url: str) -> None:
    async with open_world(database_url) as world:
        account = await world.account()
        await world.numbers.assign(account.id, OURS)
        store = ArrivalStore(world.database, world.clock, mint_id)
        arrivals = Arrivals(
            intake=world.intake, store=store, clock=world.clock, mint_id=mint_id, compose=world.accept.compose
        )
        await arrivals.take([sms("STOP")])
        (row,) = await world.rows("outbox")
        assert (await world.status(row.message_id), row.carrier_id) == ((Status.ACCEPTED, None), None)


@dataclass(frozen=True, slots=True)
class OnNet:
    """Two accounts of one server."""

    desk: Desk
    other: Account

    async def send(self, text: str, *, account: Account | None = None, **changes: Any) -> Message:
        values: dict[str, Any] = {"sender": BERT, "recipient": OURS, "text": text, "keywords": True}
        rule = {"sender_rule": SenderRule.VERBATIM_NUMBER}
        return (await self.desk.world.accept.send(send(account or self.other, **values | rule | changes))).message


@pytest.fixture
async def on_net(desk: Desk) -> OnNet:
    other = await desk.world.account("other")
    await desk.world.numbers.assign(other.id, BERT)
    return OnNet(desk, other)


async def test_words_between_numbers_of_this_server_count_where_the_sender_asks_for_it(on_net: OnNet) -> None:
    await on_net.send("end")
    assert await on_net.desk.is_stopped(OURS, BERT)
    (told,) = await on_net.desk.replies()
    assert told[:2] == (OURS, BERT)
    stored = {(row.account_id, row.direction, row.status) for row in await on_net.desk.world.rows("message")}
    assert (on_net.other.id, "inbound", "received") in stored
    assert await on_net.desk.world.count("outbox") == 0
    assert await on_net.desk.world.count("stop_request") == 0


async def test_elsewhere_only_the_pair_is_kept_as_ever(on_net: OnNet) -> None:
    await on_net.send("STOP", keywords=False)
    await on_net.send("HELP", keywords=False)
    assert [await on_net.desk.world.count(table) for table in ("stop_pair", "opt_out_event", "auto_reply")] == [1, 0, 0]


async def test_machines_of_this_server_do_not_answer_each_other(on_net: OnNet) -> None:
    for account, number in ((on_net.desk.account, OURS_DIGITS), (on_net.other, BERT)):
        await on_net.desk.world.words.set_route(InboundRoute(account_id=account.id, number=number, reply="I am away"))
    await on_net.send("Hello")
    assert len(await on_net.desk.replies()) == 1


async def test_an_account_does_not_answer_itself(on_net: OnNet) -> None:
    await on_net.send("HELP", account=on_net.desk.account, sender=OURS_TOO)
    await on_net.desk.take(sms("HELP", sender=OURS_TOO))
    assert await on_net.desk.replies() == []
    await on_net.send("STOP", account=on_net.desk.account, sender=OURS_TOO)
    assert await on_net.desk.is_stopped(OURS, OURS_TOO)

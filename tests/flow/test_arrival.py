"""Arrivals: nothing that a carrier delivers is lost, nothing is doubled, whatever happens in between."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longcode.carriers.port import InboundPart, InboundSms
from longcode.domain.account import Account
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Direction, Message, Status
from longcode.encoding.segments import Encoding
from longcode.errors import StorageDown
from longcode.flow.accept import SenderRule
from longcode.flow.arrival import PARTS_KNOWN, PARTS_TIMEOUT, REPEATED_WITHIN, Arrivals
from longcode.store.arrivals import DELIVERIES, ArrivalStore, Finished
from longcode.store.part_sets import PartSet
from tests.flow.world import HandClock, World, open_world, send

CARRIER = 7
SECOND = timedelta(seconds=1)
OURS = "+1 (202) 555-0101"  # as the operator wrote it
OURS_ON_THE_WIRE = "12025550101"
SOMEBODY = "12025550102"
NOBODYS = "12025550199"

_serial = itertools.count(1)


def sms(text: str = "Hello", **changes: Any) -> InboundSms:
    """A whole message to our number, changed as said; each one another delivery."""
    values: dict[str, Any] = {
        "carrier_id": CARRIER,
        "sender": SOMEBODY,
        "recipient": OURS_ON_THE_WIRE,
        "text": text,
        "part": None,
        "fingerprint": next(_serial).to_bytes(8, "big"),
    }
    return InboundSms(**values | changes)


def cut(*texts: str, reference: int = 1, **changes: Any) -> list[InboundSms]:
    """A message in parts, in order."""
    return [sms(text, part=InboundPart(reference, len(texts), n), **changes) for n, text in enumerate(texts)]


class BreakingStore(ArrivalStore):
    """The real store, by a clock that is told when to move, in a process that dies.

    The named step fails, once, ahead of it or behind its commit.
    """

    def __init__(self, world: World, broken: str = "") -> None:
        super().__init__(world.database, world.clock, mint_id)
        self._broken = broken

    def _fail_at(self, step: str) -> None:
        if step == self._broken:
            self._broken = ""
            raise StorageDown(f"broken {step}")

    async def now(self) -> datetime:
        return self._clock()

    async def keep(self, parts: Sequence[InboundSms], *, patience: timedelta) -> list[PartSet]:
        self._fail_at("before keep")
        due = await super().keep(parts, patience=patience)
        self._fail_at("after keep")
        return due

    async def finish(self, finished: Sequence[Finished]) -> None:
        self._fail_at("before finish")
        await super().finish(finished)
        self._fail_at("after finish")

    async def keep_unowned(self, *args: Any) -> None:
        self._fail_at("before keep_unowned")
        await super().keep_unowned(*args)
        self._fail_at("after keep_unowned")


def arrivals_of(world: World, broken: str = "") -> Arrivals:
    """Arrivals as one more process has them."""
    return Arrivals(
        intake=world.intake,
        store=BreakingStore(world, broken),
        clock=world.clock,
        mint_id=mint_id,
        compose=world.accept.compose,
    )


@dataclass(frozen=True, slots=True)
class Desk:
    """One process that takes deliveries to one account's number."""

    world: World
    clock: HandClock
    account: Account
    arrivals: Arrivals

    async def take(self, *batch: InboundSms) -> None:
        await self.arrivals.take(batch)

    async def sweep_after(self, pause: timedelta) -> None:
        self.clock.now += pause
        await self.arrivals.sweep()

    async def messages(self) -> list[Message]:
        """All messages that came in, in the order of their arrival."""
        rows = await self.world.rows("message")
        ids = sorted(row.id for row in rows if row.direction == Direction.INBOUND)
        stored = await self.world.store.messages(ids)
        return [stored[id_] for id_ in ids]

    async def texts(self) -> list[tuple[str, str | None]]:
        return [(message.text, message.error) for message in await self.messages()]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    clock = HandClock()
    async with open_world(database_url, clock=clock) as world:
        yield await desk_of(world, clock)


async def desk_of(world: World, clock: HandClock) -> Desk:
    account = await world.account()
    await world.numbers.assign(account.id, OURS)
    return Desk(world, clock, account, arrivals_of(world))


async def test_a_whole_message_is_its_owners(desk: Desk) -> None:
    await desk.take(sms("Hello"))
    (message,) = await desk.messages()
    assert message.account_id == desk.account.id
    assert (message.sender, message.recipient) == (SOMEBODY, OURS)
    assert (message.direction, message.status, message.error) == (Direction.INBOUND, Status.RECEIVED, None)
    assert message.sent_at_seconds == int(desk.clock.now.timestamp())
    (boxed,) = await desk.world.rows("mailbox")
    assert (boxed.account_id, boxed.sender, boxed.recipient) == (desk.account.id, SOMEBODY, OURS)
    assert boxed.message_id == message.id


async def test_messages_of_one_sender_keep_their_order(desk: Desk) -> None:
    texts = [f"{n}" for n in range(20)]
    await desk.take(*map(sms, texts))
    assert [text for text, _ in await desk.texts()] == texts
    assert await desk.world.count("mailbox") == 20


@pytest.mark.parametrize("pause", [timedelta(0), REPEATED_WITHIN - SECOND], ids=["at once", "later"])
async def test_a_repeated_delivery_is_one_message(desk: Desk, pause: timedelta) -> None:
    delivery = sms()
    await desk.take(delivery, delivery)
    await desk.sweep_after(pause)
    await desk.take(delivery)
    assert await desk.texts() == [("Hello", None)]


async def test_a_repeated_delivery_is_one_message_though_the_number_changed_hands(desk: Desk) -> None:
    delivery = sms()
    await desk.take(delivery)
    heir = await desk.world.account("heir")
    await desk.world.numbers.release(desk.account.id, OURS)
    await desk.world.numbers.assign(heir.id, OURS)
    await desk.take(delivery)
    assert [message.account_id for message in await desk.messages()] == [desk.account.id]


async def test_deliveries_are_forgotten_and_the_keys_of_accounts_are_not(desk: Desk) -> None:
    await desk.take(sms(), *cut("one ", "two"))
    await desk.world.accept.send(
        send(desk.account, sender=OURS, sender_rule=SenderRule.VERBATIM_NUMBER, key="theirs", fingerprint=b"f")
    )
    await desk.sweep_after(REPEATED_WITHIN + SECOND)
    assert [row.account_id for row in await desk.world.rows("idempotency")] == [desk.account.id]
    assert desk.account.id != DELIVERIES
    await desk.sweep_after(PARTS_KNOWN + SECOND)
    assert await desk.world.count("inbound_set") == await desk.world.count("inbound_part") == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_parts_rejoin_in_any_order_however_often_they_are_repeated(desk: Desk, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("abc ", min_size=1), min_size=2, max_size=5), label="texts")
    parts = cut(*texts, sender=f"1202555{next(_serial):06}")
    order = data.draw(st.permutations([*parts, *data.draw(st.lists(st.sampled_from(parts), max_size=4))]))
    pace = data.draw(st.integers(1, len(order)), label="at once")
    for start in range(0, len(order), pace):
        await desk.take(*order[start : start + pace])
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    rejoined = [message for message in await desk.messages() if message.sender == parts[0].sender]
    assert [(message.text, message.error) for message in rejoined] == [("".join(texts), None)]


async def test_parts_rejoin_after_a_restart(database_url: str) -> None:
    one, two, three = cut("one ", "two ", "three")
    clock = HandClock()
    async with open_world(database_url, clock=clock) as world:
        await (await desk_of(world, clock)).take(three, one)
        assert await world.count("message") == 0
    async with open_world(database_url, clock=clock) as world:
        await arrivals_of(world).take([two, one])
        assert [row.text for row in await world.rows("message")] == ["one two three"]


@dataclass(frozen=True, slots=True)
class JoinCase:
    """pieces: the text of each part, or its encoding and octets. missing: the index of a part that never comes."""

    name: str
    pieces: tuple[str | tuple[Encoding, bytes], ...]
    text: str
    missing: int | None = None


JOINS = (
    JoinCase("a character cut in two", ("smile \ud83d", "\ude00 please"), "smile \N{GRINNING FACE} please"),
    JoinCase(
        "UCS-2 octets cut within a unit",
        ((Encoding.UCS2, b"\x00a\x00"), (Encoding.UCS2, b"b\x00c")),
        "abc",
    ),
    JoinCase(
        "an escape cut from what it changes", ((Encoding.GSM7, b"1\x1b"), (Encoding.GSM7, b"e2")), "1\N{EURO SIGN}2"
    ),
    JoinCase("latin-1 octets", ((Encoding.LATIN1, b"\xe9"), (Encoding.LATIN1, b"t\xe9")), "\xe9t\xe9"),
    JoinCase("parts of two encodings", ((Encoding.GSM7, b"@"), (Encoding.UCS2, b"\x20\xac")), "\xa1\N{EURO SIGN}"),
    JoinCase("data, told in text", ("00ff", "01"), "00ff01"),
    JoinCase(
        "a gap between halves of a unit",
        ((Encoding.UCS2, b"\x00a\x00"), (Encoding.UCS2, b"bc"), (Encoding.UCS2, b"\x00d")),
        "a\ufffdd",
        missing=1,
    ),
)


@pytest.mark.parametrize("case", JOINS, ids=lambda case: case.name)
async def test_parts_are_joined_before_they_are_decoded(desk: Desk, case: JoinCase) -> None:
    parts = []
    for n, piece in enumerate(case.pieces):
        said = {"text": piece} if isinstance(piece, str) else {"text": "?", "encoding": piece[0], "octets": piece[1]}
        parts.append(sms(part=InboundPart(1, len(case.pieces), n), **said))
    await desk.take(*(part for n, part in enumerate(parts) if n != case.missing))
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    assert [text for text, _ in await desk.texts()] == [case.text]


@pytest.mark.parametrize("text", ["a\0b", "a\ud83db"], ids=["U+0000", "half a character"])
async def test_what_no_database_keeps_is_replaced(desk: Desk, text: str) -> None:
    await desk.take(sms(text), *cut(text, "c"))
    assert sorted(await desk.texts()) == [("a\ufffdb", None), ("a\ufffdbc", None)]


@pytest.mark.parametrize(
    "part", [InboundPart(1, 1, 0), InboundPart(1, 2, 2), InboundPart(1, 0, 0)], ids=["of one", "beyond", "of none"]
)
async def test_a_part_with_nothing_to_wait_for_is_a_message(desk: Desk, part: InboundPart) -> None:
    await desk.take(sms("alone", part=part))
    assert await desk.texts() == [("alone", None)]


async def test_what_differs_belongs_to_different_messages(desk: Desk) -> None:
    first = cut("a1 ", "a2")
    others = [
        cut("b1 ", "b2", reference=2),
        cut("c1 ", "c2", sender="12025550103"),
        cut("d1 ", "d2", carrier_id=CARRIER + 1),
        cut("e1 ", "e2 ", "e3"),
    ]
    await desk.take(*(parts[0] for parts in (first, *others)))
    await desk.take(*(part for parts in (*others, first) for part in parts[1:]))
    assert sorted(text for text, _ in await desk.texts()) == ["a1 a2", "b1 b2", "c1 c2", "d1 d2", "e1 e2 e3"]


async def test_a_missing_part_is_waited_for_and_no_longer(desk: Desk) -> None:
    one, _, three = cut("one ", "two ", "three")
    await desk.take(three)
    await desk.sweep_after(PARTS_TIMEOUT - SECOND)
    await desk.take(one)
    assert await desk.texts() == []
    started = desk.clock.now - PARTS_TIMEOUT + SECOND
    await desk.sweep_after(2 * SECOND)
    assert await desk.texts() == [("one three", "partial")]
    (message,) = await desk.messages()
    assert (message.status, message.sent_at_seconds) == (Status.RECEIVED, int(started.timestamp()))
    await desk.sweep_after(PARTS_TIMEOUT)
    assert len(await desk.messages()) == 1


async def test_parts_wait_for_each_other_though_the_clock_of_who_sweeps_is_an_hour_ahead(postgres_url: str) -> None:
    def arrivals(world: World, ahead: timedelta) -> Arrivals:
        def clock() -> datetime:
            return utc_now() + ahead

        store = ArrivalStore(world.database, clock, mint_id)
        return Arrivals(intake=world.intake, store=store, clock=clock, mint_id=mint_id, compose=world.accept.compose)

    async with open_world(postgres_url) as world:
        await world.numbers.assign((await world.account()).id, OURS)
        link, sweeper = arrivals(world, timedelta()), arrivals(world, timedelta(hours=1))
        one, two = cut("one ", "two")
        await link.take([one])
        await sweeper.sweep()
        await link.take([two])
        assert [row.text for row in await world.rows("message")] == ["one two"]


async def test_a_late_part_is_a_partial_message_of_its_own(desk: Desk) -> None:
    one, two = cut("one ", "two")
    await desk.take(one)
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    await desk.take(two, one)
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    assert await desk.texts() == [("one ", "partial"), ("two", "partial")]


async def test_a_late_part_closes_the_old_set_where_no_sweep_did(desk: Desk) -> None:
    one, two = cut("one ", "two")
    await desk.take(one)
    desk.clock.now += PARTS_TIMEOUT + SECOND
    await desk.take(two)
    assert await desk.texts() == [("one ", "partial")]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
async def test_a_reference_that_is_used_again_does_not_mix(desk: Desk, at_once: bool) -> None:
    (old, _), new = cut("old 1 ", "old 2"), cut("new 1 ", "new 2")
    for batch in ([old, *new],) if at_once else ([old], new[:1], new[1:]):
        await desk.take(*batch)
    assert sorted(await desk.texts()) == [("new 1 new 2", None), ("old 1 ", "partial")]


async def test_a_repeat_in_other_clothes_is_known_by_its_text(desk: Desk) -> None:
    one, two = cut("one ", "two")
    again, _ = cut("one ", "two")
    await desk.take(one, again)
    await desk.take(two)
    assert await desk.texts() == [("one two", None)]


async def test_a_part_that_is_repeated_when_all_is_delivered_begins_nothing(desk: Desk) -> None:
    parts = cut("one ", "two")
    await desk.take(*parts)
    for pause in (SECOND, PARTS_TIMEOUT, PARTS_KNOWN - timedelta(hours=1)):
        await desk.take(parts[1])
        await desk.sweep_after(pause)
    assert await desk.texts() == [("one two", None)]


async def test_a_part_that_is_repeated_late_and_in_other_clothes_is_no_message(desk: Desk) -> None:
    await desk.take(*cut("one ", "two"))
    _, again = cut("one ", "two")
    await desk.take(again)
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    assert await desk.texts() == [("one two", None)]


async def test_the_same_long_words_again_are_another_message(desk: Desk) -> None:
    await desk.take(*cut("one ", "two"))
    await desk.take(*cut("one ", "two"))
    assert await desk.texts() == [("one two", None), ("one two", None)]


async def test_processes_that_get_the_parts_between_them_make_one_message(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(open_world(database_url)) for _ in range(3)]
        account = await worlds[0].account()
        await worlds[0].numbers.assign(account.id, OURS)
        processes = [arrivals_of(world) for world in worlds]
        messages = [cut(f"{n}a ", f"{n}b ", f"{n}c", reference=n) for n in range(30)]
        rounds = [[parts[(n + shift) % 3] for n, parts in enumerate(messages)] for shift in range(3)]
        batches = [batch[start : start + 10] for batch in rounds for start in (0, 10, 20)]
        # Each part goes to two processes: a carrier that lost its connection delivers again by another.
        await asyncio.gather(
            *(processes[(n + again) % 3].take(batch) for n, batch in enumerate(batches) for again in (0, 1)),
            *(process.sweep() for process in processes),
        )
        texts = sorted(row.text for row in await worlds[0].rows("message"))
        assert texts == sorted(f"{n}a {n}b {n}c" for n in range(30))


@dataclass(frozen=True, slots=True)
class SameWords:
    """A delivery that comes twice, and what its number has in the end. missing: parts that come after it."""

    name: str
    delivery: InboundSms
    missing: Sequence[InboundSms]
    texts: Sequence[str]


_FIRST, _SECOND = cut("one ", "two")
SAME_WORDS = [
    SameWords("a message", sms(), (), ["Hello", "Hello"]),
    SameWords("to nobody", sms(recipient=NOBODYS), (), []),
    SameWords("a part, its message complete", _SECOND, (_FIRST,), ["one two", "one two"]),
]


@pytest.mark.parametrize("case", SAME_WORDS, ids=lambda case: case.name)
async def test_what_is_forgotten_is_another_message_when_it_comes_again(desk: Desk, case: SameWords) -> None:
    prints = [one.fingerprint for one in (case.delivery, *case.missing)]
    for _ in range(2):
        await desk.take(case.delivery, *case.missing)
        await desk.arrivals.forget(CARRIER, [*prints, b"another"])
    assert [text for text, _ in await desk.texts()] == case.texts
    assert await desk.world.count("inbound_unowned") == (0 if case.texts else 2)


async def test_a_part_that_is_forgotten_still_waits_for_the_others(desk: Desk) -> None:
    first, second = cut("one ", "two")
    await desk.take(first)
    await desk.arrivals.forget(CARRIER, [first.fingerprint])
    await desk.take(second)
    assert await desk.texts() == [("one two", None)]


async def test_what_another_carrier_delivered_is_not_forgotten(desk: Desk) -> None:
    deliveries = [sms(), *cut("one ", "two")]
    await desk.take(*deliveries)
    await desk.arrivals.forget(CARRIER + 1, [delivery.fingerprint for delivery in deliveries])
    await desk.take(*deliveries)
    assert sorted(await desk.texts()) == [("Hello", None), ("one two", None)]


async def test_what_nobody_owns_is_kept_for_the_operator(desk: Desk) -> None:
    delivery = sms("Hello?", recipient=NOBODYS)
    await desk.take(delivery, sms("STOP", recipient="MyCorp"))
    await desk.take(delivery)
    first = cut("one ", "two", recipient=NOBODYS)[0]
    await desk.take(first)
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    kept = await ArrivalStore(desk.world.database, desk.clock, mint_id).unowned(10)
    assert [(one.carrier_id, one.sender, one.recipient, one.text, one.partial) for one in kept] == [
        (CARRIER, SOMEBODY, NOBODYS, "Hello?", False),
        (CARRIER, SOMEBODY, "MyCorp", "STOP", False),
        (CARRIER, SOMEBODY, NOBODYS, "one ", True),
    ]
    assert await desk.messages() == []
    assert [await desk.world.count(table) for table in ("opt_out_event", "inbound_word")] == [0, 0]


async def test_a_number_in_a_tenants_inventory_gets_nothing(desk: Desk) -> None:
    await desk.world.numbers.assign(desk.account.id, NOBODYS)
    await desk.world.numbers.release(desk.account.id, NOBODYS)  # which leaves it in the inventory
    await desk.take(sms(recipient=NOBODYS))
    assert await desk.world.count("inbound_unowned") == 1


async def test_the_same_words_later_are_kept_again(desk: Desk) -> None:
    delivery = sms(recipient=NOBODYS)
    await desk.take(delivery)
    await desk.sweep_after(REPEATED_WITHIN + SECOND)
    await desk.take(delivery)
    assert await desk.world.count("inbound_unowned") == 2


async def test_without_a_database_nothing_is_taken() -> None:
    async with open_world("postgresql://nobody@127.0.0.1:1/none") as world:
        for batch in ([sms()], cut("one ", "two")):
            with pytest.raises(StorageDown):
                await arrivals_of(world).take(batch)

"""What has just been queued and is offered goes out by fewer steps, under the same rules. On PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import update

from longcode.domain.message import Status
from longcode.domain.phone import canonical
from longcode.encoding.segments import Encoding, Segment, TooManySegments, split
from longcode.errors import StorageDown
from longcode.expiring.port import Pair, Question
from longcode.flow.dispatch import Dispatch
from longcode.flow.jobs import MOST_FRESH, Fresh
from longcode.store import schema
from tests.flow.desk import Desk, open_desk

RECIPIENT = "+12025550101"
LEASE = timedelta(seconds=60)


@pytest.fixture
async def desk(postgres_url: str) -> AsyncIterator[Desk]:
    """One whose queue was found empty."""
    async with open_desk(postgres_url.replace("postgresql://", "postgresql+asyncpg://", 1)) as opened:
        await opened.drain()
        yield opened


def offer(desk: Desk, *message_ids: UUID) -> None:
    fresh = [Fresh(message_id, desk.account.id, "MyCorp", RECIPIENT) for message_id in message_ids]
    desk.dispatch.offer(desk.carrier_id, fresh)


async def test_it_is_begun_by_its_claim(desk: Desk) -> None:
    message_id = await desk.send()
    offer(desk, message_id)
    await desk.drain()
    assert desk.outbox.hurried == 1
    assert desk.driver.on_record == [True]
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted"]
    assert await desk.world.count("outbox") == 0


async def test_it_waits_for_nobodys_answer(desk: Desk) -> None:
    answers = asyncio.Event()
    desk.driver.before_answers.append(lambda _: answers.wait())
    for _ in range(3):
        offer(desk, await desk.send())
        await desk.dispatch.drain(desk.carrier_id)
    answers.set()
    await desk.dispatch.settled()
    assert desk.outbox.hurried == 3
    assert await desk.kinds() == ["accepted"] * 3


async def test_who_waits_for_room_is_not_overtaken(desk: Desk) -> None:
    desk.driver.room = 0
    first = await desk.send()
    offer(desk, first)
    assert await desk.drain() == 7.0
    desk.driver.room = 100
    second = await desk.send()
    offer(desk, second)
    await desk.drain()
    assert desk.outbox.hurried == 0
    assert [submission.message_id for submission in desk.driver.submitted] == [first, second]


async def test_what_was_not_offered_follows_in_the_same_drain(desk: Desk) -> None:
    first, second = await desk.send(), await desk.send()
    offer(desk, second)
    await desk.drain()
    assert [submission.message_id for submission in desk.driver.submitted] == [second, first]


async def test_an_offer_of_very_many_is_cut(desk: Desk) -> None:
    messages = [await desk.send() for _ in range(MOST_FRESH + 2)]
    offer(desk, *messages)
    await desk.drain()
    assert desk.outbox.hurried == MOST_FRESH
    assert {submission.message_id for submission in desk.driver.submitted} == set(messages)
    assert len(desk.driver.submitted) == len(messages)


@dataclass(frozen=True)
class Untouchable:
    """What makes an offered message one that this carrier may not have now."""

    name: str
    make: Callable[[Desk], Awaitable[UUID]]


async def _unknown(_desk: Desk) -> UUID:
    return uuid4()


async def _scheduled(desk: Desk) -> UUID:
    return await desk.send(due_at=desk.world.clock() + timedelta(hours=1))


async def _claimed(desk: Desk) -> UUID:
    message_id = await desk.send()
    assert await desk.outbox.claim(desk.carrier_id, 10, LEASE)
    return message_id


async def _anothers(desk: Desk) -> UUID:
    message_id = await desk.send()
    other = await desk.world.route(prefix="999", name="other")
    async with desk.world.database.write() as connection:
        await connection.execute(update(schema.outbox).values(carrier_id=other))
    return message_id


CASES = [
    Untouchable("one that nobody knows", _unknown),
    Untouchable("one for later", _scheduled),
    Untouchable("one that another process has", _claimed),
    Untouchable("one of another carrier", _anothers),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_is_begun_that_may_not_go(desk: Desk, case: Untouchable) -> None:
    offer(desk, await case.make(desk))
    await desk.drain()
    assert desk.driver.submitted == []
    assert desk.outbox.hurried == 0
    assert await desk.world.count("attempt") == 0


@pytest.mark.parametrize("durable", [False, True], ids=["a STOP pair", "the ledger"])
async def test_who_said_stop_gets_nothing(desk: Desk, durable: bool) -> None:
    message_id = await desk.send()
    if durable:
        await desk.world.opt_outs.add(desk.account.id, canonical(RECIPIENT), source="operator")
    else:
        pair = Pair(desk.account.id, "MyCorp", canonical(RECIPIENT))
        await desk.world.expiring.settle([Question(marks=(pair,))])
    offer(desk, message_id)
    await desk.drain()
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.FAILED, "opted_out")
    assert await desk.kinds() == ["unwritten"]


async def test_without_the_expiring_state_it_waits(desk: Desk) -> None:
    message_id = await desk.send()
    desk.world.expiring.down = True
    offer(desk, message_id)
    await desk.drain()
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.QUEUED, None)
    desk.world.expiring.down = False
    await desk.drain_later(timedelta(seconds=10))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted", "unwritten"]


async def test_what_a_lost_answer_begun_is_known_to_be_unwritten(desk: Desk) -> None:
    message_id = await desk.send()
    offer(desk, message_id)
    desk.outbox.cut = 1
    with pytest.raises(StorageDown):
        await desk.drain()
    assert await desk.world.count("attempt") == 1
    await desk.drain_later(LEASE + timedelta(seconds=1))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted", "unwritten"]


async def test_an_offer_that_names_another_recipient_passes_no_stop(desk: Desk) -> None:
    message_id = await desk.send()
    await desk.world.opt_outs.add(desk.account.id, canonical(RECIPIENT), source="operator")
    desk.dispatch.offer(desk.carrier_id, [Fresh(message_id, desk.account.id, "MyCorp", "+12025550199")])
    await desk.drain()
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.FAILED, "opted_out")


async def test_an_offer_that_breaks_the_question_holds_its_message_up_and_no_more(desk: Desk) -> None:
    message_id = await desk.send()
    desk.dispatch.offer(desk.carrier_id, [Fresh(message_id, 2**70, "MyCorp", RECIPIENT)])
    with pytest.raises(asyncpg.DataError):
        await desk.drain()
    await desk.drain_later(LEASE + timedelta(seconds=1))
    assert await desk.status(message_id) == (Status.SENT, None)


async def test_what_its_carrier_takes_in_parts_is_begun_anew(desk: Desk) -> None:
    desk.driver.cut = in_halves  # type: ignore[method-assign]
    message_id = await desk.send(text="first half, second half")
    offer(desk, message_id)
    await desk.drain()
    assert desk.driver.segments == [0, 1]
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted", "accepted", "unwritten"]


async def test_what_its_carrier_cannot_take_fails_alone(desk: Desk) -> None:
    desk.driver.cut = all_but("bad")  # type: ignore[method-assign]
    bad, good = await desk.send(text="bad"), await desk.send(text="good")
    offer(desk, bad, good)
    await desk.drain()
    assert (await desk.status(bad))[0] == Status.FAILED
    assert await desk.status(good) == (Status.SENT, None)


async def test_two_processes_with_one_offer_send_it_once(desk: Desk) -> None:
    other = Dispatch(desk.dispatch._means, desk.drivers)
    await other.drain(desk.carrier_id)
    message_ids = [await desk.send() for _ in range(MOST_FRESH)]
    fresh = [Fresh(message_id, desk.account.id, "MyCorp", RECIPIENT) for message_id in message_ids]
    for dispatch in (desk.dispatch, other):
        dispatch.offer(desk.carrier_id, fresh)
    await asyncio.gather(*(dispatch.drain(desk.carrier_id) for dispatch in (desk.dispatch, other)))
    await asyncio.gather(desk.dispatch.settled(), other.settled())
    assert sorted(submission.message_id for submission in desk.driver.submitted) == sorted(message_ids)
    await other.close()


async def test_who_has_a_pace_waits_for_a_turn(desk: Desk) -> None:
    desk.driver.segments_per_second = 100.0
    desk.dispatch = Dispatch(desk.dispatch._means, desk.drivers)
    await desk.drain()
    offer(desk, await desk.send())
    await desk.drain()
    assert desk.outbox.hurried == 0
    assert len(desk.driver.submitted) == 1


def in_halves(text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
    half = len(text) // 2
    return [Segment(part, index, 2, encoding, reference) for index, part in enumerate((text[:half], text[half:]))]


def all_but(refused: str) -> Callable[[str, Encoding, int], Sequence[Segment]]:
    def cut(text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
        if text == refused:
            raise TooManySegments("the carrier takes one segment")
        return split(text, encoding=encoding)

    return cut

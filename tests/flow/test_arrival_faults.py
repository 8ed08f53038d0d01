"""What is delivered while processes die, stores fail and the intake is full: nothing is lost, nothing doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from longcode.errors import IntakeFull, StorageDown
from longcode.flow.arrival import PARTS_TIMEOUT, REPEATED_WITHIN
from tests.flow.test_arrival import NOBODYS, OURS_ON_THE_WIRE, SECOND, Desk, arrivals_of, cut, desk_of, sms
from tests.flow.world import HandClock, open_world


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    clock = HandClock()
    async with open_world(database_url, clock=clock) as world:
        yield await desk_of(world, clock)


@dataclass(frozen=True, slots=True)
class CrashCase:
    name: str
    broken: str
    recipient: str = OURS_ON_THE_WIRE


CRASHES = (
    CrashCase("ahead of keeping the last part", "before keep"),
    CrashCase("behind keeping the last part", "after keep"),
    CrashCase("behind storing the message", "before finish"),
    CrashCase("ahead of the answer", "after finish"),
    CrashCase("ahead of keeping it for the operator", "before keep_unowned", NOBODYS),
    CrashCase("behind keeping it for the operator", "after keep_unowned", NOBODYS),
    CrashCase("ahead of the answer about nobody's", "after finish", NOBODYS),
)


@pytest.mark.parametrize("repeated", [True, False], ids=["repeated", "swept"])
@pytest.mark.parametrize("case", CRASHES, ids=lambda case: case.name)
async def test_a_crash_loses_nothing_and_doubles_nothing(desk: Desk, case: CrashCase, repeated: bool) -> None:
    one, two = cut("one ", "two", recipient=case.recipient)
    await desk.take(one)
    with pytest.raises(StorageDown):
        await arrivals_of(desk.world, case.broken).take([two])
    if repeated or case.broken == "before keep":
        await desk.take(two)
    else:
        await desk.arrivals.sweep()
    await desk.take(one, two)
    await desk.sweep_after(PARTS_TIMEOUT + SECOND)
    unowned = [row.text for row in await desk.world.rows("inbound_unowned")]
    owned = [text for text, _ in await desk.texts()]
    assert owned + unowned == ["one two"]
    assert len(owned) == (case.recipient == OURS_ON_THE_WIRE)


@pytest.mark.parametrize("behind", [True, False], ids=["behind its commit", "ahead of it"])
async def test_a_whole_message_is_not_acknowledged_unless_it_is_stored(desk: Desk, behind: bool) -> None:
    async def fail() -> None:
        raise StorageDown("no database")

    delivery = sms()
    (desk.world.store.after if behind else desk.world.store.before).extend([fail] * 3)
    with pytest.raises(StorageDown):
        await desk.take(delivery)
    await desk.take(delivery)
    assert await desk.texts() == [("Hello", None)]


async def test_a_partial_message_is_marked_though_a_crash_came_between(desk: Desk) -> None:
    await desk.take(cut("one ", "two")[0])
    desk.clock.now += PARTS_TIMEOUT + SECOND
    await arrivals_of(desk.world, "before finish").sweep()
    await desk.sweep_after(REPEATED_WITHIN + SECOND)
    assert await desk.texts() == [("one ", "partial")]


async def test_a_batch_fails_as_a_whole_and_keeps_what_it_could(desk: Desk) -> None:
    batch = [sms("STOP"), sms("Hello"), *cut("one ", "two")]
    with pytest.raises(StorageDown):
        await arrivals_of(desk.world, "before keep").take(batch)
    assert sorted(await desk.texts()) == [("Hello", None), ("STOP", None)]
    await desk.take(*batch)
    assert sorted(await desk.texts()) == [("Hello", None), ("STOP", None), ("one two", None)]


async def test_a_full_intake_makes_the_carrier_deliver_again(database_url: str) -> None:
    async with open_world(database_url, intake_limit=0) as world:
        with pytest.raises(IntakeFull):
            await arrivals_of(world).take([sms()])

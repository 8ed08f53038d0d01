"""Circuits: when a carrier is left alone, who hears of it, how it is tried, and what goes elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from longcode.carriers.port import Accepted, Deferred, Outcome, Rejected, Unconfirmed
from longcode.domain.clock import utc_now
from longcode.flow.catalog import CatalogCache
from longcode.flow.health import NOT_CONNECTED, SILENCE, UNANSWERED, UNBOUND
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.circuits import Circuit
from longcode.store.words import WordStore
from tests.flow.desk import accept
from tests.flow.ways import Ways, open_ways
from tests.flow.world import HandClock

FAULT = Rejected("system_error")
PAUSE = timedelta(seconds=5)


@pytest.fixture
def clock() -> HandClock:
    hand = HandClock()
    hand.now = utc_now()  # not far from the database's
    return hand


@pytest.fixture
async def ways(database_url: str, clock: HandClock) -> AsyncIterator[Ways]:
    async with open_ways(database_url, clock=clock) as opened:
        # What is put off goes elsewhere, so that each answer is one message's.
        await opened.settle(opened.first, circuit_faults="2", failover_tries="1")
        yield opened


async def circuit(ways: Ways) -> Circuit | None:
    """As another process sees it."""
    world = ways.desk.world
    other = CatalogCache(world.catalog_store, WordStore(world.database))
    return (await other.now()).circuits.get(ways.first)


async def answered(ways: Ways, *outcomes: Outcome) -> None:
    """Messages that the first carrier answers so, one after the other."""
    for outcome in outcomes:
        ways.answer(ways.first, outcome)
        await ways.desk.send()
        await ways.drain(ways.first)


async def test_faults_in_a_row_open_the_circuit_for_every_process(ways: Ways, clock: HandClock) -> None:
    await answered(ways, FAULT)
    assert await circuit(ways) is None
    await answered(ways, FAULT)
    assert await circuit(ways) == Circuit(ways.first, "system_error", clock.now, clock.now + PAUSE, 1)


@pytest.mark.parametrize(
    "between",
    [
        Accepted("a"),
        Rejected("invalid_destination", "the message is at fault"),
        Deferred(1, "throttled", "it works, and says so"),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
async def test_an_answer_that_shows_that_it_works_begins_the_count_anew(ways: Ways, between: Outcome) -> None:
    await answered(ways, FAULT, between, FAULT)
    assert await circuit(ways) is None


async def test_what_was_never_asked_says_nothing(ways: Ways) -> None:
    await answered(ways, FAULT, Deferred(1, "not_written"), FAULT)
    assert await circuit(ways) is not None


async def test_silence_opens_it_only_after_a_while(ways: Ways, clock: HandClock) -> None:
    await answered(ways, *[Unconfirmed("cut")] * 5)
    assert await circuit(ways) is None
    clock.now += SILENCE
    await answered(ways, *[Unconfirmed("read timeout")] * 2)
    found = await circuit(ways)
    assert found is not None
    assert found.cause == UNANSWERED


async def test_credentials_that_count_no_more_open_it_at_once(ways: Ways) -> None:
    await ways.settle(ways.first, circuit_faults="100")
    await answered(ways, Accepted("a"), Deferred(60, "not_authenticated"))
    found = await circuit(ways)
    assert found is not None
    assert found.cause == "not_authenticated"
    await ways.settle(ways.first, circuit_faults="0")
    await answered(ways, Deferred(60, "not_authenticated"))
    assert await circuit(ways) is None


async def test_other_settings_close_it(ways: Ways) -> None:
    await answered(ways, FAULT, FAULT)
    assert await circuit(ways) is not None
    await ways.settle(ways.first, circuit_faults="3")
    assert await circuit(ways) is None


async def test_new_messages_take_another_way_and_what_waits_and_is_due_too(ways: Ways, clock: HandClock) -> None:
    await ways.desk.send(due_at=clock.now + timedelta(hours=1))
    await answered(ways, FAULT, FAULT)
    waiting = len(await ways.carriers())
    assert waiting == 3  # two moved on when they were refused
    await ways.desk.world.catalog_store.set_paused("second", True)
    await ways.desk.send()
    assert await ways.carriers() == [ways.first, ways.second, ways.second, ways.first]
    await ways.desk.world.catalog_store.set_paused("second", False)
    await ways.desk.world.rerouting.run()
    # What is due in an hour stays: much may have changed by then.
    assert await ways.carriers() == [ways.first, ways.second, ways.second, ways.second]
    assert ways.submitted(ways.first) == 2


async def test_one_message_tries_it_and_a_good_answer_closes_it(ways: Ways, clock: HandClock) -> None:
    await answered(ways, FAULT, FAULT)
    await ways.desk.world.catalog_store.set_paused("second", True)
    for _ in range(3):
        await ways.desk.send()
    tried = ways.submitted(ways.first)
    await ways.drain(ways.first)
    assert ways.submitted(ways.first) == tried
    clock.now += PAUSE
    ways.answer(ways.first, FAULT)
    await ways.drain(ways.first)
    assert ways.submitted(ways.first) == tried + 1
    found = await circuit(ways)
    assert found is not None
    assert (found.openings, found.until) == (2, clock.now + 2 * PAUSE)
    clock.now += 2 * PAUSE
    ways.answer(ways.first, accept)
    await ways.drain(ways.first)
    await ways.drain(ways.first)
    assert await circuit(ways) is None
    assert ways.submitted(ways.first) == tried + 3


async def test_only_one_process_tries_it(ways: Ways, clock: HandClock) -> None:
    await answered(ways, FAULT, FAULT)
    clock.now += PAUSE
    health = ways.desk.world.health
    assert [await health.take_probe(ways.first) for _ in range(2)] == [True, False]
    await health.open(ways.first, "system_error")
    clock.now += 2 * PAUSE
    assert await health.take_probe(ways.first)


async def test_a_simulator_is_never_left_alone_unless_it_is_told(ways: Ways) -> None:
    await ways.desk.world.health.open(ways.desk.carrier_id, "system_error")
    assert (await ways.desk.world.catalog.now()).circuits == {}


async def test_a_carrier_to_which_nobody_is_bound_is_left_alone_until_somebody_is(ways: Ways, clock: HandClock) -> None:
    status, health = CarrierStatusStore(ways.desk.world.database), ways.desk.world.health

    async def say(process: str, state: str, name: str = "transceiver 1") -> None:
        await status.report(ways.first, process, {"binds": [{"name": name, "state": state}]}, clock.now)

    await say("a", "bound")
    await say("b", "waiting")
    await health.attend()
    clock.now += UNBOUND
    await say("a", "bound", "receiver 1")  # by which nothing is sent
    await health.attend()
    assert await circuit(ways) is None
    clock.now += UNBOUND
    await health.attend()
    found = await circuit(ways)
    assert found is not None
    assert found.cause == NOT_CONNECTED
    await ways.desk.send()
    assert await ways.carriers() == [ways.second]
    await say("b", "bound")
    await health.attend()
    assert await circuit(ways) is None


async def test_a_lane_that_is_connected_goes_on_at_once(ways: Ways) -> None:
    await ways.desk.send()
    await ways.desk.world.health.open(ways.first, NOT_CONNECTED)
    await ways.drain(ways.first)
    assert await circuit(ways) is None
    assert ways.submitted(ways.first) == 1

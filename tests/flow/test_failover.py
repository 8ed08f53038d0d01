"""From one carrier to the next: what moves a message on, what keeps it, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from longcode.carriers.port import Accepted, Deferred, Outcome, Rejected, Unconfirmed
from longcode.domain.message import Status
from longcode.flow.outlook import KnownCarrier, Names
from longcode.flow.timeline import tell
from longcode.store.timeline import TimelineStore
from tests.flow.ways import Ways, open_ways

TWO_SEGMENTS = "a" * 200
FAULT, ELSE = Rejected("system_error", "its own"), Rejected("invalid_destination", "no such")
BUSY, LOCKED = Deferred(1.0, "throttled", "slow"), Deferred(60.0, "not_authenticated", "who?")


@pytest.fixture
async def ways(database_url: str) -> AsyncIterator[Ways]:
    async with open_ways(database_url) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class MoveCase:
    """What the first carrier answers, segment by segment; moved: the message then waits for the second one."""

    what: str
    answers: tuple[Outcome, ...]
    moved: bool
    status: Status
    error: str | None = None
    settings: dict[str, str] = field(default_factory=dict)


MOVE_CASES = (
    MoveCase("a refusal for a cause of the carrier's own moves it", (FAULT,), True, Status.QUEUED),
    MoveCase("a refusal of the message ends it", (ELSE,), False, Status.FAILED, "invalid_destination"),
    MoveCase(
        "unless the operator says that others take it",
        (ELSE,),
        True,
        Status.QUEUED,
        settings={"failover_codes": "invalid_destination"},
    ),
    MoveCase("all segments refused moves it", (FAULT, FAULT), True, Status.QUEUED),
    MoveCase("one refusal of the message ends it", (FAULT, ELSE), False, Status.FAILED, "system_error"),
    MoveCase("refused beside put off moves it", (FAULT, BUSY), True, Status.QUEUED),
    MoveCase("a segment that was taken keeps it", (Accepted("a"), FAULT), False, Status.FAILED, "system_error"),
    MoveCase(
        "an attempt without an answer keeps it", (Unconfirmed("cut"), FAULT), False, Status.FAILED, "system_error"
    ),
    MoveCase("put off once waits", (BUSY,), False, Status.QUEUED),
    MoveCase("put off as often as is borne moves it", (BUSY,), True, Status.QUEUED, settings={"failover_tries": "1"}),
    MoveCase("put off for its credentials moves it at once", (LOCKED,), True, Status.QUEUED),
    MoveCase("unconfirmed waits for proof", (Unconfirmed("cut"),), False, Status.SENDING),
)


@pytest.mark.parametrize("case", MOVE_CASES, ids=lambda case: case.what)
async def test_what_moves_a_message_to_its_next_way(ways: Ways, case: MoveCase) -> None:
    await ways.settle(ways.first, **case.settings)
    ways.answer(ways.first, lambda submission: case.answers[submission.segment_index])
    message_id = await ways.desk.send(text="Hello" if len(case.answers) == 1 else TWO_SEGMENTS)
    await ways.drain(ways.first)
    assert await ways.status(message_id) == (case.status, case.error)
    kept = [] if case.status is Status.FAILED else [ways.first]
    assert await ways.carriers() == ([ways.second] if case.moved else kept)
    assert (f"dispatch {ways.second}" in ways.desk.world.kicked) is case.moved


async def test_the_next_carrier_sends_it_at_once_and_the_timeline_tells(ways: Ways) -> None:
    ways.answer(ways.first, FAULT)
    message_id = await ways.desk.send(text=TWO_SEGMENTS)
    await ways.drain(ways.first)
    await ways.drain(ways.second)
    assert await ways.status(message_id) == (Status.SENT, None)
    assert (ways.submitted(ways.first), ways.submitted(ways.second)) == (2, 2)
    history = await TimelineStore(ways.desk.world.database).history(message_id)
    assert history is not None
    names = Names({ways.first: KnownCarrier("first"), ways.second: KnownCarrier("second")})
    said = [event.detail for event in tell(history, names, ways.desk.world.clock()) if event.event == "moved"]
    assert said == ["goes on to carrier second: carrier first refused it (system_error)"]


async def test_refused_by_all_fails_with_the_last_code_and_was_tried_once_by_each(ways: Ways) -> None:
    ways.answer(ways.first, FAULT)
    ways.answer(ways.second, Rejected("unknown_error"))
    message_id = await ways.desk.send()
    await ways.drain(ways.first)
    await ways.drain(ways.second)
    assert await ways.status(message_id) == (Status.FAILED, "unknown_error")
    assert (ways.submitted(ways.first), ways.submitted(ways.second)) == (1, 1)
    assert await ways.carriers() == []


async def test_put_off_too_long_moves_it(ways: Ways) -> None:
    ways.answer(ways.first, BUSY)
    await ways.settle(ways.first, failover_tries="0", failover_seconds="0.001")
    await ways.desk.send()
    await ways.drain(ways.first)
    assert await ways.carriers() == [ways.first]
    await ways.drain(ways.first)
    assert await ways.carriers() == [ways.second]


async def test_put_off_stays_where_no_other_way_is_open(ways: Ways) -> None:
    ways.answer(ways.first, BUSY)
    await ways.settle(ways.first, failover_tries="1")
    await ways.desk.world.catalog_store.set_paused("second", True)
    message_id = await ways.desk.send()
    await ways.drain(ways.first)
    assert await ways.carriers() == [ways.first]
    # What would fail here rather waits there.
    ways.answer(ways.first, FAULT)
    await ways.drain(ways.first)
    assert await ways.carriers() == [ways.second]
    assert await ways.status(message_id) == (Status.QUEUED, None)


async def test_a_message_of_which_nothing_is_known_never_moves_though_it_is_refused_later(ways: Ways) -> None:
    ways.answer(ways.first, Unconfirmed("read timeout"))
    ways.driver(ways.first).deduplicates = True
    message_id = await ways.desk.send()
    await ways.drain(ways.first)
    ways.answer(ways.first, FAULT)
    await ways.drain(ways.first)
    assert await ways.status(message_id) == (Status.FAILED, "system_error")
    assert ways.submitted(ways.second) == 0


async def test_the_tries_at_one_carrier_say_nothing_about_the_next(ways: Ways) -> None:
    ways.answer(ways.first, BUSY)
    ways.answer(ways.second, BUSY)
    await ways.settle(ways.first, failover_tries="2")
    await ways.settle(ways.second, failover_tries="2")
    await ways.desk.send()
    await ways.drain(ways.first)
    await ways.drain(ways.first)
    await ways.drain(ways.second)
    assert await ways.carriers() == [ways.second]
    [row] = await ways.desk.world.rows("outbox")
    asked = row.due_at - ways.desk.world.clock()
    assert asked < timedelta(seconds=1.2)

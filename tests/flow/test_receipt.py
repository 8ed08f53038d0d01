"""What receipts add up to, and how they find their messages in either order, on both databases."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from longcode.carriers.port import UNNAMED, CarrierReceipt, ReceiptStatus
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Status, is_final
from longcode.flow.receipt import RECENT, Receipts, judge
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.outbox import add_outcomes
from longcode.store.receipts import ReceiptStore, Report, Reported
from longcode.store.strays import StrayStore
from tests.flow.receipts_world import CARRIER, DELIVERED, RECIPIENT, HandStrays, World, receipt

UNDELIVERED, ENROUTE = ReceiptStatus.UNDELIVERED, ReceiptStatus.ENROUTE
OTHER_CARRIER = 2


def segment(index: int, status: ReceiptStatus, error_code: str | None = None) -> Report:
    return Report(index, status, error_code, whole_message=False)


def whole(status: ReceiptStatus, error_code: str | None = None) -> Report:
    return Report(0, status, error_code, whole_message=True)


def reported(reports: tuple[Report, ...], segment_count: int, accepted: frozenset[int]) -> Reported:
    return Reported(UUID(int=1), frozenset(), Status.SENT, segment_count, accepted, reports)


@dataclass(frozen=True, slots=True)
class JudgeCase:
    name: str
    reports: tuple[Report, ...]
    verdict: tuple[Status, str | None] | None
    segment_count: int = 1
    accepted: frozenset[int] = frozenset()


SENT = (Status.SENT, None)
DONE = (Status.DELIVERED, None)
LOST = (Status.UNDELIVERED, "undelivered")
JUDGE_CASES = (
    JudgeCase("no receipt and no answer say nothing", (), None),
    JudgeCase("every segment accepted is sent", (), SENT, 2, frozenset({0, 1})),
    JudgeCase("some segments accepted say nothing", (), None, 2, frozenset({1})),
    JudgeCase("enroute settles nothing", (segment(0, ENROUTE),), None),
    JudgeCase("enroute leaves an accepted message sent", (segment(0, ENROUTE),), SENT, 1, frozenset({0})),
    JudgeCase("the only segment delivered", (segment(0, DELIVERED),), DONE),
    JudgeCase("the only segment undelivered", (segment(0, UNDELIVERED),), LOST),
    JudgeCase("the carrier's code is kept", (segment(0, UNDELIVERED, "027"),), (Status.UNDELIVERED, "027")),
    JudgeCase("one of two delivered is not delivered", (segment(0, DELIVERED),), None, 2),
    JudgeCase("one of two delivered stays sent", (segment(1, DELIVERED),), SENT, 2, frozenset({0, 1})),
    JudgeCase("one segment twice is not two", (segment(0, DELIVERED), segment(0, DELIVERED)), None, 2),
    JudgeCase("two of two delivered, in any order", (segment(1, DELIVERED), segment(0, DELIVERED)), DONE, 2),
    JudgeCase(
        "one of two undelivered", (segment(0, DELIVERED), segment(1, UNDELIVERED, "1")), (Status.UNDELIVERED, "1"), 2
    ),
    JudgeCase("one undelivered decides before the rest is known", (segment(1, UNDELIVERED),), LOST, 3),
    JudgeCase("the first final receipt counts: delivered", (segment(0, DELIVERED), segment(0, UNDELIVERED)), DONE),
    JudgeCase("the first final receipt counts: undelivered", (segment(0, UNDELIVERED), segment(0, DELIVERED)), LOST),
    JudgeCase(
        "a late contradiction for a delivered segment changes nothing",
        (segment(0, DELIVERED), segment(0, UNDELIVERED), segment(1, DELIVERED)),
        DONE,
        2,
    ),
    JudgeCase("enroute after delivered is late", (segment(0, DELIVERED), segment(0, ENROUTE)), DONE),
    JudgeCase("one receipt for the whole delivers every segment", (whole(DELIVERED),), DONE, 3),
    JudgeCase(
        "one receipt for the whole fails every segment", (whole(UNDELIVERED, "5"),), (Status.UNDELIVERED, "5"), 3
    ),
    JudgeCase("the whole may fail where one segment arrived", (segment(0, DELIVERED), whole(UNDELIVERED)), LOST, 2),
    JudgeCase("enroute for the whole settles nothing", (whole(ENROUTE),), None, 2),
)


@pytest.mark.parametrize("case", JUDGE_CASES, ids=lambda case: case.name)
def test_receipts_add_up(case: JudgeCase) -> None:
    assert judge(reported(case.reports, case.segment_count, case.accepted)) == case.verdict


@given(
    st.integers(1, 3).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.builds(
                    Report,
                    st.integers(0, count - 1),
                    st.sampled_from(ReceiptStatus),
                    st.none() | st.just("1"),
                    whole_message=st.booleans(),
                ),
                max_size=8,
            ),
        )
    )
)
def test_what_is_final_stays_whatever_comes_later(drawn: tuple[int, list[Report]]) -> None:
    count, reports = drawn
    verdicts = [judge(reported(tuple(reports[:length]), count, frozenset())) for length in range(len(reports) + 1)]
    for earlier, later in itertools.pairwise(verdicts):
        assert earlier is None or earlier == later
    assert all(verdict is None or is_final(verdict[0]) for verdict in verdicts)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(database_url)
    yield World(database)
    await database.close()


async def test_a_receipt_after_the_answer_settles_its_message(world: World) -> None:
    message_id = await world.sent("a")
    assert await world.receipts.take([receipt("a")]) == {"a"}
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_receipt_before_the_answer_settles_its_message_when_the_answer_comes(world: World) -> None:
    message_id = await world.queue()
    assert await world.receipts.take([receipt("a")]) == set()
    assert await world.state(message_id) == (Status.QUEUED, None)
    await world.answer(message_id, "a")
    assert await world.receipts.match(["a"]) == {"a"}
    assert await world.state(message_id) == (Status.DELIVERED, None)


SPELT = {"4f2": ("4F2", "1266", "0000001266")}


@dataclass(frozen=True, slots=True)
class EarlyCase:
    name: str
    receipt: CarrierReceipt
    end: Status


EARLY_CASES = (
    EarlyCase("names nobody", receipt("1266"), Status.DELIVERED),
    EarlyCase("names its recipient", receipt("1266", recipient=RECIPIENT), Status.DELIVERED),
    EarlyCase("names another recipient", receipt("1266", recipient="12025550199"), Status.SENT),
    EarlyCase("is another carrier's", receipt("1266", carrier_id=OTHER_CARRIER), Status.SENT),
    EarlyCase("spells it as nobody does", receipt("4f3"), Status.SENT),
)


@pytest.mark.parametrize("case", EARLY_CASES, ids=lambda case: case.name)
async def test_a_receipt_before_its_answer_that_spells_the_reference_otherwise(world: World, case: EarlyCase) -> None:
    world.clock.now = utc_now()  # how early it came goes by the database's clock
    message_id = await world.queue()
    assert await world.receipts.take([case.receipt]) == set()
    await world.answer(message_id, "4f2")
    await world.receipts.answered(CARRIER, SPELT)
    assert await world.state(message_id) == (case.end, None)


async def test_a_receipt_whose_own_answer_is_there_is_not_respelt(world: World) -> None:
    world.clock.now = utc_now()
    own = await world.sent("1266")
    await world.receipts.take([receipt("1266")])
    message_id = await world.sent("4f2")
    await world.receipts.answered(CARRIER, SPELT)
    assert await world.state(message_id) == (Status.SENT, None)
    assert await world.state(own) == (Status.DELIVERED, None)


async def test_only_the_references_that_fit_a_message_are_returned(world: World) -> None:
    await world.sent("a")
    await world.sent("b", "c")
    assert await world.receipts.take([receipt("a"), receipt("c"), receipt("x")]) == {"a", "c"}
    # A message whose other segment was reported on is not matched by a receipt that nobody sent.
    assert await world.receipts.match(["b"]) == set()
    assert await world.rows("receipt") == 3


async def test_a_receipt_fits_its_own_carrier_alone(world: World) -> None:
    message_id = await world.sent("a")
    assert await world.receipts.take([receipt("a", carrier_id=OTHER_CARRIER)]) == set()
    assert await world.state(message_id) == (Status.SENT, None)


async def test_a_receipt_without_a_carrier_fits_any(world: World) -> None:
    message_id = await world.sent("a")
    assert await world.receipts.take([receipt("a", carrier_id=None)]) == {"a"}
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_message_is_delivered_when_its_last_segment_is(world: World) -> None:
    message_id = await world.sent("a", "b")
    await world.receipts.take([receipt("b")])
    assert await world.state(message_id) == (Status.SENT, None)
    await world.receipts.take([receipt("a")])
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_receipt_for_the_whole_message_may_name_any_segment(world: World) -> None:
    message_id = await world.sent("a", "b", "c")
    assert await world.receipts.take([receipt("b", whole_message=True)]) == {"b"}
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_an_undelivered_message_says_why(world: World) -> None:
    message_id = await world.sent("a")
    await world.receipts.take([receipt("a", UNDELIVERED, error_code="027")])
    assert await world.state(message_id) == (Status.UNDELIVERED, "027")


async def test_a_final_status_never_changes(world: World) -> None:
    delivered, lost = await world.sent("a"), await world.sent("b")
    await world.receipts.take([receipt("a"), receipt("b", UNDELIVERED)])
    for status in (UNDELIVERED, DELIVERED, ENROUTE):
        assert await world.receipts.take([receipt("a", status), receipt("b", status)]) == {"a", "b"}
        assert await world.state(delivered) == (Status.DELIVERED, None)
        assert await world.state(lost) == (Status.UNDELIVERED, "undelivered")


async def test_a_settled_message_leaves_the_queue(world: World) -> None:
    message_id = await world.queue(2)
    outcome = await world.accepted(message_id, 0, "a")
    async with world.database.write() as connection:
        await add_outcomes(connection, [outcome], world.clock())
    assert await world.rows("outbox") == 1
    await world.receipts.take([receipt("a", UNDELIVERED)])
    assert await world.state(message_id) == (Status.UNDELIVERED, "undelivered")
    assert await world.rows("outbox") == 0


async def test_a_receipt_that_echoes_an_unanswered_attempt_proves_it(world: World) -> None:
    message_id = await world.queue()
    attempt_id = await world.attempt(message_id)
    echo = receipt("a", ENROUTE, attempt_id=attempt_id)
    assert await world.receipts.take([echo]) == {"a"}
    assert await world.state(message_id) == (Status.SENT, None)
    assert await world.receipts.take([echo, receipt("a", attempt_id=attempt_id)]) == {"a"}
    assert await world.state(message_id) == (Status.DELIVERED, None)
    assert await world.rows("outcome") == 1


async def test_an_echo_by_another_carrier_proves_nothing(world: World) -> None:
    message_id = await world.queue()
    attempt_id = await world.attempt(message_id)
    stranger = receipt("a", carrier_id=OTHER_CARRIER, attempt_id=attempt_id)
    assert await world.receipts.take([stranger]) == set()
    assert await world.state(message_id) == (Status.QUEUED, None)
    assert await world.rows("outcome") == 0


async def test_an_echo_of_no_attempt_of_ours_is_kept_and_fits_nothing(world: World) -> None:
    assert await world.receipts.take([receipt("a", attempt_id=mint_id())]) == set()
    assert await world.rows("receipt") == 1


async def test_the_sweep_settles_what_a_crash_left_unmatched(world: World) -> None:
    message_id = await world.sent("a")
    await world.store.append([receipt("a")])
    await world.receipts.sweep()
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_the_sweep_looks_back_for_hours_and_no_further(world: World) -> None:
    message_id = await world.sent("a")
    await world.store.append([receipt("a")])
    world.clock.now += RECENT
    await world.receipts.sweep()
    assert await world.state(message_id) == (Status.SENT, None)


async def test_what_one_sweep_leaves_the_next_ones_settle_the_newest_first(world: World) -> None:
    messages = [await world.sent(f"r{number}") for number in range(5)]
    for number in range(5):
        await world.store.append([receipt(f"r{number}")])
        world.clock.now += timedelta(seconds=1)
    receipts = Receipts(world.store, HandStrays(world.database, world.clock), page=2, pages_a_sweep=2)
    settled = []
    for _ in range(2):
        world.clock.now += timedelta(minutes=1)
        await receipts.sweep()
        settled.append([(await world.state(message_id))[0] is Status.DELIVERED for message_id in messages])
    assert settled == [[False, True, True, True, True], [True] * 5]


async def test_a_sweep_goes_on_where_the_one_before_ended_though_the_clock_was_set_back(world: World) -> None:
    message_id = await world.sent("a")
    await world.receipts.sweep()
    world.clock.now -= timedelta(hours=1)
    await world.store.append([receipt("a")])
    await world.receipts.sweep()
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_sweep_finds_what_a_process_kept_whose_clock_is_hours_behind(postgres_url: str) -> None:
    world = World(Database(postgres_url))
    behind = ReceiptStore(world.database, lambda: utc_now() - timedelta(hours=1), mint_id)
    ahead = StrayStore(world.database, lambda: utc_now() + timedelta(hours=1))
    world.clock.now, receipts = utc_now(), Receipts(behind, ahead)
    try:
        message_id = await world.sent("a")
        await receipts.sweep()
        await behind.append([receipt("a")])
        await receipts.sweep()
        assert await world.state(message_id) == (Status.DELIVERED, None)
    finally:
        await world.database.close()


async def test_a_receipt_is_a_stray_once_it_is_old_enough_until_its_answer_turns_up(world: World) -> None:
    await world.store.append([receipt("a")])
    noted = []
    for pause in (0, 5, 600):
        world.clock.now += timedelta(seconds=pause)
        await world.receipts.sweep()
        noted.append(await world.rows("stray_receipt"))
    message_id = await world.sent("a")
    await world.receipts.sweep()
    assert noted == [0, 1, 1]
    assert await world.rows("stray_receipt") == 0
    assert (await world.state(message_id))[0] is Status.DELIVERED


@dataclass(frozen=True, slots=True)
class RivalCase:
    """answers: of another message to the same recipient; None: it still awaits its answer."""

    name: str
    answer: str | None
    end: Status
    recipient: str = RECIPIENT


RIVAL_CASES = (
    RivalCase("is proven where another message's answer has a name", "b", Status.DELIVERED),
    RivalCase("is not while another message awaits its answer", None, Status.QUEUED),
    RivalCase("is not while one awaits it to the same number spelt otherwise", None, Status.QUEUED, RECIPIENT[1:]),
    RivalCase("is proven while one to another number awaits it", None, Status.DELIVERED, "+12025550199"),
    RivalCase("is not where another message's answer had no name", f"{UNNAMED}1", Status.QUEUED),
)


@pytest.mark.parametrize("case", RIVAL_CASES, ids=lambda case: case.name)
async def test_what_was_unconfirmed_and_a_stray_fits(world: World, case: RivalCase) -> None:
    message_id = await world.lost()
    other_id = await world.queue(recipient=case.recipient)
    if case.answer is None:
        await world.attempt(other_id)
    else:
        await world.answer(other_id, case.answer)
    await world.receipts.take([receipt("a", recipient=RECIPIENT)])
    world.clock.now += timedelta(seconds=10)
    await world.receipts.sweep()
    assert await world.state(message_id) == (case.end, None)


async def test_a_stray_whose_answer_has_come_proves_nothing(world: World) -> None:
    message_id, other_id = await world.lost(), await world.queue()
    await world.receipts.take([receipt("a", recipient=RECIPIENT)])
    answer = await world.accepted(other_id, 0, "a")
    world.clock.now += timedelta(seconds=10)
    await world.receipts.sweep()
    assert await world.rows("stray_receipt") == 1
    await world.outbox.record([answer])
    await world.receipts.sweep()
    assert await world.state(message_id) == (Status.QUEUED, None)
    assert await world.state(other_id) == (Status.DELIVERED, None)


async def test_a_stray_of_before_another_attempt_still_proves(world: World) -> None:
    message_id = await world.lost()
    await world.receipts.take([receipt("a", recipient=RECIPIENT)])
    rival = await world.attempt(await world.queue())
    async with world.database.write() as connection:
        later = update(schema.attempt).where(schema.attempt.c.id == rival)
        await connection.execute(later.values(started_at=world.clock.now + timedelta(seconds=5)))
    world.clock.now += timedelta(seconds=10)
    await world.receipts.sweep()
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_receipt_that_comes_after_the_clock_was_set_back_settles_its_message(world: World) -> None:
    message_id = await world.sent("a")
    world.clock.now -= timedelta(hours=1)
    assert await world.receipts.take([receipt("a")]) == {"a"}
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_a_receipt_from_before_its_reference_was_used_again_stays_the_earlier_messages(world: World) -> None:
    earlier = await world.sent("a")
    world.clock.now += timedelta(minutes=10)
    await world.store.append([receipt("a")])
    world.clock.now += timedelta(minutes=10)
    later = await world.sent("a")
    await world.receipts.match(["a"])
    assert [(await world.state(one))[0] for one in (earlier, later)] == [Status.DELIVERED, Status.SENT]
    world.clock.now += timedelta(minutes=10)
    await world.receipts.take([receipt("a", UNDELIVERED)])
    assert [(await world.state(one))[0] for one in (earlier, later)] == [Status.DELIVERED, Status.UNDELIVERED]


async def test_a_receipt_of_long_before_its_message_is_not_its(world: World) -> None:
    await world.store.append([receipt("a")])
    world.clock.now += timedelta(hours=3)
    message_id = await world.sent("a")
    await world.receipts.match(["a"])
    assert await world.state(message_id) == (Status.SENT, None)


async def test_receipts_of_all_segments_at_once_deliver_the_message(world: World) -> None:
    references = [f"r{index}" for index in range(6)]
    message_id = await world.sent(*references)
    await asyncio.gather(*(world.receipts.take([receipt(reference)]) for reference in references))
    assert await world.state(message_id) == (Status.DELIVERED, None)


async def test_contradictions_at_once_end_in_one_final_status(world: World) -> None:
    message_id = await world.sent("a")
    takes = [world.receipts.take([receipt("a", status)]) for status in (DELIVERED, UNDELIVERED) * 5]
    assert await asyncio.gather(*takes) == [{"a"}] * 10
    status, error = await world.state(message_id)
    assert (status, error) in ((Status.DELIVERED, None), (Status.UNDELIVERED, "undelivered"))
    await world.receipts.match(["a"])
    assert await world.state(message_id) == (status, error)


async def test_nothing_taken_is_nothing_kept(world: World) -> None:
    assert await world.receipts.take([]) == set()
    assert await world.receipts.match([]) == set()
    assert await world.rows("receipt") == 0

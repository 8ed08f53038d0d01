"""From the queue to a scripted carrier: what is on record before, what each answer means after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from longcode.carriers.port import (
    Accepted,
    CarrierReceipt,
    Deferred,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
    Unconfirmed,
)
from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.encoding.segments import Encoding, Segment, TooManySegments
from longcode.errors import StorageDown
from longcode.expiring.port import Pair, Question
from longcode.flow.accept import VALIDITY
from longcode.flow.conclusion import GRACE
from longcode.flow.dispatch import LEASE, LEAST_LEFT, Dispatch
from longcode.store.outbox import NewAttempt
from longcode.store.receipts import ReceiptStore
from tests.flow.desk import Desk, OneDriver, ScriptedDriver, accept, open_desk
from tests.processes import wait_until_async


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        yield opened


TWO_SEGMENTS = "a" * 200


@dataclass(frozen=True, slots=True)
class AnswerCase:
    name: str
    answers: tuple[Outcome, ...]
    status: Status
    error: str | None = None
    queued: bool = False
    deduplicates: bool = False
    due_in_seconds: float = 0.0


DAY = VALIDITY.total_seconds()
GRACE_SECONDS = GRACE.total_seconds()
A, B = Accepted("a"), Accepted("b")
R, D, U = Rejected("barred", "no"), Deferred(10, "throttled", "slow"), Unconfirmed("cut")
ANSWER_CASES = (
    AnswerCase("accepted is sent", (A,), Status.SENT),
    AnswerCase("every segment accepted is sent", (A, B), Status.SENT),
    AnswerCase("rejected fails with the carrier's code", (R,), Status.FAILED, "barred"),
    AnswerCase("one segment rejected fails the message", (A, R), Status.FAILED, "barred"),
    AnswerCase("rejected beside unconfirmed fails the message", (U, R), Status.FAILED, "barred"),
    AnswerCase("deferred waits for the carrier's time", (D,), Status.QUEUED, queued=True, due_in_seconds=10),
    AnswerCase("one segment deferred waits", (A, D), Status.SENDING, queued=True, due_in_seconds=10),
    AnswerCase("all deferred waits for the longest", (Deferred(3, "x"), D), Status.QUEUED, None, True, False, 10),
    AnswerCase("unconfirmed waits for proof", (U,), Status.SENDING, None, True, False, DAY + GRACE_SECONDS),
    AnswerCase(
        "unconfirmed beside deferred waits for proof", (D, U), Status.SENDING, None, True, False, DAY + GRACE_SECONDS
    ),
    AnswerCase("unconfirmed is repeated where the carrier deduplicates", (U,), Status.SENDING, None, True, True, 5),
    AnswerCase("unconfirmed beside deferred, deduplicated", (D, U), Status.SENDING, None, True, True, 10),
)


@pytest.mark.parametrize("case", ANSWER_CASES, ids=lambda case: case.name)
async def test_what_an_answer_means(desk: Desk, case: AnswerCase) -> None:
    desk.driver.deduplicates = case.deduplicates
    desk.driver.answer = lambda submission: case.answers[submission.segment_index]
    message_id = await desk.send(text="Hello" if len(case.answers) == 1 else TWO_SEGMENTS)
    await desk.drain()
    assert await desk.status(message_id) == (case.status, case.error)
    assert desk.driver.on_record == [True] * len(case.answers)
    queued = await desk.world.rows("outbox")
    assert len(queued) == case.queued
    for row in queued:
        assert row.leased_until is None
        due_in_seconds = (row.due_at - desk.world.clock()).total_seconds()
        assert due_in_seconds == pytest.approx(case.due_in_seconds, abs=5)
    kinds = {Accepted: "accepted", Rejected: "rejected", Deferred: "deferred", Unconfirmed: "unconfirmed"}
    assert await desk.kinds() == sorted(kinds[type(answer)] for answer in case.answers)


async def test_what_a_submission_says(desk: Desk) -> None:
    message_id = await desk.send(text=TWO_SEGMENTS)
    await desk.drain()
    first, second = desk.driver.submitted
    (queued_until,) = {submission.expires_at for submission in (first, second)}
    message = await desk.world.message(message_id)
    assert timedelta() <= queued_until - message.created_at - VALIDITY < timedelta(minutes=1)
    assert (first.message_id, first.segment_index, first.segment_total) == (message_id, 0, 2)
    assert (second.message_id, second.segment_index, second.segment_total) == (message_id, 1, 2)
    assert first.segment_reference == second.segment_reference
    assert first.attempt_id != second.attempt_id
    assert (first.sender, first.recipient, first.encoding) == ("MyCorp", "+12025550101", "gsm7")
    assert first.text + second.text == TWO_SEGMENTS
    assert message.provider_reference == f"ref-{first.attempt_id}"


async def test_only_missing_segments_are_submitted_again(desk: Desk) -> None:
    desk.driver.answer = lambda submission: (A, D, B)[submission.segment_index]
    message_id = await desk.send(text="a" * 400)
    await desk.drain()
    assert desk.driver.segments == [0, 1, 2]
    desk.driver.answer = accept
    await desk.drain_later(timedelta(seconds=11))
    assert desk.driver.segments == [0, 1, 2, 1]
    assert await desk.status(message_id) == (Status.SENT, None)


async def test_a_message_is_not_finished_by_another_cut_than_it_was_begun_with(desk: Desk) -> None:
    desk.driver.answer = lambda submission: (A, D)[submission.segment_index]
    message_id = await desk.send(text="a" * 300)
    await desk.drain()
    desk.driver.parts = False
    await desk.drain_later(timedelta(seconds=11))
    assert len(desk.driver.submitted) == 2
    assert await desk.status(message_id) == (Status.FAILED, "cut_changed")


@pytest.mark.parametrize("parts", [True, False], ids=["in parts", "whole"])
async def test_a_message_that_the_carrier_has_in_another_cut_is_sent(desk: Desk, parts: bool) -> None:
    desk.driver.parts = parts
    desk.driver.answer = lambda _submission: U
    message_id = await desk.send(text="a" * 300)
    await desk.drain()
    receipts = [
        CarrierReceipt(
            carrier_id=desk.carrier_id,
            reference=f"told-{one.segment_index}",
            status=ReceiptStatus.ENROUTE,
            attempt_id=one.attempt_id,
        )
        for one in desk.driver.submitted
    ]
    await ReceiptStore(desk.world.database, desk.world.clock, mint_id).adopt(receipts)
    desk.driver.parts = not parts
    await desk.drain()
    assert len(desk.driver.submitted) == len(receipts)
    assert await desk.status(message_id) == (Status.SENT, None)


async def test_a_deferral_grows_with_each_try_of_the_carrier_and_with_nothing_else(desk: Desk) -> None:
    desk.driver.answer = lambda _submission: Deferred(10, "throttled")
    await desk.send()
    # Waiting for the expiring state says nothing about the carrier.
    desk.world.expiring.down = True
    for _ in range(5):
        await desk.drain_later(timedelta(minutes=1))
    assert desk.driver.submitted == []
    desk.world.expiring.down = False
    for pause in (10, 15, 22.5):
        await desk.drain_later(timedelta(minutes=1))
        (row,) = await desk.world.rows("outbox")
        assert (row.due_at - desk.world.clock()).total_seconds() == pytest.approx(pause, abs=2)


async def test_a_driver_that_raises_proves_nothing(desk: Desk) -> None:
    async def fail(_submissions: Sequence[Submission]) -> None:
        raise RuntimeError("the driver is broken")

    desk.driver.before_answers.append(fail)
    message_id = await desk.send()
    await desk.drain()
    assert await desk.status(message_id) == (Status.SENDING, None)
    assert await desk.kinds() == ["unconfirmed"]


async def test_unconfirmed_is_never_sent_again_and_ends_unknown(desk: Desk) -> None:
    desk.driver.answer = lambda _submission: Unconfirmed()
    message_id = await desk.send()
    await desk.drain()
    await desk.drain_later(VALIDITY + GRACE - timedelta(minutes=1))
    assert await desk.status(message_id) == (Status.SENDING, None)
    await desk.drain_later(timedelta(minutes=2))
    assert await desk.status(message_id) == (Status.FAILED, "outcome_unknown")
    assert len(desk.driver.submitted) == 1
    assert await desk.world.count("outbox") == 0


async def test_unconfirmed_is_sent_again_where_the_carrier_deduplicates(desk: Desk) -> None:
    desk.driver.deduplicates = True
    desk.driver.answer = lambda _submission: Unconfirmed()
    message_id = await desk.send()
    await desk.drain()
    desk.driver.answer = accept
    await desk.drain_later(timedelta(seconds=10))
    first, second = desk.driver.submitted
    assert (first.message_id, first.segment_index) == (second.message_id, second.segment_index)
    assert first.attempt_id != second.attempt_id
    assert await desk.status(message_id) == (Status.SENT, None)


async def cut(desk: Desk, text: str = "Hello") -> tuple[UUID, UUID]:
    """A message whose process was killed after its attempt was committed: (message, attempt)."""
    message_id = await desk.send(text=text)
    (claimed,) = await desk.outbox.claim(desk.carrier_id, 10, LEASE)
    assert claimed.past == ()
    attempt_id = mint_id()
    attempt = NewAttempt(attempt_id, message_id, 0, 1, desk.carrier_id)
    assert await desk.outbox.begin([attempt], claimed.leased_until, LEAST_LEFT)
    return message_id, attempt_id


async def test_an_attempt_that_was_cut_counts_as_unconfirmed(desk: Desk) -> None:
    message_id, _ = await cut(desk)
    await desk.drain()
    assert desk.driver.submitted == []
    await desk.drain_later(LEASE + timedelta(seconds=1))
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.SENDING, None)
    # On record as such, or no stray receipt could prove it.
    assert await desk.kinds() == ["unconfirmed"]
    await desk.drain_later(VALIDITY + GRACE)
    assert await desk.status(message_id) == (Status.FAILED, "outcome_unknown")
    assert await desk.kinds() == ["unconfirmed"]


async def test_an_attempt_that_was_cut_is_repeated_where_the_carrier_deduplicates(desk: Desk) -> None:
    desk.driver.deduplicates = True
    message_id, _ = await cut(desk)
    await desk.outbox.release_leases()
    await desk.drain()
    assert await desk.status(message_id) == (Status.SENT, None)


@pytest.mark.parametrize("deduplicates", [False, True], ids=["not deduplicating", "deduplicating"])
async def test_an_attempt_that_was_cut_at_the_end_of_its_validity_still_has_its_grace(
    desk: Desk, deduplicates: bool
) -> None:
    desk.driver.deduplicates = deduplicates
    message_id, _ = await cut(desk)
    await desk.drain_later(VALIDITY + timedelta(seconds=1))
    assert await desk.status(message_id) == (Status.SENDING, None)
    await desk.drain_later(GRACE)
    assert await desk.status(message_id) == (Status.FAILED, "outcome_unknown")
    assert desk.driver.submitted == []


async def test_what_was_unconfirmed_goes_again_when_a_late_answer_puts_it_off(desk: Desk) -> None:
    desk.driver.answer = lambda _submission: U
    message_id = await desk.send()
    await desk.drain()
    assert desk.driver.answered is not None
    desk.driver.answered(desk.driver.submitted[0], D)

    async def is_recorded() -> bool:
        return await desk.kinds() == ["deferred", "unconfirmed"]

    await wait_until_async(is_recorded)
    desk.driver.answer = accept
    await desk.drain_later(timedelta(seconds=11))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert len(desk.driver.submitted) == 2


async def test_a_late_answer_puts_one_part_off_while_another_awaits_its_own(desk: Desk) -> None:
    def answer(submission: Submission) -> Outcome:
        if submission.segment_index == 0:
            return U
        assert desk.driver.answered is not None
        desk.driver.answered(desk.driver.submitted[0], D)
        return accept(submission)

    desk.driver.answer = answer
    message_id = await desk.send(text=TWO_SEGMENTS)
    await desk.drain()
    assert await desk.kinds() == ["accepted", "deferred"]
    desk.driver.answer = accept
    await desk.drain_later(timedelta(seconds=11))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert desk.driver.segments == [0, 1, 0]


async def test_an_answer_that_no_table_takes_spoils_no_other(desk: Desk) -> None:
    good, bad = [await desk.send(recipient=f"+1202555010{n}") for n in (1, 2)]
    desk.driver.answer = lambda submission: Accepted("\ud800" if submission.message_id == bad else "good")
    await desk.drain()
    assert len(desk.driver.submitted) == 2
    assert await desk.status(good) == (Status.SENT, None)
    assert await desk.status(bad) == (Status.QUEUED, None)


async def test_attempts_whose_commit_was_not_answered_are_known_to_be_unwritten(desk: Desk) -> None:
    message_id = await desk.send()
    desk.outbox.cut = 1
    with pytest.raises(StorageDown):
        await desk.drain()
    await desk.drain_later(LEASE + timedelta(seconds=1))
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.kinds() == ["accepted", "unwritten"]


async def test_what_waits_for_the_proof_of_an_unwritten_attempt_goes_when_that_comes(desk: Desk) -> None:
    message_id = await desk.send()
    desk.outbox.cut = 1
    with pytest.raises(StorageDown):
        await desk.drain()
    # Another process finds it while this one cannot reach the database.
    other = Dispatch(desk.dispatch._means, desk.drivers)
    await desk.world.age_queue(LEASE + timedelta(seconds=1))
    await other.drain(desk.carrier_id)
    assert await desk.status(message_id) == (Status.SENDING, None)
    await desk.drain()
    await desk.drain()
    assert await desk.status(message_id) == (Status.SENT, None)
    assert len(desk.driver.submitted) == 1


async def test_attempts_that_were_begun_and_not_written_are_known_to_the_next_process(desk: Desk) -> None:
    await desk.send()
    desk.outbox.cut = 1
    with pytest.raises(StorageDown):
        await desk.drain()
    await desk.dispatch.close()
    assert await desk.kinds() == ["unwritten"]


async def test_attempts_of_a_drain_that_is_cancelled_are_known_to_be_unwritten(desk: Desk) -> None:
    await desk.send()
    desk.outbox.hang = asyncio.Event()
    drain = asyncio.create_task(desk.drain())
    async with asyncio.timeout(10):
        await desk.outbox.hang.wait()
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
    await desk.dispatch.close()
    assert await desk.kinds() == ["unwritten"]


async def test_a_receipt_proves_an_unconfirmed_attempt(desk: Desk) -> None:
    desk.driver.answer = lambda _submission: Unconfirmed()
    message_id = await desk.send()
    await desk.drain()
    (submission,) = desk.driver.submitted
    receipt = CarrierReceipt(
        carrier_id=desk.carrier_id,
        reference="late",
        status=ReceiptStatus.DELIVERED,
        attempt_id=submission.attempt_id,
    )
    await desk.receipts.take([receipt])
    assert await desk.status(message_id) == (Status.DELIVERED, None)
    assert (await desk.world.message(message_id)).provider_reference == "late"
    assert await desk.world.count("outbox") == 0
    await desk.drain_later(VALIDITY + GRACE + GRACE)
    assert await desk.status(message_id) == (Status.DELIVERED, None)


async def test_a_message_whose_every_segment_was_proven_is_sent(desk: Desk) -> None:
    message_id, attempt_id = await cut(desk)
    receipt = CarrierReceipt(
        carrier_id=desk.carrier_id, reference="late", status=ReceiptStatus.ENROUTE, attempt_id=attempt_id
    )
    store = ReceiptStore(desk.world.database, desk.world.clock, mint_id)
    # The process is killed before it matches what it kept.
    await store.append([receipt])
    await store.adopt([receipt])
    await desk.drain_later(LEASE + timedelta(seconds=1))
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.SENT, None)
    assert await desk.world.count("outbox") == 0


async def test_a_receipt_before_the_answer_is_matched_when_the_answer_is_recorded(desk: Desk) -> None:
    async def report(submissions: Sequence[Submission]) -> None:
        await desk.receipts.take(
            [CarrierReceipt(carrier_id=desk.carrier_id, reference="early", status=ReceiptStatus.DELIVERED)]
        )

    desk.driver.before_answers.append(report)
    desk.driver.answer = lambda _submission: Accepted("early")
    message_id = await desk.send()
    await desk.drain()
    assert await desk.status(message_id) == (Status.DELIVERED, None)


@pytest.mark.parametrize("durable", [False, True], ids=["a STOP pair", "the ledger"])
async def test_a_stop_after_the_answer_ends_the_message_unsent(desk: Desk, durable: bool) -> None:
    message_id, other = await desk.send(), await desk.send(recipient="+12025550102")
    if durable:
        await desk.world.opt_outs.add(desk.account.id, "12025550101", source="operator")
    else:
        pair = Pair(desk.account.id, "MyCorp", "12025550101")
        await desk.world.expiring.settle([Question(marks=(pair,))])
    await desk.drain()
    assert await desk.status(message_id) == (Status.FAILED, "opted_out")
    assert await desk.status(other) == (Status.SENT, None)
    assert [submission.message_id for submission in desk.driver.submitted] == [other]
    assert await desk.world.count("outbox") == 0
    kinds = {row.message_id: row.kind for row in await desk.world.rows("outcome")}
    assert kinds == {message_id: "unwritten", other: "accepted"}


async def test_without_the_expiring_state_messages_wait(desk: Desk) -> None:
    desk.world.expiring.down = True
    message_id = await desk.send()
    await desk.drain()
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.QUEUED, None)
    await desk.drain_later(timedelta(seconds=3))
    # Only the first try, which did not know, left an attempt behind.
    assert await desk.world.count("attempt") == 1
    desk.world.expiring.down = False
    await desk.drain_later(timedelta(seconds=3))
    assert await desk.status(message_id) == (Status.SENT, None)


async def test_without_the_expiring_state_a_cut_attempt_is_not_forgotten(desk: Desk) -> None:
    message_id, _ = await cut(desk)
    desk.world.expiring.down = True
    desk.driver.deduplicates = True
    await desk.drain_later(LEASE + timedelta(seconds=1))
    desk.world.expiring.down = desk.driver.deduplicates = False
    await desk.drain_later(timedelta(seconds=3))
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.SENDING, None)


async def test_a_message_past_its_validity_fails_unsent(desk: Desk) -> None:
    message_id = await desk.send()
    await desk.drain_later(VALIDITY + timedelta(seconds=1))
    assert desk.driver.submitted == []
    assert await desk.status(message_id) == (Status.FAILED, "expired")
    assert await desk.world.count("outbox") == 0


async def test_a_text_that_the_carrier_cannot_cut_fails_alone(desk: Desk) -> None:
    class Narrow(ScriptedDriver):
        def cut(self, text: str, encoding: Encoding, reference: int) -> Sequence[Segment]:
            if text == TWO_SEGMENTS:
                raise TooManySegments("the carrier takes one segment")
            return super().cut(text, encoding, reference)

    narrow = Narrow(desk.world.database)
    dispatch = Dispatch(desk.dispatch._means, OneDriver(narrow))
    too_long, fine = await desk.send(text=TWO_SEGMENTS), await desk.send()
    await dispatch.drain(desk.carrier_id)
    await dispatch.settled()
    await dispatch.close()
    assert await desk.status(too_long) == (Status.FAILED, "too_many_segments")
    assert await desk.status(fine) == (Status.SENT, None)


async def test_an_answer_is_recorded_though_the_database_was_away(desk: Desk) -> None:
    desk.outbox.lose = 1
    message_id = await desk.send()
    await desk.drain()
    assert await desk.status(message_id) == (Status.SENT, None)
    assert len(desk.driver.submitted) == 1


async def test_a_driver_without_room_is_asked_again_when_it_says(desk: Desk) -> None:
    desk.driver.room = 0
    await desk.send()
    assert await desk.drain() == 7.0
    assert desk.driver.submitted == []


async def test_a_carrier_that_this_process_does_not_run_keeps_its_queue(desk: Desk) -> None:
    await desk.send()
    nobody = Dispatch(desk.dispatch._means, OneDriver(None))
    assert await nobody.drain(desk.carrier_id) is None
    await nobody.close()
    assert await desk.world.count("outbox") == 1


async def test_everything_due_is_sent_in_windows(desk: Desk) -> None:
    desk.driver.room = 3
    ids = [await desk.send(recipient=f"+120255501{n:02}") for n in range(10)]
    await desk.drain()
    assert {submission.message_id for submission in desk.driver.submitted} == set(ids)
    assert len(desk.driver.submitted) == 10
    assert await desk.world.count("outbox") == 0

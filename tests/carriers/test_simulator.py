"""The simulator: what each recipient gets, and that what it took outlives the process."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import event, func, select

from longcode.carriers.port import (
    Accepted,
    CarrierReceipt,
    Deferred,
    Outcome,
    Rejected,
    Submission,
    Unconfirmed,
)
from longcode.carriers.simulator import ENDINGS, RECEIPT_LEASE, WINDOW, SimulatorDriver, SimulatorReceipts
from longcode.domain.clock import mint_id
from longcode.errors import StorageDown
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.simulator import SimulatorLedger

CARRIER_ID = 7
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
PLAIN = "+447700900123"


class HandClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class ReceiptBook:
    """Takes receipts, as the platform does. broken: it cannot, for now."""

    taken: list[CarrierReceipt] = field(default_factory=list)
    broken: bool = False
    before: Callable[[], Awaitable[object]] | None = None

    async def take(self, receipts: Sequence[CarrierReceipt]) -> None:
        if self.before is not None:
            await self.before()
        if self.broken:
            raise StorageDown("the database did not answer")
        self.taken += receipts

    def says(self) -> list[tuple[str, str | None]]:
        return [(receipt.status.value, receipt.error_code) for receipt in self.taken]


class Process:
    """One process with a simulator, on a database that others may share."""

    def __init__(self, url: str, clock: HandClock) -> None:
        self.database = Database(url)
        self.clock = clock
        self.book = ReceiptBook()
        self.kicks = 0
        self.ledger = SimulatorLedger(self.database, clock, mint_id)
        self.driver = SimulatorDriver(
            CARRIER_ID, self.ledger, mint_id=mint_id, take_receipts=self.book.take, kick=self._kick
        )
        self.receipts = SimulatorReceipts(self.ledger, self.book.take)

    def _kick(self) -> None:
        self.kicks += 1

    async def submit(self, *submissions: Submission) -> list[Outcome]:
        return await self.driver.answers(submissions)

    async def owed(self) -> int:
        async with self.database.read() as connection:
            count = await connection.scalar(select(func.count()).select_from(schema.simulator_receipt))
        return count or 0

    async def deliver_all(self) -> None:
        """Let time pass until nothing is owed any more."""
        for _ in range(20):
            after = await self.receipts.deliver()
            if after is None:
                return
            self.clock.move(after)
        raise AssertionError("receipts without end")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def open_process(database_url: str, clock: HandClock) -> AsyncIterator[Callable[[], Process]]:
    opened: list[Process] = []

    def start() -> Process:
        opened.append(Process(database_url, clock))
        return opened[-1]

    yield start
    for process in opened:
        await process.database.close()


@pytest.fixture
async def process(open_process: Callable[[], Process]) -> Process:
    return open_process()


def segment(recipient: str, *, message_id: UUID | None = None, index: int = 0) -> Submission:
    return Submission(
        attempt_id=mint_id(),
        message_id=message_id or mint_id(),
        segment_index=index,
        segment_total=index + 1,
        segment_reference=1,
        sender="MyCorp",
        recipient=recipient,
        text="hello",
        encoding="GSM-7",
        expires_at=NOON + timedelta(days=1),
        valid_for=timedelta(days=1),
    )


def again(submission: Submission) -> Submission:
    """The same segment in another attempt."""
    return segment(submission.recipient, message_id=submission.message_id, index=submission.segment_index)


def said(outcome: Outcome) -> str:
    """An outcome in one word, its code where it has one."""
    match outcome:
        case Accepted():
            return "accepted"
        case Rejected(code) | Deferred(_, code):
            return code
        case Unconfirmed():
            return "unconfirmed"


@dataclass(frozen=True, slots=True)
class EndingCase:
    name: str
    recipient: str
    answers: tuple[str, ...]
    receipts: tuple[tuple[str, str | None], ...]


DELIVERED = (("delivered", None),)
ENDING_CASES = [
    EndingCase("any recipient is delivered", PLAIN, ("accepted",), DELIVERED),
    EndingCase("a short recipient is delivered", "12", ("accepted",), DELIVERED),
    EndingCase("a recipient without digits is delivered", "alice", ("accepted",), DELIVERED),
    EndingCase("0001 is rejected every time", "+447700900001", ("invalid_destination",) * 2, ()),
    EndingCase("only digits count", "+44 (7700) 900-0.01", ("invalid_destination",), ()),
    EndingCase(
        "0002 is accepted, then undeliverable",
        "+447700900002",
        ("accepted",),
        (("undelivered", "absent_subscriber"),),
    ),
    EndingCase("0003 is accepted and never reported on", "+447700900003", ("accepted",), ()),
    EndingCase(
        "0004 is throttled twice", "+447700900004", ("throttled", "throttled", "accepted", "accepted"), DELIVERED
    ),
    EndingCase(
        "0005 has a temporary error three times",
        "+447700900005",
        ("temporary_error", "temporary_error", "temporary_error", "accepted", "accepted"),
        DELIVERED,
    ),
    EndingCase("0006 loses its first answer only", "+447700900006", ("unconfirmed", "accepted", "accepted"), DELIVERED),
    EndingCase("0007 is reported on once", "+447700900007", ("accepted", "accepted"), DELIVERED),
    EndingCase(
        "0008 has duplicate receipts, out of order",
        "+447700900008",
        ("accepted",),
        (("delivered", None), ("enroute", None), ("delivered", None)),
    ),
]


@pytest.mark.parametrize("case", ENDING_CASES, ids=lambda case: case.name)
async def test_the_recipient_chooses_the_ending(case: EndingCase, process: Process) -> None:
    first = segment(case.recipient)
    tries = [first, *(again(first) for _ in case.answers[1:])]
    outcomes = [(await process.submit(one))[0] for one in tries]
    await process.deliver_all()

    assert tuple(said(outcome) for outcome in outcomes) == case.answers
    assert tuple(process.book.says()) == case.receipts
    references = {outcome.reference for outcome in outcomes if isinstance(outcome, Accepted)}
    taken = tries[next((n for n, answer in enumerate(case.answers) if answer in ("accepted", "unconfirmed")), 0)]
    for receipt in process.book.taken:
        assert references == {receipt.reference}
        assert (receipt.carrier_id, receipt.attempt_id) == (CARRIER_ID, taken.attempt_id)
        assert receipt.raw.startswith(f"id:{receipt.reference} stat:")


@dataclass(frozen=True, slots=True)
class TimeCase:
    name: str
    recipient: str
    within_seconds: float


@pytest.mark.parametrize(
    "case",
    [
        TimeCase("any recipient: within a second", PLAIN, 1),
        TimeCase("throttled: within ten seconds", "+447700900004", 10),
        TimeCase("temporary error: within ten seconds", "+447700900005", 10),
    ],
    ids=lambda case: case.name,
)
async def test_messages_are_delivered_in_time(case: TimeCase, process: Process) -> None:
    submission = segment(case.recipient)
    while isinstance(outcome := (await process.submit(submission))[0], Deferred):
        process.clock.move(outcome.after_seconds)
        submission = again(submission)
    await process.deliver_all()

    assert process.book.says() == list(DELIVERED)
    assert process.clock.now - NOON <= timedelta(seconds=case.within_seconds)


async def test_receipts_are_handed_over_when_they_are_due_and_not_before(process: Process) -> None:
    await process.submit(segment(PLAIN), segment("+447700900006"))

    assert await process.receipts.deliver() == pytest.approx(0.3)
    assert process.book.taken == []
    process.clock.move(0.3)
    assert await process.receipts.deliver() == pytest.approx(1.2)
    assert len(process.book.taken) == 1
    process.clock.move(1.2)
    assert await process.receipts.deliver() is None
    assert len(process.book.taken) == 2


async def test_the_receipt_comes_before_the_answer_where_asked(process: Process) -> None:
    (outcome,) = await process.submit(segment("+447700900007"))

    assert [receipt.reference for receipt in process.book.taken] == [getattr(outcome, "reference", None)]
    assert await process.owed() == 0


async def test_outcomes_keep_the_order_of_a_mixed_batch(process: Process) -> None:
    recipients = [PLAIN, *(f"+44770090000{n}" for n in range(1, 9)), PLAIN]
    outcomes = await process.submit(*(segment(recipient) for recipient in recipients))

    assert [said(outcome) for outcome in outcomes] == [
        "accepted",
        "invalid_destination",
        "accepted",
        "accepted",
        "throttled",
        "temporary_error",
        "unconfirmed",
        "accepted",
        "accepted",
        "accepted",
    ]


async def test_an_empty_batch_and_one_of_rejections_touch_nothing(process: Process) -> None:
    assert await process.submit() == []
    await process.submit(segment("+447700900001"))
    assert (process.kicks, await process.owed()) == (0, 0)


async def test_segments_of_one_message_are_taken_one_by_one(process: Process) -> None:
    message_id = mint_id()
    parts = [segment(PLAIN, message_id=message_id, index=index) for index in range(3)]
    outcomes = await process.submit(*parts)
    repeats = await process.submit(*(again(part) for part in reversed(parts)))

    assert len(set(outcomes)) == 3
    assert repeats == outcomes[::-1]
    assert await process.owed() == 3


@pytest.mark.parametrize(
    ("recipient", "answers"),
    [(PLAIN, ["accepted"] * 3), ("+447700900004", ["throttled", "throttled", "accepted"])],
    ids=["taken once", "turned away twice"],
)
async def test_a_segment_twice_in_one_batch_counts_as_a_repeat(
    recipient: str, answers: list[str], process: Process
) -> None:
    first = segment(recipient)
    outcomes = await process.submit(first, again(first), again(first))

    assert [said(outcome) for outcome in outcomes] == answers
    assert len({outcome for outcome in outcomes if isinstance(outcome, Accepted)}) == 1
    assert await process.owed() == 1


async def test_the_job_is_kicked_when_receipts_are_scheduled_and_not_by_repeats(process: Process) -> None:
    first = segment(PLAIN)
    await process.submit(first, segment(PLAIN))
    await process.submit(again(first), segment("+447700900003"))
    assert process.kicks == 1


async def test_another_process_knows_what_was_taken_and_what_is_owed(open_process: Callable[[], Process]) -> None:
    before, after = open_process(), open_process()
    plain, throttled, lost = (segment(recipient) for recipient in (PLAIN, "+447700900004", "+447700900006"))
    first = await before.submit(plain, throttled, lost)
    await before.database.close()

    second = await after.submit(again(plain), again(throttled), again(lost))
    third = await after.submit(again(plain), again(throttled), again(lost))
    await after.deliver_all()

    assert [said(outcome) for outcome in second] == ["accepted", "throttled", "accepted"]
    assert [said(outcome) for outcome in third] == ["accepted"] * 3
    assert first[0] == second[0] == third[0]
    assert second[2] == third[2]
    reported = sorted(receipt.reference for receipt in after.book.taken)
    assert reported == sorted(outcome.reference for outcome in third if isinstance(outcome, Accepted))


async def test_a_receipt_is_repeated_where_it_was_not_taken(process: Process) -> None:
    await process.submit(segment(PLAIN))
    process.clock.move(1)
    process.book.broken = True
    with pytest.raises(StorageDown):
        await process.receipts.deliver()
    process.book.broken = False

    assert await process.receipts.deliver() == RECEIPT_LEASE.total_seconds()
    await process.deliver_all()
    assert process.book.says() == list(DELIVERED)


async def test_receipts_are_dropped_only_after_they_were_taken(process: Process) -> None:
    owed: list[int] = []

    async def look() -> None:
        owed.append(await process.owed())

    process.book.before = look
    await process.submit(segment(PLAIN))
    process.clock.move(1)
    await process.receipts.deliver()

    assert owed == [1]
    assert await process.owed() == 0


async def test_an_early_receipt_that_could_not_be_taken_is_not_lost(process: Process) -> None:
    early, plain, wrong = segment("+447700900007"), segment(PLAIN), segment("+447700900001")
    process.book.broken = True
    outcomes = await process.submit(early, plain, wrong)
    process.book.broken = False
    repeats = await process.submit(again(early), again(plain))
    await process.deliver_all()

    assert [said(outcome) for outcome in outcomes] == ["unconfirmed", "unconfirmed", "invalid_destination"]
    assert [said(outcome) for outcome in repeats] == ["accepted", "accepted"]
    assert {receipt.attempt_id for receipt in process.book.taken} == {early.attempt_id, plain.attempt_id}


async def test_processes_that_deliver_at_once_share_the_receipts(open_process: Callable[[], Process]) -> None:
    one, other = open_process(), open_process()
    submissions = [segment(PLAIN) for _ in range(WINDOW)]
    await one.submit(*submissions)
    one.clock.move(1)
    await asyncio.gather(*(process.receipts.deliver() for process in (one, other, one, other)))

    taken = [receipt.attempt_id for receipt in one.book.taken + other.book.taken]
    assert len(taken) == WINDOW
    assert set(taken) == {submission.attempt_id for submission in submissions}


async def test_more_receipts_than_one_batch_are_handed_over_in_one_run(process: Process) -> None:
    for _ in range(3):
        await process.submit(*(segment(PLAIN) for _ in range(WINDOW)))
    process.clock.move(1)

    assert await process.receipts.deliver() is None
    assert len(process.book.taken) == 3 * WINDOW


async def test_processes_that_submit_the_same_segments_at_once_agree(open_process: Callable[[], Process]) -> None:
    processes = [open_process(), open_process()]
    recipients = itertools.cycle([PLAIN, "+447700900003", "+447700900008"])
    firsts = [segment(recipient) for recipient, _ in zip(recipients, range(60), strict=False)]
    orders = [firsts, firsts[::-1], firsts[20:] + firsts[:20], firsts[::2] + firsts[1::2]]
    answers = await asyncio.gather(
        *(process.submit(*map(again, order)) for process, order in zip(processes * 2, orders, strict=True))
    )

    references: dict[UUID, set[Outcome]] = {}
    for order, outcomes in zip(orders, answers, strict=True):
        for submission, outcome in zip(order, outcomes, strict=True):
            references.setdefault(submission.message_id, set()).add(outcome)
    assert all(len(named) == 1 for named in references.values())
    assert await processes[0].owed() == 20 + 3 * 20


async def test_a_batch_costs_as_many_statements_as_one_segment(process: Process) -> None:
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(process.database.engine.sync_engine, "before_cursor_execute", count)

    async def cost(submissions: list[Submission]) -> tuple[int, int]:
        nonlocal statements
        statements = 0
        await process.submit(*submissions)
        submitted, statements = statements, 0
        process.clock.move(1)
        await process.receipts.deliver()
        return submitted, statements

    recipients = ["+447700900002", "+447700900004", "+447700900008", PLAIN]
    few = await cost([segment(recipient) for recipient in recipients])
    many = await cost([segment(recipients[n % 4]) for n in range(WINDOW)])

    assert few == many


async def test_a_database_that_is_gone_leaves_submissions_unconfirmed(clock: HandClock) -> None:
    process = Process("postgresql+asyncpg://nobody@127.0.0.1:1/none", clock)
    outcomes = await process.submit(segment(PLAIN), segment("+447700900001"))
    await process.database.close()

    assert [said(outcome) for outcome in outcomes] == ["unconfirmed", "invalid_destination"]


async def test_the_driver_says_what_it_can_do(process: Process) -> None:
    assert (process.driver.deduplicates, process.driver.capacity().segments) == (True, 250)
    await process.driver.close()


def test_the_page_lists_every_ending() -> None:
    page = (Path(__file__).parents[2] / "docs/carriers/simulator.md").read_text()
    assert re.findall(r"^\| (\d{4}) \|", page, re.MULTILINE) == sorted(ENDINGS)

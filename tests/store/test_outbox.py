"""The queue: claims, leases, attempts and moves, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import TRANSITIONS, Status, is_final, sources_of
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.new_messages import NewMessage
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome, OutboxStore, move
from tests.attempts import put_on_record
from tests.messages import text_message

CARRIER, OTHER_CARRIER = 7, 8
LEASE = timedelta(minutes=1)
LEAST_LEFT = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Queue:
    database: Database
    outbox: OutboxStore

    async def put(
        self,
        *,
        account_id: int = 1,
        carrier_id: int | None = CARRIER,
        priority: int = 5,
        due_in: timedelta = timedelta(minutes=-1),
        status: Status = Status.QUEUED,
    ) -> UUID:
        now = utc_now()
        message = text_message(account_id=account_id, status=status, created_at=now)
        new = NewMessage(
            message=message,
            call_id=message.id,
            queued=True,
            carrier_id=carrier_id,
            priority=priority,
            due_at=now + due_in,
            validity=timedelta(days=1) - due_in,
        )
        await IntakeStore(self.database).insert([new], [])
        return message.id

    async def claim(self, limit: int = 10, carrier_id: int = CARRIER) -> list[UUID]:
        return [claimed.message.id for claimed in await self.outbox.claim(carrier_id, limit, LEASE)]

    async def age(self, by: timedelta, *names: str) -> None:
        for row in await self.rows():
            older = {name: getattr(row, name) - by for name in names if getattr(row, name) is not None}
            async with self.database.write() as connection:
                await connection.execute(
                    update(schema.outbox).where(schema.outbox.c.message_id == row.message_id).values(**older)
                )

    async def rows(self) -> list[Any]:
        async with self.database.read() as connection:
            return list(await connection.execute(select(schema.outbox)))

    async def status(self, message_id: UUID) -> tuple[Status, str | None]:
        message = (await IntakeStore(self.database).messages([message_id]))[message_id]
        return message.status, message.error


@pytest.fixture
async def queue(database_url: str) -> AsyncIterator[Queue]:
    database = Database(database_url)
    yield Queue(database, OutboxStore(database, utc_now))
    await database.close()


def outcome(attempt_id: UUID, message_id: UUID, kind: str, reference: str | None = None) -> NewOutcome:
    return NewOutcome(
        attempt_id=attempt_id,
        message_id=message_id,
        segment_index=0,
        segment_total=1,
        carrier_id=CARRIER,
        kind=kind,
        reference=reference,
    )


async def test_only_what_is_due_on_this_carrier_is_claimed(queue: Queue) -> None:
    due = await queue.put()
    await queue.put(due_in=timedelta(minutes=1))
    await queue.put(carrier_id=OTHER_CARRIER)
    await queue.put(carrier_id=None)
    assert await queue.claim() == [due]


async def test_higher_priority_goes_first_then_what_was_due_first(queue: Queue) -> None:
    late = await queue.put(due_in=timedelta(minutes=-1))
    early = await queue.put(due_in=timedelta(minutes=-2))
    urgent = await queue.put(priority=0)
    assert await queue.claim(2) == [urgent, early]
    assert await queue.claim(2) == [late]


async def test_accounts_share_a_window_evenly(queue: Queue) -> None:
    for _ in range(10):
        await queue.put(account_id=1, due_in=timedelta(hours=-1))
    small = {await queue.put(account_id=2), await queue.put(account_id=3)}
    claimed = set(await queue.claim(6))
    assert small <= claimed
    assert len(claimed) == 4
    assert len(await queue.claim(6)) == 2


async def test_an_account_may_be_given_less_than_its_share_or_nothing(queue: Queue) -> None:
    for account_id in (1, 2, 3):
        for _ in range(8):
            await queue.put(account_id=account_id)
    claimed = await queue.outbox.claim(CARRIER, 12, LEASE, {1: 0, 2: 3, 9: 1})
    assert Counter(one.message.account_id for one in claimed) == {2: 3, 3: 6}


async def test_a_paced_message_goes_back_to_its_place_and_counts_no_deferral(queue: Queue) -> None:
    first, second = await queue.put(due_in=timedelta(hours=-2)), await queue.put(due_in=timedelta(hours=-1))
    before = await queue.rows()
    await queue.claim()
    await queue.outbox.conclude(
        [Conclusion(message_id=one, again_after=timedelta(0), paced=True) for one in (second, first)]
    )
    assert sorted(await queue.rows()) == sorted(before)
    assert await queue.claim() == [first, second]
    await queue.outbox.conclude([Conclusion(message_id=first, again_after=timedelta(hours=1), paced=True)])
    (row,) = [row for row in await queue.rows() if row.message_id == first]
    assert (row.leased_until, row.deferrals) == (None, 0)
    assert row.due_at - utc_now() == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=5))


async def test_a_claim_says_all_that_dispatch_must_know(queue: Queue) -> None:
    message_id = await queue.put()
    (claimed,) = await queue.outbox.claim(CARRIER, 10, LEASE)
    assert claimed.message == (await IntakeStore(queue.database).messages([message_id]))[message_id]
    assert (claimed.priority, claimed.deferrals, claimed.expired, claimed.past) == (5, 0, False, ())
    (row,) = await queue.rows()
    assert claimed.expires_at == row.expires_at
    assert row.leased_until - utc_now() == pytest.approx(LEASE, abs=timedelta(seconds=5))


async def test_a_claimed_row_is_not_claimed_again_until_its_lease_ends(queue: Queue) -> None:
    message_id = await queue.put()
    assert await queue.claim() == [message_id]
    assert await queue.claim() == []
    await queue.age(LEASE + timedelta(seconds=1), "leased_until")
    assert await queue.claim() == [message_id]


async def test_released_leases_are_claimed_at_once_with_what_was_tried(queue: Queue) -> None:
    message_id, untouched = await queue.put(), await queue.put(due_in=timedelta(hours=1))
    await queue.claim()
    attempt_id = mint_id()
    await put_on_record(queue.database, NewAttempt(attempt_id, message_id, 0, 1, CARRIER))
    assert await queue.outbox.release_leases() == 1
    (claimed,) = await queue.outbox.claim(CARRIER, 10, LEASE)
    assert [(past.attempt_id, past.segment_index, past.kind) for past in claimed.past] == [(attempt_id, 0, None)]
    assert {row.message_id: row.leased_until for row in await queue.rows()}[untouched] is None


@dataclass(frozen=True)
class Meanwhile:
    """What came to pass between a claim and its attempt. begins: whether the attempt is begun all the same."""

    name: str
    happen: Callable[[Queue], Awaitable[object]]
    begins: bool = False


async def _another_claims(queue: Queue) -> None:
    await queue.age(LEASE, "leased_until")
    assert await queue.claim()


async def _forgotten_and_claimed(queue: Queue) -> None:
    """As after a crash of a database that had not yet flushed the claim."""
    async with queue.database.write() as connection:
        await connection.execute(update(schema.outbox).values(leased_until=None))
    assert await queue.claim()


async def _put_back(queue: Queue) -> None:
    (row,) = await queue.rows()
    await queue.outbox.conclude([Conclusion(message_id=row.message_id, again_after=timedelta(), paced=True)])


async def _ended(queue: Queue) -> None:
    (row,) = await queue.rows()
    await queue.outbox.conclude([Conclusion(message_id=row.message_id, status=Status.FAILED)])


MEANWHILE = [
    Meanwhile("nothing", lambda queue: asyncio.sleep(0), begins=True),
    Meanwhile("another message came", lambda queue: queue.put(), begins=True),
    Meanwhile("so long that little is left", lambda queue: queue.age(LEASE - LEAST_LEFT, "leased_until")),
    Meanwhile("the lease ended, and another has it", _another_claims),
    Meanwhile("the lease was forgotten, and another has it", _forgotten_and_claimed),
    Meanwhile("it was put back", _put_back),
    Meanwhile("it came to its end", _ended),
]


@pytest.mark.parametrize("case", MEANWHILE, ids=lambda case: case.name)
async def test_an_attempt_is_begun_under_the_lease_that_was_claimed(queue: Queue, case: Meanwhile) -> None:
    message_id = await queue.put()
    (claimed,) = await queue.outbox.claim(CARRIER, 10, LEASE)
    await case.happen(queue)
    attempts = [NewAttempt(mint_id(), message_id, index, 2, CARRIER) for index in range(2)]
    begun = await queue.outbox.begin(attempts, claimed.leased_until, LEAST_LEFT)
    assert begun == ({message_id} if case.begins else set())
    async with queue.database.read() as connection:
        assert len((await connection.execute(select(schema.attempt))).all()) == (2 if case.begins else 0)


async def test_of_a_window_what_is_still_ours_is_begun(queue: Queue) -> None:
    first, second = await queue.put(), await queue.put()
    claimed, _ = await queue.outbox.claim(CARRIER, 10, LEASE)
    await queue.outbox.conclude([Conclusion(message_id=first, again_after=timedelta(), paced=True)])
    attempts = [NewAttempt(mint_id(), message_id, 0, 1, CARRIER) for message_id in (first, second)]
    assert await queue.outbox.begin(attempts, claimed.leased_until, LEAST_LEFT) == {second}


async def test_claims_at_once_are_disjoint(queue: Queue) -> None:
    ids = {await queue.put() for _ in range(40)}
    claims = await asyncio.gather(*(queue.claim(10) for _ in range(4)))
    claimed = [message_id for claim in claims for message_id in claim]
    assert len(claimed) == len(set(claimed))
    while more := await queue.claim(10):
        claimed += more
    assert sorted(claimed) == sorted(ids)


async def test_rows_that_another_process_holds_are_passed_over(postgres_url: str) -> None:
    database = Database(postgres_url)
    queue = Queue(database, OutboxStore(database, utc_now))
    held, free = await queue.put(due_in=timedelta(hours=-1)), await queue.put()
    async with database.write() as connection:
        table = schema.outbox
        await connection.execute(select(table).where(table.c.message_id == held).with_for_update())
        async with asyncio.timeout(10):
            assert await queue.claim() == [free]
    assert await queue.claim() == [held]
    await database.close()


async def test_a_message_that_is_put_back_waits_and_counts_its_deferrals(queue: Queue) -> None:
    message_id = await queue.put()
    await queue.claim()
    attempt_id = mint_id()
    await put_on_record(queue.database, NewAttempt(attempt_id, message_id, 0, 1, CARRIER))
    back = Conclusion(
        message_id=message_id,
        outcomes=(outcome(attempt_id, message_id, "deferred"),),
        again_after=timedelta(minutes=2),
    )
    await queue.outbox.conclude([back])
    assert await queue.claim() == []
    assert await queue.status(message_id) == (Status.QUEUED, None)
    await queue.age(timedelta(minutes=3), "due_at")
    (claimed,) = await queue.outbox.claim(CARRIER, 10, LEASE)
    assert claimed.deferrals == 1
    assert [past.kind for past in claimed.past] == ["deferred"]


async def test_of_two_conclusions_of_a_message_the_latter_has_the_last_word(queue: Queue) -> None:
    first, second = await queue.put(), await queue.put()
    await queue.claim()

    def soon(message_id: UUID) -> Conclusion:
        return Conclusion(message_id=message_id, again_after=timedelta(seconds=1))

    unknown = Conclusion(message_id=second, status=Status.SENDING, again_after=timedelta(days=1))
    await queue.outbox.conclude([soon(first), unknown, soon(second)])
    assert await queue.status(second) == (Status.SENDING, None)
    await queue.age(timedelta(minutes=1), "due_at")
    assert sorted(await queue.claim()) == sorted([first, second])


async def test_a_round_that_is_recorded_twice_changes_nothing_more(queue: Queue) -> None:
    sent, failed = await queue.put(), await queue.put()
    attempts = {message_id: mint_id() for message_id in (sent, failed)}
    begun = [NewAttempt(attempt, message, 0, 1, CARRIER) for message, attempt in attempts.items()]
    await put_on_record(queue.database, *begun)
    conclusions = [
        Conclusion(message_id=sent, outcomes=(outcome(attempts[sent], sent, "accepted", "ref"),), status=Status.SENT),
        Conclusion(
            message_id=failed,
            outcomes=(outcome(attempts[failed], failed, "rejected"),),
            status=Status.FAILED,
            error="barred",
        ),
    ]
    for _ in range(2):
        await queue.outbox.conclude(conclusions)
        assert await queue.status(sent) == (Status.SENT, None)
        assert await queue.status(failed) == (Status.FAILED, "barred")
        assert await queue.rows() == []
    async with queue.database.read() as connection:
        assert len((await connection.execute(select(schema.outcome))).all()) == 2


async def test_a_conclusion_never_moves_a_message_back(queue: Queue) -> None:
    message_id = await queue.put(status=Status.DELIVERED)
    await queue.outbox.conclude([Conclusion(message_id=message_id, status=Status.SENT)])
    assert await queue.status(message_id) == (Status.DELIVERED, None)
    assert await queue.rows() == []


async def test_nothing_concluded_and_nothing_begun_is_nothing_done(queue: Queue) -> None:
    await queue.outbox.conclude([])
    assert await queue.outbox.begin([], utc_now(), timedelta()) == set()


MOVES = st.lists(st.tuples(st.sampled_from(Status), st.sampled_from([None, "code"])), max_size=12)


@given(start=st.sampled_from(Status), moves=MOVES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_status_never_regresses(sqlite_url: str, start: Status, moves: list[tuple[Status, str | None]]) -> None:
    database = Database(sqlite_url)
    queue = Queue(database, OutboxStore(database, utc_now))
    message_id = await queue.put(status=start)
    expected, error = start, None
    for target, code in moves:
        async with database.write() as connection:
            await move(connection, [message_id], target, code, utc_now())
        if target in TRANSITIONS[expected]:
            expected, error = target, code
        assert await queue.status(message_id) == (expected, error)
    await database.close()


def test_the_transition_table_names_every_status_and_has_no_way_back() -> None:
    assert set(TRANSITIONS) == set(Status)

    def reachable(status: Status, seen: frozenset[Status]) -> frozenset[Status]:
        for target in TRANSITIONS[status] - seen:
            seen = reachable(target, seen | {target})
        return seen

    for status in Status:
        assert status not in reachable(status, frozenset())
        assert is_final(status) == (not TRANSITIONS[status])
        assert all(status in TRANSITIONS[source] for source in sources_of(status))

"""What is the tables' own: several processes on one PostgreSQL, deletion in bounds, a database that dies."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from longcode.errors import StorageDown
from longcode.expiring.port import Pair, Question, Verdict
from longcode.expiring.sql import SqlExpiring
from longcode.store import expiring as store
from longcode.store import schema
from longcode.store.database import Database
from tests.expiring.states import HandClock, open_tables
from tests.services.postgresql import postgresql

GO_ON = Verdict()
LIMIT = 50
A_TO_B = Pair(7, "12025550101", "12025550102")


def adapter(database: Database, clock: HandClock) -> SqlExpiring:
    return SqlExpiring(database, clock=clock, stop_ttl_seconds=14_400, limit=LIMIT, window_seconds=86_400)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_tables(database_url) as database:
        yield database


async def test_processes_that_settle_the_same_senders_in_other_orders_count_right(postgres_url: str) -> None:
    clock = HandClock()
    pairs = [Pair(1, f"1202555{n:04}", "12025550190") for n in range(100, 112)]
    questions = [Question(marks=(Pair(2, pair.sender, "b"),), ask=pair, count=True) for pair in pairs]
    orders = itertools.cycle([questions, questions[::-1], questions[6:] + questions[:6]])
    async with open_tables(postgres_url) as one, open_tables(postgres_url) as other:
        processes = itertools.cycle([adapter(one, clock), adapter(other, clock)])
        work = [
            process.settle(order * 3) if n % 5 else process.give_back(order)
            for n, process, order in zip(range(30), processes, orders, strict=False)
        ]
        # A deadlock would end one of them with an error.
        await asyncio.gather(*work)
        async with one.read() as connection:
            calls = list(await connection.scalars(select(schema.sender_window.c.calls)))

    assert len(calls) == len(pairs)
    # 24 batches of 3 calls are more than the limit; six give-backs take at most one each, wherever they fall.
    assert all(LIMIT - 6 <= number <= LIMIT for number in calls)


async def test_purging_beside_settling_neither_deadlocks_nor_deletes_what_holds(postgres_url: str) -> None:
    clock = HandClock()
    pairs = tuple(Pair(1, str(n), "b") for n in range(300))
    async with open_tables(postgres_url) as database:
        expiring = adapter(database, clock)
        for _ in range(3):
            await expiring.settle([Question(marks=pairs)])
            clock.now += timedelta(seconds=14_400)
            await asyncio.gather(expiring.purge(), expiring.settle([Question(marks=pairs[::-1])]), expiring.purge())
            assert await expiring.stopped(pairs) == set(pairs)


async def test_one_purge_step_deletes_no_more_than_it_may(database: Database) -> None:
    clock = HandClock()
    expiring = adapter(database, clock)
    await expiring.settle([Question(marks=tuple(Pair(1, str(n), "b") for n in range(25)))])
    clock.now += timedelta(seconds=14_400)

    async with database.write() as connection:
        deleted = await store.purge_pairs(connection, now=clock.now, rows=10)
        left = await connection.scalar(select(func.count()).select_from(schema.stop_pair))

    assert (deleted, left) == (10, 15)


async def test_nothing_expired_is_left_after_a_purge(database: Database) -> None:
    clock = HandClock()
    expiring = adapter(database, clock)
    await expiring.settle([Question(marks=tuple(Pair(1, str(n), "b") for n in range(2100)))])
    await expiring.settle([Question(ask=Pair(1, str(n), "b"), count=True) for n in range(2100, 2110)])
    clock.now += timedelta(seconds=86_400)

    await expiring.purge()

    async with database.read() as connection:
        for table in (schema.stop_pair, schema.sender_window):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0


async def test_what_was_kept_is_there_for_the_next_process(database_url: str) -> None:
    clock = HandClock()
    async with open_tables(database_url) as database:
        await adapter(database, clock).settle([Question(marks=(A_TO_B,))])
        await adapter(database, clock).settle([Question(ask=Pair(7, "MyCorp", "b"), count=True)] * LIMIT)

    async with open_tables(database_url) as database:
        expiring = adapter(database, clock)
        assert await expiring.complete()
        stopped, refused = await expiring.settle(
            [Question(ask=A_TO_B), Question(ask=Pair(7, "MyCorp", "b"), count=True)]
        )
        assert stopped == Verdict(stopped=True)
        assert refused == Verdict(over_limit_seconds=86_400)


WAITS = [
    pytest.param(timedelta(0), 86_400, id="a full window is waited for"),
    pytest.param(timedelta(seconds=86_399), 1, id="the last second is one"),
    pytest.param(timedelta(seconds=86_399, microseconds=999_999), 1, id="a part of a second is one"),
    pytest.param(timedelta(seconds=86_398, microseconds=1), 2, id="parts are rounded up"),
    pytest.param(timedelta(seconds=86_400), 0, id="at its end the window is over"),
]


@pytest.mark.parametrize(("passed", "seconds"), WAITS)
async def test_how_long_a_refused_call_has_to_wait(database: Database, passed: timedelta, seconds: int) -> None:
    clock = HandClock()
    expiring = adapter(database, clock)
    question = Question(ask=A_TO_B, count=True)
    await expiring.settle([question] * LIMIT)

    clock.now += passed

    assert await expiring.settle([question]) == [Verdict(over_limit_seconds=seconds)]


async def test_a_killed_postgresql_is_down_and_works_again_when_it_is_back() -> None:
    clock = HandClock()
    with postgresql() as server:
        async with open_tables(server.url()) as database:
            expiring = adapter(database, clock)
            await expiring.settle([Question(marks=(A_TO_B,))])

            server.kill()
            with pytest.raises(StorageDown):
                await expiring.settle([Question(ask=A_TO_B, count=True)])
            with pytest.raises(StorageDown):
                await expiring.stopped([A_TO_B])

            server.start()
            assert await expiring.stopped([A_TO_B]) == {A_TO_B}


@pytest.mark.untouched
async def test_look_ups_reach_the_tables_by_their_keys(postgres_url: str) -> None:
    async with open_tables(postgres_url) as database, database.read() as connection:
        # As if the tables were large: of two plans that need no scan, the planner is left its choice.
        await connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, index in ((store.HELD, "pk_stop_pair"), (store.ENDS, "pk_sender_window")):
            words = f"EXPLAIN {statement['postgresql'].text}".replace(":now", "now()").replace(":rows", "'[]'")
            plan = "\n".join(await connection.scalars(text(words)))
            assert f"using {index}" in plan
            assert "account_id = given.account_id" in plan

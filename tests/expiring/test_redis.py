"""What is Redis's own: a server that dies, forgets, refuses, hangs or is set up to lose."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from longcode.errors import StorageDown
from longcode.expiring.port import Emptied, Pair, Question, Verdict
from longcode.expiring.redis import RedisExpiring
from tests.processes import free_port
from tests.services.valkey import ValkeyServer, valkey

A_TO_B = Pair(7, "12025550101", "12025550102")
COUNT = Question(ask=A_TO_B, count=True)
GO_ON = Verdict()
LIMIT = 3


def adapter(url: str, *, timeout_seconds: float = 10) -> RedisExpiring:
    """For the timeouts of tests that expect none the machine may be slow."""
    return RedisExpiring(
        url, stop_ttl_seconds=14_400, limit=LIMIT, window_seconds=86_400, timeout_seconds=timeout_seconds
    )


@pytest.fixture
async def expiring(valkey_url: str) -> AsyncIterator[RedisExpiring]:
    expiring = adapter(valkey_url)
    await expiring.restore([])
    yield expiring
    await expiring.close()


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture(scope="module")
def mortal() -> Iterator[ValkeyServer]:
    """A server to kill: not the session's."""
    with valkey() as server:
        yield server


@pytest.fixture
async def endangered(mortal: ValkeyServer) -> AsyncIterator[RedisExpiring]:
    """An adapter with an open connection to `mortal`, which holds nothing and is complete."""
    if not mortal.running:
        mortal.start()
    mortal.flush()
    expiring = adapter(mortal.url)
    await expiring.restore([])
    yield expiring
    await expiring.close()


async def test_keys_are_named_as_operators_know_them(expiring: RedisExpiring, client: Redis) -> None:
    await expiring.settle([Question(marks=(Pair(7, "My:Corp%", "12025550102"),)), COUNT])

    assert set(await client.keys()) == {
        b"longcode:stop:7:My%3ACorp%25:12025550102",
        b"longcode:limit:7:12025550101",
        b"longcode:marker",
    }


async def test_every_key_but_the_marker_ends_by_itself(expiring: RedisExpiring, client: Redis) -> None:
    await expiring.settle([Question(marks=(A_TO_B,)), Question(ask=Pair(7, "MyCorp", "b"), count=True)])

    assert 0 < await client.ttl("longcode:stop:7:12025550101:12025550102") <= 14_400
    assert 0 < await client.ttl("longcode:limit:7:MyCorp") <= 86_400
    assert await client.ttl("longcode:marker") == -1


async def test_a_refused_call_writes_nothing(expiring: RedisExpiring, client: Redis) -> None:
    await expiring.settle([COUNT] * LIMIT)
    written = (await client.info("persistence"))["rdb_changes_since_last_save"]

    [verdict] = await expiring.settle([COUNT])

    assert verdict.over_limit_seconds > 0
    assert (await client.info("persistence"))["rdb_changes_since_last_save"] == written


async def test_an_emptied_server_answers_nothing_until_it_was_restored(
    expiring: RedisExpiring, client: Redis, valkey_server: ValkeyServer
) -> None:
    assert await expiring.complete()
    valkey_server.flush()

    assert not await expiring.complete()
    for question in (Question(marks=(A_TO_B,)), Question(ask=A_TO_B), COUNT):
        with pytest.raises(Emptied):
            await expiring.settle([question])
    with pytest.raises(Emptied):
        await expiring.stopped([A_TO_B])
    assert await client.keys() == []

    await expiring.restore([])
    assert await expiring.complete()
    assert await expiring.settle([COUNT]) == [GO_ON]


async def test_a_forgotten_script_is_sent_again_and_counts_once(expiring: RedisExpiring, client: Redis) -> None:
    await expiring.settle([COUNT])

    await client.script_flush()
    assert await expiring.settle([COUNT]) == [GO_ON]
    assert await client.get("longcode:limit:7:12025550101") == b"2"

    await client.script_flush()
    await expiring.give_back([COUNT])
    assert await client.get("longcode:limit:7:12025550101") == b"1"


async def test_calls_at_once_before_the_script_is_known_count_once_each(expiring: RedisExpiring, client: Redis) -> None:
    await client.script_flush()

    verdicts = await asyncio.gather(*[expiring.settle([COUNT]) for _ in range(40)])

    assert verdicts.count([GO_ON]) == LIMIT
    assert await client.get("longcode:limit:7:12025550101") == b"3"


async def test_every_call_says_that_a_killed_server_is_down(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    mortal.kill()

    calls = [
        endangered.settle([COUNT]),
        endangered.settle([Question(ask=A_TO_B)]),
        endangered.give_back([COUNT]),
        endangered.stopped([A_TO_B]),
        endangered.restore([]),
        endangered.complete(),
        endangered.faults(),
    ]
    for call in calls:
        with pytest.raises(StorageDown):
            # Refused at once: no call waits for its own timeout of 10 s.
            await asyncio.wait_for(call, timeout=5)


async def test_what_was_kept_outlives_a_kill(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    await endangered.restore([])
    await endangered.settle([Question(marks=(A_TO_B,)), *[Question(ask=Pair(7, "MyCorp", "b"), count=True)] * LIMIT])

    mortal.kill()
    with pytest.raises(StorageDown):
        await endangered.complete()
    mortal.start()

    assert await endangered.complete()
    assert await endangered.settle([COUNT]) == [Verdict(stopped=True)]
    [verdict] = await endangered.settle([Question(ask=Pair(7, "MyCorp", "b"), count=True)])
    assert verdict.over_limit_seconds > 0


async def test_a_restart_between_two_calls_is_not_noticed(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    assert await endangered.settle([COUNT]) == [GO_ON]

    mortal.kill()
    mortal.start()
    # Both held the event loop up; meanwhile it hears that the idle connection is dead.
    async with Redis.from_url(mortal.url) as client:
        await client.ping()

    # The script is forgotten too.
    answers = [verdict for _ in range(LIMIT) for verdict in await endangered.settle([COUNT])]
    assert answers[:-1] == [GO_ON] * (LIMIT - 1)
    assert answers[-1].over_limit_seconds > 0


async def test_a_server_killed_under_load_never_counts_too_few(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    questions = [Question(ask=Pair(7, str(n), "b"), count=True) for n in range(200)]
    calls = [asyncio.create_task(endangered.settle([question])) for question in questions]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    mortal.kill()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    mortal.start()

    async with Redis.from_url(mortal.url) as client:
        for question, outcome in zip(questions, outcomes, strict=True):
            assert outcome == [GO_ON] or isinstance(outcome, StorageDown)
            if outcome == [GO_ON]:
                assert question.ask
                assert await client.get(f"longcode:limit:7:{question.ask.sender}") == b"1"


async def test_a_hanging_server_is_down_when_the_timeout_is_over(mortal: ValkeyServer) -> None:
    if not mortal.running:
        mortal.start()
    mortal.flush()
    expiring = adapter(mortal.url, timeout_seconds=0.1)
    os.kill(mortal.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StorageDown):
            await asyncio.wait_for(expiring.settle([COUNT]), timeout=5)
    finally:
        os.kill(mortal.pid, signal.SIGCONT)
        await expiring.close()


async def test_a_late_answer_is_nobody_elses(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    os.kill(mortal.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(endangered.settle([COUNT] * 5), timeout=0.1)
    finally:
        os.kill(mortal.pid, signal.SIGCONT)

    assert await endangered.stopped([A_TO_B]) == set()
    assert await endangered.settle([Question(ask=Pair(7, "MyCorp", "b"), count=True)] * 2) == [GO_ON] * 2


async def test_nobody_listening_is_down() -> None:
    expiring = adapter(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StorageDown):
        await asyncio.wait_for(expiring.settle([COUNT]), timeout=5)
    await expiring.close()


@dataclass(frozen=True, slots=True)
class SetupCase:
    """commands: what makes the server so. told: what each fault names, in order. usable: it takes a STOP."""

    name: str
    commands: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    usable: bool = True


SETUP_CASES = [
    SetupCase("appendonly and noeviction are safe"),
    SetupCase("no append-only file is a fault", ("CONFIG SET appendonly no",), ("appendonly",)),
    SetupCase(
        "eviction is a fault",
        ("CONFIG SET maxmemory-policy volatile-ttl",),
        ("maxmemory-policy volatile-ttl",),
    ),
    SetupCase(
        "both faults are told at once",
        ("CONFIG SET appendonly no", "CONFIG SET maxmemory-policy allkeys-lru"),
        ("appendonly", "maxmemory-policy allkeys-lru"),
    ),
    SetupCase("a replica takes no STOP", ("REPLICAOF 127.0.0.1 1",), ("replica",), usable=False),
    SetupCase("a setup that cannot be read is a fault", ("ACL SETUSER default -info",), ("INFO",)),
    SetupCase("a server without memory takes no STOP", ("CONFIG SET maxmemory 1",), usable=False),
]


@pytest.mark.parametrize("case", SETUP_CASES, ids=lambda case: case.name)
async def test_how_a_server_is_set_up(case: SetupCase) -> None:
    with valkey() as server:
        async with Redis.from_url(server.url) as client:
            for command in case.commands:
                await client.execute_command(*command.split())  # type: ignore[no-untyped-call]
        expiring = adapter(server.url)
        try:
            faults = await expiring.faults()
            if case.usable:
                await expiring.restore([])
                assert await expiring.settle([Question(marks=(A_TO_B,))]) == [GO_ON]
            else:
                with pytest.raises(StorageDown):
                    await expiring.restore([])
        finally:
            await expiring.close()

    assert len(faults) == len(case.told)
    assert all(word in fault for word, fault in zip(case.told, faults, strict=True))


async def test_a_wrong_password_is_down(mortal: ValkeyServer, endangered: RedisExpiring) -> None:
    expiring = adapter(mortal.url.replace("redis://", "redis://nobody:wrong@"))

    with pytest.raises(StorageDown):
        await expiring.complete()
    with pytest.raises(StorageDown):
        await expiring.faults()

    await expiring.close()

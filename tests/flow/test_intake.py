"""Group commit: what one batch promises each of its callers, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from longcode.domain.clock import mint_id
from longcode.domain.message import Status
from longcode.errors import IntakeFull, KeyReused, LimitReached, NotWhitelisted, StorageDown, Unavailable
from longcode.expiring.port import Pair, Question
from longcode.flow.catalog import Catalog
from longcode.flow.intake import BATCH_CALLS
from longcode.flow.settlement import Entered, Entry, Judged
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.lookups import Known, Lookups
from longcode.store.new_messages import NewMessage
from tests.flow.world import LIMIT, PATIENCE_SECONDS, HandClock, World, open_world, send, until
from tests.messages import text_message

CARRIER = 7
ACCOUNT = 1


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as opened:
        yield opened


def new(world: World, **changes: Any) -> NewMessage:
    """A queued message; changes are its columns."""
    message = text_message(**{"account_id": ACCOUNT, "created_at": world.clock()} | changes)
    return NewMessage(
        message=message,
        call_id=message.id,
        queued=True,
        carrier_id=CARRIER,
        due_at=world.clock(),
        validity=timedelta(days=1),
    )


def ask_nothing(_lookups: Lookups) -> None:
    pass


def entry(
    world: World,
    *,
    key: str | None = None,
    fingerprint: bytes = b"body",
    question: Question | None = None,
    needs_expiring: bool = False,
    judge: Callable[[Known, Catalog], Judged] | None = None,
    ask: Callable[[Lookups], None] = ask_nothing,
    **columns: Any,
) -> Entry:
    def allow(_known: Known, _catalog: Catalog) -> Judged:
        return Judged(messages=(new(world, **columns),), question=question, needs_expiring=needs_expiring)

    return Entry(account_id=ACCOUNT, key=key, fingerprint=fingerprint, ask=ask, judge=judge or allow)


def counting(sender: str = "MyCorp") -> Question:
    return Question(ask=Pair(ACCOUNT, sender, "12025550101"), count=True)


async def held_batch(world: World) -> asyncio.Task[Entered]:
    """A first call whose commit is in flight and stays there until the gate opens."""
    world.store.gate.clear()
    world.store.reached.clear()
    first = asyncio.create_task(world.intake.enter(entry(world)))
    await world.store.reached.wait()
    return first


async def enter_together(world: World, *entries: Entry) -> list[Entered | BaseException]:
    """The answers to calls that arrived while a commit was in flight."""
    first = await held_batch(world)
    tasks = [asyncio.create_task(world.intake.enter(one)) for one in entries]
    await until(lambda: world.intake.waiting == len(entries))
    world.store.gate.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def kind(answer: Entered | BaseException) -> str:
    if isinstance(answer, Entered):
        return "replayed" if answer.replayed else "stored"
    return type(answer).__name__


async def test_calls_that_arrive_together_share_one_commit(world: World) -> None:
    answers = await enter_together(world, *(entry(world) for _ in range(20)))
    assert [kind(answer) for answer in answers] == ["stored"] * 20
    assert world.store.sizes == [1, 20]
    assert (world.intake.counts.batches, world.intake.counts.stored) == (2, 21)


async def test_at_most_one_commit_is_in_flight(world: World) -> None:
    await asyncio.gather(*(world.intake.enter(entry(world)) for _ in range(BATCH_CALLS * 2 + 1)))
    assert world.store.most_in_flight == 1
    assert world.store.sizes == [BATCH_CALLS, BATCH_CALLS, 1]


async def test_a_lone_call_waits_for_nobody(world: World) -> None:
    assert kind(await world.intake.enter(entry(world))) == "stored"
    assert world.store.sizes == [1]


async def test_a_stored_message_wakes_its_carrier(world: World) -> None:
    await enter_together(world, entry(world), entry(world))
    assert world.kicked == [f"dispatch {CARRIER}"] * 2


def raise_fault(*_: object) -> Any:
    raise RuntimeError("a fault of ours")


def refuse(_known: Known, _catalog: Catalog) -> Judged:
    raise NotWhitelisted("MyCorp is not in the whitelist")


@dataclass(frozen=True, slots=True)
class FaultCase:
    name: str
    changes: dict[str, Any]


FAULT_CASES = (
    FaultCase("a judge that fails", {"judge": raise_fault}),
    FaultCase("a judge that refuses by raising", {"judge": refuse}),
    FaultCase("look-ups that fail", {"ask": raise_fault}),
    FaultCase("look-ups that the database cannot read", {"ask": lambda lookups: lookups.numbers.add("\ud800")}),
    FaultCase("a text that is no Unicode", {"text": "\ud800"}),
    FaultCase("a number that no column holds", {"sent_at_seconds": 2**70}),
    FaultCase("a judge without a message", {"judge": lambda _known, _catalog: Judged()}),
)


@pytest.mark.parametrize("case", FAULT_CASES, ids=lambda case: case.name)
async def test_a_faulty_call_fails_alone(world: World, case: FaultCase) -> None:
    question = counting()
    answers = await enter_together(
        world,
        entry(world, key="a", question=question),
        entry(world, question=question, **case.changes),
        entry(world, key="b"),
    )
    assert [isinstance(answer, Entered) for answer in answers] == [True, False, True]
    assert await world.count("message") == 3
    assert await world.count("outbox") == 3
    # Its count went back, so that all others of this window may go.
    rest = await asyncio.gather(*(world.intake.enter(entry(world, question=question)) for _ in range(LIMIT - 1)))
    assert [kind(answer) for answer in rest] == ["stored"] * (LIMIT - 1)


async def test_a_text_with_nul_fails_alone_where_the_database_has_none(postgres_url: str) -> None:
    async with open_world(postgres_url) as world:
        answers = await enter_together(world, entry(world), entry(world, text="a\0b"), entry(world, key="a"))
        assert [isinstance(answer, Entered) for answer in answers] == [True, False, True]
        assert not isinstance(answers[1], Unavailable)
        assert await world.count("message") == 3


async def test_a_full_intake_refuses(database_url: str) -> None:
    async with open_world(database_url, intake_limit=2) as world:
        first = await held_batch(world)
        waiting = [asyncio.create_task(world.intake.enter(entry(world))) for _ in range(2)]
        await until(lambda: world.intake.waiting == 2)
        with pytest.raises(IntakeFull) as refused:
            await world.intake.enter(entry(world))
        assert refused.value.retry_after_seconds >= 1
        world.store.gate.set()
        assert [kind(answer) for answer in await asyncio.gather(first, *waiting)] == ["stored"] * 3


async def test_close_settles_what_waits_and_refuses_what_comes_after(world: World) -> None:
    first = await held_batch(world)
    waiting = [asyncio.create_task(world.intake.enter(entry(world))) for _ in range(3)]
    await until(lambda: world.intake.waiting == 3)
    closing = asyncio.create_task(world.intake.close())
    await asyncio.sleep(0)
    with pytest.raises(IntakeFull):
        await world.intake.enter(entry(world))
    world.store.gate.set()
    await closing
    assert [kind(answer) for answer in await asyncio.gather(first, *waiting)] == ["stored"] * 4


async def test_an_idle_intake_closes_at_once(world: World) -> None:
    await world.intake.close()
    with pytest.raises(IntakeFull):
        await world.intake.enter(entry(world))


async def test_twins_of_one_key_are_stored_once(world: World) -> None:
    answers = await enter_together(world, *(entry(world, key="a") for _ in range(20)))
    assert sorted(kind(answer) for answer in answers) == ["replayed"] * 19 + ["stored"]
    assert len({answer.message.id for answer in answers if isinstance(answer, Entered)}) == 1
    assert await world.count("idempotency") == 1
    assert await world.count("outbox") == 2


async def test_a_twin_tries_itself_where_the_first_was_refused(world: World) -> None:
    answers = await enter_together(world, entry(world, key="a", judge=refuse), entry(world, key="a"))
    assert [kind(answer) for answer in answers] == ["NotWhitelisted", "stored"]


async def test_a_twin_with_another_body_is_refused(world: World) -> None:
    answers = await enter_together(world, entry(world, key="a"), entry(world, key="a", fingerprint=b"other"))
    assert [kind(answer) for answer in answers] == ["stored", "KeyReused"]


async def test_one_key_in_two_accounts_is_two_keys(world: World) -> None:
    theirs = Entry(account_id=2, key="a", ask=ask_nothing, judge=lambda _k, _c: Judged(messages=(new(world),)))
    answers = await enter_together(world, entry(world, key="a"), theirs)
    assert [kind(answer) for answer in answers] == ["stored", "stored"]


async def test_a_replay_is_answered_before_any_rule_speaks(world: World) -> None:
    first = await world.intake.enter(entry(world, key="a", question=counting()))
    again = await world.intake.enter(entry(world, key="a", judge=raise_fault))
    assert again.replayed
    assert again.message.id == first.message.id
    assert world.intake.counts.replayed == 1


async def test_a_replay_tells_the_record_as_it_is_now(world: World) -> None:
    first = await world.intake.enter(entry(world, key="a"))
    carrier = CARRIER
    await world.outbox.claim(carrier, 10, timedelta(seconds=60))
    async with world.database.write() as connection:
        await connection.execute(
            schema.message.update().where(schema.message.c.id == first.message.id).values(status="sent")
        )
    again = await world.intake.enter(entry(world, key="a"))
    assert again.message.status is Status.SENT


async def test_a_key_with_another_body_is_refused_and_changes_nothing(world: World) -> None:
    first = await world.intake.enter(entry(world, key="a"))
    with pytest.raises(KeyReused):
        await world.intake.enter(entry(world, key="a", fingerprint=b"other", text="Other"))
    assert (await world.message(first.message.id)).text == "Hello"
    assert await world.count("message") == 1


async def test_a_refused_call_leaves_its_key_free(world: World) -> None:
    with pytest.raises(NotWhitelisted):
        await world.intake.enter(entry(world, key="a", judge=refuse))
    assert kind(await world.intake.enter(entry(world, key="a"))) == "stored"


async def lose_answer() -> None:
    raise StorageDown("the connection is gone")


@pytest.mark.parametrize("key", ["a", None], ids=["a call with a key", "a call without a key"])
@pytest.mark.parametrize("removed", [False, True], ids=["still queued", "sent and removed in between"])
async def test_a_lost_commit_is_run_again_and_stores_once(world: World, key: str | None, removed: bool) -> None:
    async def lose() -> None:
        if removed:
            async with world.database.write() as connection:
                await connection.execute(delete(schema.outbox))
        await lose_answer()

    world.store.after.append(lose)
    answer = await world.intake.enter(entry(world, key=key))
    assert kind(answer) == "stored"
    assert len(world.store.sizes) == 2
    assert await world.count("message") == 1
    assert await world.count("outbox") == (0 if removed else 1)
    assert await world.count("idempotency") == (0 if key is None else 1)


async def test_a_lost_commit_of_a_mailbox_message_stores_once(world: World) -> None:
    account = await world.account()
    await world.login(account, "anna", "bert")
    world.store.after.append(lose_answer)
    await world.mailbox.send(account, sender="anna", recipient="bert", text="Hello")
    assert await world.count("mailbox") == 1
    assert await world.count("message") == 1


async def test_storage_that_stays_down_refuses_and_may_count_too_much(world: World) -> None:
    """The commit may have gone through: a count that were given back could be one too few."""
    world.store.before += [lose_answer] * 9
    with pytest.raises(StorageDown):
        await world.intake.enter(entry(world, key="a", question=counting()))
    assert world.expiring.returned == []
    world.store.before.clear()
    answers = [await world.intake.enter(entry(world, question=counting())) for _ in range(LIMIT - 1)]
    assert [kind(answer) for answer in answers] == ["stored"] * (LIMIT - 1)
    with pytest.raises(LimitReached) as refused:
        await world.intake.enter(entry(world, question=counting()))
    assert refused.value.retry_after_seconds >= 1


async def test_without_the_expiring_state_only_the_calls_that_need_it_fail(world: World) -> None:
    world.expiring.down = True
    answers = await enter_together(
        world,
        entry(world, question=counting(), needs_expiring=True),
        entry(world, question=Question(ask=Pair(ACCOUNT, "MyCorp", "12025550101"))),
        entry(world),
    )
    assert [kind(answer) for answer in answers] == ["StorageDown", "stored", "stored"]


async def test_two_processes_race_for_one_key(database_url: str) -> None:
    async with open_world(database_url) as slow, open_world(database_url) as fast:
        slow.store.gate.clear()
        late = asyncio.create_task(slow.intake.enter(entry(slow, key="a", question=counting())))
        other = asyncio.create_task(slow.intake.enter(entry(slow, key="b", fingerprint=b"other")))
        await slow.store.reached.wait()
        first = await fast.intake.enter(entry(fast, key="a"))
        taken = await fast.intake.enter(entry(fast, key="b"))
        slow.store.gate.set()
        answer = await late
        assert (kind(first), kind(taken), kind(answer)) == ("stored", "stored", "replayed")
        assert answer.message.id == first.message.id
        with pytest.raises(KeyReused):
            await other
        assert slow.expiring.returned == [counting()]
        assert await fast.count("message") == 2
        assert await fast.count("outbox") == 2


async def test_a_loser_that_cannot_be_read_back_gives_its_count_back(database_url: str) -> None:
    async with open_world(database_url) as slow, open_world(database_url) as fast:
        slow.store.gate.clear()
        late = asyncio.create_task(slow.intake.enter(entry(slow, key="a", question=counting())))
        await slow.store.reached.wait()
        await fast.intake.enter(entry(fast, key="a"))
        async with fast.database.write() as connection:
            await connection.execute(delete(schema.message))
        slow.store.gate.set()
        with pytest.raises(Unavailable):
            await late
        assert slow.expiring.returned == [counting()]


async def test_a_mailbox_instant_that_is_taken_moves_on_by_a_microsecond(database_url: str) -> None:
    clock = HandClock()
    async with open_world(database_url, clock=clock) as one, open_world(database_url, clock=clock) as two:
        account = await one.account()
        await one.login(account, "anna", "bert")
        for world in (one, two, two):
            await world.mailbox.send(account, sender="anna", recipient="bert", text="Hello")
        instants = sorted(row.at - clock.now for row in await one.rows("mailbox"))
        assert instants == [timedelta(microseconds=after) for after in range(3)]


async def test_messages_of_one_instant_between_two_accounts_move_on_too(database_url: str) -> None:
    async with open_world(database_url, clock=HandClock()) as world:
        sender, owner = await world.account(), await world.account("owner")
        await world.accounts.add_sender_id(sender.id, "MyCorp")
        await world.numbers.assign(owner.id, "+12025550101")
        answers = await asyncio.gather(*(world.accept.send(send(sender)) for _ in range(3)), return_exceptions=True)
        assert [kind(answer) for answer in answers] == ["stored"] * 3
        assert len({row.at for row in await world.rows("mailbox")}) == 3


async def test_a_caller_who_left_before_the_batch_counts_nowhere(world: World) -> None:
    first = await held_batch(world)
    gone = asyncio.create_task(world.intake.enter(entry(world, key="a", question=counting())))
    neighbour = asyncio.create_task(world.intake.enter(entry(world, key="a", question=counting())))
    await until(lambda: world.intake.waiting == 2)
    gone.cancel()
    await asyncio.wait([gone])
    world.store.gate.set()
    await first
    assert kind(await neighbour) == "stored"
    for _ in range(LIMIT - 1):
        await world.intake.enter(entry(world, question=counting()))
    with pytest.raises(LimitReached):
        await world.intake.enter(entry(world, question=counting()))


async def test_a_call_that_was_counted_is_stored_though_its_caller_left(world: World) -> None:
    world.expiring.gate.clear()
    gone = asyncio.create_task(world.intake.enter(entry(world, key="a", question=counting())))
    await world.expiring.reached.wait()
    gone.cancel()
    await asyncio.wait([gone])
    world.expiring.gate.set()
    assert kind(await world.intake.enter(entry(world, key="a"))) == "replayed"
    assert await world.count("outbox") == 1


async def test_a_caller_who_leaves_during_the_commit_disturbs_nobody(world: World) -> None:
    first = await held_batch(world)
    first.cancel()
    await asyncio.wait([first])
    world.store.gate.set()
    assert kind(await world.intake.enter(entry(world))) == "stored"
    assert await world.count("message") == 2


async def test_connections_that_the_server_closed_cost_no_call(postgres_url: str) -> None:
    async with open_world(postgres_url) as world:
        await asyncio.gather(*(world.messages.get(ACCOUNT, mint_id()) for _ in range(5)))
        await world.intake.enter(entry(world))
        for _ in range(3):
            await _cut_connections(postgres_url)
            assert kind(await world.intake.enter(entry(world))) == "stored"


async def test_a_connection_that_is_cut_during_the_commit_is_run_again(postgres_url: str) -> None:
    async with open_world(postgres_url) as world, open_world(postgres_url) as other:
        await world.intake.enter(entry(world))
        locked, release = asyncio.Event(), asyncio.Event()

        async def hold_the_table() -> None:
            async with other.database.write() as connection:
                await connection.exec_driver_sql("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
                locked.set()
                await release.wait()

        holding = asyncio.create_task(hold_the_table())
        await locked.wait()
        call = asyncio.create_task(world.intake.enter(entry(world, key="a")))
        await _cut_waiting(postgres_url)
        release.set()
        await holding
        assert kind(await call) == "stored"
        assert len(world.store.sizes) == 3
        assert await world.count("message") == 2


async def _cut_connections(url: str) -> None:
    """End every other connection to this database, as a server does that is shut down."""
    database = Database(url)
    async with database.read() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await database.close()


async def _cut_waiting(url: str) -> None:
    """End the connection that waits for a lock, as soon as there is one."""
    database = Database(url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE_SECONDS), database.read() as connection:
        while not (await connection.exec_driver_sql(f"{cut} AND datname = current_database()")).all():
            await connection.rollback()
    await database.close()

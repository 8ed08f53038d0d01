"""The flow on one database, with doors that a test may hold shut or break."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update

from longcode.domain.account import Account
from longcode.domain.clock import Clock, DistinctClock, mint_id, utc_now
from longcode.domain.message import Message, Status
from longcode.errors import StorageDown
from longcode.expiring.port import Bucket, Expiring, Pair, Question, Verdict
from longcode.expiring.sql import SqlExpiring
from longcode.flow.accept import Accept, Send, SenderRule
from longcode.flow.catalog import CatalogCache
from longcode.flow.health import Health
from longcode.flow.inbound import Inbound
from longcode.flow.intake import Intake
from longcode.flow.jobs import kicking
from longcode.flow.mailbox import Mailbox
from longcode.flow.pools import Pools
from longcode.flow.rerouting import Rerouting
from longcode.flow.settlement import Settlement
from longcode.flow.stops import Stops
from longcode.store import schema
from longcode.store.accounts import AccountStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CatalogStore
from longcode.store.circuits import CircuitStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.limits import LimitStore
from longcode.store.lookups import Known, Lookups
from longcode.store.messages import MessageStore
from longcode.store.new_messages import KeyClaim, NewMessage
from longcode.store.numbers import NumberStore
from longcode.store.opt_outs import OptOutStore
from longcode.store.outbox import OutboxStore
from longcode.store.pools import PoolStore
from longcode.store.rerouting import ReroutingStore
from longcode.store.stops import StopStore
from longcode.store.words import WordStore

LIMIT = 3
STOP_TTL_SECONDS = 3600
PATIENCE_SECONDS = 30
TURNS = 100


class HandClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class HeldStore(IntakeStore):
    """The real store behind a gate.

    gate: inserts wait while it is shut. before: called, and popped, ahead of an insert; after:
    behind one that was committed. Either may raise.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.before: list[Callable[[], Awaitable[None]]] = []
        self.after: list[Callable[[], Awaitable[None]]] = []
        self.looked = 0
        self.sizes: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def preflight(self, lookups: Lookups) -> Known:
        self.looked += 1
        return await super().preflight(lookups)

    async def insert(self, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
        self.sizes.append(len(messages))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.reached.set()
        try:
            await self.gate.wait()
            if self.before:
                await self.before.pop(0)()
            claimed = await super().insert(messages, claims)
            if self.after:
                await self.after.pop(0)()
            return claimed
        finally:
            self.in_flight -= 1


class BreakableExpiring:
    """The real expiring state, which may be down and remembers what was given back."""

    def __init__(self, real: Expiring) -> None:
        self._real = real
        self.down = False
        self.paced = 0
        self.returned: list[Question] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()

    def _check(self) -> None:
        if self.down:
            raise StorageDown("the expiring state did not answer")

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        self._check()
        verdicts = await self._real.settle(questions)
        self.reached.set()
        await self.gate.wait()
        return verdicts

    async def give_back(self, questions: Sequence[Question]) -> None:
        self._check()
        self.returned += questions
        await self._real.give_back(questions)

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        self._check()
        return await self._real.stopped(pairs)

    async def pace(self, wishes: Sequence[Sequence[Bucket]]) -> list[list[float]]:
        self._check()
        self.paced += 1
        return await self._real.pace(wishes)

    async def restore(self, pairs: Sequence[tuple[Pair, datetime]]) -> None:
        self._check()
        await self._real.restore(pairs)

    async def complete(self) -> bool:
        self._check()
        return await self._real.complete()

    async def purge(self) -> None:
        self._check()
        await self._real.purge()

    async def close(self) -> None:
        await self._real.close()


@dataclass(kw_only=True)
class World:
    """One process of the product, without its edges."""

    database: Database
    clock: Clock
    store: HeldStore
    expiring: BreakableExpiring
    accounts: AccountStore
    numbers: NumberStore
    opt_outs: OptOutStore
    words: WordStore
    catalog_store: CatalogStore
    catalog: CatalogCache
    messages: MessageStore
    outbox: OutboxStore
    intake: Intake
    accept: Accept
    inbound: Inbound
    mailbox: Mailbox
    stops: Stops
    limits: LimitStore
    pools: PoolStore
    health: Health
    rerouting: Rerouting
    kicked: list[str] = field(default_factory=list)

    async def account(self, name: str = "acme") -> Account:
        return await self.accounts.create(name, "not a hash")

    async def anonymous(self) -> Account:
        account = await self.account("nobody")
        return Account(account.id, account.name, anonymous=True)

    async def route(self, driver: str = "simulator", prefix: str = "", name: str = "", **route: Any) -> int:
        """A carrier with a route to it; the carrier's id. route: as CatalogStore.add_route takes it."""
        name = name or f"{driver}-{prefix}"
        carrier_id = await self.catalog_store.add_carrier(name, driver, {})
        await self.catalog_store.add_route(name, prefix=prefix, **route)
        return carrier_id

    async def login(self, account: Account, *logins: str) -> None:
        rows = [{"account_id": account.id, "login": login, "created_at": self.clock()} for login in logins]
        async with self.database.write() as connection:
            await connection.execute(insert(schema.login), rows)

    async def message(self, message_id: UUID) -> Message:
        return (await self.store.messages([message_id]))[message_id]

    async def status(self, message_id: UUID) -> tuple[Status, str | None]:
        message = await self.message(message_id)
        return message.status, message.error

    async def rows(self, table_name: str) -> list[Any]:
        table = schema.metadata.tables[table_name]
        async with self.database.read() as connection:
            return list(await connection.execute(select(table)))

    async def count(self, table_name: str) -> int:
        table = schema.metadata.tables[table_name]
        async with self.database.read() as connection:
            return (await connection.execute(select(func.count()).select_from(table))).scalar_one()

    async def age_queue(self, by: timedelta) -> None:
        """Let the queue be older: on PostgreSQL its clock is the database's, which nobody can turn."""
        for row in await self.rows("outbox"):
            leased = None if row.leased_until is None else row.leased_until - by
            async with self.database.write() as connection:
                await connection.execute(
                    update(schema.outbox)
                    .where(schema.outbox.c.message_id == row.message_id)
                    .values(due_at=row.due_at - by, expires_at=row.expires_at - by, leased_until=leased)
                )


def send(account: Account, **changes: Any) -> Send:
    """A send from the whitelisted sender MyCorp, changed as said."""
    values: dict[str, Any] = {
        "account": account,
        "sender": "MyCorp",
        "recipient": "+12025550101",
        "text": "Hello",
        "sender_rule": SenderRule.SENDER_ID,
    }
    return Send(**values | changes)


@asynccontextmanager
async def open_world(
    database_url: str, *, clock: Clock = utc_now, intake_limit: int = 1000, anonymous_sends: bool = False
) -> AsyncIterator[World]:
    """A started World; at the end it drains."""
    database = Database(database_url)
    store = HeldStore(database)
    real = SqlExpiring(database, clock=clock, stop_ttl_seconds=STOP_TTL_SECONDS, limit=LIMIT, window_seconds=3600)
    expiring = BreakableExpiring(real)
    kicked: list[str] = []
    catalog_store = CatalogStore(database, clock)
    catalog = CatalogCache(catalog_store, WordStore(database))
    stops = Stops(
        expiring=expiring,
        ledger=store,
        requests=StopStore(database),
        clock=clock,
        stop_ttl_seconds=STOP_TTL_SECONDS,
    )
    settlement = Settlement(
        store=store, expiring=expiring, stops=stops, catalog=catalog, clock=clock, offer=kicking(kicked.append)
    )
    intake = Intake(settlement, limit=intake_limit)
    intake.start()
    outbox = OutboxStore(database, clock)
    pools = PoolStore(database, clock)
    try:
        yield World(
            database=database,
            clock=clock,
            store=store,
            expiring=expiring,
            accounts=AccountStore(database, clock),
            numbers=NumberStore(database, clock),
            opt_outs=OptOutStore(database, clock),
            words=WordStore(database),
            catalog_store=catalog_store,
            catalog=catalog,
            messages=MessageStore(database),
            outbox=outbox,
            limits=LimitStore(database),
            pools=pools,
            health=Health(
                circuits=CircuitStore(database), status=CarrierStatusStore(database), catalog=catalog, clock=clock
            ),
            rerouting=Rerouting(
                store=ReroutingStore(database, clock),
                outbox=outbox,
                catalog=catalog,
                clock=clock,
                kick=kicked.append,
            ),
            intake=intake,
            accept=Accept(
                intake=intake,
                store=store,
                pools=Pools(pools, catalog, clock),
                clock=clock,
                mint_id=mint_id,
                anonymous_sends=anonymous_sends,
            ),
            inbound=Inbound(intake=intake, clock=clock, mint_id=mint_id),
            mailbox=Mailbox(intake=intake, distinct_clock=DistinctClock(clock), mint_id=mint_id),
            stops=stops,
            kicked=kicked,
        )
    finally:
        store.gate.set()
        expiring.gate.set()
        await intake.close()
        await database.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # First only as long as other tasks have something to do at once, then as long as the database takes.
        for turn in itertools.count():
            if condition():
                return
            await asyncio.sleep(0 if turn < TURNS else 0.002)

"""The one place where objects are built and handed to each other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from longcode.domain.clock import Clock, DistinctClock, MintId, mint_id, utc_now
from longcode.errors import ConfigurationError
from longcode.expiring.port import Expiring
from longcode.expiring.sql import SqlExpiring
from longcode.flow.accept import Accept
from longcode.flow.arrival import Arrivals
from longcode.flow.catalog import CatalogCache
from longcode.flow.health import Health
from longcode.flow.identity import Verifier
from longcode.flow.inbound import Inbound
from longcode.flow.intake import Intake
from longcode.flow.jobs import WEBHOOKS, Kick, Offer, kicking
from longcode.flow.mailbox import Mailbox
from longcode.flow.message_webhooks import MessageWebhooks
from longcode.flow.pools import Pools
from longcode.flow.receipt import Receipts
from longcode.flow.rerouting import Rerouting
from longcode.flow.settlement import Settlement
from longcode.flow.stops import Stops
from longcode.settings import Settings
from longcode.store.accounts import AccountStore
from longcode.store.arrivals import ArrivalStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CatalogStore
from longcode.store.circuits import CircuitStore
from longcode.store.conversations import ConversationStore
from longcode.store.database import COMMAND_SECONDS, Database
from longcode.store.intake import IntakeStore
from longcode.store.limits import LimitStore
from longcode.store.mailbox import MailboxStore
from longcode.store.messages import MessageStore
from longcode.store.numbers import NumberStore
from longcode.store.opt_outs import OptOutStore
from longcode.store.outbox import OutboxStore
from longcode.store.pools import PoolStore
from longcode.store.receipts import ReceiptStore
from longcode.store.rerouting import ReroutingStore
from longcode.store.stops import StopStore
from longcode.store.strays import StrayStore
from longcode.store.webhook_queue import WebhookQueue
from longcode.store.webhooks import WebhookStore
from longcode.store.words import WordStore
from longcode.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Everything that one process runs on, connected and started."""

    settings: Settings
    clock: Clock
    mint_id: MintId
    kick: Kick
    database: Database
    expiring: Expiring
    catalog: CatalogCache
    catalog_store: CatalogStore
    limits: LimitStore
    pool_store: PoolStore
    pools: Pools
    accounts: AccountStore
    numbers: NumberStore
    messages: MessageStore
    conversations: ConversationStore
    mailbox_store: MailboxStore
    opt_outs: OptOutStore
    words: WordStore
    webhooks: WebhookStore
    webhook_queue: WebhookQueue
    verifier: Verifier
    intake: Intake
    accept: Accept
    message_webhooks: MessageWebhooks
    inbound: Inbound
    mailbox: Mailbox
    receipts: Receipts
    outbox: OutboxStore
    stops: Stops
    arrivals: Arrivals
    rerouting: Rerouting
    health: Health


def ignore_kick(_job: str) -> None:
    """For processes that have nobody to wake: the jobs' periods find the work."""


def open_database(settings: Settings, *, command_seconds: float | None = COMMAND_SECONDS) -> Database:
    """The database that the settings name. Raises ConfigurationError where they name none."""
    if settings.database_url is None:
        raise ConfigurationError(["LONGCODE_DATABASE_URL: not set"])
    return Database(settings.database_url, command_seconds=command_seconds)


def open_expiring(settings: Settings, database: Database, clock: Clock) -> Expiring:
    """The expiring state: on Redis where there is one, else beside the messages."""
    if settings.redis_url is not None:
        from longcode.expiring.redis import RedisExpiring  # only where there is Redis

        return RedisExpiring(
            settings.redis_url,
            stop_ttl_seconds=settings.stop_ttl_seconds,
            limit=settings.sender_limit,
            window_seconds=settings.sender_limit_window_seconds,
        )
    return SqlExpiring(
        database,
        clock=clock,
        stop_ttl_seconds=settings.stop_ttl_seconds,
        limit=settings.sender_limit,
        window_seconds=settings.sender_limit_window_seconds,
    )


@asynccontextmanager
async def running(
    settings: Settings, *, kick: Kick = ignore_kick, offer: Offer | None = None, clock: Clock = utc_now
) -> AsyncIterator[Product]:
    """A Product on the running loop; at the end it drains and lets go of everything.

    offer: None where a kick says enough.
    """
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        database.told = partial(kick, WEBHOOKS)
        expiring = open_expiring(settings, database, clock)
        stack.push_async_callback(expiring.close)
        catalog_store = CatalogStore(database, clock)
        words = WordStore(database)
        catalog = CatalogCache(catalog_store, words)
        intake_store = IntakeStore(database)
        stops = Stops(
            expiring=expiring,
            ledger=intake_store,
            requests=StopStore(database),
            clock=clock,
            stop_ttl_seconds=settings.stop_ttl_seconds,
        )
        settlement = Settlement(
            store=intake_store,
            expiring=expiring,
            stops=stops,
            catalog=catalog,
            clock=clock,
            offer=offer or kicking(kick),
        )
        intake = Intake(settlement, limit=settings.intake_limit)
        pool_store = PoolStore(database, clock)
        pools = Pools(pool_store, catalog, clock)
        accept = Accept(
            intake=intake,
            store=intake_store,
            pools=pools,
            clock=clock,
            mint_id=mint_id,
            anonymous_sends=settings.anonymous_sends,
        )
        webhooks = WebhookStore(database, clock)
        accounts = AccountStore(database, clock)
        outbox = OutboxStore(database, clock)
        verifier = Verifier(accounts, now=time.monotonic)
        stack.callback(verifier.close)
        intake.start()
        stack.push_async_callback(intake.close)
        yield Product(
            settings=settings,
            clock=clock,
            mint_id=mint_id,
            kick=kick,
            database=database,
            expiring=expiring,
            catalog=catalog,
            catalog_store=catalog_store,
            limits=LimitStore(database),
            pool_store=pool_store,
            pools=pools,
            accounts=accounts,
            numbers=NumberStore(database, clock),
            messages=MessageStore(database),
            conversations=ConversationStore(database),
            mailbox_store=MailboxStore(database, clock),
            opt_outs=OptOutStore(database, clock),
            words=words,
            webhooks=webhooks,
            webhook_queue=WebhookQueue(database, clock, mint_id),
            verifier=verifier,
            intake=intake,
            accept=accept,
            message_webhooks=MessageWebhooks(accept, webhooks, catalog, _sealing(settings), now=time.monotonic),
            inbound=Inbound(intake=intake, clock=clock, mint_id=mint_id),
            receipts=Receipts(ReceiptStore(database, clock, mint_id), StrayStore(database, clock)),
            outbox=outbox,
            rerouting=Rerouting(
                store=ReroutingStore(database, clock), outbox=outbox, catalog=catalog, clock=clock, kick=kick
            ),
            health=Health(
                circuits=CircuitStore(database), status=CarrierStatusStore(database), catalog=catalog, clock=clock
            ),
            stops=stops,
            arrivals=Arrivals(
                intake=intake,
                store=ArrivalStore(database, clock, mint_id),
                clock=clock,
                mint_id=mint_id,
                compose=accept.compose,
            ),
            mailbox=Mailbox(intake=intake, distinct_clock=DistinctClock(clock), mint_id=mint_id),
        )


def _sealing(settings: Settings) -> Callable[[str], str]:
    """Seals a secret; opens the vault when there is one to seal, and nothing before."""
    return lambda secret: Vault.open(settings).seal(secret)

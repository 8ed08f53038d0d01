"""The background jobs by name, for whichever process runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import random

from longcode.bootstrap import Product
from longcode.carriers import registry
from longcode.carriers.simulator import SimulatorReceipts
from longcode.engine.carriers import CarrierDrivers
from longcode.engine.local import LocalRunner, Work
from longcode.engine.webhooks import webhooks
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.jobs import (
    CARRIERS,
    DISPATCH,
    PERIOD_SECONDS,
    SIMULATOR,
    STANDING,
    SWEEP,
    WEBHOOKS,
    Fresh,
    Kick,
    dispatch_job,
)
from longcode.flow.pacing import Paces
from longcode.flow.sweep import Sweep
from longcode.store.keyed_calls import KeyedCallStore
from longcode.store.simulator import SimulatorLedger

# A link holds binds; everything else is a worker's.
LINK_DRIVERS = frozenset({registry.SMPP})
WORKER_DRIVERS = frozenset(registry.KINDS) - LINK_DRIVERS


class Jobs:
    """The jobs of one process by their kinds, and what they stand on.

    kick: for the jobs of this process; `carriers` kicks a dispatch for each carrier that it serves.
    drivers: the kinds of carriers that it serves. names: only these carriers; None: all.
    """

    def __init__(
        self, product: Product, kick: Kick, *, drivers: frozenset[str], names: frozenset[str] | None = None
    ) -> None:
        ledger = SimulatorLedger(product.database, product.clock, product.mint_id)
        self._kick = kick
        self._carriers = CarrierDrivers(product, ledger=ledger, kick=kick, kinds=drivers, names=names)
        self._dispatch = Dispatch(
            Means(
                outbox=product.outbox,
                stops=product.stops,
                paces=Paces(expiring=product.expiring, catalog=product.catalog, now=time.monotonic),
                health=product.health,
                kick=product.kick,
                receipts=product.receipts,
                clock=product.clock,
                mint_id=product.mint_id,
                random=random,
            ),
            self._carriers,
        )
        self._simulator = SimulatorReceipts(ledger, product.receipts.take)
        self._sweep = Sweep(
            expiring=product.expiring,
            stops=product.stops,
            arrivals=product.arrivals,
            receipts=product.receipts,
            rerouting=product.rerouting,
            health=product.health,
            events=product.webhooks,
            retention=timedelta(days=product.settings.event_retention_days),
            keyed_calls=KeyedCallStore(product.database, product.clock),
            clock=product.clock,
        )
        self._webhooks = webhooks(product, kick)
        runs = {CARRIERS: self._run_carriers, DISPATCH: self._run_dispatch, SWEEP: self._run_sweep}
        if registry.SIMULATOR in drivers:
            runs[SIMULATOR] = self._run_simulator
        if drivers & WORKER_DRIVERS:
            runs[WEBHOOKS] = self._run_webhooks
        self.kinds: Mapping[str, Work] = {name: Work(run, PERIOD_SECONDS[name]) for name, run in runs.items()}

    def offer(self, carrier_id: int, fresh: Sequence[Fresh]) -> None:
        """As Offer, in this process."""
        self._dispatch.offer(carrier_id, fresh)
        self._kick(dispatch_job(carrier_id))

    def stop(self) -> None:
        """Begin nothing any more; a job that runs ends soon."""
        self._dispatch.stop()
        self._webhooks.stop()

    async def close(self) -> None:
        """Wait a while for what is in flight, record it, and let go of every carrier."""
        await asyncio.gather(self._dispatch.close(), self._webhooks.close())
        await self._carriers.close()

    async def _run_carriers(self, _argument: str) -> float | None:
        for carrier_id in await self._carriers.attend():
            self._kick(dispatch_job(carrier_id))
        return None

    async def _run_dispatch(self, carrier_id: str) -> float | None:
        await self._carriers.refresh()
        return await self._dispatch.drain(int(carrier_id))

    async def _run_simulator(self, _argument: str) -> float | None:
        return await self._simulator.deliver()

    async def _run_webhooks(self, _argument: str) -> float | None:
        return await self._webhooks.drain()

    async def _run_sweep(self, _argument: str) -> float | None:
        await self._sweep.run()
        return None


@asynccontextmanager
async def working(
    product: Product, runner: LocalRunner, *, drivers: frozenset[str], names: frozenset[str] | None = None
) -> AsyncIterator[Jobs]:
    """The jobs of one process on its own runner."""
    jobs = Jobs(product, runner.kick, drivers=drivers, names=names)
    runner.start(jobs.kinds, tuple(name for name in STANDING if name in jobs.kinds))
    try:
        yield jobs
    finally:
        jobs.stop()
        await runner.close()
        await jobs.close()

"""The background jobs by name, for whichever process runs them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import random

from longcode.bootstrap import Product
from longcode.carriers.simulator import SimulatorReceipts
from longcode.engine.carriers import SMPP_DRIVER, CarrierDrivers
from longcode.engine.local import LocalRunner, Work
from longcode.flow.catalog import SIMULATOR_DRIVER
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.jobs import CARRIERS, DISPATCH, SIMULATOR, SWEEP, dispatch_job
from longcode.flow.pacing import Paces
from longcode.flow.sweep import Sweep
from longcode.store.simulator import SimulatorLedger

# A job that nobody kicks runs all the same, so often.
CARRIERS_SECONDS = 1.0
DISPATCH_SECONDS = 0.5
SIMULATOR_SECONDS = 0.5
SWEEP_SECONDS = 5.0

WORKER_DRIVERS = frozenset({SIMULATOR_DRIVER})
LINK_DRIVERS = frozenset({SMPP_DRIVER})


@asynccontextmanager
async def working(
    product: Product, runner: LocalRunner, *, drivers: frozenset[str], names: frozenset[str] | None = None
) -> AsyncIterator[None]:
    """The jobs of one process on its runner.

    drivers: the kinds of carriers that it serves. names: only these carriers; None: all.
    """
    ledger = SimulatorLedger(product.database, product.clock, product.mint_id)
    carriers = CarrierDrivers(product, ledger=ledger, kick=runner.kick, kinds=drivers, names=names)
    dispatch = Dispatch(
        Means(
            outbox=product.outbox,
            stops=product.stops,
            paces=Paces(expiring=product.expiring, catalog=product.catalog, now=time.monotonic),
            receipts=product.receipts,
            clock=product.clock,
            mint_id=product.mint_id,
            random=random,
        ),
        carriers,
    )
    simulator = SimulatorReceipts(ledger, product.receipts.take)
    sweep = Sweep(
        expiring=product.expiring,
        stops=product.stops,
        arrivals=product.arrivals,
        receipts=product.receipts,
        outbox=product.outbox,
        catalog=product.catalog,
        clock=product.clock,
    )

    async def run_carriers(_argument: str) -> float | None:
        for carrier_id in await carriers.attend():
            runner.kick(dispatch_job(carrier_id))
        return None

    async def run_dispatch(carrier_id: str) -> float | None:
        return await dispatch.drain(int(carrier_id))

    async def run_simulator(_argument: str) -> float | None:
        return await simulator.deliver()

    async def run_sweep(_argument: str) -> float | None:
        await sweep.run()
        return None

    kinds = {
        CARRIERS: Work(run_carriers, CARRIERS_SECONDS),
        DISPATCH: Work(run_dispatch, DISPATCH_SECONDS),
        SWEEP: Work(run_sweep, SWEEP_SECONDS),
    }
    jobs = [CARRIERS, SWEEP]
    if SIMULATOR_DRIVER in drivers:
        kinds[SIMULATOR] = Work(run_simulator, SIMULATOR_SECONDS)
        jobs.append(SIMULATOR)
    runner.start(kinds, tuple(jobs))
    try:
        yield
    finally:
        dispatch.stop()
        await runner.close()
        await dispatch.close()
        await carriers.close()

"""The background jobs by name, for whichever engine runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import random

from longcode.bootstrap import Product
from longcode.carriers.port import Driver
from longcode.carriers.simulator import SimulatorDriver, SimulatorReceipts
from longcode.engine.local import LocalRunner, Work
from longcode.flow.catalog import SIMULATOR_DRIVER
from longcode.flow.dispatch import Dispatch, Means
from longcode.flow.jobs import DISPATCH, SIMULATOR, SWEEP, Kick
from longcode.flow.sweep import Sweep
from longcode.store.simulator import SimulatorLedger

# A job that nobody kicks runs all the same, so often.
DISPATCH_SECONDS = 0.5
SIMULATOR_SECONDS = 0.5
SWEEP_SECONDS = 5.0


class CarrierDrivers:
    """The drivers of this process, one for each carrier that it has been asked for."""

    def __init__(self, product: Product, ledger: SimulatorLedger, kick: Kick) -> None:
        self._product = product
        self._ledger = ledger
        self._kick = kick
        self._drivers: dict[int, Driver] = {}

    async def driver(self, carrier_id: int) -> Driver | None:
        """The carrier's driver; None where it is paused, unknown, or of a kind that another process runs."""
        carrier = (await self._product.catalog.now()).carriers.get(carrier_id)
        if carrier is None or carrier.paused or carrier.driver != SIMULATOR_DRIVER:
            return None
        if carrier_id not in self._drivers:
            self._drivers[carrier_id] = SimulatorDriver(
                carrier_id,
                self._ledger,
                mint_id=self._product.mint_id,
                take_receipts=self._product.receipts.take,
                kick=lambda: self._kick(SIMULATOR),
            )
        return self._drivers[carrier_id]


@asynccontextmanager
async def working(product: Product, runner: LocalRunner) -> AsyncIterator[None]:
    """All jobs on the in-process runner."""
    ledger = SimulatorLedger(product.database, product.clock, product.mint_id)
    drivers = CarrierDrivers(product, ledger, runner.kick)
    dispatch = Dispatch(
        Means(
            outbox=product.outbox,
            stops=product.stops,
            receipts=product.receipts,
            clock=product.clock,
            mint_id=product.mint_id,
            random=random,
        ),
        drivers,
    )
    simulator = SimulatorReceipts(ledger, product.receipts.take)
    sweep = Sweep(
        expiring=product.expiring,
        stops=product.stops,
        receipts=product.receipts,
        outbox=product.outbox,
        catalog=product.catalog,
        kick=runner.kick,
    )

    async def run_dispatch(carrier_id: str) -> float | None:
        return await dispatch.drain(int(carrier_id))

    async def run_simulator(_argument: str) -> float | None:
        return await simulator.deliver()

    async def run_sweep(_argument: str) -> float | None:
        await sweep.run()
        return None

    runner.start(
        {
            DISPATCH: Work(run_dispatch, DISPATCH_SECONDS),
            SIMULATOR: Work(run_simulator, SIMULATOR_SECONDS),
            SWEEP: Work(run_sweep, SWEEP_SECONDS),
        },
        (SWEEP, SIMULATOR),
    )
    try:
        yield
    finally:
        await runner.close()
        await dispatch.close()

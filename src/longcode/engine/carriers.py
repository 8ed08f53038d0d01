"""The carriers of one process: their drivers, opened when the catalogue names them."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from random import random

from structlog.contextvars import bound_contextvars

from longcode import log
from longcode.bootstrap import Product
from longcode.carriers import policy, registry, smpp_settings
from longcode.carriers.http_port import Site
from longcode.carriers.port import Driver
from longcode.carriers.simulator import SimulatorDriver
from longcode.carriers.smpp import SmppDriver
from longcode.errors import ConfigurationError
from longcode.flow.jobs import SIMULATOR, Kick, dispatch_job
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CarrierRow
from longcode.store.simulator import SimulatorLedger
from longcode.vault import unsealed

# Longer than the period of the job `carriers`, so that a process that runs it itself attends no oftener.
REFRESH_SECONDS = 2.0


class CarrierDrivers:
    """The drivers of this process, one for each carrier that it serves.

    kinds: the drivers' names that this process runs. names: only these carriers; None: all.
    """

    def __init__(
        self,
        product: Product,
        *,
        ledger: SimulatorLedger,
        kick: Kick,
        kinds: frozenset[str],
        names: frozenset[str] | None = None,
    ) -> None:
        self._product = product
        self._ledger = ledger
        self._kick = kick
        self._kinds = kinds
        self._names = names
        self._open: dict[int, tuple[CarrierRow, Driver]] = {}
        self._refused: dict[int, CarrierRow] = {}
        self._attending = asyncio.Lock()
        self._attended_at = -math.inf
        self._status = CarrierStatusStore(product.database)
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._log = log.get("carriers")
        self._builders: Mapping[str, Callable[[CarrierRow], Driver]] = {
            registry.SIMULATOR: self._simulator,
            registry.SMPP: self._smpp,
            **{name: self._http for name, kind in registry.KINDS.items() if kind.vendor is not None},
        }

    async def driver(self, carrier_id: int) -> Driver | None:
        """The carrier's driver; None where it is paused, unknown, or another process's.

        As `attend` saw it last: what the operator changes takes a second, and no message waits for the catalogue.
        """
        entry = self._open.get(carrier_id)
        return None if entry is None or entry[0].paused else entry[1]

    async def attend(self) -> list[int]:
        """Open what the catalogue names, close what it names no more, report; the ids that are served.

        A paused carrier stays connected: its receipts still come.
        """
        async with self._attending:
            served = await self._attend()
            self._attended_at = time.monotonic()
        return served

    async def refresh(self) -> None:
        """Attend, unless that was a moment ago: the job `carriers` may run in other processes only."""
        if time.monotonic() - self._attended_at > REFRESH_SECONDS:
            await self.attend()

    async def _attend(self) -> list[int]:
        carriers = (await self._product.catalog.now()).carriers
        for carrier_id in [known for known in self._open if known not in carriers]:
            _, driver = self._open.pop(carrier_id)
            await driver.close()
        served = [carrier for carrier in carriers.values() if self._serves(carrier)]
        for carrier in served:
            await self._ensure(replace(carrier, settings=policy.split(carrier.settings)[0]))
        for carrier_id, (_, driver) in self._open.items():
            if isinstance(driver, SmppDriver):
                binds = [asdict(bind) | {"since": bind.since.isoformat()} for bind in driver.status()]
                await self._status.report(carrier_id, self._process, {"binds": binds}, self._product.clock())
        return [carrier.id for carrier in served]

    async def close(self) -> None:
        """Let go of every carrier."""
        for _, driver in self._open.values():
            await driver.close()

    def _serves(self, carrier: CarrierRow) -> bool:
        return carrier.driver in self._kinds and (self._names is None or carrier.name in self._names)

    async def _ensure(self, carrier: CarrierRow) -> None:
        """Open a carrier's driver, or open it again where its own settings, without its policy, changed."""
        entry = self._open.get(carrier.id)
        if entry is not None:
            if entry[0].settings == carrier.settings:
                self._open[carrier.id] = (carrier, entry[1])
                return
            del self._open[carrier.id]
            await entry[1].close()
        if self._refused.get(carrier.id) == carrier:
            return
        try:
            driver = self._builders[carrier.driver](carrier)
        except ConfigurationError as error:
            # Once, not every second; a change of its settings tries again.
            self._refused[carrier.id] = carrier
            self._log.error("a carrier cannot be opened", carrier=carrier.name, faults=error.faults)
            return
        self._open[carrier.id] = (carrier, driver)

    def _simulator(self, carrier: CarrierRow) -> Driver:
        return SimulatorDriver(
            carrier.id,
            self._ledger,
            mint_id=self._product.mint_id,
            take_receipts=self._product.receipts.take,
            kick=lambda: self._kick(SIMULATOR),
        )

    def _http(self, carrier: CarrierRow) -> Driver:
        from longcode.carriers.http_driver import HttpDriver  # aiohttp, which most processes do without

        settings = self._product.settings
        site = Site(carrier_id=carrier.id, name=carrier.name, public_url=settings.public_url or "")
        vendor = registry.KINDS[carrier.driver].vendor
        assert vendor is not None
        return HttpDriver(
            vendor(site, unsealed(carrier.settings, settings)),
            kick=lambda: self._kick(dispatch_job(carrier.id)),
            clock=self._product.clock,
        )

    def _smpp(self, carrier: CarrierRow) -> Driver:
        settings = smpp_settings.parse(unsealed(carrier.settings, self._product.settings))
        driver = SmppDriver(
            carrier.id,
            settings,
            take_receipts=self._product.receipts.take,
            take_inbound=self._product.arrivals.take,
            forget_inbound=self._product.arrivals.forget,
            kick=lambda: self._kick(dispatch_job(carrier.id)),
            clock=self._product.clock,
            random=random,
        )
        # Its tasks take this with them, so every line that they write names the carrier.
        with bound_contextvars(carrier=carrier.name):
            driver.start()
        return driver

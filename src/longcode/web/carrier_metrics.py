"""What `/metrics` says of carriers and their queues."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from longcode import log
from longcode.bootstrap import Product
from longcode.carriers.registry import SMPP
from longcode.errors import StorageDown
from longcode.store.carrier_status import COUNTED, CarrierStatusStore, ProcessStatus, QueueDepth

# However many scrape, the database is asked so often; and it is waited for so long, well within a scrape's own limit.
KEPT_SECONDS: Final = 5.0
ASKED_SECONDS: Final = 2.0
# Told even where no bind is in it, so that a rule can wait for a 0.
BOUND: Final = "bound"
# The label of what waits for a route. No carrier's name is empty.
NO_CARRIER: Final = ""

_logger = log.get("health")


@dataclass(frozen=True, slots=True)
class Reading:
    """Carriers at one instant, by name.

    openings: how often in a row each was left alone; 0 where its circuit is closed. binds: how many are in each state,
    of carriers by SMPP.
    """

    at: datetime
    depths: dict[str, QueueDepth]
    openings: dict[str, int]
    binds: dict[str, Counter[str]]


class CarrierMetrics(Collector):
    """The last reading; none while the database is down, since an old one would pass for new."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._store = CarrierStatusStore(product.database)
        self._reading: Reading | None = None
        self._read_at = -KEPT_SECONDS
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Read anew what is too old. Raises nothing where the database is down, or too slow."""
        async with self._refreshing:
            if time.monotonic() - self._read_at < KEPT_SECONDS:
                return
            try:
                async with asyncio.timeout(ASKED_SECONDS):
                    self._reading = await self._read()
            except (StorageDown, TimeoutError) as error:
                _logger.warning("carriers are not measured", error=str(error))
                self._reading = None
            self._read_at = time.monotonic()

    async def _read(self) -> Reading:
        now = self._product.clock()
        catalog = await self._product.catalog.now()
        carriers, circuits = catalog.carriers.values(), catalog.circuits
        said = await self._store.by_carrier()
        depths = {NO_CARRIER: await self._store.depth(None)}
        depths.update([(carrier.name, await self._store.depth(carrier.id)) for carrier in carriers])
        openings = {one.name: circuits[one.id].openings if one.id in circuits else 0 for one in carriers}
        binds = {one.name: _binds(said.get(one.id, []), now) for one in carriers if one.driver == SMPP}
        return Reading(now, depths, openings, binds)

    def collect(self) -> Iterable[Metric]:
        """Gauges as they were read last."""
        reading = self._reading
        if reading is None:
            return
        waiting = GaugeMetricFamily(
            "longcode_outbox_messages",
            f"Messages that wait for a carrier, or without one for a route; counted to {COUNTED + 1}.",
            labels=["carrier"],
        )
        oldest = GaugeMetricFamily(
            "longcode_outbox_oldest_seconds", "For how long the oldest of them has been due.", labels=["carrier"]
        )
        for carrier, depth in reading.depths.items():
            waiting.add_metric([carrier], depth.waiting)
            due = depth.oldest_due_at
            oldest.add_metric([carrier], 0.0 if due is None else max(0.0, (reading.at - due).total_seconds()))
        openings = GaugeMetricFamily(
            "longcode_carrier_circuit_openings",
            "How often in a row a carrier was left alone because it faults; 0: it is used.",
            labels=["carrier"],
        )
        for carrier, count in reading.openings.items():
            openings.add_metric([carrier], count)
        binds = GaugeMetricFamily(
            "longcode_carrier_binds", "Binds by their state, as processes report them.", labels=["carrier", "state"]
        )
        for carrier, states in reading.binds.items():
            for state, count in states.items():
                binds.add_metric([carrier, state], count)
        yield from (waiting, oldest, openings, binds)


def _binds(said: Iterable[ProcessStatus], now: datetime) -> Counter[str]:
    states = Counter({BOUND: 0})
    states.update(str(bind.get("state")) for process in said if not process.is_stale(now) for bind in process.binds)
    return states

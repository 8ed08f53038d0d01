"""The safety net: what a lost kick, a crash or a change of routes left lying is picked up here."""

from __future__ import annotations

from datetime import timedelta

from longcode.domain.clock import Clock
from longcode.expiring.port import Expiring
from longcode.flow.arrival import Arrivals
from longcode.flow.health import Health
from longcode.flow.receipt import Receipts
from longcode.flow.rerouting import Rerouting
from longcode.flow.stops import Stops
from longcode.store.keyed_calls import KEPT, KeyedCallStore
from longcode.store.webhooks import WebhookStore


class Sweep:
    """Runs every step on a period; each is harmless when there is nothing to do.

    retention: how long events are kept, and the log of their deliveries.
    """

    def __init__(
        self,
        *,
        expiring: Expiring,
        stops: Stops,
        arrivals: Arrivals,
        receipts: Receipts,
        rerouting: Rerouting,
        health: Health,
        events: WebhookStore,
        retention: timedelta,
        keyed_calls: KeyedCallStore,
        clock: Clock,
    ) -> None:
        self._expiring = expiring
        self._stops = stops
        self._arrivals = arrivals
        self._receipts = receipts
        self._rerouting = rerouting
        self._health = health
        self._events = events
        self._retention = retention
        self._keyed_calls = keyed_calls
        self._clock = clock

    async def run(self) -> None:
        """All steps, once. Raises StorageDown."""
        await self._health.attend()
        await self._rerouting.run()
        await self._receipts.sweep()
        await self._arrivals.sweep()
        await self._stops.rebuild_if_emptied()
        await self._expiring.purge()
        await self._events.purge(self._clock() - self._retention)
        await self._keyed_calls.purge(self._clock() - KEPT)

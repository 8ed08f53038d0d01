"""The safety net: what a lost kick, a crash or a change of routes left lying is picked up here."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from longcode.domain.clock import Clock
from longcode.domain.message import Status
from longcode.expiring.port import Expiring
from longcode.flow.arrival import Arrivals
from longcode.flow.catalog import CatalogCache
from longcode.flow.receipt import Receipts
from longcode.flow.stops import Stops
from longcode.store.outbox import Conclusion, OutboxStore
from longcode.store.webhooks import WebhookStore

ROUTE_BATCH = 1000


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
        outbox: OutboxStore,
        catalog: CatalogCache,
        events: WebhookStore,
        retention: timedelta,
        clock: Clock,
    ) -> None:
        self._expiring = expiring
        self._stops = stops
        self._arrivals = arrivals
        self._receipts = receipts
        self._outbox = outbox
        self._catalog = catalog
        self._events = events
        self._retention = retention
        self._clock = clock

    async def run(self) -> None:
        """All steps, once. Raises StorageDown."""
        await self._route_unrouted()
        await self._receipts.sweep()
        await self._arrivals.sweep()
        await self._stops.rebuild_if_emptied()
        await self._expiring.purge()
        await self._events.purge(self._clock() - self._retention)

    async def _route_unrouted(self) -> None:
        """Give messages that no route carried a carrier, if there is a route now; end those whose time is over."""
        catalog = await self._catalog.now()
        after: UUID | None = None
        while page := await self._outbox.unrouted(ROUTE_BATCH, after):
            after = page[-1].message_id
            now = self._clock()
            found: dict[int, list[UUID]] = {}
            for waiting in page:
                carrier_id = catalog.route(waiting.account_id, waiting.recipient)
                if carrier_id is not None:
                    found.setdefault(carrier_id, []).append(waiting.message_id)
            for carrier_id, message_ids in found.items():
                await self._outbox.set_carrier(carrier_id, message_ids)
            routed = {message_id for message_ids in found.values() for message_id in message_ids}
            await self._outbox.conclude(
                [
                    Conclusion(message_id=waiting.message_id, status=Status.FAILED, error="no_route")
                    for waiting in page
                    if waiting.expires_at <= now and waiting.message_id not in routed
                ]
            )

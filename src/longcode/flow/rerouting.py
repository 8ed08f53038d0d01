"""Rerouting: messages that wait where nothing goes are given the way that the routes give them now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from longcode.domain.clock import Clock
from longcode.domain.message import Status
from longcode.flow.catalog import Catalog, CatalogCache
from longcode.flow.conclusion import GRACE, is_unproven
from longcode.flow.failover import may_move
from longcode.flow.jobs import Kick, dispatch_job
from longcode.flow.routing import Parcel
from longcode.store.outbox import Conclusion, OutboxStore
from longcode.store.rerouting import Place, ReroutingStore, Waiting

PAGE = 1000
# How much of a queue that stands still one run looks at; the next run goes on behind it.
PAGES_A_RUN = 20


class Rerouting:
    """Looks after what waits without a route, for a carrier that is gone, or behind an open circuit."""

    def __init__(
        self, *, store: ReroutingStore, outbox: OutboxStore, catalog: CatalogCache, clock: Clock, kick: Kick
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._catalog = catalog
        self._clock = clock
        self._kick = kick
        self._places: dict[int, Place] = {}

    async def run(self) -> None:
        """All of it, once."""
        catalog = await self._catalog.now()
        await self._route(catalog, None)
        for carrier_id in await self._store.orphaned():
            await self._route(catalog, carrier_id)
        for carrier_id, circuit in catalog.circuits.items():
            if circuit.is_open(self._clock()) and _has_alternative(catalog, carrier_id, self._clock):
                await self._avoid(catalog, carrier_id)

    async def _route(self, catalog: Catalog, carrier_id: int | None) -> None:
        """Messages without a carrier, or whose carrier is gone, get one; those whose time is over end."""
        simulated = None if carrier_id is None else catalog.is_simulator(carrier_id)
        async for page in self._pages(carrier_id):
            left = await self._move(catalog, carrier_id, page, simulated=simulated, only_available=False)
            if left:
                now = await self._store.now()
                await self._outbox.conclude([ended for one in left if (ended := _end(one, now)) is not None])

    async def _avoid(self, catalog: Catalog, carrier_id: int) -> None:
        """Messages that are due behind an open circuit go another way, where there is one."""
        async for page in self._pages(carrier_id, self._places.pop(carrier_id, None), PAGES_A_RUN):
            due = [one for one in page if one.is_due]
            simulated = catalog.is_simulator(carrier_id)
            await self._move(catalog, carrier_id, due, simulated=simulated, only_available=True)

    async def _pages(
        self, carrier_id: int | None, after: Place | None = None, most: int | None = None
    ) -> AsyncIterator[list[Waiting]]:
        while page := await self._store.waiting(carrier_id, PAGE, after):
            yield page
            after = page[-1].place
            if most is not None:
                most -= 1
                if not most and carrier_id is not None:
                    self._places[carrier_id] = after
                    return

    async def _move(
        self,
        catalog: Catalog,
        carrier_id: int | None,
        page: Sequence[Waiting],
        *,
        simulated: bool | None,
        only_available: bool,
    ) -> list[Waiting]:
        """Queue each message for the carrier that is next for it; those for which there is none."""
        here = set() if carrier_id is None else {carrier_id}
        found: dict[int, list[Waiting]] = {}
        left = []
        for one in page:
            route = None
            if may_move(one.past):
                route = catalog.choose(
                    Parcel(one.account_id, one.sender, one.recipient, one.message_id),
                    self._clock(),
                    simulated=simulated,
                    tried=here | {past.carrier_id for past in one.past},
                    only_available=only_available,
                )
            if route is None:
                left.append(one)
            else:
                found.setdefault(route.carrier_id, []).append(one)
        for chosen, waiting in found.items():
            await self._store.move(carrier_id, chosen, waiting)
            self._kick(dispatch_job(chosen))
        return left


def _end(waiting: Waiting, now: datetime) -> Conclusion | None:
    """How a message ends for which nothing can be done any more; None while its time is not over."""
    unproven = is_unproven(waiting.past)
    if waiting.expires_at + (GRACE if unproven else timedelta()) > now:
        return None
    error = "outcome_unknown" if unproven else "no_route"
    return Conclusion(message_id=waiting.message_id, status=Status.FAILED, error=error)


def _has_alternative(catalog: Catalog, carrier_id: int, clock: Clock) -> bool:
    """Whether any route leads elsewhere; a queue that has nowhere to go is not looked through."""
    return any(
        route.carrier_id != carrier_id
        and catalog.is_simulator(route.carrier_id) is catalog.is_simulator(carrier_id)
        and catalog.is_available(route.carrier_id, clock())
        for route in catalog.routes
    )

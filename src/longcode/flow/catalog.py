"""The catalogue as one process knows it, kept until its version moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from longcode.carriers.policy import Policy, parse
from longcode.carriers.registry import SIMULATOR
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.routing import Parcel, RouteTable
from longcode.flow.words import Vocabulary
from longcode.store.catalog import CarrierRow, CatalogStore, RouteRow
from longcode.store.circuits import Circuit
from longcode.store.limits import AccountLimits
from longcode.store.words import WordStore

UNLIMITED: Final = AccountLimits()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All carriers, routes, paces and limits at one version.

    paces: segments a second by (account, sender), as PaceRow has them. words: keywords, their answers and inbound
    routes. circuits: by carrier, those that are not closed. limits: by account. removed: the drivers of carriers
    that are gone, by their ids.
    """

    version: int
    carriers: Mapping[int, CarrierRow] = field(default_factory=dict)
    routes: RouteTable = field(default_factory=RouteTable)
    paces: Mapping[tuple[int, str], float] = field(default_factory=dict)
    words: Vocabulary = field(default_factory=Vocabulary)
    circuits: Mapping[int, Circuit] = field(default_factory=dict)
    limits: Mapping[int, AccountLimits] = field(default_factory=dict)
    removed: Mapping[int, str] = field(default_factory=dict)

    @property
    def currency(self) -> str | None:
        """The currency of all routes' costs; None while no route has one."""
        return next((route.currency for route in self.routes if route.cost is not None), None)

    def carrier(self, name: str) -> CarrierRow:
        """The carrier of that name. Raises NotFound."""
        for row in self.carriers.values():
            if row.name == name:
                return row
        raise NotFound(f"there is no carrier {name}")

    def ways(self, parcel: Parcel, *, simulated: bool | None = None) -> Iterator[RouteRow]:
        """The routes that a message may take, one for each carrier, the first one first.

        simulated: only simulators, or only carriers that are none; None: as the first route is. So what is
        meant for a handset never ends at a simulator, and what was given to a simulator reaches nobody.
        """
        seen: set[int] = set()
        for route in self.routes.fitting(parcel):
            if simulated is None:
                simulated = self.is_simulator(route.carrier_id)
            if route.carrier_id not in seen and self.is_simulator(route.carrier_id) is simulated:
                seen.add(route.carrier_id)
                yield route

    def choose(
        self,
        parcel: Parcel,
        now: datetime,
        *,
        simulated: bool | None = None,
        tried: Collection[int] = (),
        only_available: bool = False,
    ) -> RouteRow | None:
        """The first way whose carrier takes messages now, else the first of all; None where there is none.

        tried: carriers that are left out. only_available: None rather than a carrier that takes nothing now.
        """
        first = None
        for route in self.ways(parcel, simulated=simulated):
            if route.carrier_id in tried:
                continue
            if self.is_available(route.carrier_id, now):
                return route
            first = first or route
        return None if only_available else first

    def is_simulator(self, carrier_id: int) -> bool:
        """Whether what a carrier, also one that is gone, is given reaches nobody."""
        carrier = self.carriers.get(carrier_id)
        return (self.removed.get(carrier_id) if carrier is None else carrier.driver) == SIMULATOR

    def is_available(self, carrier_id: int, now: datetime) -> bool:
        """Whether a carrier takes messages now: the operator did not pause it, and its circuit is not open."""
        carrier, circuit = self.carriers.get(carrier_id), self.circuits.get(carrier_id)
        return (carrier is None or not carrier.paused) and (circuit is None or not circuit.is_open(now))

    def policy(self, carrier_id: int) -> Policy:
        """How much of a carrier's faults is borne."""
        carrier = self.carriers.get(carrier_id)
        if carrier is None:
            return Policy()
        try:
            return parse(carrier.driver, carrier.settings)
        except ConfigurationError:
            # Of another release: what was answered must go on record all the same.
            return parse(carrier.driver, {})

    def limits_of(self, account_id: int) -> AccountLimits:
        """What an account may send at most."""
        return self.limits.get(account_id, UNLIMITED)


class CatalogCache:
    """The latest Catalog that this process has read."""

    def __init__(self, store: CatalogStore, words: WordStore) -> None:
        self._store = store
        self._words = words
        self._latest = Catalog(-1)
        self._loading = asyncio.Lock()

    @property
    def latest(self) -> Catalog:
        """The catalogue as it was read last, without asking whether it is still so."""
        return self._latest

    async def at(self, version: int) -> Catalog:
        """The catalogue at `version` or later."""
        if self._latest.version < version:
            async with self._loading:
                if self._latest.version < version:
                    self._latest = await self._load()
        return self._latest

    async def now(self) -> Catalog:
        """The catalogue as it is in the store now."""
        return await self.at(await self._store.version())

    async def _load(self) -> Catalog:
        stored = await self._store.load()
        return Catalog(
            stored.version,
            {carrier.id: carrier for carrier in stored.carriers},
            RouteTable(stored.routes),
            {(pace.account_id, pace.sender): pace.segments_per_second for pace in stored.paces},
            Vocabulary(await self._words.load()),
            stored.circuits,
            stored.limits,
            {carrier.id: carrier.driver for carrier in stored.removed},
        )

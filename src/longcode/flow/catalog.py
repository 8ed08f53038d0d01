"""Carriers, routes and paces as one process knows them, kept until the catalogue's version moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from longcode.carriers.registry import SIMULATOR
from longcode.domain.phone import digits_of
from longcode.flow.words import Vocabulary
from longcode.store.catalog import CarrierRow, CatalogStore, RouteRow
from longcode.store.words import WordStore


@dataclass(frozen=True, slots=True)
class Catalog:
    """All carriers, routes and paces at one version.

    routes are in the order in which they are tried: longest prefix, then highest priority.
    paces: segments a second by (account, sender), as PaceRow has them.
    words: keywords, their answers and inbound routes.
    """

    version: int
    carriers: dict[int, CarrierRow]
    routes: tuple[RouteRow, ...]
    paces: Mapping[tuple[int, str], float] = field(default_factory=dict)
    words: Vocabulary = field(default_factory=Vocabulary)

    def route(self, account_id: int, recipient: str, *, simulator_only: bool = False) -> int | None:
        """The carrier for a recipient, or None while no route fits."""
        digits = digits_of(recipient)
        for route in self.routes:
            fits = digits.startswith(route.prefix) and route.account_id in (None, account_id)
            if fits and (not simulator_only or self.carriers[route.carrier_id].driver == SIMULATOR):
                return route.carrier_id
        return None


class CatalogCache:
    """The latest Catalog that this process has read."""

    def __init__(self, store: CatalogStore, words: WordStore) -> None:
        self._store = store
        self._words = words
        self._latest = Catalog(-1, {}, ())
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
        version, carriers, routes, paces = await self._store.load()
        ordered = sorted(routes, key=lambda route: (-len(route.prefix), -route.priority, route.id))
        return Catalog(
            version,
            {carrier.id: carrier for carrier in carriers},
            tuple(ordered),
            {(pace.account_id, pace.sender): pace.segments_per_second for pace in paces},
            Vocabulary(await self._words.load()),
        )

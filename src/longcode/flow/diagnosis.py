"""What keeps messages from being sent, as far as the database shows it, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from longcode.carriers import policy
from longcode.carriers.registry import KINDS, SMPP
from longcode.carriers.smpp_link import Kind, LinkState
from longcode.domain.clock import Clock
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.carrier_standing import Standing, counted, read_standing, tell_circuit
from longcode.flow.catalog import Catalog, CatalogCache
from longcode.flow.health import NOT_CONNECTED
from longcode.settings import Settings
from longcode.store.accounts import AccountStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CarrierRow
from longcode.vault import unsealed

# The simulator turns nothing away for long, so what is due for longer has nobody to send it.
UNSERVED_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Serving:
    """The commands whose processes serve carriers. link: those by SMPP. worker: all others."""

    worker: str
    link: str


EMBEDDED: Final = Serving("longcode up", "longcode up")
SHARED: Final = Serving("longcode worker", "longcode link")


class Diagnosis:
    """Looks at setup, queues and carriers."""

    def __init__(
        self,
        *,
        settings: Settings,
        accounts: AccountStore,
        catalog: CatalogCache,
        status: CarrierStatusStore,
        clock: Clock,
        serving: Serving,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._catalog = catalog
        self._status = status
        self._clock = clock
        self._serving = serving

    async def faults(self) -> list[str]:
        """A sentence each; empty where nothing is wrong."""
        catalog = await self._catalog.now()
        return [*await self._setup_faults(catalog), *await self._carrier_faults(catalog)]

    async def _setup_faults(self, catalog: Catalog) -> list[str]:
        faults = []
        if not catalog.routes:
            faults.append("no route leads to a carrier: `longcode carrier add`, then `longcode route add`")
        name = self._settings.anonymous_account
        if name is not None:
            try:
                await self._accounts.by_name(name)
            except NotFound as error:
                faults.append(f"LONGCODE_ANONYMOUS_ACCOUNT: {error}")
        unrouted = await self._status.depth(None)
        if unrouted.waiting:
            faults.append(f"no route carries what waits: {counted(unrouted.waiting)} in all; `longcode route add`")
        return faults

    async def _carrier_faults(self, catalog: Catalog) -> list[str]:
        now = self._clock()
        faults = []
        for row in catalog.carriers.values():
            standing, routed = await read_standing(catalog, self._status, row), _is_routed(catalog, row.id)
            fault = _fault(standing, now, routed=routed, serving=self._serving)
            if routed or standing.depth.waiting:
                faults += [f"carrier {row.name}: {one}" for one in _settings_faults(row, self._settings)]
            if fault is not None:
                faults.append(f"carrier {row.name}: {fault}")
        return faults


def _settings_faults(row: CarrierRow, settings: Settings) -> list[str]:
    """Why no process could open a carrier: what is wrong with its settings, or with the key of its secrets."""
    if row.driver not in KINDS:
        return [f"there is no driver {row.driver}"]
    own, _ = policy.split(row.settings)
    try:
        KINDS[row.driver].check(unsealed(own, settings))
    except ConfigurationError as error:
        return error.faults
    return []


def _is_routed(catalog: Catalog, carrier_id: int) -> bool:
    return any(route.carrier_id == carrier_id for route in catalog.routes)


def _fault(standing: Standing, now: datetime, *, routed: bool, serving: Serving) -> str | None:
    """What keeps a carrier from sending; None where nothing does, or it has nothing to send."""
    row, waiting = standing.row, standing.depth.waiting
    if row.paused:
        return f"is paused while {standing.waiting} wait for it; `longcode carrier resume`" if waiting else None
    if not routed and not waiting:
        return None
    if standing.circuit is not None and standing.circuit.cause != NOT_CONNECTED:
        return f"is left alone: {tell_circuit(standing.circuit, now)}"
    if row.driver == SMPP:
        return _bind_fault(standing, now, serving)
    oldest = standing.depth.oldest_due_at
    if oldest is not None and now - oldest > UNSERVED_AFTER:
        return f"{standing.waiting} wait for it, due since {format_milli(oldest)}: is `{serving.worker}` running?"
    return None


def _bind_fault(standing: Standing, now: datetime, serving: Serving) -> str | None:
    if not standing.processes:
        return f"no process has reported on its binds: is `{serving.link}` running?"
    heard = [process for process in standing.processes if not process.is_stale(now)]
    if not heard:
        last = max(process.updated_at for process in standing.processes)
        return f"no process reports on its binds since {format_milli(last)}: is `{serving.link}` running?"
    binds = [bind for process in heard for bind in process.binds if bind.get("state") == LinkState.BOUND]
    if not binds:
        return f"none of its binds is bound: {standing.last_error or 'no reason is known yet'}"
    if all(str(bind.get("name")).startswith(Kind.RECEIVER) for bind in binds):
        return f"only receivers are bound, which do not send: {standing.last_error or 'no reason is known yet'}"
    return None

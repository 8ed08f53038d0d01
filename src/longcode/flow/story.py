"""One message's story: its record, its carrier, and its timeline, as commands and the native API tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from longcode.carriers.registry import SIMULATOR
from longcode.domain.clock import Clock
from longcode.flow.catalog import Catalog, CatalogCache
from longcode.flow.outlook import KnownCarrier, Names
from longcode.flow.routing import Parcel
from longcode.flow.timeline import DIALECTS, Event, carrier_of, tell
from longcode.store.timeline import Ended, History, TimelineStore


@dataclass(frozen=True, slots=True)
class Story:
    """carrier: by name, the one that has the message, had it, or is to get it; None: there is none, or it is gone."""

    history: History
    carrier: str | None
    events: tuple[Event, ...]


class Numbered(Names):
    """Carriers by their ids: with whom the operator works is nobody else's business."""

    def of(self, carrier_id: int) -> str:
        """A carrier as a sentence names it."""
        return f"carrier {carrier_id}"

    def reason(self, outcome: Ended) -> str:
        """Only what a carrier said of the message itself: what is wrong with a connection names its other end."""
        return super().reason(outcome) if outcome.kind in ("accepted", "rejected") else ""


class Stories:
    """Reads what is on record of messages, whosever they are."""

    def __init__(self, timelines: TimelineStore, catalog: CatalogCache, clock: Clock) -> None:
        self._timelines = timelines
        self._catalog = catalog
        self._clock = clock

    async def of(self, message_id: UUID, *, account_id: int | None = None) -> Story | None:
        """A message's story; None where there is no such message.

        account_id: whose it must be, who is told no carrier by its name; None: the operator asks.
        """
        history = await self._timelines.history(message_id, tuple(DIALECTS))
        if history is None or account_id not in (None, history.message.account_id):
            return None
        catalog, now = await self._catalog.now(), self._clock()
        known = _known(catalog)
        carrier_id = carrier_of(history)
        carrier = None if carrier_id is None or account_id is not None else known.get(carrier_id)
        names = Names(known) if account_id is None else Numbered(known)
        events = tell(history, names, now, leads_to=_leads_to(catalog, history, now))
        return Story(history, None if carrier is None else carrier.name, tuple(events))


def _known(catalog: Catalog) -> dict[int, KnownCarrier]:
    return {
        row.id: KnownCarrier(
            row.name,
            row.paused,
            row.driver == SIMULATOR,
            None if (circuit := catalog.circuits.get(row.id)) is None else circuit.until,
        )
        for row in catalog.carriers.values()
    }


def _leads_to(catalog: Catalog, history: History, now: datetime) -> int | None:
    message = history.message
    route = catalog.choose(Parcel(message.account_id, message.sender, message.recipient, message.id), now)
    return None if route is None else route.carrier_id

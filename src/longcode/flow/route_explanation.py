"""Which carriers a message would be tried with, in which order, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from longcode.domain.timestamps import format_milli
from longcode.flow.catalog import Catalog
from longcode.flow.routing import Parcel, is_shared, rank

ANYBODY: Final = 0  # no account's id


@dataclass(frozen=True, slots=True)
class Way:
    """One way: its place, from 1; carrier and route; why it stands there; and whether it is open now."""

    place: int
    carrier: str
    route_id: int
    why: str
    now: str


def explained(catalog: Catalog, parcel: Parcel, now: datetime) -> list[Way]:
    """The ways of a message, the first one first."""
    ways = list(catalog.ways(parcel))
    told = []
    for place, way in enumerate(ways, start=1):
        equals = [one for one in ways if rank(one) == rank(way)]
        why = [f"prefix {way.prefix}" if way.prefix else "every recipient", f"priority {way.priority}"]
        if len(equals) > 1 and is_shared(equals):
            total = sum(one.weight or 1 for one in equals)
            why.append(f"first for {way.weight or 1} of {total} messages by weight")
        elif len(equals) > 1:
            why.append(f"cost {way.cost:f}" if way.cost is not None else "cost unknown")
        carrier = catalog.carriers[way.carrier_id].name
        told.append(Way(place, carrier, way.id, ", ".join(why), _standing(catalog, way.carrier_id, now)))
    return told


def _standing(catalog: Catalog, carrier_id: int, now: datetime) -> str:
    """Whether a carrier takes messages now, and why not."""
    if catalog.carriers[carrier_id].paused:
        return "passed over: paused"
    circuit = catalog.circuits.get(carrier_id)
    if circuit is not None and circuit.is_open(now):
        return f"passed over until {format_milli(circuit.until)}: {circuit.cause}"
    return "open"

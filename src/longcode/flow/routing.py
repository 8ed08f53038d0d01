"""Which routes a message may take, and in which order. Pure.

The longest prefix is first, then the highest priority, then the route that is for this account or sender alone.
Among equals that have weights the message's id draws; else the cheapest is first, then the oldest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from itertools import groupby
from math import log
from typing import Final
from uuid import UUID

from longcode.domain.phone import canonical, digits_of
from longcode.store.catalog import RouteRow

_UNKNOWN_COST = Decimal("Infinity")


# Of what is only asked about.
NO_MESSAGE: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What routes look at. message_id: draws among routes with weights; the same draws the same."""

    account_id: int
    sender: str
    recipient: str
    message_id: UUID


class RouteTable:
    """Routes, found by what a recipient begins with."""

    def __init__(self, routes: Sequence[RouteRow] = ()) -> None:
        self._ordered = sorted(routes, key=_order)
        self._by_prefix: dict[str, list[RouteRow]] = {}
        for route in self._ordered:
            self._by_prefix.setdefault(route.prefix, []).append(route)
        self._longest = max(map(len, self._by_prefix), default=-1)

    def __iter__(self) -> Iterator[RouteRow]:
        """All of them, in the order in which they are tried."""
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._ordered)

    def fitting(self, parcel: Parcel) -> Iterator[RouteRow]:
        """The routes that a message may take, the first one first."""
        digits = digits_of(parcel.recipient)
        sender = canonical(parcel.sender)
        for length in range(min(len(digits), self._longest), -1, -1):
            fitting = [
                route
                for route in self._by_prefix.get(digits[:length], ())
                if route.account_id in (None, parcel.account_id) and route.sender in (None, sender)
            ]
            for _, equals in groupby(fitting, key=rank):
                yield from _drawn(list(equals), parcel.message_id)


def rank(route: RouteRow) -> tuple[int, int, int]:
    """What makes one route come before another; equals share, or the cheapest is first."""
    return -len(route.prefix), -route.priority, -((route.account_id is not None) + (route.sender is not None))


def is_shared(equals: Sequence[RouteRow]) -> bool:
    """Whether equals share by weight; one without a weight then counts as 1."""
    return any(route.weight is not None for route in equals)


def _order(route: RouteRow) -> tuple[tuple[int, int, int], str, Decimal, int]:
    return rank(route), route.prefix, _UNKNOWN_COST if route.cost is None else route.cost, route.id


def _drawn(equals: list[RouteRow], message_id: UUID) -> list[RouteRow]:
    """Equals in the order for one message. Each comes first in its share of all ids."""
    if len(equals) == 1 or not is_shared(equals):
        return equals

    def draw(route: RouteRow) -> float:
        # Weighted rendezvous hashing: a route that goes or comes moves no message between the others.
        digest = blake2b(message_id.bytes + route.id.to_bytes(8), digest_size=8).digest()
        return -log((int.from_bytes(digest) + 1) / 2**64) / (route.weight or 1)

    return sorted(equals, key=draw)

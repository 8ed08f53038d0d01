"""Pools: which of an account's senders writes to a recipient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longcode.domain.account import Account
from longcode.domain.clock import Clock
from longcode.domain.phone import canonical
from longcode.errors import PoolEmpty
from longcode.flow.catalog import Catalog, CatalogCache
from longcode.flow.routing import NO_MESSAGE, Parcel
from longcode.store.pools import Known, PoolSender, PoolStore

# Whether a sender's carrier is open is asked before there is a message.


@dataclass(frozen=True, slots=True)
class Pick:
    """Who writes to a recipient, whose number is in canonical form. known: its pool, as it was seen then.

    is_new: the recipient knows none of the pool's senders that may be used, and would know this one.
    """

    recipient: str
    sender: PoolSender
    known: Known
    is_new: bool


class Pools:
    """Picks senders."""

    def __init__(self, store: PoolStore, catalog: CatalogCache, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock

    async def pick(self, account: Account, pool: str, recipient: str) -> Pick:
        """The sender that the recipient knows, else the one that the fewest know.

        One that is not the account's any more is replaced for good; one whose messages would wait now is
        replaced this once, where another's would go. Raises NotFound, PoolEmpty.
        """
        party = canonical(recipient)
        known = await self._store.known(account.id, pool, party)
        catalog = await self._catalog.now()
        usable = {one.sender: one for one in known.senders if one.owned}
        if not usable:
            raise PoolEmpty(f"the account may send as no sender of pool {pool}")
        healthy = [one for one in usable.values() if self._goes(catalog, account, one, recipient)]
        familiar = usable.get(known.sender or "")
        if familiar is not None:
            sender = familiar if familiar in healthy or not healthy else _least_known(healthy)
        else:
            sender = _least_known(healthy or list(usable.values()))
        return Pick(party, sender, known, is_new=familiar is None)

    async def introduce(self, pick: Pick) -> PoolSender:
        """The picked sender, which its recipient knows from now on; or one that others let it know meanwhile."""
        if not pick.is_new:
            return pick.sender
        known, picked = pick.known, pick.sender
        sender = await self._store.introduce(known.pool_id, pick.recipient, picked.sender, instead_of=known.sender)
        return next((one for one in known.senders if one.owned and one.sender == sender), picked)

    def _goes(self, catalog: Catalog, account: Account, sender: PoolSender, recipient: str) -> bool:
        parcel = Parcel(account.id, sender.value, recipient, NO_MESSAGE)
        return catalog.choose(parcel, self._clock(), only_available=True) is not None


def _least_known(senders: Sequence[PoolSender]) -> PoolSender:
    """Of several the one that was added first."""
    return min(senders, key=lambda one: one.recipients)

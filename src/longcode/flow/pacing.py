"""Paces: who has to wait before more of theirs goes to a carrier, agreed upon by all processes.

An account, one of its senders, and a carrier may each have a pace; a message goes when all of its buckets
in the expiring state have a token for each of its segments. Where nothing has a pace, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from longcode.domain.phone import canonical
from longcode.expiring.port import Bucket, Expiring
from longcode.flow.catalog import CatalogCache
from longcode.store.outbox import Claimed

# What a sender or an account may send at once after a rest, in seconds of its pace.
BURST_SECONDS = 1.0
# Carriers count by the second: a bucket of this size, filled so much slower, stays within what each allows.
CARRIER_BURST_SECONDS = 0.1
CARRIER_SHARE = 0.9
# A bucket that ran dry is left alone so long, so that it is worth a claim.
ACCOUNT_PAUSE_SECONDS = 0.5
CARRIER_PAUSE_SECONDS = 0.05
STEP_SECONDS = 0.5
# Nobody waits longer before asking again: the operator may have changed the pace.
LONGEST_ACCOUNT_PAUSE_SECONDS = 5.0
LONGEST_SENDER_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """What the pacing of every lane works with. now: seconds on a clock that only goes forward."""

    expiring: Expiring
    catalog: CatalogCache
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Turn:
    """When one message may go. go: now; else after_seconds: 0.0 where its whole account or carrier waits.

    In whole steps, so that many messages share one.
    """

    go: bool
    after_seconds: float = 0.0


class Pacing:
    """What one lane knows of its paces.

    segments_per_second: the carrier's own; 0.0: it has none.
    """

    def __init__(self, carrier_id: int, segments_per_second: float, paces: Paces) -> None:
        self._carrier_id = carrier_id
        self._carrier_rate = segments_per_second * CARRIER_SHARE
        self._paces = paces
        self._carrier_waits_until = 0.0
        self._accounts_wait_until: dict[int, float] = {}
        # Where the line of a sender's waiting messages ends, by bucket and priority.
        self._lines: dict[tuple[str, int], float] = {}

    def carrier_waits(self) -> float:
        """Seconds until it makes sense to claim anything; 0.0: now."""
        return max(0.0, self._carrier_waits_until - self._paces.now())

    def is_free(self) -> bool:
        """Nothing of this lane has a pace."""
        return not self._carrier_rate and not self._paces.catalog.latest.paces

    def limit(self, capacity: int) -> int:
        """How much of a driver's capacity is worth claiming."""
        if not self._carrier_rate:
            return capacity
        return min(capacity, max(1, int(self._carrier_rate * CARRIER_BURST_SECONDS)))

    def at_most(self) -> dict[int, int]:
        """How many messages a claim may take of each account that has a pace; 0 where it waits."""
        now = self._paces.now()
        return {
            account_id: 0
            if self._accounts_wait_until.get(account_id, 0.0) > now
            else max(1, ceil(rate * ACCOUNT_PAUSE_SECONDS))
            for (account_id, sender), rate in self._paces.catalog.latest.paces.items()
            if not sender
        }

    def next_turn(self) -> float | None:
        """Seconds until an account that waits may be claimed again; None where none waits."""
        now = self._paces.now()
        return min((until - now for until in self._accounts_wait_until.values() if until > now), default=None)

    async def turns(self, wanted: Sequence[tuple[Claimed, int]]) -> list[Turn]:
        """Who may go, of messages with their numbers of segments, in their order. Raises StorageDown."""
        wishes = [self._buckets(claimed, segments) for claimed, segments in wanted]
        if not any(wishes):
            return [Turn(go=True)] * len(wanted)
        answers = await self._paces.expiring.pace(wishes)
        now = self._paces.now()
        self._lines = {key: end for key, end in self._lines.items() if end > now}
        return [
            self._turn(claimed, dict(zip(wish, waits, strict=True)), now)
            for (claimed, _), wish, waits in zip(wanted, wishes, answers, strict=True)
        ]

    def _buckets(self, claimed: Claimed, segments: int) -> list[Bucket]:
        message, paces = claimed.message, self._paces.catalog.latest.paces
        sender = canonical(message.sender)
        rates = {
            _account_bucket(message.account_id): paces.get((message.account_id, ""), 0.0),
            f"sender:{message.account_id}:{sender}": paces.get((message.account_id, sender), 0.0) if sender else 0.0,
        }
        found = [Bucket(name, rate, segments, BURST_SECONDS) for name, rate in rates.items() if rate]
        if self._carrier_rate:
            found.append(Bucket(self._carrier_bucket, self._carrier_rate, segments, CARRIER_BURST_SECONDS))
        return found

    def _turn(self, claimed: Claimed, waits: dict[Bucket, float], now: float) -> Turn:
        """What a message's buckets said; whoever waits as a whole is noted."""
        if not any(waits.values()):
            return Turn(go=True)
        by_name = {bucket.name: seconds for bucket, seconds in waits.items()}
        account_id = claimed.message.account_id
        carrier_wait = by_name.pop(self._carrier_bucket, 0.0)
        account_wait = by_name.pop(_account_bucket(account_id), 0.0)
        if carrier_wait:
            pause = max(carrier_wait, CARRIER_PAUSE_SECONDS)
            self._carrier_waits_until = now + min(pause, LONGEST_ACCOUNT_PAUSE_SECONDS)
        if account_wait:
            pause = max(account_wait, ACCOUNT_PAUSE_SECONDS)
            self._accounts_wait_until[account_id] = now + min(pause, LONGEST_ACCOUNT_PAUSE_SECONDS)
        if carrier_wait or account_wait:
            return Turn(go=False)
        return self._in_line(claimed, next(bucket for bucket in waits if bucket.name in by_name), waits, now)

    def _in_line(self, claimed: Claimed, bucket: Bucket, waits: dict[Bucket, float], now: float) -> Turn:
        """A turn behind those of its sender that wait already, so that each is put back about once."""
        line = bucket.name, claimed.priority
        turn = min(max(now + waits[bucket], self._lines.get(line, 0.0)), now + LONGEST_SENDER_PAUSE_SECONDS)
        self._lines[line] = turn + bucket.tokens / bucket.rate_per_second
        return Turn(go=False, after_seconds=ceil((turn - now) / STEP_SECONDS) * STEP_SECONDS)

    @property
    def _carrier_bucket(self) -> str:
        return f"carrier:{self._carrier_id}"


def _account_bucket(account_id: int) -> str:
    return f"account:{account_id}"

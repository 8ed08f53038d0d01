"""The names of background jobs, and the hint that one has something to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

# A kick is a hint that may be lost: every job also runs on a period.
Kick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fresh:
    """A message that has just been queued: enough to begin it without looking for it."""

    id: UUID
    account_id: int
    sender: str
    recipient: str


# Of a carrier at once; more make a queue, from which a claim takes fair shares.
MOST_FRESH: Final = 8
# Kicks the dispatch of a carrier by its id, and says what is new in its queue. Both may be lost.
Offer = Callable[[int, Sequence[Fresh]], None]

CARRIERS = "carriers"
SIMULATOR = "simulator"
SWEEP = "sweep"
DISPATCH = "dispatch"
WEBHOOKS = "webhooks"

# A job that nobody kicks runs all the same, so often.
PERIOD_SECONDS: Final[Mapping[str, float]] = {CARRIERS: 1.0, DISPATCH: 0.5, SIMULATOR: 0.5, SWEEP: 5.0, WEBHOOKS: 0.5}
# Those that run from the start; `carriers` begins a dispatch for each carrier.
STANDING: Final = tuple(name for name in PERIOD_SECONDS if name != DISPATCH)


def kicking(kick: Kick) -> Offer:
    """An offer that is no more than a kick."""
    return lambda carrier_id, _: kick(dispatch_job(carrier_id))


def dispatch_job(carrier_id: int) -> str:
    """The job that drains one carrier's outbox."""
    return f"{DISPATCH} {carrier_id}"

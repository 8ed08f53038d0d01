"""The names of background jobs, and the hint that one has something to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

# A kick is a hint that may be lost: every job also runs on a period.
Kick = Callable[[str], None]

CARRIERS = "carriers"
SIMULATOR = "simulator"
SWEEP = "sweep"
DISPATCH = "dispatch"
WEBHOOKS = "webhooks"

# A job that nobody kicks runs all the same, so often.
PERIOD_SECONDS: Final[Mapping[str, float]] = {CARRIERS: 1.0, DISPATCH: 0.5, SIMULATOR: 0.5, SWEEP: 5.0, WEBHOOKS: 0.5}
# Those that run from the start; `carriers` begins a dispatch for each carrier.
STANDING: Final = tuple(name for name in PERIOD_SECONDS if name != DISPATCH)


def dispatch_job(carrier_id: int) -> str:
    """The job that drains one carrier's outbox."""
    return f"{DISPATCH} {carrier_id}"

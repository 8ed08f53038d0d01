"""The names of background jobs, and the hint that one has something to do."""

from __future__ import annotations

from collections.abc import Callable

# A kick is a hint that may be lost: every job also runs on a period.
Kick = Callable[[str], None]

CARRIERS = "carriers"
SIMULATOR = "simulator"
SWEEP = "sweep"
DISPATCH = "dispatch"


def dispatch_job(carrier_id: int) -> str:
    """The job that drains one carrier's outbox."""
    return f"{DISPATCH} {carrier_id}"

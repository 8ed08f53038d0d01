"""How fast a bind submits: as it is told, and as fast as the carrier turns out to take it. Pure.

Instants are seconds on one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from math import floor
from typing import Final

# Together they keep any one second at or below the rate: 0.97 x 1.02 of it, and the one that is always allowed.
BURST_SECONDS: Final = 0.02
SAFETY: Final = 0.97
# Beside the carrier's second, for the way there.
MARGIN_SECONDS: Final = 0.01
PROBES_A_SECOND: Final = 1.0
QUIET_SECONDS: Final = 5.0
# Growth of the rate in a second, for each quiet second since the last refusal.
GAIN: Final = 0.008
LARGEST_GAIN: Final = 0.5


class Meter:
    """Spaces what it lets through evenly. rate: a second; None: no limit."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self._next_at = float("-inf")

    def allowed(self, now: float, ahead_seconds: float = 0.0) -> int | None:
        """How many may go until `now + ahead_seconds`, from what has gone by now; None: any number."""
        if self.rate is None:
            return None
        room_seconds = now + ahead_seconds - self._earliest(now)
        # A timer may fire a hair early.
        return max(0, floor(room_seconds * self.rate + 1e-6) + 1)

    def take(self, now: float) -> None:
        """One goes."""
        if self.rate is not None:
            self._next_at = self._earliest(now) + 1 / self.rate

    def hold(self, until: float) -> None:
        """Nothing goes before that."""
        self._next_at = max(self._next_at, until)

    def opens_in(self, now: float) -> float:
        """Seconds until the next may go."""
        return 0.0 if self.rate is None else max(0.0, self._next_at - now)

    def _earliest(self, now: float) -> float:
        return max(self._next_at, now - BURST_SECONDS)


def capped(segments_per_second: float) -> Meter:
    """A meter that lets at most so many through in any second; 0: any number."""
    return Meter(segments_per_second * SAFETY if segments_per_second else None)


class Pace:
    """What throttled answers taught about one bind.

    Without limit until the first. A refusal sets the rate to what was taken in the last second, and
    nothing goes before the carrier's second is over. A carrier that takes nothing after that is probed once
    a second. Answers without refusal raise the rate: quickly up to the last good one, slowly beyond it.
    """

    def __init__(self) -> None:
        self._meter = Meter()
        self._taken: deque[float] = deque()
        self._good: float | None = None
        self._taught_at = float("-inf")
        self._taken_since = False

    @property
    def rate(self) -> float | None:
        """Segments a second; None: no limit is known."""
        return self._meter.rate

    def allowed(self, now: float, ahead_seconds: float = 0.0) -> int | None:
        """As Meter.allowed."""
        return self._meter.allowed(now, ahead_seconds)

    def opens_in(self, now: float) -> float:
        """As Meter.opens_in."""
        return self._meter.opens_in(now)

    def take(self, now: float) -> None:
        """One goes."""
        self._meter.take(now)

    def accepted(self, now: float) -> None:
        """The carrier took one."""
        self._taken.append(now)
        self._taken_since = True
        self._forget(now)
        rate = self._meter.rate
        if rate is None:
            return
        if self._good is None:
            self._meter.rate = rate + 1
        elif rate < self._good:
            self._meter.rate = min(max(rate + 1, self._good / 2), self._good)
        else:
            quiet = now - self._taught_at
            if quiet > QUIET_SECONDS:
                self._meter.rate = rate + min(GAIN * quiet, LARGEST_GAIN)

    def throttled(self, now: float, submitted_at: float) -> None:
        """The carrier refused one for its rate; what was under way at the last lesson teaches nothing new."""
        if submitted_at <= self._taught_at:
            return
        self._taught_at = now
        self._forget(now)
        rate = self._meter.rate
        if self._taken and self._taken_since:
            self._taken_since = False
            taken = len(self._taken) * SAFETY
            # Little was taken where little was sent: that alone is no reason to fall far.
            self._meter.rate = self._good = taken if rate is None else min(rate * 0.95, max(taken, rate * 0.7))
            self._meter.hold(self._taken[0] + 1 + MARGIN_SECONDS)
        else:
            self._meter.rate = PROBES_A_SECOND
            self._meter.hold(now + 1 / PROBES_A_SECOND)

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()

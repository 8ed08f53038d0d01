"""How many calls an account may make in a window, in this process.

Source: draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from longcode.api.problems import RateLimited

WINDOW_SECONDS: Final = 60
ACCOUNTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: calls that are left, and the seconds until there are `quota` again."""

    quota: int
    left: int
    reset_seconds: int

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer says of it."""
        return (
            (b"ratelimit-policy", b'"calls";q=%d;w=%d' % (self.quota, WINDOW_SECONDS)),
            (b"ratelimit", b'"calls";r=%d;t=%d' % (max(0, self.left), self.reset_seconds)),
        )


class CallLimits:
    """Windows of WINDOW_SECONDS, each of which opens at an account's first call.

    quota: calls in a window; 0: as many as come. now: monotonic seconds.
    """

    def __init__(self, quota: int, *, now: Callable[[], float]) -> None:
        self._quota = quota
        self._now = now
        self._windows: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def count(self, account_id: int) -> Standing | None:
        """Count a call; None where there is no limit."""
        if not self._quota:
            return None
        now = self._now()
        ends, used = self._windows.get(account_id, (0.0, 0))
        if now >= ends:
            ends, used = now + WINDOW_SECONDS, 0
        self._windows[account_id] = ends, used + 1
        self._windows.move_to_end(account_id)
        while len(self._windows) > ACCOUNTS:
            self._windows.popitem(last=False)
        return Standing(self._quota, self._quota - used - 1, ceil(ends - now))


def refuse_over_limit(standing: Standing | None) -> None:
    """Raise RateLimited for the calls that come after the quota."""
    if standing is not None and standing.left < 0:
        raise RateLimited(
            f"an account may make {standing.quota} calls in {WINDOW_SECONDS} seconds",
            retry_after_seconds=standing.reset_seconds,
        )

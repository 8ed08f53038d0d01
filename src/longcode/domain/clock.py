"""Time and ids, passed in so that tests can hold them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

Clock = Callable[[], datetime]
MintId = Callable[[], UUID]


def utc_now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def mint_id() -> UUID:
    """A UUIDv7: ids of one process ascend in the order of minting."""
    return uuid7()


class DistinctClock:
    """A clock that never gives one microsecond twice, for instants that name something."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        """Now, or one microsecond after the last answer where the clock has not moved on."""
        self._last = max(self._clock(), self._last + timedelta(microseconds=1))
        return self._last

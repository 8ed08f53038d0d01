"""Ids that hold their time."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)
_LAST_MILLISECOND: Final = 2**48 - 1


def first_id(moment: datetime) -> UUID:
    """The least UUIDv7 of an instant's millisecond; of one before 1970 or beyond its 48 bits, the nearest."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), _LAST_MILLISECOND)
    return UUID(int=milliseconds << 80)

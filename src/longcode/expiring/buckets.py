"""Token buckets as one instant each: when the bucket is full again. Pure.

Source: the generic cell rate algorithm, ITU-T I.371, virtual scheduling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from longcode.expiring.port import Bucket

SECOND: Final = 1_000_000  # in the microseconds of all instants here


def cost(bucket: Bucket) -> float:
    """Microseconds in which the bucket fills with the tokens wished for."""
    return bucket.tokens * SECOND / bucket.rate_per_second


def room(bucket: Bucket) -> float:
    """Microseconds in which the empty bucket has filled as far as the wish needs it to be."""
    return max(bucket.burst_seconds * SECOND, cost(bucket))


def grant(
    wishes: Sequence[Sequence[Bucket]], full_at: Mapping[str, float], now: float
) -> tuple[list[list[float]], dict[str, float]]:
    """The answers of `Expiring.pace`, and when each bucket that gave tokens is full again.

    full_at: the same of every bucket as it is kept; in microseconds, as now is.
    """
    answers: list[list[float]] = []
    kept = {name: max(at, now) for name, at in full_at.items()}
    given: set[str] = set()
    shut: dict[str, float] = {}
    for wish in wishes:
        waits = [
            max(kept[bucket.name] + cost(bucket) - room(bucket) - now, shut.get(bucket.name, 0.0), 0.0)
            for bucket in wish
        ]
        answers.append([wait / SECOND for wait in waits])
        if any(waits):
            shut |= {bucket.name: wait for bucket, wait in zip(wish, waits, strict=True) if wait}
            continue
        for bucket in wish:
            kept[bucket.name] += cost(bucket)
            given.add(bucket.name)
    return answers, {name: kept[name] for name in given}

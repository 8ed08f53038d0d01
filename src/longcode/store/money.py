"""Money as the database keeps it: whole millionths, so that sums are exact on both engines."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

MILLION: Final = 1_000_000


def to_millionths(amount: Decimal) -> int:
    """An amount of at most six decimals, exactly."""
    return int(amount * MILLION)


def from_millionths(micros: int) -> Decimal:
    """The amount without zeros that say nothing: 4500 is 0.0045."""
    amount = (Decimal(micros) / MILLION).normalize()
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount

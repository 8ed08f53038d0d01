"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """One tenant.

    anonymous: the caller showed no credentials and acts as the operator's anonymous account.
    """

    id: int
    name: str
    anonymous: bool = False

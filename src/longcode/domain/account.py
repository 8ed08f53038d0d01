"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Account:
    """One tenant.

    anonymous: the caller showed no credentials and acts as the operator's anonymous account.
    scopes: what the caller's API key is limited to; None: everything of the account.
    """

    id: int
    name: str
    anonymous: bool = False
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs the server, by one of the operator's keys. hint: the key's first characters."""

    key_id: int
    hint: str


MAX_NAME_LENGTH: Final = 255
NAME_RULE: Final = f"an account's name is 1 to {MAX_NAME_LENGTH} printable characters without a colon"


def is_account_name(name: str) -> bool:
    """True for a name that HTTP Basic can carry. Source: RFC 7617 §2."""
    return 1 <= len(name) <= MAX_NAME_LENGTH and ":" not in name and name.isprintable()

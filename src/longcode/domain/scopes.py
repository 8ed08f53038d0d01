"""What an API key may be limited to: one kind of resource, to read or to change it."""

from __future__ import annotations

from typing import Final

RESOURCES: Final = (
    "messages",
    "mailboxes",
    "numbers",
    "senders",
    "pools",
    "optouts",
    "keywords",
    "webhooks",
    "keys",
    "usage",
    "events",
)
READ: Final = "read"
WRITE: Final = "write"
# Only read, never changed; sender IDs by the operator alone.
READ_ONLY: Final = frozenset({"senders", "usage", "events"})
SCOPES: Final = tuple(
    f"{resource}:{verb}"
    for resource in RESOURCES
    for verb in (READ, WRITE)
    if verb == READ or resource not in READ_ONLY
)
# Carriers, routes and accounts. No key of an account has it.
OPERATOR: Final = "operator"


def faults(scopes: frozenset[str]) -> list[str]:
    """What is wrong with the scopes that somebody asked for, a sentence each."""
    if not scopes:
        return ["a key needs at least one scope"]
    return [f"there is no scope {scope}" for scope in sorted(scopes - set(SCOPES))]

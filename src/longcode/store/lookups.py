"""What accept must know of a batch before it can be judged: the questions, and the answers to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(slots=True)
class Lookups:
    """What a batch asks before it can be judged. Numbers by their digits.

    parties: account id, sender and recipient of what may be opted out of, in canonical form.
    """

    keys: set[tuple[int, str]] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    sender_ids: set[tuple[int, str]] = field(default_factory=set)
    logins: set[tuple[int, str]] = field(default_factory=set)
    parties: set[tuple[int, str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an assigned number is, and how the operator wrote it."""

    account_id: int
    value: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What an idempotency key stands for."""

    fingerprint: bytes
    message_id: UUID


@dataclass(slots=True)
class Known:
    """The answers to Lookups, all seen at one moment."""

    catalog_version: int = 0
    keys: dict[tuple[int, str], StoredKey] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    sender_ids: set[tuple[int, str]] = field(default_factory=set)
    logins: set[tuple[int, str]] = field(default_factory=set)
    opted_out: set[tuple[int, str, str]] = field(default_factory=set)

    def note(
        self, kind: str, account_id: int, name: str, value: str, fingerprint: bytes | None, message_id: UUID | None
    ) -> None:
        """Add one answer, a row of the look-ups. Of its values those count that its kind has."""
        match kind:
            case "version":
                self.catalog_version = account_id
            case "key":
                assert fingerprint is not None
                assert message_id is not None
                self.keys[account_id, name] = StoredKey(fingerprint, message_id)
            case "number":
                self.owners[name] = Owner(account_id, value)
            case "sender_id":
                self.sender_ids.add((account_id, name))
            case "login":
                self.logins.add((account_id, name))
            case "opt_out":
                self.opted_out.add((account_id, name, value))

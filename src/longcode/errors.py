"""Every error that Longcode raises on purpose, in one tree.

    LongcodeError
    ├── FieldError            one field of the caller's input is at fault
    │   ├── MissingField
    │   └── InvalidField
    ├── Refused               the input is well formed and may not be done
    │   ├── NotOwned          the account has no such number
    │   ├── NotWhitelisted    the account may not use this sender ID
    │   ├── OptedOut          the recipient asked not to be written to
    │   ├── PoolEmpty         the account may send as no sender of the pool
    │   ├── DestinationRefused  the account may not write to this recipient
    │   ├── LimitReached      the sender's quota for this window is spent
    │   │   └── CapReached    the account's cap for this day is spent
    │   ├── KeyReused         an idempotency key came back with another body
    │   ├── NotFound
    │   │   └── Gone          it was there, and was deleted
    │   └── Duplicate
    ├── NotAuthenticated      no credentials, or wrong ones
    ├── Unavailable           a fault of ours that passes; nothing was stored
    │   ├── IntakeFull
    │   └── StorageDown
    └── ConfigurationError    all faults of the configuration together

`code` is stable and fit for a table; `retry` says whether the same call can succeed later
without a change by the caller.
"""

from __future__ import annotations

from typing import ClassVar


class LongcodeError(Exception):
    """One human sentence in `args[0]`, a stable `code`, and whether retrying helps."""

    code: ClassVar[str] = "error"
    retry: ClassVar[bool] = False


class OfField(str):
    """A sentence about what is wrong, with the field that it is about, for callers who show fields apart.

    field: its name in what the caller wrote.
    """

    __slots__ = ("field",)

    def __new__(cls, sentence: str, field: str) -> OfField:
        """The sentence, with its field."""
        made = super().__new__(cls, sentence)
        made.field = field
        return made

    field: str


class FieldError(LongcodeError):
    """One field is at fault. `field` is its name on the caller's wire."""

    code = "field"
    problem: ClassVar[str] = "wrong"

    def __init__(self, field: str, reason: str = "") -> None:
        super().__init__(reason or f"{field} is {self.problem}")
        self.field = field
        self.reason = reason


class MissingField(FieldError):
    """The field is absent or null."""

    code = "missing"
    problem = "missing"


class InvalidField(FieldError):
    """The field is present and unusable."""

    code = "invalid"
    problem = "invalid"


class Refused(LongcodeError):
    """Well formed, and may not be done."""

    code = "refused"


class NotOwned(Refused):
    """The number is not one that the operator assigned to this account."""

    code = "not_owned"


class NotWhitelisted(Refused):
    """The sender ID is not in this account's whitelist."""

    code = "not_whitelisted"


class OptedOut(Refused):
    """The recipient opted out.

    durable: True from the ledger of opt-outs, False from a STOP pair that expires.
    """

    code = "opted_out"

    def __init__(self, message: str, *, durable: bool) -> None:
        super().__init__(message)
        self.durable = durable


class LimitReached(Refused):
    """The sender's quota is spent; it opens again after `retry_after_seconds`."""

    code = "limit_reached"
    retry = True

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CapReached(LimitReached):
    """What the operator lets the account send or spend in a day (UTC) is used up."""

    code = "cap_reached"


class PoolEmpty(Refused):
    """A pool has no sender that is still the account's."""

    code = "pool_empty"


class DestinationRefused(Refused):
    """The operator does not let this account write to recipients that begin so."""

    code = "destination_refused"


class KeyReused(Refused):
    """An idempotency key came back with another body; the first record is unchanged."""

    code = "key_reused"


class NotFound(Refused):
    """There is no such thing in this account."""

    code = "not_found"


class Gone(NotFound):
    """It was there, and was deleted."""

    code = "gone"


class Duplicate(Refused):
    """Something that must be unique exists already."""

    code = "duplicate"


class NotAuthenticated(LongcodeError):
    """No credentials, or wrong ones; the answer never says which."""

    code = "not_authenticated"


class ForeignOrigin(NotAuthenticated):
    """An anonymous call from a web page of another origin."""

    code = "foreign_origin"


class Unavailable(LongcodeError):
    """A passing fault of ours. Nothing was stored for this call."""

    code = "unavailable"
    retry = True


class IntakeFull(Unavailable):
    """More calls wait than may wait; come back after `retry_after_seconds`."""

    code = "intake_full"

    def __init__(self, message: str = "the intake is full", *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StorageDown(Unavailable):
    """The database or the expiring state did not answer."""

    code = "storage_down"


class ConfigurationError(LongcodeError):
    """Everything that is wrong with the configuration, at once."""

    code = "configuration"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

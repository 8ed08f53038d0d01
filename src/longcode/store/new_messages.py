"""A message on its way into the store, and what is stored and brought about with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from longcode.domain.message import Message
from longcode.domain.words import OPT_OUTS, Meaning
from longcode.store.limits import Charge

# The kind of an answer that is a number's own, and answers no keyword.
ROUTE: Final = "route"

# Said to whom has just opted out, or may have: the law and the carriers ask for it.
DESPITE_OPT_OUT: Final = OPT_OUTS | {Meaning.HELP}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """One row of `message`, and what goes beside it in the same transaction.

    call_id: the id of the call's first message; every message of one call shares its fate.
    queued: an outbox row too, for `carrier_id` (None: no route yet), due at `due_at` (None: now, by the database's
    clock, as claims go by that) and no longer good when its validity has passed since.
    boxed_at: a mailbox row too, under this instant.
    stop: the message is a STOP request, kept for rebuilding the expiring pairs.
    sequel: what else an inbound message brings about.
    charge: what it counts against its account's caps; None where it has none.
    endpoint_id: the webhook endpoint that it names.
    """

    message: Message
    call_id: UUID
    queued: bool = False
    carrier_id: int | None = None
    priority: int = 0
    due_at: datetime | None = None
    validity: timedelta = timedelta()
    boxed_at: datetime | None = None
    stop: bool = False
    sequel: Sequel | None = None
    charge: Charge | None = None
    endpoint_id: int | None = None


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """A call's idempotency key, claimed by the same statement that stores its messages."""

    account_id: int
    key: str
    fingerprint: bytes
    message_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that nobody writes. kind: the meaning that it answers, or ROUTE. messages: as NewMessage has them."""

    kind: str
    messages: tuple[NewMessage, ...]

    @property
    def despite_opt_out(self) -> bool:
        """Whether it is sent although its recipient has opted out."""
        return self.kind in DESPITE_OPT_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequel:
    """What follows from one inbound message.

    number, party: whom it came to and whom from, in canonical form. meaning: None for a text that is no keyword.
    reply: sent where the meaning changes anything, if it is one that changes. login: whose mailbox gets it
    too. webhook_id: the one endpoint that is told of it; None: every one.
    """

    number: str
    party: str
    meaning: Meaning | None = None
    word: str = ""
    reply: Reply | None = None
    login: str | None = None
    webhook_id: int | None = None


def replies_to(messages: Sequence[NewMessage]) -> list[NewMessage]:
    """The answers that may be sent to these messages."""
    return [
        reply
        for new in messages
        if new.sequel is not None and new.sequel.reply is not None
        for reply in new.sequel.reply.messages
    ]


def charges_of(messages: Sequence[NewMessage]) -> list[tuple[UUID, int, Charge]]:
    """What these messages count against caps: message, account, charge."""
    return [(new.message.id, new.message.account_id, new.charge) for new in messages if new.charge is not None]


def endpoints_of(messages: Sequence[NewMessage]) -> list[tuple[UUID, int]]:
    """The webhook endpoints that these messages name: message, endpoint."""
    return [(new.message.id, new.endpoint_id) for new in messages if new.endpoint_id is not None]

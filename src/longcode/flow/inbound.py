"""Inbound: messages that came to a number, by a carrier or told by a client."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from longcode.domain.account import Account
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Direction, Status
from longcode.domain.phone import canonical
from longcode.errors import NotOwned
from longcode.expiring.port import Pair, Question
from longcode.flow.accept import new_message
from longcode.flow.catalog import Catalog
from longcode.flow.intake import Intake
from longcode.flow.keywords import is_stop_request
from longcode.flow.settlement import Entered, Entry, Judged
from longcode.store.lookups import Known, Lookups
from longcode.store.new_messages import NewMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One inbound message, its fields checked.

    must_own: `recipient` must be a number of the account, written exactly so; otherwise a
    message to a number that is not the account's is kept for its conversation and no more.
    """

    account: Account
    sender: str
    recipient: str
    text: str
    must_own: bool
    key: str | None = None
    fingerprint: bytes = b""
    client_reference: str | None = None
    sent_at_seconds: int | None = None


class Inbound:
    """Takes inbound messages in."""

    def __init__(self, *, intake: Intake, clock: Clock, mint_id: MintId) -> None:
        self._intake = intake
        self._clock = clock
        self._mint_id = mint_id

    async def take(self, received: Received) -> Entered:
        """Make one inbound message durable; its STOP takes effect before the answer.

        Raises NotOwned, KeyReused, IntakeFull, StorageDown (a STOP that could not be kept is
        not stored either: the sender of the call must know).
        """
        return await self._intake.enter(
            Entry(
                account_id=received.account.id,
                key=received.key,
                fingerprint=received.fingerprint,
                ask=partial(_ask, received),
                judge=partial(self._judge, received),
            )
        )

    def _judge(self, received: Received, known: Known, _catalog: Catalog) -> Judged:
        owner = known.owners.get(canonical(received.recipient))
        owned = owner is not None and owner.account_id == received.account.id
        if received.must_own and (owner is None or not owned or owner.value != received.recipient):
            return Judged(refused_first=NotOwned("the recipient is not a number of this account"))
        stops = owned and is_stop_request(received.text)
        message = new_message(
            id_=self._mint_id,
            now=self._clock(),
            account=received.account,
            direction=Direction.INBOUND,
            sender=received.sender,
            recipient=received.recipient,
            text=received.text,
            status=Status.RECEIVED,
            sent_at_seconds=received.sent_at_seconds,
            client_reference=received.client_reference,
        )
        new = NewMessage(message=message, call_id=message.id, stop=stops)
        if not stops:
            return Judged(messages=(new,))
        pair = Pair(received.account.id, canonical(received.recipient), canonical(received.sender))
        return Judged(messages=(new,), question=Question(marks=(pair,)), needs_expiring=True)


def _ask(received: Received, lookups: Lookups) -> None:
    lookups.numbers.add(canonical(received.recipient))

"""What follows from an inbound message: a change of the ledger, a mailbox, an answer.

Only for messages that really came over the air: from carriers, and between numbers of this server where the sender
asks for it. What clients tell us of is recorded, and answered by nobody.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from longcode.domain.message import Message
from longcode.domain.phone import canonical
from longcode.domain.words import Meaning
from longcode.errors import Refused
from longcode.flow.catalog import Catalog
from longcode.flow.words import Heard
from longcode.store.lookups import Known
from longcode.store.new_messages import ROUTE, NewMessage, Reply, Sequel
from longcode.store.opt_outs import LONGEST_RECIPIENT
from longcode.store.words import InboundRoute

# Names and short codes cannot be written to; a number has at least seven digits.
_ANSWERABLE: Final = re.compile(r"[0-9]{7,15}")


class Compose(Protocol):
    """Makes a message of an account's own number, whether or not its recipient has opted out."""

    def __call__(
        self, *, account_id: int, sender: str, recipient: str, text: str, known: Known, catalog: Catalog
    ) -> tuple[NewMessage, ...]:
        """The rows to be stored. Raises Refused where it can go nowhere."""


def sequel_of(inbound: Message, known: Known, catalog: Catalog, compose: Compose) -> Sequel | None:
    """What follows from a message to an account's number; None for nothing. known: with the owner of its sender."""
    number, party = canonical(inbound.recipient), canonical(inbound.sender)
    if len(party) > LONGEST_RECIPIENT:
        return None
    heard = catalog.words.hear(inbound.account_id, number, inbound.text)
    route = catalog.words.route(inbound.account_id, number)
    if heard is None and route is None:
        return None
    kind, text = _answer(inbound, number, heard, route, catalog)
    reply = None
    if text is not None and _is_answerable(inbound, party, known):
        reply = _reply(inbound, kind, text, known, catalog, compose)
    return Sequel(
        number=number,
        party=party,
        meaning=None if heard is None else heard.meaning,
        word="" if heard is None else heard.word,
        reply=reply,
        login=None if route is None else route.login,
        webhook_id=None if route is None else route.webhook_id,
    )


def _answer(
    inbound: Message, number: str, heard: Heard | None, route: InboundRoute | None, catalog: Catalog
) -> tuple[str, str | None]:
    """What an answer is for, and its text; a doubtful wish to stop gets none."""
    words = catalog.words
    if heard is not None:
        text = None if heard.meaning is Meaning.DOUBTFUL else words.answer(inbound.account_id, number, heard)
        return heard.meaning.value, text
    if route is None or route.reply is None:
        return ROUTE, None
    return ROUTE, words.filled(inbound.account_id, route.reply)


def _is_answerable(inbound: Message, party: str, known: Known) -> bool:
    """False for whom no message reaches, and for the account itself."""
    owner = known.owners.get(party)
    return bool(_ANSWERABLE.fullmatch(party)) and (owner is None or owner.account_id != inbound.account_id)


def _reply(inbound: Message, kind: str, text: str, known: Known, catalog: Catalog, compose: Compose) -> Reply | None:
    try:
        messages = compose(
            account_id=inbound.account_id,
            sender=inbound.recipient,
            recipient=inbound.sender,
            text=text,
            known=known,
            catalog=catalog,
        )
    except Refused:
        return None
    return Reply(kind, messages)

"""Mailboxes: messages between logins of one account, delivered where they are written."""

from __future__ import annotations

from functools import partial

from longcode.domain.account import Account
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Direction, Medium, Status
from longcode.errors import NotFound
from longcode.flow.accept import new_message
from longcode.flow.catalog import Catalog
from longcode.flow.intake import Intake
from longcode.flow.settlement import Entered, Entry, Judged
from longcode.store.lookups import Known, Lookups
from longcode.store.new_messages import NewMessage


class UnknownLogin(NotFound):
    """The account has no such login."""

    code = "unknown_login"

    def __init__(self, login: str) -> None:
        super().__init__(f"unknown login {login}")
        self.login = login


class Mailbox:
    """Takes messages between logins in.

    distinct_clock: never gives one instant twice, because sender, recipient and instant
    together name a message.
    """

    def __init__(self, *, intake: Intake, distinct_clock: Clock, mint_id: MintId) -> None:
        self._intake = intake
        self._distinct_clock = distinct_clock
        self._mint_id = mint_id

    async def send(
        self, account: Account, *, sender: str, recipient: str, text: str, key: str | None = None, body: bytes = b""
    ) -> Entered:
        """Put one message into `recipient`'s mailbox; or answer a replay of its key.

        body: what the key must come back with. Raises UnknownLogin, KeyReused, Gone, IntakeFull, StorageDown.
        """
        return await self._intake.enter(
            Entry(
                account_id=account.id,
                key=key,
                fingerprint=body,
                ask=partial(_ask, account.id, sender, recipient),
                judge=partial(self._judge, account, sender, recipient, text),
            )
        )

    def _judge(
        self, account: Account, sender: str, recipient: str, text: str, known: Known, _catalog: Catalog
    ) -> Judged:
        for login in (sender, recipient):
            if (account.id, login) not in known.logins:
                return Judged(refused_first=UnknownLogin(login))
        now = self._distinct_clock()
        message = new_message(
            id_=self._mint_id,
            now=now,
            account=account,
            direction=Direction.OUTBOUND,
            medium=Medium.MAILBOX,
            sender=sender,
            recipient=recipient,
            text=text,
            status=Status.DELIVERED,
        )
        return Judged(messages=(NewMessage(message=message, call_id=message.id, boxed_at=now),))


def _ask(account_id: int, sender: str, recipient: str, lookups: Lookups) -> None:
    lookups.logins.update({(account_id, sender), (account_id, recipient)})

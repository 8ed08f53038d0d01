"""From a draft to the door of accept; one call at a time under one Idempotency-Key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from longcode.api.drafts import Draft, fingerprint, said
from longcode.api.problems import KeyInFlight
from longcode.domain.account import Account
from longcode.flow.accept import Accept, Send, SenderRule
from longcode.flow.message_webhooks import MessageWebhooks
from longcode.flow.settlement import Entered


class Outbound:
    """Sends drafts."""

    def __init__(self, accept: Accept, webhooks: MessageWebhooks) -> None:
        self._accept = accept
        self._webhooks = webhooks
        self._in_flight: set[tuple[int, str]] = set()

    async def send(self, account: Account, draft: Draft, key: str | None) -> Entered:
        """Make one message durable; or answer a replay. Raises KeyInFlight, and what accept raises."""
        with self.alone(account, key):
            return await self.enter(account, draft, key, fingerprint(said(draft)) if key else b"")

    async def enter(self, account: Account, draft: Draft, key: str | None, body: bytes) -> Entered:
        """As `send`, for one who saw to it that he is alone. body: what the key must come back with."""
        send = Send(
            account=account,
            sender=draft.sender or "",
            pool=draft.pool,
            recipient=draft.recipient,
            text=draft.text,
            sender_rule=SenderRule.OWN,
            key=key,
            fingerprint=body,
            client_reference=draft.reference,
            priority=draft.priority,
            due_at=draft.send_at,
            validity=timedelta(seconds=draft.validity_seconds),
            keywords=True,
        )
        return await self._webhooks.send(send, draft.webhook_url)

    async def refuse_other_body(self, account: Account, keys: Sequence[str], body: bytes) -> None:
        """Raise KeyReused where one of the keys came with another body."""
        await self._accept.refuse_other_body(account, keys, body)

    @contextmanager
    def alone(self, account: Account, key: str | None) -> Iterator[None]:
        """Hold a key for one call. Raises KeyInFlight where another call has it.

        Only in this process; between processes the second waits for the first one's commit and is a replay.
        """
        if key is None:
            yield
            return
        name = (account.id, key)
        if name in self._in_flight:
            raise KeyInFlight("a call with this Idempotency-Key has no answer yet")
        self._in_flight.add(name)
        try:
            yield
        finally:
            self._in_flight.discard(name)

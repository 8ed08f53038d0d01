"""The webhook endpoint that a message means when it names a URL.

There is one for each URL of an account, made when a message first names it, and kept: its secret, its line and its log
are those of any endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from longcode.domain.events import OF_SENT
from longcode.errors import Duplicate, InvalidField
from longcode.flow.accept import Accept, Send
from longcode.flow.catalog import CatalogCache
from longcode.flow.settlement import Entered
from longcode.store.webhooks import WebhookStore
from longcode.webhooks import target
from longcode.webhooks.signing import new_secret

FIELD: Final = "webhook_url"
MOST_KNOWN: Final = 10_000
# So long what is remembered counts without a look at whether an endpoint was changed or removed.
TRUSTED_SECONDS: Final = 1.0


class MessageWebhooks:
    """Sends messages that may name URLs. Remembers their endpoints until one is added, changed or removed.

    seal: closes a new endpoint's secret. now: seconds that only go on.
    """

    def __init__(
        self,
        accept: Accept,
        store: WebhookStore,
        catalog: CatalogCache,
        seal: Callable[[str], str],
        *,
        now: Callable[[], float],
    ) -> None:
        self._accept = accept
        self._store = store
        self._catalog = catalog
        self._seal = seal
        self._now = now
        self._version = -1
        self._looked_at = -TRUSTED_SECONDS
        self._known: dict[tuple[int, str], int] = {}
        self._making = asyncio.Lock()

    async def send(self, send: Send, url: str | None) -> Entered:
        """As Accept.send, for a message whose steps are told at a URL too, if it names one.

        Raises what `endpoint_of` raises besides.
        """
        if url is None:
            return await self._accept.send(send)
        endpoint_id = await self._find(send.account.id, url)
        if endpoint_id is None:
            # Neither a repeat nor a message that is refused makes an endpoint.
            entered = await self._accept.foresee(send)
            if entered is not None:
                return entered
            endpoint_id = await self.endpoint_of(send.account.id, url)
        return await self._accept.send(replace(send, endpoint_id=endpoint_id))

    async def endpoint_of(self, account_id: int, url: str) -> int:
        """The endpoint's id, of a new one where there is none.

        Raises InvalidField for a URL that may not be called, Refused where there are many.
        """
        found = await self._find(account_id, url)
        if found is None:
            async with self._making:
                found = await self._store.named(account_id, url) or await self._make(account_id, url)
            self._known[account_id, url] = found
        return found

    async def _find(self, account_id: int, url: str) -> int | None:
        """The endpoint's id; None where there is none yet."""
        await self._refresh()
        found = self._known.get((account_id, url)) or await self._store.named(account_id, url)
        if found is not None:
            self._known[account_id, url] = found
        return found

    async def _refresh(self) -> None:
        """Forget what may not be so any more."""
        looked_at = self._now()
        if looked_at - self._looked_at < TRUSTED_SECONDS and len(self._known) < MOST_KNOWN:
            return
        version = (await self._catalog.now()).version
        self._looked_at = looked_at
        if version != self._version or len(self._known) >= MOST_KNOWN:
            self._version, self._known = version, {}

    async def _make(self, account_id: int, url: str) -> int:
        faults = target.faults(url, allow_private=False)
        if faults:
            raise InvalidField(FIELD, "; ".join(faults))
        sealed = self._seal(new_secret())
        try:
            return await self._store.add(account_id, url, OF_SENT, secret=sealed, allow_private=False, per_message=True)
        except Duplicate:  # another process was first
            found = await self._store.named(account_id, url)
            assert found is not None
            return found

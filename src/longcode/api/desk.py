"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from longcode.api.outbound import Outbound
from longcode.domain.clock import Clock, MintId
from longcode.flow.catalog import CatalogCache
from longcode.flow.diagnosis import Diagnosis
from longcode.flow.identity import hash_secret
from longcode.flow.mailbox import Mailbox
from longcode.flow.story import Stories
from longcode.settings import Settings
from longcode.store.accounts import AccountStore
from longcode.store.boxes import BoxStore
from longcode.store.cancel import CancelStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CatalogStore
from longcode.store.conversations import ConversationStore
from longcode.store.event_stream import EventStream
from longcode.store.keyed_calls import KeyedCallStore
from longcode.store.leftovers import LeftoverStore
from longcode.store.limits import LimitStore
from longcode.store.mailbox import MailboxStore
from longcode.store.message_lists import MessageLists
from longcode.store.messages import MessageStore
from longcode.store.numbers import NumberStore
from longcode.store.opt_outs import OptOutStore
from longcode.store.pools import PoolStore
from longcode.store.removal import RemovalStore
from longcode.store.usage import UsageStore
from longcode.store.webhooks import WebhookStore
from longcode.store.words import WordStore
from longcode.vault import Vault
from longcode.webhooks.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The flow and the stores behind the native API.

    vault: opened where a secret is to be sealed or used. webhook_client: made for a try.
    """

    settings: Settings
    clock: Clock
    vault: Callable[[], Vault]
    outbound: Outbound
    mailbox: Mailbox
    catalog: CatalogCache
    catalog_store: CatalogStore
    messages: MessageStore
    lists: MessageLists
    cancel: CancelStore
    removal: RemovalStore
    conversations: ConversationStore
    boxes: BoxStore
    mailbox_store: MailboxStore
    numbers: NumberStore
    accounts: AccountStore
    pools: PoolStore
    opt_outs: OptOutStore
    words: WordStore
    webhooks: WebhookStore
    limits: LimitStore
    usage: UsageStore
    events: EventStream
    keyed_calls: KeyedCallStore
    stories: Stories
    leftovers: LeftoverStore
    carrier_status: CarrierStatusStore
    diagnosis: Diagnosis
    mint_id: MintId
    webhook_client: Callable[[], Client]

    async def hashed(self, secret: str) -> str:
        """What is stored of a secret; worked out off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, hash_secret, secret)

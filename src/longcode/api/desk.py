"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass

from longcode.api.outbound import Outbound
from longcode.store.cancel import CancelStore
from longcode.store.message_lists import MessageLists
from longcode.store.messages import MessageStore
from longcode.store.removal import RemovalStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The flow and the stores behind the native API."""

    outbound: Outbound
    messages: MessageStore
    lists: MessageLists
    cancel: CancelStore
    removal: RemovalStore

"""What a process that delivers webhooks builds for it."""

from __future__ import annotations

import time
from random import random

from longcode.bootstrap import Product
from longcode.flow.jobs import Kick
from longcode.flow.webhooks import WebhookMeans, Webhooks
from longcode.vault import Vault
from longcode.webhooks.client import system_client


def webhooks(product: Product, kick: Kick) -> Webhooks:
    """The deliveries of one process; they open the vault when there is an endpoint, and nothing before."""

    def unseal(text: str) -> str:
        return Vault.open(product.settings).unseal(text)

    return Webhooks(
        WebhookMeans(
            endpoints=product.webhooks,
            queue=product.webhook_queue,
            catalog=product.catalog_store,
            client=system_client(),
            unseal=unseal,
            kick=kick,
            clock=product.clock,
            now=time.monotonic,
            random=random,
            concurrency=product.settings.webhook_concurrency,
        )
    )

"""A made-up event, sent to an endpoint now, to see whether it takes one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from longcode.domain.clock import Clock, MintId
from longcode.domain.timestamps import format_milli
from longcode.flow.webhook_line import open_line, why_failed
from longcode.store.webhooks import Endpoint
from longcode.webhooks.client import Client, Unanswered

TYPE = "webhook.test"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. error: None where the endpoint took it."""

    status: int | None
    error: str | None
    milliseconds: int


async def try_endpoint(
    endpoint: Endpoint, *, client: Client, unseal: Callable[[str], str], clock: Clock, mint_id: MintId
) -> Trial:
    """Send one, by the rules of every other; it is neither an event of the account nor in its log."""
    line, now = open_line(endpoint, unseal, 1), clock()
    body = {"type": TYPE, "timestamp": format_milli(now), "data": {"endpoint": endpoint.id}}
    request = line.request(mint_id(), msgspec.json.encode(body), now)
    began, status = time.monotonic(), None
    try:
        answer = await client.post(line.target, request, allow_private=endpoint.allow_private)
        status, error = answer.status, why_failed(answer)
    except Unanswered as fault:
        error = str(fault)
    return Trial(status, error, int((time.monotonic() - began) * 1000))

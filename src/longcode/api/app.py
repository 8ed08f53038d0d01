"""The native API as one ASGI application, and its description."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from fastapi import FastAPI

from longcode.api.caller import Gate
from longcode.api.carrier_states import add_carrier_states
from longcode.api.conversations import add_conversations
from longcode.api.desk import Desk
from longcode.api.events import add_events
from longcode.api.front import Front, not_routed
from longcode.api.hot import sending
from longcode.api.keys import add_keys, add_usage
from longcode.api.keywords import add_keywords
from longcode.api.leftovers import add_leftovers
from longcode.api.limits import CallLimits
from longcode.api.mailboxes import add_mailboxes
from longcode.api.messages import add_messages
from longcode.api.numbers import add_numbers
from longcode.api.once import Once
from longcode.api.openapi import describe
from longcode.api.operator import add_operator
from longcode.api.operator_keys import add_operator_keys
from longcode.api.optouts import add_optouts
from longcode.api.paces import add_paces
from longcode.api.routing import keep_apart
from longcode.api.senders import add_senders
from longcode.api.timelines import add_timelines
from longcode.api.webhooks import add_webhooks
from longcode.wire.cors import Cors
from longcode.wire.door import ASGIApp
from longcode.wire.identity import Identity

PREFIX = "/v1"

# In the order in which a reader sees them.
ADDED = (
    add_messages,
    add_timelines,
    add_conversations,
    add_mailboxes,
    add_numbers,
    add_senders,
    add_optouts,
    add_keywords,
    add_webhooks,
    add_events,
    add_keys,
    add_usage,
    add_operator,
    add_carrier_states,
    add_paces,
    add_operator_keys,
    add_leftovers,
)


def native(
    desk: Desk,
    *,
    identity: Identity,
    cors: Cors,
    calls_per_minute: int,
    now: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """The application to be mounted at PREFIX. now: monotonic seconds."""
    gate = Gate(identity, CallLimits(calls_per_minute, now=now))
    app = _routed(desk, exception_handlers={404: not_routed(cors), 405: not_routed(cors)})
    app.state.gate = gate
    app.state.once = Once(desk.keyed_calls)
    return Front(app, hot={("POST", f"{PREFIX}/messages"): sending(gate, desk.outbound)})


def description() -> Mapping[str, Any]:
    """Paths, schemas and tags of the native API, as OpenAPI 3.1 has them."""
    nobody = cast(Desk, None)  # routes are asked what they are, not called
    return describe(_routed(nobody), PREFIX)


def _routed(desk: Desk, **how: Any) -> FastAPI:
    app = FastAPI(openapi_url=None, redirect_slashes=False, separate_input_output_schemas=False, **how)
    for add in ADDED:
        add(app, desk)
    keep_apart(app.routes)
    return app

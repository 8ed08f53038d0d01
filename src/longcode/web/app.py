"""The one ASGI application: the dialects' door, and Starlette behind it for everything else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import takewhile
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from longcode.api.app import PREFIX, native
from longcode.api.desk import Desk
from longcode.api.events import STOPPING
from longcode.api.outbound import Outbound
from longcode.bootstrap import Product
from longcode.dialects import conversations, inbound_outbound, mailbox, messages, numbers
from longcode.flow.diagnosis import EMBEDDED, SHARED, Diagnosis
from longcode.flow.story import Stories
from longcode.store.boxes import BoxStore
from longcode.store.cancel import CancelStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.event_stream import EventStream
from longcode.store.keyed_calls import KeyedCallStore
from longcode.store.leftovers import LeftoverStore
from longcode.store.message_lists import MessageLists
from longcode.store.removal import RemovalStore
from longcode.store.timeline import TimelineStore
from longcode.store.usage import UsageStore
from longcode.vault import Vault
from longcode.web.callbacks import callback_endpoints
from longcode.web.description import description_routes
from longcode.web.health import health_routes
from longcode.web.manual.site import manual_routes
from longcode.webhooks.client import system_client
from longcode.wire.cors import Cors
from longcode.wire.door import ASGIApp, Door
from longcode.wire.endpoint import Endpoint
from longcode.wire.errors import UnknownPath
from longcode.wire.identity import Identity

Scope = MutableMapping[str, Any]


def endpoints(product: Product, identity: Identity) -> list[Endpoint]:
    """Every path of the five dialects."""
    settings = product.settings
    dlr_secret = settings.dlr_secret.get_secret_value().encode() if settings.dlr_secret is not None else None
    return [
        *inbound_outbound.endpoints(
            identity=identity,
            accept=product.accept,
            inbound=product.inbound,
            error_status=settings.inbound_outbound_error_status,
        ),
        *conversations.endpoints(
            identity=identity,
            accept=product.accept,
            inbound=product.inbound,
            store=product.conversations,
        ),
        *numbers.endpoints(identity=identity, numbers=product.numbers),
        *messages.endpoints(
            identity=identity,
            accept=product.accept,
            messages=product.messages,
            receipts=product.receipts,
            dlr_secret=dlr_secret,
        ),
        *mailbox.endpoints(identity=identity, mailbox=product.mailbox, store=product.mailbox_store),
    ]


def application(product: Product, *, implicit_anonymous: bool = False) -> ASGIApp:
    """The application of a running product.

    implicit_anonymous: nobody chose the anonymous account, so it serves only this machine.
    """
    settings = product.settings
    identity = Identity(
        product.verifier,
        anonymous=settings.anonymous_account,
        implicit=implicit_anonymous,
        cors_origins=settings.cors_origins,
    )
    served = endpoints(product, identity)
    mounted = Mount(PREFIX, native_api(product, identity))
    # A name in a path may hold the end of a line.
    mounted.path_regex = re.compile(mounted.path_regex.pattern, re.DOTALL)
    rest = Starlette(
        routes=[
            mounted,  # first, because sending goes by it
            *health_routes(product),
            *description_routes(),
            *manual_routes(),
        ],
        exception_handlers={404: _not_found(served), HTTPException: _plain_error, 500: _plain_error},
    )
    rest.router.redirect_slashes = False
    paths = [*served, *callback_endpoints(product)]
    return Door(paths, cors_origins=settings.cors_origins, otherwise=rest)


def native_api(product: Product, identity: Identity) -> ASGIApp:
    """The native API of a running product."""
    database, clock = product.database, product.clock
    settings, status = product.settings, CarrierStatusStore(database)
    desk = Desk(
        settings=settings,
        clock=clock,
        vault=partial(Vault.open, settings),
        outbound=Outbound(product.accept, product.message_webhooks),
        mailbox=product.mailbox,
        catalog=product.catalog,
        catalog_store=product.catalog_store,
        messages=product.messages,
        lists=MessageLists(database),
        cancel=CancelStore(database, clock),
        removal=RemovalStore(database, clock),
        conversations=product.conversations,
        boxes=BoxStore(database, clock),
        mailbox_store=product.mailbox_store,
        numbers=product.numbers,
        accounts=product.accounts,
        pools=product.pool_store,
        opt_outs=product.opt_outs,
        words=product.words,
        webhooks=product.webhooks,
        limits=product.limits,
        usage=UsageStore(database),
        events=EventStream(database),
        keyed_calls=KeyedCallStore(database, clock),
        stories=Stories(TimelineStore(database), product.catalog, clock),
        leftovers=LeftoverStore(database, clock),
        carrier_status=status,
        diagnosis=Diagnosis(
            settings=settings,
            accounts=product.accounts,
            catalog=product.catalog,
            status=status,
            clock=clock,
            serving=EMBEDDED if database.is_sqlite else SHARED,
        ),
        mint_id=product.mint_id,
        webhook_client=system_client,
    )
    return native(
        desk, identity=identity, cors=Cors(settings.cors_origins), calls_per_minute=settings.api_calls_per_minute
    )


def _not_found(served: Sequence[Endpoint]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers an unknown path in the envelope of the dialect whose path begins most like it."""

    async def answer(request: Request, error: Exception) -> Response:
        asked = request.url.path.split("/")[1:]
        nearest = max(served, key=lambda endpoint: _shared(endpoint.path.split("/")[1:], asked))
        if not _shared(nearest.path.split("/")[1:], asked):
            return await _plain_error(request, error)
        told = nearest.error(UnknownPath())
        assert isinstance(told.body, bytes)
        return Response(told.body, told.status, {name.decode(): value.decode() for name, value in told.headers})

    return answer


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many segments two paths have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


async def _plain_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "something went wrong on our side"
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"error": detail}, status, headers)


class Lifespan:
    """An ASGI application that is built when its server starts and taken down when it stops.

    Its server finds in its state what it may set once it begins to stop: long answers end then.
    """

    def __init__(self, build: Callable[[], AbstractAsyncContextManager[ASGIApp]]) -> None:
        self._build = build
        self._app: ASGIApp | None = None

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        await receive()
        scope.get("state", {})[STOPPING] = asyncio.Event()
        async with self._build() as self._app:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

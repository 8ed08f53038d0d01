"""What each process of `longcode serve` runs; it reads its settings itself, because it is a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from longcode import log
from longcode.bootstrap import running
from longcode.engine.kicks import forwarding
from longcode.settings import load
from longcode.web.app import Lifespan, application
from longcode.wire.door import ASGIApp


def create() -> Lifespan:
    """The application, built by its server's lifespan."""
    settings = load()
    log.configure(settings.log_level)

    @asynccontextmanager
    async def build() -> AsyncIterator[ASGIApp]:
        async with (
            forwarding(settings) as forward,
            running(settings, kick=forward.kick, offer=forward.offer) as product,
        ):
            forward.know(product.catalog)
            yield application(product)

    return Lifespan(build)

"""The product in this process, called without a network: what the dialects' tests talk to."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from longcode.bootstrap import Product, running
from longcode.settings import Settings, load
from longcode.store.database import Database
from longcode.web.app import application
from longcode.wire.door import ASGIApp
from tests.calls import NOTHING, Reply, basic, cheap_hash, dumps
from tests.wire.asgi import reply as ask


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls: an account with its secret, or nobody in particular."""

    app: ASGIApp = field(repr=False)
    account_id: int = 0
    name: str = ""
    secret: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        return basic(self.name, self.secret) if self.name else {}

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = NOTHING,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
    ) -> Reply:
        """One request; json or body, never both. headers replace the credentials of the same name."""
        content = body if body is not None else b"" if json is NOTHING else dumps(json)
        sent = {"Host": "127.0.0.1:8080", **self.credentials, **(headers or {})}
        if content or method in ("POST", "PUT", "PATCH"):
            sent.setdefault("Content-Length", str(len(content)))
        answer = await ask(self.app, method, path, headers=sent.items(), body=content, peer=peer)
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, lowered, answer.body)


@dataclass(frozen=True, slots=True)
class Api:
    """A running product and the ways in which an operator sets it up."""

    product: Product
    app: ASGIApp

    @property
    def database(self) -> Database:
        return self.product.database

    @property
    def anonymous(self) -> Caller:
        return Caller(self.app)

    async def account(self, name: str | None = None) -> Caller:
        """A fresh account."""
        name = name or f"account-{secrets.token_hex(6)}"
        secret = secrets.token_hex(8)
        account = await self.product.accounts.create(name, cheap_hash(secret))
        return Caller(self.app, account.id, name, secret)

    async def assign(self, caller: Caller, value: str) -> None:
        """Assign a number to the caller's account, as `longcode number add` does."""
        await self.product.numbers.assign(caller.account_id, value)

    async def whitelist(self, caller: Caller, sender_id: str) -> None:
        """Let the caller's account use a sender ID."""
        await self.product.accounts.add_sender_id(caller.account_id, sender_id)


@asynccontextmanager
async def open_api(
    database_url: str, redis_url: str | None = None, *, implicit_anonymous: bool = False, **settings: Any
) -> AsyncIterator[Api]:
    """A product on these services. settings: further ones, by their names in lower case."""
    values = {"database_url": database_url, "redis_url": redis_url, **settings}
    environ = {f"LONGCODE_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    loaded: Settings = load(environ)
    async with running(loaded) as product:
        yield Api(product, application(product, implicit_anonymous=implicit_anonymous))

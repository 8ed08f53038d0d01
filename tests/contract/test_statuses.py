"""Every status that the OpenAPI description names for an operation really occurs, and it is answered as described."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import update

from longcode.api.events import STOPPING
from longcode.bootstrap import Product
from longcode.domain.scopes import OPERATOR, SCOPES
from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from longcode.store import schema
from longcode.store.limits import AccountLimits
from longcode.web.app import application
from longcode.wire.door import ASGIApp
from tests.app import Api, Caller, open_api
from tests.calls import Reply
from tests.conftest import DLR_SECRET
from tests.contract.story import CAPPED, DIALECTS, MINE, NATIVE, RECEIPTS, SMS, Step
from tests.dialects.test_messages import answer, sign
from tests.web.described import Operation, check_described, everything
from tests.wire.asgi import reply as answer_of

KEY = "Idempotency-Key"
STREAM = "v1StreamEvents"
BY_ID = {found.id: found for found in everything()}
SIGNED = "takeReceipt"
ABSENT = "999999999"
GUARDED = [found for found in everything() if found.spec.get("security")]
NATIVE_ONES = [found for found in GUARDED if found.path.startswith("/v1/")]


def ending(app: ASGIApp) -> ASGIApp:
    """The application in a server that stops: no stream goes on."""
    stopping = asyncio.Event()
    stopping.set()

    async def run(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {STOPPING: stopping}}, receive, send)

    return run


@dataclass(slots=True)
class Witness:
    """Calls everything there is, and remembers what was answered: operation ids with statuses."""

    api: Api
    account: Mapping[str, str]
    capped: Mapping[str, str]
    operator: Mapping[str, str]
    caller: Caller
    seen: set[tuple[str, int]] = field(default_factory=set)
    kept: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        found: Operation,
        headers: Mapping[str, str],
        *,
        app: ASGIApp | None = None,
        at: Mapping[str, str] | None = None,
        query: str = "",
        body: bytes = b"",
    ) -> Reply:
        """One call, whose answer must be described. at: the path's parameters; the others name what is not there."""
        path = re.sub(r"{(\w+)}", lambda name: (at or {}).get(name[1], ABSENT), found.path)
        sent = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
        if found.id == SIGNED and headers:
            sent["X-Provider-Signature"] = sign(body)
        target = f"{path}?{query}" if query else path
        told = await answer_of(ending(app or self.api.app), found.method, target, headers=sent.items(), body=body)
        reply = Reply(told.status, {name.lower(): value for name, value in told.headers.items()}, told.body)
        check_described(found.method, found.path, reply)
        self.seen.add((found.id, reply.status))
        return reply

    def credentials(self, found: Operation) -> Mapping[str, str]:
        """Those with which it can succeed."""
        return self.operator if found.spec.get("x-scope") == OPERATOR else self.account

    async def take(self, step: Step) -> None:
        """A step of the story; and once more with its ETag, where it has one."""
        found = BY_ID[step.operation]
        body = step.body if isinstance(step.body, bytes) else b"" if step.body is None else self._filled(step.body)
        at = {name: self._known(value) for name, value in step.at.items()}
        headers = self.capped if step.capped else self.operator if step.by_operator else self.credentials(found)

        async def call(**more: str) -> Reply:
            return await self.call(found, {**headers, **more}, at=at, query=step.query, body=body)

        if step.key is not None:
            reply = await call(**{KEY: step.key})
        elif any(parameter["name"] == KEY for parameter in found.parameters):
            reply = await self._repeated(call)
        else:
            reply = await call()
        if "etag" in reply.headers:
            await call(**{"If-None-Match": reply.headers["etag"]})
        if step.keep is not None:
            name, place = step.keep
            value = reply.json
            for part in place:
                value = value[part]
            self.kept[name] = str(value)

    async def _repeated(self, call: Callable[..., Awaitable[Reply]]) -> Reply:
        """The answer to a call that is made twice at once, again, and again as if it had never been answered."""
        key = {KEY: secrets.token_hex(8)}
        replies = await asyncio.gather(call(**key), call(**key))
        await call(**key)
        async with self.api.database.write() as connection:
            await connection.execute(update(schema.keyed_call).values(answer=None))
        await call(**key)
        return min(replies, key=lambda one: one.status)

    def _filled(self, body: Any) -> bytes:
        return re.sub(r"\$(\w+)", lambda name: self.kept.get(name[1], name[0]), json.dumps(body)).encode()

    def _known(self, value: str) -> str:
        return self.kept[value[1:]] if value.startswith("$") else value


@pytest.fixture
async def witness(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Witness]:
    """One on a product of its own, which is broken in the end."""
    (tmp_path / "data").mkdir()
    shutil.copy(sqlite_template, tmp_path / "data" / "longcode.db")
    settings = {"dlr_secret": DLR_SECRET, "sender_limit": 1}
    async with open_api(f"sqlite:///{tmp_path}/data/longcode.db", **settings) as api:
        caller, capped = await api.account(), await api.account()
        for one, number in ((caller, MINE), (capped, CAPPED)):
            await api.assign(one, number)
            await api.whitelist(one, "MyCorp")
        await api.product.limits.set(capped.account_id, AccountLimits(segments_per_day=0))
        yield Witness(api, caller.credentials, capped.credentials, await operator_key(api, caller), caller)


async def operator_key(api: Api, caller: Caller) -> Mapping[str, str]:
    key = new_key(OPERATOR_PREFIX)
    await api.product.accounts.add_operator_key(hash_key(key), key[:8])
    return {"Authorization": f"Bearer {key}", "Longcode-Account": caller.name}


async def test_every_described_status_occurs(witness: Witness) -> None:
    for provoke in (tell_the_story, call_as_nobody, call_wrongly, call_as_a_stranger, call_too_often, break_all):
        await provoke(witness)
    described = {(found.id, status) for found in everything() for status in found.statuses}
    missing = sorted(described - witness.seen)
    assert not missing, f"described, and never answered: {missing}"


async def tell_the_story(witness: Witness) -> None:
    for step in (*NATIVE, *DIALECTS):
        await witness.take(step)
    await answer(witness.api, witness.kept["created"], "known")
    for step in RECEIPTS:
        await witness.take(step)


async def call_as_nobody(witness: Witness) -> None:
    """Without credentials; and from another site's page, where such calls are the anonymous account's."""
    anonymous = application(with_settings(witness.api.product, anonymous_account=witness.caller.name))
    for found in GUARDED:
        await witness.call(found, {})
        await witness.call(found, {"Origin": "https://other.example"}, app=anonymous)


async def call_wrongly(witness: Witness) -> None:
    for found in GUARDED:
        headers = {**witness.credentials(found), KEY: "send_msg:wrong"}
        if found.spec.get("requestBody"):
            for body in (b"\xff", b'{"nonsense": 1}'):
                await witness.call(found, headers, body=body)
            await witness.call(found, {**headers, "Content-Length": str(2**30)})
        elif found.id == STREAM:
            await witness.call(found, {**headers, "Last-Event-ID": "nonsense"})
        else:
            await witness.call(found, {**headers, KEY: ""}, query="nonsense=1")


async def call_as_a_stranger(witness: Witness) -> None:
    """With keys that are limited to other scopes, and for an account that is not there."""
    limited = {
        scope: await limited_key(witness, *(one for one in SCOPES if one != scope)) for scope in (*SCOPES, OPERATOR)
    }
    for found in NATIVE_ONES:
        await witness.call(found, limited[found.spec["x-scope"]])
        await witness.call(found, {**witness.operator, "Longcode-Account": "nobody"})


async def limited_key(witness: Witness, *scopes: str) -> Mapping[str, str]:
    key = new_key()
    await witness.api.product.accounts.add_key(
        witness.caller.account_id, hash_key(key), key[:8], scopes=frozenset(scopes)
    )
    return {"Authorization": f"Bearer {key}"}


async def call_too_often(witness: Witness) -> None:
    strict = application(with_settings(witness.api.product, api_calls_per_minute=1))
    for found in (NATIVE_ONES[0], *NATIVE_ONES):
        await witness.call(found, witness.account, app=strict)


async def break_all(witness: Witness) -> None:
    """A fault of ours, a server that takes no more messages, and in the end a database that is gone."""
    product = witness.api.product
    broken = cast(Any, SimpleNamespace(password=None, key=None, operator=None, named=None, take=None))
    faulty = application(replace(product, verifier=broken, receipts=broken))
    receipt = json.dumps(RECEIPTS[0].body).encode()
    for found in GUARDED:
        await witness.call(found, witness.account, app=faulty, body=receipt)
    await product.intake.close()
    for step in SMS:
        await witness.take(step)
    await product.database.close()
    shutil.rmtree(Path(product.database.engine.url.database or "").parent)
    for found in everything():
        await witness.call(found, {"Authorization": "Bearer lck_never_seen"}, body=receipt)


def with_settings(product: Product, **settings: Any) -> Product:
    return replace(product, settings=product.settings.model_copy(update=settings))

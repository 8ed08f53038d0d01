"""Calls under an Idempotency-Key that are made once, whatever they make; messages have a way of their own.

The key is claimed before the work and keeps the answer after it. What a call shows once (a secret, a key) is not kept,
not even sealed: its answer to a repeat has null there, and whoever lost it makes another. Where a process dies between
the work and the answer, the key is free again two minutes later, and a repeat does the work again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import msgspec
from fastapi import Request, Response
from pydantic import BaseModel

from longcode import log
from longcode.api.caller import Caller
from longcode.api.drafts import fingerprint, idempotency_key
from longcode.api.fields import SHOWN_ONCE
from longcode.api.problems import KeyInFlight
from longcode.errors import KeyReused, StorageDown
from longcode.store.keyed_calls import CallKey, KeyedCallStore

HEADER: Final = "idempotency-key"
REPLAYED: Final = "idempotent-replayed"
OPERATORS: Final = 0

_logger = log.get("http")


class Once:
    """Makes calls under their keys."""

    def __init__(self, store: KeyedCallStore) -> None:
        self._store = store

    async def make(
        self, request: Request, work: Callable[[Request], Awaitable[Response]], secrets: Collection[str]
    ) -> Response:
        """The answer of the work, or of an earlier call with the key; without a key, of the work.

        secrets: fields of the answer that are shown once.
        Raises InvalidRequest, KeyReused, KeyInFlight, StorageDown, and what the work raises: then the key is free.
        """
        key = idempotency_key(request.headers.get(HEADER))
        if key is None:
            return await work(request)
        caller: Caller = request.state.caller
        name, asked = _name(caller, key), _fingerprint(request, caller, await request.body())
        known = await self._store.claim(name, asked)
        if known is not None and known.fingerprint != asked:
            raise KeyReused("the key was used with another call")
        if known is not None and known.answer is None:
            raise KeyInFlight("a call with this Idempotency-Key has no answer yet")
        if known is not None:
            return Response(known.answer, 200, {REPLAYED: "true"}, "application/json")
        return await self._first(name, request, work, secrets)

    async def _first(
        self,
        name: CallKey,
        request: Request,
        work: Callable[[Request], Awaitable[Response]],
        secrets: Collection[str],
    ) -> Response:
        done = False
        try:
            response = await work(request)
            done = response.status_code < 300
        finally:
            if not done:
                await self._note(self._store.release(name))
        await self._note(self._store.answered(name, _without(secrets, bytes(response.body))))
        return response

    async def _note(self, noting: Awaitable[None]) -> None:
        """The work has its own end, whatever becomes of the key."""
        try:
            await noting
        except StorageDown as error:
            _logger.warning("an Idempotency-Key could not be settled", error=str(error))


def secrets_of(model: Any) -> frozenset[str]:
    """The fields of an answer that are shown once."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return frozenset()
    return frozenset(name for name, field in model.model_fields.items() if SHOWN_ONCE in field.metadata)


def _name(caller: Caller, key: str) -> CallKey:
    if caller.operator is not None:
        return CallKey(OPERATORS, f"{caller.operator.key_id}:{key}")
    return CallKey(caller.account.id, key)


def _fingerprint(request: Request, caller: Caller, body: bytes) -> bytes:
    """The same call with the same values, wherever they stood."""
    try:
        values: object = msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, RecursionError):
        values = hashlib.sha256(body).hexdigest()
    whose = None if caller.whose is None else caller.whose.id
    return fingerprint([request.method, request.scope["path"], whose, values])


def _without(secrets: Collection[str], body: bytes) -> str:
    if not secrets:
        return body.decode()
    shown: dict[str, Any] = msgspec.json.decode(body)
    return msgspec.json.encode({name: None if name in secrets else value for name, value in shown.items()}).decode()

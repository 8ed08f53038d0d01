"""Calls to the native API whose answers are held to their description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.app import Api, Caller
from tests.calls import Reply
from tests.web.described import check_described, operation

HELLO = {"sender": "MyCorp", "recipient": "+12025550190", "text": "Hello"}


@dataclass(frozen=True, slots=True)
class Client:
    """One who calls /v1; every answer is as the description says."""

    api: Api
    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def account_id(self) -> int:
        return self.caller.account_id

    async def call(self, method: str, path: str, json: Any = None, **how: Any) -> Reply:
        if json is not None:
            how["json"] = json
        how["headers"] = {**self.headers, **how.get("headers", {})}
        reply = await self.caller.call(method, f"/v1{path}", **how)
        assert reply.headers["x-request-id"]
        if operation(method, f"/v1{path}") is not None:
            check_described(method, f"/v1{path}", reply)
        if reply.status >= 400 and method != "HEAD":
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json["status"] == reply.status
            assert reply.json["request_id"] == reply.headers["x-request-id"]
        return reply

    async def get(self, path: str, **how: Any) -> Reply:
        return await self.call("GET", path, **how)

    async def post(self, path: str, json: Any = None, **how: Any) -> Reply:
        return await self.call("POST", path, json, **how)

    async def send(self, **fields: Any) -> Any:
        """A message that was sent."""
        reply = await self.post("/messages", {**HELLO, **fields})
        assert reply.status == 201, reply.body
        return reply.json


async def client(api: Api) -> Client:
    """A fresh account that may send as MyCorp."""
    caller = await api.account()
    await api.whitelist(caller, "MyCorp")
    return Client(api, caller)

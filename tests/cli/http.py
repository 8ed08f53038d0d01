"""Calls to a real server over a real connection, one connection a call."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from tests.calls import NOTHING, Reply, basic, dumps


@dataclass(frozen=True, slots=True)
class Http:
    """Somebody who calls a server on 127.0.0.1. authorization: the header, None for nobody in particular."""

    port: int
    authorization: str | None = None

    def basic(self, name: str, secret: str) -> Self:
        """The same with an account's credentials."""
        return replace(self, authorization=basic(name, secret)["Authorization"])

    def bearer(self, key: str) -> Self:
        """The same with an API key."""
        return replace(self, authorization=f"Bearer {key}")

    def call(self, method: str, path: str, body: Any = NOTHING, *, headers: Mapping[str, str] | None = None) -> Reply:
        """One request; body: anything that JSON can say."""
        content = None if body is NOTHING else dumps(body)
        sent = {"Authorization": self.authorization} if self.authorization else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20.0)
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, lowered, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Reply:
        """One POST."""
        return self.call("POST", path, body, headers=headers)

    def outbound(self, sender: str, recipient: str, text: str = "hello") -> Reply:
        """POST /outbound/sms/."""
        return self.post("/outbound/sms/", {"from": sender, "to": recipient, "text": text})

    def inbound(self, sender: str, recipient: str, text: str = "hello") -> Reply:
        """POST /inbound/sms/."""
        return self.post("/inbound/sms/", {"from": sender, "to": recipient, "text": text})

    def create(self, key: str, recipient: str, *, sender_id: str = "MyCorp", text: str = "hello") -> Reply:
        """POST /api/messages/ under an Idempotency-Key."""
        body = {"sender_id": sender_id, "recipient": recipient, "text": text}
        return self.post("/api/messages/", body, headers={"Idempotency-Key": f"send_msg:{key}"})
